// Work of several streams: what is ordered before what, and which bytes it touched.
//
// Work runs when it is enqueued, so a missing event between two streams changes no result here. It is
// found all the same: every launch, copy and fill has a moment, a tick of its stream's column, and a
// clock of the moments that it is ordered behind (driver/order.cpp). A page of global memory keeps which
// bytes the latest works touched; one that touches them, writes or follows a write, and does not know
// the other's moment races with it. Strong accesses do not race among themselves.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace emulator {

/// Moments that somebody knows of: ticks by column.
struct StreamClock {
    std::vector<uint32_t> ticks;

    bool knows(uint32_t column, uint32_t tick) const noexcept {
        return column < ticks.size() && ticks[column] >= tick;
    }
    void learn(uint32_t column, uint32_t tick);
    void join(const StreamClock& other);
};

/// A launch, a copy or a fill.
struct StreamWork {
    std::string what;  ///< "the copy", "kernel gemm"
    uint64_t stream = 0;
    uint32_t column = 0, tick = 0;
    StreamClock known;  ///< itself, too
};

/// Who touched the bytes of one page.
class PageStreams {
  public:
    static constexpr uint32_t kBytes = 4096;

    /// `work` begins with the page. What `host` knows of is known to all that comes, and forgotten.
    void begin(std::shared_ptr<const StreamWork> work, const StreamClock& host);

    struct Race {
        const StreamWork* other = nullptr;
        uint32_t at = 0;  ///< byte of the page
        bool other_writes = false;
    };
    /// Notes an access of the work that has begun; with whom it races.
    Race touch(uint32_t from, uint32_t bytes, bool writes, bool strong);

  private:
    enum : size_t { kRead, kWritten, kStrongRead, kStrongWritten, kKinds };
    using Bits = std::array<uint64_t, kBytes / 64>;
    struct Touched {
        std::shared_ptr<const StreamWork> work;
        std::array<Bits, kKinds> bits{};
    };
    static bool covers(const Touched& more, const Touched& less) noexcept;

    std::unique_ptr<Touched> now_;
    std::vector<std::unique_ptr<Touched>> past_;  ///< oldest first
    std::vector<const Touched*> unordered_;       ///< of the past, with the work of now
};

}  // namespace emulator
