// Packers alone, in cache: plain codes, CPU tiles. Rates are of bytes of codes as stored.
#include <benchmark/benchmark.h>

#include <vector>

#include "core/formats/plain_codes.hpp"
#include "core/prepack/cpu_tile.hpp"

namespace fp6llm {
namespace {

constexpr int64_t kCols = 1024;

std::vector<uint8_t> some_codes(int64_t count, int bits) {
    std::vector<uint8_t> codes(static_cast<size_t>(count));
    for (size_t i = 0; i < codes.size(); ++i) {
        codes[i] = static_cast<uint8_t>((i * 37 + i / 64) & ((1u << bits) - 1));
    }
    return codes;
}

void BM_PackCodes(benchmark::State& state) {
    const auto bits = static_cast<int>(state.range(0));
    const std::vector<uint8_t> codes = some_codes(kCols, bits);
    std::vector<uint8_t> packed(kCols);
    for (auto _ : state) {
        pack_codes(codes.data(), bits, kCols, packed.data());
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * kCols * bits / 8);
}
BENCHMARK(BM_PackCodes)->Arg(6)->Arg(5)->Arg(4);

void BM_UnpackCodes(benchmark::State& state) {
    const auto bits = static_cast<int>(state.range(0));
    const std::vector<uint8_t> packed = some_codes(kCols, 8);
    std::vector<uint8_t> codes(kCols);
    for (auto _ : state) {
        unpack_codes(packed.data(), bits, kCols, codes.data());
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * kCols * bits / 8);
}
BENCHMARK(BM_UnpackCodes)->Arg(6)->Arg(5)->Arg(4);

void BM_PackPanel(benchmark::State& state) {
    const auto swizzle = static_cast<CpuSwizzle>(state.range(0));
    const auto family = static_cast<TileFamily>(state.range(1));
    const std::vector<uint8_t> codes = some_codes(kTileRows * kCols, 6);
    std::vector<uint8_t> tiles(kCols / kTileCols * kTileBytes);
    for (auto _ : state) {
        pack_panel(swizzle, family, codes.data(), kCols, kCols, tiles.data());
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(tiles.size()));
}
BENCHMARK(BM_PackPanel)->ArgNames({"swizzle", "family"})->ArgsProduct({{1, 2}, {0, 1}});

void BM_UnpackPanel(benchmark::State& state) {
    const auto swizzle = static_cast<CpuSwizzle>(state.range(0));
    const std::vector<uint8_t> tiles = some_codes(kCols / kTileCols * kTileBytes, 8);
    std::vector<uint8_t> codes(kTileRows * kCols);
    for (auto _ : state) {
        unpack_panel(swizzle, TileFamily::kE3M2, tiles.data(), kCols, codes.data(), kCols);
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(tiles.size()));
}
BENCHMARK(BM_UnpackPanel)->ArgName("swizzle")->Arg(1)->Arg(2);

}  // namespace
}  // namespace fp6llm
