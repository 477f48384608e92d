// A libcuda.so.1 that runs nothing: versions, devices, contexts, memory (of the host) and modules that
// are handles only, with failures on request. For what surrounds kernels; the emulated GPU of
// tests/emulator runs them. Stricter than a driver: it knows which contexts and pointers are alive.
#include "tests/unit/device/stub_driver.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

using fp6llm::stub::Controls;
using fp6llm::stub::Launch;

struct CUctx_st {
    unsigned long long id;
    int device;
    bool is_alive;
};

struct CUmod_st {
    unsigned long long context;
};

struct CUfunc_st {
    CUmodule module;
    int dynamic_shared;
};

namespace {

struct Allocation {
    size_t bytes;
    CUcontext context;
};

constexpr int kMaxDevices = 8;

struct State {
    std::recursive_mutex mutex;
    unsigned long long next_id = 1;
    bool is_initialized = false;
    std::vector<std::unique_ptr<CUctx_st>> contexts;
    std::vector<std::unique_ptr<CUmod_st>> modules;
    std::vector<std::unique_ptr<CUfunc_st>> functions;
    CUcontext primary[kMaxDevices] = {};
    int references[kMaxDevices] = {};
    std::map<uintptr_t, Allocation> allocations;
    std::map<std::string, int> calls;
    Launch last_launch{};
};

State& state() {
    static State& instance = *new State;
    return instance;
}

thread_local std::vector<CUcontext> t_stack;

int setting(const char* name, int otherwise) {
    const char* value = std::getenv(name);
    return value != nullptr ? std::atoi(value) : otherwise;
}

int device_count() {
    return setting("FP6LLM_STUB_DEVICES", 1);
}

/// Counts a call, and answers what FP6LLM_STUB_FAIL has for it.
CUresult enter(const char* function) {
    ++state().calls[function];
    const char* fail = std::getenv("FP6LLM_STUB_FAIL");
    const size_t length = std::strlen(function);
    if (fail != nullptr && std::strncmp(fail, function, length) == 0 && fail[length] == '=') {
        return static_cast<CUresult>(std::atoi(fail + length + 1));
    }
    const bool needs_init = std::strcmp(function, "cuInit") != 0;
    return needs_init && !state().is_initialized ? CUDA_ERROR_NOT_INITIALIZED : CUDA_SUCCESS;
}

CUcontext create_context(int device) {
    State& s = state();
    const std::lock_guard<std::recursive_mutex> lock(s.mutex);
    for (const auto& context : s.contexts) {
        if (context->is_alive) continue;
        *context = {s.next_id++, device, true};
        return context.get();
    }
    s.contexts.push_back(std::make_unique<CUctx_st>(CUctx_st{s.next_id++, device, true}));
    return s.contexts.back().get();
}

void destroy_context(CUcontext context) {
    State& s = state();
    const std::lock_guard<std::recursive_mutex> lock(s.mutex);
    context->is_alive = false;
    for (auto it = s.allocations.begin(); it != s.allocations.end();) {
        const bool is_its = it->second.context == context;
        if (is_its) std::free(reinterpret_cast<void*>(it->first));
        it = is_its ? s.allocations.erase(it) : std::next(it);
    }
}

void reset_primary(int device) {
    State& s = state();
    const std::lock_guard<std::recursive_mutex> lock(s.mutex);
    if (s.primary[device] != nullptr) destroy_context(s.primary[device]);
    s.primary[device] = nullptr;
    s.references[device] = 0;
}

CUresult current(CUcontext* context) {
    if (t_stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    *context = t_stack.back();
    return (*context)->is_alive ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

const Allocation* find_allocation(CUdeviceptr pointer) {
    const auto& allocations = state().allocations;
    auto after = allocations.upper_bound(pointer);
    if (after == allocations.begin()) return nullptr;
    --after;
    return pointer < after->first + after->second.bytes ? &after->second : nullptr;
}

/// Whether the bytes are inside one allocation of a live context.
bool is_range(CUdeviceptr pointer, size_t bytes) {
    return find_allocation(pointer) != nullptr &&
           find_allocation(pointer) == find_allocation(pointer + bytes - 1);
}

int device_attribute(CUdevice_attribute which) {
    const int capability = setting("FP6LLM_STUB_CAPABILITY", 90);
    switch (which) {
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
            return capability / 10;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
            return capability % 10;
        case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
            return 132;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
            return 232448;
        case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
            return 50 << 20;
        default:
            return 0;
    }
}

CUresult pointer_attribute(CUpointer_attribute which, void* out, const Allocation* allocation) {
    switch (which) {
        case CU_POINTER_ATTRIBUTE_CONTEXT:
            *static_cast<CUcontext*>(out) = allocation != nullptr ? allocation->context : nullptr;
            return CUDA_SUCCESS;
        case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
            *static_cast<unsigned*>(out) = allocation != nullptr ? CU_MEMORYTYPE_DEVICE : 0;
            return CUDA_SUCCESS;
        case CU_POINTER_ATTRIBUTE_IS_MANAGED:
            *static_cast<int*>(out) = 0;
            return CUDA_SUCCESS;
        case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
            *static_cast<int*>(out) = allocation != nullptr ? allocation->context->device : -2;
            return CUDA_SUCCESS;
        default:
            return CUDA_ERROR_INVALID_VALUE;
    }
}

// The functions. Each holds the lock, is counted, and fails on request.
#define FP6LLM_STUB(name, ...)                                     \
    CUresult name(__VA_ARGS__) {                                   \
        State& s = state();                                        \
        const std::lock_guard<std::recursive_mutex> lock(s.mutex); \
        (void)s;                                                   \
        if (const CUresult result = enter("cu" #name); result != CUDA_SUCCESS) return result;
#define FP6LLM_STUB_END  \
    return CUDA_SUCCESS; \
    }

// clang-format off
FP6LLM_STUB(Init, unsigned)
    s.is_initialized = true;
FP6LLM_STUB_END

FP6LLM_STUB(DeviceGetCount, int* count)
    *count = device_count();
FP6LLM_STUB_END

FP6LLM_STUB(DeviceGet, CUdevice* device, int ordinal)
    if (ordinal < 0 || ordinal >= device_count()) return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
FP6LLM_STUB_END

FP6LLM_STUB(DeviceGetName, char* name, int size, CUdevice device)
    std::snprintf(name, static_cast<size_t>(size), "Stub GPU %d", device);
FP6LLM_STUB_END

FP6LLM_STUB(DeviceTotalMem, size_t* bytes, CUdevice)
    *bytes = size_t{80} << 30;
FP6LLM_STUB_END

FP6LLM_STUB(DeviceGetAttribute, int* value, CUdevice_attribute which, CUdevice)
    *value = device_attribute(which);
FP6LLM_STUB_END

FP6LLM_STUB(DevicePrimaryCtxRetain, CUcontext* context, CUdevice device)
    if (s.primary[device] == nullptr) s.primary[device] = create_context(device);
    ++s.references[device];
    *context = s.primary[device];
FP6LLM_STUB_END

FP6LLM_STUB(DevicePrimaryCtxRelease, CUdevice device)
    if (s.references[device] == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (s.references[device] == 1) reset_primary(device);
    else --s.references[device];
FP6LLM_STUB_END

FP6LLM_STUB(DevicePrimaryCtxGetState, CUdevice device, unsigned* flags, int* is_active)
    *flags = 0;
    *is_active = s.primary[device] != nullptr;
FP6LLM_STUB_END

FP6LLM_STUB(CtxGetCurrent, CUcontext* context)
    *context = t_stack.empty() ? nullptr : t_stack.back();
FP6LLM_STUB_END

FP6LLM_STUB(CtxGetDevice, CUdevice* device)
    CUcontext context = nullptr;
    if (const CUresult result = current(&context); result != CUDA_SUCCESS) return result;
    *device = context->device;
FP6LLM_STUB_END

FP6LLM_STUB(CtxGetId, CUcontext context, unsigned long long* id)
    if (!context->is_alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    *id = context->id;
FP6LLM_STUB_END

FP6LLM_STUB(CtxPushCurrent, CUcontext context)
    if (!context->is_alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    t_stack.push_back(context);
FP6LLM_STUB_END

FP6LLM_STUB(CtxPopCurrent, CUcontext* context)
    if (t_stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    *context = t_stack.back();
    t_stack.pop_back();
FP6LLM_STUB_END

FP6LLM_STUB(MemAlloc, CUdeviceptr* pointer, size_t bytes)
    CUcontext context = nullptr;
    if (const CUresult result = current(&context); result != CUDA_SUCCESS) return result;
    void* memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    std::memset(memory, 0xA5, bytes);
    *pointer = reinterpret_cast<CUdeviceptr>(memory);
    s.allocations[reinterpret_cast<uintptr_t>(memory)] = {bytes, context};
FP6LLM_STUB_END

FP6LLM_STUB(MemFree, CUdeviceptr pointer)
    CUcontext context = nullptr;
    if (const CUresult result = current(&context); result != CUDA_SUCCESS) return result;
    const auto found = s.allocations.find(pointer);
    if (found == s.allocations.end() || found->second.context != context) {
        return CUDA_ERROR_INVALID_VALUE;
    }
    std::free(reinterpret_cast<void*>(pointer));
    s.allocations.erase(found);
FP6LLM_STUB_END

FP6LLM_STUB(PointerGetAttributes, unsigned count, CUpointer_attribute* which, void** values,
            CUdeviceptr pointer)
    for (unsigned i = 0; i < count; ++i) {
        const CUresult result = pointer_attribute(which[i], values[i], find_allocation(pointer));
        if (result != CUDA_SUCCESS) return result;
    }
FP6LLM_STUB_END

FP6LLM_STUB(MemcpyHtoDAsync, CUdeviceptr to, const void* from, size_t bytes, CUstream)
    if (!is_range(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
    std::memcpy(reinterpret_cast<void*>(to), from, bytes);
FP6LLM_STUB_END

FP6LLM_STUB(MemcpyDtoHAsync, void* to, CUdeviceptr from, size_t bytes, CUstream)
    if (!is_range(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
    std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
FP6LLM_STUB_END

FP6LLM_STUB(MemcpyDtoDAsync, CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream)
    if (!is_range(to, bytes) || !is_range(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
    std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
FP6LLM_STUB_END

FP6LLM_STUB(MemsetD8Async, CUdeviceptr to, unsigned char value, size_t bytes, CUstream)
    if (!is_range(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
    std::memset(reinterpret_cast<void*>(to), value, bytes);
FP6LLM_STUB_END

FP6LLM_STUB(ModuleLoadDataEx, CUmodule* module, const void* image, unsigned, CUjit_option*, void**)
    CUcontext context = nullptr;
    if (const CUresult result = current(&context); result != CUDA_SUCCESS) return result;
    const uint32_t magic = 0xBA55ED50;
    if (std::memcmp(image, &magic, sizeof magic) != 0) return CUDA_ERROR_INVALID_IMAGE;
    s.modules.push_back(std::make_unique<CUmod_st>(CUmod_st{context->id}));
    *module = s.modules.back().get();
FP6LLM_STUB_END

FP6LLM_STUB(ModuleGetFunction, CUfunction* function, CUmodule module, const char* name)
    if (std::strcmp(name, "add_one") != 0) return CUDA_ERROR_NOT_FOUND;
    s.functions.push_back(std::make_unique<CUfunc_st>(CUfunc_st{module, 0}));
    *function = s.functions.back().get();
FP6LLM_STUB_END

FP6LLM_STUB(ModuleUnload, CUmodule)
FP6LLM_STUB_END

FP6LLM_STUB(FuncGetAttribute, int* value, CUfunction_attribute which, CUfunction)
    *value = which == CU_FUNC_ATTRIBUTE_NUM_REGS                ? 40
             : which == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024
             : which == CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES     ? 1024
             : which == CU_FUNC_ATTRIBUTE_BINARY_VERSION        ? 90
                                                                : 0;
FP6LLM_STUB_END

FP6LLM_STUB(FuncSetAttribute, CUfunction function, CUfunction_attribute which, int value)
    if (which == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) function->dynamic_shared = value;
FP6LLM_STUB_END

FP6LLM_STUB(OccupancyMaxActiveBlocksPerMultiprocessor, int* blocks, CUfunction, int threads, size_t)
    *blocks = 2048 / threads;
FP6LLM_STUB_END

FP6LLM_STUB(LaunchKernelEx, const CUlaunchConfig* config, CUfunction function, void** parameters,
            void**)
    CUcontext context = nullptr;
    if (const CUresult result = current(&context); result != CUDA_SUCCESS) return result;
    if (function->module->context != context->id) return CUDA_ERROR_INVALID_HANDLE;
    if (config->sharedMemBytes > static_cast<unsigned>(function->dynamic_shared)) {
        return CUDA_ERROR_INVALID_VALUE;
    }
    Launch launch{};
    const unsigned grid[] = {config->gridDimX, config->gridDimY, config->gridDimZ};
    const unsigned block[] = {config->blockDimX, config->blockDimY, config->blockDimZ};
    std::memcpy(launch.grid, grid, sizeof grid);
    std::memcpy(launch.block, block, sizeof block);
    for (unsigned i = 0; i < config->numAttrs; ++i) {
        const CUlaunchAttribute& attribute = config->attrs[i];
        if (attribute.id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
            std::memcpy(launch.cluster, &attribute.value.clusterDim, sizeof launch.cluster);
        } else if (attribute.id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION) {
            launch.overlaps_previous = attribute.value.programmaticStreamSerializationAllowed != 0;
        }
    }
    launch.shared_bytes = config->sharedMemBytes;
    launch.stream = config->hStream;
    std::memcpy(&launch.first_parameter, parameters[0], sizeof launch.first_parameter);
    s.last_launch = launch;
FP6LLM_STUB_END

FP6LLM_STUB(StreamCreate, CUstream* stream, unsigned)
    *stream = reinterpret_cast<CUstream>(uintptr_t{0x5000});
FP6LLM_STUB_END

FP6LLM_STUB(StreamDestroy, CUstream)
FP6LLM_STUB_END

FP6LLM_STUB(StreamSynchronize, CUstream)
FP6LLM_STUB_END

FP6LLM_STUB(ThreadExchangeStreamCaptureMode, CUstreamCaptureMode* mode)
    thread_local CUstreamCaptureMode t_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
    std::swap(*mode, t_mode);
FP6LLM_STUB_END
// clang-format on

CUresult GetErrorName(CUresult result, const char** name) {
    *name = result == CUDA_ERROR_OUT_OF_MEMORY          ? "CUDA_ERROR_OUT_OF_MEMORY"
            : result == CUDA_ERROR_NO_DEVICE            ? "CUDA_ERROR_NO_DEVICE"
            : result == CUDA_ERROR_CONTEXT_IS_DESTROYED ? "CUDA_ERROR_CONTEXT_IS_DESTROYED"
            : result == CUDA_ERROR_UNKNOWN              ? "CUDA_ERROR_UNKNOWN"
                                                        : nullptr;
    return *name != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult GetErrorString(CUresult, const char** text) {
    *text = "as the stub was told";
    return CUDA_SUCCESS;
}

struct Entry {
    const char* name;
    void* function;
};

// A cast that the compiler checks against cuda.h.
#define FP6LLM_ENTRY(name) \
    { "cu" #name, reinterpret_cast<void*>(static_cast<decltype(&::cu##name)>(&name)) }
const Entry kEntries[] = {
    FP6LLM_ENTRY(CtxGetCurrent),
    FP6LLM_ENTRY(CtxGetDevice),
    FP6LLM_ENTRY(CtxGetId),
    FP6LLM_ENTRY(CtxPopCurrent),
    FP6LLM_ENTRY(CtxPushCurrent),
    FP6LLM_ENTRY(DeviceGet),
    FP6LLM_ENTRY(DeviceGetAttribute),
    FP6LLM_ENTRY(DeviceGetCount),
    FP6LLM_ENTRY(DeviceGetName),
    FP6LLM_ENTRY(DevicePrimaryCtxGetState),
    FP6LLM_ENTRY(DevicePrimaryCtxRelease),
    FP6LLM_ENTRY(DevicePrimaryCtxRetain),
    FP6LLM_ENTRY(DeviceTotalMem),
    FP6LLM_ENTRY(FuncGetAttribute),
    FP6LLM_ENTRY(FuncSetAttribute),
    FP6LLM_ENTRY(GetErrorName),
    FP6LLM_ENTRY(GetErrorString),
    FP6LLM_ENTRY(Init),
    FP6LLM_ENTRY(LaunchKernelEx),
    FP6LLM_ENTRY(MemAlloc),
    FP6LLM_ENTRY(MemFree),
    FP6LLM_ENTRY(MemcpyDtoDAsync),
    FP6LLM_ENTRY(MemcpyDtoHAsync),
    FP6LLM_ENTRY(MemcpyHtoDAsync),
    FP6LLM_ENTRY(MemsetD8Async),
    FP6LLM_ENTRY(ModuleGetFunction),
    FP6LLM_ENTRY(ModuleLoadDataEx),
    FP6LLM_ENTRY(ModuleUnload),
    FP6LLM_ENTRY(OccupancyMaxActiveBlocksPerMultiprocessor),
    FP6LLM_ENTRY(PointerGetAttributes),
    FP6LLM_ENTRY(StreamCreate),
    FP6LLM_ENTRY(StreamDestroy),
    FP6LLM_ENTRY(StreamSynchronize),
    FP6LLM_ENTRY(ThreadExchangeStreamCaptureMode),
};

int calls(const char* function) {
    const std::lock_guard<std::recursive_mutex> lock(state().mutex);
    return state().calls[function];
}

}  // namespace

#define FP6LLM_EXPORT extern "C" __attribute__((visibility("default")))

FP6LLM_EXPORT CUresult cuDriverGetVersion(int* version) {
    *version = setting("FP6LLM_STUB_VERSION", 13000);
    return CUDA_SUCCESS;
}

FP6LLM_EXPORT CUresult cuGetProcAddress(const char* symbol, void** function, int, cuuint64_t,
                                        CUdriverProcAddressQueryResult* found) {
    const char* lacks = std::getenv("FP6LLM_STUB_LACKS");
    *function = nullptr;
    for (const Entry& entry : kEntries) {
        const bool is_there = lacks == nullptr || std::strcmp(lacks, symbol) != 0;
        if (is_there && std::strcmp(entry.name, symbol) == 0) *function = entry.function;
    }
    if (found != nullptr) {
        *found = *function != nullptr ? CU_GET_PROC_ADDRESS_SUCCESS
                                      : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    }
    return *function != nullptr ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

FP6LLM_EXPORT const Controls* fp6llm_stub_controls() {
    static const Controls controls = {
        create_context,
        destroy_context,
        reset_primary,
        [](int device) { return state().references[device]; },
        [] { return static_cast<int>(state().allocations.size()); },
        calls,
        [] { return state().last_launch; },
    };
    return &controls;
}
