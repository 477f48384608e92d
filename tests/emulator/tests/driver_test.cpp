// The emulated libcuda.so.1 through its ABI: entry points, the device, settings, contexts, control functions.
#include "tests/emulator/tests/driver_fixture.hpp"

namespace emulator::cu {
namespace {

// ---- Initialization and entry points ----

TEST_F(DriverTest, TellsVersionAndErrors) {
    int version = 0;
    OK(cuDriverGetVersion(&version));
    EXPECT_EQ(version, 13000);
    const char* text = nullptr;
    OK(cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &text));
    EXPECT_STREQ(text, "CUDA_ERROR_ILLEGAL_ADDRESS");
    OK(cuGetErrorString(CUDA_SUCCESS, &text));
    EXPECT_STREQ(text, "no error");
    FAILS(CUDA_ERROR_INVALID_VALUE, cuGetErrorName(static_cast<CUresult>(12345), &text));
    EXPECT_EQ(text, nullptr);
    FAILS(CUDA_ERROR_INVALID_VALUE, cuInit(1));
}

TEST_F(DriverTest, FindsEntryPointsByVersion) {
    void* found = nullptr;
    CUdriverProcAddressQueryResult status;
    const auto find = [&](const char* name, int version) {
        return cuGetProcAddress_v2(name, &found, version, 0, &status);
    };
    OK(find("cuMemAlloc", 12000));
    EXPECT_EQ(found, reinterpret_cast<void*>(&cuMemAlloc_v2));
    OK(find("cuCtxCreate", 11000));
    EXPECT_EQ(found, reinterpret_cast<void*>(&cuCtxCreate_v2));
    OK(find("cuCtxCreate", 12000));
    EXPECT_EQ(found, reinterpret_cast<void*>(&cuCtxCreate_v3));
    OK(find("cuCtxCreate", 13000));
    EXPECT_EQ(found, reinterpret_cast<void*>(&cuCtxCreate_v4));
    OK(find("cuLaunchKernelEx", 11000));
    EXPECT_EQ(found, nullptr);
    EXPECT_EQ(status, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
    OK(find("cuMakeCoffee", 12000));
    EXPECT_EQ(found, nullptr);
    EXPECT_EQ(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
    FAILS(CUDA_ERROR_INVALID_VALUE, find("cuInit", 13010));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuGetProcAddress_v2("cuInit", &found, 12000, 3, &status));
    FAILS(CUDA_ERROR_NOT_FOUND, cuGetProcAddress("cuMakeCoffee", &found, 12000, 0));
    OK(cuGetProcAddress("cuInit", &found, 12000, 0));
    EXPECT_EQ(found, reinterpret_cast<void*>(&cuInit));
}

TEST_F(DriverTest, ExportsOnlyItsFunctions) {
    Dl_info info;
    ASSERT_NE(dladdr(reinterpret_cast<void*>(&cuInit), &info), 0);
    void* library = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    ASSERT_NE(library, nullptr);
    EXPECT_NE(std::string(info.dli_fname).find("libcuda.so.1"), std::string::npos);
    for (const char* name : {"cuInit", "cuMemAlloc_v2", "emulatorSetSeed", "emulatorGetReport",
                             "emulatorClearReports", "emulatorFindingCount", "emulatorSetChecks",
                             "emulatorReportCount", "emulatorInjectFailure"})
        EXPECT_NE(dlsym(library, name), nullptr) << name;
    EXPECT_EQ(dlsym(library, "_ZN8emulator6DeviceC1ERKNS_7OptionsE"), nullptr);
    dlclose(library);
}

TEST_F(DriverTest, DescribesTheDevice) {
    int count = 0;
    OK(cuDeviceGetCount(&count));
    EXPECT_EQ(count, 1);
    CUdevice device = -1;
    OK(cuDeviceGet(&device, 0));
    FAILS(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&device, 1));
    const auto attribute = [&](CUdevice_attribute which) {
        int value = -1;
        EXPECT_EQ(CUDA_SUCCESS, cuDeviceGetAttribute(&value, which, 0));
        return value;
    };
    EXPECT_EQ(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR), 9);
    EXPECT_EQ(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR), 0);
    EXPECT_EQ(attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT), 4);
    EXPECT_EQ(attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN), 227 * 1024);
    EXPECT_EQ(attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR), 228 * 1024);
    EXPECT_EQ(attribute(CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH), 1);
    int value = 0;
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuDeviceGetAttribute(&value, static_cast<CUdevice_attribute>(148), 0));
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuDeviceGetAttribute(nullptr, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
    FAILS(CUDA_ERROR_INVALID_DEVICE,
          cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 3));
    char name[64];
    OK(cuDeviceGetName(name, sizeof name, 0));
    EXPECT_NE(std::string(name).find("sm_90"), std::string::npos);
    char bus[16];
    OK(cuDeviceGetPCIBusId(bus, sizeof bus, 0));
    OK(cuDeviceGetByPCIBusId(&device, bus));
}

