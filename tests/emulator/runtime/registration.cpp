// What nvcc's generated code calls when a program starts: fatbins, kernels, variables; and launches.
#include <cstring>

#include "tests/emulator/runtime/runtime.hpp"

namespace emulator::cudart {

Runtime& Runtime::instance() {
    static Runtime& runtime = *new Runtime;
    return runtime;
}

cudaError_t Runtime::initialize() {
    const std::lock_guard<std::recursive_mutex> lock(mutex);
    CUresult result = cu::cuInit(0);
    if (result != cu::CUDA_SUCCESS) return error_of(result);
    cu::CUcontext current = nullptr;
    result = cu::cuCtxGetCurrent(&current);
    if (result != cu::CUDA_SUCCESS) return error_of(result);
    // A reset by another thread leaves the destroyed context current on this one.
    const bool is_stale = current != nullptr && current != primary_ && [&] {
        unsigned long long id = 0;
        return cu::cuCtxGetId(current, &id) == cu::CUDA_ERROR_CONTEXT_IS_DESTROYED;
    }();
    if (current != nullptr && !is_stale) return cudaSuccess;
    if (primary_ == nullptr) {
        result = cu::cuDevicePrimaryCtxRetain(&primary_, 0);
        if (result != cu::CUDA_SUCCESS) return error_of(result);
    }
    return error_of(cu::cuCtxSetCurrent(primary_));
}

cudaError_t Runtime::load(FatBinary& fatbin) {
    if (fatbin.library == nullptr) {
        const CUresult result = cu::cuLibraryLoadData(&fatbin.library, fatbin.image, nullptr,
                                                      nullptr, 0, nullptr, nullptr, 0);
        if (result != cu::CUDA_SUCCESS) return error_of(result);
    }
    return prepare_managed(fatbin);
}

cudaError_t Runtime::prepare_managed(FatBinary& fatbin) {
    if (fatbin.managed_ready || fatbin.managed.empty()) return cudaSuccess;
    for (const FatBinary::Managed& variable : fatbin.managed) {
        cu::CUdeviceptr address = 0;
        const CUresult result =
            cu::cuLibraryGetManaged(&address, nullptr, fatbin.library, variable.name.c_str());
        if (result != cu::CUDA_SUCCESS) return error_of(result);
        *variable.host = reinterpret_cast<void*>(address);
    }
    fatbin.managed_ready = true;
    return cudaSuccess;
}

cudaError_t Runtime::find_kernel(const void* function, cu::CUkernel* kernel) {
    const std::lock_guard<std::recursive_mutex> lock(mutex);
    const auto it = functions.find(function);
    if (it == functions.end()) {
        // A handle in the place of a function is told by the driver, which knows its kernels.
        auto* handle = static_cast<cu::CUkernel>(const_cast<void*>(function));
        const char* name = nullptr;
        if (cu::cuKernelGetName(&name, handle) != cu::CUDA_SUCCESS)
            return cudaErrorInvalidDeviceFunction;
        *kernel = handle;
        return cudaSuccess;
    }
    Symbol& symbol = it->second;
    if (symbol.kernel == nullptr) {
        const cudaError_t loaded = load(*symbol.fatbin);
        if (loaded != cudaSuccess) return loaded;
        const CUresult result =
            cu::cuLibraryGetKernel(&symbol.kernel, symbol.fatbin->library, symbol.name.c_str());
        if (result == cu::CUDA_ERROR_NOT_FOUND) return cudaErrorInvalidDeviceFunction;
        if (result != cu::CUDA_SUCCESS) return error_of(result);
    }
    *kernel = symbol.kernel;
    return cudaSuccess;
}

cudaError_t Runtime::find_function(const void* function, cu::CUfunction* out) {
    cu::CUkernel kernel = nullptr;
    const cudaError_t found = find_kernel(function, &kernel);
    return found != cudaSuccess ? found : error_of(cu::cuKernelGetFunction(out, kernel));
}

cudaError_t Runtime::find_variable(const void* symbol, cu::CUdeviceptr* address, size_t* bytes) {
    const std::lock_guard<std::recursive_mutex> lock(mutex);
    const auto it = variables.find(symbol);
    if (it == variables.end()) return cudaErrorInvalidSymbol;
    const cudaError_t loaded = load(*it->second.fatbin);
    if (loaded != cudaSuccess) return loaded;
    const CUresult result =
        cu::cuLibraryGetGlobal(address, bytes, it->second.fatbin->library, it->second.name.c_str());
    return result == cu::CUDA_ERROR_NOT_FOUND ? cudaErrorInvalidSymbol : error_of(result);
}

namespace {

struct Configuration {
    dim3 grid, block;
    size_t shared;
    cu::CUstream stream;
};

/// Configurations of `<<<>>>` whose launch has not come yet.
std::vector<Configuration>& configurations() {
    static thread_local std::vector<Configuration> pending;
    return pending;
}

cudaError_t launch(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared,
                   cu::CUstream stream, bool is_cooperative) {
    return with_runtime([&](Runtime& runtime) {
        cu::CUfunction loaded = nullptr;
        const cudaError_t found = runtime.find_function(function, &loaded);
        if (found != cudaSuccess) return found;
        if (shared > 0xFFFFFFFFu) return cudaErrorInvalidValue;
        const auto bytes = static_cast<unsigned>(shared);
        const CUresult result =
            is_cooperative
                ? cu::cuLaunchCooperativeKernel(loaded, grid.x, grid.y, grid.z, block.x, block.y,
                                                block.z, bytes, stream, arguments)
                : cu::cuLaunchKernel(loaded, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                     bytes, stream, arguments, nullptr);
        // The runtime has an error of its own for sizes that no device takes.
        const uint64_t threads = uint64_t{block.x} * block.y * block.z;
        const bool is_shape = grid.x == 0 || grid.y == 0 || grid.z == 0 || threads == 0 ||
                              threads > 1024 || grid.x > 0x7FFFFFFFu || grid.y > 65535 ||
                              grid.z > 65535;
        if (result == cu::CUDA_ERROR_INVALID_VALUE && is_shape)
            return cudaErrorInvalidConfiguration;
        return error_of(result);
    });
}

}  // namespace

EMULATOR_CUDART void** __cudaRegisterFatBinary(void* wrapper) {
    Runtime& runtime = Runtime::instance();
    const std::lock_guard<std::recursive_mutex> lock(runtime.mutex);
    auto* fatbin = new FatBinary;
    fatbin->image = wrapper;
    runtime.fatbins.push_back(fatbin);
    return reinterpret_cast<void**>(fatbin);
}

EMULATOR_CUDART void __cudaRegisterFatBinaryEnd(void**) {}

EMULATOR_CUDART void __cudaUnregisterFatBinary(void** handle) {
    Runtime& runtime = Runtime::instance();
    const std::lock_guard<std::recursive_mutex> lock(runtime.mutex);
    auto* fatbin = reinterpret_cast<FatBinary*>(handle);
    for (auto* table : {&runtime.functions, &runtime.variables}) {
        for (auto it = table->begin(); it != table->end();)
            it = it->second.fatbin == fatbin ? table->erase(it) : std::next(it);
    }
    for (auto it = runtime.fatbins.begin(); it != runtime.fatbins.end(); ++it) {
        if (*it != fatbin) continue;
        runtime.fatbins.erase(it);
        if (fatbin->library != nullptr) cu::cuLibraryUnload(fatbin->library);
        delete fatbin;
        break;
    }
}

EMULATOR_CUDART void __cudaRegisterFunction(void** handle, const char* host_function, char*,
                                            const char* device_name, int, void*, void*, void*,
                                            void*, int*) {
    Runtime& runtime = Runtime::instance();
    const std::lock_guard<std::recursive_mutex> lock(runtime.mutex);
    runtime.functions[host_function] = {reinterpret_cast<FatBinary*>(handle), device_name};
}

EMULATOR_CUDART void __cudaRegisterVar(void** handle, char* host_variable, char*,
                                       const char* device_name, int, size_t, int, int) {
    Runtime& runtime = Runtime::instance();
    const std::lock_guard<std::recursive_mutex> lock(runtime.mutex);
    runtime.variables[host_variable] = {reinterpret_cast<FatBinary*>(handle), device_name};
}

EMULATOR_CUDART void __cudaRegisterManagedVar(void** handle, void** host_pointer, char*,
                                              const char* device_name, int, size_t, int, int) {
    Runtime& runtime = Runtime::instance();
    const std::lock_guard<std::recursive_mutex> lock(runtime.mutex);
    auto* fatbin = reinterpret_cast<FatBinary*>(handle);
    fatbin->managed.push_back({host_pointer, device_name});
    runtime.variables[host_pointer] = {fatbin, device_name};
}

EMULATOR_CUDART char __cudaInitModule(void** handle) {
    const cudaError_t result = with_runtime([&](Runtime& runtime) {
        const std::lock_guard<std::recursive_mutex> lock(runtime.mutex);
        return runtime.load(*reinterpret_cast<FatBinary*>(handle));
    });
    return result == cudaSuccess ? 1 : 0;
}

EMULATOR_CUDART unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared,
                                                     cu::CUstream stream) {
    configurations().push_back({grid, block, shared, stream});
    return 0;
}

