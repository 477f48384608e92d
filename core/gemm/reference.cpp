// The oracle of every kernel: codes straight from the tiles, products and sums in fp64 in plain
// order, the epilogue in fp64, one rounding at the end. Shares no arithmetic with the kernels.
//
// Outputs are computed in strips of 16 (a panel's rows, or for the transposed product a tile's
// columns), each decoded to doubles [k][16] once. value * scale is exact in fp64 (4 + 24 bits), as
// is its product with an activation (24 more).
#include <cmath>

#include "core/common/aligned_buffer.hpp"
#include "core/common/float16.hpp"
#include "core/common/fp_env.hpp"
#include "core/common/math.hpp"
#include "core/gemm/plan.hpp"

namespace fp6llm {
namespace {

double element(const void* data, DataType type, int64_t index) noexcept {
    if (type == DataType::kF32) return static_cast<const float*>(data)[index];
    const uint16_t bits = static_cast<const uint16_t*>(data)[index];
    return type == DataType::kF16 ? half_to_float(bits) : bf16_to_float(bits);
}

/// To fp32 by truncation with a sticky last bit, from which rounding to 16 bits is the same as from
/// `value` itself.
float round_to_odd(double value) noexcept {
    float nearest = static_cast<float>(value);
    if (static_cast<double>(nearest) == value || std::isnan(value)) return nearest;
    uint32_t bits = float_bits(nearest);
    if (std::fabs(static_cast<double>(nearest)) > std::fabs(value)) --bits;
    return float_from_bits(bits | 1u);
}

void store(void* data, DataType type, int64_t index, double value) noexcept {
    if (type == DataType::kF32) {
        static_cast<float*>(data)[index] = static_cast<float>(value);
    } else {
        const float odd = round_to_odd(value);
        static_cast<uint16_t*>(data)[index] =
            type == DataType::kF16 ? float_to_half(odd) : float_to_bf16(odd);
    }
}

double scale_of(const CpuWeightView& weight, int64_t row, int64_t col) noexcept {
    const int64_t group = weight.scale_mode == ScaleMode::kRow ? 0 : col / weight.group_size;
    const int64_t at = weight.scale_index(row / kTileRows, group) + row % kTileRows;
    if (weight.scale_mode != ScaleMode::kMx) return weight.scales[at];
    return weight.e8m0[at] == 255 ? std::nan("") : std::ldexp(1.0, weight.e8m0[at] - 127);
}

/// strip[k][j]: the weights of output 16 * index + j, for the product's k.
void decode_strip(const GemmProblem& problem, int64_t index, double* strip) noexcept {
    const CpuWeightView& weight = problem.weight->cpu();
    const float* values = tile_values(weight.family);
    const int64_t panels = problem.transposed ? weight.panels : 1;
    const int64_t tiles = problem.transposed ? 1 : weight.k_tiles;
    for (int64_t p = 0; p < panels; ++p) {
        for (int64_t t = 0; t < tiles; ++t) {
            const int64_t panel = problem.transposed ? p : index;
            const int64_t tile = problem.transposed ? index : t;
            uint8_t codes[kTileRows * kTileCols];
            unpack_panel(weight.swizzle, weight.family,
                         weight.panel_tiles(panel) + tile * kTileBytes, kTileCols, codes,
                         kTileCols);
            for (int r = 0; r < kTileRows; ++r) {
                for (int c = 0; c < kTileCols; ++c) {
                    const int64_t row = panel * kTileRows + r, col = tile * kTileCols + c;
                    if (row >= weight.rows || col >= weight.cols) continue;
                    const double w = values[codes[r * kTileCols + c]] * scale_of(weight, row, col);
                    strip[problem.transposed ? row * kTileCols + c : col * kTileRows + r] = w;
                }
            }
        }
    }
}

/// The formulas of cpu/activation_impl.hpp, with libm's functions.
double activate(Activation activation, double v) noexcept {
    switch (activation) {
        case Activation::kRelu:
            return v < 0 ? 0 : v;
        case Activation::kGelu:
            return 0.5 * v * std::erfc(-v * std::sqrt(0.5));
        case Activation::kGeluTanh: {
            const double two_u = 2 * std::sqrt(M_2_PI) * (v + 0.044715 * v * v * v);
            return v / (1 + std::exp(-two_u));
        }
        case Activation::kSilu:
            return v / (1 + std::exp(-v));
        case Activation::kNone:
            break;
    }
    return v;
}

/// `v` is alpha * sum.
double finish(const OutputSink& y, double v, int64_t token, int64_t output) noexcept {
    if (y.beta != 0) v += y.beta * element(y.data, y.type, token * y.ld + output);
    if (y.bias != nullptr) v += element(y.bias, y.bias_type, output);
    v = activate(y.activation, v);
    if (y.residual != nullptr) v += element(y.residual, y.residual_type, token * y.ldr + output);
    return v;
}

}  // namespace

void reference_gemm(const GemmProblem& problem, const TokenSource& x, const OutputSink& y,
                    Executor& executor) {
    const int64_t k = y.alpha == 0 ? 0 : problem.k(), outputs = problem.outputs();
    const int64_t strips = ceil_div(outputs, 16), concurrency = executor.concurrency();
    const int64_t tasks = strips < concurrency ? strips : concurrency;
    const int64_t strip_doubles = checked_mul(problem.k(), 16, "k");
    AlignedBuffer memory(static_cast<size_t>(
        checked_mul(checked_mul(strip_doubles, tasks, "k * threads"), 8, "k * threads")));
    auto task = [&](int64_t part) {
        const FpEnvGuard fp_env;
        double* strip = reinterpret_cast<double*>(memory.data()) + part * strip_doubles;
        const IndexRange range = split_range(strips, part, tasks);
        for (int64_t index = range.begin; index < range.end; ++index) {
            decode_strip(problem, index, strip);
            const int64_t first = index * 16, count = outputs - first < 16 ? outputs - first : 16;
            for (int64_t t = 0; t < problem.tokens; ++t) {
                double sums[16] = {};
                for (int64_t i = 0; i < k; ++i) {
                    const double xi = element(x.data, x.type, t * x.token_stride + i * x.k_stride);
                    for (int64_t j = 0; j < count; ++j)
                        sums[j] += strip[i * 16 + j] * xi;
                }
                for (int64_t j = 0; j < count; ++j) {
                    const double product = k == 0 ? 0 : y.alpha * sums[j];
                    store(y.data, y.type, t * y.ld + first + j, finish(y, product, t, first + j));
                }
            }
        }
    };
    executor.run(tasks, task);
}

}  // namespace fp6llm
