// The emulated libcuda.so.1 through its ABI: handles, contexts, modules, memory, launches, streams,
// graphs, faults and their surfacing, control functions.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/emulator/driver/control.h"
#include "tests/emulator/driver/cuda_api.hpp"
#include "tests/emulator/driver/tensor_map.hpp"

namespace emulator::cu {
namespace {

/// Before the driver reads it: the device that these tests expect. A child process that a test starts
/// to look at other settings keeps its own.
const bool g_environment = [] {
    if (std::getenv("EMU_TEST_CHILD") != nullptr) return true;
    setenv("EMU_ARCH", "90", 1);
    setenv("EMU_SMS", "4", 1);
    setenv("EMU_SEED", "1", 1);
    for (const char* name : {"EMU_REPORT", "EMU_FAIL", "EMU_FINDINGS", "EMU_CHECKS"})
        unsetenv(name);
    return true;
}();

constexpr const char* kKernels = R"(
.version 8.0
.target sm_80
.address_size 64
.global .align 4 .u32 counter = 7;
.extern .shared .align 4 .b8 dynamic[];

.visible .entry scale(.param .u64 out, .param .u64 in, .param .u32 n, .param .f32 factor)
{
    .reg .pred %p<2>; .reg .b32 %r<6>; .reg .f32 %f<4>; .reg .b64 %rd<8>;
    ld.param.u64 %rd1, [out];
    ld.param.u64 %rd2, [in];
    ld.param.u32 %r1, [n];
    ld.param.f32 %f1, [factor];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p1, %r5, %r1;
    @%p1 bra DONE;
    cvta.to.global.u64 %rd3, %rd1;
    cvta.to.global.u64 %rd4, %rd2;
    mul.wide.u32 %rd5, %r5, 4;
    add.s64 %rd6, %rd4, %rd5;
    ld.global.f32 %f2, [%rd6];
    mul.f32 %f3, %f2, %f1;
    add.s64 %rd7, %rd3, %rd5;
    st.global.f32 [%rd7], %f3;
DONE:
    ret;
}

// p[0] = 2 p[0] + k, by one thread: the order of two of them shows.
.visible .entry step(.param .u64 p, .param .u32 k)
{
    .reg .b32 %r<5>; .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [p];
    ld.param.u32 %r1, [k];
    ld.global.u32 %r2, [%rd1];
    mad.lo.u32 %r3, %r2, 2, %r1;
    st.global.u32 [%rd1], %r3;
    ret;
}

.visible .entry read_counter(.param .u64 p)
{
    .reg .b32 %r<2>; .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [p];
    ld.global.u32 %r1, [counter];
    st.global.u32 [%rd1], %r1;
    ret;
}

// Writes dynamic shared memory at an offset and reads it back to p.
.visible .entry use_dynamic(.param .u64 p, .param .u32 at)
{
    .reg .b32 %r<6>; .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [p];
    ld.param.u32 %r1, [at];
    mov.u32 %r2, dynamic;
    add.u32 %r3, %r2, %r1;
    st.shared.u32 [%r3], 77;
    ld.shared.u32 %r4, [%r3];
    st.global.u32 [%rd1], %r4;
    ret;
}

.visible .entry store_at(.param .u64 address)
{
    .reg .b64 %rd<2>;
    ld.param.u64 %rd1, [address];
    st.global.u32 [%rd1], 1;
    ret;
}

.visible .entry few_threads()
.maxntid 64, 1, 1
{
    ret;
}

.visible .entry static_shared()
{
    .shared .align 4 .b8 buffer[4096];
    ret;
}
)";

#define OK(call) ASSERT_EQ(CUDA_SUCCESS, call)
#define FAILS(code, call) EXPECT_EQ(code, call)

class DriverTest : public testing::Test {
  protected:
    void SetUp() override {
        OK(cuInit(0));
        OK(cuCtxCreate_v2(&context_, 0, 0));
        emulatorClearReports();
        emulatorSetSeed(1);
    }

    void TearDown() override {
        emulatorClearFailures();
        emulatorSetFindingsFail(0);
        CUcontext popped = nullptr;
        CUresult destroyed = cuCtxDestroy_v2(context_);
        EXPECT_TRUE(destroyed == CUDA_SUCCESS || destroyed == CUDA_ERROR_CONTEXT_IS_DESTROYED);
        while (cuCtxPopCurrent_v2(&popped) == CUDA_SUCCESS) {
        }
    }

    CUmodule module() {
        CUmodule loaded = nullptr;
        EXPECT_EQ(CUDA_SUCCESS, cuModuleLoadData(&loaded, kKernels));
        return loaded;
    }

    CUfunction function(const char* name) {
        if (module_ == nullptr) module_ = module();
        // Found once: a context that has failed finds nothing any more.
        CUfunction& found = functions_[{module_, name}];
        if (found == nullptr) {
            EXPECT_EQ(CUDA_SUCCESS, cuModuleGetFunction(&found, module_, name)) << name;
        }
        return found;
    }

    CUdeviceptr allocate(size_t bytes) {
        CUdeviceptr address = 0;
        EXPECT_EQ(CUDA_SUCCESS, cuMemAlloc_v2(&address, bytes));
        return address;
    }

    CUresult run(CUfunction f, std::vector<void*> arguments, CUstream stream = nullptr) {
        return cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, arguments.data(), nullptr);
    }

    CUresult step(CUdeviceptr p, unsigned k, CUstream stream = nullptr) {
        return run(function("step"), {&p, &k}, stream);
    }

    CUresult store_at(CUdeviceptr address, CUstream stream = nullptr) {
        return run(function("store_at"), {&address}, stream);
    }

    uint32_t word(CUdeviceptr address) {
        uint32_t value = 0;
        EXPECT_EQ(CUDA_SUCCESS, cuMemcpyDtoH_v2(&value, address, sizeof value));
        return value;
    }

    CUcontext context_ = nullptr;
    CUmodule module_ = nullptr;
    std::map<std::pair<CUmodule, std::string>, CUfunction> functions_;
};

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

// ---- Memory ----

