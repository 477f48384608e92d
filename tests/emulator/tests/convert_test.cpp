// Moves and conversions: integers against 128-bit clamping, floats against exact.hpp, the 8, 6 and
// 4-bit formats against lists of all their values, which follow from the OCP formats' definitions.
#include <cmath>

#include "tests/emulator/isa/narrow_float.hpp"
#include "tests/emulator/tests/exact.hpp"
#include "tests/emulator/tests/one_op.hpp"

namespace emulator {
namespace {

using exact::Format;
using exact::Mode;
using Wide = __int128;

uint64_t mask_of(int bits) {
    return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
}

struct Integer {
    bool is_signed;
    int bits;
    std::string name() const { return (is_signed ? "s" : "u") + std::to_string(bits); }
    Wide low() const { return is_signed ? -(Wide(1) << (bits - 1)) : 0; }
    Wide high() const { return (Wide(1) << (is_signed ? bits - 1 : bits)) - 1; }
    Wide value(uint64_t lane) const {
        const Wide v = lane & mask_of(bits);
        return is_signed && v > high() ? v - (Wide(1) << bits) : v;
    }
};
std::vector<Integer> integers() {
    std::vector<Integer> all;
    for (int bits : {8, 16, 32, 64})
        for (bool is_signed : {false, true})
            all.push_back({is_signed, bits});
    return all;
}
std::string reg(int bits) {
    return "b" + std::to_string(bits < 16 ? 16 : bits);
}

TEST(Convert, IntegersToIntegers) {
    for (const Integer& from : integers())
        for (const Integer& to : integers())
            for (bool sat : {false, true})
                for (int wider : {0, 1, 2}) {
                    // Registers of the types' size, 32 and 64 bits.
                    const int from_bits = std::max(from.bits, wider == 0 ? 16 : 32 * wider);
                    const int to_bits = std::max(to.bits, wider == 0 ? 16 : 32 * wider);
                    expect_op("cvt" + std::string(sat ? ".sat." : ".") + to.name() + "." +
                                  from.name() + " %d0, %a0;",
                              {reg(to_bits)}, {reg(from_bits)}, singles(integer_values(from_bits)),
                              [&](const uint64_t* a, uint64_t* d) {
                                  Wide v = from.value(a[0]);
                                  if (sat)
                                      v = v < to.low() ? to.low() : v > to.high() ? to.high() : v;
                                  d[0] = uint64_t(to.value(uint64_t(v))) &
                                         mask_of(std::max(to_bits, 16));
                              });
                }
    expect_refused("cvt.rn.s32.s16 %d0, %a0;", {"b32"}, {"b16"});
    expect_refused("cvt.u64.u32 %d0, %a0;", {"b32"}, {"b32"});
    expect_refused("cvt.u32.u64 %d0, %a0;", {"b32"}, {"b32"});
}

struct FloatType {
    const char* name;
    Format format;
    const char* reg;
};
const FloatType kFloats[] = {{"f16", exact::kF16, "b16"},
                             {"bf16", exact::kBF16, "b16"},
                             {"f32", exact::kF32, "f32"},
                             {"f64", exact::kF64, "f64"}};
Case values_of(const FloatType& t, size_t n = 30) {
    return float_values(t.format.exponent_bits, t.format.mantissa_bits, n);
}

struct RoundingName {
    const char* name;
    Mode mode;
};
const RoundingName kRoundings[] = {
    {"rn", Mode::kNearest}, {"rz", Mode::kZero}, {"rm", Mode::kDown}, {"rp", Mode::kUp}};

/// A finite float as a whole number, rounded; magnitudes from 2^70 on as 2^70.
Wide rounded(uint64_t bits, const Format& f, Mode mode) {
    const exact::Number n = exact::number(bits, f);
    const int top = n.highest_bit() + n.exponent;
    if (n.is_zero()) return 0;
    if (top >= 70) return (Wide(1) << 70) * (n.negative ? -1 : 1);
    Wide whole = 0;
    for (int i = 70; i >= 0; --i)
        whole = whole * 2 + n.bit(i - n.exponent);
    bool half = n.bit(-1 - n.exponent), rest = false;
    for (int i = 0; i < -1 - n.exponent; ++i)
        rest = rest || n.bit(i);
    if (mode == Mode::kNearest && half && (rest || (whole & 1))) ++whole;
    if (((mode == Mode::kUp && !n.negative) || (mode == Mode::kDown && n.negative)) &&
        (half || rest))
        ++whole;
    return n.negative ? -whole : whole;
}

TEST(Convert, FloatsToIntegers) {
    for (const FloatType& from : kFloats) {
        Case values = values_of(from);
        // Around the ends of the integer types and around halves.
        for (double near :
             {0.5, 1.5, 2.5, 126.5, 127.5, 128.0, 255.5, 256.0, 32767.5, 65535.5, 2147483647.5,
              4294967295.5, 9223372036854775808.0, 18446744073709551616.0}) {
            uint64_t bits64;
            std::memcpy(&bits64, &near, 8);
            const uint64_t code = exact::convert(bits64, exact::kF64, from.format, Mode::kZero);
            for (uint64_t c : {code - 1, code, code + 1}) {
                values.push_back(c);
                values.push_back(c | from.format.sign());
            }
        }
        for (const Integer& to : integers())
            for (const RoundingName& rounding : kRoundings)
                expect_op("cvt." + std::string(rounding.name) + "i." + to.name() + "." + from.name +
                              " %d0, %a0;",
                          {reg(to.bits)}, {from.reg}, singles(values),
                          [&](const uint64_t* a, uint64_t* d) {
                              const Format& f = from.format;
                              Wide v = 0;
                              if (f.is_nan(a[0]))
                                  v = to.bits == 64 ? Wide(1) << 63 : 0;
                              else if (f.is_infinite(a[0]))
                                  v = f.is_negative(a[0]) ? to.low() : to.high();
                              else
                                  v = rounded(a[0], f, rounding.mode);
                              if (!f.is_nan(a[0]))
                                  v = v < to.low() ? to.low() : v > to.high() ? to.high() : v;
                              d[0] = uint64_t(v) & mask_of(std::max(to.bits, 16));
                          });
    }
    // A tiny positive number is 1 rounded up, unless it is flushed.
    expect_op("cvt.rpi.s32.f32 %d0, %a0;\ncvt.rpi.ftz.s32.f32 %d1, %a0;", {"b32", "b32"}, {"f32"},
              {{1}}, [](const uint64_t*, uint64_t* d) { d[0] = 1; });
    expect_refused("cvt.s32.f32 %d0, %a0;", {"b32"}, {"f32"});
    expect_refused("cvt.rn.s32.f32 %d0, %a0;", {"b32"}, {"f32"});
}

TEST(Convert, IntegersToFloats) {
    for (const Integer& from : integers()) {
        Case values = integer_values(from.bits, 60);
        for (int shift = 1; shift < from.bits; ++shift)  // next to midpoints
            for (uint64_t low : {0, 1, 2, 3})
                values.push_back(((uint64_t{0x3FFFFFFFFFFFFFFD} >> (62 - shift)) + low) &
                                 mask_of(from.bits));
        for (const FloatType& to : kFloats)
            for (const RoundingName& rounding : kRoundings)
                expect_op("cvt." + std::string(rounding.name) + "." + to.name + "." + from.name() +
                              " %d0, %a0;",
                          {to.reg}, {reg(from.bits)}, singles(values),
                          [&](const uint64_t* a, uint64_t* d) {
                              const Wide v = from.value(a[0]);
                              d[0] = exact::round(exact::integer(uint64_t(v < 0 ? -v : v), v < 0),
                                                  to.format, rounding.mode);
                          });
    }
    expect_op(
        "cvt.rn.sat.f32.s32 %d0, %a0;", {"f32"}, {"b32"}, singles({0, 1, 5, 0xFFFFFFFF}),
        [](const uint64_t* a, uint64_t* d) { d[0] = a[0] == 1 || a[0] == 5 ? 0x3F800000 : 0; });
    expect_refused("cvt.f32.s32 %d0, %a0;", {"f32"}, {"b32"});
    expect_refused("cvt.rni.f32.s32 %d0, %a0;", {"f32"}, {"b32"});
    expect_refused("cvt.rn.bf16.s32 %d0, %a0;", {"b16"}, {"b32"}, 80);
}

/// f64 keeps payloads.
uint64_t same_nan(uint64_t bits, const Format& f) {
    return f.is_nan(bits) ? f.nan : bits;
}

TEST(Convert, FloatsToFloats) {
    for (const FloatType& from : kFloats)
        for (const FloatType& to : kFloats) {
            const std::string types = std::string(to.name) + "." + from.name;
            const bool same = types == std::string(from.name) + "." + from.name;
            const bool loses = to.format.mantissa_bits < from.format.mantissa_bits ||
                               to.format.exponent_bits < from.format.exponent_bits;
            if (!loses) {
                OneOpRun run = run_op("cvt." + types + " %d0, %a0;", {to.reg}, {from.reg},
                                      singles(values_of(from)));
                for (size_t i = 0; i < run.results.size(); ++i)
                    EXPECT_EQ(
                        same_nan(run.results[i][0], to.format),
                        exact::convert(values_of(from)[i], from.format, to.format, Mode::kNearest))
                        << types;
                if (!same) expect_refused("cvt.rn." + types + " %d0, %a0;", {to.reg}, {from.reg});
                continue;
            }
            expect_refused("cvt." + types + " %d0, %a0;", {to.reg}, {from.reg});
            // Values of `to`, and what lies between them.
            Case values = values_of(from);
            for (uint64_t code : values_of(to)) {
                if (to.format.is_nan(code) || to.format.is_infinite(code)) continue;
                const uint64_t wide = exact::convert(code, to.format, from.format, Mode::kZero);
                const uint64_t next = exact::convert(code + 1, to.format, from.format, Mode::kZero);
                for (uint64_t c :
                     {wide, wide + 1, wide + (next - wide) / 2, wide + (next - wide) / 2 + 1,
                      wide + (next - wide) / 2 - 1, next - 1})
                    values.push_back(c);
            }
            for (const RoundingName& rounding : kRoundings)
                expect_op("cvt." + std::string(rounding.name) + "." + types + " %d0, %a0;",
                          {to.reg}, {from.reg}, singles(values),
                          [&](const uint64_t* a, uint64_t* d) {
                              d[0] = exact::convert(a[0], from.format, to.format, rounding.mode);
                          });
        }
}

TEST(Convert, FloatModifiers) {
    const Case values = float_values(8, 23, 60);
    const Format& f = exact::kF32;
    const auto half = [&](uint64_t a, const Format& to, Mode mode, bool relu, bool satfinite) {
        const uint64_t d = exact::convert(a, f, to, mode, satfinite);
        return relu && !to.is_nan(d) && to.is_negative(d) ? 0 : d;
    };
    for (bool bf16 : {false, true}) {
        const Format& to = bf16 ? exact::kBF16 : exact::kF16;
        const std::string t = bf16 ? ".bf16.f32" : ".f16.f32";
        expect_op("cvt.rn.relu" + t + " %d0, %a0;\ncvt.rz.relu" + t +
                      " %d1, %a0;\ncvt.rn.satfinite" + t + " %d2, %a0;\ncvt.rn.relu.satfinite" + t +
                      " %d3, %a0;",
                  Types(4, "b16"), {"f32"}, singles(values), [&](const uint64_t* a, uint64_t* d) {
                      d[0] = half(a[0], to, Mode::kNearest, true, false);
                      d[1] = half(a[0], to, Mode::kZero, true, false);
                      d[2] = half(a[0], to, Mode::kNearest, false, true);
                      d[3] = half(a[0], to, Mode::kNearest, true, true);
                  });
    }
    // To whole numbers in the same type.
    for (const RoundingName& rounding : kRoundings)
        expect_op("cvt." + std::string(rounding.name) + "i.f32.f32 %d0, %a0;", {"f32"}, {"f32"},
                  singles(values), [&](const uint64_t* a, uint64_t* d) {
                      d[0] = f.is_nan(a[0]) ? f.nan : a[0];
                      if (f.is_nan(a[0]) || f.is_infinite(a[0])) return;
                      const exact::Number n = exact::number(a[0], f);
                      if (n.highest_bit() + n.exponent >= 30) return;
                      const Wide v = rounded(a[0], f, rounding.mode);
                      exact::Number whole =
                          exact::integer(uint64_t(v < 0 ? -v : v), f.is_negative(a[0]));
                      d[0] = exact::round(whole, f, Mode::kNearest);
                  });
    expect_op("cvt.sat.f32.f32 %d0, %a0;\ncvt.ftz.f32.f32 %d1, %a0;\ncvt.ftz.sat.f32.f32 %d2, %a0;",
              Types(3, "f32"), {"f32"}, singles(values), [&](const uint64_t* a, uint64_t* d) {
                  const bool low = f.is_nan(a[0]) || f.is_negative(a[0]);
                  d[0] = low ? 0 : std::min<uint64_t>(a[0], 0x3F800000);
                  d[1] = f.is_nan(a[0]) ? f.nan : f.flush(a[0]);
                  d[2] = low ? 0 : std::min<uint64_t>(f.flush(a[0]), 0x3F800000);
              });
    expect_refused("cvt.rn.relu.f32.f64 %d0, %a0;", {"f32"}, {"f64"});
    expect_refused("cvt.rn.ftz.f16.f64 %d0, %a0;", {"b16"}, {"f64"});
    expect_refused("cvt.rna.f16.f32 %d0, %a0;", {"b16"}, {"f32"});
    expect_refused("cvt.rs.f16x2.f32 %d0, %a0, %a0, %a0;", {"b32"}, {"f32"});
}

TEST(Convert, Tf32) {
    const auto tf32 = [](uint64_t a, Mode mode) {
        return exact::kF32.is_nan(a) ? 0x7FFFFFFF
                                     : exact::convert(a, exact::kF32, exact::kTF32, mode) << 13;
    };
    const Case values = float_values(8, 23, 200);
    expect_op(
        "cvt.rna.tf32.f32 %d0, %a0;", {"b32"}, {"f32"}, singles(values),
        [&](const uint64_t* a, uint64_t* d) { d[0] = tf32(a[0], Mode::kAway); }, 80);
    expect_op(
        "cvt.rn.tf32.f32 %d0, %a0;\ncvt.rz.tf32.f32 %d1, %a0;\ncvt.rn.relu.tf32.f32 %d2, %a0;",
        Types(3, "b32"), {"f32"}, singles(values), [&](const uint64_t* a, uint64_t* d) {
            d[0] = tf32(a[0], Mode::kNearest);
            d[1] = tf32(a[0], Mode::kZero);
            d[2] = exact::kF32.is_negative(a[0]) && !exact::kF32.is_nan(a[0]) ? 0 : d[0];
        });
    expect_refused("cvt.rn.tf32.f32 %d0, %a0;", {"b32"}, {"f32"}, 80);
    expect_refused("cvt.tf32.f32 %d0, %a0;", {"b32"}, {"f32"});
}

TEST(Convert, PairsPutTheFirstSourceHigh) {
    const Case values = float_values(8, 23, 10);
    for (bool bf16 : {false, true}) {
        const Format& to = bf16 ? exact::kBF16 : exact::kF16;
        const std::string t = bf16 ? ".bf16x2.f32" : ".f16x2.f32";
        for (Mode mode : {Mode::kNearest, Mode::kZero})
            for (bool relu : {false, true})
                expect_op(
                    "cvt" + std::string(mode == Mode::kZero ? ".rz" : ".rn") +
                        (relu ? ".relu" : "") + t + " %d0, %a0, %a1;",
                    {"b32"}, {"f32", "f32"}, pairs(values, values),
                    [&](const uint64_t* a, uint64_t* d) {
                        uint64_t part[2];
                        for (int i = 0; i < 2; ++i) {
                            part[i] = exact::convert(a[i], exact::kF32, to, mode);
                            if (relu && !to.is_nan(part[i]) && to.is_negative(part[i])) part[i] = 0;
                        }
                        d[0] = part[0] << 16 | part[1];
                    },
                    80);
    }
    expect_refused("cvt.rm.f16x2.f32 %d0, %a0, %a0;", {"b32"}, {"f32"});
    expect_refused("cvt.f16x2.f32 %d0, %a0, %a0;", {"b32"}, {"f32"});
}

// ---- 8, 6 and 4 bits ---------------------------------------------------------------------------

struct SmallFormat {
    const char* name;
    int exponent_bits, mantissa_bits;
    double bias;
    double largest;  ///< of OCP's tables
    uint32_t nan;    ///< what NaN becomes
    int arch;
    bool from_f16x2;
};
const SmallFormat kSmall[] = {{"e4m3", 4, 3, 7, 448, 0x7F, 90, true},
                              {"e5m2", 5, 2, 15, 57344, 0x7F, 90, true},
                              {"e2m3", 2, 3, 1, 7.5, 0x1F, 100, false},
                              {"e3m2", 3, 2, 3, 28, 0x1F, 100, false},
                              {"e2m1", 2, 1, 1, 6, 0x7, 100, false}};

double small_value(uint32_t code, const SmallFormat& f) {
    const int exponent = int(code >> f.mantissa_bits),
              fraction = int(code & ((1u << f.mantissa_bits) - 1));
    const double unit = std::ldexp(1.0, -f.mantissa_bits);
    return exponent == 0 ? std::ldexp(fraction * unit, int(1 - f.bias))
                         : std::ldexp(1 + fraction * unit, int(exponent - f.bias));
}

/// By a search through all values: nearest, ties to the even code.
uint32_t nearest_small(double value, const SmallFormat& f) {
    if (value != value) return f.nan;
    const uint32_t sign = std::signbit(value) ? 1u << (f.exponent_bits + f.mantissa_bits) : 0;
    const double magnitude = std::min(std::fabs(value), f.largest);
    uint32_t best = 0;
    for (uint32_t code = 0;
         small_value(code, f) <= f.largest && code < 1u << (f.exponent_bits + f.mantissa_bits);
         ++code) {
        const double error = std::fabs(small_value(code, f) - magnitude),
                     least = std::fabs(small_value(best, f) - magnitude);
        if (error < least || (error == least && code % 2 == 0)) best = code;
    }
    return sign | best;
}

Case small_inputs(const SmallFormat& f) {
    Case inputs = float_values(8, 23, 10);
    const auto push = [&](double v) {
        for (double s : {v, -v}) {
            const auto narrow = static_cast<float>(s);
            uint32_t bits;
            std::memcpy(&bits, &narrow, 4);
            inputs.push_back(bits);
        }
    };
    for (uint32_t code = 0; code + 1 < 1u << (f.exponent_bits + f.mantissa_bits); ++code) {
        const double here = small_value(code, f), next = small_value(code + 1, f);
        push(here);
        push((here + next) / 2);
        push(std::nextafter(static_cast<float>((here + next) / 2), 1e30f));
        push(std::nextafter(static_cast<float>((here + next) / 2), 0.0f));
    }
    return inputs;
}

TEST(Convert, SmallFloatsFromPairsOfF32) {
    for (const SmallFormat& f : kSmall) {
        const Case inputs = small_inputs(f);
        Cases cases;
        for (size_t i = 0; i < inputs.size(); ++i)
            cases.push_back({inputs[i], inputs[inputs.size() - 1 - i]});
        const int bits = f.arch == 100 && std::string(f.name) == "e2m1" ? 4 : 8;
        const auto value = [](uint64_t b) {
            const auto low = uint32_t(b);
            float v;
            std::memcpy(&v, &low, 4);
            return double(v);
        };
        for (bool relu : {false, true}) {
            const std::string op =
                std::string("cvt.rn.satfinite") + (relu ? ".relu." : ".") + f.name + "x2.f32 ";
            const std::string text =
                bits == 8 ? op + "%d0, %a0, %a1;"
                          : ".reg .b8 %e;\n" + op + "%e, %a0, %a1;\nmov.b16 %d0, {%e, 0};";
            expect_op(
                text, {"b16"}, {"f32", "f32"}, cases,
                [&](const uint64_t* a, uint64_t* d) {
                    uint32_t part[2];
                    for (int i = 0; i < 2; ++i) {
                        const double v = value(a[i]);
                        part[i] = relu && v <= 0 ? 0 : nearest_small(v, f);
                    }
                    d[0] = part[0] << bits | part[1];
                },
                f.arch);
        }
        expect_refused(std::string("cvt.rn.") + f.name + "x2.f32 %d0, %a0, %a0;",
                       {bits == 8 ? "b16" : "b8"}, {"f32"}, f.arch);
        expect_refused(std::string("cvt.rz.satfinite.") + f.name + "x2.f32 %d0, %a0, %a0;",
                       {bits == 8 ? "b16" : "b8"}, {"f32"}, f.arch);
        expect_refused(std::string("cvt.rn.satfinite.") + f.name + "x2.f32 %d0, %a0, %a0;",
                       {bits == 8 ? "b16" : "b8"}, {"f32"}, f.arch == 90 ? 80 : 90);
    }
}

TEST(Convert, SmallFloatsToPairsOfF16) {
    const auto half = [](double v) {
        uint64_t bits;
        std::memcpy(&bits, &v, 8);
        return exact::convert(bits, exact::kF64, exact::kF16, Mode::kNearest);
    };
    for (const SmallFormat& f : kSmall) {
        const uint32_t count = 2u << (f.exponent_bits + f.mantissa_bits);
        const int bits = std::string(f.name) == "e2m1" ? 4 : 8;
        Cases cases;
        for (uint32_t code = 0; code < count; ++code)
            cases.push_back({code | uint64_t(count - 1 - code) << bits});
        const auto part = [&](uint64_t code) {
            const uint64_t sign = code & count / 2 ? 0x8000 : 0, magnitude = code & (count / 2 - 1);
            const bool e5m2 = std::string(f.name) == "e5m2", e4m3 = std::string(f.name) == "e4m3";
            if ((e4m3 && magnitude == 0x7F) || (e5m2 && magnitude > 0x7C)) return uint64_t{0x7FFF};
            if (e5m2 && magnitude == 0x7C) return sign | 0x7C00;
            return sign | half(small_value(uint32_t(magnitude), f));
        };
        for (bool relu : {false, true}) {
            const std::string op =
                std::string("cvt.rn") + (relu ? ".relu" : "") + ".f16x2." + f.name + "x2 %d0, ";
            const std::string text =
                bits == 8 ? op + "%a0;" : ".reg .b8 %e, %z;\nmov.b16 {%e, %z}, %a0;\n" + op + "%e;";
            expect_op(
                text, {"b32"}, {"b16"}, cases,
                [&](const uint64_t* a, uint64_t* d) {
                    for (int i = 0; i < 2; ++i) {
                        uint64_t h = part(a[0] >> bits * i & (count - 1));
                        if (relu && h != 0x7FFF && (h & 0x8000)) h = 0;
                        d[0] |= h << 16 * i;
                    }
                },
                f.arch);
        }
        if (!f.from_f16x2) continue;
        // And back, from every f16.
        Cases halves;
        for (uint64_t h = 0; h < 65536; h += 2)
            halves.push_back({h | (h + 1) << 16});
        expect_op(std::string("cvt.rn.satfinite.") + f.name + "x2.f16x2 %d0, %a0;", {"b16"},
                  {"b32"}, halves, [&](const uint64_t* a, uint64_t* d) {
                      for (int i = 0; i < 2; ++i) {
                          const uint64_t wide = exact::convert(a[0] >> 16 * i & 0xFFFF, exact::kF16,
                                                               exact::kF64, Mode::kNearest);
                          double v;
                          std::memcpy(&v, &wide, 8);
                          d[0] |= uint64_t(nearest_small(v, f)) << 8 * i;
                      }
                  });
    }
}

TEST(Convert, PowersOfTwo) {
    const auto scale = [](uint64_t a, bool up, bool satfinite) -> uint64_t {
        const Format& f = exact::kF32;
        if (f.is_nan(a)) return 0xFF;
        const uint64_t magnitude = a & 0x7FFFFFFF;
        if (f.is_infinite(a)) return satfinite ? 0xFE : 0xFF;
        // The exponent; code 0 is 2^-127, half a step below the normal numbers.
        uint64_t code = magnitude >> 23;
        if (up && magnitude < 0x800000) return magnitude <= 0x400000 ? 0 : 1;
        if (up && (magnitude & 0x7FFFFF) != 0) ++code;
        if (code == 0xFF) code = satfinite ? 0xFE : 0xFF;
        return code;
    };
    const Case values = float_values(8, 23, 60);
    for (bool up : {false, true})
        for (bool satfinite : {false, true})
            expect_op(
                "cvt" + std::string(up ? ".rp" : ".rz") + (satfinite ? ".satfinite" : "") +
                    ".ue8m0x2.f32 %d0, %a0, %a1;",
                {"b16"}, {"f32", "f32"}, pairs(values, {0x3F800000, 0x40400000}),
                [&](const uint64_t* a, uint64_t* d) {
                    d[0] = scale(a[0], up, satfinite) << 8 | scale(a[1], up, satfinite);
                },
                100);
    Cases codes;
    for (uint64_t code = 0; code < 256; ++code)
        codes.push_back({code | (255 - code) << 8});
    expect_op(
        "cvt.rn.bf16x2.ue8m0x2 %d0, %a0;", {"b32"}, {"b16"}, codes,
        [](const uint64_t* a, uint64_t* d) {
            for (int i = 0; i < 2; ++i) {
                const uint64_t code = a[0] >> 8 * i & 0xFF;
                d[0] |= (code == 0xFF ? 0x7FFF : code == 0 ? 0x0040 : code << 7) << 16 * i;
            }
        },
        100);
    expect_refused("cvt.rn.ue8m0x2.f32 %d0, %a0, %a0;", {"b16"}, {"f32"}, 100);
    expect_refused("cvt.rz.ue8m0x2.f32 %d0, %a0, %a0;", {"b16"}, {"f32"}, 90);
}

/// The table of the formats' header: encode() after decode() is the identity, and encode() rounds
/// as the exact arithmetic does in every mode.
TEST(Convert, NarrowFloatsRoundEveryWay) {
    using isa::Rounding;
    const std::pair<Rounding, Mode> modes[] = {{Rounding::kNearest, Mode::kNearest},
                                               {Rounding::kZero, Mode::kZero},
                                               {Rounding::kDown, Mode::kDown},
                                               {Rounding::kUp, Mode::kUp},
                                               {Rounding::kNearestAway, Mode::kAway}};
    const std::pair<isa::FloatFormat, Format> formats[] = {
        {isa::kF16, exact::kF16}, {isa::kBF16, exact::kBF16}, {isa::kE5M2, {5, 2, 0x7F}}};
    for (const auto& [narrow, reference] : formats) {
        for (uint32_t code = 0; code < 1u << narrow.bits(); ++code)
            if (!reference.is_nan(code)) {
                ASSERT_EQ(isa::encode(isa::decode(code, narrow), narrow, Rounding::kZero, false),
                          code);
            }
        for (uint64_t bits : float_values(8, 23, 3000)) {
            const auto low = uint32_t(bits);
            float value;
            std::memcpy(&value, &low, 4);
            for (const auto& [rounding, mode] : modes)
                for (bool finite : {false, true})
                    ASSERT_EQ(isa::encode(value, narrow, rounding, finite),
                              exact::convert(bits, exact::kF32, reference, mode, finite))
                        << in_hex({bits}) << int(mode);
        }
    }
}

TEST(Convert, PackIntegers) {
    const Cases cases = triples(integer_values(32, 30), integer_values(32, 30), integer_values(32));
    const Integer types[] = {{false, 16}, {true, 16}, {false, 8}, {true, 8},
                             {false, 4},  {true, 4},  {false, 2}, {true, 2}};
    for (const Integer& t : types) {
        const bool three = t.bits != 16;
        expect_op("cvt.pack.sat." + t.name() + ".s32" + (three ? ".b32" : "") + " %d0, %a0, %a1" +
                      (three ? ", %a2;" : ";"),
                  {"b32"}, Types(3, "b32"), cases, [&](const uint64_t* a, uint64_t* d) {
                      const Integer s32{true, 32};
                      const auto clamp = [&](uint64_t lane) {
                          const Wide v = s32.value(lane);
                          return uint64_t(v < t.low()    ? t.low()
                                          : v > t.high() ? t.high()
                                                         : v) &
                                 mask_of(t.bits);
                      };
                      d[0] = clamp(a[0]) << t.bits | clamp(a[1]);
                      if (three) d[0] = uint32_t(d[0] | a[2] << 2 * t.bits);
                  });
    }
    expect_refused("cvt.pack.sat.u8.s32 %d0, %a0, %a0;", {"b32"}, {"b32"});
}

TEST(Move, VectorsPackAndUnpack) {
    const Cases words = pairs(integer_values(64, 10), integer_values(64, 4));
    expect_op(
        ".reg .b16 %h<4>;\n.reg .b32 %w<4>;\n.reg .b64 %q<2>;\n.reg .b128 %o;\n"
        "mov.b64 {%h0, %h1, %h2, %h3}, %a0;\nmov.b64 %d0, {%h3, %h2, %h1, %h0};\n"
        "mov.b64 {%w0, %w1}, %a1;\nmov.b64 %d1, {%w1, %w0};\n"
        "mov.b32 {%h0, %h1}, %w0;\nmov.b32 %d2, {%h1, %h0};\n"
        "mov.b128 %o, {%a0, %a1};\nmov.b128 {%w0, %w1, %w2, %w3}, %o;\nmov.b64 %d3, {%w3, %w0};\n"
        "mov.b128 %o, {%w0, %w1, %w2, %w3};\nmov.b128 {%q0, %q1}, %o;\nxor.b64 %d4, %q0, %q1;\n"
        "mov.b64 {_, %d5}, %a0;",
        {"b64", "b64", "b32", "b64", "b64", "b32"}, {"b64", "b64"}, words,
        [](const uint64_t* a, uint64_t* d) {
            for (int i = 0; i < 4; ++i)
                d[0] |= (a[0] >> 16 * i & 0xFFFF) << 16 * (3 - i);
            d[1] = a[1] >> 32 | a[1] << 32;
            d[2] = (a[1] >> 16 & 0xFFFF) | (a[1] & 0xFFFF) << 16;
            d[3] = a[1] >> 32 | a[0] << 32;
            d[4] = a[0] ^ a[1];
            d[5] = a[0] >> 32;
        });
    expect_refused("mov.b32 %d0, {%a0, %a0};", {"b32"}, {"b32"});
    expect_refused("mov.b32 {%d0, %d0}, %a0;", {"b16"}, {"b64"});
    expect_refused("mov.b32 %d0, %a0;", {"b32"}, {"b64"});
}

TEST(Move, ImmediatesOfEveryType) {
    expect_op(
        "mov.s16 %d0, -1;\nmov.u32 %d1, 0xFFFFFFFF;\nmov.f32 %d2, 0f3F800000;\n"
        "mov.f64 %d3, 0dBFF0000000000000;\nmov.f32 %d4, 1.5;\nmov.b64 %d5, -2;\nmov.pred %d6, 1;",
        {"s16", "u32", "f32", "f64", "f32", "b64", "pred"}, {"b32"}, {{0}},
        [](const uint64_t*, uint64_t* d) {
            d[0] = 0xFFFF;
            d[1] = 0xFFFFFFFF;
            d[2] = 0x3F800000;
            d[3] = 0xBFF0000000000000;
            d[4] = 0x3FC00000;
            d[5] = ~uint64_t{1};
            d[6] = 1;
        });
}

TEST(Move, SpecialRegisters) {
    Cases cases;
    for (uint64_t i = 0; i < 200; ++i)
        cases.push_back({i});
    std::string names[] = {"%laneid",      "%lanemask_eq", "%lanemask_le", "%lanemask_lt",
                           "%lanemask_ge", "%lanemask_gt", "%tid.x",       "%ctaid.x",
                           "%ntid.x",      "%warpid"};
    std::string text;
    int i = 0;
    for (const std::string& name : names)
        text += "mov.u32 %d" + std::to_string(i++) + ", " + name + ";\n";
    expect_op(text, Types(10, "u32"), {"u32"}, cases, [](const uint64_t* a, uint64_t* d) {
        const uint64_t thread = a[0] % 96, lane = thread % 32;
        d[0] = lane;
        d[1] = uint64_t{1} << lane;
        d[3] = d[1] - 1;
        d[2] = d[3] | d[1];
        d[4] = ~d[3] & 0xFFFFFFFF;
        d[5] = ~d[2] & 0xFFFFFFFF;
        d[6] = thread;
        d[7] = a[0] / 96;
        d[8] = 96;
        d[9] = thread / 32;
    });
    expect_op("mov.pred %d0, %is_explicit_cluster;\nmov.u32 %d1, %cluster_nctarank;",
              {"pred", "u32"}, {"u32"}, {{0}, {1}}, [](const uint64_t*, uint64_t* d) {
                  d[0] = 0;
                  d[1] = 1;
              });
    // Clocks go forward, and fast enough to end a wait.
    expect_op(
        ".reg .pred %wait;\n.reg .u64 %t<3>;\n.reg .u32 %c<2>;\n"
        "mov.u64 %t0, %clock64;\nmov.u32 %c0, %clock;\nmov.u64 %t2, %globaltimer;\n"
        "LOOP:\nmov.u64 %t1, %clock64;\nsub.u64 %t1, %t1, %t0;\nsetp.lt.u64 %wait, %t1, 500;\n"
        "@%wait bra LOOP;\nmov.u32 %c1, %clock;\nsetp.gt.u32 %d0, %c1, %c0;\n"
        "mov.u64 %t1, %globaltimer;\nsetp.gt.u64 %d1, %t1, %t2;\nmov.u32 %c0, %globaltimer_lo;\n"
        "setp.ne.u32 %d2, %c0, 0;",
        Types(3, "pred"), {"u32"}, {{0}, {1}},
        [](const uint64_t*, uint64_t* d) { d[0] = d[1] = d[2] = 1; });
    expect_refused("mov.u32 %d0, %clock64;", {"u32"}, {"u32"});
}

TEST(Move, AddressesOfTheSpaces) {
    // Through the generic window and back, for shared and local memory; global is the identity.
    expect_op(
        ".shared .align 8 .b8 sh[64];\n.local .align 8 .b8 lo[64];\n.reg .u64 %g<4>;\n.reg .u32 "
        "%s;\n"
        "mov.u64 %g0, sh;\ncvta.shared.u64 %g1, %g0;\ncvta.to.shared.u64 %g2, %g1;\n"
        "setp.eq.u64 %d0, %g0, %g2;\nsetp.ne.u64 %d1, %g0, %g1;\n"
        "mov.u64 %g0, lo;\ncvta.local.u64 %g1, %g0;\ncvta.to.local.u64 %g2, %g1;\n"
        "setp.eq.u64 %d2, %g0, %g2;\ncvta.global.u64 %g3, %a0;\nsetp.eq.u64 %d3, %g3, %a0;",
        Types(4, "pred"), {"u64"}, {{0x12345678}},
        [](const uint64_t*, uint64_t* d) { d[0] = d[1] = d[2] = d[3] = 1; });
    expect_refused("cvta.shared.u32 %d0, %a0;", {"u32"}, {"u32"});
}

}  // namespace
}  // namespace emulator
