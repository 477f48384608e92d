// What integer activations cost in accuracy, measured on the scalar definition, whose bits every
// kernel reproduces (kernel_grid.hpp). Relative RMS of Y, the worst over formats and scale modes:
//
//                       Gaussian      0.5 % of channels x20      x100
//   int16 per 128       2.5e-5        9e-5                       1.03e-4
//   int8 per 128        7e-3          2.1e-2                     2.6e-2
//
// bf16 activations: 1.7e-3 in each. Six-bit weights themselves: 3e-2 (E2M3), 5e-2 (E3M2).
#include "tests/unit/gemm/integer_reference.hpp"

namespace fp6llm::gemm_testing {
namespace {

double draw_gaussian(Random& random) {
    return std::sqrt(-2 * std::log(1 - random.uniform(0, 1))) *
           std::cos(2 * M_PI * random.uniform(0, 1));
}

/// Relative RMS of Y against the fp64 product: Gaussian activations, 0.5 % of the channels times
/// `outlier`.
double relative_rms(DataType format, ScaleMode mode, Arithmetic arithmetic, float outlier) {
    constexpr int64_t kRows = 24, kColumns = 2048, kTokens = 12;
    TestWeight weight(make_spec(format, mode), kRows, kColumns, 6);
    TestTokens x(DataType::kF32, kTokens, kColumns, false, 0);
    Random random(7);
    for (int64_t k = 0; k < kColumns; ++k) {
        const float channel = k % 200 == 100 ? outlier : 1.0f;
        for (int64_t t = 0; t < kTokens; ++t)
            x.set(t, k, channel * static_cast<float>(draw_gaussian(random)));
    }
    double error = 0, total = 0;
    for (int64_t t = 0; t < kTokens; ++t) {
        const IntegerToken token = integer_token(x, t, kColumns, arithmetic);
        for (int64_t row = 0; row < kRows; ++row) {
            const double exact = naive_sum(weight, false, x, t, row, kColumns).sum;
            const double got = integer_sum(weight, row, token, arithmetic, {kColumns, 0, 1});
            error += (got - exact) * (got - exact);
            total += exact * exact;
        }
    }
    return std::sqrt(error / total);
}

void expect_between(double low, double value, double high, const char* what) {
    EXPECT_GE(value, low) << what;
    EXPECT_LE(value, high) << what;
    ::testing::Test::RecordProperty(what, std::to_string(value));
}

TEST(IntegerArithmetic, Int16IsNearExact) {
    for (ScaleMode mode : {ScaleMode::kRow, ScaleMode::kMx}) {
        for (DataType format : {DataType::kE3M2, DataType::kE2M3}) {
            expect_between(1e-5, relative_rms(format, mode, Arithmetic::kI16, 1), 5e-5, "Gaussian");
            expect_between(1e-5, relative_rms(format, mode, Arithmetic::kI16, 20), 1.2e-4, "x20");
            expect_between(1e-5, relative_rms(format, mode, Arithmetic::kI16, 100), 1.3e-4, "x100");
        }
    }
}

TEST(IntegerArithmetic, Int8LosesLessThanSixBitWeightsDo) {
    for (ScaleMode mode : {ScaleMode::kRow, ScaleMode::kMx}) {
        expect_between(1e-3, relative_rms(DataType::kE2M3, mode, Arithmetic::kI8, 1), 1e-2,
                       "Gaussian");
        expect_between(1e-3, relative_rms(DataType::kE2M3, mode, Arithmetic::kI8, 20), 2.5e-2,
                       "x20");
        expect_between(1e-3, relative_rms(DataType::kE2M3, mode, Arithmetic::kI8, 100), 2.9e-2,
                       "x100");
    }
}

// By hand: one block, the largest becomes `most`, halves go to even.
TEST(IntegerArithmetic, QuantizesAsDefined) {
    TestTokens x(DataType::kF32, 1, 4, false, 0);
    const float values[] = {127, -63.5f, 0.5f, 1.5f};
    for (int64_t i = 0; i < 4; ++i)
        x.set(0, i, values[i]);
    const IntegerToken token = integer_token(x, 0, 4, Arithmetic::kI8);
    EXPECT_EQ(token.q, (std::vector<int32_t>{127, -64, 0, 2}));
    EXPECT_EQ(token.scale, std::vector<float>{1});
}

}  // namespace
}  // namespace fp6llm::gemm_testing
