#include "tests/emulator/check/shadow.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace emulator {
namespace {

constexpr uint32_t kForeign = 0x80000000u;
constexpr uint32_t kWeakWrite = 0x80, kAsyncWrite = 0x40;
constexpr uint32_t kWeakRead = 0x40, kSeveralLanes = 0x20;
/// Read words hold 25 bits of tick.
constexpr uint32_t kMaxTick = (1u << 25) - (1u << 20);

constexpr uint64_t kPage = 4096;
constexpr size_t kRing = 64;
constexpr uint8_t kStrong = 0x80, kAsync = 0x10;

uint8_t flags_of(const Party& who) {
    return static_cast<uint8_t>((who.strong ? kStrong : 0) | (who.reach << 5) |
                                (who.async_proxy ? kAsync : 0));
}

}  // namespace

SharedShadow::SharedShadow(uint32_t bytes, uint32_t granule)
    : bytes_(bytes),
      shift_(granule == 1   ? 0
             : granule == 2 ? 1
                            : 2) {
    cells_ = (bytes >> shift_) + 1;
    write_tick_.resize(cells_);
    write_by_.resize(cells_);
    write_pc_.resize(cells_);
    initialized_.resize(bytes / 8 + 16);
    unfinished_.resize(bytes / 8 + 16);
}

uint32_t SharedShadow::renew(uint32_t bytes, uint32_t columns, uint32_t first_column,
                             uint32_t warps, uint32_t start_tick) {
    first_column_ = first_column;
    warps_ = warps;
    if (std::max(start_tick, last_tick_) > kMaxTick) {
        std::fill(write_tick_.begin(), write_tick_.end(), 0);
        for (auto& reads : reads_)
            if (reads) std::fill(reads->word.begin(), reads->word.end(), 0);
        start_tick = last_tick_ = 0;
    }
    // Engines' ticks carry the top bit and would survive.
    for (uint32_t& tick : write_tick_)
        tick &= ~kForeign;
    reads_.resize(std::max<size_t>(reads_.size(), columns));
    std::memset(initialized_.data(), 0, bytes / 8 + 8);
    if (unfinished_bytes != 0) std::memset(unfinished_.data(), 0, unfinished_.size());
    unfinished_bytes = 0;
    return std::max(start_tick, last_tick_);
}

SharedShadow::Reads& SharedShadow::reads(uint32_t column) {
    if (column >= reads_.size()) reads_.resize(column + 1);
    if (!reads_[column]) {
        reads_[column] = std::make_unique<Reads>();
        reads_[column]->word.resize(cells_);
        reads_[column]->pc.resize(cells_);
        readers_.push_back(column);
    }
    return *reads_[column];
}

Conflict SharedShadow::check_writer(const Party& who, uint32_t cell, int lane, bool writes) const {
    const uint32_t tick = write_tick_[cell] & ~kForeign;
    if (tick == 0) return {};
    const uint32_t by = write_by_[cell];
    const uint32_t column = by >> 8;
    const Ordering& ordering = *who.ordering;
    const auto conflict = [&](FindingKind kind) {
        Conflict result;
        result.kind = kind;
        result.other_writes = true;
        result.other_async = (by & kAsyncWrite) != 0;
        result.other_pc = write_pc_[cell];
        result.other_cluster = who.cluster;
        result.other_column = column;
        result.other_lane = static_cast<int>(by & 31);
        result.address = uint64_t{cell} << shift_;
        return result;
    };
    const bool strong_pair = who.strong && (by & kWeakWrite) == 0;
    if (column == ordering.column && !who.async_proxy) {
        if (!strong_pair && !ordering.lanes_ordered(lane, static_cast<int>(by & 31), tick))
            return conflict(FindingKind::kLaneRace);
        return {};
    }
    const int other = static_cast<int>(by & 31);
    if (column == ordering.column && who.by_lane && !ordering.lanes_ordered(lane, other, tick))
        return conflict(FindingKind::kLaneRace);
    if (!strong_pair && !ordering.knows(column, tick, other))
        return conflict(FindingKind::kSharedRace);
    // What the async proxy reads must have been made visible to it.
    if (who.async_proxy && !writes && (by & kAsyncWrite) == 0 &&
        (ordering.clock.proxied.empty() || !ordering.clock.proxied.knows(column, tick, other)))
        return conflict(FindingKind::kAsyncProxy);
    return {};
}

