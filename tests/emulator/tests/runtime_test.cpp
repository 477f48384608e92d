// The stand-in for the CUDA runtime, called as nvcc's generated code calls it: a fatbin, kernels and
// variables registered by hand, launches by <<<>>>'s two halves, and the API around them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/emulator/runtime/cudart_api.hpp"

namespace emulator::cudart {

extern "C" {
void** __cudaRegisterFatBinary(void* wrapper);
void __cudaRegisterFatBinaryEnd(void** handle);
void __cudaUnregisterFatBinary(void** handle);
void __cudaRegisterFunction(void** handle, const char* host, char* device, const char* name,
                            int threads, void*, void*, void*, void*, int*);
void __cudaRegisterVar(void** handle, char* host, char* device, const char* name, int external,
                       size_t bytes, int constant, int global);
void __cudaRegisterManagedVar(void** handle, void** host, char* device, const char* name,
                              int external, size_t bytes, int constant, int global);
char __cudaInitModule(void** handle);
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cu::CUstream stream);
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream);
cudaError_t __cudaGetKernel(cu::CUkernel* kernel, const void* function);
cudaError_t __cudaLaunchKernel(cu::CUkernel kernel, dim3 grid, dim3 block, void** arguments,
                               size_t shared, cu::CUstream stream);
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             size_t shared, cu::CUstream stream);
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function,
                                void** arguments);
cudaError_t cudaMalloc(void** pointer, size_t bytes);
cudaError_t cudaFree(void* pointer);
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemset(void* to, int value, size_t bytes);
cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, size_t bytes, size_t offset,
                               cudaMemcpyKind kind);
cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, size_t bytes, size_t offset,
                                 cudaMemcpyKind kind);
cudaError_t cudaGetSymbolAddress(void** pointer, const void* symbol);
cudaError_t cudaGetSymbolSize(size_t* bytes, const void* symbol);
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* out, const void* pointer);
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* out, const void* function);
cudaError_t cudaFuncSetAttribute(const void* function, int which, int value);
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function,
                                                          int threads, size_t dynamic_shared);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDeviceGetAttribute(int* value, int which, int device);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaDeviceReset();
cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();
const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned version,
                                             unsigned long long flags, int* status);
cudaError_t cudaStreamCreate(cu::CUstream* stream);
cudaError_t cudaStreamDestroy(cu::CUstream stream);
cudaError_t cudaStreamSynchronize(cu::CUstream stream);
cudaError_t cudaStreamBeginCapture(cu::CUstream stream, cu::CUstreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cu::CUstream stream, cu::CUgraph* graph);
cudaError_t cudaGraphInstantiate(cu::CUgraphExec* exec, cu::CUgraph graph,
                                 unsigned long long flags);
cudaError_t cudaGraphLaunch(cu::CUgraphExec exec, cu::CUstream stream);
}

namespace {

const bool g_environment = [] {
    setenv("EMU_ARCH", "80", 1);
    setenv("EMU_SMS", "2", 1);
    for (const char* name : {"EMU_REPORT", "EMU_FAIL", "EMU_FINDINGS", "EMU_CHECKS"})
        unsetenv(name);
    return true;
}();

constexpr const char* kPtx = R"(
.version 8.0
.target sm_80
.address_size 64
.global .align 4 .u32 offset = 10;
.global .attribute(.managed) .align 4 .u32 managed = 5;

// out[i] = i * factor + offset + managed
.visible .entry fill(.param .u64 out, .param .u32 factor)
{
    .reg .b32 %r<8>; .reg .b64 %rd<4>;
    ld.param.u64 %rd1, [out];
    ld.param.u32 %r1, [factor];
    mov.u32 %r2, %tid.x;
    mul.lo.u32 %r3, %r2, %r1;
    ld.global.u32 %r4, [offset];
    ld.global.u32 %r5, [managed];
    add.u32 %r6, %r3, %r4;
    add.u32 %r7, %r6, %r5;
    mul.wide.u32 %rd2, %r2, 4;
    add.s64 %rd3, %rd1, %rd2;
    st.global.u32 [%rd3], %r7;
    ret;
}
)";

struct Wrapper {
    uint32_t magic = 0x466243B1, version = 1;
    const void* container = nullptr;
    const void* file = nullptr;
};

