// What the machine can do at best: read memory, and multiply in each of its arithmetics. By AVX-512 where the
// library runs AVX-512 kernels: FP6LLM_CPU_ISA limits ceilings, too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/bench/team.hpp"

namespace fp6llm::bench {

/// Reads `bytes` bytes at 64-byte alignment, each thread its part as four streams, which is faster
/// than one. Returns the exclusive or of all whole 64-bit words.
uint64_t read_stream(Team& team, const uint8_t* data, size_t bytes);

/// The same read as a kernel must that computes as it goes: each thread two streams, with software
/// prefetches, since the processor's own do not look far enough ahead of loads that come slowly.
uint64_t read_prefetched(Team& team, const uint8_t* data, size_t bytes);

/// "AVX-512", "AVX2" or "baseline": what read_stream() uses here.
const char* stream_isa() noexcept;

/// Whether the library runs AVX-512 kernels here.
bool runs_avx512() noexcept;

/// What a kernel multiplies: the products that its speed is held against.
enum class Arithmetic { kFp32, kBf16, kInt16, kInt8 };

/// "fp32 peak", ...
const char* peak_name(Arithmetic arithmetic) noexcept;

/// The instructions that multiply_peak() runs here, or nullptr where the processor has none.
const char* peak_instructions(Arithmetic arithmetic) noexcept;

/// Does `rounds` rounds of independent multiply-adds on each thread, all in registers; returns the
/// operations done, two per product. peak_instructions(arithmetic) must not be nullptr.
double multiply_peak(Team& team, Arithmetic arithmetic, int64_t rounds);

/// What a kernel multiplies, from its name: <isa>_<format>_<op>_<arithmetic>; "x2" at the end says
/// that each product is made of two.
struct KernelArithmetic {
    Arithmetic arithmetic = Arithmetic::kFp32;
    double products = 1;
};
KernelArithmetic arithmetic_of_kernel(const std::string& kernel);

}  // namespace fp6llm::bench
