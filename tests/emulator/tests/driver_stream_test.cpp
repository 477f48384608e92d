// The emulated libcuda.so.1 through its ABI: streams, events, host functions, captures, graphs.
#include "tests/emulator/tests/driver_fixture.hpp"

namespace emulator::cu {
namespace {

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

}  // namespace
}  // namespace emulator::cu
