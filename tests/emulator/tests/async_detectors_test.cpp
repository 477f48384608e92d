// What goes wrong in pipelines of asynchronous copies and wgmma: each fault must be found under every
// schedule, and its corrected twin must be clean and right.
#include <numeric>

#include "tests/emulator/tests/wgmma_program.hpp"

namespace emulator {
namespace {

constexpr uint64_t kSeeds = 20;

/// Runs both kernels (a0 = input of `bytes` bytes, a1 = output as large) under all seeds. The good one
/// copies its input.
void expect_found(const std::string& shared, const std::string& good, const std::string& bad,
                  FindingKind kind, uint32_t threads, size_t words, int arch = 90) {
    ASSERT_NE(good, bad);
    std::vector<uint32_t> in(words);
    std::iota(in.begin(), in.end(), 1u);
    for (uint64_t seed = 1; seed <= kSeeds; ++seed)
        for (const bool is_good : {true, false}) {
            Gpu gpu(arch, seed);
            gpu.load(kernel(arch, 2, shared, is_good ? good : bad));
            const uint64_t out = gpu.upload(std::vector<uint32_t>(words, 0));
            const LaunchReport report = gpu.launch({gpu.upload(in), out}, threads);
            if (is_good) {
                expect_clean(report);
                EXPECT_EQ(gpu.download<uint32_t>(out, words), in) << "seed " << seed;
            } else {
                EXPECT_TRUE(has_finding(report, kind)) << "seed " << seed << "\n"
                                                       << describe(report);
            }
        }
}

/// %rd1 = a0 + 4 i, %rd2 = a1 + 4 i, %r2 = tile + 4 i of word i = `index`.
std::string word_addresses(const std::string& index) {
    return "mul.wide.u32 %rd1, " + index +
           ", 4;\nadd.u64 %rd2, %rd1, a1;\nadd.u64 %rd1, %rd1, a0;\n"
           "mov.u32 %r1, tile;\nshl.b32 %r2, " +
           index + ", 2;\nadd.u32 %r2, %r2, %r1;\n";
}

TEST(Detects, MissingCpAsyncWait) {
    // Two stages; each thread stores the word of its neighbour in another warp.
    const std::string good =
        word_addresses("tx") +
        "cp.async.ca.shared.global [%r2], [%rd1], 4;\ncp.async.commit_group;\n"
        "cp.async.ca.shared.global [%r2+512], [%rd1+512], 4;\ncp.async.commit_group;\n"
        "cp.async.wait_group 1;\nbar.sync 0;\nxor.b32 %r3, %r2, 128;\nxor.b32 %r4, tx, 32;\n"
        "mul.wide.u32 %rd3, %r4, 4;\nadd.u64 %rd3, %rd3, a1;\n"
        "ld.shared.u32 %r5, [%r3];\nst.global.u32 [%rd3], %r5;\n"
        "cp.async.wait_group 0;\nbar.sync 0;\nld.shared.u32 %r5, [%r3+512];\nst.global.u32 "
        "[%rd3+512], %r5;\n";
    const std::string shared = ".shared .align 1024 .b8 tile[1024];\n";
    expect_found(shared, good, replaced(good, "cp.async.wait_group 1;\n", ""),
                 FindingKind::kUnfinishedCopy, 128, 256, 80);
    // One group too few.
    expect_found(shared, good, replaced(good, "wait_group 0", "wait_group 1"),
                 FindingKind::kUnfinishedCopy, 128, 256, 80);
    // A wait, but no barrier: the neighbour's copy is not ordered.
    const std::string unordered =
        replaced(good, "cp.async.wait_group 1;\nbar.sync 0;", "cp.async.wait_group 1;");
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        Gpu gpu(80, seed);
        gpu.load(kernel(80, 2, shared, unordered));
        const LaunchReport report = gpu.launch(
            {gpu.upload(std::vector<uint32_t>(256, 1)), gpu.upload(std::vector<uint32_t>(256, 0))},
            128);
        EXPECT_TRUE(has_finding(report, FindingKind::kSharedRace) ||
                    has_finding(report, FindingKind::kUnfinishedCopy) ||
                    has_finding(report, FindingKind::kUninitialized))
            << describe(report);
    }
}

const char* const kBulkShared =
    ".shared .align 8 .b64 full;\n.shared .align 8 .b64 empty;\n"
    ".shared .align 1024 .b8 tile[1024];\n";
/// %r20 = full, %r21 = empty, %p30 = thread 0 that initializes them.
std::string barriers(int full, int empty) {
    return "mov.u32 %r20, full;\nmov.u32 %r21, empty;\nsetp.eq.u32 %p30, tx, 0;\n"
           "@%p30 mbarrier.init.shared.b64 [%r20], " +
           std::to_string(full) + ";\n@%p30 mbarrier.init.shared.b64 [%r21], " +
           std::to_string(empty) + ";\n@%p30 fence.mbarrier_init.release.cluster;\nbar.sync 0;\n";
}

TEST(Detects, WrongMbarrierPhase) {
    // The same stage is filled twice; the second wait must be for the other parity.
    const std::string load =
        "@%p30 mbarrier.arrive.expect_tx.shared.b64 _, [%r20], 512;\n"
        "@%p30 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], "
        "[%rd9], 512, [%r20];\n";
    const auto wait = [](const char* label, const char* parity) {
        return std::string(label) + ":\nmbarrier.try_wait.parity.shared::cta.b64 %p1, [%r20], " +
               parity + ";\n@!%p1 bra " + label + ";\n";
    };
    const std::string good =
        barriers(1, 1) + word_addresses("tx") + "mov.b64 %rd9, a0;\n" + load + wait("FIRST", "0") +
        "ld.shared.u32 %r5, [%r2];\nst.global.u32 [%rd2], %r5;\n"
        "bar.sync 0;\nadd.u64 %rd9, a0, 512;\n" +
        load + wait("SECOND", "1") + "ld.shared.u32 %r5, [%r2];\nst.global.u32 [%rd2+512], %r5;\n";
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        // Whoever waits for the old phase goes on at once; nobody waits for the new one.
        Gpu gpu(90, seed);
        gpu.load(
            kernel(90, 2, kBulkShared,
                   replaced(good, "[%r20], 1;\n@!%p1 bra SECOND", "[%r20], 0;\n@!%p1 bra SECOND")));
        const LaunchReport report = gpu.launch(
            {gpu.upload(std::vector<uint32_t>(256, 1)), gpu.upload(std::vector<uint32_t>(256, 0))},
            128);
        EXPECT_TRUE(has_finding(report, FindingKind::kUnfinishedCopy) ||
                    has_finding(report, FindingKind::kSharedRace))
            << describe(report);
    }
    // No wait at all: the thread that issued the copy finds it in flight.
    expect_found(kBulkShared, good, replaced(good, wait("FIRST", "0"), ""),
                 FindingKind::kUnfinishedCopy, 128, 256);
}

