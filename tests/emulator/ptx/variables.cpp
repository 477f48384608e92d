// Declarations of variables and parameters, and their initializers.
//
// Source: PTX ISA, chapter 5.
#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "tests/emulator/ptx/parser_parts.hpp"

namespace emulator::ptx {
namespace {

uint64_t as_f32(const Constant& value) {
    if (value.literal == Operand::Literal::kF32) return value.bits;
    double wide = 0;
    std::memcpy(&wide, &value.bits, sizeof wide);
    const auto narrow = static_cast<float>(wide);
    uint32_t bits = 0;
    std::memcpy(&bits, &narrow, sizeof narrow);
    return bits;
}

uint64_t as_f64(const Constant& value) {
    if (value.literal == Operand::Literal::kF64) return value.bits;
    const auto narrow_bits = static_cast<uint32_t>(value.bits);
    float narrow = 0;
    std::memcpy(&narrow, &narrow_bits, sizeof narrow);
    const double wide = narrow;
    uint64_t bits = 0;
    std::memcpy(&bits, &wide, sizeof wide);
    return bits;
}

}  // namespace

bool Parser::repeat_declarator() {
    repeat_head_ = true;
    return true;
}

void Parser::parse_attribute() {
    expect('(');
    do {
        const std::string_view word = directive();
        if (word == "managed") continue;  // host and device share addresses here anyway
        if (word == "unified") fail("the attribute .unified is not supported");
        fail("unknown attribute '." + std::string(word) + "'");
    } while (accept(','));
    expect(')');
}

Parser::DeclarationHead Parser::parse_head() {
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

Type Parser::type_of(std::string_view word, int line) const {
    try {
        return parse_type(word);
    } catch (const std::invalid_argument&) {
        fail_at(line, "'." + std::string(word) + "' is no type that is supported here");
    }
}

Variable Parser::parse_variable(Space space, bool is_extern, const std::string& prefix,
                                std::string_view* plain, const std::string& suffix) {
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
        if (variable.relocations.empty() && std::all_of(variable.init.begin(), variable.init.end(),
                                                        [](uint8_t byte) { return byte == 0; }))
            variable.init.clear();
    } else if (open && !(is_extern && space == Space::kShared) &&
               !(is_extern && (space == Space::kGlobal || space == Space::kConst))) {
        fail("the size of '" + std::string(written) + "' is not given");
    }
    return variable;
}

int64_t Parser::parse_initializer(Variable& variable, const std::vector<int64_t>& dimensions,
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

void Parser::parse_initial_value(Variable& variable, int64_t at) {
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
        const double number = value.is_unsigned ? static_cast<double>(bits)
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
}  // namespace emulator::ptx
