// A thread block (CTA) and its cluster, as executors see them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "tests/emulator/exec/warp.hpp"

namespace emulator {

/// Vector clocks of happens-before. One component per warp of the cluster, plus components for the
/// asynchronous engines; see check/clocks.hpp for who ticks when.
using Clock = std::vector<uint32_t>;

/// One of the 16 named barriers of a block.
struct NamedBarrier {
    int expected = 0;  ///< threads; 0 while idle
    int arrived = 0;
    uint64_t generation = 0;
    uint32_t reduction = 0;
    Clock clock;  ///< joined by arrivals, taken by departures
};

/// State behind a 64-bit mbarrier object in shared memory, by its address.
struct Mbarrier {
    uint32_t expected = 0;  ///< arrivals per phase
    uint32_t pending = 0;
    int64_t transactions = 0;  ///< bytes still to come; may be negative for a while
    uint64_t phase = 0;
    Clock clock, finished_clock;
    /// Copies that complete on it and have not landed: they land, in random order, when the barrier
    /// is polled (as late as the program may rely on it).
    std::vector<std::function<void()>> in_flight;
};

class Cluster;

class Block {
  public:
    std::array<int, 3> index{};  ///< %ctaid
    int rank = 0;                ///< %cluster_ctarank
    Cluster* cluster = nullptr;
    uint8_t* shared = nullptr;   ///< shared + offset, offset from kSharedFirst on
    uint32_t shared_end = 0;     ///< first invalid offset
    std::vector<Warp> warps;
    std::array<NamedBarrier, 16> barriers;
    std::map<uint32_t, Mbarrier> mbarriers;  ///< by shared offset
};

class Cluster {
  public:
    std::array<int, 3> shape{1, 1, 1};
    std::vector<Block*> blocks;  ///< by rank
    NamedBarrier barrier;        ///< barrier.cluster
};

}  // namespace emulator
