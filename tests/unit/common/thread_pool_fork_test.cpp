// The pool in forked children, and what can be seen only in a process whose pool is not yet made.
#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <filesystem>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "core/common/affinity.hpp"
#include "core/common/cpu.hpp"
#include "core/common/thread_pool.hpp"
#include "tests/unit/common/pool_testing.hpp"

#if defined(__SANITIZE_THREAD__)
#define FP6LLM_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FP6LLM_UNDER_TSAN 1
#endif
#endif

namespace fp6llm {
namespace {

using testing::passes_in_child;
using testing::Rendezvous;

class ThreadPoolFork : public ::testing::Test {
  protected:
    void SetUp() override {
#if defined(FP6LLM_UNDER_TSAN)
        GTEST_SKIP() << "ThreadSanitizer cannot start threads in a child of a threaded process";
#endif
    }
};

int threads_of_process() {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

/// True if `threads` tasks can run at once.
bool runs_parallel(int threads) {
    Rendezvous rendezvous(threads);
    std::atomic<int> met{0};
    PoolExecutor(threads).run(threads, [&](int64_t) { met += rendezvous.meet(); });
    return met == threads;
}

TEST_F(ThreadPoolFork, ChildStartsWorkersOfItsOwn) {
    ASSERT_TRUE(runs_parallel(4));
    EXPECT_TRUE(passes_in_child([] { return runs_parallel(4) && runs_parallel(6); }));
    EXPECT_TRUE(runs_parallel(4));
}

TEST_F(ThreadPoolFork, GrandchildToo) {
    EXPECT_TRUE(passes_in_child([] {
        return runs_parallel(3) && passes_in_child([] { return runs_parallel(3); }) &&
               runs_parallel(3);
    }));
}

TEST_F(ThreadPoolFork, WhileAnotherThreadHoldsThePool) {
    std::atomic<bool> held{false}, release{false};
    std::thread holder([&] {
        PoolExecutor(2).run(2, [&](int64_t) {
            held = true;
            while (!release)
                std::this_thread::yield();
        });
    });
    while (!held)
        std::this_thread::yield();
    EXPECT_TRUE(passes_in_child([] { return runs_parallel(3); }));
    release = true;
    holder.join();
}

TEST_F(ThreadPoolFork, WhileOtherThreadsRunLoops) {
    std::atomic<bool> stop{false};
    std::thread busy([&] {
        while (!stop)
            PoolExecutor(3).run(3, [](int64_t) {});
    });
    for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(passes_in_child([] { return runs_parallel(3); }));
    }
    stop = true;
    busy.join();
}

TEST_F(ThreadPoolFork, ChildLeavesByExit) {
    ASSERT_TRUE(runs_parallel(4));
    for (const bool use_pool : {false, true}) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);
            if (use_pool && !runs_parallel(4)) _exit(1);
            std::exit(0);
        }
        int status = -1;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
}

TEST_F(ThreadPoolFork, NoThreadBeforeTheFirstLoop) {
    EXPECT_TRUE(passes_in_child([] {
        if (threads_of_process() != 1) return false;
        PoolExecutor(4).run(1, [](int64_t) {});
        PoolExecutor(1).run(4, [](int64_t) {});
        if (threads_of_process() != 1) return false;
        PoolExecutor(4).run(3, [](int64_t) {});
        return threads_of_process() == 3;
    }));
}

TEST_F(ThreadPoolFork, WorkersGetTheProcessMaskNotTheCallersOwn) {
    EXPECT_TRUE(passes_in_child([] {
        const int of_process = AffinityMask::of_process().count();
        bool right = false;
        std::thread pinned([&] {
            cpu_set_t all, one;
            sched_getaffinity(0, sizeof all, &all);
            CPU_ZERO(&one);
            for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
                if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
            }
            sched_setaffinity(0, sizeof one, &one);
            Rendezvous rendezvous(2);
            PoolExecutor(2).run(2, [&](int64_t i) {
                rendezvous.meet();
                cpu_set_t mine;
                sched_getaffinity(0, sizeof mine, &mine);
                if (i == 0) return;
                // Of the process, but for the caller's where the worker was on that.
                CPU_OR(&mine, &mine, &one);
                right = CPU_COUNT(&mine) == of_process;
            });
        });
        pinned.join();
        return right && allowed_cpus() == of_process;
    }));
}

#if defined(__x86_64__)
TEST_F(ThreadPoolFork, WorkersDoNotInheritTheCallersFloatingPointMode) {
    EXPECT_TRUE(passes_in_child([] {
        _mm_setcsr(_mm_getcsr() | 0x8040 | 0x6000);  // FTZ, DAZ, round toward zero
        unsigned in_worker = 0;
        Rendezvous rendezvous(2);
        PoolExecutor(2).run(2, [&](int64_t i) {
            rendezvous.meet();
            if (i == 1) in_worker = _mm_getcsr();
        });
        return (in_worker & 0xFFC0) == 0x1F80;
    }));
}
#endif

}  // namespace
}  // namespace fp6llm
