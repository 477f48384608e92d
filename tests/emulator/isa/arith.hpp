// What the arithmetic groups of instructions share: reading modifiers and operands of a PTX
// instruction strictly, executors made from one-lane functions, rounding of the host's SSE unit.
//
// Source: PTX ISA, "Instruction Operands" (operand sizes) and "Floating-Point Instructions"
// (rounding, .ftz, .sat, canonical NaN). Needs AVX2, FMA and F16C.
#pragma once

#include <immintrin.h>

#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/emulator/exec/warp.hpp"

namespace emulator::isa {

template <typename To, typename From>
inline To bit_cast(const From& from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof(To));
    return to;
}

// ---- Types -------------------------------------------------------------------------------------

struct NamedType {
    const char* name;
    ptx::Type type;
    int bytes;
};
inline constexpr NamedType kTypes[] = {
    {"pred", ptx::Type::kPred, 0},     {"b8", ptx::Type::kB8, 1},
    {"u8", ptx::Type::kU8, 1},         {"s8", ptx::Type::kS8, 1},
    {"b16", ptx::Type::kB16, 2},       {"u16", ptx::Type::kU16, 2},
    {"s16", ptx::Type::kS16, 2},       {"f16", ptx::Type::kF16, 2},
    {"bf16", ptx::Type::kBF16, 2},     {"b32", ptx::Type::kB32, 4},
    {"u32", ptx::Type::kU32, 4},       {"s32", ptx::Type::kS32, 4},
    {"f32", ptx::Type::kF32, 4},       {"f16x2", ptx::Type::kF16x2, 4},
    {"bf16x2", ptx::Type::kBF16x2, 4}, {"b64", ptx::Type::kB64, 8},
    {"u64", ptx::Type::kU64, 8},       {"s64", ptx::Type::kS64, 8},
    {"f64", ptx::Type::kF64, 8},       {"b128", ptx::Type::kB128, 16},
};

inline const NamedType* find_type(std::string_view name) {
    for (const NamedType& entry : kTypes)
        if (name == entry.name) return &entry;
    return nullptr;
}

inline int bytes_of(ptx::Type type) {
    for (const NamedType& entry : kTypes)
        if (type == entry.type) return entry.bytes;
    return 0;
}

inline bool is_half(ptx::Type type) {
    return type == ptx::Type::kF16 || type == ptx::Type::kBF16 || type == ptx::Type::kF16x2 ||
           type == ptx::Type::kBF16x2;
}
inline bool is_float(ptx::Type type) {
    return type == ptx::Type::kF32 || type == ptx::Type::kF64;
}
inline bool is_signed(ptx::Type type) {
    return type == ptx::Type::kS8 || type == ptx::Type::kS16 || type == ptx::Type::kS32 ||
           type == ptx::Type::kS64;
}
inline bool is_unsigned(ptx::Type type) {
    return type == ptx::Type::kU8 || type == ptx::Type::kU16 || type == ptx::Type::kU32 ||
           type == ptx::Type::kU64;
}

// ---- Reading an instruction --------------------------------------------------------------------

/// The modifiers of one instruction; each is taken once, and finish() refuses what is left over, so
/// that no modifier is ever silently ignored. Also reads operands and checks their sizes.
class Reader {
  public:
    Reader(const ptx::Instruction& instruction, LowerContext& context, Op& op)
        : instruction_(instruction), context_(context), op_(op), left_(instruction.modifiers) {}

    /// Removes a modifier if it is there.
    bool take(std::string_view name) {
        for (size_t i = 0; i < left_.size(); ++i)
            if (left_[i] == name) {
                left_.erase(left_.begin() + static_cast<std::ptrdiff_t>(i));
                return true;
            }
        return false;
    }
    /// Index of the one of `names` that is there, or -1.
    int take_one_of(std::initializer_list<std::string_view> names) {
        int index = 0;
        for (std::string_view name : names) {
            if (take(name)) return index;
            ++index;
        }
        return -1;
    }
    /// Removes and returns the first modifier that is a type of ast.hpp.
    ptx::Type take_type() {
        for (size_t i = 0; i < left_.size(); ++i)
            if (const NamedType* entry = find_type(left_[i])) {
                left_.erase(left_.begin() + static_cast<std::ptrdiff_t>(i));
                return entry->type;
            }
        fail("no type");
    }
    /// Removes and returns the first modifier, "" if there is none.
    std::string take_any() {
        if (left_.empty()) return "";
        std::string first = left_.front();
        left_.erase(left_.begin());
        return first;
    }
    size_t left() const { return left_.size(); }
    void finish() const {
        if (!left_.empty()) fail("modifier ." + left_.front() + " is not understood here");
    }
    [[noreturn]] void fail(const std::string& what) const {
        context_.fail(instruction_, what);
        __builtin_unreachable();
    }
    void require_arch(int arch, const std::string& what) const {
        if (context_.arch() < arch) fail(what + " needs sm_" + std::to_string(arch));
    }
    void require_operands(size_t least, size_t most = 0) const {
        const size_t count = instruction_.operands.size();
        if (count < least || count > (most == 0 ? least : most))
            fail(std::to_string(count) + " operands");
    }

