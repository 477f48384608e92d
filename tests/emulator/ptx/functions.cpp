// Functions: their parameters and directives, scopes, registers, labels and the tables behind labels.
//
// Source: PTX ISA, chapters 7 and 11.
#include <algorithm>

#include "tests/emulator/ptx/parser_parts.hpp"

namespace emulator::ptx {
namespace {

bool same_layout(const std::vector<Variable>& a, const std::vector<Variable>& b) {
    return a.size() == b.size() &&
           std::equal(a.begin(), a.end(), b.begin(), [](const Variable& x, const Variable& y) {
               return x.bytes == y.bytes && x.align == y.align;
           });
}

}  // namespace

void Parser::parse_parameters(std::vector<Variable>& list, const std::string& function,
                              bool visible) {
    if (accept(')')) return;
    do {
        if (accept_directive("reg")) fail(".reg parameters are not supported");
        if (!accept_directive("param")) fail("expected .param, found " + found());
        repeat_head_ = false;
        std::string_view plain;
        // Declarations of prototypes all name their parameter "_".
        Variable variable = parse_variable(Space::kParam, false, function + "::", &plain);
        if (visible && plain != "_") {
            if (!scopes_.back()
                     .names.emplace(plain, Name{Name::Kind::kVariable, -1, variable.name})
                     .second)
                fail("'" + std::string(plain) + "' is declared twice");
        }
        list.push_back(std::move(variable));
    } while (accept(','));
    expect(')');
}

void Parser::parse_triple(int (&values)[3]) {
    values[0] = plain_integer();
    values[1] = values[2] = 1;
    for (int i = 1; i < 3 && accept(','); ++i)
        values[i] = plain_integer();
}

void Parser::parse_function_directives(Function& function) {
    while (peek() == '.') {
        const int line = line_;
        const std::string_view word = directive();
        if (word == "maxntid") {
            parse_triple(function.max_threads);
        } else if (word == "reqntid") {
            parse_triple(function.required_threads);
        } else if (word == "minnctapersm") {
            function.min_blocks = plain_integer();
        } else if (word == "maxnctapersm" || word == "maxnreg") {
            plain_integer();  // register allocation: nothing to emulate
        } else if (word == "reqnctapercluster") {
            parse_triple(function.cluster);
        } else if (word == "maxclusterrank") {
            plain_integer();
        } else if (word == "explicitcluster") {
            function.explicit_cluster = true;
        } else if (word == "noreturn" && !function.is_entry) {
            // a promise to the optimizer
        } else if (word == "pragma") {
            parse_pragma();
        } else if (word == "attribute") {
            parse_attribute();
        } else {
            fail_at(line, "unknown directive '." + std::string(word) + "'");
        }
    }
}

void Parser::parse_function(bool is_entry) {
    Function function;
    function.is_entry = is_entry;
    scopes_.clear();
    scopes_.push_back(Scope{0, {}, {}, {}});
    scope_count_ = 0;
    generated_names_.clear();

    // The name follows the return parameters, so those are read with a place holder.
    std::vector<Variable> returns;
    const char* returns_at = nullptr;
    int returns_line = 0;
    if (accept_directive("attribute")) parse_attribute();
    if (!is_entry && peek() == '(') {
        returns_at = at_;
        returns_line = line_;
        while (here() != ')') {
            if (here() == '\0') fail_at(returns_line, "'(' without end");
            if (here() == '\n') ++line_;
            ++at_;
        }
        ++at_;
    }
    function.name = name();
    if (returns_at != nullptr) {
        const char* resume = at_;
        const int resume_line = line_;
        at_ = returns_at + 1;
        line_ = returns_line;
        parse_parameters(function.returns, function.name, true);
        at_ = resume;
        line_ = resume_line;
    }
    if (accept('(')) parse_parameters(function.parameters, function.name, true);
    parse_function_directives(function);
    function.is_declaration = accept(';');
    const size_t index = declare_function(function);
    if (function.is_declaration) return;

    location_ = Location();
    function_ = &function;
    if (peek() != '{') fail("expected '{' or ';', found " + found());
    parse_scope();
    finish_body(function);
    function_ = nullptr;
    module_.functions[index] = std::move(function);
}

size_t Parser::declare_function(const Function& function) {
    const auto it = symbols_.find(function.name);
    Function declaration = function;
    if (it == symbols_.end()) {
        symbols_[function.name] = {true, module_.functions.size()};
        module_.functions.push_back(std::move(declaration));
        return module_.functions.size() - 1;
    }
    if (!it->second.is_function) fail("'" + function.name + "' is a variable already");
    Function& earlier = module_.functions[it->second.index];
    if (!earlier.is_declaration && !function.is_declaration)
        fail("'" + function.name + "' is defined twice");
    if (earlier.is_entry != function.is_entry || !same_layout(earlier.returns, function.returns) ||
        !same_layout(earlier.parameters, function.parameters))
        fail("'" + function.name + "' was declared differently");
    return it->second.index;
}

void Parser::parse_scope() {
    const int opened = line_;
    expect('{');
    for (;;) {
        const char c = peek();
        if (c == '\0') fail_at(opened, "'{' without end");
        if (c == '}') {
            ++at_;
            return;
        }
        if (c == '{') {
            scopes_.push_back(Scope{++scope_count_, {}, {}, {}});
            parse_scope();
            close_scope();
        } else {
            parse_body_statement();
        }
    }
}

void Parser::close_scope() {
    Scope scope = std::move(scopes_.back());
    scopes_.pop_back();
    Scope& outer = scopes_.back();
    for (PendingLabel& pending : scope.pending) {
        if (!resolve_label(scope, pending)) outer.pending.push_back(std::move(pending));
    }
}

bool Parser::resolve_label(const Scope& scope, const PendingLabel& pending) {
    const auto it = scope.labels.find(pending.name);
    if (it == scope.labels.end()) return false;
    if (pending.table.empty())
        function_->instructions[pending.instruction].operands[pending.operand].target = it->second;
    else
        function_->branch_targets[pending.table][pending.operand] = it->second;
    return true;
}

void Parser::finish_body(Function& function) {
    Scope& scope = scopes_.back();
    for (const PendingLabel& pending : scope.pending) {
        if (!resolve_label(scope, pending))
            fail_at(pending.line, "unknown name '" + std::string(pending.name) + "'");
    }
    auto& targets = function.label_targets;
    std::sort(targets.begin(), targets.end());
    targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
    const auto& body = function.instructions;
    const auto falls_off = [](const Instruction& last) {
        return last.guard >= 0 ||
               (last.opcode != "ret" && last.opcode != "exit" && last.opcode != "bra" &&
                last.opcode != "trap" && last.opcode != "brx");
    };
    if (body.empty() || falls_off(body.back()) ||
        (!targets.empty() && targets.back() == static_cast<int>(body.size()))) {
        Instruction end;
        end.opcode = "ret";
        end.location = location_;
        end.location.line = line_;
        function.instructions.push_back(std::move(end));
    }
}

void Parser::parse_loc() {
    location_.file = plain_integer();
    location_.source_line = plain_integer();
    plain_integer();
    location_.caller_file = -1;
    location_.caller_line = 0;
    while (accept(',')) {
        const std::string_view word = name();
        if (word == "function_name") {
            name();
            if (accept('+')) plain_integer();
        } else if (word == "inlined_at") {
            location_.caller_file = plain_integer();
            location_.caller_line = plain_integer();
            plain_integer();
        } else {
            fail("unknown part '" + std::string(word) + "' of .loc");
        }
    }
}

void Parser::parse_registers() {
    const int line = line_;
    const std::string_view word = directive();
    if (word == "v2" || word == "v4") fail_at(line, "vector registers are not supported");
    const Type type = type_of(word, line);
    do {
        const std::string_view written = name();
        if (accept('<')) {
            const int count = plain_integer();
            expect('>');
            if (count > 1000000) fail("too many registers");
            for (int i = 0; i < count; ++i) {
                generated_names_.push_back(std::string(written) + std::to_string(i));
                add_register(generated_names_.back(), type);
            }
        } else {
            add_register(written, type);
        }
    } while (accept(','));
    expect(';');
}

void Parser::add_register(std::string_view written, Type type) {
    const int index = static_cast<int>(function_->registers.size());
    if (!scopes_.back().names.emplace(written, Name{Name::Kind::kRegister, index, ""}).second)
        fail("'" + std::string(written) + "' is declared twice");
    function_->registers.push_back({std::string(written), type});
}

void Parser::parse_local_variable(Space space, bool is_extern) {
    Scope& scope = scopes_.back();
    const std::string suffix = scope.number == 0 ? "" : "#" + std::to_string(scope.number);
    do {
        std::string_view plain;
        Variable variable =
            parse_variable(space, is_extern, function_->name + "::", &plain, suffix);
        if (!scope.names.emplace(plain, Name{Name::Kind::kVariable, -1, variable.name}).second)
            fail("'" + std::string(plain) + "' is declared twice");
        if (space == Space::kGlobal || space == Space::kConst)
            declare_module_variable(std::move(variable));
        else
            function_->locals.push_back(std::move(variable));
    } while (accept(',') && repeat_declarator());
    expect(';');
}

void Parser::parse_body_statement() {
    const char c = peek();
    if (c == ';') {
        ++at_;
        return;
    }
    if (c == '.') {
        const int line = line_;
        const std::string_view word = directive();
        Space space;
        if (word == "loc") return parse_loc();
        if (word == "reg") return parse_registers();
        if (word == "pragma") return parse_pragma();
        if (word == "file") return parse_file();
        if (word == "section") return skip_section();
        if (space_of(word, &space)) return parse_local_variable(space, false);
        fail_at(line, "unknown directive '." + std::string(word) + "'");
    }
    if (c == '@') return parse_instruction();
    if (!starts_name(c)) fail("expected an instruction, found " + found());

    const char* begin = at_;
    const int line = line_;
    const std::string_view word = name();
    if (peek() == ':' && next() != ':') {
        ++at_;
        parse_label(word);
        return;
    }
    at_ = begin;
    line_ = line;
    parse_instruction();
}

void Parser::parse_label(std::string_view label) {
    Scope& scope = scopes_.back();
    if (accept_directive("branchtargets")) {
        std::string table(label);
        // The same table name in another scope of inline assembly.
        while (function_->branch_targets.count(table) != 0)
            table += "#" + std::to_string(scope.number);
        declare(label, Name{Name::Kind::kBranchTable, -1, table});
        std::vector<int>& entries = function_->branch_targets[table];
        do {
            const std::string_view target = name();
            scope.pending.push_back({0, entries.size(), table, target, line_});
            entries.push_back(-1);
        } while (accept(','));
        expect(';');
        return;
    }
    if (accept_directive("calltargets")) {
        do {
            const std::string callee(name());
            const auto it = symbols_.find(callee);
            if (it == symbols_.end() || !it->second.is_function)
                fail("'" + callee + "' is no function");
        } while (accept(','));
        expect(';');
        return declare(label, Name{Name::Kind::kPrototype, -1, ""});
    }
    if (accept_directive("callprototype")) {
        std::vector<Variable> unused;
        if (accept('(')) parse_parameters(unused, "", false);
        name();  // "_"
        if (accept('(')) parse_parameters(unused, "", false);
        if (accept_directive("noreturn")) {
            // a promise to the optimizer
        }
        expect(';');
        return declare(label, Name{Name::Kind::kPrototype, -1, ""});
    }
    const int target = static_cast<int>(function_->instructions.size());
    if (!scope.labels.emplace(label, target).second)
        fail("the label '" + std::string(label) + "' stands twice in one scope");
    function_->label_targets.push_back(target);
}

void Parser::declare(std::string_view written, Name value) {
    if (!scopes_.back().names.emplace(written, std::move(value)).second)
        fail("'" + std::string(written) + "' is declared twice");
}

const Parser::Name* Parser::find(std::string_view written) const {
    for (size_t i = scopes_.size(); i-- > 0;) {
        const auto it = scopes_[i].names.find(written);
        if (it != scopes_[i].names.end()) return &it->second;
    }
    return nullptr;
}
}  // namespace emulator::ptx
