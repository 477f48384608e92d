// The grid over every kernel set of this build that the processor can run. CMakeLists.txt runs this
// program once per instruction set, named by FP6LLM_CPU_ISA.
#include <cstdlib>

#include "tests/unit/gemm/kernel_grid.hpp"

namespace fp6llm::gemm_testing {
namespace {

std::vector<const CpuKernelSet*> available_sets() {
    const char* asked = std::getenv("FP6LLM_CPU_ISA");
    std::vector<const CpuKernelSet*> sets;
    if (asked != nullptr && asked != std::string(isa_name(active_isa()))) return sets;
    for (const CpuKernelSet* set : {portable_kernels(), avx2_kernels(), avx512_kernels()}) {
        if (set != nullptr && set->isa <= active_isa()) sets.push_back(set);
    }
    return sets;
}

FP6LLM_KERNEL_GRID(KernelGrid, available_sets(), active_isa())

}  // namespace
}  // namespace fp6llm::gemm_testing
