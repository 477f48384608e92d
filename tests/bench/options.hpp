// What to measure: the command line of fp6llm_bench.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "examples/common/openblas.hpp"
#include "fp6llm/fp6llm.h"

namespace fp6llm::bench {

struct Shape {
    int64_t rows;  ///< output channels
    int64_t cols;  ///< input channels
};

/// A way to quantize, by name: "e3m2-row", "e2m3-g128", "auto-mx".
struct Format {
    std::string name;
    fp6llmQuantConfig_t config;
};

struct Compute {
    std::string name;
    fp6llmComputeType_t type;
    double tolerance;  ///< largest error / rms that its rounding of activations allows
};

struct Options {
    std::vector<Shape> shapes;
    std::vector<int64_t> tokens;
    std::vector<Format> formats;  ///< to multiply by
    std::vector<Format>
        quantize_formats;  ///< those, and AUTO unless the command line names formats
    std::vector<Compute> computes;
    std::vector<int> threads;  ///< 0 = all, as the command line has it
    int rounds = 9;
    double seconds_per_case = 20;  ///< fewer rounds where they would take longer, but never below 3
    bool gemm = true;
    bool quantize = true;
    bool token = false;
    bool checks = false;
    std::vector<std::string> peers;  ///< folders to look for other libraries in
    examples::BlasCore blas_core = examples::BlasCore::kBest;
    std::string json;  ///< file, or empty
    bool quick = false;
    bool help = false;
};

/// Throws std::runtime_error on an argument that makes no sense.
Options parse_options(int argc, char** argv);

const char* usage() noexcept;

/// The options' lists, for other programs: `--shapes`, `--m` and `--formats`.
std::vector<Shape> parse_shapes(const std::string& list);
std::vector<int64_t> parse_tokens(const std::string& list);
std::vector<Format> parse_formats(const std::string& list);

}  // namespace fp6llm::bench
