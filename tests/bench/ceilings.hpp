// What the machine can do at best: read memory, and multiply-add in fp32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/bench/team.hpp"

namespace fp6llm::bench {

/// Reads `bytes` bytes at 64-byte alignment, each thread its part as four streams, which is faster
/// than one. Returns the exclusive or of all whole 64-bit words.
uint64_t read_stream(Team& team, const uint8_t* data, size_t bytes);

/// Does `rounds` rounds of independent fp32 multiply-adds on each thread; returns the operations
/// done, two per multiply-add.
double fma_peak(Team& team, int64_t rounds);

/// "AVX-512", "AVX2+FMA" or "baseline": what the two use here.
const char* ceiling_isa() noexcept;

}  // namespace fp6llm::bench
