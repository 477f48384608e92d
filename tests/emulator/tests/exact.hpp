// Exact arithmetic for expectations: numbers as big integers times powers of two, rounded once at
// the end into any binary floating format. Slow and plain on purpose; shares nothing with isa/.
#pragma once

#include <cstdint>
#include <vector>

namespace emulator::exact {

enum class Mode { kNearest, kZero, kDown, kUp, kAway };

/// An IEEE 754 format with infinities.
struct Format {
    int exponent_bits, mantissa_bits;
    uint64_t nan;  ///< canonical

    int bias() const { return (1 << (exponent_bits - 1)) - 1; }
    uint64_t sign() const { return uint64_t{1} << (exponent_bits + mantissa_bits); }
    uint64_t infinity() const { return ((uint64_t{1} << exponent_bits) - 1) << mantissa_bits; }
    bool is_nan(uint64_t bits) const { return (bits & (sign() - 1)) > infinity(); }
    bool is_infinite(uint64_t bits) const { return (bits & (sign() - 1)) == infinity(); }
    bool is_negative(uint64_t bits) const { return (bits & sign()) != 0; }
    bool is_zero(uint64_t bits) const { return (bits & (sign() - 1)) == 0; }
    bool is_subnormal(uint64_t bits) const {
        return !is_zero(bits) && (bits & (sign() - 1)) < uint64_t{1} << mantissa_bits;
    }
    uint64_t flush(uint64_t bits) const { return is_subnormal(bits) ? bits & sign() : bits; }
};
inline constexpr Format kF16{5, 10, 0x7FFF}, kBF16{8, 7, 0x7FFF}, kF32{8, 23, 0x7FFFFFFF},
    kF64{11, 52, 0x7FFFFFFFFFFFFFFF}, kTF32{8, 10, 0x3FFFF};

/// (negative ? -1 : 1) x magnitude x 2^exponent; magnitude in 32-bit digits, lowest first.
struct Number {
    bool negative = false;
    std::vector<uint32_t> magnitude;
    int exponent = 0;

