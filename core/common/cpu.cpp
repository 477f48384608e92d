// CPUID leaves and bits: Intel SDM volume 2A "CPUID", volume 1 section 14.3 and 15.2 (detecting AVX
// and AVX-512 state).
#include "core/common/cpu.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "core/common/affinity.hpp"
#include "core/common/cpu_features.hpp"
#include "core/common/fp_env.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace fp6llm {
namespace {

constexpr Isa kAllIsas[] = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni,
                            Isa::kAvx512Bf16};

#if defined(__x86_64__)
uint64_t read_xcr0() noexcept {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (static_cast<uint64_t>(high) << 32) | low;
}
#endif

CpuMaker read_maker() noexcept {
#if defined(__x86_64__)
    uint32_t eax, ebx, ecx, edx;
    if (__get_cpuid(0, &eax, &ebx, &ecx, &edx) && ebx == signature_AMD_ebx &&
        ecx == signature_AMD_ecx && edx == signature_AMD_edx) {
        return CpuMaker::kAmd;
    }
#endif
    return CpuMaker::kOther;
}

uint64_t positive_sysconf(int name) noexcept {
    const long value = sysconf(name);
    return value > 0 ? static_cast<uint64_t>(value) : 0;
}

#if defined(__x86_64__)
/// Nanoseconds that a chain of 64 FMAs by `factor` takes. Of 128 bits: a processor's first wider ones are
/// slow by themselves.
__attribute__((target("avx,fma"))) int64_t chain_nanoseconds(float factor) noexcept {
    const __m128 factors = _mm_set1_ps(factor), ones = _mm_set1_ps(1.0f);
    __m128 sum = ones;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 64; ++i) {
        // In assembly: no compiler may move it, or know the sum.
        asm volatile("vfmadd231ps %1, %2, %0" : "+x"(sum) : "x"(factors), "x"(ones));
    }
    const auto time = std::chrono::steady_clock::now() - start;
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}
#endif

bool are_subnormals_slow([[maybe_unused]] const char* told) noexcept {
#if defined(__x86_64__)
    if (told != nullptr && std::strcmp(told, "slow") == 0) return true;
    if (told != nullptr && std::strcmp(told, "fast") == 0) return false;
    if (detected_isa() < Isa::kAvx2) return false;
    const FpEnvGuard fp_env;
    int64_t normal = INT64_MAX, subnormal = INT64_MAX;  // of a few tries: others interrupt
    for (int round = 0; round < 8; ++round) {
        normal = std::min(normal, chain_nanoseconds(0x1p-120f));
        subnormal = std::min(subnormal, chain_nanoseconds(0x1p-128f));
    }
    // With the clock's own time, 64 FMAs are about 100 ns; 64 assists would be 2000.
    return subnormal > 4 * normal + 100;
#else
    return false;
#endif
}

}  // namespace

CpuFeatureWords read_cpu_features() noexcept {
    CpuFeatureWords words{};
#if defined(__x86_64__)
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid(0, &eax, &ebx, &ecx, &edx)) return words;
    words.is_intel =
        ebx == signature_INTEL_ebx && ecx == signature_INTEL_ecx && edx == signature_INTEL_edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return words;
    words.leaf1_ecx = ecx;
    if (ecx & bit_OSXSAVE) words.xcr0 = read_xcr0();
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return words;
    words.leaf7_ebx = ebx;
    words.leaf7_ecx = ecx;
    const uint32_t last_subleaf = eax;
    if (last_subleaf >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx)) {
        words.leaf7_1_eax = eax;
    }
#endif
    return words;
}

