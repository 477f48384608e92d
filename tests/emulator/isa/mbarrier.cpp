// mbarrier: init, inval, arrive, arrive_drop, expect_tx, complete_tx, test_wait, try_wait,
// pending_count.
//
// Source: PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier".
//
// A phase ends when no arrival is pending and the bytes of transactions come to zero. The state that
// arrive returns is phase << 24 | pending count before the arrival. Copies that complete on a barrier
// land when somebody polls it: each failing poll lands a random part of them in random order, so data
// comes as late as the program may rely on it, and never in an order it may rely on.
// For the race checks a barrier is read by its operations and written by init and inval only.
#include "tests/emulator/isa/mbarrier.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "tests/emulator/exec/launch.hpp"
#include "tests/emulator/isa/address.hpp"

namespace emulator {

using ptx::Operand;
using ptx::Space;

namespace {

uint64_t state_of(const Mbarrier& object) {
    return object.phase << 24 | object.pending;
}

uint8_t* bytes_of(const MbarrierRef& barrier) {
    return barrier.block->shared + barrier.offset;
}

void keep_copy(const MbarrierRef& barrier) {
    const uint64_t state = state_of(*barrier.object);
    std::memcpy(bytes_of(barrier), &state, sizeof state);
}

std::string name_of(const MbarrierRef& barrier) {
    return "the mbarrier at shared offset " + std::to_string(barrier.offset) + " of block rank " +
           std::to_string(barrier.block->rank);
}

/// Block and offset of a shared address after checks of bounds and alignment; false if reported.
bool locate(Warp& warp, const Op& op, LaneMask lanes, uint64_t address, bool own, bool write,
            MbarrierRef* barrier) {
    if (address % 8 != 0) {
        warp.report(op, lanes, FindingKind::kMisaligned, "an mbarrier is not aligned to 8 bytes",
                    true);
        return false;
    }
    uint8_t* where = warp.memory().resolve(warp, op, Space::kShared, address, 8, write);
    if (where == nullptr) return false;
    const uint64_t rank = address >> 24;
    barrier->offset = static_cast<uint32_t>(address & 0xFFFFFFu);
    barrier->block = static_cast<int>(rank) == warp.block().rank
                         ? &warp.block()
                         : warp.block().cluster->blocks.at(rank);
    if (own && barrier->block != &warp.block()) {
        warp.report(op, lanes, FindingKind::kBadBarrier,
                    "this operation needs an mbarrier in the block's own shared memory");
        return false;
    }
    return true;
}

}  // namespace

MbarrierRef find_mbarrier(Warp& warp, const Op& op, LaneMask lanes, uint64_t address, bool own) {
    MbarrierRef barrier;
    if (!locate(warp, op, lanes, address, own, false, &barrier)) return {};
    const auto found = barrier.block->mbarriers.find(barrier.offset);
    if (found == barrier.block->mbarriers.end()) {
        warp.report(op, lanes, FindingKind::kBadBarrier, name_of(barrier) + " is not initialized");
        return {};
    }
    barrier.object = &found->second;
    if (!warp.memory().note_read(warp, op, bytes_of(barrier), 8, Proxy::kGeneric, Moment{}, lanes))
        warp.report_cause(op, lanes, "mbarrier");
    uint64_t copy;
    std::memcpy(&copy, bytes_of(barrier), sizeof copy);
    if (copy != state_of(*barrier.object)) {
        warp.report(op, lanes, FindingKind::kBadBarrier,
                    name_of(barrier) + " was overwritten by an ordinary store");
        keep_copy(barrier);
    }
    return barrier;
}

namespace {

void end_phase_if_complete(const MbarrierRef& barrier) {
    Mbarrier& object = *barrier.object;
    if (object.pending == 0 && object.transactions == 0) {
        ++object.phase;
        object.pending = object.expected;
        object.finished_clock = object.clock;
        object.clock.clear();
    }
    keep_copy(barrier);
}

}  // namespace

void arrive(Warp& warp, const Op& op, LaneMask lanes, const MbarrierRef& barrier, uint32_t count) {
    Mbarrier& object = *barrier.object;
    if (count > object.pending) {
        warp.report(op, lanes, FindingKind::kBadBarrier,
                    name_of(barrier) + " gets " + std::to_string(count) + " arrivals, but only " +
                        std::to_string(object.pending) + " of " + std::to_string(object.expected) +
                        " are pending in this phase");
        count = object.pending;
    }
    object.pending -= count;
    warp.worker().progress();
    end_phase_if_complete(barrier);
}

void add_pending(Warp& warp, const Op& op, LaneMask lanes, const MbarrierRef& barrier,
                 uint32_t count) {
    barrier.object->pending += count;
    if (barrier.object->pending > kMaxMbarrierCount)
        warp.report(op, lanes, FindingKind::kBadBarrier,
                    name_of(barrier) + " expects more than 2^20 - 1 arrivals");
    keep_copy(barrier);
}

void complete_transactions(Warp& warp, const Op& op, LaneMask lanes, const MbarrierRef& barrier,
                           int64_t bytes) {
    Mbarrier& object = *barrier.object;
    object.transactions -= bytes;
    warp.worker().progress();
    if (object.transactions > int64_t{kMaxMbarrierCount} ||
        object.transactions < -int64_t{kMaxMbarrierCount})
        warp.report(op, lanes, FindingKind::kBadBarrier,
                    name_of(barrier) + " counts " + std::to_string(object.transactions) +
                        " bytes of transactions; the limit is 2^20 - 1");
    end_phase_if_complete(barrier);
}

namespace {

/// Calls fn(barrier, lanes) for each barrier that lanes name.
template <typename Fn>
void for_barriers(Warp& warp, const Op& op, LaneMask lanes, const AddressSource& source,
                  Space space, bool own, Fn&& fn) {
    source.check(warp, op, lanes);
    while (lanes != 0) {
        const uint64_t address = shared_address(space, source.at(warp, __builtin_ctz(lanes)));
        LaneMask same = 0;
        for_lanes(lanes, [&](int lane) {
            if (shared_address(space, source.at(warp, lane)) == address) same |= 1u << lane;
        });
        lanes &= ~same;
        const MbarrierRef barrier = find_mbarrier(warp, op, same, address, own);
        if (barrier.object != nullptr) fn(barrier, same);
    }
}

struct BarrierDetail : OpDetail {
    AddressSource address;
    Space space = Space::kGeneric;
    bool remote = false;  ///< .shared::cluster
    bool relaxed = false;
    bool no_complete = false;
    bool drop = false;
    bool expects = false;  ///< arrive.expect_tx
    bool parity = false;
    bool has_state = false;  ///< arrive writes the state
    Slot count = kZeroSlot;  ///< arrivals, bytes, state or parity
    Slot state = kSinkSlot;
};

Outcome run_init(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const BarrierDetail&>(*op.detail);
    detail.address.check(warp, op, lanes);
    check_source(warp, op, detail.count, lanes, "the count of mbarrier.init");
    for_lanes(lanes, [&](int lane) {
        const LaneMask self = 1u << lane;
        MbarrierRef barrier;
        if (!locate(warp, op, self, shared_address(detail.space, detail.address.at(warp, lane)),
                    true, true, &barrier))
            return;
        const uint32_t count = warp.u32(detail.count)[lane];
        if (count == 0 || count > kMaxMbarrierCount)
            warp.report(op, self, FindingKind::kBadBarrier,
                        "mbarrier.init with a count of " + std::to_string(count) +
                            ", outside 1 .. 2^20 - 1");
        auto& objects = barrier.block->mbarriers;
        if (const auto old = objects.find(barrier.offset); old != objects.end()) {
            warp.report(op, self, FindingKind::kBadBarrier,
                        name_of(barrier) + " is initialized again without mbarrier.inval" +
                            (old->second.in_flight.empty() ? "" : ", with copies in flight on it"));
            objects.erase(old);
        }
        warp.memory().note_write(warp, op, bytes_of(barrier), 8, Proxy::kGeneric, true, Moment{},
                                 self);
        Mbarrier& object = objects[barrier.offset];
        object.expected = object.pending = count;
        object.initialized_by = warp.index();
        barrier.object = &object;
        keep_copy(barrier);
    });
    return Outcome::kNext;
}

/// fence.mbarrier_init: what the thread initialized may be used by the cluster and by copy engines.
Outcome run_init_fence(Warp& warp, const Op&, LaneMask) {
    for (auto& [offset, object] : warp.block().mbarriers)
        if (object.initialized_by == warp.index()) object.init_fenced = true;
    warp.memory().fence(warp, Order::kRelease, Scope::kCluster);
    return Outcome::kNext;
}

Outcome run_inval(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const BarrierDetail&>(*op.detail);
    for_barriers(warp, op, lanes, detail.address, detail.space, true,
                 [&](const MbarrierRef& barrier, LaneMask same) {
                     if (!barrier.object->in_flight.empty())
                         warp.report(
                             op, same, FindingKind::kBadBarrier,
                             name_of(barrier) + " is invalidated with copies in flight on it");
                     warp.memory().note_write(warp, op, bytes_of(barrier), 8, Proxy::kGeneric, true,
                                              Moment{}, same);
                     barrier.block->mbarriers.erase(barrier.offset);
                 });
    return Outcome::kNext;
}

Outcome run_arrive(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const BarrierDetail&>(*op.detail);
    if (detail.count != kZeroSlot)
        check_source(warp, op, detail.count, lanes, "the count of an arrival at an mbarrier");
    uint64_t* states = warp.u64(detail.state);
    for_barriers(warp, op, lanes, detail.address, detail.space, !detail.remote,
                 [&](const MbarrierRef& barrier, LaneMask same) {
                     Mbarrier& object = *barrier.object;
                     // Lanes arrive one after the other; those of one phase release together.
                     LaneMask left = same;
                     uint64_t released = ~uint64_t{0};
                     for_lanes(same, [&](int lane) {
                         const LaneMask self = 1u << lane;
                         if (object.phase != released && !detail.relaxed) {
                             release(warp, left, object.clock);
                             released = object.phase;
                         }
                         left &= ~self;
                         uint32_t count = 1;
                         if (detail.expects)
                             complete_transactions(warp, op, self, barrier,
                                                   -int64_t{warp.u32(detail.count)[lane]});
                         else if (detail.count != kZeroSlot)
                             count = warp.u32(detail.count)[lane];
                         states[lane] = state_of(object);
                         if (count == 0 || count > kMaxMbarrierCount)
                             warp.report(op, self, FindingKind::kBadBarrier,
                                         "an arrival with a count of " + std::to_string(count));
                         if (detail.no_complete && count >= object.pending)
                             warp.report(
                                 op, self, FindingKind::kBadBarrier,
                                 "an arrival with .noComplete would complete the phase of " +
                                     name_of(barrier));
                         if (detail.drop) object.expected -= std::min(count, object.expected);
                         arrive(warp, op, self, barrier, count);
                     });
                 });
    if (detail.has_state) {
        warp.set_taint(detail.state, lanes, 0);
        warp.set_taint(detail.state + 1, lanes, 0);
    }
    return Outcome::kNext;
}

/// expect_tx (op.mode 0) and complete_tx (1).
Outcome run_transactions(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const BarrierDetail&>(*op.detail);
    check_source(warp, op, detail.count, lanes, "the byte count of a transaction");
    for_barriers(warp, op, lanes, detail.address, detail.space, !detail.remote,
                 [&](const MbarrierRef& barrier, LaneMask same) {
                     for_lanes(same, [&](int lane) {
                         const int64_t bytes = warp.u32(detail.count)[lane];
                         complete_transactions(warp, op, 1u << lane, barrier,
                                               op.mode == 1 ? bytes : -bytes);
                     });
                 });
    return Outcome::kNext;
}

/// The lanes whose phase is over.
LaneMask done_lanes(Warp& warp, const Op& op, const BarrierDetail& detail,
                    const MbarrierRef& barrier, LaneMask lanes) {
    const uint64_t phase = barrier.object->phase;
    LaneMask done = 0, bad = 0;
    if (detail.parity) {
        const uint32_t* parities = warp.u32(detail.count);
        for_lanes(lanes, [&](int lane) {
            done |= static_cast<LaneMask>((phase & 1) != (parities[lane] & 1)) << lane;
            bad |= static_cast<LaneMask>(parities[lane] > 1) << lane;
        });
        if (bad != 0)
            warp.report(op, bad, FindingKind::kBadBarrier,
                        "a phase parity that is neither 0 nor 1");
        return done;
    }
    const uint64_t* states = warp.u64(detail.count);
    for_lanes(lanes, [&](int lane) {
        const uint64_t waited = states[lane] >> 24;
        done |= static_cast<LaneMask>(waited != phase) << lane;
        bad |= static_cast<LaneMask>(waited > phase || waited + 1 < phase) << lane;
    });
    if (bad != 0)
        warp.report(op, bad, FindingKind::kBadBarrier,
                    "a state that belongs neither to the current nor to the last phase of " +
                        name_of(barrier));
    return done;
}

/// Lands a random part of the copies that complete on the barrier; perhaps none yet.
void land_some(Warp& poller, const MbarrierRef& barrier) {
    auto& in_flight = barrier.object->in_flight;
    size_t count = poller.random() % (in_flight.size() + 1);
    for (; count != 0 && !in_flight.empty(); --count) {
        std::swap(in_flight[poller.random() % in_flight.size()], in_flight.back());
        const auto landing = std::move(in_flight.back());
        in_flight.pop_back();
        landing(poller);
    }
}

Outcome run_wait(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const BarrierDetail&>(*op.detail);
    check_source(warp, op, detail.count, lanes,
                 detail.parity ? "a phase parity" : "the state to wait for");
    LaneMask done = 0;
    for_barriers(warp, op, lanes, detail.address, detail.space, true,
                 [&](const MbarrierRef& barrier, LaneMask same) {
                     LaneMask now = done_lanes(warp, op, detail, barrier, same);
                     if (now != same && !barrier.object->in_flight.empty()) {
                         land_some(warp, barrier);
                         now = done_lanes(warp, op, detail, barrier, same);
                     }
                     if (now != 0 && !detail.relaxed)
                         acquire(warp, now, barrier.object->finished_clock);
                     done |= now;
                 });
    // try_wait may suspend the thread for a while: here until its next turn.
    if (op.mode != 0 && done == 0 && warp.group().token == 0) {
        warp.group().token = 1;
        return Outcome::kBlocked;
    }
    if (done != lanes) ++warp.worker().polls;
    if (done != lanes) ++warp.counters().spin_retries;
    LaneMask& result = warp.predicate(op.dst);
    result = (result & ~lanes) | done;
    warp.set_taint(op.dst, lanes, 0);
    return Outcome::kNext;
}

Outcome run_pending_count(Warp& warp, const Op& op, LaneMask lanes) {
    const uint64_t* states = warp.u64(op.src[0]);
    uint32_t* counts = warp.u32(op.dst);
    for_lanes(lanes, [&](int lane) { counts[lane] = states[lane] & 0xFFFFFFu; });
    return Outcome::kNext;
}

// --- lowering --------------------------------------------------------------------------------------

/// Reads the modifiers that are left after the ones in `known`; fills space, order and flags.
void read_modifiers(const ptx::Instruction& in, LowerContext& context, BarrierDetail& detail,
                    std::initializer_list<const char*> known) {
    for (const std::string& modifier : in.modifiers) {
        if (modifier == "b64") continue;
        if (std::find_if(known.begin(), known.end(),
                         [&](const char* name) { return modifier == name; }) != known.end()) {
            if (modifier == "noComplete")
                detail.no_complete = true;
            else if (modifier == "relaxed")
                detail.relaxed = true;
            else if (modifier == "parity")
                detail.parity = true;
            else if (modifier == "expect_tx")
                detail.expects = true;
            else if (modifier == "shared::cluster")
                detail.remote = true;
            if (modifier == "shared" || modifier == "shared::cta" || modifier == "shared::cluster")
                detail.space = Space::kShared;
            continue;
        }
        context.fail(in, "unknown modifier ." + modifier);
    }
}

void finish(std::unique_ptr<BarrierDetail> detail, LowerContext& context, Op& op, Execute execute) {
    op.src[0] = detail->address.base;
    op.src[1] = detail->count;
    op.execute = execute;
    op.kind = OpKind::kBarrier;
    op.flags |= Op::kOwnTaint;
    op.detail = context.keep(std::move(detail));
}

void need_operands(const ptx::Instruction& in, LowerContext& context, size_t least, size_t most) {
    if (in.operands.size() < least || in.operands.size() > most)
        context.fail(in, "wrong number of operands");
}

void lower_init(const ptx::Instruction& in, LowerContext& context, Op& op) {
    auto detail = std::make_unique<BarrierDetail>();
    read_modifiers(in, context, *detail, {"init", "shared", "shared::cta"});
    need_operands(in, context, 2, 2);
    detail->address.lower(context, in.operands[0]);
    detail->count = context.source(in.operands[1], ptx::Type::kU32);
    finish(std::move(detail), context, op, run_init);
}

void lower_init_fence(const ptx::Instruction& in, LowerContext& context, Op& op) {
    if (in.full_opcode() != "fence.mbarrier_init.release.cluster" || !in.operands.empty())
        context.fail(in, "unknown form");
    op.execute = run_init_fence;
    op.kind = OpKind::kBarrier;
    op.flags |= Op::kOwnTaint;
}

void lower_inval(const ptx::Instruction& in, LowerContext& context, Op& op) {
    auto detail = std::make_unique<BarrierDetail>();
    read_modifiers(in, context, *detail, {"inval", "shared", "shared::cta"});
    need_operands(in, context, 1, 1);
    detail->address.lower(context, in.operands[0]);
    finish(std::move(detail), context, op, run_inval);
}

/// mbarrier.arrive{_drop}{.expect_tx}{.noComplete}{.sem.scope}{.space}.b64 {state,} [a]{, count}
void lower_arrive(const ptx::Instruction& in, LowerContext& context, Op& op) {
    auto detail = std::make_unique<BarrierDetail>();
    read_modifiers(in, context, *detail,
                   {"arrive", "arrive_drop", "expect_tx", "noComplete", "release", "relaxed", "cta",
                    "cluster", "shared", "shared::cta", "shared::cluster"});
    detail->drop = in.has("arrive_drop");
    if (detail->remote && detail->no_complete) context.fail(in, ".noComplete is not remote");
    need_operands(in, context, 1, 3);
    size_t at = 0;
    if (in.operands[0].kind != Operand::Kind::kAddress) {
        const Operand& state = in.operands[at++];
        detail->has_state = state.kind != Operand::Kind::kSink;
        if (detail->remote && detail->has_state)
            context.fail(in, "a remote arrival returns no state");
        detail->state = context.destination(state);
    }
    if (at >= in.operands.size()) context.fail(in, "needs an address");
    detail->address.lower(context, in.operands[at++]);
    if (at < in.operands.size())
        detail->count = context.source(in.operands[at++], ptx::Type::kU32);
    else if (detail->expects || detail->no_complete)
        context.fail(in, "needs a count");
    if (at != in.operands.size()) context.fail(in, "too many operands");
    op.dst = detail->state;
    finish(std::move(detail), context, op, run_arrive);
}

void lower_transactions(const ptx::Instruction& in, LowerContext& context, Op& op) {
    auto detail = std::make_unique<BarrierDetail>();
    const bool complete = in.has("complete_tx");
    read_modifiers(in, context, *detail,
                   {complete ? "complete_tx" : "expect_tx", "relaxed", "cta", "cluster", "shared",
                    "shared::cta", "shared::cluster"});
    detail->expects = false;
    need_operands(in, context, 2, 2);
    detail->address.lower(context, in.operands[0]);
    detail->count = context.source(in.operands[1], ptx::Type::kU32);
    op.mode = complete ? 1 : 0;
    finish(std::move(detail), context, op, run_transactions);
}

/// mbarrier.{test,try}_wait{.parity}{.sem.scope}{.space}.b64 done, [a], state | parity {, time}
void lower_wait(const ptx::Instruction& in, LowerContext& context, Op& op) {
    auto detail = std::make_unique<BarrierDetail>();
    const bool may_block = in.has("try_wait");
    op.mode = may_block ? 1 : 0;
    read_modifiers(in, context, *detail,
                   {may_block ? "try_wait" : "test_wait", "parity", "acquire", "relaxed", "cta",
                    "cluster", "shared", "shared::cta"});
    need_operands(in, context, 3, may_block ? 4 : 3);
    op.dst = context.destination(in.operands[0]);
    detail->address.lower(context, in.operands[1]);
    detail->count =
        context.source(in.operands[2], detail->parity ? ptx::Type::kU32 : ptx::Type::kB64);
    if (in.operands.size() == 4) context.source(in.operands[3], ptx::Type::kU32);
    finish(std::move(detail), context, op, run_wait);
}

void lower_pending_count(const ptx::Instruction& in, LowerContext& context, Op& op) {
    if (in.full_opcode() != "mbarrier.pending_count.b64") context.fail(in, "unknown modifier");
    need_operands(in, context, 2, 2);
    op.dst = context.destination(in.operands[0]);
    op.src[0] = context.source(in.operands[1], ptx::Type::kB64);
    op.execute = run_pending_count;
    op.kind = OpKind::kBarrier;
}

}  // namespace

void register_mbarrier(Registry& registry) {
    registry.add("mbarrier.init", lower_init);
    registry.add("fence.mbarrier_init", lower_init_fence);
    registry.add("mbarrier.inval", lower_inval);
    registry.add("mbarrier.arrive", lower_arrive);
    registry.add("mbarrier.arrive_drop", lower_arrive);
    registry.add("mbarrier.expect_tx", lower_transactions);
    registry.add("mbarrier.complete_tx", lower_transactions);
    registry.add("mbarrier.test_wait", lower_wait);
    registry.add("mbarrier.try_wait", lower_wait);
    registry.add("mbarrier.pending_count", lower_pending_count);
}

}  // namespace emulator
