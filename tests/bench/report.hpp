// Results on the terminal as they come, the ratios over all shapes at the end, and all of it as
// JSON.
#pragma once

#include "tests/bench/gemm_bench.hpp"
#include "tests/bench/machine.hpp"
#include "tests/bench/quantize_bench.hpp"

namespace fp6llm::bench {

void print_gemm_header();
void print_gemm_case(const GemmCase& result);
/// Medians over the shapes of the ratios, by contender, tokens and threads.
void print_gemm_summary(const std::vector<GemmCase>& cases);
void print_quantize_header();
void print_quantize_case(const QuantizeCase& result);

std::string to_json(const Machine& machine, const std::string& openblas,
                    const std::vector<GemmCase>& gemm, const std::vector<QuantizeCase>& quantize);

}  // namespace fp6llm::bench
