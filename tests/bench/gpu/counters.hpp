// What multiplications do, counted by the emulated GPU: bytes, bank conflicts, instructions. No times.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/bench/gpu/gpu.hpp"
#include "tests/bench/gpu/options.hpp"
#include "tests/bench/machine.hpp"

namespace fp6llm::bench {

struct CountedCase {
    Shape shape;
    int64_t tokens;
    std::string format, type;  ///< "e3m2-row"; of activations and outputs: "f16"
    std::string kernel;
    uint64_t blocks;
    uint64_t packed_bytes;                     ///< codes as the GPU holds them
    uint64_t codes, scales, activations;       ///< bytes read; lanes' scales, however few differ
    uint64_t outputs;                          ///< bytes stored
    uint64_t partials;                         ///< bytes stored and read again
    uint64_t load_conflicts, store_conflicts;  ///< wavefronts of shared memory beyond the ideal
    uint64_t mma;                              ///< warp-level m16n8k16 and m16n8k8
    std::map<std::string, uint64_t> instructions;  ///< warp-level, of PTX, by kind
};

/// Counts each of the options' cases, and hands all so far to `report` after each, since a run takes
/// long. With `slices` n > 1, what is emulated is the n-th part of the rows on a GPU with the n-th part
/// of the multiprocessors, and all counts are n times its: blocks of the whole take the same units as n
/// times the slice's. Throws std::runtime_error where rows do not divide so, or if the GPU does not
/// count.
void count_cases(Gpu& gpu, const GpuOptions& options,
                 const std::function<void(const std::vector<CountedCase>&)>& report);

void print_counted_header();
void print_counted(const CountedCase& c);
std::string counters_json(const Machine& machine, Gpu& gpu, const GpuOptions& options,
                          const std::vector<CountedCase>& cases);

}  // namespace fp6llm::bench
