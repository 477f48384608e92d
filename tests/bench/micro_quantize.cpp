// Quantizing, and quantizing into a weight object, in cache, on one thread. Rates are of bytes of weights as given.
#include <benchmark/benchmark.h>

#include <cstring>

#include "core/prepack/weight.hpp"
#include "core/quantize/quantize.hpp"
#include "tests/bench/matrices.hpp"

namespace fp6llm {
namespace {

constexpr int64_t kRows = 16, kCols = 4096;

QuantSpec spec_of(int64_t mode) {
    QuantSpec spec;
    spec.scale_mode = static_cast<ScaleMode>(mode);
    if (spec.scale_mode == ScaleMode::kGroup) spec.group_size = 128;
    if (spec.scale_mode == ScaleMode::kMx) {
        spec.group_size = 32;
        spec.scale_type = DataType::kE8M0;
    }
    return spec;
}

// Weights in one of the float types.
std::vector<uint8_t> some_weights(DataType type) {
    const std::vector<float> values = bench::random_values(kRows * kCols, 0.02f, 1);
    std::vector<uint8_t> bytes(values.size() * float_bytes(type));
    if (type == DataType::kF32) {
        std::memcpy(bytes.data(), values.data(), bytes.size());
    } else {
        const std::vector<uint16_t> halfs = bench::to_halfs(values);
        std::memcpy(bytes.data(), halfs.data(), bytes.size());
    }
    return bytes;
}

void BM_Quantize(benchmark::State& state) {
    QuantSpec spec = spec_of(state.range(0));
    spec.scale_search = static_cast<int>(state.range(2));
    const auto type = static_cast<DataType>(state.range(1));
    const std::vector<uint8_t> weights = some_weights(type);
    const QuantSizes sizes = quant_sizes(spec, kRows, kCols);
    std::vector<uint8_t> codes(sizes.code_bytes), scales(sizes.scale_bytes);
    SerialExecutor executor;
    for (auto _ : state) {
        quantize(spec, {weights.data(), type, kRows, kCols, kCols}, codes.data(), scales.data(),
                 nullptr, executor);
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(weights.size()));
}
// Row, group 128, MX; fp32, fp16; without and with a search for the scale.
BENCHMARK(BM_Quantize)
    ->ArgNames({"mode", "type", "search"})
    ->ArgsProduct({{0, 1, 2}, {0, 2}, {0}})
    ->Args({1, 2, 8});

// Quantize and prepack together; row-wise E3M2 of fp16 is to reach 1 GB/s.
void BM_WeightFromFloats(benchmark::State& state) {
    const QuantSpec spec = spec_of(state.range(0));
    const auto type = static_cast<DataType>(state.range(1));
    const std::vector<uint8_t> weights = some_weights(type);
    SerialExecutor executor;
    for (auto _ : state) {
        benchmark::DoNotOptimize(
            Weight::from_floats(spec, {weights.data(), type, kRows, kCols, kCols}, executor));
    }
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(weights.size()));
}
BENCHMARK(BM_WeightFromFloats)->ArgNames({"mode", "type"})->ArgsProduct({{0, 1, 2}, {0, 2}});

void BM_Dequantize(benchmark::State& state) {
    const QuantSpec spec = spec_of(state.range(0));
    const auto type = static_cast<DataType>(state.range(1));
    std::vector<uint8_t> weights = some_weights(type);
    const QuantSizes sizes = quant_sizes(spec, kRows, kCols);
    std::vector<uint8_t> codes(sizes.code_bytes), scales(sizes.scale_bytes);
    SerialExecutor executor;
    quantize(spec, {weights.data(), type, kRows, kCols, kCols}, codes.data(), scales.data(),
             nullptr, executor);
    for (auto _ : state) {
        dequantize(spec, codes.data(), scales.data(), {weights.data(), type, kRows, kCols, kCols},
                   executor);
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(weights.size()));
}
BENCHMARK(BM_Dequantize)->ArgNames({"mode", "type"})->ArgsProduct({{0, 1, 2}, {0, 2}});

}  // namespace
}  // namespace fp6llm
