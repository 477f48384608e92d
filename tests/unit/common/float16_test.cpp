// Half and bfloat16 against oracles that share no code with them: values computed by ldexp,
// roundings found by search among the neighbouring values, and the processor's own F16C
// instructions.
#include "core/common/float16.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fp6llm {
namespace {

constexpr uint32_t kCodes = 0x10000;

struct Layout {
    int exponent_bits, mantissa_bits;
    uint32_t infinity() const { return ((1u << exponent_bits) - 1) << mantissa_bits; }
    int bias() const { return (1 << (exponent_bits - 1)) - 1; }
};
constexpr Layout kHalf{5, 10}, kBf16{8, 7};

/// Value of a finite code by its definition. For infinity's code: the value one step beyond the
/// largest finite one, from which rounding to nearest overflows.
double value_by_definition(Layout layout, uint32_t code) {
    const uint32_t exponent = (code & 0x7FFF) >> layout.mantissa_bits;
    const uint32_t mantissa = code & ((1u << layout.mantissa_bits) - 1);
    const double magnitude =
        exponent == 0
            ? std::ldexp(mantissa, 1 - layout.bias() - layout.mantissa_bits)
            : std::ldexp(mantissa + (1u << layout.mantissa_bits),
                         static_cast<int>(exponent) - layout.bias() - layout.mantissa_bits);
    return code & 0x8000 ? -magnitude : magnitude;
}

template <typename Decode>
void check_decode(Layout layout, Decode decode) {
    for (uint32_t code = 0; code < kCodes; ++code) {
        const float value = decode(static_cast<uint16_t>(code));
        const uint32_t magnitude = code & 0x7FFF;
        ASSERT_EQ(std::signbit(value), code >= 0x8000) << code;
        if (magnitude > layout.infinity()) {
            ASSERT_TRUE(std::isnan(value)) << code;
        } else if (magnitude == layout.infinity()) {
            ASSERT_TRUE(std::isinf(value)) << code;
        } else {
            ASSERT_EQ(value, value_by_definition(layout, code)) << code;
        }
    }
}

template <typename Decode, typename Encode>
void check_round_trip(Layout layout, Decode decode, Encode encode) {
    for (uint32_t code = 0; code < kCodes; ++code) {
        const uint32_t again = encode(decode(static_cast<uint16_t>(code)));
        if ((code & 0x7FFF) > layout.infinity()) {
            // NaN: made quiet, sign kept, still NaN.
            ASSERT_GT(again & 0x7FFF, layout.infinity()) << code;
            ASSERT_EQ(again & 0x8000, code & 0x8000) << code;
            ASSERT_TRUE(again & (1u << (layout.mantissa_bits - 1))) << code;
        } else {
            ASSERT_EQ(again, code);
        }
    }
}

/// At every midpoint of two neighbours, and one float to each side of it and of the values.
template <typename Encode>
void check_rounding(Layout layout, Encode encode) {
    for (uint32_t sign : {0u, 0x8000u}) {
        for (uint32_t low = 0; low < layout.infinity(); ++low) {
            const uint32_t high = low + 1, even = low & 1 ? high : low;
            const double low_value = value_by_definition(layout, low);
            const double high_value = value_by_definition(layout, high);
            const auto middle = static_cast<float>((low_value + high_value) / 2);  // exact
            const float s = sign ? -1.0f : 1.0f;
            ASSERT_EQ(encode(s * middle), sign | even) << low;
            ASSERT_EQ(encode(s * std::nextafterf(middle, 0.0f)), sign | low) << low;
            ASSERT_EQ(encode(s * std::nextafterf(middle, INFINITY)), sign | high) << low;
            const float above = std::nextafterf(static_cast<float>(low_value), INFINITY);
            if (above < middle) {
                ASSERT_EQ(encode(s * above), sign | low) << low;
            }
        }
        const float infinity = sign ? -INFINITY : INFINITY;
        ASSERT_EQ(encode(infinity), sign | layout.infinity());
    }
    ASSERT_EQ(encode(std::numeric_limits<float>::max()), layout.infinity());
    ASSERT_EQ(encode(-std::numeric_limits<float>::max()), 0x8000 | layout.infinity());
}

TEST(Half, DecodesEveryCode) {
    check_decode(kHalf, half_to_float);
}
TEST(Half, RoundTripsEveryCode) {
    check_round_trip(kHalf, half_to_float, float_to_half);
}
TEST(Half, RoundsToNearestEven) {
    check_rounding(kHalf, float_to_half);
}

TEST(Bf16, DecodesEveryCode) {
    check_decode(kBf16, bf16_to_float);
}
TEST(Bf16, RoundTripsEveryCode) {
    check_round_trip(kBf16, bf16_to_float, float_to_bf16);
}
TEST(Bf16, RoundsToNearestEven) {
    check_rounding(kBf16, float_to_bf16);
}

#if defined(__x86_64__)

__attribute__((target("avx,f16c"))) uint32_t f16c_encode(float value) {
    return static_cast<uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
}
__attribute__((target("avx,f16c"))) float f16c_decode(uint16_t half) {
    return _cvtsh_ss(half);
}

bool has_f16c() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2");  // gcc 12 has no name for F16C; AVX2 implies it
}

TEST(Half, DecodesAsTheProcessorDoes) {
    if (!has_f16c()) GTEST_SKIP() << "this processor has no F16C";
    for (uint32_t code = 0; code < kCodes; ++code) {
        const auto half = static_cast<uint16_t>(code);
        if ((code & 0x7FFF) > kHalf.infinity())
            continue;  // F16C makes NaNs quiet; decoding need not
        ASSERT_EQ(float_bits(half_to_float(half)), float_bits(f16c_decode(half))) << code;
    }
}

TEST(Half, EncodesAsTheProcessorDoes) {
    if (!has_f16c()) GTEST_SKIP() << "this processor has no F16C";
    const auto check = [](uint32_t bits) {
        const float value = float_from_bits(bits);
        if (std::isnan(value)) return;  // F16C keeps payload bits; we give one NaN
        ASSERT_EQ(float_to_half(value), f16c_encode(value)) << std::hex << bits;
    };
    // Every sign, exponent and leading 10 mantissa bits, with tails around each rounding decision.
    for (uint32_t top = 0; top < (1u << 19); ++top) {
        for (const uint32_t tail : {0x0000u, 0x0001u, 0x0FFFu, 0x1000u, 0x1001u, 0x1FFFu}) {
            check((top << 13) | tail);
        }
    }
    std::mt19937 random(1);
    for (int i = 0; i < 2000000; ++i)
        check(static_cast<uint32_t>(random()));
}

#endif

}  // namespace
}  // namespace fp6llm
