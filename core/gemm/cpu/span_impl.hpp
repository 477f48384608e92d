// Spans of MX groups (kernel.hpp): how far apart their exponents are, and their sums in fp64, which is
// what integer kernels do where that is too far for integers to hold them.
//
// Include at global scope, with AVX2 and FMA. Everything has internal linkage: see load_impl.hpp.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace fp6llm {
namespace {

constexpr int kSpanRows = 16;
constexpr int kMostSpanGroups = 4;

inline __m128i load_exponents(const uint8_t* from) noexcept {
    __m128i exponents;
    std::memcpy(&exponents, from, sizeof exponents);
    return exponents;
}

/// Largest and smallest exponent of each row.
struct SpanExponents {
    __m128i largest, smallest;
};

/// Of `exponents` [groups][16], E8M0.
inline SpanExponents span_exponents(const uint8_t* exponents, int64_t groups) noexcept {
    SpanExponents span = {load_exponents(exponents), load_exponents(exponents)};
    for (int64_t g = 1; g < groups; ++g) {
        const __m128i own = load_exponents(exponents + g * kSpanRows);
        span.largest = _mm_max_epu8(span.largest, own);
        span.smallest = _mm_min_epu8(span.smallest, own);
    }
    return span;
}

/// Whether those of no row are further apart than `range`.
inline bool are_within(const SpanExponents& span, int range) noexcept {
    const __m128i allowed = _mm_set1_epi8(static_cast<char>(range));
    const __m128i apart = _mm_sub_epi8(span.largest, span.smallest);
    return _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(apart, allowed), allowed)) == 0xFFFF;
}

/// A span of a panel: the integer sums of each group, tokens and rows.
struct WideSpan {
    const int32_t* parts;  ///< [groups][tokens][16]
    int64_t part_stride;   ///< elements from group to group
    int64_t token_stride;  ///< elements from token to token, of the output as well
    const double* powers;  ///< [groups][16]: scale of a group / largest of the span
    int64_t groups;
    const float* largest;  ///< [16]
};

/// powers [groups][16] of exponents [groups][16], E8M0, the largest of which are `largest`.
inline void span_powers(const uint8_t* exponents, int64_t groups, __m128i largest,
                        double* powers) noexcept {
    const __m256i bias = _mm256_set1_epi64x(1023);
    for (int64_t g = 0; g < groups; ++g, exponents += kSpanRows, powers += kSpanRows) {
        __m128i apart = _mm_sub_epi8(largest, load_exponents(exponents));
        for (int r = 0; r < kSpanRows; r += 4, apart = _mm_srli_si128(apart, 4)) {
            const __m256i exponent = _mm256_sub_epi64(bias, _mm256_cvtepu8_epi64(apart));
            _mm256_storeu_pd(powers + r, _mm256_castsi256_pd(_mm256_slli_epi64(exponent, 52)));
        }
    }
}

/// sums[t][r] = fma(joined * s[t], largest, sums[t][r]).
[[gnu::noinline]] inline void add_wide_span(const WideSpan& span, const float* s, int64_t tokens,
                                            float* sums) noexcept {
    for (int64_t t = 0; t < tokens; ++t, sums += span.token_stride) {
        const int32_t* part = span.parts + t * span.token_stride;
        const double* powers = span.powers;
        __m256d joined[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                             _mm256_setzero_pd()};
        for (int64_t g = 0; g < span.groups; ++g, part += span.part_stride, powers += kSpanRows) {
            for (int i = 0; i < 4; ++i) {
                __m128i four;
                std::memcpy(&four, part + 4 * i, sizeof four);
                joined[i] = _mm256_fmadd_pd(_mm256_cvtepi32_pd(four),
                                            _mm256_loadu_pd(powers + 4 * i), joined[i]);
            }
        }
        for (int i = 0; i < 2; ++i) {
            const __m256 values =
                _mm256_set_m128(_mm256_cvtpd_ps(joined[2 * i + 1]), _mm256_cvtpd_ps(joined[2 * i]));
            const __m256 of_token = _mm256_mul_ps(values, _mm256_set1_ps(s[t]));
            _mm256_storeu_ps(sums + 8 * i,
                             _mm256_fmadd_ps(of_token, _mm256_loadu_ps(span.largest + 8 * i),
                                             _mm256_loadu_ps(sums + 8 * i)));
        }
    }
}

}  // namespace
}  // namespace fp6llm
