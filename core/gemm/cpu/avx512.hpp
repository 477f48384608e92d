// What the AVX-512 translation units export to the registry row block in avx512.cpp.
//
//   avx512.cpp       baseline code: the kernel table, never runs a vector instruction
//   avx512_f32.cpp   -mavx512f/bw/dq/vl: fp32 kernels, decode_panel, store
//   avx512_i16.cpp, avx512_i8.cpp   the same with -mavx512vnni/vbmi: integer kernels
//   avx512_bf16.cpp  the same with -mavx512bf16: vdpbf16ps kernels
#pragma once

#include "core/gemm/cpu/avx512_intrinsics.hpp"
#include "core/gemm/cpu/kernel.hpp"

namespace fp6llm::FP6LLM_AVX512_NAMESPACE {

/// Tokens that a kernel keeps in registers at a time.
constexpr int kGemvTokens = 3;    ///< one panel or two
constexpr int kFusedTokens = 16;  ///< one panel, decoded in registers
constexpr int kGemmTokens = 12;   ///< two panels, decoded in registers (wide) or to scratch

extern const KernelFunctions kGemvF32, kFusedF32, kGemmF32;
extern const KernelFunctions kGemvBf16, kFusedBf16, kWideBf16, kGemmBf16;
extern const KernelFunctions kGemvBf16x2, kFusedBf16x2, kGemmBf16x2;
extern const KernelFunctions kGemvI16, kFusedI16, kGemmI16;
extern const KernelFunctions kGemvI8, kFusedI8, kGemmI8;
extern const KernelFunctions kGemvI8Words, kFusedI8Words, kGemmI8Words;  ///< for AMD's processors

void decode_panel(const CpuWeightView& weight, int64_t panel, int64_t k0, int64_t count,
                  float* out);
void store(const OutputSink& out, const KernelSums& sums, int64_t row, int64_t rows, int64_t token,
           int64_t tokens);

/// How far ahead of the weights that it multiplies a kernel of so many panels asks for those to come:
/// `far` where one stream is read as AMD's processors like it.
int64_t prefetch_bytes(int panels, int64_t far) noexcept;

/// The rows for a maker's processors, for tests: avx512_kernels() chooses. Or their emulation, which no
/// plan chooses.
const CpuKernelSet* kernels(CpuMaker maker) noexcept;

}  // namespace fp6llm::FP6LLM_AVX512_NAMESPACE
