// AVX-512 kernels with bf16 dot products (vdpbf16ps), which take subnormal bf16 activations for zero.
//
//   Bf16Ops     exact products of bf16 activations, which is what fp16 and fp32 are rounded to
//   Bf16x2Ops   x = upper + lower part, both bf16, one dot product each: every finite fp16 is such a
//               sum (11 bits of significand in 8 + 8, no part subnormal), fp32 keeps 16 bits
#include "core/gemm/cpu/avx512_float.hpp"

namespace fp6llm::FP6LLM_AVX512_NAMESPACE {
namespace {

struct Bf16Weights {
    using Step = int32_t;
    using Table = Bf16Table;
    static constexpr int kChains = 12;  // more would be 24 sums of 6 tokens, which spill
    static constexpr int kColumns = 2;
    static constexpr int kScratchColumns = 384;
    static constexpr bool kFoldsScales = true;
    static constexpr int64_t kFarPrefetch = 8192;

    FP6LLM_AVX512_INLINE Table load_table(TileFamily family) { return load_bf16_table(family); }

    template <bool kHeld, class AnyTable, class Use>
    FP6LLM_AVX512_INLINE void for_each_step(const AnyTable& table, const uint8_t* tile, Use use) {
        for_each_pair<kHeld>(table, tile, use);
    }

    template <class AnyTable, class Use>
    FP6LLM_AVX512_INLINE void for_each_step_of_two(const AnyTable (&tables)[2],
                                                   const uint8_t* const (&tiles)[2], Use use) {
        for_each_pair_of_two(tables, tiles, use);
    }

    FP6LLM_AVX512_INLINE __m512i broadcast(const int32_t* x) { return _mm512_set1_epi32(*x); }
    FP6LLM_AVX512_INLINE __m512 multiply_add(__m512 sum, __m512i weights, __m512i x) {
        return _mm512_dpbf16_ps(sum, (__m512bh)weights, (__m512bh)x);
    }
    FP6LLM_AVX512_INLINE __m512 multiply_add(__m512 sum, __m512i weights, const int32_t* x) {
        FP6LLM_AVX512_DOT_AT("vdpbf16ps", sum, weights, x,
                             multiply_add(sum, weights, broadcast(x)));
        return sum;
    }
};

struct Bf16Ops : Bf16Weights, FloatLoops<Bf16Ops> {
    static constexpr int kParts = 1;

    FP6LLM_AVX512_INLINE __m512i load_steps(const float* values, int64_t step) {
        const __m512 low = _mm512_load_ps(values + 2 * step);
        const __m512 high = _mm512_load_ps(values + 2 * step + 16);
        return (__m512i)_mm512_cvtne2ps_pbh(high, low);
    }
};

struct Bf16x2Ops : Bf16Weights, FloatLoops<Bf16x2Ops> {
    static constexpr int kParts = 2;

    /// Eight pairs: of upper parts in even lanes, of lower parts in odd ones.
    FP6LLM_AVX512_INLINE __m512i load_steps(const float* values, int64_t step) {
        const __m512i bits = _mm512_castps_si512(_mm512_load_ps(values + step));
        const __m512i upper_mask = _mm512_set1_epi32(static_cast<int32_t>(0xFFFF0000u));
        // Cut off rather than rounded: the largest values would become infinite.
        const __m512i upper = _mm512_and_si512(bits, upper_mask);
        // Infinity has no lower part; infinity minus itself would be NaN.
        const __mmask16 infinite = _mm512_cmpeq_epi32_mask(
            _mm512_and_si512(bits, _mm512_set1_epi32(0x7FFFFFFF)), _mm512_set1_epi32(0x7F800000));
        const __m512 lower =
            _mm512_maskz_sub_ps(static_cast<__mmask16>(~infinite), _mm512_castsi512_ps(bits),
                                _mm512_castsi512_ps(upper));
        const auto parts = (__m512i)_mm512_cvtne2ps_pbh(lower, _mm512_castsi512_ps(upper));
        const __m512i order =
            _mm512_set_epi32(15, 7, 14, 6, 13, 5, 12, 4, 11, 3, 10, 2, 9, 1, 8, 0);
        return _mm512_permutexvar_epi32(order, parts);
    }
};

}  // namespace

constexpr KernelFunctions kGemvBf16 = gemv_functions<Bf16Ops>();
constexpr KernelFunctions kFusedBf16 = fused_functions<Bf16Ops>();
constexpr KernelFunctions kWideBf16 = wide_functions<Bf16Ops>();
constexpr KernelFunctions kGemmBf16 = gemm_functions<Bf16Ops>();
constexpr KernelFunctions kGemvBf16x2 = gemv_functions<Bf16x2Ops>();
constexpr KernelFunctions kFusedBf16x2 = fused_functions<Bf16x2Ops>();
constexpr KernelFunctions kGemmBf16x2 = gemm_functions<Bf16x2Ops>();

}  // namespace fp6llm::FP6LLM_AVX512_NAMESPACE
