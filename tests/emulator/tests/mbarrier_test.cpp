// mbarrier: phases, counts, transactions, states and parities, and what is misused.
#include "tests/emulator/tests/kernel_run.hpp"

namespace emulator {
namespace {

const char* const kShared = ".shared .align 8 .b64 bar;\n.shared .align 16 .b8 data[4096];\n";

/// Thread 0 initializes `bar` (address in %r20) for `count` arrivals; all threads know it.
std::string init(int count) {
    return "mov.u32 %r20, bar;\nsetp.eq.u32 %p30, tx, 0;\n@%p30 mbarrier.init.shared.b64 [%r20], " +
           std::to_string(count) + ";\nbar.sync 0;\n";
}
/// a0[index] = register, by thread 0.
std::string put(int index, const std::string& reg) {
    return "@%p30 st.global.b32 [a0+" + std::to_string(4 * index) + "], " + reg + ";\n";
}
/// a0[index] = predicate %p1, by thread 0.
std::string put_predicate(int index) {
    return "selp.u32 %r31, 1, 0, %p1;\n" + put(index, "%r31");
}

struct Result {
    LaunchReport report;
    std::vector<uint32_t> out;
};
Result run(const std::string& body, uint32_t threads = 32, uint64_t seed = 1) {
    Gpu gpu(90, seed);
    gpu.load(kernel(90, 1, kShared, body));
    const uint64_t out = gpu.upload(std::vector<uint32_t>(64, 0xEEEEEEEE));
    Result result;
    result.report = gpu.launch({out}, threads);
    result.out = gpu.download<uint32_t>(out, 64);
    return result;
}

TEST(Mbarrier, CompletesPhasesInTurn) {
    // One thread, one arrival per phase: the parity alternates.
    std::string body = init(1);
    for (int phase = 0; phase < 4; ++phase)
        body += "mbarrier.test_wait.parity.shared::cta.b64 %p1, [%r20], " +
                std::to_string(phase % 2) + ";\n" + put_predicate(4 * phase) +
                "mbarrier.test_wait.parity.shared::cta.b64 %p1, [%r20], " +
                std::to_string(1 - phase % 2) + ";\n" + put_predicate(4 * phase + 1) +
                "@%p30 mbarrier.arrive.shared.b64 %rd9, [%r20];\n"
                "mbarrier.test_wait.parity.shared::cta.b64 %p1, [%r20], " +
                std::to_string(phase % 2) + ";\n" + put_predicate(4 * phase + 2) +
                "mbarrier.test_wait.parity.shared::cta.b64 %p1, [%r20], " +
                std::to_string(1 - phase % 2) + ";\n" + put_predicate(4 * phase + 3);
    const Result r = run(body, 1);
    expect_clean(r.report);
    for (size_t phase = 0; phase < 4; ++phase) {
        EXPECT_EQ(r.out[4 * phase], 0u) << "before its completion";
        EXPECT_EQ(r.out[4 * phase + 1], 1u) << "the phase before";
        EXPECT_EQ(r.out[4 * phase + 2], 1u) << "after its completion";
        EXPECT_EQ(r.out[4 * phase + 3], 0u) << "the next phase";
    }
}

TEST(Mbarrier, StatesNameTheirPhase) {
    const Result r =
        run(init(2) +
                "mbarrier.arrive.release.cta.shared::cta.b64 %rd1, [%r20];\n"
                "mbarrier.test_wait.shared.b64 %p1, [%r20], %rd1;\n" +
                put_predicate(0) +
                "mbarrier.arrive.shared.b64 %rd2, [%r20];\n"
                "mbarrier.test_wait.shared.b64 %p1, [%r20], %rd1;\n" +
                put_predicate(1) +
                "mbarrier.try_wait.acquire.cta.shared::cta.b64 %p1, "
                "[%r20], %rd2, 0x989680;\n" +
                put_predicate(2) + "mbarrier.pending_count.b64 %r1, %rd1;\n" + put(3, "%r1") +
                "mbarrier.pending_count.b64 %r1, %rd2;\n" + put(4, "%r1") +
                "mbarrier.arrive.shared.b64 %rd3, [%r20], 2;\n"
                "mbarrier.test_wait.shared.b64 %p1, [%r20], %rd3;\n" +
                put_predicate(5),
            1);
    expect_clean(r.report);
    EXPECT_EQ(std::vector<uint32_t>(r.out.begin(), r.out.begin() + 6),
              (std::vector<uint32_t>{0, 1, 1, 2, 1, 1}));
}

TEST(Mbarrier, CountsAndDrops) {
    // 3 expected: 1 + 2 complete a phase. One drops: 2 are enough from then on.
    const Result r =
        run(init(3) +
                "mbarrier.arrive.shared.b64 %rd1, [%r20];\n"
                "mbarrier.test_wait.shared.b64 %p1, [%r20], %rd1;\n" +
                put_predicate(0) +
                "mbarrier.arrive.noComplete.shared.b64 %rd2, [%r20], 1;\n"
                "mbarrier.test_wait.shared.b64 %p1, [%r20], %rd1;\n" +
                put_predicate(1) +
                "mbarrier.arrive_drop.shared.b64 %rd2, [%r20];\n"
                "mbarrier.test_wait.shared.b64 %p1, [%r20], %rd1;\n" +
                put_predicate(2) +
                "mbarrier.arrive.shared.b64 %rd3, [%r20], 2;\n"
                "mbarrier.test_wait.shared.b64 %p1, [%r20], %rd3;\n" +
                put_predicate(3) +
                "mbarrier.inval.shared.b64 [%r20];\nmbarrier.init.shared.b64 [%r20], 1;\n"
                "mbarrier.test_wait.parity.shared.b64 %p1, [%r20], 0;\n" +
                put_predicate(4),
            1);
    expect_clean(r.report);
    EXPECT_EQ(std::vector<uint32_t>(r.out.begin(), r.out.begin() + 5),
              (std::vector<uint32_t>{0, 0, 1, 1, 0}));
}

TEST(Mbarrier, TransactionsHoldThePhase) {
    const Result r =
        run(init(1) +
                "mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 %rd1, [%r20], 48;\n"
                "mbarrier.test_wait.shared.b64 %p1, [%r20], %rd1;\n" +
                put_predicate(0) +
                "mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%r20], 16;\n"
                "mbarrier.test_wait.shared.b64 %p1, [%r20], %rd1;\n" +
                put_predicate(1) +
                "mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%r20], 32;\n"
                "mbarrier.test_wait.shared.b64 %p1, [%r20], %rd1;\n" +
                put_predicate(2) +
                // bytes that come before they are expected
                "mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%r20], 32;\n"
                "mbarrier.test_wait.parity.shared.b64 %p1, [%r20], 1;\n" +
                put_predicate(3) +
                "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%r20], 32;\n"
                "mbarrier.arrive.shared.b64 _, [%r20];\n"
                "mbarrier.test_wait.parity.shared.b64 %p1, [%r20], 1;\n" +
                put_predicate(4),
            1);
    expect_clean(r.report);
    EXPECT_EQ(std::vector<uint32_t>(r.out.begin(), r.out.begin() + 5),
              (std::vector<uint32_t>{0, 0, 1, 0, 1}));
}

TEST(Mbarrier, OrdersDataBetweenWarps) {
    // Every thread writes, arrives, waits, and reads what its partner of another warp wrote.
    const std::string wait =
        "WAIT:\nmbarrier.try_wait.parity.shared::cta.b64 %p1, [%r20], 0;\n"
        "@!%p1 bra WAIT;\n";
    const std::string body = init(128) +
                             "mov.u32 %r1, data;\nshl.b32 %r2, tx, 2;\nadd.u32 %r2, %r2, %r1;\n"
                             "add.u32 %r4, tx, 1000;\nst.shared.u32 [%r2], %r4;\n"
                             "mbarrier.arrive.shared.b64 %rd1, [%r20];\n@WAIT@"
                             "xor.b32 %r3, tx, 96;\nshl.b32 %r3, %r3, 2;\nadd.u32 %r3, %r3, %r1;\n"
                             "ld.shared.u32 %r5, [%r3];\nand.b32 %r6, tx, 63;\n"
                             "mul.wide.u32 %rd2, %r6, 4;\nadd.u64 %rd2, %rd2, a0;\n"
                             "setp.lt.u32 %p2, tx, 64;\n@%p2 st.global.u32 [%rd2], %r5;\n";
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        const Result r = run(replaced(body, "@WAIT@", wait), 128, seed);
        expect_clean(r.report);
        for (uint32_t i = 0; i < 64; ++i)
            ASSERT_EQ(r.out[i], (i ^ 96) + 1000);
    }
    // Without the wait, and with the parity of the phase before, it is a race.
    for (const std::string& bad : {std::string(), replaced(wait, "[%r20], 0", "[%r20], 1")})
        for (uint64_t seed = 1; seed <= (bad.empty() ? 20u : 3u); ++seed) {  // the latter runs dead
            const Result r = run(replaced(body, "@WAIT@", bad), 128, seed);
            EXPECT_TRUE(has_finding(r.report, FindingKind::kSharedRace) ||
                        has_finding(r.report, FindingKind::kUninitialized))
                << seed;
        }
}

TEST(Mbarrier, RelaxedWaitsOrderNothing) {
    const std::string body =
        init(64) +
        "mov.u32 %r1, data;\nshl.b32 %r2, tx, 2;\nadd.u32 %r2, %r2, %r1;\n"
        "st.shared.u32 [%r2], tx;\nmbarrier.arrive.shared.b64 %rd1, [%r20];\n"
        "WAIT:\nmbarrier.try_wait.parity.ORDER.cta.shared::cta.b64 %p1, [%r20], 0;\n"
        "@!%p1 bra WAIT;\nxor.b32 %r3, tx, 32;\nshl.b32 %r3, %r3, 2;\n"
        "add.u32 %r3, %r3, %r1;\nld.shared.u32 %r5, [%r3];\n"
        "mul.wide.u32 %rd2, tx, 4;\nadd.u64 %rd2, %rd2, a0;\nst.global.u32 [%rd2], %r5;\n";
    expect_clean(run(replaced(body, "ORDER", "acquire"), 64).report);
    EXPECT_TRUE(
        has_finding(run(replaced(body, "ORDER", "relaxed"), 64).report, FindingKind::kSharedRace));
}

struct Misuse {
    const char* name;
    const char* body;
    int count;
    FindingKind kind;
};
class MbarrierMisuse : public testing::TestWithParam<Misuse> {};

TEST_P(MbarrierMisuse, IsFound) {
    const Misuse& misuse = GetParam();
    const Result r = run(init(misuse.count) + misuse.body, 1);
    EXPECT_TRUE(has_finding(r.report, misuse.kind)) << describe(r.report);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, MbarrierMisuse,
    testing::Values(
        Misuse{"too_many", "mbarrier.arrive.shared.b64 %rd1, [%r20], 3;\n", 2,
               FindingKind::kBadBarrier},
        Misuse{"while_bytes_are_missing",
               "mbarrier.arrive.expect_tx.shared.b64 %rd1, [%r20], 16;\n"
               "mbarrier.arrive.shared.b64 %rd1, [%r20];\n",
               1, FindingKind::kBadBarrier},
        Misuse{"init_again", "mbarrier.init.shared.b64 [%r20], 1;\n", 1, FindingKind::kBadBarrier},
        Misuse{"count_of_zero",
               "mbarrier.inval.shared.b64 [%r20];\nmbarrier.init.shared.b64 [%r20], 0;\n", 1,
               FindingKind::kBadBarrier},
        Misuse{"after_inval",
               "mbarrier.inval.shared.b64 [%r20];\nmbarrier.arrive.shared.b64 %rd1, [%r20];\n", 1,
               FindingKind::kBadBarrier},
        Misuse{"overwritten",
               "mov.u64 %rd1, 77;\nst.shared.u64 [%r20], %rd1;\nmbarrier.arrive.shared.b64 %rd1, "
               "[%r20];\n",
               1, FindingKind::kBadBarrier},
        Misuse{"no_complete_completes", "mbarrier.arrive.noComplete.shared.b64 %rd1, [%r20], 2;\n",
               2, FindingKind::kBadBarrier},
        Misuse{
            "old_state",
            "mbarrier.arrive.shared.b64 %rd1, [%r20];\nmbarrier.arrive.shared.b64 %rd2, [%r20];\n"
            "mbarrier.test_wait.shared.b64 %p1, [%r20], %rd1;\n",
            1, FindingKind::kBadBarrier},
        Misuse{"too_many_bytes",
               "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%r20], 1048576;\n", 1,
               FindingKind::kBadBarrier},
        Misuse{"parity_of_two", "mbarrier.test_wait.parity.shared.b64 %p1, [%r20], 2;\n", 1,
               FindingKind::kBadBarrier},
        Misuse{"misaligned", "add.u32 %r20, %r20, 4;\nmbarrier.arrive.shared.b64 %rd1, [%r20];\n",
               1, FindingKind::kMisaligned},
        Misuse{"no_barrier", "mov.u32 %r21, data;\nmbarrier.arrive.shared.b64 %rd1, [%r21];\n", 1,
               FindingKind::kBadBarrier}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Mbarrier, InitNeedsABarrierBeforeItsUse) {
    // Warp 1 may arrive before warp 0 has initialized: not a wrong result every time, but a race.
    int found = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        const Result r =
            run("mov.u32 %r20, bar;\nsetp.eq.u32 %p30, tx, 0;\n"
                "@%p30 mbarrier.init.shared.b64 [%r20], 2;\n"
                "and.b32 %r1, tx, 31;\nsetp.eq.u32 %p2, %r1, 0;\n"
                "@%p2 mbarrier.arrive.shared.b64 %rd1, [%r20];\n",
                64, seed);
        found += has_finding(r.report, FindingKind::kSharedRace) ||
                 has_finding(r.report, FindingKind::kBadBarrier);
    }
    EXPECT_EQ(found, 20);
}

TEST(Mbarrier, NobodyArrivesIsADeadlock) {
    const Result r = run(init(2) +
                             "mbarrier.arrive.shared.b64 %rd1, [%r20];\n"
                             "WAIT:\nmbarrier.try_wait.parity.shared::cta.b64 %p1, [%r20], 0;\n"
                             "@!%p1 bra WAIT;\n",
                         1);
    EXPECT_TRUE(has_finding(r.report, FindingKind::kDeadlock)) << describe(r.report);
}

TEST(Mbarrier, RefusesUnknownForms) {
    for (const char* text :
         {"mbarrier.arrive.acquire.cta.shared.b64 %rd1, [%r1];",
          "mbarrier.test_wait.parity.shared.b64 %p1, [%r1], 0, 100;",
          "mbarrier.arrive.noComplete.shared.b64 %rd1, [%r1];",
          "mbarrier.arrive.release.cluster.shared::cluster.b64 %rd1, [%r1];",
          "mbarrier.init.global.b64 [%rd1], 1;", "mbarrier.frobnicate.b64 [%r1];"})
        expect_refused(kernel(90, 0, kShared, text));
}

}  // namespace
}  // namespace emulator
