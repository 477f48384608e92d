// Thread block clusters: mapa, getctarank, barrier.cluster, st.async, red.async; and setmaxnreg.
//
// Source: PTX ISA, "mapa", "getctarank", "barrier.cluster", "st.async", "red.async", "setmaxnreg".
// A shared::cluster address is rank * 2^24 + offset (memory.hpp). barrier.cluster counts the threads of
// the cluster that have not exited. st.async and red.async land when their mbarrier is polled, like
// bulk copies, but in the generic proxy. setmaxnreg moves no registers here: it is checked to be the
// same in all warps of a warpgroup.
#include <cstring>
#include <memory>

#include "tests/emulator/isa/address.hpp"
#include "tests/emulator/isa/async_state.hpp"
#include "tests/emulator/isa/fragments.hpp"
#include "tests/emulator/isa/mbarrier.hpp"
#include "tests/emulator/isa/reduction.hpp"

namespace emulator {

using ptx::Operand;
using ptx::Space;

namespace {

// --- addresses of other blocks' shared memory ------------------------------------------------------

constexpr uint64_t kOffsetMask = kSharedWindowStride - 1;

bool in_window(uint64_t address) {
    return address >= kSharedWindow && address < kSharedWindow + 16 * kSharedWindowStride;
}

/// op.mode: 1 = shared::cluster addresses, 0 = generic; op.width: bytes of an address.
Outcome run_mapa(Warp& warp, const Op& op, LaneMask lanes) {
    const uint32_t* ranks = warp.u32(op.src[1]);
    const size_t blocks = warp.block().cluster->blocks.size();
    for_lanes(lanes, [&](int lane) {
        const LaneMask self = 1u << lane;
        uint64_t address = op.width == 8 ? warp.u64(op.src[0])[lane] : warp.u32(op.src[0])[lane];
        if (ranks[lane] >= blocks)
            warp.report(op, self, FindingKind::kOutOfBounds,
                        "mapa to block rank " + std::to_string(ranks[lane]) + " of a cluster of " +
                            std::to_string(blocks));
        if (op.mode == 0 && !in_window(address))
            warp.report(op, self, FindingKind::kOutOfBounds,
                        "mapa of a generic address outside shared memory");
        address = (address & kOffsetMask) + ranks[lane] * kSharedWindowStride;
        if (op.mode == 0) address += kSharedWindow;
        if (op.width == 8)
            warp.u64(op.dst)[lane] = address;
        else
            warp.u32(op.dst)[lane] = static_cast<uint32_t>(address);
    });
    return Outcome::kNext;
}

Outcome run_getctarank(Warp& warp, const Op& op, LaneMask lanes) {
    uint32_t* ranks = warp.u32(op.dst);
    for_lanes(lanes, [&](int lane) {
        const uint64_t address =
            op.width == 8 ? warp.u64(op.src[0])[lane] : warp.u32(op.src[0])[lane];
        if (op.mode == 0 && !in_window(address))
            warp.report(op, 1u << lane, FindingKind::kOutOfBounds,
                        "getctarank of a generic address outside shared memory");
        ranks[lane] = static_cast<uint32_t>(address >> 24 & 0xFFu);
    });
    return Outcome::kNext;
}

/// mapa{.shared::cluster}.u32|u64 d, a, rank; getctarank{.shared::cluster}.u32|u64 d, a
void lower_address(const ptx::Instruction& in, LowerContext& context, Op& op) {
    const bool mapa = in.opcode == "mapa";
    if (context.arch() < 90) context.fail(in, "needs sm_90");
    const size_t count = in.modifiers.size();
    op.mode = count != 0 && in.modifiers[0] == "shared::cluster" ? 1 : 0;
    if (count != 1 + op.mode || (in.last() != "u32" && in.last() != "u64"))
        context.fail(in, "unknown modifier");
    op.width = in.last() == "u64" ? 8 : 4;
    if (in.operands.size() != (mapa ? 3u : 2u)) context.fail(in, "wrong number of operands");
    op.dst = context.destination(in.operands[0]);
    op.src[0] = context.source(in.operands[1], op.width == 8 ? ptx::Type::kU64 : ptx::Type::kU32);
    if (mapa) op.src[1] = context.source(in.operands[2], ptx::Type::kU32);
    op.execute = mapa ? run_mapa : run_getctarank;
    op.kind = OpKind::kInteger;
}

// --- barrier.cluster -------------------------------------------------------------------------------

/// op.mode bits: 1 = .aligned, 2 = .relaxed
Outcome run_cluster_arrive(Warp& warp, const Op& op, LaneMask lanes) {
    if ((op.mode & 1) != 0 && warp.gather(op, lanes, warp.live()) != lanes)
        return Outcome::kBlocked;
    AsyncState& state = async_state(warp);
    NamedBarrier& barrier = warp.block().cluster->barrier;
    if (const LaneMask again = state.cluster_arrived & lanes)
        warp.report(op, again, FindingKind::kBadBarrier,
                    "a thread arrives at barrier.cluster again without having waited");
    if ((op.mode & 2) == 0)
        release(warp, lanes, barrier.clock);
    else
        release_fenced(warp, 1, barrier.clock);
    state.cluster_arrived |= lanes;
    for_lanes(lanes, [&](int lane) { state.cluster_generation[lane] = barrier.generation; });
    return Outcome::kNext;
}

/// Ends the phase if every thread of the cluster that still lives has arrived in it.
void complete_cluster_phase(Cluster& cluster) {
    for (Block* block : cluster.blocks)
        for (Warp& warp : block->warps) {
            if (warp.live() == 0) continue;
            AsyncState& state = async_state(warp);
            LaneMask here = 0;
            for_lanes(state.cluster_arrived, [&](int lane) {
                if (state.cluster_generation[lane] == cluster.barrier.generation)
                    here |= 1u << lane;
            });
            if ((warp.live() & ~here) != 0) return;
        }
    Block::complete(cluster.barrier);
}

Outcome run_cluster_wait(Warp& warp, const Op& op, LaneMask lanes) {
    if ((op.mode & 1) != 0 && warp.gather(op, lanes, warp.live()) != lanes)
        return Outcome::kBlocked;
    AsyncState& state = async_state(warp);
    Cluster& cluster = *warp.block().cluster;
    if (const LaneMask missing = lanes & ~state.cluster_arrived) {
        warp.report(op, missing, FindingKind::kBadBarrier,
                    "a thread waits at barrier.cluster without having arrived", true);
        return Outcome::kNext;
    }
    const auto waiting = [&] {
        LaneMask still = 0;
        for_lanes(lanes, [&](int lane) {
            if (state.cluster_generation[lane] == cluster.barrier.generation) still |= 1u << lane;
        });
        return still;
    };
    if (waiting() != 0) complete_cluster_phase(cluster);
    if (waiting() != 0) {
        if (warp.group().token == 0) {
            warp.group().token = 1;
            ++warp.counters().barrier_waits;
        }
        return Outcome::kBlocked;
    }
    state.cluster_arrived &= ~lanes;
    acquire(warp, lanes, cluster.barrier.finished_clock);
    return Outcome::kNext;
}

void lower_cluster_barrier(const ptx::Instruction& in, LowerContext& context, Op& op) {
    const bool arrive = in.has("arrive");
    if (context.arch() < 90) context.fail(in, "needs sm_90");
    if (arrive == in.has("wait") || !in.operands.empty()) context.fail(in, "unknown form");
    for (const std::string& modifier : in.modifiers) {
        if (modifier == "cluster" || modifier == "arrive" || modifier == "wait") continue;
        if (modifier == "aligned")
            op.mode |= 1;
        else if (modifier == "relaxed" && arrive)
            op.mode |= 2;
        else if (modifier != (arrive ? "release" : "acquire"))
            context.fail(in, "unknown modifier ." + modifier);
    }
    op.execute = arrive ? run_cluster_arrive : run_cluster_wait;
    op.kind = OpKind::kBarrier;
    op.flags |= Op::kOwnTaint;
}

// --- setmaxnreg ------------------------------------------------------------------------------------

Outcome run_setmaxnreg(Warp& warp, const Op& op, LaneMask lanes) {
    if (warp.gather(op, lanes, warp.live()) != lanes) return Outcome::kBlocked;
    std::vector<int64_t>& own = async_state(warp).register_counts;
    own.push_back(op.imm);
    const size_t number = own.size() - 1;
    Block& block = warp.block();
    const size_t first = static_cast<size_t>(warp.index()) / 4 * 4;
    for (size_t i = first; i < first + 4 && i < block.warps.size(); ++i) {
        const auto& other = async_state(block.warps[i]).register_counts;
        if (other.size() > number && other[number] != op.imm)
            warp.report(op, lanes, FindingKind::kDivergentBarrier,
                        "the warps of a warpgroup set different numbers of registers");
    }
    return Outcome::kNext;
}

void lower_setmaxnreg(const ptx::Instruction& in, LowerContext& context, Op& op) {
    if (context.arch() < 90) context.fail(in, "needs sm_90a");
    const std::string text = in.full_opcode();
    if ((text != "setmaxnreg.inc.sync.aligned.u32" && text != "setmaxnreg.dec.sync.aligned.u32") ||
        in.operands.size() != 1 || in.operands[0].kind != Operand::Kind::kImmediate)
        context.fail(in, "unknown form");
    op.imm = static_cast<int64_t>(in.operands[0].bits);
    if (op.imm < 24 || op.imm > 256 || op.imm % 8 != 0)
        context.fail(in, "needs a multiple of 8 from 24 to 256");
    op.execute = run_setmaxnreg;
    op.kind = OpKind::kOther;
    op.flags |= Op::kOwnTaint;
}

// --- st.async, red.async ---------------------------------------------------------------------------

struct RemoteStore : OpDetail {
    AddressSource to, barrier;
    std::vector<Slot> values;
    int element_bytes = 4;
    bool reduce = false;
    Reduction reduction = Reduction::kAdd;
    ReductionType type = ReductionType::kU32;
};

Outcome run_remote_store(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const RemoteStore&>(*op.detail);
    detail.to.check(warp, op, lanes);
    detail.barrier.check(warp, op, lanes);
    for (const Slot value : detail.values)
        check_source(warp, op, value, lanes, "a stored value");
    const int64_t bytes = detail.element_bytes * static_cast<int64_t>(detail.values.size());
    Memory& memory = warp.memory();
    for_lanes(lanes, [&](int lane) {
        const LaneMask self = 1u << lane;
        const uint64_t to = shared_address(Space::kShared, detail.to.at(warp, lane));
        const uint64_t barrier_at = shared_address(Space::kShared, detail.barrier.at(warp, lane));
        if (to % static_cast<uint64_t>(bytes) != 0) {
            warp.report(op, self, FindingKind::kMisaligned,
                        "the destination is not aligned to " + std::to_string(bytes) + " bytes",
                        true);
            return;
        }
        if (to >> 24 != barrier_at >> 24)
            warp.report(op, self, FindingKind::kBadBarrier,
                        "data for one block completes on an mbarrier of another");
        const MbarrierRef barrier = find_mbarrier(warp, op, self, barrier_at, false);
        uint8_t* where = memory.resolve(warp, op, Space::kShared, to, bytes, true);
        if (barrier.object == nullptr || where == nullptr) return;
        // Reductions may come from many threads at once; nobody can tell their order.
        if (!detail.reduce) memory.note_write(warp, op, where, bytes, Proxy::kGeneric, false);
        std::array<uint8_t, 16> data{};
        for (size_t i = 0; i < detail.values.size(); ++i) {
            const auto width = static_cast<size_t>(detail.element_bytes);
            const uint8_t* from =
                warp.lanes<uint8_t>(detail.values[i]) + width * static_cast<size_t>(lane);
            std::memcpy(data.data() + i * width, from, width);
        }
        const Op* by = &op;
        const RemoteStore* what = &detail;
        barrier.object->in_flight.push_back([=](Warp& poller) {
            const Moment moment =
                land_async(poller, *barrier.block, barrier.offset, barrier.object->clock);
            if (what->reduce) {
                poller.memory().note_reduction(poller, *by, where, bytes, Proxy::kGeneric, moment);
                reduce_element(what->reduction, what->type, where, data.data(), where);
            } else {
                poller.memory().note_write(poller, *by, where, bytes, Proxy::kGeneric, true,
                                           moment);
                std::memcpy(where, data.data(), static_cast<size_t>(bytes));
            }
            complete_transactions(poller, *by, self, barrier, bytes);
        });
    });
    return Outcome::kNext;
}

/// st.async{.weak}.shared::cluster.mbarrier::complete_tx::bytes{.v2|.v4}.<type> [a], b, [barrier]
/// red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.<op>.<type> [a], b, [barrier]
void lower_remote_store(const ptx::Instruction& in, LowerContext& context, Op& op) {
    auto detail = std::make_unique<RemoteStore>();
    if (context.arch() < 90) context.fail(in, "needs sm_90");
    detail->reduce = in.opcode == "red";
    size_t vector = 1;
    bool completes = false, shared = false, typed = false, has_operation = false;
    ptx::Type type = ptx::Type::kB32;
    for (const std::string& modifier : in.modifiers) {
        if (modifier == "async") continue;
        if (modifier == "weak" && !detail->reduce) continue;
        if ((modifier == "relaxed" || modifier == "cluster") && detail->reduce) continue;
        if (modifier == "shared::cluster")
            shared = true;
        else if (modifier == "mbarrier::complete_tx::bytes")
            completes = true;
        else if (modifier == "v2" && !detail->reduce)
            vector = 2;
        else if (modifier == "v4" && !detail->reduce)
            vector = 4;
        else if (detail->reduce && parse_reduction(modifier, &detail->reduction))
            has_operation = true;
        else if (!typed && parse_reduction_type(modifier, &detail->type) &&
                 reduction_bytes(detail->type) >= 4) {
            typed = true;
            type = ptx::parse_type(modifier);
        } else
            context.fail(in, "unknown modifier ." + modifier);
    }
    if (!completes || !shared || !typed || has_operation != detail->reduce)
        context.fail(in, "unknown form");
    if (detail->reduce &&
        (!reduction_exists(detail->reduction, detail->type) || reduction_is_float(detail->type)))
        context.fail(in, "this reduction does not exist for the type");
    detail->element_bytes = reduction_bytes(detail->type);
    if (detail->element_bytes * vector > 16) context.fail(in, "more than 16 bytes");
    if (in.operands.size() != 3) context.fail(in, "needs three operands");
    detail->to.lower(context, in.operands[0]);
    const auto values = elements_of(in.operands[1]);
    if (values.size() != vector) context.fail(in, "the vector has the wrong length");
    for (const Operand& value : values)
        detail->values.push_back(context.source(value, type));
    detail->barrier.lower(context, in.operands[2]);
    op.execute = run_remote_store;
    op.kind = OpKind::kAsyncCopy;
    op.flags |= Op::kOwnTaint;
    op.detail = context.keep(std::move(detail));
}

}  // namespace

void register_cluster(Registry& registry) {
    registry.add("mapa", lower_address);
    registry.add("getctarank", lower_address);
    registry.add("barrier.cluster", lower_cluster_barrier);
    registry.add("setmaxnreg", lower_setmaxnreg);
    registry.add("st.async", lower_remote_store);
    registry.add("red.async", lower_remote_store);
}

}  // namespace emulator