TEST_F(DriverTest, AllocatesAndCounts) {
    size_t free_before = 0, free_after = 0, total = 0;
    OK(cuMemGetInfo_v2(&free_before, &total));
    const CUdeviceptr address = allocate(1000);
    EXPECT_EQ(address % 256, 0u);
    OK(cuMemGetInfo_v2(&free_after, &total));
    EXPECT_EQ(free_before - free_after, 1000u);
    CUdeviceptr base = 0;
    size_t bytes = 0;
    OK(cuMemGetAddressRange_v2(&base, &bytes, address + 999));
    EXPECT_EQ(base, address);
    EXPECT_EQ(bytes, 1000u);
    FAILS(CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange_v2(&base, &bytes, address + 1000));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(address + 4));
    OK(cuMemFree_v2(address));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(address));
    OK(cuMemFree_v2(0));
    OK(cuMemGetInfo_v2(&free_after, &total));
    EXPECT_EQ(free_before, free_after);
    CUdeviceptr none = 0;
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAlloc_v2(&none, 0));
    FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&none, total + 1));
    FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&none, SIZE_MAX));
    EXPECT_EQ(none, 0u);
}

TEST_F(DriverTest, CopiesBothWays) {
    std::vector<uint8_t> in(300), out(300, 0);
    for (size_t i = 0; i < in.size(); ++i)
        in[i] = static_cast<uint8_t>(i * 7);
    const CUdeviceptr a = allocate(300), b = allocate(300);
    OK(cuMemcpyHtoD_v2(a, in.data(), 300));
    OK(cuMemcpyDtoD_v2(b, a, 300));
    OK(cuMemcpyDtoH_v2(out.data(), b, 300));
    EXPECT_EQ(in, out);
    OK(cuMemsetD16_v2(a + 2, 0xABCD, 3));
    OK(cuMemcpyDtoH_v2(out.data(), a, 10));
    const uint8_t expected[10] = {in[0], in[1], 0xCD, 0xAB, 0xCD, 0xAB, 0xCD, 0xAB, in[8], in[9]};
    EXPECT_EQ(std::memcmp(out.data(), expected, 10), 0);
    OK(cuMemcpyHtoD_v2(a, nullptr, 0));
}

TEST_F(DriverTest, ChecksCopies) {
    uint8_t host[64] = {};
    const CUdeviceptr a = allocate(64);
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(a, host, 65));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(a + 1, host, 64));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(a, nullptr, 4));
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuMemcpyHtoD_v2(reinterpret_cast<uintptr_t>(host), host + 32, 4));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(a, reinterpret_cast<void*>(a), 4));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2(reinterpret_cast<void*>(a), a, 4));
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuMemcpyDtoH_v2(host, reinterpret_cast<uintptr_t>(host + 32), 4));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8_v2(a + 60, 1, 5));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD32_v2(a + 2, 1, 1));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8_v2(reinterpret_cast<uintptr_t>(host), 1, 4));
    OK(cuMemsetD8_v2(a + 60, 1, 4));
    OK(cuMemFree_v2(a));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(a, host, 4));
}

TEST_F(DriverTest, CopiesRectangles) {
    size_t pitch = 0;
    CUdeviceptr image = 0;
    OK(cuMemAllocPitch_v2(&image, &pitch, 12, 4, 4));
    EXPECT_GE(pitch, 12u);
    OK(cuMemsetD2D8_v2(image, pitch, 9, 12, 4));
    uint8_t in[3][8], out[4][12];
    for (int y = 0; y < 3; ++y) {
        for (int x = 0; x < 8; ++x)
            in[y][x] = static_cast<uint8_t>(10 * y + x);
    }
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = CU_MEMORYTYPE_HOST;
    copy.srcHost = in;
    copy.srcPitch = 8;
    copy.srcXInBytes = 2;
    copy.srcY = 1;
    copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.dstDevice = image;
    copy.dstPitch = pitch;
    copy.dstXInBytes = 4;
    copy.dstY = 2;
    copy.WidthInBytes = 5;
    copy.Height = 2;
    OK(cuMemcpy2D_v2(&copy));
    CUDA_MEMCPY2D back{};
    back.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    back.srcDevice = image;
    back.srcPitch = pitch;
    back.dstMemoryType = CU_MEMORYTYPE_HOST;
    back.dstHost = out;
    back.dstPitch = 12;
    back.WidthInBytes = 12;
    back.Height = 4;
    OK(cuMemcpy2D_v2(&back));
    for (int y = 0; y < 4; ++y) {
        for (int x = 0; x < 12; ++x) {
            const bool inside = y >= 2 && x >= 4 && x < 9;
            EXPECT_EQ(out[y][x], inside ? in[y - 1][x - 2] : 9) << y << ", " << x;
        }
    }
    copy.Height = 3;  // beyond the image
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D_v2(&copy));
}

TEST_F(DriverTest, TellsWhatAPointerIs) {
    const CUdeviceptr address = allocate(64);
    int local = 0;
    unsigned type = 9, managed = 9;
    int ordinal = 9;
    size_t size = 0;
    CUpointer_attribute which[] = {
        CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED,
        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_RANGE_SIZE};
    void* data[] = {&type, &managed, &ordinal, &size};
    OK(cuPointerGetAttributes(4, which, data, address + 10));
    EXPECT_EQ(type, unsigned{CU_MEMORYTYPE_DEVICE});
    EXPECT_EQ(managed, 0u);
    EXPECT_EQ(ordinal, 0);
    EXPECT_EQ(size, 64u);
    OK(cuPointerGetAttributes(4, which, data, reinterpret_cast<uintptr_t>(&local)));
    EXPECT_EQ(type, 0u);
    EXPECT_EQ(ordinal, -2);
    FAILS(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                                          reinterpret_cast<uintptr_t>(&local)));
    CUcontext owner = nullptr;
    OK(cuPointerGetAttribute(&owner, CU_POINTER_ATTRIBUTE_CONTEXT, address));
    EXPECT_EQ(owner, context_);

    CUdeviceptr shared = 0;
    OK(cuMemAllocManaged(&shared, 64, CU_MEM_ATTACH_GLOBAL));
    OK(cuPointerGetAttributes(4, which, data, shared));
    EXPECT_EQ(managed, 1u);
    std::memset(reinterpret_cast<void*>(shared), 5, 64);  // the host may write there
    EXPECT_EQ(word(shared), 0x05050505u);
}

