// Constant expressions: literals of every kind, operators by precedence, casts.
//
// Source: PTX ISA, chapter 4.5.
#include <cstdlib>
#include <cstring>

#include "tests/emulator/ptx/text.hpp"

namespace emulator::ptx {

Constant Expressions::number() {
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

Constant Expressions::decimal() {
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

int64_t Expressions::integer() {
    const Constant value = expression();
    if (value.literal != Operand::Literal::kInteger) fail("expected an integer");
    return static_cast<int64_t>(value.bits);
}

int Expressions::plain_integer() {
    if (!is_digit(peek())) fail("expected an integer, found " + found());
    const Constant value = number();
    if (value.literal != Operand::Literal::kInteger || value.bits > 0x7FFFFFFF)
        fail("expected a 31-bit integer");
    return static_cast<int>(value.bits);
}

Constant Expressions::expression() {
    const Constant condition = binary(1);
    if (!accept('?')) return condition;
    const Constant yes = expression();
    expect(':');
    const Constant no = expression();
    return condition.bits != 0 ? yes : no;
}

Constant Expressions::unary() {
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

Expressions::BinaryOperator Expressions::binary_operator() {
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

Constant Expressions::apply(std::string_view symbol, const Constant& a, const Constant& b) {
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

Constant Expressions::binary(int lowest) {
    Constant value = unary();
    for (;;) {
        const BinaryOperator op = binary_operator();
        if (op.precedence == 0 || op.precedence < lowest) return value;
        at_ += op.text.size();
        value = apply(op.text, value, binary(op.precedence + 1));
    }
}

}  // namespace emulator::ptx