Conflict SharedShadow::check_readers(const Party& who, uint32_t cell, int lane) const {
    const Ordering& ordering = *who.ordering;
    for (uint32_t column : readers_) {
        const uint32_t word = reads_[column]->word[cell];
        const uint32_t tick = word >> 7;
        if (tick == 0) continue;
        const bool strong_pair = who.strong && (word & kWeakRead) == 0;
        FindingKind kind = FindingKind::kCount;
        if (strong_pair) continue;
        if (column == ordering.column && !who.async_proxy) {
            const bool other_lane =
                (word & kSeveralLanes) != 0 ||
                !ordering.lanes_ordered(lane, static_cast<int>(word & 31), tick);
            if (other_lane && tick > ordering.lane_floor) {
                kind = FindingKind::kLaneRace;
                // Several lanes have read it: ordered if this lane knows all the others that far.
                if ((word & kSeveralLanes) != 0 && ordering.lanes) {
                    bool all = true;
                    for (int l = 0; l < kWarpLanes; ++l)
                        all &= ordering.lanes_ordered(lane, l, tick);
                    if (all) kind = FindingKind::kCount;
                }
            }
        } else if ((word & kSeveralLanes) != 0
                       ? !ordering.clock.seen.knows_several(column, tick,
                                                            static_cast<int>(word & 31))
                       : !ordering.knows(column, tick, static_cast<int>(word & 31))) {
            kind = FindingKind::kSharedRace;
        }
        if (kind == FindingKind::kCount) continue;
        Conflict result;
        result.kind = kind;
        result.other_pc = reads_[column]->pc[cell];
        result.other_cluster = who.cluster;
        result.other_column = column;
        result.other_tick = tick;
        result.other_lane = static_cast<int>(word & 31);
        result.address = uint64_t{cell} << shift_;
        return result;
    }
    return {};
}

Conflict SharedShadow::read(const Party& who, uint32_t offset, uint32_t bytes, LaneRun lanes) {
    const uint32_t first = offset >> shift_;
    const uint32_t count = ((offset + bytes - 1) >> shift_) - first + 1;
    Conflict result;
    const uint32_t floor = floor_of(who);
    const uint32_t* ticks = write_tick_.data() + first;
    uint32_t above = 0;
    for (uint32_t i = 0; i < count; ++i)
        above |= static_cast<uint32_t>(ticks[i] > floor);
    if (above != 0) {
        uint32_t last_tick = 0, last_by = 0;
        for (uint32_t i = 0; i < count && !result; ++i) {
            if (ticks[i] <= floor) continue;
            const uint32_t by = write_by_[first + i];
            // Neighbours mostly were written together; lanes matter only within the warp.
            if (ticks[i] == last_tick && (by ^ last_by) >> 5 == 0 &&
                by >> 8 != who.ordering->column)
                continue;
            result = check_writer(who, first + i, lanes.first + static_cast<int>(i >> lanes.shift),
                                  false);
            last_tick = ticks[i];
            last_by = by;
        }
    }
    Reads& mine = reads(who.column);
    uint32_t* words = mine.word.data() + first;
    const uint32_t base = who.tick << 7 | (who.strong ? 0 : kWeakRead);
    if (lanes.shift < 31) {
        for (uint32_t i = 0; i < count; ++i) {
            const uint32_t old = words[i];
            uint32_t word = base | (static_cast<uint32_t>(lanes.first) + (i >> lanes.shift));
            const bool same_tick = (old ^ word) >> 7 == 0;
            const bool other_lane = ((old ^ word) & 31) != 0;
            word |= same_tick ? old & (kWeakRead | kSeveralLanes) : 0;
            word |= same_tick && other_lane ? kSeveralLanes : 0;
            words[i] = word;
        }
    } else {
        for (uint32_t i = 0; i < count; ++i) {
            const uint32_t old = words[i];
            uint32_t word = base | static_cast<uint32_t>(lanes.first);
            const bool same_tick = (old ^ word) >> 7 == 0;
            const bool other_lane = ((old ^ word) & 31) != 0;
            word |= same_tick ? old & (kWeakRead | kSeveralLanes) : 0;
            word |= same_tick && other_lane ? kSeveralLanes : 0;
            words[i] = word;
        }
    }
    uint16_t* pcs = mine.pc.data() + first;
    const auto pc = static_cast<uint16_t>(who.pc);
    for (uint32_t i = 0; i < count; ++i)
        pcs[i] = pc;
    return result;
}

