// Operations between the lanes of a warp: shfl.sync vote.sync match.sync redux.sync elect.sync
// activemask.
//
// Source: PTX ISA, "shfl.sync", "vote.sync", "match.sync", "redux.sync", "elect.sync" and
// "activemask".
// The .sync forms wait until every live lane that the member mask names has arrived
// (Warp::gather()). What hardware leaves undefined, reading from a lane that does not take part, is
// a finding here.
#include <string>

#include "tests/emulator/isa/arith.hpp"

namespace emulator::isa {
namespace {

using ptx::Operand;
using ptx::Type;

/// Lanes that name the same mask as lane `of`.
LaneMask same_mask(const uint32_t* masks, int of) {
    alignas(32) uint32_t flags[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane)
        flags[lane] = masks[lane] == masks[of];
    return gather_flags(flags);
}

/// Lanes that may go on, 0 if none may (Warp::gather()); with one mask for all, in short.
LaneMask gather_members(Warp& warp, const Op& op, LaneMask lanes, const uint32_t* masks) {
    const int first = __builtin_ctz(lanes);
    if ((lanes & ~same_mask(masks, first)) == 0) return warp.gather(op, lanes, masks[first]);
    return warp.gather(op, lanes, masks);
}

/// Calls fn(lanes, first lane) for each set of lanes that work together. Lanes of one set must name
/// the same mask.
template <typename Fn>
void for_sets(Warp& warp, const Op& op, LaneMask ready, const uint32_t* masks, Fn&& fn) {
    for (LaneMask left = ready; left != 0;) {
        const int first = __builtin_ctz(left);
        const LaneMask set = (ready & masks[first]) | LaneMask{1} << first;
        const LaneMask same = set & same_mask(masks, first);
        if (same != set)
            warp.report(op, set & ~same, FindingKind::kDivergentBarrier,
                        "lanes of one operation name different member masks");
        fn(same, first);
        left &= ~same;
    }
}

/// Taint of a source in any lane of a set.
LaneMask any_taint(Warp& warp, Slot slot, LaneMask set) {
    return warp.checks() && (warp.taint(slot) & set) != 0 ? set : 0;
}

/// Marks `slot` suspicious in a set if the source or the mask is in one of its lanes.
void set_common_taint(Warp& warp, Slot slot, LaneMask set, Slot source, Slot mask) {
    if (!warp.checks() || slot == kSinkSlot) return;
    const LaneMask from_source = any_taint(warp, source, set);
    const LaneMask suspicious = from_source | any_taint(warp, mask, set);
    warp.pass_taint(slot, set, suspicious, from_source != 0 ? source : mask);
}

// ---- shfl --------------------------------------------------------------------------------------

enum class Shuffle : uint32_t { kUp, kDown, kButterfly, kIndex };

/// src: a, b, c, member mask; imm: slot of p.
template <Shuffle how>
Outcome run_shfl(Warp& warp, const Op& op, LaneMask lanes) {
    const uint32_t* masks = warp.u32(op.src[3]);
    const LaneMask ready = gather_members(warp, op, lanes, masks);
    if (ready == 0) return Outcome::kBlocked;
    const uint32_t* a = warp.u32(op.src[0]);
    const uint32_t* b = warp.u32(op.src[1]);
    const uint32_t* c = warp.u32(op.src[2]);
    const Slot p_slot = static_cast<Slot>(op.imm);

    // Everything by lanes in loops that the compiler vectorizes.
    alignas(64) int32_t from[kWarpLanes];
    alignas(64) uint32_t inside[kWarpLanes], present[kWarpLanes], result[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane) {
        const int by = static_cast<int>(b[lane] & 31), clamp = static_cast<int>(c[lane] & 31);
        const int segment = static_cast<int>(c[lane] >> 8 & 31);
        const int lowest = lane & segment;
        const int bound = lowest | (clamp & ~segment & 31);
        const int at = how == Shuffle::kUp          ? lane - by
                       : how == Shuffle::kDown      ? lane + by
                       : how == Shuffle::kButterfly ? lane ^ by
                                                    : lowest | (by & ~segment & 31);
        const bool in_range = how == Shuffle::kUp ? at >= bound : at <= bound;
        from[lane] = in_range ? at : lane;
        inside[lane] = in_range;
        present[lane] = (ready & masks[lane]) >> from[lane] & 1;
    }
    for (int lane = 0; lane < kWarpLanes; ++lane)
        result[lane] = present[lane] != 0 ? a[from[lane]] : 0;
    const LaneMask in_range = gather_flags(inside);
    const LaneMask absent = ready & ~gather_flags(present);

    const bool checks = warp.checks();
    const LaneMask taint_a = checks ? warp.taint(op.src[0]) : 0;
    const LaneMask suspicious_p =
        checks ? warp.taint(op.src[1]) | warp.taint(op.src[2]) | warp.taint(op.src[3]) : 0;
    LaneMask suspicious = absent | suspicious_p;
    if (taint_a != 0)
        for_lanes(ready, [&](int lane) { suspicious |= (taint_a >> from[lane] & 1) << lane; });
    if (absent != 0)
        warp.report(op, absent, FindingKind::kDivergentBarrier,
                    "reads from lane " + std::to_string(from[__builtin_ctz(absent)]) +
                        ", which does not take part");
    if (checks) {
        const Slot where = (warp.taint(op.src[1]) & ready) != 0 ? op.src[1] : op.src[2];
        warp.pass_taint(op.dst, ready, suspicious, (suspicious_p & ready) != 0 ? where : op.src[0]);
        if (p_slot != kSinkSlot) warp.pass_taint(p_slot, ready, suspicious_p, where);
    }
    store_lanes(warp, op.dst, ready, result);
    if (p_slot != kSinkSlot) set_predicate(warp, p_slot, ready, in_range);
    return Outcome::kNext;
}

void lower_shfl(Reader& reader) {
    Op& op = reader.op();
    if (!reader.take("sync")) reader.fail("without .sync is gone since sm_70");
    const int how = reader.take_one_of({"up", "down", "bfly", "idx"});
    if (how < 0) reader.fail("needs .up, .down, .bfly or .idx");
    if (reader.take_type() != Type::kB32) reader.fail("is for .b32");
    reader.finish();
    reader.require_operands(5);
    reader.destination(Type::kB32);
    reader.sources({Type::kB32, Type::kB32, Type::kB32, Type::kB32});
    const int pair = reader.operand(0).pair;
    op.imm = pair >= 0 ? reader.context().reg(pair) : kSinkSlot;
    switch (how) {
        case 0:
            op.execute = run_shfl<Shuffle::kUp>;
            break;
        case 1:
            op.execute = run_shfl<Shuffle::kDown>;
            break;
        case 2:
            op.execute = run_shfl<Shuffle::kButterfly>;
            break;
        default:
            op.execute = run_shfl<Shuffle::kIndex>;
            break;
    }
}

// ---- vote --------------------------------------------------------------------------------------

enum class Vote : uint32_t { kAll, kAny, kUni, kBallot };

/// src: the predicate, the member mask; mode: 1 if the predicate is negated.
template <Vote how>
Outcome run_vote(Warp& warp, const Op& op, LaneMask lanes) {
    const uint32_t* masks = warp.u32(op.src[1]);
    const LaneMask ready = gather_members(warp, op, lanes, masks);
    if (ready == 0) return Outcome::kBlocked;
    LaneMask votes = warp.predicate(op.src[0]);
    if (op.mode != 0) votes = ~votes;
    alignas(64) uint32_t ballots[kWarpLanes] = {};
    LaneMask result = 0;
    for_sets(warp, op, ready, masks, [&](LaneMask set, int) {
        const LaneMask yes = votes & set;
        const bool verdict = how == Vote::kAll   ? yes == set
                             : how == Vote::kAny ? yes != 0
                                                 : yes == 0 || yes == set;
        result |= verdict ? set : 0;
        for_lanes(set, [&](int lane) { ballots[lane] = yes; });
        set_common_taint(warp, op.dst, set, op.src[0], op.src[1]);
    });
    if (how == Vote::kBallot)
        store_lanes(warp, op.dst, ready, ballots);
    else
        set_predicate(warp, op.dst, ready, result);
    return Outcome::kNext;
}

void lower_vote(Reader& reader) {
    Op& op = reader.op();
    if (!reader.take("sync")) reader.fail("without .sync is gone since sm_70");
    const int how = reader.take_one_of({"all", "any", "uni", "ballot"});
    if (how < 0) reader.fail("needs .all, .any, .uni or .ballot");
    const Type type = how == 3 ? Type::kB32 : Type::kPred;
    if (reader.take_type() != type) reader.fail("has another type");
    reader.finish();
    reader.require_operands(3);
    reader.destination(type);
    bool negated = false;
    op.src[0] = reader.predicate(reader.operand(1), &negated);
    op.mode = negated ? 1 : 0;
    reader.source(2, Type::kB32);
    switch (how) {
        case 0:
            op.execute = run_vote<Vote::kAll>;
            break;
        case 1:
            op.execute = run_vote<Vote::kAny>;
            break;
        case 2:
            op.execute = run_vote<Vote::kUni>;
            break;
        default:
            op.execute = run_vote<Vote::kBallot>;
            break;
    }
}

// ---- match -------------------------------------------------------------------------------------

/// src: a, the member mask; imm: slot of p (all). d: lanes of the set with the same value; with
/// .all the set if all values are equal, else 0.
template <typename T, bool all>
Outcome run_match(Warp& warp, const Op& op, LaneMask lanes) {
    const uint32_t* masks = warp.u32(op.src[1]);
    const LaneMask ready = gather_members(warp, op, lanes, masks);
    if (ready == 0) return Outcome::kBlocked;
    const T* a = warp.lanes<T>(op.src[0]);
    const Slot p_slot = static_cast<Slot>(op.imm);
    alignas(64) uint32_t result[kWarpLanes] = {};
    LaneMask p = 0;
    for_sets(warp, op, ready, masks, [&](LaneMask set, int) {
        for_lanes(set, [&](int lane) {
            LaneMask equal = 0;
            for_lanes(set, [&](int other) { equal |= LaneMask(a[other] == a[lane]) << other; });
            const bool everyone = equal == set;
            result[lane] = all && !everyone ? 0 : equal;
            p |= LaneMask(everyone) << lane;
        });
        set_common_taint(warp, op.dst, set, op.src[0], op.src[1]);
        set_common_taint(warp, p_slot, set, op.src[0], op.src[1]);
    });
    store_lanes(warp, op.dst, ready, result);
    if (p_slot != kSinkSlot) set_predicate(warp, p_slot, ready, p);
    return Outcome::kNext;
}

void lower_match(Reader& reader) {
    Op& op = reader.op();
    const int all = reader.take_one_of({"any", "all"});
    if (all < 0 || !reader.take("sync")) reader.fail("needs .any or .all, and .sync");
    const Type type = reader.take_type();
    if (type != Type::kB32 && type != Type::kB64) reader.fail("is for .b32 and .b64");
    reader.finish();
    reader.require_operands(3);
    reader.destination(Type::kB32);
    reader.sources({type, Type::kB32});
    const int pair = reader.operand(0).pair;
    if (all == 0 && pair != -1) reader.fail(".any has no second result");
    op.imm = pair >= 0 ? reader.context().reg(pair) : kSinkSlot;
    if (type == Type::kB64)
        op.execute = all == 1 ? run_match<uint64_t, true> : run_match<uint64_t, false>;
    else
        op.execute = all == 1 ? run_match<uint32_t, true> : run_match<uint32_t, false>;
}

// ---- redux -------------------------------------------------------------------------------------

uint32_t sum(uint32_t a, uint32_t b) {
    return a + b;
}
uint32_t min_unsigned(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}
uint32_t max_unsigned(uint32_t a, uint32_t b) {
    return a < b ? b : a;
}
uint32_t min_signed(uint32_t a, uint32_t b) {
    return int32_t(a) < int32_t(b) ? a : b;
}
uint32_t max_signed(uint32_t a, uint32_t b) {
    return int32_t(a) < int32_t(b) ? b : a;
}
uint32_t conjunction(uint32_t a, uint32_t b) {
    return a & b;
}
uint32_t disjunction(uint32_t a, uint32_t b) {
    return a | b;
}
uint32_t difference(uint32_t a, uint32_t b) {
    return a ^ b;
}

template <uint32_t (*fn)(uint32_t, uint32_t)>
Outcome run_redux(Warp& warp, const Op& op, LaneMask lanes) {
    const uint32_t* masks = warp.u32(op.src[1]);
    const LaneMask ready = gather_members(warp, op, lanes, masks);
    if (ready == 0) return Outcome::kBlocked;
    const uint32_t* a = warp.u32(op.src[0]);
    alignas(64) uint32_t result[kWarpLanes] = {};
    for_sets(warp, op, ready, masks, [&](LaneMask set, int first) {
        uint32_t value = a[first];
        for_lanes(set & ~(LaneMask{1} << first), [&](int lane) { value = fn(value, a[lane]); });
        for_lanes(set, [&](int lane) { result[lane] = value; });
        set_common_taint(warp, op.dst, set, op.src[0], op.src[1]);
    });
    store_lanes(warp, op.dst, ready, result);
    return Outcome::kNext;
}

void lower_redux(Reader& reader) {
    Op& op = reader.op();
    if (!reader.take("sync")) reader.fail("needs .sync");
    const int what = reader.take_one_of({"add", "min", "max", "and", "or", "xor"});
    if (what < 0) reader.fail("no such operation");
    const Type type = reader.take_type();
    if (type == Type::kF32) reader.fail("of .f32 needs sm_100, which is not emulated");
    const bool bits = what >= 3;
    if (bits ? type != Type::kB32 : type != Type::kU32 && type != Type::kS32)
        reader.fail("has another type");
    reader.finish();
    reader.require_arch(80, "redux");
    reader.require_operands(3);
    reader.destination(type);
    reader.sources({type, Type::kB32});
    const bool s = type == Type::kS32;
    switch (what) {
        case 0:
            op.execute = run_redux<sum>;
            break;
        case 1:
            op.execute = s ? run_redux<min_signed> : run_redux<min_unsigned>;
            break;
        case 2:
            op.execute = s ? run_redux<max_signed> : run_redux<max_unsigned>;
            break;
        case 3:
            op.execute = run_redux<conjunction>;
            break;
        case 4:
            op.execute = run_redux<disjunction>;
            break;
        default:
            op.execute = run_redux<difference>;
            break;
    }
}

// ---- elect, activemask -------------------------------------------------------------------------

/// src[0]: the member mask; d: the leader's number; imm: slot of p, true in the leader alone. The
/// choice is the same whenever the members are: the lowest lane.
Outcome run_elect(Warp& warp, const Op& op, LaneMask lanes) {
    const uint32_t* masks = warp.u32(op.src[0]);
    const LaneMask ready = gather_members(warp, op, lanes, masks);
    if (ready == 0) return Outcome::kBlocked;
    alignas(64) uint32_t result[kWarpLanes] = {};
    LaneMask leaders = 0;
    const Slot p_slot = static_cast<Slot>(op.imm);
    for_sets(warp, op, ready, masks, [&](LaneMask set, int first) {
        leaders |= LaneMask{1} << first;
        for_lanes(set, [&](int lane) { result[lane] = static_cast<uint32_t>(first); });
        set_common_taint(warp, op.dst, set, op.src[0], op.src[0]);
        set_common_taint(warp, p_slot, set, op.src[0], op.src[0]);
    });
    store_lanes(warp, op.dst, ready, result);
    if (p_slot != kSinkSlot) set_predicate(warp, p_slot, ready, leaders);
    return Outcome::kNext;
}

void lower_elect(Reader& reader) {
    Op& op = reader.op();
    if (!reader.take("sync")) reader.fail("needs .sync");
    reader.finish();
    reader.require_arch(90, "elect.sync");
    reader.require_operands(2);
    reader.destination(Type::kB32);
    reader.source(1, Type::kB32);
    const int pair = reader.operand(0).pair;
    op.imm = pair >= 0 ? reader.context().reg(pair) : kSinkSlot;
    op.execute = run_elect;
}

Outcome run_activemask(Warp& warp, const Op& op, LaneMask lanes) {
    uint32_t* d = warp.u32(op.dst);
    for_lanes(lanes, [&](int lane) { d[lane] = lanes; });
    return Outcome::kNext;
}

void lower_activemask(Reader& reader) {
    if (reader.take_type() != Type::kB32) reader.fail("is for .b32");
    reader.finish();
    reader.require_operands(1);
    reader.destination(Type::kB32);
    reader.op().execute = run_activemask;
}

Lower between_lanes(void (*fn)(Reader&), uint8_t flags) {
    return [fn, flags](const ptx::Instruction& instruction, LowerContext& context, Op& op) {
        op.kind = OpKind::kWarp;
        op.flags |= flags;
        Reader reader(instruction, context, op);
        fn(reader);
    };
}

}  // namespace
}  // namespace emulator::isa

namespace emulator {

void register_warp(Registry& registry) {
    using namespace isa;
    registry.add("shfl", between_lanes(lower_shfl, Op::kOwnTaint));
    registry.add("vote", between_lanes(lower_vote, Op::kOwnTaint));
    registry.add("match", between_lanes(lower_match, Op::kOwnTaint));
    registry.add("redux", between_lanes(lower_redux, Op::kOwnTaint));
    registry.add("elect", between_lanes(lower_elect, Op::kOwnTaint));
    registry.add("activemask", between_lanes(lower_activemask, 0));
}

}  // namespace emulator
