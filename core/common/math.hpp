// Integer helpers for sizes. Sizes that a caller controls go through the checked forms.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/common/error.hpp"

namespace fp6llm {

constexpr int64_t ceil_div(int64_t a, int64_t b) noexcept {
    return a / b + (a % b != 0);
}
constexpr int64_t round_up(int64_t a, int64_t b) noexcept {
    return ceil_div(a, b) * b;
}

/// a * b for non-negative a, b; throws INVALID_VALUE naming `what` when it does not fit in 62 bits,
/// which leaves room to add a few such products.
inline int64_t checked_mul(int64_t a, int64_t b, const char* what) {
    int64_t product;
    if (__builtin_mul_overflow(a, b, &product) || product >= (int64_t{1} << 62)) {
        fail(Status::kInvalidValue, "%s overflows: %lld * %lld", what, static_cast<long long>(a),
             static_cast<long long>(b));
    }
    return product;
}

}  // namespace fp6llm
