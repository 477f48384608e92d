// The four ways to multiply, for any arithmetic:
//
//   gemv    1..3 tokens: one or two panels per pass, as many address streams a thread
//   fused   1..16 tokens in registers: one panel, decoded in registers, once per 16 tokens
//   wide    8 and more, bf16: two panels, decoded in registers, once per 12 tokens
//   gemm    more: two panels decoded to an L1-sized scratch, then tiles of 12 tokens x 32 rows
//
// All of them decode a weight vector once for every token of a tile. An Ops type is the arithmetic;
// it derives from the loops that sum its products, FloatLoops (avx512_float.hpp) or IntegerLoops
// (avx512_integer.hpp). gemv, fused and wide need groups of whole tiles; gemm takes any multiple of 8
// columns (of 16 where Ops says so).
//
//   Step                  32-bit element of packed activations
//   Sum                   accumulator of 16 rows; zero() and add() make sums of it
//   kChains               independent sums that keep the multiplier busy: latency x throughput and one, as
//                         just as many leave no slack
//   kColumns              columns of one weight vector, 16 rows x kColumns
//   kParts                elements of activations that multiply one weight vector: 2 for split ones
//   kScratchColumns       columns decoded at a time: 32 rows of it and a token tile fill half of L1
//   kFoldsScales          whether fused and gemm decode MX weights with their scales where they can
//   kFarPrefetch          bytes; see prefetch_bytes()
//   Table load_table(family), for_each_step<kHeld>(table, tile, use)    use(step, weights) for a tile
//   for_each_step_of_two(tables, tiles, use)    use(step, weights, weights) for two of them, for wide
//   broadcast(x)                    *x in all lanes
//   multiply_add(sum, weights, x)   sum + weights * x, x from broadcast() or a pointer
// and from its loops:
//   packed_steps(columns)           elements per token for leading columns, whole blocks
//   pack_tile(x, first, count, k0, k1, out)      columns [k0, k1) of a tile
//   kSpanBytes, prepare_block(weight, panel, first, count, folds, spans)    what multiply_scratch wants to
//                                   know of the scales of tiles [first, first + count), at most so many bytes
//   kSumsWeights, add_weights(sum, weights)     whether multiply_scratch wants sums of weights, and of what
//   kFoldsSpans, decode_spans(...)  whether gemm decodes by what prepare_block() wrote, and how
//   multiply_direct, multiply_scratch, finish
#pragma once

#include <utility>

#include "core/gemm/cpu/avx512_pack.hpp"

namespace fp6llm::FP6LLM_AVX512_NAMESPACE {
namespace {

/// Accumulators of one panel: kSets partial sums per token.
template <class Ops, int kTokens, int kSets>
struct Sums {
    typename Ops::Sum set[kSets][kTokens];

