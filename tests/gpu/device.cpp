#include "tests/gpu/device.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace fp6llm::gpu_test {
namespace {

template <typename Function>
void find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    if (function == nullptr) throw std::runtime_error(std::string("libcuda.so.1 lacks ") + name);
}

void check(int result, const char* call) {
    if (result != 0)
        throw std::runtime_error(std::string(call) + " answers " + std::to_string(result));
}

}  // namespace

Handle make_handle(fp6llmBackend_t backend, int device) {
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = backend;
    if (device >= 0) config.device = device;
    fp6llmHandle_t handle = nullptr;
    fp6llmCreateWithConfig(&handle, &config);
    return Handle(handle);
}

std::string last_error() {
    char text[1024] = "";
    fp6llmGetLastErrorString(text, sizeof text, nullptr);
    return text;
}

const Driver& Driver::get() {
    static const Driver driver;
    return driver;
}

Driver::Driver() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == nullptr) throw std::runtime_error(dlerror());
    int (*init)(unsigned);
    int (*device_get)(int*, int);
    int (*retain)(void**, int);
    int (*set_current)(void*);
    find(library, "cuInit", init);
    find(library, "cuDeviceGet", device_get);
    find(library, "cuDevicePrimaryCtxRetain", retain);
    find(library, "cuCtxSetCurrent", set_current);
    find(library, "cuMemAlloc_v2", mem_alloc_);
    find(library, "cuMemFree_v2", mem_free_);
    find(library, "cuMemcpyHtoD_v2", memcpy_htod_);
    find(library, "cuMemcpyDtoH_v2", memcpy_dtoh_);
    find(library, "cuCtxSynchronize", synchronize_);
    int device = 0;
    void* context = nullptr;
    check(init(0), "cuInit");
    check(device_get(&device, 0), "cuDeviceGet");
    check(retain(&context, device), "cuDevicePrimaryCtxRetain");
    check(set_current(context), "cuCtxSetCurrent");
    finding_count_ =
        reinterpret_cast<decltype(finding_count_)>(dlsym(library, "emulatorFindingCount"));
    if (finding_count_ == nullptr) return;
    find(library, "emulatorSetSeed", set_seed_);
    find(library, "emulatorReportCount", report_count_);
    find(library, "emulatorGetReport", report_);
    find(library, "emulatorClearReports", clear_reports_);
    find(library, "emulatorInjectFailure", inject_failure_);
    find(library, "emulatorClearFailures", clear_failures_);
}

uint64_t Driver::allocate(size_t bytes) const {
    uint64_t address = 0;
    check(mem_alloc_(&address, bytes), "cuMemAlloc");
    return address;
}

void Driver::free(uint64_t address) const noexcept {
    mem_free_(address);
}

void Driver::to_device(uint64_t to, const void* from, size_t bytes) const {
    if (bytes > 0) check(memcpy_htod_(to, from, bytes), "cuMemcpyHtoD");
}

void Driver::to_host(void* to, uint64_t from, size_t bytes) const {
    if (bytes > 0) check(memcpy_dtoh_(to, from, bytes), "cuMemcpyDtoH");
}

void Driver::synchronize() const {
    check(synchronize_(), "cuCtxSynchronize");
}

void Driver::inject(Failure failure, int after, int code) const {
    if (is_emulated()) inject_failure_(static_cast<int>(failure), after, code);
}

void Driver::clear_failures() const {
    if (is_emulated()) clear_failures_();
}

void Driver::set_seed(unsigned long long seed) const {
    if (is_emulated()) set_seed_(seed);
}

unsigned long long Driver::finding_count() const {
    return is_emulated() ? finding_count_() : 0;
}

std::string Driver::findings() const {
    std::string text;
    for (int i = 0; is_emulated() && i < report_count_() && text.size() < 4000; ++i) {
        const char* report = report_(i);
        if (report == nullptr || std::strstr(report, "\"findings\": []") != nullptr) continue;
        text.append(report).append("\n");
    }
    return text.substr(0, 6000);
}

void Driver::clear_findings() const {
    if (is_emulated()) clear_reports_();
}

