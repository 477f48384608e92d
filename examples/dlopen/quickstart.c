/* The quickstart with the library opened at run time: the program needs no more than its header, and starts without it.
 * cc quickstart.c $(pkg-config --cflags fp6llm) -ldl && ./a.out libfp6llm.so.0
 * examples/README.md defines the problem; every language prints the same line. */
#include <dlfcn.h>
#include <fp6llm/fp6llm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The functions in use, as pointers of the types that the header declares. */
#define FUNCTION(name) __typeof__(fp6llm##name)* name
static struct {
    FUNCTION(GetLastErrorString);
    FUNCTION(CreateWithConfig);
    FUNCTION(Destroy);
    FUNCTION(QuantGetSizes);
    FUNCTION(Quantize);
    FUNCTION(WeightCreateFromCodes);
    FUNCTION(WeightDestroy);
    FUNCTION(Linear);
} lib;

enum { kOutputs = 96, kInputs = 160, kTokens = 5 };
static float w[kOutputs * kInputs], x[kTokens * kInputs], y[kTokens * kOutputs];

static void die(const char* what) {
    const char* why = dlerror();
    fprintf(stderr, "%s: %s\n", what, why ? why : "unknown error");
    exit(1);
}

/* Copies the pointer, since ISO C has no cast from an object's address to a function's. */
static void load_function(void* library, const char* name, void* pointer) {
    void* symbol = dlsym(library, name);
    if (symbol == NULL) die(name);
    memcpy(pointer, &symbol, sizeof symbol);
}

static void load(const char* path) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) die(path);
#define LOAD(name) load_function(library, "fp6llm" #name, &lib.name)
    LOAD(GetLastErrorString);
    LOAD(CreateWithConfig);
    LOAD(Destroy);
    LOAD(QuantGetSizes);
    LOAD(Quantize);
    LOAD(WeightCreateFromCodes);
    LOAD(WeightDestroy);
    LOAD(Linear);
}

static void check(fp6llmStatus_t status) {
    char detail[256] = "";
    if (status == FP6LLM_STATUS_SUCCESS) return;
    lib.GetLastErrorString(detail, sizeof detail, NULL);
    fprintf(stderr, "status %d: %s\n", (int)status, detail);
    exit(1);
}

static void fill(float* values, size_t count, uint32_t* state) {
    for (; count > 0; --count) {
        *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
        *values++ = (float)(*state >> 8) / 8388608.0f - 1.0f;
    }
}

static uint32_t fnv1a(uint32_t hash, const unsigned char* bytes, size_t count) {
    for (; count > 0; --count)
        hash = (hash ^ *bytes++) * 16777619u;
    return hash;
}

int main(int argc, char** argv) {
    fp6llmHandleConfig_t where = FP6LLM_HANDLE_CONFIG_INIT;
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    fp6llmHandle_t handle;
    fp6llmWeight_t weight;
    uint32_t state = 2463534242u, hash;
    size_t code_bytes, scale_bytes, i;
    unsigned char *codes, *scales;
    double sum = 0;

    load(argc > 1 ? argv[1] : "libfp6llm.so.0"); /* the SONAME: a library with this ABI, no other */
    fill(w, kOutputs * kInputs, &state);
    fill(x, kTokens * kInputs, &state);
    where.backend = FP6LLM_BACKEND_CPU;
    check(lib.CreateWithConfig(&handle, &where));
    check(lib.QuantGetSizes(&config, kOutputs, kInputs, &code_bytes, &scale_bytes));
    if (!(codes = malloc(code_bytes)) || !(scales = malloc(scale_bytes))) return 1;
    check(lib.Quantize(handle, &config, kOutputs, kInputs, w, FP6LLM_R_32F, kInputs, codes, scales,
                       NULL));
    check(lib.WeightCreateFromCodes(handle, &config, kOutputs, kInputs, codes, scales, &weight));
    check(lib.Linear(handle, kTokens, x, FP6LLM_R_32F, kInputs, weight, NULL, y, FP6LLM_R_32F,
                     kOutputs));

    hash = fnv1a(fnv1a(2166136261u, codes, code_bytes), scales, scale_bytes);
    for (i = 0; i < kTokens * kOutputs; ++i)
        sum += y[i] < 0 ? -y[i] : y[i];
    printf("checksum %08x, y[0] = %.4f, mean |y| = %.4f\n", (unsigned)hash, y[0],
           sum / (kTokens * kOutputs));
    free(codes);
    free(scales);
    check(lib.WeightDestroy(weight));
    check(lib.Destroy(handle));
    return 0;
}
