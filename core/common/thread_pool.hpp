// The library's own thread pool: shared by all handles of the process, made at the first loop that
// needs it, never at load. The calling thread takes part as thread 0; workers spin for a bounded
// time (<= 100 us) and then sleep on a futex, because longer spins slow everybody else on the
// machine. A part that no worker has begun when the caller is through with its own, it runs as well:
// a loop is never much slower than on the caller alone.
//
// - A loop started inside a task, or while another thread's loop holds the workers, runs on its own
//   caller alone: nested and concurrent use can neither deadlock nor oversubscribe.
// - After fork() the child has no workers; its first loop starts new ones.
#pragma once

#include <cstdint>

#include "core/common/parallel.hpp"

namespace fp6llm {

constexpr int kMaxThreads = 256;

/// min(OMP_NUM_THREADS if set and valid, CPUs in the affinity mask, kMaxThreads); >= 1.
int default_thread_count() noexcept;

/// Runs loops on the process-wide pool with up to `threads` threads, the caller's included.
class PoolExecutor final : public Executor {
  public:
    explicit PoolExecutor(int threads) noexcept : threads_(threads) {}
    int concurrency() const noexcept override { return threads_; }
    void run(int64_t count, TaskRef task) override;

  private:
    int threads_;
};

/// For tests: leaves the pool as `loops` loops on their callers alone would after days of work.
void skip_pool_loops(uint64_t loops) noexcept;

}  // namespace fp6llm
