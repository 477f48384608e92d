// Operations between lanes, against the PTX ISA's definitions computed for a whole warp; waiting
// for members, and the findings of members that are missing.
#include "tests/emulator/tests/one_op.hpp"

namespace emulator {
namespace {

/// Runs with blocks of one warp: case i is lane i % 32, and `expectation` sees all of its warp.
using WarpExpectation =
    std::function<void(const std::vector<Case>& warp, size_t lane, uint64_t* out)>;
void expect_warp(const std::string& text, const Types& outputs, const Types& inputs,
                 const Cases& cases, const WarpExpectation& expectation) {
    SCOPED_TRACE(text);
    ASSERT_EQ(cases.size() % 32, 0u);
    OneOpRun run;
    try {
        run = run_op(text, outputs, inputs, cases, 90, 32);
    } catch (const std::exception& error) {
        FAIL() << error.what();
    }
    EXPECT_FALSE(run.faulted) << run.fault;
    for (const Finding& finding : run.findings)
        ADD_FAILURE() << finding_name(finding.kind) << ": " << finding.message;
    for (size_t first = 0; first < cases.size(); first += 32) {
        const std::vector<Case> warp(cases.begin() + std::ptrdiff_t(first),
                                     cases.begin() + std::ptrdiff_t(first + 32));
        for (size_t lane = 0; lane < 32; ++lane) {
            Case expected(outputs.size(), 0);
            expectation(warp, lane, expected.data());
            ASSERT_EQ(run.results[first + lane], expected)
                << "lane " << lane << " of" << in_hex(warp[lane]) << ": got"
                << in_hex(run.results[first + lane]) << ", expected" << in_hex(expected);
        }
    }
}

Cases random_warps(size_t warps, size_t values, uint64_t range) {
    std::mt19937_64 random(31);
    Cases cases;
    for (size_t i = 0; i < 32 * warps; ++i) {
        Case one;
        for (size_t j = 0; j < values; ++j)
            one.push_back(random() % range);
        cases.push_back(one);
    }
    return cases;
}

TEST(Shuffle, EveryModeDistanceAndSegment) {
    const Cases cases = random_warps(1, 1, uint64_t{1} << 32);
    for (const std::string mode : {"up", "down", "bfly", "idx"})
        for (int distance : {0, 1, 2, 5, 16, 31})
            for (int width : {1, 2, 8, 16, 32})
                for (int clamp : {mode == "up" ? 0 : 31, mode == "up" ? 2 : 5}) {
                    const int control = (32 - width) << 8 | clamp;
                    expect_warp(
                        "shfl.sync." + mode + ".b32 %d0|%d1, %a0, " + std::to_string(distance) +
                            ", " + std::to_string(control) + ", -1;",
                        {"b32", "pred"}, {"b32"}, cases,
                        [&](const std::vector<Case>& warp, size_t lane_number, uint64_t* d) {
                            const int lane = int(lane_number), segment = 32 - width;
                            const int lowest = lane & segment;
                            const int bound = lowest | (clamp & ~segment & 31);
                            int from = lane;
                            bool inside;
                            if (mode == "up") {
                                from = lane - distance;
                                inside = from >= bound;
                            } else {
                                from = mode == "down"   ? lane + distance
                                       : mode == "bfly" ? lane ^ distance
                                                        : lowest | (distance & ~segment);
                                inside = from <= bound;
                            }
                            d[0] = warp[size_t(inside ? from : lane)][0];
                            d[1] = inside;
                        });
                }
}

TEST(Shuffle, BroadcastOfAnyLane) {
    const Cases cases = random_warps(10, 2, 1000000);
    expect_warp("shfl.sync.idx.b32 %d0, %a0, %a1, 31, 0xFFFFFFFF;", {"b32"}, {"b32", "b32"}, cases,
                [](const std::vector<Case>& warp, size_t lane, uint64_t* d) {
                    d[0] = warp[warp[lane][1] & 31][0];
                });
    expect_refused("shfl.idx.b32 %d0, %a0, 0, 31;", {"b32"}, {"b32"});
    expect_refused("shfl.sync.idx.b64 %d0, %a0, 0, 31, -1;", {"b64"}, {"b64"});
}

TEST(Vote, CountsMembers) {
    for (uint64_t range : {1, 2, 40}) {
        const Cases cases = random_warps(10, 1, range);
        expect_warp(
            ".reg .pred %p;\nsetp.ne.u32 %p, %a0, 0;\n"
            "vote.sync.all.pred %d0, %p, -1;\nvote.sync.any.pred %d1, !%p, -1;\n"
            "vote.sync.uni.pred %d2, %p, -1;\nvote.sync.ballot.b32 %d3, %p, -1;\n"
            "vote.sync.ballot.b32 %d4, !%p, 0xFFFFFFFF;",
            {"pred", "pred", "pred", "b32", "b32"}, {"u32"}, cases,
            [](const std::vector<Case>& warp, size_t, uint64_t* d) {
                uint64_t yes = 0;
                for (size_t i = 0; i < 32; ++i)
                    yes |= uint64_t(warp[i][0] != 0) << i;
                d[0] = yes == 0xFFFFFFFF;
                d[1] = yes != 0xFFFFFFFF;
                d[2] = yes == 0 || yes == 0xFFFFFFFF;
                d[3] = yes;
                d[4] = ~yes & 0xFFFFFFFF;
            });
    }
    expect_refused("vote.ballot.b32 %d0, %a0;", {"b32"}, {"pred"});
}

TEST(Vote, DivergedHalvesVoteApart) {
    expect_warp(
        ".reg .pred %odd, %p;\n.reg .b32 %bit;\nand.b32 %bit, %a0, 1;\nsetp.ne.u32 %odd, %bit, 0;\n"
        "setp.lt.u32 %p, %a0, 50;\n@%odd bra ODD;\n"
        "vote.sync.ballot.b32 %d0, %p, %a1;\nmov.u32 %d1, 0;\nbra BOTH;\n"
        "ODD:\nvote.sync.ballot.b32 %d0, %p, %a1;\nactivemask.b32 %d1;\nBOTH:",
        {"b32", "b32"}, {"u32", "b32"},
        [] {
            Cases cases = random_warps(8, 1, 100);
            for (size_t first = 0; first < cases.size(); first += 32) {
                uint32_t odd = 0;
                for (size_t i = 0; i < 32; ++i)
                    odd |= uint32_t(cases[first + i][0] & 1) << i;
                for (size_t i = 0; i < 32; ++i)
                    cases[first + i].push_back(cases[first + i][0] & 1 ? odd : ~odd & 0xFFFFFFFF);
            }
            return cases;
        }(),
        [](const std::vector<Case>& warp, size_t lane, uint64_t* d) {
            for (size_t i = 0; i < 32; ++i)
                d[0] |= uint64_t(warp[i][0] < 50) << i;
            d[0] &= warp[lane][1];
            if (warp[lane][0] & 1) d[1] = warp[lane][1];
        });
}

TEST(Vote, SubsetsInOneInstruction) {
    // Lanes of a quarter name one another only.
    expect_warp(
        ".reg .pred %p;\n.reg .b32 %m, %s;\nsetp.lt.u32 %p, %a0, 50;\n"
        "mov.u32 %s, %laneid;\nand.b32 %s, %s, 24;\nmov.b32 %m, 255;\nshl.b32 %m, %m, %s;\n"
        "vote.sync.ballot.b32 %d0, %p, %m;\nredux.sync.add.u32 %d1, %a0, %m;",
        {"b32", "u32"}, {"u32"}, random_warps(8, 1, 100),
        [](const std::vector<Case>& warp, size_t lane, uint64_t* d) {
            for (size_t i = lane / 8 * 8; i < lane / 8 * 8 + 8; ++i) {
                d[0] |= uint64_t(warp[i][0] < 50) << i;
                d[1] += warp[i][0];
            }
        });
}

TEST(Match, SameValues) {
    for (uint64_t range : {1, 3, 1000}) {
        expect_warp(
            "match.any.sync.b32 %d0, %a0, -1;\nmatch.all.sync.b32 %d1|%d2, %a0, -1;\n"
            ".reg .b64 %w;\nmov.b64 %w, {0, %a0};\nmatch.any.sync.b64 %d3, %w, -1;\n"
            "match.all.sync.b64 %d4, %w, -1;",
            {"b32", "b32", "pred", "b32", "b32"}, {"b32"}, random_warps(4, 1, range),
            [](const std::vector<Case>& warp, size_t lane, uint64_t* d) {
                for (size_t i = 0; i < 32; ++i)
                    d[0] |= uint64_t(warp[i][0] == warp[lane][0]) << i;
                d[2] = d[0] == 0xFFFFFFFF;
                d[1] = d[4] = d[2] ? d[0] : 0;
                d[3] = d[0];
            });
    }
}

TEST(Redux, EveryOperation) {
    expect_warp(
        "redux.sync.add.s32 %d0, %a0, -1;\nredux.sync.min.s32 %d1, %a0, -1;\n"
        "redux.sync.max.s32 %d2, %a0, -1;\nredux.sync.min.u32 %d3, %a0, -1;\n"
        "redux.sync.max.u32 %d4, %a0, -1;\nredux.sync.and.b32 %d5, %a0, -1;\n"
        "redux.sync.or.b32 %d6, %a0, -1;\nredux.sync.xor.b32 %d7, %a0, -1;",
        Types(8, "b32"), {"b32"}, random_warps(10, 1, uint64_t{1} << 32),
        [](const std::vector<Case>& warp, size_t, uint64_t* d) {
            int64_t low = INT64_MAX, high = INT64_MIN;
            d[3] = d[5] = 0xFFFFFFFF;
            for (const Case& lane : warp) {
                const uint64_t v = lane[0];
                low = std::min<int64_t>(low, int32_t(v));
                high = std::max<int64_t>(high, int32_t(v));
                d[0] = uint32_t(d[0] + v);
                d[3] = std::min(d[3], v);
                d[4] = std::max(d[4], v);
                d[5] &= v;
                d[6] |= v;
                d[7] ^= v;
            }
            d[1] = uint32_t(low);
            d[2] = uint32_t(high);
        });
    expect_refused("redux.sync.min.f32 %d0, %a0, -1;", {"f32"}, {"f32"});
    expect_refused("redux.sync.add.b32 %d0, %a0, -1;", {"b32"}, {"b32"});
}

TEST(Elect, OneLeader) {
    expect_warp("elect.sync %d0|%d1, 0xFFFFFFFF;\nelect.sync _|%d2, -1;\nactivemask.b32 %d3;",
                {"b32", "pred", "pred", "b32"}, {"b32"}, random_warps(2, 1, 5),
                [](const std::vector<Case>&, size_t lane, uint64_t* d) {
                    d[0] = 0;
                    d[1] = d[2] = lane == 0;
                    d[3] = 0xFFFFFFFF;
                });
    expect_refused("elect.sync %d0|%d1, -1;", {"b32", "pred"}, {"b32"}, 80);
}

TEST(Kernel, ScanOfAWarpByShuffles) {
    // The loop that block scans are made of: d0 = sum of the lanes up to this one, then d1 = how
    // many lanes have a sum at most as large, counted with votes in a divergent loop.
    expect_warp(
        ".reg .b32 %step, %other, %left, %bit, %least;\n.reg .pred %in, %more, %mine;\n"
        "mov.u32 %d0, %a0;\nmov.u32 %step, 1;\n"
        "SCAN:\nshfl.sync.up.b32 %other|%in, %d0, %step, 0, -1;\n@%in add.u32 %d0, %d0, %other;\n"
        "shl.b32 %step, %step, 1;\nsetp.lt.u32 %more, %step, 32;\n@%more bra SCAN;\n"
        "mov.u32 %d1, 0;\nmov.b32 %left, -1;\n"
        "COUNT:\nredux.sync.min.u32 %least, %d0, %left;\nsetp.eq.u32 %mine, %d0, %least;\n"
        "vote.sync.ballot.b32 %bit, %mine, %left;\npopc.b32 %other, %bit;\n"
        "add.u32 %d1, %d1, %other;\n@%mine bra DONE;\nnot.b32 %bit, %bit;\n"
        "and.b32 %left, %left, %bit;\nbra COUNT;\nDONE:",
        {"u32", "u32"}, {"u32"}, random_warps(6, 1, 3),
        [](const std::vector<Case>& warp, size_t lane, uint64_t* d) {
            std::vector<uint64_t> sums(32);
            for (size_t i = 0; i < 32; ++i)
                sums[i] = warp[i][0] + (i == 0 ? 0 : sums[i - 1]);
            d[0] = sums[lane];
            for (uint64_t sum : sums)
                d[1] += sum <= sums[lane];
        });
}

Cases numbers(size_t count) {
    Cases cases;
    for (uint64_t i = 0; i < count; ++i)
        cases.push_back({i});
    return cases;
}

bool found(const OneOpRun& run, FindingKind kind) {
    for (const Finding& finding : run.findings)
        if (finding.kind == kind) return true;
    return false;
}

TEST(Members, ExitedLanesAreNotWaitedFor) {
    // 20 cases: the other lanes of the warp leave at once.
    expect_op("vote.sync.ballot.b32 %d0, 1, -1;", {"b32"}, {"u32"}, numbers(20),
              [](const uint64_t*, uint64_t* d) { d[0] = 0xFFFFF; });
}

TEST(Members, MaskWithoutTheCaller) {
    const OneOpRun run = run_op("shfl.sync.idx.b32 %d0, %a0, 0, 31, 0x7FFFFFFF;", {"b32"}, {"b32"},
                                numbers(32), 90, 32);
    EXPECT_TRUE(found(run, FindingKind::kDivergentBarrier));
}

TEST(Members, ReadingFromALaneThatDoesNotTakePart) {
    const OneOpRun run =
        run_op("shfl.sync.down.b32 %d0, %a0, 16, 31, -1;", {"b32"}, {"b32"}, numbers(20));
    EXPECT_TRUE(found(run, FindingKind::kDivergentBarrier));
}

TEST(Members, LanesThatNeverCome) {
    const OneOpRun run = run_op(
        ".reg .pred %p;\nmov.u32 %d0, 0;\nsetp.lt.u32 %p, %a0, 16;\n"
        "@%p bra FIRST;\nshfl.sync.idx.b32 %d0, %a0, 20, 31, -1;\nbra DONE;\n"
        "FIRST:\nshfl.sync.idx.b32 %d0, %a0, 1, 31, -1;\nDONE:",
        {"b32"}, {"b32"}, numbers(32), 90, 32);
    EXPECT_TRUE(run.faulted || found(run, FindingKind::kDeadlock) ||
                found(run, FindingKind::kDivergentBarrier));
}

TEST(Taint, GoesWithTheValueThroughLanes) {
    // Lane 3 holds a register that nobody wrote. Only what is read from lane 3 is suspicious.
    const std::string prologue =
        ".reg .b32 %u;\n.reg .pred %p;\nsetp.eq.u32 %p, %a0, 3;\n"
        "@!%p mov.u32 %u, %a0;\n";
    const OneOpRun clean = run_op(prologue + "shfl.sync.idx.b32 %d0, %u, 4, 31, -1;", {"b32"},
                                  {"b32"}, numbers(32), 90, 32);
    EXPECT_FALSE(found(clean, FindingKind::kUninitialized));
    const OneOpRun one = run_op(prologue + "shfl.sync.bfly.b32 %d0, %u, 1, 31, -1;", {"b32"},
                                {"b32"}, numbers(32), 90, 32);
    ASSERT_TRUE(found(one, FindingKind::kUninitialized));
    for (const Finding& finding : one.findings)
        if (finding.kind == FindingKind::kUninitialized) {
            EXPECT_EQ(finding.lanes, 1u << 2);
        }
    const OneOpRun all =
        run_op(prologue + "redux.sync.add.u32 %d0, %u, -1;", {"b32"}, {"b32"}, numbers(32), 90, 32);
    EXPECT_TRUE(found(all, FindingKind::kUninitialized));
    // A value that is not chosen does not count.
    const OneOpRun chosen =
        run_op(prologue + "selp.b32 %d0, 7, %u, %p;", {"b32"}, {"b32"}, numbers(32), 90, 32);
    EXPECT_FALSE(found(chosen, FindingKind::kUninitialized));
    const OneOpRun pieces =
        run_op(prologue + ".reg .b16 %h<2>;\nmov.b32 {%h0, %h1}, %u;\nmov.b32 %d0, {%h1, %h0};",
               {"b32"}, {"b32"}, numbers(32), 90, 32);
    EXPECT_TRUE(found(pieces, FindingKind::kUninitialized));
    const OneOpRun compared = run_op(prologue +
                                         ".reg .pred %q<2>;\nsetp.lt.u32 %q0|%q1, %u, 5;\n"
                                         "selp.b32 %d0, 1, 2, %q1;",
                                     {"b32"}, {"b32"}, numbers(32), 90, 32);
    EXPECT_TRUE(found(compared, FindingKind::kUninitialized));
    const OneOpRun carried = run_op(prologue + "add.cc.u32 %d1, %u, 1;\naddc.u32 %d0, 0, 0;",
                                    {"b32", "b32"}, {"b32"}, numbers(32), 90, 32);
    EXPECT_TRUE(found(carried, FindingKind::kUninitialized));
}

}  // namespace
}  // namespace emulator
