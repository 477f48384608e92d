// The files of isa/ and what each registers.
#pragma once

#include <vector>

#include "tests/emulator/exec/op.hpp"

namespace emulator {

struct OpGroup {
    const char* file;  ///< "isa/integer.cpp"
    void (*add)(Registry& registry);
};

/// In the order in which they are registered.
const std::vector<OpGroup>& op_groups();

}  // namespace emulator
