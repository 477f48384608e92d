// One call's way to a GPU: the device, its context (current while the Queue lives), the stream.
// Everything in quantize/cuda, prepack/cuda and gemm/cuda takes one as its first argument.
#pragma once

#include "core/device/launch.hpp"
#include "core/device/memory.hpp"
#include "core/device/properties.hpp"

namespace fp6llm::cuda {

class Queue {
  public:
    Queue(DeviceContext& context, const DeviceProperties& device, CUstream stream)
        : context_(context), device_(device), stream_(stream) {}

    const DeviceProperties& device() const noexcept { return device_; }
    const ScopedContext& context() const noexcept { return context_; }
    CUstream stream() const noexcept { return stream_; }

    const Kernel& kernel(const Fatbin& fatbin, const char* name) const {
        return find_kernel(context_, fatbin, name);
    }
    /// For what is kept, or is large. Not on the way of a hot call.
    DeviceBuffer allocate(size_t bytes) const { return DeviceBuffer(context_, bytes); }
    /// Waits for the stream. Errors of what it ran surface here. NOT_SUPPORTED during capture.
    void synchronize() const { check(driver().StreamSynchronize(stream_), "cuStreamSynchronize"); }

  private:
    ScopedContext context_;
    const DeviceProperties& device_;
    CUstream stream_;
};

}  // namespace fp6llm::cuda
