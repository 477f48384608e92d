// Loops of kernels with fp32 sums. They sum the products of one scale group (row scales: all
// columns) in registers and add scale * part to the output, so that scales cost one FMA per group,
// row and token and nothing is rounded but sums.
#pragma once

#include "core/gemm/cpu/avx512_multiply.hpp"

namespace fp6llm::FP6LLM_AVX512_NAMESPACE {
namespace {

template <class Ops>
struct FloatLoops {
    using Sum = __m512;

    FP6LLM_AVX512_INLINE __m512 zero() { return _mm512_setzero_ps(); }
    FP6LLM_AVX512_INLINE __m512 add(__m512 a, __m512 b) { return _mm512_add_ps(a, b); }

    static constexpr int64_t packed_steps(int64_t columns) {
        return columns / Ops::kColumns * Ops::kParts;
    }

    template <class Step>
    static void pack_tile(const TokenSource& x, int64_t first, int64_t count, int64_t k0,
                          int64_t k1, Step* out) {
        pack_plain_tile<Ops>(x, first, count, k0, k1, out);
    }

    /// The end of a group: out [kTokens][kPanels][16] += scales_of(panel of these) * total.
    template <int kPanels, int kTokens, int kSets, class Scales>
    FP6LLM_AVX512_INLINE void add_groups(const Sums<Ops, kTokens, kSets> (&sums)[kPanels],
                                         Scales scales_of, float* out) {
        FP6LLM_AVX512_LAUNDER(out);  // gcc 12 else keeps each token's address
        FP6LLM_AVX512_UNROLL
        for (int p = 0; p < kPanels; ++p) {
            const __m512 scales = scales_of(p);
            FP6LLM_AVX512_UNROLL
            for (int t = 0; t < kTokens; ++t) {
                __m512 total = sums[p].total(t);
                FP6LLM_AVX512_ADD_PRODUCT(out + (t * kPanels + p) * kLanes, total, scales);
            }
        }
    }

    /// gemv and fused: kTokens tokens of panels [panel, panel + kPanels), out
    /// [kTokens][16 * kPanels].
    template <int kPanels, int kTokens>
    static void multiply_direct(const CpuWeightView& weight, int64_t panel, const Folding& folding,
                                const void* packed, float* out) {
        if constexpr (kTokens >= kFewestFolded && (kPanels == 1 || kTokens > kGemvTokens)) {
            if (folding.on) {
                return multiply_folded<kPanels, kTokens>(weight, panel, folding, packed, out);
            }
        }
        constexpr int kSets = direct_sets<Ops, kPanels, kTokens>();
        const int64_t prefetch = prefetch_bytes(kPanels, Ops::kFarPrefetch);
        const int64_t group_tiles = group_columns(weight) / kTileCols;
        const auto* x = static_cast<const typename Ops::Step*>(packed);
        typename Ops::Table tables[kPanels];
        const uint8_t* tiles[kPanels];
        for (int p = 0; p < kPanels; ++p) {
            tables[p] = Ops::load_table(weight.family);
            tiles[p] = tile_address(weight, panel + p, 0);
        }

        clear_output(out, kTokens * kPanels);
        for (int64_t group = 0, first = 0; first < weight.k_tiles; ++group, first += group_tiles) {
            const int64_t rest = weight.k_tiles - first;
            const int64_t count = rest < group_tiles ? rest : group_tiles;
            Sums<Ops, kTokens, kSets> sums[kPanels];
            FP6LLM_AVX512_UNROLL
            for (int p = 0; p < kPanels; ++p) {
                prefetch_scales(weight, panel + p, group);
                sums[p].clear();
            }
            int64_t i = 0;
            do {  // groups are not empty
                multiply_panels(weight, panel, tables, prefetch, tiles, x, sums);
            } while (++i < count);
            keep_in_registers(sums);
            add_groups(
                sums,
                [&](int p)
                    FP6LLM_AVX512_INLINE_LAMBDA { return load_scales(weight, panel + p, group); },
                out);
        }
    }

