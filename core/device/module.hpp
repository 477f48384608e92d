// Kernels out of embedded fatbins: a module is loaded when the first of its kernels is asked for in a
// context, and kept for as long as the context lives.
#pragma once

#include <cstddef>

#include "core/device/context.hpp"
#include "core/device/fatbin.hpp"

namespace fp6llm::cuda {

/// A loaded kernel. It may use any dynamic shared memory that the device grants.
struct Kernel {
    CUfunction function;
    const char* name;
    int registers;          ///< per thread
    int max_threads;        ///< per block, as its registers allow
    size_t static_shared;   ///< bytes per block
    size_t dynamic_shared;  ///< bytes that a launch may ask for at most
    size_t local_bytes;     ///< stack and spills per thread
    int binary_version;     ///< of the code in use: 80, 90
};

/// The kernel `name` (of static lifetime) of a fatbin in the current context, which `context` is.
/// Allocates nothing and calls nothing once it is loaded. Throws ARCH_MISMATCH if the fatbin has no
/// code for the device, INTERNAL_ERROR if it has no such kernel.
const Kernel& find_kernel(const ScopedContext& context, const Fatbin& fatbin, const char* name);

/// Blocks of `kernel` that fit on one multiprocessor.
int blocks_per_multiprocessor(const Kernel& kernel, int threads, size_t dynamic_shared);

}  // namespace fp6llm::cuda
