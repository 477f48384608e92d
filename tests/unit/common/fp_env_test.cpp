#include "core/common/fp_env.hpp"

#include <gtest/gtest.h>

#if defined(__x86_64__)

namespace fp6llm {
namespace {

constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040, kTowardZero = 0x6000;

float product(float a, float b) {
    const volatile float x = a, y = b;
    return x * y;
}
double quotient(double a, double b) {
    const volatile double x = a, y = b;
    return x / y;
}

TEST(FpEnvGuard, GivesTheDefaultEnvironmentAndRestoresTheHosts) {
    const unsigned before = _mm_getcsr();
    const double third = quotient(2.0, 3.0);  // rounds up
    for (const unsigned mode : {kFlushToZero, kDenormalsAreZero, kTowardZero,
                                kFlushToZero | kDenormalsAreZero | kTowardZero}) {
        _mm_setcsr(before | mode);
        const unsigned host = _mm_getcsr();
        float denormal;
        double rounded;
        {
            const FpEnvGuard guard;
            denormal = product(0x1p-126f, 0.5f);
            denormal = product(denormal, 4.0f);
            rounded = quotient(2.0, 3.0);
            _mm_setcsr(_mm_getcsr() | 0x3F);  // flags that arithmetic leaves behind
        }
        const unsigned after = _mm_getcsr();
        _mm_setcsr(before);
        EXPECT_EQ(denormal, 0x1p-125f) << std::hex << mode;
        EXPECT_EQ(rounded, third) << std::hex << mode;
        EXPECT_EQ(after, host);
    }
}

TEST(FpEnvGuard, Nests) {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | kFlushToZero);
    {
        const FpEnvGuard outer;
        { const FpEnvGuard inner; }
        EXPECT_EQ(_mm_getcsr() & kFlushToZero, 0u);
    }
    EXPECT_EQ(_mm_getcsr() & kFlushToZero, kFlushToZero);
    _mm_setcsr(before);
}

}  // namespace
}  // namespace fp6llm

#endif