TEST_F(DriverTest, PinsHostMemory) {
    void* pinned = nullptr;
    OK(cuMemHostAlloc(&pinned, 64, CU_MEMHOSTALLOC_DEVICEMAP));
    CUdeviceptr device = 0;
    OK(cuMemHostGetDevicePointer_v2(&device, pinned, 0));
    auto* value = static_cast<uint32_t*>(pinned);
    *value = 5;
    OK(step(device, 3));
    OK(cuCtxSynchronize());
    EXPECT_EQ(*value, 13u);
    unsigned type = 0;
    OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, device));
    EXPECT_EQ(type, unsigned{CU_MEMORYTYPE_HOST});
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(device));
    OK(cuMemFreeHost(pinned));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(pinned));

    std::vector<uint32_t> ordinary(16, 7);
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemHostGetDevicePointer_v2(&device, ordinary.data(), 0));
    OK(cuMemHostRegister_v2(ordinary.data(), 64, CU_MEMHOSTREGISTER_DEVICEMAP));
    FAILS(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
          cuMemHostRegister_v2(ordinary.data() + 2, 8, 0));
    OK(cuMemHostGetDevicePointer_v2(&device, ordinary.data() + 1, 0));
    OK(step(device, 1));
    OK(cuCtxSynchronize());
    EXPECT_EQ(ordinary[1], 15u);
    EXPECT_EQ(ordinary[0], 7u);
    OK(cuMemHostUnregister(ordinary.data()));
    FAILS(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(ordinary.data()));
}

TEST_F(DriverTest, AllocatesInStreamOrder) {
    CUdeviceptr address = 0;
    CUstream stream = nullptr;
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuMemAllocAsync(&address, 64, stream));
    OK(cuMemsetD32Async(address, 3, 16, stream));
    OK(step(address, 1, stream));
    OK(cuStreamSynchronize(stream));
    EXPECT_EQ(word(address), 7u);
    CUmemoryPool pool = nullptr;
    OK(cuDeviceGetDefaultMemPool(&pool, 0));
    uint64_t used = 0, threshold = 1 << 20;
    OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
    EXPECT_EQ(used, 64u);
    OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
    threshold = 0;
    OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
    EXPECT_EQ(threshold, uint64_t{1} << 20);
    OK(cuMemFreeAsync(address, stream));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFreeAsync(address, stream));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemPoolDestroy(pool));
}

// ---- Modules ----

TEST_F(DriverTest, LoadsModules) {
    CUmodule loaded = module();
    CUfunction found = nullptr;
    OK(cuModuleGetFunction(&found, loaded, "scale"));
    FAILS(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&found, loaded, "nothing"));
    unsigned count = 0;
    OK(cuModuleGetFunctionCount(&count, loaded));
    EXPECT_EQ(count, 7u);
    size_t offset = 0, bytes = 0;
    OK(cuFuncGetParamInfo(found, 2, &offset, &bytes));
    EXPECT_EQ(offset, 16u);
    EXPECT_EQ(bytes, 4u);
    FAILS(CUDA_ERROR_INVALID_VALUE, cuFuncGetParamInfo(found, 4, &offset, &bytes));
    const char* name = nullptr;
    OK(cuFuncGetName(&name, found));
    EXPECT_STREQ(name, "scale");
    CUdeviceptr counter = 0;
    OK(cuModuleGetGlobal_v2(&counter, &bytes, loaded, "counter"));
    EXPECT_EQ(bytes, 4u);
    EXPECT_EQ(word(counter), 7u);
    FAILS(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal_v2(&counter, &bytes, loaded, "none"));
    OK(cuModuleUnload(loaded));
    FAILS(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload(loaded));
    FAILS(CUDA_ERROR_INVALID_HANDLE,
          cuLaunchKernel(found, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
}

TEST_F(DriverTest, SaysWhatIsWrongWithAModule) {
    char log[512] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
    CUmodule loaded = nullptr;
    FAILS(CUDA_ERROR_INVALID_PTX,
          cuModuleLoadDataEx(&loaded,
                             ".version 8.0\n.target sm_80\n.address_size 64\n"
                             ".entry k() { frobnicate.u32; }",
                             2, options, values));
    EXPECT_NE(std::string(log).find("line 4"), std::string::npos) << log;
    EXPECT_NE(std::string(log).find("frobnicate"), std::string::npos) << log;
    FAILS(CUDA_ERROR_NO_BINARY_FOR_GPU,
          cuModuleLoadDataEx(&loaded, ".version 9.0\n.target sm_100\n.address_size 64\n", 2,
                             options, values));
    EXPECT_NE(std::string(log).find("sm_100"), std::string::npos) << log;
    FAILS(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&loaded, "no module"));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuModuleLoadData(&loaded, nullptr));
    FAILS(CUDA_ERROR_FILE_NOT_FOUND, cuModuleLoad(&loaded, "/nonexistent/file.ptx"));
}

TEST_F(DriverTest, ModulesHaveTheirOwnVariables) {
    CUmodule a = module(), b = module();
    CUdeviceptr in_a = 0, in_b = 0;
    OK(cuModuleGetGlobal_v2(&in_a, nullptr, a, "counter"));
    OK(cuModuleGetGlobal_v2(&in_b, nullptr, b, "counter"));
    EXPECT_NE(in_a, in_b);
    const uint32_t changed = 99;
    OK(cuMemcpyHtoD_v2(in_b, &changed, 4));
    CUfunction read_a = nullptr, read_b = nullptr;
    OK(cuModuleGetFunction(&read_a, a, "read_counter"));
    OK(cuModuleGetFunction(&read_b, b, "read_counter"));
    CUdeviceptr out = allocate(4);
    OK(run(read_a, {&out}));
    EXPECT_EQ(word(out), 7u);
    OK(run(read_b, {&out}));
    EXPECT_EQ(word(out), 99u);
}

