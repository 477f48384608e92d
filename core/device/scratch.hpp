// A handle's own device memory for its multiplications, one buffer per stream that it was used on, so
// that calls on several streams do not meet in it. Buffers grow and are kept until the handle is
// destroyed, outgrown ones too: a captured graph may hold their addresses.
#pragma once

#include <vector>

#include "core/device/queue.hpp"

namespace fp6llm::cuda {

class Scratch {
  public:
    enum class Contents { kUnspecified, kZeroWhenNew };
    explicit Scratch(Contents contents) noexcept : contents_(contents) {}

    /// At least `bytes` for the queue's stream and context, aligned to 256; nullptr for 0 bytes.
    /// Allocates only if no call before needed as much there; also while the stream is captured.
    void* get(const Queue& queue, size_t bytes);

  private:
    struct Entry {
        CUstream stream;
        DeviceBuffer buffer;
    };
    Contents contents_;
    std::vector<Entry> entries_;  // in use: at most one per stream and context
    std::vector<DeviceBuffer> outgrown_;
};

}  // namespace fp6llm::cuda
