// The race detectors: each has a kernel written wrong on purpose, which it must catch whatever the
// schedule, and a corrected twin in which it must find nothing.
#include "tests/emulator/tests/kernel_runner.hpp"

namespace emulator {
namespace {

constexpr uint64_t kSeeds = 20;

struct Shape {
    uint32_t blocks = 1, threads = 64;
    uint32_t words = 4096;  ///< of the one buffer, zero at first
    bool double_writes = false;
    uint32_t cluster = 0;
};

/// A kernel with a buffer at %d1, %r1 = a shared array of 4096 bytes, %d3 = buffer + 4 tid, %r3 =
/// shared + 4 tid.
std::string around(const std::string& body) {
    return entry("k", ".param .u64 x", R"(
    .shared .align 16 .b8 buffer[4096];
    ld.param.u64 %d1, [x];
    mul.wide.u32 %d2, %t, 4;
    add.u64 %d3, %d1, %d2;
    mov.u32 %r1, buffer;
    shl.b32 %r2, %t, 2;
    add.u32 %r3, %r1, %r2;
)" + body);
}

LaunchReport run(const std::string& body, const Shape& shape, uint64_t seed) {
    Options options = test_options(seed);
    options.double_writes = shape.double_writes;
    Runner runner(around(body), options);
    const uint64_t x = runner.upload(std::vector<uint32_t>(shape.words, 0));
    return runner.run("k", shape.blocks, shape.threads, Parameters().add(x), 0, shape.cluster);
}

void expect_found(FindingKind kind, const std::string& body, const Shape& shape = {}) {
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        const auto report = run(body, shape, seed);
        ASSERT_TRUE(has(report, kind)) << finding_name(kind) << " in\n" << body << list(report);
    }
}
void expect_clean(const std::string& body, const Shape& shape = {}) {
    for (uint64_t seed = 1; seed <= kSeeds; ++seed)
        ASSERT_TRUE(clean(run(body, shape, seed))) << body;
}

/// `text` with `what` taken out.
std::string without(std::string text, const std::string& what) {
    const size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.erase(at, what.size());
}
std::string replaced(std::string text, const std::string& what, const std::string& by) {
    const size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), by);
}

TEST(Detectors, MissingSyncthreads) {
    // Every thread reads what the other warp wrote, and writes again.
    const std::string right = R"(
    st.shared.u32 [%r3], 9;
    bar.sync 0;
    st.shared.u32 [%r3], %t;
    bar.sync 0;   // written
    xor.b32 %r4, %r3, 128;
    ld.shared.u32 %r5, [%r4];
    bar.sync 0;   // read
    st.shared.u32 [%r3], %r5;
    bar.sync 0;   // again
    ld.shared.u32 %r6, [%r4];
    add.u32 %r6, %r6, %r5;
    st.global.u32 [%d3], %r6;
)";
    expect_clean(right);
    expect_found(FindingKind::kSharedRace, without(right, "bar.sync 0;   // written"));
    expect_found(FindingKind::kSharedRace, without(right, "bar.sync 0;   // read"));
    expect_found(FindingKind::kSharedRace, without(right, "bar.sync 0;   // again"));
}

TEST(Detectors, SharedRaceNamesBothSides) {
    const auto report = run(R"(
    setp.ge.u32 %p1, %t, 32;
    @%p1 bra $end;
    st.shared.u32 [%r3], %t;
$end:
    st.shared.u32 [%r1+4], %t;
)",
                            {}, 3);
    ASSERT_TRUE(has(report, FindingKind::kSharedRace)) << list(report);
    std::string all = list(report);
    EXPECT_NE(all.find("st.shared.u32"), std::string::npos);
    EXPECT_NE(all.find("shared memory at offset 0x4"), std::string::npos) << all;
    EXPECT_NE(all.find("by warp"), std::string::npos) << all;
}

TEST(Detectors, NeighboursOfAWordDoNotRace) {
    // Bytes and halves of one word by different warps.
    expect_clean(R"(
    shr.u32 %r4, %t, 5;
    and.b32 %r5, %t, 31;
    shl.b32 %r5, %r5, 1;
    add.u32 %r6, %r5, %r4;
    add.u32 %r7, %r1, %r6;
    st.shared.u8 [%r7], %t;
    ld.shared.u8 %r8, [%r7];
    cvt.u64.u32 %d4, %r6;
    add.u64 %d5, %d1, %d4;
    st.global.u8 [%d5], %r8;
)");
}