TEST_F(DriverTest, LoadsLibraries) {
    CUlibrary library = nullptr;
    OK(cuLibraryLoadData(&library, kKernels, nullptr, nullptr, 0, nullptr, nullptr, 0));
    CUkernel kernel = nullptr, again = nullptr;
    OK(cuLibraryGetKernel(&kernel, library, "step"));
    OK(cuLibraryGetKernel(&again, library, "step"));
    EXPECT_EQ(kernel, again);
    FAILS(CUDA_ERROR_NOT_FOUND, cuLibraryGetKernel(&again, library, "nothing"));
    unsigned count = 0;
    OK(cuLibraryGetKernelCount(&count, library));
    EXPECT_EQ(count, 7u);
    CUfunction in_context = nullptr;
    OK(cuKernelGetFunction(&in_context, kernel));
    CUdeviceptr p = allocate(4);
    OK(cuMemsetD32_v2(p, 1, 1));
    unsigned k = 5;
    OK(run(in_context, {&p, &k}));
    OK(run(reinterpret_cast<CUfunction>(kernel), {&p, &k}));  // a kernel in a function's place
    EXPECT_EQ(word(p), 19u);
    int threads = 0;
    OK(cuKernelGetAttribute(&threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, kernel, 0));
    EXPECT_EQ(threads, 1024);
    OK(cuLibraryUnload(library));
    FAILS(CUDA_ERROR_INVALID_HANDLE, cuKernelGetFunction(&in_context, kernel));
    FAILS(CUDA_ERROR_INVALID_HANDLE, run(in_context, {&p, &k}));
}

TEST_F(DriverTest, KnowsFunctions) {
    const auto get = [&](const char* name, CUfunction_attribute which) {
        int value = -1;
        EXPECT_EQ(CUDA_SUCCESS, cuFuncGetAttribute(&value, which, function(name)));
        return value;
    };
    EXPECT_EQ(get("few_threads", CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK), 64);
    EXPECT_EQ(get("static_shared", CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES), 4096);
    EXPECT_EQ(get("static_shared", CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES),
              48 * 1024 - 4096);
    EXPECT_EQ(get("step", CU_FUNC_ATTRIBUTE_PTX_VERSION), 80);
    EXPECT_EQ(get("step", CU_FUNC_ATTRIBUTE_BINARY_VERSION), 90);
    int blocks = 0;
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function("static_shared"), 32, 0));
    EXPECT_EQ(blocks, 32);  // at most, on this architecture
    // 227 KB less the static 4 KB: one block.
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function("static_shared"), 32,
                                                   223 * 1024));
    EXPECT_EQ(blocks, 1);
    // 64 KB and 1 KB reserved, three times in 228 KB.
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function("static_shared"), 32,
                                                   60 * 1024));
    EXPECT_EQ(blocks, 3);
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function("static_shared"), 32,
                                                   224 * 1024));
    EXPECT_EQ(blocks, 0);
    size_t room = 0;
    OK(cuOccupancyAvailableDynamicSMemPerBlock(&room, function("static_shared"), 3, 32));
    EXPECT_GE(room, 60u * 1024);
    EXPECT_LT(room, 76u * 1024);
    int grid = 0, block = 0;
    OK(cuOccupancyMaxPotentialBlockSize(&grid, &block, function("few_threads"), nullptr, 0, 0));
    EXPECT_EQ(block, 64);
}

// ---- Launches ----

TEST_F(DriverTest, RunsKernels) {
    constexpr unsigned kCount = 1000;
    std::vector<float> in(kCount), out(kCount);
    for (unsigned i = 0; i < kCount; ++i)
        in[i] = static_cast<float>(i) * 0.5f;
    CUdeviceptr a = allocate(kCount * 4), b = allocate(kCount * 4);
    OK(cuMemcpyHtoD_v2(a, in.data(), kCount * 4));
    unsigned n = kCount;
    float factor = 3.0f;
    void* arguments[] = {&b, &a, &n, &factor};
    OK(cuLaunchKernel(function("scale"), 8, 1, 1, 128, 1, 1, 0, nullptr, arguments, nullptr));
    OK(cuMemcpyDtoH_v2(out.data(), b, kCount * 4));
    for (unsigned i = 0; i < kCount; ++i)
        ASSERT_EQ(out[i], in[i] * 3.0f) << i;

    // The same by one block of bytes.
    struct {
        CUdeviceptr out, in;
        unsigned n;
        float factor;
    } packed = {b, a, kCount, -2.0f};
    size_t bytes = sizeof packed;
    void* extra[] = {reinterpret_cast<void*>(1), &packed, reinterpret_cast<void*>(2), &bytes,
                     nullptr};
    OK(cuLaunchKernel(function("scale"), 8, 1, 1, 128, 1, 1, 0, nullptr, nullptr, extra));
    OK(cuMemcpyDtoH_v2(out.data(), b, kCount * 4));
    for (unsigned i = 0; i < kCount; ++i)
        ASSERT_EQ(out[i], in[i] * -2.0f) << i;
    EXPECT_EQ(emulatorFindingCount(), 0u);
}

TEST_F(DriverTest, ChecksLaunches) {
    const auto launch = [&](const char* name, unsigned grid, unsigned block, unsigned shared = 0) {
        CUdeviceptr p = 0;
        unsigned k = 0;
        void* arguments[] = {&p, &k};
        return cuLaunchKernel(function(name), grid, 1, 1, block, 1, 1, shared, nullptr, arguments,
                              nullptr);
    };
    FAILS(CUDA_ERROR_INVALID_VALUE, launch("static_shared", 0, 1));
    FAILS(CUDA_ERROR_INVALID_VALUE, launch("static_shared", 1, 0));
    FAILS(CUDA_ERROR_INVALID_VALUE, launch("static_shared", 1, 1025));
    FAILS(CUDA_ERROR_INVALID_VALUE, launch("few_threads", 1, 65));
    OK(launch("few_threads", 1, 64));
    FAILS(CUDA_ERROR_INVALID_VALUE, launch("static_shared", 1, 1, 44 * 1024 + 1));
    OK(launch("static_shared", 1, 1, 44 * 1024));
    CUfunction f = function("use_dynamic");
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 227 * 1024 + 1));
    OK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100 * 1024));
    CUdeviceptr p = allocate(4);
    unsigned at = 100 * 1024 - 4;
    void* arguments[] = {&p, &at};
    OK(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 100 * 1024, nullptr, arguments, nullptr));
    EXPECT_EQ(word(p), 77u);
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
    FAILS(CUDA_ERROR_INVALID_HANDLE,
          cuLaunchKernel(nullptr, 1, 1, 1, 1, 1, 1, 0, nullptr, arguments, nullptr));
    FAILS(CUDA_ERROR_INVALID_HANDLE, cuLaunchKernel(reinterpret_cast<CUfunction>(&p), 1, 1, 1, 1, 1,
                                                    1, 0, nullptr, arguments, nullptr));
    FAILS(
        CUDA_ERROR_INVALID_HANDLE,
        cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, reinterpret_cast<CUstream>(&p), arguments, nullptr));
    size_t few = 4;
    void* extra[] = {reinterpret_cast<void*>(1), &p, reinterpret_cast<void*>(2), &few, nullptr};
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, extra));
    OK(cuCtxSynchronize());  // nothing of this hurt the context
}

