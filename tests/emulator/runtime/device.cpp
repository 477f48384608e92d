// Errors, the device, functions' attributes, occupancy.
#include <cstdio>
#include <cstring>

#include "tests/emulator/runtime/runtime.hpp"

namespace emulator::cudart {

namespace {

thread_local cudaError_t t_last_error = cudaSuccess;

int attribute(cu::CUdevice_attribute which) {
    int value = 0;
    cu::cuDeviceGetAttribute(&value, which, 0);
    return value;
}

}  // namespace

cudaError_t remember(cudaError_t error) noexcept {
    // "Not ready" is an answer, no error.
    if (error != cudaSuccess && error != cudaErrorNotReady) t_last_error = error;
    return error;
}

cudaError_t take_last_error(bool clear) noexcept {
    const cudaError_t error = t_last_error;
    if (clear) t_last_error = cudaSuccess;
    return error;
}

cudaError_t error_of(CUresult result) noexcept {
    switch (static_cast<int>(result)) {
#define EMULATOR_CUDART_ERROR(name, value, text) \
    case value:                                  \
        return name;
        EMULATOR_CUDART_ERRORS(EMULATOR_CUDART_ERROR)
#undef EMULATOR_CUDART_ERROR
        default:
            return cudaErrorUnknown;
    }
}

// ---- Errors ----

EMULATOR_CUDART cudaError_t cudaGetLastError() {
    return take_last_error(true);
}
EMULATOR_CUDART cudaError_t cudaPeekAtLastError() {
    return take_last_error(false);
}

EMULATOR_CUDART const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
#define EMULATOR_CUDART_ERROR(name, value, text) \
    case name:                                   \
        return #name;
        EMULATOR_CUDART_ERRORS(EMULATOR_CUDART_ERROR)
#undef EMULATOR_CUDART_ERROR
    }
    return "unrecognized error code";
}

EMULATOR_CUDART const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
#define EMULATOR_CUDART_ERROR(name, value, text) \
    case name:                                   \
        return text;
        EMULATOR_CUDART_ERRORS(EMULATOR_CUDART_ERROR)
#undef EMULATOR_CUDART_ERROR
    }
    return "unrecognized error code";
}

// ---- The device ----

EMULATOR_CUDART cudaError_t cudaDriverGetVersion(int* version) {
    return remember(error_of(cu::cuDriverGetVersion(version)));
}

EMULATOR_CUDART cudaError_t cudaRuntimeGetVersion(int* version) {
    return cudaDriverGetVersion(version);
}

EMULATOR_CUDART cudaError_t cudaGetDeviceCount(int* count) {
    return with_driver([&] {
        const cu::CUresult result = cu::cuDeviceGetCount(count);
        if (result == cu::CUDA_SUCCESS) *count = 1;  // the first is all that it uses
        return result;
    });
}

EMULATOR_CUDART cudaError_t cudaGetDevice(int* device) {
    if (device == nullptr) return remember(cudaErrorInvalidValue);
    *device = 0;
    return cudaSuccess;
}

EMULATOR_CUDART cudaError_t cudaSetDevice(int device) {
    return with_runtime(
        [&](Runtime&) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; });
}

EMULATOR_CUDART cudaError_t cudaInitDevice(int device, unsigned, unsigned) {
    return cudaSetDevice(device);
}

EMULATOR_CUDART cudaError_t cudaSetDeviceFlags(unsigned flags) {
    return remember(cu::cuInit(0) == cu::CUDA_SUCCESS
                        ? error_of(cu::cuDevicePrimaryCtxSetFlags_v2(0, flags))
                        : cudaErrorInitializationError);
}

EMULATOR_CUDART cudaError_t cudaGetDeviceFlags(unsigned* flags) {
    return with_driver([&] { return cu::cuCtxGetFlags(flags); });
}

EMULATOR_CUDART cudaError_t cudaDeviceGetAttribute(int* value, int which, int device) {
    return with_driver([&] {
        return cu::cuDeviceGetAttribute(value, static_cast<cu::CUdevice_attribute>(which), device);
    });
}

