// Happens-before: who knows of what, as vector clocks.
//
// Columns. A cluster's clock has one column per warp of its blocks, and columns for the asynchronous
// engines: per warp one for its bulk stores and one for its wgmma groups, and per block a pool for the
// mbarriers on which bulk loads and cp.async land. A *moment* is (column, tick). Ticks come from one
// counter of the cluster. A warp's accesses carry its current tick; when it releases (barrier arrival,
// mbarrier arrival, fence + flag), what it knows, its own tick included, is joined into the
// synchronization object's Clock and the warp takes a new tick. Who acquires joins that Clock into its
// own. An access is ordered before another if the second's clock has the first's column at the
// first's tick or later.
//
// Lanes. A warp's clock is that of all its lanes, but lanes that release without the others hand on
// only their own accesses, and of the other lanes' what bar.warp.sync or a barrier has ordered before
// (Row::lanes_of()): lane 0 alone cannot free a buffer that lane 5 may still read.
//
// The async proxy (bulk copies, wgmma operands) sees generic writes only after fence.proxy.async: each
// Clock carries a second row, what is known to be visible to the async proxy. A fence.proxy.async
// copies the first row into it; releases and acquires hand on both.
//
// Blocks of other clusters. `world` is what is known of them, by cluster; it is handed on only by
// releases and acquires whose scopes reach that far.
//
// With checks off all of this is absent: Warp::ordering() is null and the functions below do nothing.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "tests/emulator/check/row.hpp"
#include "tests/emulator/exec/op.hpp"

namespace emulator {

class Block;
class Warp;

/// What is known of other clusters, sorted by number of the cluster. Never changed once shared.
struct World {
    std::vector<std::pair<uint32_t, std::shared_ptr<const Row>>> clusters;
};

/// What a synchronization object hands on. Copyable; empty = nothing known. Opaque for executors.
struct Clock {
    Row seen;     ///< generic proxy
    Row proxied;  ///< of `seen`, what the async proxy may rely on
    std::shared_ptr<const World> world;
    std::shared_ptr<const World> proxied_world;

