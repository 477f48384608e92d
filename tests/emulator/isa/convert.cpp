// Moves and conversions: mov (registers, immediates, addresses, special registers, packing and
// unpacking of vectors), cvt, cvt.pack, cvta.
//
// Source: PTX ISA, "Data Movement and Conversion Instructions": "mov", "cvt", "cvt.pack", "cvta".
// Float to integer clamps and turns NaN into 0, into the top bit alone for 64 bits. A packed result
// has its first source in the upper half.
#include <algorithm>
#include <cmath>

#include "tests/emulator/isa/narrow_float.hpp"
#include "tests/emulator/memory/memory.hpp"

namespace emulator::isa {
namespace {

using ptx::Operand;
using ptx::Type;

// ---- mov ---------------------------------------------------------------------------------------

template <typename T>
T same(T a) {
    return a;
}

Outcome run_mov128(Warp& warp, const Op& op, LaneMask lanes) {
    struct alignas(16) Quad {
        uint64_t low, high;
    };
    alignas(64) Quad result[kWarpLanes];
    std::memcpy(result, warp.lanes<uint8_t>(op.src[0]), sizeof(result));
    uint8_t* d = warp.lanes<uint8_t>(op.dst);
    for_lanes(lanes, [&](int lane) { std::memcpy(d + 16 * lane, &result[lane], 16); });
    return Outcome::kNext;
}

/// mode: 1 if negated.
Outcome run_mov_predicate(Warp& warp, const Op& op, LaneMask lanes) {
    const LaneMask value = warp.predicate(op.src[0]);
    set_predicate(warp, op.dst, lanes, op.mode != 0 ? ~value : value);
    return Outcome::kNext;
}

/// From a special register that holds 0 or 1.
Outcome run_mov_flag(Warp& warp, const Op& op, LaneMask lanes) {
    alignas(32) uint32_t flags[kWarpLanes];
    std::copy_n(warp.u32(op.src[0]), kWarpLanes, flags);
    set_predicate(warp, op.dst, lanes, gather_flags(flags));
    return Outcome::kNext;
}

/// {a, b, ...} to one value, the first element lowest.
template <int total, int element>
Outcome run_pack(Warp& warp, const Op& op, LaneMask lanes) {
    constexpr int count = total / element;
    if constexpr (total <= 8) {
        using Value = std::conditional_t<total == 8, uint64_t, uint32_t>;
        alignas(64) Value result[kWarpLanes] = {};
        for (int i = 0; i < count; ++i) {
            const uint32_t* from = warp.u32(op.src[i]);
            for (int lane = 0; lane < kWarpLanes; ++lane)
                result[lane] |= Value{from[lane]} << 8 * element * i;
        }
        store_lanes(warp, op.dst, lanes, result);
    } else {
        alignas(64) uint8_t result[kWarpLanes * total];
        for (int i = 0; i < count; ++i) {
            const uint8_t* from = warp.lanes<uint8_t>(op.src[i]);
            for (int lane = 0; lane < kWarpLanes; ++lane)
                std::memcpy(result + total * lane + element * i, from + element * lane, element);
        }
        uint8_t* d = warp.lanes<uint8_t>(op.dst);
        for_lanes(lanes,
                  [&](int lane) { std::memcpy(d + total * lane, result + total * lane, total); });
    }
    return Outcome::kNext;
}

struct UnpackDetail : OpDetail {
    Slot to[4] = {kSinkSlot, kSinkSlot, kSinkSlot, kSinkSlot};
};
template <int total, int element>
Outcome run_unpack(Warp& warp, const Op& op, LaneMask lanes) {
    constexpr int count = total / element;
    using Lane = std::conditional_t<element == 8, uint64_t, uint32_t>;
    const Slot* to = static_cast<const UnpackDetail*>(op.detail)->to;
    alignas(64) Lane parts[count][kWarpLanes];
    if constexpr (total <= 8) {
        using Value = std::conditional_t<total == 8, uint64_t, uint32_t>;
        constexpr Lane mask =
            static_cast<Lane>(element >= 4 ? ~Lane{0} : (Lane{1} << 8 * element) - 1);
        const Value* from = warp.lanes<Value>(op.src[0]);
        for (int i = 0; i < count; ++i)
            for (int lane = 0; lane < kWarpLanes; ++lane)
                parts[i][lane] = static_cast<Lane>(from[lane] >> 8 * element * i) & mask;
    } else {
        const uint8_t* from = warp.lanes<uint8_t>(op.src[0]);
        for (int i = 0; i < count; ++i)
            for (int lane = 0; lane < kWarpLanes; ++lane)
                std::memcpy(&parts[i][lane], from + total * lane + element * i, element);
    }
    spread_taint(warp, op, lanes, {to[0], to[1], to[2], to[3]});
    for (int i = 0; i < count; ++i)
        store_lanes(warp, to[i], lanes, parts[i]);
    return Outcome::kNext;
}

/// Type of bits of so many bytes.
Type bits_type(int bytes) {
    switch (bytes) {
        case 1:
            return Type::kB8;
        case 2:
            return Type::kB16;
        case 4:
            return Type::kB32;
        case 8:
            return Type::kB64;
        default:
            return Type::kB128;
    }
}

void lower_mov_vector(Reader& reader, Type type) {
    Op& op = reader.op();
    const bool pack = reader.operand(1).kind == Operand::Kind::kVector;
    const Operand& vector = reader.operand(pack ? 1 : 0);
    const int total = bytes_of(type), count = static_cast<int>(vector.elements.size());
    if (count != 2 && count != 4) reader.fail("a vector has 2 or 4 elements");
    const int element = total / count;
    if (element == 0) reader.fail("more elements than bytes");
    const Type part = bits_type(element);
    if (pack) {
        reader.destination(type);
        for (int i = 0; i < count; ++i)
            op.src[i] = reader.source(vector.elements[i], part);
    } else {
        reader.source(1, type);
        auto detail = std::make_unique<UnpackDetail>();
        for (int i = 0; i < count; ++i)
            detail->to[i] = reader.destination(vector.elements[i], part);
        op.detail = reader.context().keep(std::move(detail));
        op.flags |= Op::kOwnTaint;
    }
    const int key = total * 16 + element;
    switch (key) {
        case 0x021:
            op.execute = pack ? run_pack<2, 1> : run_unpack<2, 1>;
            break;
        case 0x041:
            op.execute = pack ? run_pack<4, 1> : run_unpack<4, 1>;
            break;
        case 0x042:
            op.execute = pack ? run_pack<4, 2> : run_unpack<4, 2>;
            break;
        case 0x082:
            op.execute = pack ? run_pack<8, 2> : run_unpack<8, 2>;
            break;
        case 0x084:
            op.execute = pack ? run_pack<8, 4> : run_unpack<8, 4>;
            break;
        case 0x104:
            op.execute = pack ? run_pack<16, 4> : run_unpack<16, 4>;
            break;
        case 0x108:
            op.execute = pack ? run_pack<16, 8> : run_unpack<16, 8>;
            break;
        default:
            reader.fail("no such vector");
    }
}

// What changes while a thread runs. The clock ticks with every operation of the host thread.
Outcome run_clock32(Warp& warp, const Op& op, LaneMask lanes) {
    const uint32_t value = static_cast<uint32_t>(warp.clock() >> op.imm);
    uint32_t* d = warp.u32(op.dst);
    for_lanes(lanes, [&](int lane) { d[lane] = value; });
    return Outcome::kNext;
}
Outcome run_clock64(Warp& warp, const Op& op, LaneMask lanes) {
    const uint64_t value = warp.clock();
    uint64_t* d = warp.u64(op.dst);
    for_lanes(lanes, [&](int lane) { d[lane] = value; });
    return Outcome::kNext;
}

/// True if `operand` is a register that changes, which was lowered.
bool lower_clock(Reader& reader, const Operand& operand, Type type) {
    if (operand.kind != Operand::Kind::kSpecial) return false;
    const std::string& name = operand.name;
    const bool whole = name == "%clock64" || name == "%globaltimer";
    const bool low = name == "%clock" || name == "%globaltimer_lo";
    const bool high = name == "%clock_hi" || name == "%globaltimer_hi";
    if (!whole && !low && !high) return false;
    if (bytes_of(type) != (whole ? 8 : 4)) reader.fail("has the wrong size for " + name);
    reader.op().imm = high ? 32 : 0;
    reader.op().execute = whole ? run_clock64 : run_clock32;
    return true;
}

void lower_mov(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kMove;
    Reader reader(instruction, context, op);
    const Type type = reader.take_type();
    reader.finish();
    reader.require_operands(2);
    if (reader.operand(0).kind == Operand::Kind::kVector ||
        reader.operand(1).kind == Operand::Kind::kVector)
        return lower_mov_vector(reader, type);
    reader.destination(type);
    if (type == Type::kPred && reader.operand(1).kind == Operand::Kind::kSpecial) {
        op.src[0] = context.source(reader.operand(1), Type::kU32);
        op.execute = run_mov_flag;
        return;
    }
    if (type == Type::kPred) {
        bool negated = false;
        op.src[0] = reader.predicate(reader.operand(1), &negated);
        op.mode = negated ? 1 : 0;
        op.execute = run_mov_predicate;
        return;
    }
    if (lower_clock(reader, reader.operand(1), type)) return;
    reader.source(1, type);
    switch (bytes_of(type)) {
        case 16:
            op.execute = run_mov128;
            break;
        case 8:
            op.execute = each<same<uint64_t>>;
            break;
        default:
            op.execute = each<same<uint32_t>>;
            break;
    }
}

// ---- cvt: scalars ------------------------------------------------------------------------------

enum class Integral : uint8_t { kNone, kNearest, kZero, kDown, kUp };

struct ConvertDetail : OpDetail {
    Type to{}, from{};
    int to_bytes = 0, from_bytes = 0;  ///< of the registers
    Rounding rounding = Rounding::kNearest;
    Integral integral = Integral::kNone;
    bool ftz = false, sat = false, relu = false, satfinite = false;
};

bool is_floating(Type type) {
    return type == Type::kF16 || type == Type::kBF16 || type == Type::kF32 || type == Type::kF64;
}

/// Calls fn(T{}) with the C++ type of u8 to s64.
template <typename Fn>
void with_any_integer(Type type, Fn&& fn) {
    if (type == Type::kU8 || type == Type::kB8)
        fn(uint8_t{});
    else if (type == Type::kS8)
        fn(int8_t{});
    else
        with_integer(type, fn);
}

/// Raw lanes of a register of `bytes` bytes.
void load_bits(Warp& warp, Slot slot, int bytes, uint64_t (&out)[kWarpLanes]) {
    if (bytes == 8) {
        const uint64_t* from = warp.u64(slot);
        std::copy_n(from, kWarpLanes, out);
    } else {
        const uint32_t* from = warp.u32(slot);
        for (int lane = 0; lane < kWarpLanes; ++lane)
            out[lane] = from[lane];
    }
}

/// Writes values of type `to` into a register of `bytes` bytes, extended by their sign if signed.
void store_integers(Warp& warp, Slot slot, int bytes, Type to, LaneMask lanes,
                    const uint64_t (&values)[kWarpLanes]) {
    alignas(64) uint64_t wide[kWarpLanes];
    with_any_integer(to, [&](auto zero) {
        using T = decltype(zero);
        for (int lane = 0; lane < kWarpLanes; ++lane)
            wide[lane] = static_cast<uint64_t>(static_cast<T>(values[lane]));
    });
    if (bytes == 8) return store_lanes(warp, slot, lanes, wide);
    const uint32_t keep = bytes >= 4 ? 0xFFFFFFFFu : (1u << 8 * bytes) - 1;
    alignas(64) uint32_t narrow[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane)
        narrow[lane] = static_cast<uint32_t>(wide[lane]) & keep;
    store_lanes(warp, slot, lanes, narrow);
}

/// Integers as 64 bits, extended as their type says.
void load_integers(Warp& warp, const Op& op, const ConvertDetail& detail,
                   uint64_t (&out)[kWarpLanes]) {
    load_bits(warp, op.src[0], detail.from_bytes, out);
    with_any_integer(detail.from, [&](auto zero) {
        using T = decltype(zero);
        for (uint64_t& value : out)
            value = static_cast<uint64_t>(static_cast<T>(value));
    });
}

Outcome run_integer_to_integer(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = *static_cast<const ConvertDetail*>(op.detail);
    alignas(64) uint64_t values[kWarpLanes];
    load_integers(warp, op, detail, values);
    if (detail.sat)
        with_any_integer(detail.to, [&](auto zero) {
            using T = decltype(zero);
            using Limits = std::numeric_limits<T>;
            for (uint64_t& value : values) {
                const __int128 exact = is_signed(detail.from)
                                           ? static_cast<__int128>(static_cast<int64_t>(value))
                                           : static_cast<__int128>(value);
                if (exact < Limits::min()) value = static_cast<uint64_t>(Limits::min());
                if (exact > Limits::max()) value = static_cast<uint64_t>(Limits::max());
            }
        });
    store_integers(warp, op.dst, detail.to_bytes, detail.to, lanes, values);
    return Outcome::kNext;
}

/// Floats of any type as doubles, which hold them exactly.
void load_floats(Warp& warp, const Op& op, const ConvertDetail& detail, double (&out)[kWarpLanes]) {
    alignas(64) uint64_t bits[kWarpLanes];
    load_bits(warp, op.src[0], detail.from_bytes, bits);
    for (int lane = 0; lane < kWarpLanes; ++lane) {
        const uint64_t b = bits[lane];
        switch (detail.from) {
            case Type::kF16:
                out[lane] = f16_to_float(static_cast<uint16_t>(b));
                break;
            case Type::kBF16:
                out[lane] = bf16_to_float(static_cast<uint16_t>(b));
                break;
            case Type::kF32: {
                const float value = bit_cast<float>(static_cast<uint32_t>(b));
                out[lane] = detail.ftz ? flush<true>(value) : value;
                break;
            }
            default:
                out[lane] = bit_cast<double>(b);
                break;
        }
    }
}

void round_to_integral(Integral how, double (&values)[kWarpLanes]) {
    switch (how) {
        case Integral::kNone:
            break;
        case Integral::kNearest:
            for (double& v : values)
                v = __builtin_nearbyint(v);
            break;
        case Integral::kZero:
            for (double& v : values)
                v = __builtin_trunc(v);
            break;
        case Integral::kDown:
            for (double& v : values)
                v = __builtin_floor(v);
            break;
        case Integral::kUp:
            for (double& v : values)
                v = __builtin_ceil(v);
            break;
    }
}

template <typename T>
uint64_t clamp_to_integer(double value) {
    using Limits = std::numeric_limits<T>;
    // Both bounds are powers of two (or zero), hence doubles.
    const double low = static_cast<double>(Limits::min());
    const double above = std::ldexp(1.0, Limits::digits);
    if (value != value) return sizeof(T) == 8 ? uint64_t{1} << 63 : 0;
    if (value < low) return static_cast<uint64_t>(Limits::min());
    if (value >= above) return static_cast<uint64_t>(Limits::max());
    return static_cast<uint64_t>(static_cast<T>(value));
}

Outcome run_float_to_integer(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = *static_cast<const ConvertDetail*>(op.detail);
    alignas(64) double values[kWarpLanes];
    alignas(64) uint64_t integers[kWarpLanes];
    load_floats(warp, op, detail, values);
    round_to_integral(detail.integral, values);
    with_any_integer(detail.to, [&](auto zero) {
        for (int lane = 0; lane < kWarpLanes; ++lane)
            integers[lane] = clamp_to_integer<decltype(zero)>(values[lane]);
    });
    store_integers(warp, op.dst, detail.to_bytes, detail.to, lanes, integers);
    return Outcome::kNext;
}

double saturate_unit(double value) {
    const double at_least = value > 0 ? value : 0;
    return at_least < 1 ? at_least : 1;
}

/// A value rounded once to f16, bf16 with the modifiers of cvt; `value` may be rounded to odd.
uint32_t round_half(double value, bool bf16, const ConvertDetail& detail) {
    if (detail.sat) value = saturate_unit(value);
    if (detail.relu && value <= 0) value = 0;
    if (detail.rounding == Rounding::kNearest && !detail.satfinite) {
        const float odd = to_float_odd(value);
        return bf16 ? float_to_bf16(odd) : float_to_f16(odd);
    }
    return encode(value, bf16 ? kBF16 : kF16, detail.rounding, detail.satfinite);
}

/// Doubles to the float type `to`, rounded once.
void store_floats(Warp& warp, const Op& op, const ConvertDetail& detail, LaneMask lanes,
                  const double (&values)[kWarpLanes]) {
    alignas(64) uint32_t narrow[kWarpLanes];
    switch (detail.to) {
        case Type::kF64: {
            alignas(64) double wide[kWarpLanes];
            for (int lane = 0; lane < kWarpLanes; ++lane)
                wide[lane] = detail.sat ? saturate_unit(values[lane]) : values[lane];
            return store_lanes(warp, op.dst, lanes, wide);
        }
        case Type::kF32: {
            alignas(64) float rounded[kWarpLanes];
            {
                RoundingScope scope(detail.rounding);
                escape(values);
                for (int lane = 0; lane < kWarpLanes; ++lane)
                    rounded[lane] = static_cast<float>(values[lane]);
                escape(rounded);
            }
            for (int lane = 0; lane < kWarpLanes; ++lane) {
                float value = rounded[lane];
                if (detail.sat) value = static_cast<float>(saturate_unit(value));
                if (detail.ftz) value = flush<true>(value);
                narrow[lane] = bit_cast<uint32_t>(canonical(value));
            }
            break;
        }
        default:
            for (int lane = 0; lane < kWarpLanes; ++lane)
                narrow[lane] = round_half(values[lane], detail.to == Type::kBF16, detail);
            break;
    }
    if (detail.to_bytes == 8) {
        alignas(64) uint64_t wide[kWarpLanes];
        std::copy_n(narrow, kWarpLanes, wide);
        return store_lanes(warp, op.dst, lanes, wide);
    }
    store_lanes(warp, op.dst, lanes, narrow);
}

Outcome run_float_to_float(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = *static_cast<const ConvertDetail*>(op.detail);
    alignas(64) double values[kWarpLanes];
    load_floats(warp, op, detail, values);
    round_to_integral(detail.integral, values);
    store_floats(warp, op, detail, lanes, values);
    return Outcome::kNext;
}

Outcome run_integer_to_float(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = *static_cast<const ConvertDetail*>(op.detail);
    alignas(64) uint64_t integers[kWarpLanes];
    alignas(64) double values[kWarpLanes];
    load_integers(warp, op, detail, integers);
    const bool with_sign = is_signed(detail.from);
    if (detail.to == Type::kF64) {
        RoundingScope scope(detail.rounding);
        escape(integers);
        for (int lane = 0; lane < kWarpLanes; ++lane)
            values[lane] = with_sign ? static_cast<double>(static_cast<int64_t>(integers[lane]))
                                     : static_cast<double>(integers[lane]);
        escape(values);
    } else {
        for (int lane = 0; lane < kWarpLanes; ++lane) {
            const bool negative = with_sign && static_cast<int64_t>(integers[lane]) < 0;
            values[lane] = integer_odd(negative ? 0 - integers[lane] : integers[lane], negative);
        }
    }
    store_floats(warp, op, detail, lanes, values);
    return Outcome::kNext;
}

// Conversions that kernels run often, without the detours above.
template <typename From, typename To>
To integer_cast(From a) {
    return static_cast<To>(a);
}
float from_bf16(uint16_t a) {
    return canonical(bf16_to_float(a));
}
uint16_t to_bf16(float a) {
    return static_cast<uint16_t>(float_to_bf16(a));
}
float from_s32(int32_t a) {
    return static_cast<float>(a);
}
float from_u32(uint32_t a) {
    return static_cast<float>(a);
}
double widen(float a) {
    return a;
}

Outcome run_f16_to_f32(Warp& warp, const Op& op, LaneMask lanes) {
    const uint32_t* a = warp.u32(op.src[0]);
    alignas(64) float result[kWarpLanes];
    for (int i = 0; i < kWarpLanes; i += 8) {
        const __m256 v = load_halves<false, false>(a + i).x;
        const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(int(kNanF32)));
        _mm256_store_ps(result + i, _mm256_blendv_ps(v, nan, _mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
    }
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}
Outcome run_f32_to_f16(Warp& warp, const Op& op, LaneMask lanes) {
    const float* a = warp.lanes<float>(op.src[0]);
    alignas(64) uint32_t result[kWarpLanes];
    for (int i = 0; i < kWarpLanes; i += 8)
        _mm256_store_si256(
            reinterpret_cast<__m256i*>(result + i),
            store_halves<false, false>({_mm256_loadu_ps(a + i), _mm256_setzero_ps()}));
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}

/// f32 to s32 or u32 within the clamped range; every float of it is exact in double.
template <typename T, Integral how>
T whole(float a) {
    double v = a;
    if constexpr (how == Integral::kNearest) v = __builtin_nearbyint(v);
    if constexpr (how == Integral::kZero) v = __builtin_trunc(v);
    if constexpr (how == Integral::kDown) v = __builtin_floor(v);
    if constexpr (how == Integral::kUp) v = __builtin_ceil(v);
    constexpr double low = std::numeric_limits<T>::min(), high = std::numeric_limits<T>::max();
    v = v > low ? v : low;  // NaN, too
    v = v < high ? v : high;
    // As 32 signed bits, which vectors can convert.
    constexpr double middle = std::is_signed_v<T> ? 0 : 2147483648.0;
    const T clamped = static_cast<T>(static_cast<uint32_t>(static_cast<int32_t>(v - middle)) +
                                     static_cast<uint32_t>(middle));
    return a != a ? T(0) : clamped;
}
template <typename T>
Execute find_whole(Integral how) {
    switch (how) {
        case Integral::kNearest:
            return each<whole<T, Integral::kNearest>>;
        case Integral::kDown:
            return each<whole<T, Integral::kDown>>;
        case Integral::kUp:
            return each<whole<T, Integral::kUp>>;
        default:
            return each<whole<T, Integral::kZero>>;
    }
}

/// The executor for the plain case of a conversion, nullptr if there is none.
Execute find_fast(const ConvertDetail& d) {
    if (d.from == Type::kF32 && d.integral != Integral::kNone && !d.ftz && d.to_bytes == 4) {
        if (d.to == Type::kS32) return find_whole<int32_t>(d.integral);
        if (d.to == Type::kU32) return find_whole<uint32_t>(d.integral);
    }
    if (d.sat || d.relu || d.satfinite || d.ftz || d.integral != Integral::kNone ||
        d.rounding != Rounding::kNearest)
        return nullptr;
    const auto lanes64 = [](int bytes) { return bytes == 8; };
    // The registers' lanes must be those of the types.
    if (lanes64(d.from_bytes) != lanes64(bytes_of(d.from)) ||
        lanes64(d.to_bytes) != lanes64(bytes_of(d.to)))
        return nullptr;
    if (is_floating(d.from) || is_floating(d.to)) {
        if (d.from == Type::kF16 && d.to == Type::kF32) return run_f16_to_f32;
        if (d.from == Type::kBF16 && d.to == Type::kF32) return each<from_bf16>;
        if (d.from == Type::kF32 && d.to == Type::kF16) return run_f32_to_f16;
        if (d.from == Type::kF32 && d.to == Type::kBF16) return each<to_bf16>;
        if (d.from == Type::kS32 && d.to == Type::kF32) return each<from_s32>;
        if (d.from == Type::kU32 && d.to == Type::kF32) return each<from_u32>;
        if (d.from == Type::kF32 && d.to == Type::kF64) return each<widen>;
        return nullptr;
    }
    // A narrow signed result in a wider register is extended there.
    if (is_signed(d.to) && d.to_bytes != bytes_of(d.to)) return nullptr;
    Execute found = nullptr;
    with_any_integer(d.from, [&](auto from) {
        with_any_integer(
            d.to, [&](auto to) { found = each<integer_cast<decltype(from), decltype(to)>>; });
    });
    return found;
}

// ---- cvt: packed and narrow --------------------------------------------------------------------

enum class Narrow : uint8_t { kF16, kBF16, kTF32, kE4M3, kE5M2, kE2M3, kE3M2, kE2M1, kUE8M0 };

struct NarrowName {
    const char* name;  ///< of the pair
    Narrow format;
    int bits;  ///< of one element in the pair
    int arch;
};
constexpr NarrowName kNarrowNames[] = {
    {"f16x2", Narrow::kF16, 16, 80},   {"bf16x2", Narrow::kBF16, 16, 80},
    {"e4m3x2", Narrow::kE4M3, 8, 89},  {"e5m2x2", Narrow::kE5M2, 8, 89},
    {"e2m3x2", Narrow::kE2M3, 8, 100}, {"e3m2x2", Narrow::kE3M2, 8, 100},
    {"e2m1x2", Narrow::kE2M1, 4, 100}, {"ue8m0x2", Narrow::kUE8M0, 8, 100},
};
const NarrowName* find_narrow(std::string_view name) {
    for (const NarrowName& entry : kNarrowNames)
        if (name == entry.name) return &entry;
    return nullptr;
}

const FloatFormat& format_of(Narrow narrow) {
    switch (narrow) {
        case Narrow::kF16:
            return kF16;
        case Narrow::kBF16:
            return kBF16;
        case Narrow::kTF32:
            return kTF32;
        case Narrow::kE4M3:
            return kE4M3;
        case Narrow::kE5M2:
            return kE5M2;
        case Narrow::kE2M3:
            return kE2M3;
        case Narrow::kE3M2:
            return kE3M2;
        default:
            return kE2M1;
    }
}

struct PackDetail : OpDetail {
    Narrow to{}, from{};  ///< `from`: with from_pair
    int to_bits = 16, from_bits = 16;
    bool from_pair = false;  ///< one packed source; else two f32, the upper first
    ConvertDetail modifiers;
    std::vector<uint16_t> recoded;  ///< every code of `from`, if it has at most 8 bits, as `to`
};

uint32_t round_narrow(double value, const PackDetail& detail) {
    if (detail.to == Narrow::kUE8M0)
        return encode_ue8m0(value, detail.modifiers.rounding, detail.modifiers.satfinite);
    return round_half(value, detail.to == Narrow::kBF16, detail.modifiers);
}

/// What no other executor does: .rz, .relu and .satfinite of f16x2 and bf16x2, and ue8m0x2.
Outcome run_pack_floats(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = *static_cast<const PackDetail*>(op.detail);
    const int shift = detail.to_bits;
    alignas(64) uint32_t result[kWarpLanes] = {};
    if (detail.from_pair) {
        const uint32_t* a = warp.u32(op.src[0]);  // ue8m0x2 from bf16x2
        for_lanes(lanes, [&](int lane) {
            const double low = bf16_to_float(static_cast<uint16_t>(a[lane]));
            const double high = bf16_to_float(static_cast<uint16_t>(a[lane] >> 16));
            result[lane] = round_narrow(low, detail) | round_narrow(high, detail) << shift;
        });
    } else {
        const float* a = warp.lanes<float>(op.src[0]);
        const float* b = warp.lanes<float>(op.src[1]);
        for_lanes(lanes, [&](int lane) {
            result[lane] = round_narrow(b[lane], detail) | round_narrow(a[lane], detail) << shift;
        });
    }
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}

/// Pairs of at most 8 bits to pairs of 16, by table.
Outcome run_recode(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = *static_cast<const PackDetail*>(op.detail);
    const uint32_t* a = warp.u32(op.src[0]);
    const uint16_t* table = detail.recoded.data();
    const int shift = detail.from_bits;
    const uint32_t mask = (1u << shift) - 1;
    alignas(64) uint32_t result[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane)
        result[lane] = table[a[lane] & mask] | uint32_t{table[a[lane] >> shift & mask]} << 16;
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}

/// f32, f16 or bf16 to pairs of at most 8 bits.
Outcome run_encode_small(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = *static_cast<const PackDetail*>(op.detail);
    const SmallEncoder encoder(format_of(detail.to));
    Halves expanded;
    alignas(64) float high[kWarpLanes], low[kWarpLanes];
    if (detail.from_pair) {
        if (detail.from == Narrow::kBF16)
            expand<true>(warp.u32(op.src[0]), expanded);
        else
            expand<false>(warp.u32(op.src[0]), expanded);
        for (int lane = 0; lane < kWarpLanes; ++lane) {
            low[lane] = expanded.values[2 * lane];
            high[lane] = expanded.values[2 * lane + 1];
        }
    } else {
        std::copy_n(warp.lanes<float>(op.src[0]), kWarpLanes, high);
        std::copy_n(warp.lanes<float>(op.src[1]), kWarpLanes, low);
    }
    const float floor = detail.modifiers.relu ? 0 : -std::numeric_limits<float>::infinity();
    alignas(64) uint32_t result[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane) {
        // NaN stays; -0 becomes +0 with .relu.
        const float h = high[lane] <= floor ? floor : high[lane];
        const float l = low[lane] <= floor ? floor : low[lane];
        result[lane] = encoder(l) | encoder(h) << detail.to_bits;
    }
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}

// The two most common, plain.
Outcome run_pack_f16x2(Warp& warp, const Op& op, LaneMask lanes) {
    const float* a = warp.lanes<float>(op.src[0]);
    const float* b = warp.lanes<float>(op.src[1]);
    alignas(64) uint32_t result[kWarpLanes];
    for (int i = 0; i < kWarpLanes; i += 8) {
        const __m128i high = round_to_f16(_mm256_loadu_ps(a + i));
        const __m128i low = round_to_f16(_mm256_loadu_ps(b + i));
        auto* to = reinterpret_cast<__m128i*>(result + i);
        _mm_store_si128(to, _mm_unpacklo_epi16(low, high));
        _mm_store_si128(to + 1, _mm_unpackhi_epi16(low, high));
    }
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}
uint32_t pack_bf16x2(float a, float b) {
    return float_to_bf16(b) | float_to_bf16(a) << 16;
}

uint32_t tf32_bits(float a, Rounding rounding) {
    const uint32_t bits = bit_cast<uint32_t>(a);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) return kNanF32;
    switch (rounding) {
        case Rounding::kNearestAway:
            return (bits + 0x1000) & 0xFFFFE000;
        case Rounding::kNearest:
            return (bits + 0xFFF + (bits >> 13 & 1)) & 0xFFFFE000;
        default:
            return bits & 0xFFFFE000;
    }
}
uint32_t to_tf32_away(float a) {
    return tf32_bits(a, Rounding::kNearestAway);
}
Outcome run_tf32(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = *static_cast<const ConvertDetail*>(op.detail);
    const float* a = warp.lanes<float>(op.src[0]);
    alignas(64) uint32_t result[kWarpLanes] = {};
    for_lanes(lanes, [&](int lane) {
        const float value = detail.relu && a[lane] <= 0 ? 0 : a[lane];
        uint32_t bits = tf32_bits(value, detail.rounding);
        if (detail.satfinite && (bits & 0x7FFFFFFF) == 0x7F800000)
            bits = (bits & 0x80000000) | 0x7F7FE000;
        result[lane] = bits;
    });
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}

// ---- cvt: lowering -----------------------------------------------------------------------------

/// Rounding and the other modifiers before the types; `given` tells that a rounding was there.
ConvertDetail take_modifiers(Reader& reader, bool* given) {
    ConvertDetail detail;
    *given = true;
    switch (reader.take_one_of({"rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi"})) {
        case 0:
            break;
        case 1:
            detail.rounding = Rounding::kZero;
            break;
        case 2:
            detail.rounding = Rounding::kDown;
            break;
        case 3:
            detail.rounding = Rounding::kUp;
            break;
        case 4:
            detail.rounding = Rounding::kNearestAway;
            break;
        case 5:
            detail.integral = Integral::kNearest;
            break;
        case 6:
            detail.integral = Integral::kZero;
            break;
        case 7:
            detail.integral = Integral::kDown;
            break;
        case 8:
            detail.integral = Integral::kUp;
            break;
        default:
            *given = false;
            break;
    }
    detail.ftz = reader.take("ftz");
    detail.sat = reader.take("sat");
    detail.relu = reader.take("relu");
    detail.satfinite = reader.take("satfinite");
    return detail;
}

void lower_to_tf32(Reader& reader, const ConvertDetail& modifiers, bool given) {
    Op& op = reader.op();
    if (!reader.take("tf32") || !reader.take("f32")) reader.fail("tf32 is made from f32");
    reader.finish();
    const Rounding rounding = modifiers.rounding;
    if (!given || modifiers.integral != Integral::kNone || modifiers.ftz || modifiers.sat ||
        (rounding != Rounding::kNearestAway && rounding != Rounding::kNearest &&
         rounding != Rounding::kZero))
        reader.fail("needs .rna, .rn or .rz alone");
    if (rounding != Rounding::kNearestAway) reader.require_arch(90, ".rn and .rz of tf32");
    if (modifiers.relu && rounding == Rounding::kNearestAway) reader.fail(".rna has no .relu");
    reader.require_operands(2);
    reader.destination(Type::kB32);
    reader.source(1, Type::kF32);
    if (rounding == Rounding::kNearestAway && !modifiers.satfinite) {
        op.execute = each<to_tf32_away>;
        return;
    }
    op.detail = reader.context().keep(std::make_unique<ConvertDetail>(modifiers));
    op.execute = run_tf32;
}

/// A register for a pair of elements of so many bits.
Type pair_type(int element_bits) {
    return bits_type(2 * element_bits / 8);
}

void lower_packed(Reader& reader, const NarrowName& to, const ConvertDetail& modifiers,
                  bool given) {
    Op& op = reader.op();
    auto detail = std::make_unique<PackDetail>();
    detail->to = to.format;
    detail->to_bits = to.bits;
    detail->modifiers = modifiers;
    const std::string from_name(reader.instruction().last(0));
    reader.take(to.name);
    reader.take(from_name);
    reader.finish();
    reader.require_arch(to.arch, to.name);

    const bool small = to.bits <= 8, scale = to.format == Narrow::kUE8M0;
    const bool half = !small;
    if (from_name == "f32") {
        reader.require_operands(3);
        reader.sources({Type::kF32, Type::kF32});
    } else {
        const NarrowName* from = find_narrow(from_name);
        // Pairs of 16 bits to 8 bits and back; ue8m0 only with bf16.
        const bool down = from != nullptr && small && from->bits == 16;
        const bool up = from != nullptr && half && from->bits <= 8;
        if (!down && !up) reader.fail("no such conversion");
        const bool scales = scale || from->format == Narrow::kUE8M0;
        const Narrow wide = down ? from->format : to.format;
        if (scales != (wide == Narrow::kBF16)) reader.fail("no such conversion");
        if (down && (to.format == Narrow::kE2M3 || to.format == Narrow::kE3M2 ||
                     to.format == Narrow::kE2M1))
            reader.fail("no such conversion");
        reader.require_arch(from->arch, from->name);
        detail->from_pair = true;
        detail->from = from->format;
        detail->from_bits = from->bits;
        reader.require_operands(2);
        reader.source(1, pair_type(from->bits));
    }
    reader.destination(pair_type(to.bits));

    const Rounding rounding = modifiers.rounding;
    if (!given || modifiers.integral != Integral::kNone) reader.fail("needs a rounding");
    if (modifiers.ftz || modifiers.sat) reader.fail("packed conversions have no .ftz and .sat");
    const bool nearest = rounding == Rounding::kNearest, zero = rounding == Rounding::kZero;
    if (scale) {
        if (modifiers.relu || (!zero && rounding != Rounding::kUp))
            reader.fail("ue8m0 needs .rz or .rp");
    } else if (small || detail->from_pair) {
        if (!nearest) reader.fail("needs .rn");
        if (small && !modifiers.satfinite) reader.fail("needs .satfinite");
        if (!small && modifiers.satfinite) reader.fail("has no .satfinite");
        if (modifiers.relu && detail->from == Narrow::kUE8M0) reader.fail("ue8m0 has no .relu");
    } else if (!nearest && !zero) {
        reader.fail("needs .rn or .rz");
    }
    op.execute = run_pack_floats;
    if (small && !scale) op.execute = run_encode_small;
    if (detail->from_pair && half) {
        for (uint32_t code = 0; code < 256; ++code) {
            const double value = detail->from == Narrow::kUE8M0
                                     ? decode_ue8m0(code)
                                     : decode(code, format_of(detail->from));
            detail->recoded.push_back(static_cast<uint16_t>(round_narrow(value, *detail)));
        }
        op.execute = run_recode;
    }
    if (half && !detail->from_pair && nearest && !modifiers.relu && !modifiers.satfinite)
        op.execute = to.format == Narrow::kF16 ? run_pack_f16x2 : each<pack_bf16x2>;
    op.detail = reader.context().keep(std::move(detail));
}

void lower_cvt(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kConvert;
    Reader reader(instruction, context, op);
    bool given = false;
    ConvertDetail detail = take_modifiers(reader, &given);
    const std::string to_name(instruction.last(1));
    if (to_name == "tf32") return lower_to_tf32(reader, detail, given);
    if (const NarrowName* to = find_narrow(to_name))
        return lower_packed(reader, *to, detail, given);

    detail.to = reader.take_type();
    detail.from = reader.take_type();
    reader.finish();
    reader.require_operands(2);
    const auto is_integer = [](Type type) { return is_signed(type) || is_unsigned(type); };
    const Type to = detail.to, from = detail.from;
    if ((!is_integer(to) && !is_floating(to)) || (!is_integer(from) && !is_floating(from)))
        reader.fail("no such conversion");

    // Registers may be wider than the types.
    const Operand& destination = reader.operand(0);
    detail.to_bytes = reader.operand_bytes(destination, to);
    detail.from_bytes = reader.operand_bytes(reader.operand(1), from);
    if (detail.to_bytes < bytes_of(to) || detail.from_bytes < bytes_of(from) ||
        detail.to_bytes > 8 || detail.from_bytes > 8)
        reader.fail("a register's size does not fit the instruction's type");
    if (destination.kind != Operand::Kind::kRegister && destination.kind != Operand::Kind::kSink)
        reader.fail("the destination is no register");
    op.dst = context.destination(destination);
    op.src[0] = context.source_any(reader.operand(1), from);

    const bool integral = detail.integral != Integral::kNone;
    const bool float32 = to == Type::kF32 || from == Type::kF32;
    if (detail.ftz && !float32) reader.fail(".ftz is for f32");
    if (detail.rounding == Rounding::kNearestAway) reader.fail(".rna is for tf32");
    const bool halves = to == Type::kF16 || to == Type::kBF16;
    if ((detail.relu || detail.satfinite) && !(halves && from == Type::kF32))
        reader.fail(".relu and .satfinite are for f16 and bf16 from f32");
    if ((to == Type::kBF16 && from != Type::kF32) || (from == Type::kBF16 && to != Type::kF32))
        reader.require_arch(90, "this conversion of bf16");
    if (from == Type::kBF16 && to == Type::kF32) reader.require_arch(80, "bf16");

    if (is_integer(from) && is_integer(to)) {
        if (given) reader.fail("integers are not rounded");
        op.execute = run_integer_to_integer;
    } else if (is_integer(to)) {
        if (!integral) reader.fail("needs .rni, .rzi, .rmi or .rpi");
        op.execute = run_float_to_integer;
    } else if (is_integer(from)) {
        if (!given || integral) reader.fail("needs .rn, .rz, .rm or .rp");
        op.execute = run_integer_to_float;
    } else {
        // Narrower, or the other of the 16-bit types.
        const bool loses =
            bytes_of(to) < bytes_of(from) || (bytes_of(to) == bytes_of(from) && to != from);
        if (loses && (!given || integral)) reader.fail("needs .rn, .rz, .rm or .rp");
        if (!loses && given && !(integral && to == from)) reader.fail("nothing is rounded here");
        op.execute = run_float_to_float;
    }
    if (Execute fast = find_fast(detail)) op.execute = fast;
    op.detail = context.keep(std::make_unique<ConvertDetail>(detail));
}

// ---- cvt.pack ----------------------------------------------------------------------------------

/// mode: bits of an element, +32 if signed. The pair, a above b; what is left comes from c.
uint32_t pack_integers(const Op& op, int32_t a, int32_t b, uint32_t c) {
    const int bits = static_cast<int>(op.mode & 31);
    const bool with_sign = (op.mode & 32) != 0;
    const int32_t low = with_sign ? -(1 << (bits - 1)) : 0;
    const int32_t high = (1 << (with_sign ? bits - 1 : bits)) - 1;
    const uint32_t mask = (1u << bits) - 1;
    const uint32_t upper = static_cast<uint32_t>(std::clamp(a, low, high)) & mask;
    const uint32_t lower = static_cast<uint32_t>(std::clamp(b, low, high)) & mask;
    const uint32_t pair = upper << bits | lower;
    return bits == 16 ? pair : pair | c << 2 * bits;
}

void lower_cvt_pack(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kConvert;
    Reader reader(instruction, context, op);
    reader.take("pack");
    if (!reader.take("sat")) reader.fail("needs .sat");
    const std::string to = reader.take_any();
    const bool known = to == "u16" || to == "s16" || to == "u8" || to == "s8" || to == "u4" ||
                       to == "s4" || to == "u2" || to == "s2";
    if (!known) reader.fail("no such type");
    if (!reader.take("s32")) reader.fail("packs .s32");
    const uint32_t bits = static_cast<uint32_t>(std::stoi(to.substr(1)));
    const bool three = bits != 16;
    if (three && !reader.take("b32")) reader.fail("needs .b32 and a third source");
    reader.finish();
    reader.require_operands(three ? 4 : 3);
    reader.destination(Type::kB32);
    reader.sources({Type::kS32, Type::kS32});
    if (three) reader.source(3, Type::kB32);
    op.mode = bits | (to[0] == 's' ? 32 : 0);
    op.execute = each<pack_integers>;
}

// ---- cvta --------------------------------------------------------------------------------------

uint64_t add_window(const Op& op, uint64_t a, uint32_t, uint32_t) {
    return a + static_cast<uint64_t>(op.imm);
}

void lower_cvta(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kMove;
    Reader reader(instruction, context, op);
    const bool from_generic = reader.take("to");
    const int space = reader.take_one_of({"global", "const", "param", "param::entry", "shared",
                                          "shared::cta", "shared::cluster", "local"});
    if (space < 0) reader.fail("no such space");
    if (reader.take_type() != Type::kU64) reader.fail("addresses have 64 bits here");
    reader.finish();
    reader.require_operands(2);
    reader.destination(Type::kU64);
    reader.source(1, Type::kU64);
    const uint64_t window = space < 4 ? 0 : space < 7 ? kSharedWindow : kLocalWindow;
    op.imm = static_cast<int64_t>(from_generic ? 0 - window : window);
    op.execute = window == 0 ? each<same<uint64_t>> : each<add_window>;
}

}  // namespace
}  // namespace emulator::isa

namespace emulator {

void register_convert(Registry& registry) {
    registry.add("mov", isa::lower_mov);
    registry.add("cvt", isa::lower_cvt);
    registry.add("cvt.pack", isa::lower_cvt_pack);
    registry.add("cvta", isa::lower_cvta);
}

}  // namespace emulator
