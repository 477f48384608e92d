// The vectorized loops of quantize and dequantize, one set per instruction set, all compiled from
// kernels_impl.hpp and bitwise equal.
//
// A kernel works on `count` consecutive elements of one row; each `group` of them shares a scale,
// the last group may be short. group is a multiple of 8, or at least `count`. Sums run over 16
// lanes, element i in lane i % 16 of its group, whatever the vector width. Kernels run under
// FpEnvGuard.
#pragma once

#include <cstdint>

#include "core/common/cpu.hpp"
#include "core/formats/format.hpp"

namespace fp6llm {

/// What quantizing some rows did. Sums over finite elements, in the order of the columns.
struct RowStats {
    double squared_error = 0.0;   ///< sum of (w - value * scale)^2
    double squared_signal = 0.0;  ///< sum of w^2
    double max_abs_error = 0.0;
    int64_t saturated = 0;   ///< |w| / scale above the largest value by more than fp32 rounding
    int64_t non_finite = 0;  ///< NaN and infinite elements

    void add(const RowStats& other) noexcept;
};

// A lane's fp32 sum of 256 terms errs by less than 260 * 2^-24 of it, and underflowing squares by
// 2^-149 each.
constexpr int64_t kEstimateCount = 4096;
constexpr double kEstimateError = 0x1p-15, kEstimateTiny = 0x1p-137;

/// Loops for one type of float elements.
struct QuantKernelsOfType {
    /// Whether no element is NaN or infinite.
    bool (*all_finite)(const void* w, int64_t count);
    /// Largest finite magnitude of each group; 0 if there is none. Returns what all_finite does.
    bool (*amax)(const void* w, int64_t count, int64_t group, float* amax);

    /// The following three are indexed by Rounding. codes: one per byte.
    void (*encode[2])(const FormatInfo& format, const void* w, int64_t count, int64_t group,
                      const float* scales, uint8_t* codes);
    /// encode, and adds to `stats`.
    void (*encode_measured[2])(const FormatInfo& format, const void* w, int64_t count,
                               int64_t group, const float* scales, uint8_t* codes, RowStats* stats);
    /// Sum of squared errors of each group, over finite elements.
    void (*measure[2])(const FormatInfo& format, const void* w, int64_t count, int64_t group,
                       const float* scales, double* errors);

    /// Sum of squared errors of all groups, for either Rounding (their errors are equal): faster than
    /// measure and less exact. Up to kEstimateCount elements: within kEstimateError, relative, and
    /// kEstimateTiny of measure's. NaN or infinite if an element is, or where fp32 overflows.
    double (*estimate)(const FormatInfo& format, const void* w, int64_t count, int64_t group,
                       const float* scales);

    /// w = value * scale, rounded once. `exact_products`: products of value and scale fit into fp32
    /// (half and power-of-two scales), which saves the guard against rounding twice.
    void (*decode)(const FormatInfo& format, const uint8_t* codes, int64_t count, int64_t group,
                   const float* scales, bool exact_products, void* w);
};

struct QuantKernels {
    Isa isa;
    QuantKernelsOfType f32, f16, bf16;

    const QuantKernelsOfType& of(DataType type) const noexcept {
        return type == DataType::kF32 ? f32 : type == DataType::kF16 ? f16 : bf16;
    }
};

/// The sets of this build; nullptr where not built. Call only what the processor can run.
const QuantKernels* portable_quant_kernels() noexcept;
const QuantKernels* avx2_quant_kernels() noexcept;
const QuantKernels* avx512_quant_kernels() noexcept;

/// The best set up to active_isa().
const QuantKernels& active_quant_kernels() noexcept;

}  // namespace fp6llm
