// Inputs of the benchmark, and copies of weights that no cache holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace fp6llm::bench {

/// Pseudo-random values, close to a Gaussian of the given deviation, the same for a seed
/// everywhere.
std::vector<float> random_values(size_t count, float deviation, uint64_t seed);

/// IEEE half of each value, for which the values must be normal halfs or zero; rounds toward zero.
std::vector<uint16_t> to_halfs(const std::vector<float>& values);

/// Floats at 64-byte alignment, as some libraries insist on.
class AlignedFloats {
  public:
    /// Throws std::bad_alloc. The values are not set.
    explicit AlignedFloats(size_t count);
    explicit AlignedFloats(const std::vector<float>& values);

    float* data() const noexcept { return data_.get(); }
    size_t size() const noexcept { return size_; }

  private:
    struct Free {
        void operator()(float* data) const noexcept;
    };
    size_t size_;
    std::unique_ptr<float[], Free> data_;
};

/// Copies of one block of bytes, on huge pages where the system gives them. Taking the next copy in
/// each call keeps the weights out of every cache, as going through a model's layers does.
class Copies {
  public:
    /// Enough copies to fill `total` bytes, at least one. Throws std::bad_alloc.
    Copies(const void* block, size_t bytes, size_t total);
    ~Copies();
    Copies(Copies&& other) noexcept
        : base_(std::exchange(other.base_, nullptr)),
          bytes_(other.bytes_),
          stride_(other.stride_),
          count_(other.count_) {}
    Copies& operator=(Copies&&) = delete;

    size_t bytes() const noexcept { return bytes_; }
    int64_t count() const noexcept { return count_; }
    /// Copy `call` modulo count().
    const uint8_t* copy(int64_t call) const noexcept {
        return base_ + static_cast<size_t>(call % count_) * stride_;
    }

  private:
    uint8_t* base_;
    size_t bytes_;
    size_t
        stride_;  // a multiple of 64 that is odd in cache lines, so that copies start on all sets
    int64_t count_;
};

}  // namespace fp6llm::bench
