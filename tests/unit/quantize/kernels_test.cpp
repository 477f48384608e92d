// Every kernel set against the scalar definitions, and thereby bitwise against each other.
#include "core/quantize/kernels.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numeric>

#include "tests/unit/formats/nearest.hpp"
#include "tests/unit/quantize/support.hpp"

namespace fp6llm {
namespace {

using test::boundary_floats;
using test::Matrix;
using test::Variant;

constexpr Rounding kRoundings[] = {Rounding::kNearestEven, Rounding::kNearestAway};
constexpr DataType kTypes[] = {DataType::kF32, DataType::kF16, DataType::kBF16};

class QuantKernelsTest : public testing::TestWithParam<Variant> {
  protected:
    const QuantKernels& kernels() const { return *GetParam().kernels; }
};

Matrix all_words(DataType type) {
    return Matrix(type, 1, 65536).fill([&](int64_t, int64_t c) {
        const uint16_t word = static_cast<uint16_t>(c);
        return type == DataType::kF16 ? half_to_float(word) : bf16_to_float(word);
    });
}

/// Boundaries of all formats and random bit patterns, in fp32.
Matrix many_floats() {
    std::vector<float> values;
    for (const FormatInfo& format : all_formats()) {
        const std::vector<float> more = boundary_floats(format);
        values.insert(values.end(), more.begin(), more.end());
    }
    std::mt19937 random(7);
    std::uniform_real_distribution<float> in_range(-30.0f, 30.0f);
    for (int i = 0; i < 100000; ++i) {
        values.push_back(in_range(random));
        values.push_back(float_from_bits(static_cast<uint32_t>(random())));
    }
    return Matrix(DataType::kF32, 1, static_cast<int64_t>(values.size()))
        .fill([&](int64_t, int64_t c) { return values[static_cast<size_t>(c)]; });
}

TEST_P(QuantKernelsTest, EncodesAsTheScalarDefinition) {
    for (const Matrix& w : {all_words(DataType::kF16), all_words(DataType::kBF16), many_floats()}) {
        const MatrixView view = w.view();
        const QuantKernelsOfType& loops = kernels().of(view.type);
        std::vector<uint8_t> codes(static_cast<size_t>(w.cols()));
        for (const FormatInfo& format : all_formats()) {
            for (const Rounding rounding : kRoundings) {
                // Powers of two up to both ends: their inverse is a number where it is normal.
                for (const float scale :
                     {1.0f, 0.0371f, 0x1p-20f, 731.0f, 0x1p-127f, 0x1p-126f, 0x1p126f, 0x1p127f}) {
                    loops.encode[static_cast<int>(rounding)](format, view.data, w.cols(), w.cols(),
                                                             &scale, codes.data());
                    for (int64_t c = 0; c < w.cols(); ++c) {
                        const float x = w.at(0, c);
                        ASSERT_EQ(codes[static_cast<size_t>(c)],
                                  encode(format, x / scale, rounding))
                            << format.name << " " << x << " / " << scale;
                    }
                }
            }
        }
    }
}

// The quotient is the division's, rounded once: elements and scales whose quotient is a tie or next
// to one, and at least one per format and scale where a product with the reciprocal is another.
TEST_P(QuantKernelsTest, DividesByTheScale) {
    std::mt19937 random(17);
    std::uniform_real_distribution<float> mantissa(1.0f, 2.0f);
    int64_t told_apart = 0;
    for (const FormatInfo& format : all_formats()) {
        for (int round = 0; round < 64; ++round) {
            const float scale = mantissa(random) * 0x1p-9f, reciprocal = 1.0f / scale;
            std::vector<float> elements;
            for (int code = 0; code + 1 < 1 << (format.bits - 1); ++code) {
                const float tie = (format.values[code] + format.values[code + 1]) / 2;
                const float at = tie * scale;
                for (const float x : {std::nextafter(at, 0.0f), at, std::nextafter(at, 1.0f)}) {
                    elements.push_back(x);
                    told_apart += encode(format, x / scale, Rounding::kNearestEven) !=
                                  encode(format, x * reciprocal, Rounding::kNearestEven);
                }
            }
            const auto count = static_cast<int64_t>(elements.size());
            std::vector<uint8_t> codes(elements.size());
            for (const Rounding rounding : kRoundings) {
                kernels().f32.encode[static_cast<int>(rounding)](format, elements.data(), count,
                                                                 count, &scale, codes.data());
                for (size_t i = 0; i < codes.size(); ++i) {
                    ASSERT_EQ(codes[i], encode(format, elements[i] / scale, rounding))
                        << format.name << " " << elements[i] << " / " << scale;
                }
            }
        }
    }
    EXPECT_GT(told_apart, 100);
}

// Groups of every legal kind of size, short ones, and lengths that no vector divides.
TEST_P(QuantKernelsTest, GroupsHaveTheirOwnScale) {
    const FormatInfo& format = *find_format(DataType::kE2M3);
    for (const DataType type : kTypes) {
        const Matrix w = Matrix(type, 1, 300).fill_gaussian(3, 1.0f);
        const MatrixView view = w.view();
        const QuantKernelsOfType& loops = kernels().of(type);
        for (const int64_t group : {16, 24, 32, 40, 72, 128, 300, 4096}) {
            for (const int64_t count : {1, 7, 8, 15, 16, 17, 31, 33, 100, 299, 300}) {
                const size_t groups = static_cast<size_t>((count + group - 1) / group);
                std::vector<float> scales(groups), amax(groups);
                for (size_t g = 0; g < groups; ++g)
                    scales[g] = 0.1f + 0.03f * static_cast<float>(g);
                std::vector<uint8_t> codes(static_cast<size_t>(count) + 1, 0xAA), measured = codes;
                RowStats stats;
                loops.encode[0](format, view.data, count, group, scales.data(), codes.data());
                loops.encode_measured[0](format, view.data, count, group, scales.data(),
                                         measured.data(), &stats);
                EXPECT_TRUE(loops.amax(view.data, count, group, amax.data()));
                EXPECT_EQ(codes, measured);
                EXPECT_EQ(codes.back(), 0xAA);
                std::vector<float> expected_amax(groups);
                for (int64_t c = 0; c < count; ++c) {
                    const size_t g = static_cast<size_t>(c / group);
                    ASSERT_EQ(codes[static_cast<size_t>(c)],
                              encode(format, w.at(0, c) / scales[g], Rounding::kNearestEven));
                    expected_amax[g] = std::max(expected_amax[g], std::fabs(w.at(0, c)));
                }
                EXPECT_EQ(amax, expected_amax);
            }
        }
    }
}

TEST_P(QuantKernelsTest, FindsEveryNonFiniteElement) {
    for (const DataType type : kTypes) {
        Matrix w = Matrix(type, 1, 200).fill([](int64_t, int64_t c) { return 1.0f + c; });
        const MatrixView view = w.view();
        const QuantKernelsOfType& loops = kernels().of(type);
        EXPECT_TRUE(loops.all_finite(view.data, 200));
        for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
            for (int64_t c = 0; c < 200; ++c) {
                w.set(0, c, bad);
                ASSERT_FALSE(loops.all_finite(view.data, 200)) << c;
                ASSERT_TRUE(loops.all_finite(view.data, c)) << c;
                float amax = 0;
                ASSERT_FALSE(loops.amax(view.data, 200, 200, &amax)) << c;
                ASSERT_EQ(amax, c == 199 ? w.at(0, 198) : w.at(0, 199)) << "left out of amax";
                float of_groups[13];
                ASSERT_FALSE(loops.amax(view.data, 200, 16, of_groups)) << c;
                ASSERT_TRUE(loops.amax(view.data, c, 16, of_groups)) << c;
                w.set(0, c, 1.0f + static_cast<float>(c));
            }
        }
    }
}

TEST_P(QuantKernelsTest, MeasuresOverFiniteElements) {
    const FormatInfo& format = *find_format(DataType::kE3M2);
    for (const DataType type : kTypes) {
        for (const Rounding rounding : kRoundings) {
            Matrix w = Matrix(type, 1, 1000).fill_gaussian(11, 1.0f);
            w.set(0, 3, NAN), w.set(0, 500, -INFINITY), w.set(0, 999, INFINITY);
            const float scales[2] = {0.05f, 0.07f};  // small enough that some elements saturate
            std::vector<uint8_t> codes(1000);
            std::array<double, 2> errors{};
            RowStats stats;
            const QuantKernelsOfType& loops = kernels().of(type);
            const int r = static_cast<int>(rounding);
            loops.encode_measured[r](format, w.view().data, 1000, 512, scales, codes.data(),
                                     &stats);
            loops.measure[r](format, w.view().data, 1000, 512, scales, errors.data());

            double error = 0, signal = 0, worst = 0;
            int64_t saturated = 0;
            for (int64_t c = 0; c < 1000; ++c) {
                const float x = w.at(0, c), scale = scales[c / 512];
                saturated += std::fabs(x) / scale > format.max;
                if (!std::isfinite(x)) continue;
                const double value = format.values[encode(format, x / scale, rounding)];
                const double difference = x - value * static_cast<double>(scale);
                error += difference * difference;
                signal += static_cast<double>(x) * x;
                worst = std::max(worst, std::fabs(difference));
            }
            EXPECT_NEAR(stats.squared_error, error, 1e-5 * error);
            EXPECT_NEAR(stats.squared_signal, signal, 1e-6 * signal);
            EXPECT_NEAR(stats.max_abs_error, worst, 1e-5 * worst);
            EXPECT_NEAR(errors[0] + errors[1], error, 1e-5 * error);
            EXPECT_EQ(stats.saturated, saturated);
            EXPECT_GT(saturated, 10);
            EXPECT_EQ(stats.non_finite, 3);
        }
    }
}

// Sums are part of the promise too: the same bits from every kernel set.
TEST_P(QuantKernelsTest, SumsAreThoseOfThePortableKernels) {
    const FormatInfo& format = *find_format(DataType::kE2M3);
    for (const DataType type : kTypes) {
        const Matrix w = Matrix(type, 1, 1237).fill_gaussian(5);
        const QuantKernelsOfType& expected_loops = portable_quant_kernels()->of(type);
        for (const int64_t group : {40, 128, 1237}) {
            const std::vector<float> scales(32, 0.0091f);
            std::vector<uint8_t> codes(1237);
            std::vector<double> errors(32), expected_errors(32);
            RowStats stats, expected;
            kernels().of(type).encode_measured[0](format, w.view().data, 1237, group, scales.data(),
                                                  codes.data(), &stats);
            expected_loops.encode_measured[0](format, w.view().data, 1237, group, scales.data(),
                                              codes.data(), &expected);
            kernels().of(type).measure[0](format, w.view().data, 1237, group, scales.data(),
                                          errors.data());
            expected_loops.measure[0](format, w.view().data, 1237, group, scales.data(),
                                      expected_errors.data());
            EXPECT_EQ(stats.squared_error, expected.squared_error);
            EXPECT_EQ(stats.squared_signal, expected.squared_signal);
            EXPECT_EQ(stats.max_abs_error, expected.max_abs_error);
            EXPECT_EQ(errors, expected_errors);
        }
    }
}

// An estimate is within its bound of the sums that it stands for, whichever way ties go, and has the
// same bits from every kernel set.
TEST_P(QuantKernelsTest, EstimatesWhatItWouldMeasure) {
    for (const DataType type : kTypes) {
        const QuantKernelsOfType& loops = kernels().of(type);
        for (const float size : {0.02f, 1e-6f, 300.0f}) {
            Matrix w = Matrix(type, 1, kEstimateCount).fill_gaussian(7, size);
            for (const FormatInfo& format : all_formats()) {
                for (const auto& [count, group] : {std::pair<int64_t, int64_t>{1237, 40},
                                                   {1237, 1237},
                                                   {kEstimateCount, 32},
                                                   {kEstimateCount, kEstimateCount}}) {
                    // Multiples of 0.75 of a power of two, and powers of two.
                    std::vector<float> scales(kEstimateCount / 32, 0.75f * size / format.max);
                    for (size_t i = 0; i < scales.size(); i += 3)
                        scales[i] = std::exp2(std::floor(std::log2(4 * size / format.max)));
                    std::vector<double> errors(scales.size());
                    const double found =
                        loops.estimate(format, w.view().data, count, group, scales.data());
                    for (const auto measure : loops.measure) {
                        std::fill(errors.begin(), errors.end(), 0.0);
                        measure(format, w.view().data, count, group, scales.data(), errors.data());
                        const double expected = std::accumulate(errors.begin(), errors.end(), 0.0);
                        EXPECT_GT(expected, 0);
                        EXPECT_NEAR(found, expected, kEstimateError * expected + kEstimateTiny);
                    }
                    EXPECT_EQ(found, portable_quant_kernels()->of(type).estimate(
                                         format, w.view().data, count, group, scales.data()));
                }
            }
            const float scale = size;
            for (const float bad : {NAN, INFINITY}) {
                w.set(0, 1000, bad);
                EXPECT_FALSE(std::isfinite(loops.estimate(*find_format(DataType::kE3M2),
                                                          w.view().data, 1001, 1001, &scale)));
            }
        }
    }
}

/// value * scale, rounded once, by way of the exact product in fp64.
uint16_t rounded_word(DataType type, double exact) {
    // Truncate to fp32 and keep a sticky bit: what lies below decides ties only.
    float down = static_cast<float>(exact);
    if (std::fabs(static_cast<double>(down)) > std::fabs(exact)) down = std::nextafter(down, 0.0f);
    if (static_cast<double>(down) != exact) down = float_from_bits(float_bits(down) | 1u);
    return type == DataType::kF16 ? float_to_half(down) : float_to_bf16(down);
}

TEST_P(QuantKernelsTest, DecodesWithOneRounding) {
    std::mt19937 random(13);
    std::vector<float> scales = {1.0f,   0.0371f,  FLT_MIN,     FLT_TRUE_MIN, 1e-39f,
                                 3e-42f, 0x1p-24f, 65504.0f,    1e37f,        FLT_MAX,
                                 2e-8f,  6e-5f,    0x1.00001p0f};
    // Scales next to those that put a product on a tie of the narrower types: rounding twice fails.
    for (const float divisor : {3.0f, 5.0f, 7.0f, 1.125f, 1.375f}) {
        for (int i = 0; i < 60; ++i) {
            const float tie_half =
                1.0f + (2.0f * static_cast<float>(random() % 1024) + 1) * 0x1p-11f;
            const float tie_bf16 = 1.0f + (2.0f * static_cast<float>(random() % 128) + 1) * 0x1p-8f;
            scales.push_back(std::nextafter(tie_half / divisor, 2.0f));
            scales.push_back(tie_half / divisor);
            scales.push_back(tie_bf16 / divisor);
        }
    }
    // Near the smallest bfloat16: 1.25 * m / 2^149 lies 2^-151 beside a tie, which fp32 cannot
    // tell.
    for (const int side : {-1, 1}) {
        for (int odd = 1; odd < 200; odd += 2) {
            if ((odd * (1 << 17) + side) % 5 == 0) {
                scales.push_back(
                    float_from_bits(static_cast<uint32_t>((odd * (1 << 17) + side) / 5)));
            }
        }
    }
    for (const FormatInfo& format : all_formats()) {
        const int64_t count = 1 << format.bits;
        std::vector<uint8_t> codes(static_cast<size_t>(count));
        for (size_t i = 0; i < codes.size(); ++i)
            codes[i] = static_cast<uint8_t>(i);
        for (const float scale : scales) {
            std::vector<float> out(codes.size());
            kernels().f32.decode(format, codes.data(), count, count, &scale, false, out.data());
            for (size_t i = 0; i < codes.size(); ++i) {
                ASSERT_EQ(float_bits(out[i]), float_bits(format.values[i] * scale))
                    << format.name << " " << i << " * " << scale;
            }
            for (const DataType type : {DataType::kF16, DataType::kBF16}) {
                std::vector<uint16_t> words(codes.size());
                kernels().of(type).decode(format, codes.data(), count, count, &scale, false,
                                          words.data());
                for (size_t i = 0; i < codes.size(); ++i) {
                    const double exact =
                        static_cast<double>(format.values[i]) * static_cast<double>(scale);
                    ASSERT_EQ(words[i], rounded_word(type, exact))
                        << format.name << " " << i << " * " << scale << " to type "
                        << static_cast<int>(type);
                }
            }
        }
    }
}

TEST_P(QuantKernelsTest, DecodesNaNScalesToNaN) {
    const FormatInfo& format = *find_format(DataType::kE3M2);
    const uint8_t codes[3] = {0, 5, 0x2F};
    const float scale = NAN;
    for (const DataType type : kTypes) {
        for (const bool exact : {false, true}) {
            Matrix w(type, 1, 3);
            w.fill([](int64_t, int64_t) { return 0.0f; });
            kernels().of(type).decode(format, codes, 3, 3, &scale, exact, w.mutable_view().data);
            for (int64_t c = 0; c < 3; ++c)
                EXPECT_TRUE(std::isnan(w.at(0, c)));
        }
    }
}

// Vector conversions of halfs, which the portable kernels do by hand: every half comes through a
// decode to half of a code times itself, and every half is read as the scalar conversion reads it.
TEST_P(QuantKernelsTest, ReadsAndWritesEveryFiniteHalf) {
    const FormatInfo& format = *find_format(DataType::kE2M1);
    const uint8_t one = 2;  // the code of 1.0
    for (int bits = 0; bits < 0x7C00; ++bits) {
        const uint16_t half = static_cast<uint16_t>(bits);
        const float value = half_to_float(half);
        uint16_t out = 0;
        kernels().f16.decode(format, &one, 1, 1, &value, true, &out);
        ASSERT_EQ(out, half);
        float amax = -1;
        kernels().f16.amax(&half, 1, 1, &amax);
        ASSERT_EQ(amax, value);
    }
}

INSTANTIATE_TEST_SUITE_P(Variants, QuantKernelsTest, testing::ValuesIn(test::runnable_variants()),
                         [](const auto& variant) { return std::string(variant.param.name); });

TEST(QuantKernels, ActiveSetIsTheBestThatMayRun) {
    EXPECT_LE(active_quant_kernels().isa, active_isa());
    if (avx2_quant_kernels() != nullptr && active_isa() >= Isa::kAvx2) {
        EXPECT_GE(active_quant_kernels().isa, Isa::kAvx2);
    }
}

}  // namespace
}  // namespace fp6llm
