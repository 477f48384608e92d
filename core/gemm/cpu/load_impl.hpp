// Vectors of F32, F16 and BF16 to and from fp32: the activation loads of every packer, and the
// loads and stores of the epilogue (store_impl.hpp).
//
// Include at global scope. Everything has internal linkage, so each instruction set's translation
// unit gets its own copy, compiled with its own flags, that the linker cannot share with others.
// To nearest even; subnormals, infinities and NaN are kept; nothing here raises or traps.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/common/types.hpp"
#include "core/gemm/problem.hpp"

#if defined(__F16C__)
#include <immintrin.h>
#else
#include "core/common/float16.hpp"  // baseline flags only, so sharing its inline functions is safe
#endif

namespace fp6llm {
namespace {

inline float bf16_bits_to_float(uint16_t bits) noexcept {
    const uint32_t wide = static_cast<uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
}

inline uint16_t float_to_bf16_bits(float value) noexcept {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    const uint32_t quiet_nan = (bits >> 16) | 0x40u;
    return static_cast<uint16_t>((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet_nan : rounded);
}

inline float f16_bits_to_float(uint16_t bits) noexcept {
#if defined(__F16C__)
    return _cvtsh_ss(bits);
#else
    return half_to_float(bits);
#endif
}

inline uint16_t float_to_f16_bits(float value) noexcept {
#if defined(__F16C__)
    return static_cast<uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
#else
    return float_to_half(value);
#endif
}

/// out[i] = element (offset + i) of `data`, i in [0, count).
inline void load_floats(const void* data, DataType type, int64_t offset, int64_t count,
                        float* out) noexcept {
    if (type == DataType::kF32) {
        const float* src = static_cast<const float*>(data) + offset;
        for (int64_t i = 0; i < count; ++i)
            out[i] = src[i];
        return;
    }
    const uint16_t* src = static_cast<const uint16_t*>(data) + offset;
    int64_t i = 0;
    if (type == DataType::kBF16) {
        for (; i < count; ++i)
            out[i] = bf16_bits_to_float(src[i]);
        return;
    }
#if defined(__F16C__)
    for (; i + 8 <= count; i += 8) {
        const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(src + i));
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(bits));
    }
#endif
    for (; i < count; ++i)
        out[i] = f16_bits_to_float(src[i]);
}

/// Stores in[i] as element (offset + i) of `data`, i in [0, count).
inline void store_floats(const float* in, int64_t count, void* data, DataType type,
                         int64_t offset) noexcept {
    int64_t i = 0;
    if (type == DataType::kF32) {
        // Whole panels as constant-size copies: a call of memcpy costs more than 64 bytes do.
        float* dst = static_cast<float*>(data) + offset;
        for (; i + 16 <= count; i += 16)
            std::memcpy(dst + i, in + i, 64);
        for (; i < count; ++i)
            dst[i] = in[i];
        return;
    }
    uint16_t* dst = static_cast<uint16_t*>(data) + offset;
    if (type == DataType::kBF16) {
        for (; i < count; ++i)
            dst[i] = float_to_bf16_bits(in[i]);
        return;
    }
#if defined(__F16C__)
    for (; i + 8 <= count; i += 8) {
        const __m128i bits = _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + i), bits);
    }
#endif
    for (; i < count; ++i)
        dst[i] = float_to_f16_bits(in[i]);
}

/// out[i] = x[token, k0 + i] as fp32, i in [0, count). A packer that takes several tokens in turn
/// should ask for a few hundred k at a time, so that a transposed source (token_stride 1) stays in
/// the L1 cache from one token to the next.
inline void load_token(const TokenSource& x, int64_t token, int64_t k0, int64_t count,
                       float* out) noexcept {
    const int64_t first = token * x.token_stride + k0 * x.k_stride;
    if (x.k_stride == 1) {
        load_floats(x.data, x.type, first, count, out);
        return;
    }
    if (x.type == DataType::kF32) {
        const float* src = static_cast<const float*>(x.data) + first;
        for (int64_t i = 0; i < count; ++i)
            out[i] = src[i * x.k_stride];
        return;
    }
    const uint16_t* src = static_cast<const uint16_t*>(x.data) + first;
    if (x.type == DataType::kBF16) {
        for (int64_t i = 0; i < count; ++i)
            out[i] = bf16_bits_to_float(src[i * x.k_stride]);
    } else {
        for (int64_t i = 0; i < count; ++i)
            out[i] = f16_bits_to_float(src[i * x.k_stride]);
    }
}

}  // namespace
}  // namespace fp6llm
