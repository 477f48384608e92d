// From CPUID's and XGETBV's raw words to an Isa: pure functions, so that processors which are not
// at hand can be tested.
#pragma once

#include <cstdint>

#include "core/common/cpu.hpp"

namespace fp6llm {

/// Words as the processor gives them; all zero where a leaf or XGETBV is missing.
struct CpuFeatureWords {
    uint32_t leaf1_ecx;
    uint32_t leaf7_ebx;
    uint32_t leaf7_ecx;
    uint32_t leaf7_1_eax;
    uint64_t xcr0;  ///< register state that the operating system saves
    bool is_intel;
};

CpuFeatureWords read_cpu_features() noexcept;

/// The best level that both the processor and the operating system's register saving allow.
Isa isa_of(const CpuFeatureWords& words) noexcept;

/// The level to use where nobody asks for one: isa_of(), but not BF16 on Intel's processors. There
/// vdpbf16ps has a quarter of the rate of an fp32 FMA and so half of its products (measured on Emerald
/// Rapids: 70 to 145 GFLOP/s, a core), and fp32 kernels are as fast with one token, twice as fast with
/// many, and more exact.
Isa preferred_isa(const CpuFeatureWords& words) noexcept;

/// `preferred`, or the level that `name` names, at most `detected`. NULL and unknown names change nothing.
Isa chosen_isa(Isa detected, Isa preferred, const char* name) noexcept;

}  // namespace fp6llm
