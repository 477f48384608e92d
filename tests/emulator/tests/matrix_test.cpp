// ldmatrix, stmatrix, movmatrix and mma.sync against the fragment formulas of the PTX ISA, with one-hot
// matrices, integers (exact in every format) and random numbers.
#include <cmath>
#include <functional>
#include <random>

#include "tests/emulator/tests/kernel_run.hpp"

namespace emulator {
namespace {

// ---- Moving tiles --------------------------------------------------------------------------------

/// Each lane gives the address of a row, rows 32 bytes apart in a shuffled order, so that no two
/// mistakes cancel.
constexpr int kPitch = 32;

std::string stage_rows() {
    // a0: 32 rows of 16 bytes -> shared, row i at kPitch * i.
    return "mul.lo.u32 %r0, tx, 16;\ncvt.u64.u32 %rd0, %r0;\nadd.u64 %rd0, a0, %rd0;\n"
           "ld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%rd0];\n"
           "mul.lo.u32 %r5, tx, 32;\nmov.u32 %r6, tile;\nadd.u32 %r7, %r5, %r6;\n"
           "st.shared.v4.b32 [%r7], {%r1, %r2, %r3, %r4};\nbar.sync 0;\n";
}

/// Row that lane l names: 5 l + 3 mod 32.
std::string row_address() {
    return "mad.lo.u32 %r8, lane, 5, 3;\nand.b32 %r8, %r8, 31;\nmul.lo.u32 %r8, %r8, 32;\n"
           "add.u32 %r8, %r8, %r6;\n";
}
int row_of(int lane) {
    return (5 * lane + 3) % 32;
}

const char* const kTile = ".shared .align 16 .b8 tile[1024];\n";

class MatrixLoad : public testing::TestWithParam<std::tuple<int, bool, bool>> {};

TEST_P(MatrixLoad, FollowsTheFragmentFormula) {
    const auto [count, transposed, old_spelling] = GetParam();
    const std::string x = ".x" + std::to_string(count);
    std::string body = stage_rows() + row_address() + "ldmatrix.sync.aligned" +
                       (old_spelling ? x + (transposed ? ".trans" : "") + ".m8n8"
                                     : ".m8n8" + x + (transposed ? ".trans" : "")) +
                       ".shared.b16 " + vector_of("%r", 20, count) +
                       ", [%r8];\nmul.lo.u32 %r9, lane, " + std::to_string(4 * count) +
                       ";\ncvt.u64.u32 %rd1, %r9;\nadd.u64 %rd1, a1, %rd1;\n";
    for (int i = 0; i < count; ++i)
        body += "st.global.b32 [%rd1+" + std::to_string(4 * i) + "], %r" + std::to_string(20 + i) +
                ";\n";
    Gpu gpu(80);
    gpu.load(kernel(80, 2, kTile, body));
    std::vector<uint16_t> rows(32 * 8);
    for (size_t i = 0; i < rows.size(); ++i)
        rows[i] = static_cast<uint16_t>(0x1000 + i);
    const uint64_t out = gpu.upload(std::vector<uint32_t>(32 * 4, 0));
    const LaunchReport report = gpu.launch({gpu.upload(rows), out}, 32);
    expect_clean(report);
    const auto got = gpu.download<uint16_t>(out, static_cast<size_t>(64 * count));
    for (int lane = 0; lane < 32; ++lane)
        for (int i = 0; i < count; ++i)
            for (int half = 0; half < 2; ++half) {
                // "each thread receives elements 2 (lane % 4), + 1 of row lane / 4"
                int row = lane / 4, column = 2 * (lane % 4) + half;
                if (transposed) std::swap(row, column);
                EXPECT_EQ(got[static_cast<size_t>((lane * count + i) * 2 + half)],
                          rows[static_cast<size_t>(row_of(8 * i + row) * 8 + column)])
                    << "lane " << lane << " tile " << i;
            }
    EXPECT_EQ(report.counters.warp_instructions[static_cast<size_t>(OpKind::kMatrixLoad)], 1u);
}

INSTANTIATE_TEST_SUITE_P(Forms, MatrixLoad,
                         testing::Combine(testing::Values(1, 2, 4), testing::Bool(),
                                          testing::Bool()));

/// Bank conflicts of ldmatrix: rows at a multiple of `pitch` bytes.
Counters conflicts_of(int pitch) {
    const std::string body =
        "mul.lo.u32 %r0, lane, " + std::to_string(pitch) +
        ";\nmov.u32 %r6, tile;\nadd.u32 %r8, %r0, %r6;\nmov.u32 %r1, 7;\n"
        "st.shared.v4.b32 [%r8], {%r1, %r1, %r1, %r1};\nbar.sync 0;\n"
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r20,%r21,%r22,%r23}, [%r8];\n";
    Gpu gpu(80);
    gpu.load(
        kernel(80, 0, ".shared .align 128 .b8 tile[" + std::to_string(32 * pitch) + "];\n", body));
    const LaunchReport report = gpu.launch({}, 32);
    expect_clean(report);
    return report.counters;
}

TEST(MatrixLoad, CountsBankConflicts) {
    EXPECT_EQ(conflicts_of(16).shared_load_conflicts, 0u);    // 8 rows cover the 32 banks
    EXPECT_EQ(conflicts_of(144).shared_load_conflicts, 0u);   // the usual padding
    EXPECT_EQ(conflicts_of(32).shared_load_conflicts, 4u);    // 2 wavefronts for each of 4 tiles
    EXPECT_EQ(conflicts_of(128).shared_load_conflicts, 28u);  // 8 wavefronts for each of 4 tiles
}

class MatrixStore : public testing::TestWithParam<std::tuple<int, bool>> {};

TEST_P(MatrixStore, FollowsTheFragmentFormula) {
    const auto [count, transposed] = GetParam();
    std::string body = "mov.u32 %r6, tile;\n" + row_address();
    for (int i = 0; i < count; ++i)  // lane l of tile i holds 0x100 l + 2 i, + 1
        body += "mad.lo.u32 %r30, lane, 0x01000100, " +
                std::to_string(0x00010000 + 0x00020002 * i) + ";\nmov.b32 %r" +
                std::to_string(20 + i) + ", %r30;\n";
    // What is not stored stays zero.
    body +=
        "mul.lo.u32 %r5, lane, 32;\nadd.u32 %r5, %r5, %r6;\nmov.u32 %r9, 0;\n"
        "st.shared.v4.b32 [%r5], {%r9, %r9, %r9, %r9};\nbar.warp.sync 0xffffffff;\n";
    body += "stmatrix.sync.aligned.m8n8.x" + std::to_string(count) + (transposed ? ".trans" : "") +
            ".shared.b16 [%r8], " + vector_of("%r", 20, count) +
            ";\nbar.warp.sync 0xffffffff;\n"
            "ld.shared.v4.b32 {%r10, %r11, %r12, %r13}, [%r5];\nmul.lo.u32 %r9, lane, 16;\n"
            "cvt.u64.u32 %rd1, %r9;\nadd.u64 %rd1, a0, %rd1;\n"
            "st.global.v4.b32 [%rd1], {%r10, %r11, %r12, %r13};\n";
    Gpu gpu(90);
    gpu.load(kernel(90, 1, kTile, body));
    const uint64_t out = gpu.upload(std::vector<uint32_t>(128, 0));
    expect_clean(gpu.launch({out}, 32));
    const auto got = gpu.download<uint16_t>(out, 256);
    std::vector<uint16_t> expected(256, 0);
    for (int lane = 0; lane < 32; ++lane)
        for (int i = 0; i < count; ++i)
            for (int half = 0; half < 2; ++half) {
                int row = lane / 4, column = 2 * (lane % 4) + half;
                if (transposed) std::swap(row, column);
                expected[static_cast<size_t>(row_of(8 * i + row) * 8 + column)] =
                    static_cast<uint16_t>(0x100 * lane + 2 * i + half);
            }
    EXPECT_EQ(got, expected);
}

INSTANTIATE_TEST_SUITE_P(Forms, MatrixStore,
                         testing::Combine(testing::Values(1, 2, 4), testing::Bool()));

TEST(MatrixMove, Transposes) {
    const std::string body =
        "mad.lo.u32 %r0, lane, 0x00020002, 0x00010000;\n"
        "movmatrix.sync.aligned.m8n8.trans.b16 %r1, %r0;\nmul.lo.u32 %r9, lane, 4;\n"
        "cvt.u64.u32 %rd1, %r9;\nadd.u64 %rd1, a0, %rd1;\nst.global.b32 [%rd1], %r1;\n";
    Gpu gpu(80);
    gpu.load(kernel(80, 1, "", body));
    const uint64_t out = gpu.upload(std::vector<uint32_t>(32, 0));
    expect_clean(gpu.launch({out}, 32));
    const auto got = gpu.download<uint16_t>(out, 64);
    for (int row = 0; row < 8; ++row)
        for (int column = 0; column < 8; ++column)
            EXPECT_EQ(got[static_cast<size_t>(8 * row + column)], 8 * column + row);
}

TEST(MatrixMove, RefusesWhatIsNotEmulated) {
    for (const char* text :
         {"ldmatrix.sync.aligned.m16n16.x1.trans.shared.b8 {%r0, %r1}, [%r2];",
          "ldmatrix.sync.aligned.m8n16.x1.shared.b8x16.b6x16_p32 {%r0}, [%r2];",
          "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r0}, [%r2];",
          "stmatrix.sync.aligned.m16n8.x1.trans.shared.b8 [%r2], {%r0};",
          "mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,%f3,%f4,%f5,%f6,%f7}, "
          "{%r0,%r1}, {%r2,%r3}, {%f0,%f1,%f2,%f3,%f4,%f5,%f6,%f7};",
          "mma.sync.aligned.m8n8k32.row.col.s32.s4.s4.s32 {%r0,%r1}, {%r2}, {%r3}, {%r0,%r1};",
          "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%r0,%r1,%r2,%r3}, "
          "{%r4,%r5,%r6,%r7}, {%r8,%r9}, {%r0,%r1,%r2,%r3};",
          "mma.sp.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,%f3}, "
          "{%r0,%r1,%r2,%r3}, {%r4,%r5,%r6,%r7}, {%f0,%f1,%f2,%f3}, %r8, 0;",
          "mma.sync.aligned.m16n8k16.row.col.f32.f16.bf16.f32 {%f0,%f1,%f2,%f3}, "
          "{%r0,%r1,%r2,%r3}, {%r4,%r5}, {%f0,%f1,%f2,%f3};",
          "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f32 {%r0,%r1}, "
          "{%r0,%r1,%r2,%r3}, {%r4,%r5}, {%f0,%f1,%f2,%f3};"})
        expect_refused(kernel(90, 0, kTile, text));
    expect_refused(kernel(80, 0, kTile,
                          "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%f0,%f1,%f2,%f3}, "
                          "{%r0,%r1,%r2,%r3}, {%r4,%r5}, {%f0,%f1,%f2,%f3};"),
                   80);
}

// ---- mma.sync ------------------------------------------------------------------------------------

using Place = std::pair<int, int>;  ///< row, column

/// A form of mma with the places of a lane's elements, as the PTX ISA gives them.
struct Form {
    std::string name;  ///< of gtest
    std::string shape, d, a, b;
    int m, k;
    std::function<Place(int g, int t, int i)> a_place, b_place;
    bool saturate = false;
};

Place c_place(int g, int t, int i) {
    return {i < 2 ? g : g + 8, 2 * t + (i & 1)};
}

std::vector<Form> forms() {
    std::vector<Form> list;
    const auto b_half = [](int, int t, int i) { return 2 * t + (i & 1) + (i < 2 ? 0 : 8); };
    for (const char* type : {"f16", "bf16"})
        for (const char* d : {"f32", "f16"}) {
            if (std::string(type) == "bf16" && std::string(d) == "f16") continue;
            list.push_back({"", "m16n8k16", d, type, type, 16, 16,
                            [](int g, int t, int i) -> Place {
                                const bool low = i < 2 || (i >= 4 && i < 6);
                                return {low ? g : g + 8, 2 * t + (i & 1) + (i < 4 ? 0 : 8)};
                            },
                            [=](int g, int t, int i) -> Place {
                                return {b_half(g, t, i), g};
                            }});
            list.push_back({"", "m16n8k8", d, type, type, 16, 8,
                            [](int g, int t, int i) -> Place {
                                return {i < 2 ? g : g + 8, 2 * t + (i & 1)};
                            },
                            [](int g, int t, int i) -> Place {
                                return {2 * t + i, g};
                            }});
        }
    list.push_back({"", "m16n8k8", "f32", "tf32", "tf32", 16, 8,
                    [](int g, int t, int i) -> Place {
                        return {i % 2 == 0 ? g : g + 8, i < 2 ? t : t + 4};
                    },
                    [](int g, int t, int i) -> Place {
                        return {i == 0 ? t : t + 4, g};
                    }});
    list.push_back({"", "m16n8k4", "f32", "tf32", "tf32", 16, 4,
                    [](int g, int t, int i) -> Place {
                        return {i == 0 ? g : g + 8, t};
                    },
                    [](int g, int t, int) -> Place {
                        return {t, g};
                    }});
    const auto a32 = [](int g, int t, int i) -> Place {
        const bool low = i < 4 || (i >= 8 && i < 12);
        return {low ? g : g + 8, 4 * t + (i & 3) + (i < 8 ? 0 : 16)};
    };
    const auto b32 = [](int g, int t, int i) -> Place {
        return {4 * t + (i & 3) + (i < 4 ? 0 : 16), g};
    };
    const auto a16 = [](int g, int t, int i) -> Place {
        return {i < 4 ? g : g + 8, 4 * t + (i & 3)};
    };
    const auto b16 = [](int g, int t, int i) -> Place { return {4 * t + i, g}; };
    for (const char* a : {"s8", "u8"})
        for (const char* b : {"s8", "u8"})
            for (const bool saturate : {false, true}) {
                list.push_back({"", "m16n8k32", "s32", a, b, 16, 32, a32, b32, saturate});
                list.push_back({"", "m16n8k16", "s32", a, b, 16, 16, a16, b16, saturate});
                list.push_back({"", "m8n8k16", "s32", a, b, 8, 16,
                                [](int g, int t, int i) -> Place {
                                    return {g, 4 * t + i};
                                },
                                b16, saturate});
            }
    for (const char* a : {"e4m3", "e5m2"})
        for (const char* b : {"e4m3", "e5m2"})
            for (const char* d : {"f32", "f16"}) {
                list.push_back({"", "m16n8k32", d, a, b, 16, 32, a32, b32});
                list.push_back({"", "m16n8k16", d, a, b, 16, 16, a16, b16});
            }
    for (Form& form : list)
        form.name = form.shape + "_" + form.d + "_" + form.a + "_" + form.b +
                    (form.saturate ? "_satfinite" : "");
    return list;
}

/// Codes of A [m][k], B [k][8] and C, D [m][8].
struct Product {
    std::vector<uint32_t> a, b, c, d;
};

class Mma : public testing::TestWithParam<Form> {
  protected:
    int a_count() const { return form().m * form().k * a_bits() / 1024; }  // registers
    int b_count() const { return 8 * form().k * a_bits() / 1024; }
    int c_count() const { return form().m * 8 * c_bits() / 1024; }
    int a_bits() const { return Number::of(form().a).bits; }
    int c_bits() const { return form().d == "f16" ? 16 : 32; }
    static const Form& form() { return GetParam(); }

