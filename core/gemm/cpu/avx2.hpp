// What the AVX2 translation units export to the registry row block in avx2.cpp.
#pragma once

#include "core/gemm/cpu/kernel.hpp"

namespace fp6llm::avx2 {

constexpr int kGemvTile = 1;     ///< tokens per pass over two panels
constexpr int kFusedTile = 4;    ///< tokens per pass over one: the fastest per token
constexpr int kFusedTile5 = 5;   ///< the same, for as many and what leaves one or two after fours
constexpr int kGemmTile = 6;     ///< tokens per register tile of the scratch kernel
constexpr int kIntegerTile = 5;  ///< the same of the integer kernels

extern const KernelFunctions kGemvF32, kFusedF32, kFused5F32, kGemmF32, kGemmI16, kGemmI8;

void decode_panel(const CpuWeightView& weight, int64_t panel, int64_t k0, int64_t count,
                  float* out);
void store(const OutputSink& out, const float* sums, int64_t ld, int64_t row, int64_t rows,
           int64_t token, int64_t tokens);

}  // namespace fp6llm::avx2
