// The AVX2 kernels: their rows of the registry. Baseline code, constants only.
#include "core/gemm/cpu/avx2.hpp"

#include "core/common/cpu.hpp"

namespace fp6llm {
namespace {

constexpr CpuGemmKernel make_row(int32_t algo, const char* name, Arithmetic arithmetic, int panels,
                                 int64_t max_tokens, int token_tile, int group_multiple,
                                 const KernelFunctions& f, int64_t min_tokens = 1,
                                 int64_t wins_up_to = 0) {
    return {f,      algo,       name,           Isa::kAvx2, CpuSwizzle::kS16, arithmetic,
            panels, max_tokens, group_multiple, token_tile, min_tokens,       wins_up_to};
}

constexpr CpuGemmKernel for_s8(CpuGemmKernel row) {
    row.swizzle = CpuSwizzle::kS8;
    return row;
}

constexpr int64_t kFusedTokens = 20;  // of both, so that rule 3 of plan.cpp weighs their tiles
constexpr int64_t kFusedWins = 12;

// Where rows take over from each other was measured on Zen 3, kernels taking turns; what `script/bench cpu
// --m 3,4,5,6,12,13 --compute 32f,16i,8i` prints is the like of it.
struct Set {
    explicit Set(int w)
        : rows{
              make_row(104, "avx2_fp6_gemv_f32", Arithmetic::kF32, 2, 1, avx2::kGemvTile, kTileCols,
                       avx2::kGemvF32[w]),
              make_row(100, "avx2_fp6_fused_f32", Arithmetic::kF32, 1, kFusedTokens,
                       avx2::kFusedTile, kTileCols, avx2::kFusedF32[w], /*min_tokens=*/1,
                       kFusedWins),
              make_row(105, "avx2_fp6_fused5_f32", Arithmetic::kF32, 1, kFusedTokens,
                       avx2::kFusedTile5, kTileCols, avx2::kFused5F32[w], /*min_tokens=*/1,
                       kFusedWins),
              make_row(101, "avx2_fp6_gemm_f32", Arithmetic::kF32, 1, 192, avx2::kGemmTile, 8,
                       avx2::kGemmF32[w]),
              make_row(102, "avx2_fp6_gemm_i16", Arithmetic::kI16, 1, 480, avx2::kIntegerTile, 8,
                       avx2::kGemmI16[w], /*min_tokens=*/6),
              make_row(103, "avx2_e2m3_gemm_i8", Arithmetic::kI8, 1, 480, avx2::kIntegerTile, 32,
                       avx2::kGemmI8, /*min_tokens=*/5),
              for_s8(make_row(106, "avx2_s8_gemv_i8", Arithmetic::kI8, 2, 1, avx2::kGemvTile,
                              kS8Columns, avx2::kS8GemvI8)),
              for_s8(make_row(107, "avx2_s8_fused_i8", Arithmetic::kI8, 1, avx2::kFusedI8Tile,
                              avx2::kFusedI8Tile, kS8Columns, avx2::kS8FusedI8)),
              for_s8(make_row(108, "avx2_s8_gemm_i8", Arithmetic::kI8, 1, 480, avx2::kIntegerTile,
                              kS8Columns, avx2::kS8GemmI8)),
              for_s8(make_row(109, "avx2_s8_gemv_f32", Arithmetic::kF32, 2, 1, avx2::kGemvTile,
                              kTileCols, avx2::kS8GemvF32[w])),
              for_s8(make_row(110, "avx2_s8_fused_f32", Arithmetic::kF32, 1, kFusedTokens,
                              avx2::kFusedTile, kTileCols, avx2::kS8FusedF32[w], /*min_tokens=*/1,
                              kFusedWins)),
              for_s8(make_row(111, "avx2_s8_fused5_f32", Arithmetic::kF32, 1, kFusedTokens,
                              avx2::kFusedTile5, kTileCols, avx2::kS8Fused5F32[w], /*min_tokens=*/1,
                              kFusedWins)),
              for_s8(make_row(112, "avx2_s8_gemm_f32", Arithmetic::kF32, 1, 192, avx2::kGemmTile, 8,
                              avx2::kS8GemmF32[w])),
              for_s8(make_row(113, "avx2_s8_gemm_i16", Arithmetic::kI16, 1, 480, avx2::kIntegerTile,
                              8, avx2::kS8GemmI16[w], /*min_tokens=*/6)),
          },
          set{Isa::kAvx2, rows, sizeof rows / sizeof rows[0], avx2::kDecodePanel[w], avx2::store} {}
    Set(const Set&) = delete;
    Set& operator=(const Set&) = delete;

    const CpuGemmKernel rows[14];
    const CpuKernelSet set;
};

}  // namespace

const CpuKernelSet* avx2::kernels(Weights weights) noexcept {
    static const Set placed(static_cast<int>(Weights::kPlaced));
    static const Set normal(static_cast<int>(Weights::kNormal));
    return weights == Weights::kPlaced ? &placed.set : &normal.set;
}

const CpuKernelSet* avx2_kernels() noexcept {
    return avx2::kernels(has_slow_subnormals() ? avx2::Weights::kNormal : avx2::Weights::kPlaced);
}

}  // namespace fp6llm
