// Launching the kernels that quantize to plain codes, or only measure.
#pragma once

#include "core/quantize/cuda/row_quantizer.hpp"

namespace fp6llm::cuda {

void launch_plain_rows(const Queue& queue, const RowQuantizer& quantizer, const MatrixView& w,
                       const QuantParams& params, const PlainOutputParams& output);

}  // namespace fp6llm::cuda
