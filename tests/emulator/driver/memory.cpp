// Device, pinned, managed and pooled memory, and what a pointer is.
#include <algorithm>

#include "tests/emulator/driver/state.hpp"

namespace emulator::cu {

namespace {

constexpr size_t kPitchAlignment = 512;
constexpr int kInvalidDevice = -2;  // CU_DEVICE_INVALID

uint64_t address_of(const void* host) {
    return reinterpret_cast<uintptr_t>(host);
}

MemoryPool& default_pool(Driver& driver) {
    if (driver.default_pool == nullptr) {
        driver.default_pool = driver.make<MemoryPool>(nullptr);
        driver.default_pool->is_default = true;
        driver.current_pool = driver.default_pool;
    }
    return *driver.default_pool;
}

MemoryPool& current_pool(Driver& driver) {
    default_pool(driver);
    return *driver.current_pool;
}

void free_device(Driver& driver, CUdeviceptr address) {
    const auto it = driver.allocations.find(address);
    require(it != driver.allocations.end() && it->second.kind != Allocation::Kind::kHost);
    driver.release(address);
}

void allocate_pooled(Driver& driver, CUdeviceptr* address, size_t bytes, MemoryPool& pool,
                     CUstream handle) {
    require(address != nullptr);
    Stream& stream = driver.stream_of(handle);
    if (stream.capture != nullptr) {
        driver.invalidate(*stream.capture);
        fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    driver.forbid_legacy_dependency(stream);
    if (bytes == 0) {
        *address = 0;
        return;
    }
    *address = driver.allocate(*stream.context, bytes, Allocation::Kind::kPool, 0, &pool);
}

void allocate_host(void** host, size_t bytes, unsigned flags) {
    Driver& driver = Driver::instance();
    require(host != nullptr && flags <= 7);
    Context& context = driver.current();
    driver.forbid_capture();
    require(bytes > 0);
    *host = reinterpret_cast<void*>(
        driver.allocate(context, bytes, Allocation::Kind::kHost, flags, nullptr));
}

/// What is known of an address; the default of everything where it is ordinary host memory.
struct PointerFacts {
    bool known = false;
    CUcontext context = nullptr;
    unsigned memory_type = 0;
    CUdeviceptr device = 0;
    void* host = nullptr;
    bool managed = false, pooled = false;
    uint64_t base = 0, bytes = 0, id = 0;
    MemoryPool* pool = nullptr;
};

PointerFacts pointer_facts(Driver& driver, CUdeviceptr address) {
    PointerFacts facts;
    uint64_t base = 0;
    if (const Allocation* allocation = driver.holder(address, 1, &base)) {
        facts.known = true;
        facts.context = allocation->context;
        const bool is_host = allocation->kind == Allocation::Kind::kHost;
        facts.memory_type = is_host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
        facts.managed = allocation->kind == Allocation::Kind::kManaged;
        facts.pooled = allocation->kind == Allocation::Kind::kPool;
        facts.device = address;
        if (is_host || facts.managed) facts.host = reinterpret_cast<void*>(address);
        facts.base = base;
        facts.bytes = allocation->bytes;
        facts.id = allocation->id;
        facts.pool = allocation->pool;
        return facts;
    }
    uintptr_t host_base = 0;
    if (const Driver::Registered* range = driver.find_registered(address, &host_base)) {
        facts.known = true;
        facts.context = range->context;
        facts.memory_type = CU_MEMORYTYPE_HOST;
        facts.device = range->mapped + (address - host_base);
        facts.host = reinterpret_cast<void*>(address);
        facts.base = host_base;
        facts.bytes = range->bytes;
        return facts;
    }
    // A module's variable.
    uint64_t bytes = 0;
    if (driver.device().find(address, &base, &bytes)) {
        facts.known = true;
        facts.context = driver.current_or_null();
        facts.memory_type = CU_MEMORYTYPE_DEVICE;
        facts.device = address;
        facts.base = base;
        facts.bytes = bytes;
    }
    return facts;
}

/// Writes an attribute; false if the pointer has none of that name.
bool get_attribute(const PointerFacts& facts, CUpointer_attribute attribute, void* data) {
    const auto put = [&](auto value) { *static_cast<decltype(value)*>(data) = value; };
    switch (attribute) {
        case CU_POINTER_ATTRIBUTE_CONTEXT:
            put(facts.context);
            return facts.known;
        case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
            put(facts.memory_type);
            return facts.known;
        case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
            put(facts.device);
            return facts.device != 0;
        case CU_POINTER_ATTRIBUTE_HOST_POINTER:
            put(facts.host);
            return facts.host != nullptr;
        case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
            put(0u);
            return facts.known;
        case CU_POINTER_ATTRIBUTE_BUFFER_ID:
            put(static_cast<unsigned long long>(facts.id));
            return facts.known;
        case CU_POINTER_ATTRIBUTE_IS_MANAGED:
            put(facts.managed ? 1u : 0u);
            return facts.known;
        case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
            put(!facts.known               ? kInvalidDevice
                : facts.context == nullptr ? 0
                                           : facts.context->device);
            return facts.known;
        case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
            put(0u);
            return facts.known;
        case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
            put(CUdeviceptr{facts.base});
            return facts.known;
        case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
            put(size_t{facts.bytes});
            return facts.known;
        case CU_POINTER_ATTRIBUTE_MAPPED:
            put(facts.known ? 1u : 0u);
            return facts.known;
        case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
            put(uint64_t{0});
            return facts.known;
        case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
            put(0u);
            return facts.known;
        case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
            put(facts.known ? 3u : 0u);
            return facts.known;
        case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
            put(static_cast<CUmemoryPool>(facts.pool));
            return facts.pooled;
    }
    fail(CUDA_ERROR_INVALID_VALUE);
}

}  // namespace

extern "C" {

CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
    return guard([&](Driver& driver) {
        require(free != nullptr && total != nullptr);
        driver.current();
        *total = driver.device().options().memory_bytes;
        *free = *total - driver.used_bytes;
    });
}

CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
    return guard([&](Driver& driver) {
        require(address != nullptr);
        Context& context = driver.current();
        driver.forbid_capture();
        require(bytes > 0);
        *address = driver.allocate(context, bytes, Allocation::Kind::kDevice, 0, nullptr);
    });
}

CUresult cuMemAllocPitch_v2(CUdeviceptr* address, size_t* pitch, size_t width, size_t height,
                            unsigned element) {
    return guard([&](Driver& driver) {
        require(address != nullptr && pitch != nullptr);
        require(element == 4 || element == 8 || element == 16);
        Context& context = driver.current();
        driver.forbid_capture();
        require(width > 0 && height > 0 && width <= SIZE_MAX - kPitchAlignment);
        const size_t row = (width + kPitchAlignment - 1) / kPitchAlignment * kPitchAlignment;
        size_t bytes = 0;
        require(!__builtin_mul_overflow(row, height, &bytes), CUDA_ERROR_OUT_OF_MEMORY);
        *address = driver.allocate(context, bytes, Allocation::Kind::kDevice, 0, nullptr);
        *pitch = row;
    });
}

CUresult cuMemAllocManaged(CUdeviceptr* address, size_t bytes, unsigned flags) {
    return guard([&](Driver& driver) {
        require(address != nullptr);
        require(flags == CU_MEM_ATTACH_GLOBAL || flags == CU_MEM_ATTACH_HOST);
        Context& context = driver.current();
        driver.forbid_capture();
        require(bytes > 0);
        *address = driver.allocate(context, bytes, Allocation::Kind::kManaged, flags, nullptr);
    });
}

CUresult cuMemFree_v2(CUdeviceptr address) {
    return guard([&](Driver& driver) {
        Context& context = driver.current();
        if (address == 0) return;
        driver.forbid_capture();
        free_device(driver, address);
        driver.synchronize(context);
    });
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* bytes, CUdeviceptr address) {
    return guard([&](Driver& driver) {
        driver.current();
        uint64_t start = 0, size = 0;
        require(driver.device().find(address, &start, &size), CUDA_ERROR_NOT_FOUND);
        if (const Allocation* allocation = driver.holder(address, 1, &start))
            size = allocation->bytes;
        if (base != nullptr) *base = start;
        if (bytes != nullptr) *bytes = size;
    });
}

CUresult cuMemAllocHost_v2(void** host, size_t bytes) {
    return guard([&](Driver&) { allocate_host(host, bytes, 0); });
}

CUresult cuMemHostAlloc(void** host, size_t bytes, unsigned flags) {
    return guard([&](Driver&) { allocate_host(host, bytes, flags); });
}

CUresult cuMemFreeHost(void* host) {
    return guard([&](Driver& driver) {
        Context& context = driver.current();
        if (host == nullptr) return;
        driver.forbid_capture();
        const auto it = driver.allocations.find(address_of(host));
        require(it != driver.allocations.end() && it->second.kind == Allocation::Kind::kHost);
        driver.release(it->first);
        driver.synchronize(context);
    });
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* address, void* host, unsigned flags) {
    return guard([&](Driver& driver) {
        require(address != nullptr && flags == 0);
        driver.current();
        const PointerFacts facts = pointer_facts(driver, address_of(host));
        require(facts.known && facts.memory_type == CU_MEMORYTYPE_HOST);
        *address = facts.device;
    });
}

CUresult cuMemHostGetFlags(unsigned* flags, void* host) {
    return guard([&](Driver& driver) {
        require(flags != nullptr);
        const Allocation* allocation = driver.holder(address_of(host), 1);
        if (allocation != nullptr && allocation->kind == Allocation::Kind::kHost) {
            *flags = allocation->flags | CU_MEMHOSTALLOC_DEVICEMAP;
            return;
        }
        const Driver::Registered* range = driver.find_registered(address_of(host));
        require(range != nullptr);
        *flags = range->flags | CU_MEMHOSTREGISTER_DEVICEMAP;
    });
}

CUresult cuMemHostRegister_v2(void* host, size_t bytes, unsigned flags) {
    return guard([&](Driver& driver) {
        require(host != nullptr && bytes > 0 && flags <= 15);
        require((flags & (CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY)) == 0,
                CUDA_ERROR_NOT_SUPPORTED);
        Context& context = driver.current();
        driver.forbid_capture();
        const uintptr_t begin = address_of(host);
        require(driver.holder(begin, 1) == nullptr);
        for (const auto& [base, range] : driver.registered) {
            require(begin >= base + range.bytes || begin + bytes <= base,
                    CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
        }
        const uint64_t mapped =
            driver.allocate(context, bytes, Allocation::Kind::kHost, flags, nullptr);
        driver.registered[begin] = {bytes, flags, mapped, &context};
    });
}

CUresult cuMemHostUnregister(void* host) {
    return guard([&](Driver& driver) {
        driver.current();
        driver.forbid_capture();
        const auto it = driver.registered.find(address_of(host));
        require(it != driver.registered.end(), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
        driver.release(it->second.mapped);
        driver.registered.erase(it);
    });
}

// ---- Stream-ordered memory ----

CUresult cuMemAllocAsync(CUdeviceptr* address, size_t bytes, CUstream stream) {
    return guard([&](Driver& driver) {
        allocate_pooled(driver, address, bytes, current_pool(driver), stream);
    });
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr* address, size_t bytes, CUmemoryPool pool,
                                 CUstream stream) {
    return guard([&](Driver& driver) {
        allocate_pooled(driver, address, bytes, driver.get(pool, CUDA_ERROR_INVALID_VALUE), stream);
    });
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
    return guard([&](Driver& driver) {
        Stream& known = driver.stream_of(stream);
        if (known.capture != nullptr) {
            driver.invalidate(*known.capture);
            fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        }
        if (address == 0) return;
        driver.forbid_legacy_dependency(known);
        free_device(driver, address);
    });
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice device) {
    return guard([&](Driver& driver) {
        require(pool != nullptr);
        driver.check_device(device);
        *pool = &default_pool(driver);
    });
}

CUresult cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice device) {
    return guard([&](Driver& driver) {
        require(pool != nullptr);
        driver.check_device(device);
        *pool = &current_pool(driver);
    });
}

CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool) {
    return guard([&](Driver& driver) {
        driver.check_device(device);
        default_pool(driver);
        driver.current_pool = &driver.get(pool, CUDA_ERROR_INVALID_VALUE);
    });
}

CUresult cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps* properties) {
    return guard([&](Driver& driver) {
        require(pool != nullptr && properties != nullptr);
        require(properties->allocType == 1 && properties->location.id == 0);
        require(properties->handleTypes == 0 && properties->location.type == 1,
                CUDA_ERROR_NOT_SUPPORTED);
        *pool = driver.make<MemoryPool>(nullptr);
    });
}

