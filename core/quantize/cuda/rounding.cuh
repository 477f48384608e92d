// Rounding to a small format, and scales: core/quantize/kernels_impl.hpp and scales.cpp for one
// thread, operation by operation, so that results are the same to the bit.
#pragma once

#include <cuda_fp16.h>

#include "core/common/types.hpp"
#include "core/quantize/cuda/params.hpp"

namespace fp6llm::cuda {

struct Rounded {
    uint32_t code;    ///< without sign
    float magnitude;  ///< |q|
    float value;      ///< of the code
};

/// kernels_impl.hpp explains the arithmetic. NaN and Inf become the largest number.
__device__ __forceinline__ Rounded round_to_grid(const FormatParams& format, bool away, float q) {
    const int32_t magnitude = __float_as_int(q) & 0x7FFFFFFF;
    const int32_t clamped = min(magnitude, __float_as_int(format.max));
    const int32_t exponent = max(clamped & 0x7F800000, format.min_exponent);
    const int32_t adder_bits = exponent + format.adder;
    const float adder = __int_as_float(adder_bits);
    const float sum = __int_as_float(clamped) + adder;
    int32_t steps = __float_as_int(sum) - adder_bits;
    float value = sum - adder;
    if (away) {
        const float tie = __int_as_float(exponent - format.tie);
        if (__int_as_float(clamped) - value == tie) {
            ++steps;
            value += tie + tie;
        }
    }
    const int32_t code = steps + ((exponent - format.min_exponent) >> format.mantissa_shift);
    return {static_cast<uint32_t>(code), __int_as_float(magnitude), value};
}

/// Divides by one scale, for encoding: the quotient is the correctly rounded one (Markstein: one
/// more residual step upon a faithful quotient, with the correctly rounded reciprocal), but where
/// it is so small that its code is zero anyway, and NaN where x is infinite. Scale and x are moved
/// into a range where no step can underflow; six operations instead of a division with its
/// branches.
class Divider {
  public:
    __device__ __forceinline__ explicit Divider(float scale)
        : factor_(scale < 0x1p-60f  ? 0x1p100f
                  : scale > 0x1p60f ? 0x1p-60f
                                    : 1.0f),
          scale_(scale * factor_),
          inverse_(__frcp_rn(scale_)) {}

    __device__ __forceinline__ float operator()(float x) const {
        const float moved = x * factor_;
        const float rough = moved * inverse_;
        const float faithful = fmaf(fmaf(-rough, scale_, moved), inverse_, rough);
        return fmaf(fmaf(-faithful, scale_, moved), inverse_, faithful);
    }

