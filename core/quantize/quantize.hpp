// Float matrix <-> plain codes and scales (DESIGN section 2; ZeroQuant(4+2) section 4; OCP MX 1.0
// section 6.3). This is the first step of a weight's way: quantize -> prepack -> gemm.
//
// Plain codes: row-major, each row an LSB-first bit stream padded to a byte. Scales: [rows] or
// row-major [rows, groups].
#pragma once

#include "core/common/parallel.hpp"
#include "core/common/types.hpp"
#include "core/formats/format.hpp"

namespace fp6llm {

/// A validated quantization config (capi checks; `check_quant_spec` is that check).
struct QuantSpec {
    DataType format = DataType::kE3M2;  ///< a registry format, or kAuto6
    ScaleMode scale_mode = ScaleMode::kRow;
    int64_t group_size = 0;                ///< 0 for kRow, 32 for kMx
    DataType scale_type = DataType::kF32;  ///< kF32 or kF16; kE8M0 for kMx
    Rounding rounding = Rounding::kNearestEven;
    MxScaleRule mx_rule = MxScaleRule::kFloor;
    NonFinite non_finite = NonFinite::kError;
    int scale_search = 0;
    ComputeType compute_hint{};  ///< what products will mostly ask for; 0: not said

    int bits() const noexcept;                            ///< kAuto6 counts as 6
    int64_t groups(int64_t cols) const noexcept;          ///< scales per row
    int64_t row_code_bytes(int64_t cols) const noexcept;  ///< ceil(cols * bits / 8)
    size_t scale_element_bytes() const noexcept;
};

/// Throws INVALID_VALUE naming the field (as the C ABI spells it) that is out of range.
void check_quant_spec(const QuantSpec& spec);

/// Bytes of plain codes and scales; throws INVALID_VALUE if they overflow.
struct QuantSizes {
    size_t code_bytes;
    size_t scale_bytes;
};
QuantSizes quant_sizes(const QuantSpec& spec, int64_t rows, int64_t cols);

struct QuantStats {
    DataType format;
    double mse;
    double signal;
    double max_abs_error;
    int64_t saturated;
    int64_t non_finite;
};

/// Quantizes `w`. `stats` may be nullptr. Returns the format in use (AUTO's choice). With
/// NonFinite::kError throws INVALID_VALUE naming the first NaN or Inf's row and column, before
/// anything is written. Bitwise independent of the executor's concurrency and of the ISA.
DataType quantize(const QuantSpec& spec, const MatrixView& w, uint8_t* codes, void* scales,
                  QuantStats* stats, Executor& executor);

/// w[r, c] = value * scale, rounded once to nearest even. spec.format must not be AUTO.
void dequantize(const QuantSpec& spec, const uint8_t* codes, const void* scales,
                const MutableMatrixView& w, Executor& executor);

}  // namespace fp6llm
