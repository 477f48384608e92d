// Dispatch between the kernel sets.
#include "core/quantize/kernels.hpp"

#include <initializer_list>

namespace fp6llm {

#if !defined(FP6LLM_X86)
const QuantKernels* avx2_quant_kernels() noexcept {
    return nullptr;
}
const QuantKernels* avx512_quant_kernels() noexcept {
    return nullptr;
}
#endif

void RowStats::add(const RowStats& other) noexcept {
    squared_error += other.squared_error;
    squared_signal += other.squared_signal;
    if (other.max_abs_error > max_abs_error) max_abs_error = other.max_abs_error;
    saturated += other.saturated;
    non_finite += other.non_finite;
}

const QuantKernels& active_quant_kernels() noexcept {
    for (const QuantKernels* kernels : {avx512_quant_kernels(), avx2_quant_kernels()}) {
        if (kernels != nullptr && kernels->isa <= active_isa()) return *kernels;
    }
    return *portable_quant_kernels();
}

}  // namespace fp6llm
