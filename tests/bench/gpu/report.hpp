// Results of the sweep on the terminal and as JSON. Of a dry run there are no times to show.
#pragma once

#include <string>

#include "tests/bench/gpu/sweep.hpp"
#include "tests/bench/machine.hpp"

namespace fp6llm::bench {

/// The GPU and its surroundings: what `nvidia-smi` says of clocks and power, before and after.
struct GpuIdentity {
    fp6llmDeviceInfo_t device;
    bool is_emulated;
    std::string cublas;  ///< "cublasLt 130000", or why there is none
    std::string before, after;
};

/// One line of nvidia-smi, or "unknown".
std::string describe_clocks(int device);

void print_case(const GpuSweep& sweep, const GpuCase& result);
void print_summary(const GpuSweep& sweep);
std::string to_json(const Machine& machine, const GpuIdentity& gpu, const GpuSweep& sweep);

}  // namespace fp6llm::bench
