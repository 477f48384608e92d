// Loads and stores of shared memory.
#include "tests/emulator/memory/lanes.hpp"

namespace emulator {

/// Lanes [first, first + lanes) that read bytes_per_lane each from `offset` on: which of them see
/// bytes that were never written or that a copy has not filled yet.
LaneMask ThreadMemory::suspicious_shared(Warp& warp, const Op& op, Block& block, uint32_t offset,
                                         uint32_t bytes_per_lane, int first, int lanes) {
    SharedShadow& shadow = *block.shadow;
    const uint32_t at = offset - kSharedFirst;
    LaneMask bad = 0;
    if (shadow.unfinished_bytes != 0 &&
        bits_any(shadow.unfinished(), at,
                 uint64_t{bytes_per_lane} * static_cast<uint32_t>(lanes))) {
        for (int i = 0; i < lanes; ++i)
            if (bits_any(shadow.unfinished(), at + bytes_per_lane * static_cast<uint32_t>(i),
                         bytes_per_lane))
                bad |= 1u << (first + i);
        warp.set_cause(cause_unfinished(warp, op, offset));
        if (bad != 0) return bad;
    }
    if (!bits_all(shadow.initialized(), at,
                  uint64_t{bytes_per_lane} * static_cast<uint32_t>(lanes))) {
        for (int i = 0; i < lanes; ++i)
            if (!bits_all(shadow.initialized(), at + bytes_per_lane * static_cast<uint32_t>(i),
                          bytes_per_lane))
                bad |= 1u << (first + i);
        warp.set_cause(cause_uninitialized(warp, op, offset, "shared"));
    }
    return bad;
}

LaneMask ThreadMemory::load_shared(Warp& warp, const Access& access, uint8_t* out, int stride) {
    if (access.lanes == 0) return 0;
    const Op& op = *access.op;
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint32_t>(access.bytes);
    const uint64_t start = access.addresses[first];
    const Pattern pattern = this->pattern(access, first);
    const int lanes = __builtin_popcount(access.lanes);
    LaneMask bad = 0;
    if (access.count) count_shared(access, pattern, false);

    if (pattern != Pattern::kAny) {
        const uint32_t span =
            pattern == Pattern::kRun ? bytes * static_cast<uint32_t>(lanes) : bytes;
        const uint64_t rank = start >> 24;
        const auto offset = static_cast<uint32_t>(start & 0xFFFFFF);
        if (start % bytes != 0) misaligned(warp, op, first, start, access.bytes);
        if (rank == static_cast<uint64_t>(warp.block().rank) && offset >= kSharedFirst &&
            offset + span <= warp.block().shared_end) {
            Block& block = warp.block();
            if (checks_) {
                bad = suspicious_shared(warp, op, block, offset, bytes, first,
                                        pattern == Pattern::kRun ? lanes : 1);
                if (pattern == Pattern::kSame && bad != 0) bad = access.lanes;
                const Party who = party(warp, access);
                SharedShadow& shadow = *block.shadow;
                const uint32_t shift =
                    pattern == Pattern::kRun ? log2_floor(bytes >> shadow.granule_shift()) : 31;
                Conflict conflict =
                    shadow.read(who, offset - kSharedFirst, span, {first, static_cast<int>(shift)});
                if (pattern == Pattern::kSame && lanes > 1 && !conflict)
                    conflict = shadow.read(who, offset - kSharedFirst, span,
                                           {31 - __builtin_clz(access.lanes), 31});
                if (conflict) {
                    bad = access.lanes;
                    warp.set_cause(cause_of(warp, op, conflict, true));
                }
            }
            const uint8_t* from = block.shared + offset;
            copy_out(access, pattern == Pattern::kSame, first, from, out, stride);
            if (access.order != Order::kWeak)
                strong_effects(warp, access, true, false, false,
                               pattern == Pattern::kSame ? 1u << first : access.lanes);
            return bad;
        }
    }
    Party who{};
    if (checks_) who = party(warp, access);
    for_lanes(access.lanes, [&](int lane) {
        const uint64_t address = access.addresses[lane];
        if (address % bytes != 0) misaligned(warp, op, lane, address, access.bytes);
        const Place place = shared_at(warp, op, lane, address, bytes, false);
        if (checks_) {
            bad |= suspicious_shared(warp, op, *place.block, place.offset, bytes, lane, 1);
            const Conflict conflict =
                place.block->shadow->read(who, place.offset - kSharedFirst, bytes, {lane, 31});
            if (conflict) {
                bad |= 1u << lane;
                warp.set_cause(cause_of(warp, op, conflict, true));
            }
        }
        copy_bytes(out + lane * stride, place.block->shared + place.offset, access.bytes);
    });
    if (access.order != Order::kWeak)
        strong_effects(warp, access, true, false, false, access.lanes);
    return bad;
}

void ThreadMemory::store_shared(Warp& warp, const Access& access, const uint8_t* in, int stride,
                                LaneMask suspicious) {
    if (access.lanes == 0) return;
    const Op& op = *access.op;
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint32_t>(access.bytes);
    const uint64_t start = access.addresses[first];
    const Pattern pattern = this->pattern(access, first);
    const int lanes = __builtin_popcount(access.lanes);
    if (access.count) count_shared(access, pattern, true);
    // What was never written may pass through shared memory unused; a race is told right here.
    if (suspicious != 0 && checks_ &&
        worker_.cause(warp.cause()).kind != FindingKind::kUninitialized) {
        warp.report_cause(op, suspicious, "the value stored was");
        suspicious = 0;
    }
    const auto over_copy = [&](Block& block, uint32_t at, uint32_t span, LaneMask who) {
        if (block.shadow->unfinished_bytes != 0 && bits_any(block.shadow->unfinished(), at, span))
            warp.report(
                op, who, FindingKind::kUnfinishedCopy,
                "writes shared memory at offset " + hex(at) + " that a copy in flight will fill");
    };

    if (pattern == Pattern::kRun && start >> 24 == static_cast<uint64_t>(warp.block().rank)) {
        Block& block = warp.block();
        const auto offset = static_cast<uint32_t>(start & 0xFFFFFF);
        const uint32_t span = bytes * static_cast<uint32_t>(lanes);
        if (start % bytes != 0) misaligned(warp, op, first, start, access.bytes);
        if (offset >= kSharedFirst && offset + span <= block.shared_end) {
            if (checks_) {
                SharedShadow& shadow = *block.shadow;
                const uint32_t at = offset - kSharedFirst;
                over_copy(block, at, span, access.lanes);
                bits_assign(shadow.initialized(), at, span, true);
                for_lanes(suspicious & access.lanes, [&](int lane) {
                    bits_assign(shadow.initialized(),
                                at + bytes * static_cast<uint32_t>(lane - first), bytes, false);
                });
                const Conflict conflict = shadow.write(
                    party(warp, access), at, span,
                    {first, static_cast<int>(log2_floor(bytes >> shadow.granule_shift()))});
                if (conflict) report(warp, op, access.lanes, conflict, true, true);
            }
            copy_in(access, first, in, stride, block.shared + offset);
            if (access.order != Order::kWeak)
                strong_effects(warp, access, false, true, false, access.lanes);
            return;
        }
    }
    Party who{};
    if (checks_) who = party(warp, access);
    for_lanes(access.lanes, [&](int lane) {
        const uint64_t address = access.addresses[lane];
        if (address % bytes != 0) misaligned(warp, op, lane, address, access.bytes);
        const Place place = shared_at(warp, op, lane, address, bytes, true);
        uint8_t* to = place.block->shared + place.offset;
        if (checks_) {
            const uint32_t at = place.offset - kSharedFirst;
            over_copy(*place.block, at, bytes, 1u << lane);
            bits_assign(place.block->shadow->initialized(), at, bytes,
                        (suspicious >> lane & 1) == 0);
            const Conflict conflict = place.block->shadow->write(who, at, bytes, {lane, 31});
            if (conflict && !is_same_store(conflict, who, to, in + lane * stride, bytes))
                report(warp, op, 1u << lane, conflict, true, true);
        }
        copy_bytes(to, in + lane * stride, access.bytes);
    });
    if (access.order != Order::kWeak)
        strong_effects(warp, access, false, true, false, access.lanes);
}

}  // namespace emulator
