// A multiplication as the core sees it, free of column-major conventions: tokens in, tokens out.
//
//   y[t, o] = act(alpha * sum_i w[o, i] * x[t, i] + beta * y[t, o] + bias[o]) + residual[t, o]
#pragma once

#include <cstdint>

#include "core/common/parallel.hpp"
#include "core/common/types.hpp"
#include "core/prepack/weight.hpp"

namespace fp6llm {

/// Activations: element k of token t is data[t * token_stride + k * k_stride].
struct TokenSource {
    const void* data;
    DataType type;  ///< kF32, kF16 or kBF16
    int64_t k;      ///< elements per token
    int64_t token_stride;
    int64_t k_stride;  ///< 1, or the leading dimension when B is transposed
};

/// Outputs: element o of token t is data[t * ld + o].
struct OutputSink {
    void* data;
    DataType type;  ///< kF32, kF16 or kBF16
    int64_t ld;
    float alpha = 1.0f;
    float beta = 0.0f;           ///< 0: data is never read
    const void* bias = nullptr;  ///< [outputs]
    DataType bias_type = DataType::kF32;
    Activation activation = Activation::kNone;
    const void* residual = nullptr;  ///< [tokens, ldr]; may be data itself
    DataType residual_type = DataType::kF32;
    int64_t ldr = 0;
};

/// One multiplication by a weight [rows, cols]. Not transposed: k = cols, outputs = rows.
/// Transposed: k = rows, outputs = cols.
struct GemmProblem {
    const Weight* weight;
    bool transposed;
    int64_t tokens;
    ComputeType compute;
    DataType x_type;
    DataType y_type;
    int64_t outputs() const noexcept {
        return transposed ? weight->cpu().cols : weight->cpu().rows;
    }
    int64_t k() const noexcept { return transposed ? weight->cpu().rows : weight->cpu().cols; }
};

}  // namespace fp6llm
