// Loads and stores of global memory.
//
// Several host threads: a weak access takes no lock but the detectors' of its page, since a program
// without races orders it by strong ones, and those are host synchronization, too (lock_strong()).
#include "tests/emulator/memory/lanes.hpp"

namespace emulator {

template <typename Step>
void ThreadMemory::in_steps(const Access& access, Step&& step) {
    Access one = access;
    for_lanes(access.lanes, [&](int lane) {
        one.lanes = 1u << lane;
        const auto one_step = lock_strong(access.addresses[lane]);
        step(one);
    });
}

LaneMask ThreadMemory::load_global(Warp& warp, const Access& access, uint8_t* out, int stride) {
    if (access.lanes == 0) return 0;
    const int first = __builtin_ctz(access.lanes);
    const Pattern pattern = this->pattern(access, first);
    if (access.count) count_global(access, pattern, first, false);
    if (access.order == Order::kWeak || !launch_.parallel)
        return load_global_now(warp, access, pattern, out, stride);
    LaneMask bad = 0;
    if (pattern == Pattern::kSame) {
        const auto one_step = lock_strong(access.addresses[first]);
        bad = load_global_now(warp, access, pattern, out, stride);
    } else {
        in_steps(access, [&](const Access& one) {
            bad |= load_global_now(warp, one, Pattern::kRun, out, stride);
        });
    }
    return bad;
}

LaneMask ThreadMemory::load_global_now(Warp& warp, const Access& access, Pattern pattern,
                                       uint8_t* out, int stride) {
    const Op& op = *access.op;
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint64_t>(access.bytes);
    const uint64_t start = access.addresses[first];
    const auto lanes = static_cast<uint64_t>(__builtin_popcount(access.lanes));
    LaneMask bad = 0;

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
    const int first = __builtin_ctz(access.lanes);
    const Pattern pattern = this->pattern(access, first);
    if (access.count) count_global(access, pattern, first, true);
    if (suspicious != 0 && checks_)
        warp.report_cause(*access.op, suspicious, "the value stored was");
    if (access.order == Order::kWeak || !launch_.parallel)
        store_global_now(warp, access, pattern, in, stride);
    else
        in_steps(access, [&](const Access& one) {
            store_global_now(warp, one, Pattern::kRun, in, stride);
        });
}

void ThreadMemory::store_global_now(Warp& warp, const Access& access, Pattern pattern,
                                    const uint8_t* in, int stride) {
    const Op& op = *access.op;
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint64_t>(access.bytes);
    const uint64_t start = access.addresses[first];
    const auto lanes = static_cast<uint64_t>(__builtin_popcount(access.lanes));
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
            if (conflict && !is_same_store(conflict, who, to, in + lane * stride, bytes))
                report(warp, op, 1u << lane, conflict, true, false);
        }
        copy_bytes(to, in + lane * stride, access.bytes);
    });
    if (access.order != Order::kWeak)
        strong_effects(warp, access, false, true, false, access.lanes);
}

}  // namespace emulator
