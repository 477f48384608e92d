// PTX text to ast.hpp: a recursive-descent parser without a separate lexer, one pass over the text.
//
// Source: "Parallel Thread Execution ISA", chapters 4 (syntax, constant expressions), 5 (spaces,
// variables, initializers), 7 (functions) and 11 (directives); what the manual allows but nvcc never
// writes (vector registers, texture references, masks in initializers) is refused by name.
// Names are resolved while reading, since PTX declares before use; only labels look ahead, so they
// wait in the scope that used them until it closes.
#include "tests/emulator/ptx/parser.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <unordered_map>
#include <unordered_set>

namespace emulator::ptx {

namespace {

bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}
bool is_letter(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool starts_name(char c) noexcept {
    return is_letter(c) || c == '_' || c == '$' || c == '%';
}
bool continues_name(char c) noexcept {
    return is_letter(c) || is_digit(c) || c == '_' || c == '$';
}

int hex_value(char c) noexcept {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

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

/// A value of a constant expression.
struct Constant {
    Operand::Literal literal = Operand::Literal::kInteger;
    bool is_unsigned = false;
    uint64_t bits = 0;
};

class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text) {
        // PTX out of a fatbin ends with zeros.
        while (!text_.empty() && text_.back() == '\0')
            text_.remove_suffix(1);
        at_ = text_.data();
        end_ = at_ + text_.size();
    }

    Module parse() {
        parse_header();
        while (peek() != '\0')
            parse_module_statement();
        apply_aliases();
        return std::move(module_);
    }

  private:
    // ---- Characters and tokens ----

    [[noreturn]] void fail(const std::string& what) const { fail_at(line_, what); }

    [[noreturn]] void fail_at(int line, const std::string& what) const {
        size_t begin = 0;
        for (int i = 1; i < line && begin != std::string_view::npos; ++i) {
            begin = text_.find('\n', begin);
            if (begin != std::string_view::npos) ++begin;
        }
        std::string shown;
        if (begin != std::string_view::npos) {
            const size_t stop = text_.find('\n', begin);
            shown = text_.substr(begin, stop == std::string_view::npos ? stop : stop - begin);
            const size_t first = shown.find_first_not_of(" \t\r");
            shown.erase(0, first == std::string::npos ? shown.size() : first);
            constexpr size_t kLongest = 160;
            if (shown.size() > kLongest) shown = shown.substr(0, kLongest) + "...";
        }
        throw ParseError("line " + std::to_string(line) + ": " + what + " : " + shown);
    }

    char here() const noexcept { return at_ < end_ ? *at_ : '\0'; }
    char next(int ahead = 1) const noexcept { return at_ + ahead < end_ ? at_[ahead] : '\0'; }

    void skip_space() {
        while (at_ < end_) {
            const char c = *at_;
            if (c == '\n') {
                ++line_;
                ++at_;
            } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
                ++at_;
            } else if (c == '/' && next() == '/') {
                while (at_ < end_ && *at_ != '\n')
                    ++at_;
            } else if (c == '/' && next() == '*') {
                const int opened = line_;
                at_ += 2;
                while (at_ < end_ && !(*at_ == '*' && next() == '/')) {
                    if (*at_ == '\n') ++line_;
                    ++at_;
                }
                if (at_ >= end_) fail_at(opened, "comment without end");
                at_ += 2;
            } else {
                return;
            }
        }
    }

    char peek() {
        skip_space();
        return here();
    }

    bool accept(char c) {
        if (peek() != c) return false;
        ++at_;
        return true;
    }

    std::string found() {
        const char c = peek();
        if (c == '\0') return "the end of the text";
        if (starts_name(c)) {
            const char* stop = at_ + 1;
            while (stop < end_ && continues_name(*stop))
                ++stop;
            return "'" + std::string(at_, stop) + "'";
        }
        return std::string("'") + c + "'";
    }

    void expect(char c) {
        if (!accept(c)) fail(std::string("expected '") + c + "', found " + found());
    }

    std::string_view name() {
        if (!starts_name(peek())) fail("expected a name, found " + found());
        const char* begin = at_++;
        while (continues_name(here()))
            ++at_;
        return {begin, static_cast<size_t>(at_ - begin)};
    }

