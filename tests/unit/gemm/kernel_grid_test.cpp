// The grid over every kernel set of this build that the processor can run. CMakeLists.txt runs this
// program once per instruction set: FP6LLM_CPU_ISA also decides how weights are packed.
#include "tests/unit/gemm/kernel_grid.hpp"

namespace fp6llm::gemm_testing {
namespace {

std::vector<const CpuKernelSet*> available_sets() {
    std::vector<const CpuKernelSet*> sets;
    for (const CpuKernelSet* set : {portable_kernels(), avx2_kernels(), avx512_kernels()}) {
        if (set != nullptr && set->isa <= active_isa()) sets.push_back(set);
    }
    return sets;
}

FP6LLM_KERNEL_GRID(KernelGrid, available_sets(), active_isa())

}  // namespace
}  // namespace fp6llm::gemm_testing