TEST_F(DriverTest, DoesNotSurviveFork) {
    const pid_t child = fork();
    if (child == 0) {
        int count = 0;
        _exit(cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

/// Runs one test of this program in a new process with a variable set; its exit status.
int run_child(const char* test, const char* variable, const std::string& value) {
    // A filter that matches nothing would succeed.
    const testing::UnitTest& all = *testing::UnitTest::GetInstance();
    bool exists = false;
    for (int s = 0; s < all.total_test_suite_count(); ++s) {
        const testing::TestSuite& suite = *all.GetTestSuite(s);
        for (int t = 0; std::string(suite.name()) == "Child" && t < suite.total_test_count(); ++t)
            exists = exists || std::string(suite.GetTestInfo(t)->name()) == test;
    }
    EXPECT_TRUE(exists) << test;
    const pid_t child = fork();
    if (child == 0) {
        setenv("EMU_TEST_CHILD", "1", 1);
        setenv(variable, value.c_str(), 1);
        const std::string filter = std::string("--gtest_filter=Child.") + test;
        execl("/proc/self/exe", "driver_test", filter.c_str(), "--gtest_also_run_disabled_tests",
              static_cast<char*>(nullptr));
        _exit(127);
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class Child : public DriverTest {};

/// Its destructor frees device memory, as those of many programs' global buffers do.
struct FreedAtExit {
    CUdeviceptr address = 0;
    ~FreedAtExit() {
        if (address != 0) _exit(cuMemFree_v2(address) == CUDA_SUCCESS ? 42 : 1);
    }
};
FreedAtExit g_freed_at_exit;

TEST_F(Child, DISABLED_FreesAtExit) {
    OK(cuMemAlloc_v2(&g_freed_at_exit.address, 256));
    std::exit(2);
}
TEST_F(DriverTest, StaticDestructorsMayCall) {
    EXPECT_EQ(run_child("DISABLED_FreesAtExit", "EMU_SEED", "1"), 42);
}

TEST_F(Child, DISABLED_FailsTheSecondAllocation) {
    CUdeviceptr p = 0;
    OK(cuMemAlloc_v2(&p, 4));
    FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&p, 4));
    OK(cuMemAlloc_v2(&p, 4));
    OK(cuMemsetD32_v2(p, 1, 1));
    FAILS(CUDA_ERROR_LAUNCH_FAILED, step(p, 1));
}

TEST_F(Child, DISABLED_FailsOnFindings) {
    FAILS(CUDA_ERROR_LAUNCH_FAILED, step(allocate(4), 1));  // reads what nobody wrote
}

TEST_F(Child, DISABLED_IsAnAmpere) {
    int major = 0, minor = 0, can = 1;
    OK(cuDeviceComputeCapability(&major, &minor, 0));
    EXPECT_EQ(major * 10 + minor, 80);
    OK(cuDeviceGetAttribute(&can, CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH, 0));
    EXPECT_EQ(can, 0);
    CUlaunchAttribute attribute{};
    attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attribute.value.clusterDim = {2, 1, 1};
    const CUlaunchConfig config{2, 1, 1, 32, 1, 1, 0, nullptr, &attribute, 1};
    FAILS(CUDA_ERROR_INVALID_CLUSTER_SIZE,
          cuLaunchKernelEx(&config, function("few_threads"), nullptr, nullptr));
    CUtensorMap map;
    const uint64_t dims[] = {16};
    const uint32_t box[] = {16}, steps[] = {1};
    FAILS(CUDA_ERROR_NOT_SUPPORTED,
          cuTensorMapEncodeTiled(&map, 0, 1, &map, dims, nullptr, box, steps, 0, 0, 0, 0));
}

TEST_F(Child, DISABLED_WritesReports) {
    const CUdeviceptr p = allocate(4);
    OK(cuMemsetD32_v2(p, 1, 1));
    OK(step(p, 1));
    OK(step(p, 1));
    std::FILE* file = std::fopen(std::getenv("EMU_REPORT"), "r");
    ASSERT_NE(file, nullptr);
    int lines = 0;
    for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file))
        lines += c == '\n' ? 1 : 0;
    std::fclose(file);
    EXPECT_EQ(lines, 2);
}

TEST_F(DriverTest, ReadsItsEnvironment) {
    EXPECT_EQ(
        run_child("DISABLED_FailsTheSecondAllocation", "EMU_FAIL", "allocation:1:2,launch:0:719"),
        0);
    EXPECT_EQ(run_child("DISABLED_FailsOnFindings", "EMU_FINDINGS", "fail"), 0);
    EXPECT_EQ(run_child("DISABLED_IsAnAmpere", "EMU_ARCH", "80"), 0);
    char path[] = "/tmp/emulator_report_XXXXXX";
    const int file = mkstemp(path);
    ASSERT_GE(file, 0);
    EXPECT_EQ(run_child("DISABLED_WritesReports", "EMU_REPORT", path), 0);
    close(file);
    unlink(path);
}

// ---- Contexts ----

TEST_F(DriverTest, KeepsAStackOfContexts) {
    CUcontext current = nullptr, second = nullptr;
    OK(cuCtxGetCurrent(&current));
    EXPECT_EQ(current, context_);
    OK(cuCtxCreate_v2(&second, CU_CTX_SCHED_YIELD, 0));
    unsigned flags = 0;
    OK(cuCtxGetFlags(&flags));
    EXPECT_EQ(flags, unsigned{CU_CTX_SCHED_YIELD});
    unsigned long long id = 0, other = 0;
    OK(cuCtxGetId(second, &id));
    OK(cuCtxGetId(context_, &other));
    EXPECT_NE(id, other);
    OK(cuCtxPopCurrent_v2(&current));
    EXPECT_EQ(current, second);
    OK(cuCtxGetCurrent(&current));
    EXPECT_EQ(current, context_);
    OK(cuCtxPushCurrent_v2(second));
    OK(cuCtxSetCurrent(nullptr));
    OK(cuCtxGetCurrent(&current));
    EXPECT_EQ(current, context_);
    OK(cuCtxDestroy_v2(second));
    FAILS(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuCtxGetId(second, &id));
    FAILS(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuCtxPushCurrent_v2(second));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuCtxCreate_v2(&second, 3, 0));
    FAILS(CUDA_ERROR_INVALID_CONTEXT,
          cuCtxPushCurrent_v2(reinterpret_cast<CUcontext>(uintptr_t{0x1234})));
}