    /// After a dot: letters, digits, '_', and "::" inside.
    std::string_view modifier() {
        const char* begin = at_;
        for (;;) {
            if (continues_name(here())) {
                ++at_;
            } else if (here() == ':' && next() == ':' && continues_name(next(2))) {
                at_ += 2;
            } else {
                break;
            }
        }
        if (begin == at_) fail("expected a name behind '.'");
        return {begin, static_cast<size_t>(at_ - begin)};
    }

    /// ".word" if it comes next.
    bool accept_directive(std::string_view word) {
        if (peek() != '.') return false;
        const char* begin = at_ + 1;
        if (static_cast<size_t>(end_ - begin) < word.size() ||
            std::string_view(begin, word.size()) != word ||
            (begin + word.size() < end_ && continues_name(begin[word.size()])))
            return false;
        at_ = begin + word.size();
        return true;
    }

    std::string_view directive() {
        if (peek() != '.') fail("expected a directive, found " + found());
        ++at_;
        return modifier();
    }

    std::string string_literal() {
        if (peek() != '"') fail("expected a string, found " + found());
        ++at_;
        std::string value;
        while (here() != '"') {
            if (here() == '\0' || here() == '\n') fail("string without end");
            if (here() == '\\') {
                ++at_;
                if (here() == '\0') fail("string without end");
            }
            value += *at_++;
        }
        ++at_;
        return value;
    }

    // ---- Constant expressions (chapter 4.5) ----

    Constant number() {
        Constant value;
        const char kind = next();
        if (here() == '0' && (kind == 'f' || kind == 'F' || kind == 'd' || kind == 'D')) {
            const bool is_single = kind == 'f' || kind == 'F';
            const int digits = is_single ? 8 : 16;
            at_ += 2;
            for (int i = 0; i < digits; ++i, ++at_) {
                if (hex_value(here()) < 0)
                    fail(is_single ? "0f takes eight hexadecimal digits"
                                   : "0d takes sixteen hexadecimal digits");
                value.bits = value.bits << 4 | static_cast<uint64_t>(hex_value(here()));
            }
            if (continues_name(here())) fail("too many digits");
            value.literal = is_single ? Operand::Literal::kF32 : Operand::Literal::kF64;
            return value;
        }
        int base = 10;
        const char* begin = at_;
        if (here() == '0' && (kind == 'x' || kind == 'X')) {
            base = 16;
            at_ += 2;
        } else if (here() == '0' && (kind == 'b' || kind == 'B')) {
            base = 2;
            at_ += 2;
        } else {
            const char* stop = at_;
            while (stop < end_ && is_digit(*stop))
                ++stop;
            if (stop < end_ && (*stop == '.' || *stop == 'e' || *stop == 'E')) return decimal();
            if (here() == '0' && is_digit(kind)) base = 8;
        }
        const char* first = at_;
        bool overflow = false;
        while (hex_value(here()) >= 0 && hex_value(here()) < base) {
            const auto digit = static_cast<uint64_t>(hex_value(here()));
            uint64_t product = 0;
            overflow |= __builtin_mul_overflow(value.bits, static_cast<uint64_t>(base), &product);
            overflow |= __builtin_add_overflow(product, digit, &value.bits);
            ++at_;
        }
        if (first == at_) fail("expected a number, found '" + std::string(begin, at_) + "'");
        if (overflow) fail("the number does not fit 64 bits");
        value.is_unsigned = value.bits >> 63 != 0;
        if (here() == 'U') {
            value.is_unsigned = true;
            ++at_;
        }
        if (continues_name(here())) fail("malformed number");
        return value;
    }

    Constant decimal() {
        const char* begin = at_;
        while (is_digit(here()) || here() == '.')
            ++at_;
        if (here() == 'e' || here() == 'E') {
            ++at_;
            if (here() == '+' || here() == '-') ++at_;
            if (!is_digit(here())) fail("malformed number");
            while (is_digit(here()))
                ++at_;
        }
        if (continues_name(here())) fail("malformed number");
        const std::string digits(begin, at_);
        char* stop = nullptr;
        const double number = std::strtod(digits.c_str(), &stop);
        if (stop != digits.c_str() + digits.size()) fail("malformed number");
        Constant value;
        value.literal = Operand::Literal::kF64;
        std::memcpy(&value.bits, &number, sizeof number);
        return value;
    }

