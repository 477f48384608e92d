// AVX2 kernel for few tokens: decodes a panel in registers, once for every four tokens, and
// multiplies it with broadcast activations. Bound by decoding for one token, by the FMA units for
// four.
#include "core/gemm/cpu/avx2.hpp"
#include "core/gemm/cpu/avx2_decode.hpp"
#include "core/gemm/cpu/avx2_pack.hpp"
#include "core/gemm/cpu/avx2_scales.hpp"

namespace fp6llm::avx2 {
namespace {

constexpr int64_t kBlockTiles = 32;  // per chain of fp32 sums: 512 columns

/// totals[t] += scale of the group * (placed weights * activations), over `count` tiles.
template <class Tile, int kTokens>
FP6LLM_AVX2_INLINE void multiply_block(const uint8_t* tiles, int64_t count, const float* x,
                                       const PanelScales& scales, int64_t group, float* totals) {
    // Enough independent chains to hide the latency of FMA: 8 registers.
    constexpr int kSets = kTokens == 1 ? 4 : kTokens == 2 ? 2 : 1;
    Floats sums[kTokens][kSets];
    FP6LLM_AVX2_UNROLL
    for (int t = 0; t < kTokens; ++t) {
        FP6LLM_AVX2_UNROLL
        for (int s = 0; s < kSets; ++s)
            sums[t][s] = zero_floats();
    }
    for (const uint8_t* end = tiles + count * kTileBytes; tiles < end;
         tiles += kTileBytes, x += kTileCols * kTokens) {
        for (int line = 0; line < kTileBytes; line += 64)
            _mm_prefetch(reinterpret_cast<const char*>(tiles + kPrefetchBytes + line), _MM_HINT_T0);
        Tile::decode(tiles, [&](int k, Floats placed) FP6LLM_AVX2_INLINE_LAMBDA {
            FP6LLM_AVX2_UNROLL
            for (int t = 0; t < kTokens; ++t) {
                Floats& sum = sums[t][k % kSets];
                sum = multiply_add(placed, all_floats(x[k * kTokens + t]), sum);
            }
        });
    }
    const Floats scale = scales.at(group);
    FP6LLM_AVX2_UNROLL
    for (int t = 0; t < kTokens; ++t) {
        Floats sum = sums[t][0];
        FP6LLM_AVX2_UNROLL
        for (int s = 1; s < kSets; ++s)
            sum = add(sum, sums[t][s]);
        store_values(totals + t * 16, multiply_add(sum, scale, load_values(totals + t * 16)));
    }
}

/// Not inlined: its hot loop needs all registers.
template <class Tile, int kTokens>
__attribute__((noinline)) void multiply_tokens(const CpuWeightView& weight, const uint8_t* tiles,
                                               const PanelScales& scales, const float* x,
                                               float* totals) {
    for (int t = 0; t < kTokens; ++t)
        store_values(totals + t * 16, zero_floats());
    const int64_t group_tiles =
        weight.group_size == 0 ? weight.k_tiles : weight.group_size / kTileCols;
    int64_t group = 0, group_end = group_tiles;
    for (int64_t i = 0; i < weight.k_tiles;) {
        const int64_t end = group_end < weight.k_tiles ? group_end : weight.k_tiles;
        const int64_t count = end - i < kBlockTiles ? end - i : kBlockTiles;
        multiply_block<Tile, kTokens>(tiles, count, x, scales, group, totals);
        tiles += count * kTileBytes;
        x += count * kTileCols * kTokens;
        i += count;
        if (i == group_end) ++group, group_end += group_tiles;
    }
}

template <class Tile>
void multiply(const CpuWeightView& weight, int64_t panel, const float* x, const float* factor,
              int64_t tokens, float* sums, void* scratch) {
    PanelScales scales;
    prepare_scales(weight, panel, placed_base(Tile::kPlacedExponent), scratch, &scales);
    const uint8_t* tiles = weight.tiles + panel * weight.k_tiles * kTileBytes;
    const int64_t padded = weight.k_tiles * kTileCols;
    for (int64_t t = 0; t < tokens; t += kGemvTile) {
        float* totals = sums + t * 16;
        const float* block = x + t * padded;
        switch (tokens - t) {
            case 1:
                multiply_tokens<Tile, 1>(weight, tiles, scales, block, totals);
                break;
            case 2:
                multiply_tokens<Tile, 2>(weight, tiles, scales, block, totals);
                break;
            case 3:
                multiply_tokens<Tile, 3>(weight, tiles, scales, block, totals);
                break;
            default:
                multiply_tokens<Tile, 4>(weight, tiles, scales, block, totals);
                break;
        }
    }
    finish_sums(scales.factor, factor, tokens, sums);
}

}  // namespace

size_t gemv_scratch_bytes(int64_t k, int64_t) {
    return scale_scratch_bytes(k);
}

void gemv_pack_tokens(const TokenSource& x, int64_t first, int64_t count, void* packed,
                      float* factor) {
    pack_tokens<kGemvTile>(x, first, count, packed, factor);
}

void gemv_multiply(const CpuWeightView& weight, int64_t panel, int, const void* packed,
                   const float* factor, int64_t tokens, float* sums, void* scratch) {
    const float* x = static_cast<const float*>(packed);
    if (weight.family == TileFamily::kE3M2) {
        multiply<E3M2Tile>(weight, panel, x, factor, tokens, sums, scratch);
    } else {
        multiply<E2M3Tile>(weight, panel, x, factor, tokens, sums, scratch);
    }
}

}  // namespace fp6llm::avx2
