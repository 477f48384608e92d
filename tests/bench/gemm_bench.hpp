// Multiplication: libfp6llm's formats and compute types against a read of the same bytes, OpenBLAS
// on fp32 weights, and the fp32 peak.
#pragma once

#include <functional>
#include <vector>

#include "tests/bench/measure.hpp"
#include "tests/bench/options.hpp"

namespace fp6llm::bench {

struct GemmCase {
    Shape shape;
    int64_t tokens;
    int threads;
    std::vector<Contender> contenders;
};

/// Measures every case, calling `report` after each. Throws std::runtime_error if a result is
/// wrong.
std::vector<GemmCase> bench_gemm(const Options& options, const examples::OpenBlas* blas,
                                 const std::function<void(const GemmCase&)>& report);

}  // namespace fp6llm::bench
