// The parser's parts: one class, whose members live by what they read in parser.cpp (modules),
// variables.cpp, functions.cpp and instructions.cpp. Private to this folder.
//
// Names are resolved while reading, since PTX declares before use; only labels look ahead, so they
// wait in the scope that used them until it closes.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/emulator/ptx/text.hpp"

namespace emulator::ptx {

class Parser : Expressions {
  public:
    explicit Parser(std::string_view text) : Expressions(text) {}

    Module parse();

  private:
    // ---- Module scope ----

    struct Symbol {
        bool is_function;
        size_t index;
    };

    void parse_header();
    void parse_module_statement();
    static bool space_of(std::string_view word, Space* space);
    void parse_file();
    void number_token();
    /// DWARF data: nothing that runs.
    void skip_section();
    void parse_pragma();
    void parse_alias();
    void apply_aliases();
    void declare_module_variable(Variable variable);

    // ---- Variables ----

    /// What `.global .align 4 .b8` says before a name, kept for further names of the statement.
    struct DeclarationHead {
        int64_t align = 0;
        int64_t lanes = 1;  ///< .v2, .v4
        Type type = Type::kB8;
    };

    bool repeat_declarator();
    void parse_attribute();
    DeclarationHead parse_head();
    Type type_of(std::string_view word, int line) const;
    /// From behind `.global`: the rest of one declarator, with its initializer.
    /// `prefix`: of the unique name; `plain`: the name as written.
    Variable parse_variable(Space space, bool is_extern, const std::string& prefix,
                            std::string_view* plain, const std::string& suffix = "");
    /// One brace level (or a scalar) of an initializer. `inner`: bytes of everything below the first
    /// dimension; `at`: offset of this part.
    int64_t parse_initializer(Variable& variable, const std::vector<int64_t>& dimensions,
                              size_t level, int64_t at, int64_t inner);
    void parse_initial_value(Variable& variable, int64_t at);

    // ---- Functions ----

    struct Name {
        enum class Kind : uint8_t { kRegister, kVariable, kBranchTable, kPrototype };
        Kind kind;
        int reg;
        std::string full;
    };

    struct PendingLabel {
        size_t instruction;
        size_t operand;     ///< or entry of the table
        std::string table;  ///< "": an operand
        std::string_view name;
        int line;
    };

    struct Scope {
        int number;
        std::unordered_map<std::string_view, Name> names;
        std::unordered_map<std::string_view, int> labels;
        std::vector<PendingLabel> pending;
    };

    void parse_parameters(std::vector<Variable>& list, const std::string& function, bool visible);
    void parse_triple(int (&values)[3]);
    void parse_function_directives(Function& function);
    void parse_function(bool is_entry);
    /// Makes the name known before the body is read, which may call itself. The index stays a
    /// declaration until then.
    size_t declare_function(const Function& function);
    /// '{' ... '}', the function's own or one of inline assembly.
    void parse_scope();
    void close_scope();
    bool resolve_label(const Scope& scope, const PendingLabel& pending);
    void finish_body(Function& function);
    void parse_loc();
    void parse_registers();
    void add_register(std::string_view written, Type type);
    void parse_local_variable(Space space, bool is_extern);
    void parse_body_statement();
    void parse_label(std::string_view label);
    void declare(std::string_view written, Name value);
    const Name* find(std::string_view written) const;

    // ---- Instructions ----

    static constexpr size_t kNoLabel = ~size_t{0};

    int predicate_register();
    void parse_instruction();
    Operand parse_list(size_t index);
    /// (returns), function, (arguments), prototype: all but the function may be absent.
    void parse_call(Instruction& instruction);
    /// `place`: which operand of instruction `index` it becomes, for labels; kNoLabel where a label
    /// cannot stand.
    Operand parse_operand(size_t index, size_t place, bool is_branch);
    int register_index(std::string_view written) const;
    void parse_pair(Operand& operand);
    Operand parse_named(size_t index, size_t place, bool is_branch);
    void parse_offset(Operand& operand);
    Operand parse_address(size_t index);

    Module module_;
    std::unordered_map<std::string, Symbol> symbols_;
    std::map<std::string, std::string> aliases_;

    DeclarationHead head_;
    bool repeat_head_ = false;

    Function* function_ = nullptr;
    std::vector<Scope> scopes_;
    int scope_count_ = 0;
    std::deque<std::string> generated_names_;
    Location location_;
};

}  // namespace emulator::ptx
