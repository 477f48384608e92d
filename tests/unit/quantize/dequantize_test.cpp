// dequantize(): the exact product, rounded once, for every kind of scale, and only where it
// belongs.
#include <gtest/gtest.h>

#include "core/common/float16.hpp"
#include "core/common/thread_pool.hpp"
#include "tests/unit/quantize/support.hpp"

namespace fp6llm {
namespace {

using test::group_spec;
using test::Matrix;
using test::mx_spec;
using test::Quantized;
using test::row_spec;
using test::run_quantize;
using test::scales_as_floats;
using test::unpack_row;
using test::Variant;

constexpr DataType kTypes[] = {DataType::kF32, DataType::kF16, DataType::kBF16};

std::vector<QuantSpec> specs() {
    std::vector<QuantSpec> all;
    for (const FormatInfo& format : all_formats()) {
        all.push_back(row_spec(format.type));
        all.push_back(group_spec(24, format.type));
        all.push_back(group_spec(72, format.type));  // more than one table's worth, and a rest
        all.push_back(mx_spec(format.type));
        all.push_back(group_spec(128, format.type));
        all.back().scale_type = DataType::kF16;
    }
    return all;
}

/// Half a unit in the last place of `type` at a number of moderate size; halfs below 2^-14 have a
/// fixed last place.
double half_unit(DataType type, double exact) {
    if (exact == 0) return 0;
    const int precision = type == DataType::kF32 ? 24 : type == DataType::kF16 ? 11 : 8;
    const double unit = std::ldexp(1.0, std::ilogb(exact) - precision);
    return type == DataType::kF16 ? std::fmax(unit, 0x1p-25) : unit;
}

class DequantizeTest : public testing::TestWithParam<Variant> {};

TEST_P(DequantizeTest, IsValueTimesScale) {
    SerialExecutor serial;
    const int64_t rows = 5, cols = 4133, ld = 4140;
    const Matrix w = Matrix(DataType::kF32, rows, cols).fill_gaussian(31);
    for (const QuantSpec& spec : specs()) {
        const FormatInfo& format = *find_format(spec.format);
        const Quantized quantized = run_quantize(spec, w.view());
        const std::vector<float> scales = scales_as_floats(spec, quantized);
        const int64_t groups = spec.groups(cols);
        for (const DataType type : kTypes) {
            Matrix out(type, rows, cols, ld);
            const Matrix before = out;
            dequantize_with(*GetParam().kernels, spec, quantized.codes.data(),
                            quantized.scales.data(), out.mutable_view(), serial);
            for (int64_t r = 0; r < rows; ++r) {
                const std::vector<uint8_t> codes = unpack_row(spec, quantized, r, cols);
                for (int64_t c = 0; c < cols; ++c) {
                    const int64_t g = spec.scale_mode == ScaleMode::kRow ? 0 : c / spec.group_size;
                    const double exact =
                        static_cast<double>(format.values[codes[static_cast<size_t>(c)]]) *
                        static_cast<double>(scales[static_cast<size_t>(r * groups + g)]);
                    const double got = static_cast<double>(out.at(r, c));
                    ASSERT_LE(std::fabs(got - exact), half_unit(type, exact)) << r << ", " << c;
                    ASSERT_EQ(std::signbit(got), std::signbit(exact));
                }
                for (int64_t c = cols; c < ld; ++c)
                    ASSERT_TRUE(std::isnan(out.at(r, c)));
            }
        }
    }
}

// Also where products leave the normal numbers, which is not where all of a group do.
TEST_P(DequantizeTest, TakesEveryMxScale) {
    constexpr int64_t kCount = 72, kGroup = 32;  // the last group is short
    for (const FormatInfo& format : all_formats()) {
        uint8_t codes[kCount];
        for (int i = 0; i < kCount; ++i)
            codes[i] = static_cast<uint8_t>((i * 5 + 3) % (1 << format.bits));
        for (int exponent = -127; exponent <= 127; ++exponent) {
            const float own = std::ldexp(1.0f, exponent), next = std::ldexp(1.0f, -exponent);
            const float scales[] = {own, next, own};
            uint16_t half[kCount], bf16[kCount];
            const QuantKernels& kernels = *GetParam().kernels;
            kernels.f16.decode(format, codes, kCount, kGroup, scales, true, half);
            kernels.bf16.decode(format, codes, kCount, kGroup, scales, true, bf16);
            for (int i = 0; i < kCount; ++i) {
                const float product = format.values[codes[i]] * scales[i / kGroup];
                ASSERT_EQ(half[i], float_to_half(product))
                    << format.name << ", code " << int{codes[i]} << ", 2^" << exponent;
                ASSERT_EQ(bf16[i], float_to_bf16(product))
                    << format.name << ", code " << int{codes[i]} << ", 2^" << exponent;
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Variants, DequantizeTest, testing::ValuesIn(test::runnable_variants()),
                         [](const auto& variant) { return std::string(variant.param.name); });

// Row and group scales survive a round trip through fp32 up to the last bit of amax, codes
// entirely.
TEST(Dequantize, QuantizingAgainGivesTheSameCodes) {
    SerialExecutor serial;
    const Matrix w = Matrix(DataType::kF32, 9, 300).fill_gaussian(32);
    for (const FormatInfo& format : all_formats()) {
        for (const QuantSpec& spec : {row_spec(format.type), group_spec(24, format.type)}) {
            const Quantized once = run_quantize(spec, w.view());
            Matrix back(DataType::kF32, 9, 300);
            dequantize(spec, once.codes.data(), once.scales.data(), back.mutable_view(), serial);
            EXPECT_EQ(run_quantize(spec, back.view()).codes, once.codes);
        }
    }
}

TEST(Dequantize, DoesNotDependOnThreads) {
    SerialExecutor serial;
    PoolExecutor three(3);
    const Matrix w = Matrix(DataType::kF16, 200, 1000).fill_gaussian(33);
    for (const QuantSpec& spec : {row_spec(), group_spec(64), mx_spec()}) {
        const Quantized quantized = run_quantize(spec, w.view());
        Matrix one(DataType::kBF16, 200, 1000), many(DataType::kBF16, 200, 1000);
        dequantize(spec, quantized.codes.data(), quantized.scales.data(), one.mutable_view(),
                   serial);
        dequantize(spec, quantized.codes.data(), quantized.scales.data(), many.mutable_view(),
                   three);
        EXPECT_EQ(one.storage(), many.storage());
    }
}

TEST(Dequantize, EmptyMatricesAreNoOps) {
    SerialExecutor serial;
    for (const QuantSpec& spec : {row_spec(), group_spec(64), mx_spec()}) {
        dequantize(spec, nullptr, nullptr, {nullptr, DataType::kF16, 0, 16, 16}, serial);
        dequantize(spec, nullptr, nullptr, {nullptr, DataType::kF16, 16, 0, 0}, serial);
    }
}

}  // namespace
}  // namespace fp6llm
