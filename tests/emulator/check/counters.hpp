// What one launch did, in numbers; summed over host threads, printed as JSON.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tests/emulator/exec/op.hpp"

namespace emulator {

struct Counters {
    std::array<uint64_t, static_cast<size_t>(OpKind::kCount)> warp_instructions{};
    std::array<uint64_t, static_cast<size_t>(OpKind::kCount)> lane_instructions{};

    uint64_t shared_requests = 0;    ///< warp-level shared accesses
    uint64_t shared_wavefronts = 0;  ///< cycles the shared memory needs for them
    uint64_t shared_ideal = 0;       ///< wavefronts without bank conflicts
    uint64_t shared_load_conflicts = 0,
             shared_store_conflicts = 0;  ///< wavefronts beyond the ideal

    uint64_t global_load_requests = 0, global_store_requests = 0;
    uint64_t global_load_sectors = 0, global_store_sectors = 0;  ///< of 32 bytes
    uint64_t global_load_bytes = 0, global_store_bytes = 0;      ///< bytes the lanes asked for
    uint64_t atomic_requests = 0;
    uint64_t bulk_load_bytes = 0, bulk_store_bytes = 0;  ///< cp.async.bulk, tensor copies
    uint64_t async_load_bytes = 0;    ///< cp.async, with the zeros it fills up with
    uint64_t async_source_bytes = 0;  ///< of these, what it read

    uint64_t mma_operations = 0;             ///< warp-level mma.sync
    uint64_t wgmma_operations = 0;           ///< warpgroup-level
    uint64_t multiply_adds = 0;              ///< scalar multiply-adds inside both
    uint64_t barrier_waits = 0;              ///< warps that had to wait at a barrier
    uint64_t spin_retries = 0;               ///< failed try_wait, failed compare-and-swap
    uint64_t max_async_bytes_in_flight = 0;  ///< per block: issued, not yet waited for

    /// Bytes moved by allocation (any instruction; what the lanes asked for), in order of address.
    struct Traffic {
        uint64_t base = 0, bytes = 0;  ///< of the allocation
        uint64_t loaded = 0, stored = 0;
    };
    std::vector<Traffic> traffic;

    void add(const Counters& other);
};

}  // namespace emulator
