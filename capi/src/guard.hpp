// Between the C ABI and the core: nothing but a status leaves, and the detail text is kept both per
// thread and on the handle (goroutines change OS threads between two calls).
#pragma once

#include <exception>
#include <new>

#include "capi/src/handle.hpp"
#include "core/common/error.hpp"
#include "fp6llm/fp6llm.h"

namespace fp6llm::capi {

/// Records a failure for fp6llmGetLastErrorString(), for `handle` if not NULL, and for the logger.
fp6llmStatus_t report(fp6llmHandle_t handle, Status status, const char* message) noexcept;

/// The detail of this thread's last failure.
const char* last_error() noexcept;

/// Copies text out as the "Text out" group of fp6llm.h documents.
fp6llmStatus_t copy_text(const char* text, char* buffer, size_t size, size_t* needed) noexcept;

/// Turns whatever is in flight into a status; to be called from a catch block.
fp6llmStatus_t report_current_exception(fp6llmHandle_t handle) noexcept;

/// Runs `body`, which throws on failure. For functions without a handle.
template <typename Body>
fp6llmStatus_t guard(Body&& body) noexcept {
    try {
        body();
        return FP6LLM_STATUS_SUCCESS;
    } catch (...) {
        return report_current_exception(nullptr);
    }
}

/// Runs `body(context)` with the checked handle.
template <typename Body>
fp6llmStatus_t guard(fp6llmHandle_t handle, Body&& body) noexcept {
    if (!is_live(handle)) {
        return report(nullptr, Status::kNotInitialized,
                      handle == nullptr ? "handle is NULL" : "handle is not a live handle");
    }
    try {
        body(*handle);
        return FP6LLM_STATUS_SUCCESS;
    } catch (...) {
        return report_current_exception(handle);
    }
}

}  // namespace fp6llm::capi
