#include "tests/emulator/check/row.hpp"

#include <algorithm>

namespace emulator {

const Row::LaneTicks* Row::lanes_of(uint32_t column) const noexcept {
    for (const Lanes& entry : lanes_)
        if (entry.column == column) return &entry.ticks;
    return nullptr;
}

bool Row::knows_lane(uint32_t column, uint32_t tick, int lane) const noexcept {
    const LaneTicks* ticks = lanes_of(column);
    if (ticks == nullptr) return false;
    if (lane >= 0) return (*ticks)[static_cast<size_t>(lane)] >= tick;
    return *std::max_element(ticks->begin(), ticks->end()) >= tick;
}

bool Row::knows_lanes(uint32_t column, uint32_t tick, int lane) const noexcept {
    const LaneTicks* ticks = lanes_of(column);
    if (ticks == nullptr || (*ticks)[static_cast<size_t>(lane)] < tick) return false;
    // Who the others were is forgotten. One at least has to be known.
    return std::count_if(ticks->begin(), ticks->end(),
                         [tick](uint32_t known) { return known >= tick; }) > 1;
}

void Row::settle() {
    size_t kept = 0;
    for (size_t i = 0; i < lanes_.size(); ++i) {
        const auto [least, most] =
            std::minmax_element(lanes_[i].ticks.begin(), lanes_[i].ticks.end());
        uint32_t& tick = ticks_[lanes_[i].column];
        tick = std::max(tick, *least);
        if (*most <= tick) continue;
        if (kept != i) lanes_[kept] = lanes_[i];
        ++kept;
    }
    lanes_.resize(kept);
}

void Row::join(const Row& other) {
    if (other.empty()) return;
    if (empty()) {
        *this = other;
        return;
    }
    for (size_t i = 0; i < other.ticks_.size(); ++i)
        ticks_[i] = std::max(ticks_[i], other.ticks_[i]);
    for (const Lanes& entry : other.lanes_)
        join_lanes(entry.column, entry.ticks);
    if (!lanes_.empty()) settle();
}

void Row::join_lanes(uint32_t column, const LaneTicks& ticks) {
    for (Lanes& entry : lanes_) {
        if (entry.column != column) continue;
        for (size_t lane = 0; lane < ticks.size(); ++lane)
            entry.ticks[lane] = std::max(entry.ticks[lane], ticks[lane]);
        settle();
        return;
    }
    lanes_.push_back({column, ticks});
    settle();
}

bool Row::covers(const Row& other) const noexcept {
    for (size_t i = 0; i < other.ticks_.size(); ++i)
        if (ticks_[i] < other.ticks_[i]) return false;
    for (const Lanes& entry : other.lanes_)
        for (size_t lane = 0; lane < entry.ticks.size(); ++lane)
            if (!knows(entry.column, entry.ticks[lane], static_cast<int>(lane))) return false;
    return true;
}

}  // namespace emulator
