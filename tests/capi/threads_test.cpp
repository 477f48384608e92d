// Results do not depend on who computes them: thread counts, the caller's executor, sharing.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <new>
#include <thread>

#include "tests/capi/support.hpp"

namespace fp6llm::capi_test {
namespace {

struct Setting {
    const char* name;
    fp6llmQuantConfig_t config;
};
const Setting kSettings[] = {
    {"E3M2 row", quant_config()},
    {"E2M3 group 48", quant_config(FP6LLM_R_6F_E2M3, FP6LLM_SCALE_GROUP, 48)},
    {"E2M1 MX", quant_config(FP6LLM_R_4F_E2M1, FP6LLM_SCALE_MX)},
    {"AUTO row", quant_config(FP6LLM_R_6F_AUTO)},
};

/// Big enough that the library shares it among threads, dividing no tile.
constexpr int64_t kRows = 499, kCols = 1000;

struct Results {
    std::vector<uint8_t> codes;
    std::vector<float> scales;
    fp6llmQuantStats_t stats;
    std::vector<std::vector<uint8_t>> dequantized;
    std::vector<std::vector<float>> products;
    bool operator==(const Results& other) const {
        if (products.size() != other.products.size()) return false;
        for (size_t i = 0; i < products.size(); ++i) {
            if (!same_bits(products[i], other.products[i])) return false;
        }
        return codes == other.codes && dequantized == other.dequantized &&
               same_bits(scales, other.scales) &&
               std::memcmp(&stats, &other.stats, sizeof stats) == 0;
    }
};

/// Everything that runs in parallel: quantize, its statistics, dequantize, pack, multiply.
Results compute(fp6llmHandle_t handle, const fp6llmQuantConfig_t& config) {
    static const std::vector<float> w = gaussian(kRows * kCols, 1);
    static const std::vector<float> x = gaussian(64 * std::max(kRows, kCols), 2);
    Results r{};
    size_t code_bytes = 0, scale_bytes = 0;
    EXPECT_EQ(fp6llmQuantGetSizes(&config, kRows, kCols, &code_bytes, &scale_bytes), 0);
    r.codes.resize(code_bytes);
    r.scales.resize((scale_bytes + 3) / 4);
    r.stats = FP6LLM_QUANT_STATS_INIT;
    EXPECT_EQ(fp6llmQuantize(handle, &config, kRows, kCols, w.data(), FP6LLM_R_32F, kCols,
                             r.codes.data(), r.scales.data(), &r.stats),
              0);
    fp6llmQuantConfig_t chosen = config;
    chosen.format = r.stats.format;
    for (const auto& [type, bytes] :
         {std::pair{FP6LLM_R_32F, 4}, std::pair{FP6LLM_R_16F, 2}, std::pair{FP6LLM_R_16BF, 2}}) {
        std::vector<uint8_t>& back = r.dequantized.emplace_back(kRows * kCols * bytes);
        EXPECT_EQ(fp6llmDequantize(handle, &chosen, kRows, kCols, r.codes.data(), r.scales.data(),
                                   back.data(), type, kCols),
                  0);
    }
    const Weight weight = make_weight(handle, config, kRows, kCols, w);
    for (const int64_t tokens : {1, 3, 17, 64}) {
        EXPECT_EQ(multiply(handle, weight.get(), tokens, x, r.products.emplace_back()), 0)
            << last_error();
    }
    const float one = 1.0f, zero = 0.0f;
    std::vector<float>& transposed = r.products.emplace_back(static_cast<size_t>(5 * kCols), NAN);
    EXPECT_EQ(fp6llmGemmEx(handle, FP6LLM_OP_N, FP6LLM_OP_N, kCols, 5, kRows, &one, weight.get(),
                           x.data(), FP6LLM_R_32F, kRows, &zero, transposed.data(), FP6LLM_R_32F,
                           kCols, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT),
              0);
    return r;
}

TEST(Threads, ResultsAreTheSameForAnyNumber) {
    for (const Setting& setting : kSettings) {
        SCOPED_TRACE(setting.name);
        const Results expected = compute(make_handle(1).get(), setting.config);
        for (const int threads : {2, 3, 4, 5, 6, 7, 8, 64, 200}) {
            EXPECT_TRUE(compute(make_handle(threads).get(), setting.config) == expected) << threads;
        }
    }
}

TEST(Threads, ResultsAreTheSameOnTheCallersExecutor) {
    for (const Setting& setting : kSettings) {
        SCOPED_TRACE(setting.name);
        const Results expected = compute(make_handle(1).get(), setting.config);
        for (const int threads : {1, 4, 64, 200}) {
            const Handle handle = make_handle(threads);
            CallersThreads executor;
            executor.threads = std::min(threads, 3);
            ASSERT_EQ(fp6llmSetParallelFor(handle.get(), executor.parallel_for, &executor), 0);
            EXPECT_TRUE(compute(handle.get(), setting.config) == expected) << threads;
            ASSERT_EQ(fp6llmSetParallelFor(handle.get(), nullptr, nullptr), 0);
            EXPECT_TRUE(compute(handle.get(), setting.config) == expected) << threads;
        }
    }
}

TEST(Threads, ShareAWeightEachWithItsOwnHandle) {
    const std::vector<float> w = gaussian(kRows * kCols, 3), x = gaussian(8 * kCols, 4);
    const Handle maker = make_handle();
    const Weight weight = make_weight(maker.get(), quant_config(), kRows, kCols, w);
    std::vector<std::vector<float>> expected(9);
    for (int tokens = 1; tokens <= 8; ++tokens) {
        ASSERT_EQ(multiply(maker.get(), weight.get(), tokens, x, expected[tokens]), 0);
    }
    std::vector<std::thread> threads;
    for (int t = 1; t <= 8; ++t) {
        threads.emplace_back([&, t] {
            const Handle handle = make_handle(1 + t % 4);
            std::vector<float> y;
            for (int i = 0; i < 10; ++i) {
                EXPECT_EQ(multiply(handle.get(), weight.get(), t, x, y), 0) << last_error();
                EXPECT_TRUE(same_bits(y, expected[t]));
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
}

TEST(Threads, HandOverAHandle) {
    const std::vector<float> w = gaussian(kRows * kCols, 3), x = gaussian(kCols, 4);
    const Handle handle = make_handle(2);
    const Weight weight = make_weight(handle.get(), quant_config(), kRows, kCols, w);
    std::vector<float> expected, y;
    ASSERT_EQ(multiply(handle.get(), weight.get(), 1, x, expected), 0);
    for (int i = 0; i < 5; ++i) {
        std::thread([&] { ASSERT_EQ(multiply(handle.get(), weight.get(), 1, x, y), 0); }).join();
        EXPECT_TRUE(same_bits(y, expected));
    }
}

// --- A caller's executor that does wrong
// -----------------------------------------------------------

class WrongExecutor : public ::testing::Test {
  protected:
    fp6llmStatus_t multiply_with(fp6llmParallelFor_t parallel_for) {
        EXPECT_EQ(fp6llmSetParallelFor(handle_.get(), parallel_for, nullptr), 0);
        return multiply(handle_.get(), weight_.get(), 8, x_, y_);
    }
    /// As if nothing had been.
    void expect_recovery() {
        EXPECT_EQ(multiply_with(nullptr), FP6LLM_STATUS_SUCCESS);
        std::vector<float> expected;
        EXPECT_EQ(multiply(make_handle(1).get(), weight_.get(), 8, x_, expected), 0);
        EXPECT_TRUE(same_bits(y_, expected));
    }

    const std::vector<float> x_ = gaussian(8 * kCols, 4);
    const Handle handle_ = make_handle(4);
    const Weight weight_ =
        make_weight(handle_.get(), quant_config(), kRows, kCols, gaussian(kRows* kCols, 3));
    std::vector<float> y_;
};

TEST_F(WrongExecutor, ThatSkipsAnIndexIsReported) {
    EXPECT_EQ(multiply_with([](void*, int64_t count, fp6llmTask_t task, void* context) {
                  for (int64_t i = 0; i + 1 < count; ++i)
                      task(context, i);
              }),
              FP6LLM_STATUS_EXECUTION_FAILED);
    EXPECT_NE(last_error().find("parallelFor"), std::string::npos) << last_error();
    EXPECT_EQ(handle_error(handle_.get()), last_error());
    expect_recovery();
}

TEST_F(WrongExecutor, ThatRunsNothingIsReported) {
    EXPECT_EQ(multiply_with([](void*, int64_t, fp6llmTask_t, void*) {}),
              FP6LLM_STATUS_EXECUTION_FAILED);
    expect_recovery();
}

TEST_F(WrongExecutor, ThatSkipsOneAndRepeatsAnotherIsReported) {
    EXPECT_EQ(multiply_with([](void*, int64_t count, fp6llmTask_t task, void* context) {
                  for (int64_t i = 0; i < count; ++i)
                      task(context, 0);
              }),
              FP6LLM_STATUS_EXECUTION_FAILED);
    expect_recovery();
}

TEST_F(WrongExecutor, ThatInventsIndicesDoesNoHarm) {
    const fp6llmStatus_t status =
        multiply_with([](void*, int64_t count, fp6llmTask_t task, void* context) {
            for (const int64_t i : {INT64_MIN, int64_t{-1}, count, count + 64, INT64_MAX}) {
                task(context, i);
            }
            for (int64_t i = 0; i < count; ++i)
                task(context, i);
        });
    EXPECT_TRUE(status == FP6LLM_STATUS_SUCCESS || status == FP6LLM_STATUS_EXECUTION_FAILED);
    expect_recovery();
}

TEST_F(WrongExecutor, ThatThrowsIsReported) {
    EXPECT_EQ(multiply_with([](void*, int64_t, fp6llmTask_t, void*) { throw 1; }),
              FP6LLM_STATUS_EXECUTION_FAILED);
    EXPECT_NE(last_error().find("parallelFor"), std::string::npos) << last_error();
    expect_recovery();
}

/// ALLOC_FAILED would promise that nothing has been written.
TEST_F(WrongExecutor, ThatRunsOutOfMemoryHalfwayIsNotAnAllocationThatFailed) {
    EXPECT_EQ(multiply_with([](void*, int64_t, fp6llmTask_t task, void* context) {
                  task(context, 0);
                  throw std::bad_alloc();
              }),
              FP6LLM_STATUS_EXECUTION_FAILED);
    expect_recovery();
}

}  // namespace
}  // namespace fp6llm::capi_test
