// The three ways to multiply, for any arithmetic:
//
//   gemv    1..3 tokens: two panels per pass, so that a thread reads two address streams
//   fused   1..16 tokens in registers: one panel, decoded in registers, once per 16 tokens
//   gemm    more: two panels decoded to an L1-sized scratch, then tiles of 12 tokens x 32 rows
//
// All of them sum the products of one scale group (row scales: all columns) in registers and add
// scale * part to the output, so that scales cost one FMA per group, row and token and nothing is
// rounded but sums. gemv and fused need groups of whole tiles; gemm takes any multiple of 8
// columns.
//
// An Ops type is the arithmetic:
//   Step                  element of packed activations
//   kChains               independent sums that keep the multiplier busy (latency x throughput)
//   kScratchColumns       columns decoded at a time: 32 rows of it and a token tile fill half of L1
//   kPairSteps            steps of a bf16 pair of weights
//   steps(columns)        steps of an even number of columns
//   load_steps(values, step)        16 steps from fp32 activations; values + 16 multiples aligned
//   for_each_step(pair, use)        use(step, weights) for the steps of a bf16 pair
//   multiply_add(sum, weights, x)   sum + weights * broadcast *x
#pragma once

#include <utility>

#include "core/gemm/cpu/avx512_pack.hpp"

