// AVX-512 kernels with fp32 arithmetic: exact products for any activation type. Needs F+BW+DQ+VL.
#include "core/gemm/cpu/avx512_float.hpp"
#include "core/gemm/cpu/store_impl.hpp"

namespace fp6llm::FP6LLM_AVX512_NAMESPACE {
namespace {

struct F32Ops : FloatLoops<F32Ops> {
    using Step = float;
    using Table = Bf16Table;
    static constexpr int kChains = 9;
    static constexpr int kColumns = 1;
    static constexpr int kParts = 1;
    static constexpr int kScratchColumns = 192;
    static constexpr bool kFoldsScales = true;
    static constexpr int64_t kFarPrefetch = 9216;

    FP6LLM_AVX512_INLINE __m512i load_steps(const float* values, int64_t step) {
        return _mm512_castps_si512(_mm512_load_ps(values + step));
    }

    FP6LLM_AVX512_INLINE Table load_table(TileFamily family) { return load_bf16_table(family); }

    template <bool kHeld, class AnyTable, class Use>
    FP6LLM_AVX512_INLINE void for_each_step(const AnyTable& table, const uint8_t* tile, Use use) {
        for_each_pair<kHeld>(table, tile,
                             [&](int pair, __m512i values) FP6LLM_AVX512_INLINE_LAMBDA {
                                 use(2 * pair, _mm512_castps_si512(even_values(values)));
                                 use(2 * pair + 1, _mm512_castps_si512(odd_values(values)));
                             });
    }

    FP6LLM_AVX512_INLINE __m512 broadcast(const float* x) { return _mm512_set1_ps(*x); }
    FP6LLM_AVX512_INLINE __m512 multiply_add(__m512 sum, __m512i weights, __m512 x) {
        return _mm512_fmadd_ps(_mm512_castsi512_ps(weights), x, sum);
    }
    FP6LLM_AVX512_INLINE __m512 multiply_add(__m512 sum, __m512i weights, const float* x) {
        return multiply_add(sum, weights, broadcast(x));
    }
};

}  // namespace

constexpr KernelFunctions kGemvF32 = gemv_functions<F32Ops>();
constexpr KernelFunctions kFusedF32 = fused_functions<F32Ops>();
constexpr KernelFunctions kGemmF32 = gemm_functions<F32Ops>();

void decode_panel(const CpuWeightView& weight, int64_t panel, int64_t k0, int64_t count,
                  float* out) {
    const Bf16Table table = load_bf16_table(weight.family);
    const int64_t group_size = group_columns(weight);
    int64_t scaled_to = 0;  // the scales in `scales` hold for columns below
    __m512 scales = _mm512_setzero_ps();
    const auto put = [&](int64_t k, __m512 values) {
        if (k >= scaled_to) {
            const int64_t group = k / group_size;
            // Columns past the last group are padding: zero at any scale.
            if (group < weight.groups) scales = load_scales(weight, panel, group);
            scaled_to = (group + 1) * group_size;
        }
        _mm512_storeu_ps(out + (k - k0) * kLanes, _mm512_mul_ps(values, scales));
    };
    for (int64_t k = k0; k < k0 + count; k += kTileCols) {
        for_each_pair</*kHeld=*/false>(table, tile_address(weight, panel, k / kTileCols),
                                       [&](int pair, __m512i values) FP6LLM_AVX512_INLINE_LAMBDA {
                                           put(k + 2 * pair, even_values(values));
                                           put(k + 2 * pair + 1, odd_values(values));
                                       });
    }
}

void store(const OutputSink& out, const KernelSums& sums, int64_t row, int64_t rows, int64_t token,
           int64_t tokens) {
    store_sums(out, sums, row, rows, token, tokens);
}

}  // namespace fp6llm::FP6LLM_AVX512_NAMESPACE
