/* Versions, status texts, text functions, devices, struct initializers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static void test_versions(void) {
    char text[32];
    int version = 0;
    CHECK_OK(fp6llmGetVersion(&version));
    CHECK(version == FP6LLM_VERSION);
    CHECK(fp6llmGetHeaderVersion() == FP6LLM_VERSION);
    sprintf(text, "%d.%d.%d", FP6LLM_VERSION_MAJOR, FP6LLM_VERSION_MINOR, FP6LLM_VERSION_PATCH);
    CHECK_TEXT(fp6llmGetVersionString(), text);
    CHECK(fp6llmGetBlobAlignment() == FP6LLM_BLOB_ALIGNMENT);
    CHECK(fp6llmGetAlgoDefault() == FP6LLM_ALGO_DEFAULT);
    CHECK(fp6llmGetScaleTypeDefault() == FP6LLM_SCALE_TYPE_DEFAULT);
}

static void test_status_texts(void) {
#define STATUS(name) \
    { FP6LLM_STATUS_##name, "FP6LLM_STATUS_" #name }
    static const struct {
        fp6llmStatus_t status;
        const char* name;
    } all[] = {STATUS(SUCCESS),          STATUS(NOT_INITIALIZED), STATUS(ALLOC_FAILED),
               STATUS(INVALID_VALUE),    STATUS(ARCH_MISMATCH),   STATUS(MAPPING_ERROR),
               STATUS(EXECUTION_FAILED), STATUS(INTERNAL_ERROR),  STATUS(NOT_SUPPORTED)};
#undef STATUS
    size_t i;
    for (i = 0; i < sizeof(all) / sizeof(all[0]); ++i) {
        CHECK_TEXT(fp6llmGetStatusName(all[i].status), all[i].name);
        CHECK(strlen(fp6llmGetStatusString(all[i].status)) > 10);
    }
    CHECK(fp6llmGetStatusName((fp6llmStatus_t)99) != NULL);
    CHECK(fp6llmGetStatusString((fp6llmStatus_t)99) != NULL);
    CHECK(fp6llmGetStatusName((fp6llmStatus_t)-1) != NULL);
}

static void test_build_info(void) {
    char small[8], exact[4096];
    char* whole;
    size_t needed = 0, again = 0;
    CHECK_OK(fp6llmGetBuildInfo(NULL, 0, &needed));
    CHECK(needed > 20);
    whole = malloc(needed);
    CHECK_OK(fp6llmGetBuildInfo(whole, needed, &again));
    CHECK(again == needed);
    CHECK(strlen(whole) + 1 == needed);
    CHECK(whole[0] == '{' && whole[needed - 2] == '}');
    CHECK(strstr(whole, fp6llmGetVersionString()) != NULL);
    CHECK(strstr(whole, "portable") != NULL);

    /* Text that does not fit is cut, and says how much it would take. */
    memset(small, '#', sizeof(small));
    CHECK_OK(fp6llmGetBuildInfo(small, sizeof(small), &needed));
    CHECK(needed == again);
    CHECK(memcmp(small, whole, sizeof(small) - 1) == 0 && small[sizeof(small) - 1] == '\0');
    memset(small, '#', sizeof(small));
    CHECK_OK(fp6llmGetBuildInfo(small, 1, NULL));
    CHECK(small[0] == '\0' && small[1] == '#');
    CHECK_OK(fp6llmGetBuildInfo(small, 0, NULL));
    CHECK(small[1] == '#');

    if (CHECK(needed < sizeof(exact))) {
        memset(exact, '#', sizeof(exact));
        CHECK_OK(fp6llmGetBuildInfo(exact, needed, NULL));
        CHECK(exact[needed - 1] == '\0' && exact[needed] == '#');
    }
    free(whole);
}