    bool is_zero() const {
        for (uint32_t digit : magnitude)
            if (digit != 0) return false;
        return true;
    }
    bool bit(int i) const {
        return i >= 0 && size_t(i / 32) < magnitude.size() && (magnitude[i / 32] >> i % 32 & 1);
    }
    int highest_bit() const {  ///< -1 for zero
        for (int i = int(magnitude.size()) * 32 - 1; i >= 0; --i)
            if (bit(i)) return i;
        return -1;
    }
};

inline Number integer(uint64_t magnitude, bool negative) {
    return {negative, {uint32_t(magnitude), uint32_t(magnitude >> 32)}, 0};
}

/// A finite value of a format.
inline Number number(uint64_t bits, const Format& format) {
    const uint64_t fraction = bits & ((uint64_t{1} << format.mantissa_bits) - 1);
    const int exponent = int(bits >> format.mantissa_bits & ((1u << format.exponent_bits) - 1));
    const uint64_t significand =
        exponent == 0 ? fraction : fraction | uint64_t{1} << format.mantissa_bits;
    Number n = integer(significand, format.is_negative(bits));
    n.exponent = (exponent == 0 ? 1 : exponent) - format.bias() - format.mantissa_bits;
    return n;
}

inline Number scaled(Number n, int exponent) {  ///< the same value with a smaller exponent
    const int shift = n.exponent - exponent;
    std::vector<uint32_t> digits(n.magnitude.size() + size_t(shift) / 32 + 1, 0);
    for (int i = n.highest_bit(); i >= 0; --i)
        if (n.bit(i)) digits[size_t(i + shift) / 32] |= 1u << (i + shift) % 32;
    return {n.negative, digits, exponent};
}

inline int compare_magnitudes(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
    for (size_t i = a.size() > b.size() ? a.size() : b.size(); i-- > 0;) {
        const uint32_t x = i < a.size() ? a[i] : 0, y = i < b.size() ? b[i] : 0;
        if (x != y) return x < y ? -1 : 1;
    }
    return 0;
}

inline Number add(Number a, Number b) {
    const int exponent = a.exponent < b.exponent ? a.exponent : b.exponent;
    a = scaled(a, exponent);
    b = scaled(b, exponent);
    const bool subtract = a.negative != b.negative;
    if (subtract && compare_magnitudes(a.magnitude, b.magnitude) < 0) std::swap(a, b);
    std::vector<uint32_t> sum(a.magnitude.size() + b.magnitude.size() + 1, 0);
    int64_t carry = 0;
    for (size_t i = 0; i < sum.size(); ++i) {
        const int64_t x = i < a.magnitude.size() ? a.magnitude[i] : 0;
        const int64_t y = i < b.magnitude.size() ? b.magnitude[i] : 0;
        const int64_t digit = x + (subtract ? -y : y) + carry;
        sum[i] = uint32_t(digit);
        carry = digit >> 32;
    }
    return {a.negative, sum, exponent};
}

inline Number multiply(const Number& a, const Number& b) {
    std::vector<uint32_t> product(a.magnitude.size() + b.magnitude.size(), 0);
    for (size_t i = 0; i < a.magnitude.size(); ++i) {
        uint64_t carry = 0;
        for (size_t j = 0; j < b.magnitude.size(); ++j) {
            const uint64_t digit =
                uint64_t{a.magnitude[i]} * b.magnitude[j] + product[i + j] + carry;
            product[i + j] = uint32_t(digit);
            carry = digit >> 32;
        }
        product[i + b.magnitude.size()] = uint32_t(carry);
    }
    return {a.negative != b.negative, product, a.exponent + b.exponent};
}

/// The nearest value of a format; a zero keeps n.negative as its sign.
inline uint64_t round(const Number& n, const Format& format, Mode mode, bool satfinite = false) {
    const uint64_t sign = n.negative ? format.sign() : 0;
    const int top = n.highest_bit();
    if (top < 0) return sign;
    const int lowest_exponent = 1 - format.bias();
    int exponent = top + n.exponent;
    if (exponent < lowest_exponent) exponent = lowest_exponent;
    // Bits below `cut` of the magnitude are dropped.
    const int cut = exponent - format.mantissa_bits - n.exponent;
    uint64_t kept = 0;
    for (int i = format.mantissa_bits + 1; i >= 0; --i)
        kept = kept << 1 | (n.bit(cut + i) ? 1 : 0);
    const bool half = n.bit(cut - 1);
    bool rest = false;
    for (int i = 0; i < cut - 1; ++i)
        rest = rest || n.bit(i);
    const bool up = (mode == Mode::kUp && !n.negative) || (mode == Mode::kDown && n.negative);
    if (mode == Mode::kNearest && half && (rest || (kept & 1))) ++kept;
    if (mode == Mode::kAway && half) ++kept;
    if (up && (half || rest)) ++kept;
    // The hidden bit of a normal number counts as one step of the exponent.
    const uint64_t code = (uint64_t(exponent - lowest_exponent) << format.mantissa_bits) + kept;
    if (code >= format.infinity()) {
        const bool to_infinity = mode == Mode::kNearest || mode == Mode::kAway || up;
        return sign | (to_infinity && !satfinite ? format.infinity() : format.infinity() - 1);
    }
    return sign | code;
}

/// IEEE sums and products of a format; NaN is canonical.
inline uint64_t sum(uint64_t a, uint64_t b, const Format& format, Mode mode) {
    if (format.is_nan(a) || format.is_nan(b)) return format.nan;
    if (format.is_infinite(a) && format.is_infinite(b)) return a == b ? a : format.nan;
    if (format.is_infinite(a)) return a;
    if (format.is_infinite(b)) return b;
    Number n = add(number(a, format), number(b, format));
    if (n.is_zero())
        n.negative = format.is_negative(a) == format.is_negative(b) ? format.is_negative(a)
                                                                    : mode == Mode::kDown;
    return round(n, format, mode);
}

inline uint64_t fused(uint64_t a, uint64_t b, uint64_t c, const Format& format, Mode mode) {
    if (format.is_nan(a) || format.is_nan(b) || format.is_nan(c)) return format.nan;
    const bool negative = format.is_negative(a) != format.is_negative(b);
    if (format.is_infinite(a) || format.is_infinite(b)) {
        if (format.is_zero(a) || format.is_zero(b)) return format.nan;
        if (format.is_infinite(c) && format.is_negative(c) != negative) return format.nan;
        return format.infinity() | (negative ? format.sign() : 0);
    }
    if (format.is_infinite(c)) return c;
    Number n = add(multiply(number(a, format), number(b, format)), number(c, format));
    if (n.is_zero())
        n.negative = negative == format.is_negative(c) ? negative : mode == Mode::kDown;
    return round(n, format, mode);
}

inline uint64_t product(uint64_t a, uint64_t b, const Format& format, Mode mode) {
    if (format.is_nan(a) || format.is_nan(b)) return format.nan;
    const bool negative = format.is_negative(a) != format.is_negative(b);
    const uint64_t sign = negative ? format.sign() : 0;
    if (format.is_infinite(a) || format.is_infinite(b))
        return format.is_zero(a) || format.is_zero(b) ? format.nan : format.infinity() | sign;
    Number n = multiply(number(a, format), number(b, format));
    n.negative = negative;
    return round(n, format, mode);
}

/// A value of one format in another.
inline uint64_t convert(uint64_t bits, const Format& from, const Format& to, Mode mode,
                        bool satfinite = false) {
    if (from.is_nan(bits)) return to.nan;
    const uint64_t sign = from.is_negative(bits) ? to.sign() : 0;
    if (from.is_infinite(bits)) return sign | (to.infinity() - (satfinite ? 1 : 0));
    return round(number(bits, from), to, mode, satfinite);
}

}  // namespace emulator::exact
