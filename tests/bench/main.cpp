// fp6llm_bench: measures libfp6llm on this processor, beside what the processor can do at best and
// OpenBLAS, in one interleaved run; see README.md and docs/benchmark.md.
#include <algorithm>
#include <chrono>
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

// Prints how far a long run is, as it goes.
class Progress {
  public:
    explicit Progress(size_t cases) : cases_(cases), start_(std::chrono::steady_clock::now()) {}
    void step() {
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start_;
        std::fprintf(stderr, "[%zu of %zu, %.0f s]\n", ++done_, cases_, time.count());
    }

  private:
    size_t cases_, done_ = 0;
    std::chrono::steady_clock::time_point start_;
};

int run(Options options) {
    options.threads = distinct_threads(options.threads);
    const Machine machine = describe_machine();
    const std::unique_ptr<examples::OpenBlas> blas = examples::OpenBlas::open(options.blas_core);
    Results results{blas ? blas->description() : "not installed", {}};
    std::printf("%s, %s kernels, %d CPUs, %s; %s; commit %s\n", machine.cpu.c_str(),
                machine.isa.c_str(), machine.cores, machine.kernel.c_str(),
                results.openblas.c_str(), machine.commit.c_str());
    const auto say = [&results](const std::string& remark) {
        auto& said = results.remarks;
        if (std::find(said.begin(), said.end(), remark) != said.end()) return;
        said.push_back(remark);
        std::printf("%s\n", remark.c_str());
        std::fflush(stdout);
    };
    std::vector<Peer> peers;
    if (!options.peers.empty()) peers = open_peers(options.peers, say);

    if (options.quantize) {
        print_quantize_header();
        results.quantize = bench_quantize(options, print_quantize_case);
    }
    if (options.gemm) {
        print_gemm_header();
        Progress progress(options.shapes.size() * options.threads.size() * options.tokens.size());
        results.gemm = bench_gemm(options, blas.get(), peers, say, [&](const GemmCase& result) {
            print_gemm_case(result);
            progress.step();
        });
        print_gemm_summary(results.gemm);
        print_peer_summary(results.gemm);
    }
    if (options.token) results.token = bench_token(options, blas.get(), print_token_case);
    if (options.checks) {
        print_check_header();
        results.checks = bench_checks(options, print_check);
        const auto passed = std::count_if(results.checks.begin(), results.checks.end(),
                                          [](const Check& check) { return check.passes(); });
        std::printf("%td of %zu checks pass\n", passed, results.checks.size());
    }
    if (!options.json.empty()) {
        std::ofstream out(options.json);
        out << to_json(machine, results);
        out.close();
        if (!out) throw std::runtime_error("cannot write " + options.json);
    }
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