    FP6LLM_AVX512_MEMBER void clear() {
        FP6LLM_AVX512_UNROLL
        for (int s = 0; s < kSets; ++s) {
            FP6LLM_AVX512_UNROLL
            for (int t = 0; t < kTokens; ++t)
                set[s][t] = Ops::zero();
        }
    }
    FP6LLM_AVX512_MEMBER typename Ops::Sum total(int token) const {
        typename Ops::Sum sum = set[0][token];
        FP6LLM_AVX512_UNROLL
        for (int s = 1; s < kSets; ++s)
            sum = Ops::add(sum, set[s][token]);
        return sum;
    }
};

/// Before and after a hot loop: gcc 12 else shares registers of equal values around it, and copies
/// and spills in it.
template <class Ops, int kPanels, int kTokens, int kSets>
FP6LLM_AVX512_INLINE void keep_in_registers(Sums<Ops, kTokens, kSets> (&sums)[kPanels]) {
    FP6LLM_AVX512_UNROLL
    for (int p = 0; p < kPanels; ++p) {
        FP6LLM_AVX512_UNROLL
        for (int set = 0; set < kSets; ++set) {
            FP6LLM_AVX512_UNROLL
            for (int t = 0; t < kTokens; ++t)
                FP6LLM_AVX512_LAUNDER_VECTOR(sums[p].set[set][t]);
        }
    }
}

FP6LLM_AVX512_INLINE void clear_output(float* out, int64_t vectors) {
    for (int64_t i = 0; i < vectors; ++i)
        _mm512_storeu_ps(out + i * kLanes, _mm512_setzero_ps());
}

/// sums += tile * x, x [steps of a tile][kParts][kTokens]. `ahead` bytes further is what to ask for.
template <class Ops, class Table, int kTokens, int kSets>
FP6LLM_AVX512_INLINE void multiply_tile(const Table& table, const uint8_t* tile, int64_t ahead,
                                        const typename Ops::Step* x,
                                        Sums<Ops, kTokens, kSets>& sums) {
    _mm_prefetch(tile + ahead, _MM_HINT_T0);
    _mm_prefetch(tile + ahead + 64, _MM_HINT_T0);
    _mm_prefetch(tile + ahead + 128, _MM_HINT_T0);
    Ops::template for_each_step</*kHeld=*/true>(
        table, tile, [&](int step, __m512i weights) FP6LLM_AVX512_INLINE_LAMBDA {
            FP6LLM_AVX512_UNROLL
            for (int part = 0; part < Ops::kParts; ++part) {
                const int at = step * Ops::kParts + part;
                FP6LLM_AVX512_UNROLL
                for (int t = 0; t < kTokens; ++t) {
                    typename Ops::Sum& sum = sums.set[at % kSets][t];
                    sum = Ops::multiply_add(sum, weights, x + at * kTokens + t);
                }
            }
        });
}

/// How far ahead of a tile of the first of kPanels panels to read, `usual` but past their ends: what comes
/// next there is the next call's, behind the other panels.
template <int kPanels>
FP6LLM_AVX512_INLINE int64_t prefetch_distance(const CpuWeightView& weight, int64_t panel,
                                               const uint8_t* tile, int64_t usual) {
    if (kPanels == 1 || tile + usual < weight.panel_end(panel)) return usual;
    return usual + (kPanels - 1) * weight.tile_stride * kTileBytes;
}

/// sums += tiles of two panels * x, each step of which is broadcast once.
template <class Ops, class Table, int kTokens, int kSets>
FP6LLM_AVX512_INLINE void multiply_two_tiles(const Table (&tables)[2],
                                             const uint8_t* const (&tiles)[2], int64_t ahead,
                                             const typename Ops::Step* x,
                                             Sums<Ops, kTokens, kSets> (&sums)[2]) {
    FP6LLM_AVX512_UNROLL
    for (int p = 0; p < 2; ++p) {
        FP6LLM_AVX512_UNROLL
        for (int line = 0; line < kTileBytes; line += 64)
            _mm_prefetch(tiles[p] + ahead + line, _MM_HINT_T0);
    }
    Ops::for_each_step_of_two(
        tables, tiles, [&](int step, __m512i first, __m512i second) FP6LLM_AVX512_INLINE_LAMBDA {
            FP6LLM_AVX512_UNROLL
            for (int t = 0; t < kTokens; ++t) {
                const auto broadcast = Ops::broadcast(x + step * kTokens + t);
                auto& sum = sums[0].set[step % kSets][t];
                sum = Ops::multiply_add(sum, first, broadcast);
                auto& other = sums[1].set[step % kSets][t];
                other = Ops::multiply_add(other, second, broadcast);
            }
        });
}

/// sums += the next tile of each panel * x; tiles and x move on. A loop of it should be one that runs at
/// least once: a loop that may not costs gcc registers.
template <class Ops, class Table, int kPanels, int kTokens, int kSets>
FP6LLM_AVX512_INLINE void multiply_panels(const CpuWeightView& weight, int64_t panel,
                                          const Table (&tables)[kPanels], int64_t prefetch,
                                          const uint8_t* (&tiles)[kPanels],
                                          const typename Ops::Step*& x,
                                          Sums<Ops, kTokens, kSets> (&sums)[kPanels]) {
    const int64_t ahead = prefetch_distance<kPanels>(weight, panel, tiles[0], prefetch);
    if constexpr (kPanels == 2 && kTokens > kGemvTokens) {
        multiply_two_tiles(tables, tiles, ahead, x, sums);
        tiles[0] += kTileBytes;
        tiles[1] += kTileBytes;
    } else {
        FP6LLM_AVX512_UNROLL
        for (int p = 0; p < kPanels; ++p) {
            multiply_tile(tables[p], tiles[p], ahead, x, sums[p]);
            tiles[p] += kTileBytes;
            if (p + 1 < kPanels) {
                FP6LLM_AVX512_LAUNDER(x);
            }
        }
    }
    x += kTileCols / Ops::kColumns * Ops::kParts * kTokens;
}

/// sums += n * kSets weight vectors of each panel, w [..][kPanels][16], times x [..][kStride], the first
/// kTokens of each; both move on.
template <int kStride, class Ops, int kPanels, int kTokens, int kSets>
FP6LLM_AVX512_INLINE void multiply_steps(const typename Ops::Step*& w, const typename Ops::Step*& x,
                                         int64_t n, Sums<Ops, kTokens, kSets> (&sums)[kPanels]) {
    do {
        FP6LLM_AVX512_UNROLL
        for (int s = 0; s < kSets; ++s, w += kPanels * kLanes) {
            __m512i weights[kPanels];
            FP6LLM_AVX512_UNROLL
            for (int p = 0; p < kPanels; ++p)
                weights[p] = _mm512_load_si512(w + p * kLanes);
            FP6LLM_AVX512_UNROLL
            for (int part = 0; part < Ops::kParts; ++part, x += kStride) {
                FP6LLM_AVX512_UNROLL
                for (int t = 0; t < kTokens; ++t) {
                    const auto broadcast = Ops::broadcast(x + t);
                    FP6LLM_AVX512_UNROLL
                    for (int p = 0; p < kPanels; ++p) {
                        typename Ops::Sum& sum = sums[p].set[s][t];
                        sum = Ops::multiply_add(sum, weights[p], broadcast);
                    }
                }
            }
        }
    } while (--n > 0);
}

/// Partial sums per token and panel, a power of two up to kMost, that make at least Ops::kChains in all.
template <class Ops, int kPanels, int kTokens, int kMost = 4>
constexpr int sum_sets() {
    int sets = 1;
    while (sets < kMost && kPanels * kTokens * sets < Ops::kChains)
        sets *= 2;
    return sets;
}

/// The same where weights are decoded in between: four do, but of split activations, and more than 22 sums
/// leave too few registers.
template <class Ops, int kPanels, int kTokens>
constexpr int direct_sets() {
    constexpr int kMost = kPanels * kTokens * 2 + 2 * Ops::kParts <= 24 ? 4 * Ops::kParts : 1;
    return sum_sets<Ops, kPanels, kTokens, kMost>();
}

constexpr int kFewestFolded = 3;  // tokens: fewer do not make up for looking at all exponents first

/// MX scales of panels, where decoding can do with what they are over the largest of each row: then sums
/// count the largest, and groups do not end them.
struct Folding {
    bool on;
    __m128i largest[2];  ///< by panel: exponents of 16 rows
};

template <class Ops>
FP6LLM_AVX512_INLINE Folding find_folding(const CpuWeightView& weight, int64_t panel, int panels) {
    Folding folding = {Ops::kFoldsScales && weight.scale_mode == ScaleMode::kMx, {}};
    for (int p = 0; folding.on && p < panels; ++p) {
        const uint8_t* exponents = weight.e8m0 + weight.scale_index(panel + p, 0);
        const SpanExponents all = span_exponents(exponents, weight.groups);
        folding.on = are_within(all, kMostApart);
        folding.largest[p] = all.largest;  // NaN, too: the row's sums are NaN either way
    }
    return folding;
}

using DirectFunction = void (*)(const CpuWeightView&, int64_t, const Folding&, const void*, float*);

/// Runs multiply_direct for 1..kMaxTokens tokens, the template argument.
template <class Ops, int kPanels, int... kIndex>
FP6LLM_AVX512_INLINE void dispatch_direct(std::integer_sequence<int, kIndex...>,
                                          const CpuWeightView& weight, int64_t panel,
                                          const Folding& folding, const void* packed,
                                          int64_t tokens, float* out) {
    static constexpr DirectFunction kFunctions[] = {
        Ops::template multiply_direct<kPanels, kIndex + 1>...};
    kFunctions[tokens - 1](weight, panel, folding, packed, out);
}

template <class Ops>
void multiply_gemv(const CpuWeightView& weight, int64_t panel, int panels, const PackedTokens& x,
                   float* sums, void*) {
    const std::make_integer_sequence<int, kGemvTokens> counts;
    if (panels == 2) {
        dispatch_direct<Ops, 2>(counts, weight, panel, Folding{}, x.data, x.count, sums);
    } else {
        const Folding folding =
            x.count < kFewestFolded ? Folding{} : find_folding<Ops>(weight, panel, 1);
        dispatch_direct<Ops, 1>(counts, weight, panel, folding, x.data, x.count, sums);
    }
}

template <class Ops>
void multiply_fused(const CpuWeightView& weight, int64_t panel, int, const PackedTokens& x,
                    float* sums, void*) {
    const std::make_integer_sequence<int, kFusedTokens> counts;
    const int64_t k = weight.k_tiles * kTileCols;
    const Folding folding = find_folding<Ops>(weight, panel, 1);
    for (int64_t t = 0; t < x.count; t += kFusedTokens) {
        const int64_t size = x.count - t < kFusedTokens ? x.count - t : kFusedTokens;
        dispatch_direct<Ops, 1>(counts, weight, panel, folding, packed_tile<Ops>(x, k, t), size,
                                sums + t * kLanes);
    }
}

template <class Ops>
void multiply_wide(const CpuWeightView& weight, int64_t panel, int panels, const PackedTokens& x,
                   float* sums, void*) {
    const std::make_integer_sequence<int, kGemmTokens> counts;
    const int64_t k = weight.k_tiles * kTileCols;
    const Folding folding = find_folding<Ops>(weight, panel, panels);
    for (int64_t t = 0; t < x.count; t += kGemmTokens) {
        const int64_t size = x.count - t < kGemmTokens ? x.count - t : kGemmTokens;
        const auto* steps = packed_tile<Ops>(x, k, t);
        float* out = sums + t * panels * kLanes;
        if (panels == 2) {
            dispatch_direct<Ops, 2>(counts, weight, panel, folding, steps, size, out);
        } else {
            dispatch_direct<Ops, 1>(counts, weight, panel, folding, steps, size, out);
        }
    }
}

/// Decodes tiles [first, first + count) of kPanels panels, whole groups where scales are folded, to
/// scratch [steps][kPanels][16].
template <class Ops, int kPanels>
FP6LLM_AVX512_INLINE void decode_block(const CpuWeightView& weight, int64_t panel, int64_t first,
                                       int64_t count, const Folding& folding,
                                       [[maybe_unused]] const void* spans,
                                       typename Ops::Step* scratch,
                                       [[maybe_unused]] int32_t* weight_sums) {
    for (int p = 0; p < kPanels; ++p) {
        const uint8_t* tile = tile_address(weight, panel + p, first);
        typename Ops::Step* out = scratch + p * kLanes;
        [[maybe_unused]] int32_t* sums_out = weight_sums + p * kLanes;
        [[maybe_unused]] __m512i sum = _mm512_setzero_si512();
        if constexpr (Ops::kSumsWeights) _mm512_store_si512(sums_out, sum);
        const auto decode = [&](const auto& table, int64_t tiles) FP6LLM_AVX512_INLINE_LAMBDA {
            for (int64_t i = 0; i < tiles; ++i, tile += kTileBytes) {
                [[maybe_unused]] __m512i own = _mm512_setzero_si512();
                Ops::template for_each_step</*kHeld=*/false>(
                    table, tile, [&](int, __m512i weights) FP6LLM_AVX512_INLINE_LAMBDA {
                        _mm512_store_si512(out, weights);
                        out += kPanels * kLanes;
                        if constexpr (Ops::kSumsWeights) own = Ops::add_weights(own, weights);
                    });
                if constexpr (Ops::kSumsWeights) {
                    sum = _mm512_add_epi32(sum, own);
                    sums_out += kPanels * kLanes;
                    _mm512_store_si512(sums_out, sum);
                }
            }
        };
        if constexpr (Ops::kFoldsScales) {
            if (folding.on) {
                FoldedTable table = load_folded_table(weight.family);
                const int64_t group_tiles = weight.group_size / kTileCols;
                const uint8_t* exponents =
                    weight.e8m0 + weight.scale_index(panel + p, first / group_tiles);
                for (int64_t left = count; left > 0; left -= group_tiles, exponents += kLanes) {
                    table.apart = exponents_apart(folding.largest[p], exponents);
                    decode(table, left < group_tiles ? left : group_tiles);
                }
                continue;
            }
        }
        if constexpr (Ops::kFoldsSpans) {
            if (spans != nullptr) {
                Ops::template decode_spans<kPanels>(weight, panel, p, first, count, spans, decode);
                continue;
            }
        }
        decode(Ops::load_table(weight.family), count);
    }
}

/// What multiply_scratch needs to know of a block of columns [first, first + columns).
struct ScratchBlock {
    const CpuWeightView* weight;
    int64_t panel;
    int64_t first;
    int64_t columns;
    const void* scratch;
    const Folding* folding;
    const void* spans;  ///< what Ops::prepare_block() wrote
    /// Where Ops::kSumsWeights, of the tiles before each one and of all: [..][panels][16].
    const int32_t* weight_sums;
    int panels;
    const uint8_t* next;     ///< the first panel's tiles of the block that comes next
    int64_t ask_from;        ///< of which a token tile asks for the bytes from here on,
    int64_t ask_per_column;  ///< so many, times 2^16, as it goes through the columns of this block
};

/// Asks for a token tile's share of the block that comes next while it multiplies [k, stop): hardware
/// prefetchers start anew at each block, and decoding would wait for its first lines. As many lines each
/// time, some twice: a number that varied would be mispredicted.
FP6LLM_AVX512_INLINE void prefetch_next(const ScratchBlock& block, int64_t k, int64_t stop) {
    const int64_t from = block.ask_from + ((k - block.first) * block.ask_per_column >> 16);
    const int64_t bytes = (stop - k) * block.ask_per_column >> 16;
    const uint8_t* tiles = block.next + (from & -64);
    for (int p = 0; p < block.panels; ++p, tiles += block.weight->tile_stride * kTileBytes) {
        for (int64_t line = 0; line < bytes; line += 64)
            _mm_prefetch(tiles + line, _MM_HINT_T0);
    }
}

/// Of the scratch, for a block of two panels.
template <class Ops>
constexpr size_t decoded_bytes() {
    return size_t{Ops::kScratchColumns / Ops::kColumns} * 2 * kLanes * sizeof(int32_t);
}

/// Of the sums of weights that follow it.
template <class Ops>
constexpr size_t weight_sum_bytes() {
    return Ops::kSumsWeights
               ? size_t{Ops::kScratchColumns / kTileCols + 1} * 2 * kLanes * sizeof(int32_t)
               : 0;
}

/// Whether spans that fold are decoded so. It takes longer, which few tokens do not make up for.
template <class Ops>
FP6LLM_AVX512_INLINE bool find_span_folding(const CpuWeightView& weight, int64_t tokens) {
    if constexpr (Ops::kFoldsSpans) {
        return weight.scale_mode == ScaleMode::kMx && tokens >= Ops::kFewestFoldTokens;
    }
    return false;
}

using ScratchFunction = void (*)(const ScratchBlock&, const void*, float*);

template <class Ops, int kPanels, int... kIndex>
void multiply_blocks(std::integer_sequence<int, kIndex...>, const CpuWeightView& weight,
                     int64_t panel, const PackedTokens& x, float* sums, void* scratch) {
    static constexpr ScratchFunction kFunctions[] = {
        Ops::template multiply_scratch<kPanels, kIndex + 1>...};
    constexpr int64_t kBlockTiles = Ops::kScratchColumns / kTileCols;
    const int64_t k = weight.k_tiles * kTileCols, tokens = x.count;
    const Folding folding = find_folding<Ops>(weight, panel, kPanels);
    const bool folds_spans = find_span_folding<Ops>(weight, tokens);
    auto* const after_decoded = static_cast<uint8_t*>(scratch) + decoded_bytes<Ops>();
    auto* const weight_sums = reinterpret_cast<int32_t*>(after_decoded);
    auto* const spans = after_decoded + weight_sum_bytes<Ops>();
    clear_output(sums, tokens * kPanels);
    for (int64_t first = 0; first < weight.k_tiles; first += kBlockTiles) {
        const int64_t rest = weight.k_tiles - first;
        const int64_t count = rest < kBlockTiles ? rest : kBlockTiles;
        Ops::template prepare_block<kPanels>(weight, panel, first, count, folds_spans, spans);
        decode_block<Ops, kPanels>(weight, panel, first, count, folding,
                                   folds_spans ? spans : nullptr,
                                   static_cast<typename Ops::Step*>(scratch), weight_sums);
        const uint8_t* const next = first + count < weight.k_tiles
                                        ? tile_address(weight, panel, first + count)
                                        : weight.next_tiles(panel, kPanels);
        ScratchBlock block = {&weight,  panel, first * kTileCols, count * kTileCols, scratch,
                              &folding, spans, weight_sums,       kPanels,           next,
                              0,        0};
        const int64_t token_bytes = count * kTileBytes / tokens;
        for (int64_t t = 0; t < tokens; t += kGemmTokens) {
            const int64_t size = tokens - t < kGemmTokens ? tokens - t : kGemmTokens;
            block.ask_from = token_bytes * t;
            block.ask_per_column = (token_bytes * size << 16) / block.columns;
            const auto* steps =
                packed_tile<Ops>(x, k, t) + Ops::packed_steps(first * kTileCols) * size;
            kFunctions[size - 1](block, steps, sums + t * kPanels * kLanes);
        }
    }
    Ops::template finish<kPanels>(weight, panel, tokens, sums);
}

template <class Ops>
void multiply_gemm(const CpuWeightView& weight, int64_t panel, int panels, const PackedTokens& x,
                   float* sums, void* scratch) {
    const std::make_integer_sequence<int, kGemmTokens> counts;
    if (panels == 2) {
        multiply_blocks<Ops, 2>(counts, weight, panel, x, sums, scratch);
    } else {
        multiply_blocks<Ops, 1>(counts, weight, panel, x, sums, scratch);
    }
}

size_t no_scratch(int64_t, int64_t) {
    return 0;
}

template <class Ops>
size_t gemm_scratch(int64_t, int64_t) {
    return decoded_bytes<Ops>() + weight_sum_bytes<Ops>() + Ops::kSpanBytes;
}

template <class Ops>
constexpr KernelFunctions gemv_functions() {
    return {packed_bytes<Ops>, pack_tokens<Ops, kGemvTokens>, no_scratch, multiply_gemv<Ops>,
            pack_columns<Ops>};
}

template <class Ops>
constexpr KernelFunctions fused_functions() {
    return {packed_bytes<Ops>, pack_tokens<Ops, kFusedTokens>, no_scratch, multiply_fused<Ops>,
            pack_columns<Ops>};
}

template <class Ops>
constexpr KernelFunctions wide_functions() {
    return {packed_bytes<Ops>, pack_tokens<Ops, kGemmTokens>, no_scratch, multiply_wide<Ops>,
            pack_columns<Ops>};
}

template <class Ops>
constexpr KernelFunctions gemm_functions() {
    return {packed_bytes<Ops>, pack_tokens<Ops, kGemmTokens>, gemm_scratch<Ops>, multiply_gemm<Ops>,
            pack_columns<Ops>};
}

}  // namespace
}  // namespace fp6llm::FP6LLM_AVX512_NAMESPACE
