// One matrix as its contenders hold it: fp32 for OpenBLAS, and packed by libfp6llm in a format,
// each in cold copies; with the rows that results are checked on.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fp6llm/fp6llm.hpp"
#include "tests/bench/matrices.hpp"
#include "tests/bench/options.hpp"

namespace fp6llm::bench {

/// Rows of a matrix, spread over all of it, to check results on.
struct CheckedRows {
    std::vector<int64_t> rows;
    std::vector<double> values;  ///< [rows.size(), cols]: the weights that the results must be of
};

/// Largest |y - exact| / rms(exact) over the checked rows and a few tokens of Y [tokens, outputs],
/// with exact sums in fp64; infinity if any element of Y is NaN, as a poisoned one is.
double product_error(const CheckedRows& checked, int64_t cols, const float* x, const float* y,
                     int64_t tokens, int64_t outputs);

/// Poisons Y [tokens, outputs], runs `run`, which must fill it, and returns the product_error().
double checked_run(const CheckedRows& checked, int64_t cols, const float* x, float* y,
                   int64_t tokens, int64_t outputs, const std::function<void()>& run);

/// Throws std::runtime_error if `error` is above `tolerance`: what is wrong is not timed.
void require_close(const std::string& name, double error, double tolerance);

/// Largest error / rms that fp32 sums of k products may show.
double summing_tolerance(int64_t k);

/// The rows of W [shape] themselves.
CheckedRows check_rows(const Shape& shape, const std::vector<float>& w);

/// Y [tokens, rows] = X [tokens, cols] W^T on fp32.
fp6llmStatus_t linear(Handle& handle, fp6llmWeight_t weight, const Shape& shape,
                      fp6llmComputeType_t compute, const float* x, float* y, int64_t tokens);

/// What multiplies fp32 activations by a weight.
struct ChosenKernel {
    std::string name;
    size_t workspace;  ///< bytes; each thread that takes part has its own
};
ChosenKernel chosen_kernel(Handle& handle, fp6llmWeight_t weight, const Shape& shape,
                           fp6llmComputeType_t compute, int64_t tokens);

/// The kernel that linear() runs.
std::string kernel_name(Handle& handle, fp6llmWeight_t weight, const Shape& shape,
                        fp6llmComputeType_t compute, int64_t tokens);

/// Bytes that a weight takes when packed.
size_t packed_bytes(Handle& handle, const Format& format, const Shape& shape);

/// A weight in one format: `total` bytes of blobs, and a view of each.
class PackedWeights {
  public:
    PackedWeights(Handle& handle, const Format& format, const Shape& shape,
                  const std::vector<float>& w, size_t total);

    const CheckedRows& checked() const noexcept { return checked_; }
    const Copies& copies() const noexcept { return copies_; }
    fp6llmWeight_t weight(int64_t call) const noexcept {
        return views_[static_cast<size_t>(call % copies_.count())].get();
    }
    double bits_per_weight() const noexcept { return bits_; }

  private:
    static Copies make_copies(Handle& handle, const Format& format, const Shape& shape,
                              const std::vector<float>& w, size_t total, CheckedRows& checked,
                              double& bits);

    CheckedRows checked_;
    double bits_ = 0;
    Copies copies_;
    std::vector<Weight> views_;
};

/// A format whose weights are packed for a compute type, as those who mean to ask for it do.
Format packed_for(const Format& format, const Compute& compute);

/// A weight in one format, packed for each of some compute types; once where that is the same.
class HintedWeights {
  public:
    HintedWeights(Handle& handle, const Format& format, const std::vector<Compute>& computes,
                  const Shape& shape, const std::vector<float>& w, size_t total);

    PackedWeights& operator[](size_t compute) const noexcept { return *by_compute_[compute]; }

  private:
    std::vector<std::shared_ptr<PackedWeights>> by_compute_;
};

}  // namespace fp6llm::bench
