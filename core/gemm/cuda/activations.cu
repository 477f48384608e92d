// Before and after the Tensor Cores: packing activations that cannot be copied as they are, and
// finishing products of activations in parts.
#include "core/gemm/cuda/activations.cuh"

#include "core/gemm/cuda/epilogue.cuh"

namespace fp6llm::cuda {
namespace {

/// The bfloat16 next to v towards zero, so that what is left keeps v's sign and loses no bit.
__device__ __forceinline__ uint16_t truncate_to_bf16(float v) {
    const uint32_t bits = __float_as_uint(v);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return 0x7FFF;  // NaN must not become Inf
    return static_cast<uint16_t>(bits >> 16);
}

}  // namespace
}  // namespace fp6llm::cuda

using namespace fp6llm::cuda;

/// A thread packs eight columns of a token. Neighbouring threads take neighbouring columns, or tokens
/// where those are what lies side by side in memory.
extern "C" __global__ void __launch_bounds__(256)
    pack_activations(const __grid_constant__ PackParams p) {
    const int64_t chunks = p.ld / 8;
    const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (index >= chunks * p.tokens) return;
    const bool tokens_first = p.k_stride != 1;
    const int64_t token = tokens_first ? index % p.tokens : index / chunks;
    const int64_t first = (tokens_first ? index / p.tokens : index % chunks) * 8;

    float rest[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        rest[i] = first + i < p.k ? load_element(p.x, p.x_type,
                                                 token * p.token_stride + (first + i) * p.k_stride)
                                  : 0.0f;
    }
    for (int part = 0; part < p.parts; ++part) {
        uint32_t pairs[4];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            uint16_t bits;
            if (p.type == Element::kF16) {
                bits = __half_as_ushort(__float2half_rn(rest[i]));
            } else if (p.parts == 1) {
                bits = __bfloat16_as_ushort(__float2bfloat16_rn(rest[i]));
            } else {
                bits = truncate_to_bf16(rest[i]);
                // Inf and NaN are in the first part; the others add nothing to them.
                const float taken = __uint_as_float(static_cast<uint32_t>(bits) << 16);
                rest[i] = isfinite(taken) ? rest[i] - taken : 0.0f;
            }
            pairs[i / 2] = i % 2 == 0 ? bits : pairs[i / 2] | static_cast<uint32_t>(bits) << 16;
        }
        *reinterpret_cast<uint4*>(p.packed + (part * p.tokens + token) * p.ld + first) =
            make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
    }
}

/// A thread finishes four outputs of a token.
extern "C" __global__ void __launch_bounds__(256)
    finish_products(const __grid_constant__ FinishParams p) {
    const int64_t quads = (p.rows + 3) / 4;
    const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (index >= quads * p.tokens) return;
    const int64_t token = index / quads;
    const int row = static_cast<int>(index % quads) * 4;
    const int count = p.rows - row < 4 ? static_cast<int>(p.rows - row) : 4;
    float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int part = p.parts - 1; part >= 0; --part) {  // small ones first
        const float4 v =
            *reinterpret_cast<const float4*>(p.raw + (part * p.tokens + token) * p.ld + row);
        sum[0] += v.x, sum[1] += v.y, sum[2] += v.z, sum[3] += v.w;
    }
    finish_outputs(p.epilogue, load_scalars(p.epilogue), row, count, token, sum);
}
