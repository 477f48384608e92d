// Comparisons and selections against comparisons of integers in 128 bits and of doubles.
#include <cmath>

#include "tests/emulator/tests/exact.hpp"
#include "tests/emulator/tests/one_op.hpp"

namespace emulator {
namespace {

using exact::Format;

/// -1, 0, 1 or 2 for "unordered".
int order(uint64_t a, uint64_t b, const Format& format) {
    if (format.is_nan(a) || format.is_nan(b)) return 2;
    // Sign and magnitude as one number: -0 equals +0.
    const auto rank = [&](uint64_t x) {
        const auto magnitude = static_cast<int64_t>(x & (format.sign() - 1));
        return format.is_negative(x) ? -magnitude : magnitude;
    };
    return rank(a) < rank(b) ? -1 : rank(a) > rank(b);
}

bool holds(const std::string& name, int order) {
    if (name == "num") return order != 2;
    if (name == "nan") return order == 2;
    const bool unordered = name.size() == 3;
    if (order == 2) return unordered;
    const std::string base = name.substr(0, 2);
    if (base == "eq") return order == 0;
    if (base == "ne") return order != 0;
    if (base == "lt" || base == "lo") return order < 0;
    if (base == "le" || base == "ls") return order <= 0;
    if (base == "gt" || base == "hi") return order > 0;
    return order >= 0;
}

const std::vector<std::string> kInteger = {"eq", "ne", "lt", "le", "gt", "ge"};
const std::vector<std::string> kUnsigned = {"lo", "ls", "hi", "hs"};
const std::vector<std::string> kFloat = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                         "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

TEST(Compare, Integers) {
    for (int bits : {16, 32, 64})
        for (bool is_signed : {false, true}) {
            std::vector<std::string> names = kInteger;
            if (!is_signed) names.insert(names.end(), kUnsigned.begin(), kUnsigned.end());
            const std::string type = (is_signed ? "s" : "u") + std::to_string(bits);
            for (const std::string& name : names)
                expect_op("setp." + name + "." + type + " %d0|%d1, %a0, %a1;", {"pred", "pred"},
                          {type, type}, pairs(integer_values(bits, 4), integer_values(bits, 4)),
                          [&](const uint64_t* a, uint64_t* d) {
                              const uint64_t flip = is_signed ? uint64_t{1} << (bits - 1) : 0;
                              const uint64_t x = a[0] ^ flip, y = a[1] ^ flip;
                              d[0] = holds(name, x < y ? -1 : x > y);
                              d[1] = !d[0];
                          });
        }
    expect_op("setp.eq.b16 %d0, %a0, %a1;", {"pred"}, {"b16", "b16"},
              pairs(integer_values(16), integer_values(16)),
              [](const uint64_t* a, uint64_t* d) { d[0] = a[0] == a[1]; });
    expect_refused("setp.lt.b32 %d0, %a0, %a1;", {"pred"}, {"b32", "b32"});
    expect_refused("setp.lo.s32 %d0, %a0, %a1;", {"pred"}, {"s32", "s32"});
    expect_refused("setp.ltu.s32 %d0, %a0, %a1;", {"pred"}, {"s32", "s32"});
    expect_refused("setp.lt.ftz.s32 %d0, %a0, %a1;", {"pred"}, {"s32", "s32"});
}

TEST(Compare, BooleanCombination) {
    Cases cases;
    for (uint64_t x : {1, 2, 3})
        for (uint64_t y : {1, 2, 3})
            for (uint64_t c : {0, 1})
                cases.push_back({x, y, c});
    for (const std::string op : {"and", "or", "xor"})
        for (bool negated : {false, true})
            expect_op("setp.lt." + op + ".u32 %d0|%d1, %a0, %a1, " + (negated ? "!" : "") +
                          "%a2;\n" + "setp.lt." + op + ".u32 %d2, %a0, %a1, " +
                          (negated ? "!" : "") + "%a2;\n" + "setp.lt." + op +
                          ".u32 _|%d3, %a0, %a1, " + (negated ? "!" : "") + "%a2;",
                      Types(4, "pred"), {"u32", "u32", "pred"}, cases,
                      [&](const uint64_t* a, uint64_t* d) {
                          const bool t = a[0] < a[1], c = (a[2] != 0) != negated;
                          const auto combine = [&](bool x) {
                              return op == "and" ? x && c : op == "or" ? x || c : x != c;
                          };
                          d[0] = d[2] = combine(t);
                          d[1] = d[3] = combine(!t);
                      });
}

struct FloatType {
    const char* name;
    Format format;
    const char* reg;
};
const FloatType kFloats[] = {{"f32", exact::kF32, "f32"},
                             {"f64", exact::kF64, "f64"},
                             {"f16", exact::kF16, "b16"},
                             {"bf16", exact::kBF16, "b16"}};

TEST(Compare, Floats) {
    for (const FloatType& t : kFloats) {
        const Case values = float_values(t.format.exponent_bits, t.format.mantissa_bits, 6);
        for (const std::string& name : kFloat)
            for (bool ftz : {false, true}) {
                const bool has_ftz = std::string(t.name) == "f32" || std::string(t.name) == "f16";
                if (ftz && !has_ftz) continue;
                expect_op("setp." + name + (ftz ? ".ftz." : ".") + t.name + " %d0, %a0, %a1;",
                          {"pred"}, {t.reg, t.reg}, pairs(values, values),
                          [&](const uint64_t* a, uint64_t* d) {
                              const uint64_t x = ftz ? t.format.flush(a[0]) : a[0];
                              const uint64_t y = ftz ? t.format.flush(a[1]) : a[1];
                              d[0] = holds(name, order(x, y, t.format));
                          });
            }
    }
    expect_refused("setp.lt.ftz.f64 %d0, %a0, %a1;", {"pred"}, {"f64", "f64"});
    expect_refused("setp.lt.bf16 %d0, %a0, %a1;", {"pred"}, {"b16", "b16"}, 80);
}

TEST(Compare, PackedHalves) {
    const Case values = float_values(5, 10, 10);
    std::mt19937_64 random(4);
    Cases cases;
    for (int i = 0; i < 3000; ++i) {
        const auto word = [&] {
            return values[random() % values.size()] | values[random() % values.size()] << 16;
        };
        cases.push_back({word(), word()});
    }
    for (const std::string& name : kFloat)
        expect_op("setp." + name + ".f16x2 %d0|%d1, %a0, %a1;\nset." + name +
                      ".f16x2.f16x2 %d2, %a0, %a1;\nset." + name +
                      ".bf16x2.bf16x2 %d3, %a0, %a1;\n" + "set." + name +
                      ".u32.f16x2 %d4, %a0, %a1;",
                  {"pred", "pred", "b32", "b32", "b32"}, {"b32", "b32"}, cases,
                  [&](const uint64_t* a, uint64_t* d) {
                      for (int i = 0; i < 2; ++i) {
                          const uint64_t x = a[0] >> 16 * i & 0xFFFF, y = a[1] >> 16 * i & 0xFFFF;
                          const bool f16 = holds(name, order(x, y, exact::kF16));
                          const bool bf16 = holds(name, order(x, y, exact::kBF16));
                          d[i] = f16;
                          d[2] |= uint64_t(f16 ? 0x3C00 : 0) << 16 * i;
                          d[3] |= uint64_t(bf16 ? 0x3F80 : 0) << 16 * i;
                          d[4] |= uint64_t(f16 ? 0xFFFF : 0) << 16 * i;
                      }
                  });
    expect_refused("setp.lt.f16x2 %d0, %a0, %a1;", {"pred"}, {"b32", "b32"});
}

TEST(Compare, Set) {
    const Case floats = float_values(8, 23, 6);
    expect_op(
        "set.lt.u32.f32 %d0, %a0, %a1;\nset.ltu.f32.f32 %d1, %a0, %a1;\n"
        "set.ge.s32.f32 %d2, %a0, %a1;",
        {"u32", "f32", "s32"}, {"f32", "f32"}, pairs(floats, floats),
        [](const uint64_t* a, uint64_t* d) {
            const int o = order(a[0], a[1], exact::kF32);
            d[0] = holds("lt", o) ? 0xFFFFFFFF : 0;
            d[1] = holds("ltu", o) ? 0x3F800000 : 0;
            d[2] = holds("ge", o) ? 0xFFFFFFFF : 0;
        });
    Cases cases;
    for (uint64_t x : {1, 2})
        for (uint64_t y : {1, 2})
            for (uint64_t c : {0, 1})
                cases.push_back({x, y, c});
    expect_op("set.eq.and.u32.s64 %d0, %a0, %a1, !%a2;\nset.lo.or.f32.u64 %d1, %a0, %a1, %a2;",
              {"u32", "f32"}, {"s64", "s64", "pred"}, cases, [](const uint64_t* a, uint64_t* d) {
                  d[0] = a[0] == a[1] && !a[2] ? 0xFFFFFFFF : 0;
                  d[1] = a[0] < a[1] || a[2] ? 0x3F800000 : 0;
              });
    const Case halves = float_values(5, 10, 6);
    expect_op(
        "set.gt.f16.f16 %d0, %a0, %a1;\nset.gt.u16.f16 %d1, %a0, %a1;\n"
        "set.gt.u32.f16 %d2, %a0, %a1;",
        {"b16", "b16", "u32"}, {"b16", "b16"}, pairs(halves, halves),
        [](const uint64_t* a, uint64_t* d) {
            const bool yes = holds("gt", order(a[0], a[1], exact::kF16));
            d[0] = yes ? 0x3C00 : 0;
            d[1] = yes ? 0xFFFF : 0;
            d[2] = yes ? 0xFFFFFFFF : 0;
        });
    expect_refused("set.lt.u16.f32 %d0, %a0, %a1;", {"u16"}, {"f32", "f32"});
}

TEST(Compare, Selection) {
    for (int bits : {16, 32, 64}) {
        const std::string t = "b" + std::to_string(bits);
        Cases cases;
        for (const Case& pair : pairs(integer_values(bits, 2), integer_values(bits, 2)))
            for (uint64_t p : {0, 1})
                cases.push_back({pair[0], pair[1], p});
        expect_op("selp." + t + " %d0, %a0, %a1, %a2;", {t}, {t, t, "pred"}, cases,
                  [](const uint64_t* a, uint64_t* d) { d[0] = a[2] ? a[0] : a[1]; });
        Cases by;
        for (uint64_t c : {0u, 1u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu, 0x7FC00000u, 0x80000001u,
                           0xBF800000u, 0x7F800000u, 0xFF800000u, 0xFFC00000u})
            by.push_back({cases[5][0], ~cases[5][0] & 0xFF, c});
        expect_op("slct.b" + std::to_string(bits) + ".s32 %d0, %a0, %a1, %a2;", {t}, {t, t, "s32"},
                  by,
                  [](const uint64_t* a, uint64_t* d) { d[0] = int32_t(a[2]) >= 0 ? a[0] : a[1]; });
        const auto not_negative = [](uint64_t c) {
            return !exact::kF32.is_nan(c) &&
                   (!exact::kF32.is_negative(c) || exact::kF32.is_zero(c));
        };
        expect_op("slct.b" + std::to_string(bits) + ".f32 %d0, %a0, %a1, %a2;\nslct.ftz.b" +
                      std::to_string(bits) + ".f32 %d1, %a0, %a1, %a2;",
                  {t, t}, {t, t, "f32"}, by, [&](const uint64_t* a, uint64_t* d) {
                      d[0] = not_negative(a[2]) ? a[0] : a[1];
                      d[1] = not_negative(exact::kF32.flush(a[2])) ? a[0] : a[1];
                  });
    }
}

TEST(Compare, TestProperty) {
    for (bool wide : {false, true}) {
        const Format& f = wide ? exact::kF64 : exact::kF32;
        const std::string t = wide ? "f64" : "f32";
        std::string text;
        int i = 0;
        for (const char* name :
             {"finite", "infinite", "number", "notanumber", "normal", "subnormal"})
            text +=
                std::string("testp.") + name + "." + t + " %d" + std::to_string(i++) + ", %a0;\n";
        expect_op(text, Types(6, "pred"), {t},
                  singles(float_values(f.exponent_bits, f.mantissa_bits)),
                  [&](const uint64_t* a, uint64_t* d) {
                      const bool nan = f.is_nan(a[0]), infinite = f.is_infinite(a[0]);
                      d[0] = !nan && !infinite;
                      d[1] = infinite;
                      d[2] = !nan;
                      d[3] = nan;
                      d[4] = !nan && !infinite && !f.is_zero(a[0]) && !f.is_subnormal(a[0]);
                      d[5] = f.is_subnormal(a[0]);
                  });
    }
}

}  // namespace
}  // namespace emulator
