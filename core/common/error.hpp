// The one exception of the core. It is thrown by checks at API level only; kernels and packers are
// noexcept with their preconditions established before. capi/src/guard.hpp turns it into a status.
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace fp6llm {

/// Values equal `cublasStatus_t`.
enum class Status : int {
    kSuccess = 0,
    kNotInitialized = 1,
    kAllocFailed = 3,
    kInvalidValue = 7,
    kArchMismatch = 8,
    kMappingError = 11,
    kExecutionFailed = 13,
    kInternalError = 14,
    kNotSupported = 15,
};

class Error : public std::exception {
  public:
    Error(Status status, std::string message) : status_(status), message_(std::move(message)) {}
    Status status() const noexcept { return status_; }
    const char* what() const noexcept override { return message_.c_str(); }

  private:
    Status status_;
    std::string message_;
};

/// Throws Error with a printf-formatted message.
[[noreturn]] __attribute__((format(printf, 2, 3))) void fail(Status status, const char* format,
                                                             ...);

}  // namespace fp6llm
