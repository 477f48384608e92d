// From P16 tiles to pairs of bf16 or int16: one 64-entry table look-up (vpermi2w) per 32 weights.
//
// A 16-bit word of a tile (bits, low to high; prepack/cpu_tile.hpp has the geometry):
//
//   A   c0 (6) | c1 (6) | c6[3:0]             pair j of a tile: 32-bit lane = row, low half = even
//   k B   c2 (6) | c3 (6) | c7[3:0] C   c4 (6) | c5 (6) | c6[5:4] | c7[5:4]
//
// The look-up reads the low six bits of each word only, so extracting a code is one shift, and its
// result is the operand of vdpbf16ps or vpdpwssd. Tile values are exact in bf16.
#pragma once

#include "core/gemm/cpu/avx512.hpp"
#include "core/gemm/cpu/span_impl.hpp"

namespace fp6llm::FP6LLM_AVX512_NAMESPACE {
namespace {

constexpr int kLanes = kTileRows;
constexpr int kPairsPerTile = kTileCols / 2;

/// The values of a family's 64 codes as 16-bit words: of bf16, or of integers.
struct WordTable {
    __m512i low, high;
};
using Bf16Table = WordTable;

/// The low words of 32 lanes, `first`'s lowest.
FP6LLM_AVX512_INLINE __m512i join_words(__m512i first, __m512i second) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(first)),
                              _mm512_cvtepi32_epi16(second), 1);
}

/// The bf16 values of a family's codes.
FP6LLM_AVX512_INLINE Bf16Table load_bf16_table(TileFamily family) {
    const float* values = tile_values(family);
    const auto load = [values](int code) {
        return _mm512_srli_epi32(_mm512_castps_si512(_mm512_loadu_ps(values + code)), 16);
    };
    return {join_words(load(0), load(16)), join_words(load(32), load(48))};
}

/// bf16 values over 2^apart, a word's `apart` in its exponent field. Values have no -0, from which
/// subtracting would borrow.
struct FoldedTable : WordTable {
    __m512i apart;
};

/// `apart`, at most kMostApart, is still to be set.
FP6LLM_AVX512_INLINE FoldedTable load_folded_table(TileFamily family) {
    const Bf16Table values = load_bf16_table(family);
    const auto without_minus_zero = [](__m512i words) {
        return _mm512_maskz_mov_epi16(_mm512_test_epi16_mask(words, _mm512_set1_epi16(0x7FFF)),
                                      words);
    };
    return {{values.low, without_minus_zero(values.high)}, _mm512_setzero_si512()};
}

/// The three vectors of a tile.
struct TileWords {
    __m512i a, b, c;
};

/// kHeld: in registers, from which each is taken up to four times. Else gcc takes them from memory, in
/// the instructions that need them: better where results go to memory, worse where activations come from
/// there.
template <bool kHeld>
FP6LLM_AVX512_INLINE TileWords load_tile(const uint8_t* tile) {
    __m512i a = _mm512_load_si512(tile);
    __m512i b = _mm512_load_si512(tile + 64);
    __m512i c = _mm512_load_si512(tile + 128);
    if constexpr (kHeld) {
        FP6LLM_AVX512_LAUNDER_VECTOR(a);
        FP6LLM_AVX512_LAUNDER_VECTOR(b);
        FP6LLM_AVX512_LAUNDER_VECTOR(c);
    }
    return {a, b, c};
}

/// Words whose low six bits are the codes of pair kPair.
template <int kPair>
FP6LLM_AVX512_INLINE __m512i pair_codes(const TileWords& w) {
    constexpr int kOrAnd = 0xF8;  // ternary logic: x | (y & z)
    const __m512i above_4 = _mm512_set1_epi16(static_cast<int16_t>(0xFFF0));
    if constexpr (kPair == 0) return w.a;
    if constexpr (kPair == 1) return _mm512_srli_epi16(w.a, 6);
    if constexpr (kPair == 2) return w.b;
    if constexpr (kPair == 3) return _mm512_srli_epi16(w.b, 6);
    if constexpr (kPair == 4) return w.c;
    if constexpr (kPair == 5) return _mm512_srli_epi16(w.c, 6);
    if constexpr (kPair == 6) {
        return _mm512_ternarylogic_epi32(_mm512_srli_epi16(w.a, 12), _mm512_srli_epi16(w.c, 8),
                                         above_4, kOrAnd);
    }
    if constexpr (kPair == 7) {
        return _mm512_ternarylogic_epi32(_mm512_srli_epi16(w.b, 12), _mm512_srli_epi16(w.c, 10),
                                         above_4, kOrAnd);
    }
}

template <int kPair>
FP6LLM_AVX512_INLINE __m512i decode_pair(const WordTable& table, const TileWords& words) {
    return _mm512_permutex2var_epi16(table.low, pair_codes<kPair>(words), table.high);
}

template <int kPair>
FP6LLM_AVX512_INLINE __m512i decode_pair(const FoldedTable& table, const TileWords& words) {
    const WordTable& values = table;
    return _mm512_subs_epu16(decode_pair<kPair>(values, words), table.apart);  // zero stays zero
}

