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
// The async proxy (bulk copies, wgmma operands) sees generic writes only after fence.proxy.async: each
// Clock carries a second row, what is known to be visible to the async proxy. A fence.proxy.async
// copies the first row into it; releases and acquires hand on both.
//
// Blocks of other clusters. `world` is what is known of them, by cluster; it is handed on only by
// releases and acquires whose scopes reach that far.
//
// With checks off all of this is absent: Warp::ordering() is null and the functions below do nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "tests/emulator/exec/op.hpp"

namespace emulator {

class Block;
class Warp;

/// Ticks by column, of one cluster.
using Row = std::vector<uint32_t>;

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

enum class Engine : uint8_t { kBulkStore, kWgmma };

/// A tick of a column; column kNoColumn: none (checks off, or the warp itself).
struct Moment {
    static constexpr uint32_t kNoColumn = 0xFFFFFFFFu;
    uint32_t column = kNoColumn;
    uint32_t tick = 0;
};

/// `lanes` of the running group release: `clock` joins what they know. For arrivals at named barriers,
/// mbarriers and cluster barriers. The warp takes a new tick.
void release(Warp& warp, LaneMask lanes, Clock& clock);
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

}  // namespace emulator
