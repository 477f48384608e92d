// The CUDA driver API, found at run time: dlopen("libcuda.so.1") and cuGetProcAddress (CUDA Driver
// API, "Driver Entry Point Access"). Nothing is linked and nothing happens at load or unload of this
// library; the driver is loaded by the first call that needs it and stays.
#pragma once

#include <cuda.h>

#include "core/common/error.hpp"
#include "core/device/driver_functions.hpp"

namespace fp6llm::cuda {

/// The oldest driver that will do, as cuDriverGetVersion() counts: 12.0 (cuCtxGetId, tensor maps).
constexpr int kMinDriverVersion = 12000;

/// The driver's functions under their names without "cu": `driver().MemAlloc(&pointer, bytes)`.
struct Driver {
    int version;  ///< e.g. 13000
#define FP6LLM_MEMBER(name) decltype(&::cu##name) name;
    FP6LLM_DRIVER_FUNCTIONS(FP6LLM_MEMBER)
    FP6LLM_OPTIONAL_DRIVER_FUNCTIONS(FP6LLM_MEMBER)
#undef FP6LLM_MEMBER
};

/// The initialized driver. Thread-safe. Throws NOT_SUPPORTED, saying what was wanted and what was
/// found, if there is none, it is too old, it does not initialize, or this is a forked child of a
/// process that had initialized it. A failure is not remembered: the next call tries again.
const Driver& driver();

/// The driver if driver() has succeeded and works in this process, else nullptr. For destructors and
/// for code that must not load it.
const Driver* loaded_driver() noexcept;

/// Throws the Error that a failed driver call means. `call` is its name, for the text.
void check(CUresult result, const char* call);

/// The status that a driver's error means to a caller of the C ABI.
Status to_status(CUresult result) noexcept;

}  // namespace fp6llm::cuda
