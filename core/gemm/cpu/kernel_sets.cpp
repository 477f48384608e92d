// Kernel sets that this build lacks: processors other than x86-64 have the portable one only.
#include "core/gemm/cpu/kernel.hpp"

namespace fp6llm {

#ifndef FP6LLM_GEMM_AVX2
const CpuKernelSet* avx2_kernels() noexcept {
    return nullptr;
}
#endif

#ifndef FP6LLM_GEMM_AVX512
const CpuKernelSet* avx512_kernels() noexcept {
    return nullptr;
}
#endif

}  // namespace fp6llm
