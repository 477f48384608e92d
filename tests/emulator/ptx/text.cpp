// Characters and tokens of PTX text: spaces, comments, names, directives, strings; errors with their line.
#include "tests/emulator/ptx/text.hpp"

#include "tests/emulator/ptx/parser.hpp"

namespace emulator::ptx {

Text::Text(std::string_view text) : text_(text) {
    // PTX out of a fatbin ends with zeros.
    while (!text_.empty() && text_.back() == '\0')
        text_.remove_suffix(1);
    at_ = text_.data();
    end_ = at_ + text_.size();
}

void Text::fail_at(int line, const std::string& what) const {
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

void Text::skip_space() {
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

char Text::peek() {
    skip_space();
    return here();
}

bool Text::accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
}

std::string Text::found() {
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

void Text::expect(char c) {
    if (!accept(c)) fail(std::string("expected '") + c + "', found " + found());
}

std::string_view Text::name() {
    if (!starts_name(peek())) fail("expected a name, found " + found());
    const char* begin = at_++;
    while (continues_name(here()))
        ++at_;
    return {begin, static_cast<size_t>(at_ - begin)};
}

std::string_view Text::modifier() {
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

bool Text::accept_directive(std::string_view word) {
    if (peek() != '.') return false;
    const char* begin = at_ + 1;
    if (static_cast<size_t>(end_ - begin) < word.size() ||
        std::string_view(begin, word.size()) != word ||
        (begin + word.size() < end_ && continues_name(begin[word.size()])))
        return false;
    at_ = begin + word.size();
    return true;
}

std::string_view Text::directive() {
    if (peek() != '.') fail("expected a directive, found " + found());
    ++at_;
    return modifier();
}

std::string Text::string_literal() {
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

}  // namespace emulator::ptx
