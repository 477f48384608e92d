// OpenBLAS as something to compare with, opened at run time: nothing here needs it to build or to
// start.
//
// It is opened rather than linked because it reads its environment when it is loaded, and its
// workers spin after each call for as long as that says, on the very cores that the next contender
// is timed on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace fp6llm::examples {

/// Which kernels OpenBLAS takes.
enum class BlasCore {
    kEnvironment,  ///< as OPENBLAS_CORETYPE says, else its own choice
    kBest,         ///< its own choice, or SkylakeX where there is AVX-512, which old releases miss
};

class OpenBlas {
  public:
    /// Opens the library with a short spin of its workers. nullptr if it is not installed.
    static std::unique_ptr<OpenBlas> open(BlasCore core);

    /// Release and kernels in use, e.g. "OpenBLAS 0.3.21 (Zen)".
    const std::string& description() const noexcept { return description_; }
    void set_threads(int threads) const noexcept { set_num_threads_(threads); }

    /// y[tokens, rows] = x[tokens, cols] w[rows, cols]^T, all row-major fp32: sgemv for one token,
    /// which is faster than sgemm there, sgemm for more. Sizes must fit in 31 bits.
    void linear(int64_t tokens, int64_t rows, int64_t cols, const float* x, const float* w,
                float* y) const noexcept;

  private:
    OpenBlas() = default;

    // cblas.h, LP64: row-major 101, no transpose 111, transpose 112.
    void (*sgemm_)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                   const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc);
    void (*sgemv_)(int order, int trans, int m, int n, float alpha, const float* a, int lda,
                   const float* x, int incx, float beta, float* y, int incy);
    void (*set_num_threads_)(int threads);
    std::string description_;
};

}  // namespace fp6llm::examples