TEST_F(DriverTest, UnderstandsLaunchAttributes) {
    CUlaunchAttribute attributes[2] = {};
    attributes[0].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attributes[0].value.clusterDim.x = 2;
    attributes[0].value.clusterDim.y = 1;
    attributes[0].value.clusterDim.z = 1;
    attributes[1].id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    attributes[1].value.programmaticStreamSerializationAllowed = 1;
    CUlaunchConfig config{4, 1, 1, 32, 1, 1, 0, nullptr, attributes, 2};
    OK(cuLaunchKernelEx(&config, function("few_threads"), nullptr, nullptr));
    ASSERT_EQ(emulatorReportCount(), 1);
    EXPECT_NE(std::string(emulatorGetReport(0)).find("\"cluster\": [2, 1, 1]"), std::string::npos)
        << emulatorGetReport(0);
    config.gridDimX = 3;
    FAILS(CUDA_ERROR_INVALID_CLUSTER_SIZE,
          cuLaunchKernelEx(&config, function("few_threads"), nullptr, nullptr));
    config.gridDimX = 16;
    attributes[0].value.clusterDim.x = 16;
    FAILS(CUDA_ERROR_INVALID_CLUSTER_SIZE,
          cuLaunchKernelEx(&config, function("few_threads"), nullptr, nullptr));
    OK(cuFuncSetAttribute(function("few_threads"),
                          CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1));
    OK(cuLaunchKernelEx(&config, function("few_threads"), nullptr, nullptr));
    attributes[1].id = static_cast<CUlaunchAttributeID>(1000);
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuLaunchKernelEx(&config, function("few_threads"), nullptr, nullptr));
    int clusters = 0;
    attributes[0].value.clusterDim.x = 2;
    config.numAttrs = 1;
    OK(cuOccupancyMaxActiveClusters(&clusters, function("few_threads"), &config));
    int blocks = 0;
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function("few_threads"), 32, 0));
    EXPECT_GT(blocks, 0);
    EXPECT_EQ(clusters, 4 * blocks / 2);
}

TEST_F(DriverTest, LaunchesCooperatively) {
    CUfunction f = function("static_shared");
    // 32 blocks on each of 4 multiprocessors.
    OK(cuLaunchCooperativeKernel(f, 128, 1, 1, 32, 1, 1, 0, nullptr, nullptr));
    FAILS(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
          cuLaunchCooperativeKernel(f, 129, 1, 1, 32, 1, 1, 0, nullptr, nullptr));
}

// ---- Faults ----

