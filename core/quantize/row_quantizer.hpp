// Quantizing a matrix row by row: what quantize() and the weight builder share. Everything that
// depends on the whole matrix (finiteness, AUTO's choice) is settled once, in the constructor;
// rows are then independent of each other.
#pragma once

#include "core/common/parallel.hpp"
#include "core/common/types.hpp"
#include "core/quantize/kernels.hpp"
#include "core/quantize/quantize.hpp"

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

class RowQuantizer {
  public:
    /// Throws INVALID_VALUE naming row and column of the first NaN or Inf under NonFinite::kError.
    /// Measures both 6-bit formats for kAuto6 and takes the lower squared error, E3M2 on a tie.
    /// `w.data` must stay valid. `kernels` is for tests; by default those of active_isa().
    RowQuantizer(const QuantSpec& spec, const MatrixView& w, Executor& executor,
                 const QuantKernels& kernels = active_quant_kernels());

    const FormatInfo& format() const noexcept { return *format_; }
    /// The spec with AUTO resolved.
    const QuantSpec& spec() const noexcept { return spec_; }

    /// Quantizes one row. Thread-safe.
    /// @param codes   [cols], one code per byte
    /// @param scales  [spec().groups(cols)] of spec().scale_type
    /// @param stats   nullptr, or receives the row's statistics (slower)
    void quantize_row(int64_t row, uint8_t* codes, void* scales, RowStats* stats) const noexcept;

    /// The same with plain codes: [spec().row_code_bytes(cols)] bytes.
    void quantize_row_packed(int64_t row, uint8_t* packed, void* scales,
                             RowStats* stats) const noexcept;

  private:
    template <typename Sink>
    void quantize_chunks(int64_t row, void* scales, RowStats* stats, Sink&& sink) const noexcept;
    const uint8_t* at(int64_t row, int64_t column) const noexcept;

    QuantSpec spec_;
    MatrixView w_;
    const QuantKernels& kernels_;
    const FormatInfo* format_;
};

/// Scales of any scale type as fp32: what `dequantize` multiplies by. E8M0 255 is NaN, 0 is 2^-127.
void decode_scales(DataType type, const void* scales, int64_t count, float* out) noexcept;

}  // namespace fp6llm
