// Packing of activations: fp32 tiles of at most kMaxTile tokens, [k padded to 16][tokens], zeros beyond
// k, in chunks of kPackColumns columns that lie in the order that a kernel reads them in:
//
//   kTiles    all chunks of the first tile, all of the second, ...
//   kChunks   the first chunks of all tiles, the second ones, ...
//
// One run through memory that the processor sees coming. A token is multiplied by the power of two that
// brings its largest element into [2^90, 2^91), so that no product with a placed weight (about 2^-124)
// underflows for elements down to 2^-85 of the largest; its factor is the largest element's power of two.
#pragma once

#include "core/gemm/cpu/avx2_lanes.hpp"
#include "core/gemm/cpu/kernel.hpp"
#include "core/gemm/cpu/load_impl.hpp"

namespace fp6llm::avx2 {

constexpr int kActivationExponent = 90;

FP6LLM_AVX2_INLINE int64_t padded_columns(int64_t k) {
    return (k + 15) / 16 * 16;
}

FP6LLM_AVX2_INLINE float exp2_float(int exponent) {
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128((exponent + 127) << 23)));
}

constexpr int64_t kPackColumns = kPackStep;

enum class Order : uint8_t { kTiles, kChunks };

/// Columns [k, k + columns), a chunk or what is left of a token's `padded`, of the tile of `count` tokens
/// that starts at token x.first + t.
template <Order kOrder>
FP6LLM_AVX2_INLINE float* packed_chunk(const PackedTokens& x, int64_t padded, int64_t t,
                                       int64_t count, int64_t k, int64_t columns) {
    const int64_t first = x.first + t;
    return static_cast<float*>(x.data) + (kOrder == Order::kTiles
                                              ? first * padded + k * count
                                              : k * x.block_tokens + first * columns);
}

/// Bits of the largest magnitude of `lanes`.
FP6LLM_AVX2_INLINE int largest_lane(__m256i lanes) {
    __m128i most = _mm_max_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0x4E));
    most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0xB1));
    return _mm_cvtsi128_si32(most);
}

/// Bits of the largest magnitude of a token as fp32; from 0x7F800000 on there is an infinity or NaN.
static inline int token_magnitude(const TokenSource& x, int64_t token) {
    alignas(32) float values[kPackColumns];
    __m256i largest = _mm256_setzero_si256();
    for (int64_t k = 0; k < x.k; k += kPackColumns) {
        const int64_t count = x.k - k < kPackColumns ? x.k - k : kPackColumns;
        load_token(x, token, k, count, values);
        for (int64_t i = count; i % 8 != 0; ++i)
            values[i] = 0.0f;
        for (int64_t i = 0; i < count; i += 8) {
            const __m256i bits = _mm256_castps_si256(_mm256_load_ps(values + i));
            const __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF));
            largest = _mm256_max_epi32(largest, magnitude);
        }
    }
    return largest_lane(largest);
}

/// Exponent of a token's largest magnitude, in [-126, 127]; 0 for a token of zeros, 127 for one with
/// infinities or NaN, which the scaling keeps.
FP6LLM_AVX2_INLINE int token_exponent(int bits) {
    if (bits == 0) return 0;
    const int exponent = (bits >> 23) - 127;
    return exponent > 127 ? 127 : exponent < -126 ? -126 : exponent;
}

