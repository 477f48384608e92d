// CUDA handles through the C ABI, over the stub driver.
#include <gtest/gtest.h>

#include <cstring>

#include "fp6llm/fp6llm.h"
#include "tests/unit/device/device_testing.hpp"

namespace {

using fp6llm::testing::passes_in_child;
using fp6llm::testing::stub_controls;

std::string last_error() {
    char text[512] = "";
    fp6llmGetLastErrorString(text, sizeof text, nullptr);
    return text;
}

fp6llmStatus_t create(fp6llmHandle_t* handle, fp6llmBackend_t backend, int device = 0) {
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = backend;
    config.device = device;
    return fp6llmCreateWithConfig(handle, &config);
}

fp6llmBackend_t backend_of(fp6llmHandle_t handle) {
    fp6llmBackend_t backend = FP6LLM_BACKEND_AUTO;
    EXPECT_EQ(fp6llmGetBackend(handle, &backend), FP6LLM_STATUS_SUCCESS);
    return backend;
}

int cuda_devices() {
    int count = -1;
    EXPECT_EQ(fp6llmGetDeviceCount(FP6LLM_BACKEND_CUDA, &count), FP6LLM_STATUS_SUCCESS);
    return count;
}

void expect_text(std::initializer_list<const char*> parts) {
    const std::string text = last_error();
    for (const char* part : parts)
        EXPECT_NE(text.find(part), std::string::npos) << text << " lacks " << part;
}

/// What AUTO and CUDA make of a driver that cannot be used.
void expect_unusable(fp6llmStatus_t status, std::initializer_list<const char*> why) {
    fp6llmHandle_t handle = nullptr;
    EXPECT_EQ(create(&handle, FP6LLM_BACKEND_CUDA), status);
    expect_text(why);
    EXPECT_EQ(handle, nullptr);
    ASSERT_EQ(create(&handle, FP6LLM_BACKEND_AUTO), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(backend_of(handle), FP6LLM_BACKEND_CPU);
    fp6llmDestroy(handle);
}

/// Device memory of the primary context, as cudaMalloc() would give it.
void* device_memory(size_t bytes) {
    using Get = decltype(&::cuGetProcAddress);
    void* library = dlopen("libcuda.so.1", RTLD_NOW);
    const auto get = reinterpret_cast<Get>(dlsym(library, "cuGetProcAddress_v2"));
    const auto find = [&](const char* name) {
        void* function = nullptr;
        get(name, &function, 12000, 0, nullptr);
        return function;
    };
    CUcontext context = nullptr;
    CUdeviceptr pointer = 0;
    reinterpret_cast<decltype(&::cuDevicePrimaryCtxRetain)>(find("cuDevicePrimaryCtxRetain"))(
        &context, 0);
    reinterpret_cast<decltype(&::cuCtxPushCurrent)>(find("cuCtxPushCurrent"))(context);
    reinterpret_cast<decltype(&::cuMemAlloc)>(find("cuMemAlloc"))(&pointer, bytes);
    reinterpret_cast<decltype(&::cuCtxPopCurrent)>(find("cuCtxPopCurrent"))(&context);
    return reinterpret_cast<void*>(pointer);
}

FP6LLM_ISOLATED_TEST(Handle, AutoTakesTheGpu) {
    fp6llmHandle_t handle = nullptr;
    ASSERT_EQ(fp6llmCreate(&handle), FP6LLM_STATUS_SUCCESS) << last_error();
    EXPECT_EQ(backend_of(handle), FP6LLM_BACKEND_CUDA);
    EXPECT_EQ(fp6llmDestroy(handle), FP6LLM_STATUS_SUCCESS);
    ASSERT_EQ(create(&handle, FP6LLM_BACKEND_CPU), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(backend_of(handle), FP6LLM_BACKEND_CPU);
    EXPECT_EQ(fp6llmDestroy(handle), FP6LLM_STATUS_SUCCESS);
}

FP6LLM_ISOLATED_TEST(Handle, CpuByNameLoadsNoDriver) {
    fp6llmHandle_t handle = nullptr;
    ASSERT_EQ(create(&handle, FP6LLM_BACKEND_CPU), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD), nullptr);
    fp6llmDestroy(handle);
}

FP6LLM_ISOLATED_TEST(Handle, DriverThatIsTooOld) {
    setenv("FP6LLM_STUB_VERSION", "11040", 1);
    expect_unusable(FP6LLM_STATUS_NOT_SUPPORTED, {"CUDA", "11.4", "12.0"});
    EXPECT_EQ(cuda_devices(), 0);
    fp6llmDeviceInfo_t info = FP6LLM_DEVICE_INFO_INIT;
    EXPECT_EQ(fp6llmGetDeviceInfo(FP6LLM_BACKEND_CUDA, 0, &info), FP6LLM_STATUS_INVALID_VALUE);
    expect_text({"ordinal = 0", "11.4"});
}

FP6LLM_ISOLATED_TEST(Handle, DriverThatDoesNotInitialize) {
    setenv("FP6LLM_STUB_FAIL", "cuInit=999", 1);
    expect_unusable(FP6LLM_STATUS_NOT_SUPPORTED, {"cuInit", "CUDA_ERROR_UNKNOWN"});
    EXPECT_EQ(cuda_devices(), 0);
    unsetenv("FP6LLM_STUB_FAIL");
    EXPECT_EQ(cuda_devices(), 1) << "a failure must not be remembered";
}

FP6LLM_ISOLATED_TEST(Handle, NoDevice) {
    setenv("FP6LLM_STUB_DEVICES", "0", 1);
    expect_unusable(FP6LLM_STATUS_NOT_SUPPORTED, {"no device"});
}

FP6LLM_ISOLATED_TEST(Handle, DeviceThatIsTooOld) {
    setenv("FP6LLM_STUB_CAPABILITY", "75", 1);
    expect_unusable(FP6LLM_STATUS_ARCH_MISMATCH, {"7.5", "8.0"});
    EXPECT_EQ(cuda_devices(), 1);
}

FP6LLM_ISOLATED_TEST(Handle, DeviceThatIsNotThere) {
    fp6llmHandle_t handle = nullptr;
    EXPECT_EQ(create(&handle, FP6LLM_BACKEND_CUDA, 1), FP6LLM_STATUS_INVALID_VALUE);
    expect_text({"device = 1", "1"});
    EXPECT_EQ(create(&handle, FP6LLM_BACKEND_CUDA, -1), FP6LLM_STATUS_INVALID_VALUE);
    EXPECT_EQ(create(&handle, FP6LLM_BACKEND_AUTO, 1), FP6LLM_STATUS_INVALID_VALUE);
    EXPECT_EQ(handle, nullptr);
}

FP6LLM_ISOLATED_TEST(Handle, ForkedChildFallsBackToTheCpuOrSaysWhy) {
    fp6llmHandle_t handle = nullptr;
    ASSERT_EQ(create(&handle, FP6LLM_BACKEND_CUDA), FP6LLM_STATUS_SUCCESS);
    EXPECT_TRUE(passes_in_child([&] {
        expect_unusable(FP6LLM_STATUS_NOT_SUPPORTED, {"fork"});
        EXPECT_EQ(cuda_devices(), 0);
        EXPECT_EQ(fp6llmDestroy(handle), FP6LLM_STATUS_SUCCESS);
    }));
    fp6llmDestroy(handle);
}

FP6LLM_ISOLATED_TEST(Handle, DeviceInfo) {
    setenv("FP6LLM_STUB_DEVICES", "2", 1);
    EXPECT_EQ(cuda_devices(), 2);
    int all = 0;
    ASSERT_EQ(fp6llmGetDeviceCount(FP6LLM_BACKEND_AUTO, &all), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(all, 3);
    fp6llmDeviceInfo_t info = FP6LLM_DEVICE_INFO_INIT;
    ASSERT_EQ(fp6llmGetDeviceInfo(FP6LLM_BACKEND_CUDA, 1, &info), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(info.backend, FP6LLM_BACKEND_CUDA);
    EXPECT_EQ(info.ordinal, 1);
    EXPECT_STREQ(info.name, "Stub GPU 1");
    EXPECT_STREQ(info.isa, "sm_90");
    EXPECT_EQ(info.computeCapabilityMajor, 9);
    EXPECT_EQ(info.computeCapabilityMinor, 0);
    EXPECT_EQ(info.multiprocessorCount, 132);
    EXPECT_EQ(info.driverVersion, 13000);
    EXPECT_EQ(info.totalMemory, uint64_t{80} << 30);
    EXPECT_EQ(info.sharedMemoryPerBlock, 232448u);
    EXPECT_EQ(info.l2CacheBytes, uint64_t{50} << 20);
    EXPECT_EQ(fp6llmGetDeviceInfo(FP6LLM_BACKEND_CUDA, 2, &info), FP6LLM_STATUS_INVALID_VALUE);
}

FP6LLM_ISOLATED_TEST(Handle, StreamWorkspaceAndPointerMode) {
    fp6llmHandle_t handle = nullptr;
    ASSERT_EQ(create(&handle, FP6LLM_BACKEND_CUDA), FP6LLM_STATUS_SUCCESS);
    const auto stream = reinterpret_cast<fp6llmStream_t>(uintptr_t{64});
    fp6llmStream_t seen = nullptr;
    EXPECT_EQ(fp6llmSetStream(handle, stream), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(fp6llmGetStream(handle, &seen), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(seen, stream);

    fp6llmPointerMode_t mode = FP6LLM_POINTER_MODE_HOST;
    EXPECT_EQ(fp6llmSetPointerMode(handle, FP6LLM_POINTER_MODE_DEVICE), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(fp6llmGetPointerMode(handle, &mode), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(mode, FP6LLM_POINTER_MODE_DEVICE);
    EXPECT_EQ(fp6llmSetPointerMode(handle, static_cast<fp6llmPointerMode_t>(2)),
              FP6LLM_STATUS_INVALID_VALUE);

    alignas(64) char on_host[64];
    EXPECT_EQ(fp6llmSetWorkspace(handle, on_host, sizeof on_host), FP6LLM_STATUS_INVALID_VALUE);
    expect_text({"workspace", "host pointer"});
    EXPECT_EQ(fp6llmSetWorkspace(handle, device_memory(256), 256), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(fp6llmSetWorkspace(handle, nullptr, 0), FP6LLM_STATUS_SUCCESS);
    fp6llmDestroy(handle);
}

FP6LLM_ISOLATED_TEST(Handle, HostPointerIsNamed) {
    fp6llmHandle_t handle = nullptr;
    ASSERT_EQ(create(&handle, FP6LLM_BACKEND_CUDA), FP6LLM_STATUS_SUCCESS);
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    float w[32] = {}, scale = 0;
    unsigned char codes[24];
    EXPECT_EQ(fp6llmQuantize(handle, &config, 1, 32, w, FP6LLM_R_32F, 32, codes, &scale, nullptr),
              FP6LLM_STATUS_INVALID_VALUE);
    expect_text({"W = ", "host pointer"});
    void* on_device = device_memory(256);
    EXPECT_EQ(fp6llmQuantize(handle, &config, 1, 32, on_device, FP6LLM_R_32F, 32, codes, on_device,
                             nullptr),
              FP6LLM_STATUS_INVALID_VALUE);
    expect_text({"codes = ", "host pointer"});
    char blob[128];
    fp6llmWeight_t weight = nullptr;
    char* aligned = blob + (64 - reinterpret_cast<uintptr_t>(blob) % 64);
    EXPECT_EQ(fp6llmWeightCreateView(handle, aligned, 64, &weight), FP6LLM_STATUS_INVALID_VALUE);
    expect_text({"blob = ", "host pointer"});
    fp6llmDestroy(handle);
}

FP6LLM_ISOLATED_TEST(Handle, DevicePointerOnACpuHandleIsNamed) {
    fp6llmHandle_t gpu = nullptr, cpu = nullptr;
    ASSERT_EQ(create(&gpu, FP6LLM_BACKEND_CUDA), FP6LLM_STATUS_SUCCESS);
    ASSERT_EQ(create(&cpu, FP6LLM_BACKEND_CPU), FP6LLM_STATUS_SUCCESS);
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    float w[32] = {}, scale = 0;
    unsigned char codes[24];
    EXPECT_EQ(fp6llmQuantize(cpu, &config, 1, 32, w, FP6LLM_R_32F, 32, codes, &scale, nullptr),
              FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(fp6llmQuantize(cpu, &config, 1, 32, device_memory(128), FP6LLM_R_32F, 32, codes,
                             &scale, nullptr),
              FP6LLM_STATUS_INVALID_VALUE);
    expect_text({"W = ", "CUDA device 0"});

    fp6llmWeight_t weight = nullptr;
    ASSERT_EQ(fp6llmWeightCreate(cpu, &config, 1, 32, w, FP6LLM_R_32F, 32, &weight),
              FP6LLM_STATUS_SUCCESS);
    const float one = 1, zero = 0;
    float y = 0;
    EXPECT_EQ(fp6llmGemmEx(gpu, FP6LLM_OP_T, FP6LLM_OP_N, 1, 1, 32, &one, weight, w, FP6LLM_R_32F,
                           32, &zero, &y, FP6LLM_R_32F, 1, FP6LLM_COMPUTE_32F, -1),
              FP6LLM_STATUS_INVALID_VALUE);
    expect_text({"A is of backend"});
    fp6llmWeightDestroy(weight);
    fp6llmDestroy(cpu);
    fp6llmDestroy(gpu);
}

FP6LLM_ISOLATED_TEST(Handle, NothingHappensUntilADeviceIsNeeded) {
    fp6llmHandle_t handle = nullptr;
    ASSERT_EQ(create(&handle, FP6LLM_BACKEND_CUDA), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(stub_controls().primary_references(0), 0);
    EXPECT_EQ(stub_controls().live_allocations(), 0);
    fp6llmDestroy(handle);
}

}  // namespace
