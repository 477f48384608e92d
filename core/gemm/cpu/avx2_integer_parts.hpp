// How the integer kernels cut the columns of a decoded block, and what multiplying a cut takes: the
// parts of kernel.hpp, or spans of several with MX scales. A span is summed like one part where its
// exponents are close enough: the integers of group g count 2^d times, with
//
//   d = range + exponent(g) - largest exponent of the span      for each row, 0 <= d <= range
//
// which decoding (I16) or the second of two multiplications (I8) does for nothing. Where one row of
// the panel has exponents further apart, each group is a part, and parts are added in fp64; of
// SmolLM2-135M's spans these are 4 to 9 % with I16's range of 1 for E3M2, none with the others.
#pragma once

#include "core/gemm/cpu/avx2_lanes.hpp"
#include "core/gemm/cpu/avx2_scales.hpp"
#include "core/gemm/cpu/kernel.hpp"
#include "core/gemm/cpu/span_impl.hpp"
#include "core/prepack/weight.hpp"

namespace fp6llm::avx2 {

constexpr int64_t kStepBytes = 64;  ///< of decoded weights: a 32-bit lane for each of 16 rows
constexpr int64_t kDecodedBytes = 16 * 1024;  ///< decoded at a time: half of a small L1 cache
constexpr int64_t kChunkColumns = 32;         ///< an MX group; I8 parts start and end at its multiples
constexpr int kMaxParts = 64;
constexpr int kMaxChunks = 32;

/// Columns whose products are summed as integers.
struct Part {
    int64_t columns;
    int64_t block;       ///< activation block, counted from the first of the decoded columns
    const float* scale;  ///< [16]; not for row scales
    /// Where sums are of one group of a span, and go into a sum in fp64: of which group, of how many,
    /// and what all of them count.
    int group, groups;
    const double* powers;
};

/// A decoded block, columns [first, end): in scratch, rewritten for each.
struct Block {
    alignas(64) uint8_t decoded[kDecodedBytes];
    int32_t start[kMaxParts][16];   ///< where the sums of a part start: I8
    int32_t shift[kMaxChunks][16];  ///< d of each MX group
    int32_t times[kMaxChunks][16];  ///< 2^d in both half-words: I8
    float scale[kMaxChunks][16];    ///< the largest of each span
    double power[kMaxChunks][16];   ///< of each group whose span is added in fp64
    Part parts[kMaxParts];
    int64_t part_count;
    int64_t first, end;
};

FP6LLM_AVX2_INLINE void store_lanes(void* to, Lanes a) {
    _mm256_storeu_si256(static_cast<__m256i*>(to), a.lo);
    _mm256_storeu_si256(static_cast<__m256i*>(to) + 1, a.hi);
}

FP6LLM_AVX2_INLINE __m128i load_bytes(const uint8_t* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

FP6LLM_AVX2_INLINE Lanes widen_bytes(__m128i bytes) {
    return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}

/// Parts of row and group scales: where activation blocks end, and groups.
template <int64_t kBlockColumns>
static inline void cut_groups(const CpuWeightView& weight, int64_t panel, Block* block) {
    const bool rows = weight.scale_mode == ScaleMode::kRow;
    const int64_t size = rows ? weight.k_tiles * kTileCols : weight.group_size;
    int64_t group = block->first / size, count = 0;
    for (int64_t k = block->first, stop; k < block->end; k = stop, ++count) {
        if (group == weight.groups) break;  // columns past the last group are padding
        const int64_t at = (k - block->first) / kBlockColumns;
        const int64_t group_end = (group + 1) * size;
        stop = block->first + (at + 1) * kBlockColumns;
        stop = group_end < stop ? group_end : stop;
        stop = block->end < stop ? block->end : stop;
        const float* scale = weight.scales + (panel * weight.groups + group) * 16;
        block->parts[count] = {stop - k, at, scale, 0, 0, nullptr};
        if (stop == group_end) ++group;
    }
    block->part_count = count;
}

/// Parts of MX scales, spans of kSpanColumns. `range` is the most that d may be.
template <int64_t kBlockColumns, int64_t kSpanColumns>
static inline void cut_spans(const CpuWeightView& weight, int64_t panel, int range, Block* block) {
    constexpr int64_t kSpanGroups = kSpanColumns / kChunkColumns;
    const uint8_t* exponents = weight.e8m0 + panel * weight.groups * 16;
    const int64_t first_group = block->first / kChunkColumns;
    int64_t count = 0, span = 0;
    for (int64_t k = block->first; k < block->end; k += kSpanColumns, ++span) {
        const int64_t group = k / kChunkColumns;
        if (group >= weight.groups) break;  // padding
        const int64_t rest = weight.groups - group;
        const int64_t groups = rest < kSpanGroups ? rest : kSpanGroups;
        __m128i most = load_bytes(exponents + group * 16), least = most;
        for (int64_t g = 1; g < groups; ++g) {
            const __m128i bytes = load_bytes(exponents + (group + g) * 16);
            most = _mm_max_epu8(most, bytes);
            least = _mm_min_epu8(least, bytes);
        }
        const __m128i apart = _mm_sub_epi8(most, least);
        const __m128i allowed = _mm_set1_epi8(static_cast<char>(range));
        const bool near = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(apart, allowed),
                                                           allowed)) == 0xFFFF;
        alignas(16) uint8_t largest[16];
        _mm_store_si128(reinterpret_cast<__m128i*>(largest), most);
        store_values(block->scale[span], load_e8m0(largest));
        if (!near) {
            span_powers(exponents + group * 16, groups, most, block->power[group - first_group]);
        }
        for (int64_t g = 0; g < groups; ++g) {
            const int64_t chunk = group + g - first_group;
            const uint8_t* of_group = exponents + (group + g) * 16;
            const __m128i d =
                near ? _mm_sub_epi8(allowed, _mm_sub_epi8(most, load_bytes(of_group)))
                     : _mm_setzero_si128();
            const Lanes shift = widen_bytes(d);
            store_lanes(block->shift[chunk], shift);
            const __m256i one = _mm256_set1_epi32(0x00010001);
            store_lanes(block->times[chunk],
                        {_mm256_sllv_epi32(one, shift.lo), _mm256_sllv_epi32(one, shift.hi)});
            const int64_t at = (k - block->first) / kBlockColumns;
            const int64_t left = block->end - (k + g * kChunkColumns);
            const int64_t columns = left < kChunkColumns ? left : kChunkColumns;
            if (near && g > 0) {
                block->parts[count - 1].columns += columns;
                continue;
            }
            const int wide_groups = near ? 0 : static_cast<int>(groups);
            block->parts[count++] = {columns,     at, block->scale[span], static_cast<int>(g),
                                     wide_groups, block->power[group - first_group]};
        }
    }
    block->part_count = count;
}

}  // namespace fp6llm::avx2
