// A launch and the host threads that work on it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "tests/emulator/check/clocks.hpp"
#include "tests/emulator/check/counters.hpp"
#include "tests/emulator/check/finding.hpp"
#include "tests/emulator/check/shadow.hpp"
#include "tests/emulator/device.hpp"
#include "tests/emulator/exec/block.hpp"
#include "tests/emulator/exec/kernel.hpp"
#include "tests/emulator/memory/arena.hpp"
#include "tests/emulator/memory/memory.hpp"

namespace emulator {

/// Ends a launch, as a fault does on hardware; what() is the message.
class Fault : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Flags and locks in global memory: what their strong writes hand on. Also the lock that makes
/// atomic operations atomic between host threads.
class GlobalSync {
  public:
    static constexpr size_t kStripes = 64;
    struct Stripe {
        std::mutex mutex;
        std::unordered_map<uint64_t, SyncVariable> variables;
    };
    Stripe& stripe(uint64_t address) noexcept { return stripes_[(address >> 4) % kStripes]; }
    void clear() {
        for (Stripe& stripe : stripes_)
            stripe.variables.clear();
    }

  private:
    std::array<Stripe, kStripes> stripes_;
};

struct Launch {
    const Program* program = nullptr;
    const Options* options = nullptr;
    LaunchConfig config;
    std::array<int, 3> cluster_shape{1, 1, 1};
    uint32_t cluster_blocks = 1;
    uint64_t blocks = 0;
    uint32_t threads_per_block = 0, warps_per_block = 0;
    uint32_t shared_bytes = 0;  ///< static and dynamic, from kSharedFirst on
    uint32_t blocks_per_multiprocessor = 1;
    uint64_t seed = 0;
    uint64_t number = 0;
    bool checks = true;
    bool parallel = false;  ///< several host threads
    Arena* arena = nullptr;
    GlobalShadow* shadow = nullptr;
    GlobalSync* sync = nullptr;
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> signs{0};  ///< of life, of all host threads
    /// By host thread: 1 + the signs when it found itself quiet for long, kDone when it has finished.
    static constexpr uint64_t kDone = ~uint64_t{0};
    std::vector<std::atomic<uint64_t>> quiet;
};

/// Where a suspicious value came from.
struct Cause {
    FindingKind kind = FindingKind::kUninitialized;
    std::string text;        ///< "loaded from 0x7f.. where nothing was ever written"
    const Op* op = nullptr;  ///< the load; nullptr: a register that was never written
    const Kernel* code = nullptr;
    std::string other_source;
};

/// A host thread of a launch: what must not be shared.
class Worker {
  public:
    Worker(Launch& launch, int index);
    ~Worker();

    Launch& launch() noexcept { return launch_; }
    Memory& memory() noexcept { return *memory_; }
    uint64_t random() noexcept {
        // xorshift64*
        random_ ^= random_ >> 12;
        random_ ^= random_ << 25;
        random_ ^= random_ >> 27;
        return random_ * 0x2545F4914F6CDD1Dull;
    }

    /// Number of a cause; equal causes get one number.
    uint32_t cause(FindingKind kind, const Kernel& code, const Op& op, std::string text,
                   std::string other_source);
    const Cause& cause(uint32_t number) const { return causes_[number]; }
    /// Adds a finding, or counts it with the same one before.
    void report(Warp& warp, const Op& op, LaneMask lanes, FindingKind kind, std::string message,
                std::string other_source);

    Counters counters;
    uint64_t operations = 0;  ///< warp operations so far: the clock
    /// Operations at the last sign of life (a store, an arrival, an exit), for livelock.
    uint64_t progress_at = 0;
    uint64_t polls = 0;  ///< failed polls since then
    const bool checks;
    std::vector<Finding> findings;
    /// What check/replay.hpp found out before: block, warp, tick, pc.
    std::map<std::tuple<uint64_t, int, uint32_t, uint32_t>, bool> replayed;

    /// Activations of functions that have returned.
    std::unordered_map<const Kernel*, std::vector<std::shared_ptr<Frame>>> frames;

    /// A sign of life.
    void progress() noexcept {
        progress_at = operations;
        polls = 0;
    }

  private:
    Launch& launch_;
    std::unique_ptr<Memory> memory_;
    uint64_t random_;
    std::vector<Cause> causes_;
    std::map<std::tuple<FindingKind, const Op*, std::string>, uint32_t> cause_numbers_;
    std::map<std::tuple<FindingKind, int, std::string>, size_t> known_;
};

std::unique_ptr<Memory> make_memory(Worker& worker);
/// Completes the worker's counters.
void finish_memory(Worker& worker);

/// Runs clusters of the launch on this host thread until its share is done: those with
/// number % threads == index. Throws Fault.
void run_share(Worker& worker, int index, int threads);

}  // namespace emulator
