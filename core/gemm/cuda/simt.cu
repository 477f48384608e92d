// The product without Tensor Cores, either transpose: fp32 products and sums in plain order, weights
// decoded one by one. It serves transa = N, and tests as a second opinion.
//
//   y[tokens, outputs] = x[tokens, k] @ op(W)[outputs, k].T
//
// A block of 256 threads makes 64 outputs x 64 tokens, 16 of k at a time through shared memory; a
// thread makes outputs 4 q .. 4 q + 3 of tokens r, r + 16, r + 32, r + 48.
#include "core/gemm/cuda/activations.cuh"
#include "core/gemm/cuda/epilogue.cuh"
#include "core/prepack/cuda/l3.hpp"

namespace fp6llm::cuda {
namespace {

constexpr int kTile = 64, kDepth = 16;

/// Code of a weight: the layout's contract, read one weight at a time.
__device__ uint32_t load_code(const SimtParams& p, int64_t row, int64_t col) {
    const L3Place at =
        l3_place(static_cast<int>(row % kUnitRows), static_cast<int>(col % kUnitCols));
    const uint8_t* unit = p.weights + (row / kUnitRows * p.k_units + col / kUnitCols) *
                                          static_cast<int64_t>(kUnitBytes);
    const L3Pattern pattern = l3_pattern(p.is_bf16_tag ? L3Tag::kBF16 : L3Tag::kF16);
    uint32_t word = 0;
    if (at.pair < 6) {
        word = *reinterpret_cast<const uint32_t*>(
            unit + l3_word_offset(at.pair / 2, at.thread, at.triple));
    } else {
        for (int plane = 0; plane < kUnitPlanes; ++plane) {
            const uint32_t r = *reinterpret_cast<const uint32_t*>(
                unit + l3_word_offset(plane, at.thread, at.triple));
            const int by = pattern.rotation[plane];
            word |= (r << by | r >> (32 - by)) & pattern.mask[plane];
        }
    }
    word >>= 16 * at.half;
    const int sign = at.pair % 2 == 0 ? pattern.sign_a : pattern.sign_b;
    const int low = at.pair % 2 == 0 ? pattern.low_a : pattern.low_b;
    return (word >> sign & 1u) << 5 | (word >> low & 31u);
}

/// E3M2 or E2M3: the code's fields moved into fp32, times the difference of the biases.
__device__ float value_of(const SimtParams& p, uint32_t code) {
    const int mantissa_bits = p.is_e2m3 ? 3 : 2;
    const float shifted = __uint_as_float((code & 31u) << (23 - mantissa_bits));
    const float magnitude = shifted * (p.is_e2m3 ? 0x1p126f : 0x1p124f);
    return code >> 5 ? -magnitude : magnitude;
}

__device__ float scale_of(const SimtParams& p, int64_t row, int64_t col) {
    const int64_t block = row / kUnitRows, in_block = row % kUnitRows;
    if (p.is_mx) {
        const int64_t g = col / 32;
        const uint32_t e = static_cast<const uint8_t*>(
            p.scales)[((block * p.k_units + g / 4) * kUnitRows + in_block) * 4 + g % 4];
        return __uint_as_float(e == 0 ? 0x00400000u : e == 255 ? 0x7FC00000u : e << 23);
    }
    const float* scales = static_cast<const float*>(p.scales);
    if (p.is_row_scaled) return scales[row];
    return scales[(block * p.groups + col / p.group_size) * kUnitRows + in_block];
}

}  // namespace
}  // namespace fp6llm::cuda

using namespace fp6llm::cuda;

extern "C" __global__ void __launch_bounds__(256) simt_gemm(const __grid_constant__ SimtParams p) {
    __shared__ float w_tile[kDepth][kTile + 4];  // + 4: columns of float4, rows in other banks
    __shared__ float x_tile[kDepth][kTile + 1];
    const int64_t outputs = p.is_transposed ? p.cols : p.rows;
    const int64_t k_size = p.is_transposed ? p.rows : p.cols;
    const int64_t first_output = static_cast<int64_t>(blockIdx.x) * kTile;
    const int64_t first_token = static_cast<int64_t>(blockIdx.y) * kTile;
    const int q = threadIdx.x % 16, r = threadIdx.x / 16;
    float sums[4][4] = {};
    for (int64_t k0 = 0; k0 < k_size; k0 += kDepth) {
        for (int i = threadIdx.x; i < kDepth * kTile; i += 256) {
            const int64_t k = k0 + i / kTile, output = first_output + i % kTile;
            float w = 0.0f;
            if (k < k_size && output < outputs) {
                const int64_t row = p.is_transposed ? k : output,
                              col = p.is_transposed ? output : k;
                w = value_of(p, load_code(p, row, col)) * scale_of(p, row, col);
            }
            w_tile[i / kTile][i % kTile] = w;
        }
        for (int i = threadIdx.x; i < kDepth * kTile; i += 256) {
            const int64_t k = k0 + i % kDepth, token = first_token + i / kDepth;
            x_tile[i % kDepth][i / kDepth] =
                k < k_size && token < p.tokens
                    ? load_element(p.x, p.x_type, token * p.token_stride + k * p.k_stride)
                    : 0.0f;
        }
        __syncthreads();
        for (int k = 0; k < kDepth; ++k) {
            const float4 w = *reinterpret_cast<const float4*>(&w_tile[k][4 * q]);
#pragma unroll
            for (int t = 0; t < 4; ++t) {
                const float x = x_tile[k][r + 16 * t];
                sums[t][0] = fmaf(w.x, x, sums[t][0]);
                sums[t][1] = fmaf(w.y, x, sums[t][1]);
                sums[t][2] = fmaf(w.z, x, sums[t][2]);
                sums[t][3] = fmaf(w.w, x, sums[t][3]);
            }
        }
        __syncthreads();
    }
    const int64_t row = first_output + 4 * q;
    if (row >= outputs) return;
    const int count = outputs - row < 4 ? static_cast<int>(outputs - row) : 4;
    const Scalars scalars = load_scalars(p.epilogue);
#pragma unroll 1
    for (int t = 0; t < 4; ++t) {
        const int64_t token = first_token + r + 16 * t;
        float v[4];
#pragma unroll
        for (int i = 0; i < 4; ++i)  // registers have no index at run time: the next token moves up
            v[i] = sums[0][i], sums[0][i] = sums[1][i], sums[1][i] = sums[2][i],
            sums[2][i] = sums[3][i];
        if (token < p.tokens)
            finish_outputs(p.epilogue, scalars, static_cast<int>(row), count, token, v);
    }
}
