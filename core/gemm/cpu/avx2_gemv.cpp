// AVX2 kernels for few tokens: decode panels in registers and multiply them with broadcast activations.
//
//   gemv    1 token: two panels per pass, since one core reads two streams of addresses faster than one.
//           Bound by reading.
//   fused   up to 12 tokens: one panel, decoded once for every four or five. Bound by the FMA units from
//           four on.
#include "core/gemm/cpu/avx2.hpp"
#include "core/gemm/cpu/avx2_decode.hpp"
#include "core/gemm/cpu/avx2_pack.hpp"
#include "core/gemm/cpu/avx2_scales.hpp"

namespace fp6llm::avx2 {
namespace {

constexpr int64_t kBlockTiles = 32;  // per chain of fp32 sums: 512 columns
constexpr int kMxTiles = 2;          // of a group of MX scales

/// Products of a group or of a part of it, which have the same scales: placed weights * activations.
template <class Tile, int kPanels, int kTokens>
struct BlockSums {
    // Enough independent chains to hide the latency of FMA: 8 registers.
    static constexpr int kSets = kPanels * kTokens == 1 ? 4 : kPanels * kTokens == 2 ? 2 : 1;
    Floats values[kPanels][kTokens][kSets];

    FP6LLM_AVX2_MEMBER BlockSums() {
        FP6LLM_AVX2_UNROLL
        for (int p = 0; p < kPanels; ++p) {
            FP6LLM_AVX2_UNROLL
            for (int t = 0; t < kTokens; ++t) {
                FP6LLM_AVX2_UNROLL
                for (int s = 0; s < kSets; ++s)
                    values[p][t][s] = zero_floats();
            }
        }
    }

    /// Adds those of a tile of each panel.
    FP6LLM_AVX2_MEMBER void add_tile(const uint8_t* tile, const uint8_t* panel_end,
                                     int64_t panel_bytes, const float* x) {
        prefetch_panels<kPanels, kDirectAhead>(tile, panel_end, panel_bytes);
        FP6LLM_AVX2_UNROLL
        for (int p = 0; p < kPanels; ++p) {
            Tile::decode(tile + p * panel_bytes,
                         [&](int k, Floats placed) FP6LLM_AVX2_INLINE_LAMBDA {
                             FP6LLM_AVX2_UNROLL
                             for (int t = 0; t < kTokens; ++t) {
                                 accumulate_product(values[p][t][k % kSets], placed,
                                                    all_floats(x[k * kTokens + t]));
                             }
                         });
            if (p + 1 < kPanels) FP6LLM_AVX2_BARRIER();
        }
    }

