// Float elements of a matrix, eight at a time: an octet is 16 or 32 bytes, belongs to one group and
// one run of whole code bytes.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

namespace fp6llm::cuda {

/// kInfinity: the magnitude bits from which on an element is not finite.
struct ElementF32 {
    using Raw = uint32_t;
    static constexpr Raw kMagnitude = 0x7FFFFFFFu, kInfinity = 0x7F800000u;
    __device__ static __forceinline__ float to_float(Raw raw) { return __uint_as_float(raw); }
};

struct ElementF16 {
    using Raw = uint16_t;
    static constexpr Raw kMagnitude = 0x7FFFu, kInfinity = 0x7C00u;
    __device__ static __forceinline__ float to_float(Raw raw) {
        return __half2float(__ushort_as_half(raw));
    }
};

struct ElementBF16 {
    using Raw = uint16_t;
    static constexpr Raw kMagnitude = 0x7FFFu, kInfinity = 0x7F80u;
    __device__ static __forceinline__ float to_float(Raw raw) {
        return __uint_as_float(static_cast<uint32_t>(raw) << 16);
    }
};

template <typename Raw>
struct alignas(16) Octet {
    static constexpr int kVectors = 8 * sizeof(Raw) / 16;
    uint4 vectors[kVectors];

    __device__ __forceinline__ uint32_t word(int i) const {
        const uint4& v = vectors[i / 4];
        return i % 4 == 0 ? v.x : i % 4 == 1 ? v.y : i % 4 == 2 ? v.z : v.w;
    }
    /// Element i; i is known when this is compiled.
    __device__ __forceinline__ Raw operator[](int i) const {
        if constexpr (sizeof(Raw) == 4) {
            return word(i);
        } else {
            return static_cast<Raw>(word(i / 2) >> (16 * (i % 2)));
        }
    }
};

/// Up to eight elements, `count` of them in memory, the others 0.
template <typename Raw>
__device__ __forceinline__ Octet<Raw> load_octet(const Raw* from, int64_t count) {
    Octet<Raw> octet;
    if (count >= 8 && reinterpret_cast<uintptr_t>(from) % 16 == 0) {
#pragma unroll
        for (int v = 0; v < Octet<Raw>::kVectors; ++v)
            octet.vectors[v] = reinterpret_cast<const uint4*>(from)[v];
        return octet;
    }
    uint32_t words[4 * Octet<Raw>::kVectors];
#pragma unroll
    for (int i = 0; i < 4 * Octet<Raw>::kVectors; ++i) {
        if constexpr (sizeof(Raw) == 4) {
            words[i] = i < count ? from[i] : 0;
        } else {
            const uint32_t low = 2 * i < count ? from[2 * i] : 0;
            const uint32_t high = 2 * i + 1 < count ? from[2 * i + 1] : 0;
            words[i] = low | high << 16;
        }
    }
#pragma unroll
    for (int v = 0; v < Octet<Raw>::kVectors; ++v)
        octet.vectors[v] =
            make_uint4(words[4 * v], words[4 * v + 1], words[4 * v + 2], words[4 * v + 3]);
    return octet;
}

}  // namespace fp6llm::cuda
