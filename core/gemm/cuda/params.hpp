// What the host hands to a GEMM kernel: plain data, the same for every kernel of the family, shared by
// host code and device code.
#pragma once

#include <cstdint>

namespace fp6llm::cuda {

/// Element types of activations, outputs, bias and residual, as kernels switch on them.
enum class Element : int32_t { kF32 = 0, kF16 = 2, kBF16 = 14 };

/// y[t, o] = act(alpha * sum + beta * y[t, o] + bias[o]) + residual[t, o]; the C ABI's epilogue.
struct EpilogueParams {
    void* y;  ///< element (t, o) at t * ldy + o
    int64_t ldy;
    const void* bias;      ///< [outputs] or nullptr
    const void* residual;  ///< element (t, o) at t * ldr + o, or nullptr
    int64_t ldr;
    const float* alpha_pointer;  ///< device memory, or nullptr: `alpha` counts
    const float* beta_pointer;
    float alpha;
    float beta;  ///< 0: y is not read
    Element y_type, bias_type, residual_type;
    int32_t activation;  ///< fp6llm::Activation
    int32_t
        vector_rows;  ///< 1: four outputs of a token may be stored (and y, residual read) at once
};

/// Work is a line of units, (tile, k128 slab) with the slab running fastest; block b takes units
/// [b * units / blocks, (b + 1) * units / blocks). A tile that several blocks share is summed by the
/// last of them to finish, in the order of the slabs.
struct GemmParams {
    const uint8_t* weights;  ///< L3 units [row_blocks][k_units][6144]
    const void* scales;  ///< row: float [row_blocks * 64]; group: float [row_blocks][groups][64];
                         ///< MX: uint8 [row_blocks][k_units][64][4]
    /// Element (t, k) at t * ldx + k; rows are aligned to 16 bytes and go on with zeros up to a multiple
    /// of eight elements.
    const void* x;
    int64_t ldx;
    EpilogueParams epilogue;
    float* partials;     ///< [2 * blocks][tile], where blocks share tiles
    uint32_t* counters;  ///< [blocks], zero before and after
    int64_t units;       ///< tiles * k_units
    int32_t rows, tokens, k;
    int32_t row_blocks, k_units;
    int32_t token_tiles;  ///< the order of tiles: Sm80Gemm::place_of()
    int32_t groups, group_size;
    int32_t mx;  ///< 1: scales are E8M0
};

/// Shape of a kernel's tile; the plan table and the kernels agree on these.
struct TileShape {
    int tokens;       ///< of a tile: 8, 16, 32, 64, 128 or 256
    int row_units;    ///< 64-row blocks of a tile
    int token_warps;  ///< groups of four warps that share the tile's rows and split its tokens
    int stages;       ///< slabs in flight, including the one in use
    int min_blocks;   ///< blocks per multiprocessor that registers must leave room for

    constexpr int rows() const { return 64 * row_units; }
    constexpr int threads() const { return 128 * token_warps; }
    constexpr int stage_bytes() const { return row_units * 6144 + tokens * 256; }
    /// Dynamic shared memory: the stages, and a word that tells a block it is a tile's last.
    constexpr int shared_bytes() const { return stages * stage_bytes() + 16; }
    constexpr int tile_floats() const { return rows() * tokens; }
};

}  // namespace fp6llm::cuda
