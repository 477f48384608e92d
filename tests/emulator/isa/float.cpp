// f32 and f64 arithmetic: add sub mul fma mad div rcp sqrt rsqrt sin cos lg2 ex2 tanh copysign abs
// neg min max, with .rn .rz .rm .rp, .ftz, .sat.
//
// Source: PTX ISA, "Floating-Point Instructions". Directed roundings are the host's own (MXCSR).
// The .approx forms are at least as exact as hardware, not equal to it; div.approx gives 0 for
// 2^126 < |b| < 2^128 as PTX says. f32 gives the canonical NaN, f64 keeps payloads.
#include <cmath>

#include "tests/emulator/isa/arith.hpp"

namespace emulator::isa {
namespace {

using ptx::Type;

// ---- One lane ----------------------------------------------------------------------------------

template <typename T, bool ftz, bool sat>
T add(T a, T b) {
    return finish<ftz, sat>(flush<ftz>(a) + flush<ftz>(b));
}
template <typename T, bool ftz, bool sat>
T sub(T a, T b) {
    return finish<ftz, sat>(flush<ftz>(a) - flush<ftz>(b));
}
template <typename T, bool ftz, bool sat>
T mul(T a, T b) {
    return finish<ftz, sat>(flush<ftz>(a) * flush<ftz>(b));
}
inline float fused(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}
inline double fused(double a, double b, double c) {
    return __builtin_fma(a, b, c);
}
template <typename T, bool ftz, bool sat>
T fma(T a, T b, T c) {
    return finish<ftz, sat>(fused(flush<ftz>(a), flush<ftz>(b), flush<ftz>(c)));
}
template <typename T, bool ftz>
T div(T a, T b) {
    return finish<ftz, false>(flush<ftz>(a) / flush<ftz>(b));
}
template <bool ftz>
float div_approx(float a, float b) {
    a = flush<ftz>(a);
    b = flush<ftz>(b);
    const float magnitude = std::fabs(b);
    if (magnitude > 0x1p126f && magnitude < std::numeric_limits<float>::infinity())
        return canonical(a *
                         std::copysign(0.0f, b));  // the reciprocal is flushed; infinity gives NaN
    return finish<ftz, false>(a / b);
}
template <typename T, bool ftz>
T rcp(T a) {
    return finish<ftz, false>(T(1) / flush<ftz>(a));
}
// The intrinsics never call the library, which would set errno and need not honour the rounding.
inline float root(float a) {
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(a)));
}
inline double root(double a) {
    const __m128d v = _mm_set_sd(a);
    return _mm_cvtsd_f64(_mm_sqrt_sd(v, v));
}
template <typename T, bool ftz>
T sqrt(T a) {
    return finish<ftz, false>(root(flush<ftz>(a)));
}
template <bool ftz>
float rsqrt(float a) {
    return finish<ftz, false>(static_cast<float>(1.0 / root(double{flush<ftz>(a)})));
}

// Of rcp.approx.ftz.f64 and rsqrt.approx.ftz.f64 only the upper 32 bits carry the result.
double upper_half(double value) {
    return bit_cast<double>(bit_cast<uint64_t>(value) & 0xFFFFFFFF00000000u);
}
double flush64(double value) {
    return std::fabs(value) < std::numeric_limits<double>::min() ? std::copysign(0.0, value)
                                                                 : value;
}
double rcp_approx64(double a) {
    return flush64(upper_half(1.0 / flush64(upper_half(a))));
}
double rsqrt_approx64(double a) {
    return upper_half(1.0 / root(flush64(upper_half(a))));
}
double rsqrt64(double a) {
    return 1.0 / root(a);
}

template <bool ftz>
float sin(float a) {
    return finish<ftz, false>(std::sin(flush<ftz>(a)));
}
template <bool ftz>
float cos(float a) {
    return finish<ftz, false>(std::cos(flush<ftz>(a)));
}
template <bool ftz>
float lg2(float a) {
    return finish<ftz, false>(std::log2(flush<ftz>(a)));
}
template <bool ftz>
float ex2(float a) {
    return finish<ftz, false>(std::exp2(flush<ftz>(a)));
}
float tanh(float a) {
    return canonical(std::tanh(a));
}

template <typename T>
struct BitsOf;
template <>
struct BitsOf<float> {
    using type = uint32_t;
};
template <>
struct BitsOf<double> {
    using type = uint64_t;
};
template <typename T>
using Bits = typename BitsOf<T>::type;
template <typename T>
constexpr Bits<T> kSign = Bits<T>(1) << (8 * sizeof(T) - 1);

