// Floating formats narrower than f32, exactly: f16, bf16, tf32, e4m3, e5m2, e2m3, e3m2, e2m1,
// ue8m0.
//
// Every value of these formats is a double, so decode() is exact and encode() rounds once, from a
// double. A result that is not a double (a fused multiply-add) is first rounded to odd, which keeps
// enough for the one rounding that follows. Source: PTX ISA, "Alternate Floating-Point Data
// Formats", "cvt"; OCP Microscaling Formats 1.0.
//
//   format  sign exponent mantissa bias   specials               canonical NaN
//   f16       1     5       10      15    infinities, NaN        7FFF
//   bf16      1     8        7     127    infinities, NaN        7FFF
//   tf32      1     8       10     127    infinities, NaN        7FFFFFFF   (in the top of 32 bits)
//   e5m2      1     5        2      15    infinities, NaN        7F
//   e4m3      1     4        3       7    NaN = S.1111.111       7F
//   e3m2      1     3        2       3    none                   -
//   e2m3      1     2        3       1    none                   -
//   e2m1      1     2        1       1    none                   -
//   ue8m0     0     8        0     127    NaN = FF, no zero      FF
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "tests/emulator/isa/arith.hpp"

namespace emulator::isa {

struct FloatFormat {
    enum class Specials : uint8_t { kInfinities, kOneNan, kNone };

    int exponent_bits;
    int mantissa_bits;
    int bias;
    Specials specials;
    uint32_t nan;  ///< canonical; for formats without NaN what a NaN becomes: the largest value