    size_t operand_count() const { return instruction_.operands.size(); }
    const ptx::Operand& operand(size_t index) const {
        if (index >= instruction_.operands.size()) fail("an operand is missing");
        return instruction_.operands[index];
    }

    /// Slot of a source of exactly the size of `type`.
    Slot source(const ptx::Operand& operand, ptx::Type type) const {
        check_size(operand, type);
        return context_.source(operand, type);
    }
    /// Operand `index` becomes op.src[index - 1].
    void source(size_t index, ptx::Type type) const {
        op_.src[index - 1] = source(operand(index), type);
    }
    void sources(std::initializer_list<ptx::Type> types) const {
        size_t index = 1;
        for (ptx::Type type : types)
            source(index++, type);
    }
    Slot destination(const ptx::Operand& operand, ptx::Type type) const {
        check_size(operand, type);
        if (operand.kind != ptx::Operand::Kind::kRegister &&
            operand.kind != ptx::Operand::Kind::kSink)
            fail("the destination is no register");
        return context_.destination(operand);
    }
    /// Operand 0 becomes op.dst.
    void destination(ptx::Type type) const { op_.dst = destination(operand(0), type); }
    Slot predicate(const ptx::Operand& operand, bool* negated) const {
        check_size(operand, ptx::Type::kPred);
        return context_.predicate(operand, negated);
    }

    /// Bytes of a lane of a register operand; those of `otherwise` for anything else.
    int operand_bytes(const ptx::Operand& operand, ptx::Type otherwise) const {
        return operand.kind == ptx::Operand::Kind::kRegister
                   ? bytes_of(context_.reg_type(operand.reg))
                   : bytes_of(otherwise);
    }

    LowerContext& context() const { return context_; }
    const ptx::Instruction& instruction() const { return instruction_; }
    Op& op() const { return op_; }

  private:
    void check_size(const ptx::Operand& operand, ptx::Type type) const {
        if (operand.kind != ptx::Operand::Kind::kRegister) return;
        const ptx::Type have = context_.reg_type(operand.reg);
        const bool predicate = type == ptx::Type::kPred, has_predicate = have == ptx::Type::kPred;
        if (predicate != has_predicate || bytes_of(have) != bytes_of(type))
            fail("a register's size does not fit the instruction's type");
    }

    const ptx::Instruction& instruction_;
    LowerContext& context_;
    Op& op_;
    std::vector<std::string> left_;
};

/// Opcodes that several files share ("add" of integers, floats and halves) are registered once and
/// handed over by the instruction's type.
void lower_integer(const ptx::Instruction& instruction, LowerContext& context, Op& op);
void lower_float(const ptx::Instruction& instruction, LowerContext& context, Op& op);
void lower_half(const ptx::Instruction& instruction, LowerContext& context, Op& op);

// ---- Executors from one-lane functions ---------------------------------------------------------

/// What a value of type T looks like in a lane: narrow integers are zero-extended to 32 bits.
template <typename T>
using LaneType = std::conditional_t<(sizeof(T) < 4), uint32_t, T>;

template <typename T>
inline LaneType<T> to_lane(T value) {
    if constexpr (sizeof(T) < 4)
        return static_cast<std::make_unsigned_t<T>>(value);
    else
        return value;
}
template <typename T>
inline T from_lane(LaneType<T> value) {
    return static_cast<T>(value);
}

/// run<fn>: the executor of a function of one, two or three values, by lanes. A first parameter of
/// type `const Op&` gives fn the operation.
template <auto fn>
struct Lanewise;

