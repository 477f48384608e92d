// What the parser reads with: characters and tokens (Text), constant expressions (Expressions). Private
// to this folder.
//
// Source: PTX ISA, chapter 4 (syntax, constant expressions).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/emulator/ptx/ast.hpp"

namespace emulator::ptx {

inline bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}
inline bool is_letter(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
inline bool starts_name(char c) noexcept {
    return is_letter(c) || c == '_' || c == '$' || c == '%';
}
inline bool continues_name(char c) noexcept {
    return is_letter(c) || is_digit(c) || c == '_' || c == '$';
}

inline int hex_value(char c) noexcept {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// The text and the place in it.
class Text {
  protected:
    explicit Text(std::string_view text);

    [[noreturn]] void fail(const std::string& what) const { fail_at(line_, what); }
    [[noreturn]] void fail_at(int line, const std::string& what) const;

    char here() const noexcept { return at_ < end_ ? *at_ : '\0'; }
    char next(int ahead = 1) const noexcept { return at_ + ahead < end_ ? at_[ahead] : '\0'; }
    void skip_space();
    char peek();
    bool accept(char c);
    std::string found();
    void expect(char c);
    std::string_view name();
    /// After a dot: letters, digits, '_', and "::" inside.
    std::string_view modifier();
    /// ".word" if it comes next.
    bool accept_directive(std::string_view word);
    std::string_view directive();
    std::string string_literal();

    std::string_view text_;
    const char* at_ = nullptr;
    const char* end_ = nullptr;
    int line_ = 1;
};

/// A value of a constant expression.
struct Constant {
    Operand::Literal literal = Operand::Literal::kInteger;
    bool is_unsigned = false;
    uint64_t bits = 0;
};

class Expressions : public Text {
  protected:
    using Text::Text;

    Constant number();
    Constant decimal();
    int64_t integer();
    /// An integer of a directive; one without operators, since the next may follow without a comma.
    int plain_integer();
    Constant expression();

  private:
    struct BinaryOperator {
        std::string_view text;
        int precedence;
    };

    Constant unary();
    BinaryOperator binary_operator();
    Constant apply(std::string_view symbol, const Constant& a, const Constant& b);
    Constant binary(int lowest);
};

}  // namespace emulator::ptx
