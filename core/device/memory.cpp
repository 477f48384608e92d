#include "core/device/memory.hpp"

namespace fp6llm::cuda {
namespace {

CUdeviceptr address(const void* pointer) noexcept {
    return reinterpret_cast<CUdeviceptr>(pointer);
}

}  // namespace

DeviceBuffer::DeviceBuffer(const ScopedContext& context, size_t bytes) {
    if (bytes == 0) return;
    const RelaxedCapture relaxed;
    const CUresult result = driver().MemAlloc(&address_, bytes);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
        fail(Status::kAllocFailed, "out of device memory: %zu bytes", bytes);
    }
    check(result, "cuMemAlloc");
    size_ = bytes;
    context_id_ = context.id();
    primary_ = context.primary();
}

DeviceBuffer::~DeviceBuffer() {
    const Driver* cu = loaded_driver();
    if (address_ == 0 || cu == nullptr) return;
    // A destroyed context frees its memory, and the address may since be somebody else's: ask whose
    // it is now. This way no handle of a destroyed context is ever passed to the driver.
    CUcontext owner = nullptr;
    CUpointer_attribute attribute = CU_POINTER_ATTRIBUTE_CONTEXT;
    void* values[] = {&owner};
    unsigned long long id = 0;
    if (cu->PointerGetAttributes(1, &attribute, values, address_) != CUDA_SUCCESS ||
        owner == nullptr || cu->CtxGetId(owner, &id) != CUDA_SUCCESS || id != context_id_) {
        return;
    }
    if (cu->CtxPushCurrent(owner) != CUDA_SUCCESS) return;
    {
        const RelaxedCapture relaxed;
        cu->MemFree(address_);
    }
    cu->CtxPopCurrent(&owner);
}

void DeviceBuffer::swap(DeviceBuffer& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(size_, other.size_);
    std::swap(context_id_, other.context_id_);
    primary_.swap(other.primary_);
}

void copy_to_device(void* to, const void* from_host, size_t bytes, CUstream stream) {
    if (bytes == 0) return;
    check(driver().MemcpyHtoDAsync(address(to), from_host, bytes, stream), "cuMemcpyHtoDAsync");
}

void copy_to_host(void* to_host, const void* from, size_t bytes, CUstream stream) {
    if (bytes == 0) return;
    check(driver().MemcpyDtoHAsync(to_host, address(from), bytes, stream), "cuMemcpyDtoHAsync");
}

void copy_on_device(void* to, const void* from, size_t bytes, CUstream stream) {
    if (bytes == 0) return;
    check(driver().MemcpyDtoDAsync(address(to), address(from), bytes, stream), "cuMemcpyDtoDAsync");
}

void fill_bytes(void* to, uint8_t value, size_t bytes, CUstream stream) {
    if (bytes == 0) return;
    check(driver().MemsetD8Async(address(to), value, bytes, stream), "cuMemsetD8Async");
}

namespace {

CUresult ask(const Driver& driver, const void* pointer, PointerInfo* info) {
    unsigned type = 0;
    int is_managed = 0;
    int ordinal = -1;
    CUpointer_attribute attributes[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                        CU_POINTER_ATTRIBUTE_IS_MANAGED,
                                        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL};
    void* values[] = {&type, &is_managed, &ordinal};
    // The plural form answers zeros, not an error, for a pointer that CUDA does not know.
    const CUresult result = driver.PointerGetAttributes(3, attributes, values, address(pointer));
    *info = {PointerInfo::Kind::kUnknown, -1};
    if (result != CUDA_SUCCESS) return result;
    if (is_managed != 0) {
        *info = {PointerInfo::Kind::kManaged, ordinal};
    } else if (type == CU_MEMORYTYPE_DEVICE) {
        *info = {PointerInfo::Kind::kDevice, ordinal};
    } else if (type == CU_MEMORYTYPE_HOST) {
        info->kind = PointerInfo::Kind::kHost;
    }
    return CUDA_SUCCESS;
}

/// Memory that went with a destroyed context is unknown, too; then that is what to say.
void check_current_context(const Driver& driver) {
    CUcontext current = nullptr;
    unsigned long long id = 0;
    if (driver.CtxGetCurrent(&current) != CUDA_SUCCESS || current == nullptr) return;
    check(driver.CtxGetId(current, &id), "cuCtxGetId of the current context");
}

}  // namespace

PointerInfo pointer_info(const Driver& driver, const void* pointer) {
    PointerInfo info{};
    ask(driver, pointer, &info);
    return info;
}

void check_device_pointer(const void* pointer, int ordinal, const char* name) {
    if (pointer == nullptr) return;
    PointerInfo info{};
    // A driver that cannot tell, because of an earlier fault say, is not the pointer's fault.
    const CUresult result = ask(driver(), pointer, &info);
    if (result != CUDA_ERROR_INVALID_VALUE) check(result, "cuPointerGetAttributes");
    // Refused also where the device could follow it (HMM, ATS): it is nearly always a mistake there,
    // and what a call answers should not depend on the machine.
    if (info.kind == PointerInfo::Kind::kUnknown) {
        check_current_context(driver());
        fail(Status::kInvalidValue,
             "%s = %p is a host pointer; the handle's backend is CUDA, which takes device memory",
             name, pointer);
    }
    if (info.kind == PointerInfo::Kind::kDevice && info.ordinal != ordinal) {
        fail(Status::kInvalidValue, "%s = %p is memory of device %d; the handle's is device %d",
             name, pointer, info.ordinal, ordinal);
    }
}

}  // namespace fp6llm::cuda
