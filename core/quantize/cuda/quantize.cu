// Quantizing to plain codes and scales; one kernel per element type.
#include "core/quantize/cuda/quantize_rows.cuh"
#include "core/quantize/cuda/store_codes.cuh"

namespace fp6llm::cuda {
namespace {

/// One row per block; half a warp packs 16 octets at a time.
struct PlainOutput {
    static constexpr int kRows = 1, kRowStep = 0;
    static constexpr bool kPadsUnits = false;

    PlainOutputParams out;

    __device__ __forceinline__ int64_t first_row(int64_t task) const { return task; }

    template <typename Rows>
    __device__ __forceinline__ void store_scales(const QuantParams& p, const Rows& rows) const {
        const int64_t first = rows.first_row * p.groups + rows.first_group;
        for (int g = threadIdx.x; g < rows.groups; g += blockDim.x)
            store_scale(out.scales, p.scale.type, first + g, __float_as_uint(rows.scale(0, g)));
    }

    template <typename Rows>
    __device__ __forceinline__ void encode(const QuantParams& p, const Rows& rows,
                                           uint8_t* shared) const {
        const bool away = p.rounding != 0;
        const int octets = (rows.columns + 7) / 8;
        uint8_t* to = out.codes + rows.first_row * out.row_bytes + rows.first / 8 * p.format.bits;
        const int bytes = (rows.columns * p.format.bits + 7) / 8;
        uint8_t* buffer = shared + threadIdx.x / 32 * kCodeBuffer;
        for (int base = threadIdx.x & ~31; base < octets; base += blockDim.x) {
            const int o = base + threadIdx.x % 32;
            uint64_t codes = 0;
            if (o < octets) {
                const Divider divide(rows.scale_of_octet(0, o));
                const auto octet = rows.octet(0, o);
#pragma unroll
                for (int i = 0; i < 8; ++i)
                    codes |= static_cast<uint64_t>(
                                 encode_element(p.format, away, divide, Rows::to_float(octet[i])))
                             << (8 * i);
            }
            const int at = (o & ~15) * p.format.bits;
            store_codes(codes, p.format.bits, to + at, bytes - at, buffer);
        }
    }
};

/// NaN and Inf: rows in the order of blocks, each noted if it comes before those noted.
template <typename Element>
__device__ __forceinline__ void check_finite(const QuantParams& p) {
    using Raw = typename Element::Raw;
    for (int64_t row = blockIdx.x; row < p.rows; row += gridDim.x) {
        const Raw* from = static_cast<const Raw*>(p.w) + row * p.ld;
        for (int64_t column = threadIdx.x * 8; column < p.cols; column += blockDim.x * 8) {
            const Octet<Raw> octet = load_octet(from + column, p.cols - column);
            int bad = 8;
#pragma unroll
            for (int i = 7; i >= 0; --i)
                bad = (octet[i] & Element::kMagnitude) >= Element::kInfinity ? i : bad;
            if (bad < 8)
                atomicMin(reinterpret_cast<unsigned long long*>(p.first_bad),
                          static_cast<unsigned long long>(row * p.cols + column + bad));
        }
    }
}

}  // namespace
}  // namespace fp6llm::cuda

using namespace fp6llm::cuda;

#define FP6LLM_QUANTIZE_KERNELS(Element, type)                                       \
    extern "C" __global__ void __launch_bounds__(256, 2)                             \
        quantize_row_##type(const QuantParams params, const PlainOutputParams out) { \
        quantize_rows<Element>(params, PlainOutput{out}, params.rows);               \
    }                                                                                \
    extern "C" __global__ void __launch_bounds__(256)                                \
        check_finite_##type(const QuantParams params) {                              \
        check_finite<Element>(params);                                               \
    }

FP6LLM_QUANTIZE_KERNELS(ElementF32, f32)
FP6LLM_QUANTIZE_KERNELS(ElementF16, f16)
FP6LLM_QUANTIZE_KERNELS(ElementBF16, bf16)
