// fp6llmSetLogger(): what it is told, that calls to it do not overlap, and that it can be removed.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/capi/support.hpp"

namespace fp6llm::capi_test {
namespace {

struct Message {
    int32_t level;
    std::string text;
};

/// Collects messages while it lives.
class Log {
  public:
    Log() { fp6llmSetLogger(receive, this); }
    ~Log() { fp6llmSetLogger(nullptr, nullptr); }
    std::vector<Message> messages;
    std::atomic<int> overlaps{0};

  private:
    static void receive(void* user, int32_t level, const char* message) {
        Log& log = *static_cast<Log*>(user);
        if (log.inside_.exchange(true)) ++log.overlaps;
        log.messages.push_back({level, message});
        log.inside_ = false;
    }
    std::atomic<bool> inside_{false};
};

TEST(Logger, IsToldOfErrorsInTheWordsOfTheDetailText) {
    const Log log;
    ASSERT_EQ(fp6llmGetVersion(nullptr), FP6LLM_STATUS_INVALID_VALUE);
    ASSERT_EQ(log.messages.size(), 1u);
    EXPECT_EQ(log.messages[0].level, FP6LLM_LOG_ERROR);
    EXPECT_EQ(log.messages[0].text, last_error());
}

TEST(Logger, IsToldOfChoices) {
    const Log log;
    const Handle handle = make_handle(3);
    fp6llmDeviceInfo_t info = FP6LLM_DEVICE_INFO_INIT;
    ASSERT_EQ(fp6llmGetDeviceInfo(FP6LLM_BACKEND_CPU, 0, &info), 0);
    ASSERT_FALSE(log.messages.empty());
    EXPECT_EQ(log.messages[0].level, FP6LLM_LOG_INFO);
    EXPECT_NE(log.messages[0].text.find(info.isa), std::string::npos) << log.messages[0].text;
    EXPECT_NE(log.messages[0].text.find("3 threads"), std::string::npos) << log.messages[0].text;
}

TEST(Logger, HearsNothingOnceRemovedOrReplaced) {
    Log first;
    {
        const Log second;
        fp6llmGetVersion(nullptr);
        EXPECT_EQ(second.messages.size(), 1u);
    }
    fp6llmGetVersion(nullptr);
    EXPECT_TRUE(first.messages.empty());
}

TEST(Logger, HearsThreadsOneAtATime) {
    const Log log;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([] {
            for (int i = 0; i < 100; ++i)
                fp6llmGetVersion(nullptr);
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(log.messages.size(), 400u);
    EXPECT_EQ(log.overlaps, 0);
}

TEST(Logger, ThatThrowsDoesNoHarm) {
    fp6llmSetLogger([](void*, int32_t, const char*) { throw 1; }, nullptr);
    EXPECT_EQ(fp6llmGetVersion(nullptr), FP6LLM_STATUS_INVALID_VALUE);
    fp6llmSetLogger(nullptr, nullptr);
    const Log log;
    EXPECT_EQ(fp6llmGetVersion(nullptr), FP6LLM_STATUS_INVALID_VALUE);
    EXPECT_EQ(log.messages.size(), 1u);
}

}  // namespace
}  // namespace fp6llm::capi_test
