#include "core/device/scratch.hpp"

namespace fp6llm::cuda {
namespace {

constexpr size_t kLeastBytes = 64 * 1024;

/// Zeroes memory before it returns, on a stream of its own: a capture of the caller's stream, which
/// would record the zeroing in place of doing it, sees nothing.
void zero_now(const DeviceBuffer& buffer) {
    const Driver& cu = driver();
    const RelaxedCapture relaxed;
    CUstream stream = nullptr;
    check(cu.StreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    CUresult result =
        cu.MemsetD8Async(reinterpret_cast<CUdeviceptr>(buffer.data()), 0, buffer.size(), stream);
    if (result == CUDA_SUCCESS) result = cu.StreamSynchronize(stream);
    cu.StreamDestroy(stream);
    check(result, "zeroing scratch memory");
}

}  // namespace

void* Scratch::get(const Queue& queue, size_t bytes) {
    if (bytes == 0) return nullptr;
    Entry* found = nullptr;
    for (Entry& entry : entries_) {
        if (entry.stream == queue.stream() && entry.buffer.context_id() == queue.context().id()) {
            if (entry.buffer.size() >= bytes) return entry.buffer.data();
            found = &entry;
        }
    }
    // Doubling bounds what outgrown buffers hold by what is in use.
    size_t size = kLeastBytes;
    while (size < bytes && size < size_t{1} << 62)
        size *= 2;
    DeviceBuffer buffer = queue.allocate(size);
    if (contents_ == Contents::kZeroWhenNew) zero_now(buffer);
    if (found == nullptr) {
        entries_.push_back({queue.stream(), std::move(buffer)});
        return entries_.back().buffer.data();
    }
    outgrown_.reserve(outgrown_.size() + 1);
    found->buffer.swap(buffer);
    outgrown_.push_back(std::move(buffer));
    return found->buffer.data();
}

}  // namespace fp6llm::cuda
