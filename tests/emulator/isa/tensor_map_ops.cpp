// Tensor maps changed by the device: tensormap.replace, tensormap.cp_fenceproxy,
// fence.proxy.tensormap::generic.
#include <cstring>
#include <memory>

#include "tests/emulator/isa/bulk_copy.hpp"
#include "tests/emulator/isa/fragments.hpp"

namespace emulator {

using ptx::Operand;
using ptx::Space;

namespace {

enum class MapField : uint8_t {
    kAddress,
    kRank,
    kBox,
    kExtent,
    kStride,
    kElementStride,
    kType,
    kInterleave,
    kSwizzle,
    kAtomicity,
    kFill
};

struct ReplaceDetail : OpDetail {
    MapField field = MapField::kAddress;
    Space space = Space::kGeneric;
    AddressSource address;
    int dimension = 0;
    Slot value = kZeroSlot;
};

Outcome run_replace(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const ReplaceDetail&>(*op.detail);
    detail.address.check(warp, op, lanes);
    check_source(warp, op, detail.value, lanes, "a new field of a tensor map");
    for_lanes(lanes, [&](int lane) {
        const LaneMask self = 1u << lane;
        const uint64_t address = detail.address.at(warp, lane);
        if (address % 128 != 0) {
            warp.report(op, self, FindingKind::kMisaligned,
                        "tensormap.replace on a map that is not aligned to 128 bytes", true);
            return;
        }
        uint8_t* bytes = warp.memory().resolve(warp, op, detail.space, address, 128, true);
        if (bytes == nullptr) return;
        TensorMap map = read_tensor_map(bytes);
        if (!map.valid()) {
            warp.report(op, self, FindingKind::kBadDescriptor, "the 128 bytes hold no tensor map",
                        true);
            return;
        }
        const uint32_t value = warp.u32(detail.value)[lane];
        const auto d = static_cast<size_t>(detail.dimension);
        switch (detail.field) {
            case MapField::kAddress:
                map.address = warp.u64(detail.value)[lane];
                break;
            case MapField::kRank:
                map.rank = static_cast<uint8_t>(value + 1);
                break;
            case MapField::kBox:
                map.box[d] = static_cast<uint16_t>(value);
                break;
            case MapField::kExtent:
                map.last[d] = value - 1;
                break;
            case MapField::kStride:
                if (d < TensorMap::kMaxRank - 1) map.stride[d] = warp.u64(detail.value)[lane];
                break;
            case MapField::kElementStride:
                map.element_stride[d] = static_cast<uint8_t>(value);
                break;
            case MapField::kType:
                map.type = static_cast<TensorType>(value);
                break;
            case MapField::kInterleave:
                map.interleave = static_cast<TensorInterleave>(value);
                break;
            case MapField::kSwizzle:
                map.swizzle = static_cast<TensorSwizzle>(value);
                break;
            case MapField::kAtomicity:
                break;
            case MapField::kFill:
                map.fill = static_cast<TensorFill>(value);
                break;
        }
        warp.memory().note_write(warp, op, bytes, 128, Proxy::kGeneric, true);
        std::memcpy(bytes, &map, sizeof map);
    });
    return Outcome::kNext;
}

}  // namespace

/// tensormap.replace.tile.<field>.{global,shared::cta}.b1024.b32|b64 [map], {dimension,} value
void lower_replace(const ptx::Instruction& in, LowerContext& context, Op& op) {
    static const struct {
        const char* name;
        MapField field;
        bool has_dimension, wide;
    } kFields[] = {{"global_address", MapField::kAddress, false, true},
                   {"rank", MapField::kRank, false, false},
                   {"box_dim", MapField::kBox, true, false},
                   {"global_dim", MapField::kExtent, true, false},
                   {"global_stride", MapField::kStride, true, true},
                   {"element_stride", MapField::kElementStride, true, false},
                   {"elemtype", MapField::kType, false, false},
                   {"interleave_layout", MapField::kInterleave, false, false},
                   {"swizzle_mode", MapField::kSwizzle, false, false},
                   {"swizzle_atomicity", MapField::kAtomicity, false, false},
                   {"fill_mode", MapField::kFill, false, false}};
    auto detail = std::make_unique<ReplaceDetail>();
    bool known = false, has_dimension = false, wide = false;
    for (const std::string& modifier : in.modifiers) {
        if (modifier == "replace" || modifier == "tile" || modifier == "b1024" ||
            modifier == "b32" || modifier == "b64")
            continue;
        if (modifier == "global")
            detail->space = Space::kGlobal;
        else if (modifier == "shared::cta" || modifier == "shared")
            detail->space = Space::kShared;
        else {
            bool found = false;
            for (const auto& field : kFields) {
                if (modifier != field.name) continue;
                found = known = true;
                detail->field = field.field;
                has_dimension = field.has_dimension;
                wide = field.wide;
            }
            if (!found) context.fail(in, "unknown modifier ." + modifier);
        }
    }
    if (!known || in.has("b64") != wide) context.fail(in, "unknown form");
    if (in.operands.size() != (has_dimension ? 3u : 2u))
        context.fail(in, "wrong number of operands");
    detail->address.lower(context, in.operands[0]);
    if (has_dimension) {
        if (in.operands[1].kind != Operand::Kind::kImmediate || in.operands[1].bits > 4)
            context.fail(in, "the dimension must be a constant from 0 to 4");
        detail->dimension = static_cast<int>(in.operands[1].bits);
    }
    detail->value = context.source(in.operands.back(), wide ? ptx::Type::kB64 : ptx::Type::kB32);
    op.src[0] = detail->address.base;
    op.execute = run_replace;
    op.kind = OpKind::kOther;
    op.flags |= Op::kOwnTaint;
    op.detail = context.keep(std::move(detail));
}

namespace {

struct FenceCopyDetail : OpDetail {
    AddressSource to, from;
    Scope scope = Scope::kGpu;
};

/// tensormap.cp_fenceproxy: a warp copies a map from shared to global memory and releases it.
Outcome run_fence_copy(Warp& warp, const Op& op, LaneMask lanes) {
    if (warp.gather(op, lanes, warp.live()) != lanes) return Outcome::kBlocked;
    const auto& detail = static_cast<const FenceCopyDetail&>(*op.detail);
    detail.to.check(warp, op, lanes);
    detail.from.check(warp, op, lanes);
    const int lane = __builtin_ctz(lanes);
    const uint64_t from = shared_address(Space::kShared, detail.from.at(warp, lane));
    const uint64_t to = detail.to.at(warp, lane);
    if (from % 128 != 0 || to % 128 != 0) {
        warp.report(op, lanes, FindingKind::kMisaligned,
                    "tensormap.cp_fenceproxy needs maps aligned to 128 bytes", true);
        return Outcome::kNext;
    }
    Memory& memory = warp.memory();
    const uint8_t* source = memory.resolve(warp, op, Space::kShared, from, 128, false);
    uint8_t* target = memory.resolve(warp, op, Space::kGlobal, to, 128, true);
    if (source == nullptr || target == nullptr) return Outcome::kNext;
    memory.note_read(warp, op, source, 128, Proxy::kGeneric);
    memory.note_write(warp, op, target, 128, Proxy::kGeneric, true);
    std::memcpy(target, source, 128);
    memory.fence(warp, Order::kRelease, detail.scope);
    return Outcome::kNext;
}

bool parse_scope(const std::string& name, Scope* scope) {
    if (name == "cta")
        *scope = Scope::kCta;
    else if (name == "cluster")
        *scope = Scope::kCluster;
    else if (name == "gpu")
        *scope = Scope::kGpu;
    else if (name == "sys")
        *scope = Scope::kSys;
    else
        return false;
    return true;
}

}  // namespace

void lower_fence_copy(const ptx::Instruction& in, LowerContext& context, Op& op) {
    auto detail = std::make_unique<FenceCopyDetail>();
    static const char* const kWanted[] = {
        "cp_fenceproxy", "global", "shared::cta", "tensormap::generic",
        "release",       nullptr,  "sync",        "aligned"};
    bool good = in.modifiers.size() == 8 && in.operands.size() == 3;
    for (size_t i = 0; good && i < 8; ++i)
        good = kWanted[i] == nullptr ? parse_scope(in.modifiers[i], &detail->scope)
                                     : in.modifiers[i] == kWanted[i];
    if (!good || in.operands[2].kind != Operand::Kind::kImmediate || in.operands[2].bits != 128)
        context.fail(in, "unknown form");
    detail->to.lower(context, in.operands[0]);
    detail->from.lower(context, in.operands[1]);
    op.execute = run_fence_copy;
    op.kind = OpKind::kBarrier;
    op.flags |= Op::kOwnTaint;
    op.detail = context.keep(std::move(detail));
}

namespace {

/// fence.proxy.tensormap::generic: maps are read from memory every time, so this is a plain fence.
Outcome run_tensormap_fence(Warp& warp, const Op& op, LaneMask) {
    warp.memory().fence(warp, op.mode != 0 ? Order::kAcquire : Order::kRelease,
                        static_cast<Scope>(op.imm));
    return Outcome::kNext;
}

}  // namespace

void lower_tensormap_fence(const ptx::Instruction& in, LowerContext& context, Op& op) {
    Scope scope = Scope::kGpu;
    const bool acquire = in.has("acquire");
    if (in.modifiers.size() != 4 || acquire == in.has("release") ||
        !parse_scope(in.modifiers[3], &scope) || in.operands.size() != (acquire ? 2u : 0u))
        context.fail(in, "unknown form");
    op.mode = acquire ? 1 : 0;
    op.imm = static_cast<int64_t>(scope);
    op.execute = run_tensormap_fence;
    op.kind = OpKind::kBarrier;
    op.flags |= Op::kOwnTaint;
}

}  // namespace emulator
