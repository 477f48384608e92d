// The processor's multiply-adds at their limit (ceilings.hpp). One function per instruction, compiled
// by target attribute and chosen at run time.
#include <vector>

#include "tests/bench/ceilings.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fp6llm::bench {
namespace {

// Chains of dependent operations: two units of latency 4 need 8; 12 fit 16 registers. Two of latency 6,
// Zen 5's for bf16, do 0.93 of their most with 12 and all of it from 16 on.
constexpr int kChains = 12;
constexpr int kZmmChains = 24;

// Without FMA: a multiplication and an addition.
double fp32_baseline(int64_t rounds) noexcept {
    float sums[kChains][4] = {};
    const float a = 0.999f, b = 1e-3f;
    for (int64_t i = 0; i < rounds; ++i) {
        for (auto& chain : sums) {
            for (float& sum : chain)
                sum = sum * a + b;
        }
    }
    float total = 0;
    for (const auto& chain : sums) {
        for (const float sum : chain)
            total += sum;
    }
    volatile float sink = total;
    (void)sink;
    return 2.0 * kChains * 4 * static_cast<double>(rounds);
}

#if defined(__x86_64__)
// Keeps the compiler from multiplying the same two registers once for all chains, where a product
// does not depend on the sum, and from dropping what nobody reads. No instruction comes of it.
#define FP6LLM_KEEP(value) __asm__ volatile("" : "+x"(value))
#define FP6LLM_KEEP_ZMM(value) __asm__ volatile("" : "+v"(value))
#define FP6LLM_UNROLLED _Pragma("GCC unroll 24")  // else gcc keeps the sums in memory

// Defines NAME: in each round each of CHAINS chains' `sum` becomes STEP, of `sum`, `a` and `b`, which does
// PRODUCTS products; a and b start as ONES. KEEP is FP6LLM_KEEP for the vector's registers.
#define FP6LLM_PEAK(NAME, TARGET, CHAINS, KEEP, VECTOR, ONES, STEP, PRODUCTS)             \
    __attribute__((target(TARGET))) double NAME(int64_t rounds) noexcept {                \
        VECTOR a = ONES, b = ONES, sums[(CHAINS)];                                        \
        FP6LLM_UNROLLED for (int chain = 0; chain < (CHAINS); ++chain) sums[chain] = a;   \
        KEEP(b);                                                                          \
        for (int64_t i = 0; i < rounds; ++i) {                                            \
            FP6LLM_UNROLLED for (int chain = 0; chain < (CHAINS); ++chain) {              \
                const VECTOR sum = sums[chain];                                           \
                KEEP(a);                                                                  \
                sums[chain] = STEP;                                                       \
            }                                                                             \
        }                                                                                 \
        FP6LLM_UNROLLED for (int chain = 0; chain < (CHAINS); ++chain) KEEP(sums[chain]); \
        return 2.0 * (PRODUCTS) * (CHAINS) * static_cast<double>(rounds);                 \
    }

FP6LLM_PEAK(fp32_avx2, "avx2,fma", kChains, FP6LLM_KEEP, __m256, _mm256_set1_ps(0.5f),
            _mm256_fmadd_ps(a, b, sum), 8)
FP6LLM_PEAK(fp32_avx512, "avx512f", kZmmChains, FP6LLM_KEEP_ZMM, __m512, _mm512_set1_ps(0.5f),
            _mm512_fmadd_ps(a, b, sum), 16)
FP6LLM_PEAK(int16_avx2, "avx2", kChains, FP6LLM_KEEP, __m256i, _mm256_set1_epi16(1),
            _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)), 16)
FP6LLM_PEAK(int8_avx2, "avx2", kChains, FP6LLM_KEEP, __m256i, _mm256_set1_epi8(1),
            _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), b)), 32)
FP6LLM_PEAK(int16_vnni, "avx512f,avx512vnni", kZmmChains, FP6LLM_KEEP_ZMM, __m512i,
            _mm512_set1_epi32(0x10001), _mm512_dpwssd_epi32(sum, a, b), 32)
