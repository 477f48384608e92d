// A forked child goes on with the handles and weights it inherited.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/capi/support.hpp"

#if defined(__SANITIZE_THREAD__)
#define FP6LLM_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FP6LLM_UNDER_TSAN 1
#endif
#endif

namespace fp6llm::capi_test {
namespace {

constexpr int64_t kRows = 1024, kCols = 1024, kTokens = 8;

class Fork : public ::testing::Test {
  protected:
    void SetUp() override {
#if defined(FP6LLM_UNDER_TSAN)
        GTEST_SKIP() << "ThreadSanitizer cannot start threads in a child of a threaded process";
#endif
        ASSERT_EQ(multiply(handle_.get(), weight_.get(), kTokens, x_, expected_), 0);
    }
    /// Multiplies with what was inherited, and with a handle and a weight of its own.
    bool works() const {
        std::vector<float> y;
        if (multiply(handle_.get(), weight_.get(), kTokens, x_, y) != 0) return false;
        if (!same_bits(y, expected_)) return false;
        const Handle handle = make_handle(3);
        const Weight weight = make_weight(handle.get(), quant_config(), kRows, kCols, w_);
        return multiply(handle.get(), weight.get(), kTokens, x_, y) == 0 && same_bits(y, expected_);
    }

    const std::vector<float> w_ = gaussian(kRows * kCols, 1), x_ = gaussian(kTokens * kCols, 2);
    const Handle handle_ = make_handle(4);
    const Weight weight_ = make_weight(handle_.get(), quant_config(), kRows, kCols, w_);
    std::vector<float> expected_;
};

TEST_F(Fork, ChildWorksAndSoDoesTheParentAfterwards) {
    EXPECT_TRUE(passes_in_child([&] { return works(); }));
    EXPECT_TRUE(works());
}

TEST_F(Fork, ChildOfAProcessThatIsLogging) {
    ASSERT_EQ(
        fp6llmSetLogger([](void*, int32_t, const char*) { std::this_thread::yield(); }, nullptr),
        0);
    std::atomic<bool> stop{false};
    std::thread logging([&] {
        while (!stop)
            fp6llmSetNumThreads(nullptr, 1);
    });
    for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(passes_in_child(
            [] { return fp6llmSetNumThreads(nullptr, 1) == FP6LLM_STATUS_NOT_INITIALIZED; }));
    }
    stop = true;
    logging.join();
    EXPECT_EQ(fp6llmSetLogger(nullptr, nullptr), 0);
}

TEST_F(Fork, ChildOfAProcessThatIsWorking) {
    std::atomic<bool> stop{false};
    std::thread busy([&] {
        const Handle handle = make_handle(2);
        std::vector<float> y;
        while (!stop)
            EXPECT_EQ(multiply(handle.get(), weight_.get(), kTokens, x_, y), 0);
    });
    for (int i = 0; i < 5; ++i)
        EXPECT_TRUE(passes_in_child([&] { return works(); }));
    stop = true;
    busy.join();
}

TEST_F(Fork, ErrorTextsAreInherited) {
    ASSERT_EQ(fp6llmSetNumThreads(handle_.get(), 999), FP6LLM_STATUS_INVALID_VALUE);
    EXPECT_TRUE(passes_in_child([&] {
        return last_error() == handle_error(handle_.get()) &&
               last_error().find("999") != std::string::npos;
    }));
}

}  // namespace
}  // namespace fp6llm::capi_test