TEST(Detects, MissingProxyFenceOfABulkStore) {
    const std::string good =
        word_addresses("tx") +
        "ld.global.u32 %r5, [%rd1];\nst.shared.u32 [%r2], %r5;\n"
        "fence.proxy.async.shared::cta;\nbar.sync 0;\nsetp.eq.u32 %p1, tx, 64;\n"
        "@%p1 cp.async.bulk.global.shared::cta.bulk_group [a1], [%r1], 512;\n"
        "@%p1 cp.async.bulk.commit_group;\n@%p1 cp.async.bulk.wait_group.read 0;\n";
    const std::string fence = "fence.proxy.async.shared::cta;\n";
    // The address register of thread 64 is its own: use the tile's start.
    expect_found(kBulkShared, good, replaced(good, fence, ""), FindingKind::kAsyncProxy, 128, 128);
    // Fencing the writes of one warp only is not enough.
    expect_found(kBulkShared, good,
                 replaced(good, fence, "setp.lt.u32 %p2, tx, 32;\n@%p2 " + fence),
                 FindingKind::kAsyncProxy, 128, 128);
    // The barrier alone missing is a race.
    expect_found(kBulkShared, good, replaced(good, "bar.sync 0;\n", ""), FindingKind::kSharedRace,
                 128, 128);
}

