// The emulated libcuda.so.1 through its ABI: what is ordered between streams and what is not. Each way to
// order two works has a twin without it, in which the race must be found.
#include <functional>

#include "tests/emulator/tests/driver_fixture.hpp"

namespace emulator::cu {
namespace {

class StreamOrder : public DriverTest {
  protected:
    void SetUp() override {
        DriverTest::SetUp();
        p_ = allocate(4096);
        q_ = allocate(4096);
        OK(cuMemsetD32_v2(p_, 0, 1024));
        OK(cuMemsetD32_v2(q_, 0, 1024));
        for (CUstream* stream : {&a_, &b_})
            OK(cuStreamCreate(stream, CU_STREAM_NON_BLOCKING));
        for (CUstream* stream : {&c_, &d_})
            OK(cuStreamCreate(stream, CU_STREAM_DEFAULT));
        OK(cuEventCreate(&event_, CU_EVENT_DISABLE_TIMING));
        OK(cuCtxSynchronize());
        function("step");
        emulatorClearReports();
    }

    /// Findings since the last call; all of them races between streams.
    uint64_t races() {
        const uint64_t count = emulatorFindingCount();
        for (int i = 0; i < emulatorReportCount(); ++i) {
            const std::string report = emulatorGetReport(i);
            const bool is_clean = report.find("\"findings\": []") != std::string::npos;
            EXPECT_TRUE(is_clean || report.find("stream-race") != std::string::npos) << report;
        }
        emulatorClearReports();
        return count;
    }
    void settle() {
        OK(cuCtxSynchronize());
        emulatorClearReports();
    }

