// bar, barrier (named barriers of a block), bar.warp.sync, membar, fence, griddepcontrol.
//
// Source: PTX ISA, section "Parallel Synchronization and Communication Instructions", and chapter
// "Memory Consistency Model" for what a fence orders. An aligned barrier waits for all lanes of the
// warp that have not exited, which may arrive one group after another; without .aligned every group
// of lanes arrives for itself. Threads are counted; a warp counts in full once all of its lanes that
// have not exited are there.
#include <cstring>

#include "tests/emulator/exec/launch.hpp"
#include "tests/emulator/memory/memory.hpp"

namespace emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;
using ptx::Type;

enum class Reduce : uint8_t { kNone, kPopc, kAnd, kOr };

struct BarrierDetail : OpDetail {
    bool aligned = true;
    bool arrives_only = false;
    bool has_count = false;
    Reduce reduce = Reduce::kNone;
    Slot number = kZeroSlot, count = kZeroSlot;
    Slot predicate = kZeroSlot;
    bool negated = false;
};

Outcome run_barrier(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const BarrierDetail&>(*op.detail);
    Block& block = warp.block();
    Group& group = warp.group();
    if (detail.aligned) {
        if (warp.gather(op, lanes, warp.live()) == 0) return Outcome::kBlocked;
    }
    const int first = __builtin_ctz(lanes);
    const uint32_t number = warp.u32(detail.number)[first];
    if (number >= 16)
        warp.report(op, lanes, FindingKind::kBadBarrier,
                    "there is no barrier " + std::to_string(number), true);
    NamedBarrier& barrier = block.barriers[number];

    if (group.token == 0) {
        for_lanes(lanes, [&](int lane) {
            if (warp.u32(detail.number)[lane] != number ||
                warp.u32(detail.count)[lane] != warp.u32(detail.count)[first])
                warp.report(op, 1u << lane, FindingKind::kBadBarrier,
                            "lanes of a warp name different barriers or counts", true);
        });
        int expected = NamedBarrier::kWholeBlock;
        if (detail.has_count) {
            expected = static_cast<int>(warp.u32(detail.count)[first]);
            if (expected <= 0 || expected % kWarpLanes != 0)
                warp.report(op, lanes, FindingKind::kBadBarrier,
                            "a thread count of " + std::to_string(expected) +
                                " is no positive multiple of 32",
                            true);
            if (expected > (block.threads + 31) / 32 * 32)
                warp.report(op, lanes, FindingKind::kBadBarrier,
                            "waits for " + std::to_string(expected) + " threads of a block of " +
                                std::to_string(block.threads),
                            true);
        }
        if (barrier.expected == 0) {
            barrier.expected = expected;
        } else if (barrier.expected != expected) {
            warp.report(
                op, lanes, FindingKind::kBadBarrier,
                "barrier " + std::to_string(number) + " is in use with another thread count", true);
        }
        if (detail.reduce != Reduce::kNone) {
            LaneMask votes = warp.predicate(detail.predicate);
            if (const LaneMask taint = warp.taint(detail.predicate) & lanes; taint != 0)
                warp.report_taint(op, detail.predicate, taint, "a barrier's predicate was");
            if (detail.negated) votes = ~votes;
            votes &= lanes;
            const auto count = static_cast<uint32_t>(__builtin_popcount(votes));
            // .and counts the votes against, .or and .popc those in favour.
            barrier.reduction += detail.reduce == Reduce::kAnd
                                     ? static_cast<uint32_t>(__builtin_popcount(lanes)) - count
                                     : count;
        }
        release(warp, lanes, barrier.clock);
        warp.worker().progress();
        int arriving = __builtin_popcount(lanes);
        if (detail.has_count && lanes == warp.live()) arriving = kWarpLanes;
        barrier.arrived += arriving;
        const int wanted = expected == NamedBarrier::kWholeBlock ? block.live_threads : expected;
        if (barrier.arrived > wanted)
            warp.report(op, lanes, FindingKind::kBadBarrier,
                        "more threads arrive than the barrier expects", true);
        const uint64_t generation = barrier.generation;
        if (barrier.arrived == wanted) Block::complete(barrier);
        if (detail.arrives_only) return Outcome::kNext;
        group.token = generation + 1;
        if (barrier.generation == generation) {
            ++warp.counters().barrier_waits;
            return Outcome::kBlocked;
        }
    }
    if (barrier.generation < group.token) return Outcome::kBlocked;
    if (detail.has_count || !detail.aligned) {
        acquire(warp, lanes, barrier.finished_clock);
        if (lanes == warp.live()) sync_lanes(warp, lanes);
    } else {
        acquire_block(warp, barrier.finished_clock);
    }
    if (detail.reduce == Reduce::kPopc) {
        for_lanes(lanes, [&](int lane) { warp.u32(op.dst)[lane] = barrier.result; });
    } else if (detail.reduce != Reduce::kNone) {
        const bool yes = detail.reduce == Reduce::kAnd ? barrier.result == 0 : barrier.result != 0;
        LaneMask& to = warp.predicate(op.dst);
        to = (to & ~lanes) | (yes ? lanes : 0);
    }
    return Outcome::kNext;
}