TEST(Detects, OverwritingTheSourceOfABulkStore) {
    const std::string good =
        word_addresses("tx") +
        "ld.global.u32 %r5, [%rd1];\nst.shared.u32 [%r2], %r5;\n"
        "fence.proxy.async.shared::cta;\nbar.sync 0;\nsetp.eq.u32 %p1, tx, 0;\n"
        "@%p1 cp.async.bulk.global.shared::cta.bulk_group [a1], [%r1], 512;\n"
        "@%p1 cp.async.bulk.commit_group;\n@%p1 cp.async.bulk.wait_group.read 0;\nbar.sync 0;\n"
        "st.shared.u32 [%r2], 7;\n@%p1 cp.async.bulk.wait_group 0;\n";
    expect_found(kBulkShared, good, replaced(good, "@%p1 cp.async.bulk.wait_group.read 0;\n", ""),
                 FindingKind::kSharedRace, 128, 128);
}

TEST(Detects, PrematureReleaseOfAStageByOneThread) {
    // Warp 4 fills one stage four times; warps 0 to 3 read it. Each of them must say that it has.
    const std::string body =
        barriers(1, 4) + "setp.ge.u32 %p2, tx, 128;\nmov.u32 %r10, 0;\n@%p2 bra PRODUCER;\n" +
        word_addresses("tx") +
        "CONSUMER:\nand.b32 %r11, %r10, 1;\n"
        "FULL:\nmbarrier.try_wait.parity.shared::cta.b64 %p1, [%r20], %r11;\n@!%p1 bra FULL;\n"
        "ld.shared.u32 %r5, [%r2];\n"
        "st.global.u32 [%rd2], %r5;\nadd.u64 %rd2, %rd2, 512;\n"
        "bar.warp.sync 0xffffffff;\nsetp.eq.u32 %p3, lane, 0;\n"
        "@%p3 mbarrier.arrive.shared.b64 _, [%r21];\n"
        "add.u32 %r10, %r10, 1;\nsetp.lt.u32 %p4, %r10, 4;\n@%p4 bra CONSUMER;\nbra END;\n"
        "PRODUCER:\nsetp.ne.u32 %p5, lane, 0;\n@%p5 bra END;\nmov.u32 %r1, tile;\n"
        "FILL:\nand.b32 %r11, %r10, 1;\nxor.b32 %r11, %r11, 1;\n"
        "EMPTY:\nmbarrier.try_wait.parity.shared::cta.b64 %p1, [%r21], %r11;\n@!%p1 bra EMPTY;\n"
        "mbarrier.arrive.expect_tx.shared.b64 _, [%r20], 512;\n"
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [a0], 512, "
        "[%r20];\n"
        "add.u64 a0, a0, 512;\nadd.u32 %r10, %r10, 1;\nsetp.lt.u32 %p4, %r10, 4;\n@%p4 bra "
        "FILL;\nEND:\n";
    // Thread 0 alone releases the stage for all warps.
    std::string bad = replaced(body, "[%r21], 4;", "[%r21], 1;");
    bad = replaced(bad, "setp.eq.u32 %p3, lane, 0;", "setp.eq.u32 %p3, tx, 0;");
    ASSERT_NE(bad, body);
    std::vector<uint32_t> in(512);
    std::iota(in.begin(), in.end(), 1u);
    int found = 0;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        for (const bool is_good : {true, false}) {
            Gpu gpu(90, seed);
            gpu.load(kernel(90, 2, kBulkShared, is_good ? body : bad));
            const uint64_t out = gpu.upload(std::vector<uint32_t>(512, 0));
            const LaunchReport report = gpu.launch({gpu.upload(in), out}, 160);
            if (is_good) {
                expect_clean(report);
                EXPECT_EQ(gpu.download<uint32_t>(out, 512), in) << "seed " << seed;
            } else {
                found += !report.findings.empty();
            }
        }
    }
    EXPECT_EQ(found, static_cast<int>(kSeeds));
    // Each warp releases before it has read.
    std::string early = replaced(body, "ld.shared.u32 %r5, [%r2];\n", "");
    early = replaced(early, "add.u32 %r10, %r10, 1;\nsetp.lt.u32 %p4, %r10, 4;\n@%p4 bra CONSUMER;",
                     "ld.shared.u32 %r5, [%r2];\nadd.u32 %r10, %r10, 1;\nsetp.lt.u32 %p4, %r10, "
                     "4;\n@%p4 bra CONSUMER;");
    early = replaced(early, "st.global.u32 [%rd2], %r5;\nadd.u64 %rd2, %rd2, 512;\n", "");
    early = replaced(early, "@%p4 bra CONSUMER;",
                     "st.global.u32 [%rd2], %r5;\nadd.u64 %rd2, %rd2, 512;\n@%p4 bra CONSUMER;");
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        Gpu gpu(90, seed);
        gpu.load(kernel(90, 2, kBulkShared, early));
        const LaunchReport report =
            gpu.launch({gpu.upload(in), gpu.upload(std::vector<uint32_t>(512, 0))}, 160);
        EXPECT_FALSE(report.findings.empty()) << seed;
    }
}

