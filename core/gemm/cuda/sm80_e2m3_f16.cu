// E2M3 times fp16, in the f16 tag: 33 instructions decode 16 weights.
#include "core/gemm/cuda/sm80_kernels.cuh"

FP6LLM_SM80_KERNELS(sm80_e2m3_f16_gemm, __half, L3Tag::kF16, L3Format::kE2M3)