template <typename T>
T copysign(T a, T b) {
    return bit_cast<T>((bit_cast<Bits<T>>(a) & kSign<T>) | (bit_cast<Bits<T>>(b) & ~kSign<T>));
}
template <typename T, bool ftz>
T abs(T a) {
    return canonical(bit_cast<T>(bit_cast<Bits<T>>(flush<ftz>(a)) & ~kSign<T>));
}
template <typename T, bool ftz>
T neg(T a) {
    return canonical(bit_cast<T>(bit_cast<Bits<T>>(flush<ftz>(a)) ^ kSign<T>));
}

/// A NaN loses against a number; -0 is below +0.
template <typename T, bool is_min>
T pick(T a, T b) {
    const Bits<T> x = bit_cast<Bits<T>>(a), y = bit_cast<Bits<T>>(b);
    // Equal values differ at most in the sign of a zero.
    const T equal = bit_cast<T>(is_min ? x | y : x & y);
    const T ordered = is_min ? (a < b ? a : b < a ? b : equal) : (a > b ? a : b > a ? b : equal);
    return a != a ? b : b != b ? a : ordered;
}
template <typename T>
T quiet_nan() {
    if constexpr (sizeof(T) == 4)
        return bit_cast<T>(kNanF32);
    else
        return std::numeric_limits<T>::quiet_NaN();
}
template <typename T, bool is_min, bool ftz, bool nan>
T min_max(T a, T b) {
    a = flush<ftz>(a);
    b = flush<ftz>(b);
    if (nan && (a != a || b != b)) return quiet_nan<T>();
    return canonical(pick<T, is_min>(a, b));
}
template <bool is_min, bool ftz, bool nan>
float min_max3(float a, float b, float c) {
    return min_max<float, is_min, ftz, nan>(min_max<float, is_min, ftz, nan>(a, b), c);
}
/// The sign is that of a times b, the magnitude that of the smaller (larger) magnitude.
template <bool is_min, bool ftz, bool nan>
float min_max_xorsign(float a, float b) {
    const uint32_t sign = (bit_cast<uint32_t>(a) ^ bit_cast<uint32_t>(b)) & kSign<float>;
    const float value = min_max<float, is_min, ftz, nan>(std::fabs(a), std::fabs(b));
    return value != value ? value : bit_cast<float>(bit_cast<uint32_t>(value) | sign);
}

// ---- Lowering ----------------------------------------------------------------------------------

void set_kind(Op& op, Type type) {
    op.kind = type == Type::kF64 ? OpKind::kDouble : OpKind::kFloat;
}

Type take_float_type(Reader& reader) {
    if (reader.take("f32x2")) reader.fail("packed .f32x2 needs sm_100, which is not emulated");
    const Type type = reader.take_type();
    if (!is_float(type)) reader.fail("is for .f32 and .f64");
    set_kind(reader.op(), type);
    return type;
}

void operands(Reader& reader, Type type, size_t sources) {
    reader.finish();
    reader.require_operands(sources + 1);
    reader.destination(type);
    for (size_t i = 1; i <= sources; ++i)
        reader.source(i, type);
}

struct Flags {
    bool ftz = false, sat = false;
};
Flags take_flags(Reader& reader, Type type, bool may_saturate) {
    Flags flags;
    flags.ftz = reader.take("ftz");
    flags.sat = may_saturate && reader.take("sat");
    if (type == Type::kF64 && (flags.ftz || flags.sat)) reader.fail(".ftz and .sat are for .f32");
    return flags;
}

/// The executor with and without a directed rounding.
template <auto fn>
void choose(Op& op, Rounding rounding) {
    op.mode = static_cast<uint32_t>(rounding);
    op.execute = rounding == Rounding::kNearest ? each<fn> : &run_rounded<fn>;
}

#define EMULATOR_ARITHMETIC(name)                                                        \
    void lower_##name(Op& op, Type type, Flags flags, Rounding rounding) {               \
        if (type == Type::kF64) return choose<name<double, false, false>>(op, rounding); \
        with_flags(flags.ftz, flags.sat, [&](auto f, auto s) {                           \
            choose<name<float, decltype(f)::value, decltype(s)::value>>(op, rounding);   \
        });                                                                              \
    }
EMULATOR_ARITHMETIC(add)
EMULATOR_ARITHMETIC(sub)
EMULATOR_ARITHMETIC(mul)
EMULATOR_ARITHMETIC(fma)
#undef EMULATOR_ARITHMETIC