template <typename R, typename A, R (*fn)(A)>
struct Lanewise<fn> {
    static Outcome run(Warp& warp, const Op& op, LaneMask lanes) {
        map_lanes<LaneType<R>, LaneType<A>, uint32_t, uint32_t>(
            warp, op, lanes,
            [](LaneType<A> a, uint32_t, uint32_t) { return to_lane<R>(fn(from_lane<A>(a))); });
        return Outcome::kNext;
    }
};
template <typename R, typename A, typename B, R (*fn)(A, B)>
struct Lanewise<fn> {
    static Outcome run(Warp& warp, const Op& op, LaneMask lanes) {
        map_lanes<LaneType<R>, LaneType<A>, LaneType<B>, uint32_t>(
            warp, op, lanes, [](LaneType<A> a, LaneType<B> b, uint32_t) {
                return to_lane<R>(fn(from_lane<A>(a), from_lane<B>(b)));
            });
        return Outcome::kNext;
    }
};
template <typename R, typename A, typename B, typename C, R (*fn)(A, B, C)>
struct Lanewise<fn> {
    static Outcome run(Warp& warp, const Op& op, LaneMask lanes) {
        map_lanes<LaneType<R>, LaneType<A>, LaneType<B>, LaneType<C>>(
            warp, op, lanes, [](LaneType<A> a, LaneType<B> b, LaneType<C> c) {
                return to_lane<R>(fn(from_lane<A>(a), from_lane<B>(b), from_lane<C>(c)));
            });
        return Outcome::kNext;
    }
};
template <typename R, typename A, typename B, typename C, R (*fn)(const Op&, A, B, C)>
struct Lanewise<fn> {
    static Outcome run(Warp& warp, const Op& op, LaneMask lanes) {
        map_lanes<LaneType<R>, LaneType<A>, LaneType<B>, LaneType<C>>(
            warp, op, lanes, [&op](LaneType<A> a, LaneType<B> b, LaneType<C> c) {
                return to_lane<R>(fn(op, from_lane<A>(a), from_lane<B>(b), from_lane<C>(c)));
            });
        return Outcome::kNext;
    }
};

template <auto fn>
constexpr Execute each = &Lanewise<fn>::run;

/// Calls fn(T{}) with the C++ type of an integer type; bit types count as unsigned.
template <typename Fn>
inline bool with_integer(ptx::Type type, Fn&& fn) {
    switch (type) {
        case ptx::Type::kB16:
        case ptx::Type::kU16:
            fn(uint16_t{});
            return true;
        case ptx::Type::kS16:
            fn(int16_t{});
            return true;
        case ptx::Type::kB32:
        case ptx::Type::kU32:
            fn(uint32_t{});
            return true;
        case ptx::Type::kS32:
            fn(int32_t{});
            return true;
        case ptx::Type::kB64:
        case ptx::Type::kU64:
            fn(uint64_t{});
            return true;
        case ptx::Type::kS64:
            fn(int64_t{});
            return true;
        default:
            return false;
    }
}

/// Calls fn with std::true_type or std::false_type for each flag.
template <typename Fn>
inline void with_flags(bool a, Fn&& fn) {
    if (a)
        fn(std::true_type{});
    else
        fn(std::false_type{});
}
template <typename Fn>
inline void with_flags(bool a, bool b, Fn&& fn) {
    with_flags(a, [&](auto x) { with_flags(b, [&](auto y) { fn(x, y); }); });
}

/// Where lane l's flag is nonzero, bit l.
inline LaneMask gather_flags(const uint32_t (&flags)[kWarpLanes]) {
    LaneMask bits = 0;
    const __m256i zero = _mm256_setzero_si256();
    for (int i = 0; i < kWarpLanes; i += 8) {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(flags + i));
        const __m256i is_zero = _mm256_cmpeq_epi32(v, zero);
        bits |= LaneMask(0xFF & ~_mm256_movemask_ps(_mm256_castsi256_ps(is_zero))) << i;
    }
    return bits;
}

/// Writes a result that was computed beside the registers: a destination may share slots with a
/// source that dies, even one of another size, so everything is read before anything is written.
template <typename T>
inline void store_lanes(Warp& warp, Slot slot, LaneMask lanes, const T (&result)[kWarpLanes]) {
    T* d = warp.lanes<T>(slot);
    if (lanes == kAllLanes) {
        for (int lane = 0; lane < kWarpLanes; ++lane)
            d[lane] = result[lane];
    } else {
        for (int lane = 0; lane < kWarpLanes; ++lane)
            d[lane] = (lanes >> lane & 1) != 0 ? result[lane] : d[lane];
    }
}

