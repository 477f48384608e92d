// Choosing how a GPU runs a multiplication: pure host code, testable anywhere. The rules that measured
// data may change are tables in plan.cpp.
#pragma once

#include <vector>

#include "core/common/types.hpp"
#include "core/device/properties.hpp"
#include "core/gemm/cuda/params.hpp"
#include "core/prepack/cuda/l3.hpp"

namespace fp6llm::cuda {

/// Numbers of the ways to multiply, as a caller passes them; never reused.
constexpr int32_t kAlgoSimt = 2;       ///< fp32 arithmetic, either transpose
constexpr int32_t kAlgoSm80 = 80'000;  ///< + tokens of the tile: mma.sync, from sm_80 on

/// What a plan depends on.
struct TileProblem {
    int64_t rows, cols;  ///< of the weight
    int64_t tokens;
    bool transposed;
    bool is_e2m3;  ///< codes held as E2M3, else as E3M2
    L3Tag tag;
    ScaleMode scale_mode;
    int64_t group_size;  ///< columns per scale, 32 for kMx; kRow: any
    DataType x_type;
    ComputeType compute;

    int64_t outputs() const noexcept { return transposed ? cols : rows; }
    int64_t k() const noexcept { return transposed ? rows : cols; }
};

/// A Tensor Core kernel: one name of sm80_kernels.cuh and its tile.
struct TileKernel {
    const char* name;
    int family;  ///< index of the fatbin: activation type and tag, format
    TileShape shape;
};

/// What goes into the Tensor Cores, for each activation.
struct Operand {
    Element element;  ///< kF16 or kBF16
    int parts;        ///< numbers that add up to it; more than 1 need finish_products
};
Operand operand_of(const TileProblem& problem) noexcept;

/// A plan's parts in the workspace lie one behind the other at multiples of 256 bytes: raw products,
/// partial sums, packed activations.
struct TilePlan {
    int32_t algo;
    TileKernel kernel;  ///< name nullptr: the SIMT kernel
    Operand operand;
    int64_t token_tiles, row_tiles, k_units;
    int blocks;       ///< of the grid
    bool are_shared;  ///< whether some tile is split between blocks
    int64_t packed_ld, raw_ld;
    size_t packed_bytes;  ///< worst case: activations that cannot be copied as they are
    size_t raw_bytes, partial_bytes;
    size_t lock_bytes;  ///< counters: zero before and after each kernel; no part of the workspace

    /// The most that a call needs; see needed_workspace().
    size_t workspace_bytes() const noexcept { return packed_bytes + raw_bytes + partial_bytes; }
    int64_t tiles() const noexcept { return token_tiles * row_tiles; }
};

/// Plans for a problem, best first: Tensor Core kernels with the tile that suits the tokens first, then
/// the SIMT kernel. Empty if the compute type is none of 32F, FAST_16F and FAST_16BF.
std::vector<TilePlan> tile_plans(const DeviceProperties& device, const TileProblem& problem);

/// The plan of one `algo` (-1 = the first). Allocates nothing. Throws INVALID_VALUE for an unknown algo;
/// NOT_SUPPORTED, saying what is supported, for a compute type or algo that cannot run the problem and
/// for sizes of 2^31 and more.
TilePlan choose_tile_plan(const DeviceProperties& device, const TileProblem& problem, int32_t algo);

/// Bytes of global memory that a plan's Tensor Core kernel moves by design; its outputs it stores once.
struct TileTraffic {
    int64_t codes;        ///< read: packed codes, once per column of tiles
    int64_t activations;  ///< read: all of them, once per row of tiles
    int64_t partials;     ///< stored, and read again by whoever sums them up
};
TileTraffic tile_traffic(const TilePlan& plan, const TileProblem& problem);

/// Blocks of a tile's kernel that fit on a multiprocessor, by shared memory, threads and the registers
/// that the kernel was promised.
int resident_blocks(const DeviceProperties& device, const TileShape& shape);

}  // namespace fp6llm::cuda