    uint32_t& element(std::vector<uint32_t>& matrix, int columns, Place at) const {
        return matrix.at(static_cast<size_t>(at.first * columns + at.second));
    }

    /// Runs all products in one launch, a warp each.
    void run(std::vector<Product>& products) {
        const Form& f = form();
        const int a = a_count(), b = b_count(), c = c_count(), all = a + b + c;
        const std::string bits = std::to_string(4 * all), c_name = f.d == "f32" ? "%f" : "%r";
        std::string body =
            "mov.u32 %r0, %ctaid.x;\nshl.b32 %r0, %r0, 5;\nadd.u32 %r0, %r0, tx;\n"
            "mul.wide.u32 %rd0, %r0, " +
            bits +
            ";\nadd.u64 %rd0, %rd0, a0;\n"
            "mul.wide.u32 %rd1, %r0, " +
            std::to_string(4 * c) + ";\nadd.u64 %rd1, %rd1, a1;\n";
        for (int i = 0; i < all; ++i)
            body += "ld.global.b32 " +
                    (i < a + b ? "%r" + std::to_string(10 + i)
                               : c_name + std::to_string(100 + i - a - b)) +
                    ", [%rd0+" + std::to_string(4 * i) + "];\n";
        body += "mma.sync.aligned." + f.shape + ".row.col" + (f.saturate ? ".satfinite" : "") +
                "." + f.d + "." + f.a + "." + f.b + "." + f.d + " " + vector_of(c_name, 200, c) +
                ", " + vector_of("%r", 10, a) + ", " + vector_of("%r", 10 + a, b) + ", " +
                vector_of(c_name, 100, c) + ";\n";
        for (int i = 0; i < c; ++i)
            body += "st.global.b32 [%rd1+" + std::to_string(4 * i) + "], " + c_name +
                    std::to_string(200 + i) + ";\n";
        const int arch = f.a[0] == 'e' ? 90 : 80;
        Gpu gpu(arch);
        gpu.load(kernel(arch, 2, "", body));

        std::vector<uint32_t> in;
        for (Product& p : products)
            for (int lane = 0; lane < 32; ++lane) {
                const auto pack = [&](std::vector<uint32_t>& matrix, int columns, int registers,
                                      int width, const std::function<Place(int, int, int)>& place) {
                    const int per = 32 / width;
                    for (int r = 0; r < registers; ++r) {
                        uint32_t word = 0;
                        for (int j = 0; j < per; ++j)
                            word |= element(matrix, columns, place(lane / 4, lane % 4, r * per + j))
                                    << (width * j);
                        in.push_back(word);
                    }
                };
                pack(p.a, f.k, a, a_bits(), f.a_place);
                pack(p.b, 8, b, a_bits(), f.b_place);
                pack(p.c, 8, c, c_bits(), c_place);
            }
        const uint64_t out = gpu.upload(
            std::vector<uint32_t>(products.size() * 32 * static_cast<size_t>(c), 0xDEADBEEF));
        const LaunchReport report =
            gpu.launch({gpu.upload(in), out}, 32, static_cast<uint32_t>(products.size()));
        expect_clean(report);
        EXPECT_EQ(report.counters.mma_operations, products.size());
        EXPECT_EQ(report.counters.multiply_adds,
                  products.size() * static_cast<size_t>(f.m * 8 * f.k));
        const auto got = gpu.download<uint32_t>(out, products.size() * 32 * static_cast<size_t>(c));
        size_t at = 0;
        for (Product& p : products) {
            p.d.assign(static_cast<size_t>(8 * f.m), 0);
            for (int lane = 0; lane < 32; ++lane)
                for (int r = 0; r < c; ++r) {
                    const uint32_t word = got[at++];
                    for (int j = 0; j < 32 / c_bits(); ++j)
                        element(p.d, 8, c_place(lane / 4, lane % 4, r * (32 / c_bits()) + j)) =
                            c_bits() == 16 ? word >> (16 * j) & 0xFFFFu : word;
                }
        }
    }

