// One caller at a time owns the workers (`busy_`). It publishes a loop by storing a new job word,
// takes part 0, takes over every part that no worker has begun by then, and waits for the others:
//
//   job word    [ loop : 52 | threads : 12 ]   worker i may take part i if i < threads
//   part word   [ loop : 61 | state : 3 ]      one per worker: the last loop whose part i is taken
//
// Who moves a part word to the loop's number runs that part, so a worker that is late, however long
// it slept, finds its part taken and does nothing. Numbers of loops never come again. So a loop costs
// at most its serial time and the wake-ups, even if no worker gets a CPU.
//
// A worker that finds itself on its caller's CPU leaves it (WorkerCpus). The system wakes it on an idle
// one, but to a guest of KVM a virtual CPU that the host has put to sleep does not count as idle: there,
// both would share one CPU for many milliseconds, in which the caller runs every part.
//
// Nothing is written by many threads: the job word has one writer, each part word lies on a cache
// line of its own, and sleepers are woken along a tree. All state is atomics on static storage, so
// that a forked child, in which the workers are gone and any thread may have owned the pool, just
// resets it.
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

/// A futex has 32 bits: of a 64-bit word, the half that holds its lowest bits.
template <typename Word>
void* futex_address(std::atomic<Word>& word) noexcept {
    constexpr bool kSkipHigh = sizeof(Word) == 8 && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    return reinterpret_cast<char*>(&word) + (kSkipHigh ? 4 : 0);
}

template <typename Word>
void futex_wait(std::atomic<Word>& word, Word expected) noexcept {
    syscall(SYS_futex, futex_address(word), FUTEX_WAIT_PRIVATE, static_cast<uint32_t>(expected),
            nullptr, nullptr, 0);
}

