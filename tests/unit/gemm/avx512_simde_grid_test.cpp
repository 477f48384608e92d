// The kernel grid over the AVX-512 kernels, emulated by SIMDe. Runs under FP6LLM_CPU_ISA=portable,
// so that weights are packed in the layout that AVX-512 shares with the portable kernels.
#include "tests/simde/avx512_kernels.hpp"
#include "tests/unit/gemm/kernel_grid.hpp"

namespace fp6llm::gemm_testing {
namespace {

FP6LLM_KERNEL_GRID(SimdeAvx512, {avx512_simde::kernels(CpuMaker::kOther)}, Isa::kAvx512Bf16)

}  // namespace
}  // namespace fp6llm::gemm_testing
