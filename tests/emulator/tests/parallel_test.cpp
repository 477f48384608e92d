// Launches on several host threads whose blocks talk: locks, last arrivers, chains of flags. Results are
// right, races are found and nothing else is, whatever the host's timing. Run under ThreadSanitizer, too,
// these show races of the emulator itself.
#include "tests/emulator/tests/kernel_runner.hpp"

namespace emulator {
namespace {

Options on_threads(int threads, uint64_t seed) {
    Options options = test_options(seed);
    options.host_threads = threads;
    options.multiprocessors = 5;
    return options;
}

constexpr int kThreads[] = {2, 4};
constexpr uint64_t kSeeds = 6;

/// `text` with `what` taken out.
std::string without(std::string text, const std::string& what) {
    const size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.erase(at, what.size());
}

/// Block c waits for block c - 1's flag, adds c to each of 64 numbers that it left, and hands them on.
const std::string kChain = R"(
    ld.param.u64 %d1, [x];
    mul.wide.u32 %d2, %c, 4;
    add.u64 %d3, %d1, %d2;              // the flags
    mul.wide.u32 %d4, %c, 256;
    mul.wide.u32 %d5, %t, 4;
    add.u64 %d6, %d1, %d4;
    add.u64 %d6, %d6, %d5;              // the numbers, 4096 further on
    mov.u32 %r2, 0;
    setp.eq.u32 %p1, %c, 0;
    @%p1 bra $work;
    setp.ne.u32 %p2, %t, 0;
    @%p2 bra $behind;
$wait:
    ld.relaxed.gpu.global.u32 %r1, [%d3+-4];
    setp.eq.u32 %p3, %r1, 0;
    @%p3 bra $wait;
    fence.acq_rel.gpu;   // seen
$behind:
    bar.sync 0;
    ld.global.u32 %r2, [%d6+3840];
$work:
    add.u32 %r3, %r2, %c;
    st.global.u32 [%d6+4096], %r3;
    bar.sync 0;
    setp.ne.u32 %p4, %t, 0;
    @%p4 bra $end;
    fence.acq_rel.gpu;   // done
    st.relaxed.gpu.global.u32 [%d3], 1;
$end:
)";

TEST(Parallel, AChainOfBlocks) {
    const uint32_t blocks = 60, numbers = 64;
    for (const int threads : kThreads) {
        for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
            Runner runner(entry("k", ".param .u64 x", kChain), on_threads(threads, seed));
            const uint64_t x = runner.upload(std::vector<uint32_t>(1024 + blocks * numbers, 0));
            ASSERT_TRUE(clean(runner.run("k", blocks, numbers, Parameters().add(x))));
            const auto result = runner.download<uint32_t>(x, 1024 + blocks * numbers);
            for (uint32_t i = 0; i < numbers; ++i)
                ASSERT_EQ(result[1024 + (blocks - 1) * numbers + i], blocks * (blocks - 1) / 2);
        }
    }
}

TEST(Parallel, AChainWithoutAFence) {
    for (const char* fence :
         {"    fence.acq_rel.gpu;   // seen", "    fence.acq_rel.gpu;   // done"}) {
        for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
            Runner runner(entry("k", ".param .u64 x", without(kChain, fence)), on_threads(2, seed));
            const uint64_t x = runner.upload(std::vector<uint32_t>(1024 + 20 * 64, 0));
            const auto report = runner.run("k", 20, 64, Parameters().add(x));
            ASSERT_TRUE(has(report, FindingKind::kGlobalRace)) << fence << list(report);
        }
    }
}

/// Each of a block's rounds adds one to 8 numbers under a lock.
const std::string kLocked = R"(
    ld.param.u64 %d1, [x];
    mul.wide.u32 %d2, %t, 4;
    add.u64 %d3, %d1, %d2;
    mov.u32 %r9, 0;
$round:
    setp.ne.u32 %p1, %t, 0;
    @%p1 bra $in;
$again:
    atom.acquire.gpu.global.cas.b32 %r5, [%d1], 0, 1;
    setp.ne.u32 %p2, %r5, 0;
    @%p2 bra $again;
$in:
    bar.sync 0;
    ld.global.u32 %r6, [%d3+128];
    add.u32 %r6, %r6, 1;
    st.global.u32 [%d3+128], %r6;
    bar.sync 0;
    @%p1 bra $out;
    st.release.gpu.global.u32 [%d1], 0;   // dropped
$out:
    add.u32 %r9, %r9, 1;
    setp.lt.u32 %p3, %r9, 10;
    @%p3 bra $round;
)";

TEST(Parallel, ALock) {
    for (const int threads : kThreads) {
        for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
            Runner runner(entry("k", ".param .u64 x", kLocked), on_threads(threads, seed));
            const uint64_t x = runner.upload(std::vector<uint32_t>(64, 0));
            ASSERT_TRUE(clean(runner.run("k", 24, 8, Parameters().add(x))));
            const auto result = runner.download<uint32_t>(x, 64);
            for (int i = 0; i < 8; ++i)
                ASSERT_EQ(result[32 + i], 240u);
        }
    }
}

TEST(Parallel, ALockThatDoesNotRelease) {
    std::string wrong = kLocked;
    wrong.replace(wrong.find("st.release"), 10, "st.relaxed");
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        Runner runner(entry("k", ".param .u64 x", wrong), on_threads(2, seed));
        const uint64_t x = runner.upload(std::vector<uint32_t>(64, 0));
        const auto report = runner.run("k", 24, 8, Parameters().add(x));
        ASSERT_TRUE(has(report, FindingKind::kGlobalRace)) << list(report);
    }
}

