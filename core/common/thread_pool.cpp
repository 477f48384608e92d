// One caller at a time owns the workers (`busy_`). It publishes a loop by storing a new job word,
// takes its own part, and joins by waiting for `pending_` to reach zero:
//
//   job word   [ generation : 56 | threads : 8 ]   worker i takes part if i < threads
//
// A worker that takes part is waited for, so the word cannot move on before that worker has seen
// it; the others may miss words, which is harmless: a generation never comes again, so a worker
// cannot take a new word for the one that it saw last, however long it slept. All state is atomics on static storage, so that
// a forked child, in which the workers are gone and any thread may have owned the pool, just resets
// it.
#include "core/common/thread_pool.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>

#include "core/common/affinity.hpp"
#include "core/common/cpu.hpp"
#include "core/common/fp_env.hpp"

namespace fp6llm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kCacheLine = 64;

void* futex_address(std::atomic<uint32_t>& word) noexcept {
    return &word;
}

/// A futex has 32 bits: the half that every new word changes.
void* futex_address(std::atomic<uint64_t>& word) noexcept {
    constexpr int kLowHalf = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4;
    return reinterpret_cast<char*>(&word) + kLowHalf;
}

template <typename Word>
void futex_wait(std::atomic<Word>& word, Word expected, uint32_t bits) noexcept {
    syscall(SYS_futex, futex_address(word), FUTEX_WAIT_BITSET_PRIVATE,
            static_cast<uint32_t>(expected), nullptr, nullptr, bits);
}

template <typename Word>
void futex_wake(std::atomic<Word>& word, uint32_t bits) noexcept {
    syscall(SYS_futex, futex_address(word), FUTEX_WAKE_BITSET_PRIVATE, kMaxThreads, nullptr,
            nullptr, bits);
}

void pause_cpu() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/// Bounded waiting before a sleep: pauses first (2 to 5 us), then yields, because the thread that
/// we wait for may have been woken onto our own CPU and would else get it only at the next tick.
class Backoff {
  public:
    explicit Backoff(bool may_spin) noexcept : spinning_(may_spin) {}

    /// Waits a moment; false once the caller should sleep.
    bool wait() noexcept {
        if (!spinning_) return false;
        if (pauses_ < kPauses) {
            ++pauses_;
            pause_cpu();
            return true;
        }
        const Clock::time_point now = Clock::now();
        if (pauses_ == kPauses) {
            ++pauses_;
            deadline_ = now + kYielding;
        }
        spinning_ = now < deadline_;
        if (spinning_) sched_yield();
        return spinning_;
    }

  private:
    static constexpr int kPauses = 100;
    static constexpr std::chrono::microseconds kYielding{70};

    bool spinning_;
    int pauses_ = 0;
    Clock::time_point deadline_{};
};

class ThreadPool {
  public:
    constexpr ThreadPool() noexcept = default;

    /// Runs the loop on up to `threads` threads; false, with nothing run, if the pool is taken.
    bool try_run(int threads, int64_t count, TaskRef task) noexcept {
        if (busy_.exchange(true, std::memory_order_acquire)) return false;
        threads = 1 + ensure_workers(threads - 1);
        may_spin_.store(threads <= cpus_, std::memory_order_relaxed);
        task_ = &task;
        count_ = count;
        pending_.store(static_cast<uint32_t>(threads - 1), std::memory_order_relaxed);
        publish(threads);
        run_part(0, threads);
        join_loop();
        busy_.store(false, std::memory_order_release);
        return true;
    }

    /// Ends all workers. The pool stays taken for good: later loops run on their callers.
    void shut_down() noexcept {
        // Taken for long means exit() during a loop, even out of it: the workers end with the
        // process.
        const Clock::time_point deadline = Clock::now() + std::chrono::seconds(1);
        while (busy_.exchange(true, std::memory_order_acquire)) {
            if (Clock::now() > deadline) return;
            sched_yield();
        }
        publish(kStop);
        for (int i = 0; i < workers_; ++i)
            pthread_join(threads_[i], nullptr);
        workers_ = 0;
    }

    /// As if `loops` had been run that no worker took part in.
    void skip(uint64_t loops) noexcept {
        while (busy_.exchange(true, std::memory_order_acquire))
            sched_yield();
        const uint64_t generation = (job_.load(std::memory_order_relaxed) >> 8) + loops;
        job_.store(generation << 8, std::memory_order_relaxed);
        busy_.store(false, std::memory_order_release);
    }

    /// In a forked child: no worker exists, and whoever owned the pool is gone.
    void reset_after_fork() noexcept {
        workers_ = 0;
        sleeping_.store(0, std::memory_order_relaxed);
        busy_.store(false, std::memory_order_relaxed);
    }

  private:
    static constexpr int kStop = 0xFF;              // as a thread count: everybody takes part
    static constexpr uint32_t kJoining = 1u << 31;  // in pending_: the caller sleeps

    static int threads_of(uint64_t job) noexcept { return static_cast<int>(job & 0xFF); }
    static uint64_t worker_bit(int index) noexcept { return uint64_t{1} << index; }
    /// Futex wake masks have 32 bits; two workers share one, and a spurious wake is harmless.
    static uint32_t wake_mask(uint64_t workers) noexcept {
        return static_cast<uint32_t>(workers | (workers >> 32));
    }

