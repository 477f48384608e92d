#define FP6LLM_QUANT_KERNELS avx2_quant_kernels
#define FP6LLM_QUANT_ISA Isa::kAvx2
#include "core/quantize/kernels_impl.hpp"
