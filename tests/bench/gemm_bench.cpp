// See gemm_bench.hpp.
#include "tests/bench/gemm_bench.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/bench/ceilings.hpp"
#include "tests/bench/weights.hpp"

namespace fp6llm::bench {
namespace {

// Weights of each contender that calls rotate over: several times any last-level cache.
constexpr size_t kColdBytes = size_t{384} << 20;
// Multiplications by more tokens are bound by arithmetic, not by reading weights.
constexpr int64_t kMostColdTokens = 16;
constexpr int64_t kPeakRounds = 1 << 20;

// A matrix with everything that its cases share.
struct Bench {
    const Options& options;
    const examples::OpenBlas* blas;
    Handle& handle;
    Shape shape;
    AlignedFloats x;  // [most tokens, cols]
    AlignedFloats y;
    CheckedRows original;
    Copies fp32;
    std::vector<HintedWeights> packed;  // by format
    std::vector<LoadedPeer> peers;
};

double check_run(Bench& bench, const CheckedRows& rows, int64_t tokens,
                 const std::function<void()>& run) {
    return checked_run(rows, bench.shape.cols, bench.x.data(), bench.y.data(), tokens,
                       bench.shape.rows, run);
}

void add_fp6(Bench& bench, int64_t tokens, double flops, std::vector<Contender>& contenders) {
    for (size_t f = 0; f < bench.packed.size(); ++f) {
        std::vector<std::string> kernels;
        for (size_t c = 0; c < bench.options.computes.size(); ++c) {
            const Compute& compute = bench.options.computes[c];
            PackedWeights& packed = bench.packed[f][c];
            const std::string name = bench.options.formats[f].name + " " + compute.name;
            fp6llmStatus_t status = FP6LLM_STATUS_SUCCESS;
            const double error = check_run(bench, packed.checked(), tokens, [&] {
                status = linear(bench.handle, packed.weight(0), bench.shape, compute.type,
                                bench.x.data(), bench.y.data(), tokens);
            });
            if (status == FP6LLM_STATUS_NOT_SUPPORTED) continue;
            check(status);
            require_close(name, error, compute.tolerance + summing_tolerance(bench.shape.cols));
            // A compute type that only permits more may run the very same kernel.
            const std::string kernel =
                kernel_name(bench.handle, packed.weight(0), bench.shape, compute.type, tokens);
            if (std::find(kernels.begin(), kernels.end(), kernel) != kernels.end()) continue;
            kernels.push_back(kernel);
            const KernelArithmetic work = arithmetic_of_kernel(kernel);
            contenders.push_back({Kind::kFp6,
                                  name,
                                  kernel,
                                  static_cast<double>(packed.copies().bytes()),
                                  flops,
                                  error,
                                  [&bench, &packed, &compute, tokens](int64_t call) {
                                      check(linear(bench.handle, packed.weight(call), bench.shape,
                                                   compute.type, bench.x.data(), bench.y.data(),
                                                   tokens));
                                  },
                                  {},
                                  peak_name(work.arithmetic),
                                  flops * work.products});
        }
    }
}

void add_openblas(Bench& bench, int64_t tokens, double flops, std::vector<Contender>& contenders) {
    if (!bench.blas) return;
    const auto run = [&bench, tokens](int64_t call) {
        bench.blas->linear(tokens, bench.shape.rows, bench.shape.cols, bench.x.data(),
                           reinterpret_cast<const float*>(bench.fp32.copy(call)), bench.y.data());
    };
    const double error = check_run(bench, bench.original, tokens, [&] { run(0); });
    require_close("OpenBLAS", error, summing_tolerance(bench.shape.cols));
    contenders.push_back({Kind::kOpenBlas, tokens == 1 ? "OpenBLAS sgemv" : "OpenBLAS sgemm",
                          bench.blas->description(), static_cast<double>(bench.fp32.bytes()), flops,
                          error, run});
}

void add_stream(Bench& bench, Team& team, std::vector<Contender>& contenders) {
    // The first format's bytes, half the copies away from where that format reads.
    const Copies& copies = bench.packed.front()[0].copies();
    contenders.push_back(
        {Kind::kStream, "read of the same bytes", stream_isa(), static_cast<double>(copies.bytes()),
         0, 0, [&copies, &team](int64_t call) {
             const int64_t away = call + copies.count() / 2;
             volatile uint64_t sink = read_stream(team, copies.copy(away), copies.bytes());
             (void)sink;
         }});
}

void add_prefetched(Bench& bench, Team& team, std::vector<Contender>& contenders) {
    const Copies& copies = bench.packed.front()[0].copies();
    contenders.push_back(
        {Kind::kPrefetched, "the same, prefetched", "baseline", static_cast<double>(copies.bytes()),
         0, 0, [&copies, &team](int64_t call) {
             const int64_t away = call + copies.count() / 4;
             volatile uint64_t sink = read_prefetched(team, copies.copy(away), copies.bytes());
             (void)sink;
         }});
}

// The fp32 peak, and those that the contenders' kernels are held against.
void add_peaks(Team& team, std::vector<Contender>& contenders) {
    std::set<std::string> wanted{peak_name(Arithmetic::kFp32)};
    for (const Contender& contender : contenders)
        wanted.insert(contender.peak);
    for (const Arithmetic arithmetic :
         {Arithmetic::kFp32, Arithmetic::kBf16, Arithmetic::kInt16, Arithmetic::kInt8}) {
        const char* instructions = peak_instructions(arithmetic);
        if (!instructions || wanted.count(peak_name(arithmetic)) == 0) continue;
        const double operations = multiply_peak(team, arithmetic, 1);
        contenders.push_back(
            {Kind::kPeak, peak_name(arithmetic), instructions, 0,
             operations * static_cast<double>(kPeakRounds), 0,
             [&team, arithmetic](int64_t) { multiply_peak(team, arithmetic, kPeakRounds); }});
    }
}

size_t cold_bytes(const Options& options) {
    const int64_t least = *std::min_element(options.tokens.begin(), options.tokens.end());
    return least <= kMostColdTokens ? kColdBytes : 1;
}

Bench make_bench(const Options& options, const examples::OpenBlas* blas, Handle& handle,
                 const Shape& shape) {
    const int64_t most = *std::max_element(options.tokens.begin(), options.tokens.end());
    const size_t cold = cold_bytes(options);
    const auto weights = static_cast<size_t>(shape.rows * shape.cols);
    const std::vector<float> w = random_values(weights, 0.02f, 1);
    Bench bench{options,
                blas,
                handle,
                shape,
                AlignedFloats(random_values(static_cast<size_t>(most * shape.cols), 1.0f, 2)),
                AlignedFloats(static_cast<size_t>(most * shape.rows)),
                check_rows(shape, w),
                Copies(w.data(), weights * sizeof(float), blas ? cold : 1),
                {},
                {}};
    for (const Format& format : options.formats) {
        bench.packed.emplace_back(handle, format, options.computes, shape, w, cold);
    }
    return bench;
}

}  // namespace

std::vector<GemmCase> bench_gemm(const Options& options, const examples::OpenBlas* blas,
                                 const std::vector<Peer>& peers,
                                 const std::function<void(const std::string&)>& say,
                                 const std::function<void(const GemmCase&)>& report) {
    std::vector<GemmCase> cases;
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CPU;
    Handle handle(config);
    for (const Shape& shape : options.shapes) {
        Bench bench = make_bench(options, blas, handle, shape);
        const auto* w = reinterpret_cast<const float*>(bench.fp32.copy(0));
        bench.peers = load_peers(peers, shape, w, cold_bytes(options), say);
        for (const int threads : options.threads) {
            handle.set_num_threads(threads);
            Team team(handle.num_threads());
            if (blas) blas->set_threads(team.threads());
            for (const int64_t tokens : options.tokens) {
                const double flops = 2.0 * static_cast<double>(shape.rows * shape.cols * tokens);
                GemmCase result{shape, tokens, team.threads(), {}};
                add_fp6(bench, tokens, flops, result.contenders);
                add_openblas(bench, tokens, flops, result.contenders);
                add_peers(
                    bench.peers,
                    {bench.original, shape, tokens, team.threads(), bench.x.data(), bench.y.data()},
                    result.contenders, say);
                if (tokens <= kMostColdTokens) add_stream(bench, team, result.contenders);
                if (tokens == 1) add_prefetched(bench, team, result.contenders);
                add_peaks(team, result.contenders);
                measure(result.contenders, options.rounds, options.seconds_per_case);
                report(result);
                cases.push_back(std::move(result));
            }
        }
    }
    return cases;
}

}  // namespace fp6llm::bench