    constexpr int bits() const { return 1 + exponent_bits + mantissa_bits; }
    constexpr uint32_t sign_bit() const { return 1u << (bits() - 1); }
    constexpr uint32_t infinity() const {  ///< only with kInfinities
        return ((1u << exponent_bits) - 1) << mantissa_bits;
    }
    constexpr uint32_t max_finite() const {
        const uint32_t all = sign_bit() - 1;
        return specials == Specials::kInfinities ? infinity() - 1
               : specials == Specials::kOneNan   ? all - 1
                                                 : all;
    }
};

inline constexpr FloatFormat kF16{5, 10, 15, FloatFormat::Specials::kInfinities, 0x7FFF};
inline constexpr FloatFormat kBF16{8, 7, 127, FloatFormat::Specials::kInfinities, 0x7FFF};
/// 19 bits; a register holds them shifted left by 13.
inline constexpr FloatFormat kTF32{8, 10, 127, FloatFormat::Specials::kInfinities, 0x3FFFF};
inline constexpr FloatFormat kE5M2{5, 2, 15, FloatFormat::Specials::kInfinities, 0x7F};
inline constexpr FloatFormat kE4M3{4, 3, 7, FloatFormat::Specials::kOneNan, 0x7F};
inline constexpr FloatFormat kE3M2{3, 2, 3, FloatFormat::Specials::kNone, 0x1F};
inline constexpr FloatFormat kE2M3{2, 3, 1, FloatFormat::Specials::kNone, 0x1F};
inline constexpr FloatFormat kE2M1{2, 1, 1, FloatFormat::Specials::kNone, 0x7};

/// 2^exponent, also a subnormal one.
inline double power_of_two(int exponent) {
    return std::ldexp(1.0, exponent);
}

inline double decode(uint32_t code, const FloatFormat& format) {
    const bool negative = (code & format.sign_bit()) != 0;
    const uint32_t magnitude = code & (format.sign_bit() - 1);
    double value = 0;
    if (format.specials == FloatFormat::Specials::kInfinities && magnitude >= format.infinity())
        value = magnitude == format.infinity() ? std::numeric_limits<double>::infinity()
                                               : std::numeric_limits<double>::quiet_NaN();
    else if (format.specials == FloatFormat::Specials::kOneNan && magnitude > format.max_finite())
        value = std::numeric_limits<double>::quiet_NaN();
    else {
        const int exponent = static_cast<int>(magnitude >> format.mantissa_bits);
        const uint32_t fraction = magnitude & ((1u << format.mantissa_bits) - 1);
        const uint32_t significand =
            exponent == 0 ? fraction : fraction | 1u << format.mantissa_bits;
        const int scale = (exponent == 0 ? 1 : exponent) - format.bias - format.mantissa_bits;
        value = std::ldexp(static_cast<double>(significand), scale);
    }
    return negative ? -value : value;
}

/// The nearest code in the direction of `rounding`. Overflow gives infinity or the largest finite
/// value as IEEE 754 says; the largest finite value always with `satfinite` or without infinities.
inline uint32_t encode(double value, const FloatFormat& format, Rounding rounding, bool satfinite) {
    if (value != value) return format.nan;
    const uint32_t sign = std::signbit(value) ? format.sign_bit() : 0;
    const double magnitude = std::fabs(value);
    if (magnitude == 0) return sign;

    const bool away =
        (rounding == Rounding::kUp && sign == 0) || (rounding == Rounding::kDown && sign != 0);
    const bool nearest = rounding == Rounding::kNearest || rounding == Rounding::kNearestAway;
    uint32_t code = 0;
    bool overflow = std::isinf(magnitude);
    if (!overflow) {
        // magnitude = significand x 2^scale with the unit in the last place of the result as scale.
        int exponent = std::ilogb(magnitude);
        const int lowest = 1 - format.bias;
        if (exponent < lowest) exponent = lowest;
        // Beyond every format's range; keeps the integer below small.
        if (exponent > format.bias + 1) {
            overflow = true;
        } else {
            const double scaled = std::ldexp(magnitude, format.mantissa_bits - exponent);
            double whole = std::floor(scaled);
            const double rest = scaled - whole;
            if (nearest) {
                const bool tie_up = rounding == Rounding::kNearestAway || std::fmod(whole, 2) != 0;
                if (rest > 0.5 || (rest == 0.5 && tie_up)) whole += 1;
            } else if (away && rest != 0) {
                whole += 1;
            }
            // A carry out of the significand moves into the exponent by itself.
            code = (static_cast<uint32_t>(exponent - lowest) << format.mantissa_bits) +
                   static_cast<uint32_t>(whole);
            overflow = code > format.max_finite();
        }
    }
    if (overflow) {
        const bool finite = satfinite || format.specials != FloatFormat::Specials::kInfinities ||
                            (!std::isinf(magnitude) && !nearest && !away);
        code = finite ? format.max_finite() : format.infinity();
    }
    return sign | code;
}

/// Power of two scales: the sign is dropped, zero and what lies below becomes 2^-127.
inline uint32_t encode_ue8m0(double value, Rounding rounding, bool satfinite) {
    if (value != value) return 0xFF;
    const double magnitude = std::fabs(value);
    if (std::isinf(magnitude)) return satfinite ? 0xFE : 0xFF;
    if (magnitude == 0) return 0;
    int exponent = std::ilogb(magnitude);
    if (rounding == Rounding::kUp && magnitude != power_of_two(exponent)) ++exponent;
    if (exponent < -127) return 0;
    if (exponent > 127) return satfinite ? 0xFE : 0xFF;
    return static_cast<uint32_t>(exponent + 127);
}
inline double decode_ue8m0(uint32_t code) {
    return code == 0xFF ? std::numeric_limits<double>::quiet_NaN()
                        : power_of_two(static_cast<int>(code) - 127);
}

// ---- Round to odd ------------------------------------------------------------------------------

/// `value` to float; inexact results get an odd last bit, so that one more rounding to fewer bits
/// gives what rounding `value` itself would.
inline float to_float_odd(double value) {
    const float near = static_cast<float>(value);
    uint32_t bits = bit_cast<uint32_t>(near);
    const double back = near;
    const bool inexact = back != value && value == value;
    const bool too_far = std::fabs(back) > std::fabs(value);
    bits -= inexact && too_far ? 1 : 0;
    bits |= inexact ? 1 : 0;
    return bit_cast<float>(bits);
}

/// a + b rounded to odd, in float or double.
template <typename T>
inline T add_odd(T a, T b) {
    using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
    const T sum = a + b;
    const T rest = sum - a;
    // The exact error of the sum; NaN beside infinities, where it compares false.
    const T error = (a - (sum - rest)) + (b - rest);
    Bits bits = bit_cast<Bits>(sum);
    const bool up = error > 0, down = error < 0;
    const bool even = (bits & 1) == 0;
    const Bits step = up != (sum < 0) ? Bits(1) : ~Bits(0);
    bits += (up || down) && even ? step : Bits(0);
    return bit_cast<T>(bits);
}

/// An integer as a double that keeps "odd": exact up to 2^53, sticky beyond.
inline double integer_odd(uint64_t magnitude, bool negative) {
    if (magnitude >> 53 != 0) {
        const uint64_t kept = magnitude >> 11;
        magnitude = (kept | ((magnitude & 0x7FF) != 0 ? 1 : 0)) << 11;
    }
    const double value = static_cast<double>(magnitude);
    return negative ? -value : value;
}

// ---- f16 and bf16 in bulk ----------------------------------------------------------------------

/// Subnormal halves of a word become zeros of their sign; `exponent`: the format's exponent bits.
inline uint32_t flush_halves(uint32_t word, uint32_t exponent) {
    const uint32_t low = (word & exponent) == 0 ? word & 0x8000 : word & 0xFFFF;
    const uint32_t high = (word >> 16 & exponent) == 0 ? word & 0x80000000 : word & 0xFFFF0000;
    return low | high;
}

inline float f16_to_float(uint16_t code) {
    return _cvtsh_ss(code);
}
inline float bf16_to_float(uint16_t code) {
    return bit_cast<float>(uint32_t{code} << 16);
}

/// f32 to bf16, nearest even, canonical NaN.
inline uint32_t float_to_bf16(float value) {
    const uint32_t bits = bit_cast<uint32_t>(value);
    const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    return (bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FFF : rounded;
}
inline uint32_t float_to_f16(float value) {
    return value != value ? 0x7FFF : _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT);
}

/// The 64 halves of 32 lanes as floats: lane l's low half at 2 l, its high half at 2 l + 1.
struct Halves {
    alignas(64) float values[2 * kWarpLanes];
};

template <bool bf16>
inline void expand(const uint32_t* words, Halves& out) {
    if constexpr (bf16) {
        for (int i = 0; i < kWarpLanes; i += 8) {
            const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + i));
            const __m256i low = _mm256_slli_epi32(w, 16);
            const __m256i high = _mm256_and_si256(w, _mm256_set1_epi32(int(0xFFFF0000)));
            const __m256i first = _mm256_unpacklo_epi32(low, high);
            const __m256i second = _mm256_unpackhi_epi32(low, high);
            float* to = out.values + 2 * i;
            _mm256_store_ps(to,
                            _mm256_castsi256_ps(_mm256_permute2x128_si256(first, second, 0x20)));
            _mm256_store_ps(to + 8,
                            _mm256_castsi256_ps(_mm256_permute2x128_si256(first, second, 0x31)));
        }
    } else {
        const auto* codes = reinterpret_cast<const __m128i*>(words);
        for (int i = 0; i < 8; ++i)
            _mm256_store_ps(out.values + 8 * i, _mm256_cvtph_ps(_mm_loadu_si128(codes + i)));
    }
}

