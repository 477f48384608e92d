// Clusters: mapa, getctarank, barrier.cluster, remote shared memory, st.async, red.async; setmaxnreg.
#include "tests/emulator/tests/kernel_run.hpp"

namespace emulator {
namespace {

const char* const kShared = ".shared .align 8 .b64 bar;\n.shared .align 16 .b8 data[1024];\n";
const char* const kClusterSync =
    "barrier.cluster.arrive.release.aligned;\n"
    "barrier.cluster.wait.acquire.aligned;\n";
/// %r1 = rank, %r2 = the next rank of `blocks`, %r20 = data, %r21 = bar, %p30 = thread 0.
std::string ranks(int blocks) {
    return "mov.u32 %r1, %cluster_ctarank;\nadd.u32 %r2, %r1, 1;\nrem.u32 %r2, %r2, " +
           std::to_string(blocks) +
           ";\nmov.u32 %r20, data;\nmov.u32 %r21, bar;\nsetp.eq.u32 %p30, tx, 0;\n";
}
/// a0[ntid * ctaid + tx] = reg
std::string put(const std::string& reg) {
    return "mov.u32 %r30, %ctaid.x;\nmov.u32 %r31, %ntid.x;\nmad.lo.u32 %r30, %r30, %r31, tx;\n"
           "mul.wide.u32 %rd30, %r30, 4;\nadd.u64 %rd30, %rd30, a0;\nst.global.b32 [%rd30], " +
           reg + ";\n";
}

struct Result {
    LaunchReport report;
    std::vector<uint32_t> out;
};
Result run(const std::string& body, uint32_t threads, uint32_t blocks, uint32_t cluster,
           uint64_t seed = 1) {
    Gpu gpu(90, seed);
    gpu.load(kernel(90, 1, kShared, body));
    const uint64_t out = gpu.upload(std::vector<uint32_t>(threads * blocks, 0xEEEEEEEE));
    Result result;
    result.report = gpu.launch({out}, threads, blocks, cluster);
    result.out = gpu.download<uint32_t>(out, threads * blocks);
    return result;
}

TEST(Cluster, MapsAddressesAndTellsRanks) {
    // Through shared and through generic addresses, and back to the rank.
    const std::string body =
        ranks(4) +
        "mapa.shared::cluster.u32 %r3, %r20, %r2;\n"
        "getctarank.shared::cluster.u32 %r4, %r3;\n"
        "cvt.u64.u32 %rd1, %r20;\ncvta.shared.u64 %rd2, %rd1;\nmapa.u64 %rd3, %rd2, %r2;\n"
        "getctarank.u64 %r5, %rd3;\nmad.lo.u32 %r6, %r4, 16, %r5;\n" +
        put("%r6");
    const Result r = run(body, 32, 8, 4);
    expect_clean(r.report);
    for (uint32_t i = 0; i < 256; ++i) {
        const uint32_t next = (i / 32 % 4 + 1) % 4;
        ASSERT_EQ(r.out[i], 17 * next);
    }
}

TEST(Cluster, SharesMemory) {
    // Each block writes into the next one's memory, through a shared::cluster address; after the
    // barrier everybody reads its own, and its next one's through a generic address.
    const std::string body =
        ranks(4) +
        "mapa.shared::cluster.u32 %r3, %r20, %r2;\nshl.b32 %r4, tx, 2;\nadd.u32 %r3, %r3, %r4;\n"
        "mad.lo.u32 %r5, %r1, 1000, tx;\nst.shared::cluster.u32 [%r3], %r5;\n@SYNC@"
        "add.u32 %r6, %r20, %r4;\nld.shared.u32 %r7, [%r6];\n"
        "cvt.u64.u32 %rd1, %r6;\ncvta.shared.u64 %rd1, %rd1;\nmapa.u64 %rd2, %rd1, %r2;\n"
        "ld.u32 %r8, [%rd2];\nmad.lo.u32 %r9, %r7, 10000, %r8;\n" +
        put("%r9") + kClusterSync;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        const Result r = run(replaced(body, "@SYNC@", kClusterSync), 64, 8, 4, seed);
        expect_clean(r.report);
        for (uint32_t i = 0; i < 512; ++i) {
            const uint32_t rank = i / 64 % 4, own = (rank + 3) % 4 * 1000 + i % 64;
            ASSERT_EQ(r.out[i], own * 10000 + rank * 1000 + i % 64);
        }
        for (const char* bad :
             {"", "barrier.cluster.arrive.relaxed.aligned;\nbarrier.cluster.wait.aligned;\n"}) {
            const Result b = run(replaced(body, "@SYNC@", bad), 64, 8, 4, seed);
            EXPECT_TRUE(has_finding(b.report, FindingKind::kSharedRace) ||
                        has_finding(b.report, FindingKind::kUninitialized))
                << seed;
        }
    }
}

TEST(Cluster, CountsAtomicsOfAllBlocks) {
    const std::string body = ranks(4) + "mov.u32 %r9, 0;\n@%p30 st.shared.u32 [%r20], %r9;\n" +
                             std::string(kClusterSync) +
                             "mov.u32 %r3, 0;\nmapa.shared::cluster.u32 %r4, %r20, %r3;\n"
                             "atom.relaxed.cluster.shared::cluster.add.u32 %r5, [%r4], 1;\n" +
                             kClusterSync + "ld.shared::cluster.u32 %r6, [%r4];\n" + put("%r6") +
                             kClusterSync;
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        const Result r = run(body, 64, 4, 4, seed);
        expect_clean(r.report);
        EXPECT_EQ(r.out, std::vector<uint32_t>(256, 256));
    }
}

