// Writes JSON: commas, quotes and indentation of nested objects and arrays.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace fp6llm::bench {

class JsonWriter {
  public:
    /// `key` is empty inside an array.
    void begin(const char* key, char bracket) {
        separate(key);
        text_ += bracket;
        first_ = true;
        ++depth_;
    }
    void end(char bracket) {
        --depth_;
        if (!first_) newline();
        text_ += bracket;
        first_ = false;
    }
    void string(const char* key, const std::string& value) {
        separate(key);
        quote(value);
    }
    void number(const char* key, double value) {
        separate(key);
        append(value);
    }
    void numbers(const char* key, const std::vector<double>& values) {
        separate(key);
        text_ += '[';
        for (size_t i = 0; i < values.size(); ++i) {
            if (i > 0) text_ += ", ";
            append(values[i]);
        }
        text_ += ']';
    }
    /// A value that is JSON already.
    void raw(const char* key, const std::string& json) {
        separate(key);
        text_ += json;
    }
    const std::string& text() const noexcept { return text_; }

  private:
    void newline() { text_ += "\n" + std::string(static_cast<size_t>(depth_), ' '); }
    void separate(const char* key) {
        if (!first_) text_ += ',';
        if (depth_ > 0) newline();
        first_ = false;
        if (*key == '\0') return;
        quote(key);
        text_ += ": ";
    }
    void append(double value) {
        char digits[32];
        std::snprintf(digits, sizeof digits, "%.7g", value);
        text_ += std::isfinite(value) ? digits : "null";
    }
    void quote(const std::string& value) {
        text_ += '"';
        for (const char c : value) {
            if (c == '"' || c == '\\') text_ += '\\';
            text_ += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
        }
        text_ += '"';
    }

    std::string text_;
    int depth_ = 0;
    bool first_ = true;
};

}  // namespace fp6llm::bench
