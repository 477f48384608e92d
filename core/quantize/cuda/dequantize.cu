// Dequantizing plain codes: w = value * scale, rounded once; one kernel per element type.
#include "core/quantize/cuda/rounding.cuh"
#include "core/quantize/cuda/store_codes.cuh"

namespace fp6llm::cuda {
namespace {

constexpr uint32_t kInfinity = 0x7F800000u, kQuiet = 0x00400000u;

__device__ __forceinline__ bool is_nan(uint32_t bits) {
    return (bits & 0x7FFFFFFFu) > kInfinity;
}

/// The product's bits as fp32; NaN as x86 has it: a NaN scale stays itself, quiet, and infinity
/// times zero is the negative one.
__device__ __forceinline__ uint32_t nan_product(uint32_t scale) {
    return is_nan(scale) ? scale | kQuiet : 0xFFC00000u;
}

/// For a type two or more bits narrower: products that fp32 does not hold are rounded to odd, so
/// that rounding once more gives what rounding the exact product would.
__device__ __forceinline__ uint32_t product_to_odd(float value, uint32_t scale) {
    const float s = __uint_as_float(scale);
    const uint32_t toward_zero = __float_as_uint(__fmul_rz(value, s));
    if (is_nan(toward_zero)) return nan_product(scale);
    const bool inexact = __fmul_rd(value, s) != __fmul_ru(value, s);
    return toward_zero | static_cast<uint32_t>(inexact);
}

struct ToF32 {
    using Raw = uint32_t;
    __device__ static __forceinline__ Raw product(float value, uint32_t scale) {
        const uint32_t bits = __float_as_uint(__fmul_rn(value, __uint_as_float(scale)));
        return is_nan(bits) ? nan_product(scale) : bits;
    }
};

struct ToF16 {
    using Raw = uint16_t;
    __device__ static __forceinline__ Raw product(float value, uint32_t scale) {
        const uint32_t bits = product_to_odd(value, scale);
        if (is_nan(bits))
            return static_cast<Raw>((bits >> 16 & 0x8000u) | 0x7E00u | (bits >> 13 & 0x3FFu));
        return __half_as_ushort(__float2half_rn(__uint_as_float(bits)));
    }
};

struct ToBF16 {
    using Raw = uint16_t;
    __device__ static __forceinline__ Raw product(float value, uint32_t scale) {
        const uint32_t bits = product_to_odd(value, scale);
        if (is_nan(bits)) return static_cast<Raw>(bits >> 16 | 0x40u);
        return static_cast<Raw>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
    }
};

/// A thread takes eight columns. Codes come in bytes, which the first-level cache joins.
template <typename To>
__device__ __forceinline__ void dequantize_rows(const DequantParams& p) {
    using Raw = typename To::Raw;
    const int64_t octets = (p.cols + 7) / 8, octets_per_group = (p.group + 7) / 8;
    for (int64_t row = blockIdx.y; row < p.rows; row += gridDim.y) {
        const uint8_t* codes = p.codes + row * p.row_bytes;
        Raw* w = static_cast<Raw*>(p.w) + row * p.ld;
        for (int64_t o = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; o < octets;
             o += static_cast<int64_t>(gridDim.x) * blockDim.x) {
            const int64_t first = o * p.format.bits;
            uint64_t joined = 0;
#pragma unroll
            for (int i = 0; i < 6; ++i) {
                if (i < p.format.bits && first + i < p.row_bytes)
                    joined |= static_cast<uint64_t>(codes[first + i]) << (8 * i);
            }
            const uint64_t octet = spread_codes(joined, p.format.bits);
            const uint32_t scale =
                load_scale(p.scales, p.scale_type, row * p.groups + o / octets_per_group);
            Raw out[8];
#pragma unroll
            for (int i = 0; i < 8; ++i)
                out[i] = To::product(
                    decode_element(p.format, static_cast<uint32_t>(octet >> (8 * i)) & 0xFFu),
                    scale);
            Raw* to = w + 8 * o;
            if (8 * o + 8 <= p.cols && reinterpret_cast<uintptr_t>(to) % 16 == 0) {
                constexpr int kPerWord = 4 / sizeof(Raw);
#pragma unroll
                for (int v = 0; v < static_cast<int>(8 * sizeof(Raw) / 16); ++v) {
                    uint32_t words[4];
#pragma unroll
                    for (int i = 0; i < 4; ++i) {
                        const int at = (4 * v + i) * kPerWord;
                        words[i] = kPerWord == 1
                                       ? out[at]
                                       : out[at] | static_cast<uint32_t>(out[at + kPerWord - 1])
                                                       << 16;
                    }
                    reinterpret_cast<uint4*>(to)[v] =
                        make_uint4(words[0], words[1], words[2], words[3]);
                }
            } else {
#pragma unroll
                for (int i = 0; i < 8; ++i)
                    if (8 * o + i < p.cols) to[i] = out[i];
            }
        }
    }
}

}  // namespace
}  // namespace fp6llm::cuda

using namespace fp6llm::cuda;

extern "C" __global__ void __launch_bounds__(256) dequantize_f32(const DequantParams params) {
    dequantize_rows<ToF32>(params);
}
extern "C" __global__ void __launch_bounds__(256) dequantize_f16(const DequantParams params) {
    dequantize_rows<ToF16>(params);
}
extern "C" __global__ void __launch_bounds__(256) dequantize_bf16(const DequantParams params) {
    dequantize_rows<ToBF16>(params);
}
