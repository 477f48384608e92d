// Matrices of any float type, every kernel set that can run here, and a quantizer written straight
// from the specification to compare with.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/common/float16.hpp"
#include "core/formats/plain_codes.hpp"
#include "core/quantize/quantize.hpp"
#include "core/quantize/row_quantizer.hpp"

namespace fp6llm {

const QuantKernels* lowered_avx512_quant_kernels() noexcept;
const QuantKernels* simde_avx512_quant_kernels() noexcept;

namespace test {

struct Variant {
    const char* name;
    const QuantKernels* kernels;
};
inline void PrintTo(const Variant& variant, std::ostream* out) {
    *out << variant.name;
}

inline std::vector<Variant> runnable_variants() {
    std::vector<Variant> variants = {{"portable", portable_quant_kernels()},
                                     {"lowered_avx512", lowered_avx512_quant_kernels()}};
#if defined(FP6LLM_HAVE_SIMDE)
    if (detected_isa() >= Isa::kAvx2) {
        variants.push_back({"simde_avx512", simde_avx512_quant_kernels()});
    }
#endif
    for (const Variant native :
         {Variant{"avx2", avx2_quant_kernels()}, Variant{"avx512", avx512_quant_kernels()}}) {
        if (native.kernels != nullptr && native.kernels->isa <= detected_isa()) {
            variants.push_back(native);
        }
    }
    return variants;
}

inline float read_float(DataType type, const void* data, int64_t index) {
    const uint16_t* words = static_cast<const uint16_t*>(data);
    if (type == DataType::kF16) return half_to_float(words[index]);
    if (type == DataType::kBF16) return bf16_to_float(words[index]);
    return static_cast<const float*>(data)[index];
}

inline void write_float(DataType type, float value, void* data, int64_t index) {
    uint16_t* words = static_cast<uint16_t*>(data);
    if (type == DataType::kF16) {
        words[index] = float_to_half(value);
    } else if (type == DataType::kBF16) {
        words[index] = float_to_bf16(value);
    } else {
        static_cast<float*>(data)[index] = value;
    }
}

/// An owned matrix; the columns between cols and ld hold NaN, which nobody may read.
class Matrix {
  public:
    Matrix(DataType type, int64_t rows, int64_t cols, int64_t ld = 0)
        : type_(type),
          rows_(rows),
          cols_(cols),
          ld_(ld == 0 ? cols : ld),
          storage_(static_cast<size_t>(rows * ld_) * float_bytes(type)) {
        for (int64_t i = 0; i < rows * ld_; ++i)
            write_float(type, NAN, storage_.data(), i);
    }
    template <typename Make>
    Matrix& fill(Make&& make) {
        for (int64_t r = 0; r < rows_; ++r) {
            for (int64_t c = 0; c < cols_; ++c)
                set(r, c, make(r, c));
        }
        return *this;
    }
    Matrix& fill_gaussian(unsigned seed, float deviation = 0.02f) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal(0.0f, deviation);
        return fill([&](int64_t, int64_t) { return normal(random); });
    }
    void set(int64_t r, int64_t c, float value) {
        write_float(type_, value, storage_.data(), r * ld_ + c);
    }
    float at(int64_t r, int64_t c) const { return read_float(type_, storage_.data(), r * ld_ + c); }
    MatrixView view() const { return {storage_.data(), type_, rows_, cols_, ld_}; }
    MutableMatrixView mutable_view() { return {storage_.data(), type_, rows_, cols_, ld_}; }
    /// Rows [first, first + count).
    MatrixView block(int64_t first, int64_t count) const {
        return {storage_.data() + static_cast<size_t>(first * ld_) * float_bytes(type_), type_,
                count, cols_, ld_};
    }
    int64_t rows() const { return rows_; }
    int64_t cols() const { return cols_; }
    const std::vector<uint8_t>& storage() const { return storage_; }

  private:
    DataType type_;
    int64_t rows_, cols_, ld_;
    std::vector<uint8_t> storage_;
};

inline QuantSpec row_spec(DataType format = DataType::kE3M2) {
    QuantSpec spec;
    spec.format = format;
    return spec;
}

inline QuantSpec group_spec(int64_t group, DataType format = DataType::kE3M2) {
    QuantSpec spec = row_spec(format);
    spec.scale_mode = ScaleMode::kGroup;
    spec.group_size = group;
    return spec;
}

inline QuantSpec mx_spec(DataType format = DataType::kE3M2,
                         MxScaleRule rule = MxScaleRule::kFloor) {
    QuantSpec spec = row_spec(format);
    spec.scale_mode = ScaleMode::kMx;
    spec.group_size = 32;
    spec.scale_type = DataType::kE8M0;
    spec.mx_rule = rule;
    return spec;
}

/// Plain codes and scales.
struct Quantized {
    DataType format;
    std::vector<uint8_t> codes, scales;
    QuantStats stats;
};

inline Quantized run_quantize(const QuantSpec& spec, const MatrixView& w, Executor& executor) {
    const QuantSizes sizes = quant_sizes(spec, w.rows, w.cols);
    Quantized out;
    out.codes.resize(sizes.code_bytes);
    out.scales.resize(sizes.scale_bytes);
    out.format = quantize(spec, w, out.codes.data(), out.scales.data(), &out.stats, executor);
    return out;
}

inline Quantized run_quantize(const QuantSpec& spec, const MatrixView& w) {
    SerialExecutor serial;
    return run_quantize(spec, w, serial);
}

inline std::vector<uint8_t> unpack_row(const QuantSpec& spec, const Quantized& quantized,
                                       int64_t row, int64_t cols) {
    std::vector<uint8_t> codes(static_cast<size_t>(cols));
    unpack_codes(quantized.codes.data() + row * spec.row_code_bytes(cols), spec.bits(), cols,
                 codes.data());
    return codes;
}

inline std::vector<float> scales_as_floats(const QuantSpec& spec, const Quantized& quantized) {
    const size_t count = quantized.scales.size() / spec.scale_element_bytes();
    std::vector<float> scales(count);
    decode_scales(spec.scale_type, quantized.scales.data(), static_cast<int64_t>(count),
                  scales.data());
    return scales;
}

}  // namespace test
}  // namespace fp6llm
