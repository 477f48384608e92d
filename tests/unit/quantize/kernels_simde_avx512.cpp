// The AVX-512 kernels' source, intrinsics included, for processors without AVX-512: see
// CMakeLists.txt.
#define FP6LLM_QUANT_KERNELS simde_avx512_quant_kernels
#define FP6LLM_QUANT_ISA Isa::kAvx512
namespace fp6llm {
struct QuantKernels;
const QuantKernels* simde_avx512_quant_kernels() noexcept;
}  // namespace fp6llm
#include "core/quantize/kernels_impl.hpp"
