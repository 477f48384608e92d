#include "tests/capi/counting_new.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

thread_local int news_until_failure = 0;
std::atomic<int64_t> live{0}, all{0};

}  // namespace

void* operator new(size_t bytes) {
    if (news_until_failure > 0 && --news_until_failure == 0) throw std::bad_alloc();
    void* memory = std::malloc(bytes > 0 ? bytes : 1);
    if (memory == nullptr) throw std::bad_alloc();
    ++live;
    ++all;
    return memory;
}

void operator delete(void* memory) noexcept {
    if (memory != nullptr) --live;
    std::free(memory);
}

void operator delete(void* memory, size_t) noexcept {
    operator delete(memory);
}

namespace fp6llm::capi_test {

void fail_new_after(int n) noexcept {
    news_until_failure = n;
}
int64_t live_news() noexcept {
    return live;
}
int64_t all_news() noexcept {
    return all;
}

}  // namespace fp6llm::capi_test
