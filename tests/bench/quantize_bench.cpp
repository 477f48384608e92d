// See quantize_bench.hpp.
#include "tests/bench/quantize_bench.hpp"

#include <stdexcept>

#include "fp6llm/fp6llm.hpp"
#include "tests/bench/ceilings.hpp"
#include "tests/bench/matrices.hpp"

namespace fp6llm::bench {
namespace {

// 64 MiB of fp16: beyond a core's share of any cache, as a model's matrices are together.
constexpr Shape kShape{8192, 4096};
constexpr double kLeastSnr = 50;  // 17 dB; every format of 4 bits and more is above

// One format's buffers.
struct Buffers {
    std::vector<uint8_t> codes;
    std::vector<float> scales;
    std::vector<uint16_t> back;
    int32_t format = 0;  ///< of the codes: AUTO's choice
};

Weight create(Handle& handle, const Format& format, const uint16_t* w) {
    fp6llmWeight_t weight = nullptr;
    check(fp6llmWeightCreate(handle.get(), &format.config, kShape.rows, kShape.cols, w,
                             FP6LLM_R_16F, kShape.cols, &weight));
    return Weight(weight);
}

void quantize(Handle& handle, const Format& format, const uint16_t* w, Buffers& buffers,
              fp6llmQuantStats_t* stats) {
    check(fp6llmQuantize(handle.get(), &format.config, kShape.rows, kShape.cols, w, FP6LLM_R_16F,
                         kShape.cols, buffers.codes.data(), buffers.scales.data(), stats));
}

void dequantize(Handle& handle, const Format& format, Buffers& buffers) {
    fp6llmQuantConfig_t config = format.config;
    config.format = buffers.format;
    check(fp6llmDequantize(handle.get(), &config, kShape.rows, kShape.cols, buffers.codes.data(),
                           buffers.scales.data(), buffers.back.data(), FP6LLM_R_16F, kShape.cols));
}

// The two ways to codes agree bit for bit, the error is what the format promises, and dequantizing
// and quantizing again changes nothing of note. Returns error / signal.
double check_results(Handle& handle, const Format& format, const uint16_t* w, Buffers& buffers) {
    fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
    quantize(handle, format, w, buffers, &stats);
    buffers.format = stats.format;
    if (!(stats.signal > kLeastSnr * stats.mse)) {
        throw std::runtime_error(format.name + ": the quantization error is too large");
    }
    const Weight weight = create(handle, format, w);
    std::vector<uint8_t> exported(buffers.codes.size());
    check(fp6llmWeightExportCodes(handle.get(), weight.get(), exported.data(), nullptr));
    if (exported != buffers.codes) {
        throw std::runtime_error(format.name + ": fp6llmWeightCreate and fp6llmQuantize disagree");
    }
    dequantize(handle, format, buffers);
    fp6llmQuantStats_t again = FP6LLM_QUANT_STATS_INIT;
    Buffers scratch = buffers;
    quantize(handle, format, buffers.back.data(), scratch, &again);
    if (!(again.mse * 10 < stats.mse)) {
        throw std::runtime_error(format.name + ": dequantized weights are not on the grid");
    }
    return stats.mse / stats.signal;
}

}  // namespace

std::vector<QuantizeCase> bench_quantize(const Options& options,
                                         const std::function<void(const QuantizeCase&)>& report) {
    std::vector<QuantizeCase> cases;
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CPU;
    Handle handle(config);
    const auto weights = static_cast<size_t>(kShape.rows * kShape.cols);
    const std::vector<uint16_t> halfs = to_halfs(random_values(weights, 0.02f, 3));
    const double bytes = 2.0 * static_cast<double>(weights);
    const Copies input(halfs.data(), weights * 2, 1);
    const auto* w = reinterpret_cast<const uint16_t*>(input.copy(0));
    for (const Format& format : options.quantize_formats) {
        const QuantSizes sizes = quant_sizes(format.config, kShape.rows, kShape.cols);
        Buffers buffers{std::vector<uint8_t>(sizes.code_bytes),
                        std::vector<float>((sizes.scale_bytes + 3) / 4),
                        std::vector<uint16_t>(weights), format.config.format};
        const double error = check_results(handle, format, w, buffers);
        for (const int threads : options.threads) {
            handle.set_num_threads(threads);
            Team team(handle.num_threads());
            QuantizeCase result{format.name, kShape, team.threads(), {}, {}};
            result.contenders = {
                {Kind::kFp6, "quantize", "", bytes, 0, error,
                 [&](int64_t) { quantize(handle, format, w, buffers, nullptr); }},
                {Kind::kFp6, "quantize + prepack", "", bytes, 0, error,
                 [&](int64_t) { create(handle, format, w); }},
                {Kind::kFp6, "dequantize", "", bytes, 0, error,
                 [&](int64_t) { dequantize(handle, format, buffers); }},
                {Kind::kStream, "read of the fp16 bytes", stream_isa(), bytes, 0, 0, [&](int64_t) {
                     volatile uint64_t sink = read_stream(team, input.copy(0), input.bytes());
                     (void)sink;
                 }}};
            // GB/s per thread; none for reading. AUTO looks at two formats and quantizes to one.
            const bool chooses = format.config.format == FP6LLM_R_6F_AUTO;
            result.goals = {0, chooses ? 1.0 : 2.0, 3.0, 0};
            measure(result.contenders, options.rounds, options.seconds_per_case);
            report(result);
            cases.push_back(std::move(result));
        }
    }
    return cases;
}

}  // namespace fp6llm::bench