/// Split-K: a block leaves its part of a sum of floats; the last of 4 to come adds the parts in order and
/// puts the counter back. Tile = block / 4.
const std::string kLastArriver = R"(
    ld.param.u64 %d1, [x];
    shr.u32 %r1, %c, 2;
    mul.wide.u32 %d2, %r1, 4;
    add.u64 %d2, %d1, %d2;              // the tile's counter
    mad.lo.u32 %r2, %c, 32, %t;
    mul.wide.u32 %d3, %r2, 4;
    add.u64 %d3, %d1, %d3;
    cvt.rn.f32.u32 %f1, %r2;
    mul.f32 %f1, %f1, 0f3DCCCCCD;       // 0.1
    st.global.f32 [%d3+1024], %f1;
    bar.sync 0;
    setp.ne.u32 %p1, %t, 0;
    mov.u32 %r4, 0;
    @%p1 bra $met;
    fence.acq_rel.gpu;   // before
    atom.relaxed.gpu.global.add.u32 %r4, [%d2], 1;
    fence.acq_rel.gpu;
$met:
    shfl.sync.idx.b32 %r4, %r4, 0, 31, -1;
    setp.ne.u32 %p2, %r4, 3;
    @%p2 bra $end;
    @!%p1 st.relaxed.gpu.global.u32 [%d2], 0;
    bar.sync 0;
    mad.lo.u32 %r5, %r1, 128, %t;
    mul.wide.u32 %d5, %r5, 4;
    add.u64 %d5, %d1, %d5;
    ld.global.f32 %f2, [%d5+1024];
    ld.global.f32 %f3, [%d5+1152];
    ld.global.f32 %f4, [%d5+1280];
    ld.global.f32 %f5, [%d5+1408];
    add.f32 %f2, %f2, %f3;
    add.f32 %f2, %f2, %f4;
    add.f32 %f2, %f2, %f5;
    mad.lo.u32 %r6, %r1, 32, %t;
    mul.wide.u32 %d6, %r6, 4;
    add.u64 %d6, %d1, %d6;
    st.global.f32 [%d6+16384], %f2;
$end:
)";

TEST(Parallel, TheLastArriverAddsInOrder) {
    const uint32_t tiles = 20;
    for (const int threads : kThreads) {
        for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
            Runner runner(entry("k", ".param .u64 x", kLastArriver), on_threads(threads, seed));
            const uint64_t x = runner.upload(std::vector<uint32_t>(8192, 0));
            for (int again = 0; again < 2; ++again) {
                ASSERT_TRUE(clean(runner.run("k", 4 * tiles, 32, Parameters().add(x))));
                const auto counters = runner.download<uint32_t>(x, tiles);
                const auto sums = runner.download<float>(x + 16384, tiles * 32);
                for (uint32_t i = 0; i < tiles * 32; ++i) {
                    float expected = 0;
                    for (uint32_t part = 0; part < 4; ++part) {
                        const uint32_t n = (i / 32 * 4 + part) * 32 + i % 32;
                        const float value = static_cast<float>(n) * 0.1f;
                        expected = part == 0 ? value : expected + value;
                    }
                    ASSERT_EQ(sums[i], expected) << i;
                    ASSERT_EQ(counters[i / 32], 0u);
                }
            }
        }
    }
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        Runner runner(entry("k", ".param .u64 x",
                            without(kLastArriver, "    fence.acq_rel.gpu;   // before")),
                      on_threads(2, seed));
        const uint64_t x = runner.upload(std::vector<uint32_t>(8192, 0));
        const auto report = runner.run("k", 4 * tiles, 32, Parameters().add(x));
        ASSERT_TRUE(has(report, FindingKind::kGlobalRace)) << list(report);
    }
}

TEST(Parallel, LongSilenceIsNoDeadlock) {
    // Block 0 counts for longer than a thread may poll in vain, then sets the flag for which the blocks of
    // the other thread (odd ones: 5 multiprocessors, taken in turns) wait.
    Runner runner(entry("k", ".param .u64 x", R"(
    ld.param.u64 %d1, [x];
    and.b32 %r3, %c, 1;
    setp.eq.u32 %p1, %r3, 1;
    @%p1 bra $wait;
    setp.ne.u32 %p1, %c, 0;
    @%p1 bra $end;
    mov.u32 %r1, 0;
$count:
    add.u32 %r1, %r1, 1;
    setp.lt.u32 %p2, %r1, 3000000;
    @%p2 bra $count;
    st.release.gpu.global.u32 [%d1], %r1;
    bra.uni $end;
$wait:
    ld.acquire.gpu.global.u32 %r2, [%d1];
    setp.eq.u32 %p3, %r2, 0;
    @%p3 bra $wait;
$end:
)"),
                  on_threads(2, 1));
    const uint64_t x = runner.upload(std::vector<uint32_t>{0});
    EXPECT_TRUE(clean(runner.run("k", 4, 1, Parameters().add(x))));
}

TEST(Parallel, ADeadlockOfAllThreadsIsOne) {
    // Nobody sets the flag; block 0 ends at once, so one thread has less to wait with.
    Runner runner(entry("k", ".param .u64 x", R"(
    ld.param.u64 %d1, [x];
    setp.eq.u32 %p1, %c, 0;
    @%p1 bra $end;
$wait:
    ld.acquire.gpu.global.u32 %r2, [%d1];
    setp.eq.u32 %p3, %r2, 0;
    @%p3 bra $wait;
$end:
)"),
                  on_threads(2, 1));
    const uint64_t x = runner.upload(std::vector<uint32_t>{0});
    const auto report = runner.run("k", 6, 1, Parameters().add(x));
    EXPECT_TRUE(report.faulted);
    EXPECT_TRUE(has(report, FindingKind::kDeadlock)) << list(report);
}

}  // namespace
}  // namespace emulator
