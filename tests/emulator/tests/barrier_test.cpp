// Named barriers, reductions over a block, bar.warp.sync.
#include "tests/emulator/tests/kernel_runner.hpp"

namespace emulator {
namespace {

TEST(Barrier, ReducesOverTheBlock) {
    const std::string text = entry("k", ".param .u64 out", R"(
    ld.param.u64 %d1, [out];
    rem.u32 %r1, %t, 3;
    setp.eq.u32 %p1, %r1, 0;
    setp.lt.u32 %p2, %t, 1000;
    bar.red.popc.u32 %r2, 0, %p1;
    bar.red.and.pred %p3, 0, %p2;
    bar.red.and.pred %p4, 0, %p1;
    barrier.cta.red.or.pred %p5, 0, %p1;
    bar.red.or.pred %p6, 0, !%p2;
    selp.u32 %r3, 1, 0, %p3;
    selp.u32 %r4, 2, 0, %p4;
    selp.u32 %r5, 4, 0, %p5;
    selp.u32 %r6, 8, 0, %p6;
    or.b32 %r3, %r3, %r4;
    or.b32 %r5, %r5, %r6;
    or.b32 %r3, %r3, %r5;
    mul.wide.u32 %d2, %t, 8;
    add.u64 %d3, %d1, %d2;
    st.global.v2.u32 [%d3], {%r2, %r3};
)");
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        Runner runner(text, test_options(seed));
        const uint64_t out = runner.device.allocate(100 * 8);
        EXPECT_TRUE(clean(runner.run("k", 1, 100, Parameters().add(out))));
        const auto result = runner.download<uint32_t>(out, 200);
        for (uint32_t i = 0; i < 100; ++i) {
            EXPECT_EQ(result[2 * i], 34u);
            EXPECT_EQ(result[2 * i + 1], 5u);
        }
    }
}

/// Warp 0 fills a buffer that warp 1 empties, eight times, by two barriers of which each waits at one
/// and arrives at the other.
std::string pipeline(const char* full_arrive, const char* empty_wait) {
    return entry("k", ".param .u64 out", std::string(R"(
    .shared .align 4 .b8 buffer[128];
    ld.param.u64 %d1, [out];
    mov.u32 %r1, buffer;
    and.b32 %r2, %t, 31;
    shl.b32 %r3, %r2, 2;
    add.u32 %r4, %r1, %r3;
    mov.u32 %r5, 0;
    mov.u32 %r8, 0;
    setp.ge.u32 %p1, %t, 32;
    @%p1 bra $consumer;
$produce:
    )") + empty_wait + R"(
    mad.lo.u32 %r6, %r5, 100, %r2;
    st.shared.u32 [%r4], %r6;
    )" + full_arrive + R"(
    add.u32 %r5, %r5, 1;
    setp.lt.u32 %p2, %r5, 8;
    @%p2 bra $produce;
    bra.uni $end;
$consumer:
    bar.arrive 2, 64;
$consume:
    bar.sync 1, 64;
    // The neighbour's value, so that lanes depend on each other, too.
    xor.b32 %r7, %r4, 4;
    ld.shared.u32 %r6, [%r7];
    add.u32 %r8, %r8, %r6;
    add.u32 %r5, %r5, 1;
    setp.lt.u32 %p2, %r5, 8;
    @%p2 bar.arrive 2, 64;
    @%p2 bra $consume;
    mul.wide.u32 %d2, %r2, 4;
    add.u64 %d3, %d1, %d2;
    st.global.u32 [%d3], %r8;
$end:
)");
}

TEST(Barrier, OrdersProducersAndConsumers) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Runner runner(pipeline("bar.arrive 1, 64;", "bar.sync 2, 64;"), test_options(seed));
        const uint64_t out = runner.device.allocate(128);
        EXPECT_TRUE(clean(runner.run("k", 1, 64, Parameters().add(out))));
        const auto result = runner.download<uint32_t>(out, 32);
        for (uint32_t i = 0; i < 32; ++i)
            EXPECT_EQ(result[i], 100u * 28 + 8 * (i ^ 1)) << i;
    }
}