TEST_F(DriverTest, FaultsSurfaceLaterAndStay) {
    const CUdeviceptr p = allocate(16);
    function("step");
    OK(store_at(p + 16));  // one past the end: the launch itself is fine
    OK(step(p, 1));        // enqueued behind it, never runs
    FAILS(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
    FAILS(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
    CUdeviceptr other = 0;
    FAILS(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemAlloc_v2(&other, 16));
    FAILS(CUDA_ERROR_ILLEGAL_ADDRESS, step(p, 1));
    EXPECT_EQ(emulatorReportCount(), 1);
    EXPECT_EQ(emulatorFindingCount(), 1u);
    const std::string report = emulatorGetReport(0);
    EXPECT_NE(report.find("\"kind\": \"out-of-bounds\""), std::string::npos) << report;
    EXPECT_EQ(report.find("\"fault\": null"), std::string::npos) << report;

    CUcontext fresh = nullptr;
    OK(cuCtxCreate_v2(&fresh, 0, 0));  // another context works
    module_ = nullptr;
    const CUdeviceptr mine = allocate(4);
    OK(cuMemsetD32_v2(mine, 1, 1));
    OK(step(mine, 1));
    EXPECT_EQ(word(mine), 3u);
    OK(cuCtxDestroy_v2(fresh));
}

TEST_F(DriverTest, EverySynchronizingCallTells) {
    const auto with_fault = [&](auto&& call) {
        CUcontext victim = nullptr;
        EXPECT_EQ(CUDA_SUCCESS, cuCtxCreate_v2(&victim, 0, 0));
        module_ = nullptr;
        const CUdeviceptr p = allocate(16);
        CUstream stream = nullptr;
        CUevent event = nullptr;
        EXPECT_EQ(CUDA_SUCCESS, cuStreamCreate(&stream, 0));
        EXPECT_EQ(CUDA_SUCCESS, cuEventCreate(&event, 0));
        EXPECT_EQ(CUDA_SUCCESS, store_at(p + 2, stream));
        EXPECT_EQ(CUDA_SUCCESS, cuEventRecord(event, stream));
        const CUresult result = call(p, stream, event);
        EXPECT_EQ(CUDA_SUCCESS, cuCtxDestroy_v2(victim));
        module_ = nullptr;
        return result;
    };
    using P = CUdeviceptr;
    using S = CUstream;
    using E = CUevent;
    constexpr CUresult kWhat = CUDA_ERROR_MISALIGNED_ADDRESS;
    uint32_t host = 0;
    FAILS(kWhat, with_fault([&](P, S s, E) { return cuStreamSynchronize(s); }));
    FAILS(kWhat, with_fault([&](P, S s, E) { return cuStreamQuery(s); }));
    FAILS(kWhat, with_fault([&](P, S, E e) { return cuEventSynchronize(e); }));
    FAILS(kWhat, with_fault([&](P, S, E e) { return cuEventQuery(e); }));
    FAILS(kWhat, with_fault([&](P p, S, E) { return cuMemcpyDtoH_v2(&host, p, 4); }));
    FAILS(kWhat, with_fault([&](P p, S, E) { return cuMemFree_v2(p); }));
    FAILS(CUDA_SUCCESS,
          with_fault([&](P p, S s, E) { return cuMemcpyDtoHAsync_v2(&host, p, 4, s); }));
}

TEST_F(DriverTest, FindingsMayFailALaunch) {
    // A read of memory that nobody wrote: right on hardware, a finding here.
    CUdeviceptr p = allocate(4);
    OK(step(p, 1));
    OK(cuCtxSynchronize());
    EXPECT_EQ(emulatorFindingCount(), 1u);
    EXPECT_NE(std::string(emulatorGetReport(0)).find("uninitialized"), std::string::npos)
        << emulatorGetReport(0);
    emulatorSetChecks(0);
    p = allocate(4);
    OK(step(p, 1));
    EXPECT_EQ(emulatorFindingCount(), 1u);
    emulatorSetChecks(1);
    emulatorSetFindingsFail(1);
    p = allocate(4);
    FAILS(CUDA_ERROR_LAUNCH_FAILED, step(p, 1));
    FAILS(CUDA_ERROR_LAUNCH_FAILED, cuCtxSynchronize());
}

// ---- Streams and events ----

TEST_F(DriverTest, HasStreams) {
    CUstream stream = nullptr;
    FAILS(CUDA_ERROR_INVALID_VALUE, cuStreamCreate(&stream, 2));
    OK(cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, -100));
    int priority = 0;
    unsigned flags = 0;
    unsigned long long id = 0, other_id = 0;
    CUcontext owner = nullptr;
    OK(cuStreamGetPriority(stream, &priority));
    EXPECT_EQ(priority, -5);
    OK(cuStreamGetFlags(stream, &flags));
    EXPECT_EQ(flags, unsigned{CU_STREAM_NON_BLOCKING});
    OK(cuStreamGetCtx(stream, &owner));
    EXPECT_EQ(owner, context_);
    OK(cuStreamGetId(stream, &id));
    OK(cuStreamGetId(nullptr, &other_id));
    EXPECT_NE(id, other_id);
    OK(cuStreamQuery(stream));
    OK(cuStreamSynchronize(nullptr));
    OK(cuStreamSynchronize(per_thread_stream()));
    OK(cuStreamDestroy_v2(stream));
    FAILS(CUDA_ERROR_INVALID_HANDLE, cuStreamSynchronize(stream));
    FAILS(CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy_v2(nullptr));

    // A stream of another context does not take this one's kernels.
    CUcontext second = nullptr;
    OK(cuCtxCreate_v2(&second, 0, 0));
    OK(cuStreamCreate(&stream, 0));
    CUcontext popped = nullptr;
    OK(cuCtxPopCurrent_v2(&popped));
    const CUdeviceptr p = allocate(4);
    FAILS(CUDA_ERROR_INVALID_HANDLE, step(p, 1, stream));
    OK(cuCtxDestroy_v2(second));
}

TEST_F(DriverTest, HasEvents) {
    CUevent start = nullptr, end = nullptr, untimed = nullptr;
    OK(cuEventCreate(&start, 0));
    OK(cuEventCreate(&end, CU_EVENT_BLOCKING_SYNC));
    OK(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuEventCreate(&end, 0x80));
    float milliseconds = -1;
    OK(cuEventQuery(start));  // never recorded: done
    FAILS(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&milliseconds, start, end));
    OK(cuEventRecord(start, nullptr));
    OK(cuEventRecord(end, nullptr));
    OK(cuEventRecord(untimed, nullptr));
    OK(cuEventSynchronize(end));
    OK(cuEventElapsedTime(&milliseconds, start, end));
    EXPECT_GE(milliseconds, 0.0f);
    FAILS(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&milliseconds, start, untimed));
    OK(cuStreamWaitEvent(nullptr, end, 0));
    OK(cuEventDestroy_v2(end));
    FAILS(CUDA_ERROR_INVALID_HANDLE, cuEventRecord(end, nullptr));
}

TEST_F(DriverTest, CallsHostFunctionsInOrder) {
    struct State {
        CUdeviceptr p;
        uint32_t seen;
        CUresult inside;
    } state = {allocate(4), 0, CUDA_SUCCESS};
    CUstream stream = nullptr;
    OK(cuStreamCreate(&stream, 0));
    OK(cuMemsetD32Async(state.p, 4, 1, stream));
    OK(cuMemcpyDtoHAsync_v2(&state.seen, state.p, 4, stream));
    OK(cuLaunchHostFunc(
        stream,
        [](void* data) {
            auto* s = static_cast<State*>(data);
            s->seen += 100;
            s->inside = cuCtxSynchronize();  // not allowed here
        },
        &state));
    OK(cuStreamSynchronize(stream));
    EXPECT_EQ(state.seen, 104u);
    EXPECT_EQ(state.inside, CUDA_ERROR_NOT_PERMITTED);
}

// ---- Graphs ----

