#include "core/device/driver.hpp"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <mutex>

namespace fp6llm::cuda {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";

std::mutex g_mutex;  // held while loading
Driver g_driver;     // written once, before g_loaded points to it
std::atomic<const Driver*> g_loaded{nullptr};
std::atomic<bool> g_in_use{false};  // from the first touch of a driver on, unless that failed
std::atomic<bool> g_is_forked_child{false};

/// CUDA does not survive fork(). The handler also keeps the child off g_mutex, which a thread that it
/// does not have may hold.
void watch_for_fork() {
    static std::once_flag once;
    std::call_once(once, [] {
        pthread_atfork(nullptr, nullptr, [] {
            if (g_in_use.load()) g_is_forked_child.store(true);
        });
    });
}

int major(int version) noexcept {
    return version / 1000;
}
int minor(int version) noexcept {
    return version % 1000 / 10;
}

template <typename Function>
void find(decltype(&::cuGetProcAddress) get, const char* name, bool is_optional, Function& out) {
    void* function = nullptr;
    CUdriverProcAddressQueryResult found{};
    const CUresult result =
        get(name, &function, kMinDriverVersion, CU_GET_PROC_ADDRESS_LEGACY_STREAM, &found);
    if (result != CUDA_SUCCESS) function = nullptr;
    if (function == nullptr && !is_optional) {
        fail(Status::kNotSupported, "the CUDA driver lacks %s", name);
    }
    out = reinterpret_cast<Function>(function);
}

void check_version(void* library, Driver& out) {
    const auto get_version =
        reinterpret_cast<decltype(&::cuDriverGetVersion)>(dlsym(library, "cuDriverGetVersion"));
    if (get_version == nullptr || get_version(&out.version) != CUDA_SUCCESS) {
        fail(Status::kNotSupported, "%s does not tell its version; CUDA %d.%d or newer is needed",
             kLibrary, major(kMinDriverVersion), minor(kMinDriverVersion));
    }
    if (out.version < kMinDriverVersion) {
        fail(Status::kNotSupported,
             "the driver supports CUDA %d.%d; CUDA %d.%d or newer is needed: update the NVIDIA "
             "driver",
             major(out.version), minor(out.version), major(kMinDriverVersion),
             minor(kMinDriverVersion));
    }
}

void initialize(const Driver& driver) {
    const CUresult result = driver.Init(0);
    if (result == CUDA_SUCCESS) return;
    const char* name = nullptr;
    const char* text = nullptr;
    driver.GetErrorName(result, &name);
    driver.GetErrorString(result, &text);
    fail(Status::kNotSupported, "CUDA does not initialize: cuInit: %s (%s)",
         name != nullptr ? name : "unknown error", text != nullptr ? text : "no text");
}

Driver load() {
    // Never closed: other libraries of the process may use it, and a driver does not unload.
    void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char* why = dlerror();
        fail(Status::kNotSupported, "there is no CUDA driver; CUDA %d.%d or newer is needed (%s)",
             major(kMinDriverVersion), minor(kMinDriverVersion), why != nullptr ? why : kLibrary);
    }
    Driver driver{};
    check_version(library, driver);
    const auto get =
        reinterpret_cast<decltype(&::cuGetProcAddress)>(dlsym(library, "cuGetProcAddress_v2"));
    if (get == nullptr) {
        fail(Status::kNotSupported, "%s lacks cuGetProcAddress_v2", kLibrary);
    }
#define FP6LLM_FIND(name) find(get, "cu" #name, false, driver.name);
    FP6LLM_DRIVER_FUNCTIONS(FP6LLM_FIND)
#undef FP6LLM_FIND
#define FP6LLM_FIND(name) find(get, "cu" #name, true, driver.name);
    FP6LLM_OPTIONAL_DRIVER_FUNCTIONS(FP6LLM_FIND)
#undef FP6LLM_FIND
    initialize(driver);
    return driver;
}

}  // namespace

const Driver& driver() {
    if (g_is_forked_child.load(std::memory_order_relaxed)) {
        fail(Status::kNotSupported,
             "CUDA was initialized before fork() and cannot be used in the child; start the child "
             "before the first use of CUDA, or by exec (in Python: the spawn method)");
    }
    if (const Driver* loaded = g_loaded.load(std::memory_order_acquire)) return *loaded;

    watch_for_fork();
    const std::lock_guard<std::mutex> lock(g_mutex);
    if (const Driver* loaded = g_loaded.load(std::memory_order_relaxed)) return *loaded;
    g_in_use.store(true);
    try {
        g_driver = load();
    } catch (...) {
        g_in_use.store(false);
        throw;
    }
    g_loaded.store(&g_driver, std::memory_order_release);
    return g_driver;
}

const Driver* loaded_driver() noexcept {
    if (g_is_forked_child.load(std::memory_order_relaxed)) return nullptr;
    return g_loaded.load(std::memory_order_acquire);
}

Status to_status(CUresult result) noexcept {
    switch (result) {
        case CUDA_SUCCESS:
            return Status::kSuccess;
        case CUDA_ERROR_OUT_OF_MEMORY:
            return Status::kAllocFailed;
        case CUDA_ERROR_INVALID_VALUE:
        case CUDA_ERROR_INVALID_DEVICE:
        case CUDA_ERROR_INVALID_HANDLE:  // a stream that does not exist
            return Status::kInvalidValue;
        case CUDA_ERROR_INVALID_IMAGE:
        case CUDA_ERROR_NO_BINARY_FOR_GPU:
        case CUDA_ERROR_INVALID_PTX:
        case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
        case CUDA_ERROR_JIT_COMPILER_NOT_FOUND:
        case CUDA_ERROR_JIT_COMPILATION_DISABLED:
            return Status::kArchMismatch;
        case CUDA_ERROR_MAP_FAILED:
        case CUDA_ERROR_UNMAP_FAILED:
        case CUDA_ERROR_NOT_MAPPED:
            return Status::kMappingError;
        case CUDA_ERROR_NOT_INITIALIZED:
        case CUDA_ERROR_NO_DEVICE:
        case CUDA_ERROR_NOT_SUPPORTED:
        case CUDA_ERROR_NOT_PERMITTED:
        case CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED:
            return Status::kNotSupported;
        case CUDA_ERROR_NOT_FOUND:
            return Status::kInternalError;  // a kernel that its fatbin lacks
        default:
            return Status::kExecutionFailed;  // contexts destroyed, faults of kernels, lost devices
    }
}

void check(CUresult result, const char* call) {
    if (result == CUDA_SUCCESS) return;
    const char* name = nullptr;
    const char* text = nullptr;
    if (const Driver* loaded = loaded_driver()) {
        loaded->GetErrorName(result, &name);
        loaded->GetErrorString(result, &text);
    }
    fail(to_status(result), "%s: %s (%s)", call, name != nullptr ? name : "unknown error",
         text != nullptr ? text : "no text");
}

}  // namespace fp6llm::cuda
