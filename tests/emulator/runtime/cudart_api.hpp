// Types of the CUDA runtime that its stand-in needs, with the ABI's layout. Most handles and many
// enumerations are the driver's (driver/cuda_api.hpp).
//
// Source: CUDA runtime API reference, version 13.0.
#pragma once

#include "tests/emulator/driver/cuda_api.hpp"

namespace emulator::cudart {

/// Name, value, what it means. Where the driver has the same error, the values agree.
#define EMULATOR_CUDART_ERRORS(X)                                                          \
    X(cudaSuccess, 0, "no error")                                                          \
    X(cudaErrorInvalidValue, 1, "invalid argument")                                        \
    X(cudaErrorMemoryAllocation, 2, "out of memory")                                       \
    X(cudaErrorInitializationError, 3, "initialization error")                             \
    X(cudaErrorCudartUnloading, 4, "driver shutting down")                                 \
    X(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")                  \
    X(cudaErrorInvalidPitchValue, 12, "invalid pitch argument")                            \
    X(cudaErrorInvalidSymbol, 13, "invalid device symbol")                                 \
    X(cudaErrorInvalidMemcpyDirection, 21, "invalid copy direction for memcpy")            \
    X(cudaErrorStubLibrary, 34, "CUDA driver is a stub library")                           \
    X(cudaErrorInsufficientDriver, 35, "CUDA driver version is insufficient")              \
    X(cudaErrorDevicesUnavailable, 46, "the device is busy or unavailable")                \
    X(cudaErrorMissingConfiguration, 52, "a launch without a configuration")               \
    X(cudaErrorInvalidDeviceFunction, 98, "invalid device function")                       \
    X(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")                        \
    X(cudaErrorInvalidDevice, 101, "invalid device ordinal")                               \
    X(cudaErrorInvalidKernelImage, 200, "device kernel image is invalid")                  \
    X(cudaErrorDeviceUninitialized, 201, "invalid device context")                         \
    X(cudaErrorNoKernelImageForDevice, 209, "no kernel image is available for the device") \
    X(cudaErrorECCUncorrectable, 214, "uncorrectable ECC error")                           \
    X(cudaErrorUnsupportedLimit, 215, "limit is not supported on this architecture")       \
    X(cudaErrorPeerAccessUnsupported, 217, "peer access is not supported")                 \
    X(cudaErrorInvalidPtx, 218, "a PTX JIT compilation failed")                            \
    X(cudaErrorInvalidResourceHandle, 400, "invalid resource handle")                      \
    X(cudaErrorIllegalState, 401, "the operation is not possible in this state")           \
    X(cudaErrorSymbolNotFound, 500, "named symbol not found")                              \
    X(cudaErrorNotReady, 600, "device not ready")                                          \
    X(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered")            \
    X(cudaErrorLaunchOutOfResources, 701, "too many resources requested for launch")       \
    X(cudaErrorLaunchTimeout, 702, "the launch timed out and was terminated")              \
    X(cudaErrorContextIsDestroyed, 709, "context is destroyed")                            \
    X(cudaErrorHostMemoryAlreadyRegistered, 712, "the memory is registered already")       \
    X(cudaErrorHostMemoryNotRegistered, 713, "the memory is not registered")               \
    X(cudaErrorMisalignedAddress, 716, "misaligned address")                               \
    X(cudaErrorLaunchFailure, 719, "unspecified launch failure")                           \
    X(cudaErrorCooperativeLaunchTooLarge, 720, "too many blocks in cooperative launch")    \
    X(cudaErrorNotPermitted, 800, "operation not permitted")                               \
    X(cudaErrorNotSupported, 801, "operation not supported")                               \
    X(cudaErrorStreamCaptureUnsupported, 900, "not permitted while a stream is capturing") \
    X(cudaErrorStreamCaptureInvalidated, 901, "an earlier error invalidated the capture")  \
    X(cudaErrorStreamCaptureMerge, 902, "the operation would merge two captures")          \
    X(cudaErrorStreamCaptureUnmatched, 903, "the capture was not begun on this stream")    \
    X(cudaErrorStreamCaptureUnjoined, 904, "the capture has streams that were not joined") \
    X(cudaErrorStreamCaptureIsolation, 905, "a dependency crosses the capture's border")   \
    X(cudaErrorStreamCaptureImplicit, 906, "the legacy stream would depend on a capture")  \
    X(cudaErrorCapturedEvent, 907, "not permitted on an event recorded in a capture")      \
    X(cudaErrorStreamCaptureWrongThread, 908, "the capture was begun by another thread")   \
    X(cudaErrorGraphExecUpdateFailure, 910, "the graph's update was not performed")        \
    X(cudaErrorInvalidClusterSize, 912, "cluster configuration does not fit the device")   \
    X(cudaErrorUnknown, 999, "unknown error")

enum cudaError_t : int {
#define EMULATOR_CUDART_ERROR(name, value, text) name = value,
    EMULATOR_CUDART_ERRORS(EMULATOR_CUDART_ERROR)
#undef EMULATOR_CUDART_ERROR
};

struct dim3 {
    unsigned x, y, z;
};

enum cudaMemcpyKind : int {
    cudaMemcpyHostToHost = 0,
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3,
    cudaMemcpyDefault = 4,
};

struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cu::CUstream stream;
    cu::CUlaunchAttribute* attrs;
    unsigned numAttrs;
};

struct cudaFuncAttributes {
    size_t sharedSizeBytes, constSizeBytes, localSizeBytes;
    int maxThreadsPerBlock, numRegs, ptxVersion, binaryVersion, cacheModeCA;
    int maxDynamicSharedSizeBytes, preferredShmemCarveout;
    int clusterDimMustBeSet, requiredClusterWidth, requiredClusterHeight, requiredClusterDepth;
    int clusterSchedulingPolicyPreference, nonPortableClusterSizeAllowed;
    int reserved[16];
};

struct cudaPointerAttributes {
    int type;  ///< 0 unregistered, 1 host, 2 device, 3 managed
    int device;
    void* devicePointer;
    void* hostPointer;
    long reserved[8];
};

struct cudaDeviceProp {
    char name[256];
    cu::CUuuid uuid;
    char luid[8];
    unsigned luidDeviceNodeMask;
    size_t totalGlobalMem, sharedMemPerBlock;
    int regsPerBlock, warpSize;
    size_t memPitch;
    int maxThreadsPerBlock, maxThreadsDim[3], maxGridSize[3];
    size_t totalConstMem;
    int major, minor;
    size_t textureAlignment, texturePitchAlignment;
    int multiProcessorCount, integrated, canMapHostMemory;
    int maxTexture1D, maxTexture1DMipmap, maxTexture2D[2], maxTexture2DMipmap[2];
    int maxTexture2DLinear[3], maxTexture2DGather[2], maxTexture3D[3], maxTexture3DAlt[3];
    int maxTextureCubemap, maxTexture1DLayered[2], maxTexture2DLayered[3];
    int maxTextureCubemapLayered[2];
    int maxSurface1D, maxSurface2D[2], maxSurface3D[3], maxSurface1DLayered[2];
    int maxSurface2DLayered[3], maxSurfaceCubemap, maxSurfaceCubemapLayered[2];
    size_t surfaceAlignment;
    int concurrentKernels, ECCEnabled, pciBusID, pciDeviceID, pciDomainID, tccDriver;
    int asyncEngineCount, unifiedAddressing, memoryBusWidth, l2CacheSize;
    int persistingL2CacheMaxSize, maxThreadsPerMultiProcessor, streamPrioritiesSupported;
    int globalL1CacheSupported, localL1CacheSupported;
    size_t sharedMemPerMultiprocessor;
    int regsPerMultiprocessor, managedMemory, isMultiGpuBoard, multiGpuBoardGroupID;
    int hostNativeAtomicSupported, pageableMemoryAccess, concurrentManagedAccess;
    int computePreemptionSupported, canUseHostPointerForRegisteredMem, cooperativeLaunch;
    size_t sharedMemPerBlockOptin;
    int pageableMemoryAccessUsesHostPageTables, directManagedMemAccessFromHost;
    int maxBlocksPerMultiProcessor, accessPolicyMaxWindowSize;
    size_t reservedSharedMemPerBlock;
    int hostRegisterSupported, sparseCudaArraySupported, hostRegisterReadOnlySupported;
    int timelineSemaphoreInteropSupported, memoryPoolsSupported, gpuDirectRDMASupported;
    unsigned gpuDirectRDMAFlushWritesOptions;
    int gpuDirectRDMAWritesOrdering;
    unsigned memoryPoolSupportedHandleTypes;
    int deferredMappingCudaArraySupported, ipcEventSupported, clusterLaunch;
    int unifiedFunctionPointers, deviceNumaConfig, deviceNumaId, mpsEnabled, hostNumaId;
    unsigned gpuPciDeviceID, gpuPciSubsystemID;
    int hostNumaMultinodeIpcSupported;
    int reserved[56];
};

}  // namespace emulator::cudart
