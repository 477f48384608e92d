// AVX2 kernel for many tokens: decodes 256 columns of a panel into an fp32 block in the L1 cache
// and multiplies it with all tokens, six at a time, each product tile 6 x 16 in registers. Scales
// per group are folded into the block, scales per row wait for the end. A last tile of few tokens is
// multiplied while the block is being decoded, where scales are per row.
#include "core/gemm/cpu/avx2.hpp"
#include "core/gemm/cpu/avx2_decode.hpp"
#include "core/gemm/cpu/avx2_pack.hpp"
#include "core/gemm/cpu/avx2_scales.hpp"

namespace fp6llm::avx2 {
namespace {

constexpr int64_t kBlockColumns = kPackColumns;
constexpr size_t kBlockBytes = kBlockColumns * 16 * sizeof(float);

/// Which group a column belongs to, for columns asked for in ascending steps of 8.
struct GroupCursor {
    int64_t size, last, group, end;

    GroupCursor(const CpuWeightView& weight, int64_t k)
        : size(weight.group_size == 0 ? weight.k_tiles * kTileCols : weight.group_size),
          last(weight.groups - 1),
          group(k / size),
          end((group + 1) * size) {}

    FP6LLM_AVX2_MEMBER int64_t at(int64_t k) {
        if (k == end) ++group, end += size;
        return group < last ? group : last;  // the padding of the last tile may lie beyond
    }
};

FP6LLM_AVX2_INLINE const uint8_t* tile_at(const CpuWeightView& weight, int64_t panel, int64_t k) {
    return weight.panel_tiles(panel) + k / kTileCols * kTileBytes;
}

/// out[k][16] = apply(placed weights, what load_scale(group, to) stored) of columns [k0, k0 +
/// count), whose tiles begin at `tile`.
template <class Tile, class LoadScale, class Apply>
FP6LLM_AVX2_INLINE void decode_columns(const CpuWeightView& weight, const uint8_t* tile, int64_t k0,
                                       int64_t count, float* out, LoadScale load_scale,
                                       Apply apply) {
    GroupCursor cursor(weight, k0);
    alignas(32) float scales[2][16];  // not in registers: decoding needs those
    for (int64_t k = k0; k < k0 + count;
         k += kTileCols, tile += kTileBytes, out += kTileCols * 16) {
        prefetch_tile(tile);
        const int64_t group = cursor.at(k), next = cursor.at(k + 8);
        const bool two = next != group;
        load_scale(group, scales[0]);
        if (two) load_scale(next, scales[1]);
        const float *first = scales[0], *second = scales[two ? 1 : 0];
        Tile::decode(tile, [&](int column, Floats placed) FP6LLM_AVX2_INLINE_LAMBDA {
            store_values(out + column * 16, apply(placed, column < 8 ? first : second));
        });
    }
}

/// One block for multiply_tile: scales per group folded in, scales per row not.
template <class Tile>
void decode_block(const CpuWeightView& weight, const PanelScales& scales, int64_t panel, int64_t k0,
                  int64_t count, float* out) {
    const uint8_t* const tile = tile_at(weight, panel, k0);
    if (weight.scale_mode == ScaleMode::kRow) {
        const auto no_scale = [](int64_t, float*) FP6LLM_AVX2_INLINE_LAMBDA {};
        const auto keep = [](Floats placed, const float*)
                              FP6LLM_AVX2_INLINE_LAMBDA { return placed; };
        decode_columns<Tile>(weight, tile, k0, count, out, no_scale, keep);
    } else {
        const auto load_scale = [&](int64_t group, float* to) FP6LLM_AVX2_INLINE_LAMBDA {
            scales.prefetch_next(group);
            store_values(to, scales.at(group));
        };
        const auto apply = [](Floats placed, const float* scale) FP6LLM_AVX2_INLINE_LAMBDA {
            // Not a multiplication: those are slow for subnormals on Zen 3, FMAs are not.
            return multiply_add(placed, load_values(scale), zero_floats());
        };
        decode_columns<Tile>(weight, tile, k0, count, out, load_scale, apply);
    }
}

/// Sums of the products of a register tile with the columns of one block. Blocks have sums of their own:
/// one chain over all of k would lose 2 bits more at k = 4096. kSets of them, for columns by turns, hide
/// the latency of FMA where tokens are too few to do so.
template <int kTokens, int kSets>
struct TileSums {
    Floats values[kTokens][kSets];

    FP6LLM_AVX2_MEMBER TileSums() {
        FP6LLM_AVX2_UNROLL
        for (int t = 0; t < kTokens; ++t) {
            values[t][0] = zero_floats();
            if (kSets == 2) values[t][kSets - 1] = zero_floats();
        }
    }