Conflict SharedShadow::write(const Party& who, uint32_t offset, uint32_t bytes, LaneRun lanes) {
    const uint32_t first = offset >> shift_;
    const uint32_t count = ((offset + bytes - 1) >> shift_) - first + 1;
    Conflict result;
    const uint32_t floor = floor_of(who);
    const uint32_t* ticks = write_tick_.data() + first;
    uint32_t above = 0;
    for (uint32_t i = 0; i < count; ++i)
        above |= static_cast<uint32_t>(ticks[i] > floor);
    for (uint32_t i = 0; i < count && above != 0 && !result; ++i)
        if (ticks[i] > floor)
            result = check_writer(who, first + i, lanes.first + static_cast<int>(i >> lanes.shift),
                                  true);
    if (!result) {
        uint32_t recent = 0;
        for (uint32_t column : readers_) {
            const uint32_t* words = reads_[column]->word.data() + first;
            // Engines and other blocks' warps are not below the floor.
            const bool generic = is_own(column);
            const uint32_t limit = generic ? (floor << 7 | 127) : 127;
            for (uint32_t i = 0; i < count; ++i)
                recent |= static_cast<uint32_t>(words[i] > limit);
        }
        for (uint32_t i = 0; i < count && recent != 0 && !result; ++i)
            result =
                check_readers(who, first + i, lanes.first + static_cast<int>(i >> lanes.shift));
    }
    set_writer(who, offset, bytes, lanes);
    return result;
}

void SharedShadow::set_writer(const Party& who, uint32_t offset, uint32_t bytes, LaneRun lanes) {
    const uint32_t first = offset >> shift_;
    const uint32_t count = ((offset + bytes - 1) >> shift_) - first + 1;
    const bool generic = is_own(who.column);
    const uint32_t tick = who.tick | (generic ? 0 : kForeign);
    const uint32_t by =
        who.column << 8 | (who.strong ? 0 : kWeakWrite) | (who.async_proxy ? kAsyncWrite : 0);
    std::fill_n(write_tick_.data() + first, count, tick);
    std::fill_n(write_pc_.data() + first, count, who.pc);
    uint32_t* bys = write_by_.data() + first;
    if (lanes.shift < 31) {
        for (uint32_t i = 0; i < count; ++i)
            bys[i] = by | (static_cast<uint32_t>(lanes.first) + (i >> lanes.shift));
    } else {
        std::fill_n(bys, count, by | static_cast<uint32_t>(lanes.first));
    }
}

// --- global memory ---------------------------------------------------------------------------------

