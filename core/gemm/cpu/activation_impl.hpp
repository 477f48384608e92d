// The epilogue's activation functions, in double: the oracle uses them as they are, the kernels'
// epilogue rounds once to fp32, so both tails of every function are right to the last bit or so.
//
//   ReLU       max(v, 0)
//   GELU       v * Phi(v)                  = v / 2 * erfc(-v / sqrt 2)
//   GELU tanh  v / 2 * (1 + tanh u)        = v / (1 + exp(-2 u)),  u = sqrt(2/pi) (v + 0.044715
//   v^3) SiLU       v / (1 + exp(-v))
//
// The forms on the right do not cancel for negative v. NaN gives NaN, as does minus infinity in all
// but ReLU (infinity times zero). Include at global scope; internal linkage as in load_impl.hpp.
#pragma once

#include <math.h>

#include "core/common/types.hpp"

namespace fp6llm {
namespace {

inline double activate(Activation activation, double v) noexcept {
    constexpr double kSqrtHalf = 0.70710678118654752440;
    constexpr double kSqrt2OverPi = 0.79788456080286535588;
    switch (activation) {
        case Activation::kRelu:
            return v < 0 ? 0 : v;
        case Activation::kGelu:
            return 0.5 * v * ::erfc(-v * kSqrtHalf);
        case Activation::kGeluTanh:
            return v / (1 + ::exp(-2 * kSqrt2OverPi * (v + 0.044715 * v * v * v)));
        case Activation::kSilu:
            return v / (1 + ::exp(-v));
        case Activation::kNone:
            break;
    }
    return v;
}

}  // namespace
}  // namespace fp6llm
