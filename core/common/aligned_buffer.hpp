// Owned memory for weights and scratch: 64-byte aligned, on huge pages when large.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace fp6llm {

class AlignedBuffer {
  public:
    static constexpr size_t kAlignment = 64;
    /// From this size on the memory is mapped at 2 MiB alignment and advised MADV_HUGEPAGE.
    static constexpr size_t kHugePageThreshold = size_t{4} << 20;

    AlignedBuffer() noexcept = default;
    /// `bytes` of memory with unspecified contents. Throws Error(kAllocFailed).
    explicit AlignedBuffer(size_t bytes);
    AlignedBuffer(AlignedBuffer&& other) noexcept { swap(other); }
    AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
        AlignedBuffer(std::move(other)).swap(*this);
        return *this;
    }
    AlignedBuffer(const AlignedBuffer&) = delete;
    AlignedBuffer& operator=(const AlignedBuffer&) = delete;
    ~AlignedBuffer();

    uint8_t* data() const noexcept { return data_; }
    size_t size() const noexcept { return size_; }
    void swap(AlignedBuffer& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }

  private:
    uint8_t* data_ = nullptr;
    size_t size_ = 0;
};

/// Test hook: the n-th allocation from now (1 = the next) on this thread fails; 0 = none. Counts
/// AlignedBuffer and, through it, everything large that the library allocates.
void fail_allocation_after(int n) noexcept;

}  // namespace fp6llm
