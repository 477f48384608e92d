// The epilogue: what CpuKernelSet::store points to.
//
//   y = act(alpha * sum + beta * y + bias) + residual
//
// in fp32, each operation rounded by itself, then once to the output's type: two instruction sets
// given equal sums store equal results. Include at global scope and take &store_sums; internal
// linkage as in load_impl.hpp.
#pragma once

#include "core/gemm/cpu/activation_impl.hpp"
#include "core/gemm/cpu/load_impl.hpp"

namespace fp6llm {
namespace {

inline void store_sums(const OutputSink& out, const float* sums, int64_t ld, int64_t row,
                       int64_t rows, int64_t token, int64_t tokens) noexcept {
    const bool plain = out.alpha == 1.0f && out.beta == 0.0f && out.bias == nullptr &&
                       out.activation == Activation::kNone && out.residual == nullptr;
    if (plain) {
        for (int64_t t = 0; t < tokens; ++t) {
            store_floats(sums + t * ld, rows, out.data, out.type, (token + t) * out.ld + row);
        }
        return;
    }
    constexpr int64_t kChunk = 32;
    for (int64_t r = 0; r < rows; r += kChunk) {
        const int64_t count = rows - r < kChunk ? rows - r : kChunk;
        float bias[kChunk], other[kChunk], v[kChunk];
        if (out.bias != nullptr) load_floats(out.bias, out.bias_type, row + r, count, bias);
        for (int64_t t = 0; t < tokens; ++t) {
            const int64_t at = (token + t) * out.ld + row + r;
            const float* sum = sums + t * ld + r;
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
