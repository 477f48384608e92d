// wgmma.mma_async: every type, shape and layout of shared memory against a plain triple loop, fragments by
// the formulas of the PTX ISA; fences, groups and descriptors that are wrong.
#include "tests/emulator/tests/wgmma_program.hpp"

namespace emulator {
namespace {

std::vector<Form> forms() {
    std::vector<Form> list;
    const char* const swizzles[4] = {"none", "128", "64", "32"};
    const struct {
        const char *d, *a, *b;
    } types[] = {{"f32", "f16", "f16"},   {"f16", "f16", "f16"},   {"f32", "bf16", "bf16"},
                 {"f32", "tf32", "tf32"}, {"f32", "e4m3", "e4m3"}, {"f32", "e5m2", "e4m3"},
                 {"f16", "e4m3", "e5m2"}, {"s32", "s8", "s8"},     {"s32", "u8", "s8"}};
    for (const auto& type : types) {
        const std::string types_name = std::string(type.d) + "_" + type.a + "_" + type.b;
        for (const Swizzle s : {kNone, k128, k64, k32})
            list.push_back({types_name + "_ss_" + swizzles[s], type.d, type.a, type.b, 32, s, s});
        list.push_back(
            {types_name + "_rs", type.d, type.a, type.b, 16, k128, k64, false, false, true});
    }
    for (const char* type : {"f16", "bf16"})
        for (const Swizzle s : {kNone, k128, k64, k32})
            for (int majors = 1; majors < 4; ++majors)
                list.push_back({std::string(type) + (majors & 1 ? "_m" : "_k") +
                                    (majors & 2 ? "n_" : "k_") + swizzles[s],
                                "f32", type, type, 64, s, s, (majors & 1) != 0, (majors & 2) != 0});
    list.push_back({"f16_rs_n_128", "f32", "f16", "f16", 128, k128, k128, false, true, true});
    list.push_back({"mixed_swizzles", "f32", "f16", "f16", 40, k32, k64});
    list.push_back({"narrow_n_by_n", "f32", "f16", "f16", 8, kNone, k128, false, true});
    list.push_back({"negated_a", "f32", "f16", "f16", 24, k128, k128, false, false, false, true});
    list.push_back(
        {"negated_b", "f16", "f16", "f16", 24, k128, k128, false, false, true, false, true});
    list.push_back(
        {"negated_both", "f32", "tf32", "tf32", 24, k128, k128, false, false, false, true, true});
    for (const int n : {8, 72, 120, 128, 200, 256})
        list.push_back({"f16_n" + std::to_string(n), "f32", "f16", "f16", n});
    list.push_back({"s8_n256", "s32", "s8", "u8", 256});
    list.push_back({"f16_to_f16_n256", "f16", "f16", "f16", 256});
    return list;
}

class Wgmma : public testing::TestWithParam<Form> {};

TEST_P(Wgmma, MultipliesEveryForm) {
    const Program p(GetParam());
    const Matrices m = make(p, 1);
    for (uint64_t seed = 1; seed <= 2; ++seed) {
        std::vector<uint32_t> words;
        const LaunchReport report = run(p, m, p.good(), seed, &words);
        expect_clean(report);
        expect_result(p, m, words);
        EXPECT_EQ(report.counters.wgmma_operations, 4u);
        EXPECT_EQ(report.counters.multiply_adds,
                  static_cast<uint64_t>(64 * p.form.n) * static_cast<uint64_t>(p.a.k_count()));
    }
}

INSTANTIATE_TEST_SUITE_P(Forms, Wgmma, testing::ValuesIn(forms()),
                         [](const auto& form) { return form.param.name; });

const Form kPlain{"plain", "f32", "f16", "f16", 32};
const Form kRegisters{"registers", "f32", "f16", "f16", 32, k128, k128, false, false, true};

TEST(WgmmaGroups, AddToWhatIsThere) {
    // Accumulators start at 0.5, scale-d is a constant; one group per instruction, waits in steps.
    const Program p(kPlain);
    const Matrices m = make(p, 2);
    std::string body = p.load() + p.preset("0f3F000000") + "wgmma.fence.sync.aligned;\n";
    for (int step = 0; step < 4; ++step)
        body += p.wgmma(step, "1") +
                "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 1;\n";
    body += "wgmma.wait_group.sync.aligned 0;\n" + p.store();
    std::vector<uint32_t> words, plain;
    expect_clean(run(p, m, body, 1, &words));
    expect_clean(run(p, m, p.good(), 1, &plain));
    for (size_t i = 0; i < words.size(); ++i) {
        float with, without;
        std::memcpy(&with, &words[i], 4);
        std::memcpy(&without, &plain[i], 4);
        ASSERT_EQ(with, without + 0.5f);
    }
}

TEST(WgmmaGroups, SaturateIntegers) {
    Form form{"saturate", "s32", "s8", "s8", 16};
    const Program p(form);
    Matrices m = make(p, 3);
    std::fill(m.a_image.begin(), m.a_image.end(), uint8_t{127});
    std::fill(m.b_image.begin(), m.b_image.end(), uint8_t{127});
    std::string body = p.load() + p.preset("0x7FFFFF00") + "wgmma.fence.sync.aligned;\n" +
                       replaced(p.wgmma(0, "1"), ".s32.s8", ".satfinite.s32.s8") +
                       "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n" +
                       p.store();
    std::vector<uint32_t> words;
    expect_clean(run(p, m, body, 1, &words));
    EXPECT_EQ(words, std::vector<uint32_t>(words.size(), 0x7FFFFFFFu));
    expect_clean(run(p, m, replaced(body, ".satfinite", ""), 1, &words));
    EXPECT_EQ(words, std::vector<uint32_t>(words.size(), 0x7FFFFF00u + 32 * 127 * 127));
}

TEST(WgmmaGroups, TwoWarpgroupsWorkApart) {
    // Both compute the same; the second stores over the first's results with the same values.
    const Program p(kPlain);
    const Matrices m = make(p, 4);
    const std::string body = replaced(
        replaced(p.good(), "add.u32 %r1, %r1, 128", "add.u32 %r1, %r1, 256"),
        "mul.wide.u32 %rd5, tx,", "setp.ge.u32 %p9, tx, 128;\n@%p9 exit;\nmul.wide.u32 %rd5, tx,");
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        std::vector<uint32_t> words;
        const LaunchReport report = run(p, m, body, seed, &words, 256);
        expect_clean(report);
        expect_result(p, m, words);
        EXPECT_EQ(report.counters.wgmma_operations, 8u);
    }
}

struct Misuse {
    const char* name;
    const Form* form;
    const char *from, *to;
    FindingKind kind;
    uint32_t threads = 128;
};
class WgmmaMisuse : public testing::TestWithParam<Misuse> {};
TEST_P(WgmmaMisuse, IsFound) {
    const Program p(*GetParam().form);
    const Matrices m = make(p, 5);
    const std::string body = replaced(p.good(), GetParam().from, GetParam().to);
    ASSERT_NE(body, p.good());
    const LaunchReport report = run(p, m, body, 1, nullptr, GetParam().threads);
    EXPECT_TRUE(has_finding(report, GetParam().kind)) << describe(report);
}
INSTANTIATE_TEST_SUITE_P(
    Kinds, WgmmaMisuse,
    testing::Values(Misuse{"stray_bits", &kPlain, "add.u64 %rd12, %rd10,",
                           "or.b64 %rd10, %rd10, 0x4000;\nadd.u64 %rd12, %rd10,",
                           FindingKind::kBadDescriptor},
                    Misuse{"pattern_start", &kPlain, "add.u64 %rd13, %rd11, 0;",
                           "or.b64 %rd13, %rd11, 0x2000000000000;", FindingKind::kBadDescriptor},
                    Misuse{"outside", &kPlain, "add.u64 %rd13, %rd11, 0;",
                           "or.b64 %rd13, %rd11, 0x3FC0;", FindingKind::kOutOfBounds},
                    Misuse{"lanes_differ", &kPlain, "add.u64 %rd13, %rd11, 0;",
                           "setp.eq.u32 %p7, lane, 5;\nmov.b64 %rd13, %rd11;\n@%p7 add.u64 %rd13, "
                           "%rd13, 2;\n",
                           FindingKind::kBadDescriptor},
                    Misuse{"warps_differ", &kPlain, "setp.ne.u32 %p5, tx, tx;",
                           "setp.lt.u32 %p5, tx, 64;", FindingKind::kDivergentBarrier},
                    Misuse{"half_a_warpgroup", &kPlain, "bar.sync 0;\n", "bar.sync 0;\n \n",
                           FindingKind::kDivergentBarrier, 64},
                    Misuse{"one_warp_leaves", &kPlain, "wgmma.fence.sync.aligned;\n",
                           "setp.ge.u32 %p9, tx, 96;\n@%p9 exit;\nwgmma.fence.sync.aligned;\n",
                           FindingKind::kDivergentBarrier}),
    [](const auto& misuse) { return std::string(misuse.param.name); });

TEST(WgmmaDescriptor, MayStartInsideThePattern) {
    // Without a base offset the pattern is tied to the address: a tile of B that starts a row of 128
    // bytes later is B from its second row on.
    const Program p(kPlain);
    const Matrices m = make(p, 7);
    const std::string body =
        replaced(p.good(), "wgmma.fence", "add.u64 %rd11, %rd11, 8;\nwgmma.fence");
    std::vector<uint32_t> words, moved;
    expect_clean(run(p, m, p.good(), 1, &words));
    const LaunchReport report = run(p, m, body, 1, &moved);
    EXPECT_FALSE(has_finding(report, FindingKind::kBadDescriptor)) << describe(report);
    const auto element = [](const std::vector<uint32_t>& all, size_t row, size_t column) {
        const size_t lane = row % 8 * 4 + column % 8 / 2;
        const size_t place = column / 8 * 4 + row / 8 % 2 * 2 + column % 2;
        return all.at((row / 16 * 32 + lane) * 16 + place);
    };
    for (size_t row = 0; row < 64; ++row)
        for (size_t column = 0; column + 1 < 32; ++column)
            ASSERT_EQ(element(moved, row, column), element(words, row, column + 1));
}

TEST(WgmmaMisuse, OfUnwrittenOperandsIsFound) {
    // Column 3 of B was never written: it spoils column 3 of D, and no other.
    const Program p(kPlain);
    const Matrices m = make(p, 6);
    // Rows of 128 bytes: skip words 96 to 127 of the copy.
    const std::string body =
        replaced(p.good(), "st.shared.b32 [%r4], %r3;\nadd.u32 %r1, %r1, 128;\nbra COPY_B;",
                 "shr.u32 %r5, %r1, 5;\nsetp.ne.u32 %p2, %r5, 3;\n"
                 "@%p2 st.shared.b32 [%r4], %r3;\nadd.u32 %r1, %r1, 128;\nbra COPY_B;");
    ASSERT_NE(body, p.good());
    const LaunchReport report = run(p, m, body, 1);
    EXPECT_TRUE(has_finding(report, FindingKind::kUninitialized)) << describe(report);
    // Storing all but column 3 (element 1 of lanes with lane % 4 = 1, both rows): clean.
    std::string careful = body;
    for (const int i : {1, 3})
        careful =
            replaced(careful, "st.global.b32 [%rd5+" + std::to_string(4 * i) + "]",
                     "and.b32 %r6, lane, 3;\nsetp.ne.u32 %p3, %r6, 1;\n@%p3 st.global.b32 [%rd5+" +
                         std::to_string(4 * i) + "]");
    expect_clean(run(p, m, careful, 1));
}

TEST(WgmmaMisuse, UnknownFormsAreRefused) {
    const Program p(kPlain);
    const std::string good = p.wgmma(0, "%p1");
    for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
             {"m64n32k16", "m64n36k16"},
             {"m64n32k16", "m64n32k32"},
             {"m64n32k16", "m32n32k16"},
             {".f32.f16.f16", ".f32.f16.bf16"},
             {".f32.f16.f16", ".f32.b1.b1"},
             {", 1, 1, 0, 0", ", 1, 2, 0, 0"},
             {", 1, 1, 0, 0", ", 1, 1, 0"},
             {"mma_async.sync", "mma_async.sp.sync"}}) {
        const std::string bad = replaced(good, from, to);
        ASSERT_NE(bad, good);
        expect_refused(kernel(90, 0, "", bad));
    }
    expect_refused(kernel(80, 0, "", "wgmma.fence.sync.aligned;"), 80);
}

}  // namespace
}  // namespace emulator
