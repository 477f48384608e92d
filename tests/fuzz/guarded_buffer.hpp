// A buffer of exactly the bytes that a call may touch, filled with a pattern: AddressSanitizer sees
// an access beyond it, and a comparison sees a write where none belongs.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "fp6llm/fp6llm.h"

namespace fp6llm::fuzz {

/// Ends the run as a finding, naming the caller's line.
inline void require(bool condition, const char* file = __builtin_FILE(),
                    int line = __builtin_LINE()) {
    if (condition) return;
    char detail[512] = "";
    fp6llmGetLastErrorString(detail, sizeof detail, nullptr);
    std::fprintf(stderr, "%s:%d: what must hold does not; last error text: %s\n", file, line,
                 detail);
    std::abort();
}

class GuardedBuffer {
  public:
    static constexpr uint8_t kPattern = 0xA5;

    /// Aligned to 64 bytes, or, `off_by_one`, to nothing.
    explicit GuardedBuffer(size_t bytes, bool off_by_one = false)
        : bytes_(bytes), shift_(off_by_one ? 1 : 0) {
        void* memory = nullptr;
        require(posix_memalign(&memory, 64, bytes + shift_) == 0);
        base_ = static_cast<uint8_t*>(memory);
        std::memset(base_, kPattern, bytes + shift_);
    }
    GuardedBuffer(GuardedBuffer&& other) noexcept
        : base_(other.base_), bytes_(other.bytes_), shift_(other.shift_) {
        other.base_ = nullptr;
    }
    GuardedBuffer& operator=(GuardedBuffer&&) = delete;
    ~GuardedBuffer() { std::free(base_); }

    uint8_t* data() const noexcept { return base_ + shift_; }
    size_t size() const noexcept { return bytes_; }
    template <typename T>
    T* as() const noexcept {
        return reinterpret_cast<T*>(data());
    }

    /// To compare with later.
    std::vector<uint8_t> copy() const { return {data(), data() + bytes_}; }
    bool equals(const std::vector<uint8_t>& bytes) const noexcept {
        return bytes_ == 0 || std::memcmp(data(), bytes.data(), bytes_) == 0;
    }

  private:
    uint8_t* base_;
    size_t bytes_;
    size_t shift_;
};

}  // namespace fp6llm::fuzz