/// Every word has one waiter at most.
template <typename Word>
void futex_wake(std::atomic<Word>& word) noexcept {
    syscall(SYS_futex, futex_address(word), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
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

/// Where a worker runs: on all CPUs of the process but the one that it left last.
class WorkerCpus {
  public:
    WorkerCpus() noexcept { process_.apply_to_this_thread(); }

    /// Moves the calling worker to another CPU if it is on `cpu` and there is any. Not if its mask is none
    /// that it got here: then somebody else places it.
    void leave(int cpu) noexcept {
        if (sched_getcpu() != cpu) return;
        if (!(AffinityMask::of_this_thread() == process_.without(left_))) return;
        const AffinityMask others = process_.without(cpu);
        if (others.count() == 0) return;
        others.apply_to_this_thread();
        left_ = cpu;
    }

  private:
    const AffinityMask process_ = AffinityMask::of_process();
    int left_ = -1;
};

class ThreadPool {
  public:
    constexpr ThreadPool() noexcept = default;

    /// Runs the loop on up to `threads` threads; false, with nothing run, if the pool is taken.
    bool try_run(int threads, int64_t count, TaskRef task) noexcept {
        if (busy_.exchange(true, std::memory_order_acquire)) return false;
        threads = 1 + ensure_workers(threads - 1);
        may_spin_.store(threads <= cpus_, std::memory_order_relaxed);
        caller_cpu_.store(threads <= cpus_ ? sched_getcpu() : -1, std::memory_order_relaxed);
        task_ = &task;
        count_ = count;
        const uint64_t loop = publish(threads);
        wake_children(0, threads);
        run_part(0, threads);
        take_over(loop, threads);
        join(loop, threads);
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
        for (int i = 1; i <= workers_; ++i)
            wake(slots_[i]);
        for (int i = 1; i <= workers_; ++i)
            pthread_join(slots_[i].thread, nullptr);
        workers_ = 0;
    }

    /// As if `loops` had been run that no worker took part in.
    void skip(uint64_t loops) noexcept {
        while (busy_.exchange(true, std::memory_order_acquire))
            sched_yield();
        job_.store(make_job(loop_of(job_.load(std::memory_order_relaxed)) + loops, 0),
                   std::memory_order_relaxed);
        busy_.store(false, std::memory_order_release);
    }

    /// In a forked child: no worker exists, and whoever owned the pool is gone.
    void reset_after_fork() noexcept {
        workers_ = 0;
        for (Slot& slot : slots_)
            slot.asleep.store(0, std::memory_order_relaxed);
        busy_.store(false, std::memory_order_relaxed);
    }

  private:
    static constexpr int kThreadBits = 12;
    static constexpr int kStop = (1 << kThreadBits) - 1;  // as a thread count: everybody
    static_assert(kMaxThreads < kStop, "a job word holds every thread count");

    // States of a part word.
    static constexpr uint64_t kClaimed = 1, kDone = 2;
    static constexpr uint64_t kAwaited = 4;  // and the caller sleeps until it is done
    static constexpr int kStateBits = 3;

    /// Workers that one thread wakes: 8 times about a microsecond, then it works itself.
    static constexpr int kChildren = 8;

    static uint64_t make_job(uint64_t loop, int threads) noexcept {
        return loop << kThreadBits | static_cast<uint64_t>(threads);
    }
    static uint64_t loop_of(uint64_t job) noexcept { return job >> kThreadBits; }
    static int threads_of(uint64_t job) noexcept { return static_cast<int>(job & kStop); }

    /// Worker i's, i in [1, kMaxThreads); the caller is thread 0.
    struct alignas(2 * kCacheLine) Slot {  // processors fetch lines in pairs
        std::atomic<uint64_t> part{0};     ///< written by its worker, read by the caller
        // Written around a sleep only, read by who wakes in every loop: a line of its own.
        alignas(kCacheLine) std::atomic<uint32_t> asleep{0};
        pthread_t thread{};
        ThreadPool* pool = nullptr;
        int index = 0;
        uint64_t job = 0;  ///< the word before the first that the worker may take part in
    };

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
            Slot& slot = slots_[workers_ + 1];
            slot.pool = this;
            slot.index = workers_ + 1;
            slot.job = job_.load(std::memory_order_relaxed);
            if (pthread_create(&slot.thread, nullptr, worker_main, &slot) != 0) break;
            ++workers_;
        }
        pthread_sigmask(SIG_SETMASK, &saved, nullptr);
        return workers_;
    }

    uint64_t publish(int threads) noexcept {
        const uint64_t loop = loop_of(job_.load(std::memory_order_relaxed)) + 1;
        // Sequentially consistent with await_job(): either the worker sees the new word before it
        // sleeps, or who wakes it sees that it sleeps.
        job_.store(make_job(loop, threads), std::memory_order_seq_cst);
        return loop;
    }

    static void wake(Slot& slot) noexcept {
        if (slot.asleep.load(std::memory_order_seq_cst) != 0 &&
            slot.asleep.exchange(0, std::memory_order_seq_cst) != 0) {
            futex_wake(slot.asleep);
        }
    }

    /// Wakes the workers of the loop that thread `index` is to wake.
    void wake_children(int index, int threads) noexcept {
        const int first = index * kChildren + 1;
        for (int i = first; i < std::min(first + kChildren, threads); ++i)
            wake(slots_[i]);
    }

    void run_part(int index, int threads) noexcept {
        const IndexRange range = split_range(count_, index, threads);
        for (int64_t i = range.begin; i < range.end; ++i)
            (*task_)(i);
    }

    /// Makes part `index` of the loop the calling thread's; false if it was somebody's.
    bool take_part(int index, uint64_t loop, uint64_t state) noexcept {
        std::atomic<uint64_t>& part = slots_[index].part;
        uint64_t last = part.load(std::memory_order_acquire);
        return last >> kStateBits < loop &&
               part.compare_exchange_strong(last, loop << kStateBits | state,
                                            std::memory_order_acq_rel);
    }

    /// Runs the parts that no worker has begun.
    void take_over(uint64_t loop, int threads) noexcept {
        bool all_woken = threads <= 1 + kChildren;
        for (int i = 1; i < threads; ++i) {
            if (!take_part(i, loop, kDone)) continue;
            if (!all_woken) {  // those whose waker is the one that is late
                for (int j = 1 + kChildren; j < threads; ++j)
                    wake(slots_[j]);
                all_woken = true;
            }
            run_part(i, threads);
        }
    }

    void join(uint64_t loop, int threads) noexcept {
        Backoff backoff(may_spin_.load(std::memory_order_relaxed));
        for (int i = 1; i < threads; ++i) {
            std::atomic<uint64_t>& part = slots_[i].part;
            uint64_t seen;
            while ((seen = part.load(std::memory_order_acquire)) != (loop << kStateBits | kDone)) {
                if (backoff.wait()) continue;
                if (seen & kAwaited) {
                    futex_wait(part, seen);
                } else {
                    part.compare_exchange_strong(seen, seen | kAwaited, std::memory_order_relaxed);
                }
            }
        }
    }

    static void* worker_main(void* argument) noexcept {
        const Slot& slot = *static_cast<const Slot*>(argument);
        pthread_setname_np(pthread_self(), "fp6llm");
        const FpEnvGuard fp_env;  // else the creating thread's would be inherited
        slot.pool->work(slot.index, slot.job);
        return nullptr;
    }

    void work(int index, uint64_t job) noexcept {
        WorkerCpus cpus;
        for (;;) {
            job = await_job(index, job);
            const int threads = threads_of(job);
            if (threads == kStop) return;
            const uint64_t loop = loop_of(job);
            wake_children(index, threads);
            cpus.leave(caller_cpu_.load(std::memory_order_relaxed));
            if (!take_part(index, loop, kClaimed)) continue;
            // From here on the caller waits for us: what it published is this loop's.
            run_part(index, threads);
            std::atomic<uint64_t>& part = slots_[index].part;
            if (part.exchange(loop << kStateBits | kDone, std::memory_order_acq_rel) & kAwaited) {
                futex_wake(part);
            }
        }
    }

    /// The next job after `seen` that worker `index` takes part in.
    uint64_t await_job(int index, uint64_t seen) noexcept {
        Backoff backoff(may_spin_.load(std::memory_order_relaxed));
        std::atomic<uint32_t>& asleep = slots_[index].asleep;
        for (;;) {
            const uint64_t job = job_.load(std::memory_order_acquire);
            if (job != seen && index < threads_of(job)) return job;
            seen = job;
            if (backoff.wait()) continue;
            asleep.store(1, std::memory_order_seq_cst);
            if (job_.load(std::memory_order_seq_cst) == seen) futex_wait(asleep, 1u);
            asleep.store(0, std::memory_order_relaxed);
        }
    }

    // What workers poll and read lies on one line, which only the caller writes.
    alignas(2 * kCacheLine) std::atomic<uint64_t> job_{0};
    const TaskRef* task_ = nullptr;
    int64_t count_ = 0;
    std::atomic<bool> may_spin_{false};  ///< each thread of the loop has a CPU; else sleep at once
    std::atomic<int> caller_cpu_{-1};    ///< to leave; -1: there are too few for all
    alignas(2 * kCacheLine) std::atomic<bool> busy_{false};
    int workers_ = 0;
    int cpus_ = 1;
    Slot slots_[kMaxThreads]{};  // slots_[0] is nobody's
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
