// Packing of activations for AVX-512's integer kernels: quantization as kernel.hpp defines it, into blocks with
// heads (avx512_integer.hpp).
#pragma once

#include <cfloat>
#include <cmath>
#include <cstring>

#include "core/gemm/cpu/avx512_pack.hpp"

namespace fp6llm::FP6LLM_AVX512_NAMESPACE {
namespace {

/// Scales `count` values (a multiple of 16) to integers that are still to be rounded; returns what
/// one unit of them stands for. All become zero where that is 0 or NaN.
FP6LLM_AVX512_INLINE float scale_block(float* values, int64_t count, float most) {
    constexpr float kLeast = 0x1p-100f;
    __m512i largest = _mm512_setzero_si512();  // magnitudes as bits: ordered as integers, NaN above
    for (int64_t i = 0; i < count; i += kLanes) {
        const __m512i bits = _mm512_castps_si512(_mm512_load_ps(values + i));
        largest = _mm512_max_epi32(largest, _mm512_and_si512(bits, _mm512_set1_epi32(0x7FFFFFFF)));
    }
    largest = _mm512_max_epi32(largest, _mm512_shuffle_i32x4(largest, largest, 0x4E));
    largest = _mm512_max_epi32(largest, _mm512_shuffle_i32x4(largest, largest, 0xB1));
    __m128i four = _mm512_castsi512_si128(largest);
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xB1));
    const float amax = _mm_cvtss_f32(_mm_castsi128_ps(four));
    if (!(amax >= kLeast && amax <= FLT_MAX)) {
        for (int64_t i = 0; i < count; i += kLanes)
            _mm512_store_ps(values + i, _mm512_setzero_ps());
        return amax < kLeast ? 0.0f : NAN;
    }
    const __m512 factor = _mm512_set1_ps(most / amax);
    for (int64_t i = 0; i < count; i += kLanes)
        _mm512_store_ps(values + i, _mm512_mul_ps(_mm512_load_ps(values + i), factor));
    return amax / most;
}

FP6LLM_AVX512_INLINE __m512i rounded(const float* values) {
    return _mm512_cvtps_epi32(_mm512_load_ps(values));
}

/// Packs columns [k0, k1) of tokens [first, first + count), count <= 16, into a tile.
template <class Ops>
FP6LLM_AVX512_INLINE void pack_integer_tile(const TokenSource& x, int64_t first, int64_t count,
                                            int64_t k0, int64_t k1, int32_t* out) {
    alignas(64) float values[kBlockSteps * kChunkColumns];
    const int64_t padded = padded_columns(k1);
    out += Ops::packed_steps(k0) * count;
    for (int64_t k = k0; k < padded; k += kChunkColumns) {
        load_chunk(x, first, count, k, values);
        const int64_t chunk = padded - k < kChunkColumns ? padded - k : kChunkColumns;
        for (int64_t i = 0; i < chunk; i += Ops::kBlockColumns) {
            const int64_t columns = chunk - i < Ops::kBlockColumns ? chunk - i : Ops::kBlockColumns;
            const int64_t steps = columns / Ops::kColumns;
            for (int64_t t = 0; t < count; ++t) {
                const float scale =
                    scale_block(values + t * kChunkColumns + i, Ops::kBlockColumns, Ops::kMost);
                std::memcpy(out + t, &scale, sizeof scale);
            }
            int32_t* const after_head = out + Ops::kHeadRows * count;
            interleave<Ops>(values + i, count, steps, after_head);
            if constexpr (Ops::kHeadRows > 1) Ops::finish_head(count, steps, out);
            out = after_head + steps * count;
        }
    }
}

}  // namespace
}  // namespace fp6llm::FP6LLM_AVX512_NAMESPACE
