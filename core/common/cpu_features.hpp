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
};

CpuFeatureWords read_cpu_features() noexcept;

/// The best level that both the processor and the operating system's register saving allow.
Isa isa_of(const CpuFeatureWords& words) noexcept;

/// `detected`, or the lower level that `name` names. NULL and unknown names change nothing.
Isa lowered_isa(Isa detected, const char* name) noexcept;

}  // namespace fp6llm
