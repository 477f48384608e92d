#include "core/device/module.hpp"

#include <functional>
#include <mutex>
#include <shared_mutex>
#include <string_view>
#include <unordered_map>

namespace fp6llm::cuda {
namespace {

constexpr size_t kLogBytes = 2048;

struct Key {
    unsigned long long context;
    const Fatbin* fatbin;
    std::string_view kernel;  ///< empty for the module itself
    bool operator==(const Key& other) const noexcept {
        return context == other.context && fatbin == other.fatbin && kernel == other.kernel;
    }
};

struct KeyHash {
    size_t operator()(const Key& key) const noexcept {
        const size_t name = std::hash<std::string_view>()(key.kernel);
        return (name ^ reinterpret_cast<size_t>(key.fatbin)) * 31 + key.context;
    }
};

/// Entries of destroyed contexts stay; their ids do not come again, so nobody finds them.
struct Cache {
    std::mutex loading;  // one load at a time, during which others may still find
    std::shared_mutex mutex;
    std::unordered_map<Key, Kernel, KeyHash> kernels;
    std::unordered_map<Key, CUmodule, KeyHash> modules;  // under `loading`
};

/// Never destroyed: at exit the driver may be gone before us.
Cache& cache() {
    static Cache& instance = *new Cache;
    return instance;
}

CUmodule load_module(const Fatbin& fatbin) {
    if (fatbin.empty()) {
        fail(Status::kArchMismatch, "this build has no kernels %s: none of its architectures",
             fatbin.name);
    }
    const Driver& cu = driver();
    char log[kLogBytes] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
    CUmodule module = nullptr;
    const CUresult result = cu.ModuleLoadDataEx(&module, fatbin.begin, 2, options, values);
    if (result != CUDA_SUCCESS) {
        char call[64 + kLogBytes];
        log[sizeof log - 1] = '\0';
        std::snprintf(call, sizeof call, "loading kernels %s%s%s", fatbin.name,
                      log[0] != '\0' ? ": " : "", log);
        check(result, call);
    }
    return module;
}

Kernel load_kernel(CUmodule module, const Fatbin& fatbin, const char* name) {
    const Driver& cu = driver();
    Kernel kernel{};
    kernel.name = name;
    const CUresult result = cu.ModuleGetFunction(&kernel.function, module, name);
    if (result != CUDA_SUCCESS) {
        char call[256];
        std::snprintf(call, sizeof call, "kernel %s of %s", name, fatbin.name);
        check(result, call);
    }
    const auto attribute = [&](CUfunction_attribute which) {
        int value = 0;
        check(cu.FuncGetAttribute(&value, which, kernel.function), "cuFuncGetAttribute");
        return value;
    };
    kernel.registers = attribute(CU_FUNC_ATTRIBUTE_NUM_REGS);
    kernel.max_threads = attribute(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
    kernel.static_shared = static_cast<size_t>(attribute(CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES));
    kernel.local_bytes = static_cast<size_t>(attribute(CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES));
    kernel.binary_version = attribute(CU_FUNC_ATTRIBUTE_BINARY_VERSION);

    CUdevice device;
    check(cu.CtxGetDevice(&device), "cuCtxGetDevice");
    int optin = 0;
    check(cu.DeviceGetAttribute(&optin, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
                                device),
          "cuDeviceGetAttribute");
    const int dynamic = optin - static_cast<int>(kernel.static_shared);
    check(cu.FuncSetAttribute(kernel.function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                              dynamic),
          "cuFuncSetAttribute");
    kernel.dynamic_shared = static_cast<size_t>(dynamic);
    return kernel;
}

}  // namespace

const Kernel& find_kernel(const ScopedContext& context, const Fatbin& fatbin, const char* name) {
    Cache& known = cache();
    const Key key{context.id(), &fatbin, name};
    const auto find = [&]() -> const Kernel* {
        const std::shared_lock<std::shared_mutex> lock(known.mutex);
        const auto found = known.kernels.find(key);
        return found != known.kernels.end() ? &found->second : nullptr;
    };
    if (const Kernel* kernel = find()) return *kernel;

    const std::lock_guard<std::mutex> loading(known.loading);
    if (const Kernel* kernel = find()) return *kernel;
    const RelaxedCapture relaxed;
    const Key module_key{context.id(), &fatbin, {}};
    auto module = known.modules.find(module_key);
    if (module == known.modules.end()) {
        module = known.modules.emplace(module_key, load_module(fatbin)).first;
    }
    const Kernel kernel = load_kernel(module->second, fatbin, name);
    const std::unique_lock<std::shared_mutex> lock(known.mutex);
    return known.kernels.emplace(key, kernel).first->second;
}

int blocks_per_multiprocessor(const Kernel& kernel, int threads, size_t dynamic_shared) {
    int blocks = 0;
    check(driver().OccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel.function, threads,
                                                             dynamic_shared),
          "cuOccupancyMaxActiveBlocksPerMultiprocessor");
    return blocks;
}

}  // namespace fp6llm::cuda
