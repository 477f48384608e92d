// wgmma.mma_async: every type, shape and layout of shared memory against a plain triple loop, fragments by
// the formulas of the PTX ISA; fences, groups and descriptors that are wrong.
#include <random>

#include "tests/emulator/tests/kernel_run.hpp"

namespace emulator {
namespace {

enum Swizzle { kNone, k128, k64, k32 };  // as descriptors name them
constexpr int kWidths[4] = {16, 128, 64, 32};

/// A tile in shared memory as a descriptor sees it: `rows` of M or N, 128 bytes of K, i. e. four
/// instructions.
struct Layout {
    int rows, bytes;  ///< bytes of an element
    Swizzle swizzle;
    bool by_mn;

    int width() const { return kWidths[swizzle]; }
    int k_count() const { return 128 / bytes; }
    // Core matrices follow one another along M or N first where K is contiguous, else along K.
    int stride() const {
        if (!by_mn) return 8 * width();
        return swizzle == kNone ? 128 * k_count() / 8 : 8 * width();
    }
    int leading() const {
        if (!by_mn) return swizzle == kNone ? rows / 8 * 128 : 0;
        return swizzle == kNone ? 128 : width() * k_count();
    }
    /// Byte offset of an element from the tile's start, 1024-byte aligned.
    int offset(int mn, int k) const {
        int at;
        if (!by_mn) {
            const int byte = k * bytes;
            if (swizzle == kNone)
                at = mn % 8 * 16 + mn / 8 * stride() + byte / 16 * leading() + byte % 16;
            else
                at = mn % 8 * width() + mn / 8 * stride() + byte / width() * rows * width() +
                     byte % width();
        } else if (swizzle == kNone) {
            at = mn % 8 * 2 + mn / 8 * stride() + k % 8 * 16 + k / 8 * leading();
        } else {
            at = 2 * mn % width() + 2 * mn / width() * leading() + k % 8 * width() +
                 k / 8 * stride();
        }
        // 16-byte pieces of a line of 128 bytes are exchanged by the number of the line.
        const int line = at / 128, piece = at / 16 % 8, lines = width() / 16;
        return line * 128 + ((piece ^ (line % lines)) * 16) + at % 16;
    }
    /// Start of instruction `step` of four: 32 bytes of K each.
    int start(int step) const {
        if (by_mn) return step * 2 * (swizzle == kNone ? leading() : stride());
        if (swizzle == kNone) return step * 2 * leading();
        return 32 * step / width() * rows * width() + 32 * step % width();
    }
    int size() const {
        const int units = by_mn && swizzle != kNone
                              ? (2 * rows + width() - 1) / width() * width() * k_count()
                              : rows * 128;
        return (units + 1023) / 1024 * 1024;
    }
    uint64_t descriptor() const {
        return static_cast<uint64_t>(leading() / 16) << 16 |
               static_cast<uint64_t>(stride() / 16) << 32 | static_cast<uint64_t>(swizzle) << 62;
    }
};

struct Form {
    std::string name, d, a, b;
    int n;
    Swizzle swizzle_a = k128, swizzle_b = k128;
    bool a_by_m = false, b_by_n = false;
    bool a_in_registers = false;
    bool negate_a = false, negate_b = false;
};

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

/// PTX of four wgmma over a K of 128 bytes; a0 = image of A (or its fragments), a1 = image of B,
/// a2 = results. `before`, `between`, `after` go around them.
struct Program {
    Form form;
    Layout a, b;
    int registers;  ///< of D
    std::string d_prefix;

    explicit Program(const Form& f)
        : form(f),
          a{64, Number::of(f.a).bits / 8, f.swizzle_a, f.a_by_m},
          b{f.n, Number::of(f.b).bits / 8, f.swizzle_b, f.b_by_n},
          registers(f.d == "f16" ? f.n / 4 : f.n / 2),
          d_prefix(f.d == "f32" ? "%f" : "%r") {}

