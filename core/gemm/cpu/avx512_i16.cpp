// AVX-512 kernels with int16 activations (vpdpwssd), near exact: weights come from the same table
// look-up as bf16 ones, as integers. Needs VNNI.
#include "core/gemm/cpu/avx512_integer.hpp"

namespace fp6llm::FP6LLM_AVX512_NAMESPACE {
namespace {

/// Integers times powers of two, by row.
struct ShiftedTable : WordTable {
    __m512i shifts;
};

template <int kPair>
FP6LLM_AVX512_INLINE __m512i decode_pair(const ShiftedTable& table, const TileWords& words) {
    const WordTable& values = table;
    return _mm512_sllv_epi16(decode_pair<kPair>(values, words), table.shifts);
}

struct Int16Ops : IntegerLoops<Int16Ops> {
    using Table = WordTable;
    static constexpr int kChains = 9;
    static constexpr int kColumns = 2;
    static constexpr int kScratchColumns = 384;
    static constexpr bool kFoldsScales = false;
    static constexpr int64_t kFarPrefetch = 8192;
    static constexpr int64_t kBlockColumns = kI16Columns;
    static constexpr float kMost = 32767.0f;
    static constexpr int kHeadRows = 1;
    static constexpr bool kSumsWeights = false;

    FP6LLM_AVX512_INLINE __m512i load_steps(const float* values, int64_t step) {
        return join_words(rounded(values + 2 * step), rounded(values + 2 * step + kLanes));
    }

    FP6LLM_AVX512_INLINE int64_t span_columns(TileFamily family) { return i16_span(family); }

    /// 64 columns * 448 (E2M3: 128 * 60) * 2^range * 32767 < 2^31.
    FP6LLM_AVX512_INLINE int span_range(TileFamily family) {
        return family == TileFamily::kE3M2 ? 1 : 3;
    }

    using FoldedTable = ShiftedTable;
    static constexpr bool kNearSpansFold = true;
    static constexpr int kFoldUnits = 1;  // weights have no offset
    static constexpr int64_t kFewestFoldTokens = 1;

    FP6LLM_AVX512_INLINE int fold_range(TileFamily family) { return span_range(family); }

    FP6LLM_AVX512_INLINE FoldedTable load_folded_table(TileFamily family) {
        return {load_table(family), _mm512_setzero_si512()};
    }

    FP6LLM_AVX512_INLINE void set_group(FoldedTable& table, TileFamily family, __m128i largest,
                                        const uint8_t* exponents) {
        const __m128i apart = _mm_sub_epi8(largest, load_exponents(exponents));
        const __m512i shifts = _mm512_cvtepu8_epi32(
            _mm_sub_epi8(_mm_set1_epi8(static_cast<char>(fold_range(family))), apart));
        table.shifts = _mm512_or_si512(shifts, _mm512_slli_epi32(shifts, 16));
    }

    FP6LLM_AVX512_INLINE Table load_table(TileFamily family) {
        const float* values = tile_values(family);
        const __m512 unit = _mm512_set1_ps(integer_unit(family));
        const auto load = [values, unit](int code) {
            return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(values + code), unit));
        };
        return {join_words(load(0), load(16)), join_words(load(32), load(48))};
    }

    template <bool kHeld, class AnyTable, class Use>
    FP6LLM_AVX512_INLINE void for_each_step(const AnyTable& table, const uint8_t* tile, Use use) {
        for_each_pair<kHeld>(table, tile, use);
    }

    FP6LLM_AVX512_INLINE __m512i multiply_add(__m512i sum, __m512i weights, __m512i x) {
        FP6LLM_AVX512_DOT("vpdpwssd", sum, weights, x, _mm512_dpwssd_epi32(sum, weights, x));
        return sum;
    }
    FP6LLM_AVX512_INLINE __m512i multiply_add(__m512i sum, __m512i weights, const int32_t* x) {
        FP6LLM_AVX512_DOT_AT("vpdpwssd", sum, weights, x, multiply_add(sum, weights, broadcast(x)));
        return sum;
    }
};

}  // namespace

constexpr KernelFunctions kGemvI16 = gemv_functions<Int16Ops>();
constexpr KernelFunctions kFusedI16 = fused_functions<Int16Ops>();
constexpr KernelFunctions kGemmI16 = gemm_functions<Int16Ops>();

}  // namespace fp6llm::FP6LLM_AVX512_NAMESPACE