/// A program's registrations: host addresses stand for its kernels and variables.
class RuntimeTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string text = kPtx;
        while (text.size() % 8 != 0)
            text += '\0';
        struct {
            uint16_t kind = 1, version = 0x101;
            uint32_t header = 64;
            uint64_t payload = 0;
            uint32_t compressed = 0, options = 0;
            uint16_t minor = 0, major = 8;
            uint32_t arch = 80, name = 0, name_bytes = 0;
            uint64_t flags = 0x11, unused = 0, uncompressed = 0;
        } entry;
        entry.payload = text.size();
        struct {
            uint32_t magic = 0xBA55ED50;
            uint16_t version = 1, header = 16;
            uint64_t payload = 0;
        } container;
        container.payload = sizeof entry + text.size();
        image_.assign(reinterpret_cast<char*>(&container), sizeof container);
        image_.append(reinterpret_cast<char*>(&entry), sizeof entry);
        image_ += text;
        wrapper_.container = image_.data();
        handle_ = __cudaRegisterFatBinary(&wrapper_);
        __cudaRegisterFunction(handle_, &fill_, &fill_, "fill", -1, nullptr, nullptr, nullptr,
                               nullptr, nullptr);
        __cudaRegisterFunction(handle_, &missing_, &missing_, "missing", -1, nullptr, nullptr,
                               nullptr, nullptr, nullptr);
        __cudaRegisterVar(handle_, &offset_, &offset_, "offset", 0, 4, 0, 0);
        __cudaRegisterManagedVar(handle_, &managed_, nullptr, "managed", 0, 4, 0, 0);
        __cudaRegisterFatBinaryEnd(handle_);
        cudaGetLastError();
    }

    void TearDown() override {
        cudaDeviceReset();
        __cudaUnregisterFatBinary(handle_);
        cudaGetLastError();
    }

    std::vector<uint32_t> read(const void* device, size_t count) {
        std::vector<uint32_t> out(count);
        EXPECT_EQ(cudaSuccess, cudaMemcpy(out.data(), device, count * 4, cudaMemcpyDeviceToHost));
        return out;
    }

    std::string image_;
    Wrapper wrapper_;
    void** handle_ = nullptr;
    char fill_ = 0, missing_ = 0, offset_ = 0;
    void* managed_ = nullptr;
};

#define OK(call) ASSERT_EQ(cudaSuccess, call)
#define FAILS(code, call) EXPECT_EQ(code, call)

constexpr dim3 kOne{1, 1, 1};

TEST_F(RuntimeTest, LaunchesAsTheCompilerDoes) {
    void* out = nullptr;
    OK(cudaMalloc(&out, 64 * 4));
    // k<<<1, 64, 0, 0>>>(out, 3)
    EXPECT_EQ(0u, __cudaPushCallConfiguration(kOne, {64, 1, 1}, 0, nullptr));
    dim3 grid, block;
    size_t shared = 1;
    cu::CUstream stream = nullptr;
    OK(__cudaPopCallConfiguration(&grid, &block, &shared, &stream));
    EXPECT_EQ(block.x, 64u);
    EXPECT_EQ(shared, 0u);
    cu::CUkernel kernel = nullptr;
    OK(__cudaGetKernel(&kernel, &fill_));
    unsigned factor = 3;
    void* arguments[] = {&out, &factor};
    OK(__cudaLaunchKernel(kernel, grid, block, arguments, shared, stream));
    std::vector<uint32_t> values = read(out, 64);
    for (uint32_t i = 0; i < 64; ++i)
        EXPECT_EQ(values[i], 3 * i + 15);
    // The classic way, and by a configuration structure.
    factor = 4;
    OK(cudaLaunchKernel(&fill_, kOne, {64, 1, 1}, arguments, 0, nullptr));
    EXPECT_EQ(read(out, 64)[63], 4 * 63 + 15u);
    factor = 5;
    const cudaLaunchConfig_t config{kOne, {64, 1, 1}, 0, nullptr, nullptr, 0};
    OK(cudaLaunchKernelExC(&config, &fill_, arguments));
    EXPECT_EQ(read(out, 64)[63], 5 * 63 + 15u);
    FAILS(cudaErrorMissingConfiguration,
          __cudaPopCallConfiguration(&grid, &block, &shared, &stream));
    OK(cudaFree(out));
}

