/*
 * multiply.h - what every consumer does: quantize a small matrix, multiply, check the numbers.
 *
 * All weights are E3M2 values times their row's scale and all activations small integers, so each
 * result is exact and compared with ==. FP6LLM(name) is how the consumer calls fp6llm<name>.
 */
#include <stdio.h>

#include "fp6llm/fp6llm.h"

#define CHECK(call)                                                   \
    do {                                                              \
        fp6llmStatus_t status = (call);                               \
        if (status != FP6LLM_STATUS_SUCCESS) {                        \
            printf("%s: %s\n", #call, FP6LLM(GetStatusName)(status)); \
            return 1;                                                 \
        }                                                             \
    } while (0)

enum { kRows = 3, kCols = 5, kTokens = 2 };

static int multiply(void) {
    /* The largest magnitude of a row is 28 or 14, so the scales are 1, 0.5 and 1. */
    const float W[kRows][kCols] = {
        {28, -1, 0.25f, 0, 3}, {14, 0.5f, -7, 1, -2}, {-28, 0.0625f, 20, -0.5f, 6}};
    const float X[kTokens][kCols] = {{1, 2, 4, -3, 1}, {-2, 16, 8, 5, 0}};
    const float alpha = 2, beta = 1;
    float Y[kTokens][kRows] = {{100, 200, 300}, {400, 500, 600}};
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    fp6llmQuantConfig_t quant = FP6LLM_QUANT_CONFIG_INIT;
    fp6llmHandle_t handle;
    fp6llmWeight_t weight;
    int version = 0, t, r, c, wrong = 0;

    CHECK(FP6LLM(GetVersion)(&version));
    if (version != FP6LLM_VERSION) {
        printf("version %d, header %d\n", version, FP6LLM_VERSION);
        return 1;
    }
    config.backend = FP6LLM_BACKEND_CPU;
    CHECK(FP6LLM(CreateWithConfig)(&handle, &config));
    CHECK(FP6LLM(WeightCreate)(handle, &quant, kRows, kCols, W, FP6LLM_R_32F, kCols, &weight));
    CHECK(FP6LLM(GemmEx)(handle, FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols, &alpha, weight, X,
                         FP6LLM_R_32F, kCols, &beta, Y, FP6LLM_R_32F, kRows, FP6LLM_COMPUTE_32F,
                         FP6LLM_ALGO_DEFAULT));
    CHECK(FP6LLM(WeightDestroy)(weight));
    CHECK(FP6LLM(Destroy)(handle));

    for (t = 0; t < kTokens; ++t) {
        for (r = 0; r < kRows; ++r) {
            float expected = (float)(100 * (t * kRows + r + 1));
            for (c = 0; c < kCols; ++c)
                expected += alpha * W[r][c] * X[t][c];
            if (Y[t][r] != expected) {
                printf("Y[%d][%d] = %g, expected %g\n", t, r, (double)Y[t][r], (double)expected);
                wrong = 1;
            }
        }
    }
    if (!wrong) printf("fp6llm %d: result right\n", version);
    return wrong;
}
