// S16 tiles (core/prepack/cpu_tile.hpp) to fp32, "placed": one shift and one mask put a code's sign
// and exponent+mantissa fields where an fp32 has its own. That fp32 is
//
//   value * 2^-124 for E3M2,  value * 2^-126 for E2M3       exactly
//
// because both formats have subnormals as fp32 has; codes with exponent 0 become fp32 subnormals,
// so denormals-are-zero must be off (FpEnvGuard).
//
//   fp32                31 s | 30..26 0 | 25..21 E3M2 exponent, mantissa (24..20 E2M3) | 0
//   E3M2 half-word      15 s0 | 14..11 spare | 10 s1 | 9..5 m0 | 4..0 m1
//   E2M3 half-word      15 s0 | 14 s1 | 13..9 m1 | 8..4 m0 | 3..0 spare
//
// The odd k are in the upper half-words; loading 2 bytes earlier brings the even ones there.
#pragma once

#include "core/gemm/cpu/avx2_lanes.hpp"

namespace fp6llm::avx2 {

FP6LLM_AVX2_INLINE __m256i repeat_table(long long low, long long high) {
    return _mm256_set_epi64x(high, low, high, low);
}

struct E3M2Tile {
    static constexpr int kPlacedExponent = -124;

    /// Calls use(k, placed) for each k of the tile in [0, 16), not in order.
    template <class Use>
    FP6LLM_AVX2_INLINE void decode(const uint8_t* tile, Use use) {
        const __m256i fields = _mm256_set1_epi32(static_cast<int>(0x83E00000u));
        FP6LLM_AVX2_UNROLL
        for (int word = 0; word < 3; ++word) {
            const Lanes odd = load_lanes(tile + 64 * word);
            const Lanes even = load_lanes(tile + 64 * word - 2);
            use(4 * word, as_floats(bit_and(even, fields)));
            use(4 * word + 1, as_floats(bit_and(odd, fields)));
            use(4 * word + 2, as_floats(bit_and(shift_left<5>(even), fields)));
            use(4 * word + 3, as_floats(bit_and(shift_left<5>(odd), fields)));
        }
        // Pairs 6 and 7: low mantissa bits in A's and B's spare bits, the rest in C's.
        const __m256i low = _mm256_set1_epi16(0x01E0);
        const Lanes rest =
            bit_and(shift_right_halves<3>(load_lanes(tile + 128)), _mm256_set1_epi16(0x0F00));
        const __m256i tables[2] = {
            repeat_table(0x0200020002000200, static_cast<long long>(0x8280828082808280u)),
            repeat_table(static_cast<long long>(0x8282808002020000u),
                         static_cast<long long>(0x8282808002020000u))};
        FP6LLM_AVX2_UNROLL
        for (int word = 0; word < 2; ++word) {
            const Lanes pair =
                bit_or(bit_and(shift_right_halves<6>(load_lanes(tile + 64 * word)), low),
                       look_up(tables[word], rest));
            use(12 + 2 * word, as_floats(bit_and(shift_left<16>(pair), fields)));
            use(13 + 2 * word, as_floats(bit_and(pair, fields)));
        }
    }
};

struct E2M3Tile {
    static constexpr int kPlacedExponent = -126;

    /// Calls use(k, placed) for each k of the tile in [0, 16), not in order.
    template <class Use>
    FP6LLM_AVX2_INLINE void decode(const uint8_t* tile, Use use) {
        const __m256i fields = _mm256_set1_epi32(static_cast<int>(0x81F00000u));
        FP6LLM_AVX2_UNROLL
        for (int word = 0; word < 3; ++word) {
            const Lanes odd = load_lanes(tile + 64 * word);
            const Lanes even = load_lanes(tile + 64 * word - 2);
            use(4 * word, as_floats(bit_and(even, fields)));
            use(4 * word + 1, as_floats(bit_and(odd, fields)));
            const Lanes second = shift_right_halves_signed<6>(shift_left_halves<1>(odd));
            use(4 * word + 2, as_floats(bit_and(shift_left<16>(second), fields)));
            use(4 * word + 3, as_floats(bit_and(second, fields)));
        }
        const __m256i low = _mm256_set1_epi16(0x00F0);
        const Lanes rest =
            bit_and(shift_left_halves<8>(load_lanes(tile + 128)), _mm256_set1_epi16(0x0F00));
        const __m256i tables[2] = {
            repeat_table(0x0100010001000100, static_cast<long long>(0x8180818081808180u)),
            repeat_table(static_cast<long long>(0x8181808001010000u),
                         static_cast<long long>(0x8181808001010000u))};
        FP6LLM_AVX2_UNROLL
        for (int word = 0; word < 2; ++word) {
            const Lanes pair =
                bit_or(bit_and(shift_left_halves<4>(load_lanes(tile + 64 * word)), low),
                       look_up(tables[word], rest));
            use(12 + 2 * word, as_floats(bit_and(shift_left<16>(pair), fields)));
            use(13 + 2 * word, as_floats(bit_and(pair, fields)));
        }
    }
};

}  // namespace fp6llm::avx2