    /// The same with folded scales.
    template <int kPanels, int kTokens>
    [[gnu::noinline]] static void multiply_folded(const CpuWeightView& weight, int64_t panel,
                                                  const Folding& folding, const void* packed,
                                                  float* out) {
        constexpr int kSets = direct_sets<Ops, kPanels, kTokens>();
        const int64_t prefetch = prefetch_bytes(kPanels, Ops::kFarPrefetch);
        const int64_t group_tiles = weight.group_size / kTileCols;
        const auto* x = static_cast<const typename Ops::Step*>(packed);
        FoldedTable tables[kPanels];
        const uint8_t* tiles[kPanels];
        const uint8_t* exponents = weight.e8m0 + weight.scale_index(panel, 0);
        const int64_t panel_exponents = weight.group_stride * kLanes;
        // find_folding() of the next call looks at all of its exponents first, and would wait for them.
        int64_t next_exponents = weight.groups * kLanes;
        if (weight.groups == weight.group_stride) next_exponents *= kPanels;
        Sums<Ops, kTokens, kSets> sums[kPanels];
        FP6LLM_AVX512_UNROLL
        for (int p = 0; p < kPanels; ++p) {
            tables[p] = load_folded_table(weight.family);
            tiles[p] = tile_address(weight, panel + p, 0);
            sums[p].clear();
        }
        int64_t left = weight.k_tiles;
        do {
            FP6LLM_AVX512_UNROLL
            for (int p = 0; p < kPanels; ++p) {
                tables[p].apart =
                    exponents_apart(folding.largest[p], exponents + p * panel_exponents);
                _mm_prefetch(exponents + p * panel_exponents + next_exponents, _MM_HINT_T0);
            }
            exponents += kLanes;
            int64_t count = left < group_tiles ? left : group_tiles;
            left -= count;
            do {
                multiply_panels(weight, panel, tables, prefetch, tiles, x, sums);
            } while (--count > 0);
        } while (left > 0);
        keep_in_registers(sums);
        clear_output(out, kTokens * kPanels);
        add_groups(
            sums,
            [&](int p) FP6LLM_AVX512_INLINE_LAMBDA { return e8m0_values(folding.largest[p]); },
            out);
    }

    /// gemm: out [kTokens][16 * kPanels] += block * x, x [steps of the block][kTokens].
    template <int kPanels, int kTokens>
    static void multiply_scratch(const ScratchBlock& block, const void* packed, float* out) {
        constexpr int kSets = sum_sets<Ops, kPanels, kTokens>();
        const auto* w = static_cast<const typename Ops::Step*>(block.scratch);
        const auto* x = static_cast<const typename Ops::Step*>(packed);
        const CpuWeightView& weight = *block.weight;
        const Folding& folding = *block.folding;
        const int64_t group_size = folding.on ? weight.k_tiles * kTileCols : group_columns(weight);
        const int64_t groups = folding.on ? 1 : weight.groups;
        const int64_t end = block.first + block.columns;
        int64_t group = block.first / group_size;
        // Columns past the last group are padding.
        for (int64_t k = block.first; k < end && group < groups; ++group) {
            const int64_t group_end = (group + 1) * group_size;
            const int64_t stop = group_end < end ? group_end : end;
            prefetch_next(block, k, stop);
            Sums<Ops, kTokens, kSets> sums[kPanels];
            FP6LLM_AVX512_UNROLL
            for (int p = 0; p < kPanels; ++p)
                sums[p].clear();
            // Parts of groups are multiples of 8 columns, so of kSets <= 4 steps.
            keep_in_registers(sums);
            multiply_steps<kTokens>(w, x, (stop - k) / Ops::kColumns / kSets, sums);
            keep_in_registers(sums);
            add_groups(
                sums,
                [&](int p) FP6LLM_AVX512_INLINE_LAMBDA {
                    return folding.on ? e8m0_values(folding.largest[p])
                                      : load_scales(weight, block.panel + p, group);
                },
                out);
            k = stop;
        }
    }

    static constexpr bool kSumsWeights = false;
    static constexpr bool kFoldsSpans = false;
    static constexpr size_t kSpanBytes = 0;

    template <int kPanels>
    FP6LLM_AVX512_INLINE void prepare_block(const CpuWeightView&, int64_t, int64_t, int64_t, bool,
                                            void*) {}

    template <int kPanels>
    FP6LLM_AVX512_INLINE void finish(const CpuWeightView&, int64_t, int64_t, float*) {}
};

}  // namespace
}  // namespace fp6llm::FP6LLM_AVX512_NAMESPACE
