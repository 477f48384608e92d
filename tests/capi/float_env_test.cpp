// Hosts set flush-to-zero, denormals-are-zero and rounding modes; results must not follow, and the
// host must find its settings as they were.
#include <gtest/gtest.h>

#if defined(__x86_64__)

#include <xmmintrin.h>

#include <cmath>
#include <cstring>

#include "core/common/float16.hpp"
#include "tests/capi/support.hpp"

namespace fp6llm::capi_test {
namespace {

constexpr unsigned kModes = 0xFFC0, kDefault = 0x1F80;  // of MXCSR, without the sticky flags
constexpr unsigned kHostModes[] = {
    0x8000,                    // flush to zero
    0x0040,                    // denormals are zero
    0x8000 | 0x0040,           // both, as -ffast-math sets
    0x2000,                    // round down
    0x4000,                    // round up
    0x6000 | 0x8000 | 0x0040,  // round toward zero, both
};

class HostMode {
  public:
    explicit HostMode(unsigned mode) : saved_(_mm_getcsr()) { _mm_setcsr(kDefault | mode); }
    ~HostMode() { _mm_setcsr(saved_); }

  private:
    unsigned saved_;
};

constexpr int64_t kRows = 200, kCols = 512;

/// Data that every mode would change: denormal weights, scales and activations, and ties.
struct Data {
    std::vector<float> w = gaussian(kRows * kCols, 1, 1e-38f);
    std::vector<uint16_t> x;
    Data() {
        for (const float value : gaussian(40 * kCols, 2, 1e-38f))
            x.push_back(float_to_bf16(value));
        for (size_t i = 0; i < w.size(); i += 2)
            w[i] *= 1e30f;
    }
};

struct Results {
    std::vector<uint8_t> codes = std::vector<uint8_t>(kRows * kCols * 6 / 8);
    std::vector<float> scales = std::vector<float>(kRows);
    std::vector<float> back = std::vector<float>(kRows * kCols);
    std::vector<float> y = std::vector<float>(40 * kRows);
    fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
};

void compute(fp6llmHandle_t handle, const fp6llmQuantConfig_t& config, const Data& data,
             Results& r) {
    ASSERT_EQ(fp6llmQuantize(handle, &config, kRows, kCols, data.w.data(), FP6LLM_R_32F, kCols,
                             r.codes.data(), r.scales.data(), &r.stats),
              0);
    ASSERT_EQ(fp6llmDequantize(handle, &config, kRows, kCols, r.codes.data(), r.scales.data(),
                               r.back.data(), FP6LLM_R_32F, kCols),
              0);
    fp6llmWeight_t weight = nullptr;
    ASSERT_EQ(fp6llmWeightCreate(handle, &config, kRows, kCols, data.w.data(), FP6LLM_R_32F, kCols,
                                 &weight),
              0);
    const Weight owner(weight);
    fp6llmEpilogue_t epilogue = FP6LLM_EPILOGUE_INIT;
    epilogue.activation = FP6LLM_ACTIVATION_SILU;
    for (const int64_t tokens : {1, 40}) {
        ASSERT_EQ(fp6llmLinear(handle, tokens, data.x.data(), FP6LLM_R_16BF, kCols, weight,
                               &epilogue, r.y.data(), FP6LLM_R_32F, kRows),
                  0);
    }
}

void expect_same(const Results& got, const Results& expected) {
    EXPECT_EQ(got.codes, expected.codes);
    EXPECT_TRUE(same_bits(got.scales, expected.scales));
    EXPECT_TRUE(same_bits(got.back, expected.back));
    EXPECT_TRUE(same_bits(got.y, expected.y));
    EXPECT_EQ(std::memcmp(&got.stats, &expected.stats, sizeof got.stats), 0);
}

const fp6llmQuantConfig_t kConfigs[] = {quant_config(), quant_config(FP6LLM_R_6F_E2M3)};

TEST(FloatEnv, TheHostsModesChangeNothingAndAreKept) {
    const Data data;
    for (const fp6llmQuantConfig_t& config : kConfigs) {
        for (const int threads : {1, 4}) {
            const Handle handle = make_handle(threads);
            Results expected;
            compute(handle.get(), config, data, expected);
            for (const unsigned mode : kHostModes) {
                Results got;
                unsigned after;
                {
                    const HostMode host(mode);
                    compute(handle.get(), config, data, got);
                    after = _mm_getcsr();
                }
                SCOPED_TRACE("mode " + std::to_string(mode) + ", threads " +
                             std::to_string(threads));
                expect_same(got, expected);
                EXPECT_EQ(after & kModes, kDefault | mode) << std::hex;
            }
        }
    }
}

TEST(FloatEnv, TheModesOfTheCallersExecutorsThreadsChangeNothing) {
    const Data data;
    for (const fp6llmQuantConfig_t& config : kConfigs) {
        const Handle handle = make_handle(4);
        Results expected;
        compute(handle.get(), config, data, expected);
        for (const unsigned mode : kHostModes) {
            CallersThreads executor;
            executor.enter = [=] { _mm_setcsr(kDefault | mode); };
            ASSERT_EQ(fp6llmSetParallelFor(handle.get(), executor.parallel_for, &executor), 0);
            Results got;
            compute(handle.get(), config, data, got);
            SCOPED_TRACE("mode " + std::to_string(mode));
            expect_same(got, expected);
        }
    }
}

}  // namespace
}  // namespace fp6llm::capi_test

#endif