TEST_F(RuntimeTest, ReachesSymbols) {
    size_t bytes = 0;
    OK(cudaGetSymbolSize(&bytes, &offset_));
    EXPECT_EQ(bytes, 4u);
    uint32_t value = 100, seen = 0;
    OK(cudaMemcpyFromSymbol(&seen, &offset_, 4, 0, cudaMemcpyDeviceToHost));
    EXPECT_EQ(seen, 10u);
    OK(cudaMemcpyToSymbol(&offset_, &value, 4, 0, cudaMemcpyHostToDevice));
    FAILS(cudaErrorInvalidValue,
          cudaMemcpyToSymbol(&offset_, &value, 4, 1, cudaMemcpyHostToDevice));
    FAILS(cudaErrorInvalidSymbol, cudaMemcpyToSymbol(&seen, &value, 4, 0, cudaMemcpyHostToDevice));
    EXPECT_EQ(__cudaInitModule(handle_), 1);
    ASSERT_NE(managed_, nullptr);
    EXPECT_EQ(*static_cast<uint32_t*>(managed_), 5u);
    *static_cast<uint32_t*>(managed_) = 1000;
    void* out = nullptr;
    OK(cudaMalloc(&out, 4));
    unsigned factor = 1;
    void* arguments[] = {&out, &factor};
    OK(cudaLaunchKernel(&fill_, kOne, kOne, arguments, 0, nullptr));
    EXPECT_EQ(read(out, 1)[0], 1100u);
}

TEST_F(RuntimeTest, KeepsTheLastError) {
    OK(cudaGetLastError());
    void* out = nullptr;
    unsigned factor = 1;
    void* arguments[] = {&out, &factor};
    FAILS(cudaErrorInvalidConfiguration,
          cudaLaunchKernel(&fill_, kOne, {1025, 1, 1}, arguments, 0, nullptr));
    EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInvalidConfiguration);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    FAILS(cudaErrorInvalidDeviceFunction,
          cudaLaunchKernel(&missing_, kOne, kOne, arguments, 0, nullptr));
    FAILS(cudaErrorInvalidDeviceFunction,
          cudaLaunchKernel(&factor, kOne, kOne, arguments, 0, nullptr));
    cudaError_t other_threads = cudaErrorUnknown;
    std::thread([&] { other_threads = cudaGetLastError(); }).join();
    EXPECT_EQ(other_threads, cudaSuccess);
    FAILS(cudaErrorInvalidMemcpyDirection, cudaMemcpy(out, out, 0, static_cast<cudaMemcpyKind>(9)));
    FAILS(cudaErrorInvalidValue, cudaMemcpy(&factor, &out, 4, cudaMemcpyDeviceToHost));
    FAILS(cudaErrorMemoryAllocation, cudaMalloc(&out, size_t{1} << 50));
    EXPECT_STREQ(cudaGetErrorName(cudaErrorMemoryAllocation), "cudaErrorMemoryAllocation");
    EXPECT_STREQ(cudaGetErrorString(cudaSuccess), "no error");
}

TEST_F(RuntimeTest, FaultsAreSticky) {
    void* out = nullptr;
    OK(cudaMalloc(&out, 4));
    unsigned factor = 1;
    void* arguments[] = {&out, &factor};
    OK(cudaLaunchKernel(&fill_, kOne, {2, 1, 1}, arguments, 0, nullptr));
    FAILS(cudaErrorIllegalAddress, cudaDeviceSynchronize());
    void* more = nullptr;
    FAILS(cudaErrorIllegalAddress, cudaMalloc(&more, 4));
    OK(cudaDeviceReset());
    OK(cudaMalloc(&out, 8));
    OK(cudaLaunchKernel(&fill_, kOne, {2, 1, 1}, arguments, 0, nullptr));
    OK(cudaDeviceSynchronize());
    EXPECT_EQ(read(out, 2)[1], 16u);
}

