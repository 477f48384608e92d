// One weight matrix as its contenders hold it on the GPU: dense, and quantized and packed by libfp6llm
// on the GPU itself; in so many copies that no cache holds them, with rows to check products on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/bench/gpu/gpu.hpp"
#include "tests/bench/weights.hpp"

namespace fp6llm::bench {

/// Values of a 16-bit type in device memory, repeated from a random block of which the host knows all.
class RandomMatrix {
  public:
    RandomMatrix(Gpu& gpu, fp6llmDataType_t type, int64_t rows, int64_t cols, float deviation,
                 uint64_t seed);

    void* data() const noexcept { return device_.data(); }
    size_t bytes() const noexcept { return device_.size(); }
    double at(int64_t row, int64_t col) const noexcept {
        return block_[static_cast<size_t>(row * cols_ + col) % block_.size()];
    }
    std::vector<float> row(int64_t row) const;
    int64_t rows() const noexcept { return rows_; }
    int64_t cols() const noexcept { return cols_; }

  private:
    int64_t rows_, cols_;
    std::vector<float> block_;  // a prime number of values, so that rows differ
    GpuBuffer device_;
};

/// Copies of `bytes` of device memory, `total` bytes of them but at least one.
class GpuCopies {
  public:
    GpuCopies(Gpu& gpu, const void* data, size_t bytes, size_t total);
    int64_t count() const noexcept { return static_cast<int64_t>(copies_.size()); }
    uint8_t* copy(int64_t call) const noexcept {
        return copies_[static_cast<size_t>(call % count())].data();
    }

  private:
    std::vector<GpuBuffer> copies_;
};

/// A matrix in one format.
class PackedLayer {
  public:
    /// Quantizes `w` (fp16) and packs it on the GPU. Throws std::runtime_error if codes and scales of the
    /// checked rows are not those that the CPU backend makes.
    PackedLayer(Gpu& gpu, Handle& handle, Handle& cpu, const Format& format, const RandomMatrix& w,
                const std::vector<int64_t>& checked_rows, size_t total);

    const std::string& name() const noexcept { return name_; }
    const CheckedRows& checked() const noexcept { return checked_; }
    fp6llmWeight_t weight(int64_t call) const noexcept {
        return views_[static_cast<size_t>(call % copies_->count())].get();
    }
    int64_t copies() const noexcept { return copies_->count(); }
    /// Plain codes and scales: what must be read of the weights at least.
    size_t plain_bytes() const noexcept { return sizes_.code_bytes + sizes_.scale_bytes; }

  private:
    std::string name_;
    QuantSizes sizes_{};
    CheckedRows checked_;
    std::unique_ptr<GpuCopies> copies_;
    std::vector<Weight> views_;
};

/// Rows of a matrix spread over all of it, the first and the last among them.
std::vector<int64_t> spread(int64_t count, int64_t of);

}  // namespace fp6llm::bench