TEST(ClusterBarrier, CountsThreadsThatLive) {
    // Half of the warps exit early; the others pass the barrier in two steps with work between.
    const std::string body = ranks(2) +
                             "setp.ge.u32 %p1, tx, 64;\n@%p1 exit;\n"
                             "barrier.cluster.arrive.release;\nadd.u32 %r3, tx, 5;\n"
                             "barrier.cluster.wait.acquire;\n" +
                             put("%r3") + kClusterSync;
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        const Result r = run(body, 128, 2, 2, seed);
        expect_clean(r.report);
        EXPECT_EQ(r.out[64 + 127 - 65], 0xEEEEEEEEu);
        EXPECT_EQ(r.out[63], 68u);
        EXPECT_EQ(r.out[128], 5u);
    }
}

TEST(ClusterBarrier, RelaxedArrivalHandsOnWhatWasFenced) {
    // Thread 0 initializes an mbarrier; after a relaxed arrival all threads of both blocks arrive at it.
    const std::string fence = "@%p30 fence.mbarrier_init.release.cluster;\n";
    const std::string body =
        ranks(2) + "@%p30 mbarrier.init.shared::cta.b64 [%r21], 128;\n" + fence +
        "barrier.cluster.arrive.relaxed.aligned;\nbarrier.cluster.wait.aligned;\n"
        "mapa.shared::cluster.u32 %r3, %r21, %r2;\n"
        "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r3];\n"
        "mbarrier.arrive.shared::cta.b64 %rd9, [%r21];\n" +
        kClusterSync;
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        expect_clean(run(body, 64, 2, 2, seed).report);
        const LaunchReport report = run(replaced(body, fence, ""), 64, 2, 2, seed).report;
        EXPECT_TRUE(has_finding(report, FindingKind::kSharedRace) ||
                    has_finding(report, FindingKind::kLaneRace))
            << describe(report);
    }
}

TEST(ClusterBarrier, MisuseIsFound) {
    const Result twice =
        run("barrier.cluster.arrive;\nbarrier.cluster.arrive;\nbarrier.cluster.wait;\n", 32, 2, 2);
    EXPECT_TRUE(has_finding(twice.report, FindingKind::kBadBarrier)) << describe(twice.report);
    const Result never = run("barrier.cluster.wait;\n", 32, 2, 2);
    EXPECT_TRUE(has_finding(never.report, FindingKind::kBadBarrier)) << describe(never.report);
    const Result half =
        run(ranks(2) +
                "setp.eq.u32 %p1, %r1, 0;\n@%p1 bra OUT;\n"
                "barrier.cluster.arrive;\nbarrier.cluster.wait;\nOUT:\n"
                "@!%p1 bra END;\n@%p30 mbarrier.init.shared.b64 [%r21], 99;\nbar.sync 0;\n"
                "LOOP:\nmbarrier.try_wait.parity.shared::cta.b64 %p2, [%r21], 0;\n@!%p2 bra "
                "LOOP;\nEND:\n",
            32, 2, 2);
    EXPECT_TRUE(has_finding(half.report, FindingKind::kDeadlock)) << describe(half.report);
}

TEST(Cluster, RanksBeyondItAreFound) {
    const Result r =
        run("mov.u32 %r20, data;\nmov.u32 %r2, 2;\nmapa.shared::cluster.u32 %r3, %r20, %r2;\n", 32,
            2, 2);
    EXPECT_TRUE(has_finding(r.report, FindingKind::kOutOfBounds)) << describe(r.report);
}