// ---- wgmma ---------------------------------------------------------------------------------------

const Form kShared{"shared", "f32", "f16", "f16", 32};
const Form kRegisters{"registers", "f32", "f16", "f16", 32, k128, k128, false, false, true};

/// `good` right and clean, `bad` found, under all seeds.
void expect_wgmma_found(const Form& form, const std::string& from, const std::string& to,
                        FindingKind kind) {
    const Program p(form);
    const Matrices m = make(p, 7);
    const std::string good = p.good(), bad = replaced(good, from, to);
    ASSERT_NE(good, bad);
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        std::vector<uint32_t> words;
        expect_clean(run(p, m, good, seed, &words));
        expect_result(p, m, words);
        const LaunchReport report = run(p, m, bad, seed);
        EXPECT_TRUE(has_finding(report, kind)) << "seed " << seed << "\n" << describe(report);
    }
}

TEST(Detects, MissingWgmmaWait) {
    const std::string wait = "wgmma.wait_group.sync.aligned 0;\n";
    expect_wgmma_found(kShared, wait, "", FindingKind::kUnfinishedCopy);
    expect_wgmma_found(kShared, wait, "wgmma.wait_group.sync.aligned 1;\n",
                       FindingKind::kUnfinishedCopy);
    // No group was committed, so the wait waits for nothing.
    expect_wgmma_found(kShared, "wgmma.commit_group.sync.aligned;\n", "",
                       FindingKind::kUnfinishedCopy);
}

TEST(Detects, MissingWgmmaFence) {
    const std::string fence = "wgmma.fence.sync.aligned;\n";
    expect_wgmma_found(kShared, fence, "", FindingKind::kUnfinishedCopy);
    // A second batch after the accumulators were scaled, without a fence.
    const Program p(kShared);
    const Matrices m = make(p, 8);
    std::string good = p.load() + p.preset("0") + "setp.eq.u32 %p6, tx, tx;\n" + fence;
    good +=
        p.wgmma(0, "%p6") + "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n";
    for (int i = 0; i < p.registers; ++i) {
        const std::string d = "%f" + std::to_string(p.d_first() + i);
        good += "add.f32 " + d + ", " + d + ", " + d + ";\n";
    }
    const std::string first = good;
    good += fence + p.wgmma(1, "%p6") +
            "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n" + p.store();
    const std::string bad = first + good.substr(first.size() + fence.size());
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        expect_clean(run(p, m, good, seed));
        EXPECT_TRUE(has_finding(run(p, m, bad, seed), FindingKind::kUnfinishedCopy)) << seed;
    }
}

