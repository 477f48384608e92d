// AVX-512 kernels with int8 activations (vpdpbusd) for the E2M3 family. Needs VNNI and VBMI.
//
// vpdpbusd multiplies unsigned by signed bytes. Where weights are decoded for few tokens, a weight is
// u = v + 64 (4..124), and a sum starts at -64 * sum of q: heads have the scales, then the running
// -64 * sum of q before each tile of the block and after the last: [1 + 9][tokens]. In gemm an activation
// is q + 128 and a sum starts at -128 * sum of v, the same for all tokens.
#include "core/gemm/cpu/avx512_integer.hpp"

namespace fp6llm::FP6LLM_AVX512_NAMESPACE {
namespace {

constexpr char kDoubledBit = 0x40;
constexpr int kSelect = 0xE4;  // ternary logic: z ? x : y

/// The low bytes of 64 lanes, `a`'s lowest.
FP6LLM_AVX512_INLINE __m512i join_bytes(__m512i a, __m512i b, __m512i c, __m512i d) {
    __m512i joined = _mm512_castsi128_si512(_mm512_cvtepi32_epi8(a));
    joined = _mm512_inserti32x4(joined, _mm512_cvtepi32_epi8(b), 1);
    joined = _mm512_inserti32x4(joined, _mm512_cvtepi32_epi8(c), 2);
    return _mm512_inserti32x4(joined, _mm512_cvtepi32_epi8(d), 3);
}

/// Values and values doubled: a code's bit 6 chooses.
struct DoublingTable {
    __m512i values, doubled;
    __m512i rows;  ///< that bit, in rows to be doubled
};

FP6LLM_AVX512_INLINE __m512i look_up(__m512i table, __m512i codes) {
    return _mm512_permutexvar_epi8(codes, table);
}

FP6LLM_AVX512_INLINE __m512i look_up(const DoublingTable& table, __m512i codes) {
    const __m512i chosen =
        _mm512_ternarylogic_epi32(table.rows, codes, _mm512_set1_epi8(kDoubledBit), kSelect);
    return _mm512_permutex2var_epi8(table.values, chosen, table.doubled);
}

/// Codes in the low six bits of bytes, all that look_up() needs, from words of a tile (avx512_decode.hpp):
/// those of two pairs that a word has whole, or of pairs 6 and 7. By vpmultishiftqb: one instruction for all
/// bits that lie in a 64-bit lane.
struct ShiftedBytes {
    /// Bit positions for bytes 0-3 of a 64-bit lane; its upper row's are 32 higher.
    FP6LLM_AVX512_INLINE __m512i from(uint64_t low) {
        return _mm512_set1_epi64(static_cast<int64_t>(low | (low + 0x20202020u) << 32));
    }
    FP6LLM_AVX512_INLINE __m512i of_word(__m512i word) {
        return _mm512_multishift_epi64_epi8(from(0x16100600), word);
    }
    FP6LLM_AVX512_INLINE __m512i of_rest(const TileWords& words) {
        constexpr __mmask64 kPair7 = 0xAAAAAAAAAAAAAAAAu;
        const __m512i nibbles = from(0x1C1C0C0C);
        const __m512i low_bits = _mm512_mask_multishift_epi64_epi8(
            _mm512_multishift_epi64_epi8(nibbles, words.a), kPair7, nibbles, words.b);
        const __m512i high_bits = _mm512_multishift_epi64_epi8(from(0x1A180A08), words.c);
        return _mm512_ternarylogic_epi32(low_bits, high_bits, _mm512_set1_epi8(0x0F), kSelect);
    }
};

/// The same by shifts of 16-bit words: half as many instructions again, but none that Zen 5 runs where it
/// multiplies, as it does vpmultishiftqb.
struct ShiftedWords {
    /// `low`'s lower bytes of half-words, `high`'s upper ones; `low` had better be needed no more.
    FP6LLM_AVX512_INLINE __m512i join(__m512i low, __m512i high) {
        return _mm512_ternarylogic_epi32(low, high, _mm512_set1_epi16(0x00FF), kSelect);
    }
    FP6LLM_AVX512_INLINE __m512i of_word(__m512i word) {
        constexpr int kSelectSecond = 0xD8;  // z ? y : x
        return _mm512_ternarylogic_epi32(_mm512_slli_epi16(word, 2), word,
                                         _mm512_set1_epi16(0x00FF), kSelectSecond);
    }
    FP6LLM_AVX512_INLINE __m512i of_rest(const TileWords& words) {
        const __m512i nibbles = join(_mm512_srli_epi16(words.a, 8), words.b);  // the upper ones
        const __m512i upper = join(_mm512_srli_epi16(words.c, 8), _mm512_srli_epi16(words.c, 2));
        return _mm512_ternarylogic_epi32(_mm512_srli_epi16(nibbles, 4), upper,
                                         _mm512_set1_epi8(0x0F), kSelect);
    }
};

/// What both ways have in common; weights have kOffset added.
template <class Codes, int kOffset>
struct Int8Weights {
    using Table = __m512i;
    static constexpr int kChains = 9;
    static constexpr int kColumns = 4;
    static constexpr int kScratchColumns = 512;
    static constexpr bool kFoldsScales = false;
    static constexpr int64_t kFarPrefetch = 7168;
    static constexpr int64_t kBlockColumns = kI8Columns;
    static constexpr float kMost = 127.0f;

