// Multiplication: libfp6llm's formats and compute types against a read of the same bytes, OpenBLAS
// on fp32 weights, other libraries, and the processor's peaks.
#pragma once

#include <functional>
#include <vector>

#include "tests/bench/measure.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/peer.hpp"

namespace fp6llm::bench {

struct GemmCase {
    Shape shape;
    int64_t tokens;
    int threads;
    std::vector<Contender> contenders;
};

/// Measures every case, calling `report` after each; `say` gets which peer is left out and why.
/// Throws std::runtime_error if a result of libfp6llm or of OpenBLAS is wrong.
std::vector<GemmCase> bench_gemm(const Options& options, const examples::OpenBlas* blas,
                                 const std::vector<Peer>& peers,
                                 const std::function<void(const std::string&)>& say,
                                 const std::function<void(const GemmCase&)>& report);

}  // namespace fp6llm::bench