    double value_c(uint32_t code) const {
        if (form().d == "f16") return decode_float(code, 5, 10);
        if (form().d == "s32") return static_cast<int32_t>(code);
        float value;
        std::memcpy(&value, &code, 4);
        return value;
    }
    uint32_t code_c(int value) const {
        if (form().d == "f16") return encode_exact(value, 5, 10);
        if (form().d == "s32") return static_cast<uint32_t>(value);
        const auto real = static_cast<float>(value);
        uint32_t code;
        std::memcpy(&code, &real, 4);
        return code;
    }

    Product zeros() const {
        Product p;
        p.a.assign(static_cast<size_t>(form().m * form().k), 0);
        p.b.assign(static_cast<size_t>(8 * form().k), 0);
        p.c.assign(static_cast<size_t>(8 * form().m), 0);
        return p;
    }
    /// The exact product, and the sum of magnitudes.
    void expect_product(const Product& p, double relative) const {
        const Number &a = Number::of(form().a), &b = Number::of(form().b);
        int shown = 0;
        for (int row = 0; row < form().m && shown < 3; ++row)
            for (int column = 0; column < 8; ++column) {
                long double sum = value_c(p.c[static_cast<size_t>(8 * row + column)]);
                long double size = std::fabs(static_cast<double>(sum));
                for (int k = 0; k < form().k; ++k) {
                    const long double term = static_cast<long double>(a.decode(
                                                 p.a[static_cast<size_t>(row * form().k + k)])) *
                                             b.decode(p.b[static_cast<size_t>(8 * k + column)]);
                    sum += term;
                    size += std::fabs(static_cast<double>(term));
                }
                const double got = value_c(p.d[static_cast<size_t>(8 * row + column)]);
                if (std::fabs(static_cast<double>(got - sum)) >
                    relative * static_cast<double>(size)) {
                    ADD_FAILURE() << "row " << row << " column " << column << ": " << got
                                  << ", expected " << static_cast<double>(sum);
                    ++shown;
                }
            }
    }
};

TEST_P(Mma, FindsEveryElementOfA) {
    std::vector<Product> products;
    const Number &a = Number::of(form().a), &b = Number::of(form().b);
    for (int row = 0; row < form().m; ++row)
        for (int k = 0; k < form().k; ++k) {
            Product p = zeros();
            p.a[static_cast<size_t>(row * form().k + k)] = a.encode(2);
            for (int i = 0; i < form().k; ++i)
                for (int column = 0; column < 8; ++column)
                    p.b[static_cast<size_t>(8 * i + column)] =
                        b.encode(column == k % 8 ? 3 : 1 + i % 4);
            products.push_back(p);
        }
    run(products);
    for (const Product& p : products)
        expect_product(p, 0);
}

TEST_P(Mma, FindsEveryElementOfB) {
    std::vector<Product> products;
    const Number &a = Number::of(form().a), &b = Number::of(form().b);
    for (int k = 0; k < form().k; ++k)
        for (int column = 0; column < 8; ++column) {
            Product p = zeros();
            p.b[static_cast<size_t>(8 * k + column)] = b.encode(2);
            for (int row = 0; row < form().m; ++row)
                for (int i = 0; i < form().k; ++i)
                    p.a[static_cast<size_t>(row * form().k + i)] =
                        a.encode(row % 4 + (i == k ? 4 : 0));
            products.push_back(p);
        }
    run(products);
    for (const Product& p : products)
        expect_product(p, 0);
}

TEST_P(Mma, AddsIntegersExactly) {
    std::mt19937 random(3);
    std::vector<Product> products(20, zeros());
    const Number &a = Number::of(form().a), &b = Number::of(form().b);
    const auto small = [&] { return static_cast<int>(random() % 9) - 4; };
    for (Product& p : products) {
        for (uint32_t& code : p.a)
            code = a.encode(small());
        for (uint32_t& code : p.b)
            code = b.encode(small());
        for (uint32_t& code : p.c)
            code = code_c(static_cast<int>(random() % 1001) - 500);
    }
    run(products);
    for (const Product& p : products)
        expect_product(p, 0);
}

TEST_P(Mma, StaysWithinRoundingOfRandomNumbers) {
    std::mt19937 random(4);
    std::vector<Product> products(20, zeros());
    const Number &a = Number::of(form().a), &b = Number::of(form().b);
    // Codes without infinities and NaNs: the upper exponents are left out.
    const auto finite = [&](const Number& number) -> uint32_t {
        for (;;) {
            uint32_t code = static_cast<uint32_t>(random());
            if (number.bits < 32) code &= (1u << number.bits) - 1;
            if (number.bits == 32) code &= 0xFFFFE000u;
            const double value = number.decode(code);
            if (std::isfinite(value) && std::fabs(value) < 300 &&
                (std::fabs(value) > 1e-6 || number.bits <= 16))
                return code;
        }
    };
    for (Product& p : products) {
        for (uint32_t& code : p.a)
            code = finite(a);
        for (uint32_t& code : p.b)
            code = finite(b);
        for (uint32_t& code : p.c)
            code = code_c(static_cast<int>(random() % 2001) - 1000);
        if (form().d == "f16")  // keep the sums finite
            for (uint32_t& code : p.a)
                code = a.encode(static_cast<int>(random() % 9) - 4);
    }
    run(products);
    // One rounding per addition of binary32, or that and one to binary16.
    const double each = form().d == "s32" ? 0 : std::exp2(-24) * (form().k + 1);
    for (const Product& p : products)
        expect_product(p, each + (form().d == "f16" ? std::exp2(-11) : 0));
}

INSTANTIATE_TEST_SUITE_P(Forms, Mma, testing::ValuesIn(forms()),
                         [](const auto& form) { return form.param.name; });

/// One product with all-equal A, B, C; the result's codes.
std::vector<uint32_t> constant_mma(const std::string& form, const std::string& c_name, int a, int b,
                                   int c, uint32_t a_word, uint32_t b_word, uint32_t c_word) {
    std::string body;
    const auto fill = [&](const std::string& prefix, int first, int count, uint32_t word) {
        for (int i = 0; i < count; ++i)
            body += "mov.b32 " + prefix + std::to_string(first + i) + ", " + std::to_string(word) +
                    ";\n";
    };
    fill("%r", 10, a, a_word);
    fill("%r", 20, b, b_word);
    fill("%r", 30, c, c_word);
    if (c_name == "%f")
        for (int i = 0; i < c; ++i)
            body += "mov.b32 %f" + std::to_string(i) + ", %r" + std::to_string(30 + i) + ";\n";
    const int first = c_name == "%f" ? 0 : 30;
    body += "mma.sync.aligned." + form + " " + vector_of(c_name, first, c) + ", " +
            vector_of("%r", 10, a) + ", " + vector_of("%r", 20, b) + ", " +
            vector_of(c_name, first, c) +
            ";\nmul.wide.u32 %rd0, lane, 4;\nadd.u64 %rd0, %rd0, a0;\n"
            "st.global.b32 [%rd0], " +
            c_name + std::to_string(first) + ";\n";
    Gpu gpu(90);
    gpu.load(kernel(90, 1, "", body));
    const uint64_t out = gpu.upload(std::vector<uint32_t>(32, 0));
    expect_clean(gpu.launch({out}, 32));
    return gpu.download<uint32_t>(out, 32);
}

TEST(MmaEdges, SaturatesOrWraps) {
    const uint32_t top = 0x7FFFFFF0;  // + 32 * 127 * 127
    for (const bool saturate : {false, true}) {
        const std::string form =
            std::string("m16n8k32.row.col") + (saturate ? ".satfinite" : "") + ".s32.s8.s8.s32";
        const uint32_t sum = 32 * 127 * 127;
        EXPECT_EQ(constant_mma(form, "%r", 4, 2, 4, 0x7F7F7F7F, 0x7F7F7F7F, top)[5],
                  saturate ? 0x7FFFFFFFu : top + sum);
        const uint32_t low = 0x80000010, product = static_cast<uint32_t>(-32 * 127 * 128);
        EXPECT_EQ(constant_mma(form, "%r", 4, 2, 4, 0x7F7F7F7F, 0x80808080, low)[31],
                  saturate ? 0x80000000u : low + product);
    }
}

TEST(MmaEdges, TreatsSpecialNumbers) {
    const auto f16 = [](uint32_t a, uint32_t b, uint32_t c) {
        return constant_mma("m16n8k16.row.col.f32.f16.f16.f32", "%f", 4, 2, 4, a * 0x10001,
                            b * 0x10001, c)[9];
    };
    EXPECT_EQ(f16(0x7C00, 0x3C00, 0), 0x7F800000u);  // infinity * 1
    EXPECT_EQ(f16(0x7C00, 0xBC00, 0), 0xFF800000u);  // infinity * -1
    EXPECT_EQ(f16(0x7C00, 0x0000, 0), 0x7FFFFFFFu);  // infinity * 0
    EXPECT_EQ(f16(0x7E01, 0x3C00, 0), 0x7FFFFFFFu);  // NaN
    EXPECT_EQ(f16(0x0001, 0x0001, 0), 0x29800000u);  // 16 * 2^-48 = 2^-44: nothing is flushed
    EXPECT_EQ(f16(0x0000, 0x0000, 0x00000001), 0x00000001u);  // a subnormal accumulator
    EXPECT_EQ(f16(0x7BFF, 0x3C00, 0), 0x497FE000u);           // 16 * 65504
    // A sum beyond binary16 becomes infinity there.
    EXPECT_EQ(constant_mma("m16n8k16.row.col.f16.f16.f16.f16", "%r", 4, 2, 2, 0x78007800,
                           0x40004000, 0)[0],
              0x7C007C00u);
    // tf32 ignores the low 13 bits: 1 + 2^-11 counts as 1.
    EXPECT_EQ(constant_mma("m16n8k4.row.col.f32.tf32.tf32.f32", "%f", 2, 1, 4, 0x3F801000,
                           0x3F800000, 0)[0],
              0x40800000u);
    // E4M3: 0x7F is NaN, 0x7E is 448; E5M2 has infinities.
    EXPECT_EQ(constant_mma("m16n8k32.row.col.f32.e4m3.e4m3.f32", "%f", 4, 2, 4, 0x7F7F7F7F,
                           0x38383838, 0)[0],
              0x7FFFFFFFu);
    EXPECT_EQ(constant_mma("m16n8k32.row.col.f32.e4m3.e4m3.f32", "%f", 4, 2, 4, 0x7E7E7E7E,
                           0x38383838, 0)[0],
              0x46600000u);  // 32 * 448 = 14336
    EXPECT_EQ(constant_mma("m16n8k32.row.col.f32.e5m2.e5m2.f32", "%f", 4, 2, 4, 0x7C7C7C7C,
                           0x3C3C3C3C, 0)[0],
              0x7F800000u);
}

class MmaDouble : public testing::TestWithParam<std::pair<int, int>> {};

TEST_P(MmaDouble, MatchesTheFormula) {
    const auto [m, k] = GetParam();
    const int a = m * k / 32, b = 8 * k / 32, c = m * 8 / 32, all = a + b + c;
    std::string body = "mul.wide.u32 %rd0, lane, " + std::to_string(8 * all) +
                       ";\nadd.u64 %rd0, %rd0, a0;\nmul.wide.u32 %rd1, lane, " +
                       std::to_string(8 * c) + ";\nadd.u64 %rd1, %rd1, a1;\n";
    for (int i = 0; i < all; ++i)
        body +=
            "ld.global.f64 %fd" + std::to_string(i) + ", [%rd0+" + std::to_string(8 * i) + "];\n";
    const std::string c_vector = vector_of("%fd", a + b, c);
    body += "mma.sync.aligned.m" + std::to_string(m) + "n8k" + std::to_string(k) +
            ".row.col.f64.f64.f64.f64 " + c_vector + ", " + vector_of("%fd", 0, a) + ", " +
            vector_of("%fd", a, b) + ", " + c_vector + ";\n";
    for (int i = 0; i < c; ++i)
        body += "st.global.f64 [%rd1+" + std::to_string(8 * i) + "], %fd" +
                std::to_string(a + b + i) + ";\n";
    Gpu gpu(90);
    gpu.load(kernel(90, 2, "", body));
    std::mt19937 random(5);
    const auto matrix = [&](int rows, int columns) {
        std::vector<double> values(static_cast<size_t>(rows * columns));
        for (double& value : values)
            value = static_cast<int>(random() % 2001) - 1000;
        return values;
    };
    const auto am = matrix(m, k), bm = matrix(k, 8), cm = matrix(m, 8);
    std::vector<double> in;
    for (int lane = 0; lane < 32; ++lane) {
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < a; ++i) {
            const int row = m == 8 ? g : i % 2 == 0 ? g : g + 8;
            const int column = m == 8 ? t : 4 * (i / 2) + t;
            in.push_back(am[static_cast<size_t>(row * k + column)]);
        }
        for (int i = 0; i < b; ++i)
            in.push_back(bm[static_cast<size_t>((4 * i + t) * 8 + g)]);
        for (int i = 0; i < c; ++i) {
            const Place at = c_place(g, t, i);
            in.push_back(cm[static_cast<size_t>(at.first * 8 + at.second)]);
        }
    }
    const uint64_t out = gpu.upload(std::vector<double>(static_cast<size_t>(32 * c), 0));
    expect_clean(gpu.launch({gpu.upload(in), out}, 32));
    const auto got = gpu.download<double>(out, static_cast<size_t>(32 * c));
    for (int lane = 0; lane < 32; ++lane)
        for (int i = 0; i < c; ++i) {
            const Place at = c_place(lane / 4, lane % 4, i);
            double sum = cm[static_cast<size_t>(at.first * 8 + at.second)];
            for (int j = 0; j < k; ++j)
                sum += am[static_cast<size_t>(at.first * k + j)] *
                       bm[static_cast<size_t>(8 * j + at.second)];
            EXPECT_EQ(got[static_cast<size_t>(lane * c + i)], sum);
        }
}