FP6LLM_PEAK(int8_vnni, "avx512f,avx512vnni", kZmmChains, FP6LLM_KEEP_ZMM, __m512i,
            _mm512_set1_epi32(0x1010101), _mm512_dpbusd_epi32(sum, a, b), 64)
FP6LLM_PEAK(bf16_avx512, "avx512f,avx512bf16", kZmmChains, FP6LLM_KEEP_ZMM, __m512,
            _mm512_castsi512_ps(_mm512_set1_epi16(0x3F00)),
            _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b)), 32)

#undef FP6LLM_PEAK
#undef FP6LLM_UNROLLED
#undef FP6LLM_KEEP
#undef FP6LLM_KEEP_ZMM
#endif

struct PeakLoop {
    const char* instructions;
    double (*run)(int64_t rounds) noexcept;
};

PeakLoop loop_for(Arithmetic arithmetic) noexcept {
#if defined(__x86_64__)
    const bool avx512 = runs_avx512();
    const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
    const bool avx2 = __builtin_cpu_supports("avx2");
    switch (arithmetic) {
        case Arithmetic::kFp32:
            if (avx512) return {"AVX-512 vfmadd", fp32_avx512};
            if (avx2 && __builtin_cpu_supports("fma")) return {"AVX2 vfmadd", fp32_avx2};
            break;
        case Arithmetic::kBf16:
            if (avx512 && __builtin_cpu_supports("avx512bf16")) {
                return {"AVX-512 vdpbf16ps", bf16_avx512};
            }
            break;
        case Arithmetic::kInt16:
            if (vnni) return {"AVX-512 vpdpwssd", int16_vnni};
            if (avx2) return {"AVX2 vpmaddwd, vpaddd", int16_avx2};
            break;
        case Arithmetic::kInt8:
            if (vnni) return {"AVX-512 vpdpbusd", int8_vnni};
            if (avx2) return {"AVX2 vpmaddubsw, vpmaddwd, vpaddd", int8_avx2};
            break;
    }
#endif
    if (arithmetic == Arithmetic::kFp32) return {"multiply, add", fp32_baseline};
    return {nullptr, nullptr};
}

// On a cache line of its own, so that threads do not share one.
struct alignas(64) Slot {
    double operations = 0;
};

bool ends_with(const std::string& text, const std::string& end) noexcept {
    return text.size() >= end.size() &&
           text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

const char* peak_name(Arithmetic arithmetic) noexcept {
    switch (arithmetic) {
        case Arithmetic::kFp32:
            return "fp32 peak";
        case Arithmetic::kBf16:
            return "bf16 peak";
        case Arithmetic::kInt16:
            return "int16 peak";
        case Arithmetic::kInt8:
            return "int8 peak";
    }
    return "?";
}

const char* peak_instructions(Arithmetic arithmetic) noexcept {
    return loop_for(arithmetic).instructions;
}

double multiply_peak(Team& team, Arithmetic arithmetic, int64_t rounds) {
    const PeakLoop loop = loop_for(arithmetic);
    std::vector<Slot> slots(static_cast<size_t>(team.threads()));
    team.run([&](int thread) { slots[static_cast<size_t>(thread)].operations = loop.run(rounds); });
    double operations = 0;
    for (const Slot& slot : slots)
        operations += slot.operations;
    return operations;
}

KernelArithmetic arithmetic_of_kernel(const std::string& kernel) {
    std::string name = kernel;
    KernelArithmetic found;
    if (ends_with(name, "x2")) {
        name.resize(name.size() - 2);
        found.products = 2;
    }
    if (ends_with(name, "_bf16")) found.arithmetic = Arithmetic::kBf16;
    if (ends_with(name, "_i16")) found.arithmetic = Arithmetic::kInt16;
    if (ends_with(name, "_i8")) found.arithmetic = Arithmetic::kInt8;
    return found;
}

}  // namespace fp6llm::bench