/// bar{.cta}.sync, .arrive, .red; barrier{.cta}.sync{.aligned}, ...: bar is always aligned.
void lower_barrier(const Instruction& in, LowerContext& context, Op& op) {
    auto detail = std::make_unique<BarrierDetail>();
    detail->aligned = in.opcode == "bar";
    bool sync = false, red = false;
    std::string type;
    for (const std::string& m : in.modifiers) {
        if (m == "cta") {
        } else if (m == "aligned" && in.opcode == "barrier") {
            detail->aligned = true;
        } else if (m == "sync" && !red) {
            sync = true;
        } else if (m == "arrive") {
            detail->arrives_only = true;
        } else if (m == "red") {
            red = true;
        } else if (red && m == "popc") {
            detail->reduce = Reduce::kPopc;
        } else if (red && m == "and") {
            detail->reduce = Reduce::kAnd;
        } else if (red && m == "or") {
            detail->reduce = Reduce::kOr;
        } else if (red && (m == "u32" || m == "pred")) {
            type = m;
        } else {
            context.fail(in, "unknown modifier ." + m);
        }
    }
    if (static_cast<int>(sync) + static_cast<int>(red) + static_cast<int>(detail->arrives_only) !=
        1)
        context.fail(in, "needs one of .sync, .arrive and .red");
    size_t at = 0, last = in.operands.size();
    if (red) {
        if (detail->reduce == Reduce::kNone ||
            type != (detail->reduce == Reduce::kPopc ? "u32" : "pred") || last < 3)
            context.fail(in, "needs .popc.u32, .and.pred or .or.pred and three operands");
        op.dst = context.destination(in.operands[at++]);
        detail->predicate = context.predicate(in.operands[--last], &detail->negated);
    }
    if (at == last) context.fail(in, "needs a barrier");
    detail->number = context.source(in.operands[at++], Type::kU32);
    if (at < last) {
        detail->has_count = true;
        detail->count = context.source(in.operands[at++], Type::kU32);
    }
    if (at != last || (detail->arrives_only && !detail->has_count))
        context.fail(in, "has the wrong number of operands");
    op.src[0] = detail->number;
    op.src[1] = detail->count;
    op.execute = run_barrier;
    op.kind = OpKind::kBarrier;
    op.detail = context.keep(std::move(detail));
}

/// bar.warp.sync membermask: lanes meet even at different instructions of this kind.
Outcome run_warp_sync(Warp& warp, const Op& op, LaneMask lanes) {
    const uint32_t* masks = warp.u32(op.src[0]);
    Group& group = warp.group();
    const LaneMask mask = masks[__builtin_ctz(lanes)];
    bool same = true;
    for_lanes(lanes, [&](int lane) { same &= masks[lane] == mask; });
    if (same && (lanes & ~mask) == 0) {
        constexpr uint64_t kWaiting = uint64_t{1} << 40, kReleased = uint64_t{1} << 41;
        if (group.token == kReleased) return Outcome::kNext;
        LaneMask here = lanes;
        for (const Group& other : warp.groups())
            if (other.token == (kWaiting | mask)) here |= other.lanes;
        group.missing = mask & warp.live() & ~here;
        if (group.missing != 0) {
            group.token = kWaiting | mask;
            return Outcome::kBlocked;
        }
        for (Group& other : warp.groups())
            if (&other != &group && other.token == (kWaiting | mask)) other.token = kReleased;
        sync_lanes(warp, mask);
        return Outcome::kNext;
    }
    // Each lane names its own: parts of the warp meet among themselves.
    const LaneMask ready = warp.gather(op, lanes, masks);
    if (ready == 0) return Outcome::kBlocked;
    for (LaneMask rest = ready; rest != 0;) {
        const LaneMask part = masks[__builtin_ctz(rest)];
        sync_lanes(warp, part);
        rest &= ~part & ~(1u << __builtin_ctz(rest));
    }
    return Outcome::kNext;
}

