// Loads and stores of global memory.
#include "tests/emulator/memory/lanes.hpp"

namespace emulator {

LaneMask ThreadMemory::load_global(Warp& warp, const Access& access, uint8_t* out, int stride) {
    if (access.lanes == 0) return 0;
    const Op& op = *access.op;
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint64_t>(access.bytes);
    const uint64_t start = access.addresses[first];
    const Pattern pattern = this->pattern(access, first);
    const auto lanes = static_cast<uint64_t>(__builtin_popcount(access.lanes));
    LaneMask bad = 0;
    if (access.count) count_global(access, pattern, first, false);

    if (pattern != Pattern::kAny) {
        if (start % bytes != 0) misaligned(warp, op, first, start, access.bytes);
        const uint64_t span = pattern == Pattern::kRun ? bytes * lanes : bytes;
        const Allocation* allocation = arena_.holder(start, span);
        if (allocation != nullptr) {
            add_traffic(*allocation, bytes * lanes, 0);
            if (checks_) {
                if (!arena_.is_initialized(*allocation, start, span)) {
                    for_lanes(access.lanes, [&](int lane) {
                        if (!arena_.is_initialized(*allocation, access.addresses[lane], bytes))
                            bad |= 1u << lane;
                    });
                    warp.set_cause(cause_uninitialized(warp, op, start, "global"));
                }
                if (!allocation->read_only) {
                    const Conflict conflict = launch_.shadow->read(
                        party(warp, access), start, static_cast<uint32_t>(span), first,
                        pattern == Pattern::kRun ? static_cast<uint32_t>(bytes) : 0);
                    if (conflict) {
                        bad = access.lanes;
                        warp.set_cause(cause_of(warp, op, conflict, false));
                    }
                }
            }
            const auto* from = reinterpret_cast<const uint8_t*>(start);
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
        const Allocation& allocation = global_at(warp, op, lane, address, bytes, false);
        add_traffic(allocation, bytes, 0);
        if (checks_) {
            if (!arena_.is_initialized(allocation, address, bytes)) {
                bad |= 1u << lane;
                warp.set_cause(cause_uninitialized(warp, op, address, "global"));
            }
            if (!allocation.read_only) {
                const Conflict conflict =
                    launch_.shadow->read(who, address, static_cast<uint32_t>(bytes), lane, 0);
                if (conflict) {
                    bad |= 1u << lane;
                    warp.set_cause(cause_of(warp, op, conflict, false));
                }
            }
        }
        copy_bytes(out + lane * stride, reinterpret_cast<const uint8_t*>(address), access.bytes);
    });
    if (access.order != Order::kWeak)
        strong_effects(warp, access, true, false, false, access.lanes);
    return bad;
}

void ThreadMemory::store_global(Warp& warp, const Access& access, const uint8_t* in, int stride,
                                LaneMask suspicious) {
    if (access.lanes == 0) return;
    const Op& op = *access.op;
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint64_t>(access.bytes);
    const uint64_t start = access.addresses[first];
    const Pattern pattern = this->pattern(access, first);
    const auto lanes = static_cast<uint64_t>(__builtin_popcount(access.lanes));
    if (access.count) count_global(access, pattern, first, true);
    if (suspicious != 0 && checks_) warp.report_cause(op, suspicious, "the value stored was");
    const bool double_writes = launch_.options->double_writes;

    if (pattern == Pattern::kRun) {
        if (start % bytes != 0) misaligned(warp, op, first, start, access.bytes);
        const uint64_t span = bytes * lanes;
        const Allocation* allocation = arena_.holder(start, span);
        if (allocation != nullptr && !allocation->read_only) {
            add_traffic(*allocation, 0, span);
            if (checks_) {
                arena_.set_initialized(*allocation, start, span);
                const Conflict conflict =
                    launch_.shadow->write(party(warp, access), start, static_cast<uint32_t>(span),
                                          first, static_cast<uint32_t>(bytes), double_writes);
                if (conflict) report(warp, op, access.lanes, conflict, true, false);
            }
            copy_in(access, first, in, stride, reinterpret_cast<uint8_t*>(start));
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
        const Allocation& allocation = global_at(warp, op, lane, address, bytes, true);
        add_traffic(allocation, 0, bytes);
        auto* to = reinterpret_cast<uint8_t*>(address);
        if (checks_) {
            arena_.set_initialized(allocation, address, bytes);
            const Conflict conflict = launch_.shadow->write(
                who, address, static_cast<uint32_t>(bytes), lane, 0, double_writes);
            // Lanes of one instruction that write the same value to one place are harmless.
            const bool same_value = conflict.kind == FindingKind::kLaneRace &&
                                    conflict.other_pc == who.pc &&
                                    std::memcmp(to, in + lane * stride, bytes) == 0;
            if (conflict && !same_value) report(warp, op, 1u << lane, conflict, true, false);
        }
        copy_bytes(to, in + lane * stride, access.bytes);
    });
    if (access.order != Order::kWeak)
        strong_effects(warp, access, false, true, false, access.lanes);
}

}  // namespace emulator