GlobalShadow::GlobalShadow(uint64_t base, uint64_t reserved) : base_(base), reserved_(reserved) {
    void* where = mmap(nullptr, reserved / kPage * sizeof(GlobalPage*), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (where == MAP_FAILED) throw std::runtime_error("cannot reserve the race detector's pages");
    pages_ = static_cast<GlobalPage**>(where);
}

GlobalShadow::~GlobalShadow() {
    // Pages are where allocations were: few in a large table, most of it never touched.
    const uint64_t count = reserved_ / kPage;
    unsigned char resident[64];
    const uint64_t per_page = kPage / sizeof(GlobalPage*);
    for (uint64_t i = 0; i < count; i += per_page * 64) {
        const uint64_t span = std::min<uint64_t>(64, (count - i + per_page - 1) / per_page);
        if (mincore(pages_ + i, span * kPage, resident) != 0) continue;
        for (uint64_t p = 0; p < span; ++p) {
            if ((resident[p] & 1) == 0) continue;
            for (uint64_t k = 0; k < per_page && i + p * per_page + k < count; ++k)
                delete pages_[i + p * per_page + k];
        }
    }
    munmap(pages_, count * sizeof(GlobalPage*));
}

GlobalPage& GlobalShadow::page(uint64_t address) {
    GlobalPage** slot = pages_ + (address - base_) / kPage;
    GlobalPage* page = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (page == nullptr) {
        auto fresh = std::make_unique<GlobalPage>();
        if (__atomic_compare_exchange_n(slot, &page, fresh.get(), false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            page = fresh.release();
    }
    if (parallel_)
        while (page->lock.exchange(1, std::memory_order_acquire) != 0) {
        }
    if (page->launch != launch_) {
        page->launch = launch_;
        page->cells.reset();
        page->shift = 2;
        page->ranges.clear();
        page->next_range = 0;
    }
    return *page;
}

namespace {
struct Unlock {
    GlobalPage& page;
    bool parallel;
    ~Unlock() {
        if (parallel) page.lock.store(0, std::memory_order_release);
    }
};
}  // namespace

namespace {
bool is_same(const Ordering::SeenWrite& seen, uint64_t address, const GlobalPage::Cell& cell) {
    return seen.address == address && seen.cluster == cell.cluster && seen.column == cell.column &&
           seen.tick == cell.tick;
}

bool has_seen(const Ordering& ordering, uint64_t address, const GlobalPage::Cell& cell) {
    for (const auto& seen : ordering.seen_writes)
        if (is_same(seen, address, cell)) return true;
    return false;
}

/// A strong read that is no race with a strong write has its value.
void note_seen(Ordering& ordering, uint64_t address, const GlobalPage::Cell& cell) {
    if (has_seen(ordering, address, cell)) return;
    ordering.seen_writes[ordering.next_seen++ % ordering.seen_writes.size()] = {
        address, cell.cluster, cell.column, cell.tick};
}
}  // namespace

Conflict GlobalShadow::compare(const Party& who, uint64_t address, int lane, uint32_t cluster,
                               uint32_t column, uint32_t tick, int other_lane,
                               uint8_t flags) const {
    const Ordering& ordering = *who.ordering;
    FindingKind kind = FindingKind::kCount;
    const bool both_strong = who.strong && (flags & kStrong) != 0;
    const int narrower = std::min<int>(who.reach, flags >> 5 & 3);
    if (cluster == who.cluster) {
        const bool same_block = column - who.first_column < who.warps || column == who.column;
        if (both_strong && narrower >= (same_block ? 0 : 1)) return {};
        if (column == ordering.column && column == who.column) {
            if (other_lane >= 0 && !ordering.lanes_ordered(lane, other_lane, tick))
                kind = FindingKind::kLaneRace;
        } else if (!ordering.knows(column, tick, other_lane)) {
            kind = FindingKind::kGlobalRace;
        }
    } else {
        if (both_strong && narrower >= 2) return {};
        if (!world_knows(ordering.clock.world.get(), cluster, column, tick, other_lane))
            kind = FindingKind::kGlobalRace;
    }
    if (kind == FindingKind::kCount) return {};
    Conflict result;
    result.kind = kind;
    result.other_cluster = cluster;
    result.other_column = column;
    result.other_tick = tick;
    result.other_lane = std::max(other_lane, 0);
    result.other_async = (flags & kAsync) != 0;
    result.address = address;
    return result;
}

Conflict GlobalShadow::read(const Party& who, uint64_t address, uint32_t bytes, int first_lane,
                            uint32_t lane_bytes) {
    Conflict result;
    while (bytes != 0) {
        const auto start = static_cast<uint32_t>((address - base_) % kPage);
        const uint32_t here = std::min<uint32_t>(bytes, kPage - start);
        GlobalPage& page = this->page(address);
        const Unlock unlock{page, parallel_};
        if (page.cells) {
            for (uint32_t c = start >> page.shift; c <= (start + here - 1) >> page.shift; ++c) {
                const GlobalPage::Cell& cell = page.cells[c];
                if (cell.tick == 0 || result) continue;
                const uint32_t at = std::max(c << page.shift, start);
                const int lane =
                    first_lane +
                    (lane_bytes != 0 ? static_cast<int>((at - start) / lane_bytes) : 0);
                result = compare(who, address - start + at, lane, cell.cluster, cell.column,
                                 cell.tick, cell.lane, cell.flags);
                if (who.noncoherent && !result) {
                    // Ordered or not: the read-only path does not see it.
                    result.kind = FindingKind::kGlobalRace;
                    result.other_cluster = cell.cluster;
                    result.other_column = cell.column;
                    result.other_lane = cell.lane;
                    result.address = address - start + at;
                }
                if (result) {
                    result.other_writes = true;
                    result.other_pc = cell.pc;
                } else if (who.strong && (cell.flags & kStrong) != 0) {
                    note_seen(*who.ordering, address - start + (c << page.shift), cell);
                }
            }
        }
        GlobalPage::Range range;
        range.from = static_cast<uint16_t>(start);
        range.to = static_cast<uint16_t>(start + here - 1);
        range.cluster = who.cluster;
        range.tick = who.tick;
        range.pc = who.pc;
        range.column = static_cast<uint16_t>(who.column);
        range.first_lane = static_cast<uint8_t>(first_lane);
        range.lane_bytes =
            static_cast<uint8_t>(lane_bytes != 0 && lane_bytes <= 255 ? lane_bytes : 0);
        range.flags = flags_of(who);
        bool merged = false;
        if (!page.ranges.empty()) {
            GlobalPage::Range& last =
                page.ranges[(page.next_range + page.ranges.size() - 1) % page.ranges.size()];
            if (last.cluster == range.cluster && last.column == range.column &&
                last.tick == range.tick && last.flags == range.flags) {
                if (last.from <= range.from && range.to <= last.to &&
                    last.first_lane == range.first_lane && last.lane_bytes == range.lane_bytes &&
                    last.from == range.from) {
                    merged = true;
                } else if (range.from == last.to + 1) {
                    last.to = range.to;
                    last.first_lane = 255;  // no longer known
                    merged = true;
                }
            }
        }
        if (!merged) {
            if (page.ranges.size() < kRing) {
                page.ranges.push_back(range);
            } else {
                page.ranges[page.next_range] = range;
                page.next_range = (page.next_range + 1) % kRing;
            }
        }
        if (lane_bytes != 0) first_lane += static_cast<int>(here / lane_bytes);
        address += here;
        bytes -= here;
    }
    return result;
}

Conflict GlobalShadow::write(const Party& who, uint64_t address, uint32_t bytes, int first_lane,
                             uint32_t lane_bytes, bool report_double) {
    Conflict result;
    while (bytes != 0) {
        const auto start = static_cast<uint32_t>((address - base_) % kPage);
        const uint32_t here = std::min<uint32_t>(bytes, kPage - start);
        GlobalPage& page = this->page(address);
        const Unlock unlock{page, parallel_};
        const uint32_t end = start + here;
        if (!page.cells) {
            page.shift = ((start | here) & 3) != 0 || (lane_bytes & 3) != 0 ? 0 : 2;
            page.cells = std::make_unique<GlobalPage::Cell[]>(kPage >> page.shift);
        } else if (page.shift != 0 && (((start | here) & 3) != 0 || (lane_bytes & 3) != 0)) {
            auto finer = std::make_unique<GlobalPage::Cell[]>(kPage);
            for (uint32_t i = 0; i < kPage; ++i)
                finer[i] = page.cells[i >> 2];
            page.cells = std::move(finer);
            page.shift = 0;
        }
        for (const GlobalPage::Range& range : page.ranges) {
            if (result) break;
            if (range.to < start || range.from >= end) continue;
            const uint32_t from = std::max<uint32_t>(range.from, start);
            const uint32_t to = std::min<uint32_t>(range.to, end - 1);
            const bool own = range.cluster == who.cluster && range.column == who.ordering->column;
            // A warp that writes back what its lanes have read, or that has met in between.
            if (own && who.column == range.column &&
                (range.tick <= who.ordering->lane_floor ||
                 (range.from == start && range.first_lane == first_lane &&
                  range.lane_bytes == lane_bytes)))
                continue;
            // Of others' reads it is enough to look at each lane's once.
            const auto next = [&](uint32_t at) {
                if (own) return at + 1;
                if (range.lane_bytes == 0 || range.first_lane == 255) return to + 1;
                return at + range.lane_bytes - (at - range.from) % range.lane_bytes;
            };
            for (uint32_t at = from; at <= to && !result; at = next(at)) {
                const int lane =
                    first_lane +
                    (lane_bytes != 0 ? static_cast<int>((at - start) / lane_bytes) : 0);
                int other = range.first_lane;
                if (other == 255)
                    other = -1;
                else if (range.lane_bytes != 0)
                    other += static_cast<int>((at - range.from) / range.lane_bytes);
                result = compare(who, address - start + at, lane, range.cluster, range.column,
                                 range.tick, other, range.flags);
                if (result) result.other_pc = range.pc;
            }
        }
        const uint8_t flags = flags_of(who);
        const uint32_t size = 1u << page.shift;
        for (uint32_t at = start; at < end; at += size) {
            GlobalPage::Cell& cell = page.cells[at >> page.shift];
            const int lane =
                first_lane + (lane_bytes != 0 ? static_cast<int>((at - start) / lane_bytes) : 0);
            if (cell.tick != 0 && !result) {
                if (!has_seen(*who.ordering, address - start + at, cell))
                    result = compare(who, address - start + at, lane, cell.cluster, cell.column,
                                     cell.tick, cell.lane, cell.flags);
                if (!result && report_double && !who.strong) {
                    result.kind = FindingKind::kDoubleWrite;
                    result.other_cluster = cell.cluster;
                    result.other_column = cell.column;
                    result.other_lane = cell.lane;
                    result.address = address - start + at;
                }
                if (result) {
                    result.other_writes = true;
                    result.other_pc = cell.pc;
                }
            }
            cell.cluster = who.cluster;
            cell.tick = who.tick;
            cell.pc = who.pc;
            cell.column = static_cast<uint16_t>(who.column);
            cell.lane = static_cast<uint8_t>(lane);
            cell.flags = flags;
        }
        if (lane_bytes != 0) first_lane += static_cast<int>(here / lane_bytes);
        address += here;
        bytes -= here;
    }
    return result;
}

}  // namespace emulator