TEST(Detects, ChangedRegistersOfWgmma) {
    // A register of A changes between two wgmma of a batch, or before the wait.
    expect_wgmma_found(kRegisters, "wgmma.commit_group.sync.aligned;\n",
                       "wgmma.commit_group.sync.aligned;\nadd.u32 %r20, %r20, 1;\n",
                       FindingKind::kUnfinishedCopy);
    const Program p(kRegisters);
    const std::string second = p.wgmma(1, "%p6");
    expect_wgmma_found(kRegisters, second, "add.u32 %r24, %r24, 1;\n" + second,
                       FindingKind::kUnfinishedCopy);
    // An accumulator is read, or written, before the wait.
    expect_wgmma_found(
        kShared, "wgmma.wait_group.sync.aligned 0;\n",
        "mov.b32 %f1, %f200;\nwgmma.wait_group.sync.aligned 0;\nst.global.f32 [a2], %f1;\n",
        FindingKind::kUnfinishedCopy);
    expect_wgmma_found(kShared, "wgmma.wait_group.sync.aligned 0;\n",
                       "mov.b32 %f203, 0f40490FDB;\nwgmma.wait_group.sync.aligned 0;\n",
                       FindingKind::kUnfinishedCopy);
}

TEST(Detects, MissingProxyFenceOfAWgmmaOperand) {
    expect_wgmma_found(kShared, "fence.proxy.async.shared::cta;\n", "", FindingKind::kAsyncProxy);
    expect_wgmma_found(kRegisters, "fence.proxy.async.shared::cta;\n",
                       "setp.lt.u32 %p3, tx, 64;\n@%p3 fence.proxy.async.shared::cta;\n",
                       FindingKind::kAsyncProxy);
    expect_wgmma_found(kShared, "bar.sync 0;\n", "", FindingKind::kSharedRace);
}

TEST(Detects, OverwritingAStageThatWgmmaReads) {
    // After the commit, before the wait, a thread writes into B.
    const std::string wait = "wgmma.wait_group.sync.aligned 0;\n";
    const std::string write =
        "mov.u32 %r1, tile_b;\nmov.u32 %r2, 0;\nsetp.eq.u32 %p9, tx, 77;\n"
        "@%p9 st.shared.u32 [%r1+64], %r2;\n";
    expect_wgmma_found(kShared, wait, write + wait, FindingKind::kSharedRace);
    // After its own wait it may: the four warps' reads are over.
    const Program p(kShared);
    const Matrices m = make(p, 9);
    for (uint64_t seed = 1; seed <= kSeeds; ++seed)
        expect_clean(run(p, m, replaced(p.good(), wait, wait + write), seed));
}

