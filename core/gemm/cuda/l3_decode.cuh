// From three words of the layout L3 (core/prepack/cuda/l3.hpp) to eight A registers of mma.m16n8k16.
//
// The result is not the weight but the weight times a power of two, which the epilogue's scale gives
// back: 2^-12 for E3M2 and 2^-14 for E2M3 where activations are fp16. bfloat16 would underflow
// (2^-124, 2^-126), so there one packed multiplication per pair makes it exact. Instructions per 16
// weights: fp16 17 (E3M2) or 33 (E2M3), bfloat16 25 or 41 with its own tag.
#pragma once

#include "core/gemm/cuda/ptx.cuh"
#include "core/prepack/cuda/l3.hpp"

namespace fp6llm::cuda {

template <typename Activation, L3Format kFormat>
struct DecodeTraits;

/// kTop: where the code's highest magnitude bit must lie within the 16-bit float; the five magnitude
/// bits follow downwards. kExponent: the result is weight * 2^kExponent.
template <>
struct DecodeTraits<__half, L3Format::kE3M2> {
    static constexpr int kTop = 12, kExponent = -12;
};
template <>
struct DecodeTraits<__half, L3Format::kE2M3> {
    static constexpr int kTop = 11, kExponent = -14;
};
template <>
struct DecodeTraits<__nv_bfloat16, L3Format::kE3M2> {
    static constexpr int kTop = 9, kExponent = 0;
    static constexpr uint32_t kFactor = (124u + 127u) << 7;  // 2^124 as bfloat16
};
template <>
struct DecodeTraits<__nv_bfloat16, L3Format::kE2M3> {
    static constexpr int kTop = 8, kExponent = 0;
    static constexpr uint32_t kFactor = (126u + 127u) << 7;
};

/// Puts sign and magnitude, which `word` has where the tag's pattern A wants them, to the float's
/// places. `kTagTop` is the bit of the highest magnitude bit in the tag.
template <int kTagTop, int kTop>
__device__ __forceinline__ uint32_t place_magnitude(uint32_t word, uint32_t mask) {
    if constexpr (kTagTop == kTop) {
        return word & mask;
    } else {
        const uint32_t moved = kTagTop > kTop ? word >> (kTagTop - kTop) : word << (kTop - kTagTop);
        constexpr uint32_t kMagnitude = (0x1Fu << (kTop - 4)) * 0x00010001u;
        return (word & 0x80008000u) | (moved & kMagnitude);
    }
}

template <typename Activation, L3Format kFormat>
__device__ __forceinline__ uint32_t scale_pair(uint32_t pair) {
    if constexpr (sizeof(Activation) == 2 && DecodeTraits<Activation, kFormat>::kExponent == 0) {
        // fma by -0: the sm_80 form of a packed bfloat16 product, exact here.
        constexpr uint32_t kFactor = DecodeTraits<Activation, kFormat>::kFactor * 0x00010001u;
        uint32_t result;
        asm("fma.rn.bf16x2 %0, %1, %2, %3;\n"
            : "=r"(result)
            : "r"(pair), "r"(kFactor), "r"(0x80008000u));
        return result;
    } else {
        return pair;
    }
}

/// Two k16 steps of a thread's A fragments: pairs 0..3 and 4..7 of a triple.
template <L3Tag kTag, typename Activation, L3Format kFormat>
__device__ __forceinline__ void decode_triple(uint32_t r0, uint32_t r1, uint32_t r2,
                                              uint32_t (&first)[4], uint32_t (&second)[4]) {
    constexpr L3Pattern kPattern = l3_pattern(kTag);
    constexpr uint32_t kMask = l3_mask(kTag);
    constexpr int kTagTop = kPattern.low_a + 4;
    constexpr int kTop = DecodeTraits<Activation, kFormat>::kTop;
    constexpr int kShiftB = kPattern.sign_a - kPattern.sign_b;
    static_assert(kPattern.low_a - kPattern.low_b == kShiftB, "B is A, moved");

    const uint32_t t01 =
        select_bits(__funnelshift_l(r0, r0, kPattern.rotation[0]),
                    __funnelshift_l(r1, r1, kPattern.rotation[1]), kPattern.mask[0]);
    const uint32_t t =
        select_bits(__funnelshift_l(r2, r2, kPattern.rotation[2]), t01, kPattern.mask[2]);
    const uint32_t words[4] = {r0, r1, r2, t};
#pragma unroll
    for (int w = 0; w < 4; ++w) {
        uint32_t(&out)[4] = w < 2 ? first : second;
        out[2 * (w & 1)] =
            scale_pair<Activation, kFormat>(place_magnitude<kTagTop, kTop>(words[w], kMask));
        out[2 * (w & 1) + 1] = scale_pair<Activation, kFormat>(
            place_magnitude<kTagTop, kTop>(words[w] << kShiftB, kMask));
    }
}

}  // namespace fp6llm::cuda
