#define FP6LLM_QUANT_KERNELS avx512_quant_kernels
#define FP6LLM_QUANT_ISA Isa::kAvx512
#include "core/quantize/kernels_impl.hpp"