TEST(Barrier, CountsMustFit) {
    const auto kinds = [](const std::string& body, uint32_t threads) {
        Runner runner(entry("k", "", body));
        return runner.run("k", 1, threads, Parameters());
    };
    EXPECT_TRUE(has(kinds("bar.sync 0, 33;", 64), FindingKind::kBadBarrier));
    EXPECT_TRUE(has(kinds("mov.u32 %r1, 16;\nbar.sync %r1;", 64), FindingKind::kBadBarrier));
    EXPECT_TRUE(has(kinds("bar.sync 0, 128;", 64), FindingKind::kBadBarrier));
    EXPECT_TRUE(has(kinds(R"(
    shr.u32 %r1, %t, 5;
    add.u32 %r1, %r1, 1;
    shl.b32 %r1, %r1, 5;
    bar.sync 0, %r1;)",
                          96),
                    FindingKind::kBadBarrier));
    EXPECT_TRUE(clean(kinds("bar.sync 15, 64;", 64)));
}

TEST(Barrier, ADivergentBarrierIsReported) {
    // Half a warp goes past an aligned barrier.
    const std::string wrong = entry("k", "", R"(
    and.b32 %r1, %t, 31;
    setp.lt.u32 %p1, %r1, 16;
    @%p1 bra $one;
    bar.sync 0;
    bra.uni $end;
$one:
    bar.sync 0;
$end:
)");
    const std::string right = entry("k", "", R"(
    and.b32 %r1, %t, 31;
    setp.lt.u32 %p1, %r1, 16;
    @%p1 bra $one;
    mov.u32 %r2, 1;
    bra.uni $end;
$one:
    mov.u32 %r2, 2;
$end:
    bar.sync 0;
)");
    // barrier.sync without .aligned counts threads, wherever they arrive.
    std::string unaligned = wrong;
    for (size_t at; (at = unaligned.find("bar.sync")) != std::string::npos;)
        unaligned.replace(at, 8, "barrier.sync");
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Runner bad(wrong, test_options(seed));
        const auto report = bad.run("k", 1, 64, Parameters());
        EXPECT_TRUE(report.faulted);
        EXPECT_TRUE(has(report, FindingKind::kDivergentBarrier)) << list(report);
        Runner good(right, test_options(seed));
        EXPECT_TRUE(clean(good.run("k", 1, 64, Parameters())));
        Runner loose(unaligned, test_options(seed));
        EXPECT_TRUE(clean(loose.run("k", 1, 64, Parameters())));
    }
}

TEST(Barrier, WarpsMeetByMask) {
    // Two halves of a warp meet at different instructions.
    const std::string text = entry("k", ".param .u64 out", R"(
    .shared .align 4 .b8 buffer[128];
    ld.param.u64 %d1, [out];
    mov.u32 %r1, buffer;
    shl.b32 %r2, %t, 2;
    add.u32 %r3, %r1, %r2;
    st.shared.u32 [%r3], %t;
    setp.lt.u32 %p1, %t, 16;
    @%p1 bra $low;
    bar.warp.sync 0xffffffff;
    bra.uni $read;
$low:
    bar.warp.sync -1;
$read:
    xor.b32 %r4, %r3, 124;
    ld.shared.u32 %r5, [%r4];
    mul.wide.u32 %d2, %t, 4;
    add.u64 %d3, %d1, %d2;
    st.global.u32 [%d3], %r5;
)");
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Runner runner(text, test_options(seed));
        const uint64_t out = runner.device.allocate(128);
        EXPECT_TRUE(clean(runner.run("k", 1, 32, Parameters().add(out))));
        const auto result = runner.download<uint32_t>(out, 32);
        for (uint32_t i = 0; i < 32; ++i)
            EXPECT_EQ(result[i], 31 - i);
    }
}

TEST(Barrier, AMaskWithoutItsLaneIsReported) {
    Runner runner(entry("k", "", "bar.warp.sync 0x0000ffff;"));
    EXPECT_TRUE(has(runner.run("k", 1, 32, Parameters()), FindingKind::kDivergentBarrier));
}

}  // namespace
}  // namespace emulator