void lower_arithmetic(Reader& reader, const std::string& name) {
    Op& op = reader.op();
    const bool fused = name == "fma" || name == "mad";
    const bool has_rounding = reader.instruction().has("rn") || reader.instruction().has("rz") ||
                              reader.instruction().has("rm") || reader.instruction().has("rp");
    const Rounding rounding = take_rounding(reader);
    const Type type = take_float_type(reader);
    if (fused && !has_rounding) reader.fail("needs a rounding");
    const Flags flags = take_flags(reader, type, true);
    operands(reader, type, fused ? 3 : 2);
    if (name == "add") return lower_add(op, type, flags, rounding);
    if (name == "sub") return lower_sub(op, type, flags, rounding);
    if (name == "mul") return lower_mul(op, type, flags, rounding);
    lower_fma(op, type, flags, rounding);
}

/// What comes before the type of div, rcp, sqrt, rsqrt: .approx, .full or a rounding.
enum class Accuracy { kApprox, kFull, kRounded };
Accuracy take_accuracy(Reader& reader, Rounding* rounding) {
    *rounding = Rounding::kNearest;
    switch (reader.take_one_of({"approx", "full", "rn", "rz", "rm", "rp"})) {
        case 0:
            return Accuracy::kApprox;
        case 1:
            return Accuracy::kFull;
        case 2:
            return Accuracy::kRounded;
        case 3:
            *rounding = Rounding::kZero;
            return Accuracy::kRounded;
        case 4:
            *rounding = Rounding::kDown;
            return Accuracy::kRounded;
        case 5:
            *rounding = Rounding::kUp;
            return Accuracy::kRounded;
        default:
            reader.fail("needs .approx, .full or a rounding");
    }
}

void lower_div(Reader& reader) {
    Op& op = reader.op();
    Rounding rounding;
    const Accuracy accuracy = take_accuracy(reader, &rounding);
    const Type type = take_float_type(reader);
    const Flags flags = take_flags(reader, type, false);
    operands(reader, type, 2);
    if (type == Type::kF64) {
        if (accuracy != Accuracy::kRounded) reader.fail("f64 needs a rounding");
        return choose<div<double, false>>(op, rounding);
    }
    with_flags(flags.ftz, [&](auto f) {
        constexpr bool ftz = decltype(f)::value;
        if (accuracy == Accuracy::kApprox)
            op.execute = each<div_approx<ftz>>;
        else
            choose<div<float, ftz>>(op, rounding);
    });
}

void lower_rcp(Reader& reader) {
    Op& op = reader.op();
    Rounding rounding;
    const Accuracy accuracy = take_accuracy(reader, &rounding);
    const Type type = take_float_type(reader);
    if (accuracy == Accuracy::kFull) reader.fail("has no .full");
    if (type == Type::kF64 && accuracy == Accuracy::kApprox) {
        if (!reader.take("ftz")) reader.fail(".approx.f64 needs .ftz");
        operands(reader, type, 1);
        op.execute = each<rcp_approx64>;
        return;
    }
    const Flags flags = take_flags(reader, type, false);
    operands(reader, type, 1);
    if (type == Type::kF64) return choose<rcp<double, false>>(op, rounding);
    with_flags(flags.ftz, [&](auto f) { choose<rcp<float, decltype(f)::value>>(op, rounding); });
}

void lower_sqrt(Reader& reader) {
    Op& op = reader.op();
    Rounding rounding;
    const Accuracy accuracy = take_accuracy(reader, &rounding);
    const Type type = take_float_type(reader);
    if (accuracy == Accuracy::kFull) reader.fail("has no .full");
    if (type == Type::kF64 && accuracy == Accuracy::kApprox) reader.fail("f64 needs a rounding");
    const Flags flags = take_flags(reader, type, false);
    operands(reader, type, 1);
    if (type == Type::kF64) return choose<sqrt<double, false>>(op, rounding);
    with_flags(flags.ftz, [&](auto f) { choose<sqrt<float, decltype(f)::value>>(op, rounding); });
}

void lower_rsqrt(Reader& reader) {
    Op& op = reader.op();
    if (!reader.take("approx")) reader.fail("needs .approx");
    const Type type = take_float_type(reader);
    const bool ftz = reader.take("ftz");
    operands(reader, type, 1);
    if (type == Type::kF64)
        op.execute = ftz ? each<rsqrt_approx64> : each<rsqrt64>;
    else
        op.execute = ftz ? each<rsqrt<true>> : each<rsqrt<false>>;
}

/// sin, cos, lg2 and ex2 of f32.
template <float (*plain)(float), float (*flushed)(float)>
void lower_transcendental(Reader& reader) {
    if (!reader.take("approx")) reader.fail("needs .approx");
    const bool ftz = reader.take("ftz");
    const Type type = take_float_type(reader);
    if (type != Type::kF32) reader.fail("is for .f32");
    operands(reader, type, 1);
    reader.op().execute = ftz ? each<flushed> : each<plain>;
}

