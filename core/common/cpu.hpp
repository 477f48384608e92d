// What this processor can run, and what of it is used, decided once. FP6LLM_CPU_ISA (portable, avx2, avx512,
// avx512vnni, avx512bf16) names a level, for tests; asking for more than there is gives the best there is.
#pragma once

#include <cstdint>
#include <string>

namespace fp6llm {

/// Ordered: each level can run everything below it, except that it need not share a weight layout. A
/// processor that lacks a part of a level counts as the one below: Cascade Lake (VNNI, no VBMI) and
/// Cooper Lake (BF16, too) are kAvx512.
enum class Isa : int32_t {
    kPortable = 0,    ///< baseline C++
    kAvx2 = 1,        ///< AVX2 + FMA + F16C
    kAvx512 = 2,      ///< AVX-512 F + BW + DQ + VL
    kAvx512Vnni = 3,  ///< kAvx512 + VNNI + VBMI: Ice Lake, Zen 4 and later
    kAvx512Bf16 = 4,  ///< kAvx512Vnni + BF16: Sapphire Rapids, Zen 4 and later
};

/// "portable", "avx2", "avx512", "avx512vnni", "avx512bf16".
const char* isa_name(Isa isa) noexcept;

/// The best level of this processor and operating system, by CPUID and XGETBV.
Isa detected_isa() noexcept;

/// The level in use: the one that FP6LLM_CPU_ISA names, at most detected_isa(), or preferred_isa()
/// (cpu_features.hpp). Read once per process.
Isa active_isa() noexcept;

/// Who made a processor. Of one level, those of different makers want different prefetching and blocks.
enum class CpuMaker { kAmd, kOther };
CpuMaker cpu_maker() noexcept;

/// Whether multiplying by subnormal floats takes several times as long as by normal ones: on Intel's
/// processors some 150 cycles, by a microcode assist. Measured once per process (some 10 us), unless
/// FP6LLM_CPU_SUBNORMALS, for tests, is "slow" or "fast". False without AVX2.
bool has_slow_subnormals() noexcept;

/// Model name as the processor gives it, e.g. "AMD EPYC"; "unknown" if it gives none.
std::string cpu_model_name();

/// CPUs in this process's affinity mask; >= 1.
int allowed_cpus() noexcept;

/// Bytes of physical memory and of the last-level cache; 0 where unknown.
uint64_t physical_memory_bytes() noexcept;
uint64_t last_level_cache_bytes() noexcept;

}  // namespace fp6llm
