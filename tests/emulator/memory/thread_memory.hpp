// The implementation of Memory: one per host thread of a launch.
//
// An access goes through four steps: which space and which pattern the lanes make (neighbours in
// order, all the same, or anything), is it allowed (bounds, liveness, alignment), what do the
// detectors say (written at all, in flight, ordered), and the copy. The two simple patterns do each
// step once for the whole warp.
#pragma once

#include <string>
#include <vector>

#include "tests/emulator/exec/launch.hpp"

namespace emulator {

class ThreadMemory final : public Memory {
  public:
    explicit ThreadMemory(Worker& worker);

    LaneMask load(Warp& warp, const Access& access, uint8_t* out, int stride) override;
    void store(Warp& warp, const Access& access, const uint8_t* in, int stride,
               LaneMask suspicious) override;
    LaneMask atomic(
        Warp& warp, const Access& access, uint8_t* old, int stride,
        const std::function<void(const uint8_t* old, int lane, uint8_t* result)>& modify) override;
    uint8_t* resolve(Warp& warp, const Op& op, ptx::Space space, uint64_t address, int64_t bytes,
                     bool write) override;
    bool note_read(Warp& warp, const Op& op, const uint8_t* where, int64_t bytes,
                   Proxy proxy) override;
    void note_write(Warp& warp, const Op& op, uint8_t* where, int64_t bytes, Proxy proxy,
                    bool complete) override;
    bool note_read(Warp& warp, const Op& op, const uint8_t* where, int64_t bytes, Proxy proxy,
                   Moment moment, LaneMask lanes = 0) override;
    void note_write(Warp& warp, const Op& op, uint8_t* where, int64_t bytes, Proxy proxy,
                    bool complete, Moment moment, LaneMask lanes = 0) override;
    void issue_store(Warp& warp, const Access& access) override;
    void land_store(Warp& warp, const Access& access, const uint8_t* in, int stride,
                    LaneMask suspicious, Moment moment) override;
    void note_reduction(Warp& warp, const Op& op, uint8_t* where, int64_t bytes, Proxy proxy,
                        Moment moment) override;
    void forget_local(Warp& warp, LaneMask lanes, uint32_t from, uint32_t bytes) override;
    void mark_uninitialized(Warp& warp, uint8_t* where, int64_t bytes) override;
    uint8_t* shared_pointer(Warp& warp, uint64_t address, int64_t bytes) override;
    void fence(Warp& warp, Order order, Scope scope) override;
    void fence_proxy_async(Warp& warp) override;

    /// Adds the traffic by allocation to the worker's counters.
    void finish();

  private:
    enum class Pattern : uint8_t { kRun, kSame, kAny };
    struct Place {
        Block* block = nullptr;
        uint32_t offset = 0;
    };

    static Pattern pattern(const Access& access, int first) noexcept;
    Party party(Warp& warp, const Access& access) const noexcept;
    Party party(Warp& warp, const Op& op, Proxy proxy, Moment moment) const noexcept;

    LaneMask load_global(Warp& warp, const Access& access, uint8_t* out, int stride);
    LaneMask load_shared(Warp& warp, const Access& access, uint8_t* out, int stride);
    LaneMask load_local(Warp& warp, const Access& access, uint8_t* out, int stride);
    void store_global(Warp& warp, const Access& access, const uint8_t* in, int stride,
                      LaneMask suspicious);
    void store_shared(Warp& warp, const Access& access, const uint8_t* in, int stride,
                      LaneMask suspicious);
    void store_local(Warp& warp, const Access& access, const uint8_t* in, int stride,
                     LaneMask suspicious);

    const Allocation& global_at(Warp& warp, const Op& op, int lane, uint64_t address,
                                uint64_t bytes, bool write);
    Place shared_at(Warp& warp, const Op& op, int lane, uint64_t address, uint32_t bytes,
                    bool write);
    uint8_t* local_at(Warp& warp, const Op& op, int lane, uint64_t address, uint32_t bytes,
                      uint8_t** bits, uint64_t* bit);
    /// The block of the warp's cluster whose shared memory holds a host pointer.
    Block* owner(Warp& warp, const uint8_t* where, int64_t bytes) const noexcept;
    [[noreturn]] void misaligned(Warp& warp, const Op& op, int lane, uint64_t address, int bytes);
    void count_shared(const Access& access, Pattern pattern, bool store);
    void count_global(const Access& access, Pattern pattern, int first, bool store);
    void report(Warp& warp, const Op& op, LaneMask lanes, const Conflict& conflict, bool write,
                bool shared);
    std::string describe(Warp& warp, const Conflict& conflict, std::string* other_source) const;
    uint32_t cause_of(Warp& warp, const Op& op, const Conflict& conflict, bool shared);
    uint32_t cause_uninitialized(Warp& warp, const Op& op, uint64_t address, const char* where);
    uint32_t cause_unfinished(Warp& warp, const Op& op, uint64_t address);
    LaneMask suspicious_shared(Warp& warp, const Op& op, Block& block, uint32_t offset,
                               uint32_t bytes_per_lane, int first, int lanes);
    void strong_effects(Warp& warp, const Access& access, bool reads, bool writes, bool adds,
                        LaneMask lanes);
    void add_traffic(const Allocation& allocation, uint64_t loaded, uint64_t stored) {
        if (allocation.index >= traffic_.size()) traffic_.resize(allocation.index + 16);
        traffic_[allocation.index].first += loaded;
        traffic_[allocation.index].second += stored;
    }

    Worker& worker_;
    Launch& launch_;
    Arena& arena_;
    Counters& counters_;
    const bool checks_;
    std::vector<std::pair<uint64_t, uint64_t>> traffic_;  ///< by allocation: loaded, stored
};

}  // namespace emulator
