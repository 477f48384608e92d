// Comparison and selection: setp set selp slct testp, for integers, f32, f64, f16 and bf16.
//
// Source: PTX ISA, "Comparison and Selection Instructions", "Half Precision Comparison
// Instructions", "testp".
#include <algorithm>
#include <cmath>

#include "tests/emulator/isa/narrow_float.hpp"

namespace emulator::isa {
namespace {

using ptx::Type;

enum class Compare { kEq, kNe, kLt, kLe, kGt, kGe, kEqu, kNeu, kLtu, kLeu, kGtu, kGeu, kNum, kNan };

template <Compare compare, typename T>
bool holds(T a, T b) {
    switch (compare) {
        case Compare::kEq:
            return a == b;
        // An ordered comparison of floats: false with a NaN.
        case Compare::kNe:
            return std::is_integral_v<T> ? a != b : a < b || a > b;
        case Compare::kLt:
            return a < b;
        case Compare::kLe:
            return a <= b;
        case Compare::kGt:
            return a > b;
        case Compare::kGe:
            return a >= b;
        case Compare::kEqu:
            return !(a < b || a > b);
        case Compare::kNeu:
            return a != b;
        case Compare::kLtu:
            return !(a >= b);
        case Compare::kLeu:
            return !(a > b);
        case Compare::kGtu:
            return !(a <= b);
        case Compare::kGeu:
            return !(a < b);
        case Compare::kNum:
            return a == a && b == b;
        case Compare::kNan:
            return a != a || b != b;
    }
    return false;
}

/// Lanes whose values (their high halves with `high`) compare so.
using Test = LaneMask (*)(Warp& warp, const Op& op, bool high);

template <typename T, Compare compare, bool ftz>
LaneMask test(Warp& warp, const Op& op, bool) {
    const LaneType<T>* a = warp.lanes<LaneType<T>>(op.src[0]);
    const LaneType<T>* b = warp.lanes<LaneType<T>>(op.src[1]);
    alignas(32) uint32_t flags[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane)
        flags[lane] =
            holds<compare, T>(flush<ftz>(from_lane<T>(a[lane])), flush<ftz>(from_lane<T>(b[lane])));
    return gather_flags(flags);
}

template <bool bf16, Compare compare, bool ftz>
LaneMask test_halves(Warp& warp, const Op& op, bool high) {
    Halves expanded[2];
    for (int i = 0; i < 2; ++i) {
        alignas(32) uint32_t words[kWarpLanes];
        std::copy_n(warp.u32(op.src[i]), kWarpLanes, words);
        if (ftz)
            for (uint32_t& word : words)
                word = flush_halves(word, 0x7C00);
        expand<bf16>(words, expanded[i]);
    }
    alignas(32) uint32_t flags[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane)
        flags[lane] = holds<compare, float>(expanded[0].values[2 * lane + (high ? 1 : 0)],
                                            expanded[1].values[2 * lane + (high ? 1 : 0)]);
    return gather_flags(flags);
}

/// op.mode of setp and set.
enum Mode : uint32_t { kAnd = 1, kOr = 2, kXor = 3, kBoolean = 3, kNegated = 4, kPacked = 8 };

LaneMask combine(Warp& warp, const Op& op, LaneMask tested) {
    LaneMask c = warp.predicate(op.src[2]);
    if ((op.mode & kNegated) != 0) c = ~c;
    switch (op.mode & kBoolean) {
        case kAnd:
            return tested & c;
        case kOr:
            return tested | c;
        case kXor:
            return tested ^ c;
        default:
            return tested;
    }
}

/// op.imm: the slot of q. Packed: p is the low half's result, q the high half's; else q is that of
/// the opposite comparison.
template <Test test>
Outcome run_setp(Warp& warp, const Op& op, LaneMask lanes) {
    const LaneMask tested = test(warp, op, false);
    const LaneMask p = combine(warp, op, tested);
    if ((op.flags & Op::kOwnTaint) != 0) {
        const Slot slot = static_cast<Slot>(op.imm);
        const LaneMask other = (op.mode & kPacked) != 0 ? test(warp, op, true) : ~tested;
        const LaneMask q = combine(warp, op, other);
        spread_taint(warp, op, lanes, {op.dst, slot});
        set_predicate(warp, slot, lanes, q);
    }
    set_predicate(warp, op.dst, lanes, p);
    return Outcome::kNext;
}

/// op.imm: what "true" is.
template <Test test>
Outcome run_set(Warp& warp, const Op& op, LaneMask lanes) {
    const LaneMask low = combine(warp, op, test(warp, op, false));
    const LaneMask high = (op.mode & kPacked) != 0 ? combine(warp, op, test(warp, op, true)) : low;
    const uint32_t yes = static_cast<uint32_t>(op.imm);
    uint32_t* d = warp.u32(op.dst);
    for_lanes(lanes, [&](int lane) {
        d[lane] = ((low >> lane & 1) != 0 ? yes & 0xFFFF : 0) |
                  ((high >> lane & 1) != 0 ? yes & 0xFFFF0000 : 0);
    });
    return Outcome::kNext;
}

/// A wrapper that makes `fn` of the Test of a comparison: fn(std::integral_constant<Test, ...>).
template <typename Fn, typename Pick>
bool with_compare(std::string_view name, bool is_floating, Fn&& fn, Pick&& pick) {
#define EMULATOR_COMPARE(text, value)                                \
    if (name == text) {                                              \
        fn(pick(std::integral_constant<Compare, Compare::value>{})); \
        return true;                                                 \
    }
    EMULATOR_COMPARE("eq", kEq)
    EMULATOR_COMPARE("ne", kNe)
    EMULATOR_COMPARE("lt", kLt)
    EMULATOR_COMPARE("le", kLe)
    EMULATOR_COMPARE("gt", kGt)
    EMULATOR_COMPARE("ge", kGe)
    if (!is_floating) return false;
    EMULATOR_COMPARE("equ", kEqu)
    EMULATOR_COMPARE("neu", kNeu)
    EMULATOR_COMPARE("ltu", kLtu)
    EMULATOR_COMPARE("leu", kLeu)
    EMULATOR_COMPARE("gtu", kGtu)
    EMULATOR_COMPARE("geu", kGeu)
    EMULATOR_COMPARE("num", kNum)
    EMULATOR_COMPARE("nan", kNan)
#undef EMULATOR_COMPARE
    return false;
}

template <typename T, bool ftz>
struct PickTest {
    template <Compare compare>
    auto operator()(std::integral_constant<Compare, compare>) const {
        return std::integral_constant<Test, &test<T, compare, ftz>>{};
    }
};
template <bool bf16, bool ftz>
struct PickHalves {
    template <Compare compare>
    auto operator()(std::integral_constant<Compare, compare>) const {
        return std::integral_constant<Test, &test_halves<bf16, compare, ftz>>{};
    }
};

/// Calls fn with the test of a comparison of a type; false if there is none.
template <typename Fn>
bool with_test(std::string_view name, Type type, bool ftz, Fn&& fn) {
    // Integers only by lt and its kin in PTX's unsigned spelling.
    if (is_unsigned(type)) {
        if (name == "lo")
            name = "lt";
        else if (name == "ls")
            name = "le";
        else if (name == "hi")
            name = "gt";
        else if (name == "hs")
            name = "ge";
    }
    const bool bits = type == Type::kB16 || type == Type::kB32 || type == Type::kB64;
    if (bits && name != "eq" && name != "ne") return false;
    switch (type) {
        case Type::kF32:
            return ftz ? with_compare(name, true, fn, PickTest<float, true>{})
                       : with_compare(name, true, fn, PickTest<float, false>{});
        case Type::kF64:
            return !ftz && with_compare(name, true, fn, PickTest<double, false>{});
        case Type::kF16:
        case Type::kF16x2:
            return ftz ? with_compare(name, true, fn, PickHalves<false, true>{})
                       : with_compare(name, true, fn, PickHalves<false, false>{});
        case Type::kBF16:
        case Type::kBF16x2:
            return !ftz && with_compare(name, true, fn, PickHalves<true, false>{});
        default:
            break;
    }
    if (ftz) return false;
    bool found = false;
    with_integer(type, [&](auto zero) {
        found = with_compare(name, false, fn, PickTest<decltype(zero), false>{});
    });
    return found;
}

bool is_packed(Type type) {
    return type == Type::kF16x2 || type == Type::kBF16x2;
}

/// Reads the operands a, b and the predicate c of a boolean operation.
void read_operands(Reader& reader, Type type, bool boolean, uint32_t boolean_mode) {
    Op& op = reader.op();
    if (type == Type::kBF16 || type == Type::kBF16x2)
        reader.require_arch(90, "a comparison of bf16");
    reader.finish();
    reader.require_operands(boolean ? 4 : 3);
    reader.sources({type, type});
    if (boolean) {
        bool negated = false;
        op.src[2] = reader.predicate(reader.operand(3), &negated);
        op.mode = boolean_mode;
        if (negated) op.mode |= kNegated;
    }
    if (is_packed(type)) op.mode |= kPacked;
}

void lower_setp(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kInteger;
    Reader reader(instruction, context, op);
    const std::string name = reader.take_any();
    const int boolean = reader.take_one_of({"and", "or", "xor"});
    const bool ftz = reader.take("ftz");
    const Type type = reader.take_type();
    if (is_float(type)) op.kind = type == Type::kF64 ? OpKind::kDouble : OpKind::kFloat;
    if (is_half(type)) op.kind = OpKind::kHalf;
    read_operands(reader, type, boolean >= 0, static_cast<uint32_t>(boolean + 1));
    reader.destination(Type::kPred);
    const int pair = reader.operand(0).pair;
    op.imm = kSinkSlot;
    if (pair != -1) {
        if (pair >= 0) op.imm = context.reg(pair);
        op.flags |= Op::kOwnTaint;
    } else if (is_packed(type)) {
        reader.fail("a packed comparison needs p|q");
    }
    const bool found =
        with_test(name, type, ftz, [&](auto t) { op.execute = run_setp<decltype(t)::value>; });
    if (!found) reader.fail("no such comparison");
}

void lower_set(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kInteger;
    Reader reader(instruction, context, op);
    const std::string name = reader.take_any();
    const int boolean = reader.take_one_of({"and", "or", "xor"});
    const bool ftz = reader.take("ftz");
    const Type to = reader.take_type(), type = reader.take_type();
    if (is_float(type)) op.kind = type == Type::kF64 ? OpKind::kDouble : OpKind::kFloat;
    if (is_half(type)) op.kind = OpKind::kHalf;
    read_operands(reader, type, boolean >= 0, static_cast<uint32_t>(boolean + 1));
    reader.destination(to);
    const bool halves = is_half(type);
    switch (to) {
        case Type::kU32:
        case Type::kS32:
            op.imm = 0xFFFFFFFF;
            break;
        case Type::kF32:
            op.imm = 0x3F800000;
            break;
        case Type::kU16:
        case Type::kS16:
            op.imm = halves ? 0xFFFF : 0;
            break;
        case Type::kF16:
            op.imm = halves ? 0x3C00 : 0;
            break;
        case Type::kBF16:
            op.imm = halves ? 0x3F80 : 0;
            break;
        case Type::kF16x2:
            op.imm = is_packed(type) ? 0x3C003C00 : 0;
            break;
        case Type::kBF16x2:
            op.imm = is_packed(type) ? 0x3F803F80 : 0;
            break;
        default:
            break;
    }
    if (op.imm == 0) reader.fail("no such result type");
    if (is_packed(type) && to == Type::kF32) reader.fail("no such result type");
    const bool found =
        with_test(name, type, ftz, [&](auto t) { op.execute = run_set<decltype(t)::value>; });
    if (!found) reader.fail("no such comparison");
}

// ---- selp, slct --------------------------------------------------------------------------------

/// mode: 1 if the predicate is negated. Only the chosen value's taint counts.
template <typename T>
Outcome run_selp(Warp& warp, const Op& op, LaneMask lanes) {
    const LaneMask p = op.mode != 0 ? ~warp.predicate(op.src[2]) : warp.predicate(op.src[2]);
    const T* a = warp.lanes<T>(op.src[0]);
    const T* b = warp.lanes<T>(op.src[1]);
    alignas(64) T result[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane)
        result[lane] = (p >> lane & 1) != 0 ? a[lane] : b[lane];
    store_lanes(warp, op.dst, lanes, result);
    if (warp.checks()) {
        const LaneMask from_a = warp.taint(op.src[0]) & p & lanes;
        const LaneMask from_b = warp.taint(op.src[1]) & ~p & lanes;
        const LaneMask from_p = warp.taint(op.src[2]) & lanes;
        warp.pass_taint(op.dst, lanes, from_a | from_b | from_p,
                        op.src[from_p != 0   ? 2
                               : from_a != 0 ? 0
                                             : 1]);
    }
    return Outcome::kNext;
}

void lower_selp(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kInteger;
    Reader reader(instruction, context, op);
    const Type type = reader.take_type();
    reader.finish();
    reader.require_operands(4);
    if (bytes_of(type) < 2 || bytes_of(type) > 8) reader.fail("no such type");
    reader.destination(type);
    reader.sources({type, type});
    bool negated = false;
    op.src[2] = reader.predicate(reader.operand(3), &negated);
    op.mode = negated ? 1 : 0;
    op.flags |= Op::kOwnTaint;
    op.execute = bytes_of(type) == 8 ? run_selp<uint64_t> : run_selp<uint32_t>;
}

template <typename T>
T slct_integer(T a, T b, int32_t c) {
    return c >= 0 ? a : b;
}
template <typename T, bool ftz>
T slct_float(T a, T b, float c) {
    return flush<ftz>(c) >= 0 ? a : b;
}

void lower_slct(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kInteger;
    Reader reader(instruction, context, op);
    const bool ftz = reader.take("ftz");
    const Type type = reader.take_type(), by = reader.take_type();
    reader.finish();
    reader.require_operands(4);
    if (by != Type::kS32 && by != Type::kF32) reader.fail("selects by .s32 or .f32");
    if (ftz && by != Type::kF32) reader.fail(".ftz is for .f32");
    if (bytes_of(type) < 2 || bytes_of(type) > 8) reader.fail("no such type");
    reader.destination(type);
    reader.sources({type, type, by});
    const bool wide = bytes_of(type) == 8;
    if (by == Type::kS32)
        op.execute = wide ? each<slct_integer<uint64_t>> : each<slct_integer<uint32_t>>;
    else
        // Flushing a negative subnormal makes it -0, which is >= 0.
        op.execute =
            ftz ? (wide ? each<slct_float<uint64_t, true>> : each<slct_float<uint32_t, true>>)
                : (wide ? each<slct_float<uint64_t, false>> : each<slct_float<uint32_t, false>>);
}

// ---- testp -------------------------------------------------------------------------------------

enum Property : uint32_t { kFinite, kInfinite, kNumber, kNotANumber, kNormal, kSubnormal };

template <typename T>
Outcome run_testp(Warp& warp, const Op& op, LaneMask lanes) {
    const T* a = warp.lanes<T>(op.src[0]);
    LaneMask value = 0;
    for_lanes(lanes, [&](int lane) {
        const int is = std::fpclassify(a[lane]);
        bool yes = false;
        switch (static_cast<Property>(op.mode)) {
            case kFinite:
                yes = is != FP_INFINITE && is != FP_NAN;
                break;
            case kInfinite:
                yes = is == FP_INFINITE;
                break;
            case kNumber:
                yes = is != FP_NAN;
                break;
            case kNotANumber:
                yes = is == FP_NAN;
                break;
            case kNormal:
                yes = is == FP_NORMAL;
                break;
            case kSubnormal:
                yes = is == FP_SUBNORMAL;
                break;
        }
        value |= LaneMask(yes) << lane;
    });
    set_predicate(warp, op.dst, lanes, value);
    return Outcome::kNext;
}

void lower_testp(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kFloat;
    Reader reader(instruction, context, op);
    const int property =
        reader.take_one_of({"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
    const Type type = reader.take_type();
    reader.finish();
    if (property < 0) reader.fail("no such property");
    if (!is_float(type)) reader.fail("is for .f32 and .f64");
    reader.require_operands(2);
    reader.destination(Type::kPred);
    reader.source(1, type);
    op.mode = static_cast<uint32_t>(property);
    op.execute = type == Type::kF64 ? run_testp<double> : run_testp<float>;
}

}  // namespace
}  // namespace emulator::isa

namespace emulator {

void register_compare(Registry& registry) {
    registry.add("setp", isa::lower_setp);
    registry.add("set", isa::lower_set);
    registry.add("selp", isa::lower_selp);
    registry.add("slct", isa::lower_slct);
    registry.add("testp", isa::lower_testp);
}

}  // namespace emulator