void lower_tanh(Reader& reader) {
    if (!reader.take("approx")) reader.fail("needs .approx");
    const Type type = take_float_type(reader);
    if (type != Type::kF32) reader.fail("is for .f32");
    operands(reader, type, 1);
    reader.op().execute = each<tanh>;
}

void lower_copysign(Reader& reader) {
    const Type type = take_float_type(reader);
    operands(reader, type, 2);
    reader.op().execute = type == Type::kF64 ? each<copysign<double>> : each<copysign<float>>;
}

void lower_abs_neg(Reader& reader, bool is_abs) {
    Op& op = reader.op();
    const Type type = take_float_type(reader);
    const Flags flags = take_flags(reader, type, false);
    operands(reader, type, 1);
    if (type == Type::kF64) {
        op.execute = is_abs ? each<abs<double, false>> : each<neg<double, false>>;
        return;
    }
    with_flags(flags.ftz, [&](auto f) {
        constexpr bool ftz = decltype(f)::value;
        op.execute = is_abs ? each<abs<float, ftz>> : each<neg<float, ftz>>;
    });
}

template <bool is_min>
void lower_min_max(Reader& reader) {
    Op& op = reader.op();
    const bool nan = reader.take("NaN"), xorsign = reader.take("xorsign");
    if (xorsign && !reader.take("abs")) reader.fail(".xorsign needs .abs");
    const bool three = reader.operand_count() == 4;
    // Three sources may have .abs of their own (sm_100), which the check of leftovers refuses.
    const Type type = take_float_type(reader);
    const Flags flags = take_flags(reader, type, false);
    if (type == Type::kF64) {
        if (nan || xorsign || three) reader.fail("f64 has two plain sources");
        operands(reader, type, 2);
        op.execute = each<min_max<double, is_min, false, false>>;
        return;
    }
    if (nan) reader.require_arch(80, ".NaN");
    if (xorsign) reader.require_arch(86, ".xorsign.abs");
    if (three) reader.require_arch(100, "a third source");
    operands(reader, type, three ? 3 : 2);
    with_flags(flags.ftz, nan, [&](auto f, auto n) {
        constexpr bool ftz = decltype(f)::value, keep = decltype(n)::value;
        if (three) {
            if (xorsign) reader.fail("three sources have no .xorsign");
            op.execute = each<min_max3<is_min, ftz, keep>>;
        } else {
            op.execute = xorsign ? each<min_max_xorsign<is_min, ftz, keep>>
                                 : each<min_max<float, is_min, ftz, keep>>;
        }
    });
}

}  // namespace

void lower_float(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    Reader reader(instruction, context, op);
    const std::string& name = instruction.opcode;
    if (name == "add" || name == "sub" || name == "mul" || name == "fma" || name == "mad")
        return lower_arithmetic(reader, name);
    if (name == "div") return lower_div(reader);
    if (name == "abs") return lower_abs_neg(reader, true);
    if (name == "neg") return lower_abs_neg(reader, false);
    if (name == "min") return lower_min_max<true>(reader);
    if (name == "max") return lower_min_max<false>(reader);
    if (name == "ex2") return lower_transcendental<ex2<false>, ex2<true>>(reader);
    if (name == "tanh") return lower_tanh(reader);
    reader.fail("is not known for floats");
}

}  // namespace emulator::isa

namespace emulator {

namespace {

Lower float_only(void (*fn)(isa::Reader&)) {
    return [fn](const ptx::Instruction& instruction, LowerContext& context, Op& op) {
        op.kind = OpKind::kFloat;
        isa::Reader reader(instruction, context, op);
        fn(reader);
    };
}

/// fma, ex2 and tanh exist for f32 and for 16-bit floats.
void lower_float_or_half(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    for (const std::string& modifier : instruction.modifiers) {
        const isa::NamedType* named = isa::find_type(modifier);
        if (named != nullptr && isa::is_half(named->type))
            return isa::lower_half(instruction, context, op);
    }
    isa::lower_float(instruction, context, op);
}

}  // namespace

void register_float(Registry& registry) {
    for (const char* name : {"fma", "ex2", "tanh"})
        registry.add(name, lower_float_or_half);
    registry.add("rcp", float_only(isa::lower_rcp));
    registry.add("sqrt", float_only(isa::lower_sqrt));
    registry.add("rsqrt", float_only(isa::lower_rsqrt));
    registry.add("sin", float_only(isa::lower_transcendental<isa::sin<false>, isa::sin<true>>));
    registry.add("cos", float_only(isa::lower_transcendental<isa::cos<false>, isa::cos<true>>));
    registry.add("lg2", float_only(isa::lower_transcendental<isa::lg2<false>, isa::lg2<true>>));
    registry.add("copysign", float_only(isa::lower_copysign));
}

}  // namespace emulator
