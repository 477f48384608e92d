// Shared by the tests of the thread pool.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace fp6llm::testing {

/// Passed only by `parties` tasks that run at the same time.
class Rendezvous {
  public:
    explicit Rendezvous(int parties) : parties_(parties) {}

    /// True once all have come; false after 20 seconds without.
    bool meet() {
        using namespace std::chrono;
        ++arrived_;
        const auto deadline = steady_clock::now() + seconds(20);
        while (arrived_ < parties_) {
            if (steady_clock::now() > deadline) return false;
            std::this_thread::sleep_for(microseconds(50));
        }
        return true;
    }

  private:
    const int parties_;
    std::atomic<int> arrived_{0};
};

/// Runs `check` in a forked child, for at most a minute; true if it returned true.
template <typename Check>
bool passes_in_child(Check check) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(check() ? 0 : 1);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

}  // namespace fp6llm::testing