TEST_F(DriverTest, CapturesAndReplays) {
    CUstream stream = nullptr;
    OK(cuStreamCreate(&stream, 0));
    CUdeviceptr p = allocate(4);
    uint32_t out = 0;
    CUfunction f = function("step");
    unsigned k = 3;
    CUstreamCaptureStatus status;
    OK(cuStreamIsCapturing(stream, &status));
    EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_NONE);
    OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    FAILS(CUDA_ERROR_ILLEGAL_STATE, cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuStreamIsCapturing(stream, &status));
    EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
    OK(cuMemsetD32Async(p, 5, 1, stream));
    OK(run(f, {&p, &k}, stream));
    k = 1000;  // the argument was taken at the call
    OK(cuMemcpyDtoHAsync_v2(&out, p, 4, stream));
    CUgraph graph = nullptr;
    OK(cuStreamEndCapture(stream, &graph));
    EXPECT_EQ(emulatorReportCount(), 0);  // nothing ran
    EXPECT_EQ(out, 0u);
    size_t count = 0;
    OK(cuGraphGetNodes(graph, nullptr, &count));
    ASSERT_EQ(count, 3u);
    CUgraphNode nodes[3];
    OK(cuGraphGetNodes(graph, nodes, &count));
    CUgraphNodeType type;
    OK(cuGraphNodeGetType(nodes[1], &type));
    EXPECT_EQ(type, CU_GRAPH_NODE_TYPE_KERNEL);
    CUDA_KERNEL_NODE_PARAMS parameters;
    OK(cuGraphKernelNodeGetParams_v2(nodes[1], &parameters));
    EXPECT_EQ(parameters.func, f);
    EXPECT_EQ(*static_cast<unsigned*>(parameters.kernelParams[1]), 3u);
    CUgraphExec exec = nullptr;
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (int i = 0; i < 3; ++i) {
        out = 0;
        OK(cuGraphLaunch(exec, stream));
        OK(cuStreamSynchronize(stream));
        EXPECT_EQ(out, 13u);
    }
    EXPECT_EQ(emulatorReportCount(), 3);

    unsigned other = 7;
    void* arguments[] = {&p, &other};
    parameters.kernelParams = arguments;
    OK(cuGraphExecKernelNodeSetParams_v2(exec, nodes[1], &parameters));
    OK(cuGraphLaunch(exec, stream));
    EXPECT_EQ(out, 17u);
    // From the graph, which still has the old argument.
    CUgraphExecUpdateResultInfo info;
    OK(cuGraphExecUpdate_v2(exec, graph, &info));
    OK(cuGraphLaunch(exec, stream));
    EXPECT_EQ(out, 13u);
    OK(cuGraphDestroy(graph));
    OK(cuGraphLaunch(exec, stream));  // lives on without it
    OK(cuGraphExecDestroy(exec));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(exec, stream));
}

TEST_F(DriverTest, ForksAndJoinsInACapture) {
    CUstream main = nullptr, side = nullptr;
    CUevent fork_event = nullptr, join_event = nullptr;
    OK(cuStreamCreate(&main, 0));
    OK(cuStreamCreate(&side, 0));
    OK(cuEventCreate(&fork_event, CU_EVENT_DISABLE_TIMING));
    OK(cuEventCreate(&join_event, CU_EVENT_DISABLE_TIMING));
    const CUdeviceptr a = allocate(4), b = allocate(4);
    OK(cuMemsetD32_v2(a, 1, 1));
    OK(cuMemsetD32_v2(b, 1, 1));
    function("step");
    OK(cuStreamBeginCapture_v2(main, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(step(a, 1, main));
    OK(cuEventRecord(fork_event, main));
    OK(cuStreamWaitEvent(side, fork_event, 0));
    CUstreamCaptureStatus status;
    OK(cuStreamIsCapturing(side, &status));
    EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
    OK(step(b, 2, side));
    OK(step(a, 3, main));
    OK(cuEventRecord(join_event, side));
    OK(cuStreamWaitEvent(main, join_event, 0));
    OK(cuMemcpyDtoDAsync_v2(a, b, 4, main));
    CUgraph graph = nullptr;
    OK(cuStreamEndCapture(main, &graph));
    size_t count = 0;
    OK(cuGraphGetEdges(graph, nullptr, nullptr, &count));
    EXPECT_EQ(count, 4u);
    OK(cuStreamIsCapturing(side, &status));
    EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_NONE);
    CUgraphExec exec = nullptr;
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (unsigned seed = 1; seed <= 8; ++seed) {
        emulatorSetSeed(seed);
        OK(cuMemsetD32_v2(b, 1, 1));
        OK(cuGraphLaunch(exec, main));
        EXPECT_EQ(word(a), 4u);
    }
}

TEST_F(DriverTest, SeedsPickAGraphsOrder) {
    // Two kernels without an edge on one word: a missing dependency, whose result is the order's.
    CUgraph graph = nullptr;
    OK(cuGraphCreate(&graph, 0));
    CUdeviceptr p = allocate(4);
    unsigned k = 1, l = 2;
    void* first[] = {&p, &k};
    void* second[] = {&p, &l};
    CUDA_KERNEL_NODE_PARAMS parameters{function("step"), 1,       1,      1, 1, 1, 1, 0, first,
                                       nullptr,          nullptr, nullptr};
    CUgraphNode node = nullptr;
    OK(cuGraphAddKernelNode_v2(&node, graph, nullptr, 0, &parameters));
    parameters.kernelParams = second;
    OK(cuGraphAddKernelNode_v2(&node, graph, nullptr, 0, &parameters));
    CUgraphExec exec = nullptr;
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    bool seen[2] = {false, false};
    for (unsigned seed = 1; seed <= 16; ++seed) {
        emulatorSetSeed(seed);
        OK(cuMemsetD32_v2(p, 0, 1));
        OK(cuGraphLaunch(exec, nullptr));
        const uint32_t result = word(p);
        ASSERT_TRUE(result == 4 || result == 5) << result;
        seen[result - 4] = true;
    }
    EXPECT_TRUE(seen[0] && seen[1]);
}

TEST_F(DriverTest, RefusesWhatACaptureCannotHold) {
    CUstream stream = nullptr;
    OK(cuStreamCreate(&stream, 0));
    CUgraph graph = nullptr;
    const CUdeviceptr p = allocate(4);
    function("step");
    CUevent outside = nullptr;
    OK(cuEventCreate(&outside, 0));
    OK(cuEventRecord(outside, nullptr));
    const auto with_capture = [&](CUresult expected, auto&& call) {
        EXPECT_EQ(CUDA_SUCCESS, cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
        EXPECT_EQ(CUDA_SUCCESS, step(p, 1, stream));
        EXPECT_EQ(expected, call());
        EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, step(p, 1, stream));
        EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream, &graph));
        EXPECT_EQ(graph, nullptr);
    };
    CUdeviceptr address = 0;
    CUmodule loaded = nullptr;
    uint32_t host = 0;
    constexpr CUresult kNo = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    with_capture(kNo, [&] { return cuStreamSynchronize(stream); });
    with_capture(kNo, [&] { return cuStreamQuery(stream); });
    with_capture(kNo, [&] { return cuCtxSynchronize(); });
    with_capture(kNo, [&] { return cuMemAlloc_v2(&address, 4); });
    with_capture(kNo, [&] { return cuMemFree_v2(p); });
    with_capture(kNo, [&] { return cuMemcpyDtoH_v2(&host, p, 4); });
    with_capture(kNo, [&] { return cuModuleLoadData(&loaded, kKernels); });
    with_capture(kNo, [&] { return cuEventQuery(outside); });
    with_capture(CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
                 [&] { return cuStreamWaitEvent(stream, outside, 0); });
    with_capture(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, [&] { return step(p, 1, nullptr); });
    CUevent inside = nullptr;
    OK(cuEventCreate(&inside, 0));
    with_capture(CUDA_ERROR_CAPTURED_EVENT, [&] {
        EXPECT_EQ(CUDA_SUCCESS, cuEventRecord(inside, stream));
        return cuEventSynchronize(inside);
    });
    FAILS(kNo, cuStreamBeginCapture_v2(nullptr, CU_STREAM_CAPTURE_MODE_GLOBAL));
    FAILS(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture(stream, &graph));
    OK(cuCtxSynchronize());
}

