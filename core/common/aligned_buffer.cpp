#include "core/common/aligned_buffer.hpp"

#include <sys/mman.h>

#include <cstdlib>

#include "core/common/error.hpp"

namespace fp6llm {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSmallPage = size_t{4} << 10;

thread_local int allocations_until_failure = 0;

bool must_fail() noexcept {
    return allocations_until_failure > 0 && --allocations_until_failure == 0;
}

}  // namespace

AlignedBuffer::AlignedBuffer(size_t bytes) {
    if (bytes == 0) return;
    const bool huge = bytes >= kHugePageThreshold;
    void* memory = nullptr;
    // malloc maps blocks of this size by themselves, so alignment costs address space only, and
    // AddressSanitizer sees every overrun.
    if (must_fail() || posix_memalign(&memory, huge ? kHugePage : kAlignment, bytes) != 0) {
        fail(Status::kAllocFailed, "out of memory: %zu bytes", bytes);
    }
    if (huge) madvise(memory, bytes / kSmallPage * kSmallPage, MADV_HUGEPAGE);  // a hint: may fail
    data_ = static_cast<uint8_t*>(memory);
    size_ = bytes;
}

AlignedBuffer::~AlignedBuffer() {
    std::free(data_);
}

void fail_allocation_after(int n) noexcept {
    allocations_until_failure = n;
}

}  // namespace fp6llm
