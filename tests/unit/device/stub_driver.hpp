// What tests can do to the stub driver (stub_driver.cpp) beside calling it, and environment variables
// that it reads at every call:
//
//   FP6LLM_STUB_VERSION     cuDriverGetVersion()'s answer, 13000
//   FP6LLM_STUB_DEVICES     number of devices, 1
//   FP6LLM_STUB_CAPABILITY  compute capability, 90
//   FP6LLM_STUB_LACKS       the one function that cuGetProcAddress() does not find
//   FP6LLM_STUB_FAIL        "cuName=result": the one function that fails, and with what
#pragma once

#include <cuda.h>

#include <cstdint>

namespace fp6llm::stub {

/// The last launch.
struct Launch {
    unsigned grid[3], block[3], cluster[3];
    unsigned shared_bytes;
    CUstream stream;
    bool overlaps_previous;
    uint64_t first_parameter;
};

struct Controls {
    CUcontext (*create_context)(
        int device);  ///< takes the place of a destroyed one, if there is one
    void (*destroy_context)(CUcontext context);
    void (*reset_primary)(int device);  ///< cudaDeviceReset()
    int (*primary_references)(int device);
    int (*live_allocations)();
    int (*calls)(const char* function);  ///< so far
    Launch (*last_launch)();
};

}  // namespace fp6llm::stub

/// Exported by the stub beside the driver's functions.
extern "C" const fp6llm::stub::Controls* fp6llm_stub_controls();
