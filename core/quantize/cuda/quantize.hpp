// core/quantize/quantize.hpp on a GPU: the same results bit for bit, device pointers in and out.
#pragma once

#include "core/device/queue.hpp"
#include "core/quantize/quantize.hpp"

namespace fp6llm::cuda {

/// As fp6llm::quantize(). Waits for the stream if there is something to report: stats, AUTO's
/// choice, or NaN and Inf with NonFinite::kError. `stats` is host memory.
DataType quantize(const Queue& queue, const QuantSpec& spec, const MatrixView& w, uint8_t* codes,
                  void* scales, QuantStats* stats);

/// As fp6llm::dequantize(). Enqueues only.
void dequantize(const Queue& queue, const QuantSpec& spec, const uint8_t* codes, const void* scales,
                const MutableMatrixView& w);

}  // namespace fp6llm::cuda
