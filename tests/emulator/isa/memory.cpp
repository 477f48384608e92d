// ld, ldu, st, prefetch, isspacep, createpolicy, applypriority, discard.
//
// Source: PTX ISA, section "Data Movement and Conversion Instructions". Cache and eviction hints are
// accepted by name and change nothing. A vector access is one access of all its bytes and needs that
// alignment. Loads of param space inside functions and stores to it go to the parameter area of the
// activation, which calls copy from and to.
#include <cstring>

#include "tests/emulator/exec/launch.hpp"
#include "tests/emulator/isa/access.hpp"

namespace emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;
using ptx::Space;
using ptx::Type;

struct AccessDetail : OpDetail {
    Space space = Space::kGeneric;
    Order order = Order::kWeak;
    Scope scope = Scope::kGpu;
    bool noncoherent = false;
    bool base_is_32 = false;
    bool is_signed = false;
    int element = 4;  ///< bytes
    int count = 1;    ///< elements
    Slot slots[8] = {};
    int register_bytes[8] = {};
};

void fill_access(const Op& op, const AccessDetail& detail, LaneMask lanes, Access& access) {
    access.op = &op;
    access.lanes = lanes;
    access.space = detail.space;
    access.order = detail.order;
    access.scope = detail.scope;
    access.noncoherent = detail.noncoherent;
    access.count = detail.space != Space::kParam && detail.space != Space::kConst;
}

void check_address(Warp& warp, const Op& op, LaneMask lanes) {
    const LaneMask suspicious = warp.taint(op.src[0]) & lanes;
    if (__builtin_expect(suspicious != 0, 0))
        warp.report_taint(op, op.src[0], suspicious, "the address depends on a value");
}

/// Puts an element of `bytes` bytes into a register, extended to its width.
void put_element(Warp& warp, const AccessDetail& detail, int k, LaneMask lanes, const uint8_t* from,
                 int stride) {
    const int bytes = detail.element;
    const Slot slot = detail.slots[k];
    if (slot == kSinkSlot) return;
    const int width = detail.register_bytes[k];
    if (bytes == 4 && width == 4) {
        uint32_t* to = warp.u32(slot);
        if (lanes == kAllLanes) {
            for (int lane = 0; lane < kWarpLanes; ++lane)
                std::memcpy(to + lane, from + lane * stride, 4);
        } else {
            for_lanes(lanes, [&](int lane) { std::memcpy(to + lane, from + lane * stride, 4); });
        }
        return;
    }
    if (bytes == 16) {
        auto* to = warp.lanes<uint8_t>(slot);
        for_lanes(lanes, [&](int lane) { std::memcpy(to + 16 * lane, from + lane * stride, 16); });
        return;
    }
    for_lanes(lanes, [&](int lane) {
        uint64_t value = 0;
        std::memcpy(&value, from + lane * stride, static_cast<size_t>(bytes));
        if (detail.is_signed && bytes < 8) {
            const int shift = 64 - 8 * bytes;
            value = static_cast<uint64_t>(static_cast<int64_t>(value << shift) >> shift);
        }
        if (width == 8)
            warp.u64(slot)[lane] = value;
        else if (width == 4)
            warp.u32(slot)[lane] = static_cast<uint32_t>(value);
        else
            warp.u32(slot)[lane] = static_cast<uint32_t>(value & (width == 2 ? 0xFFFF : 0xFF));
    });
}

