// Quantizing straight into L3 units: weights from floats, in one pass. One kernel per element type;
// the tag is the one of l3_tag_for(), so it follows from the type.
#include "core/prepack/cuda/params.hpp"
#include "core/quantize/cuda/quantize_rows.cuh"

namespace fp6llm::cuda {
namespace {

/// Rows r and r + 8 of 16 per block, as a thread of a unit has them: four threads make 64 bytes of
/// each plane, whole sectors.
template <typename Element, L3Tag kTag>
struct UnitOutput {
    static constexpr int kRows = 2, kRowStep = 8;
    static constexpr bool kPadsUnits = true;
    using Raw = typename Element::Raw;

    UnitOutputParams out;

    __device__ __forceinline__ int64_t first_row(int64_t task) const {
        return task / 8 * 16 + task % 8;
    }

    template <typename Rows>
    __device__ __forceinline__ void store_scales(const QuantParams& p, const Rows& rows) const {
#pragma unroll 1
        for (int r = 0; r < kRows; ++r) {
            const int64_t block = rows.row(r) / kUnitRows, row = rows.row(r) % kUnitRows;
            if (p.scale.mode == static_cast<int32_t>(ScaleMode::kMx)) {
                const int64_t first_unit = rows.first / kUnitCols;
                for (int u = threadIdx.x; 4 * u < rows.groups; u += blockDim.x) {
                    uint32_t exponents = 0;
                    for (int i = 0; i < 4; ++i) {
                        const int g = 4 * u + i;
                        const uint32_t e =
                            g < rows.groups ? __float_as_uint(rows.scale(r, g)) >> 23 : 127u;
                        exponents |= e << (8 * i);
                    }
                    reinterpret_cast<uint32_t*>(
                        out.scales)[(block * out.k_units + first_unit + u) * kUnitRows + row] =
                        exponents;
                }
            } else {
                for (int g = threadIdx.x; g < rows.groups; g += blockDim.x)
                    reinterpret_cast<float*>(
                        out.scales)[(block * p.groups + rows.first_group + g) * kUnitRows + row] =
                        rows.scale(r, g);
            }
        }
    }

    /// Codes of columns `column` and `column` + 1 of the window.
    template <typename Rows>
    __device__ __forceinline__ void encode_pair(const QuantParams& p, const Rows& rows, int r,
                                                int column, const Divider& divide,
                                                uint8_t* codes) const {
        const Raw* from = &rows.element(r, column);
        Raw pair[2];
        if constexpr (sizeof(Raw) == 4) {
            const uint2 both = *reinterpret_cast<const uint2*>(from);
            pair[0] = both.x, pair[1] = both.y;
        } else {
            const uint32_t both = *reinterpret_cast<const uint32_t*>(from);
            pair[0] = static_cast<Raw>(both), pair[1] = static_cast<Raw>(both >> 16);
        }
#pragma unroll
        for (int i = 0; i < 2; ++i)
            codes[i] = static_cast<uint8_t>(hold_code(
                out.holding,
                encode_element(p.format, p.rounding != 0, divide, Element::to_float(pair[i]))));
    }

    template <typename Rows>
    __device__ __forceinline__ void encode(const QuantParams& p, const Rows& rows, uint8_t*) const {
        const int threads = (rows.columns + kUnitCols - 1) / kUnitCols * 4;
        const int64_t block = rows.first_row / kUnitRows;
        const int row = static_cast<int>(rows.first_row % kUnitRows);
        for (int t = threadIdx.x; t < threads; t += blockDim.x) {
            const int unit = t / 4, j = t % 4;
            uint4 planes[kUnitPlanes];
#pragma unroll 1
            for (int triple = 0; triple < 4; ++triple) {  // unrolled, it takes long to compile
                uint8_t codes[16];
#pragma unroll
                for (int eight = 0; eight < 4; ++eight) {
                    const int octet = 16 * unit + 4 * triple + eight;
#pragma unroll
                    for (int r = 0; r < kRows; ++r)
                        encode_pair(p, rows, r, 8 * octet + 2 * j,
                                    Divider(rows.scale_of_octet(r, octet)),
                                    codes + 2 * (2 * eight + r));
                }
                uint32_t words[kUnitPlanes];
                l3_pack_triple(kTag, codes, words);
#pragma unroll
                for (int plane = 0; plane < kUnitPlanes; ++plane) {
                    uint4& v = planes[plane];
                    v = triple == 0   ? make_uint4(words[plane], 0, 0, 0)
                        : triple == 1 ? make_uint4(v.x, words[plane], 0, 0)
                        : triple == 2 ? make_uint4(v.x, v.y, words[plane], 0)
                                      : make_uint4(v.x, v.y, v.z, words[plane]);
                }
            }
            uint8_t* to = out.units +
                          (block * out.k_units + rows.first / kUnitCols + unit) * kUnitBytes +
                          16 * (32 * (row / 16) + 4 * (row & 7) + j);
#pragma unroll
            for (int plane = 0; plane < kUnitPlanes; ++plane)
                *reinterpret_cast<uint4*>(to + kUnitPlaneBytes * plane) = planes[plane];
        }
    }
};

}  // namespace
}  // namespace fp6llm::cuda

using namespace fp6llm::cuda;

#define FP6LLM_QUANTIZE_UNITS_KERNEL(Element, type, tag)                                         \
    extern "C" __global__ void __launch_bounds__(256, 2)                                         \
        quantize_units_##type(const QuantParams params, const UnitOutputParams out) {            \
        using Output = UnitOutput<Element, tag>;                                                 \
        quantize_rows<Element>(params, Output{out}, out.row_blocks * kUnitRows / Output::kRows); \
    }

FP6LLM_QUANTIZE_UNITS_KERNEL(ElementF32, f32, L3Tag::kF16)
FP6LLM_QUANTIZE_UNITS_KERNEL(ElementF16, f16, L3Tag::kF16)
FP6LLM_QUANTIZE_UNITS_KERNEL(ElementBF16, bf16, L3Tag::kBF16)