/// Rounds to nearest even; NaN becomes 7FFF.
template <bool bf16>
inline void compress(const Halves& in, uint32_t* words) {
    if constexpr (bf16) {
        for (int lane = 0; lane < kWarpLanes; ++lane)
            words[lane] =
                float_to_bf16(in.values[2 * lane]) | float_to_bf16(in.values[2 * lane + 1]) << 16;
    } else {
        auto* codes = reinterpret_cast<__m128i*>(words);
        const __m128i nan = _mm_set1_epi16(0x7FFF), infinity = _mm_set1_epi16(0x7C00);
        for (int i = 0; i < 8; ++i) {
            const __m128i code = _mm256_cvtps_ph(_mm256_load_ps(in.values + 8 * i),
                                                 _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
            const __m128i is_nan = _mm_cmpgt_epi16(_mm_and_si128(code, nan), infinity);
            _mm_storeu_si128(codes + i, _mm_blendv_epi8(code, nan, is_nan));
        }
    }
}

/// Eight halves as floats, and the two of them that eight lanes hold. In which order the halves of
/// a pair lie there does not matter, as long as all operands and the result agree.
struct HalfPair {
    __m256 x, y;  ///< y only for packed types
};

template <bool bf16, bool packed>
inline HalfPair load_halves(const uint32_t* words) {
    const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
    if constexpr (bf16) {
        const __m256i high = _mm256_and_si256(w, _mm256_set1_epi32(int(0xFFFF0000)));
        return {_mm256_castsi256_ps(_mm256_slli_epi32(w, 16)), _mm256_castsi256_ps(high)};
    } else {
        const __m128i low = _mm256_castsi256_si128(w), high = _mm256_extracti128_si256(w, 1);
        if constexpr (packed) return {_mm256_cvtph_ps(low), _mm256_cvtph_ps(high)};
        return {_mm256_cvtph_ps(_mm_packus_epi32(low, high)), _mm256_setzero_ps()};
    }
}

/// Codes of bf16 in the low halves of eight lanes.
inline __m256i round_to_bf16(__m256 value) {
    const __m256i bits = _mm256_castps_si256(value);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(_mm256_srli_epi32(up, 16), _mm256_set1_epi32(0x7FFF), nan);
}
/// Eight codes of f16; NaN is 7FFF.
inline __m128i round_to_f16(__m256 value) {
    const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
    const __m256 canonical_value =
        _mm256_blendv_ps(value, nan, _mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    return _mm256_cvtps_ph(canonical_value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/// The words of eight lanes again, rounded to nearest even.
template <bool bf16, bool packed>
inline __m256i store_halves(const HalfPair& v) {
    if constexpr (bf16) {
        const __m256i low = round_to_bf16(v.x);
        return packed ? _mm256_or_si256(low, _mm256_slli_epi32(round_to_bf16(v.y), 16)) : low;
    } else {
        const __m128i low = round_to_f16(v.x);
        if constexpr (packed) return _mm256_set_m128i(round_to_f16(v.y), low);
        return _mm256_cvtepu16_epi32(low);
    }
}

/// add_odd() of eight floats.
inline __m256 add_odd(__m256 a, __m256 b) {
    const __m256 zero = _mm256_setzero_ps();
    const __m256 sum = _mm256_add_ps(a, b);
    const __m256 rest = _mm256_sub_ps(sum, a);
    const __m256 error =
        _mm256_add_ps(_mm256_sub_ps(a, _mm256_sub_ps(sum, rest)), _mm256_sub_ps(b, rest));
    const __m256i bits = _mm256_castps_si256(sum);
    const __m256i up = _mm256_castps_si256(_mm256_cmp_ps(error, zero, _CMP_GT_OQ));
    const __m256i down = _mm256_castps_si256(_mm256_cmp_ps(error, zero, _CMP_LT_OQ));
    const __m256i negative = _mm256_castps_si256(_mm256_cmp_ps(sum, zero, _CMP_LT_OQ));
    // Masks are -1: away = -1 gives a step of 1, 0 gives -1.
    const __m256i away = _mm256_xor_si256(up, negative), one = _mm256_set1_epi32(1);
    const __m256i step = _mm256_sub_epi32(
        _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_add_epi32(away, away)), one);
    const __m256i even = _mm256_cmpeq_epi32(_mm256_and_si256(bits, one), _mm256_setzero_si256());
    const __m256i wanted = _mm256_and_si256(_mm256_or_si256(up, down), even);
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_and_si256(step, wanted)));
}

/// encode() of a format of at most 8 bits from a float, to nearest even and saturating, without
/// branches.
struct SmallEncoder {
    explicit SmallEncoder(const FloatFormat& format)
        : shift(23 - format.mantissa_bits),
          rebias((127 - format.bias) << format.mantissa_bits),
          sign_shift(32 - format.bits()),
          nan(format.nan),
          largest(static_cast<float>(decode(format.max_finite(), format))),
          smallest_normal(static_cast<float>(power_of_two(1 - format.bias))),
          // Adding it leaves multiples of the unit of subnormal numbers.
          magic(static_cast<float>(power_of_two(1 - format.bias - format.mantissa_bits + 23))) {}

    uint32_t operator()(float value) const {
        const uint32_t bits = bit_cast<uint32_t>(value), sign = bits & 0x80000000u;
        const float magnitude = std::fabs(value);
        const float bounded = magnitude < largest ? magnitude : largest;
        const uint32_t b = bit_cast<uint32_t>(bounded);
        const uint32_t normal =
            ((b + ((1u << (shift - 1)) - 1) + (b >> shift & 1)) >> shift) - rebias;
        const uint32_t subnormal = bit_cast<uint32_t>(bounded + magic) & 0x7FFFFF;
        const uint32_t code = (bounded < smallest_normal ? subnormal : normal) | sign >> sign_shift;
        return value != value ? nan : code;
    }

    int shift;
    uint32_t rebias;
    int sign_shift;
    uint32_t nan;
    float largest, smallest_normal, magic;
};

}  // namespace emulator::isa
