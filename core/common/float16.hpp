// IEEE binary16 and bfloat16 <-> binary32, in integer arithmetic: independent of the processor and
// of the floating-point environment. Round to nearest even; NaN stays NaN (quiet), Inf stays Inf.
#pragma once

#include <cstdint>
#include <cstring>

namespace fp6llm {

inline uint32_t float_bits(float value) noexcept {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float float_from_bits(uint32_t bits) noexcept {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline float half_to_float(uint16_t half) noexcept {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 31u;
    uint32_t mantissa = half & 0x3FFu;
    if (exponent == 31) return float_from_bits(sign | 0x7F800000u | (mantissa << 13));
    if (exponent == 0) {
        if (mantissa == 0) return float_from_bits(sign);
        // A subnormal half is a normal float: shift the leading one into place.
        const int shift = __builtin_clz(mantissa) - 21;
        mantissa = (mantissa << shift) & 0x3FFu;
        exponent = static_cast<uint32_t>(1 - shift);
    }
    return float_from_bits(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

inline uint16_t float_to_half(float value) noexcept {
    const uint32_t bits = float_bits(value);
    const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
    const uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return sign | 0x7E00u;
    if (magnitude >= 0x477FF000u) return sign | 0x7C00u;  // 65520 and above round to infinity
    if (magnitude < 0x38800000u) {                        // below 2^-14: a subnormal half
        if (magnitude <= 0x33000000u) return sign;        // up to 2^-25, which ties to even zero
        const int shift = 126 - static_cast<int>(magnitude >> 23);  // 14..24
        const uint32_t mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
        const uint32_t half = mantissa >> shift;
        const uint32_t rest = mantissa & ((1u << shift) - 1), tie = 1u << (shift - 1);
        return sign | static_cast<uint16_t>(half + (rest > tie || (rest == tie && (half & 1))));
    }
    const uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
    return sign | static_cast<uint16_t>((rounded - 0x38000000u) >> 13);
}

inline float bf16_to_float(uint16_t bf16) noexcept {
    return float_from_bits(static_cast<uint32_t>(bf16) << 16);
}

inline uint16_t float_to_bf16(float value) noexcept {
    const uint32_t bits = float_bits(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
    return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace fp6llm