TEST_F(RuntimeTest, DescribesDeviceAndFunctions) {
    int count = 0, device = 9, value = 0;
    OK(cudaGetDeviceCount(&count));
    EXPECT_EQ(count, 1);
    OK(cudaSetDevice(0));
    OK(cudaGetDevice(&device));
    EXPECT_EQ(device, 0);
    FAILS(cudaErrorInvalidDevice, cudaSetDevice(1));
    cudaDeviceProp properties;
    OK(cudaGetDeviceProperties(&properties, 0));
    EXPECT_EQ(properties.major, 8);
    EXPECT_EQ(properties.minor, 0);
    EXPECT_EQ(properties.multiProcessorCount, 2);
    EXPECT_EQ(properties.sharedMemPerBlockOptin, 163u * 1024);
    EXPECT_EQ(properties.warpSize, 32);
    constexpr int kCapabilityMajor = 75;
    OK(cudaDeviceGetAttribute(&value, kCapabilityMajor, 0));
    EXPECT_EQ(value, 8);
    cudaFuncAttributes attributes;
    OK(cudaFuncGetAttributes(&attributes, &fill_));
    EXPECT_EQ(attributes.maxThreadsPerBlock, 1024);
    EXPECT_EQ(attributes.ptxVersion, 80);
    EXPECT_EQ(attributes.sharedSizeBytes, 0u);
    constexpr int kMaxDynamicShared = 8;
    OK(cudaFuncSetAttribute(&fill_, kMaxDynamicShared, 100 * 1024));
    OK(cudaFuncGetAttributes(&attributes, &fill_));
    EXPECT_EQ(attributes.maxDynamicSharedSizeBytes, 100 * 1024);
    FAILS(cudaErrorInvalidValue, cudaFuncSetAttribute(&fill_, kMaxDynamicShared, 164 * 1024));
    int blocks = 0;
    OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, &fill_, 128, 80 * 1024));
    EXPECT_EQ(blocks, 2);  // 81 KB each of 164
}

TEST_F(RuntimeTest, KnowsPointers) {
    void* device = nullptr;
    int host = 0;
    OK(cudaMalloc(&device, 16));
    cudaPointerAttributes attributes;
    OK(cudaPointerGetAttributes(&attributes, device));
    EXPECT_EQ(attributes.type, 2);
    EXPECT_EQ(attributes.device, 0);
    EXPECT_EQ(attributes.devicePointer, device);
    OK(cudaPointerGetAttributes(&attributes, &host));
    EXPECT_EQ(attributes.type, 0);
    EXPECT_EQ(attributes.devicePointer, nullptr);
    void* symbol = nullptr;
    OK(cudaGetSymbolAddress(&symbol, &offset_));
    OK(cudaPointerGetAttributes(&attributes, symbol));
    EXPECT_EQ(attributes.type, 2);
    void* nothing = &host;
    OK(cudaMalloc(&nothing, 0));
    EXPECT_EQ(nothing, nullptr);
    OK(cudaFree(nullptr));
}

TEST_F(RuntimeTest, FindsTheDriver) {
    void* function = nullptr;
    int status = -1;
    OK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, 0, &status));
    EXPECT_EQ(status, 0);
    EXPECT_EQ(function, reinterpret_cast<void*>(&cu::cuTensorMapEncodeTiled));
    OK(cudaGetDriverEntryPointByVersion("cuNothing", &function, 12000, 0, &status));
    EXPECT_EQ(status, 1);
    EXPECT_EQ(function, nullptr);
}

TEST_F(RuntimeTest, CapturesGraphs) {
    cu::CUstream stream = nullptr;
    OK(cudaStreamCreate(&stream));
    void* out = nullptr;
    OK(cudaMalloc(&out, 4));
    unsigned factor = 1;
    void* arguments[] = {&out, &factor};
    OK(cudaMemset(out, 0, 4));
    cu::CUkernel kernel = nullptr;
    OK(__cudaGetKernel(&kernel, &fill_));
    cudaFuncAttributes attributes;
    OK(cudaFuncGetAttributes(&attributes, &fill_));  // loads the kernel before the capture
    OK(cudaStreamBeginCapture(stream, cu::CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cudaLaunchKernel(&fill_, kOne, kOne, arguments, 0, stream));
    cu::CUgraph graph = nullptr;
    OK(cudaStreamEndCapture(stream, &graph));
    EXPECT_EQ(read(out, 1)[0], 0u);
    cu::CUgraphExec exec = nullptr;
    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaGraphLaunch(exec, stream));
    OK(cudaStreamSynchronize(stream));
    EXPECT_EQ(read(out, 1)[0], 15u);
    OK(cudaStreamDestroy(stream));
    FAILS(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(stream));
}

}  // namespace
}  // namespace emulator::cudart
