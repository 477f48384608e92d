// All multiplications of one token: every linear layer of SmolLM2-135M, each with weights of its own.
#pragma once

#include <functional>
#include <vector>

#include "tests/bench/measure.hpp"
#include "tests/bench/options.hpp"

namespace fp6llm::bench {

struct TokenCase {
    int threads;
    int multiplications;                ///< in a token
    std::vector<Contender> contenders;  ///< a call is a token
};

/// Measures every format and compute type, calling `report` for each number of threads. Throws
/// std::runtime_error if a result is wrong.
std::vector<TokenCase> bench_token(const Options& options, const examples::OpenBlas* blas,
                                   const std::function<void(const TokenCase&)>& report);

}  // namespace fp6llm::bench
