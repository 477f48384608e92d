// What GPU tests need besides the library: the driver's memory functions, buffers with canaries,
// and the emulated GPU's findings. The driver is whatever libcuda.so.1 the loader finds; nothing of
// CUDA is linked, so that the library's own way to it is the one under test.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fp6llm/fp6llm.h"
#include "tests/gpu/launch_report.hpp"

namespace fp6llm::gpu_test {

struct Destroy {
    void operator()(fp6llmHandle_t handle) const { fp6llmDestroy(handle); }
    void operator()(fp6llmWeight_t weight) const { fp6llmWeightDestroy(weight); }
};
using Handle = std::unique_ptr<fp6llmContext, Destroy>;
using Weight = std::unique_ptr<fp6llmWeight, Destroy>;

/// A handle of a backend; NULL, and why in last_error(), if there is none.
Handle make_handle(fp6llmBackend_t backend, int device = -1);
std::string last_error();

/// The driver and device 0's primary context, which stays current on this thread.
class Driver {
  public:
    /// Throws std::runtime_error if there is none.
    static const Driver& get();

    uint64_t allocate(size_t bytes) const;
    void free(uint64_t address) const noexcept;
    void to_device(uint64_t to, const void* from, size_t bytes) const;
    void to_host(void* to, uint64_t from, size_t bytes) const;
    void synchronize() const;
    /// Waits, and gives what the driver answers: errors of earlier work are no exception here.
    int wait() const noexcept { return synchronize_(); }
    size_t free_bytes() const;  ///< of device memory

    /// Of the emulated GPU; elsewhere these do nothing and find nothing.
    bool is_emulated() const noexcept { return finding_count_ != nullptr; }
    void set_seed(unsigned long long seed) const;
    unsigned long long finding_count() const;
    std::string findings() const;
    void clear_findings() const;
    /// The last launch since the last clear whose kernel's name begins so; none on a GPU that does not
    /// count, or if there was none.
    std::optional<LaunchReport> report(const std::string& kernel) const;
    /// Of all launches since the last clear.
    std::vector<LaunchReport> reports() const;
    /// A counter of the last launch of a kernel since the last clear; -1 on a GPU that does not
    /// count.
    long long counter(const std::string& kernel, const std::string& name) const;
    /// The next `after` operations of a kind succeed, then one fails with a CUresult (kDevice: all do).
    enum class Failure { kAllocation, kLaunch, kExecution, kDevice, kCopy };
    void inject(Failure failure, int after, int code) const;
    void clear_failures() const;

  private:
    Driver();

    int (*mem_alloc_)(uint64_t*, size_t);
    int (*mem_free_)(uint64_t);
    int (*memcpy_htod_)(uint64_t, const void*, size_t);
    int (*memcpy_dtoh_)(void*, uint64_t, size_t);
    int (*synchronize_)();
    void (*set_seed_)(unsigned long long);
    unsigned long long (*finding_count_)();
    int (*report_count_)();
    const char* (*report_)(int);
    void (*clear_reports_)();
    void (*inject_failure_)(int, int, int);
    void (*clear_failures_)();
};

/// A context beside its device's primary one.
class OwnContext {
  public:
    explicit OwnContext(int device = 0);
    ~OwnContext() { destroy(); }
    OwnContext(const OwnContext&) = delete;
    OwnContext& operator=(const OwnContext&) = delete;

    void* get() const noexcept { return context_; }
    void destroy() noexcept;

  private:
    void* context_ = nullptr;
};

/// Makes a context, or none (nullptr), current on this thread while it lives.
class Current {
  public:
    explicit Current(const OwnContext& context) : Current(context.get()) {}
    explicit Current(std::nullptr_t) : Current(static_cast<void*>(nullptr)) {}
    ~Current();
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;

  private:
    explicit Current(void* context);
    void* before_ = nullptr;
};

/// A stream of its own; records what is enqueued on it and runs that again, as a CUDA graph.
class RecordingStream {
  public:
    RecordingStream();
    ~RecordingStream();
    RecordingStream(const RecordingStream&) = delete;
    RecordingStream& operator=(const RecordingStream&) = delete;

    fp6llmStream_t get() const noexcept { return stream_; }
    void begin();
    void end();
    /// Runs the recorded once and waits for it.
    void replay();
    void wait() const;

  private:
    fp6llmStream_t stream_ = nullptr;
    void* graph_ = nullptr;
    void* executable_ = nullptr;
};

/// Device memory between canaries. `offset` moves its begin away from the driver's alignment.
class DeviceBytes {
  public:
    explicit DeviceBytes(size_t bytes, size_t offset = 0);
    template <typename T>
    explicit DeviceBytes(const std::vector<T>& data, size_t offset = 0)
        : DeviceBytes(data.size() * sizeof(T), offset) {
        Driver::get().to_device(address_ + begin(), data.data(), bytes_);
    }
    DeviceBytes(const DeviceBytes&) = delete;
    DeviceBytes& operator=(const DeviceBytes&) = delete;
    ~DeviceBytes() { Driver::get().free(address_); }

    void* data() const noexcept { return reinterpret_cast<void*>(address_ + begin()); }
    size_t size() const noexcept { return bytes_; }
    /// What is in it, after all that was enqueued; fails the test if a canary was overwritten.
    std::vector<uint8_t> bytes() const;
    template <typename T>
    std::vector<T> read() const {
        const std::vector<uint8_t> raw = bytes();
        std::vector<T> out(raw.size() / sizeof(T));
        std::copy(raw.begin(), raw.end(), reinterpret_cast<uint8_t*>(out.data()));
        return out;
    }

    static constexpr uint8_t kFill = 0xA5;  ///< of canaries and of fresh memory

  private:
    static constexpr size_t kCanary = 256;
    uint64_t begin() const noexcept { return kCanary + offset_; }

    size_t bytes_, offset_;
    uint64_t address_;
};

}  // namespace fp6llm::gpu_test
