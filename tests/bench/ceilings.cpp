// See ceilings.hpp. One function per instruction set, compiled by target attribute and chosen at
// run time.
#include "tests/bench/ceilings.hpp"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fp6llm::bench {
namespace {

constexpr int kStreams = 4;
constexpr size_t kLine = 64;
// Chains of dependent operations: two units of latency 4 need 8; 12 leave room and fit 16
// registers.
constexpr int kChains = 12;

enum class Level { kBaseline, kAvx2, kAvx512 };

Level level() noexcept {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return Level::kAvx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Level::kAvx2;
#endif
    return Level::kBaseline;
}

// Reads kStreams runs of `lines` lines that lie end to end.
uint64_t read_lines(const uint8_t* data, size_t lines) noexcept {
    uint64_t sums[kLine / 8] = {};
    for (size_t i = 0; i < lines; ++i) {
        for (size_t s = 0; s < kStreams; ++s) {
            uint64_t words[kLine / 8];
            std::memcpy(words, data + (s * lines + i) * kLine, kLine);
            for (size_t w = 0; w < kLine / 8; ++w)
                sums[w] ^= words[w];
        }
    }
    uint64_t sum = 0;
    for (const uint64_t word : sums)
        sum ^= word;
    return sum;
}

// Without FMA: a multiplication and an addition.
double multiply_add(int64_t rounds) noexcept {
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
__attribute__((target("avx2"))) uint64_t read_lines_avx2(const uint8_t* data,
                                                         size_t lines) noexcept {
    __m256i low[kStreams], high[kStreams];
    for (int s = 0; s < kStreams; ++s)
        low[s] = high[s] = _mm256_setzero_si256();
    for (size_t i = 0; i < lines; ++i) {
        for (size_t s = 0; s < kStreams; ++s) {
            const auto* at = reinterpret_cast<const __m256i*>(data + (s * lines + i) * kLine);
            low[s] = _mm256_xor_si256(low[s], _mm256_load_si256(at));
            high[s] = _mm256_xor_si256(high[s], _mm256_load_si256(at + 1));
        }
    }
    uint64_t sum = 0;
    for (int s = 0; s < kStreams; ++s) {
        alignas(32) uint64_t words[4];
        _mm256_store_si256(reinterpret_cast<__m256i*>(words), _mm256_xor_si256(low[s], high[s]));
        sum ^= words[0] ^ words[1] ^ words[2] ^ words[3];
    }
    return sum;
}

__attribute__((target("avx512f"))) uint64_t read_lines_avx512(const uint8_t* data,
                                                              size_t lines) noexcept {
    __m512i sums[kStreams];
    for (int s = 0; s < kStreams; ++s)
        sums[s] = _mm512_setzero_si512();
    for (size_t i = 0; i < lines; ++i) {
        for (size_t s = 0; s < kStreams; ++s) {
            sums[s] = _mm512_xor_si512(sums[s], _mm512_load_si512(data + (s * lines + i) * kLine));
        }
    }
    uint64_t sum = 0;
    for (int s = 0; s < kStreams; ++s) {
        alignas(64) uint64_t words[8];
        _mm512_store_si512(words, sums[s]);
        for (const uint64_t word : words)
            sum ^= word;
    }
    return sum;
}

__attribute__((target("avx2,fma"))) double multiply_add_avx2(int64_t rounds) noexcept {
    __m256 sums[kChains];
    for (__m256& sum : sums)
        sum = _mm256_setzero_ps();
    const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-3f);
    for (int64_t i = 0; i < rounds; ++i) {
        for (__m256& sum : sums)
            sum = _mm256_fmadd_ps(sum, a, b);
    }
    __m256 total = sums[0];
    for (int c = 1; c < kChains; ++c)
        total = _mm256_add_ps(total, sums[c]);
    volatile float sink = _mm256_cvtss_f32(total);
    (void)sink;
    return 2.0 * kChains * 8 * static_cast<double>(rounds);
}

__attribute__((target("avx512f"))) double multiply_add_avx512(int64_t rounds) noexcept {
    __m512 sums[kChains];
    for (__m512& sum : sums)
        sum = _mm512_setzero_ps();
    const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);
    for (int64_t i = 0; i < rounds; ++i) {
        for (__m512& sum : sums)
            sum = _mm512_fmadd_ps(sum, a, b);
    }
    __m512 total = sums[0];
    for (int c = 1; c < kChains; ++c)
        total = _mm512_add_ps(total, sums[c]);
    volatile float sink = _mm512_cvtss_f32(total);
    (void)sink;
    return 2.0 * kChains * 16 * static_cast<double>(rounds);
}
#endif

uint64_t read_part(const uint8_t* data, size_t lines) noexcept {
#if defined(__x86_64__)
    if (level() == Level::kAvx512) return read_lines_avx512(data, lines);
    if (level() == Level::kAvx2) return read_lines_avx2(data, lines);
#endif
    return read_lines(data, lines);
}

double multiply_part(int64_t rounds) noexcept {
#if defined(__x86_64__)
    if (level() == Level::kAvx512) return multiply_add_avx512(rounds);
    if (level() == Level::kAvx2) return multiply_add_avx2(rounds);
#endif
    return multiply_add(rounds);
}

// On a cache line of its own, so that threads do not share one.
struct alignas(64) Slot {
    uint64_t sum = 0;
    double operations = 0;
};

}  // namespace

const char* ceiling_isa() noexcept {
    switch (level()) {
        case Level::kAvx512:
            return "AVX-512";
        case Level::kAvx2:
            return "AVX2+FMA";
        case Level::kBaseline:
            break;
    }
    return "baseline";
}

uint64_t read_stream(Team& team, const uint8_t* data, size_t bytes) {
    const auto threads = static_cast<size_t>(team.threads());
    const size_t lines = bytes / kLine / kStreams / threads;  // per stream
    std::vector<Slot> slots(threads);
    team.run([&](int thread) {
        const auto index = static_cast<size_t>(thread);
        slots[index].sum = read_part(data + index * lines * kStreams * kLine, lines);
    });
    uint64_t sum = 0;
    for (const Slot& slot : slots)
        sum ^= slot.sum;
    for (size_t at = threads * kStreams * lines * kLine; at + 8 <= bytes; at += 8) {
        uint64_t word;
        std::memcpy(&word, data + at, 8);
        sum ^= word;
    }
    return sum;
}

double fma_peak(Team& team, int64_t rounds) {
    std::vector<Slot> slots(static_cast<size_t>(team.threads()));
    team.run(
        [&](int thread) { slots[static_cast<size_t>(thread)].operations = multiply_part(rounds); });
    double operations = 0;
    for (const Slot& slot : slots)
        operations += slot.operations;
    return operations;
}

}  // namespace fp6llm::bench
