// See ceilings.hpp. One function per instruction set, compiled by target attribute and chosen at
// run time.
#include "tests/bench/ceilings.hpp"

#include <cstring>

#include "fp6llm/fp6llm.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fp6llm::bench {
namespace {

constexpr int kStreams = 4;
constexpr size_t kLine = 64;

enum class Level { kBaseline, kAvx2, kAvx512 };

Level level() noexcept {
#if defined(__x86_64__)
    if (runs_avx512()) return Level::kAvx512;
    if (__builtin_cpu_supports("avx2")) return Level::kAvx2;
#endif
    return Level::kBaseline;
}

template <size_t kWords>
uint64_t folded(const uint64_t (&words)[kWords]) noexcept {
    uint64_t sum = 0;
    for (const uint64_t word : words)
        sum ^= word;
    return sum;
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
    return folded(sums);
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
#endif

// Two runs of `lines` lines that lie end to end, prefetched as far ahead as the kernels do.
uint64_t read_lines_prefetched(const uint8_t* data, size_t lines) noexcept {
    constexpr size_t kAhead = 3072;
    uint64_t sums[kLine / 8] = {};
    for (size_t i = 0; i < lines; ++i) {
        for (size_t s = 0; s < 2; ++s) {
            const uint8_t* line = data + (s * lines + i) * kLine;
            uint64_t words[kLine / 8];
            __builtin_prefetch(line + kAhead);
            std::memcpy(words, line, kLine);
            for (size_t w = 0; w < kLine / 8; ++w)
                sums[w] ^= words[w];
        }
    }
    return folded(sums);
}

uint64_t read_part(const uint8_t* data, size_t lines) noexcept {
#if defined(__x86_64__)
    if (level() == Level::kAvx512) return read_lines_avx512(data, lines);
    if (level() == Level::kAvx2) return read_lines_avx2(data, lines);
#endif
    return read_lines(data, lines);
}

// On a cache line of its own, so that threads do not share one.
struct alignas(64) Slot {
    uint64_t sum = 0;
};

}  // namespace

bool runs_avx512() noexcept {
    static const bool runs = [] {
        fp6llmDeviceInfo_t device = FP6LLM_DEVICE_INFO_INIT;
        return fp6llmGetDeviceInfo(FP6LLM_BACKEND_CPU, 0, &device) == FP6LLM_STATUS_SUCCESS &&
               std::strncmp(device.isa, "avx512", 6) == 0;
    }();
    return runs;
}

const char* stream_isa() noexcept {
    switch (level()) {
        case Level::kAvx512:
            return "AVX-512";
        case Level::kAvx2:
            return "AVX2";
        case Level::kBaseline:
            break;
    }
    return "baseline";
}

namespace {

// Each thread reads its part, as `streams` runs, by `read_runs(data, lines of a run)`; the rest is
// read here.
template <typename ReadRuns>
uint64_t read_shared(Team& team, const uint8_t* data, size_t bytes, size_t streams,
                     ReadRuns&& read_runs) {
    const auto threads = static_cast<size_t>(team.threads());
    const size_t lines = bytes / kLine / streams / threads;
    std::vector<Slot> slots(threads);
    team.run([&](int thread) {
        const auto index = static_cast<size_t>(thread);
        slots[index].sum = read_runs(data + index * lines * streams * kLine, lines);
    });
    uint64_t sum = 0;
    for (const Slot& slot : slots)
        sum ^= slot.sum;
    for (size_t at = threads * streams * lines * kLine; at + 8 <= bytes; at += 8) {
        uint64_t word;
        std::memcpy(&word, data + at, 8);
        sum ^= word;
    }
    return sum;
}

}  // namespace

uint64_t read_stream(Team& team, const uint8_t* data, size_t bytes) {
    return read_shared(team, data, bytes, kStreams, read_part);
}

uint64_t read_prefetched(Team& team, const uint8_t* data, size_t bytes) {
    return read_shared(team, data, bytes, 2, read_lines_prefetched);
}

}  // namespace fp6llm::bench