Outcome run_ld(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const AccessDetail&>(*op.detail);
    alignas(64) uint64_t addresses[kWarpLanes];
    lane_addresses(warp, op.src[0], detail.base_is_32, op.imm, addresses);
    if (detail.space == Space::kShared) wrap_shared(addresses);
    check_address(warp, op, lanes);
    Access access{};
    fill_access(op, detail, lanes, access);
    access.addresses = addresses;
    const int total = detail.element * detail.count;
    if (detail.count == 1 && detail.element == detail.register_bytes[0] && detail.element >= 4) {
        access.bytes = total;
        const LaneMask bad =
            warp.memory().load(warp, access, warp.lanes<uint8_t>(detail.slots[0]), total);
        warp.set_taint(detail.slots[0], lanes, bad);
        return Outcome::kNext;
    }
    alignas(64) uint8_t data[kWarpLanes * 32];
    const int step = total <= 16 ? total : 16;
    LaneMask bad = 0;
    for (int at = 0; at < total; at += step) {
        access.bytes = step;
        bad |= warp.memory().load(warp, access, data + at, total);
        for (uint64_t& address : addresses)
            address += static_cast<uint64_t>(step);
    }
    for (int k = 0; k < detail.count; ++k) {
        put_element(warp, detail, k, lanes, data + k * detail.element, total);
        LaneMask element_bad = bad;
        if (bad != 0 && detail.count > 1) {
            // Which elements of the vector: a tail that nobody uses must not spoil the rest.
            Access part = access;
            part.lanes = bad;
            part.bytes = detail.element;
            part.count = false;
            alignas(64) uint64_t at[kWarpLanes];
            for (int lane = 0; lane < kWarpLanes; ++lane)
                at[lane] = addresses[lane] - static_cast<uint64_t>(total - k * detail.element);
            part.addresses = at;
            alignas(64) uint8_t unused[kWarpLanes * 16];
            element_bad = warp.memory().load(warp, part, unused, 16);
        }
        warp.set_taint(detail.slots[k], lanes, element_bad);
    }
    return Outcome::kNext;
}

Outcome run_st(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const AccessDetail&>(*op.detail);
    alignas(64) uint64_t addresses[kWarpLanes];
    lane_addresses(warp, op.src[0], detail.base_is_32, op.imm, addresses);
    if (detail.space == Space::kShared) wrap_shared(addresses);
    check_address(warp, op, lanes);
    Access access{};
    fill_access(op, detail, lanes, access);
    access.addresses = addresses;
    const int total = detail.element * detail.count;
    LaneMask suspicious = 0;
    for (int k = 0; k < detail.count; ++k) {
        const LaneMask taint = warp.taint(detail.slots[k]) & lanes;
        if (taint != 0) {
            suspicious |= taint;
            warp.set_cause(warp.cause_of(detail.slots[k]));
        }
    }
    if (detail.count == 1) {
        access.bytes = total;
        const int stride = detail.element == 16 ? 16 : detail.register_bytes[0] == 8 ? 8 : 4;
        warp.memory().store(warp, access, warp.lanes<uint8_t>(detail.slots[0]), stride, suspicious);
        return Outcome::kNext;
    }
    alignas(64) uint8_t data[kWarpLanes * 32];
    for (int k = 0; k < detail.count; ++k) {
        const uint8_t* from = warp.lanes<uint8_t>(detail.slots[k]);
        const int stride = detail.element == 16 ? 16 : detail.register_bytes[k] == 8 ? 8 : 4;
        uint8_t* to = data + k * detail.element;
        if (detail.element == 4) {
            for (int lane = 0; lane < kWarpLanes; ++lane)
                std::memcpy(to + lane * total, from + lane * stride, 4);
        } else {
            for (int lane = 0; lane < kWarpLanes; ++lane)
                std::memcpy(to + lane * total, from + lane * stride,
                            static_cast<size_t>(detail.element));
        }
    }
    if (total <= 16) {
        access.bytes = total;
        const bool apart =
            suspicious != 0 && detail.space == Space::kShared && access.order == Order::kWeak;
        warp.memory().store(warp, access, data, total, apart ? 0 : suspicious);
        // A suspicious element must not spoil the rest of its vector on the way through shared memory.
        for (int k = 0; apart && k < detail.count; ++k) {
            Access part = access;
            part.lanes = warp.taint(detail.slots[k]) & lanes;
            part.bytes = detail.element;
            part.count = false;
            if (part.lanes == 0) continue;
            alignas(64) uint64_t at[kWarpLanes];
            for (int lane = 0; lane < kWarpLanes; ++lane)
                at[lane] = addresses[lane] + static_cast<uint64_t>(k * detail.element);
            part.addresses = at;
            warp.set_cause(warp.cause_of(detail.slots[k]));
            warp.memory().store(warp, part, data + k * detail.element, total, part.lanes);
        }
    } else {
        access.bytes = 16;
        warp.memory().store(warp, access, data, 32, suspicious);
        for (uint64_t& address : addresses)
            address += 16;
        warp.memory().store(warp, access, data + 16, 32, suspicious);
    }
    return Outcome::kNext;
}

