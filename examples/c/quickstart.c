/* The 60-second example: quantize a weight matrix to 6 bits, multiply by it, compare with fp32.
 * cc quickstart.c $(pkg-config --cflags --libs fp6llm) */
#include <fp6llm/fp6llm.h>
#include <stdio.h>
#include <stdlib.h>

enum { kOutputs = 256, kInputs = 512, kTokens = 4 };
static float w[kOutputs][kInputs], x[kTokens][kInputs], y[kTokens][kOutputs];

static void check(fp6llmStatus_t status) {
    char detail[256] = "";
    if (status == FP6LLM_STATUS_SUCCESS) return;
    fp6llmGetLastErrorString(detail, sizeof detail, NULL);
    fprintf(stderr, "%s: %s\n", fp6llmGetStatusName(status), detail);
    exit(1);
}

/* Uniform in [-1, 1), the same on every machine. */
static void fill(float* values, size_t count, uint32_t seed) {
    size_t i;
    for (i = 0; i < count; ++i) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

int main(void) {
    fp6llmHandle_t handle;
    fp6llmWeight_t weight;
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    double error = 0, signal = 0, checksum = 0;
    int t, o, i;
    fill(&w[0][0], kOutputs * kInputs, 1);
    fill(&x[0][0], kTokens * kInputs, 2);

    config.format = FP6LLM_R_6F_AUTO; /* E3M2 or E2M3, whichever errs less */
    check(fp6llmCreate(&handle));
    check(
        fp6llmWeightCreate(handle, &config, kOutputs, kInputs, w, FP6LLM_R_32F, kInputs, &weight));
    check(fp6llmLinear(handle, kTokens, x, FP6LLM_R_32F, kInputs, weight, NULL, y, FP6LLM_R_32F,
                       kOutputs));

    for (t = 0; t < kTokens; ++t) {
        for (o = 0; o < kOutputs; ++o) {
            double exact = 0;
            for (i = 0; i < kInputs; ++i)
                exact += (double)w[o][i] * x[t][i];
            error += (y[t][o] - exact) * (y[t][o] - exact);
            signal += exact * exact;
            checksum += y[t][o];
        }
    }
    printf("checksum %.6f, relative error squared %.2e\n", checksum, error / signal);
    check(fp6llmWeightDestroy(weight));
    check(fp6llmDestroy(handle));
    return error / signal < 1e-3 ? 0 : 1; /* 6 bits: about 30 dB */
}
