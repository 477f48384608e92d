// E3M2 (and its subsets) times bfloat16, in the bf16 tag: 25 instructions decode 16 weights.
#include "core/gemm/cuda/sm80_kernels.cuh"

FP6LLM_SM80_KERNELS(sm80_e3m2_bf16_gemm, __nv_bfloat16, L3Tag::kBF16, L3Format::kE3M2)
