// What the race detectors remember of memory: per cell the last write and the reads since.
//
// Shared memory (SharedShadow). Cells have the size of the kernel's smallest access to shared memory,
// at most 4 bytes. Arrays, so that an access by 32 lanes to neighbouring cells is checked and noted
// by vector instructions:
//   write_tick[cell]     tick of the last write; top bit: by an engine or by another block
//   write_by[cell]       column << 8 | weak << 7 | async << 6 | lane
//   write_pc[cell]       which instruction
//   reads[column][cell]  tick << 7 | weak << 6 | several lanes << 5 | lane of the column's last read
//   read_pc[column][cell]
// The filter: a write or read at or below the warp's floor (clocks.hpp) is ordered; only what is
// above is looked at one by one.
//
// Global memory (GlobalShadow). Per page of 4096 bytes, made when a launch first touches it: the last
// write of each cell (4 bytes; 1 byte once something narrower is written), and a ring of the latest
// reads as ranges, with which later writes are compared. Reads older than the ring are forgotten.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/emulator/check/clocks.hpp"
#include "tests/emulator/check/finding.hpp"
#include "tests/emulator/exec/op.hpp"

namespace emulator {

struct Ordering;

/// The other party of a race.
struct Conflict {
    FindingKind kind = FindingKind::kCount;  ///< kCount: none
    bool other_writes = false;
    bool other_async = false;
    uint32_t other_pc = 0;  ///< kernel number << 20 | instruction
    uint32_t other_cluster = 0;
    uint32_t other_column = 0;
    uint32_t other_tick = 0;
    int other_lane = 0;
    uint64_t address = 0;
    explicit operator bool() const noexcept { return kind != FindingKind::kCount; }
};

/// Who makes an access.
struct Party {
    Ordering* ordering;
    uint32_t cluster;       ///< number
    uint32_t first_column;  ///< of its block's warps
    uint32_t warps;         ///< of its block
    uint32_t column, tick;  ///< of the access: the warp's own, or an engine's
    uint32_t pc;
    bool strong = false;
    uint8_t reach = 0;  ///< of a strong access: 0 block, 1 cluster, 2 device
    bool async_proxy = false;
    bool noncoherent = false;
    bool by_lane = false;  ///< of the async proxy: for a lane, which has to know its warp's others
};

/// Lanes of a stretch of cells: lane = first + ((cell - start) >> shift); 31 as shift = one lane.
struct LaneRun {
    int first;
    int shift;
};

class SharedShadow {
  public:
    SharedShadow(uint32_t bytes, uint32_t granule);

    /// A new block takes it over: what is there is older than everything.
    /// Returns the tick that its cluster may start from.
    uint32_t renew(uint32_t bytes, uint32_t columns, uint32_t first_column, uint32_t warps,
                   uint32_t start_tick);
    uint32_t last_tick() const noexcept { return last_tick_; }
    void set_last_tick(uint32_t tick) noexcept { last_tick_ = tick; }

    /// Checks and notes a read of `bytes` bytes at `offset` (from kSharedFirst). The first conflict.
    Conflict read(const Party& who, uint32_t offset, uint32_t bytes, LaneRun lanes);
    Conflict write(const Party& who, uint32_t offset, uint32_t bytes, LaneRun lanes);
    /// Notes a write without checking (what was checked when it was issued lands).
    void set_writer(const Party& who, uint32_t offset, uint32_t bytes, LaneRun lanes);

    uint8_t* initialized() noexcept { return initialized_.data(); }
    uint8_t* unfinished() noexcept { return unfinished_.data(); }
    /// Any copy in flight at all: lets the common case skip the bits.
    uint32_t unfinished_bytes = 0;
    uint32_t granule_shift() const noexcept { return shift_; }
    uint32_t bytes() const noexcept { return bytes_; }

  private:
    struct Reads {
        std::vector<uint32_t> word;
        std::vector<uint16_t> pc;
    };
    Reads& reads(uint32_t column);
    /// A warp of the block whose memory this is.
    bool is_own(uint32_t column) const noexcept { return column - first_column_ < warps_; }
    /// A floor is about the block's own warps, and known to them alone.
    uint32_t floor_of(const Party& who) const noexcept {
        return who.async_proxy || !is_own(who.ordering->column) ? 0 : who.ordering->floor;
    }
    Conflict check_writer(const Party& who, uint32_t cell, int lane, bool writes) const;
    Conflict check_readers(const Party& who, uint32_t cell, int lane) const;

    uint32_t bytes_, shift_, cells_;
    uint32_t last_tick_ = 0;
    uint32_t first_column_ = 0, warps_ = 0;
    std::vector<uint32_t> write_tick_, write_by_, write_pc_;
    std::vector<std::unique_ptr<Reads>> reads_;  ///< by column
    std::vector<uint32_t> readers_;              ///< columns that have read
    std::vector<uint8_t> initialized_, unfinished_;
};

/// Of one page of global memory.
struct GlobalPage {
    struct Cell {
        uint32_t cluster = 0, tick = 0;  ///< tick 0: not written in this launch
        uint32_t pc = 0;
        uint16_t column = 0;
        uint8_t lane = 0;
        uint8_t flags = 0;  ///< strong << 7 | reach << 5 | async << 4
    };
    struct Range {
        uint16_t from = 0, to = 0;  ///< bytes of the page, inclusive
        uint32_t cluster = 0, tick = 0, pc = 0;
        uint16_t column = 0;
        uint8_t first_lane = 0, lane_bytes = 0;  ///< 0 bytes: several lanes read all of it
        uint8_t flags = 0;
    };
    std::atomic<uint8_t> lock{0};
    uint32_t launch = 0;
    uint32_t shift = 2;
    std::unique_ptr<Cell[]> cells;
    std::vector<Range> ranges;
    uint32_t next_range = 0;
};

class GlobalShadow {
  public:
    GlobalShadow(uint64_t base, uint64_t reserved);
    ~GlobalShadow();
    GlobalShadow(const GlobalShadow&) = delete;
    GlobalShadow& operator=(const GlobalShadow&) = delete;

    /// A launch begins: everything older is ordered before it.
    void new_launch() noexcept { ++launch_; }
    /// Several host threads work on it.
    void set_parallel(bool parallel) noexcept { parallel_ = parallel; }

    /// Checks and notes. Lanes lie `lane_bytes` apart from `first_lane` on; 0: all of it by one lane.
    Conflict read(const Party& who, uint64_t address, uint32_t bytes, int first_lane,
                  uint32_t lane_bytes);
    Conflict write(const Party& who, uint64_t address, uint32_t bytes, int first_lane,
                   uint32_t lane_bytes, bool report_double);

  private:
    GlobalPage& page(uint64_t address);
    Conflict compare(const Party& who, uint64_t address, int lane, uint32_t cluster,
                     uint32_t column, uint32_t tick, int other_lane, uint8_t flags) const;

    uint64_t base_, reserved_;
    GlobalPage** pages_ = nullptr;
    uint32_t launch_ = 1;
    bool parallel_ = false;
};

}  // namespace emulator