TEST(Detectors, LaneRace) {
    const std::string right = R"(
    st.shared.u32 [%r3], %t;
    bar.warp.sync 0xffffffff;  // written
    xor.b32 %r4, %r3, 4;
    ld.shared.u32 %r5, [%r4];
    bar.warp.sync 0xffffffff;  // read
    st.shared.u32 [%r3], %r5;
    st.global.u32 [%d3], %r5;
)";
    expect_clean(right);
    expect_found(FindingKind::kLaneRace, without(right, "bar.warp.sync 0xffffffff;  // written"));
    expect_found(FindingKind::kLaneRace, without(right, "bar.warp.sync 0xffffffff;  // read"));
    // Half a warp is enough where the other half takes no part, and only there.
    const std::string half = R"(
    and.b32 %r7, %t, 16;
    setp.ne.u32 %p1, %r7, 0;
    @%p1 bra $end;
    st.shared.u32 [%r3], %t;
    bar.warp.sync 0x0000ffff;
    xor.b32 %r4, %r3, 4;
    ld.shared.u32 %r5, [%r4];
    st.global.u32 [%d3], %r5;
$end:
    xor.b32 %r4, %r3, 64;
)";
    expect_clean(half);
    expect_found(FindingKind::kLaneRace,
                 half + "ld.shared.u32 %r5, [%r4];\nst.global.u32 [%d3], %r5;");
    // Lanes of one store to one place.
    expect_found(FindingKind::kLaneRace, "st.shared.u32 [%r1], %t;", {1, 32});
    expect_clean("st.shared.u32 [%r1], 7;", {1, 32});
    expect_found(FindingKind::kLaneRace, "st.global.u32 [%d1], %t;", {1, 32});
}

TEST(Detectors, RacyButDead) {
    // The last round's prefetch reads what another warp overwrites; nobody uses it.
    const std::string dead = R"(
    st.shared.u32 [%r3], %t;
    bar.sync 0;
    xor.b32 %r4, %r3, 128;
    ld.shared.u32 %r5, [%r4];
    add.u32 %r6, %r5, 1;
    st.shared.u32 [%r3], 5;
    st.global.u32 [%d3], %t;
)";
    expect_clean(dead);
    expect_found(FindingKind::kSharedRace, dead + "st.global.u32 [%d3], %r6;");
    expect_found(FindingKind::kSharedRace,
                 dead + "setp.eq.u32 %p1, %r6, 7;\n@%p1 bra $end;\nst.global.u32 [%d3], 0;\n$end:");
}

TEST(Detectors, RacyButDeadInGlobalMemory) {
    const std::string dead = R"(
    st.global.u32 [%d3], %t;
    bar.sync 0;
    xor.b32 %r4, %t, 32;
    mul.wide.u32 %d4, %r4, 4;
    add.u64 %d4, %d4, %d1;
    ld.global.u32 %r5, [%d4];
    add.u32 %r6, %r5, 1;
    st.global.u32 [%d3], 5;
)";
    expect_clean(dead);
    expect_found(FindingKind::kGlobalRace, dead + "st.global.u32 [%d3+512], %r6;");
    expect_found(FindingKind::kGlobalRace,
                 dead + "setp.eq.u32 %p1, %r6, 7;\n@%p1 bra $end;\nst.shared.u32 [%r3], 0;\n$end:");
    // Before the write, too.
    expect_found(FindingKind::kGlobalRace,
                 replaced(dead, "st.global.u32 [%d3], 5;",
                          "st.global.u32 [%d3+512], %r6;\nst.global.u32 [%d3], 5;"));
}

TEST(Detectors, SpinOnSharedMemory) {
    // Warp 0 hands a value to warp 1 through shared memory, a fence and a flag.
    const std::string right = R"(
    setp.eq.u32 %p1, %t, 0;
    @%p1 st.shared.u32 [%r1+2048], 0;
    bar.sync 0;
    setp.ge.u32 %p2, %t, 32;
    @%p2 bra $consumer;
    st.shared.u32 [%r3], %t;
    bar.warp.sync -1;
    membar.cta;   // producer's
    @%p1 st.volatile.shared.u32 [%r1+2048], 1;
    bra.uni $end;
$consumer:
    ld.volatile.shared.u32 %r5, [%r1+2048];
    setp.eq.u32 %p3, %r5, 0;
    @%p3 bra $consumer;
    membar.cta;   // consumer's
    ld.shared.u32 %r6, [%r3+-128];
    st.global.u32 [%d3], %r6;
$end:
)";
    expect_clean(right);
    expect_found(FindingKind::kSharedRace, without(right, "membar.cta;   // producer's"));
    expect_found(FindingKind::kSharedRace, without(right, "membar.cta;   // consumer's"));
    expect_found(FindingKind::kSharedRace,
                 replaced(right, "@%p1 st.volatile.shared.u32", "@%p1 st.shared.u32"));
}

