// See token_bench.hpp.
#include "tests/bench/token_bench.hpp"

#include <algorithm>

#include "tests/bench/ceilings.hpp"
#include "tests/bench/weights.hpp"

namespace fp6llm::bench {
namespace {

struct Layer {
    Shape shape;
    int64_t count;  ///< matrices of that shape in the model
};

// SmolLM2-135M: 30 blocks of hidden size 576, 9 heads of which 3 hold keys and values, 1536 inside;
// a vocabulary of 49152.
constexpr int kBlocks = 30;
constexpr Layer kLayers[] = {{{576, 576}, 2 * kBlocks},   // q, o
                             {{192, 576}, 2 * kBlocks},   // k, v
                             {{1536, 576}, 2 * kBlocks},  // gate, up
                             {{576, 1536}, kBlocks},      // down
                             {{49152, 576}, 1}};          // head
// The order of a block's multiplications, by the row above.
constexpr int kOrder[] = {0, 1, 1, 0, 2, 2, 3};
constexpr int kHead = 4;
constexpr int64_t kMostCols = 1536, kMostRows = 49152;

// Calls multiply(layer, which) for every matrix of the model, as a token does.
template <typename Multiply>
void for_token(Multiply&& multiply) {
    int64_t next[std::size(kLayers)] = {};
    for (int block = 0; block < kBlocks; ++block) {
        for (const int layer : kOrder)
            multiply(layer, next[layer]++);
    }
    multiply(kHead, 0);
}

struct Model {
    AlignedFloats x;
    AlignedFloats y;
    std::vector<CheckedRows> original;
    std::vector<Copies> fp32;                        // by layer
    std::vector<std::vector<HintedWeights>> packed;  // by format and layer
};

Model make_model(const Options& options, Handle& handle) {
    Model model{AlignedFloats(random_values(kMostCols, 1.0f, 2)),
                AlignedFloats(kMostRows),
                {},
                {},
                std::vector<std::vector<HintedWeights>>(options.formats.size())};
    for (const Layer& layer : kLayers) {
        const auto weights = static_cast<size_t>(layer.shape.rows * layer.shape.cols);
        const std::vector<float> w = random_values(weights, 0.02f, 1);
        const auto count = static_cast<size_t>(layer.count);
        model.original.push_back(check_rows(layer.shape, w));
        model.fp32.emplace_back(w.data(), weights * sizeof(float), count * weights * sizeof(float));
        for (size_t f = 0; f < options.formats.size(); ++f) {
            const Format& format = options.formats[f];
            model.packed[f].emplace_back(handle, format, options.computes, layer.shape, w,
                                         count * packed_bytes(handle, format, layer.shape));
        }
    }
    return model;
}

double flops_of_token() {
    double flops = 0;
    for (const Layer& layer : kLayers)
        flops += 2.0 * static_cast<double>(layer.shape.rows * layer.shape.cols * layer.count);
    return flops;
}

// Largest error over the layers, each of which must be right.
template <typename Rows, typename Multiply>
double check_layers(Model& model, const std::string& name, double tolerance, Rows&& rows,
                    Multiply&& multiply) {
    double largest = 0;
    for (size_t l = 0; l < std::size(kLayers); ++l) {
        const Shape& shape = kLayers[l].shape;
        const double error = checked_run(rows(l), shape.cols, model.x.data(), model.y.data(), 1,
                                         shape.rows, [&] { multiply(static_cast<int>(l), 0); });
        require_close(name, error, tolerance + summing_tolerance(shape.cols));
        largest = std::max(largest, error);
    }
    return largest;
}

void add_fp6(Model& model, const Options& options, Handle& handle,
             std::vector<Contender>& contenders) {
    for (size_t f = 0; f < options.formats.size(); ++f) {
        const auto& packed = model.packed[f];
        double bytes = 0;
        for (size_t l = 0; l < std::size(kLayers); ++l)
            bytes += static_cast<double>(packed[l][0].copies().bytes()) *
                     static_cast<double>(kLayers[l].count);
        std::vector<std::string> kernels;
        for (size_t c = 0; c < options.computes.size(); ++c) {
            const Compute& compute = options.computes[c];
            const std::string name = options.formats[f].name + " " + compute.name;
            const std::string kernel = kernel_name(handle, packed[kHead][c].weight(0),
                                                   kLayers[kHead].shape, compute.type, 1);
            if (kernel == "none" ||
                std::find(kernels.begin(), kernels.end(), kernel) != kernels.end()) {
                continue;
            }
            kernels.push_back(kernel);
            const auto multiply = [&model, &packed, &handle, &compute, c](int layer,
                                                                          int64_t which) {
                const auto l = static_cast<size_t>(layer);
                check(linear(handle, packed[l][c].weight(which), kLayers[l].shape, compute.type,
                             model.x.data(), model.y.data(), 1));
            };
            const double error = check_layers(
                model, name, compute.tolerance,
                [&](size_t l) -> const CheckedRows& { return packed[l][c].checked(); }, multiply);
            contenders.push_back({Kind::kFp6, name, kernel, bytes, flops_of_token(), error,
                                  [multiply](int64_t) { for_token(multiply); }});
        }
    }
}

void add_openblas(Model& model, const examples::OpenBlas& blas,
                  std::vector<Contender>& contenders) {
    const auto multiply = [&model, &blas](int layer, int64_t which) {
        const auto l = static_cast<size_t>(layer);
        const Shape& shape = kLayers[l].shape;
        blas.linear(1, shape.rows, shape.cols, model.x.data(),
                    reinterpret_cast<const float*>(model.fp32[l].copy(which)), model.y.data());
    };
    const double error = check_layers(
        model, "OpenBLAS", 0, [&](size_t l) -> const CheckedRows& { return model.original[l]; },
        multiply);
    contenders.push_back({Kind::kOpenBlas, "OpenBLAS sgemv", blas.description(),
                          2 * flops_of_token(), flops_of_token(), error,
                          [multiply](int64_t) { for_token(multiply); }});
}

// The first format's bytes, of which each shape's lie end to end.
void add_stream(const Model& model, Team& team, std::vector<Contender>& contenders) {
    double bytes = 0;
    for (size_t l = 0; l < std::size(kLayers); ++l)
        bytes += static_cast<double>(model.packed[0][l][0].copies().bytes()) *
                 static_cast<double>(kLayers[l].count);
    contenders.push_back({Kind::kStream, "read of the same bytes", stream_isa(), bytes, 0, 0,
                          [&model, &team](int64_t) {
                              uint64_t sum = 0;
                              for (const auto& layer : model.packed[0]) {
                                  const Copies& copies = layer[0].copies();
                                  const size_t all =
                                      copies.bytes() * static_cast<size_t>(copies.count());
                                  sum ^= read_stream(team, copies.copy(0), all);
                              }
                              volatile uint64_t sink = sum;
                              (void)sink;
                          }});
}

}  // namespace

std::vector<TokenCase> bench_token(const Options& options, const examples::OpenBlas* blas,
                                   const std::function<void(const TokenCase&)>& report) {
    std::vector<TokenCase> cases;
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CPU;
    Handle handle(config);
    Model model = make_model(options, handle);
    for (const int threads : options.threads) {
        handle.set_num_threads(threads);
        Team team(handle.num_threads());
        if (blas) blas->set_threads(team.threads());
        TokenCase result{team.threads(), 0, {}};
        for_token([&](int, int64_t) { ++result.multiplications; });
        add_fp6(model, options, handle, result.contenders);
        if (blas) add_openblas(model, *blas, result.contenders);
        add_stream(model, team, result.contenders);
        measure(result.contenders, options.rounds, options.seconds_per_case);
        report(result);
        cases.push_back(std::move(result));
    }
    return cases;
}

}  // namespace fp6llm::bench
