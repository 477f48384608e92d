// Quantizing, quantizing with prepacking, and dequantizing, on fp16 weights.
#pragma once

#include <functional>
#include <vector>

#include "tests/bench/measure.hpp"
#include "tests/bench/options.hpp"

namespace fp6llm::bench {

struct QuantizeCase {
    std::string format;
    Shape shape;
    int threads;
    std::vector<Contender> contenders;  ///< bytes: of the fp16 matrix
    std::vector<double> goals;          ///< of each, GB/s per thread; 0: none
};

/// Measures every format, calling `report` after each. Throws std::runtime_error if a result is
/// wrong.
std::vector<QuantizeCase> bench_quantize(const Options& options,
                                         const std::function<void(const QuantizeCase&)>& report);

}  // namespace fp6llm::bench
