// Whose context a call runs in: the thread's current context if it is of the handle's device, as
// cuBLAS has it, else the device's primary context, which cudart and frameworks use.
//
// A context is known by its cuCtxGetId(), which is never given twice: a CUcontext may be destroyed
// under us and another made at the same address.
#pragma once

#include <memory>

#include "core/device/driver.hpp"

namespace fp6llm::cuda {

/// A retained primary context. Whatever lives in it (a weight's memory) shares one of these.
class PrimaryContext {
  public:
    explicit PrimaryContext(int ordinal);
    PrimaryContext(const PrimaryContext&) = delete;
    PrimaryContext& operator=(const PrimaryContext&) = delete;
    ~PrimaryContext();

    CUcontext get() const noexcept { return context_; }
    unsigned long long id() const noexcept { return id_; }

  private:
    CUdevice device_ = 0;
    CUcontext context_ = nullptr;
    unsigned long long id_ = 0;
};

/// A handle's primary context, retained when it is first needed.
class DeviceContext {
  public:
    explicit DeviceContext(int ordinal) noexcept : ordinal_(ordinal) {}
    int ordinal() const noexcept { return ordinal_; }
    CUdevice device();
    /// Retains it unless it is. Throws what the driver answers.
    const std::shared_ptr<PrimaryContext>& primary();
    /// The same if somebody has made it already, else null: making one takes time and memory.
    std::shared_ptr<PrimaryContext> primary_if_active();
    /// Lets go of a primary context that does not work any more (cudaDeviceReset()), so that the
    /// next call gets the new one.
    void forget() noexcept { primary_.reset(); }

  private:
    int ordinal_;
    bool is_device_known_ = false;
    CUdevice device_ = 0;
    std::shared_ptr<PrimaryContext> primary_;
};

/// Makes a context of the device current while it lives; then the thread has again what it had.
class ScopedContext {
  public:
    /// Throws EXECUTION_FAILED if the context was destroyed.
    explicit ScopedContext(DeviceContext& device);
    ScopedContext(const ScopedContext&) = delete;
    ScopedContext& operator=(const ScopedContext&) = delete;
    ~ScopedContext();

    unsigned long long id() const noexcept { return id_; }
    /// Set when it is the primary context: what lives in it shares this, so as to keep it.
    const std::shared_ptr<PrimaryContext>& primary() const noexcept { return primary_; }

  private:
    std::shared_ptr<PrimaryContext> primary_;
    unsigned long long id_ = 0;
    bool is_pushed_ = false;
};

/// Lets this thread allocate and load modules while a stream is being captured into a graph.
class RelaxedCapture {
  public:
    RelaxedCapture() noexcept;
    RelaxedCapture(const RelaxedCapture&) = delete;
    RelaxedCapture& operator=(const RelaxedCapture&) = delete;
    ~RelaxedCapture();

  private:
    CUstreamCaptureMode mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;
};

}  // namespace fp6llm::cuda
