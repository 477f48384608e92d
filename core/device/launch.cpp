#include "core/device/launch.hpp"

#include <cstdio>

namespace fp6llm::cuda {

void launch_raw(const Kernel& kernel, const LaunchConfig& config, void** parameters) {
    CUlaunchAttribute attributes[2];
    unsigned count = 0;
    if (config.cluster.x * config.cluster.y * config.cluster.z > 1) {
        CUlaunchAttribute& attribute = attributes[count++];
        attribute = {};
        attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
        attribute.value.clusterDim.x = config.cluster.x;
        attribute.value.clusterDim.y = config.cluster.y;
        attribute.value.clusterDim.z = config.cluster.z;
    }
    if (config.overlaps_previous) {
        CUlaunchAttribute& attribute = attributes[count++];
        attribute = {};
        attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
        attribute.value.programmaticStreamSerializationAllowed = 1;
    }
    CUlaunchConfig launch{};
    launch.gridDimX = config.grid.x;
    launch.gridDimY = config.grid.y;
    launch.gridDimZ = config.grid.z;
    launch.blockDimX = config.block.x;
    launch.blockDimY = config.block.y;
    launch.blockDimZ = config.block.z;
    launch.sharedMemBytes = static_cast<unsigned>(config.dynamic_shared);
    launch.hStream = config.stream;
    launch.attrs = count != 0 ? attributes : nullptr;
    launch.numAttrs = count;
    const CUresult result = driver().LaunchKernelEx(&launch, kernel.function, parameters, nullptr);
    if (result != CUDA_SUCCESS) {
        char call[256];
        std::snprintf(call, sizeof call, "launch of %s (grid %u x %u x %u, block %u, shared %zu)",
                      kernel.name, config.grid.x, config.grid.y, config.grid.z,
                      config.block.x * config.block.y * config.block.z, config.dynamic_shared);
        check(result, call);
    }
}

}  // namespace fp6llm::cuda
