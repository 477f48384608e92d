#include "tests/emulator/check/replay.hpp"

#include <algorithm>

#include "tests/emulator/exec/launch.hpp"

namespace emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;

/// Instructions for which any register they read is used for good.
bool consumes(const Instruction& instruction) {
    for (const char* opcode : {"st", "red", "atom", "cp", "bra", "brx", "call", "bar", "barrier",
                               "mbarrier", "wgmma", "stmatrix", "ret", "exit", "tensormap"})
        if (instruction.opcode == opcode) return true;
    return false;
}

bool addressed_by(const Instruction& instruction, const std::vector<int>& registers) {
    for (const Operand& operand : instruction.operands) {
        if (operand.kind != Operand::Kind::kAddress || operand.reg < 0) continue;
        if (std::find(registers.begin(), registers.end(), operand.reg) != registers.end())
            return true;
    }
    return false;
}

}  // namespace

bool not_used_yet(Worker& worker, Warp& reader, const Conflict& conflict, uint32_t cause) {
    const auto key = std::make_tuple(reader.block().number, reader.index(), conflict.other_tick,
                                     conflict.other_pc);
    if (const auto found = worker.replayed.find(key); found != worker.replayed.end())
        return found->second;
    bool& unused = worker.replayed[key];
    unused = false;
    // A warp that has exited did so in the entry.
    std::shared_ptr<Frame> frame;
    for (const Group& group : reader.groups()) {
        if (frame != nullptr && group.frame != frame) return false;
        frame = group.frame;
    }
    const Kernel& code = frame != nullptr ? *frame->code : worker.launch().program->entry();
    if ((conflict.other_pc & 0xFFFF) >= code.ops.size()) return false;
    const Trace& trace = reader.trace();

    // The stretch of the trace from that tick on, then the load itself.
    const uint32_t end = trace.at;
    const uint32_t oldest = end > Trace::kLength ? end - Trace::kLength : 0;
    uint32_t at = end;
    while (at != oldest && trace.entry(at - 1) != (Trace::kTick | conflict.other_tick))
        --at;
    if (at == oldest) return false;
    const uint32_t load = conflict.other_pc & 0xFFFF;
    while (at != end && trace.entry(at) != load)
        ++at;
    if (at == end) return false;

    std::vector<bool> tainted(code.slots, false);
    std::vector<int> uses, touched;
    const auto slots_of = [&](const std::vector<int>& registers, const auto& each) {
        for (const int r : registers)
            each(code.register_slots[static_cast<size_t>(r)]);
    };
    register_effects(code.function->instructions[load], &uses, &touched);
    slots_of(touched, [&](Slot slot) { tainted[slot] = true; });
    for (++at; at != end; ++at) {
        const uint32_t pc = trace.entry(at);
        if (pc == Trace::kFrameChange) return false;
        if ((pc & Trace::kTick) != 0) continue;
        const Instruction& instruction = code.function->instructions[pc];
        register_effects(instruction, &uses, &touched);
        std::vector<int> hit;
        for (const int r : uses)
            if (tainted[code.register_slots[static_cast<size_t>(r)]]) hit.push_back(r);
        if (!hit.empty()) {
            // A guarded write counts its own target as read: that alone is no use.
            const bool only_target =
                std::all_of(hit.begin(), hit.end(),
                            [&](int r) {
                                return std::find(touched.begin(), touched.end(), r) !=
                                       touched.end();
                            }) &&
                instruction.guard >= 0;
            if (!only_target && (consumes(instruction) || addressed_by(instruction, hit)))
                return false;
            slots_of(touched, [&](Slot slot) { tainted[slot] = true; });
        } else if (instruction.guard < 0) {
            slots_of(touched, [&](Slot slot) { tainted[slot] = false; });
        }
    }
    for (Slot slot = frame != nullptr ? kFirstRegisterSlot : code.first_constant;
         slot < code.first_constant; ++slot) {
        if (!tainted[slot]) continue;
        frame->taint[slot] |= reader.live();
        frame->causes[slot] = cause;
    }
    unused = true;
    return true;
}

}  // namespace emulator
