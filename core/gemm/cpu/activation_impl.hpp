// The epilogue's activation functions:
//
//   ReLU       max(v, 0)
//   GELU       v * Phi(v)            = v / 2 * erfc(-v / sqrt 2)
//   GELU tanh  v / 2 * (1 + tanh u)  = v / (1 + exp(-2 u)),   u = sqrt(2/pi) (v + 0.044715 v^3)
//   SiLU       v / (1 + exp(-v))
//
// The forms on the right do not cancel for negative v. They are evaluated in double, by polynomials
// good to 2^-28, and rounded once, so both tails are right to 0.6 ulp, and in compiler vectors
// (plain loops with selections in them stay scalar), several times faster than libm. NaN gives
// NaN, as does minus infinity in all but ReLU (infinity times zero).
//
// Include at global scope; internal linkage as in load_impl.hpp. The polynomials are our own fits,
// minimax in relative error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/common/types.hpp"

namespace fp6llm {
namespace {

#if defined(__AVX__)
constexpr int kActivationLanes = 4;
#else
constexpr int kActivationLanes = 2;
#endif
typedef double Doubles __attribute__((vector_size(8 * kActivationLanes)));
typedef int64_t Longs __attribute__((vector_size(8 * kActivationLanes)));
typedef float Floats __attribute__((vector_size(4 * kActivationLanes)));

/// exp(x) to 2^-28, as exp(x / 2)^2: which becomes 0 or infinity by itself where it must.
inline Doubles approx_exp(Doubles x) noexcept {
    constexpr double kLog2E = 1.4426950408889634, kLn2 = 0.6931471805599453;
    constexpr double kRound = 0x1.8p52;  // added and taken away, leaves the nearest integer
    const Doubles limit = Doubles{} + 500.0;
    Doubles half = x * 0.5;
    half = half < -limit ? -limit : half;
    half = half > limit ? limit : half;
    const Doubles shifted = half * kLog2E + kRound;
    const Doubles r = half - (shifted - kRound) * kLn2;
    Doubles p = r * 0.001383687115983177 + 0.008374824312377186;
    p = p * r + 0.041668225503093924;
    p = p * r + 0.16666420066648588;
    p = p * r + 0.4999999207837016;
    p = p * r + 1.000000036346865;
    p = p * r + 1.000000000554408;
    const Longs exponent = (reinterpret_cast<Longs>(shifted) + 1023) << 52;  // n is lowest
    const Doubles root = p * reinterpret_cast<Doubles>(exponent);
    return root * root;
}

/// erfc(z) to 2^-28 for z >= 0 up to 10.6, where it leaves the range of fp32; beyond it stays
/// below.
inline Doubles approx_erfc(Doubles z) noexcept {
    const Doubles t = 1.0 / (z * 0.3 + 1.0);
    Doubles p = t * 0.05950557918199093 - 0.3580337156013004;
    p = p * t + 0.8191815373791487;
    p = p * t - 0.9712252174171011;
    p = p * t + 0.9228395307399556;
    p = p * t - 0.4004193956103979;
    p = p * t + 0.3316329112671427;
    p = p * t + 0.08547771619078917;
    p = p * t + 0.17407022318589294;
    p = p * t + 0.16758560794303948;
    p = p * t + 0.1693899738890251;
    p = p * t - 4.75102130409466e-06;
    return p * approx_exp(-z * z);
}

struct Gelu {
    static Doubles apply(Doubles v) noexcept {
        const Doubles tail = approx_erfc((v < 0.0 ? -v : v) * 0.7071067811865476) * 0.5;
        return v * (v < 0.0 ? tail : 1.0 - tail);
    }
};

struct GeluTanh {
    static Doubles apply(Doubles v) noexcept {
        constexpr double kTwoSqrt2OverPi = 1.5957691216057308;
        return v / (approx_exp((v + v * v * v * 0.044715) * -kTwoSqrt2OverPi) + 1.0);
    }
};

struct Silu {
    static Doubles apply(Doubles v) noexcept { return v / (approx_exp(-v) + 1.0); }
};

template <class Function>
void apply(int64_t count, float* v) noexcept {
    int64_t i = 0;
    for (; i + kActivationLanes <= count; i += kActivationLanes) {
        Floats lanes;
        std::memcpy(&lanes, v + i, sizeof lanes);
        lanes = __builtin_convertvector(Function::apply(__builtin_convertvector(lanes, Doubles)),
                                        Floats);
        std::memcpy(v + i, &lanes, sizeof lanes);
    }
    for (; i < count; ++i)
        v[i] = static_cast<float>(Function::apply(Doubles{} + v[i])[0]);
}

/// v[i] = activation(v[i]), i in [0, count).
inline void activate(Activation activation, int64_t count, float* v) noexcept {
    switch (activation) {
        case Activation::kNone:
            break;
        case Activation::kRelu:
            for (int64_t i = 0; i < count; ++i)
                v[i] = v[i] < 0 ? 0 : v[i];
            break;
        case Activation::kGelu:
            apply<Gelu>(count, v);
            break;
        case Activation::kGeluTanh:
            apply<GeluTanh>(count, v);
            break;
        case Activation::kSilu:
            apply<Silu>(count, v);
            break;
    }
}

}  // namespace
}  // namespace fp6llm
