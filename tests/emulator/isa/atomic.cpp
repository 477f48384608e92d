// atom and red: every operation, scalar and vector, every order and scope.
//
// Source: PTX ISA, sections "Parallel Synchronization and Communication Instructions: atom, red".
// f32 additions in global memory flush subnormals to zero, in shared memory they do not. The lanes of
// a warp take turns in an order that depends on the seed. A vector form is that many independent
// atomic operations; here they are done at once.
#include <cstring>

#include "tests/emulator/exec/launch.hpp"
#include "tests/emulator/isa/access.hpp"
#include "tests/emulator/isa/reduction.hpp"

namespace emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;
using ptx::Space;
using ptx::Type;

enum class Action : uint8_t { kReduce, kExchange, kCompareAndSwap };

struct AtomicDetail : OpDetail {
    Action action = Action::kReduce;
    Reduction reduction = Reduction::kAdd;
    ReductionType type = ReductionType::kU32;
    Space space = Space::kGeneric;
    Order order = Order::kRelaxed;
    Scope scope = Scope::kGpu;
    bool base_is_32 = false;
    int element = 4;  ///< bytes of what a register holds
    int count = 1;    ///< registers of the vector
    int part = 4;     ///< bytes of what is reduced: half of an f16x2
    Slot values[8] = {}, results[8] = {};
    Slot swap = kZeroSlot;  ///< cas: the new value; values[0] is what is compared with
};

/// Bytes that a register of `bytes` takes per lane.
int slot_stride(int bytes) {
    return bytes <= 4 ? 4 : bytes;
}

bool subnormal_to_zero(float* value) {
    uint32_t bits;
    std::memcpy(&bits, value, 4);
    if ((bits & 0x7F800000u) != 0) return false;
    bits &= 0x80000000u;
    std::memcpy(value, &bits, 4);
    return true;
}

void add_flushing(const uint8_t* old, const uint8_t* value, uint8_t* result) {
    float a, b;
    std::memcpy(&a, old, 4);
    std::memcpy(&b, value, 4);
    subnormal_to_zero(&a);
    subnormal_to_zero(&b);
    float sum = a + b;
    subnormal_to_zero(&sum);
    uint32_t bits = 0x7FFFFFFF;
    if (sum == sum) std::memcpy(&bits, &sum, 4);
    std::memcpy(result, &bits, 4);
}

