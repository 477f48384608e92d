// One lane releases what the other lanes of its warp have accessed: right only behind bar.warp.sync.
// Each fault must be found under every schedule, and its right twin must be clean and right.
#include <numeric>

#include "tests/emulator/check/row.hpp"
#include "tests/emulator/tests/kernel_run.hpp"

namespace emulator {
namespace {

constexpr uint64_t kSeeds = 20;

std::vector<uint32_t> numbers(size_t count) {
    std::vector<uint32_t> values(count);
    std::iota(values.begin(), values.end(), 1u);
    return values;
}

// ---- through an mbarrier ---------------------------------------------------------------------------

/// Warp 0 reads the tile and runs `hand_over`; warp 1 waits for the phase of `arrivals` arrivals and
/// overwrites the tile. In the end each warp meets, so that no lane exits early (who has exited counts as
/// met). %r20 = the mbarrier, %r2 = the word that the lane reads.
std::string reused_tile(const std::string& hand_over, int arrivals = 1,
                        const std::string& read = "shl.b32 %r2, lane, 2;\n") {
    return kernel(
        90, 2, ".shared .align 8 .b64 empty;\n.shared .align 128 .b8 tile[128];\n",
        "mov.u32 %r20, empty;\nmov.u32 %r21, tile;\nsetp.eq.u32 %p1, tx, 0;\n"
        "@%p1 mbarrier.init.shared.b64 [%r20], " +
            std::to_string(arrivals) +
            ";\n"
            "setp.eq.u32 %p2, warp, 0;\nmul.wide.u32 %rd1, lane, 4;\nadd.u64 %rd2, %rd1, a1;\n"
            "add.u64 %rd1, %rd1, a0;\nshl.b32 %r1, lane, 2;\nadd.u32 %r1, %r1, %r21;\n"
            "@!%p2 ld.global.u32 %r5, [%rd1];\n@!%p2 st.shared.u32 [%r1], %r5;\nbar.sync 0;\n"
            "setp.eq.u32 %p3, lane, 0;\nsetp.eq.u32 %p5, lane, 31;\n@!%p2 bra WRITER;\n" +
            read +
            "add.u32 %r2, %r2, %r21;\nld.shared.u32 %r5, [%r2];\nst.global.u32 [%rd2], %r5;\n" +
            hand_over +
            "bra END;\n"
            "WRITER:\nmbarrier.try_wait.parity.shared::cta.b64 %p4, [%r20], 0;\n"
            "@!%p4 bra WRITER;\nmov.u32 %r6, 0;\nst.shared.u32 [%r1], %r6;\n"
            "END:\nbar.warp.sync 0xffffffff;\n");
}

LaunchReport run(const std::string& ptx, uint64_t seed, std::vector<uint32_t>* out) {
    Gpu gpu(90, seed);
    gpu.load(ptx);
    const uint64_t at = gpu.upload(std::vector<uint32_t>(32, 0));
    const LaunchReport report = gpu.launch({gpu.upload(numbers(32)), at}, 64);
    *out = gpu.download<uint32_t>(at, 32);
    return report;
}

void expect_right(const std::string& ptx) {
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        std::vector<uint32_t> out;
        expect_clean(run(ptx, seed, &out));
        EXPECT_EQ(out, numbers(32)) << "seed " << seed;
    }
}
void expect_race(const std::string& ptx) {
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        std::vector<uint32_t> out;
        const LaunchReport report = run(ptx, seed, &out);
        EXPECT_TRUE(has_finding(report, FindingKind::kSharedRace)) << "seed " << seed << "\n"
                                                                   << describe(report);
    }
}

const char* const kSync = "bar.warp.sync 0xffffffff;\n";
const char* const kArrive = "@%p3 mbarrier.arrive.shared.b64 _, [%r20];\n";

