// Launching kernels: cuLaunchKernelEx with the parameters' types kept.
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/device/module.hpp"

namespace fp6llm::cuda {

struct Dim3 {
    uint32_t x = 1, y = 1, z = 1;
};

struct LaunchConfig {
    Dim3 grid;
    Dim3 block;
    size_t dynamic_shared = 0;  ///< bytes
    CUstream stream = nullptr;
    Dim3 cluster;  ///< blocks per cluster; grid must be a multiple of it
    /// Start while the kernel before is still running; the kernel waits by griddepcontrol.wait.
    bool overlaps_previous = false;
};

/// Enqueues a kernel. The context that it was found in must be current. `parameters` must have
/// exactly the types that the kernel declares: there is no conversion. Best is one struct that host
/// and device share. Throws EXECUTION_FAILED and its like with the kernel's name.
template <typename... Parameters>
void launch(const Kernel& kernel, const LaunchConfig& config, const Parameters&... parameters);

/// The same with pointers to the parameters.
void launch_raw(const Kernel& kernel, const LaunchConfig& config, void** parameters);

template <typename... Parameters>
void launch(const Kernel& kernel, const LaunchConfig& config, const Parameters&... parameters) {
    static_assert((std::is_trivially_copyable_v<Parameters> && ...), "they are copied as bytes");
    static_assert((sizeof(Parameters) + ... + 0) <= 4096, "more than a kernel can take");
    void* pointers[sizeof...(Parameters) + 1] = {
        const_cast<void*>(static_cast<const void*>(&parameters))..., nullptr};
    launch_raw(kernel, config, pointers);
}

}  // namespace fp6llm::cuda
