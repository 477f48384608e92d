// What warps and blocks have in flight: copies of cp.async and cp.async.bulk.
//
// Source: PTX ISA, "Data Movement and Conversion Instructions: Asynchronous copy". The rule of the
// whole emulator: what is asynchronous takes effect as late as the program may rely on it, and until
// then nobody may look.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "tests/emulator/exec/block.hpp"
#include "tests/emulator/exec/warp.hpp"
#include "tests/emulator/memory/memory.hpp"

namespace emulator {

/// Places of Warp::state().
constexpr int kAsyncStatePlace = 0;
constexpr int kWgmmaStatePlace = 1;

/// One cp.async of a warp that has not landed in `lanes`. Its data was read when it was issued.
struct AsyncCopy {
    const Op* op = nullptr;
    LaneMask lanes = 0;
    LaneMask unwritten = 0;  ///< lanes whose source was not initialized
    uint32_t group = 0;      ///< how many groups these lanes had committed when it was issued
    uint64_t sequence = 0;   ///< order of issue within the warp
    int bytes = 0;
    std::array<uint64_t, kWarpLanes> to{};  ///< shared addresses
    alignas(16) std::array<uint8_t, 16 * kWarpLanes> data{};
};

/// A bulk copy out of shared memory, tracked by its threads' bulk groups. `read` takes the data out of
/// shared memory, `write` brings it to its destination; both run once, as late as they may: when the
/// first of its lanes waits for them.
struct BulkStore {
    const Op* op = nullptr;
    LaneMask lanes = 0;                        ///< that asked for it and have not waited for it
    std::array<uint32_t, kWarpLanes> group{};  ///< as AsyncCopy::group, of bulk groups, by lane
    int64_t bytes = 0;
    Moment reading, writing;  ///< the engine's accesses of the source and of the destination
    bool was_read = false;
    std::function<void(Warp&warp)> read, write;
};

/// Per warp, at kAsyncStatePlace.
struct AsyncState : WarpState {
    std::vector<AsyncCopy> copies;  ///< oldest first, from `first_copy` on
    size_t first_copy = 0;
    uint64_t next_sequence = 0;
    std::array<uint32_t, kWarpLanes> committed{};  ///< cp.async groups of each lane

    std::vector<BulkStore> stores;  ///< oldest first
    std::array<uint32_t, kWarpLanes> bulk_committed{};
    const Op* last_load = nullptr;  ///< the last bulk copy of the warp, for reports at its exit

    std::vector<int64_t> register_counts;  ///< setmaxnreg, in order

    // barrier.cluster: lanes that have arrived and not waited since, and in which generation.
    LaneMask cluster_arrived = 0;
    std::array<uint64_t, kWarpLanes> cluster_generation{};

    /// Bulk stores need their shared memory: nobody may exit before wait_group.read.
    void on_exit(Warp& warp) override;
};

inline AsyncState& async_state(Warp& warp) {
    return warp.state<AsyncState>(kAsyncStatePlace);
}

/// Lands the cp.async copies of `lanes` that were issued before `sequence`, for `warp` (owner of the
/// copies), or for the mbarrier that `moment` comes from, polled by `poller`.
void land_copies(Warp& warp, Warp& poller, LaneMask lanes, uint64_t sequence, Moment moment = {});

/// Bulk copies of `lanes` whose group is among the first `groups[lane]` ones: reads them, and with
/// `finish` writes them, too.
void finish_stores(Warp& warp, LaneMask lanes, const uint32_t* groups, bool finish);

/// Keeps Counters::max_async_bytes_in_flight.
void count_in_flight(Warp& warp, Block& block, int64_t bytes);

}  // namespace emulator