CUresult cuMemPoolDestroy(CUmemoryPool pool) {
    return guard([&](Driver& driver) {
        MemoryPool& doomed = driver.get(pool, CUDA_ERROR_INVALID_VALUE);
        require(!doomed.is_default);
        if (driver.current_pool == &doomed) driver.current_pool = driver.default_pool;
        doomed.alive = false;  // its memory lives until it is freed
    });
}

CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t) {
    return guard([&](Driver& driver) { driver.get(pool, CUDA_ERROR_INVALID_VALUE); });
}

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void* value) {
    return guard([&](Driver& driver) {
        require(value != nullptr);
        MemoryPool& known = driver.get(pool, CUDA_ERROR_INVALID_VALUE);
        switch (attribute) {
            case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
            case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
            case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
                known.reuse[attribute] = *static_cast<int*>(value);
                return;
            case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
                known.release_threshold = *static_cast<uint64_t*>(value);
                return;
            case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
            case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
                require(*static_cast<uint64_t*>(value) == 0);
                known.high = known.used;
                return;
            default:
                fail(CUDA_ERROR_INVALID_VALUE);
        }
    });
}

CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void* value) {
    return guard([&](Driver& driver) {
        require(value != nullptr);
        MemoryPool& known = driver.get(pool, CUDA_ERROR_INVALID_VALUE);
        switch (attribute) {
            case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
            case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
            case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES: {
                const auto it = known.reuse.find(attribute);
                *static_cast<int*>(value) = it == known.reuse.end() ? 1 : it->second;
                return;
            }
            case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
                *static_cast<uint64_t*>(value) = known.release_threshold;
                return;
            case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
            case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
                *static_cast<uint64_t*>(value) = known.used;
                return;
            case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
            case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
                *static_cast<uint64_t*>(value) = known.high;
                return;
            default:
                fail(CUDA_ERROR_INVALID_VALUE);
        }
    });
}