EMULATOR_CUDART cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    if (properties == nullptr) return remember(cudaErrorInvalidValue);
    return with_driver([&] {
        std::memset(properties, 0, sizeof *properties);
        cudaDeviceProp& p = *properties;
        CUresult result = cu::cuDeviceGetName(p.name, sizeof p.name, device);
        if (result != cu::CUDA_SUCCESS) return result;
        cu::cuDeviceGetUuid_v2(&p.uuid, device);
        cu::cuDeviceTotalMem_v2(&p.totalGlobalMem, device);
        const auto bytes = [](cu::CUdevice_attribute which) {
            return static_cast<size_t>(attribute(which));
        };
        p.sharedMemPerBlock = bytes(cu::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
        p.regsPerBlock = attribute(cu::CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK);
        p.warpSize = attribute(cu::CU_DEVICE_ATTRIBUTE_WARP_SIZE);
        p.memPitch = bytes(cu::CU_DEVICE_ATTRIBUTE_MAX_PITCH);
        p.maxThreadsPerBlock = attribute(cu::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
        p.maxThreadsDim[0] = attribute(cu::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X);
        p.maxThreadsDim[1] = attribute(cu::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y);
        p.maxThreadsDim[2] = attribute(cu::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z);
        p.maxGridSize[0] = attribute(cu::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X);
        p.maxGridSize[1] = attribute(cu::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y);
        p.maxGridSize[2] = attribute(cu::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z);
        p.totalConstMem = bytes(cu::CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY);
        p.major = attribute(cu::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
        p.minor = attribute(cu::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
        p.textureAlignment = bytes(cu::CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT);
        p.texturePitchAlignment = bytes(cu::CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT);
        p.multiProcessorCount = attribute(cu::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
        p.canMapHostMemory = attribute(cu::CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY);
        p.surfaceAlignment = bytes(cu::CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT);
        p.concurrentKernels = attribute(cu::CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS);
        p.ECCEnabled = attribute(cu::CU_DEVICE_ATTRIBUTE_ECC_ENABLED);
        p.pciBusID = attribute(cu::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID);
        p.asyncEngineCount = attribute(cu::CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT);
        p.unifiedAddressing = attribute(cu::CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING);
        p.memoryBusWidth = attribute(cu::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
        p.l2CacheSize = attribute(cu::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
        p.persistingL2CacheMaxSize =
            attribute(cu::CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE);
        p.maxThreadsPerMultiProcessor =
            attribute(cu::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
        p.streamPrioritiesSupported =
            attribute(cu::CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED);
        p.globalL1CacheSupported = attribute(cu::CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED);
        p.localL1CacheSupported = attribute(cu::CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED);
        p.sharedMemPerMultiprocessor =
            bytes(cu::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
        p.regsPerMultiprocessor =
            attribute(cu::CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR);
        p.managedMemory = attribute(cu::CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY);
        p.concurrentManagedAccess = attribute(cu::CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS);
        p.computePreemptionSupported =
            attribute(cu::CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED);
        p.cooperativeLaunch = attribute(cu::CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH);
        p.sharedMemPerBlockOptin = bytes(cu::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
        p.maxBlocksPerMultiProcessor =
            attribute(cu::CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR);
        p.accessPolicyMaxWindowSize =
            attribute(cu::CU_DEVICE_ATTRIBUTE_MAX_ACCESS_POLICY_WINDOW_SIZE);
        p.reservedSharedMemPerBlock =
            bytes(cu::CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK);
        p.hostRegisterSupported = attribute(cu::CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED);
        p.memoryPoolsSupported = attribute(cu::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED);
        p.clusterLaunch = attribute(cu::CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH);
        p.unifiedFunctionPointers = attribute(cu::CU_DEVICE_ATTRIBUTE_UNIFIED_FUNCTION_POINTERS);
        return cu::CUDA_SUCCESS;
    });
}

EMULATOR_CUDART cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device) {
    return with_driver([&] { return cu::cuDeviceGetPCIBusId(id, length, device); });
}

EMULATOR_CUDART cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
    return with_driver([&] { return cu::cuDeviceCanAccessPeer(can, device, peer); });
}

EMULATOR_CUDART cudaError_t cudaDeviceSynchronize() {
    return with_driver([&] { return cu::cuCtxSynchronize(); });
}

EMULATOR_CUDART cudaError_t cudaDeviceReset() {
    if (cu::cuInit(0) != cu::CUDA_SUCCESS) return remember(cudaErrorInitializationError);
    Runtime& runtime = Runtime::instance();
    const std::lock_guard<std::recursive_mutex> lock(runtime.mutex);
    const CUresult result = cu::cuDevicePrimaryCtxReset_v2(0);
    cu::cuCtxSetCurrent(nullptr);
    runtime.forget_context();
    for (FatBinary* fatbin : runtime.fatbins)
        fatbin->managed_ready = false;
    return remember(error_of(result));
}

EMULATOR_CUDART cudaError_t cudaDeviceSetLimit(int limit, size_t value) {
    return with_driver([&] { return cu::cuCtxSetLimit(static_cast<cu::CUlimit>(limit), value); });
}

EMULATOR_CUDART cudaError_t cudaDeviceGetLimit(size_t* value, int limit) {
    return with_driver([&] { return cu::cuCtxGetLimit(value, static_cast<cu::CUlimit>(limit)); });
}

EMULATOR_CUDART cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
    return with_driver([&] { return cu::cuCtxGetStreamPriorityRange(least, greatest); });
}

EMULATOR_CUDART cudaError_t cudaDeviceSetCacheConfig(int config) {
    return with_driver(
        [&] { return cu::cuCtxSetCacheConfig(static_cast<cu::CUfunc_cache>(config)); });
}

EMULATOR_CUDART cudaError_t cudaDeviceSetSharedMemConfig(int config) {
    return with_driver(
        [&] { return cu::cuCtxSetSharedMemConfig(static_cast<cu::CUsharedconfig>(config)); });
}

EMULATOR_CUDART cudaError_t cudaCtxResetPersistingL2Cache() {
    return with_driver([&] { return cu::cuCtxResetPersistingL2Cache(); });
}

EMULATOR_CUDART cudaError_t cudaProfilerStart() {
    return cudaSuccess;
}
EMULATOR_CUDART cudaError_t cudaProfilerStop() {
    return cudaSuccess;
}

// ---- The driver's functions ----

EMULATOR_CUDART cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function,
                                                             unsigned version,
                                                             unsigned long long flags,
                                                             int* status) {
    cu::CUdriverProcAddressQueryResult found = cu::CU_GET_PROC_ADDRESS_SUCCESS;
    const CUresult result =
        cu::cuGetProcAddress_v2(symbol, function, static_cast<int>(version), flags, &found);
    if (status != nullptr) *status = found;
    return remember(error_of(result));
}

EMULATOR_CUDART cudaError_t cudaGetDriverEntryPoint(const char* symbol, void** function,
                                                    unsigned long long flags, int* status) {
    int version = 0;
    cu::cuDriverGetVersion(&version);
    return cudaGetDriverEntryPointByVersion(symbol, function, static_cast<unsigned>(version), flags,
                                            status);
}

// ---- Functions ----

EMULATOR_CUDART cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* out, const void* function) {
    if (out == nullptr) return remember(cudaErrorInvalidValue);
    return with_runtime([&](Runtime& runtime) {
        cu::CUfunction loaded = nullptr;
        const cudaError_t found = runtime.find_function(function, &loaded);
        if (found != cudaSuccess) return found;
        const auto get = [&](cu::CUfunction_attribute which) {
            int value = 0;
            cu::cuFuncGetAttribute(&value, which, loaded);
            return value;
        };
        const auto bytes = [&](cu::CUfunction_attribute which) {
            return static_cast<size_t>(get(which));
        };
        *out = {};
        out->sharedSizeBytes = bytes(cu::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
        out->constSizeBytes = bytes(cu::CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES);
        out->localSizeBytes = bytes(cu::CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES);
        out->maxThreadsPerBlock = get(cu::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
        out->numRegs = get(cu::CU_FUNC_ATTRIBUTE_NUM_REGS);
        out->ptxVersion = get(cu::CU_FUNC_ATTRIBUTE_PTX_VERSION);
        out->binaryVersion = get(cu::CU_FUNC_ATTRIBUTE_BINARY_VERSION);
        out->cacheModeCA = get(cu::CU_FUNC_ATTRIBUTE_CACHE_MODE_CA);
        out->maxDynamicSharedSizeBytes = get(cu::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
        out->preferredShmemCarveout = get(cu::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT);
        out->clusterDimMustBeSet = get(cu::CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET);
        out->requiredClusterWidth = get(cu::CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH);
        out->requiredClusterHeight = get(cu::CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT);
        out->requiredClusterDepth = get(cu::CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH);
        out->clusterSchedulingPolicyPreference =
            get(cu::CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE);
        out->nonPortableClusterSizeAllowed =
            get(cu::CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED);
        return cudaSuccess;
    });
}

namespace {

/// One driver call about a host function's kernel.
template <typename Fn>
cudaError_t about_function(const void* function, Fn&& call) {
    return with_runtime([&](Runtime& runtime) {
        cu::CUfunction loaded = nullptr;
        const cudaError_t found = runtime.find_function(function, &loaded);
        return found != cudaSuccess ? found : error_of(call(loaded));
    });
}

cu::CUlaunchConfig driver_config(const cudaLaunchConfig_t& config) {
    return {config.gridDim.x,
            config.gridDim.y,
            config.gridDim.z,
            config.blockDim.x,
            config.blockDim.y,
            config.blockDim.z,
            static_cast<unsigned>(config.dynamicSmemBytes),
            config.stream,
            config.attrs,
            config.numAttrs};
}

}  // namespace

EMULATOR_CUDART cudaError_t cudaFuncSetAttribute(const void* function, int which, int value) {
    return about_function(function, [&](cu::CUfunction loaded) {
        return cu::cuFuncSetAttribute(loaded, static_cast<cu::CUfunction_attribute>(which), value);
    });
}

EMULATOR_CUDART cudaError_t cudaFuncSetCacheConfig(const void* function, int config) {
    return about_function(function, [&](cu::CUfunction loaded) {
        return cu::cuFuncSetCacheConfig(loaded, static_cast<cu::CUfunc_cache>(config));
    });
}

EMULATOR_CUDART cudaError_t cudaFuncSetSharedMemConfig(const void* function, int config) {
    return about_function(function, [&](cu::CUfunction loaded) {
        return cu::cuFuncSetSharedMemConfig(loaded, static_cast<cu::CUsharedconfig>(config));
    });
}

EMULATOR_CUDART cudaError_t cudaFuncGetName(const char** name, const void* function) {
    return about_function(function, [&](cu::CUfunction f) { return cu::cuFuncGetName(name, f); });
}

EMULATOR_CUDART cudaError_t cudaFuncGetParamInfo(const void* function, size_t index, size_t* offset,
                                                 size_t* bytes) {
    return about_function(function, [&](cu::CUfunction f) {
        return cu::cuFuncGetParamInfo(f, index, offset, bytes);
    });
}

EMULATOR_CUDART cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks,
                                                                          const void* function,
                                                                          int threads,
                                                                          size_t dynamic_shared) {
    return about_function(function, [&](cu::CUfunction f) {
        return cu::cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, f, threads, dynamic_shared);
    });
}

EMULATOR_CUDART cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int* blocks, const void* function, int threads, size_t dynamic_shared, unsigned flags) {
    return about_function(function, [&](cu::CUfunction f) {
        return cu::cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, f, threads,
                                                                        dynamic_shared, flags);
    });
}

EMULATOR_CUDART cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(size_t* bytes,
                                                                      const void* function,
                                                                      int blocks, int threads) {
    return about_function(function, [&](cu::CUfunction f) {
        return cu::cuOccupancyAvailableDynamicSMemPerBlock(bytes, f, blocks, threads);
    });
}

EMULATOR_CUDART cudaError_t cudaOccupancyMaxPotentialClusterSize(int* size, const void* function,
                                                                 const cudaLaunchConfig_t* config) {
    if (config == nullptr) return remember(cudaErrorInvalidValue);
    return about_function(function, [&](cu::CUfunction f) {
        const cu::CUlaunchConfig converted = driver_config(*config);
        return cu::cuOccupancyMaxPotentialClusterSize(size, f, &converted);
    });
}

EMULATOR_CUDART cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void* function,
                                                           const cudaLaunchConfig_t* config) {
    if (config == nullptr) return remember(cudaErrorInvalidValue);
    return about_function(function, [&](cu::CUfunction f) {
        const cu::CUlaunchConfig converted = driver_config(*config);
        return cu::cuOccupancyMaxActiveClusters(clusters, f, &converted);
    });
}

}  // namespace emulator::cudart
