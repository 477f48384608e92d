// Number formats: sign, exponent and mantissa fields with a bias, subnormals, no infinity and no
// NaN (OCP MX 1.0 section 5.3.2 for E3M2 and E2M3; FP6-LLM section 2 for E3M2's "exponent 111 is a
// value").
//
// One traits struct and one registry row per format. A code has its sign in bit (bits - 1), then
// the exponent, then the mantissa in the lowest bits; codes in bytes have zeros above.
#pragma once

#include <cstdint>

#include "core/common/types.hpp"

namespace fp6llm {

/// Everything about a format that code outside formats/ needs.
struct FormatInfo {
    DataType type;
    const char* name;  ///< "E3M2"
    int bits;          ///< 1 + exponent_bits + mantissa_bits
    int exponent_bits;
    int mantissa_bits;
    int bias;
    float max;  ///< largest finite value
    float min_normal;
    float min_subnormal;
    int max_exponent;     ///< floor(log2(max)): "emax" of the OCP MX scale rules
    const float* values;  ///< [1 << bits], value of each code
};

/// The registry row of a format, or nullptr if `type` is none (AUTO included).
const FormatInfo* find_format(DataType type) noexcept;

/// All registry rows.
struct FormatList {
    const FormatInfo* first;
    const FormatInfo* last;
    const FormatInfo* begin() const noexcept { return first; }
    const FormatInfo* end() const noexcept { return last; }
};
FormatList all_formats() noexcept;

/// Nearest code of a value, saturating; NaN becomes +max, like CUDA's host conversions. Zero keeps
/// its sign. The scalar definition that the vectorized encoders must equal.
uint8_t encode(const FormatInfo& format, float value, Rounding rounding) noexcept;

}  // namespace fp6llm
