// What the oracle tests call: raw little-endian arrays in files, through the library's own code.
//
//   quantize_tool encode FORMAT TYPE ROUNDING IN CODES
//       every element of IN to a code, one per byte, by the scalar definition; fails unless each
//       set of vectorized kernels that runs here makes the same codes
//   quantize_tool e8m0 IN FLOATS BACK
//       stored scales to fp32, and those to stored scales again
//   quantize_tool matrix FORMAT TYPE MODE GROUP SCALE_TYPE RULE ROUNDING ROWS COLS
//                        IN CODES SCALES VALUES
//       quantize() with plain codes, and dequantize() of them to fp32
//
// FORMAT, TYPE, ROUNDING, MODE, SCALE_TYPE and RULE are the numbers of the C ABI.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "core/common/error.hpp"
#include "core/common/float16.hpp"
#include "core/common/fp_env.hpp"
#include "core/quantize/kernels.hpp"
#include "core/quantize/quantize.hpp"
#include "core/quantize/scales.hpp"

namespace fp6llm {
const QuantKernels* lowered_avx512_quant_kernels() noexcept;
}

namespace {

using namespace fp6llm;

std::vector<uint8_t> read_file(const char* path) {
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) fail(Status::kInvalidValue, "cannot open %s", path);
    std::vector<uint8_t> bytes;
    std::vector<uint8_t> chunk(1 << 20);
    size_t got = 0;
    while ((got = std::fread(chunk.data(), 1, chunk.size(), file)) > 0) {
        bytes.insert(bytes.end(), chunk.begin(), chunk.begin() + static_cast<ptrdiff_t>(got));
    }
    std::fclose(file);
    return bytes;
}

void write_file(const char* path, const void* data, size_t bytes) {
    std::FILE* file = std::fopen(path, "wb");
    const bool written = file != nullptr && std::fwrite(data, 1, bytes, file) == bytes;
    if (file == nullptr || std::fclose(file) != 0 || !written) {
        fail(Status::kInvalidValue, "cannot write %s", path);
    }
}

template <typename Enum>
Enum number(const char* text) {
    return static_cast<Enum>(std::strtol(text, nullptr, 0));
}

float element(DataType type, const void* data, size_t index) {
    if (type == DataType::kF32) return static_cast<const float*>(data)[index];
    const uint16_t word = static_cast<const uint16_t*>(data)[index];
    return type == DataType::kF16 ? half_to_float(word) : bf16_to_float(word);
}

void encode_elements(char** args) {
    const FormatInfo* format = find_format(number<DataType>(args[0]));
    const DataType type = number<DataType>(args[1]);
    const Rounding rounding = number<Rounding>(args[2]);
    const std::vector<uint8_t> in = read_file(args[3]);
    std::vector<uint8_t> codes(in.size() / float_bytes(type)), others(codes.size());
    for (size_t i = 0; i < codes.size(); ++i)
        codes[i] = encode(*format, element(type, in.data(), i), rounding);

    const int64_t count = static_cast<int64_t>(codes.size());
    const float scale = 1.0f;
    for (const QuantKernels* kernels : {portable_quant_kernels(), lowered_avx512_quant_kernels(),
                                        avx2_quant_kernels(), avx512_quant_kernels()}) {
        const bool lowered = kernels == lowered_avx512_quant_kernels();
        if (kernels == nullptr || (!lowered && kernels->isa > detected_isa())) continue;
        const FpEnvGuard fp_env;
        kernels->of(type).encode[static_cast<int>(rounding)](*format, in.data(), count, count,
                                                             &scale, others.data());
        const auto differ = std::mismatch(codes.begin(), codes.end(), others.begin());
        if (differ.first == codes.end()) continue;
        fail(Status::kInternalError, "%s%s: element %td becomes %d, not %d",
             lowered ? "lowered " : "", isa_name(kernels->isa), differ.first - codes.begin(),
             *differ.second, *differ.first);
    }
    write_file(args[4], codes.data(), codes.size());
}

void convert_e8m0(char** args) {
    const std::vector<uint8_t> in = read_file(args[0]);
    const int64_t count = static_cast<int64_t>(in.size());
    std::vector<float> floats(in.size());
    std::vector<uint8_t> back(in.size());
    decode_scales(DataType::kE8M0, in.data(), count, floats.data());
    encode_scales(DataType::kE8M0, floats.data(), count, back.data());
    write_file(args[1], floats.data(), floats.size() * sizeof(float));
    write_file(args[2], back.data(), back.size());
}

void quantize_matrix(char** args) {
    QuantSpec spec;
    spec.format = number<DataType>(args[0]);
    spec.scale_mode = number<ScaleMode>(args[2]);
    spec.group_size = number<int64_t>(args[3]);
    spec.scale_type = number<DataType>(args[4]);
    spec.mx_rule = number<MxScaleRule>(args[5]);
    spec.rounding = number<Rounding>(args[6]);
    check_quant_spec(spec);
    const std::vector<uint8_t> in = read_file(args[9]);
    const int64_t rows = number<int64_t>(args[7]), cols = number<int64_t>(args[8]);
    const MatrixView w{in.data(), number<DataType>(args[1]), rows, cols, cols};

    SerialExecutor serial;
    const QuantSizes sizes = quant_sizes(spec, rows, cols);
    std::vector<uint8_t> codes(sizes.code_bytes), scales(sizes.scale_bytes);
    std::vector<float> values(static_cast<size_t>(rows * cols));
    quantize(spec, w, codes.data(), scales.data(), nullptr, serial);
    dequantize(spec, codes.data(), scales.data(), {values.data(), DataType::kF32, rows, cols, cols},
               serial);
    write_file(args[10], codes.data(), codes.size());
    write_file(args[11], scales.data(), scales.size());
    write_file(args[12], values.data(), values.size() * sizeof(float));
}

}  // namespace

int main(int argc, char** argv) {
    const std::string verb = argc > 1 ? argv[1] : "";
    try {
        if (verb == "encode" && argc == 7) {
            encode_elements(argv + 2);
        } else if (verb == "e8m0" && argc == 5) {
            convert_e8m0(argv + 2);
        } else if (verb == "matrix" && argc == 15) {
            quantize_matrix(argv + 2);
        } else {
            std::fprintf(stderr, "quantize_tool: see the head of quantize_tool.cpp\n");
            return 2;
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "quantize_tool: %s\n", error.what());
        return 1;
    }
    return 0;
}
