// Quantizes, times and checks the layers of a model through the C ABI.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "examples/common/openblas.hpp"
#include "examples/smollm2/layers/layers.hpp"
#include "fp6llm/fp6llm.hpp"

namespace fp6llm::examples {

constexpr int64_t kTokens = 64;

/// The ways to quantize that the table compares; the last one is used for the multiplications.
struct Scheme {
    const char* name;
    fp6llmDataType_t format;
    fp6llmScaleMode_t scale_mode;
    int32_t group_size;
};
constexpr std::array<Scheme, 5> kSchemes{{
    {"E3M2 row", FP6LLM_R_6F_E3M2, FP6LLM_SCALE_ROW, 0},
    {"E2M3 row", FP6LLM_R_6F_E2M3, FP6LLM_SCALE_ROW, 0},
    {"E2M3 g128", FP6LLM_R_6F_E2M3, FP6LLM_SCALE_GROUP, 128},
    {"E2M3 MX", FP6LLM_R_6F_E2M3, FP6LLM_SCALE_MX, 32},
    {"AUTO row", FP6LLM_R_6F_AUTO, FP6LLM_SCALE_ROW, 0},
}};

/// A squared error and what it is relative to, over any number of elements.
struct ErrorSum {
    double error = 0;
    double signal = 0;
    void add(const ErrorSum& other) noexcept {
        error += other.error;
        signal += other.signal;
    }
};

/// What is known of a layer, or of all layers of a kind together.
struct LayerResult {
    int64_t elements = 0;
    int64_t e3m2_layers = 0;  ///< layers for which AUTO chose E3M2; the others have E2M3
    size_t plain_bytes = 0;   ///< codes and scales as stored
    size_t packed_bytes = 0;  ///< the prepacked weight in memory
    std::array<ErrorSum, kSchemes.size()> quantization;  ///< of the weights
    ErrorSum product;         ///< of X W^T with quantized against original weights
    double kernel_error = 0;  ///< largest |y - exact| / rms of its channel, same 6-bit weights
};

/// A layer's weight object, with the plain codes and scales it was made from.
struct QuantizedLayer {
    Weight weight;
    fp6llmQuantConfig_t config;  ///< format as AUTO chose it
    std::vector<uint8_t> codes;
    std::vector<float> scales;  ///< [rows]
};

/// Quantizes a layer in every scheme, and prepacks it in the last. Fills all of `result` but
/// product and kernel_error.
QuantizedLayer quantize_layer(Handle& handle, const Layer& layer, LayerResult& result);

/// Seeded Gaussian activations [kTokens, cols], the same for every layer of that many columns.
std::vector<float> make_activations(int64_t cols);

/// Multiplies kTokens tokens and one token, compares with fp64, and fills product and kernel_error.
/// The fp64 product uses the values of the codes and the scales apart, so that it is that of the
/// quantized weights to the last bit.
void check_layer(Handle& handle, const Layer& layer, const QuantizedLayer& quantized,
                 const std::vector<float>& activations, LayerResult& result);

/// Milliseconds of each pass through all layers, [contender][repeat][layer]: contender 0 is ours, 1
/// is OpenBLAS on the fp32 weights, if there is one. Passes of the two take turns, each goes
/// through all layers in order, so that weights come from memory as they do in decoding.
using Times = std::array<std::vector<std::vector<double>>, 2>;
Times time_layers(Handle& handle, const OpenBlas* blas, const std::vector<Layer>& layers,
                  const std::vector<QuantizedLayer>& quantized, int64_t tokens, int repeats,
                  const std::function<void(size_t, size_t)>& progress);

}  // namespace fp6llm::examples
