// What the stand-in for the CUDA runtime knows: which kernels and variables of which fatbin a
// program registered, and each thread's last error. All else is the driver's.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tests/emulator/runtime/cudart_api.hpp"

namespace emulator::cudart {

using cu::CUresult;

/// A fatbin that a program registered; its library is loaded when it is first needed.
struct FatBinary {
    const void* image = nullptr;
    cu::CUlibrary library = nullptr;
    struct Managed {
        void** host;
        std::string name;
    };
    std::vector<Managed> managed;
    bool managed_ready = false;
};

class Runtime {
  public:
    /// Never destroyed: programs unregister from their static destructors.
    static Runtime& instance();

    std::recursive_mutex mutex;

    /// The driver initialized and a context current on this thread: the primary one unless the
    /// program made another current.
    cudaError_t initialize();

    struct Symbol {
        FatBinary* fatbin;
        std::string name;
        cu::CUkernel kernel = nullptr;
    };
    std::map<const void*, Symbol> functions;  ///< by host address
    std::map<const void*, Symbol> variables;

    /// The kernel of a host function, or of a handle that __cudaGetKernel gave.
    cudaError_t find_kernel(const void* function, cu::CUkernel* kernel);
    /// The same in the current context.
    cudaError_t find_function(const void* function, cu::CUfunction* out);
    cudaError_t find_variable(const void* symbol, cu::CUdeviceptr* address, size_t* bytes);
    cudaError_t load(FatBinary& fatbin);
    /// Host pointers of `__managed__` variables are set before a program uses them.
    cudaError_t prepare_managed(FatBinary& fatbin);

    /// After cudaDeviceReset(): the next call makes a new context.
    void forget_context() { primary_ = nullptr; }

    std::vector<FatBinary*> fatbins;

  private:
    cu::CUcontext primary_ = nullptr;
};

/// Remembers an error for cudaGetLastError() and returns it.
cudaError_t remember(cudaError_t error) noexcept;
/// The runtime's error for a driver's result.
cudaError_t error_of(CUresult result) noexcept;
cudaError_t take_last_error(bool clear) noexcept;

/// The body of most functions: initialized, one driver call, its error remembered.
template <typename Fn>
cudaError_t with_driver(Fn&& call) noexcept {
    try {
        const cudaError_t ready = Runtime::instance().initialize();
        if (ready != cudaSuccess) return remember(ready);
        return remember(error_of(call()));
    } catch (...) {
        return remember(cudaErrorUnknown);
    }
}

/// The same for a body that has a runtime error already.
template <typename Fn>
cudaError_t with_runtime(Fn&& body) noexcept {
    try {
        const cudaError_t ready = Runtime::instance().initialize();
        if (ready != cudaSuccess) return remember(ready);
        return remember(body(Runtime::instance()));
    } catch (...) {
        return remember(cudaErrorUnknown);
    }
}

inline cu::CUdeviceptr device_pointer(const void* pointer) noexcept {
    return reinterpret_cast<uintptr_t>(pointer);
}

}  // namespace emulator::cudart

/// Functions of the ABI: visible, C.
#define EMULATOR_CUDART extern "C" __attribute__((visibility("default")))
