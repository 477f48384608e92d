// The driver functions that the library calls: the one list of what a driver, real or emulated, must
// have. All are of CUDA 12.0 or older, with the signature they had there; do not add one whose
// signature cuda.h has changed since (cuCtxCreate, cuEventElapsedTime, ...).
//
// X(Name) stands for cuName.
#pragma once

/// Without any of these a driver is refused.
#define FP6LLM_DRIVER_FUNCTIONS(X)               \
    X(CtxGetCurrent)                             \
    X(CtxGetDevice)                              \
    X(CtxGetId)                                  \
    X(CtxPopCurrent)                             \
    X(CtxPushCurrent)                            \
    X(DeviceGet)                                 \
    X(DeviceGetAttribute)                        \
    X(DeviceGetCount)                            \
    X(DeviceGetName)                             \
    X(DevicePrimaryCtxGetState)                  \
    X(DevicePrimaryCtxRelease)                   \
    X(DevicePrimaryCtxRetain)                    \
    X(DeviceTotalMem)                            \
    X(FuncGetAttribute)                          \
    X(FuncSetAttribute)                          \
    X(GetErrorName)                              \
    X(GetErrorString)                            \
    X(Init)                                      \
    X(LaunchKernelEx)                            \
    X(MemAlloc)                                  \
    X(MemFree)                                   \
    X(MemcpyDtoDAsync)                           \
    X(MemcpyDtoHAsync)                           \
    X(MemcpyHtoDAsync)                           \
    X(MemsetD8Async)                             \
    X(ModuleGetFunction)                         \
    X(ModuleLoadDataEx)                          \
    X(ModuleUnload)                              \
    X(OccupancyMaxActiveBlocksPerMultiprocessor) \
    X(PointerGetAttributes)                      \
    X(StreamCreate)                              \
    X(StreamDestroy)                             \
    X(StreamSynchronize)

/// Null where the driver lacks them.
#define FP6LLM_OPTIONAL_DRIVER_FUNCTIONS(X) \
    X(OccupancyMaxActiveClusters)           \
    X(TensorMapEncodeTiled)                 \
    X(ThreadExchangeStreamCaptureMode)
