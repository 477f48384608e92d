// The detail text: per thread and per handle, and that nothing but it tells of an error.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "tests/capi/support.hpp"

namespace fp6llm::capi_test {
namespace {

TEST(ErrorText, IsPerThread) {
    const Handle handle = make_handle();
    ASSERT_EQ(fp6llmSetNumThreads(handle.get(), 777), FP6LLM_STATUS_INVALID_VALUE);
    std::thread([] {
        EXPECT_EQ(last_error(), "") << "of a thread on which nothing failed";
        EXPECT_EQ(fp6llmGetVersion(nullptr), FP6LLM_STATUS_INVALID_VALUE);
        EXPECT_NE(last_error().find("version"), std::string::npos);
    }).join();
    EXPECT_NE(last_error().find("777"), std::string::npos) << last_error();
}

TEST(ErrorText, OfAHandleIsSeenFromAnyThread) {
    const Handle handle = make_handle();
    std::thread([&] {
        EXPECT_EQ(fp6llmSetNumThreads(handle.get(), 888), FP6LLM_STATUS_INVALID_VALUE);
    }).join();
    EXPECT_NE(handle_error(handle.get()).find("888"), std::string::npos);
}

TEST(ErrorText, OfAHandleCanBeReadWhileTheHandleWorks) {
    const Handle handle = make_handle();
    std::thread reader([&] {
        for (int i = 0; i < 200; ++i) {
            const std::string text = handle_error(handle.get());
            EXPECT_TRUE(text.empty() || text.find("threads") != std::string::npos) << text;
        }
    });
    for (int i = 0; i < 200; ++i)
        fp6llmSetNumThreads(handle.get(), 257 + i);
    reader.join();
}

TEST(ErrorText, LongTextIsCutNotOverrun) {
    const Handle handle = make_handle();
    ASSERT_NE(fp6llmSetNumThreads(handle.get(), INT32_MIN), FP6LLM_STATUS_SUCCESS);
    const std::string whole = handle_error(handle.get());
    for (size_t size = 1; size <= whole.size() + 2; ++size) {
        std::string buffer(whole.size() + 8, '#');
        size_t needed = 0;
        EXPECT_EQ(fp6llmGetErrorString(handle.get(), buffer.data(), size, &needed), 0);
        EXPECT_EQ(needed, whole.size() + 1);
        const size_t kept = std::min(size - 1, whole.size());
        EXPECT_EQ(buffer.substr(0, kept), whole.substr(0, kept));
        EXPECT_EQ(buffer[kept], '\0');
        EXPECT_EQ(buffer[size], '#');
    }
}

TEST(ErrorText, NothingIsPrinted) {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    {
        const Handle handle = make_handle();
        fp6llmSetNumThreads(handle.get(), -1);
        fp6llmGetVersion(nullptr);
        fp6llmGemmEx(handle.get(), FP6LLM_OP_T, FP6LLM_OP_N, -1, -1, -1, nullptr, nullptr, nullptr,
                     FP6LLM_R_32F, 0, nullptr, nullptr, FP6LLM_R_32F, 0, FP6LLM_COMPUTE_32F, 0);
    }
    EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace fp6llm::capi_test
