// Bit operations: and or xor not cnot (predicates, too) lop3 shl shr shf prmt bfe bfi.
//
// Source: PTX ISA, "Logic and Shift Instructions", "bfe", "bfi", "prmt". Shift counts are 32 bits
// wide and clamp at the type's width; bfe fills with the sign past the top.
#include <algorithm>

#include "tests/emulator/isa/arith.hpp"

namespace emulator::isa {
namespace {

using ptx::Type;

template <typename T>
T bit_and(T a, T b) {
    return static_cast<T>(a & b);
}
template <typename T>
T bit_or(T a, T b) {
    return static_cast<T>(a | b);
}
template <typename T>
T bit_xor(T a, T b) {
    return static_cast<T>(a ^ b);
}
template <typename T>
T bit_not(T a) {
    return static_cast<T>(~a);
}
template <typename T>
T cnot(T a) {
    return a == 0 ? 1 : 0;
}

template <typename T>
T shl(T a, uint32_t count) {
    constexpr uint32_t bits = 8 * sizeof(T);
    using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
    return count >= bits ? T(0) : static_cast<T>(Bits(a) << (count & (bits - 1)));
}
template <typename T>
T shr(T a, uint32_t count) {
    constexpr uint32_t bits = 8 * sizeof(T);
    if constexpr (std::is_signed_v<T>)
        return static_cast<T>(a >> (count < bits ? count : bits - 1));
    else
        return count >= bits ? T(0) : static_cast<T>(a >> (count & (bits - 1)));
}

/// The pair b:a shifted; .l gives the upper, .r the lower half.
template <bool left, bool wrap>
uint32_t shf(uint32_t a, uint32_t b, uint32_t c) {
    const uint32_t count = wrap ? c & 31 : (c < 32 ? c : 32);
    const uint64_t pair = uint64_t{b} << 32 | a;
    return static_cast<uint32_t>(left ? pair << count >> 32 : pair >> count);
}

/// Byte n of b:a by each nibble of c, or that byte's sign in all bits: a byte shuffle of two lanes.
Outcome run_prmt(Warp& warp, const Op& op, LaneMask lanes) {
    const uint32_t* a = warp.u32(op.src[0]);
    const uint32_t* b = warp.u32(op.src[1]);
    const uint32_t* c = warp.u32(op.src[2]);
    // Nibbles spread to bytes.
    alignas(32) uint32_t selectors[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane)
        selectors[lane] = (c[lane] & 0xF) | (c[lane] & 0xF0) << 4 | (c[lane] & 0xF00) << 8 |
                          (c[lane] & 0xF000) << 12;
    const __m128i zero = _mm_setzero_si128(), seven = _mm_set1_epi8(7), eight = _mm_set1_epi8(8);
    // In a1 b1 | a0 b0 the bytes of the second lane lie 8 further up.
    const __m128i second = _mm_set_epi32(0, 0, 0x08080808, 0);
    alignas(64) uint32_t result[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; lane += 4) {
        const __m128i va = _mm_load_si128(reinterpret_cast<const __m128i*>(a + lane));
        const __m128i vb = _mm_load_si128(reinterpret_cast<const __m128i*>(b + lane));
        const __m128i s = _mm_load_si128(reinterpret_cast<const __m128i*>(selectors + lane));
        const __m128i bytes = _mm_and_si128(s, seven);
        const __m128i low =
            _mm_shuffle_epi8(_mm_unpacklo_epi32(va, vb), _mm_or_si128(bytes, second));
        const __m128i high = _mm_shuffle_epi8(_mm_unpackhi_epi32(va, vb),
                                              _mm_or_si128(_mm_srli_si128(bytes, 8), second));
        const __m128i picked = _mm_unpacklo_epi64(low, high);
        const __m128i is_sign = _mm_cmpeq_epi8(_mm_and_si128(s, eight), eight);
        _mm_store_si128(reinterpret_cast<__m128i*>(result + lane),
                        _mm_blendv_epi8(picked, _mm_cmpgt_epi8(zero, picked), is_sign));
    }
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}

/// The same for one lane, without signs.
uint32_t pick_bytes(uint32_t a, uint32_t b, uint32_t selectors) {
    const uint64_t pair = uint64_t{b} << 32 | a;
    uint32_t d = 0;
    for (int i = 0; i < 4; ++i)
        d |= (static_cast<uint32_t>(pair >> 8 * (selectors >> 4 * i & 7)) & 0xFF) << 8 * i;
    return d;
}

enum PrmtMode : int { kF4e, kB4e, kRc8, kEcl, kEcr, kRc16 };
/// The selector that a mode and the two low bits of c stand for.
template <int mode>
uint32_t prmt_mode(uint32_t a, uint32_t b, uint32_t c) {
    static constexpr uint16_t kSelectors[6][4] = {
        {0x3210, 0x4321, 0x5432, 0x6543}, {0x5670, 0x6701, 0x7012, 0x0123},
        {0x0000, 0x1111, 0x2222, 0x3333}, {0x3210, 0x3211, 0x3222, 0x3333},
        {0x0000, 0x1110, 0x2210, 0x3210}, {0x1010, 0x3232, 0x1010, 0x3232}};
    return pick_bytes(a, b, kSelectors[mode][c & 3]);
}

/// c bits of a from position b; both are the low 8 bits of their operands.
template <typename T>
T bfe(T a, uint32_t b, uint32_t c) {
    constexpr uint32_t bits = 8 * sizeof(T);
    using Bits = std::make_unsigned_t<T>;
    const uint32_t position = b & 0xFF, length = c & 0xFF;
    if (length == 0) return 0;
    // The bit that fills: bit min(position + length - 1, top).
    const uint32_t last = std::min(position + length - 1, bits - 1);
    const bool fill = std::is_signed_v<T> && (static_cast<Bits>(a) >> last & 1) != 0;
    const Bits field = position >= bits ? 0 : static_cast<Bits>(a) >> position;
    const uint32_t valid = position >= bits ? 0 : std::min(length, bits - position);
    const Bits mask = valid >= bits ? ~Bits(0) : static_cast<Bits>((Bits(1) << valid) - 1);
    return static_cast<T>((field & mask) | (fill ? ~mask : Bits(0)));
}

/// b with d bits from position c on replaced by the low bits of a.
template <typename T>
T bfi(T a, T b, uint32_t c, uint32_t d) {
    constexpr uint32_t bits = 8 * sizeof(T);
    const uint32_t position = c & 0xFF, length = d & 0xFF;
    if (position >= bits || length == 0) return b;
    const T ones = length >= bits ? ~T(0) : (T(1) << length) - 1;
    const T mask = ones << position;
    return (b & ~mask) | (a << position & mask);
}
template <typename T>
Outcome run_bfi(Warp& warp, const Op& op, LaneMask lanes) {
    const T* a = warp.lanes<T>(op.src[0]);
    const T* b = warp.lanes<T>(op.src[1]);
    const uint32_t* c = warp.u32(op.src[2]);
    const uint32_t* length = warp.u32(op.src[3]);
    alignas(64) T d[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane)
        d[lane] = bfi(a[lane], b[lane], c[lane], length[lane]);
    store_lanes(warp, op.dst, lanes, d);
    return Outcome::kNext;
}

// ---- lop3 --------------------------------------------------------------------------------------

/// The function with truth table `table` (index: a's bit 4, b's 2, c's 1), as a tree of choices.
template <int table>
uint32_t lop3(uint32_t a, uint32_t b, uint32_t c) {
    const auto bit = [](int i) { return (table >> i & 1) != 0 ? 0xFFFFFFFFu : 0u; };
    const auto choose = [](uint32_t s, uint32_t one, uint32_t zero) {
        return (s & one) | (~s & zero);
    };
    const uint32_t with_a = choose(b, choose(c, bit(7), bit(6)), choose(c, bit(5), bit(4)));
    const uint32_t without = choose(b, choose(c, bit(3), bit(2)), choose(c, bit(1), bit(0)));
    return choose(a, with_a, without);
}

/// All 256 tables are instantiated: the compiler reduces each to a few operations.
template <int... tables>
Execute find_lop3(int table, std::integer_sequence<int, tables...>) {
    static constexpr Execute kExecutors[] = {each<lop3<tables>>...};
    return kExecutors[table];
}

/// lop3.BoolOp d|p: p = (d != 0) BoolOp q. imm: slot of p; src[3]: q; mode: table, flags.
constexpr uint32_t kLop3Negated = 0x100, kLop3And = 0x200;
struct Lop3Detail : OpDetail {
    Op plain;  ///< lop3 alone
};
Outcome run_lop3_predicate(Warp& warp, const Op& op, LaneMask lanes) {
    const Op& plain = static_cast<const Lop3Detail*>(op.detail)->plain;
    LaneMask q = warp.predicate(op.src[3]);
    if ((op.mode & kLop3Negated) != 0) q = ~q;
    plain.execute(warp, plain, lanes);
    alignas(32) uint32_t flags[kWarpLanes];
    std::copy_n(warp.u32(plain.dst), kWarpLanes, flags);
    const LaneMask nonzero = gather_flags(flags);
    const Slot p = static_cast<Slot>(op.imm);
    set_predicate(warp, p, lanes, (op.mode & kLop3And) != 0 ? nonzero & q : nonzero | q);
    spread_taint(warp, op, lanes, {op.dst, p});
    return Outcome::kNext;
}

// ---- Predicates --------------------------------------------------------------------------------

enum class Logic : uint32_t { kAnd, kOr, kXor, kNot };

/// mode: bits 0 and 1 negate the sources, the rest is the operation.
Outcome run_predicate(Warp& warp, const Op& op, LaneMask lanes) {
    LaneMask a = warp.predicate(op.src[0]), b = warp.predicate(op.src[1]);
    if ((op.mode & 1) != 0) a = ~a;
    if ((op.mode & 2) != 0) b = ~b;
    LaneMask value = 0;
    switch (static_cast<Logic>(op.mode >> 2)) {
        case Logic::kAnd:
            value = a & b;
            break;
        case Logic::kOr:
            value = a | b;
            break;
        case Logic::kXor:
            value = a ^ b;
            break;
        case Logic::kNot:
            value = ~a;
            break;
    }
    set_predicate(warp, op.dst, lanes, value);
    return Outcome::kNext;
}

void lower_predicate(Reader& reader, Logic what) {
    Op& op = reader.op();
    reader.require_operands(what == Logic::kNot ? 2 : 3);
    reader.destination(Type::kPred);
    op.mode = static_cast<uint32_t>(what) << 2;
    for (size_t i = 1; i < reader.operand_count(); ++i) {
        bool negated = false;
        op.src[i - 1] = reader.predicate(reader.operand(i), &negated);
        if (negated) op.mode |= 1u << (i - 1);
    }
    op.execute = run_predicate;
}

// ---- Lowering ----------------------------------------------------------------------------------

void require_bits(Reader& reader, Type type) {
    if (type != Type::kB16 && type != Type::kB32 && type != Type::kB64)
        reader.fail("is for .b16, .b32 and .b64");
}

template <Logic what>
void lower_logic(Reader& reader) {
    Op& op = reader.op();
    const Type type = reader.take_type();
    reader.finish();
    if (type == Type::kPred) return lower_predicate(reader, what);
    require_bits(reader, type);
    reader.require_operands(what == Logic::kNot ? 2 : 3);
    reader.destination(type);
    reader.source(1, type);
    if (what != Logic::kNot) reader.source(2, type);
    with_integer(type, [&](auto zero) {
        using T = decltype(zero);
        op.execute = what == Logic::kAnd   ? each<bit_and<T>>
                     : what == Logic::kOr  ? each<bit_or<T>>
                     : what == Logic::kXor ? each<bit_xor<T>>
                                           : each<bit_not<T>>;
    });
}

void lower_cnot(Reader& reader) {
    const Type type = reader.take_type();
    reader.finish();
    require_bits(reader, type);
    reader.require_operands(2);
    reader.destination(type);
    reader.source(1, type);
    with_integer(type, [&](auto zero) { reader.op().execute = each<cnot<decltype(zero)>>; });
}

void lower_shift(Reader& reader, bool left) {
    Op& op = reader.op();
    const Type type = reader.take_type();
    reader.finish();
    if (left) require_bits(reader, type);
    reader.require_operands(3);
    reader.destination(type);
    reader.sources({type, Type::kU32});
    const bool known = with_integer(type, [&](auto zero) {
        using T = decltype(zero);
        op.execute = left ? each<shl<T>> : each<shr<T>>;
    });
    if (!known) reader.fail("no such type");
}

void lower_shf(Reader& reader) {
    const int right = reader.take_one_of({"l", "r"});
    const int wrap = reader.take_one_of({"clamp", "wrap"});
    if (right < 0 || wrap < 0) reader.fail("needs .l or .r and .clamp or .wrap");
    if (reader.take_type() != Type::kB32) reader.fail("is for .b32");
    reader.finish();
    reader.require_operands(4);
    reader.destination(Type::kB32);
    reader.sources({Type::kB32, Type::kB32, Type::kU32});
    with_flags(right == 0, wrap == 1, [&](auto l, auto w) {
        reader.op().execute = each<shf<decltype(l)::value, decltype(w)::value>>;
    });
}

void lower_prmt(Reader& reader) {
    Op& op = reader.op();
    if (reader.take_type() != Type::kB32) reader.fail("is for .b32");
    const int mode = reader.take_one_of({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"});
    reader.finish();
    reader.require_operands(4);
    reader.destination(Type::kB32);
    reader.sources({Type::kB32, Type::kB32, Type::kB32});
    switch (mode) {
        case kF4e:
            op.execute = each<prmt_mode<kF4e>>;
            return;
        case kB4e:
            op.execute = each<prmt_mode<kB4e>>;
            return;
        case kRc8:
            op.execute = each<prmt_mode<kRc8>>;
            return;
        case kEcl:
            op.execute = each<prmt_mode<kEcl>>;
            return;
        case kEcr:
            op.execute = each<prmt_mode<kEcr>>;
            return;
        case kRc16:
            op.execute = each<prmt_mode<kRc16>>;
            return;
        default:
            break;
    }
    op.execute = run_prmt;
}

void lower_bfe(Reader& reader) {
    const Type type = reader.take_type();
    reader.finish();
    reader.require_operands(4);
    reader.destination(type);
    reader.sources({type, Type::kU32, Type::kU32});
    Op& op = reader.op();
    switch (type) {
        case Type::kU32:
            op.execute = each<bfe<uint32_t>>;
            break;
        case Type::kS32:
            op.execute = each<bfe<int32_t>>;
            break;
        case Type::kU64:
            op.execute = each<bfe<uint64_t>>;
            break;
        case Type::kS64:
            op.execute = each<bfe<int64_t>>;
            break;
        default:
            reader.fail("no such type");
    }
}

void lower_bfi(Reader& reader) {
    const Type type = reader.take_type();
    reader.finish();
    if (type != Type::kB32 && type != Type::kB64) reader.fail("is for .b32 and .b64");
    reader.require_operands(5);
    reader.destination(type);
    reader.sources({type, type, Type::kU32, Type::kU32});
    reader.op().execute = type == Type::kB64 ? run_bfi<uint64_t> : run_bfi<uint32_t>;
}

void lower_lop3(Reader& reader) {
    Op& op = reader.op();
    const int boolean = reader.take_one_of({"or", "and"});
    if (reader.take_type() != Type::kB32) reader.fail("is for .b32");
    reader.finish();
    reader.require_operands(boolean < 0 ? 5 : 6);
    const ptx::Operand& table = reader.operand(4);
    if (table.kind != ptx::Operand::Kind::kImmediate || table.bits > 0xFF)
        reader.fail("the table is no number from 0 to 255");
    reader.destination(Type::kB32);
    reader.sources({Type::kB32, Type::kB32, Type::kB32});
    op.execute = find_lop3(static_cast<int>(table.bits), std::make_integer_sequence<int, 256>());
    if (boolean < 0) {
        if (reader.operand(0).pair != -1) reader.fail("a predicate needs .and or .or");
        return;
    }
    const int pair = reader.operand(0).pair;
    if (pair == -1) reader.fail("needs d|p");
    auto detail = std::make_unique<Lop3Detail>();
    // The plain operation writes where nobody else looks when d is "_", so that d != 0 is seen.
    detail->plain = op;
    op.detail = reader.context().keep(std::move(detail));
    op.imm = pair == ptx::Operand::kPairSink ? kSinkSlot : reader.context().reg(pair);
    bool negated = false;
    op.src[3] = reader.predicate(reader.operand(5), &negated);
    op.mode = (negated ? kLop3Negated : 0) | (boolean == 1 ? kLop3And : 0);
    op.flags |= Op::kOwnTaint;
    op.execute = run_lop3_predicate;
}

Lower logic(void (*fn)(Reader&)) {
    return [fn](const ptx::Instruction& instruction, LowerContext& context, Op& op) {
        op.kind = OpKind::kLogic;
        Reader reader(instruction, context, op);
        fn(reader);
    };
}

}  // namespace
}  // namespace emulator::isa

namespace emulator {

void register_logic(Registry& registry) {
    using namespace isa;
    registry.add("and", logic(lower_logic<Logic::kAnd>));
    registry.add("or", logic(lower_logic<Logic::kOr>));
    registry.add("xor", logic(lower_logic<Logic::kXor>));
    registry.add("not", logic(lower_logic<Logic::kNot>));
    registry.add("cnot", logic(lower_cnot));
    registry.add("lop3", logic(lower_lop3));
    registry.add("shl", logic([](Reader& reader) { lower_shift(reader, true); }));
    registry.add("shr", logic([](Reader& reader) { lower_shift(reader, false); }));
    registry.add("shf", logic(lower_shf));
    registry.add("prmt", logic(lower_prmt));
    registry.add("bfe", logic(lower_bfe));
    registry.add("bfi", logic(lower_bfi));
}

}  // namespace emulator
