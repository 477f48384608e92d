// Device memory: owned buffers, copies on a stream, and telling host from device pointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "core/device/context.hpp"

namespace fp6llm::cuda {

/// Memory of one context. It may be dropped on any thread, in any order with handles, and after its
/// context was destroyed, which took the memory with it.
class DeviceBuffer {
  public:
    DeviceBuffer() noexcept = default;
    /// `bytes` with unspecified contents, aligned to 256. Throws ALLOC_FAILED. 0 bytes allocate
    /// nothing.
    DeviceBuffer(const ScopedContext& context, size_t bytes);
    DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
    DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
        DeviceBuffer(std::move(other)).swap(*this);
        return *this;
    }
    DeviceBuffer(const DeviceBuffer&) = delete;
    DeviceBuffer& operator=(const DeviceBuffer&) = delete;
    ~DeviceBuffer();

    void* data() const noexcept { return reinterpret_cast<void*>(address_); }
    size_t size() const noexcept { return size_; }
    /// Id of the context it belongs to.
    unsigned long long context_id() const noexcept { return context_id_; }
    void swap(DeviceBuffer& other) noexcept;

  private:
    CUdeviceptr address_ = 0;
    size_t size_ = 0;
    unsigned long long context_id_ = 0;
    std::shared_ptr<PrimaryContext> primary_;  ///< keeps the context if it is the primary one
};

/// Copies enqueued on a stream of the current context. Host memory that is not pinned is read before
/// copy_to_device() returns, but copy_to_host() needs a synchronization before its result is there.
void copy_to_device(void* to, const void* from_host, size_t bytes, CUstream stream);
void copy_to_host(void* to_host, const void* from, size_t bytes, CUstream stream);
void copy_on_device(void* to, const void* from, size_t bytes, CUstream stream);
void fill_bytes(void* to, uint8_t value, size_t bytes, CUstream stream);

/// What the driver knows of a pointer.
struct PointerInfo {
    enum class Kind { kUnknown, kHost, kDevice, kManaged };  ///< kUnknown: ordinary host memory
    Kind kind;
    int ordinal;  ///< of the device, for kDevice
};
PointerInfo pointer_info(const Driver& driver, const void* pointer);

/// Throws INVALID_VALUE, with the argument's name, unless kernels on device `ordinal` can follow the
/// pointer: memory of that device, managed, or pinned host memory. NULL passes.
void check_device_pointer(const void* pointer, int ordinal, const char* name);

}  // namespace fp6llm::cuda
