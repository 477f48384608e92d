// Threads for the ceilings: the caller and workers that wait for the next loop spinning, then
// asleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace fp6llm::bench {

class Team {
  public:
    /// `threads` in all, the caller's included.
    explicit Team(int threads);
    ~Team();
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;

    int threads() const noexcept { return static_cast<int>(workers_.size()) + 1; }
    /// Calls part(i) for each thread i at once and waits for all.
    void run(const std::function<void(int)>& part);

  private:
    void work(int index);

    std::vector<std::thread> workers_;
    std::mutex mutex_;
    std::condition_variable wake_;
    const std::function<void(int)>* part_ = nullptr;  // nullptr: end
    std::atomic<uint64_t> loop_{0};
    std::atomic<int> running_{0};
};

}  // namespace fp6llm::bench
