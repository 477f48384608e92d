// decode_triple() alone, for counting its instructions (check.py): <tag>_<format>_<activation>_x1 and
// _x5 decode one and five triples, so that a fourth of their difference is one triple's share and
// nothing of a kernel's frame. Never run.
#include "core/gemm/cuda/l3_decode.cuh"

namespace fp6llm::cuda {
namespace {

template <L3Tag kTag, typename Activation, L3Format kFormat, int kTriples>
__device__ __forceinline__ void decode_triples(const uint4* __restrict__ words,
                                               uint4* __restrict__ registers) {
    uint32_t first[kTriples][4], second[kTriples][4];
#pragma unroll
    for (int i = 0; i < kTriples; ++i) {
        const uint4 w = words[5 * threadIdx.x + i];
        decode_triple<kTag, Activation, kFormat>(w.x, w.y, w.z, first[i], second[i]);
    }
#pragma unroll
    for (int i = 0; i < kTriples; ++i) {
        registers[10 * threadIdx.x + 2 * i] =
            make_uint4(first[i][0], first[i][1], first[i][2], first[i][3]);
        registers[10 * threadIdx.x + 2 * i + 1] =
            make_uint4(second[i][0], second[i][1], second[i][2], second[i][3]);
    }
}

}  // namespace
}  // namespace fp6llm::cuda

using namespace fp6llm::cuda;

#define FP6LLM_DECODER(name, tag, Activation, format)                            \
    extern "C" __global__ void name##_x1(const uint4* words, uint4* registers) { \
        decode_triples<tag, Activation, format, 1>(words, registers);            \
    }                                                                            \
    extern "C" __global__ void name##_x5(const uint4* words, uint4* registers) { \
        decode_triples<tag, Activation, format, 5>(words, registers);            \
    }

FP6LLM_DECODER(f16_e3m2_f16, L3Tag::kF16, __half, L3Format::kE3M2)
FP6LLM_DECODER(f16_e2m3_f16, L3Tag::kF16, __half, L3Format::kE2M3)
FP6LLM_DECODER(bf16_e3m2_bf16, L3Tag::kBF16, __nv_bfloat16, L3Format::kE3M2)
FP6LLM_DECODER(bf16_e2m3_bf16, L3Tag::kBF16, __nv_bfloat16, L3Format::kE2M3)
FP6LLM_DECODER(f16_e3m2_bf16, L3Tag::kF16, __nv_bfloat16, L3Format::kE3M2)
FP6LLM_DECODER(f16_e2m3_bf16, L3Tag::kF16, __nv_bfloat16, L3Format::kE2M3)
