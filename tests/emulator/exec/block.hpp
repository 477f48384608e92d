// A thread block (CTA) and its cluster, as executors see them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "tests/emulator/check/clocks.hpp"
#include "tests/emulator/exec/warp.hpp"

namespace emulator {

/// One of the 16 named barriers of a block, or a cluster's barrier.
struct NamedBarrier {
    int expected = 0;  ///< threads; 0 while idle, kWholeBlock = all that have not exited
    int arrived = 0;
    uint64_t generation = 0;  ///< completed phases
    uint32_t reduction = 0;   ///< of bar.red, while arriving
    uint32_t result = 0;      ///< of the last completed phase
    Clock clock;              ///< joined by arrivals (check/clocks.hpp: release())
    Clock finished_clock;     ///< of the last completed phase, taken by departures (acquire())

    static constexpr int kWholeBlock = -1;
};

/// State behind a 64-bit mbarrier object in shared memory, by its address.
struct Mbarrier {
    uint32_t expected = 0;  ///< arrivals per phase
    uint32_t pending = 0;
    int64_t transactions = 0;  ///< bytes still to come; may be negative for a while
    uint64_t phase = 0;
    Clock clock, finished_clock;
    int initialized_by = 0;    ///< warp
    bool init_fenced = false;  ///< by fence.mbarrier_init: the async proxy knows of it
    /// Copies that complete on it and have not landed: they land, in random order, when the barrier
    /// is polled (as late as the program may rely on it) by `poller`.
    std::vector<std::function<void(Warp& poller)>> in_flight;
};

class Cluster;
class SharedShadow;

class Block {
  public:
    std::array<int, 3> index{};  ///< %ctaid
    int rank = 0;                ///< %cluster_ctarank
    Cluster* cluster = nullptr;
    uint8_t* shared = nullptr;  ///< shared + offset, offset from kSharedFirst on
    uint32_t shared_end = 0;    ///< first invalid offset
    std::vector<Warp> warps;
    std::array<NamedBarrier, 16> barriers;
    std::map<uint32_t, Mbarrier> mbarriers;  ///< by shared offset
    int64_t async_bytes_in_flight = 0;       ///< issued and not landed (isa/async_state.hpp)
    /// For executors that make several warps meet (a warpgroup), by a key of their own.
    std::map<uint64_t, NamedBarrier> meetings;
    int threads = 0;       ///< that the launch gave it
    int live_threads = 0;  ///< that have not exited
    uint32_t smid = 0;
    uint64_t number = 0;                           ///< linear index in the grid
    std::map<uint32_t, uint32_t> landing_columns;  ///< by mbarrier, of its cluster's clocks
    std::map<uint32_t, SyncVariable>
        sync_variables;              ///< by offset: flags and locks in shared memory
    SharedShadow* shadow = nullptr;  ///< what the detectors know of its shared memory; null: off

    /// Ends the phase of a barrier of this block: generation, clocks, result.
    static void complete(NamedBarrier& barrier);
};

class Cluster {
  public:
    std::array<int, 3> shape{1, 1, 1};
    std::vector<Block*> blocks;  ///< by rank
    NamedBarrier barrier;        ///< barrier.cluster
    uint32_t number = 0;         ///< linear index in the grid of clusters
    // Its clocks, see check/clocks.hpp: the last tick given, and the columns of a block.
    uint32_t tick = 0;
    uint32_t warps_per_block = 0, columns_per_block = 0;

    int live_threads() const noexcept {
        int sum = 0;
        for (const Block* block : blocks)
            sum += block->live_threads;
        return sum;
    }
};

}  // namespace emulator