TEST(StoreAsync, CompletesOnTheTargetsBarrier) {
    // Each thread sends 4, 8 or 16 bytes to the next block; that waits for all of them.
    struct Form {
        const char* text;
        int bytes;
    };
    for (const Form& form :
         {Form{
              "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%r5], %r6, [%r7];\n",
              4},
          Form{"st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.u32 [%r5], {%r6, %r10}, "
               "[%r7];\n",
               8},
          Form{"st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%r5], {%r6, "
               "%r10, %r10, %r10}, "
               "[%r7];\n",
               16},
          Form{"mov.b64 %rd9, {%r6, %r10};\n"
               "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b64 [%r5], %rd9, "
               "[%r7];\n",
               8}})
        for (uint64_t seed = 1; seed <= 10; ++seed) {
            const std::string body =
                ranks(2) +
                "@%p30 mbarrier.init.shared.b64 [%r21], 1;\n"
                "@%p30 mbarrier.arrive.expect_tx.shared.b64 _, [%r21], " +
                std::to_string(32 * form.bytes) + ";\n" + kClusterSync +
                "mapa.shared::cluster.u32 %r4, %r20, %r2;\nmapa.shared::cluster.u32 %r7, %r21, "
                "%r2;\n"
                "mad.lo.u32 %r5, tx, 16, %r4;\nmad.lo.u32 %r6, %r1, 1000, tx;\nmov.u32 %r10, 1;\n" +
                form.text +
                "WAIT:\nmbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p1, [%r21], 0;\n"
                "@!%p1 bra WAIT;\nmad.lo.u32 %r8, tx, 16, %r20;\nxor.b32 %r8, %r8, 16;\n"
                "ld.shared.u32 %r9, [%r8];\n" +
                put("%r9") + kClusterSync;
            const Result r = run(body, 32, 2, 2, seed);
            expect_clean(r.report);
            for (uint32_t i = 0; i < 64; ++i)
                ASSERT_EQ(r.out[i], (1 - i / 32) * 1000 + (i % 32 ^ 1));
            // Without the wait the data is not there.
            const Result bad = run(replaced(body, "@!%p1 bra WAIT;\n", ""), 32, 2, 2, seed);
            EXPECT_FALSE(bad.report.findings.empty()) << seed;
        }
}

TEST(ReduceAsync, AddsRemotely) {
    const std::string body =
        ranks(2) +
        "mov.u32 %r9, 100;\n@%p30 st.shared.u32 [%r20], %r9;\n"
        "@%p30 mbarrier.init.shared.b64 [%r21], 1;\n"
        "@%p30 mbarrier.arrive.expect_tx.shared.b64 _, [%r21], 128;\n" +
        std::string(kClusterSync) +
        "mapa.shared::cluster.u32 %r4, %r20, %r2;\nmapa.shared::cluster.u32 %r7, %r21, %r2;\n"
        "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [%r4], tx, "
        "[%r7];\n"
        "WAIT:\nmbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p1, [%r21], 0;\n"
        "@!%p1 bra WAIT;\nld.shared.u32 %r8, [%r20];\n" +
        put("%r8") + kClusterSync;
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        const Result r = run(body, 32, 2, 2, seed);
        expect_clean(r.report);
        EXPECT_EQ(r.out, std::vector<uint32_t>(64, 100 + 31 * 16));
    }
}

TEST(Cluster, ArrivesAtRemoteBarriers) {
    // Block 1's threads arrive at block 0's barrier; block 0 may then read what they wrote there.
    const std::string body =
        ranks(2) + "@%p30 mbarrier.init.shared.b64 [%r21], 32;\n" + std::string(kClusterSync) +
        "mov.u32 %r3, 0;\nmapa.shared::cluster.u32 %r4, %r20, %r3;\nmapa.shared::cluster.u32 %r7, "
        "%r21, %r3;\n"
        "setp.eq.u32 %p2, %r1, 0;\nmov.u32 %r9, 7;\n@%p2 bra ZERO;\nmad.lo.u32 %r5, tx, 4, %r4;\n"
        "st.shared::cluster.u32 [%r5], tx;\n"
        "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r7];\nbra DONE;\n"
        "ZERO:\nmbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p1, [%r21], 0;\n"
        "@!%p1 bra ZERO;\nmad.lo.u32 %r5, tx, 4, %r20;\nld.shared.u32 %r9, [%r5];\nDONE:\n" +
        put("%r9") + kClusterSync;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        const Result r = run(body, 32, 2, 2, seed);
        expect_clean(r.report);
        for (uint32_t i = 0; i < 32; ++i)
            ASSERT_EQ(r.out[i], i);
    }
}

TEST(SetMaxNumberOfRegisters, MustAgreeInAWarpgroup) {
    const std::string good =
        "setp.ge.u32 %p1, tx, 128;\n@%p1 bra CONSUMER;\n"
        "setmaxnreg.dec.sync.aligned.u32 40;\nbra END;\n"
        "CONSUMER:\nsetmaxnreg.inc.sync.aligned.u32 232;\nEND:\n";
    expect_clean(run(good, 256, 1, 0).report);
    const Result bad = run(replaced(good, "tx, 128", "tx, 64"), 256, 1, 0);
    EXPECT_TRUE(has_finding(bad.report, FindingKind::kDivergentBarrier)) << describe(bad.report);
}

TEST(Cluster, RefusesUnknownForms) {
    for (const char* text :
         {"setmaxnreg.inc.sync.aligned.u32 20;", "setmaxnreg.inc.sync.aligned.u32 44;",
          "barrier.cluster.arrive.acquire;", "barrier.cluster.sync;",
          "mapa.shared::cta.u32 %r1, %r2, %r3;",
          "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b64 [%r1], "
          "{%rd1, %rd2, %rd3, %rd4}, [%r2];",
          "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.f32 "
          "[%r1], %f1, [%r2];"})
        expect_refused(kernel(90, 0, kShared, text));
    expect_refused(kernel(80, 0, kShared, "barrier.cluster.arrive;"), 80);
}

}  // namespace
}  // namespace emulator
