// Loops of kernels with integer sums: the integer arithmetic of kernel.hpp, bit for bit. A part, the
// columns of one activation block and one scale group, is summed exactly in registers, in any order;
// the end of a part converts it and adds it to the output. Parts of MX scales wait in memory for the
// end of their span.
//
// Packed activations of a block and token tile [..][tokens]: a head of kHeadRows rows, the first of
// which holds the block's scale of each token (fp32), then steps. Of an Ops type, beyond
// avx512_multiply.hpp:
//
//   kBlockColumns, kMost            of the activation quantization
//   span_columns(family)            that MX scales join
//   span_range(family)              exponents of a span may be so far apart for its sum to be below 2^31
//                                   in units of the smallest scale that this allows
//   fold_range(family)              exponents of a span may be so far apart for decoding to bring weights
//                                   to those units
//   kNearSpansFold                  whether fold_range() is all of span_range()
//   kFoldUnits                      what weights are offset by then, of what they are otherwise (direct)
//   FoldedTable, load_folded_table(family), set_group(table, family, largest, exponents)
//                                   decode so
//   kFewestFoldTokens               from which gemm does, as decoding takes longer then
//   kHeadRows                       rows of the head: 1, or 2 and a row per tile of the block, row 1 + i
//                                   of which is where a sum over its first i tiles starts
//   finish_head(count, steps, out)  if there are more: writes those from the steps that follow them
//   kSumsWeights                    whether gemm's sums start with what activations are offset by, times
//                                   the weights' sums, and add_weights(sum, weights) what they sum
#pragma once

#include <cstring>
#include <type_traits>

#include "core/gemm/cpu/avx512_integer_pack.hpp"
#include "core/gemm/cpu/avx512_multiply.hpp"

namespace fp6llm::FP6LLM_AVX512_NAMESPACE {
namespace {

/// Integer weights per unit of value.
FP6LLM_AVX512_INLINE float integer_unit(TileFamily family) {
    return family == TileFamily::kE3M2 ? 16.0f : 8.0f;
}

constexpr int64_t kMxColumns = 32;  ///< of a group
constexpr int64_t kLeastPart = 8;   ///< columns, as groups are multiples of it
constexpr int kMostPartTokens = 6;  ///< of two panels: two sums of each fit in registers

/// Of a tile: all, or half where that are too many.
constexpr int front_tokens(int tokens) {
    return tokens > kMostPartTokens ? (tokens + 1) / 2 : tokens;
}

/// Sums of the parts of a span, [groups][tokens][panels][16].
template <int kPanels, int kTokens>
using Parts = int32_t[kMostSpanGroups][kTokens * kPanels * kLanes];

template <class Ops>
struct IntegerLoops {
    using Step = int32_t;
    using Sum = __m512i;
    static constexpr int kParts = 1;
    static constexpr bool kFoldsSpans = true;

    FP6LLM_AVX512_INLINE __m512i zero() { return _mm512_setzero_si512(); }
    FP6LLM_AVX512_INLINE __m512i add(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }

    FP6LLM_AVX512_INLINE __m512i broadcast(const int32_t* x) { return _mm512_set1_epi32(*x); }

    static constexpr int64_t packed_steps(int64_t columns) {
        return columns / Ops::kColumns +
               (columns + Ops::kBlockColumns - 1) / Ops::kBlockColumns * Ops::kHeadRows;
    }

    static void pack_tile(const TokenSource& x, int64_t first, int64_t count, int64_t k0,
                          int64_t k1, int32_t* out) {
        pack_integer_tile<Ops>(x, first, count, k0, k1, out);
    }

    FP6LLM_AVX512_INLINE int64_t span_groups(const CpuWeightView& weight) {
        return Ops::span_columns(weight.family) / kMxColumns;
    }

    /// The end of a part of MX scales, which waits in memory for the last one of its span.
    template <int kPanels, int kTokens, int kSets>
    FP6LLM_AVX512_INLINE void store_parts(const Sums<Ops, kTokens, kSets> (&sums)[kPanels],
                                          int32_t* totals) {
        FP6LLM_AVX512_UNROLL
        for (int p = 0; p < kPanels; ++p) {
            FP6LLM_AVX512_UNROLL
            for (int t = 0; t < kTokens; ++t) {
                _mm512_store_si512(totals + (t * kPanels + p) * kLanes, sums[p].total(t));
            }
        }
        FP6LLM_AVX512_LAUNDER_MEMORY(totals);
    }

    /// The end of a part: out [kTokens][kPanels][16] = fma(part, s, out) or, where kScaled,
    /// fma(part * s, scales, out), s = unit_of(token).
    template <bool kScaled, int kPanels, int kTokens, int kSets, class UnitOf>
    FP6LLM_AVX512_INLINE void add_parts(const Sums<Ops, kTokens, kSets> (&sums)[kPanels],
                                        UnitOf unit_of, const __m512 (&scales)[kPanels],
                                        float* out) {
        FP6LLM_AVX512_LAUNDER(out);  // gcc 12 else keeps each token's address
        FP6LLM_AVX512_UNROLL
        for (int t = 0; t < kTokens; ++t) {
            const __m512 s = unit_of(t);
            FP6LLM_AVX512_UNROLL
            for (int p = 0; p < kPanels; ++p) {
                float* const at = out + (t * kPanels + p) * kLanes;
                __m512 part = _mm512_cvtepi32_ps(sums[p].total(t));
                if constexpr (kScaled) {
                    part = _mm512_mul_ps(part, s);
                    FP6LLM_AVX512_ADD_PRODUCT(at, part, scales[p]);
                } else {
                    FP6LLM_AVX512_ADD_PRODUCT(at, part, s);
                }
            }
        }
    }

