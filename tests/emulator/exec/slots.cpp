// Which registers share a slot: liveness by data flow over basic blocks, then linear scan over
// contiguous ranges.
//
// A register that a guarded instruction writes keeps its old value in some lanes, so such a write
// does not end the life before it; a register that may be read before it is written is alive from
// the function's start, which keeps the taint of "never written" right. Lanes of different groups
// never meet in a lane of a slot, so divergence needs no care. Operands of wgmma are read and written
// after the instruction: their slots are never shared.
#include <algorithm>
#include <cstdint>

#include "tests/emulator/exec/kernel.hpp"

namespace emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;

struct Effects {
    std::vector<int> uses, kills, touched;  ///< touched: written, perhaps partly
};

void collect(const Operand& operand, std::vector<int>& out) {
    if (operand.reg >= 0) out.push_back(operand.reg);
    if (operand.pair >= 0) out.push_back(operand.pair);
    for (const Operand& element : operand.elements)
        collect(element, out);
}

/// Does the first operand name what is written (and nothing that is read)?
bool writes_first(const Instruction& instruction) {
    const std::string& opcode = instruction.opcode;
    if (instruction.operands.empty()) return false;
    const Operand::Kind kind = instruction.operands[0].kind;
    if (kind != Operand::Kind::kRegister && kind != Operand::Kind::kVector) {
        return kind == Operand::Kind::kSink;  // "_|p" writes p
    }
    if (opcode == "bar" || opcode == "barrier") return instruction.has("red");
    for (const char* reader :
         {"wgmma", "brx", "nanosleep", "call", "bra", "setmaxnreg", "st", "red"})
        if (opcode == reader) return false;
    return true;
}

Effects effects_of(const Instruction& instruction) {
    Effects effects;
    if (instruction.guard >= 0) effects.uses.push_back(instruction.guard);
    const bool first = writes_first(instruction);
    for (size_t i = 0; i < instruction.operands.size(); ++i) {
        if (i == 0 && first) {
            collect(instruction.operands[0], effects.touched);
            if (instruction.guard < 0) effects.kills = effects.touched;
            continue;
        }
        collect(instruction.operands[i], effects.uses);
    }
    // What is written partly is as good as read.
    if (instruction.guard >= 0)
        effects.uses.insert(effects.uses.end(), effects.touched.begin(), effects.touched.end());
    // setp may name its second predicate as an operand of its own kind; both spellings are covered
    // by `pair`.
    return effects;
}

using Bits = std::vector<uint64_t>;
bool test(const Bits& bits, int i) {
    return bits[i >> 6] >> (i & 63) & 1;
}
void set(Bits& bits, int i) {
    bits[i >> 6] |= uint64_t{1} << (i & 63);
}

struct BasicBlock {
    int first, last;  ///< instructions, inclusive
    std::vector<int> successors;
    Bits use, kill, in, out;
};

int slots_of(ptx::Type type) {
    const int bytes = ptx::type_bytes(type);
    return bytes <= 4 ? 1 : bytes / 4;
}

}  // namespace

void register_effects(const ptx::Instruction& instruction, std::vector<int>* uses,
                      std::vector<int>* touched) {
    Effects effects = effects_of(instruction);
    *uses = std::move(effects.uses);
    *touched = std::move(effects.touched);
}

