// The kernels and the fixture of the driver's tests. Private to this folder.
#pragma once

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

/// Before the driver reads it: the device that these tests expect. A child process that a test starts
/// to look at other settings keeps its own.
inline const bool g_environment = [] {
    if (std::getenv("EMU_TEST_CHILD") != nullptr) return true;
    setenv("EMU_ARCH", "90", 1);
    setenv("EMU_SMS", "4", 1);
    setenv("EMU_SEED", "1", 1);
    for (const char* name : {"EMU_REPORT", "EMU_FAIL", "EMU_FINDINGS", "EMU_CHECKS"})
        unsetenv(name);
    return true;
}();

inline constexpr const char* kKernels = R"(
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

}  // namespace emulator::cu
