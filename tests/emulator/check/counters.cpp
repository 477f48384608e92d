#include "tests/emulator/check/counters.hpp"

#include <algorithm>

namespace emulator {

void Counters::add(const Counters& other) {
    for (size_t i = 0; i < warp_instructions.size(); ++i) {
        warp_instructions[i] += other.warp_instructions[i];
        lane_instructions[i] += other.lane_instructions[i];
    }
    shared_requests += other.shared_requests;
    shared_wavefronts += other.shared_wavefronts;
    shared_ideal += other.shared_ideal;
    shared_load_conflicts += other.shared_load_conflicts;
    shared_store_conflicts += other.shared_store_conflicts;
    global_load_requests += other.global_load_requests;
    global_store_requests += other.global_store_requests;
    global_load_sectors += other.global_load_sectors;
    global_store_sectors += other.global_store_sectors;
    global_load_bytes += other.global_load_bytes;
    global_store_bytes += other.global_store_bytes;
    atomic_requests += other.atomic_requests;
    bulk_load_bytes += other.bulk_load_bytes;
    bulk_store_bytes += other.bulk_store_bytes;
    async_load_bytes += other.async_load_bytes;
    async_source_bytes += other.async_source_bytes;
    mma_operations += other.mma_operations;
    wgmma_operations += other.wgmma_operations;
    multiply_adds += other.multiply_adds;
    barrier_waits += other.barrier_waits;
    spin_retries += other.spin_retries;
    max_async_bytes_in_flight =
        std::max(max_async_bytes_in_flight, other.max_async_bytes_in_flight);
    for (const Traffic& theirs : other.traffic) {
        const auto at =
            std::lower_bound(traffic.begin(), traffic.end(), theirs.base,
                             [](const Traffic& mine, uint64_t base) { return mine.base < base; });
        if (at != traffic.end() && at->base == theirs.base) {
            at->loaded += theirs.loaded;
            at->stored += theirs.stored;
        } else {
            traffic.insert(at, theirs);
        }
    }
}

}  // namespace emulator
