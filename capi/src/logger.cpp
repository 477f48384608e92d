#include "capi/src/logger.hpp"

#include <pthread.h>

#include <atomic>
#include <mutex>

#include "capi/src/guard.hpp"

namespace fp6llm::capi {
namespace {

std::atomic<bool> g_enabled{false};
// Held during the callback: messages do not interleave, removal is final.
std::mutex g_mutex;
fp6llmLogCallback_t g_callback = nullptr;
void* g_user = nullptr;

/// A forked child must not inherit the mutex from a thread that it does not have.
void keep_usable_after_fork() {
    static std::once_flag once;
    std::call_once(once, [] {
        if (pthread_atfork([] { g_mutex.lock(); }, [] { g_mutex.unlock(); },
                           [] { g_mutex.unlock(); }) != 0) {
            throw std::bad_alloc();
        }
    });
}

}  // namespace

void log(fp6llmLogLevel_t level, const char* message) noexcept {
    if (!g_enabled.load(std::memory_order_relaxed)) return;
    try {
        const std::lock_guard<std::mutex> lock(g_mutex);
        if (g_callback != nullptr) g_callback(g_user, level, message);
    } catch (...) {
        // A receiver that throws, or a mutex that cannot be locked, loses the message.
    }
}

}  // namespace fp6llm::capi

using namespace fp6llm::capi;

fp6llmStatus_t fp6llmSetLogger(fp6llmLogCallback_t callback, void* user) {
    return guard([&] {
        keep_usable_after_fork();
        const std::lock_guard<std::mutex> lock(g_mutex);
        g_callback = callback;
        g_user = user;
        g_enabled.store(callback != nullptr, std::memory_order_relaxed);
    });
}
