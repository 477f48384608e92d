// The epilogue: what CpuKernelSet::store points to.
//
//   y = act(alpha * sum + beta * y + bias) + residual
//
// in fp32, each operation rounded by itself, then once to the output's type: two instruction sets
// given equal sums store equal results. Include at global scope and take &store_sums; internal
// linkage as in load_impl.hpp.
#pragma once

#include "core/gemm/cpu/activation_impl.hpp"
#include "core/gemm/cpu/kernel.hpp"
#include "core/gemm/cpu/load_impl.hpp"

namespace fp6llm {
namespace {

constexpr int64_t kChunk = 32;

/// `count` sums from `at` on, at most kChunk: those of all segments added up in `v`, or where they are.
inline const float* add_segments(const KernelSums& sums, int64_t at, int64_t count,
                                 float* v) noexcept {
    const float* first = sums.data + at;
    if (sums.segments == 1) return first;
    int64_t i = 0;
    for (; i + kTileRows <= count; i += kTileRows) {  // whole panels in registers
        float sum[kTileRows];
        std::memcpy(sum, first + i, sizeof sum);
        for (int64_t s = 1; s < sums.segments; ++s) {
            const float* next = first + s * sums.segment_stride + i;
            for (int64_t r = 0; r < kTileRows; ++r)
                sum[r] += next[r];
        }
        std::memcpy(v + i, sum, sizeof sum);
    }
    for (; i < count; ++i) {
        v[i] = first[i];
        for (int64_t s = 1; s < sums.segments; ++s)
            v[i] += first[s * sums.segment_stride + i];
    }
    return v;
}

/// Where the epilogue changes nothing. Apart, since it is often all there is to do and takes few registers.
[[gnu::noinline]] void store_plain_sums(const OutputSink& out, const KernelSums& sums, int64_t row,
                                        int64_t rows, int64_t token, int64_t tokens) noexcept {
    for (int64_t t = 0; t < tokens; ++t) {
        const int64_t at = (token + t) * out.ld + row;
        if (sums.segments == 1) {
            store_floats(sums.data + t * sums.ld, rows, out.data, out.type, at);
            continue;
        }
        for (int64_t r = 0; r < rows; r += kChunk) {
            const int64_t count = rows - r < kChunk ? rows - r : kChunk;
            float added[kChunk];
            store_floats(add_segments(sums, t * sums.ld + r, count, added), count, out.data,
                         out.type, at + r);
        }
    }
}

inline void store_sums(const OutputSink& out, const KernelSums& sums, int64_t row, int64_t rows,
                       int64_t token, int64_t tokens) noexcept {
    if (out.alpha == 1.0f && out.beta == 0.0f && out.bias == nullptr &&
        out.activation == Activation::kNone && out.residual == nullptr) {
        return store_plain_sums(out, sums, row, rows, token, tokens);
    }
    for (int64_t r = 0; r < rows; r += kChunk) {
        const int64_t count = rows - r < kChunk ? rows - r : kChunk;
        float bias[kChunk], other[kChunk], added[kChunk], v[kChunk];
        if (out.bias != nullptr) load_floats(out.bias, out.bias_type, row + r, count, bias);
        for (int64_t t = 0; t < tokens; ++t) {
            const int64_t at = (token + t) * out.ld + row + r;
            const float* sum = add_segments(sums, t * sums.ld + r, count, added);
            for (int64_t i = 0; i < count; ++i)
                v[i] = out.alpha * sum[i];
            if (out.beta != 0.0f) {
                load_floats(out.data, out.type, at, count, other);
                for (int64_t i = 0; i < count; ++i)
                    v[i] += out.beta * other[i];
            }
            if (out.bias != nullptr) {
                for (int64_t i = 0; i < count; ++i)
                    v[i] += bias[i];
            }
            activate(out.activation, count, v);
            if (out.residual != nullptr) {
                load_floats(out.residual, out.residual_type, (token + t) * out.ldr + row + r, count,
                            other);
                for (int64_t i = 0; i < count; ++i)
                    v[i] += other[i];
            }
            store_floats(v, count, out.data, out.type, at);
        }
    }
}

}  // namespace
}  // namespace fp6llm
