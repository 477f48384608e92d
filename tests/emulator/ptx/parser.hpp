// PTX text to ast.hpp.
#pragma once

#include <stdexcept>

#include "tests/emulator/ptx/ast.hpp"

namespace emulator::ptx {

/// What cannot be parsed; what() holds "line 123: ... : the line's text".
class ParseError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Throws ParseError.
Module parse(std::string_view text);

}  // namespace emulator::ptx
