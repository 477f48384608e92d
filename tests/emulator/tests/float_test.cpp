// f32 and f64 arithmetic against exact big-number arithmetic rounded once (exact.hpp), division and
// roots against 113 bits, functions against the host's in a wider type.
#include <cmath>

#include "tests/emulator/tests/exact.hpp"
#include "tests/emulator/tests/one_op.hpp"

namespace emulator {
namespace {

using exact::Format;
using exact::Mode;
__extension__ typedef __float128 Quad;

struct RoundingName {
    const char* name;
    Mode mode;
};
const RoundingName kRoundings[] = {
    {".rn", Mode::kNearest}, {".rz", Mode::kZero}, {".rm", Mode::kDown}, {".rp", Mode::kUp}};

template <typename To, typename From>
To as(From from) {
    To to{};
    std::memcpy(&to, &from, sizeof(to) < sizeof(from) ? sizeof(to) : sizeof(from));
    return to;
}
float f32(uint64_t bits) {
    return as<float>(uint32_t(bits));
}
double f64(uint64_t bits) {
    return as<double>(bits);
}
uint64_t bits32(float value) {
    return value != value ? 0x7FFFFFFF : as<uint32_t>(value);
}

Case values32(size_t n = 10) {
    return float_values(8, 23, n);
}
Case values64(size_t n = 10) {
    return float_values(11, 52, n);
}

/// f64 keeps the payloads of NaNs, which PTX leaves open: any NaN is one.
const char* kSameNan64 =
    ".reg .pred %nan;\ntestp.notanumber.f64 %nan, %d0;\n@%nan mov.b64 %d0, 0x7FFFFFFFFFFFFFFF;";

uint64_t saturate32(uint64_t bits) {
    if (exact::kF32.is_nan(bits) || exact::kF32.is_negative(bits)) return 0;
    return bits > 0x3F800000 ? 0x3F800000 : bits;
}

using Reference = uint64_t (*)(const uint64_t* a, const Format& format, Mode mode);
uint64_t reference_add(const uint64_t* a, const Format& f, Mode m) {
    return sum(a[0], a[1], f, m);
}
uint64_t reference_sub(const uint64_t* a, const Format& f, Mode m) {
    return f.is_nan(a[1]) ? f.nan : sum(a[0], a[1] ^ f.sign(), f, m);
}
uint64_t reference_mul(const uint64_t* a, const Format& f, Mode m) {
    return product(a[0], a[1], f, m);
}
uint64_t reference_fma(const uint64_t* a, const Format& f, Mode m) {
    return fused(a[0], a[1], a[2], f, m);
}
struct Arithmetic {
    const char* name;
    int sources;
    Reference reference;
};
const Arithmetic kArithmetic[] = {{"add", 2, reference_add},
                                  {"sub", 2, reference_sub},
                                  {"mul", 2, reference_mul},
                                  {"fma", 3, reference_fma}};

std::string operands(int sources) {
    std::string text = " %d0";
    for (int i = 0; i < sources; ++i)
        text += ", %a" + std::to_string(i);
    return text + ";\n";
}
Cases cases_of(int sources, const Case& values) {
    return sources == 2 ? pairs(values, values) : triples(values, values, values, 8000);
}

TEST(Float, ArithmeticInEveryRounding) {
    for (const Arithmetic& op : kArithmetic)
        for (const RoundingName& rounding : kRoundings) {
            for (bool ftz : {false, true})
                for (bool sat : {false, true})
                    expect_op(std::string(op.name) + rounding.name + (ftz ? ".ftz" : "") +
                                  (sat ? ".sat" : "") + ".f32" + operands(op.sources),
                              {"f32"}, Types(size_t(op.sources), "f32"),
                              cases_of(op.sources, values32(4)),
                              [&](const uint64_t* a, uint64_t* d) {
                                  uint64_t in[3] = {};
                                  for (int i = 0; i < op.sources; ++i)
                                      in[i] = ftz ? exact::kF32.flush(a[i]) : a[i];
                                  d[0] = op.reference(in, exact::kF32, rounding.mode);
                                  if (sat) d[0] = saturate32(d[0]);
                                  if (ftz && !exact::kF32.is_nan(d[0]))
                                      d[0] = exact::kF32.flush(d[0]);
                              });
            expect_op(
                std::string(op.name) + rounding.name + ".f64" + operands(op.sources) + kSameNan64,
                {"f64"}, Types(size_t(op.sources), "f64"), cases_of(op.sources, values64(4)),
                [&](const uint64_t* a, uint64_t* d) {
                    d[0] = op.reference(a, exact::kF64, rounding.mode);
                });
        }
}

TEST(Float, SumsThatNearlyCancelAndTies) {
    // c = -(a b) rounded, or with one bit changed: what is left is the product's tail.
    std::mt19937_64 random(12);
    Cases cases;
    for (int i = 0; i < 4000; ++i) {
        const uint64_t a = 0x3F000000 + random() % 0x1000000, b = 0x3F000000 + random() % 0x1000000;
        const uint64_t c = exact::product(a, b, exact::kF32, Mode::kNearest) ^ 0x80000000;
        cases.push_back({a, b, c + random() % 3});
    }
    for (const RoundingName& rounding : kRoundings)
        expect_op(std::string("fma") + rounding.name + ".f32 %d0, %a0, %a1, %a2;", {"f32"},
                  Types(3, "f32"), cases, [&](const uint64_t* a, uint64_t* d) {
                      d[0] = exact::fused(a[0], a[1], a[2], exact::kF32, rounding.mode);
                  });
}

TEST(Float, DefaultsAndRefusals) {
    expect_op("add.f32 %d0, %a0, %a1;\nmul.ftz.f32 %d1, %a0, %a1;\nmad.rz.f32 %d2, %a0, %a1, %a0;",
              Types(3, "f32"), Types(2, "f32"), pairs(values32(4), values32(4)),
              [](const uint64_t* a, uint64_t* d) {
                  const Format& f = exact::kF32;
                  d[0] = exact::sum(a[0], a[1], f, Mode::kNearest);
                  d[1] = exact::product(f.flush(a[0]), f.flush(a[1]), f, Mode::kNearest);
                  if (!f.is_nan(d[1])) d[1] = f.flush(d[1]);
                  d[2] = exact::fused(a[0], a[1], a[0], f, Mode::kZero);
              });
    expect_refused("add.f32x2 %d0, %a0, %a1;", {"b64"}, {"b64", "b64"});
    expect_refused("add.ftz.f64 %d0, %a0, %a1;", {"f64"}, {"f64", "f64"});
    expect_refused("fma.f32 %d0, %a0, %a1, %a0;", {"f32"}, {"f32", "f32"});
    expect_refused("div.f32 %d0, %a0, %a1;", {"f32"}, {"f32", "f32"});
    expect_refused("div.approx.f64 %d0, %a0, %a1;", {"f64"}, {"f64", "f64"});
    expect_refused("add.rn.rz.f32 %d0, %a0, %a1;", {"f32"}, {"f32", "f32"});
    expect_refused("add.relu.f32 %d0, %a0, %a1;", {"f32"}, {"f32", "f32"});
    expect_refused("add.f32 %d0, %a0, %a1;", {"f64"}, {"f32", "f32"});
    expect_refused("min.NaN.f64 %d0, %a0, %a1;", {"f64"}, {"f64", "f64"});
    expect_refused("min.f32 %d0, %a0, %a1, %a0;", {"f32"}, {"f32", "f32"});  // sm_100
}

/// Rounds 113 bits to f32 or f64. A quotient of p bits is never so near to a value or a midpoint of
/// p bits that 113 bits could not tell.
uint64_t round_quad(Quad value, const Format& format, Mode mode, bool negative_zero) {
    if (value != value) return format.nan;
    const bool negative = value < 0 || (value == 0 && negative_zero);
    const uint64_t sign = negative ? format.sign() : 0;
    Quad magnitude = value < 0 ? -value : value;
    if (magnitude == 0) return sign;
    if (magnitude > Quad(1e4000L)) return sign | format.infinity();
    int exponent = 0;
    while (magnitude >= 2) {
        magnitude /= 2;
        ++exponent;
    }
    while (magnitude < 1) {
        magnitude *= 2;
        --exponent;
    }
    // 1.x with 112 bits behind the point, as a big number.
    exact::Number n;
    n.negative = negative;
    n.exponent = exponent - 112;
    n.magnitude.assign(4, 0);
    for (int bit = 112; bit >= 0; --bit) {
        if (magnitude >= 1) {
            n.magnitude[size_t(bit / 32)] |= 1u << bit % 32;
            magnitude -= 1;
        }
        magnitude *= 2;
    }
    return exact::round(n, format, mode);
}

TEST(Float, Division) {
    for (const RoundingName& rounding : kRoundings) {
        for (bool ftz : {false, true})
            expect_op(
                std::string("div") + rounding.name + (ftz ? ".ftz" : "") +
                    ".f32 %d0, %a0, %a1;\nrcp" + rounding.name + (ftz ? ".ftz" : "") +
                    ".f32 %d1, %a1;",
                {"f32", "f32"}, {"f32", "f32"}, pairs(values32(8), values32(8)),
                [&](const uint64_t* a, uint64_t* d) {
                    const Format& f = exact::kF32;
                    const uint64_t x = ftz ? f.flush(a[0]) : a[0], y = ftz ? f.flush(a[1]) : a[1];
                    d[0] = round_quad(Quad(f32(x)) / Quad(f32(y)), f, rounding.mode,
                                      f.is_negative(x) != f.is_negative(y));
                    d[1] = round_quad(Quad(1) / Quad(f32(y)), f, rounding.mode, f.is_negative(y));
                    for (int i = 0; i < 2; ++i)
                        if (ftz && !f.is_nan(d[i])) d[i] = f.flush(d[i]);
                });
        expect_op(std::string("div") + rounding.name + ".f64 %d0, %a0, %a1;\n" + kSameNan64,
                  {"f64"}, {"f64", "f64"}, pairs(values64(4), values64(4)),
                  [&](const uint64_t* a, uint64_t* d) {
                      const Format& f = exact::kF64;
                      d[0] = round_quad(Quad(f64(a[0])) / Quad(f64(a[1])), f, rounding.mode,
                                        f.is_negative(a[0]) != f.is_negative(a[1]));
                  });
        expect_op(std::string("rcp") + rounding.name + ".f64 %d0, %a0;\n" + kSameNan64, {"f64"},
                  {"f64"}, singles(values64(40)), [&](const uint64_t* a, uint64_t* d) {
                      d[0] = round_quad(Quad(1) / Quad(f64(a[0])), exact::kF64, rounding.mode,
                                        exact::kF64.is_negative(a[0]));
                  });
    }
    // .full is as good as .rn here.
    expect_op("div.full.f32 %d0, %a0, %a1;", {"f32"}, {"f32", "f32"},
              pairs(values32(4), values32(4)),
              [](const uint64_t* a, uint64_t* d) { d[0] = bits32(f32(a[0]) / f32(a[1])); });
}

TEST(Float, ApproximateDivision) {
    // Zero, or NaN from an infinity, for 2^126 < |b| < 2^128.
    expect_op("div.approx.f32 %d0, %a0, %a1;", {"f32"}, {"f32", "f32"},
              {{0x3F800000, 0x7E800001},
               {0xBF800000, 0x7E800001},
               {0x7F800000, 0x7F000000},
               {0x7F7FFFFF, 0x7E800000},
               {0x3F800000, 0x7F800000},
               {0x40C00000, 0x40000000}},
              [](const uint64_t* a, uint64_t* d) {
                  const uint64_t expected[][2] = {{0x7E800001, 0}, {0x7F000000, 0x7FFFFFFF}};
                  d[0] = bits32(f32(a[0]) / f32(a[1]));
                  for (const auto& row : expected)
                      if (a[1] == row[0]) d[0] = row[1] | (a[0] & 0x80000000);
              });
}

/// x is the root of a rounded so: compared by squaring, exactly.
bool is_root(uint64_t x, uint64_t a, const Format& f, Mode mode) {
    const auto square = [&](const exact::Number& n) { return exact::multiply(n, n); };
    const auto compare = [&](const exact::Number& n) {  // n^2 against a
        exact::Number minus = exact::number(a, f);
        minus.negative = true;
        const exact::Number difference = exact::add(square(n), minus);
        return difference.is_zero() ? 0 : difference.negative ? -1 : 1;
    };
    const exact::Number here = exact::number(x, f), above = exact::number(x + 1, f),
                        below = exact::number(x - 1, f);
    const auto middle = [&](const exact::Number& p, const exact::Number& q) {
        exact::Number n = exact::add(p, q);
        n.exponent -= 1;
        return n;
    };
    switch (mode) {
        case Mode::kZero:
        case Mode::kDown:
            return compare(here) <= 0 && compare(above) > 0;
        case Mode::kUp:
            return compare(here) >= 0 && compare(below) < 0;
        default:
            return compare(middle(here, above)) >= 0 && compare(middle(below, here)) <= 0;
    }
}

TEST(Float, SquareRoots) {
    for (bool wide : {false, true}) {
        const Format& f = wide ? exact::kF64 : exact::kF32;
        const std::string t = wide ? "f64" : "f32";
        Cases cases;
        for (uint64_t v : wide ? values64(200) : values32(200))
            if (!f.is_negative(v) && !f.is_nan(v) && !f.is_infinite(v) && !f.is_zero(v))
                cases.push_back({v});
        for (const RoundingName& rounding : kRoundings) {
            const OneOpRun run = run_op(
                std::string("sqrt") + rounding.name + "." + t + " %d0, %a0;", {t}, {t}, cases);
            for (size_t i = 0; i < cases.size(); ++i)
                EXPECT_TRUE(is_root(run.results[i][0], cases[i][0], f, rounding.mode))
                    << rounding.name << t << in_hex(cases[i]) << in_hex(run.results[i]);
        }
        const uint64_t minus_one = wide ? 0xBFF0000000000000 : 0xBF800000;
        expect_op(
            "sqrt.rn." + t + " %d0, %a0;" + (wide ? kSameNan64 : ""), {t}, {t},
            {{0}, {f.sign()}, {f.infinity()}, {f.infinity() | f.sign()}, {minus_one}, {f.nan}},
            [&](const uint64_t* a, uint64_t* d) {
                d[0] = f.is_zero(a[0]) || a[0] == f.infinity() ? a[0] : f.nan;
            });
    }
}

/// Largest error of an approximation in units of the last place of the exact result.
void expect_near(const std::string& text, const Case& inputs, double (*function)(double),
                 double ulps) {
    SCOPED_TRACE(text);
    const OneOpRun run = run_op(text, {"f32"}, {"f32"}, singles(inputs));
    ASSERT_EQ(run.results.size(), inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
        const double right = function(f32(inputs[i]));
        const float got = f32(run.results[i][0]);
        if (right != right) {
            EXPECT_EQ(run.results[i][0], 0x7FFFFFFFu) << in_hex({inputs[i]});
            continue;
        }
        if (std::fabs(right) > 0x1.fffffefp127) {
            EXPECT_TRUE(std::isinf(got) && std::signbit(got) == std::signbit(right))
                << in_hex({inputs[i]});
            continue;
        }
        const double ulp =
            std::ldexp(1.0, std::max(std::ilogb(right == 0 ? 1e-45 : right), -126) - 23);
        EXPECT_LE(std::fabs(got - right), ulps * ulp) << in_hex({inputs[i]}) << " got " << got;
        EXPECT_EQ(std::signbit(got), std::signbit(right)) << in_hex({inputs[i]});
    }
}

TEST(Float, Functions) {
    Case v = values32(60), small;
    for (uint64_t bits : v)
        if (std::fabs(f32(bits)) < 100) small.push_back(bits);
    expect_near(
        "ex2.approx.f32 %d0, %a0;", v, [](double x) { return std::exp2(x); }, 2);
    expect_near(
        "lg2.approx.f32 %d0, %a0;", v, [](double x) { return std::log2(x); }, 2);
    expect_near(
        "sin.approx.f32 %d0, %a0;", small, [](double x) { return std::sin(x); }, 2);
    expect_near(
        "cos.approx.f32 %d0, %a0;", small, [](double x) { return std::cos(x); }, 2);
    expect_near(
        "tanh.approx.f32 %d0, %a0;", v, [](double x) { return std::tanh(x); }, 2);
    expect_near(
        "rsqrt.approx.f32 %d0, %a0;", v, [](double x) { return 1 / std::sqrt(x); }, 1);
    expect_near(
        "rcp.approx.f32 %d0, %a0;", v, [](double x) { return 1 / x; }, 1);
    expect_near(
        "sqrt.approx.f32 %d0, %a0;", v, [](double x) { return std::sqrt(x); }, 1);
    // Subnormal inputs and results are flushed with .ftz.
    expect_op(
        "ex2.approx.ftz.f32 %d0, %a0;\nrcp.approx.ftz.f32 %d1, %a1;\n"
        "lg2.approx.ftz.f32 %d2, %a1;\nrsqrt.approx.ftz.f32 %d3, %a1;",
        Types(4, "f32"), Types(2, "f32"), {{0xC3000000, 0x80000001}},  // 2^-128, -2^-149
        [](const uint64_t*, uint64_t* d) {
            d[0] = 0;
            d[1] = 0xFF800000;
            d[2] = 0xFF800000;
            d[3] = 0xFF800000;
        });
    // Only the upper half of the f64 approximations carries bits.
    for (const char* name : {"rcp", "rsqrt"}) {
        const Cases cases = singles({0x3FF8000000000001, 0x4000123456789ABC, 0x7FE123456789ABCD});
        const OneOpRun run =
            run_op(std::string(name) + ".approx.ftz.f64 %d0, %a0;", {"f64"}, {"f64"}, cases);
        for (size_t i = 0; i < cases.size(); ++i) {
            const double x = f64(cases[i][0]);
            const double right = std::string(name) == "rcp" ? 1 / x : 1 / std::sqrt(x);
            EXPECT_EQ(run.results[i][0] & 0xFFFFFFFF, 0u);
            if (right >= 0x1p-1022) {
                EXPECT_NEAR(f64(run.results[i][0]) / right, 1, 0x1p-19);
            }
        }
    }
    expect_refused("sin.f32 %d0, %a0;", {"f32"}, {"f32"});
    expect_refused("tanh.approx.ftz.f32 %d0, %a0;", {"f32"}, {"f32"});
    expect_refused("rcp.approx.f64 %d0, %a0;", {"f64"}, {"f64"});
}

TEST(Float, SignsAndExtremes) {
    expect_op(
        "copysign.f32 %d0, %a0, %a1;", {"f32"}, {"f32", "f32"}, pairs(values32(2), values32(2)),
        [](const uint64_t* a, uint64_t* d) { d[0] = (a[0] & 0x80000000) | (a[1] & 0x7FFFFFFF); });
    expect_op("abs.f32 %d0, %a0;\nneg.f32 %d1, %a0;\nabs.ftz.f32 %d2, %a0;\nneg.ftz.f32 %d3, %a0;",
              Types(4, "f32"), {"f32"}, singles(values32(20)), [](const uint64_t* a, uint64_t* d) {
                  const Format& f = exact::kF32;
                  d[0] = a[0] & 0x7FFFFFFF;
                  d[1] = a[0] ^ 0x80000000;
                  d[2] = f.flush(a[0]) & 0x7FFFFFFF;
                  d[3] = f.flush(a[0]) ^ 0x80000000;
                  for (int i = 0; i < 4; ++i)
                      if (f.is_nan(a[0])) d[i] = f.nan;
              });
    expect_op("abs.f64 %d0, %a0;\nneg.f64 %d1, %a0;\ncopysign.f64 %d2, %a0, 0d4000000000000000;",
              Types(3, "f64"), {"f64"}, singles(values64(20)), [](const uint64_t* a, uint64_t* d) {
                  const uint64_t sign = uint64_t{1} << 63;
                  d[0] = a[0] & ~sign;
                  d[1] = a[0] ^ sign;
                  d[2] = 0x4000000000000000 | (a[0] & sign);
              });

    const auto extreme = [](uint64_t x, uint64_t y, const Format& f, bool is_min, bool nan) {
        if (f.is_nan(x) || f.is_nan(y)) {
            if (nan || (f.is_nan(x) && f.is_nan(y))) return f.nan;
            return f.is_nan(x) ? y : x;
        }
        // Sign-magnitude order in which -0 is below +0.
        const auto rank = [&](uint64_t v) {
            const auto m = static_cast<__int128>(v & (f.sign() - 1));
            return f.is_negative(v) ? -m - 1 : m;
        };
        return (rank(x) < rank(y)) == is_min ? x : y;
    };
    for (bool is_min : {false, true}) {
        const std::string name = is_min ? "min" : "max";
        const Cases cases = pairs(values32(6), values32(6));
        for (bool ftz : {false, true})
            for (bool nan : {false, true}) {
                const auto flushed = [&](uint64_t v) { return ftz ? exact::kF32.flush(v) : v; };
                const std::string middle = std::string(ftz ? ".ftz" : "") + (nan ? ".NaN" : "");
                expect_op(
                    name + middle + ".f32 %d0, %a0, %a1;\n" + name + middle +
                        ".xorsign.abs.f32 %d1, %a0, %a1;",
                    {"f32", "f32"}, {"f32", "f32"}, cases, [&](const uint64_t* a, uint64_t* d) {
                        const uint64_t x = flushed(a[0]), y = flushed(a[1]);
                        d[0] = extreme(x, y, exact::kF32, is_min, nan);
                        d[1] = extreme(x & 0x7FFFFFFF, y & 0x7FFFFFFF, exact::kF32, is_min, nan);
                        if (!exact::kF32.is_nan(d[1])) d[1] |= (x ^ y) & 0x80000000;
                    });
                expect_op(
                    name + middle + ".f32 %d0, %a0, %a1, %a2;", {"f32"}, Types(3, "f32"),
                    triples(values32(4), values32(4), values32(4), 2000),
                    [&](const uint64_t* a, uint64_t* d) {
                        d[0] =
                            extreme(extreme(flushed(a[0]), flushed(a[1]), exact::kF32, is_min, nan),
                                    flushed(a[2]), exact::kF32, is_min, nan);
                    },
                    100);
            }
        expect_op(name + ".f64 %d0, %a0, %a1;\n" + kSameNan64, {"f64"}, {"f64", "f64"},
                  pairs(values64(6), values64(6)), [&](const uint64_t* a, uint64_t* d) {
                      d[0] = extreme(a[0], a[1], exact::kF64, is_min, false);
                  });
    }
}

}  // namespace
}  // namespace emulator
