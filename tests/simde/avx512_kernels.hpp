// The AVX-512 kernel set as compiled through SIMDe: link fp6llm_simde_gemm.
#pragma once

#include "core/gemm/cpu/kernel.hpp"

namespace fp6llm::avx512_simde {

const CpuKernelSet* kernels(CpuMaker maker) noexcept;

}  // namespace fp6llm::avx512_simde
