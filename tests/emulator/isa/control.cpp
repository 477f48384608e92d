// bra, brx.idx, call, ret, exit, trap, brkpt, nanosleep, pmevent.
//
// Source: PTX ISA, sections "Control Flow Instructions", "Miscellaneous Instructions". A call copies
// its arguments between the parameter areas of the two activations; see Warp::call(). Two functions
// of the CUDA runtime library that every program may call are built in: __assertfail and vprintf
// (which prints its format string and nothing else).
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "tests/emulator/exec/block.hpp"
#include "tests/emulator/exec/launch.hpp"

namespace emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;

void only(const Instruction& in, LowerContext& context, std::initializer_list<const char*> known) {
    for (const std::string& modifier : in.modifiers) {
        bool found = false;
        for (const char* name : known)
            found |= modifier == name;
        if (!found) context.fail(in, "unknown modifier ." + modifier);
    }
}

Outcome run_bra(Warp& warp, const Op& op, LaneMask lanes) {
    warp.branch(lanes, static_cast<uint32_t>(op.imm));
    return Outcome::kJumped;
}

struct TableDetail : OpDetail {
    std::vector<int> targets;
};

Outcome run_brx(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& table = static_cast<const TableDetail&>(*op.detail).targets;
    const uint32_t* index = warp.u32(op.src[0]);
    if (const LaneMask suspicious = warp.taint(op.src[0]) & lanes; suspicious != 0)
        warp.report_taint(op, op.src[0], suspicious, "a branch depends on a value");
    uint32_t targets[kWarpLanes] = {};
    for_lanes(lanes, [&](int lane) {
        if (index[lane] >= table.size())
            warp.report(op, 1u << lane, FindingKind::kOutOfBounds,
                        "index " + std::to_string(index[lane]) + " of a table of " +
                            std::to_string(table.size()) + " targets",
                        true);
        targets[lane] = static_cast<uint32_t>(table[index[lane]]);
    });
    warp.branch_each(lanes, targets);
    return Outcome::kJumped;
}

Outcome run_call(Warp& warp, const Op& op, LaneMask lanes) {
    warp.call(op, lanes, static_cast<int>(op.imm));
    return Outcome::kJumped;
}

/// Lanes may call different functions: those of the first one go, the others come back to this
/// instruction.
Outcome run_call_indirect(Warp& warp, const Op& op, LaneMask lanes) {
    const uint64_t* address = warp.u64(op.src[0]);
    if (const LaneMask suspicious = warp.taint(op.src[0]) & lanes; suspicious != 0)
        warp.report_taint(op, op.src[0], suspicious, "a call depends on a value");
    const uint64_t wanted = address[__builtin_ctz(lanes)];
    LaneMask same = 0;
    for_lanes(lanes, [&](int lane) {
        if (address[lane] == wanted) same |= 1u << lane;
    });
    const auto& numbers = warp.launch().program->by_module_index;
    const auto found = numbers.find(static_cast<int>((wanted - kFunctionWindow) / 16));
    if (wanted < kFunctionWindow || (wanted - kFunctionWindow) % 16 != 0 || found == numbers.end())
        warp.report(op, same, FindingKind::kOutOfBounds, "a call of what is no function", true);
    const LaneMask others = lanes & ~same;
    if (others != 0) warp.split_off(others, op.index);
    warp.call(op, same, found->second);
    return Outcome::kJumped;
}

Outcome run_ret(Warp& warp, const Op&, LaneMask lanes) {
    warp.return_from(lanes);
    return Outcome::kJumped;
}

Outcome run_exit(Warp& warp, const Op&, LaneMask lanes) {
    warp.exit(lanes);
    return Outcome::kJumped;
}

Outcome run_trap(Warp& warp, const Op& op, LaneMask) {
    throw Fault("trap executed by block " + std::to_string(warp.block().number) + " warp " +
                std::to_string(warp.index()) + " at line " +
                std::to_string(warp.code().function->instructions[op.index].location.line));
}

Outcome run_nothing(Warp&, const Op&, LaneMask) {
    return Outcome::kNext;
}

/// The string at a generic address, as far as it is readable.
std::string text_at(Warp& warp, uint64_t address) {
    std::string text;
    const Arena& arena = *warp.launch().arena;
    while (text.size() < 4096 && arena.holder(address, 1) != nullptr) {
        const char c = *reinterpret_cast<const char*>(address++);
        if (c == 0) break;
        text += c;
    }
    return text;
}

uint64_t argument(Warp& warp, const CallDetail& detail, size_t number, int lane) {
    const Frame& frame = *warp.group().frame;
    uint64_t value = 0;
    if (number < detail.arguments.size())
        std::memcpy(&value,
                    frame.parameters.data() +
                        size_t{frame.code->parameter_bytes} * static_cast<size_t>(lane) +
                        detail.arguments[number].offset,
                    std::min<uint32_t>(8, detail.arguments[number].bytes));
    return value;
}

