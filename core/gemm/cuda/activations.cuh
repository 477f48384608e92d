// Parameters of the small kernels around a multiplication (activations.cu, simt.cu), shared by host
// and device code.
#pragma once

#include "core/gemm/cuda/params.hpp"

namespace fp6llm::cuda {

/// Activations as the caller has them -> rows that the Tensor Core kernels can copy: 16-bit elements,
/// rows a multiple of 16 bytes, zero behind the last column.
struct PackParams {
    const void* x;  ///< element (t, k) at t * token_stride + k * k_stride
    int64_t token_stride, k_stride;
    uint16_t* packed;  ///< [parts][tokens][ld]
    int64_t ld;        ///< k rounded up to 8
    int64_t tokens, k;
    Element x_type;
    Element type;  ///< kF16 or kBF16
    int32_t
        parts;  ///< bf16 only: x is the sum of so many bfloat16 numbers, exactly where they suffice
                ///< (fp16: 2, fp32: 3), the largest first
};

/// y = epilogue(sum over parts of raw): what is left of a multiplication whose activations came in
/// parts, or of one that has no product at all (parts = 0).
struct FinishParams {
    const float* raw;  ///< [parts][tokens][ld]
    int64_t ld;
    int64_t tokens, rows;
    int32_t parts;
    EpilogueParams epilogue;
};

/// The plain product on fp32 arithmetic, either transpose.
struct SimtParams {
    const uint8_t* weights;  ///< as in GemmParams
    const void* scales;
    const void* x;
    int64_t token_stride, k_stride;
    EpilogueParams epilogue;
    int64_t rows, cols;  ///< of the weight
    int64_t tokens;
    int32_t k_units, groups, group_size;
    Element x_type;
    int32_t is_bf16_tag, is_e2m3, is_row_scaled, is_mx, is_transposed;
};

}  // namespace fp6llm::cuda