Isa isa_of([[maybe_unused]] const CpuFeatureWords& words) noexcept {
#if defined(__x86_64__)
    constexpr uint64_t kYmmState = 0x06;         // XMM, upper halves of YMM
    constexpr uint64_t kZmmState = 0xE0 | 0x06;  // mask registers, upper halves of ZMM, ZMM16-31
    constexpr uint32_t kAvx2Leaf1 = bit_AVX | bit_FMA | bit_F16C | bit_OSXSAVE;
    constexpr uint32_t kAvx2Leaf7 = bit_AVX2 | bit_BMI | bit_BMI2;
    constexpr uint32_t kVnniLeaf7 = bit_AVX512VNNI | bit_AVX512VBMI;
    constexpr uint32_t kAvx512Leaf7 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    const auto has = [](auto word, auto bits) { return (word & bits) == bits; };

    if (!has(words.xcr0, kYmmState) || !has(words.leaf1_ecx, kAvx2Leaf1) ||
        !has(words.leaf7_ebx, kAvx2Leaf7)) {
        return Isa::kPortable;
    }
    if (!has(words.xcr0, kZmmState) || !has(words.leaf7_ebx, kAvx512Leaf7)) return Isa::kAvx2;
    if (!has(words.leaf7_ecx, kVnniLeaf7)) return Isa::kAvx512;
    return has(words.leaf7_1_eax, uint32_t{bit_AVX512BF16}) ? Isa::kAvx512Bf16 : Isa::kAvx512Vnni;
#else
    return Isa::kPortable;
#endif
}

Isa preferred_isa(const CpuFeatureWords& words) noexcept {
    const Isa isa = isa_of(words);
    return words.is_intel ? std::min(isa, Isa::kAvx512Vnni) : isa;
}

Isa chosen_isa(Isa detected, Isa preferred, const char* name) noexcept {
    for (const Isa isa : kAllIsas) {
        if (name != nullptr && std::strcmp(name, isa_name(isa)) == 0)
            return std::min(isa, detected);
    }
    return preferred;
}

const char* isa_name(Isa isa) noexcept {
    switch (isa) {
        case Isa::kPortable:
            return "portable";
        case Isa::kAvx2:
            return "avx2";
        case Isa::kAvx512:
            return "avx512";
        case Isa::kAvx512Vnni:
            return "avx512vnni";
        case Isa::kAvx512Bf16:
            return "avx512bf16";
    }
    return "unknown";
}

Isa detected_isa() noexcept {
    static const Isa isa = isa_of(read_cpu_features());
    return isa;
}

Isa active_isa() noexcept {
    static const Isa isa = chosen_isa(detected_isa(), preferred_isa(read_cpu_features()),
                                      std::getenv("FP6LLM_CPU_ISA"));
    return isa;
}

CpuMaker cpu_maker() noexcept {
    static const CpuMaker maker = read_maker();
    return maker;
}

bool has_slow_subnormals() noexcept {
    static const bool slow = are_subnormals_slow(std::getenv("FP6LLM_CPU_SUBNORMALS"));
    return slow;
}

std::string cpu_model_name() {
    std::string name;
#if defined(__x86_64__)
    uint32_t words[3][4] = {};
    for (uint32_t i = 0; i < 3; ++i) {
        __get_cpuid(0x80000002 + i, &words[i][0], &words[i][1], &words[i][2], &words[i][3]);
    }
    char text[sizeof words + 1] = {};
    std::memcpy(text, words, sizeof words);
    name = text;
    const size_t first = name.find_first_not_of(' ');
    name = first == std::string::npos ? ""
                                      : name.substr(first, name.find_last_not_of(' ') + 1 - first);
#endif
    return name.empty() ? "unknown" : name;
}

int allowed_cpus() noexcept {
    return std::max(1, AffinityMask::of_process().count());
}

uint64_t physical_memory_bytes() noexcept {
    return positive_sysconf(_SC_PHYS_PAGES) * positive_sysconf(_SC_PAGESIZE);
}

uint64_t last_level_cache_bytes() noexcept {
    const uint64_t l3 = positive_sysconf(_SC_LEVEL3_CACHE_SIZE);
    return l3 > 0 ? l3 : positive_sysconf(_SC_LEVEL2_CACHE_SIZE);
}

}  // namespace fp6llm
