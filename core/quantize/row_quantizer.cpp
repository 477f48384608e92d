// Rows go through in chunks that fit the first-level cache: scales, codes, packing.
#include "core/quantize/row_quantizer.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "core/common/error.hpp"
#include "core/common/fp_env.hpp"
#include "core/formats/plain_codes.hpp"
#include "core/quantize/row_blocks.hpp"

namespace fp6llm {
namespace {

constexpr int64_t kChunk = 4096;  ///< columns; a multiple of 8, so that chunks start on a byte
constexpr int64_t kMinGroup = 16;
constexpr int64_t kChunkGroups = kChunk / kMinGroup;

const uint8_t* element(const MatrixView& w, int64_t row, int64_t column) noexcept {
    return static_cast<const uint8_t*>(w.data) +
           static_cast<size_t>(row * w.ld + column) * float_bytes(w.type);
}

/// Choosing the scales of a matrix for one format.
struct ScaleChooser {
    const QuantSpec& spec;
    const MatrixView& w;
    const QuantKernelsOfType& kernels;
    const FormatInfo& format;

    bool whole_rows() const noexcept { return spec.scale_mode == ScaleMode::kRow; }
    int64_t group() const noexcept { return whole_rows() ? w.cols : spec.group_size; }
    int64_t chunk() const noexcept { return whole_rows() ? kChunk : kChunk / group() * group(); }

    /// Scales of `count` elements in at most kChunkGroups groups and, if `errors` is given, the
    /// squared error of each group. `amax` is the largest magnitude of each.
    void choose(const uint8_t* from, int64_t count, const float* amax, float* scales,
                double* errors) const noexcept {
        const int64_t groups = ceil_div(count, group());
        group_scales(spec, format, amax, groups, 0, scales);
        const int candidates = scale_candidates(spec);
        if (candidates == 1 && errors == nullptr) return;
        float tried[kChunkGroups];
        double best[kChunkGroups], error[kChunkGroups];
        const auto measure = kernels.measure[static_cast<int>(spec.rounding)];
        measure(format, from, count, group(), scales, best);
        for (int candidate = 1; candidate < candidates; ++candidate) {
            group_scales(spec, format, amax, groups, candidate, tried);
            measure(format, from, count, group(), tried, error);
            for (int64_t g = 0; g < groups; ++g) {
                if (error[g] < best[g]) best[g] = error[g], scales[g] = tried[g];
            }
        }
        if (errors != nullptr) std::copy(best, best + groups, errors);
    }