std::vector<Slot> assign_slots(const ptx::Function& function, Slot first, Slot* end) {
    const auto& code = function.instructions;
    const int count = static_cast<int>(code.size());
    const int registers = static_cast<int>(function.registers.size());
    std::vector<Slot> slots(registers, kSinkSlot);
    *end = first;
    if (count == 0) return slots;

    std::vector<Effects> effects(count);
    std::vector<bool> leader(count + 1, false);
    leader[0] = true;
    for (int target : function.label_targets)
        if (target < count) leader[target] = true;
    const auto ends_block = [](const Instruction& i) {
        return i.opcode == "bra" || i.opcode == "brx" || i.opcode == "ret" || i.opcode == "exit" ||
               i.opcode == "trap";
    };
    for (int i = 0; i < count; ++i) {
        effects[i] = effects_of(code[i]);
        if (ends_block(code[i])) leader[i + 1] = true;
    }

    std::vector<BasicBlock> blocks;
    std::vector<int> block_of(count);
    const size_t words = (registers + 63) / 64;
    for (int i = 0; i < count; ++i) {
        if (leader[i]) {
            blocks.push_back({i, i, {}, Bits(words), Bits(words), Bits(words), Bits(words)});
        }
        BasicBlock& block = blocks.back();
        block.last = i;
        block_of[i] = static_cast<int>(blocks.size()) - 1;
        for (int r : effects[i].uses)
            if (!test(block.kill, r)) set(block.use, r);
        for (int r : effects[i].kills)
            set(block.kill, r);
    }
    for (BasicBlock& block : blocks) {
        const Instruction& tail = code[block.last];
        const bool always = tail.guard < 0;
        if (tail.opcode == "bra") {
            for (const Operand& operand : tail.operands)
                if (operand.kind == Operand::Kind::kLabel && operand.target < count)
                    block.successors.push_back(block_of[operand.target]);
        } else if (tail.opcode == "brx") {
            for (const auto& table : function.branch_targets)
                for (int target : table.second)
                    if (target < count) block.successors.push_back(block_of[target]);
        }
        if ((!ends_block(tail) || !always) && block.last + 1 < count)
            block.successors.push_back(block_of[block.last + 1]);
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t b = blocks.size(); b-- > 0;) {
            BasicBlock& block = blocks[b];
            for (int next : block.successors)
                for (size_t w = 0; w < words; ++w)
                    block.out[w] |= blocks[next].in[w];
            for (size_t w = 0; w < words; ++w) {
                const uint64_t in = block.use[w] | (block.out[w] & ~block.kill[w]);
                changed |= in != block.in[w];
                block.in[w] = in;
            }
        }
    }

    struct Range {
        int reg, from, to;
    };
    std::vector<Range> ranges(registers);
    for (int r = 0; r < registers; ++r)
        ranges[r] = {r, count, -1};
    const auto extend = [&](int r, int at) {
        ranges[r].from = std::min(ranges[r].from, at);
        ranges[r].to = std::max(ranges[r].to, at);
    };
    for (const BasicBlock& block : blocks) {
        for (size_t w = 0; w < words; ++w) {
            for (uint64_t bits = block.in[w]; bits != 0; bits &= bits - 1)
                extend(static_cast<int>(w) * 64 + __builtin_ctzll(bits), block.first);
            for (uint64_t bits = block.out[w]; bits != 0; bits &= bits - 1)
                extend(static_cast<int>(w) * 64 + __builtin_ctzll(bits), block.last);
        }
    }
    for (int i = 0; i < count; ++i) {
        for (int r : effects[i].uses)
            extend(r, i);
        for (int r : effects[i].touched)
            extend(r, i);
        if (code[i].opcode == "wgmma")
            for (int r : effects[i].uses) {
                extend(r, 0);
                extend(r, count);
            }
    }
    // What is alive at the entry was never written there.
    for (int r = 0; r < registers; ++r)
        if (test(blocks[0].in, r)) extend(r, 0);

    ranges.erase(std::remove_if(ranges.begin(), ranges.end(),
                                [](const Range& range) { return range.to < 0; }),
                 ranges.end());
    std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
        return a.from != b.from ? a.from < b.from : a.reg < b.reg;
    });
    // By width, and predicates apart: a predicate has all lanes in one word, which would be lane 0's
    // word of a register that lane 0 still needs while other lanes have run ahead.
    std::vector<Slot> unused[5];
    const auto kind_of = [&](int reg) {
        const ptx::Type type = function.registers[reg].type;
        return type == ptx::Type::kPred ? 0 : slots_of(type);
    };
    std::vector<Range> active;  // a heap, the first to end on top
    const auto later = [](const Range& a, const Range& b) { return a.to > b.to; };
    for (const Range& range : ranges) {
        while (!active.empty() && active.front().to < range.from) {
            const int r = active.front().reg;
            unused[kind_of(r)].push_back(slots[r]);
            std::pop_heap(active.begin(), active.end(), later);
            active.pop_back();
        }
        const int size = slots_of(function.registers[range.reg].type);
        auto& reusable = unused[kind_of(range.reg)];
        if (!reusable.empty()) {
            slots[range.reg] = reusable.back();
            reusable.pop_back();
        } else {
            slots[range.reg] = *end;
            *end += size;
        }
        active.push_back(range);
        std::push_heap(active.begin(), active.end(), later);
    }
    return slots;
}

}  // namespace emulator
