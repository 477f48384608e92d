// Real weights through libfp6llm.so: every linear layer of a Llama-architecture GGUF file is
// quantized, prepacked, multiplied, timed against OpenBLAS and checked against fp64. One table, one
// line of totals.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

#include "examples/smollm2/layers/table.hpp"

namespace fp6llm::examples {
namespace {

constexpr int kRepeatsOneToken = 15;
constexpr int kRepeatsManyTokens = 7;
// Up to some thousand fp32 additions in a row, each rounded by at most 2^-24 of the sum so far,
// with random signs; far below what one wrong weight would do.
constexpr double kLargestKernelError = 1e-5;

struct Options {
    const char* model = nullptr;
    int threads = 0;
    bool each_layer = false;
    bool help = false;
};

// Overwrites one line on a terminal; silent elsewhere.
void show_progress(const char* work, size_t done, size_t all) {
    static const bool terminal = isatty(STDERR_FILENO);
    if (!terminal) return;
    std::fprintf(stderr, "\r\033[K%s %zu / %zu", work, done, all);
    if (done == all) std::fprintf(stderr, "\r\033[K");
}

double median(std::vector<double> values) {
    if (values.empty()) return NAN;
    std::sort(values.begin(), values.end());
    const size_t half = values.size() / 2;
    return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Median over the passes of the time that the layers of a line took together.
LineTimes line_times(const Times& times, const std::vector<size_t>& layers) {
    const auto of = [&](size_t contender) {
        std::vector<double> sums;
        for (const std::vector<double>& pass : times[contender]) {
            double sum = 0;
            for (const size_t layer : layers)
                sum += pass[layer];
            sums.push_back(sum);
        }
        return median(std::move(sums));
    };
    return {of(0), of(1)};
}

void add(LayerResult& sum, const LayerResult& layer) {
    sum.elements += layer.elements;
    sum.e3m2_layers += layer.e3m2_layers;
    sum.plain_bytes += layer.plain_bytes;
    sum.packed_bytes += layer.packed_bytes;
    for (size_t i = 0; i < kSchemes.size(); ++i)
        sum.quantization[i].add(layer.quantization[i]);
    sum.product.add(layer.product);
    if (!(layer.kernel_error <= sum.kernel_error)) sum.kernel_error = layer.kernel_error;
}

// The layers of each line of the table: one kind and shape, or one layer.
std::vector<std::vector<size_t>> group_layers(const std::vector<Layer>& layers, bool each_layer) {
    std::vector<std::vector<size_t>> groups;
    std::map<std::pair<std::string, std::pair<int64_t, int64_t>>, size_t> known;
    for (size_t i = 0; i < layers.size(); ++i) {
        const Layer& layer = layers[i];
        const auto [entry, fresh] =
            known.emplace(std::pair{layer.kind, std::pair{layer.rows, layer.cols}}, groups.size());
        if (fresh || each_layer) groups.emplace_back();
        groups[each_layer ? i : entry->second].push_back(i);
    }
    return groups;
}

void print_introduction(const std::string& name, const std::vector<Layer>& layers, int threads,
                        const OpenBlas* blas) {
    int64_t weights = 0;
    std::set<std::string> origins;
    for (const Layer& layer : layers) {
        weights += layer.rows * layer.cols;
        origins.insert(gguf_type_name(layer.origin));
    }
    std::string types;
    for (const std::string& origin : origins)
        types += (types.empty() ? "" : " and ") + origin;
    fp6llmDeviceInfo_t device = FP6LLM_DEVICE_INFO_INIT;
    check(fp6llmGetDeviceInfo(FP6LLM_BACKEND_CPU, 0, &device));
    std::printf("%s: %zu linear layers, %.1f million weights\n", name.c_str(), layers.size(),
                static_cast<double>(weights) / 1e6);
    std::printf(
        "libfp6llm %s on %s, %s kernels, %d thread%s; %s\n", fp6llmGetVersionString(), device.name,
        device.isa, threads, threads == 1 ? "" : "s",
        blas ? blas->description().c_str() : "OpenBLAS is not installed: its columns say -");
    std::printf("The file holds %s weights", types.c_str());
    if (origins.count("Q4_1") > 0) {
        std::printf(
            ": most sit on 4-bit grids already, so the SNR below is not that of a 16-bit "
            "checkpoint");
    }
    std::printf(
        ".\n"
        "Multiplied: AUTO row, fp32 activations and sums, seeded Gaussian activations. A timed "
        "pass "
        "runs all layers in order,\nas decoding does, so weights come from memory; passes of the "
        "two "
        "contenders take turns; medians. Errors are against\nfp64: kernel = largest |y - exact| / "
        "rms of its output channel, on the same 6-bit weights; quantized = change of the\nproduct "
        "by "
        "quantization, rms.\n\n");
}

int run(const Options& options) {
    const GgufFile file = GgufFile::open(options.model);
    const std::string path = options.model;
    const std::string name = path.substr(path.rfind('/') + 1);
    const std::vector<Layer> layers =
        load_linear_layers(file, [](size_t i, size_t n) { show_progress("loading", i, n); });
    const std::unique_ptr<OpenBlas> blas = OpenBlas::open(BlasCore::kEnvironment);

    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CPU;
    config.numThreads = options.threads;
    Handle handle(config);
    if (blas) blas->set_threads(handle.num_threads());
    print_introduction(name, layers, handle.num_threads(), blas.get());
    print_table_header();

    std::vector<LayerResult> results(layers.size());
    std::vector<QuantizedLayer> quantized;
    for (size_t i = 0; i < layers.size(); ++i) {
        quantized.push_back(quantize_layer(handle, layers[i], results[i]));
        show_progress("quantizing", i + 1, layers.size());
    }
    const auto time_tokens = [&](int64_t tokens, int repeats, const char* work) {
        return time_layers(handle, blas.get(), layers, quantized, tokens, repeats,
                           [&](size_t i, size_t n) { show_progress(work, i, n); });
    };
    const Times one_token = time_tokens(1, kRepeatsOneToken, "timing one token, pass");
    const Times many_tokens = time_tokens(kTokens, kRepeatsManyTokens, "timing 64 tokens, pass");

    TableLine model;
    model.name = name;
    std::vector<size_t> all;
    for (const std::vector<size_t>& group : group_layers(layers, options.each_layer)) {
        const Layer& first = layers[group.front()];
        TableLine line;
        line.name = first.kind;
        line.shape = std::to_string(first.rows) + " x " + std::to_string(first.cols);
        line.layers = static_cast<int64_t>(group.size());
        for (const size_t i : group) {
            check_layer(handle, layers[i], quantized[i], make_activations(first.cols), results[i]);
            add(line.result, results[i]);
            all.push_back(i);
            show_progress("checking", all.size(), layers.size());
        }
        line.one_token = line_times(one_token, group);
        line.many_tokens = line_times(many_tokens, group);
        show_progress("", 1, 1);
        print_table_line(line);
        add(model.result, line.result);
    }
    model.layers = static_cast<int64_t>(all.size());
    model.one_token = line_times(one_token, all);
    model.many_tokens = line_times(many_tokens, all);
    TableLine sum = model;
    sum.name = "all layers";
    print_table_line(sum);
    std::printf("\n");
    print_totals(model);
    if (!(model.result.kernel_error <= kLargestKernelError)) {
        std::fprintf(stderr, "FAILED: the largest error is above %.0e\n", kLargestKernelError);
        return 1;
    }
    return 0;
}

constexpr const char* kUsage =
    "usage: smollm2_demo MODEL.gguf [OPTION...]\n"
    "  --threads N     CPU threads, 1 to 64 (default: as many as this process may use)\n"
    "  --each-layer    a line for each layer instead of each kind of layer\n";

// False if the arguments make no sense.
bool parse(int argc, char** argv, Options& options) {
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--help") == 0) {
            options.help = true;
        } else if (std::strcmp(argv[i], "--each-layer") == 0) {
            options.each_layer = true;
        } else if (std::strcmp(argv[i], "--threads") == 0 && i + 1 < argc) {
            options.threads = std::atoi(argv[++i]);
            if (options.threads < 1) return false;
        } else if (argv[i][0] != '-' && !options.model) {
            options.model = argv[i];
        } else {
            return false;
        }
    }
    return options.help || options.model;
}

}  // namespace
}  // namespace fp6llm::examples

int main(int argc, char** argv) {
    using namespace fp6llm::examples;
    Options options;
    const bool valid = parse(argc, argv, options);
    if (!valid || options.help) {
        std::fputs(kUsage, valid ? stdout : stderr);
        return valid ? 0 : 2;
    }
    try {
        return run(options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
        return 1;
    }
}
