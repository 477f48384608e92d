// Codes as L3 units hold them, for host and device code: E3M2 and E2M3 as they are; E2M2, E3M1 and
// E2M1, whose values E3M2 has all, as E3M2. By magnitude, the sign aside:
//
//   E3M1  eee m   ->  eee m0
//   E2M2  ee mm   ->  exponent ee + 2, mantissa mm; subnormal 00 mm: 0, 1, 2, 3 -> 0, 4, 8, 10
//   E2M1  ee m    ->  as E2M2's ee m0, which has the same bias
#pragma once

#include <cstdint>

#include "core/common/types.hpp"
#include "core/prepack/cuda/l3.hpp"

namespace fp6llm::cuda {

/// How a format's codes become held codes; the value is passed to kernels.
enum class Holding : int32_t { kAsIs = 0, kE3M1 = 1, kE2M2 = 2, kE2M1 = 3 };

constexpr Holding holding_of(DataType format) {
    return format == DataType::kE3M1   ? Holding::kE3M1
           : format == DataType::kE2M2 ? Holding::kE2M2
           : format == DataType::kE2M1 ? Holding::kE2M1
                                       : Holding::kAsIs;
}

constexpr L3Format held_format(DataType format) {
    return format == DataType::kE2M3 ? L3Format::kE2M3 : L3Format::kE3M2;
}

/// A code of the format -> six bits.
FP6LLM_HOST_DEVICE constexpr uint32_t hold_code(Holding holding, uint32_t code) {
    if (holding == Holding::kAsIs) return code;
    if (holding == Holding::kE3M1) return code << 1;
    if (holding == Holding::kE2M1) code <<= 1;
    const uint32_t magnitude = code & 15u;
    const uint32_t held = magnitude >= 4 ? magnitude + 8 : 4 * magnitude - (magnitude == 3 ? 2 : 0);
    return (code & 16u) << 1 | held;
}

/// Its inverse. Held codes that the format does not have become some code of the format.
FP6LLM_HOST_DEVICE constexpr uint32_t release_code(Holding holding, uint32_t held) {
    if (holding == Holding::kAsIs) return held;
    if (holding == Holding::kE3M1) return held >> 1;
    const uint32_t magnitude = held & 31u;
    const uint32_t code =
        (held & 32u) >> 1 |
        (magnitude >= 12 ? (magnitude - 8) & 15u : (magnitude >> 2) + (magnitude >> 1 & 1u));
    return holding == Holding::kE2M1 ? code >> 1 : code;
}

}  // namespace fp6llm::cuda