namespace fp6llm::FP6LLM_AVX512_NAMESPACE {
namespace {

/// Accumulators of one panel: kSets partial sums per token.
template <int kTokens, int kSets>
struct Sums {
    __m512 set[kSets][kTokens];
};

template <int kTokens, int kSets>
FP6LLM_AVX512_INLINE void clear(Sums<kTokens, kSets>& sums) {
    FP6LLM_AVX512_UNROLL
    for (int s = 0; s < kSets; ++s) {
        FP6LLM_AVX512_UNROLL
        for (int t = 0; t < kTokens; ++t)
            sums.set[s][t] = _mm512_setzero_ps();
    }
}

/// out[t * ld + 0..15] += scales * sums of token t.
template <int kTokens, int kSets>
FP6LLM_AVX512_INLINE void add_scaled(const Sums<kTokens, kSets>& sums, __m512 scales, float* out,
                                     int64_t ld) {
    FP6LLM_AVX512_UNROLL
    for (int t = 0; t < kTokens; ++t) {
        __m512 sum = sums.set[0][t];
        FP6LLM_AVX512_UNROLL
        for (int s = 1; s < kSets; ++s)
            sum = _mm512_add_ps(sum, sums.set[s][t]);
        _mm512_storeu_ps(out + t * ld, _mm512_fmadd_ps(sum, scales, _mm512_loadu_ps(out + t * ld)));
    }
}

FP6LLM_AVX512_INLINE void clear_output(float* out, int64_t vectors) {
    for (int64_t i = 0; i < vectors; ++i)
        _mm512_storeu_ps(out + i * kLanes, _mm512_setzero_ps());
}

/// sums += tile * x, x [steps of a tile][kTokens].
template <class Ops, int kTokens, int kSets>
FP6LLM_AVX512_INLINE void multiply_tile(const Table& table, const uint8_t* tile,
                                        const typename Ops::Step* x, Sums<kTokens, kSets>& sums) {
    _mm_prefetch(tile + kPrefetchBytes, _MM_HINT_T0);
    _mm_prefetch(tile + kPrefetchBytes + 64, _MM_HINT_T0);
    _mm_prefetch(tile + kPrefetchBytes + 128, _MM_HINT_T0);
    for_each_pair(table, tile, [&](int pair, __m512i values) FP6LLM_AVX512_INLINE_LAMBDA {
        Ops::for_each_step(values, [&](int half, __m512i weights) FP6LLM_AVX512_INLINE_LAMBDA {
            const int step = pair * Ops::kPairSteps + half;
            FP6LLM_AVX512_UNROLL
            for (int t = 0; t < kTokens; ++t) {
                __m512& sum = sums.set[step % kSets][t];
                sum = Ops::multiply_add(sum, weights, x + step * kTokens + t);
            }
        });
    });
}

/// Partial sums per token and panel that make at least Ops::kChains in all.
template <class Ops, int kPanels, int kTokens>
constexpr int sum_sets() {
    return kPanels * kTokens >= Ops::kChains ? 1 : kPanels * kTokens * 2 >= Ops::kChains ? 2 : 4;
}

/// gemv and fused: kTokens tokens of panels [panel, panel + kPanels), out [kTokens][16 * kPanels].
template <class Ops, int kPanels, int kTokens>
void multiply_direct(const CpuWeightView& weight, int64_t panel, const void* packed, float* out) {
    constexpr int kSets = sum_sets<Ops, kPanels, kTokens>();
    constexpr int kTileSteps = kPairsPerTile * Ops::kPairSteps;
    constexpr int64_t kLd = kPanels * kLanes;
    const Table table = load_table(weight.family);
    const int64_t group_tiles = group_columns(weight) / kTileCols;
    const auto* x = static_cast<const typename Ops::Step*>(packed);
    const uint8_t* tiles[kPanels];
    for (int p = 0; p < kPanels; ++p)
        tiles[p] = tile_address(weight, panel + p, 0);

    clear_output(out, kTokens * kPanels);
    for (int64_t group = 0, first = 0; first < weight.k_tiles; ++group, first += group_tiles) {
        const int64_t rest = weight.k_tiles - first;
        const int64_t count = rest < group_tiles ? rest : group_tiles;
        FP6LLM_AVX512_LAUNDER(out);  // totals belong in memory: registers are for this group's sums
        Sums<kTokens, kSets> sums[kPanels];
        FP6LLM_AVX512_UNROLL
        for (int p = 0; p < kPanels; ++p)
            clear(sums[p]);
        int64_t i = 0;
        do {  // groups are not empty; a loop that may be costs gcc registers
            FP6LLM_AVX512_UNROLL
            for (int p = 0; p < kPanels; ++p) {
                multiply_tile<Ops>(table, tiles[p], x, sums[p]);
                tiles[p] += kTileBytes;
                if (p + 1 < kPanels) {
                    FP6LLM_AVX512_LAUNDER(x);
                }
            }
            x += kTileSteps * kTokens;
        } while (++i < count);
        FP6LLM_AVX512_UNROLL
        for (int p = 0; p < kPanels; ++p)
            add_scaled(sums[p], load_scales(weight, panel + p, group), out + p * kLanes, kLd);
    }
}

using DirectFunction = void (*)(const CpuWeightView&, int64_t, const void*, float*);

/// Runs multiply_direct for 1..kMaxTokens tokens, the template argument.
template <class Ops, int kPanels, int... kIndex>
FP6LLM_AVX512_INLINE void dispatch_direct(std::integer_sequence<int, kIndex...>,
                                          const CpuWeightView& weight, int64_t panel,
                                          const void* packed, int64_t tokens, float* out) {
    static constexpr DirectFunction kFunctions[] = {multiply_direct<Ops, kPanels, kIndex + 1>...};
    kFunctions[tokens - 1](weight, panel, packed, out);
}

template <class Ops>
void multiply_gemv(const CpuWeightView& weight, int64_t panel, int panels, const void* packed,
                   const float*, int64_t tokens, float* sums, void*) {
    const std::make_integer_sequence<int, kGemvTokens> counts;
    if (panels == 2) {
        dispatch_direct<Ops, 2>(counts, weight, panel, packed, tokens, sums);
    } else {
        dispatch_direct<Ops, 1>(counts, weight, panel, packed, tokens, sums);
    }
}

template <class Ops>
void multiply_fused(const CpuWeightView& weight, int64_t panel, int, const void* packed,
                    const float*, int64_t tokens, float* sums, void*) {
    const std::make_integer_sequence<int, kFusedTokens> counts;
    const int64_t steps = Ops::steps(weight.k_tiles * kTileCols);
    for (int64_t t = 0; t < tokens; t += kFusedTokens) {
        const int64_t size = tokens - t < kFusedTokens ? tokens - t : kFusedTokens;
        dispatch_direct<Ops, 1>(counts, weight, panel,
                                static_cast<const typename Ops::Step*>(packed) + t * steps, size,
                                sums + t * kLanes);
    }
}

/// Decodes tiles [first, first + count) of kPanels panels to scratch [steps][kPanels][16].
template <class Ops, int kPanels>
FP6LLM_AVX512_INLINE void decode_block(const CpuWeightView& weight, int64_t panel, int64_t first,
                                       int64_t count, typename Ops::Step* scratch) {
    const Table table = load_table(weight.family);
    for (int p = 0; p < kPanels; ++p) {
        const uint8_t* tile = tile_address(weight, panel + p, first);
        typename Ops::Step* out = scratch + p * kLanes;
        for (int64_t i = 0; i < count; ++i, tile += kTileBytes) {
            for_each_pair(table, tile, [&](int, __m512i values) FP6LLM_AVX512_INLINE_LAMBDA {
                Ops::for_each_step(values, [&](int, __m512i weights) FP6LLM_AVX512_INLINE_LAMBDA {
                    _mm512_store_si512(out, weights);
                    out += kPanels * kLanes;
                });
            });
        }
    }
}

/// What multiply_scratch needs to know of a block of columns [first, first + columns).
struct ScratchBlock {
    const CpuWeightView* weight;
    int64_t panel;
    int64_t first;
    int64_t columns;
    const void* scratch;
};

/// gemm: out [kTokens][16 * kPanels] += block * x, x [steps of the block][kTokens].
template <class Ops, int kPanels, int kTokens>
void multiply_scratch(const ScratchBlock& block, const void* packed, float* out) {
    constexpr int kSets = sum_sets<Ops, kPanels, kTokens>();
    const auto* w = static_cast<const typename Ops::Step*>(block.scratch);
    const auto* x = static_cast<const typename Ops::Step*>(packed);
    const int64_t group_size = group_columns(*block.weight);
    const int64_t end = block.first + block.columns;
    int64_t group = block.first / group_size;
    // Columns past the last group are padding.
    for (int64_t k = block.first; k < end && group < block.weight->groups; ++group) {
        const int64_t group_end = (group + 1) * group_size;
        const int64_t stop = group_end < end ? group_end : end;
        Sums<kTokens, kSets> sums[kPanels];
        FP6LLM_AVX512_UNROLL
        for (int p = 0; p < kPanels; ++p)
            clear(sums[p]);
        // Parts of groups are multiples of 8 columns, so of kSets <= 4 steps.
        int64_t n = Ops::steps(stop - k) / kSets;
        do {
            FP6LLM_AVX512_UNROLL
            for (int s = 0; s < kSets; ++s, w += kPanels * kLanes, x += kTokens) {
                __m512i weights[kPanels];
                FP6LLM_AVX512_UNROLL
                for (int p = 0; p < kPanels; ++p)
                    weights[p] = _mm512_load_si512(w + p * kLanes);
                FP6LLM_AVX512_UNROLL
                for (int t = 0; t < kTokens; ++t) {
                    FP6LLM_AVX512_UNROLL
                    for (int p = 0; p < kPanels; ++p) {
                        __m512& sum = sums[p].set[s][t];
                        sum = Ops::multiply_add(sum, weights[p], x + t);
                    }
                }
            }
        } while (--n > 0);
        FP6LLM_AVX512_UNROLL
        for (int p = 0; p < kPanels; ++p) {
            add_scaled(sums[p], load_scales(*block.weight, block.panel + p, group),
                       out + p * kLanes, kPanels * kLanes);
        }
        k = stop;
    }
}

using ScratchFunction = void (*)(const ScratchBlock&, const void*, float*);

template <class Ops, int kPanels, int... kIndex>
void multiply_blocks(std::integer_sequence<int, kIndex...>, const CpuWeightView& weight,
                     int64_t panel, const void* packed, int64_t tokens, float* sums,
                     void* scratch) {
    static constexpr ScratchFunction kFunctions[] = {multiply_scratch<Ops, kPanels, kIndex + 1>...};
    constexpr int64_t kBlockTiles = Ops::kScratchColumns / kTileCols;
    const int64_t steps = Ops::steps(weight.k_tiles * kTileCols);
    clear_output(sums, tokens * kPanels);
    for (int64_t first = 0; first < weight.k_tiles; first += kBlockTiles) {
        const int64_t rest = weight.k_tiles - first;
        const int64_t count = rest < kBlockTiles ? rest : kBlockTiles;
        decode_block<Ops, kPanels>(weight, panel, first, count,
                                   static_cast<typename Ops::Step*>(scratch));
        const ScratchBlock block = {&weight, panel, first * kTileCols, count * kTileCols, scratch};
        for (int64_t t = 0; t < tokens; t += kGemmTokens) {
            const int64_t size = tokens - t < kGemmTokens ? tokens - t : kGemmTokens;
            const auto* x = static_cast<const typename Ops::Step*>(packed) + t * steps +
                            Ops::steps(first * kTileCols) * size;
            kFunctions[size - 1](block, x, sums + t * kPanels * kLanes);
        }
    }
}

template <class Ops>
void multiply_gemm(const CpuWeightView& weight, int64_t panel, int panels, const void* packed,
                   const float*, int64_t tokens, float* sums, void* scratch) {
    const std::make_integer_sequence<int, kGemmTokens> counts;
    if (panels == 2) {
        multiply_blocks<Ops, 2>(counts, weight, panel, packed, tokens, sums, scratch);
    } else {
        multiply_blocks<Ops, 1>(counts, weight, panel, packed, tokens, sums, scratch);
    }
}

size_t no_scratch(int64_t, int64_t) {
    return 0;
}

template <class Ops>
size_t gemm_scratch(int64_t, int64_t) {
    return static_cast<size_t>(Ops::steps(Ops::kScratchColumns)) * 2 * kLanes *
           sizeof(typename Ops::Step);
}

template <class Ops>
constexpr KernelFunctions gemv_functions() {
    return {packed_bytes<Ops>, pack_tokens<Ops, kGemvTokens>, no_scratch, multiply_gemv<Ops>};
}

template <class Ops>
constexpr KernelFunctions fused_functions() {
    return {packed_bytes<Ops>, pack_tokens<Ops, kFusedTokens>, no_scratch, multiply_fused<Ops>};
}

template <class Ops>
constexpr KernelFunctions gemm_functions() {
    return {packed_bytes<Ops>, pack_tokens<Ops, kGemmTokens>, gemm_scratch<Ops>,
            multiply_gemm<Ops>};
}

}  // namespace
}  // namespace fp6llm::FP6LLM_AVX512_NAMESPACE
