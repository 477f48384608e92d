// See team.hpp.
#include "tests/bench/team.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fp6llm::bench {
namespace {

constexpr int kSpins = 4000;  // about 100 us

void relax() noexcept {
#if defined(__x86_64__)
    _mm_pause();
#else
    std::this_thread::yield();
#endif
}

}  // namespace

Team::Team(int threads) {
    for (int i = 1; i < threads; ++i)
        workers_.emplace_back([this, i] { work(i); });
}

Team::~Team() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        part_ = nullptr;
        loop_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_)
        worker.join();
}

void Team::run(const std::function<void(int)>& part) {
    running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        part_ = &part;
        loop_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    part(0);
    while (running_.load(std::memory_order_acquire) != 0)
        relax();
}

void Team::work(int index) {
    for (uint64_t seen = 0;; ++seen) {
        for (int i = 0; i < kSpins && loop_.load(std::memory_order_acquire) == seen; ++i)
            relax();
        if (loop_.load(std::memory_order_acquire) == seen) {
            std::unique_lock<std::mutex> lock(mutex_);
            wake_.wait(lock, [&] { return loop_.load(std::memory_order_relaxed) != seen; });
        }
        if (!part_) return;
        (*part_)(index);
        running_.fetch_sub(1, std::memory_order_release);
    }
}

}  // namespace fp6llm::bench
