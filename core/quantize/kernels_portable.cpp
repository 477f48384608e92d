#define FP6LLM_QUANT_KERNELS portable_quant_kernels
#define FP6LLM_QUANT_ISA Isa::kPortable
#include "core/quantize/kernels_impl.hpp"
