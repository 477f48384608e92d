// S16 tiles (docs/layouts.md) to fp32, "placed": one shift and one mask put a code's sign and
// exponent+mantissa fields where an fp32 has its own. That fp32 is
//
//   value * 2^-124 for E3M2,  value * 2^-126 for E2M3       exactly
//
// because both formats have subnormals as fp32 has; codes with exponent 0 become fp32 subnormals,
// so denormals-are-zero must be off (FpEnvGuard). Where those are slow to multiply, NormalTile adds two
// operations.
//
//   fp32                31 s | 30..26 0 | 25..21 E3M2 exponent, mantissa (24..20 E2M3) | 0
//   E3M2 half-word      15 s0 | 14..11 spare | 10 s1 | 9..5 m0 | 4..0 m1
//   E2M3 half-word      15 s0 | 14 s1 | 13..9 m1 | 8..4 m0 | 3..0 spare
//
// The odd k are in the upper half-words; loading 2 bytes earlier brings the even ones there. Pairs
// 6 and 7 are the exclusive or of A's (B's) word, shifted, with a look-up by C's spare bits;
// packing has arranged the spare bits so that what else takes part cancels out (fold_spare in
// prepack/cpu_tile_impl.hpp), which saves the masks.
#pragma once

#include <type_traits>

#include "core/gemm/cpu/avx2.hpp"
#include "core/gemm/cpu/avx2_lanes.hpp"
#include "core/gemm/cpu/avx2_prefetch.hpp"
#include "core/prepack/cpu_tile.hpp"

namespace fp6llm::avx2 {

/// The end of a tile's decode(): pairs 6 and 7.
template <class Tile, class Use>
FP6LLM_AVX2_INLINE void decode_assembled(const uint8_t* tile, __m256i fields, Use use) {
    const Lanes spare = Tile::spare_bits(tile);
    FP6LLM_AVX2_UNROLL
    for (int word = 0; word < 2; ++word) {
        const Lanes pair = Tile::assemble(tile, spare, word);
        use(12 + 2 * word, as_floats(bit_and(shift_left<16>(pair), fields)));
        use(13 + 2 * word, as_floats(bit_and(pair, fields)));
    }
}

struct E3M2Tile {
    static constexpr int kPlacedExponent = -124;
    static constexpr TileFamily kFamily = TileFamily::kE3M2;

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
        decode_assembled<E3M2Tile>(tile, fields, use);
    }

    /// C's spare bits s6, s7, e7, e6 as indices for assemble().
    FP6LLM_AVX2_INLINE Lanes spare_bits(const uint8_t* tile) {
        return shift_right_halves<3>(load_lanes(tile + 128));
    }

    /// Pair 6 (word 0) or 7 (word 1) where in a half-word the first pair of a word lies: its spare bits go
    /// to bits 15 (sign) and 9 (high bit of the exponent).
    FP6LLM_AVX2_INLINE Lanes assemble(const uint8_t* tile, Lanes spare, int word) {
        const __m256i table = word == 0 ? nibble_table(0x0200020002000200, 0x8280828082808280)
                                        : nibble_table(0x8282808002020000, 0x8282808002020000);
        const Lanes low = shift_right_halves<6>(load_lanes(tile + 64 * word));
        return bit_xor(low, look_up(table, spare));
    }
};

struct E2M3Tile {
    static constexpr int kPlacedExponent = -126;
    static constexpr TileFamily kFamily = TileFamily::kE2M3;

    /// Calls use(k, placed) for each k of the tile in [0, 16), not in order.
    template <class Use>
    FP6LLM_AVX2_INLINE void decode(const uint8_t* tile, Use use) {
        const __m256i fields = _mm256_set1_epi32(static_cast<int>(0x81F00000u));
        FP6LLM_AVX2_UNROLL
        for (int word = 0; word < 3; ++word) {
            const Lanes odd = load_lanes(tile + 64 * word);
            use(4 * word, as_floats(bit_and(load_lanes(tile + 64 * word - 2), fields)));
            use(4 * word + 1, as_floats(bit_and(odd, fields)));
            const Lanes second = scale_down_halves<6>(shift_left_halves<1>(odd));
            use(4 * word + 2, as_floats(bit_and(shift_left<16>(second), fields)));
            use(4 * word + 3, as_floats(bit_and(second, fields)));
        }
        decode_assembled<E2M3Tile>(tile, fields, use);
    }

    /// As in E3M2Tile.
    FP6LLM_AVX2_INLINE Lanes spare_bits(const uint8_t* tile) {
        return bit_and(shift_left_halves<8>(load_lanes(tile + 128)), _mm256_set1_epi16(0x0F00));
    }

    /// As in E3M2Tile, to bits 15 (sign) and 8 (high bit of the exponent).
    FP6LLM_AVX2_INLINE Lanes assemble(const uint8_t* tile, Lanes spare, int word) {
        const __m256i table = word == 0 ? nibble_table(0x0100010001000100, 0x8180818081808180)
                                        : nibble_table(0x8181808001010000, 0x8181808001010000);
        const Lanes low = shift_left_halves<4>(load_lanes(tile + 64 * word));
        return bit_xor(low, look_up(table, spare));
    }
};

/// What NormalTile adds last. Not its member: that would have external linkage.
alignas(32) constexpr float kTakenBack[8] = {-0x1p-116f, -0x1p-116f, -0x1p-116f, -0x1p-116f,
                                             -0x1p-116f, -0x1p-116f, -0x1p-116f, -0x1p-116f};

/// A tile of either format that decodes to normal numbers, 8 times as large: for processors that take
/// 100 cycles and more where a factor is subnormal, Intel's. Their additions do not, and these are exact:
/// placed values are multiples of 2^-129 below 2^-119, their sums with it normal. Only zeros lose their
/// sign, which no sum shows.
template <class Tile>
struct NormalTile : Tile {
    static constexpr int kPlacedExponent = Tile::kPlacedExponent + 3;

    /// As of Tile.
    template <class Use>
    FP6LLM_AVX2_INLINE void decode(const uint8_t* tile, Use use) {
        Tile::decode(tile, [&](int k, Floats placed) FP6LLM_AVX2_INLINE_LAMBDA {
            Floats normal = add(placed, all_floats(0x1p-119f));
            const __m256 eight = _mm256_set1_ps(8.0f);
            // The addend from memory: gcc 12 would put other registers by for it.
            asm("vfmadd213ps %2, %1, %0" : "+x"(normal.lo) : "x"(eight), "m"(kTakenBack));
            asm("vfmadd213ps %2, %1, %0" : "+x"(normal.hi) : "x"(eight), "m"(kTakenBack));
            use(k, normal);
        });
    }
};

/// The tile whose weights are kNormal (avx2.hpp), or not.
template <class Tile, Weights kWeights>
using TileOf = std::conditional_t<kWeights == Weights::kNormal, NormalTile<Tile>, Tile>;

}  // namespace fp6llm::avx2
