// cp.async (the non-bulk one) and its groups.
//
// Source: PTX ISA, "cp.async", "cp.async.commit_group", "cp.async.wait_group / wait_all",
// "cp.async.mbarrier.arrive". The source is read when the copy is issued; the destination is poisoned
// until the thread's wait (or the mbarrier that tracks the copy) lands it. Groups are per thread. The
// cache operators, prefetch sizes and cache policies change nothing here but are checked.
#include <algorithm>
#include <cstring>
#include <memory>

#include "tests/emulator/isa/address.hpp"
#include "tests/emulator/isa/async_state.hpp"
#include "tests/emulator/isa/mbarrier.hpp"

namespace emulator {

using ptx::Operand;
using ptx::Space;

void count_in_flight(Warp& warp, Block& block, int64_t bytes) {
    block.async_bytes_in_flight += bytes;
    uint64_t& most = warp.counters().max_async_bytes_in_flight;
    most = std::max(most, static_cast<uint64_t>(std::max<int64_t>(block.async_bytes_in_flight, 0)));
}

namespace {

/// Lands `lanes` of one copy.
void land(Warp& poller, AsyncCopy& copy, LaneMask lanes, Moment moment, Block& block) {
    Access access{copy.op, lanes, copy.to.data(), copy.bytes};
    access.space = Space::kShared;
    access.count = false;
    poller.memory().land_store(poller, access, copy.data.data(), 16, copy.unwritten & lanes,
                               moment);
    copy.lanes &= ~lanes;
    count_in_flight(poller, block, -int64_t{copy.bytes} * __builtin_popcount(lanes));
}

void drop_landed(AsyncState& state) {
    while (state.first_copy < state.copies.size() && state.copies[state.first_copy].lanes == 0)
        ++state.first_copy;
    if (state.first_copy == state.copies.size()) {
        state.copies.clear();
        state.first_copy = 0;
    } else if (state.first_copy >= 64) {
        state.copies.erase(state.copies.begin(),
                           state.copies.begin() + static_cast<ptrdiff_t>(state.first_copy));
        state.first_copy = 0;
    }
}

}  // namespace

void land_copies(Warp& warp, Warp& poller, LaneMask lanes, uint64_t sequence, Moment moment) {
    AsyncState& state = async_state(warp);
    for (size_t i = state.first_copy; i < state.copies.size(); ++i) {
        AsyncCopy& copy = state.copies[i];
        if (copy.sequence >= sequence) break;
        if (const LaneMask now = copy.lanes & lanes) land(poller, copy, now, moment, warp.block());
    }
    drop_landed(state);
}

namespace {

struct CopyDetail : OpDetail {
    AddressSource to, from;
    Space to_space = Space::kShared, from_space = Space::kGlobal;
    int bytes = 0;
    bool has_source_bytes = false, has_ignore = false, ignore_negated = false;
    Slot source_bytes = kZeroSlot;  ///< u32
    Slot ignore = kZeroSlot;        ///< predicate
};

Outcome run_copy(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const CopyDetail&>(*op.detail);
    AsyncState& state = async_state(warp);
    detail.to.check(warp, op, lanes);
    detail.from.check(warp, op, lanes);
    state.copies.emplace_back();
    AsyncCopy& copy = state.copies.back();
    copy.op = &op;
    copy.bytes = detail.bytes;
    copy.sequence = state.next_sequence++;
    detail.to.all(warp, copy.to.data());
    for (int lane = 0; lane < kWarpLanes; ++lane)
        copy.to[lane] = shared_address(detail.to_space, copy.to[lane]);
    uint64_t from[kWarpLanes];
    detail.from.all(warp, from);

    // Which lanes read all of their source, which only some of it.
    LaneMask whole = lanes, part = 0;
    if (detail.has_ignore) {
        check_source(warp, op, detail.ignore, lanes, "the ignore-src predicate");
        LaneMask ignored = warp.predicate(detail.ignore);
        if (detail.ignore_negated) ignored = ~ignored;
        whole = lanes & ~ignored;
    } else if (detail.has_source_bytes) {
        check_source(warp, op, detail.source_bytes, lanes, "the src-size of a copy");
        const uint32_t* sizes = warp.u32(detail.source_bytes);
        LaneMask excessive = 0;
        for_lanes(lanes, [&](int lane) {
            const uint32_t size = sizes[lane], limit = static_cast<uint32_t>(detail.bytes);
            if (size > limit) excessive |= 1u << lane;
            if (size < limit) whole &= ~(1u << lane);
            if (size < limit && size > 0) part |= 1u << lane;
        });
        if (excessive != 0)
            warp.report(op, excessive, FindingKind::kOutOfBounds,
                        "cp.async with a src-size larger than its cp-size");
    }
    Memory& memory = warp.memory();
    uint64_t read =
        static_cast<uint64_t>(detail.bytes) * static_cast<uint64_t>(__builtin_popcount(whole));
    if (whole != 0) {
        Access access{&op, whole, from, detail.bytes};
        access.space = detail.from_space;
        copy.unwritten = memory.load(warp, access, copy.data.data(), 16);
    }
    for_lanes(part, [&](int lane) {
        const int64_t bytes = warp.u32(detail.source_bytes)[lane];
        if (from[lane] % static_cast<uint64_t>(detail.bytes) != 0)
            warp.report(op, 1u << lane, FindingKind::kMisaligned,
                        "the source of cp.async is not aligned to its cp-size", true);
        const uint8_t* source =
            memory.resolve(warp, op, detail.from_space, from[lane], bytes, false);
        if (source == nullptr) return;
        if (!memory.note_read(warp, op, source, bytes, Proxy::kGeneric))
            copy.unwritten |= 1u << lane;
        std::memcpy(&copy.data[16 * static_cast<size_t>(lane)], source, static_cast<size_t>(bytes));
        read += static_cast<uint64_t>(bytes);
    });
    warp.counters().async_source_bytes += read;

    Access access{&op, lanes, copy.to.data(), detail.bytes};
    access.space = Space::kShared;
    memory.issue_store(warp, access);
    const int64_t bytes = int64_t{detail.bytes} * __builtin_popcount(lanes);
    warp.counters().async_load_bytes += static_cast<uint64_t>(bytes);
    count_in_flight(warp, warp.block(), bytes);

    // Lanes of one record have committed equally many groups.
    copy.lanes = lanes;
    copy.group = state.committed[static_cast<size_t>(__builtin_ctz(lanes))];
    LaneMask others = 0;
    for_lanes(lanes, [&](int lane) {
        if (state.committed[lane] != copy.group) others |= 1u << lane;
    });
    copy.lanes &= ~others;
    while (others != 0) {
        AsyncCopy split = state.copies.back();
        split.group = state.committed[static_cast<size_t>(__builtin_ctz(others))];
        split.lanes = 0;
        for_lanes(others, [&](int lane) {
            if (state.committed[lane] == split.group) split.lanes |= 1u << lane;
        });
        others &= ~split.lanes;
        state.copies.push_back(split);
    }
    return Outcome::kNext;
}

/// Lands what each lane has to wait for: groups before `keep` newest ones; wait_all: everything.
Outcome run_wait(Warp& warp, const Op& op, LaneMask lanes) {
    AsyncState& state = async_state(warp);
    const bool all = op.mode != 0;
    const uint32_t committed = state.committed[static_cast<size_t>(__builtin_ctz(lanes))];
    bool uniform = true;
    for_lanes(lanes, [&](int lane) { uniform &= state.committed[lane] == committed; });
    for (size_t i = state.first_copy; i < state.copies.size(); ++i) {
        AsyncCopy& copy = state.copies[i];
        LaneMask now = copy.lanes & lanes;
        if (!all && uniform && int64_t{copy.group} >= int64_t{committed} - op.imm) continue;
        for_lanes(all || uniform ? 0 : now, [&](int lane) {
            if (int64_t{copy.group} >= int64_t{state.committed[lane]} - op.imm)
                now &= ~(1u << lane);
        });
        if (now != 0) land(warp, copy, now, {}, warp.block());
    }
    drop_landed(state);
    return Outcome::kNext;
}

Outcome run_commit(Warp& warp, const Op&, LaneMask lanes) {
    AsyncState& state = async_state(warp);
    for_lanes(lanes, [&](int lane) { ++state.committed[lane]; });
    return Outcome::kNext;
}

struct ArriveDetail : OpDetail {
    AddressSource address;
    Space space = Space::kShared;
    bool no_increment = false;
};

/// cp.async.mbarrier.arrive: the arrival happens when all copies that the thread has issued so far
/// have landed. Without .noinc the pending count grows by the arrival first.
Outcome run_mbarrier_arrive(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const ArriveDetail&>(*op.detail);
    detail.address.check(warp, op, lanes);
    const uint64_t sequence = async_state(warp).next_sequence;
    LaneMask left = lanes;
    while (left != 0) {
        const int first = __builtin_ctz(left);
        const uint64_t address = shared_address(detail.space, detail.address.at(warp, first));
        LaneMask same = 0;
        for_lanes(left, [&](int lane) {
            if (shared_address(detail.space, detail.address.at(warp, lane)) == address)
                same |= 1u << lane;
        });
        left &= ~same;
        const MbarrierRef barrier = find_mbarrier(warp, op, same, address, true);
        if (barrier.object == nullptr) continue;
        const auto arrivals = static_cast<uint32_t>(__builtin_popcount(same));
        if (!detail.no_increment) add_pending(warp, op, same, barrier, arrivals);
        Clock known;
        release(warp, same, known);
        Warp* owner = &warp;
        const Op* by = &op;
        barrier.object->in_flight.push_back(
            [owner, by, same, sequence, barrier, arrivals, known](Warp& poller) {
                const Moment moment =
                    land_async(poller, *barrier.block, barrier.offset, barrier.object->clock);
                land_copies(*owner, poller, same, sequence, moment);
                barrier.object->clock.join(known);
                arrive(poller, *by, same, barrier, arrivals);
            });
    }
    return Outcome::kNext;
}

const Operand* next_operand(const ptx::Instruction& in, size_t* at) {
    return *at < in.operands.size() ? &in.operands[(*at)++] : nullptr;
}

/// cp.async.{ca,cg}.shared{::cta}.global{.L2::cache_hint}{.L2::64B|128B|256B} [to], [from], bytes
///     {, src-size | ignore-src}{, policy}
void lower_copy(const ptx::Instruction& in, LowerContext& context, Op& op) {
    auto detail = std::make_unique<CopyDetail>();
    bool ca = false, cg = false, shared = false, global = false, hint = false;
    for (const std::string& modifier : in.modifiers) {
        if (modifier == "async") continue;
        if (modifier == "ca")
            ca = true;
        else if (modifier == "cg")
            cg = true;
        else if (modifier == "shared" || modifier == "shared::cta")
            shared = true;
        else if (modifier == "global" && shared)
            global = true;
        else if (modifier == "L2::cache_hint")
            hint = true;
        else if (modifier != "L2::64B" && modifier != "L2::128B" && modifier != "L2::256B")
            context.fail(in, "unknown modifier ." + modifier);
    }
    if (ca == cg || !shared || !global) context.fail(in, "needs .ca or .cg, .shared.global");
    if (in.operands.size() < 3 || in.operands[2].kind != Operand::Kind::kImmediate)
        context.fail(in, "needs two addresses and a constant size");
    detail->to.lower(context, in.operands[0]);
    detail->from.lower(context, in.operands[1]);
    detail->bytes = static_cast<int>(in.operands[2].bits);
    if (cg ? detail->bytes != 16 : detail->bytes != 4 && detail->bytes != 8 && detail->bytes != 16)
        context.fail(in, "copies 16 bytes (.ca: 4, 8 or 16)");
    size_t at = 3;
    if (in.operands.size() - at > (hint ? 1u : 0u)) {
        const Operand& operand = *next_operand(in, &at);
        const bool predicate = (operand.kind == Operand::Kind::kRegister &&
                                context.reg_type(operand.reg) == ptx::Type::kPred) ||
                               operand.literal == Operand::Literal::kPredicate;
        if (predicate) {
            detail->has_ignore = true;
            detail->ignore = context.predicate(operand, &detail->ignore_negated);
        } else {
            detail->has_source_bytes = true;
            detail->source_bytes = context.source(operand, ptx::Type::kU32);
        }
    }
    if (hint) {
        const Operand* policy = next_operand(in, &at);
        if (policy == nullptr) context.fail(in, "L2::cache_hint needs a policy");
        context.source(*policy, ptx::Type::kB64);
    }
    if (at != in.operands.size()) context.fail(in, "too many operands");
    op.src[0] = detail->to.base;
    op.src[1] = detail->from.base;
    op.execute = run_copy;
    op.kind = OpKind::kAsyncCopy;
    op.flags |= Op::kOwnTaint;
    op.detail = context.keep(std::move(detail));
}

void lower_wait(const ptx::Instruction& in, LowerContext& context, Op& op) {
    const bool all = in.full_opcode() == "cp.async.wait_all";
    if (!all && in.full_opcode() != "cp.async.wait_group") context.fail(in, "unknown modifier");
    if (in.operands.size() != (all ? 0u : 1u)) context.fail(in, "wrong number of operands");
    if (!all) {
        if (in.operands[0].kind != Operand::Kind::kImmediate)
            context.fail(in, "needs a constant number of groups");
        op.imm = static_cast<int64_t>(in.operands[0].bits);
    }
    op.mode = all ? 1 : 0;
    op.execute = run_wait;
    op.kind = OpKind::kBarrier;
    op.flags |= Op::kOwnTaint;
}

void lower_commit(const ptx::Instruction& in, LowerContext& context, Op& op) {
    if (in.full_opcode() != "cp.async.commit_group" || !in.operands.empty())
        context.fail(in, "unknown form");
    op.execute = run_commit;
    op.kind = OpKind::kBarrier;
    op.flags |= Op::kOwnTaint;
}

void lower_mbarrier_arrive(const ptx::Instruction& in, LowerContext& context, Op& op) {
    auto detail = std::make_unique<ArriveDetail>();
    detail->space = Space::kGeneric;
    for (size_t i = 0; i < in.modifiers.size(); ++i) {
        const std::string& modifier = in.modifiers[i];
        if (i < 3) continue;  // async.mbarrier.arrive
        if (modifier == "noinc")
            detail->no_increment = true;
        else if (modifier == "shared" || modifier == "shared::cta")
            detail->space = Space::kShared;
        else if (modifier != "b64")
            context.fail(in, "unknown modifier ." + modifier);
    }
    if (in.operands.size() != 1) context.fail(in, "needs one operand");
    detail->address.lower(context, in.operands[0]);
    op.src[0] = detail->address.base;
    op.execute = run_mbarrier_arrive;
    op.kind = OpKind::kBarrier;
    op.flags |= Op::kOwnTaint;
    op.detail = context.keep(std::move(detail));
}

}  // namespace

void register_async_copy(Registry& registry) {
    registry.add("cp.async", lower_copy);
    registry.add("cp.async.wait_group", lower_wait);
    registry.add("cp.async.wait_all", lower_wait);
    registry.add("cp.async.commit_group", lower_commit);
    registry.add("cp.async.mbarrier.arrive", lower_mbarrier_arrive);
}

}  // namespace emulator