/// Blocks add to one number under a lock.
std::string locked(const std::string& take, const std::string& drop) {
    return R"(
    setp.ne.u32 %p1, %t, 0;
    @%p1 bra $end;
$again:
)" + take + R"(
    setp.ne.u32 %p2, %r5, 0;
    @%p2 bra $again;
    ld.global.u32 %r6, [%d1+128];
    add.u32 %r6, %r6, 1;
    st.global.u32 [%d1+128], %r6;
)" + drop + R"(
$end:
)";
}

TEST(Detectors, UnfencedLock) {
    const Shape shape{6, 32};
    const std::string cas = "atom.global.cas.b32 %r5, [%d1], 0, 1;\n";
    const std::string exchange = "atom.global.exch.b32 %r7, [%d1], 0;\n";
    // With fences on both sides: right, and each of the two is needed.
    expect_clean(locked(cas + "fence.acq_rel.gpu;", "fence.acq_rel.gpu;\n" + exchange), shape);
    expect_clean(locked(cas + "membar.gl;", "membar.gl;\nst.volatile.global.u32 [%d1], 0;"), shape);
    expect_found(FindingKind::kGlobalRace, locked(cas, exchange), shape);
    expect_found(FindingKind::kGlobalRace, locked(cas + "fence.acq_rel.gpu;", exchange), shape);
    expect_found(FindingKind::kGlobalRace, locked(cas, "fence.acq_rel.gpu;\n" + exchange), shape);
    // The orders of the operations themselves.
    const std::string acquire = "atom.acquire.gpu.global.cas.b32 %r5, [%d1], 0, 1;";
    expect_clean(locked(acquire, "st.release.gpu.global.u32 [%d1], 0;"), shape);
    expect_clean(locked(acquire, "red.release.sys.global.add.u32 [%d1], -1;"), shape);
    expect_clean(locked("atom.acq_rel.gpu.global.cas.b32 %r5, [%d1], 0, 1;",
                        "atom.release.gpu.global.exch.b32 %r7, [%d1], 0;"),
                 shape);
    expect_found(FindingKind::kGlobalRace, locked(acquire, "st.relaxed.gpu.global.u32 [%d1], 0;"),
                 shape);
    // A weak store of the lock races with those that look at it.
    expect_found(FindingKind::kGlobalRace,
                 locked(acquire, "fence.acq_rel.gpu;\nst.global.u32 [%d1], 0;"), shape);
}

TEST(Detectors, WeakStoreToASeenFlag) {
    // Block 1 counts a flag up behind a fence; block 0 waits for it and takes it back by a weak store:
    // the count whose value was read is ordered before what the reader does next.
    const std::string right = R"(
    mov.u32 %r10, %ctaid.x;
    setp.ne.u32 %p1, %t, 0;
    @%p1 bra $end;
    setp.eq.u32 %p2, %r10, 0;
    @%p2 bra $wait;
    st.global.u32 [%d1+128], 7;
    fence.acq_rel.gpu;
    red.relaxed.gpu.global.add.u32 [%d1], 1;
    bra $end;
$wait:
    ld.acquire.gpu.global.u32 %r5, [%d1];
    setp.ne.u32 %p3, %r5, 1;
    @%p3 bra $wait;
    ld.global.u32 %r6, [%d1+128];
    st.global.u32 [%d1+256], %r6;
    st.global.u32 [%d1], 0;
$end:
)";
    expect_clean(right, {2, 32});
    // Only the flag is ordered by being seen.
    expect_found(FindingKind::kGlobalRace, without(right, "    fence.acq_rel.gpu;\n"), {2, 32});
    expect_found(FindingKind::kGlobalRace, replaced(right, "acquire", "relaxed"), {2, 32});
}

TEST(Detectors, UnwrittenElementsInAVector) {
    // Two elements that were never written pass through shared memory in a vector with two that were.
    const std::string right = R"(
    shl.b32 %r4, %t, 4;
    add.u32 %r4, %r4, %r1;
    ld.shared.u32 %r5, [%r4+12];
    ld.shared.u32 %r6, [%r4+8];
    st.shared.v4.u32 [%r4], {%t, %r5, %r6, %t};
    ld.shared.v4.u32 {%r7, %r8, %r9, %r10}, [%r4];
    add.u32 %r7, %r7, %r10;
    st.global.u32 [%d3], %r7;
)";
    expect_clean(right);
    expect_found(FindingKind::kUninitialized, replaced(right, "%r7, %r10;", "%r7, %r8;"));
    expect_found(FindingKind::kUninitialized, replaced(right, "%r7, %r10;", "%r7, %r9;"));
}