    FP6LLM_AVX512_INLINE __m512i load_steps(const float* values, int64_t step) {
        const float* v = values + 4 * step;
        const __m512i order =
            _mm512_set4_epi32(0x0F0D0E0C, 0x0B090A08, 0x07050604, 0x03010200);  // as for_each_step
        return _mm512_shuffle_epi8(
            join_bytes(rounded(v), rounded(v + 16), rounded(v + 32), rounded(v + 48)), order);
    }

    FP6LLM_AVX512_INLINE int64_t span_columns(TileFamily) { return kI8Span; }

    /// 128 columns * 60 * 2^range * 127 < 2^31.
    FP6LLM_AVX512_INLINE int span_range(TileFamily) { return 11; }

    /// units * v + offset.
    FP6LLM_AVX512_INLINE __m512i load_values(TileFamily family, int units, int offset) {
        const float* values = tile_values(family);
        const auto load = [values, units, offset](int code) {
            const __m512 scaled = _mm512_fmadd_ps(_mm512_loadu_ps(values + code),
                                                  _mm512_set1_ps(static_cast<float>(8 * units)),
                                                  _mm512_set1_ps(static_cast<float>(offset)));
            return _mm512_cvtps_epi32(scaled);
        };
        return join_bytes(load(0), load(16), load(32), load(48));
    }

    FP6LLM_AVX512_INLINE Table load_table(TileFamily family) {
        return load_values(family, 1, kOffset);
    }

    using FoldedTable = DoublingTable;
    static constexpr bool kNearSpansFold = false;
    static constexpr int kFoldUnits = 2;
    static constexpr int64_t kFewestFoldTokens = 128;

    /// 2 * 60 is the most that a byte takes, 2 * 60 + 2 * 64 without a sign.
    FP6LLM_AVX512_INLINE int fold_range(TileFamily) { return 1; }

    FP6LLM_AVX512_INLINE FoldedTable load_folded_table(TileFamily family) {
        return {load_values(family, 1, kFoldUnits * kOffset),
                load_values(family, 2, kFoldUnits * kOffset), _mm512_setzero_si512()};
    }

    FP6LLM_AVX512_INLINE void set_group(FoldedTable& table, TileFamily, __m128i largest,
                                        const uint8_t* exponents) {
        const __m512i rows =
            _mm512_cvtepi8_epi32(_mm_cmpeq_epi8(largest, load_exponents(exponents)));
        table.rows = _mm512_and_si512(rows, _mm512_set1_epi8(kDoubledBit));
    }

