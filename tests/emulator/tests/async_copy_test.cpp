// cp.async: sizes, zero fill, ignore-src, groups, wait_all, arrival at mbarriers.
#include "tests/emulator/tests/kernel_run.hpp"

namespace emulator {
namespace {

const char* const kStage = ".shared .align 128 .b8 stage[4096];\n";

std::vector<uint8_t> pattern(size_t bytes) {
    std::vector<uint8_t> values(bytes);
    for (size_t i = 0; i < bytes; ++i)
        values[i] = static_cast<uint8_t>(1 + i * 7 % 251);
    return values;
}

/// %rd0 = a0 + 16 tx, %rd1 = a1 + 16 tx, %r0 = stage + 16 tx.
const char* const kAddresses =
    "mul.wide.u32 %rd0, tx, 16;\nadd.u64 %rd1, %rd0, a1;\nadd.u64 %rd0, %rd0, a0;\n"
    "mov.u32 %r1, stage;\nshl.b32 %r0, tx, 4;\nadd.u32 %r0, %r0, %r1;\n";
const char* const kStoreOwn =
    "ld.shared.v4.b32 {%r4,%r5,%r6,%r7}, [%r0];\nst.global.v4.b32 [%rd1], {%r4,%r5,%r6,%r7};\n";

struct CopyRun {
    LaunchReport report;
    std::vector<uint8_t> out;
};
CopyRun run(const std::string& body, uint64_t seed = 1, uint32_t threads = 64, int arch = 80) {
    Gpu gpu(arch, seed);
    gpu.load(kernel(arch, 2, kStage, body));
    const size_t bytes = 16 * threads;
    const uint64_t out = gpu.upload(std::vector<uint8_t>(bytes, 0xEE));
    CopyRun result;
    result.report = gpu.launch({gpu.upload(pattern(bytes)), out}, threads);
    result.out = gpu.download<uint8_t>(out, bytes);
    return result;
}

TEST(AsyncCopy, CopiesEverySize) {
    for (const int bytes : {4, 8, 16})
        for (const char* cache : {"ca", "cg"}) {
            if (std::string(cache) == "cg" && bytes != 16) continue;
            std::string body = kAddresses;
            // What is not copied is written by st.
            body += "mov.u32 %r9, 0;\nst.shared.v4.b32 [%r0], {%r9,%r9,%r9,%r9};\n";
            body += std::string("cp.async.") + cache + ".shared.global [%r0], [%rd0], " +
                    std::to_string(bytes) + ";\ncp.async.wait_all;\n" + kStoreOwn;
            const CopyRun r = run(body);
            expect_clean(r.report);
            EXPECT_EQ(r.report.counters.async_load_bytes, 64u * static_cast<unsigned>(bytes));
            const auto in = pattern(1024);
            for (size_t i = 0; i < 1024; ++i)
                ASSERT_EQ(r.out[i], i % 16 < static_cast<size_t>(bytes) ? in[i] : 0) << i;
        }
}

TEST(AsyncCopy, AcceptsHintsAndPrefetchSizes) {
    for (const char* text :
         {"cp.async.cg.shared::cta.global.L2::128B [%r0], [%rd0], 16;\n",
          "cp.async.ca.shared.global.L2::256B [%r0], [%rd0], 16;\n",
          "createpolicy.fractional.L2::evict_first.b64 %rd3, 1.0;\n"
          "cp.async.cg.shared.global.L2::cache_hint [%r0], [%rd0], 16, %rd3;\n",
          "createpolicy.fractional.L2::evict_first.b64 %rd3, 1.0;\nmov.u32 %r9, 16;\n"
          "cp.async.cg.shared.global.L2::cache_hint.L2::64B [%r0], [%rd0], 16, %r9, %rd3;\n"}) {
        const CopyRun r = run(kAddresses + std::string(text) + "cp.async.wait_all;\n" + kStoreOwn);
        expect_clean(r.report);
        EXPECT_EQ(r.out, pattern(1024)) << text;
    }
}

TEST(AsyncCopy, FillsWithZeros) {
    // src-size = tx mod 17: 0 to 16 bytes.
    const CopyRun r =
        run(std::string(kAddresses) +
            "rem.u32 %r9, tx, 17;\ncp.async.cg.shared.global [%r0], [%rd0], 16, %r9;\n"
            "cp.async.wait_all;\n" +
            kStoreOwn);
    expect_clean(r.report);
    const auto in = pattern(1024);
    for (size_t i = 0; i < 1024; ++i)
        ASSERT_EQ(r.out[i], i % 16 < i / 16 % 17 ? in[i] : 0) << i;
    EXPECT_EQ(r.report.counters.async_load_bytes, 1024u);
    EXPECT_EQ(r.report.counters.async_source_bytes, 486u);  // the sum of 0..63 mod 17
}

TEST(AsyncCopy, ZeroBytesTouchNoSource) {
    // Address 0 is never touched with src-size 0 or ignore-src.
    for (const char* text : {"mov.u32 %r9, 0;\nmov.u64 %rd5, 0;\n"
                             "cp.async.ca.shared.global [%r0], [%rd5], 16, %r9;\n",
                             "setp.ge.u32 %p0, tx, 0;\nmov.u64 %rd5, 0;\n"
                             "cp.async.ca.shared.global [%r0], [%rd5], 16, %p0;\n"}) {
        const CopyRun r = run(kAddresses + std::string(text) + "cp.async.wait_all;\n" + kStoreOwn);
        expect_clean(r.report);
        EXPECT_EQ(r.out, std::vector<uint8_t>(1024, 0));
    }
}

TEST(AsyncCopy, IgnoresSourcesByPredicate) {
    const CopyRun r =
        run(std::string(kAddresses) +
            "and.b32 %r9, tx, 1;\nsetp.eq.u32 %p0, %r9, 1;\n"
            "cp.async.cg.shared.global [%r0], [%rd0], 16, %p0;\ncp.async.wait_all;\n" +
            kStoreOwn);
    expect_clean(r.report);
    const auto in = pattern(1024);
    for (size_t i = 0; i < 1024; ++i)
        ASSERT_EQ(r.out[i], i / 16 % 2 == 0 ? in[i] : 0) << i;
}

TEST(AsyncCopy, WaitsForGroupsInOrder) {
    // Four groups; after wait_group N the first 4 - N may be read, and only those.
    for (int keep = 0; keep <= 4; ++keep)
        for (int read = 0; read < 4; ++read) {
            std::string body = kAddresses;
            for (int i = 0; i < 4; ++i)
                body += "cp.async.cg.shared.global [%r0+" + std::to_string(1024 * i) +
                        "], [%rd0], 16;\ncp.async.commit_group;\n";
            body += "cp.async.wait_group " + std::to_string(keep) + ";\n" +
                    replaced(kStoreOwn, "[%r0]", "[%r0+" + std::to_string(1024 * read) + "]");
            const CopyRun r = run(body);
            const bool landed = read < 4 - keep;
            EXPECT_EQ(has_finding(r.report, FindingKind::kUnfinishedCopy), !landed)
                << keep << " " << read << "\n"
                << describe(r.report);
            if (landed) {
                expect_clean(r.report);
                EXPECT_EQ(r.out, pattern(1024));
            }
        }
}

TEST(AsyncCopy, GroupsBelongToThreads) {
    // Odd threads commit once more (an empty group), so wait_group 1 leaves the even ones' copy in flight.
    const std::string body =
        std::string(kAddresses) +
        "cp.async.cg.shared.global [%r0], [%rd0], 16;\ncp.async.commit_group;\n"
        "and.b32 %r9, tx, 1;\nsetp.eq.u32 %p0, %r9, 1;\n"
        "@%p0 cp.async.commit_group;\ncp.async.wait_group 1;\n";
    const CopyRun good = run(body + "@!%p0 cp.async.wait_group 0;\n" + kStoreOwn);
    expect_clean(good.report);
    EXPECT_EQ(good.out, pattern(1024));
    const CopyRun odd = run(body + replaced(replaced(kStoreOwn, "ld.shared", "@%p0 ld.shared"),
                                            "st.global", "@%p0 st.global"));
    expect_clean(odd.report);
    const CopyRun bad = run(body + kStoreOwn);
    EXPECT_TRUE(has_finding(bad.report, FindingKind::kUnfinishedCopy)) << describe(bad.report);
}

TEST(AsyncCopy, UncommittedCopiesNeedWaitAll) {
    const std::string copy = "cp.async.cg.shared.global [%r0], [%rd0], 16;\n";
    const CopyRun bad = run(kAddresses + copy + "cp.async.wait_group 0;\n" + kStoreOwn);
    EXPECT_TRUE(has_finding(bad.report, FindingKind::kUnfinishedCopy));
    expect_clean(run(kAddresses + copy + "cp.async.wait_all;\n" + kStoreOwn).report);
}

TEST(AsyncCopy, CompletesOnMbarriers) {
    for (const bool no_increment : {false, true})
        for (uint64_t seed = 1; seed <= 20; ++seed) {
            // Without .noinc the arrival pays for itself: the barrier counts explicit arrivals only.
            const std::string body =
                "mov.u32 %r20, bar;\nsetp.eq.u32 %p0, tx, 0;\n@%p0 mbarrier.init.shared.b64 "
                "[%r20], 64;\n"
                "bar.sync 0;\n" +
                std::string(kAddresses) +
                "cp.async.cg.shared.global [%r0], [%rd0], 16;\n"
                "cp.async.mbarrier.arrive" +
                (no_increment ? ".noinc" : "") + ".shared.b64 [%r20];\n" +
                (no_increment ? "" : "mbarrier.arrive.shared.b64 %rd9, [%r20];\n") +
                "WAIT:\nmbarrier.test_wait.parity.shared.b64 %p1, [%r20], 0;\n@!%p1 bra WAIT;\n"
                // The neighbour's piece.
                "xor.b32 %r0, %r0, 16;\n" +
                kStoreOwn;
            Gpu gpu(80, seed);
            gpu.load(kernel(80, 2, std::string(kStage) + ".shared .align 8 .b64 bar;\n", body));
            const uint64_t out = gpu.upload(std::vector<uint8_t>(1024, 0xEE));
            expect_clean(gpu.launch({gpu.upload(pattern(1024)), out}, 64));
            const auto got = gpu.download<uint8_t>(out, 1024);
            const auto in = pattern(1024);
            for (size_t i = 0; i < 1024; ++i)
                ASSERT_EQ(got[i], in[i ^ 16]) << i;
        }
}

TEST(AsyncCopy, ReportsBadAddresses) {
    const CopyRun misaligned =
        run(std::string(kAddresses) +
            "add.u32 %r0, %r0, 4;\n"
            "cp.async.cg.shared.global [%r0], [%rd0], 16;\ncp.async.wait_all;\n");
    EXPECT_TRUE(has_finding(misaligned.report, FindingKind::kMisaligned))
        << describe(misaligned.report);
    const CopyRun beyond =
        run(std::string(kAddresses) +
            "add.u64 %rd0, %rd0, 16;\n"
            "cp.async.cg.shared.global [%r0], [%rd0], 16;\ncp.async.wait_all;\n");
    EXPECT_TRUE(has_finding(beyond.report, FindingKind::kOutOfBounds)) << describe(beyond.report);
    const CopyRun large =
        run(std::string(kAddresses) +
            "mov.u32 %r9, 17;\n"
            "cp.async.cg.shared.global [%r0], [%rd0], 16, %r9;\ncp.async.wait_all;\n");
    EXPECT_TRUE(has_finding(large.report, FindingKind::kOutOfBounds)) << describe(large.report);
}

TEST(AsyncCopy, HandsOnWhatWasNeverWritten) {
    // Copying it is no finding, storing it is.
    for (const bool use : {false, true}) {
        Gpu gpu(80);
        gpu.load(kernel(80, 2, kStage,
                        std::string(kAddresses) +
                            "cp.async.cg.shared.global [%r0], [%rd0], 16;\n"
                            "cp.async.wait_all;\n" +
                            (use ? kStoreOwn : "")));
        const uint64_t out = gpu.upload(std::vector<uint8_t>(1024, 0));
        const LaunchReport report = gpu.launch({gpu.allocate(1024), out}, 64);
        EXPECT_EQ(has_finding(report, FindingKind::kUninitialized), use) << describe(report);
    }
}

TEST(AsyncCopy, RefusesUnknownForms) {
    for (const char* text : {"cp.async.cg.shared.global [%r0], [%rd0], 8;",
                             "cp.async.ca.shared.global [%r0], [%rd0], 32;",
                             "cp.async.ca.shared.global.evict [%r0], [%rd0], 16;",
                             "cp.async.ca.global.shared [%rd0], [%r0], 16;",
                             "cp.async.wait_group %r0;", "cp.async.commit_group.sync;"})
        expect_refused(kernel(80, 0, kStage, text), 80);
}

}  // namespace
}  // namespace emulator
