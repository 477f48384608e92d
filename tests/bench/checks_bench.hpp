// What has to hold between calls of libfp6llm itself: a call costs little, odd sizes cost no more than
// their round neighbours, threads never slow a small matrix down.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/bench/options.hpp"

namespace fp6llm::bench {

struct Check {
    std::string name;    ///< what is compared
    std::string kernel;  ///< of the first
    int threads;         ///< of the first
    std::string unit;    ///< "ns", or "x": the time of the first / that of the second
    double value;
    double limit;                 ///< more is a failure
    std::vector<double> samples;  ///< of the value, one per round

    bool passes() const noexcept { return value <= limit; }
};

/// The first format and compute type. Calls `report` after each check.
std::vector<Check> bench_checks(const Options& options,
                                const std::function<void(const Check&)>& report);

}  // namespace fp6llm::bench