INSTANTIATE_TEST_SUITE_P(Shapes, MmaDouble,
                         testing::Values(std::pair(8, 4), std::pair(16, 4), std::pair(16, 8),
                                         std::pair(16, 16)));

TEST(MmaEdges, WaitsForTheWholeWarp) {
    // Lanes that diverged meet at the mma; the result is as if they had not.
    const std::string mma =
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,%f3}, {%r1,%r1,%r1,%r1}, "
        "{%r1,%r1}, {%f0,%f1,%f2,%f3};\n";
    const std::string body =
        "mov.f32 %f0, 0f00000000;\nmov.f32 %f1, %f0;\nmov.f32 %f2, %f0;\nmov.f32 %f3, %f0;\n"
        "setp.lt.u32 %p0, lane, 7;\n@%p0 bra ELSE;\nmov.u32 %r1, 0x3C003C00;\nbra JOIN;\n"
        "ELSE:\nmov.u32 %r1, 0x3C003C00;\nJOIN:\n" +
        mma + "mul.wide.u32 %rd0, lane, 4;\nadd.u64 %rd0, %rd0, a0;\nst.global.f32 [%rd0], %f0;\n";
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Gpu gpu(80, seed);
        gpu.load(kernel(80, 1, "", body));
        const uint64_t out = gpu.upload(std::vector<float>(32, 0));
        expect_clean(gpu.launch({out}, 32));
        EXPECT_EQ(gpu.download<float>(out, 32), std::vector<float>(32, 16.0f));
    }
    Gpu gpu(80);
    gpu.load(kernel(80, 1, "",
                    "mov.u32 %r1, 0;\nmov.f32 %f0, 0f00000000;\nmov.f32 %f1, %f0;\n"
                    "mov.f32 %f2, %f0;\nmov.f32 %f3, %f0;\nsetp.lt.u32 %p0, lane, 7;\n@%p0 " +
                        mma));
    const LaunchReport report = gpu.launch({gpu.upload(std::vector<float>(32, 0))}, 32);
    EXPECT_FALSE(report.findings.empty());
}

