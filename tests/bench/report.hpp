// Results on the terminal as they come, the ratios over all shapes at the end, and all of it as
// JSON.
#pragma once

#include "tests/bench/checks_bench.hpp"
#include "tests/bench/gemm_bench.hpp"
#include "tests/bench/machine.hpp"
#include "tests/bench/quantize_bench.hpp"
#include "tests/bench/token_bench.hpp"

namespace fp6llm::bench {

void print_gemm_header();
void print_gemm_case(const GemmCase& result);
/// Medians over the shapes of the ratios, by contender, tokens and threads.
void print_gemm_summary(const std::vector<GemmCase>& cases);
/// Medians over the shapes of each peer's time / ours, if there are peers.
void print_peer_summary(const std::vector<GemmCase>& cases);
void print_quantize_header();
void print_quantize_case(const QuantizeCase& result);

void print_token_case(const TokenCase& result);
void print_check_header();
void print_check(const Check& check);

/// All that a run measured.
struct Results {
    std::string openblas;              ///< release, or why there is none
    std::vector<std::string> remarks;  ///< which peers take part, which are left out and why
    std::vector<QuantizeCase> quantize{};
    std::vector<GemmCase> gemm{};
    std::vector<TokenCase> token{};
    std::vector<Check> checks{};
};
std::string to_json(const Machine& machine, const Results& results);

}  // namespace fp6llm::bench