    /// How the groups of a span are joined in integers, by panel.
    template <int kPanels>
    struct Span {
        __m512i shifts[kPanels]
                      [kMostSpanGroups];  ///< what sums of each group count: a power of two
        __m512 scales[kPanels];           ///< the largest of each row
        __m128i largest[kPanels];         ///< the same as exponents
        alignas(64) bool near;            ///< whether exponents are near enough
        bool folds;                       ///< so near that decoding can make up for them
    };

    /// `groups` of them, from `group` on. Whether their exponents are near enough.
    template <int kPanels>
    FP6LLM_AVX512_INLINE bool load_span(const CpuWeightView& weight, int64_t panel, int64_t group,
                                        int64_t groups, Span<kPanels>& span) {
        const int range = Ops::span_range(weight.family);
        bool near = true;
        span.folds = true;
        for (int p = 0; p < kPanels; ++p) {
            const uint8_t* exponents = weight.e8m0 + weight.scale_index(panel + p, group);
            const SpanExponents own = span_exponents(exponents, groups);
            near = near && are_within(own, range);
            span.folds = span.folds && are_within(own, Ops::fold_range(weight.family));
            span.largest[p] = own.largest;
            for (int64_t g = 0; g < groups; ++g) {
                const __m128i apart =
                    _mm_sub_epi8(own.largest, load_exponents(exponents + g * kLanes));
                span.shifts[p][g] =
                    _mm512_sub_epi32(_mm512_set1_epi32(range), _mm512_cvtepu8_epi32(apart));
            }
            span.scales[p] = e8m0_values(own.largest);
        }
        return near;
    }

    /// What a token's joined sums count: its block's scale / 2^range.
    FP6LLM_AVX512_INLINE __m512 joined_unit(const int32_t* scale, int range) {
        const float unit = 1.0f / static_cast<float>(1 << range);
        return _mm512_mul_ps(_mm512_castsi512_ps(broadcast(scale)), _mm512_set1_ps(unit));
    }

    /// *out = fma(sum * s, scales, *out).
    FP6LLM_AVX512_INLINE void add_sum(float* out, __m512i sum, __m512 s, __m512 scales) {
        const __m512 values = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), s);
        _mm512_storeu_ps(out, _mm512_fmadd_ps(values, scales, _mm512_loadu_ps(out)));
    }

    /// out = fma(joined * s, largest scale, out), joined in integers.
    template <int kPanels, int kTokens, int kGroups>
    FP6LLM_AVX512_INLINE void join_parts(const int32_t* parts, const int32_t* head,
                                         TileFamily family, const Span<kPanels>& span, float* out) {
        constexpr int64_t kPartStride = kTokens * kPanels * kLanes;
        for (int t = 0; t < kTokens; ++t) {
            const __m512 s = joined_unit(head + t, Ops::span_range(family));
            FP6LLM_AVX512_UNROLL
            for (int p = 0; p < kPanels; ++p, parts += kLanes, out += kLanes) {
                __m512i joined = _mm512_sllv_epi32(_mm512_load_si512(parts), span.shifts[p][0]);
                FP6LLM_AVX512_UNROLL
                for (int64_t g = 1; g < kGroups; ++g) {
                    joined = _mm512_add_epi32(
                        joined, _mm512_sllv_epi32(_mm512_load_si512(parts + g * kPartStride),
                                                  span.shifts[p][g]));
                }
                add_sum(out, joined, s, span.scales[p]);
            }
        }
    }

    /// The same of any exponents, in fp64.
    template <int kPanels, int kTokens>
    FP6LLM_AVX512_INLINE void join_wide_parts(const int32_t* parts, const int32_t* head,
                                              const CpuWeightView& weight, int64_t panel,
                                              int64_t group, int64_t groups, float* out) {
        alignas(64) float s[kTokens], of_rows[kLanes];
        alignas(64) double powers[kMostSpanGroups * kLanes];
        std::memcpy(s, head, sizeof s);
        for (int p = 0; p < kPanels; ++p) {
            const uint8_t* exponents = weight.e8m0 + weight.scale_index(panel + p, group);
            const __m128i largest = span_exponents(exponents, groups).largest;
            span_powers(exponents, groups, largest, powers);
            _mm512_store_ps(of_rows, e8m0_values(largest));
            add_wide_span({parts + p * kLanes, kTokens * kPanels * kLanes, kPanels * kLanes, powers,
                           groups, of_rows},
                          s, kTokens, out + p * kLanes);
        }
    }

    /// The end of a span: out = fma(joined * s, largest scale, out).
    template <int kPanels, int kTokens>
    FP6LLM_AVX512_INLINE void add_span(const int32_t* parts, const int32_t* head,
                                       const CpuWeightView& weight, int64_t panel, int64_t group,
                                       int64_t groups, float* out) {
        Span<kPanels> span;
        if (groups != span_groups(weight) || !load_span(weight, panel, group, groups, span)) {
            join_wide_parts<kPanels, kTokens>(parts, head, weight, panel, group, groups, out);
        } else if (groups == 2) {
            join_parts<kPanels, kTokens, 2>(parts, head, weight.family, span, out);
        } else {
            join_parts<kPanels, kTokens, kMostSpanGroups>(parts, head, weight.family, span, out);
        }
    }

