// cublasLt, found at run time: the dense baseline. Declared by hand, so that no header of it is needed;
// the numbers are cublasLt.h's (cuBLAS 12 and 13).
#pragma once

#include <cuda.h>

#include <memory>
#include <string>
#include <vector>

#include "fp6llm/fp6llm.h"

namespace fp6llm::bench {

/// A dense product with fp32 sums and an algorithm that cublasLt's heuristic proposed.
class DenseProduct;

class CublasLt {
  public:
    /// Loads FP6LLM_CUBLASLT, or libcublasLt.so.13 or .12 from the loader's path. nullptr, with the
    /// reason in `why`, if there is none.
    static std::unique_ptr<CublasLt> load(std::string* why);
    ~CublasLt();
    const std::string& name() const noexcept { return name_; }

    /// D[m, n] = op(A)[m, k] B[k, n], column-major, op(A) = A^T with leading dimension k. With A = W
    /// (row-major [m, k]) and B = X (row-major [n, k]) D is Y, row-major [n, m]. Proposals of the
    /// heuristic, best first, at most `count`, that need no more than `workspace_bytes`.
    std::vector<DenseProduct> proposals(fp6llmDataType_t type, int64_t m, int64_t n, int64_t k,
                                        void* workspace, size_t workspace_bytes, int count);

  private:
    friend class DenseProduct;
    struct Functions;
    CublasLt() = default;
    std::unique_ptr<Functions> functions_;
    void* handle_ = nullptr;
    std::string name_;
};

class DenseProduct {
  public:
    DenseProduct(DenseProduct&&) noexcept;
    DenseProduct& operator=(DenseProduct&&) noexcept;
    ~DenseProduct();
    /// Throws std::runtime_error with cuBLAS's status.
    void enqueue(const void* a, const void* b, void* d, CUstream stream) const;
    int index() const noexcept;  ///< place among the proposals

  private:
    friend class CublasLt;
    struct Plan;
    explicit DenseProduct(std::unique_ptr<Plan> plan);
    std::unique_ptr<Plan> plan_;
};

}  // namespace fp6llm::bench