TEST(LaneRelease, OfAMbarrierNeedsTheWarpToHaveMet) {
    expect_right(reused_tile(std::string(kSync) + kArrive));
    expect_race(reused_tile(kArrive));
    // An exchange of registers orders no memory.
    expect_race(
        reused_tile(std::string("shfl.sync.idx.b32 %r7, %r5, 0, 31, 0xffffffff;\n") + kArrive));
    // Whoever arrives: the last lane, too.
    const std::string last = replaced(kArrive, "%p3", "%p5");
    expect_right(reused_tile(kSync + last));
    expect_race(reused_tile(last));
    // Elected.
    const std::string elected =
        "elect.sync %r7|%p6, 0xffffffff;\n" + replaced(kArrive, "%p3", "%p6");
    expect_right(reused_tile(kSync + elected));
    expect_race(reused_tile(elected));
}

TEST(LaneRelease, ByEveryLaneNeedsNothing) {
    expect_right(reused_tile("mbarrier.arrive.shared.b64 _, [%r20];\n", 32));
    // In two groups, one after the other.
    expect_right(
        reused_tile("setp.lt.u32 %p6, lane, 9;\n@%p6 bra LOW;\n"
                    "mbarrier.arrive.shared.b64 _, [%r20];\nbra END;\n"
                    "LOW:\nmbarrier.arrive.shared.b64 _, [%r20];\n",
                    32));
    // By all but the last, of which the phase knows nothing.
    expect_race(reused_tile("@!%p5 mbarrier.arrive.shared.b64 _, [%r20];\n", 31));
}

TEST(LaneRelease, OfAWordThatAllLanesRead) {
    const std::string word = "mov.u32 %r2, 0;\n";
    const std::string own = "add.u32 %r5, %r5, lane;\nst.global.u32 [%rd2], %r5;\n";
    expect_right(reused_tile(own + kSync + kArrive, 1, word));
    expect_race(reused_tile(own + kArrive, 1, word));
    expect_race(reused_tile(own + replaced(kArrive, "%p3", "%p5"), 1, word));
    expect_right(reused_tile(own + "mbarrier.arrive.shared.b64 _, [%r20];\n", 32, word));
    expect_right(reused_tile(own + "setp.lt.u32 %p6, lane, 9;\n@%p6 bra LOW;\n"
                                   "mbarrier.arrive.shared.b64 _, [%r20];\nbra END;\n"
                                   "LOW:\nmbarrier.arrive.shared.b64 _, [%r20];\n",
                             32, word));
}

TEST(LaneRelease, KnowsWhomTheLaneHasMet) {
    // Half of the warp meets, then lane 0 arrives: nothing is known of the other half.
    const std::string halves =
        "setp.lt.u32 %p6, lane, 16;\n@%p6 bra LOW;\n@HIGH@bra END;\n"
        "LOW:\nbar.warp.sync 0xffff;\n@MEET@" +
        std::string(kArrive);
    expect_race(reused_tile(replaced(replaced(halves, "@HIGH@", ""), "@MEET@", "")));
    // The halves meet among themselves, then two of their lanes.
    const std::string chain =
        replaced(replaced(halves, "@HIGH@",
                          "bar.warp.sync 0xffff0000;\nsetp.ne.u32 %p7, lane, 16;\n@%p7 bra END;\n"
                          "bar.warp.sync 0x10001;\n"),
                 "@MEET@", "@!%p3 bra END;\nbar.warp.sync 0x10001;\n");
    expect_right(reused_tile(chain));
    expect_race(reused_tile(replaced(chain, "bar.warp.sync 0xffff0000;\n", "")));
}

// ---- through a flag in global memory ---------------------------------------------------------------

/// Block 0 writes 32 words, its lanes `publish` a flag; block 1 waits for it and copies the words.
std::string message(const std::string& publish) {
    return kernel(90, 3, "",
                  "mov.u32 %r1, %ctaid.x;\nsetp.ne.u32 %p1, %r1, 0;\nmul.wide.u32 %rd1, lane, 4;\n"
                  "add.u64 %rd2, %rd1, a1;\nadd.u64 %rd1, %rd1, a0;\nmov.u32 %r3, 1;\n"
                  "setp.eq.u32 %p3, lane, 0;\n@%p1 bra WAIT;\nadd.u32 %r2, lane, 1;\n"
                  "st.global.u32 [%rd1], %r2;\n" +
                      publish +
                      "bra END;\nWAIT:\nld.acquire.gpu.global.u32 %r4, [a2];\n"
                      "setp.eq.u32 %p2, %r4, 0;\n@%p2 bra WAIT;\nld.global.u32 %r5, [%rd1];\n"
                      "st.global.u32 [%rd2], %r5;\nEND:\n");
}

