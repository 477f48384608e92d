// Whole matrices: checks, sizes, and the loop over row blocks.
#include "core/quantize/quantize.hpp"

#include <algorithm>
#include <vector>

#include "core/common/error.hpp"
#include "core/common/fp_env.hpp"
#include "core/common/math.hpp"
#include "core/formats/plain_codes.hpp"
#include "core/quantize/row_blocks.hpp"
#include "core/quantize/row_quantizer.hpp"

namespace fp6llm {
namespace {

constexpr int64_t kMinGroup = 16, kMaxGroup = 4096, kGroupStep = 8, kMxGroup = 32;
constexpr int kMaxSearch = 64;
constexpr int64_t kChunk = 4096;  ///< columns decoded at a time

int format_bits(DataType type) noexcept {
    const FormatInfo* format = find_format(type);
    return format != nullptr ? format->bits : 6;
}

void check_scales(const QuantSpec& spec) {
    const bool mx = spec.scale_mode == ScaleMode::kMx;
    const DataType type = spec.scale_type;
    if (mx ? type != DataType::kE8M0 : type != DataType::kF32 && type != DataType::kF16) {
        fail(Status::kInvalidValue, "scaleType = %d: %s", static_cast<int>(type),
             mx ? "MX scales are R_8F_UE8M0" : "row and group scales are R_32F or R_16F");
    }
    const int64_t group = spec.group_size;
    if (spec.scale_mode == ScaleMode::kGroup &&
        (group < kMinGroup || group > kMaxGroup || group % kGroupStep != 0)) {
        fail(Status::kInvalidValue, "groupSize = %lld: must be a multiple of 8 in 16..4096",
             static_cast<long long>(group));
    }
    if (mx && group != kMxGroup) {
        fail(Status::kInvalidValue, "groupSize = %lld: MX groups are 32 columns",
             static_cast<long long>(group));
    }
}

void check_enum(const char* field, int value, int last) {
    if (value < 0 || value > last) {
        fail(Status::kInvalidValue, "%s = %d: must be in 0..%d", field, value, last);
    }
}

}  // namespace

int QuantSpec::bits() const noexcept {
    return format_bits(format);
}

int64_t QuantSpec::groups(int64_t cols) const noexcept {
    return scale_mode == ScaleMode::kRow ? std::min<int64_t>(cols, 1) : ceil_div(cols, group_size);
}

int64_t QuantSpec::row_code_bytes(int64_t cols) const noexcept {
    return cols / 8 * bits() + ceil_div(cols % 8 * bits(), 8);
}

size_t QuantSpec::scale_element_bytes() const noexcept {
    return scale_type == DataType::kE8M0 ? 1 : float_bytes(scale_type);
}

void check_quant_spec(const QuantSpec& spec) {
    if (spec.format != DataType::kAuto6 && find_format(spec.format) == nullptr) {
        fail(Status::kInvalidValue, "format = %d: not a format that weights can have",
             static_cast<int>(spec.format));
    }
    check_enum("scaleMode", static_cast<int>(spec.scale_mode), static_cast<int>(ScaleMode::kMx));
    check_enum("rounding", static_cast<int>(spec.rounding),
               static_cast<int>(Rounding::kNearestAway));
    check_enum("mxScaleRule", static_cast<int>(spec.mx_rule),
               static_cast<int>(MxScaleRule::kRceil));
    check_enum("nonFinite", static_cast<int>(spec.non_finite),
               static_cast<int>(NonFinite::kSaturate));
    check_enum("scaleSearch", spec.scale_search, kMaxSearch);
    check_scales(spec);
}

QuantStats matrix_stats(DataType format, const MatrixView& w,
                        const std::vector<RowStats>& block_stats) {
    RowStats sum;
    for (const RowStats& block : block_stats)
        sum.add(block);
    const double finite = static_cast<double>(w.rows) * static_cast<double>(w.cols) -
                          static_cast<double>(sum.non_finite);
    const double per_element = finite > 0 ? 1.0 / finite : 0.0;
    return {format,
            sum.squared_error * per_element,
            sum.squared_signal * per_element,
            sum.max_abs_error,
            sum.saturated,
            sum.non_finite};
}

QuantSizes quant_sizes(const QuantSpec& spec, int64_t rows, int64_t cols) {
    const int64_t codes = checked_mul(rows, spec.row_code_bytes(cols), "bytes of the codes");
    const int64_t scales = checked_mul(rows, spec.groups(cols), "number of scales");
    const int64_t scale_bytes = checked_mul(
        scales, static_cast<int64_t>(spec.scale_element_bytes()), "bytes of the scales");
    return {static_cast<size_t>(codes), static_cast<size_t>(scale_bytes)};
}

DataType quantize(const QuantSpec& spec, const MatrixView& w, uint8_t* codes, void* scales,
                  QuantStats* stats, Executor& executor) {
    const RowQuantizer quantizer(spec, w, executor);
    const RowBlocks blocks(w.rows, w.cols);
    const size_t code_stride = static_cast<size_t>(spec.row_code_bytes(w.cols));
    const size_t scale_stride =
        static_cast<size_t>(spec.groups(w.cols)) * spec.scale_element_bytes();

    std::vector<RowStats> block_stats(stats != nullptr ? static_cast<size_t>(blocks.count()) : 0);
    executor.run(blocks.count(), [&](int64_t block) {
        const FpEnvGuard fp_env;
        const IndexRange range = blocks[block];
        for (int64_t r = range.begin; r < range.end; ++r) {
            const size_t row = static_cast<size_t>(r);
            RowStats row_stats;
            quantizer.quantize_row_packed(r, codes + row * code_stride,
                                          static_cast<uint8_t*>(scales) + row * scale_stride,
                                          stats != nullptr ? &row_stats : nullptr);
            if (stats != nullptr) block_stats[static_cast<size_t>(block)].add(row_stats);
        }
    });
    if (stats != nullptr) {
        const FpEnvGuard fp_env;
        *stats = matrix_stats(quantizer.spec().format, w, block_stats);
    }
    return quantizer.spec().format;
}

void dequantize(const QuantSpec& spec, const uint8_t* codes, const void* scales,
                const MutableMatrixView& w, Executor& executor) {
    dequantize_with(active_quant_kernels(), spec, codes, scales, w, executor);
}

void dequantize_with(const QuantKernels& all_kernels, const QuantSpec& spec, const uint8_t* codes,
                     const void* scales, const MutableMatrixView& w, Executor& executor) {
    const QuantKernelsOfType& kernels = all_kernels.of(w.type);
    const FormatInfo& format = *find_format(spec.format);
    const RowBlocks blocks(w.rows, w.cols);
    const size_t code_stride = static_cast<size_t>(spec.row_code_bytes(w.cols));
    const size_t scale_stride =
        static_cast<size_t>(spec.groups(w.cols)) * spec.scale_element_bytes();
    const bool whole_rows = spec.scale_mode == ScaleMode::kRow;
    const int64_t chunk = whole_rows ? kChunk : kChunk / spec.group_size * spec.group_size;
    // Values have at most 4 significant bits, so their products with half or power-of-two scales
    // are exact in fp32.
    const bool exact_products = spec.scale_type != DataType::kF32;

    executor.run(blocks.count(), [&](int64_t block) {
        const FpEnvGuard fp_env;
        uint8_t chunk_codes[kChunk];
        float chunk_scales[kChunk / kMinGroup];
        const IndexRange range = blocks[block];
        for (int64_t r = range.begin; r < range.end; ++r) {
            const size_t row = static_cast<size_t>(r);
            const uint8_t* row_codes = codes + row * code_stride;
            const uint8_t* row_scales = static_cast<const uint8_t*>(scales) + row * scale_stride;
            uint8_t* to =
                static_cast<uint8_t*>(w.data) + static_cast<size_t>(r * w.ld) * float_bytes(w.type);
            for (int64_t column = 0; column < w.cols; column += chunk) {
                const int64_t count = std::min(chunk, w.cols - column);
                const int64_t group = whole_rows ? count : spec.group_size;
                const int64_t first_group = whole_rows ? 0 : column / group;
                unpack_codes(row_codes + column * format.bits / 8, format.bits, count, chunk_codes);
                decode_scales(
                    spec.scale_type,
                    row_scales + static_cast<size_t>(first_group) * spec.scale_element_bytes(),
                    ceil_div(count, group), chunk_scales);
                kernels.decode(format, chunk_codes, count, group, chunk_scales, exact_products,
                               to + static_cast<size_t>(column) * float_bytes(w.type));
            }
        }
    });
}

}  // namespace fp6llm
