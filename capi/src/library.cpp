// Functions about the library and the machine: versions, status texts, build info, devices.
#include <cstdio>
#include <sstream>
#include <string>

#include "build_info.hpp"
#include "capi/src/checks.hpp"
#include "capi/src/guard.hpp"
#include "core/backend/backend.hpp"
#include "core/common/cpu.hpp"
#include "core/gemm/cpu/kernel.hpp"

#define FP6LLM_TEXT_(x) #x
#define FP6LLM_TEXT(x) FP6LLM_TEXT_(x)

namespace fp6llm::capi {
namespace {

constexpr const char* kVersionString = FP6LLM_TEXT(FP6LLM_VERSION_MAJOR) "." FP6LLM_TEXT(
    FP6LLM_VERSION_MINOR) "." FP6LLM_TEXT(FP6LLM_VERSION_PATCH);

struct StatusText {
    fp6llmStatus_t status;
    const char* name;
    const char* text;
};

constexpr StatusText kStatusTexts[] = {
    {FP6LLM_STATUS_SUCCESS, "FP6LLM_STATUS_SUCCESS", "The call succeeded."},
    {FP6LLM_STATUS_NOT_INITIALIZED, "FP6LLM_STATUS_NOT_INITIALIZED",
     "The handle is NULL or was not made by this library."},
    {FP6LLM_STATUS_ALLOC_FAILED, "FP6LLM_STATUS_ALLOC_FAILED",
     "Memory could not be allocated; nothing was left behind."},
    {FP6LLM_STATUS_INVALID_VALUE, "FP6LLM_STATUS_INVALID_VALUE", "An argument has a wrong value."},
    {FP6LLM_STATUS_ARCH_MISMATCH, "FP6LLM_STATUS_ARCH_MISMATCH",
     "This processor or device cannot run what was asked."},
    {FP6LLM_STATUS_MAPPING_ERROR, "FP6LLM_STATUS_MAPPING_ERROR",
     "Device memory could not be reached."},
    {FP6LLM_STATUS_EXECUTION_FAILED, "FP6LLM_STATUS_EXECUTION_FAILED",
     "Work that had been started failed."},
    {FP6LLM_STATUS_INTERNAL_ERROR, "FP6LLM_STATUS_INTERNAL_ERROR", "A bug in the library was hit."},
    {FP6LLM_STATUS_NOT_SUPPORTED, "FP6LLM_STATUS_NOT_SUPPORTED",
     "The request is valid, but this build or backend cannot do it."},
};

const StatusText* find_status(fp6llmStatus_t status) noexcept {
    for (const StatusText& row : kStatusTexts) {
        if (row.status == status) return &row;
    }
    return nullptr;
}

/// A list of words with spaces between them, as JSON strings.
std::string quoted(const char* words) {
    std::istringstream in(words);
    std::string out;
    for (std::string word; in >> word;)
        out += (out.empty() ? "\"" : ", \"") + word + '"';
    return out;
}

std::string build_info() {
    std::string isas = "\"portable\"";
    if (avx2_kernels() != nullptr) isas += ", \"avx2\"";
    if (avx512_kernels() != nullptr) isas += ", \"avx512\", \"avx512vnni\", \"avx512bf16\"";
    std::string formats;
    for (const FormatInfo& format : all_formats()) {
        formats += std::string(formats.empty() ? "" : ", ") + '"' + format.name + '"';
    }
    return std::string("{\"version\": \"") + kVersionString +
           "\", \"compiler\": \"" FP6LLM_BUILD_COMPILER
           "\", \"cCompiler\": \"" FP6LLM_BUILD_C_COMPILER "\", \"nvcc\": \"" FP6LLM_BUILD_NVCC
           "\", \"buildType\": \"" FP6LLM_BUILD_TYPE "\", \"system\": \"" FP6LLM_BUILD_SYSTEM
           "\", \"options\": {\"enableCuda\": \"" FP6LLM_BUILD_ENABLE_CUDA
           "\", \"staticLibstdcxx\": \"" FP6LLM_BUILD_STATIC_LIBSTDCXX
           "\", \"sanitizers\": \"" FP6LLM_BUILD_SANITIZERS "\"}, \"cpuIsas\": [" +
           isas + "], \"cudaArchitectures\": [" + quoted(FP6LLM_BUILD_CUDA_ARCHITECTURES) +
           "], \"formats\": [" + formats + "]}";
}

fp6llmDeviceInfo_t cpu_info() {
    fp6llmDeviceInfo_t info = FP6LLM_DEVICE_INFO_INIT;
    info.backend = FP6LLM_BACKEND_CPU;
    std::snprintf(info.name, sizeof info.name, "%s", cpu_model_name().c_str());
    std::snprintf(info.isa, sizeof info.isa, "%s", isa_name(active_isa()));
    info.multiprocessorCount = allowed_cpus();
    info.totalMemory = physical_memory_bytes();
    info.l2CacheBytes = last_level_cache_bytes();
    return info;
}

fp6llmDeviceInfo_t cuda_info(int ordinal) {
    const DeviceDescription device = cuda_device_description(ordinal);
    fp6llmDeviceInfo_t info = FP6LLM_DEVICE_INFO_INIT;
    info.backend = FP6LLM_BACKEND_CUDA;
    info.ordinal = ordinal;
    std::snprintf(info.name, sizeof info.name, "%s", device.name.c_str());
    std::snprintf(info.isa, sizeof info.isa, "%s", device.isa.c_str());
    info.computeCapabilityMajor = device.major;
    info.computeCapabilityMinor = device.minor;
    info.multiprocessorCount = device.multiprocessors;
    info.driverVersion = device.driver_version;
    info.totalMemory = device.total_memory;
    info.sharedMemoryPerBlock = device.shared_per_block;
    info.l2CacheBytes = device.l2_bytes;
    return info;
}

}  // namespace
}  // namespace fp6llm::capi

