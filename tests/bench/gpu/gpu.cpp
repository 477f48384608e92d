// See gpu.hpp.
#include "tests/bench/gpu/gpu.hpp"

#include <dlfcn.h>

#include <stdexcept>

namespace fp6llm::bench {
namespace {

/// All functions here are of CUDA 12.0 or older.
constexpr int kDriverVersion = 12000;

template <typename Function>
void find(decltype(&::cuGetProcAddress) get, const char* name, Function& out) {
    void* function = nullptr;
    CUdriverProcAddressQueryResult found{};
    const CUresult result =
        get(name, &function, kDriverVersion, CU_GET_PROC_ADDRESS_LEGACY_STREAM, &found);
    if (result != CUDA_SUCCESS || function == nullptr)
        throw std::runtime_error(std::string("the driver lacks ") + name);
    out = reinterpret_cast<Function>(function);
}

template <typename Function>
void find_symbol(void* library, const char* name, Function& out) {
    out = reinterpret_cast<Function>(dlsym(library, name));
}

CUdeviceptr address(const void* pointer) {
    return reinterpret_cast<CUdeviceptr>(pointer);
}

}  // namespace

GpuBuffer::GpuBuffer(Gpu& gpu, size_t bytes) : gpu_(&gpu), bytes_(bytes) {
    if (bytes > 0) gpu.check(gpu.driver_.MemAlloc(&address_, bytes), "cuMemAlloc");
}

GpuBuffer::~GpuBuffer() {
    if (address_ != 0) gpu_->driver_.MemFree(address_);
}

GpuGraph::~GpuGraph() {
    if (graph_ != nullptr) gpu_->driver_.GraphExecDestroy(graph_);
}

void GpuGraph::launch() const {
    gpu_->check(gpu_->driver_.GraphLaunch(graph_, gpu_->stream_), "cuGraphLaunch");
}

Gpu::Gpu(int ordinal) {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error("there is no CUDA driver (libcuda.so.1)");
    decltype(&::cuGetProcAddress) get = nullptr;
    find_symbol(library, "cuGetProcAddress_v2", get);
    if (get == nullptr) throw std::runtime_error("the CUDA driver is older than 12.0");
#define FP6LLM_FIND(name) find(get, "cu" #name, driver_.name);
    FP6LLM_BENCH_DRIVER_FUNCTIONS(FP6LLM_FIND)
#undef FP6LLM_FIND
    find_symbol(library, "emulatorFindingCount", finding_count_);
    find_symbol(library, "emulatorReportCount", report_count_);
    find_symbol(library, "emulatorGetReport", get_report_);

    check(driver_.Init(0), "cuInit");
    check(driver_.DriverGetVersion(&driver_version_), "cuDriverGetVersion");
    check(driver_.DeviceGet(&device_, ordinal), "cuDeviceGet");
    char name[128] = "";
    check(driver_.DeviceGetName(name, sizeof name, device_), "cuDeviceGetName");
    name_ = name;
    CUcontext context = nullptr;
    check(driver_.DevicePrimaryCtxRetain(&context, device_), "cuDevicePrimaryCtxRetain");
    check(driver_.CtxSetCurrent(context), "cuCtxSetCurrent");
    check(driver_.StreamCreate(&stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    check(driver_.EventCreate(&start_, CU_EVENT_DEFAULT), "cuEventCreate");
    check(driver_.EventCreate(&stop_, CU_EVENT_DEFAULT), "cuEventCreate");
}

Gpu::~Gpu() {
    driver_.EventDestroy(start_);
    driver_.EventDestroy(stop_);
    driver_.StreamDestroy(stream_);
    driver_.DevicePrimaryCtxRelease(device_);
}

void Gpu::check(CUresult result, const char* call) const {
    if (result == CUDA_SUCCESS) return;
    const char* name = nullptr;
    driver_.GetErrorName(result, &name);
    throw std::runtime_error(std::string(call) + ": " +
                             (name != nullptr ? name : std::to_string(result)));
}

int Gpu::attribute(CUdevice_attribute attribute) const {
    int value = 0;
    check(driver_.DeviceGetAttribute(&value, attribute, device_), "cuDeviceGetAttribute");
    return value;
}

size_t Gpu::free_memory() const {
    size_t free = 0, total = 0;
    check(driver_.MemGetInfo(&free, &total), "cuMemGetInfo");
    return free;
}

std::string Gpu::last_report() const {
    const int count = report_count_ != nullptr ? report_count_() : 0;
    const char* report = count > 0 ? get_report_(count - 1) : nullptr;
    return report != nullptr ? report : "";
}

void Gpu::upload(void* to, const void* from, size_t bytes) {
    if (bytes == 0) return;
    check(driver_.MemcpyHtoDAsync(address(to), from, bytes, stream_), "cuMemcpyHtoDAsync");
    synchronize();
}

void Gpu::download(void* to, const void* from, size_t bytes) {
    if (bytes == 0) return;
    check(driver_.MemcpyDtoHAsync(to, address(from), bytes, stream_), "cuMemcpyDtoHAsync");
    synchronize();
}

void Gpu::copy(void* to, const void* from, size_t bytes) {
    if (bytes == 0) return;
    check(driver_.MemcpyDtoDAsync(address(to), address(from), bytes, stream_), "cuMemcpyDtoDAsync");
}

void Gpu::fill(void* to, uint8_t value, size_t bytes) {
    if (bytes == 0) return;
    check(driver_.MemsetD8Async(address(to), value, bytes, stream_), "cuMemsetD8Async");
}

void Gpu::synchronize() {
    check(driver_.StreamSynchronize(stream_), "cuStreamSynchronize");
}

GpuGraph Gpu::capture(const std::function<void()>& enqueue) {
    CUgraph graph = nullptr;
    check(driver_.StreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
          "cuStreamBeginCapture");
    try {
        enqueue();
    } catch (...) {
        driver_.StreamEndCapture(stream_, &graph);
        if (graph != nullptr) driver_.GraphDestroy(graph);
        throw;
    }
    check(driver_.StreamEndCapture(stream_, &graph), "cuStreamEndCapture");
    CUgraphExec executable = nullptr;
    const CUresult result = driver_.GraphInstantiateWithFlags(&executable, graph, 0);
    driver_.GraphDestroy(graph);
    check(result, "cuGraphInstantiateWithFlags");
    return GpuGraph(*this, executable);
}

double Gpu::time(const std::function<void()>& enqueue) {
    check(driver_.EventRecord(start_, stream_), "cuEventRecord");
    enqueue();
    check(driver_.EventRecord(stop_, stream_), "cuEventRecord");
    check(driver_.EventSynchronize(stop_), "cuEventSynchronize");
    float milliseconds = 0;
    check(driver_.EventElapsedTime(&milliseconds, start_, stop_), "cuEventElapsedTime");
    return 1e3 * static_cast<double>(milliseconds);
}

}  // namespace fp6llm::bench
