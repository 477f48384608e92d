// E2M3 times bfloat16, from weights in the f16 tag.
#include "core/gemm/cuda/sm80_kernels.cuh"

FP6LLM_SM80_KERNELS(sm80_e2m3_f16tag_bf16_gemm, __nv_bfloat16, L3Tag::kF16, L3Format::kE2M3)