void lower_warp_sync(const Instruction& in, LowerContext& context, Op& op) {
    if (in.modifiers.size() != 2 || in.modifiers[1] != "sync" || in.operands.size() != 1)
        context.fail(in, "needs .warp.sync and a mask");
    op.execute = run_warp_sync;
    op.kind = OpKind::kBarrier;
    op.src[0] = context.source(in.operands[0], Type::kB32);
}

// --- fences ----------------------------------------------------------------------------------------

Outcome run_fence(Warp& warp, const Op& op, LaneMask) {
    warp.memory().fence(warp, Order::kAcqRel, static_cast<Scope>(op.mode));
    return Outcome::kNext;
}

Outcome run_proxy_fence(Warp& warp, const Op&, LaneMask) {
    warp.memory().fence_proxy_async(warp);
    return Outcome::kNext;
}

Outcome run_nothing(Warp&, const Op&, LaneMask) {
    return Outcome::kNext;
}

bool scope_named(const std::string& m, Scope* scope) {
    if (m == "cta")
        *scope = Scope::kCta;
    else if (m == "cluster")
        *scope = Scope::kCluster;
    else if (m == "gpu" || m == "gl")
        *scope = Scope::kGpu;
    else if (m == "sys")
        *scope = Scope::kSys;
    else
        return false;
    return true;
}

/// membar.{cta,gl,sys}; fence{.sc,.acq_rel,.acquire,.release}.scope; fence.mbarrier_init.release.cluster;
/// fence.proxy.{async{.global,.shared::cta,.shared::cluster},alias}; fence.proxy.tensormap::generic...
void lower_fence(const Instruction& in, LowerContext& context, Op& op) {
    op.kind = OpKind::kBarrier;
    const auto& m = in.modifiers;
    if (m.empty()) context.fail(in, "needs modifiers");
    size_t at = 0;
    if (m[0] == "proxy") {
        if (m.size() < 2) context.fail(in, "needs a proxy");
        if (m[1] == "alias" && m.size() == 2) {
            op.execute = run_nothing;
            return;
        }
        if (m[1] == "async" || m[1] == "async::generic") {
            for (size_t i = 2; i < m.size(); ++i)
                if (m[i] != "global" && m[i] != "shared::cta" && m[i] != "shared::cluster" &&
                    m[i] != "acquire" && m[i] != "release" && m[i] != "cluster" &&
                    m[i] != "sync_restrict::shared::cta" &&
                    m[i] != "sync_restrict::shared::cluster")
                    context.fail(in, "unknown modifier ." + m[i]);
            op.execute = run_proxy_fence;
            return;
        }
        if (m[1] == "tensormap::generic" && m.size() == 4 &&
            (m[2] == "acquire" || m[2] == "release")) {
            Scope scope;
            if (!scope_named(m[3], &scope)) context.fail(in, "unknown scope ." + m[3]);
            op.execute = run_fence;
            op.mode = static_cast<uint32_t>(scope);
            return;
        }
        context.fail(in, "unknown proxy");
    }
    if (m[0] == "mbarrier_init") {
        if (m.size() != 3 || m[1] != "release" || m[2] != "cluster")
            context.fail(in, "needs .release.cluster");
        op.execute = run_fence;
        op.mode = static_cast<uint32_t>(Scope::kCluster);
        return;
    }
    if (in.opcode == "fence" &&
        (m[0] == "sc" || m[0] == "acq_rel" || m[0] == "acquire" || m[0] == "release"))
        at = 1;
    Scope scope;
    if (at + 1 != m.size() || !scope_named(m[at], &scope) ||
        (m[at] == "gl") != (in.opcode == "membar" && m[at] == "gl"))
        context.fail(in, "unknown modifiers");
    op.execute = run_fence;
    op.mode = static_cast<uint32_t>(scope);
}

}  // namespace

void register_barrier(Registry& registry) {
    registry.add("bar", lower_barrier);
    registry.add("barrier", lower_barrier);
    registry.add("bar.warp", lower_warp_sync);
    registry.add("membar", lower_fence);
    registry.add("fence", lower_fence);
    // Launches run one after another: what this one depends on is complete.
    registry.add("griddepcontrol", [](const Instruction& in, LowerContext& context, Op& op) {
        if (in.modifiers.size() != 1 ||
            (in.modifiers[0] != "wait" && in.modifiers[0] != "launch_dependents"))
            context.fail(in, "needs .wait or .launch_dependents");
        op.execute = run_nothing;
        op.kind = OpKind::kOther;
    });
}

}  // namespace emulator
