#include "core/quantize/cuda/quantize.hpp"

namespace fp6llm::cuda {

DataType quantize(const Queue&, const QuantSpec&, const MatrixView&, uint8_t*, void*, QuantStats*) {
    fail(Status::kNotSupported, "quantizing on CUDA is not in this version; a CPU handle does it");
}

void dequantize(const Queue&, const QuantSpec&, const uint8_t*, const void*,
                const MutableMatrixView&) {
    fail(Status::kNotSupported,
         "dequantizing on CUDA is not in this version; a CPU handle does it");
}

}  // namespace fp6llm::cuda
