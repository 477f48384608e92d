#include "tests/emulator/check/clocks.hpp"

#include <algorithm>
#include <atomic>

#include "tests/emulator/exec/block.hpp"

namespace emulator {
namespace {

void join_world(std::shared_ptr<const World>& into, const std::shared_ptr<const World>& from) {
    if (!from || from == into) return;
    if (!into) {
        into = from;
        return;
    }
    auto joined = std::make_shared<World>();
    auto a = into->clusters.begin();
    auto b = from->clusters.begin();
    bool changed = false;
    while (a != into->clusters.end() || b != from->clusters.end()) {
        if (b == from->clusters.end() || (a != into->clusters.end() && a->first < b->first)) {
            joined->clusters.push_back(*a++);
        } else if (a == into->clusters.end() || b->first < a->first) {
            joined->clusters.push_back(*b++);
            changed = true;
        } else {
            if (a->second == b->second || a->second->covers(*b->second)) {
                joined->clusters.push_back(*a);
            } else {
                auto row = std::make_shared<Row>(*a->second);
                row->join(*b->second);
                joined->clusters.emplace_back(a->first, std::move(row));
                changed = true;
            }
            ++a, ++b;
        }
    }
    if (changed) into = std::move(joined);
}

/// What another cluster learns from `clock` of `cluster`: its world and the cluster's own row.
std::shared_ptr<const World> as_world(const std::shared_ptr<const World>& world, const Row& row,
                                      uint32_t cluster) {
    if (row.empty()) return world;
    auto own = std::make_shared<World>();
    own->clusters.emplace_back(cluster, std::make_shared<Row>(row));
    std::shared_ptr<const World> result = std::move(own);
    join_world(result, world);
    return result;
}

std::array<std::array<uint32_t, 32>, 32>& lane_matrix(Ordering& ordering) {
    if (!ordering.lanes) {
        ordering.lanes = std::make_unique<std::array<std::array<uint32_t, 32>, 32>>();
        for (auto& row : *ordering.lanes)
            row.fill(0);
    }
    return *ordering.lanes;
}

void new_tick(Warp& warp, Ordering& ordering) {
    ordering.tick = ++warp.block().cluster->tick;
    ordering.clock.seen[ordering.column] = ordering.tick;
    warp.trace().add(Trace::kTick | ordering.tick);
}

/// `lanes` come to know `clock`. That it knows the warp itself up to a tick means that lanes of the
/// warp have released that much: then `lanes` know it of all the others.
void learn(Warp& warp, LaneMask lanes, Ordering& ordering, const Clock& clock) {
    const Row::LaneTicks* own = clock.seen.lanes_of(ordering.column);
    if (own != nullptr && *std::max_element(own->begin(), own->end()) > ordering.lane_floor) {
        // Some lanes have released more than the others.
        auto& known = lane_matrix(ordering);
        for_lanes(lanes, [&](int lane) {
            for (size_t other = 0; other < own->size(); ++other)
                known[lane][other] = std::max(known[lane][other], (*own)[other]);
        });
    }
    if (!clock.seen.empty() && clock.seen[ordering.column] > ordering.lane_floor) {
        const uint32_t tick = clock.seen[ordering.column];
        if ((warp.live() & ~lanes) == 0) {
            ordering.lane_floor = std::min(tick, ordering.tick - 1);
        } else {
            auto& known = lane_matrix(ordering);
            for_lanes(lanes, [&](int lane) {
                for (uint32_t& other : known[lane])
                    other = std::max(other, tick);
            });
        }
    }
    ordering.clock.join(clock);
}

/// `clock` joins what `lanes` know. To exit is no release: lanes that have exited count as others.
void hand_on(Warp& warp, LaneMask lanes, Ordering& ordering, Clock& clock) {
    if ((warp.started() & ~lanes) == 0) {
        clock.join(ordering.clock);
        return;
    }
    uint32_t& own = ordering.clock.seen[ordering.column];
    const uint32_t tick = own;
    Row::LaneTicks known;
    for (int other = 0; other < kWarpLanes; ++other) {
        uint32_t& ticks = known[static_cast<size_t>(other)];
        ticks = ordering.lane_floor;
        if (((lanes | ~warp.started()) >> other & 1) != 0) ticks = tick;
        if (!ordering.lanes) continue;
        for_lanes(lanes, [&](int lane) {
            ticks = std::max(ticks, (*ordering.lanes)[lane][static_cast<size_t>(other)]);
        });
    }
    own = ordering.lane_floor;
    clock.join(ordering.clock);
    own = tick;
    clock.seen.join_lanes(ordering.column, known);
}

/// 0 the same block, 1 the same cluster, 2 elsewhere.
int distance(Warp& warp, const SyncVariable::Released& released) {
    if (released.cluster != warp.block().cluster->number) return 2;
    return released.rank == warp.block().rank ? 0 : 1;
}

}  // namespace

void Clock::join(const Clock& other) {
    seen.join(other.seen);
    proxied.join(other.proxied);
    join_world(world, other.world);
    join_world(proxied_world, other.proxied_world);
}

bool world_knows(const World* world, uint32_t cluster, uint32_t column, uint32_t tick,
                 int lane) noexcept {
    if (world == nullptr) return false;
    const auto found =
        std::lower_bound(world->clusters.begin(), world->clusters.end(), cluster,
                         [](const auto& entry, uint32_t wanted) { return entry.first < wanted; });
    return found != world->clusters.end() && found->first == cluster &&
           found->second->knows(column, tick, lane);
}

void release(Warp& warp, LaneMask lanes, Clock& clock) {
    Ordering* ordering = warp.ordering();
    if (ordering == nullptr) return;
    hand_on(warp, lanes, *ordering, clock);
    new_tick(warp, *ordering);
}

void release_fenced(Warp& warp, int reach, Clock& clock) {
    Ordering* ordering = warp.ordering();
    if (ordering == nullptr) return;
    clock.join(ordering->fenced[reach]);
}

void acquire(Warp& warp, LaneMask lanes, const Clock& clock) {
    Ordering* ordering = warp.ordering();
    if (ordering == nullptr) return;
    learn(warp, lanes, *ordering, clock);
}

void acquire_block(Warp& warp, const Clock& clock) {
    Ordering* ordering = warp.ordering();
    if (ordering == nullptr) return;
    ordering->clock.join(clock);
    const Cluster& cluster = *warp.block().cluster;
    const uint32_t first = static_cast<uint32_t>(warp.block().rank) * cluster.columns_per_block;
    // Nobody accessed anything between arriving and departing, and who departs takes a new tick: a
    // tick up to the latest at which anyone arrived belongs to an access before the barrier.
    uint32_t floor = 0;
    for (uint32_t w = 0; w < cluster.warps_per_block; ++w)
        floor = std::max(floor, clock.seen[first + w]);
    ordering->floor = std::max(ordering->floor, floor);
    ordering->lane_floor = ordering->tick;
    new_tick(warp, *ordering);
}

void sync_lanes(Warp& warp, LaneMask mask) {
    Ordering* ordering = warp.ordering();
    if (ordering == nullptr) return;
    const uint32_t tick = ordering->tick;
    if ((warp.live() & ~mask) == 0) {
        ordering->lane_floor = tick;
    } else {
        auto& lanes = lane_matrix(*ordering);
        std::array<uint32_t, 32> joined;
        joined.fill(0);
        for_lanes(mask, [&](int lane) {
            lanes[lane][lane] = tick;
            for (int i = 0; i < 32; ++i)
                joined[i] = std::max(joined[i], lanes[lane][i]);
        });
        for_lanes(mask, [&](int lane) { lanes[lane] = joined; });
    }
    new_tick(warp, *ordering);
}

Moment begin_async(Warp& warp, Engine engine) {
    if (warp.ordering() == nullptr) return {};
    Cluster& cluster = *warp.block().cluster;
    const uint32_t warps = cluster.warps_per_block;
    const uint32_t place =
        warps * (engine == Engine::kBulkStore ? 1 : 2) + static_cast<uint32_t>(warp.index());
    return {static_cast<uint32_t>(warp.block().rank) * cluster.columns_per_block + place,
            ++cluster.tick};
}

void finish_async(Warp& warp, LaneMask /*lanes*/, Moment moment) {
    Ordering* ordering = warp.ordering();
    if (ordering == nullptr || moment.column == Moment::kNoColumn) return;
    uint32_t& seen = ordering->clock.seen[moment.column];
    seen = std::max(seen, moment.tick);
    if (!ordering->clock.proxied.empty()) {
        uint32_t& proxied = ordering->clock.proxied[moment.column];
        proxied = std::max(proxied, moment.tick);
    }
}

Moment land_async(Warp& warp, Block& block, uint32_t mbarrier, Clock& clock) {
    if (warp.ordering() == nullptr) return {};
    Cluster& cluster = *block.cluster;
    auto found = block.landing_columns.find(mbarrier);
    if (found == block.landing_columns.end()) {
        const uint32_t place =
            3 * cluster.warps_per_block +
            static_cast<uint32_t>(block.landing_columns.size()) % kLandingColumns;
        found = block.landing_columns
                    .emplace(mbarrier,
                             static_cast<uint32_t>(block.rank) * cluster.columns_per_block + place)
                    .first;
    }
    const Moment moment{found->second, ++cluster.tick};
    const size_t columns = size_t{cluster.columns_per_block} * cluster.blocks.size();
    clock.seen.resize(columns);
    clock.proxied.resize(columns);
    clock.seen[moment.column] = moment.tick;
    clock.proxied[moment.column] = moment.tick;
    return moment;
}

void strong_write(Warp& warp, SyncVariable& variable, int reach, bool releases, bool adds) {
    Ordering* ordering = warp.ordering();
    if (ordering == nullptr) return;
    if (releases) fence_clocks(warp, reach);
    static std::atomic<uint64_t> stamps{0};
    variable.stamp = ++stamps;
    if (!adds) variable.released.clear();
    const Cluster& cluster = *warp.block().cluster;
    for (int level = reach; level >= 0; --level) {
        const Clock& clock = ordering->fenced[level];
        if (clock.empty()) continue;
        // A narrower fence that says no more than a wider one is not worth keeping.
        if (level < reach && !ordering->fenced[level + 1].empty() &&
            ordering->fenced[level + 1].seen == clock.seen &&
            ordering->fenced[level + 1].world == clock.world)
            continue;
        bool joined = false;
        for (auto& released : variable.released) {
            if (released.reach == level && released.cluster == cluster.number &&
                released.rank == warp.block().rank) {
                released.clock.join(clock);
                joined = true;
            }
        }
        if (!joined)
            variable.released.push_back(
                {static_cast<uint8_t>(level), warp.block().rank, cluster.number, clock});
    }
}

void strong_read(Warp& warp, LaneMask lanes, const SyncVariable& variable, int reach,
                 bool acquires) {
    Ordering* ordering = warp.ordering();
    if (ordering == nullptr || variable.released.empty()) return;
    // What is known of other clusters is known to all lanes.
    bool elsewhere = true;
    for (const auto& released : variable.released)
        elsewhere &= distance(warp, released) == 2;
    const uint64_t key = variable.stamp * 8 + static_cast<uint64_t>(reach) * 2 + (acquires ? 1 : 0);
    if (elsewhere) {
        for (const uint64_t before : ordering->read_before)
            if (before == key) return;
        ordering->read_before[ordering->next_read++ % 4] = key;
    }
    for (const auto& released : variable.released) {
        const int away = distance(warp, released);
        if (released.reach < away || reach < away) continue;
        Clock& target = acquires ? ordering->clock : ordering->observed[away];
        if (away < 2 && acquires) {
            learn(warp, lanes, *ordering, released.clock);
        } else if (away < 2) {
            target.join(released.clock);
        } else {
            join_world(target.world,
                       as_world(released.clock.world, released.clock.seen, released.cluster));
            join_world(target.proxied_world, as_world(released.clock.proxied_world,
                                                      released.clock.proxied, released.cluster));
        }
    }
}

void fence_clocks(Warp& warp, int reach) {
    Ordering* ordering = warp.ordering();
    if (ordering == nullptr) return;
    for (int level = 0; level <= reach; ++level) {
        if (!ordering->observed[level].empty()) {
            learn(warp, warp.group().lanes, *ordering, ordering->observed[level]);
            ordering->observed[level].clear();
        }
    }
    // Lanes that fence without the others add to what those have fenced.
    const LaneMask lanes = warp.group().lanes;
    const bool all = (warp.started() & ~lanes) == 0;
    for (int level = 0; level <= reach; ++level) {
        if (all) ordering->fenced[level].clear();
        hand_on(warp, lanes, *ordering, ordering->fenced[level]);
    }
    new_tick(warp, *ordering);
}

void fence_proxy_clocks(Warp& warp) {
    Ordering* ordering = warp.ordering();
    if (ordering == nullptr) return;
    ordering->clock.proxied.join(ordering->clock.seen);
    join_world(ordering->clock.proxied_world, ordering->clock.world);
    new_tick(warp, *ordering);
}

}  // namespace emulator
