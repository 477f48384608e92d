// What the oracle tests call: raw little-endian arrays in files, through the library's own code.
//
//   quantize_tool encode FORMAT TYPE ROUNDING IN CODES
//       every element of IN / 1 to a code, one per byte
//   quantize_tool matrix FORMAT TYPE MODE GROUP SCALE_TYPE RULE ROWS COLS IN CODES SCALES VALUES
//       quantize() with plain codes, and dequantize() of them to fp32
//
// FORMAT, TYPE, ROUNDING, MODE, SCALE_TYPE and RULE are the numbers of the C ABI.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "core/common/error.hpp"
#include "core/common/fp_env.hpp"
#include "core/quantize/kernels.hpp"
#include "core/quantize/quantize.hpp"

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

void encode_elements(char** args) {
    const FormatInfo* format = find_format(number<DataType>(args[0]));
    const DataType type = number<DataType>(args[1]);
    const std::vector<uint8_t> in = read_file(args[3]);
    const int64_t count = static_cast<int64_t>(in.size() / float_bytes(type));
    std::vector<uint8_t> codes(static_cast<size_t>(count));
    const float scale = 1.0f;
    const FpEnvGuard fp_env;
    active_quant_kernels().of(type).encode[number<int>(args[2])](*format, in.data(), count, count,
                                                                 &scale, codes.data());
    write_file(args[4], codes.data(), codes.size());
}

void quantize_matrix(char** args) {
    QuantSpec spec;
    spec.format = number<DataType>(args[0]);
    spec.scale_mode = number<ScaleMode>(args[2]);
    spec.group_size = number<int64_t>(args[3]);
    spec.scale_type = number<DataType>(args[4]);
    spec.mx_rule = number<MxScaleRule>(args[5]);
    check_quant_spec(spec);
    const std::vector<uint8_t> in = read_file(args[8]);
    const int64_t rows = number<int64_t>(args[6]), cols = number<int64_t>(args[7]);
    const MatrixView w{in.data(), number<DataType>(args[1]), rows, cols, cols};

    SerialExecutor serial;
    const QuantSizes sizes = quant_sizes(spec, rows, cols);
    std::vector<uint8_t> codes(sizes.code_bytes), scales(sizes.scale_bytes);
    std::vector<float> values(static_cast<size_t>(rows * cols));
    quantize(spec, w, codes.data(), scales.data(), nullptr, serial);
    dequantize(spec, codes.data(), scales.data(), {values.data(), DataType::kF32, rows, cols, cols},
               serial);
    write_file(args[9], codes.data(), codes.size());
    write_file(args[10], scales.data(), scales.size());
    write_file(args[11], values.data(), values.size() * sizeof(float));
}

}  // namespace

int main(int argc, char** argv) {
    const std::string verb = argc > 1 ? argv[1] : "";
    try {
        if (verb == "encode" && argc == 7) {
            encode_elements(argv + 2);
        } else if (verb == "matrix" && argc == 14) {
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