    int d_first() const { return 200; }
    std::string shared() const {
        return ".shared .align 1024 .b8 tile_a[" + std::to_string(a.size()) +
               "];\n.shared .align 1024 .b8 tile_b[" + std::to_string(b.size()) + "];\n";
    }
    static std::string copy_in(const std::string& from, const std::string& tile, int bytes,
                               const std::string& label) {
        return "mov.u32 %r1, tx;\n" + label + ":\nsetp.ge.u32 %p1, %r1, " +
               std::to_string(bytes / 4) + ";\n@%p1 bra " + label +
               "_END;\nshl.b32 %r2, %r1, 2;\ncvt.u64.u32 %rd1, %r2;\n"
               "add.u64 %rd1, %rd1, " +
               from + ";\nld.global.b32 %r3, [%rd1];\nmov.u32 %r4, " + tile +
               ";\nadd.u32 %r4, %r4, %r2;\nst.shared.b32 [%r4], %r3;\nadd.u32 %r1, %r1, "
               "128;\nbra " +
               label + ";\n" + label + "_END:\n";
    }
    static std::string descriptor(const std::string& reg, const std::string& tile,
                                  const Layout& layout) {
        return "mov.u32 %r1, " + tile +
               ";\nand.b32 %r1, %r1, 0x3FFFF;\nshr.u32 %r1, %r1, 4;\n"
               "cvt.u64.u32 " +
               reg + ", %r1;\nor.b64 " + reg + ", " + reg + ", " +
               std::to_string(layout.descriptor()) + ";\n";
    }
    std::string load() const {
        std::string text = copy_in("a1", "tile_b", b.size(), "COPY_B");
        if (form.a_in_registers) {
            text += "mul.wide.u32 %rd2, tx, 64;\nadd.u64 %rd2, %rd2, a0;\n";
            for (int i = 0; i < 16; ++i)
                text += "ld.global.b32 %r" + std::to_string(20 + i) + ", [%rd2+" +
                        std::to_string(4 * i) + "];\n";
        } else {
            text += copy_in("a0", "tile_a", a.size(), "COPY_A");
        }
        return text + "fence.proxy.async.shared::cta;\nbar.sync 0;\n" +
               descriptor("%rd10", "tile_a", a) + descriptor("%rd11", "tile_b", b);
    }
    std::string preset(const std::string& value) const {
        std::string text;
        for (int i = 0; i < registers; ++i)
            text += "mov.b32 " + d_prefix + std::to_string(d_first() + i) + ", " + value + ";\n";
        return text;
    }
    std::string wgmma(int step, const std::string& scale_d) const {
        std::string text;
        text += "add.u64 %rd12, %rd10, " + std::to_string(a.start(step) / 16) +
                ";\nadd.u64 %rd13, %rd11, " + std::to_string(b.start(step) / 16) + ";\n";
        text += "wgmma.mma_async.sync.aligned.m64n" + std::to_string(form.n) + "k" +
                std::to_string(32 / a.bytes) + "." + form.d + "." + form.a + "." + form.b + " " +
                vector_of(d_prefix, d_first(), registers) + ", " +
                (form.a_in_registers ? vector_of("%r", 20 + 4 * step, 4) : std::string("%rd12")) +
                ", %rd13, " + scale_d;
        if (form.d != "s32") {
            text += std::string(", ") + (form.negate_a ? "-1" : "1") + ", " +
                    (form.negate_b ? "-1" : "1");
            if (a.bytes == 2) {
                if (!form.a_in_registers) text += form.a_by_m ? ", 1" : ", 0";
                text += form.b_by_n ? ", 1" : ", 0";
            }
        }
        return text + ";\n";
    }
    std::string store() const {
        std::string text = "mul.wide.u32 %rd5, tx, " + std::to_string(4 * registers) +
                           ";\nadd.u64 %rd5, %rd5, a2;\n";
        for (int i = 0; i < registers; ++i)
            text += "st.global.b32 [%rd5+" + std::to_string(4 * i) + "], " + d_prefix +
                    std::to_string(d_first() + i) + ";\n";
        return text;
    }
    std::string good() const {
        std::string text = load() + preset("0") +
                           "setp.ne.u32 %p5, tx, tx;\nsetp.eq.u32 %p6, tx, tx;\n"
                           "wgmma.fence.sync.aligned;\n";
        for (int step = 0; step < 4; ++step)
            text += wgmma(step, step == 0 ? "%p5" : "%p6");
        return text + "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n" +
               store();
    }
};

struct Matrices {
    std::vector<uint32_t> a, b;  ///< codes, [64][k], [n][k]
    std::vector<uint8_t> a_image, b_image;
};

Matrices make(const Program& p, unsigned seed) {
    std::mt19937 random(seed);
    const Number &a = Number::of(p.form.a), &b = Number::of(p.form.b);
    const int k_count = p.a.k_count();
    Matrices m;
    m.a.resize(static_cast<size_t>(64 * k_count));
    m.b.resize(static_cast<size_t>(p.form.n * k_count));
    for (uint32_t& code : m.a)
        code = a.encode(static_cast<int>(random() % 9) - 4);
    for (uint32_t& code : m.b)
        code = b.encode(static_cast<int>(random() % 9) - 4);
    const auto put = [](std::vector<uint8_t>& image, int at, uint32_t code, int bytes) {
        std::memcpy(&image.at(static_cast<size_t>(at)), &code, static_cast<size_t>(bytes));
    };
    m.b_image.resize(static_cast<size_t>(p.b.size()));
    for (int n = 0; n < p.form.n; ++n)
        for (int k = 0; k < k_count; ++k)
            put(m.b_image, p.b.offset(n, k), m.b[static_cast<size_t>(n * k_count + k)], p.b.bytes);
    if (!p.form.a_in_registers) {
        m.a_image.resize(static_cast<size_t>(p.a.size()));
        for (int row = 0; row < 64; ++row)
            for (int k = 0; k < k_count; ++k)
                put(m.a_image, p.a.offset(row, k), m.a[static_cast<size_t>(row * k_count + k)],
                    p.a.bytes);
        return m;
    }
    // Thread t: 4 registers for each of 4 instructions; register r holds row lane / 4 (+ 8 for odd r)
    // of the warp's 16, bytes 4 (lane % 4) .. + 3 (+ 16 for r >= 2) of the instruction's 32.
    m.a_image.resize(128 * 64);
    for (int t = 0; t < 128; ++t)
        for (int step = 0; step < 4; ++step)
            for (int r = 0; r < 4; ++r)
                for (int i = 0; i < 4 / p.a.bytes; ++i) {
                    const int row = t / 32 * 16 + t % 32 / 4 + (r % 2) * 8;
                    const int byte = 32 * step + 4 * (t % 4) + (r / 2) * 16;
                    const int k = byte / p.a.bytes + i;
                    put(m.a_image, 64 * t + 16 * step + 4 * r + i * p.a.bytes,
                        m.a[static_cast<size_t>(row * k_count + k)], p.a.bytes);
                }
    return m;
}

void expect_result(const Program& p, const Matrices& m, const std::vector<uint32_t>& words) {
    const Number &a = Number::of(p.form.a), &b = Number::of(p.form.b);
    const int k_count = p.a.k_count();
    int shown = 0;
    for (int t = 0; t < 128; ++t)
        for (int e = 0; e < p.form.n / 2; ++e) {
            const int row = t / 32 * 16 + t % 32 / 4 + 8 * (e / 2 % 2);
            const int column = 8 * (e / 4) + 2 * (t % 4) + e % 2;
            double sum = 0;
            for (int k = 0; k < k_count; ++k)
                sum += a.decode(m.a[static_cast<size_t>(row * k_count + k)]) *
                       b.decode(m.b[static_cast<size_t>(column * k_count + k)]);
            if (p.form.negate_a != p.form.negate_b) sum = -sum;
            double got;
            if (p.form.d == "f16") {
                const uint32_t word = words[static_cast<size_t>(t * p.registers + e / 2)];
                got = decode_float(word >> (16 * (e % 2)) & 0xFFFFu, 5, 10);
            } else {
                const uint32_t word = words[static_cast<size_t>(t * p.registers + e)];
                float real;
                std::memcpy(&real, &word, 4);
                got = p.form.d == "s32" ? static_cast<double>(static_cast<int32_t>(word)) : real;
            }
            if (got != sum && shown++ < 3)
                ADD_FAILURE() << "row " << row << " column " << column << ": " << got
                              << ", expected " << sum;
        }
    EXPECT_EQ(shown, 0);
}

LaunchReport run(const Program& p, const Matrices& m, const std::string& body, uint64_t seed,
                 std::vector<uint32_t>* words = nullptr, uint32_t threads = 128) {
    Gpu gpu(90, seed);
    gpu.load(kernel(90, 3, p.shared(), body));
    const size_t count = static_cast<size_t>(128 * p.registers);
    const uint64_t out = gpu.upload(std::vector<uint32_t>(count, 0xEEEEEEEE));
    const LaunchReport report =
        gpu.launch({gpu.upload(m.a_image), gpu.upload(m.b_image), out}, threads);
    if (words != nullptr) *words = gpu.download<uint32_t>(out, count);
    return report;
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
                           "add.u64 %rd13, %rd11, 8;", FindingKind::kBadDescriptor},
                    Misuse{"outside", &kPlain, "add.u64 %rd13, %rd11, 0;",
                           "or.b64 %rd13, %rd11, 0x3FC0;", FindingKind::kOutOfBounds},
                    Misuse{"lanes_differ", &kPlain, "add.u64 %rd13, %rd11, 0;",
                           "shr.u64 %rd13, %rd11, 0;\n@%p7 add.u64 %rd13, %rd13, 2;\n",
                           FindingKind::kUninitialized},
                    Misuse{"warps_differ", &kPlain, "setp.ne.u32 %p5, tx, tx;",
                           "setp.lt.u32 %p5, tx, 64;", FindingKind::kDivergentBarrier},
                    Misuse{"half_a_warpgroup", &kPlain, "bar.sync 0;\n", "bar.sync 0;\n \n",
                           FindingKind::kDivergentBarrier, 64},
                    Misuse{"one_warp_leaves", &kPlain, "wgmma.fence.sync.aligned;\n",
                           "setp.ge.u32 %p9, tx, 96;\n@%p9 exit;\nwgmma.fence.sync.aligned;\n",
                           FindingKind::kDivergentBarrier}),
    [](const auto& misuse) { return std::string(misuse.param.name); });

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