    /// Sums of tiles [first, stop) of an activation block, kUnits times the weights' offset.
    template <int kUnits = 1, int kPanels, int kTokens, int kSets>
    FP6LLM_AVX512_INLINE void start_parts(Sums<Ops, kTokens, kSets> (&sums)[kPanels],
                                          [[maybe_unused]] const int32_t* head,
                                          [[maybe_unused]] int64_t first,
                                          [[maybe_unused]] int64_t stop) {
        FP6LLM_AVX512_UNROLL
        for (int p = 0; p < kPanels; ++p)
            sums[p].clear();
        if constexpr (Ops::kHeadRows > 1) {
            const int32_t* after = head + (1 + stop) * kTokens;
            const int32_t* before = head + (1 + first) * kTokens;
            // gcc 12 else keeps 16 offsets, most of them in vector registers.
            FP6LLM_AVX512_LAUNDER(after);
            FP6LLM_AVX512_LAUNDER(before);
            FP6LLM_AVX512_UNROLL
            for (int t = 0; t < kTokens; ++t) {
                __m512i start = broadcast(after + t);
                if (first > 0) start = _mm512_sub_epi32(start, broadcast(before + t));
                if constexpr (kUnits == 2) start = add(start, start);
                FP6LLM_AVX512_UNROLL
                for (int p = 0; p < kPanels; ++p)
                    sums[p].set[0][t] = start;
            }
        }
    }

    /// gemm: what sums of tiles [first, stop) of a scratch block start with.
    template <int kPanels, int kTokens, int kSets>
    FP6LLM_AVX512_INLINE void start_sums(Sums<Ops, kTokens, kSets> (&sums)[kPanels],
                                         [[maybe_unused]] const ScratchBlock& block,
                                         [[maybe_unused]] int64_t first,
                                         [[maybe_unused]] int64_t stop) {
        FP6LLM_AVX512_UNROLL
        for (int p = 0; p < kPanels; ++p)
            sums[p].clear();
        if constexpr (Ops::kSumsWeights) {
            constexpr int64_t kTileLanes = kPanels * kLanes;
            const int32_t* before = block.weight_sums + first * kTileLanes;
            const int32_t* after = block.weight_sums + stop * kTileLanes;
            FP6LLM_AVX512_UNROLL
            for (int p = 0; p < kPanels; ++p) {
                const __m512i start = _mm512_sub_epi32(_mm512_load_si512(before + p * kLanes),
                                                       _mm512_load_si512(after + p * kLanes));
                FP6LLM_AVX512_UNROLL
                for (int t = 0; t < kTokens; ++t)
                    sums[p].set[0][t] = start;
            }
        }
        keep_in_registers(sums);
    }

    /// The spans of one panel, as they are gone through.
    struct DirectSpans {
        const CpuWeightView* weight;
        const typename Ops::Table* table;
        const typename Ops::FoldedTable* folded;
        int64_t panel;
        int64_t tile;         ///< the next span's first
        const int32_t* x;     ///< its activations
        const int32_t* head;  ///< of its activation block,
        int64_t block;        ///< which begins with this tile

        FP6LLM_AVX512_MEMBER int64_t span_tiles() const {
            return Ops::span_columns(weight->family) / kTileCols;
        }
        FP6LLM_AVX512_MEMBER int64_t group() const { return tile / kGroupTiles; }
        FP6LLM_AVX512_MEMBER const uint8_t* exponents() const {
            return weight->e8m0 + weight->scale_index(panel, group());
        }
        /// To be called before each span: block heads lie between activations.
        template <int kTokens>
        FP6LLM_AVX512_MEMBER void enter() {
            if (tile % (Ops::kBlockColumns / kTileCols) != 0) return;
            head = x;
            x += Ops::kHeadRows * kTokens;
            block = tile;
        }
    };
    static constexpr int64_t kGroupTiles = kMxColumns / kTileCols;
    static constexpr int kGroupSteps = kMxColumns / Ops::kColumns;

    /// out = fma(part, s / 2^range * scale, out) of whole spans that are one part as their weights are decoded
    /// so large, up to the first one that is not.
    template <int kTokens>
    [[gnu::noinline]] static void multiply_folded_spans(DirectSpans& spans, float* out) {
        constexpr int kSets = direct_sets<Ops, 1, kTokens>();
        const CpuWeightView& weight = *spans.weight;
        const int64_t prefetch = prefetch_bytes(1, Ops::kFarPrefetch);
        const int64_t span_tiles = spans.span_tiles();
        const int range = Ops::fold_range(weight.family);
        typename Ops::FoldedTable tables[1] = {*spans.folded};
        const uint8_t* tiles[1] = {tile_address(weight, spans.panel, spans.tile)};
        const uint8_t* exponents = spans.exponents();
        while (spans.tile + span_tiles <= weight.k_tiles) {
            const SpanExponents own = span_exponents(exponents, span_groups(weight));
            if (!are_within(own, range)) return;
            prefetch_scales(weight, spans.panel, spans.group());
            spans.template enter<kTokens>();
            const int32_t* x = spans.x;
            Sums<Ops, kTokens, kSets> sums[1];
            // Where sums have to start with something, spans are activation blocks.
            start_parts<Ops::kFoldUnits>(sums, spans.head, 0, span_tiles);
            int64_t left = span_tiles / kGroupTiles;
            do {
                Ops::set_group(tables[0], weight.family, own.largest, exponents);
                exponents += kLanes;
                int64_t count = kGroupTiles;
                do {
                    multiply_panels(weight, spans.panel, tables, prefetch, tiles, x, sums);
                } while (--count > 0);
            } while (--left > 0);
            keep_in_registers(sums);
            const __m512 scales[1] = {e8m0_values(own.largest)};
            const int32_t* const head = spans.head;
            add_parts</*kScaled=*/true>(
                sums,
                [&](int t) FP6LLM_AVX512_INLINE_LAMBDA { return joined_unit(head + t, range); },
                scales, out);
            spans.x = x;
            spans.tile += span_tiles;
        }
    }

