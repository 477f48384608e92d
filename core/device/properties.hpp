// What a GPU is like, asked once per device and process.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fp6llm::cuda {

struct DeviceProperties {
    int ordinal;
    char name[128];
    int major, minor;  ///< compute capability
    int multiprocessors;
    int threads_per_multiprocessor;
    int blocks_per_multiprocessor;
    int registers_per_multiprocessor;
    size_t shared_per_multiprocessor;  ///< bytes
    size_t shared_per_block;           ///< bytes that a block can have, opted in
    size_t reserved_shared_per_block;  ///< bytes that the system takes of each block's
    size_t l2_bytes;
    size_t total_memory;

    int capability() const noexcept { return major * 10 + minor; }  ///< 90
};

/// The lowest compute capability that has kernels, as capability() counts.
constexpr int kMinCapability = 80;

/// CUDA devices. Throws as driver() does.
int device_count();

/// Properties of device `ordinal` in [0, device_count()).
const DeviceProperties& device_properties(int ordinal);

}  // namespace fp6llm::cuda
