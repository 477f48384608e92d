// The emulated libcuda.so.1 through its ABI: modules, libraries, functions, launches, faults and how they surface.
#include "tests/emulator/tests/driver_fixture.hpp"

namespace emulator::cu {
namespace {

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

}  // namespace
}  // namespace emulator::cu
