// A multiplication on a GPU, as code without CUDA headers sees it; problem.hpp has the formula, and
// TokenSource and OutputSink, whose pointers are device pointers here.
#pragma once

#include "core/gemm/problem.hpp"
#include "core/prepack/device_weight.hpp"

namespace fp6llm {

/// One multiplication by a weight [rows, cols]. Not transposed: k = cols, outputs = rows.
/// Transposed: k = rows, outputs = cols.
struct DeviceGemmProblem {
    const DeviceWeight* weight;
    bool transposed;
    int64_t tokens;
    ComputeType compute;
    DataType x_type;
    DataType y_type;
    int64_t outputs() const noexcept { return transposed ? weight->cols() : weight->rows(); }
    int64_t k() const noexcept { return transposed ? weight->rows() : weight->cols(); }
};

/// Where a kernel finds alpha and beta: OutputSink's, unless these point to device memory.
struct DeviceScalars {
    const float* alpha = nullptr;
    const float* beta = nullptr;
};

/// One way to run a multiplication, as a caller sees it.
struct GemmChoice {
    int32_t algo;
    const char* name;  ///< kernel name; static
    size_t workspace_bytes;
    bool is_reference;
};

}  // namespace fp6llm
