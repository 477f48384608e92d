// PTX text to ast.hpp: a recursive-descent parser, one pass over the text. This part reads what
// stands outside functions.
//
// Source: "Parallel Thread Execution ISA", chapters 4 (syntax, constant expressions), 5 (spaces,
// variables, initializers), 7 (functions) and 11 (directives); what the manual allows but nvcc never
// writes (vector registers, texture references, masks in initializers) is refused by name.
#include "tests/emulator/ptx/parser.hpp"

#include <algorithm>

#include "tests/emulator/ptx/parser_parts.hpp"

namespace emulator::ptx {

Module Parser::parse() {
    parse_header();
    while (peek() != '\0')
        parse_module_statement();
    apply_aliases();
    return std::move(module_);
}

void Parser::parse_header() {
    if (!accept_directive("version")) fail("expected .version first, found " + found());
    module_.version_major = [&] {
        if (!is_digit(peek())) fail("expected a version");
        int value = 0;
        while (is_digit(here()))
            value = value * 10 + (*at_++ - '0');
        return value;
    }();
    expect('.');
    module_.version_minor = plain_integer();
    if (module_.version_major > 9) fail("PTX versions beyond 9 are not known here");
    if (!accept_directive("target")) fail("expected .target, found " + found());
    module_.target = name();
    if (module_.target.rfind("sm_", 0) != 0) fail("expected a target sm_<number>");
    while (accept(',')) {
        const std::string_view option = name();
        if (option != "debug" && option != "texmode_unified" && option != "texmode_independent" &&
            option != "map_f64_to_f32")
            fail("unknown target option '" + std::string(option) + "'");
        if (option == "map_f64_to_f32") fail("map_f64_to_f32 is not supported");
    }
    if (!accept_directive("address_size")) fail("expected .address_size, found " + found());
    if (plain_integer() != 64) fail("only 64-bit addresses are supported");
}

void Parser::parse_module_statement() {
    if (accept(';')) return;
    if (accept_directive("file")) return parse_file();
    if (accept_directive("section")) return skip_section();
    if (accept_directive("pragma")) return parse_pragma();
    if (accept_directive("alias")) return parse_alias();
    // Debug information of -G stands between functions, too.
    if (accept_directive("loc")) return parse_loc();

    bool is_extern = false;
    for (;;) {
        if (accept_directive("extern")) {
            is_extern = true;
        } else if (!accept_directive("visible") && !accept_directive("weak") &&
                   !accept_directive("common")) {
            break;
        }
    }
    const int line = line_;
    const std::string_view what = directive();
    if (what == "entry" || what == "func") return parse_function(what == "entry");
    Space space;
    if (!space_of(what, &space) || space == Space::kParam || space == Space::kLocal)
        fail_at(line, "unknown directive '." + std::string(what) + "'");
    do {
        declare_module_variable(parse_variable(space, is_extern, "", nullptr));
        // `.global .b32 a, b;` shares what stands before the first name.
    } while (accept(',') && repeat_declarator());
    expect(';');
}

bool Parser::space_of(std::string_view word, Space* space) {
    if (word == "global")
        *space = Space::kGlobal;
    else if (word == "shared")
        *space = Space::kShared;
    else if (word == "local")
        *space = Space::kLocal;
    else if (word == "param")
        *space = Space::kParam;
    else if (word == "const")
        *space = Space::kConst;
    else
        return false;
    return true;
}

void Parser::parse_file() {
    const int number = plain_integer();
    if (number > 100000) fail("the file number is too large");
    if (module_.files.size() <= static_cast<size_t>(number)) module_.files.resize(number + 1);
    module_.files[number] = string_literal();
    while (accept(','))  // time stamp, size
        number_token();
}

void Parser::number_token() {
    if (!is_digit(peek())) fail("expected a number, found " + found());
    number();
}

void Parser::skip_section() {
    directive();
    if (peek() != '{') fail("expected '{', found " + found());
    const int opened = line_;
    int depth = 0;
    do {
        const char c = peek();
        if (c == '\0') fail_at(opened, "section without end");
        if (c == '"') {
            string_literal();
            continue;
        }
        depth += c == '{' ? 1 : c == '}' ? -1 : 0;
        ++at_;
    } while (depth > 0);
}

void Parser::parse_pragma() {
    do {
        string_literal();  // hints to ptxas
    } while (accept(','));
    expect(';');
}

void Parser::parse_alias() {
    const std::string alias(name());
    expect(',');
    const std::string target(name());
    expect(';');
    const auto is_function = [&](const std::string& each) {
        const auto it = symbols_.find(each);
        return it != symbols_.end() && it->second.is_function;
    };
    if (!is_function(alias)) fail("the alias '" + alias + "' is no declared function");
    if (!is_function(target) || module_.functions[symbols_[target].index].is_declaration)
        fail("the alias stands for '" + target + "', which is no defined function");
    if (!module_.functions[symbols_[alias].index].is_declaration)
        fail("'" + alias + "' has a body");
    aliases_[alias] = target;
}

void Parser::apply_aliases() {
    if (aliases_.empty()) return;
    const auto rename = [&](std::string& symbol) {
        const auto it = aliases_.find(symbol);
        if (it != aliases_.end()) symbol = it->second;
    };
    for (Function& function : module_.functions) {
        for (Instruction& instruction : function.instructions) {
            for (Operand& operand : instruction.operands) {
                if (operand.kind == Operand::Kind::kSymbol) rename(operand.name);
            }
        }
    }
    for (Variable& variable : module_.variables) {
        for (Variable::Relocation& relocation : variable.relocations)
            rename(relocation.symbol);
    }
    auto& functions = module_.functions;
    functions.erase(std::remove_if(functions.begin(), functions.end(),
                                   [&](const Function& f) { return aliases_.count(f.name); }),
                    functions.end());
}

void Parser::declare_module_variable(Variable variable) {
    const auto it = symbols_.find(variable.name);
    if (it == symbols_.end()) {
        symbols_[variable.name] = {false, module_.variables.size()};
        module_.variables.push_back(std::move(variable));
        return;
    }
    if (it->second.is_function) fail("'" + variable.name + "' is a function already");
    Variable& earlier = module_.variables[it->second.index];
    if (!earlier.is_extern && !variable.is_extern) fail("'" + variable.name + "' is defined twice");
    if (earlier.space != variable.space) fail("'" + variable.name + "' changes its space");
    if (!variable.is_extern) earlier = std::move(variable);
}

Module parse(std::string_view text) {
    return Parser(text).parse();
}

}  // namespace emulator::ptx