std::vector<LaunchReport> Driver::reports() const {
    std::vector<LaunchReport> reports;
    for (int i = 0; is_emulated() && i < report_count_(); ++i)
        if (const char* text = report_(i)) reports.emplace_back(text);
    return reports;
}

std::optional<LaunchReport> Driver::report(const std::string& kernel) const {
    std::optional<LaunchReport> last;
    for (LaunchReport& report : reports())
        if (report.kernel().rfind(kernel, 0) == 0) last = std::move(report);
    return last;
}

long long Driver::counter(const std::string& kernel, const std::string& name) const {
    long long value = -1;
    for (int i = 0; is_emulated() && i < report_count_(); ++i) {
        const char* text = report_(i);
        const std::string report = text != nullptr ? text : "";
        const std::string key = "\"" + name + "\": ";
        const size_t at = report.find(key);
        if (at != std::string::npos && report.find("\"" + kernel + "\"") != std::string::npos)
            value = std::stoll(report.substr(at + key.size()));
    }
    return value;
}

namespace {

/// A driver function by name, called with what the compiler makes of the arguments.
template <typename... Arguments>
void call(const char* name, Arguments... arguments) {
    int (*function)(Arguments...);
    find(dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD), name, function);
    check(function(arguments...), name);
}

constexpr int kCaptureThreadLocal = 1;
constexpr unsigned kNonBlocking = 1;

}  // namespace

size_t Driver::free_bytes() const {
    size_t free = 0, total = 0;
    call("cuMemGetInfo_v2", &free, &total);
    return free;
}

OwnContext::OwnContext(int device) {
    Driver::get();
    call("cuCtxCreate_v2", &context_, 0u, device);
    void* popped = nullptr;
    call("cuCtxPopCurrent_v2", &popped);
}

void OwnContext::destroy() noexcept {
    if (context_ != nullptr) call("cuCtxDestroy_v2", context_);
    context_ = nullptr;
}

Current::Current(void* context) {
    call("cuCtxGetCurrent", &before_);
    call("cuCtxSetCurrent", context);
}

Current::~Current() {
    call("cuCtxSetCurrent", before_);
}

RecordingStream::RecordingStream() {
    Driver::get();
    call("cuStreamCreate", &stream_, kNonBlocking);
}

RecordingStream::~RecordingStream() {
    if (executable_ != nullptr) call("cuGraphExecDestroy", executable_);
    if (graph_ != nullptr) call("cuGraphDestroy", graph_);
    call("cuStreamDestroy_v2", stream_);
}

void RecordingStream::begin() {
    call("cuStreamBeginCapture_v2", stream_, kCaptureThreadLocal);
}

void RecordingStream::end() {
    call("cuStreamEndCapture", stream_, &graph_);
    call("cuGraphInstantiateWithFlags", &executable_, graph_, 0ull);
}

void RecordingStream::replay() {
    call("cuGraphLaunch", executable_, stream_);
    wait();
}

void RecordingStream::wait() const {
    call("cuStreamSynchronize", stream_);
}

DeviceBytes::DeviceBytes(size_t bytes, size_t offset)
    : bytes_(bytes),
      offset_(offset),
      address_(Driver::get().allocate(bytes + offset + 2 * kCanary)) {
    const std::vector<uint8_t> fill(bytes + offset + 2 * kCanary, kFill);
    Driver::get().to_device(address_, fill.data(), fill.size());
}

std::vector<uint8_t> DeviceBytes::bytes() const {
    Driver::get().synchronize();
    std::vector<uint8_t> all(bytes_ + offset_ + 2 * kCanary);
    Driver::get().to_host(all.data(), address_, all.size());
    const auto is_canary = [](uint8_t byte) { return byte == kFill; };
    const auto first = all.begin() + static_cast<ptrdiff_t>(begin());
    const auto last = first + static_cast<ptrdiff_t>(bytes_);
    EXPECT_TRUE(std::all_of(all.begin(), first, is_canary)) << "written before the buffer";
    EXPECT_TRUE(std::all_of(last, all.end(), is_canary)) << "written behind the buffer";
    return {first, last};
}

}  // namespace fp6llm::gpu_test