    /// Adds column k of the weights times x [kTokens].
    FP6LLM_AVX2_MEMBER void add_column(int k, Floats weights, const float* x) {
        FP6LLM_AVX2_UNROLL
        for (int t = 0; t < kTokens; ++t)
            accumulate_product(values[t][k % kSets], weights, all_floats(x[t]));
    }

    /// sums [kTokens][16] += these.
    FP6LLM_AVX2_MEMBER void add_to(float* sums) {
        FP6LLM_AVX2_UNROLL
        for (int t = 0; t < kTokens; ++t) {
            if (kSets == 2) values[t][0] = add(values[t][0], values[t][kSets - 1]);
            store_values(sums + t * 16, add(load_values(sums + t * 16), values[t][0]));
        }
    }
};

/// sums [kTokens][16] += block [columns][16] * x [columns][kTokens], columns a multiple of 16.
template <int kTokens>
void multiply_tile(const float* block, int64_t columns, const float* x, float* sums) {
    TileSums<kTokens, kTokens <= 3 ? 2 : 1> tile;
    for (int64_t k = 0; k < columns; k += 4) {
        FP6LLM_AVX2_UNROLL
        for (int i = 0; i < 4; ++i, block += 16, x += kTokens)
            tile.add_column(i, load_values(block), x);
    }
    tile.add_to(sums);
}

void multiply_tokens(const float* block, int64_t columns, const float* x, int64_t tokens,
                     float* sums) {
    switch (tokens) {
        case 1:
            return multiply_tile<1>(block, columns, x, sums);
        case 2:
            return multiply_tile<2>(block, columns, x, sums);
        case 3:
            return multiply_tile<3>(block, columns, x, sums);
        case 4:
            return multiply_tile<4>(block, columns, x, sums);
        case 5:
            return multiply_tile<5>(block, columns, x, sums);
        default:
            return multiply_tile<6>(block, columns, x, sums);
    }
}

/// Decodes a block whose scales are per row and, on the way, does for a tile of kTokens what multiply_tile
/// does: stores and latencies bound decoding, which leaves FMA units free. Not inlined: its hot loop
/// needs all registers.
template <class Tile, int kTokens>
__attribute__((noinline)) void decode_and_multiply(const uint8_t* tile, int64_t columns,
                                                   float* block, const float* x, float* sums) {
    TileSums<kTokens, kTokens <= 2 ? 2 : 1> products;
    for (const uint8_t* const end = tile + columns / kTileCols * kTileBytes; tile != end;
         tile += kTileBytes, block += kTileCols * 16, x += kTileCols * kTokens) {
        prefetch_tile(tile);
        Tile::decode(tile, [&](int column, Floats placed) FP6LLM_AVX2_INLINE_LAMBDA {
            store_values(block + column * 16, placed);
            products.add_column(column, placed, x + column * kTokens);
        });
    }
    products.add_to(sums);
}

/// Tokens up to which the sums and what is being decoded have registers enough.
constexpr int64_t kDecodedWith = 4;

template <class Tile>
void decode_and_multiply(const uint8_t* tile, int64_t columns, float* block, const float* x,
                         int64_t tokens, float* sums) {
    switch (tokens) {
        case 1:
            return decode_and_multiply<Tile, 1>(tile, columns, block, x, sums);
        case 2:
            return decode_and_multiply<Tile, 2>(tile, columns, block, x, sums);
        case 3:
            return decode_and_multiply<Tile, 3>(tile, columns, block, x, sums);
        default:
            return decode_and_multiply<Tile, kDecodedWith>(tile, columns, block, x, sums);
    }
}

template <class Tile>
void multiply_panel(const CpuWeightView& weight, int64_t panel, const PackedTokens& x, float* sums,
                    float* block, void* scratch) {
    PanelScales scales;
    prepare_scales(weight, panel, 1, placed_base(Tile::kPlacedExponent), scratch, &scales);
    const int64_t padded = weight.k_tiles * kTileCols;
    // The last tile's tokens, if it is multiplied while blocks are decoded.
    const int64_t last = x.count % kGemmTile;
    const bool on_the_way =
        weight.scale_mode == ScaleMode::kRow && last > 0 && last <= kDecodedWith;
    const int64_t rest = x.count - (on_the_way ? last : 0);
    for (int64_t t = 0; t < x.count; ++t)
        store_values(sums + t * 16, zero_floats());
    for (int64_t k = 0; k < padded; k += kBlockColumns) {
        const int64_t columns = padded - k < kBlockColumns ? padded - k : kBlockColumns;
        const auto chunk = [&](int64_t t, int64_t count) {
            return packed_chunk<Order::kChunks>(x, padded, t, count, k, columns);
        };
        if (on_the_way) {
            decode_and_multiply<Tile>(tile_at(weight, panel, k), columns, block, chunk(rest, last),
                                      last, sums + rest * 16);
        } else {
            decode_block<Tile>(weight, scales, panel, k, columns, block);
        }
        for (int64_t t = 0; t < rest; t += kGemmTile) {
            const int64_t count = rest - t < kGemmTile ? rest - t : kGemmTile;
            multiply_tokens(block, columns, chunk(t, count), count, sums + t * 16);
        }
    }
    finish_sums(scales.factor, x.factors + x.first, x.count, sums);
}

/// out[k][16] = scale * value of columns [k0, k0 + count), whose tiles begin at `tile`, rounded once.
template <class Tile>
void decode_scaled(const CpuWeightView& weight, int64_t panel, const uint8_t* tile, int64_t k0,
                   int64_t count, float* out) {
    const Floats up = all_floats(exp2_float(-Tile::kPlacedExponent));
    const auto load_scale = [&](int64_t group, float* to) FP6LLM_AVX2_INLINE_LAMBDA {
        const int64_t at = weight.scale_index(panel, group);
        store_values(to, weight.scale_mode == ScaleMode::kMx ? load_e8m0(weight.e8m0 + at)
                                                             : load_values(weight.scales + at));
    };
    const auto apply = [&](Floats placed, const float* scale) FP6LLM_AVX2_INLINE_LAMBDA {
        return multiply(multiply(placed, up), load_values(scale));
    };
    decode_columns<Tile>(weight, tile, k0, count, out, load_scale, apply);
}

size_t scratch_bytes(int64_t k, int64_t) {
    return kBlockBytes + scale_scratch_bytes(k);
}

template <Weights kWeights>
void multiply(const CpuWeightView& weight, int64_t panel, int, const PackedTokens& x, float* sums,
              void* scratch) {
    float* block = static_cast<float*>(scratch);
    float* scales = block + kBlockColumns * 16;
    if (weight.family == TileFamily::kE3M2) {
        multiply_panel<TileOf<E3M2Tile, kWeights>>(weight, panel, x, sums, block, scales);
    } else {
        multiply_panel<TileOf<E2M3Tile, kWeights>>(weight, panel, x, sums, block, scales);
    }
}

template <Weights kWeights>
constexpr KernelFunctions kGemm = {packed_bytes, pack_tokens<Order::kChunks, kGemmTile>,
                                   scratch_bytes, multiply<kWeights>,
                                   pack_columns<Order::kChunks, kGemmTile>};

/// decode_scaled() of a panel in S8, by way of S16, a few tiles at a time. Not inlined: it slows S16's.
template <Weights kWeights>
__attribute__((noinline)) void decode_bytes(const CpuWeightView& weight, int64_t panel, int64_t k0,
                                            int64_t count, float* out) {
    constexpr int64_t kColumns = 64;
    alignas(64) uint8_t memory[kS16Padding + kColumns / kTileCols * kTileBytes + kS16Padding];
    uint8_t* const tiles = memory + kS16Padding;
    for (int64_t k = k0, columns; k < k0 + count; k += columns, out += columns * kTileRows) {
        columns = k0 + count - k < kColumns ? k0 + count - k : kColumns;
        convert_tiles(tile_at(weight, panel, k), columns / kTileCols, tiles);
        decode_scaled<TileOf<E2M3Tile, kWeights>>(weight, panel, tiles, k, columns, out);
    }
}

template <Weights kWeights>
void decode_panel(const CpuWeightView& weight, int64_t panel, int64_t k0, int64_t count,
                  float* out) {
    if (weight.swizzle == CpuSwizzle::kS8)
        return decode_bytes<kWeights>(weight, panel, k0, count, out);
    const uint8_t* const tile = tile_at(weight, panel, k0);
    if (weight.family == TileFamily::kE3M2) {
        decode_scaled<TileOf<E3M2Tile, kWeights>>(weight, panel, tile, k0, count, out);
    } else {
        decode_scaled<TileOf<E2M3Tile, kWeights>>(weight, panel, tile, k0, count, out);
    }
}

}  // namespace

constexpr KernelFunctions kGemmF32[] = {kGemm<Weights::kPlaced>, kGemm<Weights::kNormal>};
void (*const kDecodePanel[])(const CpuWeightView&, int64_t, int64_t, int64_t, float*) = {
    decode_panel<Weights::kPlaced>, decode_panel<Weights::kNormal>};

}  // namespace fp6llm::avx2