    /// The next span, if it is one that load_span() takes.
    template <int kTokens>
    [[gnu::noinline]] static bool multiply_near_span(DirectSpans& spans, float* out) {
        alignas(64) static constexpr int32_t kNothing[kTokens * kLanes] = {};
        constexpr int kSets = direct_sets<Ops, 1, kTokens>();
        const CpuWeightView& weight = *spans.weight;
        const int64_t groups = span_groups(weight), group = spans.group();
        Span<1> span;
        if (spans.tile + spans.span_tiles() > weight.k_tiles ||
            !load_span(weight, spans.panel, group, groups, span)) {
            return false;
        }
        const int64_t prefetch = prefetch_bytes(1, Ops::kFarPrefetch);
        const typename Ops::Table tables[1] = {*spans.table};
        const uint8_t* tiles[1] = {tile_address(weight, spans.panel, spans.tile)};
        prefetch_scales(weight, spans.panel, group);
        spans.template enter<kTokens>();
        const int32_t* const head = spans.head;
        const int32_t* x = spans.x;
        // Not by the stack pointer, where what hot loops spill would be (tests/unit/gemm/hot_loops.py).
        alignas(64) int32_t stack[kTokens * kLanes];
        int32_t* joined = stack;
        const int32_t* before = kNothing;
        int64_t tile = spans.tile - spans.block;
        for (int64_t g = 0; g < groups; ++g, tile += kGroupTiles, before = joined) {
            Sums<Ops, kTokens, kSets> sums[1];
            start_parts(sums, head, tile, tile + kGroupTiles);
            int64_t count = kGroupTiles;
            do {
                multiply_panels(weight, spans.panel, tables, prefetch, tiles, x, sums);
            } while (--count > 0);
            keep_in_registers(sums);
            const __m512i shifts = span.shifts[0][g];
            joined = stack;
            FP6LLM_AVX512_LAUNDER(joined);
            FP6LLM_AVX512_UNROLL
            for (int t = 0; t < kTokens; ++t) {
                __m512i sum = sums[0].total(t);
                FP6LLM_AVX512_ADD_SHIFTED_SUM(joined + t * kLanes, sum, shifts,
                                              before + t * kLanes);
            }
        }
        for (int t = 0; t < kTokens; ++t) {
            const __m512 s = joined_unit(head + t, Ops::span_range(weight.family));
            add_sum(out + t * kLanes, _mm512_load_si512(joined + t * kLanes), s, span.scales[0]);
        }
        spans.x = x;
        spans.tile += spans.span_tiles();
        return true;
    }

    /// The next span, whatever its exponents, in fp64. Apart from the one above: as one function, that one's
    /// sums lose 1 to 3 % (int8, Zen 5).
    template <int kTokens>
    [[gnu::noinline]] static void multiply_parted_span(DirectSpans& spans, float* out) {
        constexpr int kSets = direct_sets<Ops, 1, kTokens>();
        const CpuWeightView& weight = *spans.weight;
        const int64_t prefetch = prefetch_bytes(1, Ops::kFarPrefetch);
        const typename Ops::Table tables[1] = {*spans.table};
        const uint8_t* tiles[1] = {tile_address(weight, spans.panel, spans.tile)};
        const int64_t group = spans.group();
        prefetch_scales(weight, spans.panel, group);
        spans.template enter<kTokens>();
        const int64_t rest = weight.k_tiles - spans.tile, all = spans.span_tiles();
        const int64_t begin = spans.tile - spans.block, end = begin + (rest < all ? rest : all);
        const int32_t* x = spans.x;
        alignas(64) Parts<1, kTokens> parts;
        int64_t groups = 0;
        for (int64_t first = begin, stop; first < end; first = stop, ++groups) {
            stop = first + kGroupTiles < end ? first + kGroupTiles : end;
            Sums<Ops, kTokens, kSets> sums[1];
            start_parts(sums, spans.head, first, stop);
            int64_t count = stop - first;
            do {
                multiply_panels(weight, spans.panel, tables, prefetch, tiles, x, sums);
            } while (--count > 0);
            keep_in_registers(sums);
            store_parts(sums, parts[groups]);
        }
        join_wide_parts<1, kTokens>(parts[0], spans.head, weight, spans.panel, group, groups, out);
        spans.x = x;
        spans.tile += end - begin;
    }