    bool empty() const noexcept { return seen.empty() && !world; }
    void clear() noexcept {
        seen.clear();
        proxied.clear();
        world.reset();
        proxied_world.reset();
    }
    void join(const Clock& other);
};

/// What a strong write (relaxed or stronger, volatile, atomic) of a memory location hands on to those
/// who read its value: the writer's knowledge as of its last fence (or of the write, with .release),
/// by how far the narrower of both scopes reaches. Atomics add to what is there.
struct SyncVariable {
    struct Released {
        uint8_t reach;     ///< 0 block, 1 cluster, 2 device
        int rank;          ///< the writer's block
        uint32_t cluster;  ///< and cluster
        Clock clock;
    };
    std::vector<Released> released;
    uint64_t stamp = 0;  ///< of the last change, never the same for two variables
};

enum class Engine : uint8_t { kBulkStore, kWgmma };

/// A tick of a column; column kNoColumn: none (checks off, or the warp itself).
struct Moment {
    static constexpr uint32_t kNoColumn = 0xFFFFFFFFu;
    uint32_t column = kNoColumn;
    uint32_t tick = 0;
};

/// `lanes` of the running group release: `clock` joins what they know. For arrivals at named barriers,
/// mbarriers and cluster barriers. The warp takes a new tick. Without all live lanes: see "Lanes".
void release(Warp& warp, LaneMask lanes, Clock& clock);
/// The same for an arrival that is only .relaxed: it hands on what the warp's last fence of that reach
/// (0 block, 1 cluster, 2 device) or more has made ready.
void release_fenced(Warp& warp, int reach, Clock& clock);
/// `lanes` of the running group acquire: departures from barriers, successful waits.
void acquire(Warp& warp, LaneMask lanes, const Clock& clock);

/// A barrier of the whole block completed (all live threads took part and `clock` holds all of them):
/// `warp` departs. The same as acquire(), and it lets later checks take their fast path.
void acquire_block(Warp& warp, const Clock& clock);

/// A bar.warp.sync of `mask`: orders the lanes of the warp among each other.
void sync_lanes(Warp& warp, LaneMask mask);

/// An asynchronous operation of the running warp begins on its engine (a bulk store, a wgmma): pass
/// the moment to Memory::note_read()/note_write(); it stays unordered with everything until
/// finish_async().
Moment begin_async(Warp& warp, Engine engine);
/// `lanes` of the running warp waited for it (cp.async.bulk.wait_group, wgmma.wait_group): they know
/// everything on that column up to the moment.
void finish_async(Warp& warp, LaneMask lanes, Moment moment);

/// Data lands in shared memory of `block` and completes on the mbarrier at shared offset `mbarrier`:
/// pass the moment to Memory::note_write(..., complete = true, moment); `clock` (the mbarrier's, of
/// the phase that completes) joins it, so that whoever waits for the phase may read the data.
/// `warp` is the running warp, of the same cluster (it polls).
Moment land_async(Warp& warp, Block& block, uint32_t mbarrier, Clock& clock);

/// Columns of a block's part of the clocks.
constexpr uint32_t kLandingColumns = 32;
inline uint32_t columns_per_block(uint32_t warps, bool engines) noexcept {
    return engines ? 3 * warps + kLandingColumns : warps;
}

/// The happens-before state of a warp.
struct Ordering {
    uint32_t column = 0;
    uint32_t tick = 0;  ///< of its accesses now
    Clock clock;        ///< clock.seen[column] == tick
    /// Accesses of its own block's warps (no engines) up to this tick are known to all of it.
    uint32_t floor = 0;
    /// Accesses of this warp up to this tick are ordered between all of its lanes.
    uint32_t lane_floor = 0;
    /// Exact knowledge of lanes of each other, [knower][known], made by the first bar.warp.sync of
    /// some lanes; where it says less than lane_floor, lane_floor counts.
    std::unique_ptr<std::array<std::array<uint32_t, 32>, 32>> lanes;

    /// Knowledge as of the last fence, by reach (0 block, 1 cluster, 2 device), and what strong reads
    /// have seen since, which a fence of that reach or more makes known.
    Clock fenced[3], observed[3];
    /// Stamps of variables read last, whose knowledge is here already: polling is cheap.
    std::array<uint64_t, 4> read_before{};
    uint32_t next_read = 0;

    bool knows(uint32_t its_column, uint32_t its_tick, int its_lane) const noexcept {
        return clock.seen.knows(its_column, its_tick, its_lane);
    }
    /// Is `lane` ordered behind this warp's own access by `other` at `its_tick`?
    bool lanes_ordered(int lane, int other, uint32_t its_tick) const noexcept {
        return lane == other || its_tick <= lane_floor ||
               (lanes && (*lanes)[lane][other] >= its_tick);
    }

    /// Strong writes whose values this warp's latest strong reads of global memory have seen. Each is
    /// ordered before what the warp does next (not what its writer did before: that takes a release
    /// and an acquire), so a weak store to a flag that was waited for is no race with its setter.
    struct SeenWrite {
        uint64_t address = 0;
        uint32_t cluster = 0, column = 0, tick = 0;
    };
    std::array<SeenWrite, 8> seen_writes{};
    uint32_t next_seen = 0;
};

/// A strong write: what `variable` hands on from now on. `scope`: 0 block, 1 cluster, 2 device.
void strong_write(Warp& warp, SyncVariable& variable, int reach, bool releases, bool adds);
/// A strong read of its value. With `acquires` at once, else by the next fence.
void strong_read(Warp& warp, LaneMask lanes, const SyncVariable& variable, int reach,
                 bool acquires);
/// fence.{acq_rel,sc}
void fence_clocks(Warp& warp, int reach);
void fence_proxy_clocks(Warp& warp);

/// Is an access by (column, tick, lane) of cluster number `cluster` known in `world`?
bool world_knows(const World* world, uint32_t cluster, uint32_t column, uint32_t tick,
                 int lane) noexcept;

}  // namespace emulator
