// Instructions and their operands: registers, special registers, immediates, addresses, vectors, calls.
//
// Source: PTX ISA, chapters 6, 9 and 10.
#include <algorithm>
#include <cstdlib>
#include <unordered_set>

#include "tests/emulator/ptx/parser_parts.hpp"

namespace emulator::ptx {
namespace {

/// Special registers without components; those with ".x" are in kVectorSpecials.
const std::unordered_set<std::string_view> kScalarSpecials = {
    "%laneid",
    "%warpid",
    "%nwarpid",
    "%smid",
    "%nsmid",
    "%gridid",
    "%is_explicit_cluster",
    "%cluster_ctarank",
    "%cluster_nctarank",
    "%lanemask_eq",
    "%lanemask_le",
    "%lanemask_lt",
    "%lanemask_ge",
    "%lanemask_gt",
    "%clock",
    "%clock_hi",
    "%clock64",
    "%globaltimer",
    "%globaltimer_lo",
    "%globaltimer_hi",
    "%total_smem_size",
    "%aggr_smem_size",
    "%dynamic_smem_size",
    "%current_graph_exec",
    "%reserved_smem_offset_begin",
    "%reserved_smem_offset_end",
    "%reserved_smem_offset_cap",
    "%reserved_smem_offset_0",
    "%reserved_smem_offset_1",
};
const std::unordered_set<std::string_view> kVectorSpecials = {
    "%tid",       "%ntid",       "%ctaid",         "%nctaid",
    "%clusterid", "%nclusterid", "%cluster_ctaid", "%cluster_nctaid",
};

/// %envreg0 .. %envreg31, %pm0 .. %pm7, %pm0_64 .. %pm7_64.
bool is_numbered_special(std::string_view name) {
    const auto rest_is_number = [&](std::string_view rest, int limit) {
        return !rest.empty() && rest.size() <= 2 &&
               std::all_of(rest.begin(), rest.end(), is_digit) &&
               std::atoi(std::string(rest).c_str()) < limit;
    };
    if (name.rfind("%envreg", 0) == 0) return rest_is_number(name.substr(7), 32);
    if (name.rfind("%pm", 0) != 0) return false;
    std::string_view rest = name.substr(3);
    if (rest.size() > 3 && rest.substr(rest.size() - 3) == "_64") rest.remove_suffix(3);
    return rest_is_number(rest, 8);
}

}  // namespace

int Parser::predicate_register() {
    const std::string_view written = name();
    const Name* known = find(written);
    if (known == nullptr || known->kind != Name::Kind::kRegister)
        fail("unknown predicate '" + std::string(written) + "'");
    if (function_->registers[known->reg].type != Type::kPred)
        fail("'" + std::string(written) + "' is no predicate");
    return known->reg;
}

void Parser::parse_instruction() {
    Instruction instruction;
    if (accept('@')) {
        instruction.guard_negated = accept('!');
        instruction.guard = predicate_register();
    }
    skip_space();
    instruction.location = location_;
    instruction.location.line = line_;
    if (!is_letter(here())) fail("expected an opcode, found " + found());
    instruction.opcode = name();
    for (;;) {
        if (here() != '.') {
            // ".u32" may stand apart from what it belongs to; no operand starts like that.
            if (peek() != '.' || !is_letter(next())) break;
        }
        ++at_;
        instruction.modifiers.emplace_back(modifier());
    }
    const size_t index = function_->instructions.size();
    if (instruction.opcode == "call") {
        parse_call(instruction);
    } else if (peek() != ';') {
        const bool branches = instruction.opcode == "bra";
        do {
            instruction.operands.push_back(
                parse_operand(index, instruction.operands.size(), branches));
        } while (accept(','));
    }
    if (peek() != ';') fail("expected ',' or ';', found " + found());
    ++at_;
    function_->instructions.push_back(std::move(instruction));
}

Operand Parser::parse_list(size_t index) {
    Operand list;
    list.kind = Operand::Kind::kVector;
    if (peek() == '(') {
        ++at_;
        if (accept(')')) return list;
        do {
            list.elements.push_back(parse_operand(index, kNoLabel, false));
        } while (accept(','));
        expect(')');
    }
    return list;
}

void Parser::parse_call(Instruction& instruction) {
    const size_t index = function_->instructions.size();
    Operand returns;
    returns.kind = Operand::Kind::kVector;
    if (peek() == '(') {
        returns = parse_list(index);
        expect(',');
    }
    Operand callee = parse_operand(index, kNoLabel, false);
    if (callee.kind == Operand::Kind::kSymbol) {
        const auto it = symbols_.find(callee.name);
        if (it == symbols_.end() || !it->second.is_function)
            fail("'" + callee.name + "' is no function");
    } else if (callee.kind != Operand::Kind::kRegister) {
        fail("expected a function or a register with its address");
    }
    Operand arguments;
    arguments.kind = Operand::Kind::kVector;
    bool has_prototype = false;
    if (accept(',')) {
        if (peek() == '(') {
            arguments = parse_list(index);
            has_prototype = accept(',');
        } else {
            has_prototype = true;
        }
    }
    if (has_prototype) {
        const std::string_view written = name();
        const Name* known = find(written);
        if (known == nullptr || known->kind != Name::Kind::kPrototype)
            fail("unknown prototype '" + std::string(written) + "'");
    }
    instruction.operands.push_back(std::move(returns));
    instruction.operands.push_back(std::move(callee));
    instruction.operands.push_back(std::move(arguments));
}

Operand Parser::parse_operand(size_t index, size_t place, bool is_branch) {
    const char c = peek();
    Operand operand;
    if (c == '[') return parse_address(index);
    if (c == '{') {
        ++at_;
        operand.kind = Operand::Kind::kVector;
        do {
            operand.elements.push_back(parse_operand(index, kNoLabel, false));
        } while (accept(','));
        expect('}');
        return operand;
    }
    if (c == '!') {
        const char* begin = at_++;
        const int line = line_;
        if (starts_name(peek())) {
            operand = parse_operand(index, kNoLabel, false);
            if (operand.kind != Operand::Kind::kRegister) fail("'!' stands before predicates");
            operand.negated = true;
            return operand;
        }
        at_ = begin;
        line_ = line;
    }
    if (c == '_' && !continues_name(next())) {
        ++at_;
        operand.kind = Operand::Kind::kSink;
        parse_pair(operand);
        return operand;
    }
    if (starts_name(c)) return parse_named(index, place, is_branch);
    const Constant value = expression();
    operand.kind = Operand::Kind::kImmediate;
    operand.literal = value.literal;
    operand.bits = value.bits;
    return operand;
}

int Parser::register_index(std::string_view written) const {
    const Name* known = find(written);
    if (known == nullptr || known->kind != Name::Kind::kRegister)
        fail("unknown register '" + std::string(written) + "'");
    return known->reg;
}

void Parser::parse_pair(Operand& operand) {
    if (!accept('|')) return;
    if (peek() == '_' && !continues_name(next())) {
        ++at_;
        operand.pair = Operand::kPairSink;
    } else {
        operand.pair = register_index(name());
    }
}

Operand Parser::parse_named(size_t index, size_t place, bool is_branch) {
    Operand operand;
    const std::string_view written = name();
    const Name* known = is_branch ? nullptr : find(written);
    if (known != nullptr && known->kind == Name::Kind::kRegister) {
        operand.kind = Operand::Kind::kRegister;
        operand.reg = known->reg;
        if (here() == '.') fail("components of registers are not supported");
        parse_pair(operand);
        return operand;
    }
    if (known != nullptr) {
        operand.kind = Operand::Kind::kSymbol;
        operand.name = known->full;
        if (known->kind == Name::Kind::kVariable) parse_offset(operand);
        return operand;
    }
    if (written.front() == '%') {
        operand.kind = Operand::Kind::kSpecial;
        operand.name = written;
        if (here() == '.' && kVectorSpecials.count(written) != 0) {
            ++at_;
            const char component = here();
            if ((component < 'w' || component > 'z') || continues_name(next()))
                fail("expected .x, .y, .z or .w");
            ++at_;
            operand.name += '.';
            operand.name += component;
            return operand;
        }
        if (kVectorSpecials.count(written) != 0)
            fail("'" + operand.name + "' is read by component here: .x, .y, .z");
        if (kScalarSpecials.count(written) == 0 && !is_numbered_special(written))
            fail("unknown register '" + operand.name + "'");
        return operand;
    }
    if (written == "WARP_SZ" && !is_branch) {
        at_ -= written.size();
        operand.kind = Operand::Kind::kImmediate;
        operand.bits = expression().bits;
        return operand;
    }
    if (!is_branch) {
        const auto it = symbols_.find(std::string(written));
        if (it != symbols_.end()) {
            operand.kind = Operand::Kind::kSymbol;
            operand.name = written;
            if (!it->second.is_function) parse_offset(operand);
            return operand;
        }
    }
    if (place == kNoLabel) fail("unknown name '" + std::string(written) + "'");
    operand.kind = Operand::Kind::kLabel;
    scopes_.back().pending.push_back({index, place, "", written, line_});
    return operand;
}

void Parser::parse_offset(Operand& operand) {
    if (peek() == '+') {
        ++at_;
        operand.offset = integer();
    } else if (here() == '-') {
        operand.offset = integer();
    }
}

Operand Parser::parse_address(size_t index) {
    expect('[');
    Operand operand;
    operand.kind = Operand::Kind::kAddress;
    if (starts_name(peek())) {
        const std::string_view written = name();
        const Name* known = find(written);
        if (known != nullptr && known->kind == Name::Kind::kRegister) {
            operand.reg = known->reg;
        } else if (known != nullptr && known->kind == Name::Kind::kVariable) {
            operand.name = known->full;
        } else if (known == nullptr && symbols_.count(std::string(written)) != 0) {
            operand.name = written;
        } else {
            fail("unknown name '" + std::string(written) + "' in an address");
        }
        parse_offset(operand);
    } else {
        operand.offset = integer();
    }
    if (accept(',')) {
        const Operand list = parse_operand(index, kNoLabel, false);
        if (list.kind == Operand::Kind::kVector)
            operand.elements = list.elements;
        else
            operand.elements.push_back(list);
    }
    if (peek() != ']') fail("expected ']', found " + found());
    ++at_;
    return operand;
}
}  // namespace emulator::ptx