    /// multiply_direct of one panel with MX scales.
    template <int kTokens>
    static void multiply_direct_spans(const CpuWeightView& weight, int64_t panel, const int32_t* x,
                                      float* out) {
        const typename Ops::Table table = Ops::load_table(weight.family);
        const typename Ops::FoldedTable folded = Ops::load_folded_table(weight.family);
        clear_output(out, kTokens);
        DirectSpans spans = {&weight, &table, &folded, panel, 0, x, x, 0};
        while (spans.tile < weight.k_tiles) {
            multiply_folded_spans<kTokens>(spans, out);
            if (spans.tile == weight.k_tiles) break;
            if constexpr (!Ops::kNearSpansFold) {
                if (multiply_near_span<kTokens>(spans, out)) continue;
            }
            multiply_parted_span<kTokens>(spans, out);
        }
        finish<1>(weight, panel, kTokens, out);
    }

    /// multiply_direct with a part per activation block and group. Of MX scales, parts of a span wait in
    /// memory for its last one.
    template <ScaleMode kMode, int kPanels, int kTokens>
    [[gnu::noinline]] static void multiply_direct_parts(const CpuWeightView& weight, int64_t panel,
                                                        const int32_t* x, float* out) {
        constexpr int kSets = direct_sets<Ops, kPanels, kTokens>();
        constexpr bool kRow = kMode == ScaleMode::kRow;
        constexpr int64_t kBlockTiles = Ops::kBlockColumns / kTileCols;
        const int64_t prefetch = prefetch_bytes(kPanels, Ops::kFarPrefetch);
        typename Ops::Table tables[kPanels];
        const uint8_t* tiles[kPanels];
        for (int p = 0; p < kPanels; ++p) {
            tables[p] = Ops::load_table(weight.family);
            tiles[p] = tile_address(weight, panel + p, 0);
        }

        clear_output(out, kTokens * kPanels);
        [[maybe_unused]] alignas(64) Parts<kPanels, kTokens> parts;
        const int32_t* head = x;
        const int64_t group_tiles = group_columns(weight) / kTileCols;
        // Tiles that are left of the weight, of the activation block and of the scale group.
        int64_t left = weight.k_tiles, block_left = 0, group_left = group_tiles;
        int64_t group = 0, first = 0;  // first: the part's first tile of its activation block
        // Group scales by address: working it out for each part takes 2 % with groups of 64 columns.
        const float* scales_at =
            kMode == ScaleMode::kGroup ? weight.scales + weight.scale_index(panel, 0) : nullptr;
        const int64_t panel_scales = weight.group_stride * kLanes;
        do {
            if (kRow || block_left == 0) {
                head = x;
                x += Ops::kHeadRows * kTokens;
                block_left = left < kBlockTiles ? left : kBlockTiles;
                first = 0;
            }
            const int64_t count = group_left < block_left ? group_left : block_left;
            for (int p = 0; p < kPanels; ++p) {
                if constexpr (kMode == ScaleMode::kGroup) {
                    prefetch_scales(scales_at + p * panel_scales);
                } else if constexpr (kMode == ScaleMode::kMx) {
                    prefetch_scales(weight, panel + p, group);
                }
            }
            Sums<Ops, kTokens, kSets> sums[kPanels];
            start_parts(sums, head, first, first + count);
            int64_t i = count;
            do {
                multiply_panels(weight, panel, tables, prefetch, tiles, x, sums);
            } while (--i > 0);
            keep_in_registers(sums);
            if constexpr (kMode == ScaleMode::kMx) {
                const int64_t slot = group % span_groups(weight);
                store_parts(sums, parts[slot]);
                if (slot + 1 == span_groups(weight) || group + 1 == weight.groups) {
                    add_span<kPanels, kTokens>(parts[0], head, weight, panel, group - slot,
                                               slot + 1, out);
                }
            } else {
                __m512 scales[kPanels];
                for (int p = 0; !kRow && p < kPanels; ++p)
                    scales[p] = _mm512_loadu_ps(scales_at + p * panel_scales);
                add_parts<!kRow>(
                    sums,
                    [&](int t) FP6LLM_AVX512_INLINE_LAMBDA {
                        return _mm512_castsi512_ps(broadcast(head + t));
                    },
                    scales, out);
            }
            first += count;
            left -= count;
            block_left -= count;
            group_left -= count;
            if (!kRow && group_left == 0) {
                group_left = group_tiles;
                ++group;
                if constexpr (kMode == ScaleMode::kGroup) scales_at += kLanes;
            }
        } while (left > 0);
        finish<kPanels>(weight, panel, kTokens, out);
    }

    /// gemv and fused: kTokens tokens of panels [panel, panel + kPanels), out
    /// [kTokens][16 * kPanels].
    template <int kPanels, int kTokens>
    static void multiply_direct(const CpuWeightView& weight, int64_t panel, const Folding&,
                                const void* packed, float* out) {
        const auto* x = static_cast<const int32_t*>(packed);
        switch (weight.scale_mode) {
            case ScaleMode::kRow:
                return multiply_direct_parts<ScaleMode::kRow, kPanels, kTokens>(weight, panel, x,
                                                                                out);
            case ScaleMode::kGroup:
                return multiply_direct_parts<ScaleMode::kGroup, kPanels, kTokens>(weight, panel, x,
                                                                                  out);
            case ScaleMode::kMx:
                if constexpr (kPanels == 1) {
                    return multiply_direct_spans<kTokens>(weight, panel, x, out);
                } else {
                    return multiply_direct_parts<ScaleMode::kMx, kPanels, kTokens>(weight, panel, x,
                                                                                   out);
                }
        }
    }

