// cp.async.bulk, cp.reduce.async.bulk, their tensor and prefetch forms and bulk groups.
//
// Source: PTX ISA, "Data Movement and Conversion Instructions: Bulk copy / Tensor copy". All of these
// work in the async proxy.
//   towards shared memory   bulk_load.cpp      out of shared memory   bulk_store.cpp
//   what is copied          bulk_data.cpp      tensormap.*            tensor_map_ops.cpp
// Elements of a box out of bounds are not written, and count as transferred. Refused: im2col, im2col::w,
// gather4, scatter4 (load error), interleaved maps and the 128B swizzles with larger atoms (finding, as
// the map is data).
#include <algorithm>
#include <memory>

#include "tests/emulator/isa/bulk_copy.hpp"
#include "tests/emulator/isa/fragments.hpp"

namespace emulator {

using ptx::Operand;
using ptx::Space;

namespace {

void prefetch(Warp& warp, const Op& op, const BulkDetail& detail, int lane) {
    if (detail.rank != 0) {
        TensorMap map;
        read_map(warp, op, lane, detail.from, detail.rank, &map);
        return;
    }
    const uint64_t from = detail.from.at(warp, lane);
    const int64_t bytes = size_of(warp, op, detail, lane);
    if (check_alignment(warp, op, lane, from, 16, "the source") && bytes != 0)
        warp.memory().resolve(warp, op, Space::kGlobal, from, bytes, false);
}

/// The lanes of `lanes` whose store is that of the first of them.
LaneMask same_store(Warp& warp, const BulkDetail& detail, LaneMask lanes) {
    const int first = __builtin_ctz(lanes);
    if (detail.reduce) return 1u << first;
    LaneMask same = 0;
    for_lanes(lanes, [&](int lane) {
        bool equal = detail.to.at(warp, lane) == detail.to.at(warp, first) &&
                     detail.from.at(warp, lane) == detail.from.at(warp, first);
        const auto compare = [&](Slot slot, uint32_t bits = ~0u) {
            equal &= ((warp.u32(slot)[lane] ^ warp.u32(slot)[first]) & bits) == 0;
        };
        for (int d = 0; d < detail.rank; ++d)
            compare(detail.coordinates[d]);
        if (detail.rank == 0) compare(detail.size);
        if (detail.byte_mask) compare(detail.bytes_written, 0xFFFFu);
        same |= static_cast<LaneMask>(equal) << lane;
    });
    return same;
}

Outcome run_bulk(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const BulkDetail&>(*op.detail);
    using Direction = BulkDetail::Direction;
    for (const AddressSource* source : {&detail.to, &detail.from, &detail.barrier})
        source->check(warp, op, lanes);
    check_source(warp, op, detail.size, lanes, "the size of a bulk copy");
    check_source(warp, op, detail.block_mask, lanes, "the blocks of a multicast");
    for (int d = 0; d < detail.rank; ++d)
        check_source(warp, op, detail.coordinates[d], lanes, "a coordinate of a tensor copy");
    async_state(warp).last_load = &op;
    if (detail.direction == Direction::kToGlobal) {
        while (lanes != 0) {
            const LaneMask same = same_store(warp, detail, lanes);
            detail.rank != 0 ? store_tensor(warp, op, detail, same)
                             : store_linear(warp, op, detail, same);
            lanes &= ~same;
        }
        return Outcome::kNext;
    }
    for_lanes(lanes, [&](int lane) {
        if (detail.direction == Direction::kPrefetch)
            prefetch(warp, op, detail, lane);
        else
            detail.rank != 0 ? load_tensor(warp, op, detail, lane)
                             : load_linear(warp, op, detail, lane);
    });
    return Outcome::kNext;
}

Outcome run_commit(Warp& warp, const Op&, LaneMask lanes) {
    AsyncState& state = async_state(warp);
    for_lanes(lanes, [&](int lane) { ++state.bulk_committed[lane]; });
    return Outcome::kNext;
}

Outcome run_wait(Warp& warp, const Op& op, LaneMask lanes) {
    AsyncState& state = async_state(warp);
    uint32_t groups[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane) {
        const int64_t done = int64_t{state.bulk_committed[lane]} - op.imm;
        groups[lane] = static_cast<uint32_t>(std::max<int64_t>(done, 0));
    }
    finish_stores(warp, lanes, groups, op.mode == 0);
    return Outcome::kNext;
}

// --- lowering --------------------------------------------------------------------------------------

/// Spaces of destination and source, completion, and what else the modifiers said.
struct BulkForm {
    std::vector<std::string> spaces;
    bool mbarrier = false, group = false, hint = false, prefetch = false, l2 = false;
};

void lower_bulk(const ptx::Instruction& in, LowerContext& context, Op& op) {
    using Direction = BulkDetail::Direction;
    auto detail = std::make_unique<BulkDetail>();
    BulkForm form;
    bool typed = false, has_operation = false;
    for (const std::string& modifier : in.modifiers) {
        if (modifier == "async" || modifier == "bulk" || modifier == "tile") continue;
        if (modifier == "reduce")
            detail->reduce = true;
        else if (modifier == "tensor")
            detail->rank = -1;
        else if (modifier == "prefetch")
            form.prefetch = true;
        else if (modifier == "L2")
            form.l2 = true;
        else if (modifier.size() == 2 && modifier[1] == 'd' && modifier[0] >= '1' &&
                 modifier[0] <= '5' && detail->rank == -1)
            detail->rank = modifier[0] - '0';
        else if (modifier == "global" || modifier == "shared::cta" || modifier == "shared::cluster")
            form.spaces.push_back(modifier);
        else if (modifier == "mbarrier::complete_tx::bytes")
            form.mbarrier = true;
        else if (modifier == "bulk_group")
            form.group = true;
        else if (modifier == "multicast::cluster")
            detail->multicast = true;
        else if (modifier == "L2::cache_hint")
            form.hint = true;
        else if (modifier == "cp_mask")
            detail->byte_mask = true;
        else if (modifier == "noftz" && detail->reduce)
            continue;
        else if (detail->reduce && parse_reduction(modifier, &detail->reduction))
            has_operation = true;
        else if (detail->reduce && parse_reduction_type(modifier, &detail->type))
            typed = true;
        else
            context.fail(in, "unknown or unsupported modifier ." + modifier);
    }
    const bool tensor = detail->rank != 0;
    if (context.arch() < 90) context.fail(in, "needs sm_90");
    if (detail->rank < 0) context.fail(in, "needs .1d to .5d");
    const auto spaces = [&](const char* to, const char* from) {
        return form.spaces.size() == 2 && form.spaces[0] == to && form.spaces[1] == from;
    };
    if (form.prefetch) {
        if (form.spaces != std::vector<std::string>{"global"} || !form.l2)
            context.fail(in, "needs .L2.global");
        detail->direction = Direction::kPrefetch;
    } else if (spaces("shared::cluster", "global") || spaces("shared::cta", "global")) {
        detail->direction = Direction::kToShared;
    } else if (spaces("shared::cluster", "shared::cta") && !tensor) {
        detail->direction = Direction::kSharedToShared;
    } else if (spaces("global", "shared::cta")) {
        detail->direction = Direction::kToGlobal;
    } else {
        context.fail(in, "these state spaces do not go together");
    }
    const bool to_shared = detail->direction == Direction::kToShared ||
                           detail->direction == Direction::kSharedToShared;
    if (form.mbarrier != to_shared || form.group != (detail->direction == Direction::kToGlobal))
        context.fail(in, "wrong completion mechanism");
    if (detail->multicast &&
        (detail->direction != Direction::kToShared || form.spaces[0] != "shared::cluster"))
        context.fail(in, ".multicast::cluster needs .shared::cluster.global");
    if (detail->byte_mask &&
        (tensor || detail->direction != Direction::kToGlobal || detail->reduce))
        context.fail(in, ".cp_mask is for linear stores");
    if (detail->reduce) {
        if (!has_operation || typed == tensor) context.fail(in, "needs an operation and its type");
        if (detail->direction == Direction::kToShared || form.prefetch)
            context.fail(in, "no reduction from global to shared memory");
        if (!tensor && !reduction_exists(detail->reduction, detail->type))
            context.fail(in, "this reduction does not exist for the type");
        if (detail->direction == Direction::kSharedToShared && reduction_is_float(detail->type))
            context.fail(in, "no reduction of floats in shared memory");
    }
    size_t at = 0;
    const auto next = [&]() -> const Operand& {
        if (at >= in.operands.size()) context.fail(in, "too few operands");
        return in.operands[at++];
    };
    const auto map_operand = [&](AddressSource& address) {
        const Operand& operand = next();
        if (operand.elements.size() != static_cast<size_t>(detail->rank))
            context.fail(in, "needs " + std::to_string(detail->rank) + " coordinates");
        address.lower(context, operand);
        for (int d = 0; d < detail->rank; ++d)
            detail->coordinates[d] = context.source(operand.elements[d], ptx::Type::kS32);
    };
    if (detail->direction == Direction::kPrefetch) {
        if (tensor)
            map_operand(detail->from);
        else
            detail->from.lower(context, next());
    } else if (tensor && detail->direction == Direction::kToGlobal) {
        map_operand(detail->to);
        detail->from.lower(context, next());
    } else {
        detail->to.lower(context, next());
        if (tensor)
            map_operand(detail->from);
        else
            detail->from.lower(context, next());
    }
    if (!tensor) detail->size = context.source(next(), ptx::Type::kU32);
    if (form.mbarrier) detail->barrier.lower(context, next());
    if (detail->multicast) detail->block_mask = context.source(next(), ptx::Type::kU16);
    if (form.hint) context.source(next(), ptx::Type::kB64);
    if (detail->byte_mask) detail->bytes_written = context.source(next(), ptx::Type::kU16);
    if (at != in.operands.size()) context.fail(in, "too many operands");
    op.execute = run_bulk;
    op.kind = OpKind::kAsyncCopy;
    op.flags |= Op::kOwnTaint;
    op.detail = context.keep(std::move(detail));
}

void lower_groups(const ptx::Instruction& in, LowerContext& context, Op& op) {
    op.kind = OpKind::kBarrier;
    op.flags |= Op::kOwnTaint;
    if (in.full_opcode() == "cp.async.bulk.commit_group" && in.operands.empty()) {
        op.execute = run_commit;
        return;
    }
    op.mode = in.has("read") ? 1 : 0;
    if (in.full_opcode() !=
            (op.mode != 0 ? "cp.async.bulk.wait_group.read" : "cp.async.bulk.wait_group") ||
        in.operands.size() != 1 || in.operands[0].kind != Operand::Kind::kImmediate)
        context.fail(in, "unknown form");
    op.imm = static_cast<int64_t>(in.operands[0].bits);
    op.execute = run_wait;
}

}  // namespace

void register_bulk_copy(Registry& registry) {
    registry.add("cp.async.bulk", lower_bulk);
    registry.add("cp.reduce.async.bulk", lower_bulk);
    registry.add("cp.async.bulk.commit_group", lower_groups);
    registry.add("cp.async.bulk.wait_group", lower_groups);
    registry.add("tensormap.replace", lower_replace);
    registry.add("tensormap.cp_fenceproxy", lower_fence_copy);
    registry.add("fence.proxy.tensormap::generic", lower_tensormap_fence);
}

}  // namespace emulator