CUresult cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc* access, size_t count) {
    return guard([&](Driver& driver) {
        driver.get(pool, CUDA_ERROR_INVALID_VALUE);
        require(count == 0 || access != nullptr);
        for (size_t i = 0; i < count; ++i)
            require(access[i].location.type == 1 && access[i].location.id == 0 &&
                    access[i].flags == 3);
    });
}

// ---- Pointers ----

CUresult cuPointerGetAttribute(void* data, CUpointer_attribute attribute, CUdeviceptr address) {
    return guard([&](Driver& driver) {
        require(data != nullptr);
        const PointerFacts facts = pointer_facts(driver, address);
        // Unlike the plural function, this one leaves the output alone where there is no answer.
        uint64_t value[2];
        require(get_attribute(facts, attribute, value));
        get_attribute(facts, attribute, data);
    });
}

CUresult cuPointerGetAttributes(unsigned count, CUpointer_attribute* attributes, void** data,
                                CUdeviceptr address) {
    return guard([&](Driver& driver) {
        require(count > 0 && attributes != nullptr && data != nullptr);
        const PointerFacts facts = pointer_facts(driver, address);
        for (unsigned i = 0; i < count; ++i) {
            require(data[i] != nullptr);
            get_attribute(facts, attributes[i], data[i]);
        }
    });
}

CUresult cuPointerSetAttribute(const void* value, CUpointer_attribute attribute,
                               CUdeviceptr address) {
    return guard([&](Driver& driver) {
        require(value != nullptr && attribute == CU_POINTER_ATTRIBUTE_SYNC_MEMOPS);
        require(pointer_facts(driver, address).known);
    });
}

}  // extern "C"

}  // namespace emulator::cu
