/* Quantizes a weight to 6 bits, makes a weight object of it, and multiplies: Y = X W^T.
 * cc quickstart.c $(pkg-config --cflags --libs fp6llm) && ./a.out
 * examples/README.md defines the problem; every language prints the same line. */
#include <fp6llm/fp6llm.h>
#include <stdio.h>
#include <stdlib.h>

enum { kOutputs = 96, kInputs = 160, kTokens = 5 };
static float w[kOutputs * kInputs], x[kTokens * kInputs], y[kTokens * kOutputs];

static void check(fp6llmStatus_t status) {
    char detail[256] = "";
    if (status == FP6LLM_STATUS_SUCCESS) return;
    fp6llmGetLastErrorString(detail, sizeof detail, NULL); /* "ldw = 512 < cols = 576" */
    fprintf(stderr, "%s: %s\n", fp6llmGetStatusName(status), detail);
    exit(1);
}

/* Uniform in [-1, 1), the same on every machine: xorshift32. */
static void fill(float* values, size_t count, uint32_t* state) {
    for (; count > 0; --count) {
        *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
        *values++ = (float)(*state >> 8) / 8388608.0f - 1.0f;
    }
}

/* FNV-1a of some more bytes. */
static uint32_t fnv1a(uint32_t hash, const unsigned char* bytes, size_t count) {
    for (; count > 0; --count)
        hash = (hash ^ *bytes++) * 16777619u;
    return hash;
}

int main(void) {
    fp6llmHandleConfig_t where = FP6LLM_HANDLE_CONFIG_INIT;
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT; /* E3M2, one fp32 scale per row */
    fp6llmHandle_t handle;
    fp6llmWeight_t weight;
    uint32_t state = 2463534242u, hash;
    size_t code_bytes, scale_bytes, i;
    unsigned char *codes, *scales;
    double sum = 0;

    fill(w, kOutputs * kInputs, &state);
    fill(x, kTokens * kInputs, &state);
    where.backend = FP6LLM_BACKEND_CPU;
    check(fp6llmCreateWithConfig(&handle, &where));

    /* Plain codes and scales: what is stored. */
    check(fp6llmQuantGetSizes(&config, kOutputs, kInputs, &code_bytes, &scale_bytes));
    if (!(codes = malloc(code_bytes)) || !(scales = malloc(scale_bytes))) return 1;
    check(fp6llmQuantize(handle, &config, kOutputs, kInputs, w, FP6LLM_R_32F, kInputs, codes,
                         scales, NULL));

    /* Prepacked for this processor: what multiplies. fp6llmWeightCreate() does both at once. */
    check(fp6llmWeightCreateFromCodes(handle, &config, kOutputs, kInputs, codes, scales, &weight));
    check(fp6llmLinear(handle, kTokens, x, FP6LLM_R_32F, kInputs, weight, NULL, y, FP6LLM_R_32F,
                       kOutputs));

    hash = fnv1a(fnv1a(2166136261u, codes, code_bytes), scales, scale_bytes);
    for (i = 0; i < kTokens * kOutputs; ++i)
        sum += y[i] < 0 ? -y[i] : y[i];
    printf("checksum %08x, y[0] = %.4f, mean |y| = %.4f\n", (unsigned)hash, y[0],
           sum / (kTokens * kOutputs));

    free(codes);
    free(scales);
    check(fp6llmWeightDestroy(weight));
    check(fp6llmDestroy(handle));
    return 0;
}