static void test_devices(void) {
    fp6llmDeviceInfo_t info = FP6LLM_DEVICE_INFO_INIT;
    const char* asked = getenv("FP6LLM_CPU_ISA"); /* what the kernels may use, at most */
    int cpus = -1, gpus = -1, all = -1, i;
    CHECK_OK(fp6llmGetDeviceCount(FP6LLM_BACKEND_CPU, &cpus));
    CHECK_OK(fp6llmGetDeviceCount(FP6LLM_BACKEND_CUDA, &gpus));
    CHECK_OK(fp6llmGetDeviceCount(FP6LLM_BACKEND_AUTO, &all));
    CHECK(cpus == 1);
    CHECK(gpus >= 0);
    CHECK(all == cpus + gpus);

    CHECK_OK(fp6llmGetDeviceInfo(FP6LLM_BACKEND_CPU, 0, &info));
    CHECK(info.structSize == sizeof(info));
    CHECK(info.backend == FP6LLM_BACKEND_CPU && info.ordinal == 0);
    CHECK(info.name[0] != '\0' && memchr(info.name, 0, sizeof(info.name)) != NULL);
    CHECK(strcmp(info.isa, "portable") == 0 || strcmp(info.isa, "avx2") == 0 ||
          strcmp(info.isa, "avx512") == 0 || strcmp(info.isa, "avx512vnni") == 0 ||
          strcmp(info.isa, "avx512bf16") == 0);
    if (asked != NULL && strcmp(asked, "portable") == 0) CHECK(strcmp(info.isa, "portable") == 0);
    if (asked != NULL && strcmp(asked, "avx2") == 0) CHECK(strncmp(info.isa, "avx512", 6) != 0);
    CHECK(info.computeCapabilityMajor == 0 && info.computeCapabilityMinor == 0);
    CHECK(info.multiprocessorCount >= 1);
    CHECK(info.driverVersion == 0 && info.sharedMemoryPerBlock == 0);
    CHECK(info.totalMemory > ((uint64_t)1 << 26));
    for (i = 0; i < gpus; ++i)
        CHECK_OK(fp6llmGetDeviceInfo(FP6LLM_BACKEND_CUDA, i, &info));
}

/* The function must leave what the macro makes in the `frozen` bytes that ABI 0 had, whatever was there
 * before, and touch nothing of what came later. */
#define CHECK_INIT_OF(Type, function, frozen, ...)                                           \
    do {                                                                                     \
        Type expected = __VA_ARGS__, got, pattern;                                           \
        expected.structSize = (frozen);                                                      \
        memset(&pattern, 0xA5, sizeof(pattern));                                             \
        got = pattern;                                                                       \
        CHECK_OK(function(&got));                                                            \
        CHECK(memcmp(&got, &expected, (frozen)) == 0);                                       \
        CHECK(memcmp((char*)&got + (frozen), (char*)&pattern, sizeof(got) - (frozen)) == 0); \
    } while (0)
#define CHECK_INIT(Type, function, ...) CHECK_INIT_OF(Type, function, sizeof(Type), __VA_ARGS__)

static void test_initializers(void) {
    const fp6llmQuantConfig_t quant = FP6LLM_QUANT_CONFIG_INIT;
    const fp6llmHandleConfig_t handle = FP6LLM_HANDLE_CONFIG_INIT;
    CHECK_INIT(fp6llmHandleConfig_t, fp6llmHandleConfigInit, FP6LLM_HANDLE_CONFIG_INIT);
    CHECK_INIT(fp6llmDeviceInfo_t, fp6llmDeviceInfoInit, FP6LLM_DEVICE_INFO_INIT);
    CHECK_INIT_OF(fp6llmQuantConfig_t, fp6llmQuantConfigInit, 40, FP6LLM_QUANT_CONFIG_INIT);
    CHECK_INIT(fp6llmQuantStats_t, fp6llmQuantStatsInit, FP6LLM_QUANT_STATS_INIT);
    CHECK_INIT(fp6llmWeightInfo_t, fp6llmWeightInfoInit, FP6LLM_WEIGHT_INFO_INIT);
    CHECK_INIT(fp6llmEpilogue_t, fp6llmEpilogueInit, FP6LLM_EPILOGUE_INIT);
    CHECK_INIT(fp6llmHeuristicResult_t, fp6llmHeuristicResultInit, FP6LLM_HEURISTIC_RESULT_INIT);

    /* The documented defaults. */
    CHECK(handle.backend == FP6LLM_BACKEND_AUTO && handle.device == 0 && handle.numThreads == 0);
    CHECK(quant.format == FP6LLM_R_6F_E3M2 && quant.scaleMode == FP6LLM_SCALE_ROW);
    CHECK(quant.scaleType == FP6LLM_SCALE_TYPE_DEFAULT);
    CHECK(quant.rounding == FP6LLM_ROUND_NEAREST_EVEN && quant.nonFinite == FP6LLM_NONFINITE_ERROR);
}

void test_library(void) {
    test_versions();
    test_status_texts();
    test_build_info();
    test_devices();
    test_initializers();
}
