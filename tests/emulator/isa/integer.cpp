// Integer arithmetic: add sub mul mad (with .cc, and addc subc madc) mul24 mad24 sad div rem abs
// neg min max popc clz bfind fns brev dp4a dp2a szext bmsk, packed 16-bit forms, vadd4 and its kin.
//
// Source: PTX ISA, "Integer Arithmetic Instructions", "Extended-Precision Integer Arithmetic
// Instructions", "Video Instructions". Everything wraps; x / 0 is all ones and x % 0 is x, as on
// GPUs.
#include <limits>

#include "tests/emulator/isa/arith.hpp"

namespace emulator::isa {
namespace {

using ptx::Type;

// ---- One lane ----------------------------------------------------------------------------------

template <typename T>
using Unsigned = std::make_unsigned_t<T>;

template <typename T>
struct WideOf;
template <>
struct WideOf<uint16_t> {
    using type = uint32_t;
};
template <>
struct WideOf<int16_t> {
    using type = int32_t;
};
template <>
struct WideOf<uint32_t> {
    using type = uint64_t;
};
template <>
struct WideOf<int32_t> {
    using type = int64_t;
};
template <>
struct WideOf<uint64_t> {
    using type = unsigned __int128;
};
template <>
struct WideOf<int64_t> {
    using type = __int128;
};
template <typename T>
using Wide = typename WideOf<T>::type;

/// Unsigned arithmetic wraps; uint16_t would be promoted to int, which can overflow.
template <typename T>
using Wrapping = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template <typename T>
T add(T a, T b) {
    return static_cast<T>(Wrapping<T>(a) + Wrapping<T>(b));
}
template <typename T>
T sub(T a, T b) {
    return static_cast<T>(Wrapping<T>(a) - Wrapping<T>(b));
}
template <typename T>
T mul_lo(T a, T b) {
    return static_cast<T>(Wrapping<T>(a) * Wrapping<T>(b));
}
template <typename T>
T mul_hi(T a, T b) {
    return static_cast<T>((Wide<T>(a) * Wide<T>(b)) >> (8 * sizeof(T)));
}
template <typename T>
Wide<T> mul_wide(T a, T b) {
    return static_cast<Wide<T>>(uint64_t(a) * uint64_t(b));
}
template <typename T>
T mad_lo(T a, T b, T c) {
    return add<T>(mul_lo<T>(a, b), c);
}
template <typename T>
T mad_hi(T a, T b, T c) {
    return add<T>(mul_hi<T>(a, b), c);
}
template <typename T>
Wide<T> mad_wide(T a, T b, Wide<T> c) {
    return static_cast<Wide<T>>(uint64_t(a) * uint64_t(b) + uint64_t(c));
}

int32_t saturate32(int64_t value) {
    constexpr int64_t low = std::numeric_limits<int32_t>::min();
    constexpr int64_t high = std::numeric_limits<int32_t>::max();
    return static_cast<int32_t>(value < low ? low : value > high ? high : value);
}
int32_t add_sat(int32_t a, int32_t b) {
    return saturate32(int64_t(a) + b);
}
int32_t sub_sat(int32_t a, int32_t b) {
    return saturate32(int64_t(a) - b);
}
int32_t mad_hi_sat(int32_t a, int32_t b, int32_t c) {
    return saturate32(int64_t(mul_hi<int32_t>(a, b)) + c);
}

template <typename T>
T low24(T value) {
    return static_cast<T>(static_cast<T>(uint32_t(value) << 8) >> 8);
}
template <typename T>
T mul24_lo(T a, T b) {
    return static_cast<T>(uint64_t(low24(a)) * uint64_t(low24(b)));
}
/// Bits 47..16 of the 48-bit product.
template <typename T>
T mul24_hi(T a, T b) {
    return static_cast<T>((Wide<T>(low24(a)) * Wide<T>(low24(b))) >> 16);
}
template <typename T>
T mad24_lo(T a, T b, T c) {
    return add<T>(mul24_lo<T>(a, b), c);
}
template <typename T>
T mad24_hi(T a, T b, T c) {
    return add<T>(mul24_hi<T>(a, b), c);
}
int32_t mad24_hi_sat(int32_t a, int32_t b, int32_t c) {
    return saturate32(int64_t(mul24_hi<int32_t>(a, b)) + c);
}

template <typename T>
T sad(T a, T b, T c) {
    return add<T>(c, a < b ? sub<T>(b, a) : sub<T>(a, b));
}
template <typename T>
T div(T a, T b) {
    if (b == 0) return static_cast<T>(~T(0));
    if constexpr (std::is_signed_v<T>)
        if (b == -1) return sub<T>(0, a);
    return static_cast<T>(a / b);
}
template <typename T>
T rem(T a, T b) {
    if (b == 0) return a;
    if constexpr (std::is_signed_v<T>)
        if (b == -1) return 0;
    return static_cast<T>(a % b);
}
template <typename T>
T neg(T a) {
    return sub<T>(0, a);
}
template <typename T>
T abs(T a) {
    return a < 0 ? sub<T>(0, a) : a;
}
template <typename T>
T min(T a, T b) {
    return a < b ? a : b;
}
template <typename T>
T max(T a, T b) {
    return a < b ? b : a;
}
template <typename T>
T min_relu(T a, T b) {
    return max<T>(min<T>(a, b), 0);
}
template <typename T>
T max_relu(T a, T b) {
    return max<T>(max<T>(a, b), 0);
}

/// fn on both 16-bit halves.
template <typename T, T (*fn)(T, T)>
uint32_t packed(uint32_t a, uint32_t b) {
    const T low = fn(static_cast<T>(a), static_cast<T>(b));
    const T high = fn(static_cast<T>(a >> 16), static_cast<T>(b >> 16));
    return uint16_t(low) | uint32_t(uint16_t(high)) << 16;
}

uint32_t popc32(uint32_t a) {
    return static_cast<uint32_t>(__builtin_popcount(a));
}
uint32_t popc64(uint64_t a) {
    return static_cast<uint32_t>(__builtin_popcountll(a));
}
uint32_t clz32(uint32_t a) {
    return a == 0 ? 32 : static_cast<uint32_t>(__builtin_clz(a));
}
uint32_t clz64(uint64_t a) {
    return a == 0 ? 64 : static_cast<uint32_t>(__builtin_clzll(a));
}

/// Position of the highest bit that is not the sign; with `shift`, the left shift that brings it to
/// the top; all ones if there is none.
template <typename T, bool shift>
uint32_t bfind(T a) {
    constexpr uint32_t top = 8 * sizeof(T) - 1;
    Unsigned<T> value = static_cast<Unsigned<T>>(a);
    if (std::is_signed_v<T> && a < 0) value = static_cast<Unsigned<T>>(~value);
    if (value == 0) return 0xFFFFFFFFu;
    const uint32_t position = 63 - static_cast<uint32_t>(__builtin_clzll(uint64_t(value)));
    return shift ? top - position : position;
}

/// The |offset|-th set bit of mask, counting from base upwards (offset > 0) or downwards.
uint32_t fns(uint32_t mask, uint32_t base, int32_t offset) {
    if (offset == 0) return base < 32 && (mask >> base & 1) ? base : 0xFFFFFFFFu;
    const int step = offset > 0 ? 1 : -1;
    int64_t left = offset > 0 ? int64_t{offset} - 1 : -int64_t{offset} - 1;
    for (int64_t position = static_cast<int32_t>(base); position >= 0 && position < 32;
         position += step) {
        if ((mask >> position & 1) == 0) continue;
        if (left-- == 0) return static_cast<uint32_t>(position);
    }
    return 0xFFFFFFFFu;
}

uint64_t brev64(uint64_t a) {
    a = (a >> 1 & 0x5555555555555555u) | (a & 0x5555555555555555u) << 1;
    a = (a >> 2 & 0x3333333333333333u) | (a & 0x3333333333333333u) << 2;
    a = (a >> 4 & 0x0F0F0F0F0F0F0F0Fu) | (a & 0x0F0F0F0F0F0F0F0Fu) << 4;
    return __builtin_bswap64(a);
}
uint32_t brev32(uint32_t a) {
    a = (a >> 1 & 0x55555555u) | (a & 0x55555555u) << 1;
    a = (a >> 2 & 0x33333333u) | (a & 0x33333333u) << 2;
    a = (a >> 4 & 0x0F0F0F0Fu) | (a & 0x0F0F0F0Fu) << 4;
    return __builtin_bswap32(a);
}

/// Four products of bytes.
template <typename A, typename B>
uint32_t dp4a(uint32_t a, uint32_t b, uint32_t c) {
    const auto product = [a, b](int i) {
        return static_cast<uint32_t>(int32_t{static_cast<A>(a >> i)} *
                                     int32_t{static_cast<B>(b >> i)});
    };
    return c + product(0) + product(8) + product(16) + product(24);
}
/// 16-bit halves of a times the low or high two bytes of b.
template <typename A, typename B, bool high>
uint32_t dp2a(uint32_t a, uint32_t b, uint32_t c) {
    for (int i = 0; i < 2; ++i) {
        const int64_t x = static_cast<A>(a >> 16 * i);
        const int64_t y = static_cast<B>(b >> (8 * i + (high ? 16 : 0)));
        c += static_cast<uint32_t>(x * y);
    }
    return c;
}

/// Sign- or zero-extends the low b bits.
template <bool is_signed, bool wrap>
uint32_t szext(uint32_t a, uint32_t b) {
    const uint32_t bits = wrap ? b & 31 : b;
    if (bits == 0) return 0;
    if (bits >= 32) return a;
    if (is_signed)
        return static_cast<uint32_t>(static_cast<int32_t>(a << (32 - bits)) >> (32 - bits));
    return a & ((1u << bits) - 1);
}
/// b ones from bit a on.
template <bool wrap>
uint32_t bmsk(uint32_t a, uint32_t b) {
    if (wrap) {
        a &= 31;
        b &= 31;
    }
    if (a >= 32) return 0;
    const uint32_t ones = b >= 32 ? 0xFFFFFFFFu : (1u << b) - 1;
    return ones << a;
}

// ---- Bytes and halves in a word (SIMD video instructions) ---------------------------------------

/// Flags in Op::mode.
enum Simd : uint32_t { kSignedA = 1, kSignedB = 2, kSignedD = 4, kClamp = 8, kAccumulate = 16 };

int64_t part_of(uint32_t word, int index, int bits, bool is_signed) {
    const int64_t value = word >> bits * index & ((1u << bits) - 1);
    return is_signed && value >> (bits - 1) != 0 ? value - (int64_t{1} << bits) : value;
}

using Part = int64_t (*)(int64_t a, int64_t b);
int64_t part_add(int64_t a, int64_t b) {
    return a + b;
}
int64_t part_sub(int64_t a, int64_t b) {
    return a - b;
}
int64_t part_average(int64_t a, int64_t b) {
    return (a + b + (a + b >= 0 ? 1 : 0)) >> 1;
}
int64_t part_difference(int64_t a, int64_t b) {
    return a < b ? b - a : a - b;
}
int64_t part_min(int64_t a, int64_t b) {
    return a < b ? a : b;
}
int64_t part_max(int64_t a, int64_t b) {
    return a < b ? b : a;
}

/// Each part of the result is clamped or cut to its size; with .add they are summed into c.
template <Part fn, int bits>
uint32_t simd(const Op& op, uint32_t a, uint32_t b, uint32_t c) {
    const bool with_sign = (op.mode & kSignedD) != 0;
    const int64_t low = with_sign ? -(int64_t{1} << (bits - 1)) : 0;
    const int64_t high = low + (int64_t{1} << bits) - 1;
    uint32_t word = 0, sum = c;
    for (int i = 0; i < 32 / bits; ++i) {
        int64_t part = fn(part_of(a, i, bits, (op.mode & kSignedA) != 0),
                          part_of(b, i, bits, (op.mode & kSignedB) != 0));
        if ((op.mode & kClamp) != 0) part = part < low ? low : part > high ? high : part;
        const uint32_t cut = static_cast<uint32_t>(part) & ((1u << bits) - 1);
        word |= cut << bits * i;
        sum += static_cast<uint32_t>(part_of(cut, 0, bits, with_sign));
    }
    return (op.mode & kAccumulate) != 0 ? sum : word;
}

// ---- Carry -------------------------------------------------------------------------------------

enum class Carried { kAdd, kSub, kMadLo, kMadHi };

/// The condition code is the adder's carry, also behind a subtraction: a - b is a + ~b + 1, which
/// carries when nothing was borrowed, and subc adds ~b and the carry. PTX speaks of a borrow; the
/// difference shows when addc reads what sub.cc left, as nvcc's 128-bit division does.
///
/// op.src: a, b, c (of mad) and, in src[3], the carry if `in`; op.imm: the carry's slot if `out`.
template <typename T, Carried what, bool in, bool out>
Outcome carry_op(Warp& warp, const Op& op, LaneMask lanes) {
    using Big = unsigned __int128;
    const T* a = warp.lanes<T>(op.src[0]);
    const T* b = warp.lanes<T>(op.src[1]);
    const T* c = warp.lanes<T>(op.src[2]);
    alignas(64) T d[kWarpLanes] = {};
    const LaneMask before = in ? warp.predicate(op.src[3]) : 0;
    LaneMask after = 0;
    for_lanes(lanes, [&](int lane) {
        const T carry = before >> lane & 1;
        Big sum = 0;
        if constexpr (what == Carried::kSub) {
            const T add_one = in ? carry : T(1);
            sum = Big(a[lane]) + static_cast<T>(~b[lane]) + add_one;
        } else {
            T left = a[lane], right = b[lane];
            if constexpr (what == Carried::kMadLo) left = static_cast<T>(left * right);
            if constexpr (what == Carried::kMadHi)
                left = static_cast<T>((Big(left) * right) >> (8 * sizeof(T)));
            if constexpr (what != Carried::kAdd) right = c[lane];
            sum = Big(left) + right + carry;
        }
        d[lane] = static_cast<T>(sum);
        after |= LaneMask((sum >> (8 * sizeof(T)) & 1) != 0) << lane;
    });
    store_lanes(warp, op.dst, lanes, d);
    const Slot slot = static_cast<Slot>(op.imm);
    if (out) set_predicate(warp, slot, lanes, after);
    spread_taint(warp, op, lanes, {op.dst, out ? slot : kSinkSlot});
    return Outcome::kNext;
}

/// The high half of a signed product needs a signed multiplication.
template <bool in, bool out, typename T>
Outcome carry_mad_hi_signed(Warp& warp, const Op& op, LaneMask lanes) {
    using Bits = Unsigned<T>;
    const T* a = warp.lanes<T>(op.src[0]);
    const T* b = warp.lanes<T>(op.src[1]);
    const Bits* c = warp.lanes<Bits>(op.src[2]);
    alignas(64) Bits d[kWarpLanes] = {};
    const LaneMask before = in ? warp.predicate(op.src[3]) : 0;
    LaneMask after = 0;
    for_lanes(lanes, [&](int lane) {
        const Bits product = static_cast<Bits>(mul_hi<T>(a[lane], b[lane]));
        const unsigned __int128 sum =
            static_cast<unsigned __int128>(product) + c[lane] + (before >> lane & 1);
        d[lane] = static_cast<Bits>(sum);
        after |= LaneMask((sum >> (8 * sizeof(T)) & 1) != 0) << lane;
    });
    store_lanes(warp, op.dst, lanes, d);
    const Slot slot = static_cast<Slot>(op.imm);
    if (out) set_predicate(warp, slot, lanes, after);
    spread_taint(warp, op, lanes, {op.dst, out ? slot : kSinkSlot});
    return Outcome::kNext;
}

template <Carried what>
void lower_carry(Reader& reader, Type type, bool in, bool out) {
    Op& op = reader.op();
    if (bytes_of(type) < 4) reader.fail("carries need 32 or 64 bits");
    reader.finish();
    constexpr bool mad = what == Carried::kMadLo || what == Carried::kMadHi;
    reader.require_operands(mad ? 4 : 3);
    reader.destination(type);
    for (size_t i = 1; i < reader.operand_count(); ++i)
        reader.source(i, type);
    if (in) op.src[3] = reader.context().carry();
    op.imm = out ? reader.context().carry() : kSinkSlot;
    op.flags |= Op::kOwnTaint;
    with_flags(in, out, [&](auto is_in, auto is_out) {
        constexpr bool i = decltype(is_in)::value, o = decltype(is_out)::value;
        if (what == Carried::kMadHi && is_signed(type))
            op.execute = bytes_of(type) == 8 ? &carry_mad_hi_signed<i, o, int64_t>
                                             : &carry_mad_hi_signed<i, o, int32_t>;
        else
            op.execute = bytes_of(type) == 8 ? &carry_op<uint64_t, what, i, o>
                                             : &carry_op<uint32_t, what, i, o>;
    });
}

// ---- Lowering ----------------------------------------------------------------------------------

/// Type of the instruction: the last of its types, which may be a packed one.
struct IntegerType {
    Type type = Type::kB32;
    bool packed = false;  ///< u16x2, s16x2; type is then one half's
};

IntegerType take_integer_type(Reader& reader) {
    if (reader.take("u16x2")) return {Type::kU16, true};
    if (reader.take("s16x2")) return {Type::kS16, true};
    return {reader.take_type(), false};
}

/// d, a, b (and c) of one type with the executor that `choose(T{})` names.
template <typename Choose>
void lower_same(Reader& reader, Type type, size_t sources, Choose&& choose) {
    reader.finish();
    reader.require_operands(sources + 1);
    reader.destination(type);
    for (size_t i = 1; i <= sources; ++i)
        reader.source(i, type);
    if (!with_integer(type, [&](auto zero) { reader.op().execute = choose(zero); }))
        reader.fail("no such type");
}

/// The executor that `choose(T{})` names for a type that wide_type() let pass.
template <typename Choose>
Execute choose_wide(Type type, Choose&& choose) {
    switch (type) {
        case Type::kU16:
            return choose(uint16_t{});
        case Type::kS16:
            return choose(int16_t{});
        case Type::kU32:
            return choose(uint32_t{});
        default:
            return choose(int32_t{});
    }
}

template <uint16_t (*of_unsigned)(uint16_t, uint16_t), int16_t (*of_signed)(int16_t, int16_t)>
void lower_packed(Reader& reader, Type half) {
    reader.require_arch(90, "packed 16-bit integer arithmetic");
    reader.finish();
    reader.require_operands(3);
    reader.destination(Type::kB32);
    reader.sources({Type::kB32, Type::kB32});
    reader.op().execute =
        half == Type::kS16 ? each<packed<int16_t, of_signed>> : each<packed<uint16_t, of_unsigned>>;
}

void lower_add(Reader& reader) {
    Op& op = reader.op();
    const bool cc = reader.take("cc"), sat = reader.take("sat");
    const IntegerType t = take_integer_type(reader);
    if (t.packed) {
        if (cc || sat) reader.fail("packed and .cc or .sat");
        return lower_packed<add<uint16_t>, add<int16_t>>(reader, t.type);
    }
    if (cc) return lower_carry<Carried::kAdd>(reader, t.type, false, true);
    if (sat && t.type != Type::kS32) reader.fail(".sat is for .s32");
    lower_same(reader, t.type, 2, [](auto zero) { return each<add<decltype(zero)>>; });
    if (sat) op.execute = each<add_sat>;
}

void lower_sub(Reader& reader) {
    Op& op = reader.op();
    const bool cc = reader.take("cc"), sat = reader.take("sat");
    const IntegerType t = take_integer_type(reader);
    if (t.packed) reader.fail("packed subtraction does not exist");
    if (cc) return lower_carry<Carried::kSub>(reader, t.type, false, true);
    if (sat && t.type != Type::kS32) reader.fail(".sat is for .s32");
    lower_same(reader, t.type, 2, [](auto zero) { return each<sub<decltype(zero)>>; });
    if (sat) op.execute = each<sub_sat>;
}

/// addc, subc: the carry is read, and written with .cc.
template <Carried what>
void lower_with_carry(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kInteger;
    Reader reader(instruction, context, op);
    const bool out = reader.take("cc");
    lower_carry<what>(reader, reader.take_type(), true, out);
}

Type wide_type(Reader& reader, Type type) {
    switch (type) {
        case Type::kU16:
            return Type::kU32;
        case Type::kS16:
            return Type::kS32;
        case Type::kU32:
            return Type::kU64;
        case Type::kS32:
            return Type::kS64;
        default:
            reader.fail(".wide is for 16 and 32 bits");
    }
}

void lower_mul(Reader& reader) {
    Op& op = reader.op();
    const int part = reader.take_one_of({"lo", "hi", "wide"});
    const Type type = reader.take_type();
    if (part < 0) reader.fail("needs .lo, .hi or .wide");
    if (part == 0)
        return lower_same(reader, type, 2, [](auto zero) { return each<mul_lo<decltype(zero)>>; });
    if (part == 1)
        return lower_same(reader, type, 2, [](auto zero) { return each<mul_hi<decltype(zero)>>; });
    reader.finish();
    reader.require_operands(3);
    reader.destination(wide_type(reader, type));
    reader.sources({type, type});
    op.execute =
        choose_wide(type, [](auto zero) -> Execute { return each<mul_wide<decltype(zero)>>; });
}

void lower_mad(Reader& reader, bool carry_in) {
    Op& op = reader.op();
    const int part = reader.take_one_of({"lo", "hi", "wide"});
    const bool sat = reader.take("sat"), cc = reader.take("cc");
    const Type type = reader.take_type();
    if (part < 0) reader.fail("needs .lo, .hi or .wide");
    if (cc || carry_in) {
        if (sat || part == 2) reader.fail("carries go with .lo and .hi");
        return part == 0 ? lower_carry<Carried::kMadLo>(reader, type, carry_in, cc)
                         : lower_carry<Carried::kMadHi>(reader, type, carry_in, cc);
    }
    if (sat && (part != 1 || type != Type::kS32)) reader.fail(".sat is for .hi.s32");
    if (part == 0)
        return lower_same(reader, type, 3, [](auto zero) { return each<mad_lo<decltype(zero)>>; });
    if (part == 1) {
        lower_same(reader, type, 3, [](auto zero) { return each<mad_hi<decltype(zero)>>; });
        if (sat) op.execute = each<mad_hi_sat>;
        return;
    }
    reader.finish();
    reader.require_operands(4);
    const Type wide = wide_type(reader, type);
    reader.destination(wide);
    reader.sources({type, type, wide});
    op.execute =
        choose_wide(type, [](auto zero) -> Execute { return each<mad_wide<decltype(zero)>>; });
}

void lower_mul24(Reader& reader, bool mad) {
    Op& op = reader.op();
    const int part = reader.take_one_of({"lo", "hi"});
    const bool sat = reader.take("sat");
    const Type type = reader.take_type();
    if (part < 0) reader.fail("needs .lo or .hi");
    if (type != Type::kU32 && type != Type::kS32) reader.fail("is for 32 bits");
    if (sat && (!mad || part != 1 || type != Type::kS32)) reader.fail(".sat is for mad24.hi.s32");
    reader.finish();
    reader.require_operands(mad ? 4 : 3);
    reader.destination(type);
    for (size_t i = 1; i < reader.operand_count(); ++i)
        reader.source(i, type);
    const bool s = type == Type::kS32;
    if (sat)
        op.execute = each<mad24_hi_sat>;
    else if (mad)
        op.execute = part == 0 ? (s ? each<mad24_lo<int32_t>> : each<mad24_lo<uint32_t>>)
                               : (s ? each<mad24_hi<int32_t>> : each<mad24_hi<uint32_t>>);
    else
        op.execute = part == 0 ? (s ? each<mul24_lo<int32_t>> : each<mul24_lo<uint32_t>>)
                               : (s ? each<mul24_hi<int32_t>> : each<mul24_hi<uint32_t>>);
}

template <bool is_min>
void lower_min_max(Reader& reader) {
    const bool relu = reader.take("relu");
    const IntegerType t = take_integer_type(reader);
    if (relu) reader.require_arch(90, ".relu of integers");
    if (relu && t.type != Type::kS32 && !(t.packed && t.type == Type::kS16))
        reader.fail(".relu is for .s32 and .s16x2");
    if (t.packed) {
        if (!relu)
            return is_min ? lower_packed<min<uint16_t>, min<int16_t>>(reader, t.type)
                          : lower_packed<max<uint16_t>, max<int16_t>>(reader, t.type);
        return is_min ? lower_packed<min<uint16_t>, min_relu<int16_t>>(reader, t.type)
                      : lower_packed<max<uint16_t>, max_relu<int16_t>>(reader, t.type);
    }
    lower_same(reader, t.type, 2, [](auto zero) {
        using T = decltype(zero);
        return is_min ? each<min<T>> : each<max<T>>;
    });
    if (relu) reader.op().execute = is_min ? each<min_relu<int32_t>> : each<max_relu<int32_t>>;
}

/// A function of one operand whose result has 32 bits.
void lower_count(Reader& reader, Execute of32, Execute of64) {
    const Type type = reader.take_type();
    reader.finish();
    reader.require_operands(2);
    reader.destination(Type::kU32);
    reader.source(1, type);
    if (type != Type::kB32 && type != Type::kB64) reader.fail("is for .b32 and .b64");
    reader.op().execute = type == Type::kB64 ? of64 : of32;
}

void lower_bfind(Reader& reader) {
    Op& op = reader.op();
    const bool shift = reader.take("shiftamt");
    const Type type = reader.take_type();
    reader.finish();
    reader.require_operands(2);
    reader.destination(Type::kU32);
    reader.source(1, type);
    with_flags(shift, [&](auto flag) {
        constexpr bool s = decltype(flag)::value;
        switch (type) {
            case Type::kU32:
                op.execute = each<bfind<uint32_t, s>>;
                break;
            case Type::kS32:
                op.execute = each<bfind<int32_t, s>>;
                break;
            case Type::kU64:
                op.execute = each<bfind<uint64_t, s>>;
                break;
            case Type::kS64:
                op.execute = each<bfind<int64_t, s>>;
                break;
            default:
                reader.fail("no such type");
        }
    });
}

void lower_dot(Reader& reader, bool four) {
    Op& op = reader.op();
    const int half = four ? 0 : reader.take_one_of({"lo", "hi"});
    if (half < 0) reader.fail("needs .lo or .hi");
    const Type a = reader.take_type(), b = reader.take_type();
    for (Type type : {a, b})
        if (type != Type::kU32 && type != Type::kS32) reader.fail("is for .u32 and .s32");
    reader.finish();
    reader.require_operands(4);
    reader.destination(Type::kB32);
    reader.sources({Type::kB32, Type::kB32, Type::kB32});
    with_flags(a == Type::kS32, b == Type::kS32, [&](auto signed_a, auto signed_b) {
        constexpr bool sa = decltype(signed_a)::value, sb = decltype(signed_b)::value;
        using A8 = std::conditional_t<sa, int8_t, uint8_t>;
        using A16 = std::conditional_t<sa, int16_t, uint16_t>;
        using B8 = std::conditional_t<sb, int8_t, uint8_t>;
        op.execute = four        ? each<dp4a<A8, B8>>
                     : half == 0 ? each<dp2a<A16, B8, false>>
                                 : each<dp2a<A16, B8, true>>;
    });
}

void lower_szext(Reader& reader) {
    const int wrap = reader.take_one_of({"clamp", "wrap"});
    const Type type = reader.take_type();
    if (wrap < 0) reader.fail("needs .clamp or .wrap");
    if (type != Type::kU32 && type != Type::kS32) reader.fail("is for .u32 and .s32");
    reader.finish();
    reader.require_operands(3);
    reader.destination(type);
    reader.sources({type, Type::kU32});
    with_flags(type == Type::kS32, wrap == 1, [&](auto s, auto w) {
        reader.op().execute = each<szext<decltype(s)::value, decltype(w)::value>>;
    });
}

void lower_bmsk(Reader& reader) {
    const int wrap = reader.take_one_of({"clamp", "wrap"});
    if (wrap < 0) reader.fail("needs .clamp or .wrap");
    if (reader.take_type() != Type::kB32) reader.fail("is for .b32");
    reader.finish();
    reader.require_operands(3);
    reader.destination(Type::kB32);
    reader.sources({Type::kU32, Type::kU32});
    reader.op().execute = wrap == 1 ? each<bmsk<true>> : each<bmsk<false>>;
}

void lower_fns(Reader& reader) {
    if (reader.take_type() != Type::kB32) reader.fail("is for .b32");
    reader.finish();
    reader.require_operands(4);
    reader.destination(Type::kB32);
    reader.sources({Type::kB32, Type::kB32, Type::kS32});
    reader.op().execute = each<fns>;
}

/// vop2 and vop4 without masks and selectors; then c only counts with .add.
template <Part fn, int bits>
void lower_simd(Reader& reader) {
    Op& op = reader.op();
    const Type d = reader.take_type(), a = reader.take_type(), b = reader.take_type();
    for (Type type : {d, a, b})
        if (type != Type::kU32 && type != Type::kS32) reader.fail("is for .u32 and .s32");
    const bool sat = reader.take("sat"), sum = reader.take("add");
    if (sat && sum) reader.fail(".sat and .add exclude each other");
    reader.finish();
    reader.require_operands(4);
    reader.destination(d);
    reader.sources({a, b, d});
    op.mode = (a == Type::kS32 ? kSignedA : 0u) | (b == Type::kS32 ? kSignedB : 0u) |
              (d == Type::kS32 ? kSignedD : 0u) | (sat ? kClamp : 0u) | (sum ? kAccumulate : 0u);
    op.execute = each<simd<fn, bits>>;
}

template <typename Fn>
Lower integer_only(Fn fn) {
    return [fn](const ptx::Instruction& instruction, LowerContext& context, Op& op) {
        op.kind = OpKind::kInteger;
        Reader reader(instruction, context, op);
        fn(reader);
    };
}

/// By type: integers here, floats in float.cpp, 16-bit floats in half.cpp.
void lower_by_type(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    for (const std::string& modifier : instruction.modifiers) {
        const NamedType* named = find_type(modifier);
        if (named != nullptr && is_half(named->type)) return lower_half(instruction, context, op);
        if (modifier == "f32x2" || (named != nullptr && is_float(named->type)))
            return lower_float(instruction, context, op);
    }
    lower_integer(instruction, context, op);
}

}  // namespace

void lower_integer(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kInteger;
    Reader reader(instruction, context, op);
    const std::string& name = instruction.opcode;
    if (name == "add") return lower_add(reader);
    if (name == "sub") return lower_sub(reader);
    if (name == "mul") return lower_mul(reader);
    if (name == "mad") return lower_mad(reader, false);
    if (name == "min") return lower_min_max<true>(reader);
    if (name == "max") return lower_min_max<false>(reader);
    const Type type = reader.take_type();
    if (name == "div")
        return lower_same(reader, type, 2, [](auto zero) { return each<div<decltype(zero)>>; });
    if (name == "neg" || name == "abs") {
        if (!is_signed(type)) reader.fail("is for signed types");
        const bool is_neg = name == "neg";
        return lower_same(reader, type, 1, [&](auto zero) {
            using T = std::make_signed_t<decltype(zero)>;
            return is_neg ? each<neg<T>> : each<abs<T>>;
        });
    }
    reader.fail("is not known for integers");
}

}  // namespace emulator::isa

