// See CMakeLists.txt.
#define FP6LLM_VEC_LANES 16
#define FP6LLM_QUANT_KERNELS lowered_avx512_quant_kernels
#define FP6LLM_QUANT_ISA Isa::kAvx512
namespace fp6llm {
struct QuantKernels;
const QuantKernels* lowered_avx512_quant_kernels() noexcept;
}  // namespace fp6llm
#include "core/quantize/kernels_impl.hpp"
