// The AVX-512 intrinsics that avx512*.cpp are written in. The same sources compile natively and,
// for machines without AVX-512, through SIMDe: tests/simde/avx512_shim.hpp is then force-included,
// defines FP6LLM_AVX512_EMULATED and puts everything into a namespace of its own, so both fit in
// one program.
#pragma once

#ifdef FP6LLM_AVX512_EMULATED
#define FP6LLM_AVX512_NAMESPACE avx512_simde
#define FP6LLM_AVX512_INLINE static inline
#define FP6LLM_AVX512_MEMBER inline
#define FP6LLM_AVX512_INLINE_LAMBDA
#define FP6LLM_AVX512_UNROLL
#define FP6LLM_AVX512_LAUNDER(pointer)
#define FP6LLM_AVX512_LAUNDER_MEMORY(pointer)
#define FP6LLM_AVX512_LAUNDER_VECTOR(vector) static_cast<void>(vector)
#define FP6LLM_AVX512_DOT(name, sum, weights, x, intrinsic) sum = intrinsic
#define FP6LLM_AVX512_DOT_AT(name, sum, weights, at, intrinsic) sum = intrinsic
#define FP6LLM_AVX512_ADD_PRODUCT(out, a, b) \
    _mm512_storeu_ps(out, _mm512_fmadd_ps(a, b, _mm512_loadu_ps(out)))
#define FP6LLM_AVX512_ADD_SHIFTED_SUM(out, sum, shifts, to) \
    _mm512_store_si512(out, _mm512_add_epi32(_mm512_sllv_epi32(sum, shifts), _mm512_load_si512(to)))
#else
// gcc 12 takes the undefined operand inside its own intrinsics for a mistake (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#define FP6LLM_AVX512_NAMESPACE avx512
// Accumulator arrays stay in registers only if every function that sees them is inlined and every
// loop over them unrolled: gcc 12 and clang 19 both leave them in memory otherwise.
#define FP6LLM_AVX512_INLINE static inline __attribute__((always_inline))
#define FP6LLM_AVX512_MEMBER inline __attribute__((always_inline))
#define FP6LLM_AVX512_INLINE_LAMBDA __attribute__((always_inline))
#define FP6LLM_AVX512_UNROLL _Pragma("GCC unroll 16")
// Hides a pointer's value from the compiler, lest it keep in registers what was read through it.
#define FP6LLM_AVX512_LAUNDER(pointer) asm("" : "+r"(pointer))
// The same, and what was stored there is not known in registers, either.
#define FP6LLM_AVX512_LAUNDER_MEMORY(pointer) asm volatile("" : "+r"(pointer) : : "memory")
// The same for a vector, which is in a register there.
#define FP6LLM_AVX512_LAUNDER_VECTOR(vector) asm volatile("" : "+v"(vector))
// Dot products with x in a register, or broadcast from memory; `intrinsic` is what they stand for.
// Through intrinsics, gcc 12 broadcasts to a register first, and moves and spills integer sums, whose
// type the intrinsics convert.
#define FP6LLM_AVX512_DOT(name, sum, weights, x, intrinsic) \
    asm(name " %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(x))
#define FP6LLM_AVX512_DOT_AT(name, sum, weights, at, intrinsic) \
    asm(name " %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(weights), "m"(*(at)))
// *out = fma(a, b, *out) and *out = (sum << shifts) + *to, each in one piece and in the order given: at
// the end of sums, gcc 12 else makes room for several at once by spilling them in the loops before. The
// first argument after `out` is overwritten.
#define FP6LLM_AVX512_ADD_PRODUCT(out, a, b)                           \
    asm volatile("vfmadd213ps %1, %2, %0\n\tvmovups %0, %1"            \
                 : "+v"(a), "+m"(*reinterpret_cast<float(*)[16]>(out)) \
                 : "v"(b)                                              \
                 : "memory")
#define FP6LLM_AVX512_ADD_SHIFTED_SUM(out, sum, shifts, to)                      \
    asm volatile("vpsllvd %2, %0, %0\n\tvpaddd %3, %0, %0\n\tvmovdqa32 %0, %1"   \
                 : "+v"(sum), "=m"(*reinterpret_cast<int32_t(*)[16]>(out))       \
                 : "v"(shifts), "m"(*reinterpret_cast<const int32_t(*)[16]>(to)) \
                 : "memory")
#endif
