// Atomic operations, and what strong accesses hand on from warp to warp.
#include "tests/emulator/memory/lanes.hpp"

namespace emulator {

using ptx::Space;

void ThreadMemory::strong_effects(Warp& warp, const Access& access, bool reads, bool writes,
                                  bool adds, LaneMask lanes) {
    if (reads && !writes) ++worker_.polls;
    if (warp.ordering() == nullptr) return;
    const int reach = access.order == Order::kVolatile ? 2 : reach_of(access.scope);
    const bool shared = access.space == Space::kShared;
    for_lanes(lanes, [&](int lane) {
        const uint64_t address = access.addresses[lane];
        const auto apply = [&](SyncVariable& variable) {
            if (reads) strong_read(warp, 1u << lane, variable, reach, acquires(access.order));
            if (writes) strong_write(warp, variable, reach, releases(access.order), adds);
        };
        if (shared) {
            Cluster& cluster = *warp.block().cluster;
            Block& block = *cluster.blocks[address >> 24];
            const auto offset = static_cast<uint32_t>(address & 0xFFFFFF);
            const auto found = block.sync_variables.find(offset);
            if (found != block.sync_variables.end())
                apply(found->second);
            else if (writes)
                apply(block.sync_variables[offset]);
        } else {
            GlobalSync::Stripe& stripe = launch_.sync->stripe(address);
            const auto found = stripe.variables.find(address);
            if (found != stripe.variables.end())
                apply(found->second);
            else if (writes)
                apply(stripe.variables[address]);
        }
    });
}

LaneMask ThreadMemory::atomic(
    Warp& warp, const Access& access, uint8_t* old, int stride,
    const std::function<void(const uint8_t* old, int lane, uint8_t* result)>& modify) {
    const Op& op = *access.op;
    const auto bytes = static_cast<uint32_t>(access.bytes);
    LaneMask bad = 0;
    if (access.count) ++counters_.atomic_requests;
    // Which lane comes first is nobody's business: start anywhere.
    const int turn = static_cast<int>(worker_.random() >> 59);
    for (int step = 0; step < kWarpLanes; ++step) {
        const int lane = (step + turn) & 31;
        if ((access.lanes >> lane & 1) == 0) continue;
        uint64_t address = access.addresses[lane];
        Space space = access.space;
        if (space == Space::kGeneric) space = classify(address, &address);
        if (address % bytes != 0) misaligned(warp, op, lane, address, access.bytes);
        uint8_t result[16];
        uint8_t before[16];
        bool changed = true;
        uint64_t addresses[kWarpLanes];
        addresses[lane] = address;
        Access one = access;
        one.space = space;
        one.addresses = addresses;
        one.lanes = 1u << lane;
        if (one.order == Order::kWeak) one.order = Order::kRelaxed;
        const bool relies = one.order != Order::kRelease;
        if (space == Space::kShared) {
            const Place place = shared_at(warp, op, lane, address, bytes, true);
            uint8_t* at = place.block->shared + place.offset;
            std::memcpy(before, at, bytes);
            modify(before, lane, result);
            changed = std::memcmp(before, result, bytes) != 0;
            if (checks_) {
                const uint32_t offset = place.offset - kSharedFirst;
                bad |= suspicious_shared(warp, op, *place.block, place.offset, bytes, lane, 1);
                bits_assign(place.block->shadow->initialized(), offset, bytes, true);
                const Conflict conflict =
                    place.block->shadow->write(party(warp, one), offset, bytes, {lane, 31});
                if (conflict) report(warp, op, 1u << lane, conflict, true, true);
            }
            std::memcpy(at, result, bytes);
            strong_effects(warp, one, relies, changed || releases(one.order), true, one.lanes);
        } else if (space == Space::kLocal) {
            warp.report(op, 1u << lane, FindingKind::kOutOfBounds,
                        "an atomic operation on local memory", true);
        } else {
            const Allocation& allocation = global_at(warp, op, lane, address, bytes, true);
            add_traffic(allocation, bytes, bytes);
            auto* at = reinterpret_cast<uint8_t*>(address);
            const auto one_step = lock_strong(address);
            std::memcpy(before, at, bytes);
            modify(before, lane, result);
            changed = std::memcmp(before, result, bytes) != 0;
            std::memcpy(at, result, bytes);
            if (checks_) {
                if (!arena_.is_initialized(allocation, address, bytes)) {
                    bad |= 1u << lane;
                    warp.set_cause(cause_uninitialized(warp, op, address, "global"));
                }
                arena_.set_initialized(allocation, address, bytes);
                const Conflict conflict =
                    launch_.shadow->write(party(warp, one), address, bytes, lane, 0, false);
                if (conflict) report(warp, op, 1u << lane, conflict, true, false);
            }
            strong_effects(warp, one, relies, changed || releases(one.order), true, one.lanes);
        }
        std::memcpy(old + lane * stride, before, bytes);
        if (changed) {
            worker_.progress();
        } else {
            ++worker_.polls;
            ++counters_.spin_retries;
        }
    }
    return bad;
}

}  // namespace emulator