    /// Starts workers until there are `wanted`; returns how many of those there are. The system may
    /// refuse threads; the loop then runs on fewer.
    int ensure_workers(int wanted) noexcept {
        if (workers_ >= wanted) return wanted;
        cpus_ = allowed_cpus();
        sigset_t blocked, saved;  // the host's signals are not for our threads, but crashes are its
        sigfillset(&blocked);
        for (const int crash : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) {
            sigdelset(&blocked, crash);
        }
        pthread_sigmask(SIG_SETMASK, &blocked, &saved);
        while (workers_ < wanted) {
            Start& start = starts_[workers_];
            start = {this, workers_ + 1, job_.load(std::memory_order_relaxed)};
            if (pthread_create(&threads_[workers_], nullptr, worker_main, &start) != 0) break;
            ++workers_;
        }
        pthread_sigmask(SIG_SETMASK, &saved, nullptr);
        return workers_;
    }

    void publish(int threads) noexcept {
        const uint64_t generation = (job_.load(std::memory_order_relaxed) >> 8) + 1;
        const uint64_t job = (generation << 8) | static_cast<uint64_t>(threads);
        // Sequentially consistent with await_job(): either the worker sees the new word before it
        // sleeps, or we see that it sleeps.
        job_.store(job, std::memory_order_seq_cst);
        const uint64_t all = threads < kMaxThreads ? worker_bit(threads) - 1 : ~uint64_t{0};
        const uint64_t asleep = sleeping_.load(std::memory_order_seq_cst) & all;
        if (asleep != 0) futex_wake(job_, wake_mask(asleep));
    }

    void run_part(int index, int threads) noexcept {
        const IndexRange range = split_range(count_, index, threads);
        for (int64_t i = range.begin; i < range.end; ++i)
            (*task_)(i);
    }

    void join_loop() noexcept {
        Backoff backoff(may_spin_.load(std::memory_order_relaxed));
        uint32_t pending;
        while ((pending = pending_.load(std::memory_order_acquire)) & ~kJoining) {
            if (backoff.wait()) continue;
            if (pending & kJoining) {
                futex_wait(pending_, pending, ~0u);
            } else {
                pending_.fetch_or(kJoining, std::memory_order_relaxed);
            }
        }
    }

    static void* worker_main(void* argument) noexcept {
        const Start start = *static_cast<const Start*>(argument);
        pthread_setname_np(pthread_self(), "fp6llm");
        AffinityMask::of_process().apply_to_this_thread();
        const FpEnvGuard fp_env;  // else the creating thread's would be inherited
        start.pool->work(start.index, start.job);
        return nullptr;
    }

    void work(int index, uint64_t job) noexcept {
        for (;;) {
            job = await_job(index, job);
            if (threads_of(job) == kStop) return;
            run_part(index, threads_of(job));
            if (pending_.fetch_sub(1, std::memory_order_acq_rel) == (kJoining | 1)) {
                futex_wake(pending_, ~0u);
            }
        }
    }

    /// The next job after `seen` that worker `index` takes part in.
    uint64_t await_job(int index, uint64_t seen) noexcept {
        Backoff backoff(may_spin_.load(std::memory_order_relaxed));
        for (;;) {
            const uint64_t job = job_.load(std::memory_order_acquire);
            if (job != seen && index < threads_of(job)) return job;
            seen = job;
            if (backoff.wait()) continue;
            sleeping_.fetch_or(worker_bit(index), std::memory_order_seq_cst);
            futex_wait(job_, seen, wake_mask(worker_bit(index)));
            sleeping_.fetch_and(~worker_bit(index), std::memory_order_relaxed);
        }
    }

    struct Start {
        ThreadPool* pool;
        int index;     ///< 1..63; the caller is thread 0
        uint64_t job;  ///< the word before the first that the worker may take part in
    };

    // What workers poll and read lies on one line, what they write on others.
    alignas(kCacheLine) std::atomic<uint64_t> job_{0};
    const TaskRef* task_ = nullptr;
    int64_t count_ = 0;
    std::atomic<bool> may_spin_{false};  ///< each thread of the loop has a CPU; else sleep at once
    alignas(kCacheLine) std::atomic<uint32_t> pending_{0};
    alignas(kCacheLine) std::atomic<uint64_t> sleeping_{0};  ///< bit i: worker i is, or will be
    alignas(kCacheLine) std::atomic<bool> busy_{false};
    int workers_ = 0;
    int cpus_ = 1;
    pthread_t threads_[kMaxThreads]{};
    Start starts_[kMaxThreads]{};
};

ThreadPool pool;

/// Load and unload of the library. Without the join, dlclose() would unmap code that workers run.
struct PoolLifetime {
    PoolLifetime() noexcept {
        pthread_atfork(nullptr, nullptr, [] { pool.reset_after_fork(); });
    }
    ~PoolLifetime() { pool.shut_down(); }
} pool_lifetime;

}  // namespace

int default_thread_count() noexcept {
    const int cpus = std::min(allowed_cpus(), kMaxThreads);
    const char* text = std::getenv("OMP_NUM_THREADS");
    if (text == nullptr) return cpus;
    // OpenMP allows a list, one count for each nesting level; the first is the outermost.
    char* end = nullptr;
    const long asked = std::strtol(text, &end, 10);
    if (asked < 1 || (*end != '\0' && *end != ',' && *end != ' ')) return cpus;
    return static_cast<int>(std::min<long>(asked, cpus));
}

void PoolExecutor::run(int64_t count, TaskRef task) {
    const int64_t threads = std::min({int64_t{threads_}, int64_t{kMaxThreads}, count});
    if (threads > 1 && pool.try_run(static_cast<int>(threads), count, task)) return;
    for (int64_t i = 0; i < count; ++i)
        task(i);
}

void skip_pool_loops(uint64_t loops) noexcept {
    pool.skip(loops);
}

}  // namespace fp6llm
