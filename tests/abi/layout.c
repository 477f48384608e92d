/*
 * layout.c - freezes ABI 0 of fp6llm.h: the size of every struct, the offset and size of every
 * field, the value of every enumerator, for x86-64 and other LP64 targets. Compiling is the test.
 *
 * To append a field, add a line and raise the struct's SIZE. Never change another line: a program
 * built against an older header would read the wrong bytes. check.py sees that nothing is left out.
 */
#include <assert.h>

#include "fp6llm/fp6llm.h"

#define SIZE(type, size) static_assert(sizeof(type) == (size), #type " changed its size")
#define FIELD(type, field, offset, size)                                         \
    static_assert(offsetof(type, field) == (offset), #type "." #field " moved"); \
    static_assert(sizeof(((type*)0)->field) == (size), #type "." #field " changed its size")
#define VALUE(enumerator, value) static_assert((enumerator) == (value), #enumerator " changed")

SIZE(fp6llmHandleConfig_t, 24);
FIELD(fp6llmHandleConfig_t, structSize, 0, 8);
FIELD(fp6llmHandleConfig_t, backend, 8, 4);
FIELD(fp6llmHandleConfig_t, device, 12, 4);
FIELD(fp6llmHandleConfig_t, numThreads, 16, 4);
FIELD(fp6llmHandleConfig_t, reserved, 20, 4);

SIZE(fp6llmDeviceInfo_t, 248);
FIELD(fp6llmDeviceInfo_t, structSize, 0, 8);
FIELD(fp6llmDeviceInfo_t, backend, 8, 4);
FIELD(fp6llmDeviceInfo_t, ordinal, 12, 4);
FIELD(fp6llmDeviceInfo_t, name, 16, 128);
FIELD(fp6llmDeviceInfo_t, isa, 144, 64);
FIELD(fp6llmDeviceInfo_t, computeCapabilityMajor, 208, 4);
FIELD(fp6llmDeviceInfo_t, computeCapabilityMinor, 212, 4);
FIELD(fp6llmDeviceInfo_t, multiprocessorCount, 216, 4);
FIELD(fp6llmDeviceInfo_t, driverVersion, 220, 4);
FIELD(fp6llmDeviceInfo_t, totalMemory, 224, 8);
FIELD(fp6llmDeviceInfo_t, sharedMemoryPerBlock, 232, 8);
FIELD(fp6llmDeviceInfo_t, l2CacheBytes, 240, 8);

SIZE(fp6llmQuantConfig_t, 48);
FIELD(fp6llmQuantConfig_t, structSize, 0, 8);
FIELD(fp6llmQuantConfig_t, format, 8, 4);
FIELD(fp6llmQuantConfig_t, scaleMode, 12, 4);
FIELD(fp6llmQuantConfig_t, groupSize, 16, 4);
FIELD(fp6llmQuantConfig_t, scaleType, 20, 4);
FIELD(fp6llmQuantConfig_t, rounding, 24, 4);
FIELD(fp6llmQuantConfig_t, mxScaleRule, 28, 4);
FIELD(fp6llmQuantConfig_t, nonFinite, 32, 4);
FIELD(fp6llmQuantConfig_t, scaleSearch, 36, 4);
FIELD(fp6llmQuantConfig_t, computeHint, 40, 4);
FIELD(fp6llmQuantConfig_t, reserved, 44, 4);

SIZE(fp6llmQuantStats_t, 56);
FIELD(fp6llmQuantStats_t, structSize, 0, 8);
FIELD(fp6llmQuantStats_t, format, 8, 4);
FIELD(fp6llmQuantStats_t, reserved, 12, 4);
FIELD(fp6llmQuantStats_t, mse, 16, 8);
FIELD(fp6llmQuantStats_t, signal, 24, 8);
FIELD(fp6llmQuantStats_t, maxAbsError, 32, 8);
FIELD(fp6llmQuantStats_t, saturated, 40, 8);
FIELD(fp6llmQuantStats_t, nonFinite, 48, 8);

SIZE(fp6llmWeightInfo_t, 112);
FIELD(fp6llmWeightInfo_t, structSize, 0, 8);
FIELD(fp6llmWeightInfo_t, rows, 8, 8);
FIELD(fp6llmWeightInfo_t, cols, 16, 8);
FIELD(fp6llmWeightInfo_t, format, 24, 4);
FIELD(fp6llmWeightInfo_t, scaleMode, 28, 4);
FIELD(fp6llmWeightInfo_t, groupSize, 32, 4);
FIELD(fp6llmWeightInfo_t, scaleType, 36, 4);
FIELD(fp6llmWeightInfo_t, backend, 40, 4);
FIELD(fp6llmWeightInfo_t, device, 44, 4);
FIELD(fp6llmWeightInfo_t, isView, 48, 4);
FIELD(fp6llmWeightInfo_t, computeHint, 52, 4);
FIELD(fp6llmWeightInfo_t, bytes, 56, 8);
FIELD(fp6llmWeightInfo_t, codeBytes, 64, 8);
FIELD(fp6llmWeightInfo_t, scaleBytes, 72, 8);
FIELD(fp6llmWeightInfo_t, layout, 80, 32);

SIZE(fp6llmEpilogue_t, 48);
FIELD(fp6llmEpilogue_t, structSize, 0, 8);
FIELD(fp6llmEpilogue_t, bias, 8, 8);
FIELD(fp6llmEpilogue_t, biasType, 16, 4);
FIELD(fp6llmEpilogue_t, activation, 20, 4);
FIELD(fp6llmEpilogue_t, residual, 24, 8);
FIELD(fp6llmEpilogue_t, residualType, 32, 4);
FIELD(fp6llmEpilogue_t, computeType, 36, 4);
FIELD(fp6llmEpilogue_t, ldr, 40, 8);

SIZE(fp6llmHeuristicResult_t, 88);
FIELD(fp6llmHeuristicResult_t, structSize, 0, 8);
FIELD(fp6llmHeuristicResult_t, algo, 8, 4);
FIELD(fp6llmHeuristicResult_t, isReference, 12, 4);
FIELD(fp6llmHeuristicResult_t, workspaceSize, 16, 8);
FIELD(fp6llmHeuristicResult_t, name, 24, 64);

VALUE(FP6LLM_STATUS_SUCCESS, 0);
VALUE(FP6LLM_STATUS_NOT_INITIALIZED, 1);
VALUE(FP6LLM_STATUS_ALLOC_FAILED, 3);
VALUE(FP6LLM_STATUS_INVALID_VALUE, 7);
VALUE(FP6LLM_STATUS_ARCH_MISMATCH, 8);
VALUE(FP6LLM_STATUS_MAPPING_ERROR, 11);
VALUE(FP6LLM_STATUS_EXECUTION_FAILED, 13);
VALUE(FP6LLM_STATUS_INTERNAL_ERROR, 14);
VALUE(FP6LLM_STATUS_NOT_SUPPORTED, 15);
VALUE(FP6LLM_R_32F, 0);
VALUE(FP6LLM_R_16F, 2);
VALUE(FP6LLM_R_8I, 3);
VALUE(FP6LLM_R_16BF, 14);
VALUE(FP6LLM_R_8F_E4M3, 28);
VALUE(FP6LLM_R_8F_E5M2, 29);
VALUE(FP6LLM_R_8F_UE8M0, 30);
VALUE(FP6LLM_R_6F_E2M3, 31);
VALUE(FP6LLM_R_6F_E3M2, 32);
VALUE(FP6LLM_R_4F_E2M1, 33);
VALUE(FP6LLM_R_5F_E2M2, 0x1001);
VALUE(FP6LLM_R_5F_E3M1, 0x1002);
VALUE(FP6LLM_R_6F_AUTO, 0x1010);
VALUE(FP6LLM_OP_N, 0);
VALUE(FP6LLM_OP_T, 1);
VALUE(FP6LLM_POINTER_MODE_HOST, 0);
VALUE(FP6LLM_POINTER_MODE_DEVICE, 1);
VALUE(FP6LLM_COMPUTE_32F, 68);
VALUE(FP6LLM_COMPUTE_32F_FAST_16F, 74);
VALUE(FP6LLM_COMPUTE_32F_FAST_16BF, 75);
VALUE(FP6LLM_COMPUTE_32F_FAST_8F, 0x1001);
VALUE(FP6LLM_COMPUTE_32F_FAST_8I, 0x1002);
VALUE(FP6LLM_COMPUTE_32F_FAST_16I, 0x1003);
VALUE(FP6LLM_BACKEND_AUTO, 0);
VALUE(FP6LLM_BACKEND_CPU, 1);
VALUE(FP6LLM_BACKEND_CUDA, 2);
VALUE(FP6LLM_SCALE_ROW, 0);
VALUE(FP6LLM_SCALE_GROUP, 1);
VALUE(FP6LLM_SCALE_MX, 2);
VALUE(FP6LLM_ROUND_NEAREST_EVEN, 0);
VALUE(FP6LLM_ROUND_NEAREST_AWAY, 1);
VALUE(FP6LLM_MX_SCALE_FLOOR, 0);
VALUE(FP6LLM_MX_SCALE_EVEN, 1);
VALUE(FP6LLM_MX_SCALE_RCEIL, 2);
VALUE(FP6LLM_NONFINITE_ERROR, 0);
VALUE(FP6LLM_NONFINITE_SATURATE, 1);
VALUE(FP6LLM_LAYOUT_TC_FPX, 1);
VALUE(FP6LLM_LAYOUT_SPLIT_4_2, 2);
VALUE(FP6LLM_ACTIVATION_NONE, 0);
VALUE(FP6LLM_ACTIVATION_RELU, 1);
VALUE(FP6LLM_ACTIVATION_GELU, 2);
VALUE(FP6LLM_ACTIVATION_GELU_TANH, 3);
VALUE(FP6LLM_ACTIVATION_SILU, 4);
VALUE(FP6LLM_LOG_ERROR, 0);
VALUE(FP6LLM_LOG_WARNING, 1);
VALUE(FP6LLM_LOG_INFO, 2);

/* Enums travel as 32 bits, handles as a pointer. */
SIZE(fp6llmStatus_t, 4);
SIZE(fp6llmDataType_t, 4);
SIZE(fp6llmOperation_t, 4);
SIZE(fp6llmPointerMode_t, 4);
SIZE(fp6llmComputeType_t, 4);
SIZE(fp6llmBackend_t, 4);
SIZE(fp6llmScaleMode_t, 4);
SIZE(fp6llmRounding_t, 4);
SIZE(fp6llmMxScaleRule_t, 4);
SIZE(fp6llmNonFinite_t, 4);
SIZE(fp6llmPackedLayout_t, 4);
SIZE(fp6llmActivation_t, 4);
SIZE(fp6llmLogLevel_t, 4);
SIZE(fp6llmHandle_t, 8);
SIZE(fp6llmWeight_t, 8);
SIZE(fp6llmStream_t, 8);

/* The macro constants. */
VALUE(FP6LLM_BLOB_ALIGNMENT, 64);
VALUE(FP6LLM_ALGO_DEFAULT, -1);
VALUE(FP6LLM_SCALE_TYPE_DEFAULT, -1);

/* The initializers fill every field: -Wmissing-field-initializers watches. */
static const fp6llmHandleConfig_t handle_config = FP6LLM_HANDLE_CONFIG_INIT;
static const fp6llmDeviceInfo_t device_info = FP6LLM_DEVICE_INFO_INIT;
static const fp6llmQuantConfig_t quant_config = FP6LLM_QUANT_CONFIG_INIT;
static const fp6llmQuantStats_t quant_stats = FP6LLM_QUANT_STATS_INIT;
static const fp6llmWeightInfo_t weight_info = FP6LLM_WEIGHT_INFO_INIT;
static const fp6llmEpilogue_t epilogue = FP6LLM_EPILOGUE_INIT;
static const fp6llmHeuristicResult_t heuristic_result = FP6LLM_HEURISTIC_RESULT_INIT;

int main(void) {
    return !(handle_config.structSize == sizeof(handle_config) &&
             device_info.structSize == sizeof(device_info) &&
             quant_config.structSize == sizeof(quant_config) &&
             quant_stats.structSize == sizeof(quant_stats) &&
             weight_info.structSize == sizeof(weight_info) &&
             epilogue.structSize == sizeof(epilogue) &&
             heuristic_result.structSize == sizeof(heuristic_result));
}