EMULATOR_CUDART cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared,
                                                       void* stream) {
    std::vector<Configuration>& pending = configurations();
    if (pending.empty()) return remember(cudaErrorMissingConfiguration);
    const Configuration last = pending.back();
    pending.pop_back();
    *grid = last.grid;
    *block = last.block;
    *shared = last.shared;
    std::memcpy(stream, &last.stream, sizeof last.stream);
    return cudaSuccess;
}

EMULATOR_CUDART cudaError_t __cudaGetKernel(cu::CUkernel* kernel, const void* function) {
    return with_runtime([&](Runtime& runtime) { return runtime.find_kernel(function, kernel); });
}

EMULATOR_CUDART cudaError_t cudaGetKernel(cu::CUkernel* kernel, const void* function) {
    if (kernel == nullptr) return remember(cudaErrorInvalidValue);
    return __cudaGetKernel(kernel, function);
}

EMULATOR_CUDART cudaError_t cudaGetFuncBySymbol(cu::CUfunction* function, const void* symbol) {
    if (function == nullptr) return remember(cudaErrorInvalidValue);
    return with_runtime([&](Runtime& runtime) { return runtime.find_function(symbol, function); });
}

EMULATOR_CUDART cudaError_t __cudaLaunchKernel(cu::CUkernel kernel, dim3 grid, dim3 block,
                                               void** arguments, size_t shared,
                                               cu::CUstream stream) {
    // No handle: finding the kernel failed, and said so. What the launch itself says is that.
    if (kernel == nullptr) {
        const cudaError_t why = take_last_error(false);
        return why != cudaSuccess ? why : remember(cudaErrorInvalidDeviceFunction);
    }
    return launch(kernel, grid, block, arguments, shared, stream, false);
}

