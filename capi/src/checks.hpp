// Argument checks. Each throws Error with a message that names the argument and the values.
#pragma once

#include <cstring>

#include "core/common/error.hpp"
#include "core/common/math.hpp"
#include "core/common/types.hpp"
#include "core/quantize/quantize.hpp"
#include "fp6llm/fp6llm.h"

namespace fp6llm::capi {

void check_not_null(const void* pointer, const char* name);
/// `alignment` is a power of two. NULL is aligned.
void check_aligned(const void* pointer, size_t alignment, const char* name);
/// A pointer that receives one value: there, and aligned.
template <typename T>
void check_out(const T* pointer, const char* name) {
    check_not_null(pointer, name);
    check_aligned(pointer, alignof(T), name);
}
/// The same of one that may be NULL.
template <typename T>
void check_optional_out(const T* pointer, const char* name) {
    check_aligned(pointer, alignof(T), name);
}
/// A buffer that must be there and aligned, unless it holds nothing.
void check_buffer(const void* pointer, bool is_empty, size_t alignment, const char* name);
void check_not_negative(int64_t value, const char* name);
void check_backend(int32_t backend, const char* name);
const char* backend_name(fp6llmBackend_t backend) noexcept;  ///< "CPU"

/// Enumerators of the ABI as the core's, if they exist.
DataType check_float_type(int32_t type, const char* name);  ///< R_32F, R_16F or R_16BF
Activation check_activation(int32_t activation, const char* name);
ComputeType check_compute_type(int32_t type, const char* name);
bool check_operation(int32_t operation, const char* name);  ///< true for T
PackedLayout check_layout(int32_t layout);

/// A leading dimension of a matrix whose rows of `row_length` elements lie `ld` apart, and that its
/// extent in bytes can be addressed.
void check_matrix(int64_t vectors, int64_t row_length, const char* row_name, int64_t ld,
                  const char* ld_name, DataType type);

enum class AutoFormat { kAllowed, kInvalid };

/// A config as the core's spec; checks every field.
QuantSpec check_quant_config(const fp6llmQuantConfig_t* config, AutoFormat auto_format);

/// The same for the shape that goes with it: negative and overflowing sizes.
QuantSizes check_quant_shape(const QuantSpec& spec, int64_t rows, int64_t cols);

/// The float matrix W of the quantizing calls.
MatrixView check_weights(const void* W, int32_t type, int64_t rows, int64_t cols, int64_t ldw);

/// Reads an input struct by the rule in fp6llm.h: missing fields count as zero, unknown ones must
/// be.
template <typename Struct>
Struct read_struct(const Struct* input, const char* name) {
    check_not_null(input, name);
    check_aligned(input, alignof(Struct), name);
    const size_t size = input->structSize;
    if (size < sizeof(size_t) || size > 65536) {
        fail(Status::kInvalidValue, "%s->structSize = %zu; sizeof is %zu", name, size,
             sizeof(Struct));
    }
    const auto* bytes = reinterpret_cast<const unsigned char*>(input);
    for (size_t i = sizeof(Struct); i < size; ++i) {
        if (bytes[i] != 0) {
            fail(Status::kInvalidValue,
                 "%s->structSize = %zu > %zu and byte %zu is not 0: a field this version lacks",
                 name, size, sizeof(Struct), i);
        }
    }
    Struct copy;
    std::memset(&copy, 0, sizeof copy);
    std::memcpy(&copy, bytes, size < sizeof copy ? size : sizeof copy);
    copy.structSize = sizeof copy;
    return copy;
}

/// Checks an output struct before work starts, so that write_struct() cannot fail.
template <typename Struct>
void check_out_struct(const Struct* output, const char* name) {
    (void)read_struct(output, name);
}

/// Writes the part of an output struct that its caller knows, structSize aside. `output` need not be
/// aligned: elements of an array lie as far apart as element 0's structSize says.
template <typename Struct>
void write_struct(void* output, size_t struct_size, const Struct& value) noexcept {
    const size_t size = struct_size < sizeof value ? struct_size : sizeof value;
    std::memcpy(static_cast<unsigned char*>(output) + sizeof(size_t),
                reinterpret_cast<const unsigned char*>(&value) + sizeof(size_t),
                size - sizeof(size_t));
}
template <typename Struct>
void write_struct(Struct* output, const Struct& value) noexcept {
    write_struct(output, output->structSize, value);
}

}  // namespace fp6llm::capi
