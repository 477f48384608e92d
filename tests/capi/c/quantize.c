/* Sizes, quantize and dequantize, on values that the formats hold exactly. */
#include <math.h>
#include <string.h>

#include "problem.h"

static int sizes_are(const fp6llmQuantConfig_t* config, int64_t rows, int64_t cols, size_t codes,
                     size_t scales) {
    size_t got_codes = 0, got_scales = 0, only = 0;
    CHECK_OK(fp6llmQuantGetSizes(config, rows, cols, &got_codes, &got_scales));
    CHECK_OK(fp6llmQuantGetSizes(config, rows, cols, &only, NULL));
    CHECK(only == got_codes);
    CHECK_OK(fp6llmQuantGetSizes(config, rows, cols, NULL, &only));
    CHECK(only == got_scales);
    return got_codes == codes && got_scales == scales;
}

static void test_sizes(void) {
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    CHECK(sizes_are(&config, 3, 5, 3 * 4, 3 * 4)); /* 30 bits are 4 bytes */
    CHECK(sizes_are(&config, 3, 0, 0, 0));         /* a call with a size of zero writes nothing */
    CHECK(sizes_are(&config, 0, 5, 0, 0));
    CHECK(sizes_are(&config, 151936, 896, (size_t)151936 * 672, (size_t)151936 * 4));
    config.format = FP6LLM_R_6F_AUTO;
    CHECK(sizes_are(&config, 3, 5, 3 * 4, 3 * 4));
    config.format = FP6LLM_R_5F_E2M2;
    config.scaleType = FP6LLM_R_16F;
    CHECK(sizes_are(&config, 3, 5, 3 * 4, 3 * 2)); /* 25 bits */
    config.format = FP6LLM_R_4F_E2M1;
    config.scaleMode = FP6LLM_SCALE_GROUP;
    config.groupSize = 16;
    CHECK(sizes_are(&config, 3, 33, 3 * 17, 3 * 3 * 2)); /* the last group is short */
    config.format = FP6LLM_R_6F_E2M3;
    config.scaleMode = FP6LLM_SCALE_MX;
    config.groupSize = 0;
    config.scaleType = FP6LLM_SCALE_TYPE_DEFAULT;
    CHECK(sizes_are(&config, 3, 33, 3 * 25, 3 * 2));
}

static void test_exact_values(fp6llmHandle_t handle) {
    /* E3M2 with a row scale of 1: 28, -28, 0.0625 (smallest), -0 ; then codes of four values each.
     */
    static const float w[2][4] = {{28.0f, -28.0f, 0.0625f, -0.0f}, {56.0f, 2.0f, 0.5f, -0.125f}};
    static const uint8_t values[2][4] = {{0x1F, 0x3F, 0x01, 0x20}, {0x1F, 0x0C, 0x04, 0x21}};
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
    uint8_t codes[2][3];
    float scales[2], back[2][4];
    int r, c;
    CHECK_OK(fp6llmQuantize(handle, &config, 2, 4, w, FP6LLM_R_32F, 4, codes, scales, &stats));
    CHECK(scales[0] == 1.0f && scales[1] == 2.0f);
    for (r = 0; r < 2; ++r) {
        const uint8_t* v = values[r];
        CHECK(codes[r][0] == (uint8_t)(v[0] | v[1] << 6));
        CHECK(codes[r][1] == (uint8_t)(v[1] >> 2 | v[2] << 4));
        CHECK(codes[r][2] == (uint8_t)(v[2] >> 4 | v[3] << 2));
    }
    CHECK(stats.structSize == sizeof(stats) && stats.format == FP6LLM_R_6F_E3M2);
    CHECK(stats.mse == 0.0 && stats.maxAbsError == 0.0);
    CHECK(stats.saturated == 0 && stats.nonFinite == 0);
    CHECK(fabs(stats.signal - (2 * 784 + 0.00390625 + 3136 + 4 + 0.25 + 0.015625) / 8) < 1e-9);

    CHECK_OK(fp6llmDequantize(handle, &config, 2, 4, codes, scales, back, FP6LLM_R_32F, 4));
    for (r = 0; r < 2; ++r) {
        for (c = 0; c < 4; ++c)
            CHECK(back[r][c] == w[r][c] && !signbit(back[r][c]) == !signbit(w[r][c]));
    }
}

