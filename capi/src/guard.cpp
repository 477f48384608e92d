#include "capi/src/guard.hpp"

#include <cstdio>
#include <cstring>

#include "capi/src/logger.hpp"

namespace fp6llm::capi {
namespace {

// A plain array: no destructor runs at thread exit, so a thread may outlive a dlclose.
thread_local char t_last_error[kErrorTextBytes];

}  // namespace

fp6llmStatus_t report(fp6llmHandle_t handle, Status status, const char* message) noexcept {
    std::snprintf(t_last_error, sizeof t_last_error, "%s", message);
    if (handle != nullptr) handle->error.set(message);
    log(FP6LLM_LOG_ERROR, message);
    return static_cast<fp6llmStatus_t>(status);
}

fp6llmStatus_t report_current_exception(fp6llmHandle_t handle) noexcept {
    try {
        throw;
    } catch (const Error& error) {
        return report(handle, error.status(), error.what());
    } catch (const std::bad_alloc&) {
        return report(handle, Status::kAllocFailed, "out of memory");
    } catch (const std::exception& error) {
        return report(handle, Status::kInternalError, error.what());
    } catch (...) {
        return report(handle, Status::kInternalError, "unknown exception");
    }
}

const char* last_error() noexcept {
    return t_last_error;
}

fp6llmStatus_t copy_text(const char* text, char* buffer, size_t size, size_t* needed) noexcept {
    if (buffer == nullptr && size != 0) {
        return report(nullptr, Status::kInvalidValue, "buffer is NULL but size is not 0");
    }
    if (reinterpret_cast<uintptr_t>(needed) % alignof(size_t) != 0) {
        return report(nullptr, Status::kInvalidValue, "needed is not aligned to a size_t");
    }
    const size_t length = std::strlen(text);
    if (size != 0) {
        const size_t copied = length < size ? length : size - 1;
        std::memcpy(buffer, text, copied);
        buffer[copied] = '\0';
    }
    if (needed != nullptr) *needed = length + 1;
    return FP6LLM_STATUS_SUCCESS;
}

}  // namespace fp6llm::capi
