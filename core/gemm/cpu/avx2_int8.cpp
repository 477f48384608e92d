// AVX2 kernels with int8 activations for few tokens, from S8 tiles: bytes become magnitudes in registers, and
// the weights' signs go to the activations, so that pmaddubsw multiplies the two. Four products of 16 bits
// cannot saturate (4 * 60 * 127 < 2^15): two of its results are added before pmaddwd.
//
//   gemv    1 token: two panels per pass, which share the activations. Bound by reading
//   fused   up to 4 tokens: one panel, half its rows at a time
//
// Parts and spans are those of kernel.hpp; the groups of a span with MX scales count powers of two
// (avx2_integer_parts.hpp) by way of pmaddwd.
#include "core/gemm/cpu/avx2.hpp"
#include "core/gemm/cpu/avx2_bytes.hpp"
#include "core/gemm/cpu/avx2_integer_pack.hpp"
#include "core/gemm/cpu/avx2_integer_parts.hpp"
#include "core/gemm/cpu/avx2_prefetch.hpp"

namespace fp6llm::avx2 {
namespace {

constexpr int64_t kSpanGroups = kI8Span / kChunkColumns;
constexpr int64_t kGroupTiles = kChunkColumns / kTileCols;  // of MX

/// Bytes ahead of a tile that are asked for. Zen 5, in turns: 3 KiB 0.90 of 6 KiB at 1 token and 0.96 at 4,
/// 8 KiB 0.96 at 1.
constexpr int kAhead = 6 * 1024;

/// What the products of a span's groups count, 2^d times, for both half-words of each row's lane.
template <int kPanels>
struct SpanTimes {
    alignas(32) uint32_t of[kPanels][kSpanGroups][16];
};
struct Once {};

/// For half the rows of a tile of a panel, the i-th of its span.
template <int kPanels>
FP6LLM_AVX2_INLINE __m256i times_of(const SpanTimes<kPanels>& times, int panel, int64_t i,
                                    int half) {
    const uint32_t* from = times.of[panel][i / kGroupTiles] + 8 * half;
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
}
FP6LLM_AVX2_INLINE __m256i times_of(Once, int, int64_t, int) {
    return _mm256_set1_epi16(1);
}

/// sums[t] += half the rows of a tile * x(step, t), the activations of four columns, `times` over.
template <int kTokens, class Activations>
FP6LLM_AVX2_INLINE void add_half(const uint8_t* tile, Activations x, __m256i times,
                                 __m256i (&sums)[kTokens]) {
    __m256i bytes[kTileSteps];
    ByteTile::load(tile, bytes);
    FP6LLM_AVX2_UNROLL
    for (int step = 0; step < kTileSteps; step += 2) {
        const __m256i first = ByteTile::magnitudes(bytes[step]);
        const __m256i second = ByteTile::magnitudes(bytes[step + 1]);
        FP6LLM_AVX2_UNROLL
        for (int t = 0; t < kTokens; ++t) {
            const __m256i a =
                _mm256_maddubs_epi16(first, _mm256_sign_epi8(x(step, t), bytes[step]));
            const __m256i b =
                _mm256_maddubs_epi16(second, _mm256_sign_epi8(x(step + 1, t), bytes[step + 1]));
            accumulate(sums[t], _mm256_madd_epi16(_mm256_add_epi16(a, b), times));
        }
    }
}

FP6LLM_AVX2_INLINE __m256i broadcast(uint32_t step) {
    return _mm256_set1_epi32(static_cast<int32_t>(step));
}

/// Where a pass over kPanels panels is.
struct Position {
    const uint8_t* tile;       // of the first panel
    const uint8_t* panel_end;  // of its memory
    int64_t panel_bytes;
    const uint32_t* x;  // steps of the columns
};

/// sums = the next `tiles` tiles' products, Once or SpanTimes over, for which `at` moves on.
template <int kPanels, int kTokens, class Times>
FP6LLM_AVX2_INLINE void multiply_tiles(Position& at, int64_t tiles, const Times& times,
                                       Lanes (&sums)[kPanels][kTokens]) {
    if constexpr (kTokens == 1) {
        __m256i lo[kPanels][1], hi[kPanels][1];
        FP6LLM_AVX2_UNROLL
        for (int p = 0; p < kPanels; ++p)
            lo[p][0] = hi[p][0] = _mm256_setzero_si256();
        for (int64_t i = 0; i < tiles; ++i, at.tile += kTileBytes, at.x += kTileSteps) {
            prefetch_panels<kPanels, kAhead>(at.tile, at.panel_end, at.panel_bytes);
            const uint32_t* x = at.x;
            const auto of_step = [x](int step, int)
                                     FP6LLM_AVX2_INLINE_LAMBDA { return broadcast(x[step]); };
            FP6LLM_AVX2_UNROLL
            for (int p = 0; p < kPanels; ++p) {
                const uint8_t* tile = at.tile + p * at.panel_bytes;
                add_half(tile, of_step, times_of(times, p, i, 0), lo[p]);
                FP6LLM_AVX2_BARRIER();
                add_half(tile + 32, of_step, times_of(times, p, i, 1), hi[p]);
                FP6LLM_AVX2_BARRIER();
            }
        }
        FP6LLM_AVX2_UNROLL
        for (int p = 0; p < kPanels; ++p)
            sums[p][0] = {lo[p][0], hi[p][0]};
    } else {
        static_assert(kPanels == 1);
        FP6LLM_AVX2_UNROLL
        for (int half = 0; half < 2; ++half) {
            __m256i of_half[kTokens];
            FP6LLM_AVX2_UNROLL
            for (int t = 0; t < kTokens; ++t)
                of_half[t] = _mm256_setzero_si256();
            const uint8_t* tile = at.tile;
            const uint32_t* x = at.x;
            for (int64_t i = 0; i < tiles; ++i, tile += kTileBytes, x += kTileSteps * kTokens) {
                if (half == 0) prefetch_panels<1, kAhead>(tile, at.panel_end, at.panel_bytes);
                const auto of_step = [x](int step, int t) FP6LLM_AVX2_INLINE_LAMBDA {
                    return broadcast(x[step * kTokens + t]);
                };
                add_half(tile + 32 * half, of_step, times_of(times, 0, i, half), of_half);
            }
            FP6LLM_AVX2_UNROLL
            for (int t = 0; t < kTokens; ++t)
                (half == 0 ? sums[0][t].lo : sums[0][t].hi) = of_half[t];
        }
        at.tile += tiles * kTileBytes;
        at.x += tiles * kTileSteps * kTokens;
    }
}

/// sums [kPanels or kTokens][16] += all columns, row or group scales. Not inlined: its hot loop needs all
/// registers.
template <Scales kScales, int kPanels, int kTokens>
__attribute__((noinline)) void multiply_groups(const CpuWeightView& weight, int64_t panel,
                                               Position at, const float* s, float* sums) {
    const int64_t padded = weight.k_tiles * kTileCols;
    const int64_t size = kScales == Scales::kRow ? padded : weight.group_size;
    for (int64_t k = 0, group = 0, stop; k < padded; k = stop) {
        const int64_t block = k / kI8Columns, group_end = (group + 1) * size;
        stop = (block + 1) * kI8Columns;
        stop = group_end < stop ? group_end : stop;
        stop = padded < stop ? padded : stop;
        Lanes part[kPanels][kTokens];
        multiply_tiles(at, (stop - k) / kTileCols, Once{}, part);
        FP6LLM_AVX2_UNROLL
        for (int p = 0; p < kPanels; ++p) {
            if (kScales == Scales::kGroup) prefetch_scales(weight, panel + p, group, kPanels);
            add_part<kScales>(part[p], s + block * kTokens, 1.0f,
                              weight.scales + weight.scale_index(panel + p, group), sums + 16 * p);
        }
        if (stop == group_end) ++group;
    }
}

/// sums [kTokens][16] += a span whose groups are apart: each is summed by itself and added in fp64.
template <int kTokens>
__attribute__((noinline)) void add_wide(const uint8_t* exponents, const SpanExponents& span,
                                        int64_t groups, int64_t tiles, Position at, const float* s,
                                        float* sums) {
    alignas(32) int32_t parts[kSpanGroups][kTokens][16];
    for (int64_t g = 0; g < groups; ++g, tiles -= kGroupTiles) {
        Lanes part[1][kTokens];
        multiply_tiles(at, tiles < kGroupTiles ? tiles : kGroupTiles, Once{}, part);
        for (int t = 0; t < kTokens; ++t)
            store_lanes(parts[g][t], part[0][t]);
    }
    double powers[kSpanGroups][16];
    alignas(32) float scale[16];
    span_powers(exponents, groups, span.largest, powers[0]);
    store_values(scale, e8m0_floats(span.largest));
    add_wide_span({parts[0][0], kTokens * 16, 16, powers[0], groups, scale}, s, kTokens, sums);
}

/// How many times the groups of a span count.
FP6LLM_AVX2_INLINE void store_times(const uint8_t* exponents, int64_t groups, __m128i largest,
                                    uint32_t (&times)[kSpanGroups][16]) {
    const __m128i none = _mm_sub_epi8(largest, _mm_set1_epi8(kI8Range));  // where d is 0
    for (int64_t g = 0; g < groups; ++g) {
        const __m128i d = _mm_sub_epi8(load_exponents(exponents + g * 16), none);
        store_lanes(times[g], pair_counts(widen_bytes(d)));
    }
}

/// sums [kPanels or kTokens][16] += all columns, MX scales.
template <int kPanels, int kTokens>
__attribute__((noinline)) void multiply_spans(const CpuWeightView& weight, int64_t panel,
                                              Position at, const float* s, float* sums) {
    constexpr int64_t kSpanTiles = kSpanGroups * kGroupTiles;
    SpanTimes<kPanels> times;
    for (int64_t group = 0, left = weight.k_tiles; left > 0;
         group += kSpanGroups, left -= kSpanTiles, s += kTokens) {
        const int64_t tiles = left < kSpanTiles ? left : kSpanTiles;
        const int64_t groups = (tiles + kGroupTiles - 1) / kGroupTiles;
        const uint8_t* exponents[kPanels];
        SpanExponents span[kPanels];
        bool near = true;
        FP6LLM_AVX2_UNROLL
        for (int p = 0; p < kPanels; ++p) {
            exponents[p] = weight.e8m0 + weight.scale_index(panel + p, group);
            prefetch_scales(weight, panel + p, group, kPanels);
            span[p] = span_exponents(exponents[p], groups);
            store_times(exponents[p], groups, span[p].largest, times.of[p]);
            near = near && are_within(span[p], kI8Range);
        }
        if (near) {
            Lanes part[kPanels][kTokens];
            multiply_tiles(at, tiles, times, part);
            FP6LLM_AVX2_UNROLL
            for (int p = 0; p < kPanels; ++p) {
                alignas(32) float scale[16];
                store_values(scale, e8m0_floats(span[p].largest));
                add_part<Scales::kMx>(part[p], s, 1.0f / (1 << kI8Range), scale, sums + 16 * p);
            }
            continue;
        }
        for (int p = 0; p < kPanels; ++p) {
            Position of_panel = at;
            of_panel.tile += p * at.panel_bytes;
            add_wide<kTokens>(exponents[p], span[p], groups, tiles, of_panel, s, sums + 16 * p);
        }
        at.tile += tiles * kTileBytes;
        at.x += tiles * kTileSteps * kTokens;
    }
}

/// sums [kPanels or kTokens][16] of a packed tile of activations.
template <int kPanels, int kTokens>
void multiply_tile(const CpuWeightView& weight, int64_t panel, const uint32_t* x, float* sums) {
    for (int i = 0; i < kPanels * kTokens; ++i)
        store_values(sums + i * 16, zero_floats());
    const float* s =
        PackedTile<SignedI8Steps>(weight.k_tiles * kTileCols).scales(x, /*tokens=*/kTokens);
    const Position at = {weight.panel_tiles(panel), weight.panel_end(panel),
                         weight.tile_stride * kTileBytes, x};
    switch (weight.scale_mode) {
        case ScaleMode::kRow:
            return multiply_groups<Scales::kRow, kPanels, kTokens>(weight, panel, at, s, sums);
        case ScaleMode::kGroup:
            return multiply_groups<Scales::kGroup, kPanels, kTokens>(weight, panel, at, s, sums);
        case ScaleMode::kMx:
            return multiply_spans<kPanels, kTokens>(weight, panel, at, s, sums);
    }
}

void finish(const CpuWeightView& weight, int64_t panel, const PackedTokens& x, float* sums) {
    double factors[16];
    row_factors(weight, panel, 1.0 / 8, factors);
    finish_sums(factors, x.factors + x.first, x.count, sums);
}

size_t no_scratch(int64_t, int64_t) {
    return 0;
}

void gemv(const CpuWeightView& weight, int64_t panel, int panels, const PackedTokens& x,
          float* sums, void*) {
    const uint32_t* packed = PackedTile<SignedI8Steps>(weight.k_tiles * kTileCols).at(x, /*t=*/0);
    if (panels == 2) {
        multiply_tile<2, 1>(weight, panel, packed, sums);
    } else {
        multiply_tile<1, 1>(weight, panel, packed, sums);
    }
    for (int p = 0; p < panels; ++p)
        finish(weight, panel + p, x, sums + 16 * p);
}

void fused(const CpuWeightView& weight, int64_t panel, int, const PackedTokens& x, float* sums,
           void*) {
    const PackedTile<SignedI8Steps> layout(weight.k_tiles * kTileCols);
    for (int64_t t = 0; t < x.count; t += kFusedI8Tile) {
        const uint32_t* packed = layout.at(x, t);
        float* of_tile = sums + t * 16;
        switch (x.count - t) {
            case 1:
                multiply_tile<1, 1>(weight, panel, packed, of_tile);
                break;
            case 2:
                multiply_tile<1, 2>(weight, panel, packed, of_tile);
                break;
            case 3:
                multiply_tile<1, 3>(weight, panel, packed, of_tile);
                break;
            default:
                multiply_tile<1, kFusedI8Tile>(weight, panel, packed, of_tile);
                break;
        }
    }
    finish(weight, panel, x, sums);
}

}  // namespace

constexpr KernelFunctions kS8GemvI8 = {packed_integer_bytes<SignedI8Steps>,
                                       pack_integer_tokens<SignedI8Steps, kGemvTile>, no_scratch,
                                       gemv};
constexpr KernelFunctions kS8FusedI8 = {packed_integer_bytes<SignedI8Steps>,
                                        pack_integer_tokens<SignedI8Steps, kFusedI8Tile>,
                                        no_scratch, fused};

}  // namespace fp6llm::avx2