/// ld.param of a function's parameter or of a call's result. op.imm: offset in the area.
Outcome run_ld_frame(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const AccessDetail&>(*op.detail);
    const Frame& frame = *warp.group().frame;
    const int stride = static_cast<int>(frame.code->parameter_bytes);
    for (int k = 0; k < detail.count; ++k) {
        const auto at = static_cast<size_t>(op.imm) + static_cast<size_t>(k * detail.element);
        put_element(warp, detail, k, lanes, frame.parameters.data() + at, stride);
        LaneMask suspicious = 0;
        for (int i = 0; i < detail.element; ++i)
            suspicious |= frame.parameter_taint[at + static_cast<size_t>(i)];
        warp.set_cause(0);
        warp.set_taint(detail.slots[k], lanes, suspicious & lanes);
    }
    return Outcome::kNext;
}

Outcome run_st_frame(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const AccessDetail&>(*op.detail);
    Frame& frame = *warp.group().frame;
    const size_t stride = frame.code->parameter_bytes;
    for (int k = 0; k < detail.count; ++k) {
        const auto at = static_cast<size_t>(op.imm) + static_cast<size_t>(k * detail.element);
        const uint8_t* from = warp.lanes<uint8_t>(detail.slots[k]);
        const int step = detail.element == 16 ? 16 : detail.register_bytes[k] == 8 ? 8 : 4;
        for_lanes(lanes, [&](int lane) {
            std::memcpy(frame.parameters.data() + stride * static_cast<size_t>(lane) + at,
                        from + lane * step, static_cast<size_t>(detail.element));
        });
        const LaneMask taint = warp.taint(detail.slots[k]);
        for (int i = 0; i < detail.element; ++i) {
            LaneMask& mine = frame.parameter_taint[at + static_cast<size_t>(i)];
            mine = (mine & ~lanes) | (taint & lanes);
        }
    }
    return Outcome::kNext;
}

Type element_type(const Instruction& in, LowerContext& context, std::string_view name) {
    Type type = Type::kPred;
    try {
        type = ptx::parse_type(name);
    } catch (const std::exception&) {
    }
    if (type == Type::kPred) context.fail(in, "unknown type ." + std::string(name));
    return type;
}