    /// gemm: out [kTokens][16 * kPanels] += block * x, x the packed steps of the scratch block, which
    /// starts where an activation block does.
    template <int kPanels, int kTokens>
    static void multiply_scratch(const ScratchBlock& block, const void* packed, float* out) {
        static_assert(Ops::kScratchColumns % Ops::kBlockColumns == 0);
        static_assert(Ops::kBlockColumns == kMostSpanGroups * kMxColumns);  // whole spans
        constexpr int kFront = front_tokens(kTokens);
        const auto* x = static_cast<const int32_t*>(packed);
        if (block.weight->scale_mode == ScaleMode::kMx) {
            return multiply_spans<kPanels, kTokens>(block, x, out);
        }
        const auto multiply = [&](auto row_scales) FP6LLM_AVX512_INLINE_LAMBDA {
            constexpr bool kRow = decltype(row_scales)::value;
            multiply_parts<kRow, kPanels, kTokens, 0, kFront>(block, x, out);
            if constexpr (kFront < kTokens) {
                multiply_parts<kRow, kPanels, kTokens, kFront, kTokens - kFront>(block, x, out);
            }
        };
        if (block.weight->scale_mode == ScaleMode::kRow) {
            multiply(std::true_type());
        } else {
            multiply(std::false_type());
        }
    }

    /// Columns of a scratch block that are in one activation block and one scale group.
    struct Part {
        int32_t columns;
        bool begins_block;  ///< of activations
        int64_t scales;     ///< CpuWeightView::scale_index() of the first panel's
    };
    struct PartList {
        int64_t count;
        Part parts[Ops::kScratchColumns / kLeastPart];
    };

    /// Cuts columns [first, end) of a weight with group scales.
    static void cut_parts(const CpuWeightView& weight, int64_t panel, int64_t first, int64_t end,
                          PartList* list) {
        int64_t group = first / weight.group_size, group_end = (group + 1) * weight.group_size;
        list->count = 0;
        // Columns past the last group are padding.
        for (int64_t k = first, stop; k < end && group < weight.groups; k = stop) {
            stop = (k / Ops::kBlockColumns + 1) * Ops::kBlockColumns;
            stop = group_end < stop ? group_end : stop;
            stop = end < stop ? end : stop;
            list->parts[list->count++] = {static_cast<int32_t>(stop - k),
                                          k % Ops::kBlockColumns == 0,
                                          weight.scale_index(panel, group)};
            if (stop == group_end) {
                ++group;
                group_end += weight.group_size;
            }
        }
    }

    /// multiply_scratch for row and group scales, of tokens [kFirst, kFirst + kCount) of kTokens. Few
    /// enough that the sums of a part and those of the block are in registers. Where parts begin and end is
    /// worked out beforehand: with groups of 32 columns that took a tenth of the time here (int8, Zen 5).
    template <bool kRowScales, int kPanels, int kTokens, int kFirst, int kCount>
    [[gnu::noinline]] static void multiply_parts(const ScratchBlock& block, const int32_t* x,
                                                 float* out) {
        constexpr int kSets = sum_sets<Ops, kPanels, kCount>();
        const CpuWeightView& weight = *block.weight;
        const int64_t panel_scales = weight.group_stride * kLanes;
        const auto* w = static_cast<const int32_t*>(block.scratch);
        const int32_t* head = x;
        int64_t column = 0;
        out += kFirst * kPanels * kLanes;
        __m512 totals[kPanels][kCount];
        FP6LLM_AVX512_UNROLL
        for (int t = 0; t < kCount; ++t) {
            FP6LLM_AVX512_UNROLL
            for (int p = 0; p < kPanels; ++p)
                totals[p][t] = _mm512_loadu_ps(out + (t * kPanels + p) * kLanes);
        }
        const auto enter_block = [&]() FP6LLM_AVX512_INLINE_LAMBDA {
            head = x + kFirst;
            x += Ops::kHeadRows * kTokens;
        };
        const auto add_part =
            [&](int64_t columns, [[maybe_unused]] int64_t scale_index) FP6LLM_AVX512_INLINE_LAMBDA {
                const int64_t stop = column + columns;
                if (kFirst == 0) prefetch_next(block, block.first + column, block.first + stop);
                Sums<Ops, kCount, kSets> sums[kPanels];
                start_sums(sums, block, column / kTileCols, stop / kTileCols);
                // Parts are multiples of 8 columns (of 16 where kSets steps are), so of kSets steps.
                const int32_t* of_part = x + kFirst;
                multiply_steps<kTokens>(w, of_part, columns / Ops::kColumns / kSets, sums);
                keep_in_registers(sums);
                x += columns / Ops::kColumns * kTokens;
                column = stop;
                const auto add = [&](auto added) FP6LLM_AVX512_INLINE_LAMBDA {
                    FP6LLM_AVX512_UNROLL
                    for (int t = 0; t < kCount; ++t) {
                        const __m512 s = _mm512_castsi512_ps(broadcast(head + t));
                        FP6LLM_AVX512_UNROLL
                        for (int p = 0; p < kPanels; ++p) {
                            const __m512 part = _mm512_cvtepi32_ps(sums[p].total(t));
                            totals[p][t] = added(p, part, s, totals[p][t]);
                        }
                    }
                };
                if constexpr (kRowScales) {
                    add([](int, __m512 part, __m512 s, __m512 total) FP6LLM_AVX512_INLINE_LAMBDA {
                        return _mm512_fmadd_ps(part, s, total);
                    });
                } else {
                    __m512 scales[kPanels];
                    FP6LLM_AVX512_UNROLL
                    for (int p = 0; p < kPanels; ++p)
                        scales[p] = _mm512_loadu_ps(weight.scales + scale_index + p * panel_scales);
                    add([&](int p, __m512 part, __m512 s, __m512 total)
                            FP6LLM_AVX512_INLINE_LAMBDA {
                                return _mm512_fmadd_ps(_mm512_mul_ps(part, s), scales[p], total);
                            });
                }
            };
        if constexpr (kRowScales) {
            while (column < block.columns) {
                enter_block();
                const int64_t left = block.columns - column;
                add_part(left < Ops::kBlockColumns ? left : Ops::kBlockColumns, 0);
            }
        } else {
            const auto* const list = static_cast<const PartList*>(block.spans);
            const Part* const end = list->parts + list->count;
            for (const Part* part = list->parts; part != end; ++part) {
                if (part->begins_block) enter_block();
                add_part(part->columns, part->scales);
            }
        }
        FP6LLM_AVX512_UNROLL
        for (int t = 0; t < kCount; ++t) {
            FP6LLM_AVX512_UNROLL
            for (int p = 0; p < kPanels; ++p)
                _mm512_storeu_ps(out + (t * kPanels + p) * kLanes, totals[p][t]);
        }
    }

