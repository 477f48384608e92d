// Quantizing a matrix row by row: what quantize() and the weight builder share. Everything that
// depends on the whole matrix (finiteness, AUTO's choice) is settled once, in the constructor;
// rows are then independent of each other.
#pragma once

#include <vector>

#include "core/common/parallel.hpp"
#include "core/common/types.hpp"
#include "core/quantize/kernels.hpp"
#include "core/quantize/quantize.hpp"
#include "core/quantize/scales.hpp"

namespace fp6llm {

/// When NonFinite::kError looks at the elements.
enum class FiniteCheck {
    kFirst,   ///< all of them, before any is encoded
    kByRows,  ///< row by row, as it is encoded: quantize_row() tells
};

class RowQuantizer {
  public:
    /// Throws INVALID_VALUE naming row and column of the first NaN or Inf under NonFinite::kError, if
    /// they are looked for here.
    /// Measures both 6-bit formats for kAuto6 and takes the lower squared error, E3M2 on a tie.
    /// `w.data` must stay valid. `kernels` is for tests; by default those of active_isa().
    RowQuantizer(const QuantSpec& spec, const MatrixView& w, Executor& executor,
                 const QuantKernels& kernels = active_quant_kernels(),
                 FiniteCheck check = FiniteCheck::kFirst);

    const FormatInfo& format() const noexcept { return *format_; }
    /// The spec with AUTO resolved.
    const QuantSpec& spec() const noexcept { return spec_; }

    /// Throws as the constructor does, for a caller that found a row refused.
    void require_finite(Executor& executor) const;

    /// Quantizes one row. Thread-safe. False for a row that NonFinite::kError refuses, under
    /// FiniteCheck::kByRows; what it wrote then is of no use.
    /// @param codes   [cols], one code per byte
    /// @param scales  [spec().groups(cols)] of spec().scale_type; decode_scales() gives fp32
    /// @param stats   nullptr, or receives the row's statistics (slower)
    bool quantize_row(int64_t row, uint8_t* codes, void* scales, RowStats* stats) const noexcept;

    /// The same with plain codes: [spec().row_code_bytes(cols)] bytes.
    void quantize_row_packed(int64_t row, uint8_t* packed, void* scales,
                             RowStats* stats) const noexcept;

  private:
    template <typename Encoded>
    bool encode_row(int64_t row, void* scales, RowStats* stats, Encoded&& encoded) const noexcept;

    QuantSpec spec_;
    MatrixView w_;
    const QuantKernelsOfType& kernels_;
    const FormatInfo* format_;
    bool is_checked_;  ///< or need not be
};

/// A matrix's statistics from those of its RowBlocks, in their order.
QuantStats matrix_stats(DataType format, const MatrixView& w,
                        const std::vector<RowStats>& block_stats);

/// dequantize() with given kernels, for tests.
void dequantize_with(const QuantKernels& kernels, const QuantSpec& spec, const uint8_t* codes,
                     const void* scales, const MutableMatrixView& w, Executor& executor);

}  // namespace fp6llm