void lower_access(const Instruction& in, LowerContext& context, Op& op, bool load) {
    auto detail = std::make_unique<AccessDetail>();
    AccessModifiers modifiers;
    if (in.modifiers.empty()) context.fail(in, "needs a type");
    for (size_t i = 0; i + 1 < in.modifiers.size(); ++i) {
        const std::string& m = in.modifiers[i];
        if (modifiers.take(m)) continue;
        if (const int length = vector_length(m)) {
            detail->count = length;
        } else if (m == "weak") {
            modifiers.order = Order::kWeak;
        } else if (m == "volatile") {
            modifiers.order = Order::kVolatile;
        } else if (m == "relaxed") {
            modifiers.order = Order::kRelaxed;
        } else if (m == "acquire" && load) {
            modifiers.order = Order::kAcquire;
        } else if (m == "release" && !load) {
            modifiers.order = Order::kRelease;
        } else if (m == "mmio" || m == "unified") {
        } else if (m == "nc" && load) {
            modifiers.noncoherent = true;
        } else if (load ? m == "ca" || m == "cg" || m == "cs" || m == "lu" || m == "cv"
                        : m == "wb" || m == "cg" || m == "cs" || m == "wt") {
        } else {
            context.fail(in, "unknown modifier ." + m);
        }
    }
    const bool scoped = modifiers.order != Order::kWeak && modifiers.order != Order::kVolatile;
    if (scoped != modifiers.has_scope) context.fail(in, "an order and a scope belong together");
    const Type type = element_type(in, context, in.last());
    detail->element = ptx::type_bytes(type);
    detail->is_signed = type == Type::kS8 || type == Type::kS16 || type == Type::kS32;
    detail->space = modifiers.space;
    detail->order = modifiers.order;
    detail->scope = modifiers.scope;
    detail->noncoherent = modifiers.noncoherent;
    if (detail->element * detail->count > 32 ||
        (detail->element * detail->count == 32 && context.arch() < 100))
        context.fail(in, "the vector is too long");

    const size_t wanted = modifiers.has_policy ? 3 : 2;
    if (in.operands.size() != wanted) context.fail(in, "has the wrong number of operands");
    if (modifiers.has_policy) context.source(in.operands[2], Type::kB64);
    const Operand& address = in.operands[load ? 1 : 0];
    const Operand& value = in.operands[load ? 0 : 1];
    std::vector<Operand> elements{value};
    if (detail->count > 1) {
        if (value.kind != Operand::Kind::kVector) context.fail(in, "needs a vector");
        elements = value.elements;
    } else if (value.kind == Operand::Kind::kVector) {
        elements = value.elements;
    }
    if (elements.size() != static_cast<size_t>(detail->count))
        context.fail(in, "the vector has the wrong length");
    for (int k = 0; k < detail->count; ++k) {
        const Operand& element = elements[static_cast<size_t>(k)];
        if (load) {
            detail->slots[k] = context.destination(element);
            detail->register_bytes[k] = ptx::type_bytes(context.type_of(element, type));
            if (detail->register_bytes[k] < detail->element)
                context.fail(in, "the destination is too narrow");
        } else {
            detail->slots[k] = context.source_any(element, type);
            detail->register_bytes[k] = ptx::type_bytes(context.type_of(element, type));
            if (element.kind != Operand::Kind::kRegister)
                detail->register_bytes[k] = std::max(4, detail->element);
        }
    }

    op.flags |= Op::kOwnTaint;
    op.dst = load ? detail->slots[0] : kSinkSlot;
    uint32_t place = 0, bytes = 0;
    if (modifiers.space == Space::kParam && context.parameter(address, &place, &bytes)) {
        const int64_t end = address.offset + detail->element * detail->count;
        if (address.offset < 0 || end > bytes) context.fail(in, "beyond the parameter's end");
        op.imm = place + address.offset;
        op.execute = load ? run_ld_frame : run_st_frame;
        op.kind = load ? OpKind::kLoadParam : OpKind::kMove;
        op.detail = context.keep(std::move(detail));
        return;
    }
    if (!load && (modifiers.space == Space::kConst || modifiers.space == Space::kParam))
        context.fail(in, "this space cannot be written");
    context.address(address, &op.src[0], &detail->base_is_32, &op.imm);
    op.execute = load ? run_ld : run_st;
    switch (modifiers.space) {
        case Space::kShared:
            op.kind = load ? OpKind::kLoadShared : OpKind::kStoreShared;
            break;
        case Space::kLocal:
            op.kind = load ? OpKind::kLoadLocal : OpKind::kStoreLocal;
            break;
        case Space::kParam:
        case Space::kConst:
            op.kind = OpKind::kLoadParam;
            break;
        default:
            op.kind = load ? OpKind::kLoadGlobal : OpKind::kStoreGlobal;
            break;
    }
    op.detail = context.keep(std::move(detail));
}

Outcome run_nothing(Warp&, const Op&, LaneMask) {
    return Outcome::kNext;
}

// --- isspacep --------------------------------------------------------------------------------------

Outcome run_isspacep(Warp& warp, const Op& op, LaneMask lanes) {
    const uint64_t* address = warp.u64(op.src[0]);
    const auto wanted = static_cast<Space>(op.mode & 0xFF);
    const bool own_block = (op.mode & 0x100) != 0;
    LaneMask result = 0;
    for_lanes(lanes, [&](int lane) {
        uint64_t inside;
        Space space = Memory::classify(address[lane], &inside);
        if (space == Space::kGlobal) {
            const Allocation* allocation = warp.launch().arena->find(address[lane]);
            if (allocation != nullptr && allocation->read_only &&
                (wanted == Space::kConst || wanted == Space::kParam))
                space = wanted;
        }
        bool yes = space == wanted;
        if (yes && own_block) yes = static_cast<int>(inside >> 24) == warp.block().rank;
        if (yes) result |= 1u << lane;
    });
    LaneMask& to = warp.predicate(op.dst);
    to = (to & ~lanes) | result;
    return Outcome::kNext;
}

void lower_isspacep(const Instruction& in, LowerContext& context, Op& op) {
    if (in.modifiers.size() != 1 || in.operands.size() != 2) context.fail(in, "needs one space");
    AccessModifiers modifiers;
    if (!modifiers.take(in.modifiers[0]) || modifiers.space == Space::kGeneric)
        context.fail(in, "unknown space");
    op.execute = run_isspacep;
    op.kind = OpKind::kInteger;
    op.dst = context.destination(in.operands[0]);
    op.src[0] = context.source(in.operands[1], Type::kB64);
    op.mode = static_cast<uint32_t>(modifiers.space);
    if (in.modifiers[0] == "shared" || in.modifiers[0] == "shared::cta") op.mode |= 0x100;
}

