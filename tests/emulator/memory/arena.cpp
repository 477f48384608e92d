#include "tests/emulator/memory/arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace emulator {
namespace {

constexpr uint64_t kCanary = 64;
constexpr uint8_t kCanaryByte = 0xC5;
/// What fresh memory holds: as f16, f32 and f64 a large negative number, as an integer an absurd one.
constexpr uint8_t kPoison = 0xDB;
/// Poisoning touches the pages; of a large allocation only the start is.
constexpr uint64_t kPoisonedBytes = uint64_t{16} << 20;
/// Addresses are cheap: room for this many times the memory before freed ones are used again.
constexpr uint64_t kSpread = 8;
constexpr uint64_t kMaxAllocations = uint64_t{1} << 20;

void* reserve(uint64_t bytes) {
    void* where = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return where == MAP_FAILED ? nullptr : where;
}

}  // namespace

Arena::Arena(uint64_t limit) : limit_(limit) {
    void* where = nullptr;
    for (reserved_ = std::max(limit, kPage) * kSpread; reserved_ >= limit; reserved_ /= 2) {
        where = reserve(reserved_);
        if (where != nullptr) break;
    }
    if (where == nullptr) throw std::runtime_error("cannot reserve the device's memory");
    base_ = reinterpret_cast<uint64_t>(where);
    initialized_ = static_cast<uint8_t*>(reserve(reserved_ / 8 + kPage));
    owners_ = static_cast<uint32_t*>(reserve(reserved_ / kPage * 4));
    allocations_ = static_cast<Allocation*>(reserve(kMaxAllocations * sizeof(Allocation)));
    if (initialized_ == nullptr || owners_ == nullptr || allocations_ == nullptr)
        throw std::runtime_error("cannot reserve the device's shadow memory");
}

Arena::~Arena() {
    if (base_ != 0) munmap(reinterpret_cast<void*>(base_), reserved_);
    if (initialized_ != nullptr) munmap(initialized_, reserved_ / 8 + kPage);
    if (owners_ != nullptr) munmap(owners_, reserved_ / kPage * 4);
    if (allocations_ != nullptr) munmap(allocations_, kMaxAllocations * sizeof(Allocation));
}

uint64_t Arena::allocate(uint64_t bytes, bool read_only) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (bytes == 0 || bytes > limit_ || used_ + bytes > limit_ || count_ == kMaxAllocations)
        return 0;
    // Where in its page an allocation starts differs, so that nothing relies on more than the
    // 512 bytes that the driver's allocations are aligned to.
    const uint64_t lead = 512 + 512 * (count_ % 5);
    const uint64_t pages = (lead + bytes + kCanary + kPage - 1) / kPage;
    Allocation allocation;
    allocation.bytes = bytes;
    allocation.pages = pages;
    allocation.live = true;
    allocation.read_only = read_only;
    allocation.index = count_;
    const uint64_t last_page = reserved_ / kPage;
    if (next_page_ + pages + 1 <= last_page) {
        allocation.first_page = next_page_;
        next_page_ += pages + 1;
    } else {
        // Address space has run out: take the oldest freed stretch that is large enough.
        auto found = std::find_if(freed_.begin(), freed_.end(), [&](uint32_t index) {
            return allocations_[index].pages >= pages;
        });
        if (found == freed_.end()) return 0;
        Allocation& old = allocations_[*found];
        allocation.first_page = old.first_page;
        allocation.pages = old.pages;
        old.pages = 0;
        freed_.erase(found);
    }
    allocation.base = base_ + allocation.first_page * kPage + lead;
    auto* data = reinterpret_cast<uint8_t*>(allocation.base);
    std::memset(data - kCanary, kCanaryByte, kCanary);
    std::memset(data + bytes, kCanaryByte, kCanary);
    std::memset(data, kPoison, std::min(bytes, kPoisonedBytes));
    used_ += bytes;
    allocations_[count_++] = allocation;
    std::fill_n(owners_ + allocation.first_page, allocation.pages, allocation.index);
    return allocation.base;
}

bool Arena::free(uint64_t base, bool* intact) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Allocation* found = find(base);
    if (found == nullptr || !found->live || found->base != base) return false;
    Allocation& allocation = allocations_[found->index];
    *intact = canaries_intact(allocation);
    allocation.live = false;
    used_ -= allocation.bytes;
    void* pages = reinterpret_cast<void*>(base_ + allocation.first_page * kPage);
    madvise(pages, allocation.pages * kPage, MADV_DONTNEED);
    bits_assign(initialized_, allocation.first_page * kPage, allocation.pages * kPage, false);
    freed_.push_back(allocation.index);
    return true;
}

void Arena::set_initialized(const Allocation& allocation, uint64_t address,
                            uint64_t bytes) noexcept {
    if (is_all_initialized(allocation)) return;
    bits_assign(initialized_, address - base_, bytes, true);
    if (address == allocation.base && bytes == allocation.bytes)
        __atomic_store_n(&allocations_[allocation.index].all_initialized, true, __ATOMIC_RELAXED);
}

void Arena::set_uninitialized(const Allocation& allocation, uint64_t address,
                              uint64_t bytes) noexcept {
    if (allocation.all_initialized) {
        bits_assign(initialized_, allocation.base - base_, allocation.bytes, true);
        allocations_[allocation.index].all_initialized = false;
    }
    bits_assign(initialized_, address - base_, bytes, false);
}

bool Arena::canaries_intact(const Allocation& allocation) const noexcept {
    const auto* data = reinterpret_cast<const uint8_t*>(allocation.base);
    for (uint64_t i = 0; i < kCanary; ++i)
        if (data[allocation.bytes + i] != kCanaryByte || data[i - kCanary] != kCanaryByte)
            return false;
    return true;
}

}  // namespace emulator
