// The small float formats, described by one template: 1 sign bit, E exponent bits, M mantissa bits,
// no infinities and no NaN: an exponent of all ones is an ordinary exponent (OCP MX 1.0
// section 5.3; FP6-LLM section 2). Every constant follows from E, M and the bias.
//
//   bit   E+M     E+M-1 ... M   M-1 ... 0
//        sign     exponent      mantissa       exponent 0: subnormal, mantissa * 2^(1 - bias - M)
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/common/types.hpp"

namespace fp6llm {

/// Nearest code of the fp32 number `bits`, in integer arithmetic. See encode() in format.hpp.
constexpr uint8_t encode_small_float(uint32_t bits, int exponent_bits, int mantissa_bits, int bias,
                                     Rounding rounding) noexcept {
    const uint32_t sign_bit = 1u << (exponent_bits + mantissa_bits);
    const uint32_t max_code = sign_bit - 1;
    const uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return static_cast<uint8_t>(max_code);  // NaN

    const bool subnormal = magnitude < 0x00800000u;
    const uint32_t significand = subnormal ? magnitude : (magnitude & 0x7FFFFFu) | 0x800000u;
    const int exponent = (subnormal ? 1 : static_cast<int>(magnitude >> 23)) - 127;

    // Codes step by 2^(max(exponent, 1 - bias) - M): that many low bits of the significand go.
    const int above = exponent > 1 - bias ? exponent - (1 - bias) : 0;
    const int below = exponent < 1 - bias ? (1 - bias) - exponent : 0;
    const int shift = 23 - mantissa_bits + (below < 8 ? below : 8);  // 8: everything rounds to 0
    const uint32_t kept = significand >> shift;
    const uint32_t rest = significand & ((1u << shift) - 1), tie = 1u << (shift - 1);
    const bool tie_up = rounding == Rounding::kNearestAway || (kept & 1u) != 0;
    const uint32_t steps = kept + (rest > tie || (rest == tie && tie_up) ? 1u : 0u);

    // The leading one of a normal number carries into the exponent field, so steps simply add.
    const uint32_t code = steps + (static_cast<uint32_t>(above) << mantissa_bits);
    return static_cast<uint8_t>((bits >> 31 ? sign_bit : 0u) | (code < max_code ? code : max_code));
}

template <int E, int M, int Bias>
struct FloatFormat {
    static_assert(E >= 1 && M >= 1 && 1 + E + M <= 8,
                  "a code is a byte, with at least one bit each");

    static constexpr int kExponentBits = E;
    static constexpr int kMantissaBits = M;
    static constexpr int kBias = Bias;
    static constexpr int kBits = 1 + E + M;
    static constexpr int kCodes = 1 << kBits;
    static constexpr int kMaxExponent = (1 << E) - 1 - Bias;
    static constexpr unsigned kSignBit = 1u << (E + M);

    static constexpr float decode(unsigned code) noexcept {
        const unsigned exponent = (code >> M) & ((1u << E) - 1);
        const unsigned mantissa = code & ((1u << M) - 1);
        const float magnitude = exponent == 0
                                    ? static_cast<float>(mantissa) * power_of_two(1 - Bias - M)
                                    : static_cast<float>(mantissa + (1u << M)) *
                                          power_of_two(static_cast<int>(exponent) - Bias - M);
        return code & kSignBit ? -magnitude : magnitude;
    }

    static constexpr uint8_t encode(uint32_t float_bits, Rounding rounding) noexcept {
        return encode_small_float(float_bits, E, M, Bias, rounding);
    }

    static constexpr std::array<float, kCodes> values() noexcept {
        std::array<float, kCodes> table{};
        for (unsigned code = 0; code < kCodes; ++code)
            table[code] = decode(code);
        return table;
    }

  private:
    static constexpr float power_of_two(int exponent) noexcept {
        float value = 1.0f;
        for (; exponent > 0; --exponent)
            value *= 2.0f;
        for (; exponent < 0; ++exponent)
            value *= 0.5f;
        return value;
    }
};

using E3M2 = FloatFormat<3, 2, 3>;
using E2M3 = FloatFormat<2, 3, 1>;
using E2M2 = FloatFormat<2, 2, 1>;
using E3M1 = FloatFormat<3, 1, 3>;
using E2M1 = FloatFormat<2, 1, 1>;

}  // namespace fp6llm
