// How the integer kernels cut the columns of a decoded block, and what multiplying a cut takes: the
// parts of kernel.hpp, or spans of several with MX scales. A span is summed like one part where its
// exponents are close enough: the integers of group g count 2^d times, with
//
//   d = range + exponent(g) - largest exponent of the span      for each row, 0 <= d <= range
//
// which decoding (I16) or the second of two multiplications (I8) does for nothing. Where one row of
// the panel has exponents further apart, each group is a part, and parts are added in fp64.
#pragma once

#include "core/gemm/cpu/avx2_lanes.hpp"
#include "core/gemm/cpu/avx2_scales.hpp"
#include "core/gemm/cpu/kernel.hpp"
#include "core/gemm/cpu/span_impl.hpp"
#include "core/prepack/weight.hpp"

namespace fp6llm::avx2 {

constexpr int64_t kStepBytes = 64;  ///< of decoded weights: a 32-bit lane for each of 16 rows
constexpr int64_t kDecodedBytes = 16 * 1024;  ///< decoded at a time: half of a small L1 cache
constexpr int64_t kChunkColumns = 32;  ///< an MX group; I8 parts start and end at its multiples
constexpr int kMaxParts = 64;
constexpr int kMaxChunks = 32;

enum class Scales { kRow, kGroup, kMx };

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
    int32_t start[kMaxParts][16];    ///< where the sums of a part start: I8
    int32_t counts[kMaxChunks][16];  ///< Ops::counts_of(d) of each MX group
    float scale[kMaxChunks][16];     ///< the largest of each span
    double power[kMaxChunks][16];    ///< of each group whose span is added in fp64
    Part parts[kMaxParts];
    int64_t part_count;
    int64_t first, end;
    const uint8_t* ask;  ///< what of the tiles of the block that comes next has not been asked for,
    int64_t ask_lines;   ///< so many lines for each part that is multiplied with a tile of tokens
};

FP6LLM_AVX2_INLINE void store_lanes(void* to, Lanes a) {
    _mm256_storeu_si256(static_cast<__m256i*>(to), a.lo);
    _mm256_storeu_si256(static_cast<__m256i*>(to) + 1, a.hi);
}

FP6LLM_AVX2_INLINE Lanes widen_bytes(__m128i bytes) {
    return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}

/// Powers of two by which integers of an MX span may differ, int8: 128 columns * 60 * 2^range * 127 < 2^31.
constexpr int kI8Range = 11;

/// What makes pairs of products count 2^d times: a factor for both halves of a lane.
FP6LLM_AVX2_INLINE Lanes pair_counts(Lanes d) {
    const __m256i one = _mm256_set1_epi32(0x00010001);
    return {_mm256_sllv_epi32(one, d.lo), _mm256_sllv_epi32(one, d.hi)};
}

/// sums[t][16] += part[t] * s[t] * scale, s times `unit`.
template <Scales kScales, int kTokens>
FP6LLM_AVX2_INLINE void add_part(const Lanes (&part)[kTokens], const float* s, float unit,
                                 const float* of_part, float* sums) {
    Floats scale;
    if (kScales != Scales::kRow) scale = load_values(of_part);
    FP6LLM_AVX2_UNROLL
    for (int t = 0; t < kTokens; ++t) {
        const Floats values = {_mm256_cvtepi32_ps(part[t].lo), _mm256_cvtepi32_ps(part[t].hi)};
        const Floats sum = load_values(sums + t * 16);
        const Floats of_token = all_floats(kScales == Scales::kMx ? s[t] * unit : s[t]);
        store_values(sums + t * 16, kScales == Scales::kRow
                                        ? multiply_add(values, of_token, sum)
                                        : multiply_add(multiply(values, of_token), scale, sum));
    }
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
        const float* scale = weight.scales + weight.scale_index(panel, group);
        prefetch_scales(weight, panel, group, /*panels=*/1);
        block->parts[count] = {stop - k, at, scale, 0, 0, nullptr};
        if (stop == group_end) ++group;
    }
    block->part_count = count;
}

/// Parts of MX scales, spans of Ops::kSpanColumns<Tile>.
template <class Ops, class Tile>
static inline void cut_spans(const CpuWeightView& weight, int64_t panel, Block* block) {
    constexpr int64_t kSpanColumns = Ops::template kSpanColumns<Tile>;
    constexpr int64_t kSpanGroups = kSpanColumns / kChunkColumns;
    static_assert(kSpanGroups <= kMostSpanGroups);
    const int64_t first_group = block->first / kChunkColumns;
    const uint8_t* exponents = weight.e8m0 + weight.scale_index(panel, first_group);
    const int64_t columns = block->end - block->first;
    constexpr int kRange = Ops::template kRange<Tile>;
    int64_t count = 0, chunk = 0;
    for (int64_t k = 0; k < columns; k += kSpanColumns) {
        prefetch_scales(weight, panel, first_group + chunk, /*panels=*/1);
        const int64_t rest = weight.groups - first_group - chunk;
        if (rest <= 0) break;  // columns past the last group are padding
        const int64_t groups = rest < kSpanGroups ? rest : kSpanGroups;
        const SpanExponents span = span_exponents(exponents, groups);
        const bool near = are_within(span, kRange);
        float* scale = block->scale[chunk];
        store_values(scale, e8m0_floats(span.largest));
        if (!near) span_powers(exponents, groups, span.largest, block->power[chunk]);
        const __m128i none = _mm_sub_epi8(span.largest, _mm_set1_epi8(kRange));  // where d is 0
        const int64_t at = k / Ops::kBlockColumns;
        const auto columns_from = [&](int64_t first, int64_t most) {
            return columns - first < most ? columns - first : most;
        };
        if (near) {
            block->parts[count++] = {columns_from(k, kSpanColumns), at, scale, 0, 0, nullptr};
        }
        for (int64_t g = 0; g < groups; ++g, exponents += 16) {
            const __m128i d =
                near ? _mm_sub_epi8(load_exponents(exponents), none) : _mm_setzero_si128();
            store_lanes(block->counts[chunk + g], Ops::template counts_of<Tile>(widen_bytes(d)));
            if (near) continue;
            block->parts[count++] = {columns_from(k + g * kChunkColumns, kChunkColumns),
                                     at,
                                     scale,
                                     static_cast<int>(g),
                                     static_cast<int>(groups),
                                     block->power[chunk]};
        }
        chunk += groups;
    }
    block->part_count = count;
}

}  // namespace fp6llm::avx2
