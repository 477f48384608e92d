// What the host hands to the kernels that quantize and dequantize: plain data, shared by host and
// device code.
#pragma once

#include <cstdint>

namespace fp6llm::cuda {

/// A number format, ready for rounding: the constants that core/quantize/kernels_impl.hpp derives.
struct FormatParams {
    int32_t bits;
    int32_t mantissa_bits;
    int32_t bias;
    int32_t max_exponent;    ///< emax of the MX rules
    int32_t min_exponent;    ///< fp32 bits of the smallest normal number
    int32_t mantissa_shift;  ///< from the fp32 exponent field to the code's
    int32_t adder;           ///< exponent field: from e to C
    int32_t tie;             ///< exponent field: from e down to half a step
    int32_t sign_shift;      ///< from the fp32 sign to the code's
    float max;
    float min_normal;
    float saturated;  ///< above this a value counts as saturated
};

/// How scales are chosen; enumerations are the core's (core/common/types.hpp).
struct ScaleParams {
    int32_t mode;
    int32_t type;
    int32_t mx_rule;
    int32_t search;      ///< QuantSpec::scale_search
    int32_t candidates;  ///< scales tried, the rule's own included
};

/// What a row's quantization did; RowStats of core/quantize/kernels.hpp, to the bit.
struct RowRecord {
    double squared_error;
    double squared_signal;
    double max_abs_error;
    int64_t saturated;
    int64_t non_finite;
};

/// "All elements are finite" in `first_bad`; else it holds row * cols + column of the first that is
/// not.
constexpr uint64_t kNoBadElement = ~uint64_t{0};

/// A matrix and how to quantize it. A block takes one row at a time (or as many as the output wants
/// side by side) and goes through it in windows, which it stages in shared memory.
struct QuantParams {
    const void* w;
    int64_t ld;
    int64_t rows, cols;
    FormatParams format;
    ScaleParams scale;
    int64_t group;    ///< columns per scale; ROW: cols
    int64_t groups;   ///< scales per row
    int64_t windows;  ///< per row
    int32_t window;   ///< columns of a window: whole groups, unless a row has one scale
    int32_t rounding;
    uint64_t* first_bad;    ///< where to note NaN and Inf, or nullptr
    const uint64_t* stop;   ///< write nothing unless it says kNoBadElement; nullptr: no condition
    RowRecord* stats;       ///< [rows] or nullptr
    double* errors;         ///< [rows], squared error with the scales chosen, or nullptr
    int32_t measures_only;  ///< 1: neither codes nor scales are written
};

/// Shared memory in which a warp joins codes to words (store_codes.cuh): 16 octets per half, the
/// halves so far apart that the words which both read at once lie in different banks.
constexpr int kCodeBufferHalf = 192;
constexpr int kCodeBuffer = kCodeBufferHalf + 16 * 6;

/// Plain codes and scales.
struct PlainOutputParams {
    uint8_t* codes;
    int64_t row_bytes;
    uint8_t* scales;
};

struct DequantParams {
    const uint8_t* codes;
    int64_t row_bytes;
    const uint8_t* scales;
    void* w;
    int64_t ld;
    int64_t rows, cols;
    int64_t group, groups;
    FormatParams format;
    int32_t scale_type;
};

}  // namespace fp6llm::cuda
