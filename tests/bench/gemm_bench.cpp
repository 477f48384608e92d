// See gemm_bench.hpp.
#include "tests/bench/gemm_bench.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>

#include "tests/bench/ceilings.hpp"
#include "tests/bench/weights.hpp"

namespace fp6llm::bench {
namespace {

// Weights of each contender that calls rotate over: several times any last-level cache.
constexpr size_t kColdBytes = size_t{384} << 20;
// Multiplications by more tokens are bound by arithmetic, not by reading weights.
constexpr int64_t kMostColdTokens = 16;
constexpr int64_t kPeakRounds = 1 << 20;

// Largest error / rms of k additions in a row: each rounds by some 2.3e-8 of a sum that grows with the
// root of their number, so together by sqrt(k / 2) times that on average; one chain of 14336 showed 6.6
// times the average among a thousand sums.
double summing_tolerance(int64_t k) {
    return 16 * 2.3e-8 * std::sqrt(static_cast<double>(k) / 2);
}

// A matrix with everything that its cases share.
struct Bench {
    const Options& options;
    const examples::OpenBlas* blas;
    Handle& handle;
    Shape shape;
    std::vector<float> x;  // [most tokens, cols]
    std::vector<float> y;
    CheckedRows original;
    Copies fp32;
    std::vector<std::unique_ptr<PackedWeights>> packed;  // by format
};

fp6llmStatus_t multiply(Bench& bench, fp6llmWeight_t weight, const Compute& compute,
                        int64_t tokens) {
    const float one = 1, zero = 0;
    return fp6llmGemmEx(bench.handle.get(), FP6LLM_OP_T, FP6LLM_OP_N, bench.shape.rows, tokens,
                        bench.shape.cols, &one, weight, bench.x.data(), FP6LLM_R_32F,
                        bench.shape.cols, &zero, bench.y.data(), FP6LLM_R_32F, bench.shape.rows,
                        compute.type, FP6LLM_ALGO_DEFAULT);
}

std::string kernel_name(Bench& bench, fp6llmWeight_t weight, const Compute& compute,
                        int64_t tokens) {
    fp6llmHeuristicResult_t result = FP6LLM_HEURISTIC_RESULT_INIT;
    int count = 0;
    check(fp6llmGemmGetHeuristic(bench.handle.get(), FP6LLM_OP_T, FP6LLM_OP_N, bench.shape.rows,
                                 tokens, bench.shape.cols, weight, FP6LLM_R_32F, FP6LLM_R_32F,
                                 compute.type, 1, &result, &count));
    return count > 0 ? result.name : "none";
}

void require_close(const std::string& name, double error, double tolerance) {
    if (error <= tolerance) return;
    throw std::runtime_error(name + " is wrong: largest error / rms is " + std::to_string(error) +
                             ", at most " + std::to_string(tolerance) + " is right");
}

// Runs once on a poisoned output and checks; then the contender may be timed.
template <typename Run>
double checked_run(Bench& bench, const CheckedRows& rows, int64_t tokens, Run&& run) {
    std::fill(bench.y.begin(), bench.y.begin() + tokens * bench.shape.rows, NAN);
    run();
    return product_error(rows, bench.shape.cols, bench.x, bench.y.data(), tokens, bench.shape.rows);
}

void add_fp6(Bench& bench, int64_t tokens, double flops, std::vector<Contender>& contenders) {
    for (size_t f = 0; f < bench.packed.size(); ++f) {
        PackedWeights& packed = *bench.packed[f];
        std::vector<std::string> kernels;
        for (const Compute& compute : bench.options.computes) {
            const std::string name = bench.options.formats[f].name + " " + compute.name;
            fp6llmStatus_t status = FP6LLM_STATUS_SUCCESS;
            const double error = checked_run(bench, packed.checked(), tokens, [&] {
                status = multiply(bench, packed.weight(0), compute, tokens);
            });
            if (status == FP6LLM_STATUS_NOT_SUPPORTED) continue;
            check(status);
            require_close(name, error, compute.tolerance + summing_tolerance(bench.shape.cols));
            // A compute type that only permits more may run the very same kernel.
            const std::string kernel = kernel_name(bench, packed.weight(0), compute, tokens);
            if (std::find(kernels.begin(), kernels.end(), kernel) != kernels.end()) continue;
            kernels.push_back(kernel);
            contenders.push_back({Kind::kFp6, name, kernel,
                                  static_cast<double>(packed.copies().bytes()), flops, error,
                                  [&bench, &packed, &compute, tokens](int64_t call) {
                                      check(multiply(bench, packed.weight(call), compute, tokens));
                                  }});
        }
    }
}

void add_openblas(Bench& bench, int64_t tokens, double flops, std::vector<Contender>& contenders) {
    if (!bench.blas) return;
    const auto run = [&bench, tokens](int64_t call) {
        bench.blas->linear(tokens, bench.shape.rows, bench.shape.cols, bench.x.data(),
                           reinterpret_cast<const float*>(bench.fp32.copy(call)), bench.y.data());
    };
    const double error = checked_run(bench, bench.original, tokens, [&] { run(0); });
    require_close("OpenBLAS", error, summing_tolerance(bench.shape.cols));
    contenders.push_back({Kind::kOpenBlas, tokens == 1 ? "OpenBLAS sgemv" : "OpenBLAS sgemm",
                          bench.blas->description(), static_cast<double>(bench.fp32.bytes()), flops,
                          error, run});
}

void add_stream(Bench& bench, Team& team, std::vector<Contender>& contenders) {
    // The first format's bytes, half the copies away from where that format reads.
    const Copies& copies = bench.packed.front()->copies();
    contenders.push_back(
        {Kind::kStream, "read of the same bytes", ceiling_isa(),
         static_cast<double>(copies.bytes()), 0, 0, [&copies, &team](int64_t call) {
             const int64_t away = call + copies.count() / 2;
             volatile uint64_t sink = read_stream(team, copies.copy(away), copies.bytes());
             (void)sink;
         }});
}

void add_peak(Team& team, std::vector<Contender>& contenders) {
    contenders.push_back({Kind::kPeak, "fp32 peak", ceiling_isa(), 0,
                          fma_peak(team, 1) * static_cast<double>(kPeakRounds), 0,
                          [&team](int64_t) { fma_peak(team, kPeakRounds); }});
}

Bench make_bench(const Options& options, const examples::OpenBlas* blas, Handle& handle,
                 const Shape& shape) {
    const auto [least, most] = std::minmax_element(options.tokens.begin(), options.tokens.end());
    const size_t cold = *least <= kMostColdTokens ? kColdBytes : 1;
    const auto weights = static_cast<size_t>(shape.rows * shape.cols);
    const std::vector<float> w = random_values(weights, 0.02f, 1);
    Bench bench{options,
                blas,
                handle,
                shape,
                random_values(static_cast<size_t>(*most * shape.cols), 1.0f, 2),
                std::vector<float>(static_cast<size_t>(*most * shape.rows)),
                check_rows(shape, w),
                Copies(w.data(), weights * sizeof(float), blas ? cold : 1),
                {}};
    for (const Format& format : options.formats) {
        bench.packed.push_back(std::make_unique<PackedWeights>(handle, format, shape, w, cold));
    }
    return bench;
}

}  // namespace

std::vector<GemmCase> bench_gemm(const Options& options, const examples::OpenBlas* blas,
                                 const std::function<void(const GemmCase&)>& report) {
    std::vector<GemmCase> cases;
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CPU;
    Handle handle(config);
    for (const Shape& shape : options.shapes) {
        Bench bench = make_bench(options, blas, handle, shape);
        for (const int threads : options.threads) {
            handle.set_num_threads(threads);
            Team team(handle.num_threads());
            if (blas) blas->set_threads(team.threads());
            for (const int64_t tokens : options.tokens) {
                const double flops = 2.0 * static_cast<double>(shape.rows * shape.cols * tokens);
                GemmCase result{shape, tokens, team.threads(), {}};
                add_fp6(bench, tokens, flops, result.contenders);
                add_openblas(bench, tokens, flops, result.contenders);
                if (tokens <= kMostColdTokens) add_stream(bench, team, result.contenders);
                add_peak(team, result.contenders);
                measure(result.contenders, options.rounds, options.seconds_per_case);
                report(result);
                for (Contender& contender : result.contenders)
                    contender.run = nullptr;
                cases.push_back(std::move(result));
            }
        }
    }
    return cases;
}

}  // namespace fp6llm::bench