TEST(Detectors, WrongScope) {
    const Shape shape{6, 32};
    const std::string acquire = "atom.acquire.gpu.global.cas.b32 %r5, [%d1], 0, 1;";
    expect_found(FindingKind::kGlobalRace,
                 locked("atom.acquire.cta.global.cas.b32 %r5, [%d1], 0, 1;",
                        "st.release.gpu.global.u32 [%d1], 0;"),
                 shape);
    expect_found(FindingKind::kGlobalRace, locked(acquire, "st.release.cta.global.u32 [%d1], 0;"),
                 shape);
    expect_found(FindingKind::kGlobalRace,
                 locked(acquire, "fence.acq_rel.cta;\nst.relaxed.gpu.global.u32 [%d1], 0;"), shape);
    expect_found(FindingKind::kGlobalRace,
                 locked(acquire, "membar.cta;\nst.volatile.global.u32 [%d1], 0;"), shape);
    expect_found(FindingKind::kGlobalRace,
                 locked("atom.global.cas.b32 %r5, [%d1], 0, 1;\nfence.acq_rel.cta;",
                        "st.release.gpu.global.u32 [%d1], 0;"),
                 shape);
    // Within one block the narrow scopes will do.
    const std::string block = R"(
    and.b32 %r4, %t, 31;
    setp.ne.u32 %p1, %r4, 0;
    @%p1 bra $end;
$again:
    atom.acquire.cta.global.cas.b32 %r5, [%d1], 0, 1;
    setp.ne.u32 %p2, %r5, 0;
    @%p2 bra $again;
    ld.global.u32 %r6, [%d1+128];
    add.u32 %r6, %r6, 1;
    st.global.u32 [%d1+128], %r6;
    st.release.cta.global.u32 [%d1], 0;
$end:
)";
    expect_clean(block, {1, 128});
}

TEST(Detectors, TheLastBlockSums) {
    // Every block leaves a part, the last to come adds them up: fences of one thread cover what the
    // barrier has made it know.
    const std::string right = R"(
    mad.lo.u32 %r4, %c, 64, %t;
    mul.wide.u32 %d4, %r4, 4;
    add.u64 %d5, %d1, %d4;
    st.global.u32 [%d5+1024], %t;
    bar.sync 0;   // all have stored
    setp.ne.u32 %p1, %t, 0;
    @%p1 bra $wait;
    fence.acq_rel.gpu;   // before
    atom.relaxed.gpu.global.add.u32 %r5, [%d1], 1;
    fence.acq_rel.gpu;   // after
    st.shared.u32 [%r1], %r5;
$wait:
    bar.sync 0;
    ld.shared.u32 %r6, [%r1];
    setp.ne.u32 %p2, %r6, 4;
    @%p2 bra $end;
    mov.u32 %r7, 0;
    mov.u32 %r8, 0;
$sum:
    mad.lo.u32 %r9, %r7, 64, %t;
    mul.wide.u32 %d6, %r9, 4;
    add.u64 %d7, %d1, %d6;
    ld.global.u32 %r10, [%d7+1024];
    add.u32 %r8, %r8, %r10;
    add.u32 %r7, %r7, 1;
    setp.lt.u32 %p3, %r7, 5;
    @%p3 bra $sum;
    st.global.u32 [%d3+512], %r8;
$end:
)";
    const Shape shape{5, 64};
    expect_clean(right, shape);
    expect_found(FindingKind::kGlobalRace, without(right, "bar.sync 0;   // all have stored"),
                 shape);
    expect_found(FindingKind::kGlobalRace, without(right, "fence.acq_rel.gpu;   // before"), shape);
    expect_found(FindingKind::kGlobalRace, without(right, "fence.acq_rel.gpu;   // after"), shape);
}