TEST(MmaEdges, SpreadsSuspicionAlongRowsAndColumns) {
    // Register %r5 of lane 0 was never written: row 0 of A, k 0 and 1.
    const std::string body =
        "mov.f32 %f0, 0f00000000;\nmov.f32 %f1, %f0;\nmov.f32 %f2, %f0;\nmov.f32 %f3, %f0;\n"
        "mov.u32 %r1, 0x3C003C00;\nsetp.ne.u32 %p0, lane, 0;\n@%p0 mov.u32 %r5, 0x3C003C00;\n"
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,%f3}, {%r5,%r1,%r1,%r1}, "
        "{%r1,%r1}, {%f0,%f1,%f2,%f3};\nmul.wide.u32 %rd0, lane, 4;\nadd.u64 %rd0, %rd0, a0;\n"
        "setp.WHICH.u32 %p1, lane, 4;\n@%p1 st.global.f32 [%rd0], %f0;\nst.global.f32 [%rd0], "
        "%f2;\n";
    for (const char* which : {"lt", "ge"}) {
        Gpu gpu(80);
        gpu.load(kernel(80, 1, "", replaced(body, "WHICH", which)));
        const LaunchReport report = gpu.launch({gpu.upload(std::vector<float>(32, 0))}, 32);
        // Lanes 0 to 3 hold row 0.
        EXPECT_EQ(has_finding(report, FindingKind::kUninitialized), std::string(which) == "lt")
            << describe(report);
    }
}

}  // namespace
}  // namespace emulator