    Constant unary() {
        const char c = peek();
        if (c == '-' || c == '+' || c == '~' || c == '!') {
            ++at_;
            Constant value = unary();
            const bool is_float = value.literal != Operand::Literal::kInteger;
            if (c == '-') {
                if (value.literal == Operand::Literal::kF32) {
                    value.bits ^= uint64_t{1} << 31;
                } else if (value.literal == Operand::Literal::kF64) {
                    value.bits ^= uint64_t{1} << 63;
                } else {
                    value.bits = 0 - value.bits;
                    value.is_unsigned = false;
                }
            } else if (is_float && c != '+') {
                fail("this operator takes integers");
            } else if (c == '~') {
                value.bits = ~value.bits;
            } else if (c == '!') {
                value.bits = value.bits == 0 ? 1 : 0;
                value.is_unsigned = false;
            }
            return value;
        }
        if (c == '(') {
            ++at_;
            if (accept_directive("s64") || accept_directive("u64")) {
                const bool is_unsigned = at_[-3] == 'u';
                expect(')');
                Constant value = unary();
                if (value.literal != Operand::Literal::kInteger) fail("a cast takes integers");
                value.is_unsigned = is_unsigned;
                return value;
            }
            const Constant value = expression();
            expect(')');
            return value;
        }
        if (is_digit(c)) return number();
        if (c == '.' && is_digit(next())) return decimal();
        if (starts_name(c)) {
            const char* begin = at_;
            if (name() == "WARP_SZ") {
                Constant value;
                value.bits = 32;
                return value;
            }
            at_ = begin;
        }
        fail("expected a number, found " + found());
    }

    struct BinaryOperator {
        std::string_view text;
        int precedence;
    };

    BinaryOperator binary_operator() {
        static constexpr BinaryOperator kOperators[] = {
            {"<<", 8}, {">>", 8}, {"<=", 7}, {">=", 7}, {"==", 6}, {"!=", 6},
            {"&&", 2}, {"||", 1}, {"*", 10}, {"/", 10}, {"%", 10}, {"+", 9},
            {"-", 9},  {"<", 7},  {">", 7},  {"&", 5},  {"^", 4},  {"|", 3},
        };
        skip_space();
        const std::string_view rest(at_, static_cast<size_t>(end_ - at_));
        for (const BinaryOperator& each : kOperators) {
            if (rest.substr(0, each.text.size()) == each.text) return each;
        }
        return {"", 0};
    }

    Constant apply(std::string_view symbol, const Constant& a, const Constant& b) {
        if (a.literal != Operand::Literal::kInteger || b.literal != Operand::Literal::kInteger)
            fail("operators between floating constants are not supported");
        Constant value;
        value.is_unsigned = a.is_unsigned || b.is_unsigned;
        const bool is_unsigned = value.is_unsigned;
        const uint64_t x = a.bits, y = b.bits;
        const auto sx = static_cast<int64_t>(x);
        const auto sy = static_cast<int64_t>(y);
        const auto truth = [&](bool holds) {
            value.is_unsigned = false;
            value.bits = holds ? 1 : 0;
        };
        if (symbol == "*") {
            value.bits = x * y;
        } else if (symbol == "/" || symbol == "%") {
            if (y == 0) fail("division by zero");
            const bool wraps = !is_unsigned && sy == -1;
            if (symbol == "/")
                value.bits = is_unsigned ? x / y : wraps ? 0 - x : static_cast<uint64_t>(sx / sy);
            else
                value.bits = is_unsigned ? x % y : wraps ? 0 : static_cast<uint64_t>(sx % sy);
        } else if (symbol == "+") {
            value.bits = x + y;
        } else if (symbol == "-") {
            value.bits = x - y;
        } else if (symbol == "<<" || symbol == ">>") {
            if (y > 63) fail("the shift count exceeds 63");
            value.is_unsigned = a.is_unsigned;
            value.bits = symbol == "<<"  ? x << y
                         : a.is_unsigned ? x >> y
                                         : static_cast<uint64_t>(sx >> y);
        } else if (symbol == "<") {
            truth(is_unsigned ? x < y : sx < sy);
        } else if (symbol == ">") {
            truth(is_unsigned ? x > y : sx > sy);
        } else if (symbol == "<=") {
            truth(is_unsigned ? x <= y : sx <= sy);
        } else if (symbol == ">=") {
            truth(is_unsigned ? x >= y : sx >= sy);
        } else if (symbol == "==") {
            truth(x == y);
        } else if (symbol == "!=") {
            truth(x != y);
        } else if (symbol == "&") {
            value.bits = x & y;
        } else if (symbol == "^") {
            value.bits = x ^ y;
        } else if (symbol == "|") {
            value.bits = x | y;
        } else if (symbol == "&&") {
            truth(x != 0 && y != 0);
        } else {
            truth(x != 0 || y != 0);
        }
        return value;
    }