    /// out += a span that folds. `tile` is its first one in the scratch block.
    template <int kPanels, int kTokens>
    [[gnu::noinline]] static void multiply_folded_part(const ScratchBlock& block,
                                                       const Span<kPanels>& span, const int32_t* w,
                                                       const int32_t* x, const int32_t* head,
                                                       int64_t tile, float* out) {
        constexpr int kSets = sum_sets<Ops, kPanels, kTokens>();
        const TileFamily family = block.weight->family;
        const int64_t columns = Ops::span_columns(family);
        Sums<Ops, kTokens, kSets> sums[kPanels];
        start_sums(sums, block, tile, tile + columns / kTileCols);
        multiply_steps<kTokens>(w, x, columns / Ops::kColumns / kSets, sums);
        keep_in_registers(sums);
        const int range = Ops::fold_range(family);
        add_parts</*kScaled=*/true>(
            sums, [&](int t) FP6LLM_AVX512_INLINE_LAMBDA { return joined_unit(head + t, range); },
            span.scales, out);
    }

    /// out += a span that load_span() takes, of tokens [kFirst, kFirst + kCount) of kTokens. Few enough
    /// that the sums of a group and those of the span are in registers. `tile` is the span's first one
    /// in the scratch block.
    template <int kPanels, int kTokens, int kFirst, int kCount>
    [[gnu::noinline]] static void multiply_span(const ScratchBlock& block,
                                                const Span<kPanels>& span, const int32_t* w,
                                                const int32_t* x, const int32_t* head, int64_t tile,
                                                float* out) {
        constexpr int kSets = sum_sets<Ops, kPanels, kCount>();
        const TileFamily family = block.weight->family;
        const int64_t groups = Ops::span_columns(family) / kMxColumns;
        x += kFirst;
        Sums<Ops, kCount, 1> joined[kPanels];
        FP6LLM_AVX512_UNROLL
        for (int p = 0; p < kPanels; ++p)
            joined[p].clear();
        for (int64_t g = 0; g < groups; ++g, tile += kGroupTiles) {
            Sums<Ops, kCount, kSets> sums[kPanels];
            start_sums(sums, block, tile, tile + kGroupTiles);
            multiply_steps<kTokens>(w, x, kGroupSteps / kSets, sums);
            keep_in_registers(sums);
            FP6LLM_AVX512_UNROLL
            for (int p = 0; p < kPanels; ++p) {
                FP6LLM_AVX512_UNROLL
                for (int t = 0; t < kCount; ++t) {
                    joined[p].set[0][t] =
                        add(joined[p].set[0][t],
                            _mm512_sllv_epi32(sums[p].total(t), span.shifts[p][g]));
                }
            }
        }
        FP6LLM_AVX512_UNROLL
        for (int t = 0; t < kCount; ++t) {
            const __m512 s = joined_unit(head + kFirst + t, Ops::span_range(family));
            FP6LLM_AVX512_UNROLL
            for (int p = 0; p < kPanels; ++p) {
                add_sum(out + ((kFirst + t) * kPanels + p) * kLanes, joined[p].set[0][t], s,
                        span.scales[p]);
            }
        }
    }

    /// out += tiles [tile, tile + columns / 16) of the scratch block with any exponents.
    template <int kPanels, int kTokens>
    [[gnu::noinline]] static void multiply_wide_span(const ScratchBlock& block, int64_t group,
                                                     const int32_t* w, const int32_t* x,
                                                     const int32_t* head, int64_t tile,
                                                     int64_t columns, float* out) {
        constexpr int kSets = sum_sets<Ops, kPanels, kTokens>();
        alignas(64) Parts<kPanels, kTokens> parts;
        int64_t groups = 0;
        for (int64_t k = 0, stop; k < columns; k = stop, ++groups) {
            stop = k + kMxColumns < columns ? k + kMxColumns : columns;
            Sums<Ops, kTokens, kSets> sums[kPanels];
            start_sums(sums, block, tile + k / kTileCols, tile + stop / kTileCols);
            multiply_steps<kTokens>(w, x, (stop - k) / Ops::kColumns / kSets, sums);
            keep_in_registers(sums);
            store_parts(sums, parts[groups]);
        }
        join_wide_parts<kPanels, kTokens>(parts[0], head, *block.weight, block.panel, group, groups,
                                          out);
    }