TEST_F(DriverTest, TellsOfADestroyedCurrentContext) {
    CUresult result = CUDA_SUCCESS;
    CUdevice device = 0;
    CUcontext victim = nullptr;
    OK(cuCtxCreate_v2(&victim, 0, 0));
    const CUdeviceptr memory = allocate(16);
    CUstream stream = nullptr;
    OK(cuStreamCreate(&stream, 0));
    std::thread([&] { result = cuCtxDestroy_v2(victim); }).join();
    OK(result);
    FAILS(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuCtxSynchronize());
    FAILS(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuMemFree_v2(memory));
    FAILS(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuCtxGetDevice(&device));
    FAILS(CUDA_ERROR_INVALID_HANDLE, cuStreamSynchronize(stream));
    CUcontext popped = nullptr;
    OK(cuCtxPopCurrent_v2(&popped));
    EXPECT_EQ(popped, victim);
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(memory));  // went with its context
}

TEST_F(DriverTest, WantsACurrentContext) {
    CUresult result = CUDA_SUCCESS;
    std::thread([&] {
        CUdeviceptr address = 0;
        result = cuMemAlloc_v2(&address, 16);
    }).join();
    FAILS(CUDA_ERROR_INVALID_CONTEXT, result);
}

TEST_F(DriverTest, CountsReferencesToThePrimaryContext) {
    unsigned flags = 1;
    int active = 1;
    OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
    EXPECT_EQ(active, 0);
    CUcontext first = nullptr, second = nullptr;
    OK(cuDevicePrimaryCtxRetain(&first, 0));
    OK(cuDevicePrimaryCtxRetain(&second, 0));
    EXPECT_EQ(first, second);
    FAILS(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy_v2(first));
    OK(cuDevicePrimaryCtxRelease_v2(0));
    OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
    EXPECT_EQ(active, 1);
    unsigned long long id = 0, other = 0;
    OK(cuCtxGetId(first, &id));
    OK(cuDevicePrimaryCtxRelease_v2(0));
    FAILS(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuCtxGetId(first, &other));
    FAILS(CUDA_ERROR_INVALID_CONTEXT, cuDevicePrimaryCtxRelease_v2(0));
    OK(cuDevicePrimaryCtxRetain(&second, 0));
    OK(cuCtxGetId(second, &other));
    EXPECT_NE(id, other);
    OK(cuDevicePrimaryCtxReset_v2(0));
    OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
    EXPECT_EQ(active, 0);
    OK(cuDevicePrimaryCtxSetFlags_v2(0, CU_CTX_SCHED_SPIN));
    OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
    EXPECT_EQ(flags, unsigned{CU_CTX_SCHED_SPIN});
    OK(cuDevicePrimaryCtxSetFlags_v2(0, 0));
}

