// Decisions decoded from a fuzzer's bytes. When the bytes run out every choice is the first one,
// which callers make the ordinary one, so that short inputs do something valid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace fp6llm::fuzz {

class Choices {
  public:
    Choices(const uint8_t* data, size_t size) noexcept : data_(data), size_(size) {}

    bool done() const noexcept { return position_ == size_; }
    uint8_t byte() noexcept { return done() ? 0 : data_[position_++]; }
    /// In [0, count), count <= 256.
    int64_t below(int count) noexcept { return byte() % count; }
    /// True for `odds` of 256 byte values, never for 0.
    bool rarely(int odds = 8) noexcept { return byte() > 255 - odds; }

    template <typename T>
    T one_of(std::initializer_list<T> values) noexcept {
        return values.begin()[below(static_cast<int>(values.size()))];
    }

  private:
    const uint8_t* data_;
    size_t size_;
    size_t position_ = 0;
};

}  // namespace fp6llm::fuzz
