// Float matrices whose quantization is hard: ties, zero rows, subnormal numbers, huge and tiny
// rows, outliers, and, where wanted, NaN and Inf.
#pragma once

#include <cstdint>
#include <vector>

#include "fp6llm/fp6llm.h"

namespace fp6llm::gpu_test {

/// A row-major matrix in elements of its type.
struct Matrix {
    fp6llmDataType_t type;
    int64_t rows, cols, ld;
    std::vector<uint8_t> bytes;  ///< [rows * ld] elements

    size_t element_bytes() const { return type == FP6LLM_R_32F ? 4 : 2; }
};

enum class Values { kFinite, kAny };

Matrix make_matrix(fp6llmDataType_t type, int64_t rows, int64_t cols, int64_t ld, Values values,
                   unsigned seed);

}  // namespace fp6llm::gpu_test
