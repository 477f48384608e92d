// See measure.hpp.
#include "examples/smollm2/layers/measure.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <random>
#include <thread>

namespace fp6llm::examples {
namespace {

fp6llmQuantConfig_t config_of(const Scheme& scheme) {
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    config.format = scheme.format;
    config.scaleMode = scheme.scale_mode;
    config.groupSize = scheme.group_size;
    return config;
}

void linear(Handle& handle, int64_t tokens, const float* x, const Weight& weight,
            const Layer& layer, float* y) {
    check(fp6llmLinear(handle.get(), tokens, x, FP6LLM_R_32F, layer.cols, weight.get(), nullptr, y,
                       FP6LLM_R_32F, layer.rows));
}

// out[t] = sum over c of w[c] * x_by_column[c, t] in fp64, in which every product of two floats is
// exact. Sixteen sums at a time stay in registers.
void multiply_row_fp64(const float* w, int64_t cols, const double* x_by_column, double* out) {
    constexpr int kBlock = 16;
    for (int64_t t = 0; t < kTokens; t += kBlock) {
        double sums[kBlock] = {};
        for (int64_t c = 0; c < cols; ++c) {
            const double weight = w[c];
            const double* x = x_by_column + c * kTokens + t;
            for (int i = 0; i < kBlock; ++i)
                sums[i] += weight * x[i];
        }
        std::copy(sums, sums + kBlock, out + t);
    }
}

// A maximum that NaN wins.
void raise(double& largest, double value) {
    if (!(value <= largest)) largest = value;
}

// Errors of some rows of a layer's products.
struct RowErrors {
    ErrorSum product;
    double largest = 0;  // |y - exact| / rms of the row's products
};

}  // namespace

QuantizedLayer quantize_layer(Handle& handle, const Layer& layer, LayerResult& result) {
    const Span<const float> weights(layer.weights.data(), layer.weights.size());
    std::vector<uint8_t> codes;
    std::vector<float> scales;
    fp6llmQuantConfig_t config{};
    result.elements = layer.rows * layer.cols;
    for (size_t i = 0; i < kSchemes.size(); ++i) {
        config = config_of(kSchemes[i]);
        const QuantSizes sizes = quant_sizes(config, layer.rows, layer.cols);
        codes.resize(sizes.code_bytes);
        scales.resize((sizes.scale_bytes + sizeof(float) - 1) / sizeof(float));
        const fp6llmQuantStats_t stats =
            handle.quantize(config, layer.rows, layer.cols, weights, codes, scales);
        const double count = static_cast<double>(result.elements);
        result.quantization[i] = {stats.mse * count, stats.signal * count};
        config.format = stats.format;
    }
    result.e3m2_layers = config.format == FP6LLM_R_6F_E3M2;
    result.plain_bytes = codes.size() + scales.size() * sizeof(float);
    Weight weight = Weight::from_codes(handle, config, layer.rows, layer.cols, codes, scales);
    result.packed_bytes = weight.info().bytes;
    return {std::move(weight), config, std::move(codes), std::move(scales)};
}

std::vector<float> make_activations(int64_t cols) {
    std::mt19937 engine(static_cast<uint32_t>(cols));
    std::normal_distribution<float> gaussian;
    std::vector<float> x(static_cast<size_t>(kTokens * cols));
    for (float& value : x)
        value = gaussian(engine);
    return x;
}

void check_layer(Handle& handle, const Layer& layer, const QuantizedLayer& quantized,
                 const std::vector<float>& activations, LayerResult& result) {
    const int64_t rows = layer.rows, cols = layer.cols;
    const auto outputs = static_cast<size_t>(kTokens * rows);
    // NaN in the output buffers shows every element that a call leaves unwritten.
    std::vector<float> many(outputs, NAN), one(static_cast<size_t>(rows), NAN);
    linear(handle, kTokens, activations.data(), quantized.weight, layer, many.data());
    linear(handle, 1, activations.data(), quantized.weight, layer, one.data());

    std::vector<float> values(layer.weights.size());
    const std::vector<float> ones(static_cast<size_t>(rows), 1.0f);
    check(fp6llmDequantize(handle.get(), &quantized.config, rows, cols, quantized.codes.data(),
                           ones.data(), values.data(), FP6LLM_R_32F, cols));

    std::vector<double> x_by_column(activations.size());
    for (int64_t t = 0; t < kTokens; ++t) {
        for (int64_t c = 0; c < cols; ++c) {
            x_by_column[static_cast<size_t>(c * kTokens + t)] =
                activations[static_cast<size_t>(t * cols + c)];
        }
    }

    const auto check_rows = [&](int64_t begin, int64_t end, RowErrors& errors) {
        double exact[kTokens], original[kTokens];
        for (int64_t r = begin; r < end; ++r) {
            const auto first = static_cast<size_t>(r * cols);
            multiply_row_fp64(&values[first], cols, x_by_column.data(), exact);
            multiply_row_fp64(&layer.weights[first], cols, x_by_column.data(), original);
            double off = 0, squares = 0;
            for (int64_t t = 0; t < kTokens; ++t) {
                exact[t] *= quantized.scales[static_cast<size_t>(r)];
                const double apart = exact[t] - original[t];
                errors.product.add({apart * apart, original[t] * original[t]});
                squares += exact[t] * exact[t];
                raise(off, std::fabs(many[static_cast<size_t>(t * rows + r)] - exact[t]));
            }
            raise(off, std::fabs(one[static_cast<size_t>(r)] - exact[0]));
            if (off != 0) raise(errors.largest, off / std::sqrt(squares / kTokens));
        }
    };
    const int threads = handle.num_threads();
    std::vector<RowErrors> errors(static_cast<size_t>(threads));
    std::vector<std::thread> workers;
    for (int i = 0; i < threads; ++i) {
        workers.emplace_back(check_rows, rows * i / threads, rows * (i + 1) / threads,
                             std::ref(errors[static_cast<size_t>(i)]));
    }
    for (std::thread& worker : workers)
        worker.join();

    for (const RowErrors& part : errors) {
        result.product.add(part.product);
        raise(result.kernel_error, part.largest);
    }
}

Times time_layers(Handle& handle, const OpenBlas* blas, const std::vector<Layer>& layers,
                  const std::vector<QuantizedLayer>& quantized, int64_t tokens, int repeats,
                  const std::function<void(size_t, size_t)>& progress) {
    std::map<int64_t, std::vector<float>> activations;
    int64_t most_rows = 0;
    for (const Layer& layer : layers) {
        if (activations.count(layer.cols) == 0) {
            activations.emplace(layer.cols, make_activations(layer.cols));
        }
        most_rows = std::max(most_rows, layer.rows);
    }
    std::vector<float> y(static_cast<size_t>(most_rows * tokens));

    const auto run_pass = [&](bool ours) {
        using Clock = std::chrono::steady_clock;
        // A pool of OpenBLAS that still spins would slow the next contender.
        std::this_thread::sleep_for(std::chrono::milliseconds(40));
        std::vector<double> times;
        times.reserve(layers.size());
        for (size_t i = 0; i < layers.size(); ++i) {
            const Layer& layer = layers[i];
            const float* x = activations.at(layer.cols).data();
            const auto start = Clock::now();
            if (ours) {
                linear(handle, tokens, x, quantized[i].weight, layer, y.data());
            } else {
                blas->linear(tokens, layer.rows, layer.cols, x, layer.weights.data(), y.data());
            }
            times.push_back(
                std::chrono::duration<double, std::milli>(Clock::now() - start).count());
        }
        return times;
    };
    Times times;
    for (int repeat = -1; repeat < repeats; ++repeat) {  // the first pass only warms up
        for (const size_t contender : {size_t{0}, size_t{1}}) {
            if (contender == 1 && !blas) continue;
            std::vector<double> pass = run_pass(contender == 0);
            if (repeat >= 0) times[contender].push_back(std::move(pass));
        }
        progress(static_cast<size_t>(repeat + 1), static_cast<size_t>(repeats));
    }
    return times;
}

}  // namespace fp6llm::examples