    /// totals[t][16 * p ...] += scale of the group * these.
    template <bool kMx>
    FP6LLM_AVX2_MEMBER void add_to(float* totals, const PanelScales* scales, int64_t group) {
        FP6LLM_AVX2_UNROLL
        for (int p = 0; p < kPanels; ++p) {
            scales[p].prefetch_next(group);
            const Floats scale = kMx ? scales[p].power_at(group) : scales[p].at(group);
            FP6LLM_AVX2_UNROLL
            for (int t = 0; t < kTokens; ++t) {
                Floats sum = values[p][t][0];
                FP6LLM_AVX2_UNROLL
                for (int s = 1; s < kSets; ++s)
                    sum = add(sum, values[p][t][s]);
                float* total = totals + (t * kPanels + p) * 16;
                store_values(total, multiply_add(sum, scale, load_values(total)));
            }
        }
    }
};

/// totals += MX groups, which are two tiles: one loop, which takes a group at a time. Not inlined: it needs
/// all registers.
template <class Tile, int kPanels, int kTokens>
__attribute__((noinline)) void multiply_mx_groups(const CpuWeightView& weight, int64_t panel,
                                                  const PanelScales* scales, const float* x,
                                                  float* totals) {
    const int64_t panel_bytes = weight.tile_stride * kTileBytes;
    const uint8_t* tiles = weight.panel_tiles(panel);
    const uint8_t* const end = tiles + weight.k_tiles * kTileBytes;
    const uint8_t* const panel_end = weight.panel_end(panel);
    for (int64_t group = 0; tiles != end; ++group) {
        BlockSums<Tile, kPanels, kTokens> sums;
        FP6LLM_AVX2_UNROLL
        for (int i = 0; i < kMxTiles; ++i, tiles += kTileBytes, x += kTileCols * kTokens) {
            sums.add_tile(tiles, panel_end, panel_bytes, x);
            FP6LLM_AVX2_BARRIER();
        }
        sums.template add_to<true>(totals, scales, group);
    }
}

/// totals += groups of any size. Not inlined: its hot loop needs all registers.
template <class Tile, int kPanels, int kTokens>
__attribute__((noinline)) void multiply_groups(const CpuWeightView& weight, int64_t panel,
                                               const PanelScales* scales, const float* x,
                                               float* totals) {
    const int64_t panel_bytes = weight.tile_stride * kTileBytes;
    const uint8_t* tiles = weight.panel_tiles(panel);
    const uint8_t* const panel_end = weight.panel_end(panel);
    const int64_t group_tiles =
        weight.group_size == 0 ? weight.k_tiles : weight.group_size / kTileCols;
    int64_t group = 0, group_end = group_tiles;
    for (int64_t i = 0; i < weight.k_tiles;) {
        const int64_t end = group_end < weight.k_tiles ? group_end : weight.k_tiles;
        const int64_t count = end - i < kBlockTiles ? end - i : kBlockTiles;
        BlockSums<Tile, kPanels, kTokens> sums;
        for (const uint8_t* const stop = tiles + count * kTileBytes; tiles < stop;
             tiles += kTileBytes, x += kTileCols * kTokens) {
            sums.add_tile(tiles, panel_end, panel_bytes, x);
        }
        sums.template add_to<false>(totals, scales, group);
        i += count;
        if (i == group_end) ++group, group_end += group_tiles;
    }
}

template <class Tile, int kPanels, int kTokens>
void multiply_tokens(const CpuWeightView& weight, int64_t panel, const PanelScales* scales,
                     const float* x, float* totals) {
    for (int i = 0; i < kPanels * kTokens; ++i)
        store_values(totals + i * 16, zero_floats());
    if (weight.scale_mode == ScaleMode::kMx && weight.k_tiles % kMxTiles == 0) {
        multiply_mx_groups<Tile, kPanels, kTokens>(weight, panel, scales, x, totals);
    } else {
        multiply_groups<Tile, kPanels, kTokens>(weight, panel, scales, x, totals);
    }
}

/// All `padded` columns of the tile that starts at token x.first + t.
FP6LLM_AVX2_INLINE const float* packed_tile(const PackedTokens& x, int64_t padded, int64_t t) {
    return packed_chunk<Order::kTiles>(x, padded, t, 0, 0, padded);
}

/// gemv: sums [16 * kPanels] of one token.
template <class Tile, int kPanels>
void multiply_token(const CpuWeightView& weight, int64_t panel, const PackedTokens& x, float* sums,
                    uint8_t* scratch) {
    const double base = placed_base(Tile::kPlacedExponent);
    PanelScales scales[kPanels];
    for (int p = 0; p < kPanels; ++p, scratch += scale_scratch_bytes(weight.cols))
        prepare_scales(weight, panel + p, kPanels, base, scratch, &scales[p]);
    const float* columns = packed_tile(x, weight.k_tiles * kTileCols, 0);
    multiply_tokens<Tile, kPanels, 1>(weight, panel, scales, columns, sums);
    for (int p = 0; p < kPanels; ++p)
        finish_sums(scales[p].factor, x.factors + x.first, 1, sums + p * 16);
}

template <class Tile>
void multiply_token(const CpuWeightView& weight, int64_t panel, int panels, const PackedTokens& x,
                    float* sums, uint8_t* scratch) {
    if (panels == 2) {
        multiply_token<Tile, 2>(weight, panel, x, sums, scratch);
    } else {
        multiply_token<Tile, 1>(weight, panel, x, sums, scratch);
    }
}

/// fused: sums [x.count][16], kTile tokens at a time.
template <class Tile, int kTile>
void multiply_fused(const CpuWeightView& weight, int64_t panel, const PackedTokens& x, float* sums,
                    void* scratch) {
    PanelScales scales;
    prepare_scales(weight, panel, 1, placed_base(Tile::kPlacedExponent), scratch, &scales);
    for (int64_t t = 0; t < x.count; t += kTile) {
        float* totals = sums + t * 16;
        const float* block = packed_tile(x, weight.k_tiles * kTileCols, t);
        switch (x.count - t < kTile ? x.count - t : kTile) {
            case 1:
                multiply_tokens<Tile, 1, 1>(weight, panel, &scales, block, totals);
                break;
            case 2:
                multiply_tokens<Tile, 1, 2>(weight, panel, &scales, block, totals);
                break;
            case 3:
                multiply_tokens<Tile, 1, 3>(weight, panel, &scales, block, totals);
                break;
            case 4:
                if constexpr (kTile > 4) {
                    multiply_tokens<Tile, 1, 4>(weight, panel, &scales, block, totals);
                    break;
                }
                [[fallthrough]];
            default:
                multiply_tokens<Tile, 1, kTile>(weight, panel, &scales, block, totals);
                break;
        }
    }
    finish_sums(scales.factor, x.factors + x.first, x.count, sums);
}

size_t gemv_scratch_bytes(int64_t k, int64_t) {
    return 2 * scale_scratch_bytes(k);
}

template <Weights kWeights>
void gemv_multiply(const CpuWeightView& weight, int64_t panel, int panels, const PackedTokens& x,
                   float* sums, void* scratch) {
    uint8_t* own = static_cast<uint8_t*>(scratch);
    if (weight.family == TileFamily::kE3M2) {
        multiply_token<TileOf<E3M2Tile, kWeights>>(weight, panel, panels, x, sums, own);
    } else {
        multiply_token<TileOf<E2M3Tile, kWeights>>(weight, panel, panels, x, sums, own);
    }
}

size_t fused_scratch_bytes(int64_t k, int64_t) {
    return scale_scratch_bytes(k);
}

template <Weights kWeights, int kTile>
void fused_multiply(const CpuWeightView& weight, int64_t panel, int, const PackedTokens& x,
                    float* sums, void* scratch) {
    if (weight.family == TileFamily::kE3M2) {
        multiply_fused<TileOf<E3M2Tile, kWeights>, kTile>(weight, panel, x, sums, scratch);
    } else {
        multiply_fused<TileOf<E2M3Tile, kWeights>, kTile>(weight, panel, x, sums, scratch);
    }
}

template <Weights kWeights>
constexpr KernelFunctions kGemv = {packed_bytes, pack_tokens<Order::kTiles, kGemvTile>,
                                   gemv_scratch_bytes, gemv_multiply<kWeights>,
                                   pack_columns<Order::kTiles, kGemvTile>};
template <Weights kWeights, int kTile>
constexpr KernelFunctions kFused = {packed_bytes, pack_tokens<Order::kTiles, kTile>,
                                    fused_scratch_bytes, fused_multiply<kWeights, kTile>,
                                    pack_columns<Order::kTiles, kTile>};

}  // namespace

constexpr KernelFunctions kGemvF32[] = {kGemv<Weights::kPlaced>, kGemv<Weights::kNormal>};
constexpr KernelFunctions kFusedF32[] = {kFused<Weights::kPlaced, kFusedTile>,
                                         kFused<Weights::kNormal, kFusedTile>};
constexpr KernelFunctions kFused5F32[] = {kFused<Weights::kPlaced, kFusedTile5>,
                                          kFused<Weights::kNormal, kFusedTile5>};

}  // namespace fp6llm::avx2
