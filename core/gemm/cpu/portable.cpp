// The baseline kernels: any processor, any swizzle, any format, any group size. Codes come out of
// the tile by unpack_panel and become fp32 through a 64-entry table; a block of columns is decoded
// once for all tokens. Every faster kernel falls back on these.
//
//   packed activations  [tokens][k rounded up to 16] fp32, zero-padded; factors are 1
//   scratch             codes [16][256] bytes, values [256][16] fp32
#include "core/common/math.hpp"
#include "core/gemm/cpu/kernel.hpp"
#include "core/gemm/cpu/store_impl.hpp"

namespace fp6llm {
namespace {

constexpr int64_t kBlockCols = 256;
constexpr int kTokenTile = 2;  // 2 tokens x 16 rows of sums fit the 16 registers of SSE2

// Four rows; a compiler vector, which any processor has or emulates.
typedef float Rows __attribute__((vector_size(16)));
constexpr int kRowVectors = kTileRows / 4;

struct Scratch {
    alignas(64) float values[kBlockCols][kTileRows];
    uint8_t codes[kTileRows][kBlockCols];
};

/// scale[r] of the panel's rows for scale group `group`.
void load_scales(const CpuWeightView& weight, int64_t panel, int64_t group, float* scale) noexcept {
    if (weight.scale_mode == ScaleMode::kMx) {
        const uint8_t* e8m0 = weight.e8m0 + weight.scale_index(panel, group);
        for (int r = 0; r < kTileRows; ++r) {
            // 2^-127 is a subnormal fp32, 255 is NaN.
            const uint32_t bits = e8m0[r] == 0     ? 0x00400000u
                                  : e8m0[r] == 255 ? 0x7FC00000u
                                                   : static_cast<uint32_t>(e8m0[r]) << 23;
            std::memcpy(scale + r, &bits, sizeof bits);
        }
        return;
    }
    std::memcpy(scale, weight.scales + weight.scale_index(panel, group), kTileRows * sizeof(float));
}

/// Columns that share a scale; at least all of them for row scales.
int64_t scale_group(const CpuWeightView& weight) noexcept {
    return weight.scale_mode == ScaleMode::kRow ? weight.k_tiles * kTileCols : weight.group_size;
}

/// values[k - k0][r] without scales, k in [k0, k0 + count), count <= kBlockCols.
void decode_block(const CpuWeightView& weight, int64_t panel, int64_t k0, int64_t count,
                  Scratch& scratch) noexcept {
    const uint8_t* tiles = weight.panel_tiles(panel) + k0 / kTileCols * kTileBytes;
    unpack_panel(weight.swizzle, weight.family, tiles, count, scratch.codes[0], kBlockCols);
    const float* table = tile_values(weight.family);
    for (int64_t k = 0; k < count; ++k) {
        for (int r = 0; r < kTileRows; ++r)
            scratch.values[k][r] = table[scratch.codes[r][k]];
    }
}

/// sums[t][r] += scale[r] * sum over i of values[i][r] * x[t][i], i in [0, count).
template <int tokens>
void accumulate(const float (*values)[kTileRows], const float* x, int64_t ldx, int64_t count,
                const float* scale, float* sums, int64_t lds) noexcept {
    Rows acc[tokens][kRowVectors] = {};
    for (int64_t i = 0; i < count; ++i) {
        Rows value[kRowVectors];
        std::memcpy(value, values[i], sizeof value);
#pragma GCC unroll 4
        for (int t = 0; t < tokens; ++t) {
            const float broadcast = x[t * ldx + i];
#pragma GCC unroll 4
            for (int v = 0; v < kRowVectors; ++v)
                acc[t][v] += value[v] * broadcast;
        }
    }
    for (int t = 0; t < tokens; ++t) {
        float part[kTileRows];
        std::memcpy(part, acc[t], sizeof part);
        for (int r = 0; r < kTileRows; ++r)
            sums[t * lds + r] += scale[r] * part[r];
    }
}

size_t packed_bytes(int64_t k, int64_t tokens) {
    return static_cast<size_t>(tokens * round_up(k, kTileCols)) * sizeof(float);
}

void pack_columns(const TokenSource& x, int64_t token, int64_t k0, int64_t k1,
                  const PackedTokens& out) {
    const int64_t ldx = round_up(x.k, kTileCols);
    float* rows = static_cast<float*>(out.data) + out.first * ldx;
    for (int64_t k = k0; k < k1; k += kBlockCols) {
        const int64_t cols = k1 - k < kBlockCols ? k1 - k : kBlockCols;
        for (int64_t t = 0; t < out.count; ++t)
            load_token(x, token + t, k, cols, rows + t * ldx + k);
    }
    for (int64_t t = 0; t < out.count; ++t) {
        for (int64_t k = x.k; k1 == x.k && k < ldx; ++k)
            rows[t * ldx + k] = 0.0f;
        if (k0 == 0) out.factors[out.first + t] = 1.0f;
    }
}

void pack_tokens(const TokenSource& x, int64_t token, const PackedTokens& out) {
    pack_columns(x, token, 0, x.k, out);
}

size_t scratch_bytes(int64_t, int64_t) {
    return sizeof(Scratch);
}

void multiply(const CpuWeightView& weight, int64_t panel, int, const PackedTokens& packed,
              float* sums, void* scratch_memory) {
    Scratch& scratch = *static_cast<Scratch*>(scratch_memory);
    const int64_t k_padded = weight.k_tiles * kTileCols, group = scale_group(weight);
    const int64_t tokens = packed.count;
    const float* x = static_cast<const float*>(packed.data) + packed.first * k_padded;
    std::memset(sums, 0, static_cast<size_t>(tokens) * kTileRows * sizeof(float));
    for (int64_t k0 = 0; k0 < k_padded; k0 += kBlockCols) {
        const int64_t end = k0 + kBlockCols < k_padded ? k0 + kBlockCols : k_padded;
        decode_block(weight, panel, k0, end - k0, scratch);
        int64_t next;
        for (int64_t k = k0; k < end; k = next) {
            next = (k / group + 1) * group < end ? (k / group + 1) * group : end;
            const int64_t g = k / group;
            if (g >= weight.groups) break;  // padding columns beyond the last group
            float scale[kTileRows];
            load_scales(weight, panel, g, scale);
            int64_t t = 0;
            for (; t + kTokenTile <= tokens; t += kTokenTile) {
                accumulate<kTokenTile>(scratch.values + (k - k0), x + t * k_padded + k, k_padded,
                                       next - k, scale, sums + t * kTileRows, kTileRows);
            }
            for (; t < tokens; ++t) {
                accumulate<1>(scratch.values + (k - k0), x + t * k_padded + k, k_padded, next - k,
                              scale, sums + t * kTileRows, kTileRows);
            }
        }
    }
}

void decode_panel(const CpuWeightView& weight, int64_t panel, int64_t k0, int64_t count,
                  float* out) {
    Scratch scratch;
    const int64_t group = scale_group(weight);
    for (int64_t done = 0; done < count; done += kBlockCols) {
        const int64_t cols = count - done < kBlockCols ? count - done : kBlockCols;
        decode_block(weight, panel, k0 + done, cols, scratch);
        float scale[kTileRows];
        for (int64_t k = 0; k < cols; ++k) {
            const int64_t column = k0 + done + k;
            if (k == 0 || column % group == 0) {
                const int64_t g = column / group;
                load_scales(weight, panel, g < weight.groups ? g : weight.groups - 1, scale);
            }
            for (int r = 0; r < kTileRows; ++r) {
                out[(done + k) * kTileRows + r] = scale[r] * scratch.values[k][r];
            }
        }
    }
}

const CpuGemmKernel kKernels[] = {
    {{packed_bytes, pack_tokens, scratch_bytes, multiply, pack_columns},
     /*algo=*/10,
     "portable_fp6_gemm_f32",
     Isa::kPortable,
     CpuSwizzle::kP16,
     Arithmetic::kF32,
     /*panels_per_call=*/1,
     /*max_tokens=*/1024,
     /*group_multiple=*/8,
     kTokenTile}};
const CpuKernelSet kSet = {Isa::kPortable, kKernels, 1, decode_panel, store_sums};

}  // namespace

const CpuKernelSet* portable_kernels() noexcept {
    return &kSet;
}

}  // namespace fp6llm