// --- createpolicy, prefetch, discard ---------------------------------------------------------------

/// Policies change nothing: the value is any.
Outcome run_createpolicy(Warp& warp, const Op& op, LaneMask lanes) {
    uint64_t* to = warp.u64(op.dst);
    for_lanes(lanes, [&](int lane) { to[lane] = 0x14F0000000000000u; });
    return Outcome::kNext;
}

void lower_createpolicy(const Instruction& in, LowerContext& context, Op& op) {
    if (in.modifiers.empty() || in.last() != "b64") context.fail(in, "needs .b64");
    for (size_t i = 0; i + 1 < in.modifiers.size(); ++i) {
        const std::string& m = in.modifiers[i];
        const bool known = m == "fractional" || m == "range" || m == "cvt" || m == "L2" ||
                           m == "global" || m == "L2::evict_last" || m == "L2::evict_normal" ||
                           m == "L2::evict_first" || m == "L2::evict_unchanged";
        if (!known) context.fail(in, "unknown modifier ." + m);
    }
    if (in.operands.empty()) context.fail(in, "needs a destination");
    op.execute = run_createpolicy;
    op.kind = OpKind::kOther;
    op.dst = context.destination(in.operands[0]);
}

void lower_prefetch(const Instruction& in, LowerContext& context, Op& op) {
    for (const std::string& m : in.modifiers) {
        AccessModifiers modifiers;
        if (m != "L1" && m != "L2" && m != "tensormap" && !modifiers.take(m))
            context.fail(in, "unknown modifier ." + m);
    }
    op.execute = run_nothing;
    op.kind = OpKind::kOther;
}

/// discard.global.L2 [a], 128: what is there is undefined from now on.
Outcome run_discard(Warp& warp, const Op& op, LaneMask lanes) {
    alignas(64) uint64_t addresses[kWarpLanes];
    lane_addresses(warp, op.src[0], false, op.imm, addresses);
    check_address(warp, op, lanes);
    for_lanes(lanes, [&](int lane) {
        if (addresses[lane] % 128 != 0)
            warp.report(op, 1u << lane, FindingKind::kMisaligned, "needs 128-byte alignment", true);
        uint8_t* at = warp.memory().resolve(warp, op, Space::kGlobal, addresses[lane], 128, true);
        std::memset(at, 0xDB, 128);
        Arena& arena = *warp.launch().arena;
        arena.set_uninitialized(*arena.find(addresses[lane]), addresses[lane], 128);
    });
    return Outcome::kNext;
}

void lower_discard(const Instruction& in, LowerContext& context, Op& op) {
    for (const std::string& m : in.modifiers)
        if (m != "global" && m != "L2") context.fail(in, "unknown modifier ." + m);
    if (in.operands.size() != 2 || in.operands[1].bits != 128) context.fail(in, "needs 128 bytes");
    bool narrow;
    context.address(in.operands[0], &op.src[0], &narrow, &op.imm);
    if (narrow) context.fail(in, "needs a 64-bit address");
    op.execute = run_discard;
    op.kind = OpKind::kOther;
}

}  // namespace

void register_memory(Registry& registry) {
    registry.add("ld", [](const Instruction& in, LowerContext& context, Op& op) {
        lower_access(in, context, op, true);
    });
    registry.add("ldu", [](const Instruction& in, LowerContext& context, Op& op) {
        lower_access(in, context, op, true);
    });
    registry.add("st", [](const Instruction& in, LowerContext& context, Op& op) {
        lower_access(in, context, op, false);
    });
    registry.add("isspacep", lower_isspacep);
    registry.add("createpolicy", lower_createpolicy);
    registry.add("prefetch", lower_prefetch);
    registry.add("prefetchu", lower_prefetch);
    registry.add("applypriority", [](const Instruction& in, LowerContext& context, Op& op) {
        for (const std::string& m : in.modifiers)
            if (m != "global" && m != "L2::evict_normal")
                context.fail(in, "unknown modifier ." + m);
        op.execute = run_nothing;
        op.kind = OpKind::kOther;
    });
    registry.add("discard", lower_discard);
}

}  // namespace emulator
