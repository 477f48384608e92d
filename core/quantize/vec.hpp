// A thin layer over the compiler's vector extensions: the same source becomes SSE2 (or any
// baseline), AVX2 or AVX-512 code by the flags of the translation unit that includes it. Intrinsics
// appear only where the extensions have no word for an instruction, each next to a plain definition
// of the same result. Everything is in an unnamed namespace, so that no instruction set's copy
// leaks into another.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__F16C__) || defined(__SSE4_1__)
#include <immintrin.h>
#endif

namespace fp6llm {
namespace {

// Tests also compile AVX-512's intrinsics through SIMDe (tests/simde), and without any intrinsics a
// vector wider than the processor's, split by the compiler.
#if (defined(__AVX512F__) || defined(FP6LLM_AVX512_EMULATED)) && !defined(FP6LLM_VEC_LANES)
#define FP6LLM_VEC_AVX512 1
#endif

#if defined(FP6LLM_VEC_LANES)
constexpr int kLanes = FP6LLM_VEC_LANES;
#elif defined(FP6LLM_VEC_AVX512)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

#if defined(FP6LLM_VEC_AVX512)
// The plain forms of some conversions make gcc 12 warn about its own headers; the masked ones do
// not.
constexpr uint16_t kAllLanes = 0xFFFF;
#endif

/// Elements that a kernel takes per step, whatever the vector width.
constexpr int kBlock = 16;
constexpr int kVectors = kBlock / kLanes;

template <typename T, int N>
struct VecOf {
    typedef T type __attribute__((vector_size(sizeof(T) * N)));
};
template <typename T, int N>
using Vec = typename VecOf<T, N>::type;

using F32 = Vec<float, kLanes>;
using I32 = Vec<int32_t, kLanes>;
using U32 = Vec<uint32_t, kLanes>;
using U16 = Vec<uint16_t, kLanes>;
using F64 = Vec<double, kLanes / 2>;  ///< the doubles of half an F32

#define FP6LLM_INLINE inline __attribute__((always_inline))

template <typename To, typename From>
FP6LLM_INLINE To bit_cast(const From& from) noexcept {
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

template <typename V>
FP6LLM_INLINE V load(const void* from) noexcept {
    V v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

template <typename V>
FP6LLM_INLINE void store(const V& v, void* to) noexcept {
    std::memcpy(to, &v, sizeof v);
}

template <typename V>
FP6LLM_INLINE V max_of(V a, V b) noexcept {
    return a > b ? a : b;
}
template <typename V>
FP6LLM_INLINE V min_of(V a, V b) noexcept {
    return a < b ? a : b;
}

FP6LLM_INLINE F32 splat(float value) noexcept {
    return value - F32{};  // not a sum, which would turn -0 into 0
}
FP6LLM_INLINE I32 splat(int32_t value) noexcept {
    return I32{} + value;
}

/// Largest lane.
template <typename T, int N>
FP6LLM_INLINE T horizontal_max(Vec<T, N> v) noexcept {
#if defined(__SSE4_1__)
    if constexpr (sizeof(T) == 2 && sizeof v == 16) {
        // The smallest unsigned one has an instruction; flipped like this, order is reversed.
        const __m128i flip = _mm_set1_epi16(0x7FFF);
        const __m128i smallest = _mm_minpos_epu16(_mm_xor_si128(bit_cast<__m128i>(v), flip));
        return static_cast<T>(_mm_extract_epi16(smallest, 0) ^ 0x7FFF);
    }
#endif
    if constexpr (sizeof v > 8) {
        Vec<T, N / 2> half[2];
        std::memcpy(half, &v, sizeof half);
        return horizontal_max<T, N / 2>(max_of(half[0], half[1]));
    } else {
        T result = v[0];
        for (int i = 1; i < N; ++i)
            result = v[i] > result ? v[i] : result;
        return result;
    }
}

/// Sum of the lanes: neighbours half a vector apart first, so that no width changes the result.
template <int N>
FP6LLM_INLINE double horizontal_sum(Vec<double, N> v) noexcept {
    if constexpr (N == 1) {
        return v[0];
    } else {
        Vec<double, N / 2> half[2];
        std::memcpy(half, &v, sizeof half);
        return horizontal_sum<N / 2>(half[0] + half[1]);
    }
}

/// Low and high half of a vector of floats as doubles.
struct F64Pair {
    F64 low, high;
};
FP6LLM_INLINE F64Pair widen(F32 v) noexcept {
#if defined(FP6LLM_VEC_AVX512)
    __m256 half[2];
    std::memcpy(half, &v, sizeof half);
    return {bit_cast<F64>(_mm512_maskz_cvtps_pd(0xFF, half[0])),
            bit_cast<F64>(_mm512_maskz_cvtps_pd(0xFF, half[1]))};
#elif defined(__AVX2__) && !defined(FP6LLM_VEC_LANES)
    const __m256 whole = bit_cast<__m256>(v);
    return {bit_cast<F64>(_mm256_cvtps_pd(_mm256_castps256_ps128(whole))),
            bit_cast<F64>(_mm256_cvtps_pd(_mm256_extractf128_ps(whole, 1)))};
#else
    Vec<float, kLanes / 2> half[2];
    std::memcpy(half, &v, sizeof half);
    return {__builtin_convertvector(half[0], F64), __builtin_convertvector(half[1], F64)};
#endif
}
/// sums += v * v, element by element. Squares are exact, so fusing the addition changes nothing.
FP6LLM_INLINE void add_squares(F32 v, F64* sums) noexcept {
    const F64Pair wide = widen(v);
#if defined(__FMA__) && !defined(FP6LLM_VEC_AVX512) && !defined(FP6LLM_VEC_LANES)
    const __m256d low = bit_cast<__m256d>(wide.low), high = bit_cast<__m256d>(wide.high);
    sums[0] = bit_cast<F64>(_mm256_fmadd_pd(low, low, bit_cast<__m256d>(sums[0])));
    sums[1] = bit_cast<F64>(_mm256_fmadd_pd(high, high, bit_cast<__m256d>(sums[1])));
#else
    sums[0] += wide.low * wide.low;
    sums[1] += wide.high * wide.high;
#endif
}

/// kLanes halfs as floats. NaN may become quiet.
FP6LLM_INLINE F32 half_to_float(const void* from) noexcept {
#if defined(FP6LLM_VEC_AVX512)
    const __m256i half = _mm256_loadu_si256(static_cast<const __m256i*>(from));
    return bit_cast<F32>(_mm512_maskz_cvtph_ps(kAllLanes, half));
#elif defined(__F16C__)
    __m256 part[kLanes / 8];
    for (int i = 0; i < kLanes / 8; ++i) {
        part[i] = _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(from) + i));
    }
    return load<F32>(part);
#else
    // Shifted into place, a half is a float 2^112 too small, subnormals included; Inf and NaN
    // aside.
    const I32 half = __builtin_convertvector(load<U16>(from), I32);
    const I32 shifted = (half & 0x7FFF) << 13;
    const I32 special = (half & 0x7FFF) >= 0x7C00;
    const I32 magnitude = bit_cast<I32>(bit_cast<F32>(shifted) * 0x1p112f) | (special & 0x7F800000);
    return bit_cast<F32>(magnitude | (half << 16 & INT32_MIN));
#endif
}

/// Stores kLanes floats as halfs, rounded to nearest even.
FP6LLM_INLINE void float_to_half(F32 v, void* to) noexcept {
#if defined(FP6LLM_VEC_AVX512)
    const __m256i half = _mm512_maskz_cvtps_ph(kAllLanes, bit_cast<__m512>(v), 0);
    _mm256_storeu_si256(static_cast<__m256i*>(to), half);
#elif defined(__F16C__)
    __m256 part[kLanes / 8];
    store(v, part);
    for (int i = 0; i < kLanes / 8; ++i) {
        _mm_storeu_si128(static_cast<__m128i*>(to) + i, _mm256_cvtps_ph(part[i], 0));
    }
#else
    const I32 bits = bit_cast<I32>(v);
    const I32 magnitude = bits & 0x7FFFFFFF;
    // Normal halfs round in the integer domain; subnormal ones by adding 0.5, whose step is theirs.
    const I32 normal = (magnitude + 0xFFF + (magnitude >> 13 & 1) - 0x38000000) >> 13;
    const I32 subnormal = bit_cast<I32>(bit_cast<F32>(magnitude) + 0.5f) - 0x3F000000;
    I32 half = magnitude < 0x38800000 ? subnormal : normal;
    half = magnitude >= 0x477FF000 ? splat(0x7C00) : half;
    half = magnitude > 0x7F800000 ? splat(0x7E00) : half;
    store(__builtin_convertvector(half | (bits >> 16 & 0x8000), U16), to);
#endif
}

/// kLanes bytes as integers.
FP6LLM_INLINE I32 load_bytes(const uint8_t* from) noexcept {
#if defined(FP6LLM_VEC_AVX512)
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return bit_cast<I32>(_mm512_maskz_cvtepu8_epi32(kAllLanes, bytes));
#elif defined(__AVX2__)
    __m256i part[kLanes / 8];
    for (int i = 0; i < kLanes / 8; ++i) {
        part[i] = _mm256_cvtepu8_epi32(_mm_loadu_si64(from + 8 * i));
    }
    return load<I32>(part);
#else
    return __builtin_convertvector(load<Vec<uint8_t, kLanes>>(from), I32);
#endif
}

/// to[i] = table[code & 31], top bit flipped where bit 5 of the code is set, for kTableCodes codes.
constexpr int kTableCodes = 32;
FP6LLM_INLINE void look_up(const int16_t (&table)[kTableCodes], const uint8_t* codes,
                           void* to) noexcept {
#if defined(FP6LLM_VEC_AVX512)
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
    const __m512i index = _mm512_cvtepu8_epi16(bytes);
    const __m512i found = _mm512_permutexvar_epi16(index, load<__m512i>(table));
    const __m512i sign =
        _mm512_and_si512(_mm512_slli_epi16(index, 10), _mm512_set1_epi16(INT16_MIN));
    store(_mm512_xor_si512(found, sign), to);
#elif defined(__AVX2__) && !defined(FP6LLM_VEC_LANES)
    // Sixteen bytes at a time are looked up: lower and upper ones of the lower and upper entries. An index
    // with its top bit set finds zero.
    const __m256i byte = _mm256_set1_epi16(0xFF);
    const auto bytes_of = [&](int first, int shift) {
        const __m256i words = load<__m256i>(table + first);
        const __m256i part = _mm256_and_si256(_mm256_srli_epi16(words, shift), byte);
        const __m256i packed = _mm256_packus_epi16(part, part);  // 0-7, 0-7, 8-15, 8-15
        return _mm256_permute4x64_epi64(packed, 0x88);
    };
    const __m256i low[2] = {bytes_of(0, 0), bytes_of(16, 0)};
    const __m256i high[2] = {bytes_of(0, 8), bytes_of(16, 8)};
    const __m256i in_order = load<__m256i>(codes);
    const __m256i code = _mm256_permute4x64_epi64(in_order, 0xD8);  // as unpacking will undo
    const __m256i index = _mm256_and_si256(code, _mm256_set1_epi8(31));
    const __m256i first = _mm256_add_epi8(index, _mm256_set1_epi8(0x70));
    const __m256i second = _mm256_sub_epi8(index, _mm256_set1_epi8(16));
    const auto find = [&](const __m256i(&half)[2]) {
        return _mm256_or_si256(_mm256_shuffle_epi8(half[0], first),
                               _mm256_shuffle_epi8(half[1], second));
    };
    const __m256i sign = _mm256_and_si256(_mm256_slli_epi16(code, 2), _mm256_set1_epi8(INT8_MIN));
    const __m256i lower = find(low), upper = _mm256_xor_si256(find(high), sign);
    const __m256i found[2] = {_mm256_unpacklo_epi8(lower, upper),
                              _mm256_unpackhi_epi8(lower, upper)};
    std::memcpy(to, found, sizeof found);
#else
    int16_t found[kTableCodes];
    for (int i = 0; i < kTableCodes; ++i)
        found[i] = static_cast<int16_t>(table[codes[i] & 31] ^ (codes[i] & 32) << 10);
    std::memcpy(to, found, sizeof found);
#endif
}

/// The low byte of each of kBlock integers.
FP6LLM_INLINE void store_bytes(const I32 (&v)[kVectors], uint8_t* to) noexcept {
#if defined(__AVX2__) && !defined(FP6LLM_VEC_AVX512) && !defined(FP6LLM_VEC_LANES)
    const __m256i low = _mm256_setr_epi64x(0x808080800C080400, -1, 0x808080800C080400, -1);
    const __m256i high = _mm256_setr_epi64x(0x0C08040080808080, -1, 0x0C08040080808080, -1);
    const __m256i bytes = _mm256_or_si256(_mm256_shuffle_epi8(bit_cast<__m256i>(v[0]), low),
                                          _mm256_shuffle_epi8(bit_cast<__m256i>(v[1]), high));
    const __m256i in_order =
        _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(in_order));
#else
    for (int i = 0; i < kVectors; ++i) {
        store(__builtin_convertvector(v[i], Vec<uint8_t, kLanes>), to + i * kLanes);
    }
#endif
}

}  // namespace
}  // namespace fp6llm
