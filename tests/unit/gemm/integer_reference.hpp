// The integer arithmetic that core/gemm/cpu/kernel.hpp defines, in scalar code and from a weight's
// plain codes: what every kernel of kI16 and kI8 must compute bit for bit, and how far it may be
// from the product in fp64.
#pragma once

#include "core/common/work_split.hpp"
#include "core/gemm/cpu/kernel.hpp"
#include "tests/unit/gemm/gemm_testing.hpp"

namespace fp6llm::gemm_testing {

inline bool is_integer(Arithmetic arithmetic) {
    return arithmetic == Arithmetic::kI16 || arithmetic == Arithmetic::kI8;
}

/// Columns of an activation block, of a span of MX groups, and the largest integer activation.
constexpr int64_t kActivationBlock = 128;
inline int64_t span_columns(const TestWeight& weight, Arithmetic arithmetic) {
    const bool wide = weight.view().family == TileFamily::kE3M2;
    return arithmetic == Arithmetic::kI16 && wide ? 64 : 128;
}
inline float largest_integer(Arithmetic arithmetic) {
    return arithmetic == Arithmetic::kI16 ? 32767.0f : 127.0f;
}

/// One token's activations as integers.
struct IntegerToken {
    std::vector<int32_t> q;    ///< [k]
    std::vector<float> scale;  ///< one per block
};

inline IntegerToken integer_token(const TestTokens& x, int64_t token, int64_t k,
                                  Arithmetic arithmetic) {
    const int64_t columns = kActivationBlock;
    const float most = largest_integer(arithmetic);
    IntegerToken result;
    for (int64_t begin = 0; begin < k; begin += columns) {
        const int64_t end = std::min(begin + columns, k);
        float amax = 0;
        bool finite = true;
        for (int64_t i = begin; i < end; ++i) {
            const auto value = static_cast<float>(x.at(token, i));
            finite &= std::isfinite(value);
            amax = std::max(amax, std::fabs(value));
        }
        const bool zero = !finite || amax < 0x1p-100f;
        for (int64_t i = begin; i < end; ++i) {
            const float scaled = static_cast<float>(x.at(token, i)) * (most / amax);
            result.q.push_back(zero ? 0 : static_cast<int32_t>(std::nearbyint(scaled)));
        }
        result.scale.push_back(!finite ? std::nanf("") : zero ? 0.0f : amax / most);
    }
    return result;
}

/// Integer weights per unit of value.
inline float denominator(const TestWeight& weight) {
    return weight.view().family == TileFamily::kE3M2 ? 16.0f : 8.0f;
}

/// Sum of weight * activation over columns [begin, end), both as integers.
inline int64_t integer_part(const TestWeight& weight, int64_t row, const IntegerToken& token,
                            int64_t begin, int64_t end) {
    int64_t part = 0;
    for (int64_t i = begin; i < end; ++i)
        part += static_cast<int64_t>(weight.value(row, i) * denominator(weight)) * token.q[i];
    return part;
}

/// The parts of a span of MX groups in units of the largest scale, which goes to `scale`.
inline float joined_parts(const TestWeight& weight, int64_t row, const IntegerToken& token,
                          int64_t begin, int64_t end, float* scale) {
    const int64_t group_size = weight.view().group_size;
    *scale = 0;
    for (int64_t k = begin; k < end; k += group_size) {
        const float own = weight.scale(row, k / group_size);
        if (!(own <= *scale)) *scale = own;  // NaN, too
        if (std::isnan(*scale)) return 0;
    }
    double sum = 0;
    for (int64_t k = begin; k < end; k += group_size) {
        const int64_t part = integer_part(weight, row, token, k, std::min(k + group_size, end));
        const double own = static_cast<double>(weight.scale(row, k / group_size));
        sum += static_cast<double>(part) * (own / static_cast<double>(*scale));
    }
    return static_cast<float>(sum);
}

/// One sum of a kernel over some columns: row `row` of the weight times the token.
inline float segment_sum(const TestWeight& weight, int64_t row, const IntegerToken& token,
                         Arithmetic arithmetic, IndexRange segment) {
    const CpuWeightView& view = weight.view();
    const bool row_scales = view.scale_mode == ScaleMode::kRow;
    const int64_t k = segment.end, columns = kActivationBlock;
    const int64_t cut = row_scales                          ? k
                        : view.scale_mode == ScaleMode::kMx ? span_columns(weight, arithmetic)
                                                            : view.group_size;
    float sum = 0;
    for (int64_t begin = segment.begin, end; begin < k; begin = end) {
        end = std::min({(begin / columns + 1) * columns, (begin / cut + 1) * cut, k});
        const float s = token.scale[begin / columns];
        if (view.scale_mode == ScaleMode::kMx) {
            float scale;
            const float joined = joined_parts(weight, row, token, begin, end, &scale);
            sum = std::fma(joined * s, scale, sum);
            continue;
        }
        const auto part = static_cast<float>(integer_part(weight, row, token, begin, end));
        sum = row_scales ? std::fma(part, s, sum)
                         : std::fma(part * s, weight.scale(row, begin / view.group_size), sum);
    }
    sum *= 1.0f / denominator(weight);
    return row_scales ? sum * weight.scale(row, 0) : sum;
}

/// The sum over k, in segments.
inline float integer_sum(const TestWeight& weight, int64_t row, const IntegerToken& token,
                         Arithmetic arithmetic, const SplitK& split) {
    float sum = segment_sum(weight, row, token, arithmetic, split.of(0));
    for (int64_t i = 1; i < split.segments; ++i)
        sum += segment_sum(weight, row, token, arithmetic, split.of(i));
    return sum;
}

/// What rounding activations to integers may add to or take from one output: half a step of each
/// block, and a hundredth of one for the roundings of x * (most / amax).
inline double integer_error(const TestWeight& weight, int64_t row, const TestTokens& x,
                            int64_t token, Arithmetic arithmetic) {
    const int64_t k = weight.view().cols, columns = kActivationBlock;
    double error = 0;
    for (int64_t begin = 0; begin < k; begin += columns) {
        double amax = 0, weights = 0;
        for (int64_t i = begin; i < std::min(begin + columns, k); ++i) {
            amax = std::max(amax, std::fabs(x.at(token, i)));
            weights += std::fabs(weight.dense(row, i));
        }
        error += weights * (amax < 0x1p-100 ? amax : 0.51 * amax / largest_integer(arithmetic));
    }
    return error;
}

}  // namespace fp6llm::gemm_testing
