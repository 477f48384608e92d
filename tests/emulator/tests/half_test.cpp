// 16-bit floating arithmetic, scalar and packed, against exact big-number arithmetic rounded once.
#include <cmath>

#include "tests/emulator/tests/exact.hpp"
#include "tests/emulator/tests/one_op.hpp"

namespace emulator {
namespace {

using exact::Format;
using exact::Mode;

struct HalfType {
    const char* name;
    Format format;
    uint64_t one;
};
const HalfType kHalves[] = {{"f16", exact::kF16, 0x3C00}, {"bf16", exact::kBF16, 0x3F80}};

Case values_of(const HalfType& t, size_t n = 8) {
    return float_values(t.format.exponent_bits, t.format.mantissa_bits, n);
}

/// The scalar instruction on `cases`, and the packed one on two cases at a time.
using Scalar = std::function<uint64_t(const uint64_t* a)>;
void expect_half(const std::string& opcode, const HalfType& t, size_t sources, const Cases& cases,
                 const Scalar& scalar, int arch = 90) {
    std::string operands = " %d0";
    for (size_t i = 0; i < sources; ++i)
        operands += ", %a" + std::to_string(i);
    operands += ";";
    expect_op(
        opcode + "." + t.name + operands, {"b16"}, Types(sources, "b16"), cases,
        [&](const uint64_t* a, uint64_t* d) { d[0] = scalar(a); }, arch);
    Cases packed;
    for (size_t i = 0; i < cases.size(); ++i) {
        Case both;
        for (size_t j = 0; j < sources; ++j)
            both.push_back(cases[i][j] | cases[cases.size() - 1 - i][j] << 16);
        packed.push_back(both);
    }
    expect_op(
        opcode + "." + t.name + "x2" + operands, {"b32"}, Types(sources, "b32"), packed,
        [&](const uint64_t* a, uint64_t* d) {
            uint64_t low[3] = {}, high[3] = {};
            for (size_t j = 0; j < sources; ++j) {
                low[j] = a[j] & 0xFFFF;
                high[j] = a[j] >> 16;
            }
            d[0] = scalar(low) | scalar(high) << 16;
        },
        arch);
}

uint64_t saturate(uint64_t bits, const HalfType& t) {
    if (t.format.is_nan(bits) || t.format.is_negative(bits)) return 0;
    return bits > t.one ? t.one : bits;
}
uint64_t relu(uint64_t bits, const HalfType& t) {
    return !t.format.is_nan(bits) && t.format.is_negative(bits) ? 0 : bits;
}

TEST(Half, SumsAndProducts) {
    for (const HalfType& t : kHalves) {
        const Cases cases = pairs(values_of(t), values_of(t));
        const Format& f = t.format;
        expect_half("add", t, 2, cases,
                    [&](const uint64_t* a) { return sum(a[0], a[1], f, Mode::kNearest); });
        expect_half("sub.rn", t, 2, cases, [&](const uint64_t* a) {
            return f.is_nan(a[1]) ? f.nan : sum(a[0], a[1] ^ f.sign(), f, Mode::kNearest);
        });
        expect_half("mul.rn", t, 2, cases,
                    [&](const uint64_t* a) { return product(a[0], a[1], f, Mode::kNearest); });
    }
    const HalfType& t = kHalves[0];
    const Format& f = t.format;
    const Cases cases = pairs(values_of(t), values_of(t));
    expect_half("add.ftz.sat", t, 2, cases, [&](const uint64_t* a) {
        return f.flush(saturate(sum(f.flush(a[0]), f.flush(a[1]), f, Mode::kNearest), t));
    });
    expect_half("mul.ftz", t, 2, cases, [&](const uint64_t* a) {
        const uint64_t d = product(f.flush(a[0]), f.flush(a[1]), f, Mode::kNearest);
        return f.is_nan(d) ? d : f.flush(d);
    });
    expect_half("mul.sat", t, 2, cases, [&](const uint64_t* a) {
        return saturate(product(a[0], a[1], f, Mode::kNearest), t);
    });
    expect_refused("add.bf16 %d0, %a0, %a1;", {"b16"}, {"b16", "b16"}, 80);
    expect_refused("add.ftz.bf16 %d0, %a0, %a1;", {"b16"}, {"b16", "b16"});
    expect_refused("add.rz.f16 %d0, %a0, %a1;", {"b16"}, {"b16", "b16"});
    expect_refused("add.relu.f16 %d0, %a0, %a1;", {"b16"}, {"b16", "b16"});
    expect_refused("add.f16x2 %d0, %a0, %a1;", {"b16"}, {"b16", "b16"});
}

TEST(Half, FusedMultiplyAddRoundsOnce) {
    for (const HalfType& t : kHalves) {
        const Format& f = t.format;
        Cases cases = triples(values_of(t), values_of(t), values_of(t), 6000);
        // Sums next to midpoints, decided by a term far below.
        std::mt19937_64 random(21);
        const uint64_t ulp = uint64_t{1} << f.mantissa_bits;
        for (int i = 0; i < 20000; ++i) {
            const uint64_t c = (t.one - 4 * ulp + random() % (8 * ulp)) | (random() & 1) << 15;
            const uint64_t a = (t.one - 12 * ulp + random() % (12 * ulp)) | (random() & 1) << 15;
            cases.push_back({a, t.one - random() % 8 * ulp + random() % 4, c});
        }
        const auto fma = [&](const uint64_t* a) {
            return fused(a[0], a[1], a[2], f, Mode::kNearest);
        };
        expect_half("fma.rn", t, 3, cases, fma);
        expect_half("fma.rn", t, 3, cases, fma, 80);
        expect_half("fma.rn.relu", t, 3, cases, [&](const uint64_t* a) { return relu(fma(a), t); });
    }
    const HalfType& t = kHalves[0];
    const Format& f = t.format;
    const Cases cases = triples(values_of(t), values_of(t), values_of(t));
    expect_half("fma.rn.ftz.sat", t, 3, cases, [&](const uint64_t* a) {
        return f.flush(
            saturate(fused(f.flush(a[0]), f.flush(a[1]), f.flush(a[2]), f, Mode::kNearest), t));
    });
    expect_refused("fma.f16 %d0, %a0, %a0, %a0;", {"b16"}, {"b16"});
    expect_refused("fma.rn.oob.f16 %d0, %a0, %a0, %a0;", {"b16"}, {"b16"});
    expect_refused("fma.rn.sat.bf16 %d0, %a0, %a0, %a0;", {"b16"}, {"b16"});
    expect_refused("fma.rn.f32.f16 %d0, %a0, %a0, %a1;", {"f32"}, {"b16", "f32"});
}

TEST(Half, Signs) {
    for (const HalfType& t : kHalves) {
        const Cases cases = singles(values_of(t, 40));
        expect_half("neg", t, 1, cases, [&](const uint64_t* a) { return a[0] ^ 0x8000; });
        expect_half("abs", t, 1, cases, [&](const uint64_t* a) { return a[0] & 0x7FFF; });
    }
    const HalfType& t = kHalves[0];
    expect_half("neg.ftz", t, 1, singles(values_of(t, 40)),
                [&](const uint64_t* a) { return t.format.flush(a[0]) ^ 0x8000; });
    expect_half("abs.ftz", t, 1, singles(values_of(t, 40)),
                [&](const uint64_t* a) { return t.format.flush(a[0]) & 0x7FFF; });
}

TEST(Half, MinimumAndMaximum) {
    for (const HalfType& t : kHalves) {
        const Format& f = t.format;
        const Cases cases = pairs(values_of(t, 6), values_of(t, 6));
        const auto extreme = [&](uint64_t x, uint64_t y, bool is_min, bool nan) {
            if (f.is_nan(x) || f.is_nan(y)) {
                if (nan || (f.is_nan(x) && f.is_nan(y))) return f.nan;
                return f.is_nan(x) ? y : x;
            }
            const auto rank = [&](uint64_t v) {
                const auto m = static_cast<int64_t>(v & 0x7FFF);
                return f.is_negative(v) ? -m - 1 : m;
            };
            return (rank(x) < rank(y)) == is_min ? x : y;
        };
        for (bool is_min : {false, true})
            for (bool nan : {false, true}) {
                const std::string name = std::string(is_min ? "min" : "max") + (nan ? ".NaN" : "");
                expect_half(name, t, 2, cases,
                            [&](const uint64_t* a) { return extreme(a[0], a[1], is_min, nan); });
                expect_half(name + ".xorsign.abs", t, 2, cases, [&](const uint64_t* a) {
                    const uint64_t d = extreme(a[0] & 0x7FFF, a[1] & 0x7FFF, is_min, nan);
                    return f.is_nan(d) ? d : d | ((a[0] ^ a[1]) & 0x8000);
                });
            }
    }
    expect_refused("min.ftz.bf16 %d0, %a0, %a0;", {"b16"}, {"b16"});
    expect_refused("min.xorsign.f16 %d0, %a0, %a0;", {"b16"}, {"b16"});
}

TEST(Half, Functions) {
    // f32 results of the functions are good to 2^-22 or so; rounded to 8 or 11 bits they may sit on
    // either side of a midpoint, no more.
    const auto check = [](const std::string& opcode, const HalfType& t, double (*function)(double),
                          bool ftz) {
        const Case inputs = values_of(t, 60);
        const OneOpRun run =
            run_op(opcode + "." + t.name + " %d0, %a0;", {"b16"}, {"b16"}, singles(inputs));
        const auto value = [&](uint64_t bits) {
            uint32_t wide = uint32_t(exact::convert(bits, t.format, exact::kF32, Mode::kNearest));
            float f;
            std::memcpy(&f, &wide, 4);
            return f;
        };
        for (size_t i = 0; i < inputs.size(); ++i) {
            const uint64_t in = ftz ? t.format.flush(inputs[i]) : inputs[i];
            const auto right = static_cast<float>(function(value(in)));
            uint32_t bits;
            std::memcpy(&bits, &right, 4);
            uint64_t expected = exact::convert(bits, exact::kF32, t.format, Mode::kNearest);
            if (ftz && !t.format.is_nan(expected)) expected = t.format.flush(expected);
            const int64_t difference = int64_t(run.results[i][0]) - int64_t(expected);
            EXPECT_LE(std::abs(difference), 1)
                << opcode << in_hex({inputs[i], run.results[i][0], expected});
        }
    };
    const auto exp2 = [](double x) { return std::exp2(x); };
    const auto tanh = [](double x) { return std::tanh(x); };
    check("ex2.approx", kHalves[0], exp2, false);
    check("ex2.approx.ftz", kHalves[1], exp2, true);
    check("tanh.approx", kHalves[0], tanh, false);
    check("tanh.approx", kHalves[1], tanh, false);
    expect_op("ex2.approx.f16x2 %d0, %a0;\ntanh.approx.bf16x2 %d1, %a0;", {"b32", "b32"}, {"b32"},
              {{0x40003C00}, {0x00000000}}, [](const uint64_t* a, uint64_t* d) {
                  d[0] = a[0] == 0 ? 0x3C003C00 : 0x44004000;
                  // bf16: 2^1 (0x4000) and 0x3C00 = 2^-7.
                  d[1] = a[0] == 0 ? 0 : 0x3F773C00;
              });
    expect_refused("ex2.approx.bf16 %d0, %a0;", {"b16"}, {"b16"});
    expect_refused("tanh.approx.bf16 %d0, %a0;", {"b16"}, {"b16"}, 80);
    expect_refused("ex2.f16 %d0, %a0;", {"b16"}, {"b16"});
}

}  // namespace
}  // namespace emulator
