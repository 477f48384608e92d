// Ticks by column (clocks.hpp): the knowledge of one cluster that a vector clock holds.
//
// A column belongs to a warp or an engine. Mostly all lanes of a warp are known up to the same tick.
// Where some of its lanes have released without bar.warp.sync of all before (lane 0 arrives at an
// mbarrier for its warp), the column's tick says what is known of every lane, and an entry of `lanes`
// what is known of each: above the tick somewhere, else there is none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace emulator {

class Row {
  public:
    using LaneTicks = std::array<uint32_t, 32>;

    bool empty() const noexcept { return ticks_.empty(); }
    void clear() noexcept {
        ticks_.clear();
        lanes_.clear();
    }
    void assign(size_t columns, uint32_t tick) {
        ticks_.assign(columns, tick);
        lanes_.clear();
    }
    void resize(size_t columns) { ticks_.resize(columns, 0); }
    /// What is known of all lanes.
    uint32_t& operator[](size_t column) noexcept { return ticks_[column]; }
    uint32_t operator[](size_t column) const noexcept { return ticks_[column]; }

    /// Is the access at `tick` of `column` by `lane` known (-1: by any lane)?
    bool knows(uint32_t column, uint32_t tick, int lane) const noexcept {
        return ticks_[column] >= tick || (!lanes_.empty() && knows_lane(column, tick, lane));
    }
    /// The same of an access that `lane` made among others.
    bool knows_several(uint32_t column, uint32_t tick, int lane) const noexcept {
        return ticks_[column] >= tick || (!lanes_.empty() && knows_lanes(column, tick, lane));
    }
    /// The lanes' own ticks, nullptr: the column's.
    const LaneTicks* lanes_of(uint32_t column) const noexcept;
    bool has_lanes() const noexcept { return !lanes_.empty(); }

    void join(const Row& other);
    void join_lanes(uint32_t column, const LaneTicks& ticks);
    /// Knows all that `other` knows.
    bool covers(const Row& other) const noexcept;
    bool operator==(const Row& other) const noexcept {
        return ticks_ == other.ticks_ && lanes_ == other.lanes_;
    }

  private:
    struct Lanes {
        uint32_t column;
        LaneTicks ticks;
        bool operator==(const Lanes& other) const noexcept {
            return column == other.column && ticks == other.ticks;
        }
    };
    bool knows_lane(uint32_t column, uint32_t tick, int lane) const noexcept;
    bool knows_lanes(uint32_t column, uint32_t tick, int lane) const noexcept;
    /// Entries that say no more than the ticks go, and lift the ticks to what all lanes have.
    void settle();

    std::vector<uint32_t> ticks_;
    std::vector<Lanes> lanes_;
};

}  // namespace emulator
