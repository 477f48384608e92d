// cvt between single integers and floats.
//
// Source: PTX ISA, "Data Movement and Conversion Instructions": "cvt". Float to integer clamps and
// turns NaN into 0, into the top bit alone for 64 bits.
#include "tests/emulator/isa/convert.hpp"

#include <algorithm>
#include <cmath>

namespace emulator::isa {

using ptx::Operand;

namespace {

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

}  // namespace

uint32_t round_half(double value, bool bf16, const ConvertDetail& detail) {
    if (detail.sat) value = saturate_unit(value);
    if (detail.relu && value <= 0) value = 0;
    if (detail.rounding == Rounding::kNearest && !detail.satfinite) {
        const float odd = to_float_odd(value);
        return bf16 ? float_to_bf16(odd) : float_to_f16(odd);
    }
    return encode(value, bf16 ? kBF16 : kF16, detail.rounding, detail.satfinite);
}

namespace {

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

void lower_cvt(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kConvert;
    Reader reader(instruction, context, op);
    bool given = false;
    ConvertDetail detail = take_modifiers(reader, &given);
    const std::string to_name(instruction.last(1));
    if (to_name == "tf32") return lower_to_tf32(reader, detail, given);
    if (lower_packed(reader, to_name, detail, given)) return;

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

}  // namespace
}  // namespace emulator::isa

namespace emulator {

void register_convert(Registry& registry) {
    registry.add("cvt", isa::lower_cvt);
    registry.add("cvt.pack", isa::lower_cvt_pack);
}

}  // namespace emulator