Outcome run_atomic(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const AtomicDetail&>(*op.detail);
    alignas(64) uint64_t addresses[kWarpLanes];
    lane_addresses(warp, op.src[0], detail.base_is_32, op.imm, addresses);
    if (detail.space == Space::kShared) wrap_shared(addresses);
    if (const LaneMask taint = warp.taint(op.src[0]) & lanes; taint != 0)
        warp.report_taint(op, op.src[0], taint, "the address depends on a value");
    const int total = detail.element * detail.count;
    alignas(64) uint8_t values[kWarpLanes * 16], swaps[kWarpLanes * 16], old[kWarpLanes * 16];
    for (int k = 0; k < detail.count; ++k) {
        const Slot slot = detail.values[k];
        if (const LaneMask taint = warp.taint(slot) & lanes; taint != 0)
            warp.report_taint(op, slot, taint, "the operand was");
        const uint8_t* from = warp.lanes<uint8_t>(slot);
        for_lanes(lanes, [&](int lane) {
            std::memcpy(values + 16 * lane + k * detail.element,
                        from + lane * slot_stride(detail.element),
                        static_cast<size_t>(detail.element));
        });
    }
    if (detail.action == Action::kCompareAndSwap) {
        if (const LaneMask taint = warp.taint(detail.swap) & lanes; taint != 0)
            warp.report_taint(op, detail.swap, taint, "the operand was");
        const uint8_t* from = warp.lanes<uint8_t>(detail.swap);
        for_lanes(lanes, [&](int lane) {
            std::memcpy(swaps + 16 * lane, from + lane * slot_stride(detail.element),
                        static_cast<size_t>(detail.element));
        });
    }

    Access access{};
    access.op = &op;
    access.lanes = lanes;
    access.addresses = addresses;
    access.bytes = total;
    access.space = detail.space;
    access.order = detail.order;
    access.scope = detail.scope;
    const LaneMask bad = warp.memory().atomic(
        warp, access, old, 16, [&](const uint8_t* before, int lane, uint8_t* result) {
            const uint8_t* value = values + 16 * lane;
            switch (detail.action) {
                case Action::kExchange:
                    std::memcpy(result, value, static_cast<size_t>(total));
                    return;
                case Action::kCompareAndSwap:
                    std::memcpy(result,
                                std::memcmp(before, value, static_cast<size_t>(total)) == 0
                                    ? swaps + 16 * lane
                                    : before,
                                static_cast<size_t>(total));
                    return;
                case Action::kReduce:
                    break;
            }
            uint64_t inside;
            const bool flushes = detail.type == ReductionType::kF32 &&
                                 detail.reduction == Reduction::kAdd &&
                                 (detail.space == Space::kGlobal ||
                                  (detail.space == Space::kGeneric &&
                                   Memory::classify(addresses[lane], &inside) == Space::kGlobal));
            for (int at = 0; at < total; at += detail.part) {
                if (flushes)
                    add_flushing(before + at, value + at, result + at);
                else
                    reduce_element(detail.reduction, detail.type, before + at, value + at,
                                   result + at);
            }
        });
    for (int k = 0; k < detail.count; ++k) {
        const Slot slot = detail.results[k];
        if (slot == kSinkSlot) continue;
        uint8_t* to = warp.lanes<uint8_t>(slot);
        for_lanes(lanes, [&](int lane) {
            const int stride = slot_stride(detail.element);
            std::memset(to + lane * stride, 0, static_cast<size_t>(stride));
            std::memcpy(to + lane * stride, old + 16 * lane + k * detail.element,
                        static_cast<size_t>(detail.element));
        });
        warp.set_taint(slot, lanes, bad);
    }
    return Outcome::kNext;
}

