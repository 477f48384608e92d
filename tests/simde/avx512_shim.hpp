// Force-included when core/**/avx512*.cpp are compiled for machines without AVX-512: maps every
// AVX-512 intrinsic they use to SIMDe's emulation, and supplies the ones that SIMDe 0.7.4 lacks.
//
// One that is missing here is a compile error, never a wrong result. Compile with AVX2 flags and
// never with -mavx512*: SIMDe would then use the processor's own instructions.
#pragma once

#ifdef __AVX512F__
#error "the emulation must be compiled without -mavx512*"
#endif

#define FP6LLM_AVX512_EMULATED 1

#include <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>

#include <cstring>

namespace fp6llm_avx512_shim {

template <class To, class From>
static inline To bit_copy(const From& from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

template <class Element, int kCount>
struct Array {
    Element at[kCount];
};

using U32x16 = Array<unsigned, 16>;

static inline void mask_storeu_epi32(void* to, __mmask16 mask, __m512i value) {
    const U32x16 lanes = bit_copy<U32x16>(value);
    for (int i = 0; i < 16; ++i) {
        if (mask >> i & 1) std::memcpy(static_cast<char*>(to) + 4 * i, &lanes.at[i], 4);
    }
}

static inline __m512i maskz_loadu_epi32(__mmask16 mask, const void* from) {
    U32x16 lanes = {};
    for (int i = 0; i < 16; ++i) {
        if (mask >> i & 1) std::memcpy(&lanes.at[i], static_cast<const char*>(from) + 4 * i, 4);
    }
    return bit_copy<__m512i>(lanes);
}

static inline __m512i cvtepu8_epi32(__m128i value) {
    const auto bytes = bit_copy<Array<unsigned char, 16>>(value);
    U32x16 lanes;
    for (int i = 0; i < 16; ++i)
        lanes.at[i] = bytes.at[i];
    return bit_copy<__m512i>(lanes);
}

static inline __m512i cvtepi8_epi32(__m128i value) {
    const auto bytes = bit_copy<Array<signed char, 16>>(value);
    Array<int, 16> lanes;
    for (int i = 0; i < 16; ++i)
        lanes.at[i] = bytes.at[i];
    return bit_copy<__m512i>(lanes);
}

static inline __m512i cvtepu8_epi16(__m256i value) {
    const auto bytes = bit_copy<Array<unsigned char, 32>>(value);
    Array<unsigned short, 32> lanes;
    for (int i = 0; i < 32; ++i)
        lanes.at[i] = bytes.at[i];
    return bit_copy<__m512i>(lanes);
}

// The zero-masked forms are used with all lanes only.

static inline __m512i maskz_cvtepu8_epi32(__mmask16, __m128i value) {
    return cvtepu8_epi32(value);
}

static inline __m512d maskz_cvtps_pd(__mmask8, __m256 value) {
    const auto floats = bit_copy<Array<float, 8>>(value);
    Array<double, 8> lanes;
    for (int i = 0; i < 8; ++i)
        lanes.at[i] = static_cast<double>(floats.at[i]);
    return bit_copy<__m512d>(lanes);
}

struct TwoOfInts {
    __m256i at[2];
};
struct TwoOfHalfs {
    __m128i at[2];
};
struct TwoOfFloats {
    __m256 at[2];
};

static inline __m512i cvtps_epi32(__m512 value) {
    const auto floats = bit_copy<TwoOfFloats>(value);
    return bit_copy<__m512i>(
        TwoOfInts{{_mm256_cvtps_epi32(floats.at[0]), _mm256_cvtps_epi32(floats.at[1])}});
}

static inline __m512 cvtepi32_ps(__m512i value) {
    const auto ints = bit_copy<TwoOfInts>(value);
    return bit_copy<__m512>(
        TwoOfFloats{{_mm256_cvtepi32_ps(ints.at[0]), _mm256_cvtepi32_ps(ints.at[1])}});
}

static inline __m512 maskz_cvtph_ps(__mmask16, __m256i value) {
    const auto halfs = bit_copy<TwoOfHalfs>(value);
    return bit_copy<__m512>(
        TwoOfFloats{{_mm256_cvtph_ps(halfs.at[0]), _mm256_cvtph_ps(halfs.at[1])}});
}

/// To nearest even, the only rounding in use.
static inline __m256i maskz_cvtps_ph(__mmask16, __m512 value, int) {
    const auto floats = bit_copy<TwoOfFloats>(value);
    return bit_copy<__m256i>(
        TwoOfHalfs{{_mm256_cvtps_ph(floats.at[0], 0), _mm256_cvtps_ph(floats.at[1], 0)}});
}

static inline __m256i cvtepi32_epi16(__m512i value) {
    const U32x16 lanes = bit_copy<U32x16>(value);
    Array<unsigned short, 16> words;
    for (int i = 0; i < 16; ++i)
        words.at[i] = static_cast<unsigned short>(lanes.at[i]);
    return bit_copy<__m256i>(words);
}

static inline __m128i cvtepi32_epi8(__m512i value) {
    const U32x16 lanes = bit_copy<U32x16>(value);
    Array<unsigned char, 16> bytes;
    for (int i = 0; i < 16; ++i)
        bytes.at[i] = static_cast<unsigned char>(lanes.at[i]);
    return bit_copy<__m128i>(bytes);
}

/// fp32 to bf16, to nearest even; subnormals become zero, NaN stays NaN, as in vcvtneps2bf16.
static inline unsigned short to_bf16(unsigned bits) {
    const unsigned magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return static_cast<unsigned short>(bits >> 16 | 0x40u);
    if (magnitude < 0x00800000u) return static_cast<unsigned short>(bits >> 16 & 0x8000u);
    return static_cast<unsigned short>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

static inline __m512bh cvtne2ps_pbh(__m512 high, __m512 low) {
    const U32x16 from_low = bit_copy<U32x16>(low), from_high = bit_copy<U32x16>(high);
    Array<unsigned short, 32> words;
    for (int i = 0; i < 16; ++i) {
        words.at[i] = to_bf16(from_low.at[i]);
        words.at[i + 16] = to_bf16(from_high.at[i]);
    }
    return bit_copy<__m512bh>(words);
}

// SIMDe 0.7.4 has these, but shifts by 64 where a byte starts at bit 0.

static inline __m512i mask_multishift_epi64_epi8(__m512i source, __mmask64 mask, __m512i starts,
                                                 __m512i value) {
    using U8x64 = Array<unsigned char, 64>;
    const auto words = bit_copy<Array<unsigned long long, 8>>(value);
    const U8x64 from = bit_copy<U8x64>(starts);
    U8x64 bytes = bit_copy<U8x64>(source);
    for (int i = 0; i < 64; ++i) {
        const unsigned long long word = words.at[i / 8];
        const int start = from.at[i] & 63;
        const unsigned long long turned = word >> start | word << ((64 - start) & 63);
        if (mask >> i & 1) bytes.at[i] = static_cast<unsigned char>(turned);
    }
    return bit_copy<__m512i>(bytes);
}

static inline __m512i multishift_epi64_epi8(__m512i starts, __m512i value) {
    return mask_multishift_epi64_epi8(value, ~__mmask64{0}, starts, value);
}

}  // namespace fp6llm_avx512_shim

#undef _mm512_multishift_epi64_epi8
#define _mm512_multishift_epi64_epi8(starts, value) \
    fp6llm_avx512_shim::multishift_epi64_epi8(starts, value)
#undef _mm512_mask_multishift_epi64_epi8
#define _mm512_mask_multishift_epi64_epi8(source, mask, starts, value) \
    fp6llm_avx512_shim::mask_multishift_epi64_epi8(source, mask, starts, value)
#undef _mm512_mask_storeu_epi32
#define _mm512_mask_storeu_epi32(to, mask, value) \
    fp6llm_avx512_shim::mask_storeu_epi32(to, mask, value)
#undef _mm512_maskz_loadu_epi32
#define _mm512_maskz_loadu_epi32(mask, from) fp6llm_avx512_shim::maskz_loadu_epi32(mask, from)
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32(value) fp6llm_avx512_shim::cvtps_epi32(value)
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps(value) fp6llm_avx512_shim::cvtepi32_ps(value)
#undef _mm512_cvtepi32_epi8
#define _mm512_cvtepi32_epi8(value) fp6llm_avx512_shim::cvtepi32_epi8(value)
#undef _mm512_cvtepi8_epi32
#define _mm512_cvtepi8_epi32(value) fp6llm_avx512_shim::cvtepi8_epi32(value)
#undef _mm512_cvtepu8_epi32
#define _mm512_cvtepu8_epi32(value) fp6llm_avx512_shim::cvtepu8_epi32(value)
#undef _mm512_cvtepu8_epi16
#define _mm512_cvtepu8_epi16(value) fp6llm_avx512_shim::cvtepu8_epi16(value)
#undef _mm512_maskz_cvtepu8_epi32
#define _mm512_maskz_cvtepu8_epi32(mask, value) fp6llm_avx512_shim::maskz_cvtepu8_epi32(mask, value)
#undef _mm512_maskz_cvtps_pd
#define _mm512_maskz_cvtps_pd(mask, value) fp6llm_avx512_shim::maskz_cvtps_pd(mask, value)
#undef _mm512_maskz_cvtph_ps
#define _mm512_maskz_cvtph_ps(mask, value) fp6llm_avx512_shim::maskz_cvtph_ps(mask, value)
#undef _mm512_maskz_cvtps_ph
#define _mm512_maskz_cvtps_ph(mask, value, rounding) \
    fp6llm_avx512_shim::maskz_cvtps_ph(mask, value, rounding)
#undef _mm512_cvtepi32_epi16
#define _mm512_cvtepi32_epi16(value) fp6llm_avx512_shim::cvtepi32_epi16(value)
#undef _mm512_cvtne2ps_pbh
#define _mm512_cvtne2ps_pbh(high, low) fp6llm_avx512_shim::cvtne2ps_pbh(high, low)
