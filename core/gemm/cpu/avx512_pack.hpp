// Packing of activations. A kernel reads them as 32-bit steps, broadcast to all rows of a panel:
//
//   fp32 kernels     x[k]                                          K16 = k rounded up to 16 steps
//   bf16 kernels     bf16 x[2 s] | bf16 x[2 s + 1] << 16           K16 / 2
//   bf16x2 kernels   the same of the upper parts, then of the lower     K16
//   int16 kernels    q[2 s] | q[2 s + 1] << 16                     K16 / 2, and a head per block
//   int8 kernels     q[4 s], q[4 s + 2], q[4 s + 1], q[4 s + 3]     K16 / 4, and a head per block
//
// A block of tokens is cut into tiles of so many tokens as the kernel keeps in registers; a tile is
// uint32 [steps][tokens of tile], tiles follow each other. Steps beyond k are zero. An Ops type has
// load_steps(values, step): 16 steps, from step `step` on, of fp32 values.
#pragma once

#include "core/gemm/cpu/avx512_decode.hpp"
#include "core/gemm/cpu/load_impl.hpp"

namespace fp6llm::FP6LLM_AVX512_NAMESPACE {
namespace {

constexpr int kBlockSteps = 16;     // steps and tokens of one register transpose
constexpr int kChunkColumns = 256;  // columns that wait in fp32 at a time: 16 tokens of them fit L1

FP6LLM_AVX512_INLINE int64_t padded_columns(int64_t k) {
    return (k + kTileCols - 1) / kTileCols * kTileCols;
}

/// Mask of the first `count` of 16 lanes.
FP6LLM_AVX512_INLINE __mmask16 first_lanes(int64_t count) {
    return static_cast<__mmask16>(count >= 16 ? 0xFFFFu : (1u << count) - 1u);
}

/// Transposes rows[token] of 16 steps into rows[step] of 16 tokens.
FP6LLM_AVX512_INLINE void transpose_block(__m512i (&rows)[16]) {
    __m512i pairs[16], quads[16];
    FP6LLM_AVX512_UNROLL
    for (int i = 0; i < 16; i += 2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    // quads[4 q + c]: tokens 4q..4q+3 of steps c, c + 4, c + 8, c + 12, one step per 128 bits
    FP6LLM_AVX512_UNROLL
    for (int i = 0; i < 16; i += 4) {
        quads[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        quads[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        quads[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        quads[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    FP6LLM_AVX512_UNROLL
    for (int c = 0; c < 4; ++c) {
        const __m512i even01 = _mm512_shuffle_i32x4(quads[c], quads[c + 4], 0x88);
        const __m512i even23 = _mm512_shuffle_i32x4(quads[c + 8], quads[c + 12], 0x88);
        const __m512i odd01 = _mm512_shuffle_i32x4(quads[c], quads[c + 4], 0xDD);
        const __m512i odd23 = _mm512_shuffle_i32x4(quads[c + 8], quads[c + 12], 0xDD);
        rows[c] = _mm512_shuffle_i32x4(even01, even23, 0x88);
        rows[c + 8] = _mm512_shuffle_i32x4(even01, even23, 0xDD);
        rows[c + 4] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
        rows[c + 12] = _mm512_shuffle_i32x4(odd01, odd23, 0xDD);
    }
}

/// Stores steps [0, steps) of `count` <= 16 tokens as [steps][count]; token t's floats are at
/// values + t * kChunkColumns, whole blocks of steps.
template <class Ops>
FP6LLM_AVX512_INLINE void interleave(const float* values, int64_t count, int64_t steps,
                                     typename Ops::Step* out) {
    for (int64_t s = 0; s < steps; s += kBlockSteps) {
        const int64_t block = steps - s < kBlockSteps ? steps - s : kBlockSteps;
        if (count == 1) {
            _mm512_mask_storeu_epi32(out + s, first_lanes(block), Ops::load_steps(values, s));
            continue;
        }
        __m512i rows[kBlockSteps];
        for (int64_t t = 0; t < kBlockSteps; ++t) {
            rows[t] =
                t < count ? Ops::load_steps(values + t * kChunkColumns, s) : _mm512_setzero_si512();
        }
        transpose_block(rows);
        for (int64_t i = 0; i < block; ++i) {
            _mm512_mask_storeu_epi32(out + (s + i) * count, first_lanes(count), rows[i]);
        }
    }
}

/// Asks for the columns [k, k + kChunkColumns) of a token: rows are as far apart as a matrix is wide, and
/// processors' own prefetching starts anew at each.
FP6LLM_AVX512_INLINE void prefetch_token(const TokenSource& x, int64_t token, int64_t k) {
    if (x.k_stride != 1 || k >= x.k) return;
    const auto size = static_cast<int64_t>(float_bytes(x.type));
    const auto* at = static_cast<const uint8_t*>(x.data) + (token * x.token_stride + k) * size;
    for (int64_t i = 0; i < kChunkColumns * size; i += 64)
        _mm_prefetch(at + i, _MM_HINT_T0);
}

/// values[t][kChunkColumns] = columns [k, k + kChunkColumns) of tokens [first, first + count), zero
/// beyond x.k.
FP6LLM_AVX512_INLINE void load_chunk(const TokenSource& x, int64_t first, int64_t count, int64_t k,
                                     float* values) {
    const int64_t columns = x.k - k < kChunkColumns ? x.k - k : kChunkColumns;
    for (int64_t t = 0; t < count; ++t) {
        float* row = values + t * kChunkColumns;
        load_token(x, first + t, k, columns, row);
        prefetch_token(x, first + t, k + kChunkColumns);
        for (int64_t i = columns; i < kChunkColumns; ++i)
            row[i] = 0.0f;
    }
}

/// Packs columns [k0, k1) of tokens [first, first + count), count <= 16, into a tile without heads.
template <class Ops>
FP6LLM_AVX512_INLINE void pack_plain_tile(const TokenSource& x, int64_t first, int64_t count,
                                          int64_t k0, int64_t k1, typename Ops::Step* out) {
    alignas(64) float values[kBlockSteps * kChunkColumns];
    const int64_t padded = padded_columns(k1);
    for (int64_t k = k0; k < padded; k += kChunkColumns) {
        load_chunk(x, first, count, k, values);
        const int64_t stop = padded - k < kChunkColumns ? padded - k : kChunkColumns;
        interleave<Ops>(values, count, Ops::packed_steps(stop), out + Ops::packed_steps(k) * count);
    }
}

template <class Ops>
size_t packed_bytes(int64_t k, int64_t tokens) {
    return static_cast<size_t>(tokens * Ops::packed_steps(padded_columns(k))) *
           sizeof(typename Ops::Step);
}

/// The tile that starts at token x.first + t of a block with `k` columns.
template <class Ops>
typename Ops::Step* packed_tile(const PackedTokens& x, int64_t k, int64_t t) {
    return static_cast<typename Ops::Step*>(x.data) +
           (x.first + t) * Ops::packed_steps(padded_columns(k));
}

/// Packs columns [k0, k1) of the tile that starts at token out.first + t.
template <class Ops>
void pack_columns_of_tile(const TokenSource& x, int64_t token, int64_t t, int64_t count, int64_t k0,
                          int64_t k1, const PackedTokens& out) {
    Ops::pack_tile(x, token + t, count, k0, k1, packed_tile<Ops>(out, x.k, t));
    for (int64_t i = t; k0 == 0 && i < t + count; ++i)
        out.factors[out.first + i] = 1.0f;
}

template <class Ops, int kTile>
void pack_tokens(const TokenSource& x, int64_t token, const PackedTokens& out) {
    for (int64_t t = 0; t < out.count; t += kTile) {
        const int64_t count = out.count - t < kTile ? out.count - t : kTile;
        pack_columns_of_tile<Ops>(x, token, t, count, 0, x.k, out);
    }
}

/// KernelFunctions::pack_columns(): no step depends on columns of another chunk.
template <class Ops>
void pack_columns(const TokenSource& x, int64_t token, int64_t k0, int64_t k1,
                  const PackedTokens& out) {
    static_assert(kPackStep % kChunkColumns == 0);
    pack_columns_of_tile<Ops>(x, token, 0, out.count, k0, k1, out);
}

}  // namespace
}  // namespace fp6llm::FP6LLM_AVX512_NAMESPACE
