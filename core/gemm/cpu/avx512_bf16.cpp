// AVX-512 kernels with bf16 dot products (vdpbf16ps): exact products of bf16 activations, which is
// what fp16 and fp32 activations are rounded to. vdpbf16ps takes subnormal bf16 activations for
// zero.
#include "core/gemm/cpu/avx512_multiply.hpp"

namespace fp6llm::FP6LLM_AVX512_NAMESPACE {
namespace {

struct Bf16Ops {
    using Step = int32_t;
    static constexpr int kPairSteps = 1;
    static constexpr int kChains = 12;
    static constexpr int kScratchColumns = 384;

    static constexpr int64_t steps(int64_t columns) { return columns / 2; }

    FP6LLM_AVX512_INLINE __m512i load_steps(const float* values, int64_t step) {
        const __m512 low = _mm512_load_ps(values + 2 * step);
        const __m512 high = _mm512_load_ps(values + 2 * step + 16);
        return (__m512i)_mm512_cvtne2ps_pbh(high, low);
    }

    template <class Use>
    FP6LLM_AVX512_INLINE void for_each_step(__m512i pair, Use use) {
        use(0, pair);
    }

    FP6LLM_AVX512_INLINE __m512 multiply_add(__m512 sum, __m512i weights, const int32_t* x) {
        return _mm512_dpbf16_ps(sum, (__m512bh)weights, (__m512bh)_mm512_set1_epi32(*x));
    }
};

}  // namespace

constexpr KernelFunctions kGemvBf16 = gemv_functions<Bf16Ops>();
constexpr KernelFunctions kFusedBf16 = fused_functions<Bf16Ops>();
constexpr KernelFunctions kGemmBf16 = gemm_functions<Bf16Ops>();

}  // namespace fp6llm::FP6LLM_AVX512_NAMESPACE
