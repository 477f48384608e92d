// The AVX2 kernels: their rows of the registry. Baseline code, constants only.
#include "core/gemm/cpu/avx2.hpp"

namespace fp6llm {
namespace {

constexpr CpuGemmKernel kKernels[] = {
    {104, "avx2_fp6_gemv_f32", Isa::kAvx2, CpuSwizzle::kS16, Arithmetic::kF32, 2, 1, kTileCols,
     avx2::packed_bytes, avx2::gemv_pack_tokens, avx2::gemv_scratch_bytes, avx2::gemv_multiply,
     avx2::kGemvTile, /*min_tokens=*/1, /*wins_up_to=*/0, avx2::gemv_pack_columns},
    {100, "avx2_fp6_fused_f32", Isa::kAvx2, CpuSwizzle::kS16, Arithmetic::kF32, 1, 12, kTileCols,
     avx2::packed_bytes, avx2::fused_pack_tokens, avx2::fused_scratch_bytes, avx2::fused_multiply,
     avx2::kFusedTile, /*min_tokens=*/1, /*wins_up_to=*/0, avx2::fused_pack_columns},
    {101, "avx2_fp6_gemm_f32", Isa::kAvx2, CpuSwizzle::kS16, Arithmetic::kF32, 1, 192, 8,
     avx2::packed_bytes, avx2::gemm_pack_tokens, avx2::gemm_scratch_bytes, avx2::gemm_multiply,
     avx2::kGemmTile, /*min_tokens=*/1, /*wins_up_to=*/0, avx2::gemm_pack_columns},
    {102, "avx2_fp6_gemm_i16", Isa::kAvx2, CpuSwizzle::kS16, Arithmetic::kI16, 1, 480, 8,
     avx2::i16_packed_bytes, avx2::i16_pack_tokens, avx2::i16_scratch_bytes, avx2::i16_multiply,
     avx2::kIntegerTile, /*min_tokens=*/5},
    {103, "avx2_e2m3_gemm_i8", Isa::kAvx2, CpuSwizzle::kS16, Arithmetic::kI8, 1, 480, 32,
     avx2::i8_packed_bytes, avx2::i8_pack_tokens, avx2::i8_scratch_bytes, avx2::i8_multiply,
     avx2::kIntegerTile, /*min_tokens=*/4},
};

constexpr CpuKernelSet kSet = {Isa::kAvx2, kKernels, sizeof kKernels / sizeof kKernels[0],
                               avx2::decode_panel, avx2::store};

}  // namespace

const CpuKernelSet* avx2_kernels() noexcept {
    return &kSet;
}

}  // namespace fp6llm
