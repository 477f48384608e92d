// The floating-point environment that our arithmetic assumes: round to nearest even, denormals
// kept. Host programs set flush-to-zero or denormals-are-zero (fast-math start-up code, framework
// switches), which would silently change codes and break the AVX2 kernels' decoding.
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace fp6llm {

/// Sets the default environment on this thread for a scope (about 10 ns), then restores the host's.
class FpEnvGuard {
  public:
#if defined(__x86_64__)
    FpEnvGuard() noexcept : saved_(_mm_getcsr()) {
        if (saved_ != kDefault) _mm_setcsr(kDefault);
    }
    ~FpEnvGuard() {
        if (saved_ != kDefault) _mm_setcsr(saved_);
    }

  private:
    static constexpr unsigned kDefault = 0x1F80;  // all exceptions masked, RNE, no FTZ, no DAZ
    unsigned saved_;
#else
    FpEnvGuard() noexcept {}
    ~FpEnvGuard() {}
#endif

  public:
    FpEnvGuard(const FpEnvGuard&) = delete;
    FpEnvGuard& operator=(const FpEnvGuard&) = delete;
};

}  // namespace fp6llm