TEST(LaneRelease, OfAFlagNeedsTheWarpToHaveMet) {
    const std::string release = "@%p3 st.release.gpu.global.u32 [a2], %r3;\n";
    const std::string lane_0_fences =
        "@!%p3 bra END;\nfence.acq_rel.gpu;\nst.relaxed.gpu.global.u32 [a2], %r3;\n";
    const std::string all_fence =
        "fence.acq_rel.gpu;\n@SYNC@@%p3 st.relaxed.gpu.global.u32 [a2], %r3;\n";
    const std::string diverged = "@!%p3 bra END;\nst.release.gpu.global.u32 [a2], %r3;\n";
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        const auto launch = [&](const std::string& publish, std::vector<uint32_t>* out) {
            Gpu gpu(90, seed);
            gpu.load(message(publish));
            const uint64_t at = gpu.upload(std::vector<uint32_t>(32, 0));
            const uint64_t data = gpu.upload(std::vector<uint32_t>(32, 0));
            const LaunchReport report =
                gpu.launch({data, at, gpu.upload(std::vector<uint32_t>(1, 0))}, 32, 2);
            *out = gpu.download<uint32_t>(at, 32);
            return report;
        };
        std::vector<uint32_t> out;
        for (const std::string& right : {kSync + diverged, kSync + lane_0_fences,
                                         replaced(all_fence, "@SYNC@", kSync), kSync + release}) {
            expect_clean(launch(right, &out));
            EXPECT_EQ(out, numbers(32)) << right;
        }
        for (const std::string& wrong : {diverged, lane_0_fences}) {
            const LaunchReport report = launch(wrong, &out);
            EXPECT_TRUE(has_finding(report, FindingKind::kGlobalRace)) << wrong << describe(report);
        }
    }
}

// ---- what a clock's row says of lanes --------------------------------------------------------------

TEST(Row, KnowsLanesThatHaveReleasedMore) {
    Row row;
    row.assign(3, 4);
    Row::LaneTicks ticks;
    ticks.fill(4);
    ticks[7] = 9;
    row.join_lanes(1, ticks);
    EXPECT_TRUE(row.knows(1, 4, 0));
    EXPECT_FALSE(row.knows(1, 5, 0));
    EXPECT_TRUE(row.knows(1, 9, 7));
    EXPECT_FALSE(row.knows(1, 10, 7));
    EXPECT_TRUE(row.knows(1, 9, -1));
    EXPECT_FALSE(row.knows(0, 9, 7));
    // Lane 7 among others: one of them has to be known.
    EXPECT_FALSE(row.knows_several(1, 9, 7));
    ticks[3] = 9;
    Row other;
    other.assign(3, 2);
    EXPECT_TRUE(row.covers(other));
    other.join_lanes(1, ticks);
    EXPECT_FALSE(row.covers(other));
    row.join(other);
    EXPECT_TRUE(row.covers(other));
    EXPECT_TRUE(row.knows_several(1, 9, 7));
    EXPECT_FALSE(row.knows_several(1, 9, 8));
}

TEST(Row, ForgetsLanesOnceTheColumnSaysAsMuch) {
    Row row;
    row.assign(2, 1);
    Row::LaneTicks low{}, high{};
    for (size_t lane = 0; lane < 32; ++lane)
        (lane < 16 ? low : high)[lane] = lane < 16 ? 5 : 6;
    row.join_lanes(0, low);
    EXPECT_EQ(row[0], 1u);
    EXPECT_NE(row.lanes_of(0), nullptr);
    row.join_lanes(0, high);
    EXPECT_EQ(row[0], 5u);
    EXPECT_TRUE(row.knows(0, 6, 20));
    EXPECT_FALSE(row.knows(0, 6, 2));
    Row all;
    all.assign(2, 6);
    row.join(all);
    EXPECT_FALSE(row.has_lanes());
    EXPECT_TRUE(row == all);
}

}  // namespace
}  // namespace emulator