    static constexpr size_t kMxBytes =
        size_t{Ops::kScratchColumns / (2 * kMxColumns)} * sizeof(Span<2>);
    static constexpr size_t kSpanBytes = kMxBytes > sizeof(PartList) ? kMxBytes : sizeof(PartList);

    /// With group scales a PartList, with MX scales spans [..] of Span<kPanels>; `folds`: those that fold are
    /// to be decoded so.
    template <int kPanels>
    FP6LLM_AVX512_INLINE void prepare_block(const CpuWeightView& weight, int64_t panel,
                                            int64_t first, int64_t count, bool folds, void* spans) {
        if (weight.scale_mode == ScaleMode::kRow) return;
        if (weight.scale_mode == ScaleMode::kGroup) {
            return cut_parts(weight, panel, first * kTileCols, (first + count) * kTileCols,
                             static_cast<PartList*>(spans));
        }
        const int64_t span_tiles = Ops::span_columns(weight.family) / kTileCols;
        auto* span = static_cast<Span<kPanels>*>(spans);
        for (int64_t tile = 0; tile < count; tile += span_tiles, ++span) {
            const int64_t group = (first + tile) * kTileCols / kMxColumns;
            span->near = tile + span_tiles <= count &&
                         load_span(weight, panel, group, span_groups(weight), *span);
            span->folds = span->near && span->folds && folds;
        }
    }

    /// Decodes tiles [first, first + count) of panel `panel + p` with MX scales by decode(table, tiles): spans
    /// that fold, as prepare_block() found, as large as that takes.
    template <int kPanels, class Decode>
    FP6LLM_AVX512_INLINE void decode_spans(const CpuWeightView& weight, int64_t panel, int p,
                                           int64_t first, int64_t count, const void* spans,
                                           Decode decode) {
        const typename Ops::Table table = Ops::load_table(weight.family);
        typename Ops::FoldedTable folded = Ops::load_folded_table(weight.family);
        const int64_t groups = span_groups(weight), span_tiles = groups * kGroupTiles;
        const auto* span = static_cast<const Span<kPanels>*>(spans);
        const uint8_t* exponents = weight.e8m0 + weight.scale_index(panel + p, first / kGroupTiles);
        for (int64_t left = count; left > 0; left -= span_tiles, ++span) {
            if (!span->folds) {
                decode(table, left < span_tiles ? left : span_tiles);
                exponents += groups * kLanes;
                continue;
            }
            for (int64_t g = 0; g < groups; ++g, exponents += kLanes) {
                Ops::set_group(folded, weight.family, span->largest[p], exponents);
                decode(folded, kGroupTiles);
            }
        }
    }

    /// multiply_scratch for MX scales.
    template <int kPanels, int kTokens>
    FP6LLM_AVX512_INLINE void multiply_spans(const ScratchBlock& block, const int32_t* x,
                                             float* out) {
        constexpr int kFront = front_tokens(kTokens);
        const CpuWeightView& weight = *block.weight;
        const auto* w = static_cast<const int32_t*>(block.scratch);
        const auto* span = static_cast<const Span<kPanels>*>(block.spans);
        const int64_t span_columns = Ops::span_columns(weight.family);
        const int64_t end = block.first + block.columns;
        const int32_t* head = x;
        for (int64_t k = block.first, stop; k < end; k = stop, ++span) {
            if (k % Ops::kBlockColumns == 0) {
                head = x;
                x += Ops::kHeadRows * kTokens;
            }
            stop = k + span_columns < end ? k + span_columns : end;
            prefetch_next(block, k, stop);
            const int64_t group = k / kMxColumns, tile = (k - block.first) / kTileCols;
            if (span->folds) {
                multiply_folded_part<kPanels, kTokens>(block, *span, w, x, head, tile, out);
            } else if (span->near) {
                multiply_span<kPanels, kTokens, 0, kFront>(block, *span, w, x, head, tile, out);
                if constexpr (kFront < kTokens) {
                    multiply_span<kPanels, kTokens, kFront, kTokens - kFront>(block, *span, w, x,
                                                                              head, tile, out);
                }
            } else {
                multiply_wide_span<kPanels, kTokens>(block, group, w, x, head, tile, stop - k, out);
            }
            const int64_t steps = (stop - k) / Ops::kColumns;
            w += steps * kPanels * kLanes;
            x += steps * kTokens;
        }
    }

    /// out [tokens][16 * kPanels] *= unit, and the row's scale where it has one: one rounding, the
    /// unit's is none.
    template <int kPanels>
    FP6LLM_AVX512_INLINE void finish(const CpuWeightView& weight, int64_t panel, int64_t tokens,
                                     float* out) {
        const bool row_scales = weight.scale_mode == ScaleMode::kRow;
        const __m512 unit = _mm512_set1_ps(1.0f / integer_unit(weight.family));
        for (int p = 0; p < kPanels; ++p) {
            const __m512 scales =
                row_scales ? load_scales(weight, panel + p, 0) : _mm512_set1_ps(1.0f);
            for (int64_t t = 0; t < tokens; ++t) {
                float* at = out + (t * kPanels + p) * kLanes;
                const __m512 sum = _mm512_mul_ps(_mm512_loadu_ps(at), unit);
                _mm512_storeu_ps(at, _mm512_mul_ps(sum, scales));
            }
        }
    }
};

}  // namespace
}  // namespace fp6llm::FP6LLM_AVX512_NAMESPACE