/// Calls use(pair index, pairs of words) for the eight pairs of a tile.
template <bool kHeld, class Table, class Use>
FP6LLM_AVX512_INLINE void for_each_pair(const Table& table, const uint8_t* tile, Use use) {
    const TileWords words = load_tile<kHeld>(tile);
    use(0, decode_pair<0>(table, words));
    use(1, decode_pair<1>(table, words));
    use(2, decode_pair<2>(table, words));
    use(3, decode_pair<3>(table, words));
    use(4, decode_pair<4>(table, words));
    use(5, decode_pair<5>(table, words));
    use(6, decode_pair<6>(table, words));
    use(7, decode_pair<7>(table, words));
}

/// Calls use(pair index, pairs of the first tile, of the second). Nothing is held: what multiplies two
/// panels needs the registers.
template <class Table, class Use>
FP6LLM_AVX512_INLINE void for_each_pair_of_two(const Table (&tables)[2],
                                               const uint8_t* const (&tiles)[2], Use use) {
    const TileWords a = load_tile</*kHeld=*/false>(tiles[0]);
    const TileWords b = load_tile</*kHeld=*/false>(tiles[1]);
    use(0, decode_pair<0>(tables[0], a), decode_pair<0>(tables[1], b));
    use(1, decode_pair<1>(tables[0], a), decode_pair<1>(tables[1], b));
    use(2, decode_pair<2>(tables[0], a), decode_pair<2>(tables[1], b));
    use(3, decode_pair<3>(tables[0], a), decode_pair<3>(tables[1], b));
    use(4, decode_pair<4>(tables[0], a), decode_pair<4>(tables[1], b));
    use(5, decode_pair<5>(tables[0], a), decode_pair<5>(tables[1], b));
    use(6, decode_pair<6>(tables[0], a), decode_pair<6>(tables[1], b));
    use(7, decode_pair<7>(tables[0], a), decode_pair<7>(tables[1], b));
}

FP6LLM_AVX512_INLINE __m512 even_values(__m512i pair) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16));
}

FP6LLM_AVX512_INLINE __m512 odd_values(__m512i pair) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(pair, _mm512_set1_epi32(static_cast<int32_t>(0xFFFF0000u))));
}

/// 2^(byte - 127): 2^-127 is subnormal, 255 is NaN.
FP6LLM_AVX512_INLINE __m512 e8m0_values(__m128i bytes) {
    const __m512i exponent = _mm512_cvtepu8_epi32(bytes);
    const __m512i subnormal_bit = _mm512_set1_epi32(0x00400000);
    const __m512i bits = _mm512_max_epu32(_mm512_slli_epi32(exponent, 23), subnormal_bit);
    const __mmask16 nan = _mm512_cmpeq_epi32_mask(exponent, _mm512_set1_epi32(255));
    return _mm512_castsi512_ps(_mm512_mask_or_epi32(bits, nan, bits, subnormal_bit));
}

/// Exponents of MX scales may be so far apart for a FoldedTable. Weights stay normal, and a product that
/// is too small for fp32 is far below one of the largest scale.
constexpr int kMostApart = 30;

/// FoldedTable::apart of 16 rows: how far `exponents` are below `largest`.
FP6LLM_AVX512_INLINE __m512i exponents_apart(__m128i largest, const uint8_t* exponents) {
    const __m512i apart = _mm512_cvtepu8_epi32(_mm_sub_epi8(largest, load_exponents(exponents)));
    return _mm512_or_si512(_mm512_slli_epi32(apart, 7), _mm512_slli_epi32(apart, 23));
}

/// Scales of the panel's rows for one group.
FP6LLM_AVX512_INLINE __m512 load_scales(const CpuWeightView& weight, int64_t panel, int64_t group) {
    const int64_t at = weight.scale_index(panel, group);
    if (weight.scale_mode == ScaleMode::kMx) return e8m0_values(load_exponents(weight.e8m0 + at));
    return _mm512_loadu_ps(weight.scales + at);
}

/// Asks for scales that are as far ahead of `scales` as weights are asked for: processors' own prefetching
/// does not see that they come.
FP6LLM_AVX512_INLINE void prefetch_scales(const void* scales) {
    constexpr int64_t kBytesAhead = 512;
    _mm_prefetch(static_cast<const uint8_t*>(scales) + kBytesAhead, _MM_HINT_T0);
}

FP6LLM_AVX512_INLINE void prefetch_scales(const CpuWeightView& weight, int64_t panel,
                                          int64_t group) {
    const int64_t at = weight.scale_index(panel, group);
    if (weight.scale_mode == ScaleMode::kMx) {
        prefetch_scales(weight.e8m0 + at);
    } else {
        prefetch_scales(weight.scales + at);
    }
}

/// Columns per scale; all of them for row scales.
FP6LLM_AVX512_INLINE int64_t group_columns(const CpuWeightView& weight) {
    return weight.scale_mode == ScaleMode::kRow ? weight.k_tiles * kTileCols : weight.group_size;
}

FP6LLM_AVX512_INLINE const uint8_t* tile_address(const CpuWeightView& weight, int64_t panel,
                                                 int64_t tile) {
    return weight.panel_tiles(panel) + tile * kTileBytes;
}

}  // namespace
}  // namespace fp6llm::FP6LLM_AVX512_NAMESPACE