static void test_leading_dimension(fp6llmHandle_t handle, const problem_t* problem) {
    enum { LD = IC + 3 };
    static float wide[OC][LD], back[OC][LD];
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    static uint8_t codes[OC * ((IC * 6 + 7) / 8)], wide_codes[sizeof(codes)];
    static float scales[OC], wide_scales[OC];
    int o, i;
    for (o = 0; o < OC; ++o) {
        for (i = 0; i < LD; ++i) {
            wide[o][i] = i < IC ? problem->w[o][i] : 1e30f; /* would ruin the scale */
            back[o][i] = -1e30f;
        }
    }
    CHECK_OK(
        fp6llmQuantize(handle, &config, OC, IC, problem->w, FP6LLM_R_32F, IC, codes, scales, NULL));
    CHECK_OK(fp6llmQuantize(handle, &config, OC, IC, wide, FP6LLM_R_32F, LD, wide_codes,
                            wide_scales, NULL));
    CHECK(memcmp(codes, wide_codes, sizeof(codes)) == 0);
    CHECK(memcmp(scales, wide_scales, sizeof(scales)) == 0);

    CHECK_OK(fp6llmDequantize(handle, &config, OC, IC, codes, scales, back, FP6LLM_R_32F, LD));
    for (o = 0; o < OC; ++o) {
        CHECK(scales[o] == 1.0f);
        CHECK(memcmp(back[o], problem->w[o], sizeof(problem->w[o])) == 0);
        for (i = IC; i < LD; ++i)
            CHECK(back[o][i] == -1e30f);
    }
}

static void test_non_finite(fp6llmHandle_t handle) {
    float w[1][4] = {{7.0f, 0.0f, 1.0f, 0.0f}}, back[4];
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
    uint8_t codes[3] = {0xA5, 0xA5, 0xA5};
    float scale = -1.0f;
    char text[256];
    w[0][1] = -HUGE_VALF;
    w[0][3] = nanf("");
    CHECK_STATUS(fp6llmQuantize(handle, &config, 1, 4, w, FP6LLM_R_32F, 4, codes, &scale, &stats),
                 FP6LLM_STATUS_INVALID_VALUE);
    CHECK(codes[0] == 0xA5 && codes[1] == 0xA5 && codes[2] == 0xA5 && scale == -1.0f);
    CHECK_OK(fp6llmGetErrorString(handle, text, sizeof(text), NULL));
    CHECK(strstr(text, "W[0, 1]") != NULL);

    config.nonFinite = FP6LLM_NONFINITE_SATURATE;
    CHECK_OK(fp6llmQuantize(handle, &config, 1, 4, w, FP6LLM_R_32F, 4, codes, &scale, &stats));
    CHECK(scale == 0.25f);
    CHECK(stats.nonFinite == 2);
    CHECK_OK(fp6llmDequantize(handle, &config, 1, 4, codes, &scale, back, FP6LLM_R_32F, 4));
    CHECK(back[0] == 7.0f && back[1] == -7.0f && back[2] == 1.0f && back[3] == 7.0f);
}

static void test_zero_row(fp6llmHandle_t handle) {
    static const float w[4] = {0.0f, 0.0f, -0.0f, 0.0f};
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    uint8_t codes[3];
    float scale = -1.0f;
    CHECK_OK(fp6llmQuantize(handle, &config, 1, 4, w, FP6LLM_R_32F, 4, codes, &scale, NULL));
    CHECK(scale == 1.0f);
    CHECK(codes[0] == 0 && codes[1] == (uint8_t)(0x20 << 4) && codes[2] == (0x20 >> 4));
}

void test_quantize(void) {
    static problem_t problem;
    fp6llmHandle_t handle = make_handle();
    make_problem(&problem, 1);
    test_sizes();
    test_exact_values(handle);
    test_leading_dimension(handle, &problem);
    test_non_finite(handle);
    test_zero_row(handle);
    CHECK_OK(fp6llmDestroy(handle));
}
