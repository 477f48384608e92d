// The command line of fp6llm_gpu_bench.
#pragma once

#include <string>
#include <vector>

#include "tests/bench/options.hpp"

namespace fp6llm::bench {

struct GpuOptions {
    std::vector<Shape> shapes;
    std::vector<int64_t> tokens;
    std::vector<Format> formats;
    std::vector<fp6llmDataType_t> types;  ///< of activations and outputs
    int device = 0;
    int rounds = 9;
    double seconds = 0;  ///< of the sweep; 0 = as long as it takes
    bool all_algos = false;
    bool quantize = true;
    bool dry = false;
    bool counters = false;
    int slices = 1;    ///< of the rows, one of which is emulated, for counters
    std::string json;  ///< file, or empty
    bool help = false;
};

/// Throws std::runtime_error on an argument that makes no sense.
GpuOptions parse_gpu_options(int argc, char** argv);

const char* gpu_usage() noexcept;

}  // namespace fp6llm::bench
