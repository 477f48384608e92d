// E3M2 (and its subsets) times bfloat16, from weights in the f16 tag: 41 instructions for 16 weights.
#include "core/gemm/cuda/sm80_kernels.cuh"

FP6LLM_SM80_KERNELS(sm80_e3m2_f16tag_bf16_gemm, __nv_bfloat16, L3Tag::kF16, L3Format::kE3M2)