    Constant binary(int lowest) {
        Constant value = unary();
        for (;;) {
            const BinaryOperator op = binary_operator();
            if (op.precedence == 0 || op.precedence < lowest) return value;
            at_ += op.text.size();
            value = apply(op.text, value, binary(op.precedence + 1));
        }
    }

    Constant expression() {
        const Constant condition = binary(1);
        if (!accept('?')) return condition;
        const Constant yes = expression();
        expect(':');
        const Constant no = expression();
        return condition.bits != 0 ? yes : no;
    }

    int64_t integer() {
        const Constant value = expression();
        if (value.literal != Operand::Literal::kInteger) fail("expected an integer");
        return static_cast<int64_t>(value.bits);
    }

    /// An integer of a directive; one without operators, since the next may follow without a comma.
    int plain_integer() {
        if (!is_digit(peek())) fail("expected an integer, found " + found());
        const Constant value = number();
        if (value.literal != Operand::Literal::kInteger || value.bits > 0x7FFFFFFF)
            fail("expected a 31-bit integer");
        return static_cast<int>(value.bits);
    }

    // ---- Module scope ----

    void parse_header() {
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
            if (option != "debug" && option != "texmode_unified" &&
                option != "texmode_independent" && option != "map_f64_to_f32")
                fail("unknown target option '" + std::string(option) + "'");
            if (option == "map_f64_to_f32") fail("map_f64_to_f32 is not supported");
        }
        if (!accept_directive("address_size")) fail("expected .address_size, found " + found());
        if (plain_integer() != 64) fail("only 64-bit addresses are supported");
    }

    void parse_module_statement() {
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

    static bool space_of(std::string_view word, Space* space) {
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

    void parse_file() {
        const int number = plain_integer();
        if (number > 100000) fail("the file number is too large");
        if (module_.files.size() <= static_cast<size_t>(number)) module_.files.resize(number + 1);
        module_.files[number] = string_literal();
        while (accept(','))  // time stamp, size
            number_token();
    }

    void number_token() {
        if (!is_digit(peek())) fail("expected a number, found " + found());
        number();
    }

    /// DWARF data: nothing that runs.
    void skip_section() {
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

    void parse_pragma() {
        do {
            string_literal();  // hints to ptxas
        } while (accept(','));
        expect(';');
    }

    void parse_alias() {
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

    void apply_aliases() {
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

    // ---- Variables ----

    /// What `.global .align 4 .b8` says before a name, kept for further names of the statement.
    struct DeclarationHead {
        int64_t align = 0;
        int64_t lanes = 1;  ///< .v2, .v4
        Type type = Type::kB8;
    };

    bool repeat_declarator() {
        repeat_head_ = true;
        return true;
    }

    void parse_attribute() {
        expect('(');
        do {
            const std::string_view word = directive();
            if (word == "managed") continue;  // host and device share addresses here anyway
            if (word == "unified") fail("the attribute .unified is not supported");
            fail("unknown attribute '." + std::string(word) + "'");
        } while (accept(','));
        expect(')');
    }

    DeclarationHead parse_head() {
        DeclarationHead head;
        for (;;) {
            const int line = line_;
            const std::string_view word = directive();
            if (word == "align") {
                head.align = plain_integer();
                if (head.align == 0 || (head.align & (head.align - 1)) != 0)
                    fail("an alignment is a power of two");
            } else if (word == "v2" || word == "v4") {
                head.lanes = word[1] - '0';
            } else if (word == "attribute") {
                parse_attribute();
            } else {
                head.type = type_of(word, line);
                if (head.type == Type::kPred) fail_at(line, "no variable is a predicate");
                break;
            }
        }
        // `.ptr .global .align 8`: what a kernel parameter points to.
        if (accept_directive("ptr")) {
            Space space;
            const char* before = at_;
            if (peek() == '.') {
                if (!space_of(directive(), &space)) at_ = before;
            }
            if (accept_directive("align")) plain_integer();
        }
        if (accept_directive("align")) fail(".align stands before the type");
        return head;
    }

    Type type_of(std::string_view word, int line) const {
        try {
            return parse_type(word);
        } catch (const std::invalid_argument&) {
            fail_at(line, "'." + std::string(word) + "' is no type that is supported here");
        }
    }

    /// From behind `.global`: the rest of one declarator, with its initializer.
    /// `prefix`: of the unique name; `plain`: the name as written.
    Variable parse_variable(Space space, bool is_extern, const std::string& prefix,
                            std::string_view* plain, const std::string& suffix = "") {
        if (!repeat_head_) head_ = parse_head();
        repeat_head_ = false;
        Variable variable;
        variable.space = space;
        variable.is_extern = is_extern;
        variable.type = head_.type;
        const std::string_view written = name();
        if (plain != nullptr) *plain = written;
        variable.name = prefix + std::string(written) + suffix;
        if (accept('<')) fail("ranges of variables are not supported");
        const int64_t element = type_bytes(head_.type);
        std::vector<int64_t> dimensions;
        bool open = false;
        while (accept('[')) {
            if (accept(']')) {
                if (!dimensions.empty()) fail("only the first dimension may be open");
                open = true;
                dimensions.push_back(0);
                continue;
            }
            dimensions.push_back(integer());
            if (dimensions.back() < 0) fail("a dimension is not negative");
            expect(']');
        }
        if (head_.lanes > 1) dimensions.push_back(head_.lanes);
        variable.align = head_.align != 0 ? head_.align : element * head_.lanes;
        int64_t inner = element;
        for (size_t i = open ? 1 : 0; i < dimensions.size(); ++i) {
            if (__builtin_mul_overflow(inner, dimensions[i], &inner) || inner > (int64_t{1} << 40))
                fail("the variable is too large");
        }
        variable.bytes = open ? 0 : inner;
        if (accept('=')) {
            if (space != Space::kGlobal && space != Space::kConst)
                fail("only .global and .const variables have initializers");
            if (is_extern) fail("an .extern variable has no initializer");
            if (!open) variable.init.resize(static_cast<size_t>(variable.bytes));
            parse_initializer(variable, dimensions, 0, 0, inner);
            variable.bytes = static_cast<int64_t>(variable.init.size());
            // All zeros without addresses need no copy.
            if (variable.relocations.empty() &&
                std::all_of(variable.init.begin(), variable.init.end(),
                            [](uint8_t byte) { return byte == 0; }))
                variable.init.clear();
        } else if (open && !(is_extern && space == Space::kShared) &&
                   !(is_extern && (space == Space::kGlobal || space == Space::kConst))) {
            fail("the size of '" + std::string(written) + "' is not given");
        }
        return variable;
    }

    /// One brace level (or a scalar) of an initializer. `inner`: bytes of everything below the first
    /// dimension; `at`: offset of this part.
    int64_t parse_initializer(Variable& variable, const std::vector<int64_t>& dimensions,
                              size_t level, int64_t at, int64_t inner) {
        const int64_t element = type_bytes(variable.type);
        if (level == dimensions.size()) {
            parse_initial_value(variable, at);
            return element;
        }
        if (peek() != '{') fail("expected '{', found " + found());
        ++at_;
        int64_t step = element;
        for (size_t i = level + 1; i < dimensions.size(); ++i)
            step *= dimensions[i];
        const bool open = level == 0 && dimensions[0] == 0 && variable.bytes == 0;
        const int64_t limit = open ? INT64_MAX : dimensions[level];
        int64_t count = 0;
        if (!accept('}')) {
            do {
                if (count >= limit) fail("too many initial values");
                if (open) variable.init.resize(static_cast<size_t>((count + 1) * inner));
                parse_initializer(variable, dimensions, level + 1, at + count * step, inner);
                ++count;
            } while (accept(','));
            expect('}');
        }
        return count * step;
    }

    void parse_initial_value(Variable& variable, int64_t at) {
        const int bytes = type_bytes(variable.type);
        if (starts_name(peek())) {
            const char* begin = at_;
            Variable::Relocation relocation{at, std::string(name()), 0, false};
            if (relocation.symbol == "generic" && accept('(')) {
                relocation.symbol = name();
                relocation.generic = true;
                expect(')');
            }
            if (relocation.symbol != "WARP_SZ" || relocation.generic) {
                if (symbols_.find(relocation.symbol) == symbols_.end())
                    fail("unknown name '" + relocation.symbol + "'");
                if (bytes != 8 && bytes != 4) fail("an address needs 8 bytes");
                if (peek() == '+' || peek() == '-') relocation.addend = integer();
                variable.relocations.push_back(std::move(relocation));
                return;
            }
            at_ = begin;
        }
        const Constant value = expression();
        if (peek() == '(') fail("mask operators in initializers are not supported");
        uint64_t bits = value.bits;
        const bool is_float_type = variable.type == Type::kF32 || variable.type == Type::kF64;
        if (value.literal != Operand::Literal::kInteger) {
            if (variable.type == Type::kF32) {
                bits = as_f32(value);
            } else if (variable.type == Type::kF64) {
                bits = as_f64(value);
            } else {
                fail("a floating initial value needs a floating type");
            }
        } else if (is_float_type) {
            const double number = value.is_unsigned
                                      ? static_cast<double>(bits)
                                      : static_cast<double>(static_cast<int64_t>(bits));
            Constant converted;
            converted.literal = Operand::Literal::kF64;
            std::memcpy(&converted.bits, &number, sizeof number);
            bits = variable.type == Type::kF32 ? as_f32(converted) : converted.bits;
        }
        std::memcpy(variable.init.data() + at, &bits, std::min(bytes, 8));
        if (bytes == 16 && value.literal == Operand::Literal::kInteger && !value.is_unsigned &&
            static_cast<int64_t>(bits) < 0)
            std::memset(variable.init.data() + at + 8, 0xFF, 8);
    }

    static uint64_t as_f32(const Constant& value) {
        if (value.literal == Operand::Literal::kF32) return value.bits;
        double wide = 0;
        std::memcpy(&wide, &value.bits, sizeof wide);
        const auto narrow = static_cast<float>(wide);
        uint32_t bits = 0;
        std::memcpy(&bits, &narrow, sizeof narrow);
        return bits;
    }

    static uint64_t as_f64(const Constant& value) {
        if (value.literal == Operand::Literal::kF64) return value.bits;
        const auto narrow_bits = static_cast<uint32_t>(value.bits);
        float narrow = 0;
        std::memcpy(&narrow, &narrow_bits, sizeof narrow);
        const double wide = narrow;
        uint64_t bits = 0;
        std::memcpy(&bits, &wide, sizeof wide);
        return bits;
    }

    struct Symbol {
        bool is_function;
        size_t index;
    };

    void declare_module_variable(Variable variable) {
        const auto it = symbols_.find(variable.name);
        if (it == symbols_.end()) {
            symbols_[variable.name] = {false, module_.variables.size()};
            module_.variables.push_back(std::move(variable));
            return;
        }
        if (it->second.is_function) fail("'" + variable.name + "' is a function already");
        Variable& earlier = module_.variables[it->second.index];
        if (!earlier.is_extern && !variable.is_extern)
            fail("'" + variable.name + "' is defined twice");
        if (earlier.space != variable.space) fail("'" + variable.name + "' changes its space");
        if (!variable.is_extern) earlier = std::move(variable);
    }

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

    void parse_parameters(std::vector<Variable>& list, const std::string& function, bool visible) {
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

    void parse_triple(int (&values)[3]) {
        values[0] = plain_integer();
        values[1] = values[2] = 1;
        for (int i = 1; i < 3 && accept(','); ++i)
            values[i] = plain_integer();
    }

    void parse_function_directives(Function& function) {
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

    void parse_function(bool is_entry) {
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

    static bool same_layout(const std::vector<Variable>& a, const std::vector<Variable>& b) {
        return a.size() == b.size() &&
               std::equal(a.begin(), a.end(), b.begin(), [](const Variable& x, const Variable& y) {
                   return x.bytes == y.bytes && x.align == y.align;
               });
    }

    /// Makes the name known before the body is read, which may call itself. The index stays a
    /// declaration until then.
    size_t declare_function(const Function& function) {
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
        if (earlier.is_entry != function.is_entry ||
            !same_layout(earlier.returns, function.returns) ||
            !same_layout(earlier.parameters, function.parameters))
            fail("'" + function.name + "' was declared differently");
        return it->second.index;
    }

    /// '{' ... '}', the function's own or one of inline assembly.
    void parse_scope() {
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

    void close_scope() {
        Scope scope = std::move(scopes_.back());
        scopes_.pop_back();
        Scope& outer = scopes_.back();
        for (PendingLabel& pending : scope.pending) {
            if (!resolve_label(scope, pending)) outer.pending.push_back(std::move(pending));
        }
    }

    bool resolve_label(const Scope& scope, const PendingLabel& pending) {
        const auto it = scope.labels.find(pending.name);
        if (it == scope.labels.end()) return false;
        if (pending.table.empty())
            function_->instructions[pending.instruction].operands[pending.operand].target =
                it->second;
        else
            function_->branch_targets[pending.table][pending.operand] = it->second;
        return true;
    }

    void finish_body(Function& function) {
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

    void parse_loc() {
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

    void parse_registers() {
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

    void add_register(std::string_view written, Type type) {
        const int index = static_cast<int>(function_->registers.size());
        if (!scopes_.back().names.emplace(written, Name{Name::Kind::kRegister, index, ""}).second)
            fail("'" + std::string(written) + "' is declared twice");
        function_->registers.push_back({std::string(written), type});
    }

    void parse_local_variable(Space space, bool is_extern) {
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

    void parse_body_statement() {
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

    void parse_label(std::string_view label) {
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

    void declare(std::string_view written, Name value) {
        if (!scopes_.back().names.emplace(written, std::move(value)).second)
            fail("'" + std::string(written) + "' is declared twice");
    }

    const Name* find(std::string_view written) const {
        for (size_t i = scopes_.size(); i-- > 0;) {
            const auto it = scopes_[i].names.find(written);
            if (it != scopes_[i].names.end()) return &it->second;
        }
        return nullptr;
    }

    // ---- Instructions ----

    int predicate_register() {
        const std::string_view written = name();
        const Name* known = find(written);
        if (known == nullptr || known->kind != Name::Kind::kRegister)
            fail("unknown predicate '" + std::string(written) + "'");
        if (function_->registers[known->reg].type != Type::kPred)
            fail("'" + std::string(written) + "' is no predicate");
        return known->reg;
    }

    void parse_instruction() {
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

    Operand parse_list(size_t index) {
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

    /// (returns), function, (arguments), prototype: all but the function may be absent.
    void parse_call(Instruction& instruction) {
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

    static constexpr size_t kNoLabel = ~size_t{0};

    /// `place`: which operand of instruction `index` it becomes, for labels; kNoLabel where a label
    /// cannot stand.
    Operand parse_operand(size_t index, size_t place, bool is_branch) {
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

    int register_index(std::string_view written) const {
        const Name* known = find(written);
        if (known == nullptr || known->kind != Name::Kind::kRegister)
            fail("unknown register '" + std::string(written) + "'");
        return known->reg;
    }

    void parse_pair(Operand& operand) {
        if (!accept('|')) return;
        if (peek() == '_' && !continues_name(next())) {
            ++at_;
            operand.pair = Operand::kPairSink;
        } else {
            operand.pair = register_index(name());
        }
    }

    Operand parse_named(size_t index, size_t place, bool is_branch) {
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

    void parse_offset(Operand& operand) {
        if (peek() == '+') {
            ++at_;
            operand.offset = integer();
        } else if (here() == '-') {
            operand.offset = integer();
        }
    }

    Operand parse_address(size_t index) {
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

    std::string_view text_;
    const char* at_ = nullptr;
    const char* end_ = nullptr;
    int line_ = 1;

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

}  // namespace

Module parse(std::string_view text) {
    return Parser(text).parse();
}

}  // namespace emulator::ptx
