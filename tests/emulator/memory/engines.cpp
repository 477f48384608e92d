// Accesses by engines: bulk copies, cp.async, reductions that complete on an mbarrier.
#include "tests/emulator/memory/lanes.hpp"

namespace emulator {

using ptx::Space;

uint8_t* ThreadMemory::resolve(Warp& warp, const Op& op, Space space, uint64_t address,
                               int64_t bytes, bool write) {
    const int lane = __builtin_ctz(warp.group().lanes | 0x80000000u);
    if (space == Space::kGeneric) space = classify(address, &address);
    if (space == Space::kShared) {
        const Place place = shared_at(warp, op, lane, address, static_cast<uint32_t>(bytes), write);
        return place.block->shared + place.offset;
    }
    if (space == Space::kLocal) {
        warp.report(op, 1u << lane, FindingKind::kOutOfBounds,
                    "local memory is no place for an asynchronous copy", true);
        return nullptr;
    }
    if (bytes == 0) return reinterpret_cast<uint8_t*>(address);
    global_at(warp, op, lane, address, static_cast<uint64_t>(bytes), write);
    return reinterpret_cast<uint8_t*>(address);
}

Block* ThreadMemory::owner(Warp& warp, const uint8_t* where, int64_t bytes) const noexcept {
    for (Block* block : warp.block().cluster->blocks)
        if (where >= block->shared + kSharedFirst &&
            where + bytes <= block->shared + block->shared_end)
            return block;
    return nullptr;
}

uint8_t* ThreadMemory::shared_pointer(Warp& warp, uint64_t address, int64_t bytes) {
    const uint64_t rank = address >> 24;
    const auto offset = static_cast<int64_t>(address & 0xFFFFFF);
    Cluster& cluster = *warp.block().cluster;
    if (rank >= cluster.blocks.size() || offset < kSharedFirst ||
        offset + bytes > cluster.blocks[rank]->shared_end)
        return nullptr;
    return cluster.blocks[rank]->shared + offset;
}

bool ThreadMemory::note_read(Warp& warp, const Op& op, const uint8_t* where, int64_t bytes,
                             Proxy proxy) {
    return note_read(warp, op, where, bytes, proxy, Moment{});
}

void ThreadMemory::note_write(Warp& warp, const Op& op, uint8_t* where, int64_t bytes, Proxy proxy,
                              bool complete) {
    note_write(warp, op, where, bytes, proxy, complete, Moment{});
}

bool ThreadMemory::note_read(Warp& warp, const Op& op, const uint8_t* where, int64_t bytes,
                             Proxy proxy, Moment moment, LaneMask lanes) {
    if (bytes == 0) return true;
    const auto address = reinterpret_cast<uint64_t>(where);
    const bool by_lane = proxy == Proxy::kAsync && lanes != 0;
    if (lanes == 0) lanes = warp.group().lanes;
    const int lane = __builtin_ctz(lanes | 0x80000000u);
    if (arena_.contains(address)) {
        const Allocation* allocation = arena_.holder(address, static_cast<uint64_t>(bytes));
        if (allocation == nullptr) return true;
        add_traffic(*allocation, static_cast<uint64_t>(bytes), 0);
        if (!checks_) return true;
        bool good = true;
        if (!arena_.is_initialized(*allocation, address, static_cast<uint64_t>(bytes))) {
            warp.set_cause(cause_uninitialized(warp, op, address, "global"));
            good = false;
        }
        if (!allocation->read_only) {
            const Conflict conflict = launch_.shadow->read(party(warp, op, proxy, moment), address,
                                                           static_cast<uint32_t>(bytes), lane, 0);
            if (conflict) {
                warp.set_cause(cause_of(warp, op, conflict, false));
                good = false;
            }
        }
        return good;
    }
    if (!checks_) return true;
    Block* block = owner(warp, where, bytes);
    if (block == nullptr) return true;
    const auto at = static_cast<uint32_t>(where - block->shared) - kSharedFirst;
    const auto span = static_cast<uint32_t>(bytes);
    SharedShadow& shadow = *block->shadow;
    Party who = party(warp, op, proxy, moment);
    who.by_lane = by_lane;
    bool good = true;
    if (shadow.unfinished_bytes != 0 && bits_any(shadow.unfinished(), at, span)) {
        warp.set_cause(cause_unfinished(warp, op, at));
        if (proxy == Proxy::kAsync)
            warp.report(op, lanes, FindingKind::kUnfinishedCopy,
                        "reads shared memory at offset " + hex(at) +
                            " that a copy in flight has not filled");
        good = false;
    } else if (!bits_all(shadow.initialized(), at, span)) {
        warp.set_cause(cause_uninitialized(warp, op, at, "shared"));
        good = false;
    }
    const Conflict conflict = shadow.read(who, at, span, {lane, 31});
    if (conflict) {
        warp.set_cause(cause_of(warp, op, conflict, true));
        // An engine's value has no register to carry the suspicion.
        if (proxy == Proxy::kAsync) report(warp, op, lanes, conflict, false, true);
        good = false;
    }
    return good;
}

void ThreadMemory::note_write(Warp& warp, const Op& op, uint8_t* where, int64_t bytes, Proxy proxy,
                              bool complete, Moment moment, LaneMask lanes) {
    if (bytes == 0) return;
    worker_.progress();
    const auto address = reinterpret_cast<uint64_t>(where);
    if (lanes == 0) lanes = warp.group().lanes;
    const int lane = __builtin_ctz(lanes | 0x80000000u);
    if (arena_.contains(address)) {
        const Allocation* allocation = arena_.holder(address, static_cast<uint64_t>(bytes));
        if (allocation == nullptr) return;
        if (complete) add_traffic(*allocation, 0, static_cast<uint64_t>(bytes));
        if (!checks_) return;
        if (complete) arena_.set_initialized(*allocation, address, static_cast<uint64_t>(bytes));
        const Conflict conflict = launch_.shadow->write(
            party(warp, op, proxy, moment), address, static_cast<uint32_t>(bytes), lane, 0, false);
        if (conflict) report(warp, op, lanes, conflict, true, false);
        return;
    }
    if (!checks_) return;
    Block* block = owner(warp, where, bytes);
    if (block == nullptr) return;
    const auto at = static_cast<uint32_t>(where - block->shared) - kSharedFirst;
    const auto span = static_cast<uint32_t>(bytes);
    SharedShadow& shadow = *block->shadow;
    const Party who = party(warp, op, proxy, moment);
    if (!complete) {
        if (shadow.unfinished_bytes != 0 && bits_any(shadow.unfinished(), at, span)) {
            warp.report(
                op, lanes, FindingKind::kUnfinishedCopy,
                "a copy into shared memory at offset " + hex(at) + " where another is in flight");
        } else {
            const Conflict conflict = shadow.write(who, at, span, {lane, 31});
            if (conflict) report(warp, op, lanes, conflict, true, true);
        }
        bits_assign(shadow.unfinished(), at, span, true);
        shadow.unfinished_bytes += span;
        return;
    }
    if (shadow.unfinished_bytes != 0 && bits_any(shadow.unfinished(), at, span)) {
        bits_assign(shadow.unfinished(), at, span, false);
        shadow.unfinished_bytes -= std::min(shadow.unfinished_bytes, span);
        shadow.set_writer(who, at, span, {lane, 31});
    } else {
        const Conflict conflict = shadow.write(who, at, span, {lane, 31});
        if (conflict) report(warp, op, lanes, conflict, true, true);
    }
    bits_assign(shadow.initialized(), at, span, true);
}

void ThreadMemory::issue_store(Warp& warp, const Access& access) {
    if (access.lanes == 0) return;
    const Op& op = *access.op;
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint32_t>(access.bytes);
    const Pattern pattern = this->pattern(access, first);
    if (access.count) count_shared(access, pattern, true);
    const uint64_t start = access.addresses[first];
    Party who{};
    if (checks_) who = party(warp, access);
    const auto span_of = [&](Block& block, uint32_t at, uint32_t span, LaneMask lanes,
                             LaneRun run) {
        SharedShadow& shadow = *block.shadow;
        if (shadow.unfinished_bytes != 0 && bits_any(shadow.unfinished(), at, span)) {
            warp.report(
                op, lanes, FindingKind::kUnfinishedCopy,
                "a copy into shared memory at offset " + hex(at) + " where another is in flight");
        } else {
            const Conflict conflict = shadow.write(who, at, span, run);
            if (conflict) report(warp, op, lanes, conflict, true, true);
        }
        bits_assign(shadow.unfinished(), at, span, true);
        shadow.unfinished_bytes += span;
    };
    if (pattern == Pattern::kRun && start % bytes == 0) {
        const uint32_t span = bytes * static_cast<uint32_t>(__builtin_popcount(access.lanes));
        Block& block = warp.block();
        const auto offset = static_cast<uint32_t>(start & 0xFFFFFF);
        if (start >> 24 == static_cast<uint64_t>(block.rank) && offset >= kSharedFirst &&
            offset + span <= block.shared_end) {
            if (checks_)
                span_of(
                    block, offset - kSharedFirst, span, access.lanes,
                    {first, static_cast<int>(log2_floor(bytes >> block.shadow->granule_shift()))});
            return;
        }
    }
    for_lanes(access.lanes, [&](int lane) {
        const uint64_t address = access.addresses[lane];
        if (address % bytes != 0) misaligned(warp, op, lane, address, access.bytes);
        const Place place = shared_at(warp, op, lane, address, bytes, true);
        if (checks_)
            span_of(*place.block, place.offset - kSharedFirst, bytes, 1u << lane, {lane, 31});
    });
}

void ThreadMemory::land_store(Warp& warp, const Access& access, const uint8_t* in, int stride,
                              LaneMask suspicious, Moment moment) {
    if (access.lanes == 0) return;
    worker_.progress();
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint32_t>(access.bytes);
    const Pattern pattern = this->pattern(access, first);
    const uint64_t start = access.addresses[first];
    Party who{};
    if (checks_) who = party(warp, *access.op, Proxy::kGeneric, moment);
    const auto span_of = [&](Block& block, uint32_t at, uint32_t span, LaneRun run) {
        SharedShadow& shadow = *block.shadow;
        bits_assign(shadow.unfinished(), at, span, false);
        shadow.unfinished_bytes -= std::min(shadow.unfinished_bytes, span);
        bits_assign(shadow.initialized(), at, span, true);
        shadow.set_writer(who, at, span, run);
    };
    Cluster& cluster = *warp.block().cluster;
    if (pattern == Pattern::kRun) {
        const uint32_t span = bytes * static_cast<uint32_t>(__builtin_popcount(access.lanes));
        Block& block = *cluster.blocks[start >> 24];
        const auto offset = static_cast<uint32_t>(start & 0xFFFFFF);
        if (checks_)
            span_of(block, offset - kSharedFirst, span,
                    {first, static_cast<int>(log2_floor(bytes >> block.shadow->granule_shift()))});
        copy_in(access, first, in, stride, block.shared + offset);
    } else {
        for_lanes(access.lanes, [&](int lane) {
            const uint64_t address = access.addresses[lane];
            Block& block = *cluster.blocks[address >> 24];
            const auto offset = static_cast<uint32_t>(address & 0xFFFFFF);
            if (checks_) span_of(block, offset - kSharedFirst, bytes, {lane, 31});
            copy_bytes(block.shared + offset, in + lane * stride, access.bytes);
        });
    }
    if (checks_)
        for_lanes(suspicious & access.lanes, [&](int lane) {
            const uint64_t address = access.addresses[lane];
            bits_assign(cluster.blocks[address >> 24]->shadow->initialized(),
                        (address & 0xFFFFFF) - kSharedFirst, bytes, false);
        });
}

void ThreadMemory::note_reduction(Warp& warp, const Op& op, uint8_t* where, int64_t bytes,
                                  Proxy proxy, Moment moment) {
    worker_.progress();
    Block* block = checks_ ? owner(warp, where, bytes) : nullptr;
    if (block == nullptr) return;
    const LaneMask lanes = warp.group().lanes;
    Party who = party(warp, op, proxy, moment);
    who.strong = true;
    who.reach = 1;
    const auto at = static_cast<uint32_t>(where - block->shared) - kSharedFirst;
    const auto span = static_cast<uint32_t>(bytes);
    const Conflict conflict =
        block->shadow->write(who, at, span, {__builtin_ctz(lanes | 0x80000000u), 31});
    if (conflict) report(warp, op, lanes, conflict, true, true);
}

void ThreadMemory::mark_uninitialized(Warp& warp, uint8_t* where, int64_t bytes) {
    if (!checks_ || bytes == 0) return;
    const Block* block = owner(warp, where, bytes);
    if (block == nullptr) return;
    bits_assign(block->shadow->initialized(),
                static_cast<uint64_t>(where - block->shared) - kSharedFirst,
                static_cast<uint64_t>(bytes), false);
}

}  // namespace emulator