TEST(Detects, PrematureReleaseOfAWgmmaStage) {
    // A producer warp fills B three times by bulk copies; one thread of the warpgroup releases the stage,
    // which it may do after wait_group for all four warps, and not before.
    Form form = kRegisters;
    const Program p(form);
    const std::string size = std::to_string(p.b.size());
    std::string wgmmas;
    for (int step = 0; step < 4; ++step)
        wgmmas += p.wgmma(step, "%p6");
    std::string body = barriers(1, 1) +
                       "mov.u32 %r10, 0;\nsetp.ge.u32 %p2, tx, 128;\n@%p2 bra PRODUCER;\n"
                       "mul.wide.u32 %rd2, tx, 64;\nadd.u64 %rd2, %rd2, a0;\n";
    for (int i = 0; i < 16; ++i)
        body += "ld.global.b32 %r" + std::to_string(20 + i + 80) + ", [%rd2+" +
                std::to_string(4 * i) + "];\n";
    // The fixed registers of Program start at %r20, where the barriers are: move those.
    body = replaced(replaced(body, "%r20,", "%r60,"), "[%r20]", "[%r60]");
    body = replaced(replaced(body, "%r21,", "%r61,"), "[%r21]", "[%r61]");
    for (int i = 0; i < 16; ++i)
        body = replaced(body, "%r" + std::to_string(100 + i) + ",",
                        "%r" + std::to_string(20 + i) + ",");
    body +=
        Program::descriptor("%rd11", "tile_b", p.b) + p.preset("0") +
        "setp.eq.u32 %p6, tx, tx;\n"
        "CONSUMER:\nand.b32 %r62, %r10, 1;\n"
        "FULL:\nmbarrier.try_wait.parity.shared::cta.b64 %p1, [%r60], %r62;\n@!%p1 bra FULL;\n"
        "wgmma.fence.sync.aligned;\n" +
        wgmmas +
        "wgmma.commit_group.sync.aligned;\n@EARLY@wgmma.wait_group.sync.aligned 0;\n@LATE@"
        "add.u32 %r10, %r10, 1;\nsetp.lt.u32 %p4, %r10, 3;\n@%p4 bra CONSUMER;\n" +
        p.store() +
        "bra END;\n"
        "PRODUCER:\nsetp.ne.u32 %p5, lane, 0;\n@%p5 bra END;\nmov.u32 %r1, tile_b;\n"
        "FILL:\nand.b32 %r62, %r10, 1;\nxor.b32 %r62, %r62, 1;\n"
        "EMPTY:\nmbarrier.try_wait.parity.shared::cta.b64 %p1, [%r61], %r62;\n@!%p1 bra EMPTY;\n"
        "mbarrier.arrive.expect_tx.shared.b64 _, [%r60], " +
        size +
        ";\n"
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [a1], " +
        size +
        ", [%r60];\n"
        "add.u64 a1, a1, " +
        size + ";\nadd.u32 %r10, %r10, 1;\nsetp.lt.u32 %p4, %r10, 3;\n@%p4 bra FILL;\nEND:\n";
    const std::string release =
        "setp.eq.u32 %p3, tx, 32;\n@%p3 mbarrier.arrive.shared.b64 _, [%r61];\n";
    const std::string good = replaced(replaced(body, "@EARLY@", ""), "@LATE@", release);
    const std::string bad = replaced(replaced(body, "@EARLY@", release), "@LATE@", "");

    // A times the sum of three Bs.
    Matrices m = make(p, 10);
    std::vector<uint8_t> images;
    Matrices sum = m;
    std::vector<int> total(m.b.size(), 0);
    for (unsigned i = 0; i < 3; ++i) {
        const Matrices part = make(p, 20 + i);
        images.insert(images.end(), part.b_image.begin(), part.b_image.end());
        for (size_t j = 0; j < total.size(); ++j)
            total[j] += static_cast<int>(Number::of("f16").decode(part.b[j]));
    }
    for (size_t j = 0; j < total.size(); ++j)
        sum.b[j] = Number::of("f16").encode(total[j]);
    m.b_image = images;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed)
        for (const bool is_good : {true, false}) {
            Gpu gpu(90, seed);
            gpu.load(kernel(
                90, 3, p.shared() + ".shared .align 8 .b64 full;\n.shared .align 8 .b64 empty;\n",
                is_good ? good : bad));
            const size_t count = static_cast<size_t>(128 * p.registers);
            const uint64_t out = gpu.upload(std::vector<uint32_t>(count, 0));
            const LaunchReport report =
                gpu.launch({gpu.upload(m.a_image), gpu.upload(m.b_image), out}, 160);
            if (is_good) {
                expect_clean(report);
                expect_result(p, sum, gpu.download<uint32_t>(out, count));
            } else {
                EXPECT_TRUE(has_finding(report, FindingKind::kSharedRace))
                    << seed << describe(report);
            }
        }
}

}  // namespace
}  // namespace emulator
