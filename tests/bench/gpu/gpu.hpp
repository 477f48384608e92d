// One GPU for the benchmark, by the driver API alone (core/device says why): memory, one stream, graphs
// of many calls and how long they take. Functions are found at run time, as the library does.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace fp6llm::bench {

class Gpu;

/// Device memory.
class GpuBuffer {
  public:
    GpuBuffer() noexcept = default;
    /// Throws std::runtime_error if there is not so much.
    GpuBuffer(Gpu& gpu, size_t bytes);
    GpuBuffer(GpuBuffer&& other) noexcept { swap(other); }
    GpuBuffer& operator=(GpuBuffer&& other) noexcept {
        GpuBuffer(std::move(other)).swap(*this);
        return *this;
    }
    ~GpuBuffer();
    void swap(GpuBuffer& other) noexcept {
        std::swap(gpu_, other.gpu_);
        std::swap(address_, other.address_);
        std::swap(bytes_, other.bytes_);
    }
    uint8_t* data() const noexcept { return reinterpret_cast<uint8_t*>(address_); }
    size_t size() const noexcept { return bytes_; }

  private:
    Gpu* gpu_ = nullptr;
    CUdeviceptr address_ = 0;
    size_t bytes_ = 0;
};

/// Calls captured into a graph, to be replayed at once.
class GpuGraph {
  public:
    GpuGraph() noexcept = default;
    GpuGraph(Gpu& gpu, CUgraphExec graph) noexcept : gpu_(&gpu), graph_(graph) {}
    GpuGraph(GpuGraph&& other) noexcept { *this = std::move(other); }
    GpuGraph& operator=(GpuGraph&& other) noexcept {
        std::swap(gpu_, other.gpu_);
        std::swap(graph_, other.graph_);
        return *this;
    }
    ~GpuGraph();
    /// Enqueues all its calls.
    void launch() const;

  private:
    Gpu* gpu_ = nullptr;
    CUgraphExec graph_ = nullptr;
};

class Gpu {
  public:
    /// Device `ordinal` with its primary context current. Throws std::runtime_error.
    explicit Gpu(int ordinal);
    Gpu(const Gpu&) = delete;
    Gpu& operator=(const Gpu&) = delete;
    ~Gpu();

    const std::string& name() const noexcept { return name_; }
    int driver_version() const noexcept { return driver_version_; }
    int attribute(CUdevice_attribute attribute) const;
    size_t free_memory() const;
    CUstream stream() const noexcept { return stream_; }

    /// Whether this is tests/emulator: nothing that it takes time for says anything of a GPU.
    bool is_emulated() const noexcept { return finding_count_ != nullptr; }
    /// What the emulator's detectors found so far, and its last launch's counters as JSON.
    uint64_t findings() const { return is_emulated() ? finding_count_() : 0; }
    std::string last_report() const;

    void upload(void* to, const void* from, size_t bytes);
    void download(void* to, const void* from, size_t bytes);
    void copy(void* to, const void* from, size_t bytes);
    void fill(void* to, uint8_t value, size_t bytes);
    void synchronize();

    /// What `enqueue` puts on stream(), as a graph.
    GpuGraph capture(const std::function<void()>& enqueue);
    /// Microseconds between two events around what `enqueue` puts on stream().
    double time(const std::function<void()>& enqueue);

  private:
    friend class GpuBuffer;
    friend class GpuGraph;

// clang-format off
#define FP6LLM_BENCH_DRIVER_FUNCTIONS(X) \
    X(CtxSetCurrent) \
    X(DeviceGet) \
    X(DeviceGetAttribute) \
    X(DeviceGetName) \
    X(DevicePrimaryCtxRelease) \
    X(DevicePrimaryCtxRetain) \
    X(DriverGetVersion) \
    X(EventCreate) \
    X(EventDestroy) \
    X(EventElapsedTime) \
    X(EventRecord) \
    X(EventSynchronize) \
    X(GetErrorName) \
    X(GraphDestroy) \
    X(GraphExecDestroy) \
    X(GraphInstantiateWithFlags) \
    X(GraphLaunch) \
    X(Init) \
    X(MemAlloc) \
    X(MemFree) \
    X(MemGetInfo) \
    X(MemcpyDtoDAsync) \
    X(MemcpyDtoHAsync) \
    X(MemcpyHtoDAsync) \
    X(MemsetD8Async) \
    X(StreamBeginCapture) \
    X(StreamCreate) \
    X(StreamDestroy) \
    X(StreamEndCapture) \
    X(StreamSynchronize)
// clang-format on
#define FP6LLM_MEMBER(name) decltype(&::cu##name) name;
    struct Driver {
        FP6LLM_BENCH_DRIVER_FUNCTIONS(FP6LLM_MEMBER)
    };
#undef FP6LLM_MEMBER

    void check(CUresult result, const char* call) const;

    Driver driver_{};
    unsigned long long (*finding_count_)() = nullptr;
    int (*report_count_)() = nullptr;
    const char* (*get_report_)(int) = nullptr;
    std::string name_;
    int driver_version_ = 0;
    CUdevice device_ = 0;
    CUstream stream_ = nullptr;
    CUevent start_ = nullptr, stop_ = nullptr;
};

}  // namespace fp6llm::bench