/// Rows become columns.
FP6LLM_AVX2_INLINE void transpose(__m256 (&m)[8]) {
    __m256 pairs[8], quads[8];
    FP6LLM_AVX2_UNROLL
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(m[i], m[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(m[i], m[i + 1]);
    }
    FP6LLM_AVX2_UNROLL
    for (int i = 0; i < 8; i += 4) {
        quads[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
        quads[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xEE);
        quads[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
        quads[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xEE);
    }
    FP6LLM_AVX2_UNROLL
    for (int i = 0; i < 4; ++i) {
        m[i] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
        m[i + 4] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
    }
}

/// out[column][tokens] = values[token][column] for 8 columns; writes up to 7 floats more.
template <int kMaxTile>
FP6LLM_AVX2_INLINE void interleave(const float (&values)[kMaxTile][kPackColumns], int64_t column,
                                   int64_t tokens, float* out) {
    __m256 m[8];
    FP6LLM_AVX2_UNROLL
    for (int t = 0; t < 8; ++t)
        m[t] = t < kMaxTile ? _mm256_load_ps(&values[t][column]) : _mm256_setzero_ps();
    transpose(m);
    FP6LLM_AVX2_UNROLL
    for (int i = 0; i < 8; ++i)
        _mm256_storeu_ps(out + i * tokens, m[i]);
}

/// Packs columns [k0, k1) of the tile of `count` tokens, at most kMaxTile, that starts at token
/// out.first + t: those of `x` from `token` + t on. Each part looks for the tokens' largest elements by
/// itself, which is a fraction of the work.
template <Order kOrder, int kMaxTile>
static inline void pack_tile(const TokenSource& x, int64_t token, int64_t t, int64_t count,
                             int64_t k0, int64_t k1, const PackedTokens& out) {
    // 2^(90 - exponent), in two steps where it is too large.
    float up[kMaxTile] = {}, more[kMaxTile] = {};
    for (int64_t i = 0; i < count; ++i) {
        const int exponent = token_exponent(token_magnitude(x, token + t + i));
        if (k0 == 0) out.factors[out.first + t + i] = exp2_float(exponent);
        up[i] = exp2_float(exponent > 0 ? kActivationExponent - exponent : -exponent);
        more[i] = exp2_float(exponent > 0 ? 0 : kActivationExponent);
    }
    const int64_t padded = padded_columns(x.k), end = padded_columns(k1);
    alignas(32) float values[kMaxTile][kPackColumns];
    alignas(32) float last[8 * 8];
    for (int64_t k = k0; k < end; k += kPackColumns) {
        const int64_t columns = end - k < kPackColumns ? end - k : kPackColumns;
        const int64_t present = x.k - k < columns ? x.k - k : columns;
        for (int64_t i = 0; i < count; ++i) {
            float* row = values[i];
            load_token(x, token + t + i, k, present, row);
            for (int64_t c = 0; c < present; ++c)
                row[c] = row[c] * up[i] * more[i];
            for (int64_t c = present; c < columns; ++c)
                row[c] = 0.0f;
        }
        float* to = packed_chunk<kOrder>(out, padded, t, count, k, columns);
        if (count == 1) {
            std::memcpy(to, values[0], static_cast<size_t>(columns) * sizeof(float));
            continue;
        }
        // Each store overwrites what the one before wrote too much, but for the last.
        for (int64_t c = 0; c + 8 < columns; c += 8)
            interleave<kMaxTile>(values, c, count, to + c * count);
        interleave<kMaxTile>(values, columns - 8, count, last);
        std::memcpy(to + (columns - 8) * count, last,
                    static_cast<size_t>(8 * count) * sizeof(float));
    }
}

static inline size_t packed_bytes(int64_t k, int64_t tokens) {
    return static_cast<size_t>(padded_columns(k) * tokens) * sizeof(float);
}

template <Order kOrder, int kMaxTile>
static void pack_columns(const TokenSource& x, int64_t token, int64_t k0, int64_t k1,
                         const PackedTokens& out) {
    pack_tile<kOrder, kMaxTile>(x, token, 0, out.count, k0, k1, out);
}

template <Order kOrder, int kMaxTile>
static void pack_tokens(const TokenSource& x, int64_t token, const PackedTokens& out) {
    for (int64_t t = 0; t < out.count; t += kMaxTile) {
        const int64_t count = out.count - t < kMaxTile ? out.count - t : kMaxTile;
        pack_tile<kOrder, kMaxTile>(x, token, t, count, 0, x.k, out);
    }
}

}  // namespace fp6llm::avx2
