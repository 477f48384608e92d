// What the AVX2 translation units export to the registry row block in avx2.cpp.
#pragma once

#include "core/gemm/cpu/kernel.hpp"

namespace fp6llm::avx2 {

constexpr int kGemvTile = 1;     ///< tokens per pass over two panels
constexpr int kFusedTile = 4;    ///< tokens per pass over one: the fastest per token
constexpr int kFusedTile5 = 5;   ///< the same, for as many and what leaves one or two after fours
constexpr int kGemmTile = 6;     ///< tokens per register tile of the scratch kernel
constexpr int kIntegerTile = 5;  ///< the same of the integer kernels
constexpr int kFusedI8Tile = 4;  ///< tokens per pass over one panel of S8's

/// What weights are decoded to before they are multiplied. Results are the same bits, but where sums
/// reach the ends of fp32's range.
enum class Weights {
    kPlaced,  ///< some are subnormal: fast on AMD's processors
    kNormal,  ///< two more operations for each eight (avx2_decode.hpp, NormalTile)
};

/// By Weights.
extern const KernelFunctions kGemvF32[2], kFusedF32[2], kFused5F32[2], kGemmF32[2], kGemmI16[2];
extern void (*const kDecodePanel[2])(const CpuWeightView& weight, int64_t panel, int64_t k0,
                                     int64_t count, float* out);
extern const KernelFunctions kGemmI8;

/// Turns tiles of S8 into S16's.
void convert_tiles(const uint8_t* tile, int64_t count, uint8_t* out);
constexpr int64_t kS16Padding = 64;  ///< bytes around S16's tiles that its kernels may read

/// For weights in S8; the latter turn them into S16 first.
extern const KernelFunctions kS8GemvI8, kS8FusedI8, kS8GemmI8;
extern const KernelFunctions kS8GemvF32[2], kS8FusedF32[2], kS8Fused5F32[2], kS8GemmF32[2],
    kS8GemmI16[2];

/// The kernels of either, for tests: avx2_kernels() chooses.
const CpuKernelSet* kernels(Weights weights) noexcept;

void store(const OutputSink& out, const KernelSums& sums, int64_t row, int64_t rows, int64_t token,
           int64_t tokens);

}  // namespace fp6llm::avx2