  private:
    float factor_, scale_, inverse_;
};

/// The code of x / scale. NaN loses its sign.
__device__ __forceinline__ uint32_t encode_element(const FormatParams& format, bool away,
                                                   const Divider& divide, float x) {
    const uint32_t bits = __float_as_uint(x);
    const uint32_t sign = (bits & 0x7FFFFFFFu) <= 0x7F800000u ? bits & 0x80000000u : 0;
    return round_to_grid(format, away, divide(x)).code | sign >> format.sign_shift;
}

/// Value of a code. A subnormal decodes as if its leading zero were a one in the first binade, less
/// that one.
__device__ __forceinline__ float decode_element(const FormatParams& format, uint32_t code) {
    const uint32_t sign_bit = 1u << (format.bits - 1);
    const uint32_t magnitude = code & (sign_bit - 1);
    const bool subnormal = magnitude >> format.mantissa_bits == 0;
    const uint32_t bits = (magnitude << format.mantissa_shift) +
                          (static_cast<uint32_t>(127 - format.bias) << 23) +
                          (subnormal ? 1u << 23 : 0);
    const float value = __uint_as_float(bits) - (subnormal ? format.min_normal : 0.0f);
    return __uint_as_float(__float_as_uint(value) | (code & sign_bit) << format.sign_shift);
}

/// 2^exponent for exponents of E8M0, -127..127; the smallest is a subnormal float.
__device__ __forceinline__ float e8m0_power(int exponent) {
    return __int_as_float(exponent == -127 ? 0x00400000 : (exponent + 127) << 23);
}

/// scales.hpp's group_scale().
__device__ __forceinline__ float group_scale(const FormatParams& format, const ScaleParams& p,
                                             float amax, int candidate) {
    if (p.mode == static_cast<int32_t>(ScaleMode::kMx)) {
        constexpr uint32_t kMantissa = 0x7FFFFFu;
        uint32_t bits = __float_as_uint(amax);
        if (p.mx_rule == static_cast<int32_t>(MxScaleRule::kEven))
            bits += 1u << (22 - format.mantissa_bits);
        int exponent = static_cast<int>(bits >> 23) - 127 - format.max_exponent;
        if (p.mx_rule == static_cast<int32_t>(MxScaleRule::kRceil) &&
            (bits & kMantissa) > (__float_as_uint(format.max) & kMantissa)) {
            ++exponent;
        }
        if (candidate != 0) exponent += candidate == 1 ? -1 : 1;
        return e8m0_power(min(max(exponent, -127), 127));
    }
    if (amax == 0.0f) return 1.0f;
    const float part =
        __fdiv_rn(static_cast<float>(candidate), static_cast<float>(2 * p.search + 2));
    const float scale = fmaxf(__fdiv_rn(amax * (1.0f - part), format.max), __uint_as_float(1));
    if (p.type != static_cast<int32_t>(DataType::kF16)) return scale;
    const int half = __half_as_ushort(__float2half_rn(scale));
    return __half2float(__ushort_as_half(static_cast<uint16_t>(min(max(half, 0x0001), 0x7BFF))));
}

/// A half as a float, bit for bit: the payload of a NaN is kept, as core/common/float16.hpp does.
__device__ __forceinline__ uint32_t widen_half(uint16_t half) {
    if ((half & 0x7C00u) == 0x7C00u)
        return (half & 0x8000u) << 16 | 0x7F800000u | (half & 0x3FFu) << 13;
    return __float_as_uint(__half2float(__ushort_as_half(half)));
}

/// Its inverse, for floats that came from it.
__device__ __forceinline__ uint16_t narrow_to_half(uint32_t bits) {
    if ((bits & 0x7F800000u) == 0x7F800000u)
        return static_cast<uint16_t>((bits >> 16 & 0x8000u) | 0x7C00u | (bits >> 13 & 0x3FFu));
    return __half_as_ushort(__float2half_rn(__uint_as_float(bits)));
}

__device__ __forceinline__ int scale_bytes(int32_t type) {
    return type == static_cast<int32_t>(DataType::kE8M0)  ? 1
           : type == static_cast<int32_t>(DataType::kF16) ? 2
                                                          : 4;
}

/// Bits, as fp32, of stored scale number `at`. E8M0 255 is NaN.
__device__ __forceinline__ uint32_t load_scale(const uint8_t* scales, int32_t type, int64_t at) {
    if (type == static_cast<int32_t>(DataType::kE8M0)) {
        const int exponent = scales[at];
        return exponent == 255 ? 0x7FC00000u : __float_as_uint(e8m0_power(exponent - 127));
    }
    if (type == static_cast<int32_t>(DataType::kF16))
        return widen_half(reinterpret_cast<const uint16_t*>(scales)[at]);
    return reinterpret_cast<const uint32_t*>(scales)[at];
}

/// Stores a scale that its type holds exactly.
__device__ __forceinline__ void store_scale(uint8_t* scales, int32_t type, int64_t at,
                                            uint32_t bits) {
    if (type == static_cast<int32_t>(DataType::kE8M0)) {
        scales[at] = static_cast<uint8_t>(bits >> 23);
    } else if (type == static_cast<int32_t>(DataType::kF16)) {
        reinterpret_cast<uint16_t*>(scales)[at] = narrow_to_half(bits);
    } else {
        reinterpret_cast<uint32_t*>(scales)[at] = bits;
    }
}

}  // namespace fp6llm::cuda
