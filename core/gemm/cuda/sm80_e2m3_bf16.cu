// E2M3 times bfloat16, in the bf16 tag.
#include "core/gemm/cuda/sm80_kernels.cuh"

FP6LLM_SM80_KERNELS(sm80_e2m3_bf16_gemm, __nv_bfloat16, L3Tag::kBF16, L3Format::kE2M3)