    /// Calls visit(column, count, scales) for the chunks of a row from left to right. `scales` are
    /// those of the chunk's groups, or the row's one scale. Returns whether all elements are finite.
    template <typename Visit>
    bool for_each_chunk(int64_t row, Visit&& visit) const noexcept {
        if (w.cols == 0) return true;
        bool is_finite = true;
        float amax[kChunkGroups], scales[kChunkGroups];
        const auto choose_for = [&](int64_t column, int64_t count) {
            const uint8_t* from = element(w, row, column);
            if (!kernels.amax(from, count, group(), amax)) is_finite = false;
            choose(from, count, amax, scales, nullptr);
        };
        if (whole_rows()) choose_for(0, w.cols);
        for (int64_t column = 0; column < w.cols; column += chunk()) {
            const int64_t count = std::min(chunk(), w.cols - column);
            if (!whole_rows()) choose_for(column, count);
            visit(column, count, scales);
        }
        return is_finite;
    }
};

/// AUTO's formats, in the order in which they win ties.
constexpr DataType kAutoFormats[] = {DataType::kE3M2, DataType::kE2M3};
constexpr int kAutoCount = 2;

void require_finite(const MatrixView& w, const QuantKernelsOfType& kernels, Executor& executor) {
    const RowBlocks blocks(w.rows, w.cols);
    std::atomic<int64_t> first_bad{w.rows};
    executor.run(blocks.count(), [&](int64_t block) {
        const IndexRange range = blocks[block];
        for (int64_t row = range.begin; row < range.end; ++row) {
            if (kernels.all_finite(element(w, row, 0), w.cols)) continue;
            int64_t seen = first_bad;
            while (row < seen && !first_bad.compare_exchange_weak(seen, row)) {
            }
            return;
        }
    });
    const int64_t row = first_bad;
    if (row == w.rows) return;
    int64_t column = 0;
    while (kernels.all_finite(element(w, row, column), 1))
        ++column;
    fail(Status::kInvalidValue, "W[%lld, %lld] is NaN or infinite", static_cast<long long>(row),
         static_cast<long long>(column));
}

/// What a matrix loses in each of AUTO's formats, and whether all its elements are finite.
struct AutoErrors {
    double of[kAutoCount] = {};
    bool is_finite = true;
    void add(const AutoErrors& other) noexcept {
        for (int f = 0; f < kAutoCount; ++f)
            of[f] += other.of[f];
        is_finite = is_finite && other.is_finite;
    }
};

/// Squared errors of one row: both formats look at a chunk while it is in the first-level cache.
AutoErrors measured_errors(const ScaleChooser (&choosers)[kAutoCount], int64_t row) noexcept {
    const ScaleChooser& any = choosers[0];
    float amax[kChunkGroups], scales[kChunkGroups];
    double errors[kChunkGroups];
    AutoErrors sums;
    const int64_t cols = any.w.cols, step = any.whole_rows() ? cols : any.chunk();
    for (int64_t column = 0; column < cols; column += step) {
        const int64_t count = std::min(step, cols - column);
        const uint8_t* from = element(any.w, row, column);
        if (!any.kernels.amax(from, count, any.group(), amax)) sums.is_finite = false;
        for (int f = 0; f < kAutoCount; ++f) {
            choosers[f].choose(from, count, amax, scales, errors);
            for (int64_t g = 0; g < ceil_div(count, any.group()); ++g)
                sums.of[f] += errors[g];
        }
    }
    return sums;
}

/// The same, estimated, for scales that are not searched for.
AutoErrors estimated_errors(const ScaleChooser (&choosers)[kAutoCount], int64_t row) noexcept {
    static_assert(kChunk <= kEstimateCount, "a chunk is one estimate");
    const ScaleChooser& any = choosers[0];
    float amax[kChunkGroups], scales[kChunkGroups];
    AutoErrors sums;
    const int64_t cols = any.w.cols;
    const auto look = [&](int64_t column, int64_t count, int64_t group) {
        if (!any.kernels.amax(element(any.w, row, column), count, group, amax))
            sums.is_finite = false;
    };
    if (any.whole_rows()) look(0, cols, cols);
    for (int64_t column = 0; column < cols; column += any.chunk()) {
        const int64_t count = std::min(any.chunk(), cols - column);
        const uint8_t* from = element(any.w, row, column);
        if (!any.whole_rows()) look(column, count, any.group());
        for (int f = 0; f < kAutoCount; ++f) {
            choosers[f].choose(from, count, amax, scales, nullptr);
            sums.of[f] +=
                any.kernels.estimate(choosers[f].format, from, count, any.group(), scales);
        }
    }
    return sums;
}

/// Sums of row_errors(row), in an order that the shape alone decides.
template <typename RowErrors>
AutoErrors sum_over_rows(const MatrixView& w, Executor& executor, const RowErrors& row_errors) {
    const RowBlocks blocks(w.rows, w.cols);
    std::vector<AutoErrors> errors(static_cast<size_t>(blocks.count()));
    executor.run(blocks.count(), [&](int64_t block) {
        const FpEnvGuard fp_env;
        const IndexRange range = blocks[block];
        AutoErrors sums;
        for (int64_t row = range.begin; row < range.end; ++row)
            sums.add(row_errors(row));
        errors[static_cast<size_t>(block)] = sums;
    });
    const FpEnvGuard fp_env;
    AutoErrors sums;
    for (const AutoErrors& error : errors)
        sums.add(error);
    return sums;
}

/// The format in which the matrix loses least, E3M2 on a tie. Estimates mostly tell: they are refused
/// where the sums that they stand for could compare differently. NaN compares as doubtful. Rows are
/// checked on the way, while they are in the cache.
DataType choose_format(const QuantSpec& spec, const MatrixView& w,
                       const QuantKernelsOfType& kernels, Executor& executor) {
    const FpEnvGuard fp_env;
    const ScaleChooser choosers[] = {{spec, w, kernels, *find_format(kAutoFormats[0])},
                                     {spec, w, kernels, *find_format(kAutoFormats[1])}};
    const bool must_be_finite = w.cols > 0 && spec.non_finite == NonFinite::kError;
    const auto over_checked_rows = [&](const auto& row_errors) {
        const AutoErrors sums =
            sum_over_rows(w, executor, [&](int64_t row) { return row_errors(choosers, row); });
        if (must_be_finite && !sums.is_finite) require_finite(w, kernels, executor);
        return sums;
    };
    AutoErrors errors;
    double doubt = 0.0;
    const auto is_clear = [&] { return std::abs(errors.of[0] - errors.of[1]) > doubt; };
    if (spec.scale_search == 0) {
        errors = over_checked_rows(estimated_errors);
        // Twice what the estimates may err; the double sums of either kind err far less.
        doubt = 2 * kEstimateError * (errors.of[0] + errors.of[1]) +
                4 * kEstimateTiny * static_cast<double>(ceil_div(w.cols, kChunk)) *
                    static_cast<double>(w.rows);
    }
    if (spec.scale_search != 0 || !is_clear()) {
        errors = over_checked_rows(measured_errors);
    }
    return kAutoFormats[errors.of[0] <= errors.of[1] ? 0 : 1];
}

}  // namespace

RowQuantizer::RowQuantizer(const QuantSpec& spec, const MatrixView& w, Executor& executor,
                           const QuantKernels& kernels, FiniteCheck check)
    : spec_(spec),
      w_(w),
      kernels_(kernels.of(w.type)),
      is_checked_(w.cols == 0 || spec.non_finite != NonFinite::kError) {
    if (spec.format == DataType::kAuto6) {
        spec_.format = choose_format(spec_, w_, kernels_, executor);
        is_checked_ = true;
    }
    if (!is_checked_ && check == FiniteCheck::kFirst) {
        require_finite(executor);
        is_checked_ = true;
    }
    format_ = find_format(spec_.format);
}

void RowQuantizer::require_finite(Executor& executor) const {
    fp6llm::require_finite(w_, kernels_, executor);
}

template <typename Encoded>
bool RowQuantizer::encode_row(int64_t row, void* scales, RowStats* stats,
                              Encoded&& encoded) const noexcept {
    const FpEnvGuard fp_env;
    const ScaleChooser chooser{spec_, w_, kernels_, *format_};
    const int rounding = static_cast<int>(spec_.rounding);
    uint8_t* scale_out = static_cast<uint8_t*>(scales);
    if (stats != nullptr) *stats = {};
    const auto encode = [&](int64_t column, int64_t count, const float* chunk_scales) {
        const uint8_t* from = element(w_, row, column);
        const int64_t group = chooser.whole_rows() ? count : chooser.group();
        uint8_t* codes = encoded.buffer(column);
        if (stats == nullptr) {
            kernels_.encode[rounding](*format_, from, count, group, chunk_scales, codes);
        } else {
            kernels_.encode_measured[rounding](*format_, from, count, group, chunk_scales, codes,
                                               stats);
        }
        encoded.done(column, count);
        if (chooser.whole_rows() && column > 0) return;
        const int64_t groups = ceil_div(count, group);
        encode_scales(spec_.scale_type, chunk_scales, groups, scale_out);
        scale_out += static_cast<size_t>(groups) * spec_.scale_element_bytes();
    };
    return chooser.for_each_chunk(row, encode) || is_checked_;
}

bool RowQuantizer::quantize_row(int64_t row, uint8_t* codes, void* scales,
                                RowStats* stats) const noexcept {
    struct {
        uint8_t* codes;
        uint8_t* buffer(int64_t column) const noexcept { return codes + column; }
        void done(int64_t, int64_t) const noexcept {}
    } in_place{codes};
    return encode_row(row, scales, stats, in_place);
}

void RowQuantizer::quantize_row_packed(int64_t row, uint8_t* packed, void* scales,
                                       RowStats* stats) const noexcept {
    struct {
        uint8_t* packed;
        int bits;
        uint8_t chunk[kChunk];
        uint8_t* buffer(int64_t) noexcept { return chunk; }
        void done(int64_t column, int64_t count) noexcept {
            pack_codes(chunk, bits, count, packed + column * bits / 8);
        }
    } through_chunk;
    through_chunk.packed = packed;
    through_chunk.bits = format_->bits;
    encode_row(row, scales, stats, through_chunk);
}

}  // namespace fp6llm
