// The scale search: never worse than the rule's scale, and really the best of its candidates.
#include <gtest/gtest.h>

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

double group_error(const FormatInfo& format, const Matrix& w, int64_t row, int64_t first,
                   int64_t last, float scale) {
    double error = 0;
    for (int64_t c = first; c < last; ++c) {
        const float x = w.at(row, c);
        const double value = format.values[encode(format, x / scale, Rounding::kNearestEven)];
        error += std::pow(x - value * static_cast<double>(scale), 2);
    }
    return error;
}

TEST(ScaleSearch, TakesTheCandidateOfLeastError) {
    const Matrix w = Matrix(DataType::kF16, 6, 300).fill_gaussian(21);
    for (QuantSpec spec : {row_spec(), row_spec(DataType::kE2M3), group_spec(64, DataType::kE2M2),
                           mx_spec(), mx_spec(DataType::kE2M3)}) {
        const FormatInfo& format = *find_format(spec.format);
        for (const int search : {1, 5, 64}) {
            spec.scale_search = search;
            const Quantized quantized = run_quantize(spec, w.view());
            const std::vector<float> scales = scales_as_floats(spec, quantized);
            const int64_t groups = spec.groups(300);
            const int64_t group = spec.scale_mode == ScaleMode::kRow ? 300 : spec.group_size;
            for (int64_t r = 0; r < 6; ++r) {
                for (int64_t g = 0; g < groups; ++g) {
                    const int64_t first = g * group, last = std::min<int64_t>(300, first + group);
                    float amax = 0;
                    for (int64_t c = first; c < last; ++c) {
                        amax = std::max(amax, std::fabs(w.at(r, c)));
                    }
                    double least = INFINITY;
                    for (int k = 0; k < scale_candidates(spec); ++k) {
                        const float scale = group_scale(spec, format, amax, k);
                        least = std::min(least, group_error(format, w, r, first, last, scale));
                    }
                    const float chosen = scales[static_cast<size_t>(r * groups + g)];
                    EXPECT_NEAR(group_error(format, w, r, first, last, chosen), least,
                                1e-5 * least);
                }
            }
        }
    }
}

TEST(ScaleSearch, IsNeverWorseAndUsuallyBetter) {
    for (const DataType type : {DataType::kF32, DataType::kF16, DataType::kBF16}) {
        const Matrix w = Matrix(type, 20, 500).fill_gaussian(22);
        for (QuantSpec spec :
             {row_spec(), row_spec(DataType::kE2M3), group_spec(128), group_spec(24), mx_spec(),
              mx_spec(DataType::kE2M3, MxScaleRule::kRceil), mx_spec(DataType::kE2M1)}) {
            const double plain = run_quantize(spec, w.view()).stats.mse;
            for (const int search : {1, 2, 8, 64}) {
                spec.scale_search = search;
                EXPECT_LE(run_quantize(spec, w.view()).stats.mse, plain);
            }
            EXPECT_LT(run_quantize(spec, w.view()).stats.mse, plain);
        }
    }
}

TEST(ScaleSearch, CandidatesStayInRange) {
    for (QuantSpec spec : {row_spec(), group_spec(16), mx_spec()}) {
        spec.scale_search = 64;
        const FormatInfo& format = *find_format(spec.format);
        for (const float amax : {0.0f, 1e-45f, 1e-38f, 3.4e38f}) {
            for (int k = 0; k < scale_candidates(spec); ++k) {
                const float scale = group_scale(spec, format, amax, k);
                EXPECT_GT(scale, 0.0f);
                EXPECT_TRUE(std::isfinite(scale));
            }
        }
    }
}

TEST(ScaleSearch, WorksWithAutoAndHalfScales) {
    const Matrix w = Matrix(DataType::kF16, 20, 500).fill_gaussian(23);
    for (QuantSpec spec : {row_spec(DataType::kAuto6), group_spec(64, DataType::kAuto6)}) {
        spec.scale_type = DataType::kF16;
        spec.scale_search = 8;
        const Quantized automatic = run_quantize(spec, w.view());
        for (const DataType format : {DataType::kE3M2, DataType::kE2M3}) {
            spec.format = format;
            const Quantized fixed = run_quantize(spec, w.view());
            EXPECT_LE(automatic.stats.mse, fixed.stats.mse);
            for (const float scale : scales_as_floats(spec, fixed)) {
                EXPECT_EQ(scale, half_to_float(float_to_half(scale)));
            }
        }
    }
}

}  // namespace
}  // namespace fp6llm