void lower_atomic(const Instruction& in, LowerContext& context, Op& op, bool returns) {
    auto detail = std::make_unique<AtomicDetail>();
    AccessModifiers modifiers;
    modifiers.order = Order::kRelaxed;
    bool has_action = false, noftz = false;
    if (in.modifiers.size() < 2) context.fail(in, "needs an operation and a type");
    for (size_t i = 0; i + 1 < in.modifiers.size(); ++i) {
        const std::string& m = in.modifiers[i];
        // PTX puts order, scope and space before the operation; ptxas takes them behind it, too, and
        // libcu++ writes them there.
        if (modifiers.take(m)) continue;
        if (m == "L2::cache_hint") {
            modifiers.has_policy = true;
        } else if (m == "relaxed") {
            modifiers.order = Order::kRelaxed;
        } else if (m == "acquire" && returns) {
            modifiers.order = Order::kAcquire;
        } else if (m == "release") {
            modifiers.order = Order::kRelease;
        } else if (m == "acq_rel" && returns) {
            modifiers.order = Order::kAcqRel;
        } else if (m == "noftz" && has_action) {
            noftz = true;
        } else if (const int length = vector_length(m)) {
            detail->count = length;
        } else if (!has_action && m == "exch" && returns) {
            detail->action = Action::kExchange;
            has_action = true;
        } else if (!has_action && m == "cas" && returns) {
            detail->action = Action::kCompareAndSwap;
            has_action = true;
        } else if (!has_action && parse_reduction(m, &detail->reduction)) {
            has_action = true;
        } else {
            context.fail(in, "unknown modifier ." + m);
        }
    }
    if (!has_action) context.fail(in, "needs an operation");
    if (modifiers.space != Space::kGeneric && modifiers.space != Space::kGlobal &&
        modifiers.space != Space::kShared)
        context.fail(in, "this space has no atomic operations");
    detail->space = modifiers.space;
    detail->order = modifiers.order;
    detail->scope = modifiers.scope;

    const std::string type_name(in.last());
    Type as = Type::kB32;
    if (detail->action != Action::kReduce) {
        const bool wide = type_name == "b128", narrow = type_name == "b16";
        if (type_name != "b32" && type_name != "b64" && !wide &&
            !(narrow && detail->action == Action::kCompareAndSwap))
            context.fail(in, "unknown type ." + type_name);
        as = ptx::parse_type(type_name);
        if (wide && context.arch() < 90) context.fail(in, "needs sm_90");
        detail->element = ptx::type_bytes(as);
        if (detail->count != 1) context.fail(in, "has no vector form");
    } else {
        const bool packed = type_name == "f16x2" || type_name == "bf16x2";
        const std::string part = packed ? type_name.substr(0, type_name.size() - 2) : type_name;
        if (!parse_reduction_type(part, &detail->type) ||
            !reduction_exists(detail->reduction, detail->type))
            context.fail(in, "no such operation on ." + type_name);
        const bool bitwise = detail->reduction == Reduction::kAnd ||
                             detail->reduction == Reduction::kOr ||
                             detail->reduction == Reduction::kXor;
        if (bitwise != (type_name[0] == 'b' && type_name[1] != 'f'))
            context.fail(in, "no such operation on ." + type_name);
        detail->part = reduction_bytes(detail->type);
        detail->element = packed ? 4 : detail->part;
        as = ptx::parse_type(type_name);
        const bool half = detail->part == 2;
        if (half != noftz) context.fail(in, half ? "needs .noftz" : "unknown modifier .noftz");
        const bool vector = detail->count > 1;
        if (vector && (context.arch() < 90 || modifiers.space == Space::kShared))
            context.fail(in, "vector forms need sm_90 and global memory");
        if (vector && !half && detail->type != ReductionType::kF32)
            context.fail(in, "no vector form of ." + type_name);
        if (half && detail->reduction != Reduction::kAdd && !vector)
            context.fail(in, "no such operation on ." + type_name);
        if (detail->element * detail->count > 16) context.fail(in, "the vector is too long");
    }

    size_t at = 0;
    const size_t wanted = (returns ? 3u : 2u) +
                          (detail->action == Action::kCompareAndSwap ? 1u : 0u) +
                          (modifiers.has_policy ? 1u : 0u);
    if (in.operands.size() != wanted) context.fail(in, "has the wrong number of operands");
    const auto elements = [&](const Operand& operand) {
        std::vector<Operand> result{operand};
        if (detail->count > 1) {
            if (operand.kind == Operand::Kind::kVector)
                result = operand.elements;
            else if (operand.kind == Operand::Kind::kSink)
                result.assign(static_cast<size_t>(detail->count), operand);
            else
                context.fail(in, "needs a vector");
        }
        if (result.size() != static_cast<size_t>(detail->count))
            context.fail(in, "the vector has the wrong length");
        return result;
    };
    for (Slot& slot : detail->results)
        slot = kSinkSlot;
    if (returns) {
        const auto list = elements(in.operands[at++]);
        for (size_t k = 0; k < list.size(); ++k) {
            detail->results[k] = context.destination(list[k]);
            if (list[k].kind == Operand::Kind::kRegister &&
                ptx::type_bytes(context.type_of(list[k], as)) != detail->element)
                context.fail(in, "the destination has the wrong size");
        }
    }
    context.address(in.operands[at++], &op.src[0], &detail->base_is_32, &op.imm);
    const auto list = elements(in.operands[at++]);
    for (size_t k = 0; k < list.size(); ++k)
        detail->values[k] = context.source(list[k], as);
    if (detail->action == Action::kCompareAndSwap)
        detail->swap = context.source(in.operands[at++], as);
    if (modifiers.has_policy) context.source(in.operands[at], Type::kB64);

    op.execute = run_atomic;
    op.kind = OpKind::kAtomic;
    op.flags |= Op::kOwnTaint;
    op.dst = detail->results[0];
    op.detail = context.keep(std::move(detail));
}

}  // namespace

void register_atomic(Registry& registry) {
    registry.add("atom", [](const Instruction& in, LowerContext& context, Op& op) {
        lower_atomic(in, context, op, true);
    });
    registry.add("red", [](const Instruction& in, LowerContext& context, Op& op) {
        lower_atomic(in, context, op, false);
    });
}

}  // namespace emulator