/// void __assertfail(const char* message, const char* file, unsigned line, const char* function, ...)
Outcome run_assertfail(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const CallDetail&>(*op.detail);
    const int lane = __builtin_ctz(lanes);
    throw Fault(text_at(warp, argument(warp, detail, 1, lane)) + ":" +
                std::to_string(argument(warp, detail, 2, lane)) + ": assertion " +
                text_at(warp, argument(warp, detail, 0, lane)) + " failed, block " +
                std::to_string(warp.block().number) + " thread " +
                std::to_string(warp.index() * kWarpLanes + lane));
}

/// int vprintf(const char* format, void* arguments)
Outcome run_vprintf(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const CallDetail&>(*op.detail);
    Frame& frame = *warp.group().frame;
    for_lanes(lanes, [&](int lane) {
        std::fputs(text_at(warp, argument(warp, detail, 0, lane)).c_str(), stdout);
        if (!detail.returns.empty())
            std::memset(frame.parameters.data() +
                            size_t{frame.code->parameter_bytes} * static_cast<size_t>(lane) +
                            detail.returns[0].offset,
                        0, detail.returns[0].bytes);
    });
    return Outcome::kNext;
}

std::vector<ParameterPlace> places(const Instruction& in, LowerContext& context,
                                   const Operand& list) {
    std::vector<ParameterPlace> result;
    if (list.kind != Operand::Kind::kVector) context.fail(in, "needs a list of parameters");
    for (const Operand& element : list.elements) {
        ParameterPlace place;
        if (!context.parameter(element, &place.offset, &place.bytes))
            context.fail(in, "only variables of param space are passed");
        result.push_back(place);
    }
    return result;
}

/// call{.uni} (returns), function, (arguments){, prototype or list of targets};
void lower_call(const Instruction& in, LowerContext& context, Op& op) {
    only(in, context, {"uni"});
    op.kind = OpKind::kControl;
    auto detail = std::make_unique<CallDetail>();
    size_t at = 0;
    if (in.operands.empty()) context.fail(in, "needs a function");
    if (in.operands[at].kind == Operand::Kind::kVector)
        detail->returns = places(in, context, in.operands[at++]);
    if (at >= in.operands.size()) context.fail(in, "needs a function");
    const Operand& target = in.operands[at++];
    if (at < in.operands.size() && in.operands[at].kind == Operand::Kind::kVector)
        detail->arguments = places(in, context, in.operands[at++]);
    op.detail = context.keep(std::move(detail));
    if (target.kind == Operand::Kind::kSymbol && target.name == "__assertfail") {
        op.execute = run_assertfail;
        return;
    }
    if (target.kind == Operand::Kind::kSymbol && target.name == "vprintf") {
        op.execute = run_vprintf;
        return;
    }
    if (target.kind == Operand::Kind::kRegister) {
        op.src[0] = context.source(target, ptx::Type::kB64);
        op.execute = run_call_indirect;
        return;
    }
    op.imm = context.function(target);
    op.execute = run_call;
}

}  // namespace

void register_control(Registry& registry) {
    registry.add("bra", [](const Instruction& in, LowerContext& context, Op& op) {
        only(in, context, {"uni"});
        if (in.operands.size() != 1 || in.operands[0].kind != Operand::Kind::kLabel)
            context.fail(in, "needs a label");
        op.execute = run_bra;
        op.kind = OpKind::kControl;
        op.imm = in.operands[0].target;
    });
    registry.add("brx.idx", [](const Instruction& in, LowerContext& context, Op& op) {
        only(in, context, {"idx", "uni"});
        if (in.operands.size() != 2) context.fail(in, "needs an index and a table");
        op.execute = run_brx;
        op.kind = OpKind::kControl;
        op.src[0] = context.source(in.operands[0], ptx::Type::kU32);
        auto detail = std::make_unique<TableDetail>();
        detail->targets = context.branch_targets(in.operands[1]);
        op.detail = context.keep(std::move(detail));
    });
    registry.add("call", lower_call);
    registry.add("ret", [](const Instruction& in, LowerContext& context, Op& op) {
        only(in, context, {"uni"});
        op.execute = run_ret;
        op.kind = OpKind::kControl;
    });
    registry.add("exit", [](const Instruction& in, LowerContext& context, Op& op) {
        only(in, context, {});
        op.execute = run_exit;
        op.kind = OpKind::kControl;
    });
    for (const char* name : {"trap", "brkpt"})
        registry.add(name, [](const Instruction& in, LowerContext& context, Op& op) {
            only(in, context, {});
            op.execute = run_trap;
            op.kind = OpKind::kControl;
        });
    registry.add("nanosleep", [](const Instruction& in, LowerContext& context, Op& op) {
        only(in, context, {"u32"});
        op.execute = run_nothing;
        op.kind = OpKind::kOther;
    });
    registry.add("pmevent", [](const Instruction& in, LowerContext& context, Op& op) {
        only(in, context, {"mask"});
        op.execute = run_nothing;
        op.kind = OpKind::kOther;
    });
}

}  // namespace emulator