using namespace fp6llm;
using namespace fp6llm::capi;

fp6llmStatus_t fp6llmGetVersion(int* version) {
    return guard([&] {
        check_out(version, "version");
        *version = FP6LLM_VERSION;
    });
}

const char* fp6llmGetVersionString(void) {
    return kVersionString;
}

const char* fp6llmGetStatusName(fp6llmStatus_t status) {
    const StatusText* row = find_status(status);
    return row != nullptr ? row->name : "unknown status";
}

const char* fp6llmGetStatusString(fp6llmStatus_t status) {
    const StatusText* row = find_status(status);
    return row != nullptr ? row->text : "Not a status of this library.";
}

fp6llmStatus_t fp6llmGetBuildInfo(char* buffer, size_t size, size_t* needed) {
    try {
        return copy_text(build_info().c_str(), buffer, size, needed);
    } catch (...) {
        return report_current_exception(nullptr);
    }
}

fp6llmStatus_t fp6llmGetLastErrorString(char* buffer, size_t size, size_t* needed) {
    return copy_text(last_error(), buffer, size, needed);
}

fp6llmStatus_t fp6llmGetDeviceCount(fp6llmBackend_t backend, int* count) {
    return guard([&] {
        check_out(count, "count");
        check_backend(backend, "backend");
        const int cpus = backend == FP6LLM_BACKEND_CUDA ? 0 : 1;
        *count = cpus + (backend == FP6LLM_BACKEND_CPU ? 0 : cuda_device_count(nullptr));
    });
}

fp6llmStatus_t fp6llmGetDeviceInfo(fp6llmBackend_t backend, int ordinal, fp6llmDeviceInfo_t* info) {
    return guard([&] {
        check_out_struct(info, "info");
        check_backend(backend, "backend");
        if (backend == FP6LLM_BACKEND_AUTO) {
            fail(Status::kInvalidValue, "backend = AUTO; name CPU or CUDA");
        }
        std::string why;
        const int count = backend == FP6LLM_BACKEND_CPU ? 1 : cuda_device_count(&why);
        if (ordinal < 0 || ordinal >= count) {
            fail(Status::kInvalidValue, "ordinal = %d is not below the device count %d%s%s",
                 ordinal, count, why.empty() ? "" : ": ", why.c_str());
        }
        write_struct(info, backend == FP6LLM_BACKEND_CPU ? cpu_info() : cuda_info(ordinal));
    });
}

int fp6llmGetHeaderVersion(void) {
    return FP6LLM_VERSION;
}
size_t fp6llmGetBlobAlignment(void) {
    return FP6LLM_BLOB_ALIGNMENT;
}
int32_t fp6llmGetAlgoDefault(void) {
    return FP6LLM_ALGO_DEFAULT;
}
int32_t fp6llmGetScaleTypeDefault(void) {
    return FP6LLM_SCALE_TYPE_DEFAULT;
}
