#include "tests/gpu/cases.hpp"

#include <gtest/gtest.h>

namespace fp6llm::gpu_test {

std::vector<Case> quant_cases() {
    std::vector<Case> cases;
    const auto add = [&cases](std::string name, int32_t format, int32_t mode, int32_t group,
                              int32_t scale_type = FP6LLM_SCALE_TYPE_DEFAULT) {
        fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
        config.format = format;
        config.scaleMode = mode;
        config.groupSize = group;
        config.scaleType = scale_type;
        config.nonFinite = FP6LLM_NONFINITE_SATURATE;
        cases.push_back({std::move(name), config});
        return &cases.back().config;
    };
    add("E3M2Row", FP6LLM_R_6F_E3M2, FP6LLM_SCALE_ROW, 0);
    add("E3M2RowAway", FP6LLM_R_6F_E3M2, FP6LLM_SCALE_ROW, 0)->rounding = FP6LLM_ROUND_NEAREST_AWAY;
    add("E2M3RowHalf", FP6LLM_R_6F_E2M3, FP6LLM_SCALE_ROW, 0, FP6LLM_R_16F);
    add("E2M2Row", FP6LLM_R_5F_E2M2, FP6LLM_SCALE_ROW, 0);
    add("E3M1RowAway", FP6LLM_R_5F_E3M1, FP6LLM_SCALE_ROW, 0)->rounding = FP6LLM_ROUND_NEAREST_AWAY;
    add("E2M1RowHalf", FP6LLM_R_4F_E2M1, FP6LLM_SCALE_ROW, 0, FP6LLM_R_16F);
    add("E3M2Group128", FP6LLM_R_6F_E3M2, FP6LLM_SCALE_GROUP, 128);
    add("E2M3Group32Half", FP6LLM_R_6F_E2M3, FP6LLM_SCALE_GROUP, 32, FP6LLM_R_16F);
    add("E2M2Group16", FP6LLM_R_5F_E2M2, FP6LLM_SCALE_GROUP, 16);
    add("E3M2Group24", FP6LLM_R_6F_E3M2, FP6LLM_SCALE_GROUP, 24);
    add("E2M3Group72", FP6LLM_R_6F_E2M3, FP6LLM_SCALE_GROUP, 72);
    add("E2M1Group4088", FP6LLM_R_4F_E2M1, FP6LLM_SCALE_GROUP, 4088);
    add("E3M2MxFloor", FP6LLM_R_6F_E3M2, FP6LLM_SCALE_MX, 0)->mxScaleRule = FP6LLM_MX_SCALE_FLOOR;
    add("E2M3MxEven", FP6LLM_R_6F_E2M3, FP6LLM_SCALE_MX, 0)->mxScaleRule = FP6LLM_MX_SCALE_EVEN;
    add("E3M1MxRceil", FP6LLM_R_5F_E3M1, FP6LLM_SCALE_MX, 0)->mxScaleRule = FP6LLM_MX_SCALE_RCEIL;
    add("E2M1MxEven", FP6LLM_R_4F_E2M1, FP6LLM_SCALE_MX, 0)->mxScaleRule = FP6LLM_MX_SCALE_EVEN;
    add("AutoRow", FP6LLM_R_6F_AUTO, FP6LLM_SCALE_ROW, 0);
    add("AutoGroup64", FP6LLM_R_6F_AUTO, FP6LLM_SCALE_GROUP, 64);
    add("E3M2RowSearch", FP6LLM_R_6F_E3M2, FP6LLM_SCALE_ROW, 0)->scaleSearch = 5;
    add("E2M3Group32Search", FP6LLM_R_6F_E2M3, FP6LLM_SCALE_GROUP, 32, FP6LLM_R_16F)->scaleSearch =
        3;
    add("AutoMxSearchAway", FP6LLM_R_6F_AUTO, FP6LLM_SCALE_MX, 0)->scaleSearch = 2;
    cases.back().config.rounding = FP6LLM_ROUND_NEAREST_AWAY;
    return cases;
}

Quantized quantize_on_cpu(fp6llmHandle_t cpu, const fp6llmQuantConfig_t& config, const Matrix& w) {
    Quantized q{};
    size_t codes = 0, scales = 0;
    EXPECT_EQ(fp6llmQuantGetSizes(&config, w.rows, w.cols, &codes, &scales), 0) << last_error();
    q.codes.resize(codes);
    q.scales.resize(scales);
    q.stats = FP6LLM_QUANT_STATS_INIT;
    q.status = fp6llmQuantize(cpu, &config, w.rows, w.cols, w.bytes.data(), w.type, w.ld,
                              q.codes.data(), q.scales.data(), &q.stats);
    return q;
}

fp6llmQuantConfig_t settled(fp6llmQuantConfig_t config, const Quantized& quantized) {
    config.format = quantized.stats.format;
    return config;
}

}  // namespace fp6llm::gpu_test