    CUdeviceptr p_ = 0, q_ = 0;
    CUstream a_ = nullptr, b_ = nullptr;  ///< non-blocking
    CUstream c_ = nullptr, d_ = nullptr;  ///< blocking
    CUevent event_ = nullptr;
};

TEST_F(StreamOrder, OneStreamIsOrdered) {
    for (int i = 0; i < 3; ++i)
        OK(step(p_, 1, a_));
    OK(cuMemcpyDtoDAsync_v2(q_, p_, 4096, a_));
    OK(cuMemsetD8Async(p_, 0, 4096, a_));
    EXPECT_EQ(races(), 0u);
}

TEST_F(StreamOrder, TwoStreamsAreNot) {
    OK(step(p_, 1, a_));
    OK(step(p_, 1, b_));
    EXPECT_GE(races(), 1u);
    settle();
    // Other bytes, or only reads.
    OK(step(p_, 1, a_));
    OK(step(p_ + 4, 1, b_));
    OK(step(q_, 1, b_));
    OK(cuMemcpyDtoDAsync_v2(q_ + 1024, p_ + 2048, 512, a_));
    OK(cuMemcpyDtoDAsync_v2(q_ + 2048, p_ + 2048, 512, b_));
    EXPECT_EQ(races(), 0u);
}

TEST_F(StreamOrder, EventsOrder) {
    OK(step(p_, 1, a_));
    OK(cuEventRecord(event_, a_));
    OK(cuStreamWaitEvent(b_, event_, 0));
    OK(step(p_, 1, b_));
    EXPECT_EQ(races(), 0u);
    // Not what comes behind the record, and not the other way round.
    OK(step(p_ + 64, 1, a_));
    OK(step(p_ + 64, 1, b_));
    EXPECT_GE(races(), 1u);
    OK(step(p_ + 128, 1, b_));
    OK(step(p_ + 128, 1, a_));
    EXPECT_GE(races(), 1u);
}

TEST_F(StreamOrder, OrderIsHandedOn) {
    OK(step(p_, 1, a_));
    OK(cuEventRecord(event_, a_));
    OK(cuStreamWaitEvent(b_, event_, 0));
    CUevent second = nullptr;
    OK(cuEventCreate(&second, CU_EVENT_DISABLE_TIMING));
    OK(cuEventRecord(second, b_));
    OK(cuStreamWaitEvent(c_, second, 0));
    OK(step(p_, 1, c_));
    EXPECT_EQ(races(), 0u);
    // A wait takes the record of its time.
    OK(cuEventRecord(second, b_));
    OK(step(q_, 1, b_));
    OK(cuStreamWaitEvent(c_, second, 0));
    OK(step(q_, 1, c_));
    EXPECT_GE(races(), 1u);
}

TEST_F(StreamOrder, TheHostOrders) {
    const auto orders = [&](CUresult (*wait)(CUstream stream, CUevent event)) {
        OK(step(p_, 1, a_));
        OK(cuEventRecord(event_, a_));
        OK(wait(a_, event_));
        OK(step(p_, 1, b_));
        EXPECT_EQ(races(), 0u);
        settle();
    };
    orders([](CUstream stream, CUevent) { return cuStreamSynchronize(stream); });
    orders([](CUstream stream, CUevent) { return cuStreamQuery(stream); });
    orders([](CUstream, CUevent event) { return cuEventSynchronize(event); });
    orders([](CUstream, CUevent event) { return cuEventQuery(event); });
    orders([](CUstream, CUevent) { return cuCtxSynchronize(); });
    // Of another stream: no.
    OK(step(p_, 1, a_));
    OK(cuStreamSynchronize(b_));
    OK(step(p_, 1, b_));
    EXPECT_GE(races(), 1u);
}

TEST_F(StreamOrder, AHostFunctionMayTellTheHost) {
    OK(step(p_, 1, a_));
    OK(cuLaunchHostFunc(
        a_, [](void*) {}, nullptr));
    OK(step(p_, 1, b_));
    EXPECT_EQ(races(), 0u);
}

TEST_F(StreamOrder, TheLegacyStreamWaitsForBlockingStreams) {
    OK(step(p_, 1, c_));
    OK(step(p_, 1, nullptr));
    OK(step(p_, 1, d_));
    EXPECT_EQ(races(), 0u);
    // The two blocking streams do not wait for each other without it.
    OK(step(p_, 1, c_));
    EXPECT_GE(races(), 1u);
    settle();
    // Nor do non-blocking ones for it.
    OK(step(p_, 1, nullptr));
    OK(step(p_, 1, a_));
    EXPECT_GE(races(), 1u);
    settle();
    OK(step(p_, 1, a_));
    OK(step(p_, 1, nullptr));
    EXPECT_GE(races(), 1u);
}

TEST_F(StreamOrder, ThePerThreadStreamIsABlockingOne) {
    OK(step(p_, 1, per_thread_stream()));
    OK(step(p_, 1, nullptr));
    EXPECT_EQ(races(), 0u);
    OK(step(q_, 1, per_thread_stream()));
    OK(step(q_, 1, c_));
    EXPECT_GE(races(), 1u);
}

TEST_F(StreamOrder, SynchronousCopiesAreWaitedFor) {
    uint32_t value = 5;
    OK(cuMemcpyHtoD_v2(p_, &value, 4));
    OK(step(p_, 1, a_));
    EXPECT_EQ(races(), 0u);
    settle();
    // A fill of that form is not: it returns before it is done.
    OK(cuMemsetD32_v2(p_, 1, 4));
    OK(step(p_, 1, a_));
    EXPECT_GE(races(), 1u);
}

TEST_F(StreamOrder, CopiesAndFillsRace) {
    OK(step(p_, 1, a_));
    OK(cuMemcpyDtoDAsync_v2(q_, p_, 4096, b_));  // reads what a writes
    EXPECT_EQ(races(), 1u);
    settle();
    OK(cuMemcpyDtoDAsync_v2(q_, p_, 4096, b_));
    OK(step(p_, 1, a_));  // writes what b reads
    EXPECT_GE(races(), 1u);
    settle();
    OK(cuMemsetD8Async(p_, 1, 3000, a_));
    OK(cuMemsetD8Async(p_ + 3000, 1, 1096, b_));
    EXPECT_EQ(races(), 0u);
    OK(cuMemsetD8Async(p_ + 2999, 1, 1, b_));
    EXPECT_EQ(races(), 1u);
}

TEST_F(StreamOrder, ADestroyedStreamsWorkGoesOn) {
    OK(step(p_, 1, c_));
    OK(cuStreamDestroy_v2(c_));
    OK(step(p_, 1, nullptr));  // waits for it
    EXPECT_EQ(races(), 0u);
    OK(step(q_, 1, d_));
    OK(cuStreamDestroy_v2(d_));
    OK(step(q_, 1, a_));
    EXPECT_GE(races(), 1u);
}

/// Captures `one` into stream a and `two` into b, which forks off and joins again.
void capture_fork(CUstream a, CUstream b, CUevent event, const std::function<void()>& one,
                  const std::function<void()>& two, CUgraphExec* exec) {
    OK(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuEventRecord(event, a));
    OK(cuStreamWaitEvent(b, event, 0));
    one();
    two();
    OK(cuEventRecord(event, b));
    OK(cuStreamWaitEvent(a, event, 0));
    CUgraph graph = nullptr;
    OK(cuStreamEndCapture(a, &graph));
    OK(cuGraphInstantiateWithFlags(exec, graph, 0));
}

TEST_F(StreamOrder, BranchesOfAGraph) {
    CUgraphExec apart = nullptr, same = nullptr;
    capture_fork(
        a_, b_, event_, [&] { OK(step(p_, 1, a_)); }, [&] { OK(step(q_, 1, b_)); }, &apart);
    capture_fork(
        a_, b_, event_, [&] { OK(step(p_, 1, a_)); }, [&] { OK(step(p_, 1, b_)); }, &same);
    // One after the other in a stream, and before and behind its other work.
    OK(step(p_, 1, a_));
    OK(cuGraphLaunch(apart, a_));
    OK(cuGraphLaunch(apart, a_));
    OK(step(q_, 1, a_));
    OK(step(p_, 1, a_));
    EXPECT_EQ(races(), 0u);
    settle();
    for (int seed = 1; seed <= 8; ++seed) {
        emulatorSetSeed(static_cast<unsigned long long>(seed));
        OK(cuGraphLaunch(same, a_));
        EXPECT_GE(races(), 1u);
        settle();
    }
    // Graphs of two streams.
    OK(cuGraphLaunch(apart, a_));
    OK(cuGraphLaunch(apart, b_));
    EXPECT_GE(races(), 2u);
}

TEST_F(StreamOrder, FindingsMayFailACopy) {
    emulatorSetFindingsFail(1);
    OK(step(p_, 1, a_));
    OK(cuMemcpyDtoDAsync_v2(q_, p_, 4, b_));
    FAILS(CUDA_ERROR_LAUNCH_FAILED, cuStreamSynchronize(b_));
}

TEST_F(StreamOrder, ChecksOffLookForNothing) {
    emulatorSetChecks(0);
    OK(step(p_, 1, a_));
    OK(step(p_, 1, b_));
    OK(cuMemcpyDtoDAsync_v2(q_, p_, 4, a_));
    EXPECT_EQ(races(), 0u);
    emulatorSetChecks(1);
}

}  // namespace
}  // namespace emulator::cu
