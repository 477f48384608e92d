// S8 tiles (docs/layouts.md) to integers: a byte is a sign, a flag and four bits n, so that
//
//   magnitude = T[n] + 16 - n        T[n] = 0 where the flag is set, else by table
//
// takes four operations for 32 values, and a byte is zero only where its magnitude is: it negates
// (vpsignb) as it is. Columns of a 32-bit lane come in the order 0, 2, 1, 3.
#pragma once

#include "core/gemm/cpu/avx2_lanes.hpp"
#include "core/prepack/cpu_tile.hpp"

namespace fp6llm::avx2 {

constexpr int kTileSteps =
    4;  ///< vectors of bytes, 4 columns each, that half the rows of a tile are

struct ByteTile {
    static constexpr TileFamily kFamily = TileFamily::kE2M3;

    /// Half the rows of a tile; bits 5 and 4 of each byte are anything.
    FP6LLM_AVX2_INLINE void load(const uint8_t* tile, __m256i (&bytes)[kTileSteps]) {
        FP6LLM_AVX2_UNROLL
        for (int word = 0; word < 3; ++word)
            bytes[word] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile + 64 * word));
        bytes[3] = _mm256_xor_si256(
            _mm256_xor_si256(_mm256_slli_epi16(bytes[0], 2), _mm256_srli_epi16(bytes[1], 4)),
            _mm256_srli_epi16(bytes[2], 2));
    }

    /// By a table of values - 16 + n.
    FP6LLM_AVX2_INLINE __m256i look_up(__m256i table, __m256i bytes) {
        const __m256i index = _mm256_add_epi8(bytes, _mm256_set1_epi8(0x40));  // flag to bit 7
        const __m256i less16 = _mm256_or_si256(bytes, _mm256_set1_epi8(static_cast<char>(0xF0)));
        return _mm256_sub_epi8(_mm256_shuffle_epi8(table, index), less16);
    }

    /// |value| * 8, up to 60.
    FP6LLM_AVX2_INLINE __m256i magnitudes(__m256i bytes) {
        return look_up(nibble_table(0x15120F0C090603F0, 0x3B36312C27221D18), bytes);
    }

    /// value * 8.
    FP6LLM_AVX2_INLINE __m256i values(__m256i bytes) {
        return _mm256_sign_epi8(magnitudes(bytes), bytes);
    }

    /// The lower five bits of codes.
    FP6LLM_AVX2_INLINE __m256i code_magnitudes(__m256i bytes) {
        return look_up(nibble_table(0x0E0C0A08060402F0, 0x1E1C1A1816141210), bytes);
    }
};

}  // namespace fp6llm::avx2
