// The 16 rows of a panel in two AVX2 registers, one 32-bit lane per row, and what the kernels do
// with them. Everything has internal linkage: no other translation unit may get AVX2 code from
// here.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define FP6LLM_AVX2_INLINE static inline __attribute__((always_inline))
#define FP6LLM_AVX2_MEMBER inline __attribute__((always_inline))
#define FP6LLM_AVX2_INLINE_LAMBDA __attribute__((always_inline))
// gcc 12 keeps arrays of registers in memory unless every loop over them is unrolled.
#define FP6LLM_AVX2_UNROLL _Pragma("GCC unroll 16")
// Keeps loads on their side of it: gcc 12 else starts on the next tile before it has done with one, and runs
// out of registers.
#define FP6LLM_AVX2_BARRIER() asm volatile("" ::: "memory")

namespace fp6llm::avx2 {

struct Lanes {
    __m256i lo, hi;  // rows 0..7, rows 8..15
};

struct Floats {
    __m256 lo, hi;
};

FP6LLM_AVX2_INLINE Lanes load_lanes(const uint8_t* from) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32))};
}

FP6LLM_AVX2_INLINE Lanes bit_and(Lanes a, __m256i mask) {
    return {_mm256_and_si256(a.lo, mask), _mm256_and_si256(a.hi, mask)};
}

FP6LLM_AVX2_INLINE Lanes bit_xor(Lanes a, Lanes b) {
    return {_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)};
}

template <int distance>
FP6LLM_AVX2_INLINE Lanes shift_left(Lanes a) {
    return {_mm256_slli_epi32(a.lo, distance), _mm256_slli_epi32(a.hi, distance)};
}

template <int distance>
FP6LLM_AVX2_INLINE Lanes shift_left_halves(Lanes a) {
    return {_mm256_slli_epi16(a.lo, distance), _mm256_slli_epi16(a.hi, distance)};
}

template <int distance>
FP6LLM_AVX2_INLINE Lanes shift_right_halves(Lanes a) {
    return {_mm256_srli_epi16(a.lo, distance), _mm256_srli_epi16(a.hi, distance)};
}

/// Signed shift right of each half-word, by way of the multiplier: the shifters are the busier
/// unit.
template <int distance>
FP6LLM_AVX2_INLINE Lanes scale_down_halves(Lanes a) {
    const __m256i factor = _mm256_set1_epi16(1 << (16 - distance));
    return {_mm256_mulhi_epi16(a.lo, factor), _mm256_mulhi_epi16(a.hi, factor)};
}

/// 16 entries, lowest first, for look_up.
FP6LLM_AVX2_INLINE __m256i nibble_table(uint64_t low, uint64_t high) {
    const long long l = static_cast<long long>(low), h = static_cast<long long>(high);
    return _mm256_set_epi64x(h, l, h, l);
}

/// table[low four bits] for each byte of `nibbles` below 128, 0 for others.
FP6LLM_AVX2_INLINE Lanes look_up(__m256i table, Lanes nibbles) {
    return {_mm256_shuffle_epi8(table, nibbles.lo), _mm256_shuffle_epi8(table, nibbles.hi)};
}

FP6LLM_AVX2_INLINE Floats as_floats(Lanes a) {
    return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)};
}

FP6LLM_AVX2_INLINE Floats zero_floats() {
    return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}

FP6LLM_AVX2_INLINE Floats all_floats(float value) {
    return {_mm256_set1_ps(value), _mm256_set1_ps(value)};
}

FP6LLM_AVX2_INLINE Floats load_values(const float* from) {
    return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}

FP6LLM_AVX2_INLINE void store_values(float* to, Floats a) {
    _mm256_storeu_ps(to, a.lo);
    _mm256_storeu_ps(to + 8, a.hi);
}

FP6LLM_AVX2_INLINE Floats add(Floats a, Floats b) {
    return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}

FP6LLM_AVX2_INLINE Floats multiply(Floats a, Floats b) {
    return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}

/// a * b + c, rounded once.
FP6LLM_AVX2_INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
    return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

/// sum += addend, for sums that a hot loop carries along: gcc 12 adds to another register where it may
/// choose, and moves the sum back, 14 times in a loop of 45 instructions.
FP6LLM_AVX2_INLINE void accumulate(__m256i& sum, __m256i addend) {
    asm("vpaddd %1, %0, %0" : "+x"(sum) : "x"(addend));
}

/// sum += a * b, rounded once; in place for the same reason.
FP6LLM_AVX2_INLINE void accumulate_product(Floats& sum, Floats a, Floats b) {
    asm("vfmadd231ps %1, %2, %0" : "+x"(sum.lo) : "x"(a.lo), "x"(b.lo));
    asm("vfmadd231ps %1, %2, %0" : "+x"(sum.hi) : "x"(a.hi), "x"(b.hi));
}

/// 2^exponent for each lane, exponent in [-126, 127].
FP6LLM_AVX2_INLINE Floats power_of_two(Lanes exponent) {
    const __m256i bias = _mm256_set1_epi32(127);
    return as_floats(
        shift_left<23>({_mm256_add_epi32(exponent.lo, bias), _mm256_add_epi32(exponent.hi, bias)}));
}

}  // namespace fp6llm::avx2
