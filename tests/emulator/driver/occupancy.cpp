// How many blocks fit on a multiprocessor: threads, blocks, shared memory, registers.
#include <algorithm>
#include <climits>

#include "tests/emulator/driver/state.hpp"

namespace emulator::cu {

namespace {

constexpr int kWarp = 32;
constexpr int kSharedGranularity = 128;
constexpr int kRegisterGranularity = 256;  ///< registers of a warp are handed out in these
constexpr int kPortableCluster = 8, kLargestCluster = 16;

int round_up(int value, int to) {
    return (value + to - 1) / to * to;
}

int cluster_size(const CUlaunchConfig& config, const Function& function) {
    for (unsigned i = 0; i < config.numAttrs; ++i) {
        if (config.attrs[i].id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
            const auto& size = config.attrs[i].value.clusterDim;
            return static_cast<int>(size.x * size.y * size.z);
        }
    }
    const int* required = function.facts.required_cluster;
    return required[0] == 0 ? 1 : required[0] * std::max(1, required[1]) * std::max(1, required[2]);
}

void potential_block_size(Driver& driver, int* grid, int* block, CUfunction handle,
                          CUoccupancyB2DSize shared_of, size_t dynamic_shared, int limit) {
    require(grid != nullptr && block != nullptr && limit >= 0);
    const Function& function = function_of(driver, driver.current(), handle);
    int largest = function.facts.max_threads;
    if (limit > 0) largest = std::min(largest, limit);
    int best = 0;
    *grid = *block = 0;
    for (int threads = round_up(largest, kWarp); threads >= kWarp; threads -= kWarp) {
        const int size = std::min(threads, largest);
        const size_t shared = shared_of != nullptr ? shared_of(size) : dynamic_shared;
        const int blocks = active_blocks(driver, function, size, shared);
        if (blocks * size > best) {
            best = blocks * size;
            *block = size;
            *grid = blocks * driver.device().options().multiprocessors;
        }
    }
}

}  // namespace

int active_blocks(Driver& driver, const Function& function, int threads, size_t dynamic_shared) {
    if (threads > function.facts.max_threads) return 0;
    const auto attribute = [&](CUdevice_attribute which) {
        return device_attribute(driver, which);
    };
    const int optin = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    const int static_shared = function.facts.static_shared;
    if (static_shared > optin || dynamic_shared > static_cast<size_t>(optin - static_shared))
        return 0;
    const int warps = (threads + kWarp - 1) / kWarp;
    int blocks =
        std::min(attribute(CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR),
                 attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR) / (warps * kWarp));
    const int shared = round_up(static_shared + static_cast<int>(dynamic_shared) +
                                    attribute(CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK),
                                kSharedGranularity);
    if (shared > 0)
        blocks = std::min(
            blocks, attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR) / shared);
    const int registers = round_up(function.facts.registers * kWarp, kRegisterGranularity) * warps;
    if (registers > 0)
        blocks = std::min(
            blocks, attribute(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR) / registers);
    return blocks;
}

extern "C" {

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction function, int threads,
                                                     size_t dynamic_shared) {
    return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads,
                                                                dynamic_shared, 0);
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, CUfunction function,
                                                              int threads, size_t dynamic_shared,
                                                              unsigned flags) {
    return guard([&](Driver& driver) {
        require(blocks != nullptr && threads > 0 && flags <= 1);
        *blocks = active_blocks(driver, function_of(driver, driver.current(), function), threads,
                                dynamic_shared);
    });
}

CUresult cuOccupancyMaxPotentialBlockSize(int* grid, int* block, CUfunction function,
                                          CUoccupancyB2DSize shared_of, size_t dynamic_shared,
                                          int limit) {
    return guard([&](Driver& driver) {
        potential_block_size(driver, grid, block, function, shared_of, dynamic_shared, limit);
    });
}

CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int* grid, int* block, CUfunction function,
                                                   CUoccupancyB2DSize shared_of,
                                                   size_t dynamic_shared, int limit,
                                                   unsigned flags) {
    return guard([&](Driver& driver) {
        require(flags <= 1);
        potential_block_size(driver, grid, block, function, shared_of, dynamic_shared, limit);
    });
}

CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t* bytes, CUfunction function, int blocks,
                                                 int threads) {
    return guard([&](Driver& driver) {
        require(bytes != nullptr && blocks > 0 && threads > 0);
        const Function& known = function_of(driver, driver.current(), function);
        const int per_sm =
            device_attribute(driver, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
        const int reserved =
            device_attribute(driver, CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK);
        const int optin =
            device_attribute(driver, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
        const int share = per_sm / blocks / kSharedGranularity * kSharedGranularity - reserved;
        const int left = std::min(share, optin) - known.facts.static_shared;
        *bytes = left > 0 ? static_cast<size_t>(left) : 0;
    });
}

CUresult cuOccupancyMaxPotentialClusterSize(int* size, CUfunction function,
                                            const CUlaunchConfig* config) {
    return guard([&](Driver& driver) {
        require(size != nullptr && config != nullptr);
        const Function& known = function_of(driver, driver.current(), function);
        require(driver.arch() >= 90, CUDA_ERROR_NOT_SUPPORTED);
        const int threads =
            static_cast<int>(config->blockDimX * config->blockDimY * config->blockDimZ);
        const int blocks = active_blocks(driver, known, threads, config->sharedMemBytes) *
                           driver.device().options().multiprocessors;
        int largest = known.non_portable_cluster ? kLargestCluster : kPortableCluster;
        while (largest > blocks)
            largest /= 2;
        require(largest > 0, CUDA_ERROR_INVALID_CLUSTER_SIZE);
        *size = largest;
    });
}

CUresult cuOccupancyMaxActiveClusters(int* clusters, CUfunction function,
                                      const CUlaunchConfig* config) {
    return guard([&](Driver& driver) {
        require(clusters != nullptr && config != nullptr);
        require(config->numAttrs == 0 || config->attrs != nullptr);
        const Function& known = function_of(driver, driver.current(), function);
        require(driver.arch() >= 90, CUDA_ERROR_NOT_SUPPORTED);
        const int threads =
            static_cast<int>(config->blockDimX * config->blockDimY * config->blockDimZ);
        require(threads > 0);
        const int size = cluster_size(*config, known);
        require(
            size > 0 && size <= (known.non_portable_cluster ? kLargestCluster : kPortableCluster),
            CUDA_ERROR_INVALID_CLUSTER_SIZE);
        const int blocks = active_blocks(driver, known, threads, config->sharedMemBytes) *
                           driver.device().options().multiprocessors;
        *clusters = blocks / size;
    });
}

}  // extern "C"

}  // namespace emulator::cu
