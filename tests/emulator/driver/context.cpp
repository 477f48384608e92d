// Contexts: made, current, primary, destroyed.
#include <algorithm>

#include "tests/emulator/driver/state.hpp"

namespace emulator::cu {

namespace {

void check_flags(unsigned flags) {
    require((flags & ~unsigned{CU_CTX_FLAGS_MASK}) == 0);
    const unsigned schedule = flags & CU_CTX_SCHED_MASK;
    require(schedule == 0 || (schedule & (schedule - 1)) == 0);
}

void create(Driver& driver, CUcontext* context, unsigned flags, CUdevice device,
            unsigned api_version) {
    require(context != nullptr);
    driver.check_device(device);
    check_flags(flags);
    driver.forbid_capture();
    Context* made = driver.make_context(device, flags, false, api_version);
    Driver::thread().stack.push_back(made);
    *context = made;
}

Driver::Primary& primary_of(Driver& driver, CUdevice device) {
    driver.check_device(device);
    return driver.primaries[device];
}

void drop(Driver& driver, Driver::Primary& primary) {
    if (primary.context != nullptr) driver.destroy_context(*primary.context);
    primary.context = nullptr;
}

}  // namespace

extern "C" {

CUresult cuCtxCreate_v2(CUcontext* context, unsigned flags, CUdevice device) {
    return guard([&](Driver& driver) { create(driver, context, flags, device, 3020); });
}

CUresult cuCtxCreate_v3(CUcontext* context, void* affinity, int count, unsigned flags,
                        CUdevice device) {
    return guard([&](Driver& driver) {
        require(affinity == nullptr && count == 0, CUDA_ERROR_NOT_SUPPORTED);
        create(driver, context, flags, device, 3020);
    });
}

CUresult cuCtxCreate_v4(CUcontext* context, void* parameters, unsigned flags, CUdevice device) {
    return guard([&](Driver& driver) {
        require(parameters == nullptr, CUDA_ERROR_NOT_SUPPORTED);
        create(driver, context, flags, device, 3020);
    });
}

CUresult cuCtxDestroy_v2(CUcontext context) {
    return guard([&](Driver& driver) {
        require(context != nullptr);
        Context& doomed = driver.context_of(context);
        require(!doomed.is_primary, CUDA_ERROR_INVALID_CONTEXT);
        driver.destroy_context(doomed);
        std::vector<Context*>& stack = Driver::thread().stack;
        if (!stack.empty() && stack.back() == &doomed) stack.pop_back();
    });
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
    return guard([&](Driver& driver) {
        require(context != nullptr, CUDA_ERROR_INVALID_CONTEXT);
        Driver::thread().stack.push_back(&driver.context_of(context));
    });
}

CUresult cuCtxPopCurrent_v2(CUcontext* context) {
    return guard([&](Driver&) {
        std::vector<Context*>& stack = Driver::thread().stack;
        require(!stack.empty(), CUDA_ERROR_INVALID_CONTEXT);
        if (context != nullptr) *context = stack.back();
        stack.pop_back();
    });
}

CUresult cuCtxSetCurrent(CUcontext context) {
    return guard([&](Driver& driver) {
        std::vector<Context*>& stack = Driver::thread().stack;
        Context* wanted = context == nullptr ? nullptr : &driver.context_of(context);
        if (!stack.empty()) stack.pop_back();
        if (wanted != nullptr) stack.push_back(wanted);
    });
}

CUresult cuCtxGetCurrent(CUcontext* context) {
    return guard([&](Driver& driver) {
        require(context != nullptr);
        *context = driver.current_or_null();
    });
}

CUresult cuCtxGetDevice(CUdevice* device) {
    return guard([&](Driver& driver) {
        require(device != nullptr);
        Context* context = driver.current_or_null();
        require(context != nullptr, CUDA_ERROR_INVALID_CONTEXT);
        require(context->alive, CUDA_ERROR_CONTEXT_IS_DESTROYED);
        *device = context->device;
    });
}

CUresult cuCtxGetDevice_v2(CUdevice* device, CUcontext context) {
    return guard([&](Driver& driver) {
        require(device != nullptr);
        *device = driver.context_of(context).device;
    });
}

CUresult cuCtxGetFlags(unsigned* flags) {
    return guard([&](Driver& driver) {
        require(flags != nullptr);
        *flags = driver.current().flags;
    });
}

CUresult cuCtxSetFlags(unsigned flags) {
    return guard([&](Driver& driver) {
        check_flags(flags);
        driver.current().flags = flags;
    });
}

CUresult cuCtxGetId(CUcontext context, unsigned long long* id) {
    return guard([&](Driver& driver) {
        require(id != nullptr);
        *id = driver.context_of(context).id;
    });
}

CUresult cuCtxGetApiVersion(CUcontext context, unsigned* version) {
    return guard([&](Driver& driver) {
        require(version != nullptr);
        *version = driver.context_of(context).api_version;
    });
}

CUresult cuCtxSynchronize() {
    return guard([&](Driver& driver) {
        Context& context = driver.current();
        driver.forbid_capture();
        driver.forbid_legacy_dependency(*context.legacy);
        driver.synchronize(context);
    });
}

CUresult cuCtxSynchronize_v2(CUcontext context) {
    return guard([&](Driver& driver) {
        Context& waited = driver.context_of(context);
        driver.forbid_capture();
        driver.forbid_legacy_dependency(*waited.legacy);
        driver.synchronize(waited);
    });
}

CUresult cuCtxSetLimit(CUlimit limit, size_t value) {
    return guard([&](Driver& driver) {
        std::map<int, size_t>& limits = driver.current().limits;
        const auto it = limits.find(limit);
        require(it != limits.end(), CUDA_ERROR_UNSUPPORTED_LIMIT);
        it->second = value;
    });
}

CUresult cuCtxGetLimit(size_t* value, CUlimit limit) {
    return guard([&](Driver& driver) {
        require(value != nullptr);
        const std::map<int, size_t>& limits = driver.current().limits;
        const auto it = limits.find(limit);
        require(it != limits.end(), CUDA_ERROR_UNSUPPORTED_LIMIT);
        *value = it->second;
    });
}

CUresult cuCtxGetCacheConfig(CUfunc_cache* config) {
    return guard([&](Driver& driver) {
        require(config != nullptr);
        *config = driver.current().cache_config;
    });
}

CUresult cuCtxSetCacheConfig(CUfunc_cache config) {
    return guard([&](Driver& driver) {
        require(config >= CU_FUNC_CACHE_PREFER_NONE && config <= CU_FUNC_CACHE_PREFER_EQUAL);
        driver.current().cache_config = config;
    });
}

CUresult cuCtxGetSharedMemConfig(CUsharedconfig* config) {
    return guard([&](Driver& driver) {
        require(config != nullptr);
        driver.current();
        *config = CU_SHARED_MEM_CONFIG_DEFAULT_BANK_SIZE;
    });
}

CUresult cuCtxSetSharedMemConfig(CUsharedconfig config) {
    return guard([&](Driver& driver) {
        driver.current();
        require(config >= 0 && config <= 2);  // a hint without effect since Maxwell
    });
}

CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
    return guard([&](Driver& driver) {
        driver.current();
        if (least != nullptr) *least = 0;
        if (greatest != nullptr) *greatest = -5;
    });
}

CUresult cuCtxResetPersistingL2Cache() {
    return guard([&](Driver& driver) { driver.current(); });
}

// ---- The primary contexts ----

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
    return guard([&](Driver& driver) {
        require(context != nullptr);
        Driver::Primary& primary = primary_of(driver, device);
        if (primary.context == nullptr)
            primary.context = driver.make_context(device, primary.flags, true, 3020);
        ++primary.references;
        *context = primary.context;
    });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    return guard([&](Driver& driver) {
        Driver::Primary& primary = primary_of(driver, device);
        require(primary.references > 0, CUDA_ERROR_INVALID_CONTEXT);
        if (--primary.references == 0) drop(driver, primary);
    });
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
    return guard([&](Driver& driver) {
        Driver::Primary& primary = primary_of(driver, device);
        drop(driver, primary);
        primary.references = 0;
    });
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
    return guard([&](Driver& driver) {
        const Driver::Primary& primary = primary_of(driver, device);
        require(flags != nullptr && active != nullptr);
        *flags = primary.flags;
        *active = primary.context != nullptr ? 1 : 0;
    });
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) {
    return guard([&](Driver& driver) {
        Driver::Primary& primary = primary_of(driver, device);
        check_flags(flags);
        primary.flags = flags;
        if (primary.context != nullptr) primary.context->flags = flags;
    });
}

}  // extern "C"

}  // namespace emulator::cu
