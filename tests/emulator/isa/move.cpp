// Moves: mov (registers, immediates, addresses, special registers, packing and unpacking of vectors)
// and cvta.
//
// Source: PTX ISA, "Data Movement and Conversion Instructions": "mov", "cvta".
#include <algorithm>

#include "tests/emulator/isa/convert.hpp"
#include "tests/emulator/memory/memory.hpp"

namespace emulator::isa {

using ptx::Operand;

/// Type of bits of so many bytes.
Type bits_type(int bytes) {
    switch (bytes) {
        case 1:
            return Type::kB8;
        case 2:
            return Type::kB16;
        case 4:
            return Type::kB32;
        case 8:
            return Type::kB64;
        default:
            return Type::kB128;
    }
}

namespace {

// ---- mov ---------------------------------------------------------------------------------------

template <typename T>
T same(T a) {
    return a;
}

Outcome run_mov128(Warp& warp, const Op& op, LaneMask lanes) {
    struct alignas(16) Quad {
        uint64_t low, high;
    };
    alignas(64) Quad result[kWarpLanes];
    std::memcpy(result, warp.lanes<uint8_t>(op.src[0]), sizeof(result));
    uint8_t* d = warp.lanes<uint8_t>(op.dst);
    for_lanes(lanes, [&](int lane) { std::memcpy(d + 16 * lane, &result[lane], 16); });
    return Outcome::kNext;
}

/// mode: 1 if negated.
Outcome run_mov_predicate(Warp& warp, const Op& op, LaneMask lanes) {
    const LaneMask value = warp.predicate(op.src[0]);
    set_predicate(warp, op.dst, lanes, op.mode != 0 ? ~value : value);
    return Outcome::kNext;
}

/// From a special register that holds 0 or 1.
Outcome run_mov_flag(Warp& warp, const Op& op, LaneMask lanes) {
    alignas(32) uint32_t flags[kWarpLanes];
    std::copy_n(warp.u32(op.src[0]), kWarpLanes, flags);
    set_predicate(warp, op.dst, lanes, gather_flags(flags));
    return Outcome::kNext;
}

/// {a, b, ...} to one value, the first element lowest.
template <int total, int element>
Outcome run_pack(Warp& warp, const Op& op, LaneMask lanes) {
    constexpr int count = total / element;
    if constexpr (total <= 8) {
        using Value = std::conditional_t<total == 8, uint64_t, uint32_t>;
        alignas(64) Value result[kWarpLanes] = {};
        for (int i = 0; i < count; ++i) {
            const uint32_t* from = warp.u32(op.src[i]);
            for (int lane = 0; lane < kWarpLanes; ++lane)
                result[lane] |= Value{from[lane]} << 8 * element * i;
        }
        store_lanes(warp, op.dst, lanes, result);
    } else {
        alignas(64) uint8_t result[kWarpLanes * total];
        for (int i = 0; i < count; ++i) {
            const uint8_t* from = warp.lanes<uint8_t>(op.src[i]);
            for (int lane = 0; lane < kWarpLanes; ++lane)
                std::memcpy(result + total * lane + element * i, from + element * lane, element);
        }
        uint8_t* d = warp.lanes<uint8_t>(op.dst);
        for_lanes(lanes,
                  [&](int lane) { std::memcpy(d + total * lane, result + total * lane, total); });
    }
    return Outcome::kNext;
}

struct UnpackDetail : OpDetail {
    Slot to[4] = {kSinkSlot, kSinkSlot, kSinkSlot, kSinkSlot};
};
template <int total, int element>
Outcome run_unpack(Warp& warp, const Op& op, LaneMask lanes) {
    constexpr int count = total / element;
    using Lane = std::conditional_t<element == 8, uint64_t, uint32_t>;
    const Slot* to = static_cast<const UnpackDetail*>(op.detail)->to;
    alignas(64) Lane parts[count][kWarpLanes];
    if constexpr (total <= 8) {
        using Value = std::conditional_t<total == 8, uint64_t, uint32_t>;
        constexpr Lane mask =
            static_cast<Lane>(element >= 4 ? ~Lane{0} : (Lane{1} << 8 * element) - 1);
        const Value* from = warp.lanes<Value>(op.src[0]);
        for (int i = 0; i < count; ++i)
            for (int lane = 0; lane < kWarpLanes; ++lane)
                parts[i][lane] = static_cast<Lane>(from[lane] >> 8 * element * i) & mask;
    } else {
        const uint8_t* from = warp.lanes<uint8_t>(op.src[0]);
        for (int i = 0; i < count; ++i)
            for (int lane = 0; lane < kWarpLanes; ++lane)
                std::memcpy(&parts[i][lane], from + total * lane + element * i, element);
    }
    spread_taint(warp, op, lanes, {to[0], to[1], to[2], to[3]});
    for (int i = 0; i < count; ++i)
        store_lanes(warp, to[i], lanes, parts[i]);
    return Outcome::kNext;
}

void lower_mov_vector(Reader& reader, Type type) {
    Op& op = reader.op();
    const bool pack = reader.operand(1).kind == Operand::Kind::kVector;
    const Operand& vector = reader.operand(pack ? 1 : 0);
    const int total = bytes_of(type), count = static_cast<int>(vector.elements.size());
    if (count != 2 && count != 4) reader.fail("a vector has 2 or 4 elements");
    const int element = total / count;
    if (element == 0) reader.fail("more elements than bytes");
    const Type part = bits_type(element);
    if (pack) {
        reader.destination(type);
        for (int i = 0; i < count; ++i)
            op.src[i] = reader.source(vector.elements[i], part);
    } else {
        reader.source(1, type);
        auto detail = std::make_unique<UnpackDetail>();
        for (int i = 0; i < count; ++i)
            detail->to[i] = reader.destination(vector.elements[i], part);
        op.detail = reader.context().keep(std::move(detail));
        op.flags |= Op::kOwnTaint;
    }
    const int key = total * 16 + element;
    switch (key) {
        case 0x021:
            op.execute = pack ? run_pack<2, 1> : run_unpack<2, 1>;
            break;
        case 0x041:
            op.execute = pack ? run_pack<4, 1> : run_unpack<4, 1>;
            break;
        case 0x042:
            op.execute = pack ? run_pack<4, 2> : run_unpack<4, 2>;
            break;
        case 0x082:
            op.execute = pack ? run_pack<8, 2> : run_unpack<8, 2>;
            break;
        case 0x084:
            op.execute = pack ? run_pack<8, 4> : run_unpack<8, 4>;
            break;
        case 0x104:
            op.execute = pack ? run_pack<16, 4> : run_unpack<16, 4>;
            break;
        case 0x108:
            op.execute = pack ? run_pack<16, 8> : run_unpack<16, 8>;
            break;
        default:
            reader.fail("no such vector");
    }
}

// What changes while a thread runs. The clock ticks with every operation of the host thread.
Outcome run_clock32(Warp& warp, const Op& op, LaneMask lanes) {
    const uint32_t value = static_cast<uint32_t>(warp.clock() >> op.imm);
    uint32_t* d = warp.u32(op.dst);
    for_lanes(lanes, [&](int lane) { d[lane] = value; });
    return Outcome::kNext;
}
Outcome run_clock64(Warp& warp, const Op& op, LaneMask lanes) {
    const uint64_t value = warp.clock();
    uint64_t* d = warp.u64(op.dst);
    for_lanes(lanes, [&](int lane) { d[lane] = value; });
    return Outcome::kNext;
}

/// True if `operand` is a register that changes, which was lowered.
bool lower_clock(Reader& reader, const Operand& operand, Type type) {
    if (operand.kind != Operand::Kind::kSpecial) return false;
    const std::string& name = operand.name;
    const bool whole = name == "%clock64" || name == "%globaltimer";
    const bool low = name == "%clock" || name == "%globaltimer_lo";
    const bool high = name == "%clock_hi" || name == "%globaltimer_hi";
    if (!whole && !low && !high) return false;
    if (bytes_of(type) != (whole ? 8 : 4)) reader.fail("has the wrong size for " + name);
    reader.op().imm = high ? 32 : 0;
    reader.op().execute = whole ? run_clock64 : run_clock32;
    return true;
}

void lower_mov(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kMove;
    Reader reader(instruction, context, op);
    const Type type = reader.take_type();
    reader.finish();
    reader.require_operands(2);
    if (reader.operand(0).kind == Operand::Kind::kVector ||
        reader.operand(1).kind == Operand::Kind::kVector)
        return lower_mov_vector(reader, type);
    reader.destination(type);
    if (type == Type::kPred && reader.operand(1).kind == Operand::Kind::kSpecial) {
        op.src[0] = context.source(reader.operand(1), Type::kU32);
        op.execute = run_mov_flag;
        return;
    }
    if (type == Type::kPred) {
        bool negated = false;
        op.src[0] = reader.predicate(reader.operand(1), &negated);
        op.mode = negated ? 1 : 0;
        op.execute = run_mov_predicate;
        return;
    }
    if (lower_clock(reader, reader.operand(1), type)) return;
    reader.source(1, type);
    switch (bytes_of(type)) {
        case 16:
            op.execute = run_mov128;
            break;
        case 8:
            op.execute = each<same<uint64_t>>;
            break;
        default:
            op.execute = each<same<uint32_t>>;
            break;
    }
}

// ---- cvta --------------------------------------------------------------------------------------

uint64_t add_window(const Op& op, uint64_t a, uint32_t, uint32_t) {
    return a + static_cast<uint64_t>(op.imm);
}

void lower_cvta(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kMove;
    Reader reader(instruction, context, op);
    const bool from_generic = reader.take("to");
    const int space = reader.take_one_of({"global", "const", "param", "param::entry", "shared",
                                          "shared::cta", "shared::cluster", "local"});
    if (space < 0) reader.fail("no such space");
    if (reader.take_type() != Type::kU64) reader.fail("addresses have 64 bits here");
    reader.finish();
    reader.require_operands(2);
    reader.destination(Type::kU64);
    reader.source(1, Type::kU64);
    const uint64_t window = space < 4 ? 0 : space < 7 ? kSharedWindow : kLocalWindow;
    op.imm = static_cast<int64_t>(from_generic ? 0 - window : window);
    op.execute = window == 0 ? each<same<uint64_t>> : each<add_window>;
}

}  // namespace
}  // namespace emulator::isa

namespace emulator {

void register_move(Registry& registry) {
    registry.add("mov", isa::lower_mov);
    registry.add("cvta", isa::lower_cvta);
}

}  // namespace emulator
