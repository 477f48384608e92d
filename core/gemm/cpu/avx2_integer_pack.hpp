// Packing of activations for the integer kernels: quantization as kernel.hpp defines it, then tiles
// of at most kIntegerTile tokens. A tile of n tokens is
//
//   uint32 [padded k / Ops::kStepColumns][n]   steps: the values that meet one 32-bit lane of weights
//   float  [activation blocks][n]              s
//
// and takes the same bytes for each of its tokens.
#pragma once

#include "core/gemm/cpu/avx2_pack.hpp"
#include "core/gemm/cpu/kernel.hpp"

namespace fp6llm::avx2 {

constexpr int64_t kPackedColumns = 32;  ///< packed at a time

/// Steps of two int16 for pmaddwd.
struct I16Steps {
    static constexpr int kStepColumns = 2;
    static constexpr int64_t kBlockColumns = kI16Columns;
    static constexpr float kMost = 32767.0f;

    /// 32 values in [-kMost, kMost].
    FP6LLM_AVX2_INLINE void store_steps(const __m256i (&q)[4], uint32_t* out) {
        const auto join = [](__m256i a, __m256i b) FP6LLM_AVX2_INLINE_LAMBDA {
            return _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8);
        };
        _mm256_store_si256(reinterpret_cast<__m256i*>(out), join(q[0], q[1]));
        _mm256_store_si256(reinterpret_cast<__m256i*>(out + 8), join(q[2], q[3]));
    }
};

/// Steps of four bytes, values + kAdded, for pmaddubsw; columns in the order 0, 2, 1, 3 of the decoded weights.
template <int kAdded>
struct ByteSteps {
    static constexpr int kStepColumns = 4;
    static constexpr int64_t kBlockColumns = kI8Columns;
    static constexpr float kMost = 127.0f;
    static constexpr int kOffset = kAdded;

    FP6LLM_AVX2_INLINE void store_steps(const __m256i (&q)[4], uint32_t* out) {
        const __m256i in_lanes =
            _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        const __m256i swap = nibble_table(0x0705060403010200, 0x0F0D0E0C0B090A08);
        const __m256i offset = _mm256_set1_epi8(static_cast<char>(kOffset));
        const __m256i bytes = _mm256_add_epi8(_mm256_permutevar8x32_epi32(in_lanes, order), offset);
        _mm256_store_si256(reinterpret_cast<__m256i*>(out), _mm256_shuffle_epi8(bytes, swap));
    }
};

using I8Steps = ByteSteps<128>;      ///< as uint8
using SignedI8Steps = ByteSteps<0>;  ///< as int8

/// Where the parts of a packed tile lie.
template <class Steps>
struct PackedTile {
    int64_t steps, blocks;  // per token

    explicit PackedTile(int64_t padded)
        : steps(padded / Steps::kStepColumns),
          blocks((padded + Steps::kBlockColumns - 1) / Steps::kBlockColumns) {}

    FP6LLM_AVX2_MEMBER int64_t words() const { return steps + blocks; }
    /// The tile that starts at token x.first + t.
    FP6LLM_AVX2_MEMBER uint32_t* at(const PackedTokens& x, int64_t t) const {
        return static_cast<uint32_t*>(x.data) + (x.first + t) * words();
    }
    FP6LLM_AVX2_MEMBER const float* scales(const uint32_t* tile, int64_t tokens) const {
        return reinterpret_cast<const float*>(tile + steps * tokens);
    }
};

template <class Steps>
static size_t packed_integer_bytes(int64_t k, int64_t tokens) {
    return static_cast<size_t>(PackedTile<Steps>(padded_columns(k)).words() * tokens) *
           sizeof(uint32_t);
}

/// Bits of the largest magnitude of `count` values, a multiple of 8.
FP6LLM_AVX2_INLINE int largest_magnitude(const float* values, int64_t count) {
    __m256i largest = _mm256_setzero_si256();
    for (int64_t i = 0; i < count; i += 8) {
        const __m256i bits = _mm256_castps_si256(_mm256_load_ps(values + i));
        largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF)));
    }
    return largest_lane(largest);
}

/// Quantizes 32 values to `steps`.
template <class Steps>
FP6LLM_AVX2_INLINE void quantize_chunk(const float* values, float multiplier, uint32_t* steps) {
    __m256i q[4];
    FP6LLM_AVX2_UNROLL
    for (int i = 0; i < 4; ++i) {
        q[i] = _mm256_cvtps_epi32(
            _mm256_mul_ps(_mm256_load_ps(values + 8 * i), _mm256_set1_ps(multiplier)));
    }
    Steps::store_steps(q, steps);
}

/// Packs one token as column `t` of a tile of `count`.
template <class Steps>
static void pack_integer_token(const TokenSource& x, int64_t token, int64_t t, int64_t count,
                               uint32_t* tile) {
    constexpr int64_t kBlock = Steps::kBlockColumns;
    constexpr int kSteps = kPackedColumns / Steps::kStepColumns;
    constexpr int kSmallest = (127 - 100) << 23,
                  kInfinity = 0x7F800000;  // bits of 2^-100, infinity
    const int64_t padded = padded_columns(x.k);
    const PackedTile<Steps> layout(padded);
    float* scales = const_cast<float*>(layout.scales(tile, count));
    for (int64_t k = 0, block = 0; k < padded; k += kBlock, ++block) {
        alignas(32) float values[kBlock];
        const int64_t present = x.k - k < kBlock ? x.k - k : kBlock;
        load_token(x, token, k, present, values);
        for (int64_t i = present; i < kBlock; ++i)
            values[i] = 0.0f;
        const int bits = largest_magnitude(values, kBlock);
        const float largest = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
        float multiplier = 0.0f, scale = 0.0f;
        if (bits >= kInfinity) {
            std::memset(values, 0, sizeof values);
            scale = __builtin_nanf("");
        } else if (bits >= kSmallest) {
            multiplier = Steps::kMost / largest;
            scale = largest / Steps::kMost;
        }
        scales[block * count + t] = scale;
        const int64_t end = padded - k < kBlock ? padded - k : kBlock;
        for (int64_t i = 0; i < end; i += kPackedColumns) {
            alignas(32) uint32_t steps[kSteps];
            quantize_chunk<Steps>(values + i, multiplier, steps);
            uint32_t* out = tile + (k + i) / Steps::kStepColumns * count + t;
            const int64_t left = (end - i) / Steps::kStepColumns;
            for (int64_t j = 0; j < (left < kSteps ? left : kSteps); ++j)
                out[j * count] = steps[j];
        }
    }
}

template <class Steps, int kMaxTile>
static void pack_integer_tokens(const TokenSource& x, int64_t token, const PackedTokens& out) {
    const PackedTile<Steps> layout(padded_columns(x.k));
    for (int64_t t = 0; t < out.count; t += kMaxTile) {
        const int64_t count = out.count - t < kMaxTile ? out.count - t : kMaxTile;
        for (int64_t i = 0; i < count; ++i) {
            pack_integer_token<Steps>(x, token + t + i, i, count, layout.at(out, t));
            out.factors[out.first + t + i] = 1.0f;
        }
    }
}

}  // namespace fp6llm::avx2