TEST(Detectors, GlobalRaceBetweenBlocks) {
    // Block 0 reads what block 1 writes, in whichever order they run.
    const std::string wrong = R"(
    setp.eq.u32 %p1, %c, 0;
    @%p1 bra $reader;
    st.global.u32 [%d3], 1;
    bra.uni $end;
$reader:
    ld.global.u32 %r4, [%d3];
    st.global.u32 [%d3+1024], %r4;
$end:
)";
    expect_found(FindingKind::kGlobalRace, wrong, {2, 64});
    expect_clean(wrong, {1, 64});
    // Neighbouring bytes are no race.
    expect_clean(R"(
    mad.lo.u32 %r4, %t, 2, %c;
    cvt.u64.u32 %d4, %r4;
    add.u64 %d5, %d1, %d4;
    ld.global.u8 %r5, [%d5];
    add.u32 %r5, %r5, 1;
    st.global.u8 [%d5], %r5;
)",
                 {2, 64});
}

TEST(Detectors, RemoteSharedMemory) {
    // Each block of a cluster of two writes into the other's shared memory and reads its own.
    const std::string right = R"(
    mov.u32 %r4, %cluster_ctarank;
    xor.b32 %r4, %r4, 1;
    st.shared.u32 [%r3], 0;
    barrier.cluster.arrive.aligned;
    barrier.cluster.wait.aligned;   // before
    mapa.shared::cluster.u32 %r5, %r3, %r4;
    st.shared::cluster.u32 [%r5], %t;
    barrier.cluster.arrive.aligned;
    barrier.cluster.wait.aligned;   // after
    ld.shared.u32 %r6, [%r3];
    mad.wide.u32 %d4, %r4, 1024, %d3;
    st.global.u32 [%d4], %r6;
    barrier.cluster.arrive.aligned;
    barrier.cluster.wait.aligned;   // nobody leaves early
)";
    Shape shape{2, 64};
    shape.cluster = 2;
    expect_clean(right, shape);
    const std::string both =
        "barrier.cluster.arrive.aligned;\n    barrier.cluster.wait.aligned;   // ";
    expect_found(FindingKind::kSharedRace, without(right, both + "after"), shape);
    expect_found(FindingKind::kSharedRace, without(right, both + "before"), shape);
    // A barrier of the block is not enough.
    expect_found(FindingKind::kSharedRace, replaced(right, both + "after", "bar.sync 0;"), shape);
}

TEST(Detectors, ReadOnlyLoadsOfWhatIsWritten) {
    const std::string wrong = R"(
    st.global.u32 [%d3], %t;
    ld.global.nc.u32 %r4, [%d3];
    st.global.u32 [%d3+1024], %r4;
)";
    expect_found(FindingKind::kGlobalRace, wrong);
    expect_clean(replaced(wrong, "ld.global.nc.u32", "ld.global.u32"));
}

TEST(Detectors, ElementsWrittenTwice) {
    // Block 1 begins one element too early.
    const auto body = [](const char* per_block) {
        return std::string("mad.lo.u32 %r4, %c, ") + per_block + R"(, %t;
    mul.wide.u32 %d4, %r4, 4;
    add.u64 %d5, %d1, %d4;
    st.global.u32 [%d5], 1;
)";
    };
    Shape shape{2, 64};
    shape.double_writes = true;
    expect_clean(body("64"), shape);
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        const auto report = run(body("63"), shape, seed);
        EXPECT_TRUE(has(report, FindingKind::kDoubleWrite) ||
                    has(report, FindingKind::kGlobalRace));
    }
    // By one thread, in order: no race, but written twice.
    expect_found(FindingKind::kDoubleWrite, "st.global.u32 [%d3], 1;\nst.global.u32 [%d3], 2;",
                 shape);
    Shape lenient{2, 64};
    lenient.blocks = 1;
    expect_clean("st.global.u32 [%d3], 1;\nst.global.u32 [%d3], 2;", lenient);
}

TEST(Detectors, FindingsAreTheSameForASeed) {
    const std::string wrong =
        "st.shared.u32 [%r1], %t;\nld.shared.u32 %r4, [%r1+4];\n"
        "st.global.u32 [%d3], %r4;";
    const std::string first = list(run(wrong, {3, 96}, 5));
    EXPECT_FALSE(first.empty());
    EXPECT_EQ(list(run(wrong, {3, 96}, 5)), first);
}

TEST(Detectors, OffMeansOff) {
    Options options = test_options();
    options.checks = false;
    Runner runner(around("ld.shared.u32 %r4, [%r3];\nst.global.u32 [%d1], %r4;"), options);
    const uint64_t x = runner.upload(std::vector<uint32_t>(64, 0));
    EXPECT_TRUE(clean(runner.run("k", 4, 64, Parameters().add(x))));
    // Bounds are kept all the same.
    EXPECT_TRUE(runner.run("k", 4, 64, Parameters().add(x + 256)).faulted);
}

}  // namespace
}  // namespace emulator