EMULATOR_CUDART cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block,
                                             void** arguments, size_t shared, cu::CUstream stream) {
    return launch(function, grid, block, arguments, shared, stream, false);
}

EMULATOR_CUDART cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block,
                                                        void** arguments, size_t shared,
                                                        cu::CUstream stream) {
    return launch(function, grid, block, arguments, shared, stream, true);
}

EMULATOR_CUDART cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config,
                                                const void* function, void** arguments) {
    if (config == nullptr || config->dynamicSmemBytes > 0xFFFFFFFFu)
        return remember(cudaErrorInvalidValue);
    return with_runtime([&](Runtime& runtime) {
        cu::CUfunction loaded = nullptr;
        const cudaError_t found = runtime.find_function(function, &loaded);
        if (found != cudaSuccess) return found;
        const cu::CUlaunchConfig driver_config{config->gridDim.x,
                                               config->gridDim.y,
                                               config->gridDim.z,
                                               config->blockDim.x,
                                               config->blockDim.y,
                                               config->blockDim.z,
                                               static_cast<unsigned>(config->dynamicSmemBytes),
                                               config->stream,
                                               config->attrs,
                                               config->numAttrs};
        return error_of(cu::cuLaunchKernelEx(&driver_config, loaded, arguments, nullptr));
    });
}

}  // namespace emulator::cudart