TEST_F(DriverTest, KeepsLimits) {
    size_t value = 0;
    OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 4096));
    OK(cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE));
    EXPECT_EQ(value, 4096u);
    FAILS(CUDA_ERROR_UNSUPPORTED_LIMIT, cuCtxGetLimit(&value, static_cast<CUlimit>(99)));
    int least = 1, greatest = 1;
    OK(cuCtxGetStreamPriorityRange(&least, &greatest));
    EXPECT_LE(greatest, least);
}

// ---- Control ----

TEST_F(DriverTest, ReportsLaunches) {
    CUdeviceptr p = allocate(8);
    OK(cuMemsetD32_v2(p, 1, 2));
    OK(step(p, 1));
    OK(step(p + 4, 1));
    EXPECT_EQ(emulatorReportCount(), 2);
    const std::string report = emulatorGetReport(1);
    for (const char* part : {"\"kernel\": \"step\"", "\"grid\": [1, 1, 1]", "\"block\": [1, 1, 1]",
                             "\"findings\": []", "\"fault\": null", "\"global_load_requests\": 1",
                             "\"global_store_bytes\": 4", "\"load_global\": 1"})
        EXPECT_NE(report.find(part), std::string::npos) << part << " in " << report;
    EXPECT_EQ(emulatorGetReport(2), nullptr);
    EXPECT_EQ(emulatorGetReport(-1), nullptr);
    emulatorClearReports();
    EXPECT_EQ(emulatorReportCount(), 0);
    EXPECT_EQ(emulatorFindingCount(), 0u);
}

TEST_F(DriverTest, InjectsFailures) {
    CUdeviceptr p = allocate(4);
    OK(cuMemsetD32_v2(p, 1, 1));
    CUdeviceptr other = 0;
    emulatorInjectFailure(EMULATOR_FAIL_ALLOCATION, 1, CUDA_ERROR_OUT_OF_MEMORY);
    OK(cuMemAlloc_v2(&other, 4));
    FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&other, 4));
    OK(cuMemAlloc_v2(&other, 4));

    emulatorInjectFailure(EMULATOR_FAIL_LAUNCH, 0, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    FAILS(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, step(p, 1));
    OK(step(p, 1));
    EXPECT_EQ(word(p), 3u);

    emulatorInjectFailure(EMULATOR_FAIL_COPY, 0, CUDA_ERROR_UNKNOWN);
    FAILS(CUDA_ERROR_UNKNOWN, cuMemsetD32Async(p, 0, 1, nullptr));
    EXPECT_EQ(word(p), 3u);

    emulatorInjectFailure(EMULATOR_FAIL_EXECUTION, 0, CUDA_ERROR_LAUNCH_FAILED);
    OK(step(p, 1));
    FAILS(CUDA_ERROR_LAUNCH_FAILED, cuStreamSynchronize(nullptr));
    FAILS(CUDA_ERROR_LAUNCH_FAILED, step(p, 1));
}

TEST_F(DriverTest, LosesTheDevice) {
    emulatorInjectFailure(EMULATOR_FAIL_DEVICE, 0, CUDA_ERROR_DEVICE_UNAVAILABLE);
    FAILS(CUDA_ERROR_DEVICE_UNAVAILABLE, cuCtxSynchronize());
    CUdeviceptr p = 0;
    FAILS(CUDA_ERROR_DEVICE_UNAVAILABLE, cuMemAlloc_v2(&p, 4));
    emulatorClearFailures();
    FAILS(CUDA_ERROR_DEVICE_UNAVAILABLE, cuMemAlloc_v2(&p, 4));  // this context is gone
    CUcontext fresh = nullptr;
    OK(cuCtxCreate_v2(&fresh, 0, 0));
    OK(cuMemAlloc_v2(&p, 4));
    OK(cuCtxDestroy_v2(fresh));
}

}  // namespace
}  // namespace emulator::cu
