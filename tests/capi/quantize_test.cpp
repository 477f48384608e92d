// Promises about quantization that a caller can see: blocks of rows, saturation, AUTO, statistics.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/capi/support.hpp"

namespace fp6llm::capi_test {
namespace {

struct Quantized {
    std::vector<uint8_t> codes, scales;
    fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
};

Quantized quantize(const fp6llmQuantConfig_t& config, int64_t rows, int64_t cols, const float* w) {
    static const Handle handle = make_handle(2);
    Quantized q;
    size_t codes = 0, scales = 0;
    EXPECT_EQ(fp6llmQuantGetSizes(&config, rows, cols, &codes, &scales), 0);
    q.codes.resize(codes);
    q.scales.resize(scales);
    EXPECT_EQ(fp6llmQuantize(handle.get(), &config, rows, cols, w, FP6LLM_R_32F, cols,
                             q.codes.data(), q.scales.data(), &q.stats),
              0)
        << last_error();
    return q;
}

std::vector<float> dequantize(fp6llmQuantConfig_t config, const Quantized& q, int64_t rows,
                              int64_t cols) {
    static const Handle handle = make_handle(2);
    config.format = q.stats.format;
    std::vector<float> w(static_cast<size_t>(rows * cols), NAN);
    EXPECT_EQ(fp6llmDequantize(handle.get(), &config, rows, cols, q.codes.data(), q.scales.data(),
                               w.data(), FP6LLM_R_32F, cols),
              0)
        << last_error();
    return w;
}

fp6llmQuantConfig_t with_scale_type(fp6llmQuantConfig_t config, int32_t type) {
    config.scaleType = type;
    return config;
}
fp6llmQuantConfig_t with_search(fp6llmQuantConfig_t config, int32_t n) {
    config.scaleSearch = n;
    return config;
}

TEST(Quantize, InBlocksOfRowsEqualsAtOnce) {
    constexpr int64_t kRows = 131, kCols = 203;
    const std::vector<float> w = gaussian(kRows * kCols, 1);
    for (const fp6llmQuantConfig_t& config :
         {quant_config(), quant_config(FP6LLM_R_5F_E2M2),
          with_scale_type(quant_config(FP6LLM_R_6F_E2M3, FP6LLM_SCALE_GROUP, 24), FP6LLM_R_16F),
          quant_config(FP6LLM_R_4F_E2M1, FP6LLM_SCALE_MX),
          with_search(quant_config(FP6LLM_R_6F_E3M2, FP6LLM_SCALE_GROUP, 64), 8)}) {
        const Quantized whole = quantize(config, kRows, kCols, w.data());
        Quantized blocks;
        double error = 0.0;
        for (int64_t row = 0, count; row < kRows; row += count) {
            count = std::min<int64_t>(1 + row % 17, kRows - row);
            const Quantized block = quantize(config, count, kCols, w.data() + row * kCols);
            blocks.codes.insert(blocks.codes.end(), block.codes.begin(), block.codes.end());
            blocks.scales.insert(blocks.scales.end(), block.scales.begin(), block.scales.end());
            blocks.stats.maxAbsError = std::max(blocks.stats.maxAbsError, block.stats.maxAbsError);
            blocks.stats.saturated += block.stats.saturated;
            error += block.stats.mse * static_cast<double>(count) / kRows;
        }
        EXPECT_EQ(blocks.codes, whole.codes);
        EXPECT_EQ(blocks.scales, whole.scales);
        EXPECT_EQ(blocks.stats.maxAbsError, whole.stats.maxAbsError);
        EXPECT_EQ(blocks.stats.saturated, whole.stats.saturated);
        EXPECT_NEAR(error, whole.stats.mse, 1e-12 * whole.stats.mse);  // sums in another order
    }
}

TEST(Quantize, StatisticsAreThoseOfWhatDequantizeGives) {
    constexpr int64_t kRows = 40, kCols = 100;
    const std::vector<float> w = gaussian(kRows * kCols, 2);
    for (const fp6llmQuantConfig_t& config :
         {quant_config(), quant_config(FP6LLM_R_6F_E2M3, FP6LLM_SCALE_MX),
          quant_config(FP6LLM_R_5F_E3M1, FP6LLM_SCALE_GROUP, 32)}) {
        const Quantized q = quantize(config, kRows, kCols, w.data());
        const std::vector<float> back = dequantize(config, q, kRows, kCols);
        double error = 0.0, signal = 0.0, worst = 0.0;
        for (size_t i = 0; i < w.size(); ++i) {
            const double e = static_cast<double>(w[i]) - static_cast<double>(back[i]);
            error += e * e;
            signal += static_cast<double>(w[i]) * static_cast<double>(w[i]);
            worst = std::max(worst, std::fabs(e));
        }
        const auto count = static_cast<double>(w.size());
        EXPECT_NEAR(q.stats.mse, error / count, 1e-6 * q.stats.mse);
        EXPECT_NEAR(q.stats.signal, signal / count, 1e-6 * q.stats.signal);
        EXPECT_NEAR(q.stats.maxAbsError, worst, 1e-6 * worst);
        EXPECT_EQ(q.stats.nonFinite, 0);
        EXPECT_GT(10 * std::log10(q.stats.signal / q.stats.mse), 15.0) << "dB";
    }
}

TEST(Quantize, AutoTakesTheFormatThatErrsLess) {
    constexpr int64_t kRows = 64, kCols = 256;
    const std::vector<float> even = gaussian(kRows * kCols, 3);
    std::vector<float> outliers = even;
    for (size_t i = 0; i < outliers.size(); i += 64)
        outliers[i] *= 40.0f;
    struct Case {
        const std::vector<float>& w;
        int32_t expected;
    };
    for (const Case& c : {Case{even, FP6LLM_R_6F_E2M3}, Case{outliers, FP6LLM_R_6F_E3M2}}) {
        const Quantized chosen = quantize(quant_config(FP6LLM_R_6F_AUTO), kRows, kCols, c.w.data());
        const Quantized e3m2 = quantize(quant_config(FP6LLM_R_6F_E3M2), kRows, kCols, c.w.data());
        const Quantized e2m3 = quantize(quant_config(FP6LLM_R_6F_E2M3), kRows, kCols, c.w.data());
        EXPECT_EQ(chosen.stats.format, c.expected);
        EXPECT_EQ(chosen.stats.mse, std::min(e3m2.stats.mse, e2m3.stats.mse));
        const Quantized& same = c.expected == FP6LLM_R_6F_E3M2 ? e3m2 : e2m3;
        EXPECT_EQ(chosen.codes, same.codes);
        EXPECT_EQ(chosen.scales, same.scales);
    }
}

/// A weight of AUTO knows the choice, and a weight of its exported codes is the same.
TEST(Quantize, AutoIsNamedByTheWeight) {
    const std::vector<float> w = gaussian(64 * 64, 4);
    const Handle handle = make_handle();
    const Weight weight = make_weight(handle.get(), quant_config(FP6LLM_R_6F_AUTO), 64, 64, w);
    fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
    ASSERT_EQ(fp6llmWeightGetInfo(weight.get(), &info), 0);
    EXPECT_EQ(info.format, FP6LLM_R_6F_E2M3);
    const Quantized plain = quantize(quant_config(FP6LLM_R_6F_AUTO), 64, 64, w.data());
    std::vector<uint8_t> codes(info.codeBytes), scales(info.scaleBytes);
    ASSERT_EQ(fp6llmWeightExportCodes(handle.get(), weight.get(), codes.data(), scales.data()), 0);
    EXPECT_EQ(codes, plain.codes);
    EXPECT_EQ(scales, plain.scales);
}

TEST(Quantize, SaturatesWhatLiesAboveTheLargestValue) {
    // OCP's floor rule takes the scale 2^(floor(log2 amax) - emax), which clips large mantissas.
    fp6llmQuantConfig_t config = quant_config(FP6LLM_R_6F_E3M2, FP6LLM_SCALE_MX);
    std::vector<float> w(32, 1.0f);
    w[3] = 31.0f;  // 2^4 * 1.94: scale 1, above 28
    w[7] = -30.0f;
    w[9] = 28.5f;  // above, though it would round to 28 anyway
    w[11] = 28.0f;
    Quantized q = quantize(config, 1, 32, w.data());
    EXPECT_EQ(q.scales[0], 127);
    EXPECT_EQ(q.stats.saturated, 3);
    EXPECT_EQ(q.stats.maxAbsError, 3.0);
    std::vector<float> back = dequantize(config, q, 1, 32);
    EXPECT_EQ(back[3], 28.0f);
    EXPECT_EQ(back[7], -28.0f);
    EXPECT_EQ(back[11], 28.0f);

    config.mxScaleRule = FP6LLM_MX_SCALE_RCEIL;
    q = quantize(config, 1, 32, w.data());
    EXPECT_EQ(q.scales[0], 128);
    EXPECT_EQ(q.stats.saturated, 0);
}

TEST(Quantize, RoundingOfTiesIsTheCallersChoice) {
    // With scale 1: 2.25 lies between 2 (even code) and 2.5, 2.75 between 2.5 and 3 (even).
    const std::vector<float> w = {28.0f, 2.25f, 2.75f, -2.25f};
    fp6llmQuantConfig_t config = quant_config();
    EXPECT_EQ(dequantize(config, quantize(config, 1, 4, w.data()), 1, 4),
              (std::vector<float>{28.0f, 2.0f, 3.0f, -2.0f}));
    config.rounding = FP6LLM_ROUND_NEAREST_AWAY;
    EXPECT_EQ(dequantize(config, quantize(config, 1, 4, w.data()), 1, 4),
              (std::vector<float>{28.0f, 2.5f, 3.0f, -2.5f}));
}

TEST(Quantize, ScaleSearchNeverErrsMore) {
    constexpr int64_t kRows = 32, kCols = 256;
    const std::vector<float> w = gaussian(kRows * kCols, 5);
    for (const fp6llmQuantConfig_t& config :
         {quant_config(FP6LLM_R_6F_E2M3), quant_config(FP6LLM_R_4F_E2M1, FP6LLM_SCALE_GROUP, 32)}) {
        const double plain = quantize(config, kRows, kCols, w.data()).stats.mse;
        const double few = quantize(with_search(config, 4), kRows, kCols, w.data()).stats.mse;
        const double many = quantize(with_search(config, 64), kRows, kCols, w.data()).stats.mse;
        EXPECT_LE(few, plain);
        EXPECT_LT(many, plain);
    }
}

}  // namespace
}  // namespace fp6llm::capi_test
