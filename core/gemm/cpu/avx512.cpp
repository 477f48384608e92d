// Registry rows of the AVX-512 kernels (kernel.hpp). Baseline code: the registry may be read on any
// processor.
#include "core/gemm/cpu/avx512.hpp"

namespace fp6llm {
namespace FP6LLM_AVX512_NAMESPACE {
namespace {

constexpr CpuGemmKernel make_row(int32_t algo, const char* name, Isa isa, Arithmetic arithmetic,
                                 int panels, int64_t max_tokens, int token_tile, int group_multiple,
                                 const KernelFunctions& f) {
    return {algo,
            name,
            isa,
            CpuSwizzle::kP16,
            arithmetic,
            panels,
            max_tokens,
            group_multiple,
            f.packed_bytes,
            f.pack_tokens,
            f.scratch_bytes,
            f.multiply,
            token_tile};
}

constexpr Arithmetic kF32 = Arithmetic::kF32, kBf16 = Arithmetic::kBf16;

}  // namespace

const CpuKernelSet* kernels() noexcept {
    // Token blocks of the last rows keep packed activations of common widths within a few MiB.
    static const CpuGemmKernel rows[] = {
        make_row(200, "avx512_fp6_gemv_f32", Isa::kAvx512, kF32, 2, kGemvTokens, 0, kTileCols,
                 kGemvF32),
        make_row(201, "avx512_fp6_fused_f32", Isa::kAvx512, kF32, 1, kFusedTokens, 0, kTileCols,
                 kFusedF32),
        make_row(202, "avx512_fp6_gemm_f32", Isa::kAvx512, kF32, 2, 96, kGemmTokens, 8, kGemmF32),
        make_row(210, "avx512bf16_fp6_gemv_bf16", Isa::kAvx512Bf16, kBf16, 2, kGemvTokens, 0,
                 kTileCols, kGemvBf16),
        make_row(211, "avx512bf16_fp6_fused_bf16", Isa::kAvx512Bf16, kBf16, 1, 128, kFusedTokens,
                 kTileCols, kFusedBf16),
        make_row(212, "avx512bf16_fp6_gemm_bf16", Isa::kAvx512Bf16, kBf16, 2, 192, kGemmTokens, 8,
                 kGemmBf16),
    };
    static const CpuKernelSet set = {Isa::kAvx512, rows, sizeof rows / sizeof rows[0], decode_panel,
                                     store};
    return &set;
}

}  // namespace FP6LLM_AVX512_NAMESPACE

#ifndef FP6LLM_AVX512_EMULATED
const CpuKernelSet* avx512_kernels() noexcept {
    return avx512::kernels();
}
#endif

}  // namespace fp6llm