inline void set_predicate(Warp& warp, Slot slot, LaneMask lanes, LaneMask value) {
    LaneMask& p = warp.predicate(slot);
    p = (p & ~lanes) | (value & lanes);
}

/// For executors that keep their own taint because they write several registers: each of `slots` is
/// suspicious where any source is.
inline void spread_taint(Warp& warp, const Op& op, LaneMask lanes,
                         std::initializer_list<Slot> slots) {
    if (!warp.checks()) return;
    LaneMask suspicious = 0;
    Slot cause = kZeroSlot;
    for (Slot source : op.src) {
        const LaneMask more = warp.taint(source) & lanes;
        if (more != 0 && suspicious == 0) cause = source;
        suspicious |= more;
    }
    for (Slot slot : slots)
        if (slot != kSinkSlot) warp.pass_taint(slot, lanes, suspicious, cause);
}

// ---- Rounding ----------------------------------------------------------------------------------

enum class Rounding : uint8_t { kNearest, kZero, kDown, kUp, kNearestAway };

/// Makes the host's SSE unit round so; ordinary nearest-even arithmetic afterwards. The barriers
/// keep the compiler, which knows nothing of rounding, from moving loads or stores, and with them
/// the arithmetic between, out of the scope.
class RoundingScope {
  public:
    explicit RoundingScope(Rounding rounding) : saved_(_mm_getcsr()) {
        static constexpr unsigned kBits[] = {0x0000, 0x6000, 0x2000, 0x4000, 0x0000};
        _mm_setcsr((saved_ & ~0x6000u) | kBits[static_cast<int>(rounding)]);
        barrier();
    }
    ~RoundingScope() {
        barrier();
        _mm_setcsr(saved_);
    }
    RoundingScope(const RoundingScope&) = delete;
    RoundingScope& operator=(const RoundingScope&) = delete;

  private:
    static void barrier() { asm volatile("" ::: "memory"); }
    unsigned saved_;
};

/// Makes the compiler believe that somebody else sees and changes what `where` points to:
/// arithmetic on arrays of our own must not leave a RoundingScope either.
inline void escape(const void* where) {
    asm volatile("" : : "r"(where) : "memory");
}

/// The executor of fn with the rounding that op.mode names.
template <auto fn>
inline Outcome run_rounded(Warp& warp, const Op& op, LaneMask lanes) {
    RoundingScope scope(static_cast<Rounding>(op.mode));
    return each<fn>(warp, op, lanes);
}

inline Rounding take_rounding(Reader& reader) {
    switch (reader.take_one_of({"rn", "rz", "rm", "rp"})) {
        case 1:
            return Rounding::kZero;
        case 2:
            return Rounding::kDown;
        case 3:
            return Rounding::kUp;
        default:
            return Rounding::kNearest;
    }
}

// ---- f32 and f64 values ------------------------------------------------------------------------

constexpr uint32_t kNanF32 = 0x7FFFFFFFu;

/// Subnormals become zeros of their sign; f64 has no .ftz.
template <bool ftz, typename T>
inline T flush(T value) {
    if constexpr (ftz) {
        static_assert(sizeof(T) == 4);
        const uint32_t bits = bit_cast<uint32_t>(value);
        return bit_cast<T>((bits & 0x7F800000u) == 0 ? bits & 0x80000000u : bits);
    } else {
        return value;
    }
}

/// f32 operations give the canonical NaN; f64 operations keep payloads.
template <typename T>
inline T canonical(T value) {
    if constexpr (sizeof(T) == 4) {
        const uint32_t bits = bit_cast<uint32_t>(value);
        return bit_cast<T>((bits & 0x7FFFFFFFu) > 0x7F800000u ? kNanF32 : bits);
    } else {
        return value;
    }
}

/// The end of an operation: flush, then clamp to [0, 1] with NaN to +0, or canonicalize.
template <bool ftz, bool sat, typename T>
inline T finish(T value) {
    if constexpr (sat) {
        const T at_least = value > T(0) ? value : T(0);
        return flush<ftz>(at_least < T(1) ? at_least : T(1));
    } else {
        return canonical(flush<ftz>(value));
    }
}

}  // namespace emulator::isa
