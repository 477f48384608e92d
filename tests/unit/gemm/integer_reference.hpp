// The integer arithmetic that core/gemm/cpu/kernel.hpp defines, in scalar code and from a weight's
// plain codes: what every kernel of kI16 and kI8 must compute bit for bit, and how far it may be
// from the product in fp64.
#pragma once

#include "core/gemm/cpu/kernel.hpp"
#include "tests/unit/gemm/gemm_testing.hpp"

namespace fp6llm::gemm_testing {

inline bool is_integer(Arithmetic arithmetic) {
    return arithmetic == Arithmetic::kI16 || arithmetic == Arithmetic::kI8;
}

/// Columns of an activation block, and the largest integer activation.
constexpr int64_t kActivationBlock = 128;
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

/// One sum of a kernel: row `row` of the weight times the token.
inline float integer_sum(const TestWeight& weight, int64_t row, const IntegerToken& token) {
    const CpuWeightView& view = weight.view();
    const bool row_scales = view.scale_mode == ScaleMode::kRow;
    const int64_t k = view.cols, columns = kActivationBlock;
    const int64_t group_size = row_scales ? k : view.group_size;
    const float denominator = view.family == TileFamily::kE3M2 ? 16.0f : 8.0f;
    float sum = 0;
    for (int64_t begin = 0, end; begin < k; begin = end) {
        end = std::min({(begin / columns + 1) * columns, (begin / group_size + 1) * group_size, k});
        int64_t part = 0;
        for (int64_t i = begin; i < end; ++i) {
            part += static_cast<int64_t>(weight.value(row, i) * denominator) * token.q[i];
        }
        const float s = token.scale[begin / columns];
        sum = row_scales ? std::fma(static_cast<float>(part), s, sum)
                         : std::fma(static_cast<float>(part) * s,
                                    weight.scale(row, begin / group_size), sum);
    }
    sum *= 1.0f / denominator;
    return row_scales ? sum * weight.scale(row, 0) : sum;
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