namespace emulator {

void register_integer(Registry& registry) {
    using namespace isa;
    for (const char* name : {"add", "sub", "mul", "mad", "div", "neg", "abs", "min", "max"})
        registry.add(name, lower_by_type);

    registry.add("addc", lower_with_carry<Carried::kAdd>);
    registry.add("subc", lower_with_carry<Carried::kSub>);
    registry.add("madc", integer_only([](Reader& reader) { lower_mad(reader, true); }));
    registry.add("mul24", integer_only([](Reader& reader) { lower_mul24(reader, false); }));
    registry.add("mad24", integer_only([](Reader& reader) { lower_mul24(reader, true); }));
    registry.add("rem", integer_only([](Reader& reader) {
                     const Type type = reader.take_type();
                     lower_same(reader, type, 2,
                                [](auto zero) { return each<rem<decltype(zero)>>; });
                 }));
    registry.add("sad", integer_only([](Reader& reader) {
                     const Type type = reader.take_type();
                     lower_same(reader, type, 3,
                                [](auto zero) { return each<sad<decltype(zero)>>; });
                 }));
    registry.add("popc",
                 integer_only([](Reader& r) { lower_count(r, each<popc32>, each<popc64>); }));
    registry.add("clz", integer_only([](Reader& r) { lower_count(r, each<clz32>, each<clz64>); }));
    registry.add("brev", integer_only([](Reader& reader) {
                     const Type type = reader.take_type();
                     if (type != Type::kB32 && type != Type::kB64) reader.fail("is for bits");
                     lower_same(reader, type, 1, [](auto) { return each<brev32>; });
                     if (type == Type::kB64) reader.op().execute = each<brev64>;
                 }));
    const auto add_simd = [&registry](const std::string& name, auto two, auto four) {
        registry.add(name + "2", integer_only(two));
        registry.add(name + "4", integer_only(four));
    };
    add_simd("vadd", lower_simd<part_add, 16>, lower_simd<part_add, 8>);
    add_simd("vsub", lower_simd<part_sub, 16>, lower_simd<part_sub, 8>);
    add_simd("vavrg", lower_simd<part_average, 16>, lower_simd<part_average, 8>);
    add_simd("vabsdiff", lower_simd<part_difference, 16>, lower_simd<part_difference, 8>);
    add_simd("vmin", lower_simd<part_min, 16>, lower_simd<part_min, 8>);
    add_simd("vmax", lower_simd<part_max, 16>, lower_simd<part_max, 8>);
    registry.add("bfind", integer_only([](Reader& reader) { lower_bfind(reader); }));
    registry.add("fns", integer_only([](Reader& reader) { lower_fns(reader); }));
    registry.add("dp4a", integer_only([](Reader& reader) { lower_dot(reader, true); }));
    registry.add("dp2a", integer_only([](Reader& reader) { lower_dot(reader, false); }));
    registry.add("szext", integer_only([](Reader& reader) { lower_szext(reader); }));
    registry.add("bmsk", integer_only([](Reader& reader) { lower_bmsk(reader); }));
}

}  // namespace emulator
