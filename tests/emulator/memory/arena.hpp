// The device's memory: allocations inside one reserved stretch of host addresses.
//
// A device address is a host address. Every allocation has its exact size, pages of its own, a gap to
// its neighbours, and canaries on both sides; freed addresses are not used again while others are
// left. A page knows its allocation, so that a check is two loads; a bit per byte tells which bytes
// were written.
//
//   | 512 k bytes, 64 of them canary | base ... base + bytes | 64 bytes canary, rest of page | a page |
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "tests/emulator/memory/bitmap.hpp"

namespace emulator {

struct Allocation {
    uint64_t base = 0, bytes = 0;
    uint64_t first_page = 0, pages = 0;
    bool live = false;
    bool read_only = false;        ///< constant variables and kernel parameters
    bool all_initialized = false;  ///< shortcut past the bits
    uint32_t index = 0;
};

class Arena {
  public:
    static constexpr uint64_t kPage = 4096;

    explicit Arena(uint64_t limit);
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    /// 0 if the device's memory is exhausted.
    uint64_t allocate(uint64_t bytes, bool read_only = false);
    /// False unless `base` starts a live allocation. *intact = its canaries are.
    bool free(uint64_t base, bool* intact);

    bool contains(uint64_t address) const noexcept { return address - base_ < reserved_; }
    /// Allocation, live or freed, whose pages hold an address; nullptr if none.
    const Allocation* find(uint64_t address) const noexcept {
        if (!contains(address)) return nullptr;
        const uint32_t index = owners_[(address - base_) / kPage];
        return index == 0 ? nullptr : &allocations_[index];
    }
    /// The live allocation that holds all of [address, address + bytes); nullptr if none.
    const Allocation* holder(uint64_t address, uint64_t bytes) const noexcept {
        const Allocation* allocation = find(address);
        if (allocation == nullptr || !allocation->live || address < allocation->base ||
            address - allocation->base + bytes > allocation->bytes)
            return nullptr;
        return allocation;
    }
    const Allocation& allocation(uint32_t index) const noexcept { return allocations_[index]; }
    /// Indices lie in [1, allocation_count()).
    uint32_t allocation_count() const noexcept { return count_; }

    /// Bit per byte; bit (address - base()).
    uint8_t* initialized() noexcept { return initialized_; }
    uint64_t base() const noexcept { return base_; }
    uint64_t reserved() const noexcept { return reserved_; }
    bool is_initialized(const Allocation& allocation, uint64_t address,
                        uint64_t bytes) const noexcept {
        return is_all_initialized(allocation) || bits_all(initialized_, address - base_, bytes);
    }
    /// Another host thread may set it meanwhile.
    static bool is_all_initialized(const Allocation& allocation) noexcept {
        return __atomic_load_n(&allocation.all_initialized, __ATOMIC_RELAXED);
    }
    void set_initialized(const Allocation& allocation, uint64_t address, uint64_t bytes) noexcept;
    void set_uninitialized(const Allocation& allocation, uint64_t address, uint64_t bytes) noexcept;

    bool canaries_intact(const Allocation& allocation) const noexcept;
    uint64_t used() const noexcept { return used_; }
    uint64_t limit() const noexcept { return limit_; }

  private:
    uint64_t limit_, used_ = 0;
    uint64_t base_ = 0, reserved_ = 0;
    uint64_t next_page_ = 1;
    uint8_t* initialized_ = nullptr;
    uint32_t* owners_ = nullptr;         ///< per page: allocation, 0 = none
    Allocation* allocations_ = nullptr;  ///< [0] unused; reserved, so that readers need no lock
    uint32_t count_ = 1;
    std::deque<uint32_t> freed_;  ///< quarantine, oldest first
    std::mutex mutex_;
};

}  // namespace emulator