TEST_F(DriverTest, RelaxedThreadsMayDoMoreDuringACapture) {
    CUstream stream = nullptr;
    OK(cuStreamCreate(&stream, 0));
    OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    // Another thread is held back by a global capture, unless it says that it knows.
    CUresult strict = CUDA_SUCCESS, relaxed = CUDA_SUCCESS;
    CUdeviceptr address = 0;
    std::thread([&] {
        cuCtxSetCurrent(context_);
        CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
        cuThreadExchangeStreamCaptureMode(&mode);
        relaxed = cuMemAlloc_v2(&address, 4);
        EXPECT_EQ(mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
    }).join();
    OK(relaxed);
    std::thread([&] {
        cuCtxSetCurrent(context_);
        CUdeviceptr other = 0;
        strict = cuMemAlloc_v2(&other, 4);
    }).join();
    FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, strict);
    CUgraph graph = nullptr;
    FAILS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream, &graph));

    // A thread-local capture concerns its own thread only.
    OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    std::thread([&] {
        cuCtxSetCurrent(context_);
        CUdeviceptr other = 0;
        strict = cuMemAlloc_v2(&other, 4);
    }).join();
    OK(strict);
    CUresult ended = CUDA_SUCCESS;
    std::thread([&] {
        cuCtxSetCurrent(context_);
        ended = cuStreamEndCapture(stream, &graph);
    }).join();
    FAILS(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, ended);
    OK(cuStreamEndCapture(stream, &graph));
}

TEST_F(DriverTest, CapturesMustBeJoined) {
    CUstream main = nullptr, side = nullptr;
    CUevent event = nullptr;
    OK(cuStreamCreate(&main, 0));
    OK(cuStreamCreate(&side, 0));
    OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    const CUdeviceptr p = allocate(4);
    function("step");
    OK(cuStreamBeginCapture_v2(main, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuEventRecord(event, main));
    OK(cuStreamWaitEvent(side, event, 0));
    OK(step(p, 1, side));
    CUgraph graph = nullptr;
    FAILS(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, cuStreamEndCapture(side, &graph));
    FAILS(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, cuStreamEndCapture(main, &graph));
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

// ---- Tensor maps ----

TEST_F(DriverTest, EncodesTensorMaps) {
    const CUdeviceptr data = allocate(64 * 128 * 2);
    CUtensorMap map;
    uint64_t dims[] = {128, 64}, strides[] = {256};
    uint32_t box[] = {64, 32}, steps[] = {1, 1};
    constexpr int kHalf = 6, kSwizzle128 = 3;
    const auto encode = [&] {
        return cuTensorMapEncodeTiled(&map, kHalf, 2, reinterpret_cast<void*>(data), dims, strides,
                                      box, steps, 0, kSwizzle128, 2, 0);
    };
    OK(encode());
    TensorMap read = read_tensor_map(&map);
    EXPECT_TRUE(read.valid());
    EXPECT_EQ(read.address, data);
    EXPECT_EQ(read.rank, 2);
    EXPECT_EQ(read.type, TensorType::kF16);
    EXPECT_EQ(read.swizzle, TensorSwizzle::k128);
    EXPECT_EQ(read.extent(0), 128u);
    EXPECT_EQ(read.extent(1), 64u);
    EXPECT_EQ(read.stride[0], 256u);
    EXPECT_EQ(read.box[1], 32);
    // What CUTLASS does to NVIDIA's encoding changes nothing of ours.
    map.opaque[1] = ~map.opaque[1];
    const TensorMap after = read_tensor_map(&map);
    read.reserved[1] = after.reserved[1];
    read.reserved[2] = after.reserved[2];
    EXPECT_EQ(std::memcmp(&read, &after, sizeof read), 0);
    OK(cuTensorMapReplaceAddress(&map, reinterpret_cast<void*>(data + 16)));
    EXPECT_EQ(read_tensor_map(&map).address, data + 16);
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuTensorMapReplaceAddress(&map, reinterpret_cast<void*>(data + 8)));

    const auto refused = [&](auto& field, auto value) {
        const auto kept = field;
        field = value;
        EXPECT_EQ(CUDA_ERROR_INVALID_VALUE, encode());
        field = kept;
        EXPECT_EQ(CUDA_SUCCESS, encode());
    };
    refused(dims[0], 0);
    refused(dims[1], (uint64_t{1} << 32) + 1);
    refused(strides[0], 264);                // no multiple of 16
    refused(strides[0], uint64_t{1} << 40);  // too far
    refused(box[0], 128);                    // 256 bytes exceed the swizzle's span
    refused(box[0], 4);                      // 8 bytes are no multiple of 16
    refused(box[1], 257);
    refused(box[1], 0);
    refused(steps[0], 9);
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuTensorMapEncodeTiled(&map, kHalf, 6, reinterpret_cast<void*>(data), dims, strides, box,
                                 steps, 0, 0, 0, 0));
    FAILS(CUDA_ERROR_INVALID_VALUE,  // NaN for integers
          cuTensorMapEncodeTiled(&map, 0, 2, reinterpret_cast<void*>(data), dims, strides, box,
                                 steps, 0, 0, 0, 1));
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuTensorMapEncodeTiled(&map, kHalf, 2, reinterpret_cast<void*>(data + 8), dims, strides,
                                 box, steps, 0, 0, 0, 0));
}

}  // namespace
}  // namespace emulator::cu