    /// Step s: the bytes of lane `row` are columns 4 s, 4 s + 2, 4 s + 1, 4 s + 3, as its half-words are of
    /// even and odd ones.
    template <bool kHeld, class AnyTable, class Use>
    FP6LLM_AVX512_INLINE void for_each_step(const AnyTable& table, const uint8_t* tile, Use use) {
        const TileWords words = load_tile<kHeld>(tile);
        use(0, look_up(table, Codes::of_word(words.a)));
        use(1, look_up(table, Codes::of_word(words.b)));
        use(2, look_up(table, Codes::of_word(words.c)));
        use(3, look_up(table, Codes::of_rest(words)));
    }
};

constexpr int kWeightOffset = 64;

/// gemv and fused.
template <class Codes>
struct Int8Ops : Int8Weights<Codes, kWeightOffset>, IntegerLoops<Int8Ops<Codes>> {
    static constexpr int kBlockTiles = kI8Columns / kTileCols;
    static constexpr int kHeadRows = 1 + kBlockTiles + 1;

    FP6LLM_AVX512_INLINE void finish_head(int64_t count, int64_t steps, int32_t* head) {
        constexpr int kTileSteps = kTileCols / Int8Ops::kColumns;
        const int32_t* q = head + kHeadRows * count;
        const __mmask16 tokens = first_lanes(count);
        __m512i sums = _mm512_setzero_si512();
        for (int tile = 0; tile <= kBlockTiles; ++tile) {
            _mm512_mask_storeu_epi32(head + (1 + tile) * count, tokens,
                                     _mm512_sub_epi32(_mm512_setzero_si512(), sums));
            if ((tile + 1) * kTileSteps > steps) continue;  // beyond the columns, or after the last
            for (int s = 0; s < kTileSteps; ++s, q += count) {
                sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(kWeightOffset),
                                           _mm512_maskz_loadu_epi32(tokens, q));
            }
        }
    }

    FP6LLM_AVX512_INLINE __m512i multiply_add(__m512i sum, __m512i weights, __m512i x) {
        FP6LLM_AVX512_DOT("vpdpbusd", sum, weights, x, _mm512_dpbusd_epi32(sum, weights, x));
        return sum;
    }
    FP6LLM_AVX512_INLINE __m512i multiply_add(__m512i sum, __m512i weights, const int32_t* x) {
        FP6LLM_AVX512_DOT_AT("vpdpbusd", sum, weights, x,
                             multiply_add(sum, weights, Int8Ops::broadcast(x)));
        return sum;
    }
};

/// gemm.
template <class Codes>
struct Int8GemmOps : Int8Weights<Codes, 0>, IntegerLoops<Int8GemmOps<Codes>> {
    static constexpr int kHeadRows = 1;
    static constexpr bool kSumsWeights = true;
    static constexpr char kActivationOffset = -128;  // 128 without a sign

    FP6LLM_AVX512_INLINE __m512i load_steps(const float* values, int64_t step) {
        const __m512i q = Int8Weights<Codes, 0>::load_steps(values, step);
        return _mm512_xor_si512(q, _mm512_set1_epi8(kActivationOffset));
    }

    FP6LLM_AVX512_INLINE __m512i add_weights(__m512i sum, __m512i weights) {
        return _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(kActivationOffset), weights);
    }

    FP6LLM_AVX512_INLINE __m512i multiply_add(__m512i sum, __m512i weights, __m512i x) {
        FP6LLM_AVX512_DOT("vpdpbusd", sum, x, weights, _mm512_dpbusd_epi32(sum, x, weights));
        return sum;
    }
};

}  // namespace

constexpr KernelFunctions kGemvI8 = gemv_functions<Int8Ops<ShiftedBytes>>();
constexpr KernelFunctions kFusedI8 = fused_functions<Int8Ops<ShiftedBytes>>();
constexpr KernelFunctions kGemmI8 = gemm_functions<Int8GemmOps<ShiftedBytes>>();
constexpr KernelFunctions kGemvI8Words = gemv_functions<Int8Ops<ShiftedWords>>();
constexpr KernelFunctions kFusedI8Words = fused_functions<Int8Ops<ShiftedWords>>();
constexpr KernelFunctions kGemmI8Words = gemm_functions<Int8GemmOps<ShiftedWords>>();

}  // namespace fp6llm::FP6LLM_AVX512_NAMESPACE
