// fp6llm_bench: measures libfp6llm on this processor, beside what the processor can do at best and
// OpenBLAS, in one interleaved run; see README.md and docs/benchmark.md.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>

#include "tests/bench/report.hpp"

namespace fp6llm::bench {
namespace {

/// "All" by its number, and each number once: on one CPU, all is one.
std::vector<int> distinct_threads(const std::vector<int>& asked) {
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CPU;
    Handle handle(config);
    std::vector<int> distinct;
    for (const int threads : asked) {
        handle.set_num_threads(threads);
        const int count = handle.num_threads();
        if (std::find(distinct.begin(), distinct.end(), count) == distinct.end()) {
            distinct.push_back(count);
        }
    }
    return distinct;
}

int run(Options options) {
    options.threads = distinct_threads(options.threads);
    const Machine machine = describe_machine();
    const std::unique_ptr<examples::OpenBlas> blas = examples::OpenBlas::open(options.blas_core);
    const std::string openblas = blas ? blas->description() : "not installed";
    std::printf("%s, %s kernels, %d CPUs, %s; %s; commit %s\n", machine.cpu.c_str(),
                machine.isa.c_str(), machine.cores, machine.kernel.c_str(), openblas.c_str(),
                machine.commit.c_str());
    std::vector<GemmCase> gemm;
    std::vector<QuantizeCase> quantize;
    if (options.quantize) {
        print_quantize_header();
        quantize = bench_quantize(options, print_quantize_case);
    }
    if (options.gemm) {
        print_gemm_header();
        gemm = bench_gemm(options, blas.get(), print_gemm_case);
        print_gemm_summary(gemm);
    }
    if (options.json.empty()) return 0;
    std::ofstream out(options.json);
    out << to_json(machine, openblas, gemm, quantize);
    out.close();
    if (!out) throw std::runtime_error("cannot write " + options.json);
    return 0;
}

}  // namespace
}  // namespace fp6llm::bench

int main(int argc, char** argv) {
    try {
        const fp6llm::bench::Options options = fp6llm::bench::parse_options(argc, argv);
        if (options.help) {
            std::fputs(fp6llm::bench::usage(), stdout);
            return 0;
        }
        return fp6llm::bench::run(options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
        return 1;
    }
}
