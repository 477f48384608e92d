// The epilogue on the device: what core/gemm/cpu/store_impl.hpp is on the CPU.
//
//   y = act(alpha * sum + beta * y + bias) + residual      in fp32, rounded once to y's type
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "core/gemm/cuda/params.hpp"

namespace fp6llm::cuda {

__device__ __forceinline__ float load_element(const void* data, Element type, int64_t at) {
    switch (type) {
        case Element::kF16:
            return __half2float(static_cast<const __half*>(data)[at]);
        case Element::kBF16:
            return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[at]);
        default:
            return static_cast<const float*>(data)[at];
    }
}

__device__ __forceinline__ void store_element(void* data, Element type, int64_t at, float v) {
    switch (type) {
        case Element::kF16:
            static_cast<__half*>(data)[at] = __float2half_rn(v);
            break;
        case Element::kBF16:
            static_cast<__nv_bfloat16*>(data)[at] = __float2bfloat16_rn(v);
            break;
        default:
            static_cast<float*>(data)[at] = v;
    }
}

/// Four consecutive elements, aligned to four.
__device__ __forceinline__ void load_four(const void* data, Element type, int64_t at,
                                          float (&v)[4]) {
    if (type == Element::kF32) {
        const float4 f = *reinterpret_cast<const float4*>(static_cast<const float*>(data) + at);
        v[0] = f.x, v[1] = f.y, v[2] = f.z, v[3] = f.w;
        return;
    }
    const uint2 u = *reinterpret_cast<const uint2*>(static_cast<const uint16_t*>(data) + at);
    const uint32_t pairs[2] = {u.x, u.y};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        if (type == Element::kF16) {
            const float2 f = __half22float2(*reinterpret_cast<const __half2*>(&pairs[i]));
            v[2 * i] = f.x, v[2 * i + 1] = f.y;
        } else {
            v[2 * i] = __uint_as_float(pairs[i] << 16);
            v[2 * i + 1] = __uint_as_float(pairs[i] & 0xFFFF0000u);
        }
    }
}

__device__ __forceinline__ void store_four(void* data, Element type, int64_t at,
                                           const float (&v)[4]) {
    if (type == Element::kF32) {
        *reinterpret_cast<float4*>(static_cast<float*>(data) + at) =
            make_float4(v[0], v[1], v[2], v[3]);
        return;
    }
    uint32_t pairs[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        if (type == Element::kF16) {
            const __half2 h = __floats2half2_rn(v[2 * i], v[2 * i + 1]);
            pairs[i] = *reinterpret_cast<const uint32_t*>(&h);
        } else {
            const __nv_bfloat162 h = __floats2bfloat162_rn(v[2 * i], v[2 * i + 1]);
            pairs[i] = *reinterpret_cast<const uint32_t*>(&h);
        }
    }
    *reinterpret_cast<uint2*>(static_cast<uint16_t*>(data) + at) = make_uint2(pairs[0], pairs[1]);
}

__device__ __forceinline__ float activate(int32_t activation, float v) {
    switch (activation) {
        case 1:  // ReLU, which keeps NaN
            return v < 0.0f ? 0.0f : v;
        case 2:  // GELU: the form that does not cancel for negative v
            return 0.5f * v * erfcf(v * -0.70710678118654752f);
        case 3: {  // GELU, tanh form
            const float u = 1.5957691216057308f * (v + 0.044715f * v * v * v);
            return v / (1.0f + expf(-u));
        }
        case 4:  // SiLU
            return v / (1.0f + expf(-v));
        default:
            return v;
    }
}

struct Scalars {
    float alpha, beta;
};

__device__ __forceinline__ Scalars load_scalars(const EpilogueParams& p) {
    return Scalars{p.alpha_pointer != nullptr ? *p.alpha_pointer : p.alpha,
                   p.beta_pointer != nullptr ? *p.beta_pointer : p.beta};
}

/// Finishes outputs row .. row + count - 1 (count <= 4) of a token.
__device__ __forceinline__ void finish_outputs(const EpilogueParams& p, const Scalars& scalars,
                                               int row, int count, int64_t token, float (&v)[4]) {
    const bool whole = count == 4 && p.vector_rows != 0;
    const int64_t at = token * p.ldy + row;
    // alpha == 0 leaves out the product, whatever it holds.
#pragma unroll
    for (int i = 0; i < 4; ++i)
        v[i] = scalars.alpha == 0.0f ? 0.0f : scalars.alpha * v[i];
    if (scalars.beta != 0.0f) {
        float old[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        if (whole) {
            load_four(p.y, p.y_type, at, old);
        } else {
#pragma unroll
            for (int i = 0; i < 4; ++i)
                if (i < count) old[i] = load_element(p.y, p.y_type, at + i);
        }
#pragma unroll
        for (int i = 0; i < 4; ++i)
            v[i] += scalars.beta * old[i];
    }
    if (p.bias != nullptr) {
#pragma unroll
        for (int i = 0; i < 4; ++i)
            if (i < count) v[i] += load_element(p.bias, p.bias_type, row + i);
    }
    if (p.activation != 0) {
#pragma unroll 1
        for (int i = 0; i < 4; ++i) {  // turning v around keeps it in registers, and the code short
            const float next = activate(p.activation, v[0]);
            v[0] = v[1], v[1] = v[2], v[2] = v[3], v[3] = next;
        }
    }
    if (p.residual != nullptr) {
        const int64_t from = token * p.ldr + row;
        float other[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        if (whole) {
            load_four(p.residual, p.residual_type, from, other);
        } else {
#pragma unroll
            for (int i = 0; i < 4; ++i)
                if (i < count) other[i] = load_element(p.residual, p.residual_type, from + i);
        }
#pragma unroll
        for (int i = 0; i < 4; ++i)
            v[i] += other[i];
    }
    if (whole) {
        store_four(p.y, p.y_type, at, v);
    } else {
#pragma unroll
        for (int i = 0; i < 4; ++i)
            if (i < count) store_element(p.y, p.y_type, at + i, v[i]);
    }
}

}  // namespace fp6llm::cuda
