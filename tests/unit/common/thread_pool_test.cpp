// The pool's contract within one process: every index once, nested and concurrent loops, sleeping.
#include "core/common/thread_pool.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "core/common/cpu.hpp"
#include "tests/unit/common/pool_testing.hpp"

namespace fp6llm {
namespace {

using testing::Rendezvous;

/// Runs a loop and expects each index to have been run once.
void expect_each_once(int threads, int64_t count) {
    SCOPED_TRACE("threads " + std::to_string(threads) + ", count " + std::to_string(count));
    std::vector<int> runs(static_cast<size_t>(count));  // plain: the join must order the writes
    PoolExecutor(threads).run(count, [&](int64_t i) { ++runs[static_cast<size_t>(i)]; });
    for (const int n : runs)
        ASSERT_EQ(n, 1);
}

TEST(ThreadPool, RunsEachIndexOnce) {
    for (const int threads : {1, 2, 3, 8, 64, kMaxThreads, kMaxThreads + 1}) {
        for (const int64_t count : {0, 1, 2, 3, 7, 63, 64, 65, 255, 256, 1000}) {
            expect_each_once(threads, count);
        }
    }
}

TEST(ThreadPool, ReportsItsConcurrency) {
    EXPECT_EQ(PoolExecutor(3).concurrency(), 3);
}

TEST(ThreadPool, RunsAsManyThreadsAsAsked) {
    for (const int threads : {2, 5, kMaxThreads}) {
        Rendezvous rendezvous(threads);
        std::atomic<int> met{0};
        PoolExecutor(threads).run(threads, [&](int64_t) { met += rendezvous.meet(); });
        EXPECT_EQ(met, threads);
    }
}

TEST(ThreadPool, CallerTakesPartAsThreadZero) {
    std::vector<std::thread::id> ids(4);
    Rendezvous rendezvous(2);
    PoolExecutor(2).run(4, [&](int64_t i) {
        if (i % 2 == 0) rendezvous.meet();  // else the caller might run both parts
        ids[static_cast<size_t>(i)] = std::this_thread::get_id();
    });
    EXPECT_EQ(ids[0], std::this_thread::get_id());
    EXPECT_EQ(ids[1], ids[0]);
    EXPECT_NE(ids[2], ids[0]);
    EXPECT_EQ(ids[3], ids[2]);
}

// Waking a sleeper takes longer than this task.
TEST(ThreadPool, CallerTakesOverPartsThatNobodyHasBegun) {
    int taken_over = 0;
    for (int round = 0; round < 50; ++round) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        std::vector<std::thread::id> ids(8);
        PoolExecutor(8).run(
            8, [&](int64_t i) { ids[static_cast<size_t>(i)] = std::this_thread::get_id(); });
        for (size_t i = 1; i < ids.size(); ++i) {
            ASSERT_NE(ids[i], std::thread::id());
            taken_over += ids[i] == ids[0];
        }
    }
    EXPECT_GT(taken_over, 0);
}

// Parts change hands at random: sleeping workers, more threads than CPUs, tasks of any length.
TEST(ThreadPool, StressPartsThatChangeHands) {
    std::mt19937 random(7);
    std::vector<int64_t> sums(kMaxThreads);
    for (int round = 0; round < 2000; ++round) {
        const auto threads = static_cast<int64_t>(2 + random() % (round % 16 == 0 ? 200 : 8));
        const unsigned length = random() % 2000;
        std::fill(sums.begin(), sums.end(), 0);
        PoolExecutor(static_cast<int>(threads)).run(threads, [&](int64_t i) {
            volatile int64_t& sum = sums[static_cast<size_t>(i)];
            for (unsigned n = 0; n <= length * (i % 3); ++n)
                sum = sum + i + 1;
        });
        for (int64_t i = 0; i < threads; ++i) {
            ASSERT_EQ(sums[static_cast<size_t>(i)], (i + 1) * (1 + int64_t{length} * (i % 3)));
        }
        if (round % 8 == 0) {
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
        }
    }
}

TEST(ThreadPool, NestedLoopRunsOnItsCaller) {
    std::atomic<int> strays{0}, runs{0};
    PoolExecutor(4).run(8, [&](int64_t) {
        const auto self = std::this_thread::get_id();
        PoolExecutor(4).run(16, [&](int64_t) {
            ++runs;
            strays += std::this_thread::get_id() != self;
        });
    });
    EXPECT_EQ(runs, 8 * 16);
    EXPECT_EQ(strays, 0);
}

TEST(ThreadPool, LoopBesideAnotherRunsOnItsCaller) {
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
    const auto self = std::this_thread::get_id();
    int runs = 0, strays = 0;
    PoolExecutor(2).run(10, [&](int64_t) {
        ++runs;
        strays += std::this_thread::get_id() != self;
    });
    release = true;
    holder.join();
    EXPECT_EQ(runs, 10);
    EXPECT_EQ(strays, 0);
    expect_each_once(2, 10);
}

TEST(ThreadPool, StressByConcurrentCallers) {
    std::vector<std::thread> callers;
    std::atomic<int> errors{0};
    for (unsigned seed = 0; seed < 4; ++seed) {
        callers.emplace_back([&errors, seed] {
            std::mt19937 random(seed);
            std::vector<int> runs(100);
            for (int round = 0; round < 1000; ++round) {
                const auto threads = static_cast<int>(1 + random() % 8);
                const auto count = static_cast<int64_t>(random() % 100);
                std::fill(runs.begin(), runs.end(), 0);
                PoolExecutor(threads).run(count,
                                          [&](int64_t i) { ++runs[static_cast<size_t>(i)]; });
                for (size_t i = 0; i < runs.size(); ++i) {
                    errors += runs[i] != (static_cast<int64_t>(i) < count);
                }
                // Now and then long enough for workers to fall asleep, or to be about to.
                if (round % 16 == 0) {
                    std::this_thread::sleep_for(std::chrono::microseconds(random() % 400));
                }
            }
        });
    }
    for (std::thread& caller : callers)
        caller.join();
    EXPECT_EQ(errors, 0);
}

TEST(ThreadPool, StressBackToBack) {
    int64_t shared = 0;  // passed from thread to thread through the pool's own ordering alone
    for (int round = 0; round < 20000; ++round) {
        const int64_t last = 1 + round % 3;
        PoolExecutor(static_cast<int>(last) + 1).run(last + 1, [&](int64_t i) {
            if (i == last) ++shared;
        });
    }
    EXPECT_EQ(shared, 20000);
}

// Where a caller moves onto a worker's CPU, and the system leaves both there, loops would run on their
// callers alone. The caller is bound from the start: where the system moves it during a loop, nobody can tell.
TEST(ThreadPool, WorkersLeaveTheirCallersCpu) {
    if (allowed_cpus() < 2) GTEST_SKIP() << "one CPU";
    std::thread([] {  // not the main thread: its mask is the process's
        const auto bind_to = [](int cpu) {
            cpu_set_t mask;
            CPU_ZERO(&mask);
            CPU_SET(cpu, &mask);
            ASSERT_EQ(sched_setaffinity(0, sizeof mask, &mask), 0);
        };
        bind_to(sched_getcpu());
        for (int round = 0; round < 50; ++round) {
            int cpus[2] = {-1, -1};
            Rendezvous rendezvous(2);
            PoolExecutor(2).run(2, [&](int64_t i) {
                EXPECT_TRUE(rendezvous.meet());
                cpus[i] = sched_getcpu();
            });
            ASSERT_NE(cpus[0], cpus[1]) << "round " << round;
            bind_to(cpus[1]);
        }
    })
        .join();
}

TEST(ThreadPool, CallerSleepsForALongTask) {
    timespec before, after;
    Rendezvous rendezvous(2);
    PoolExecutor(2).run(2, [&](int64_t i) {
        rendezvous.meet();
        if (i == 1) std::this_thread::sleep_for(std::chrono::milliseconds(200));
        if (i == 0) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    });
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    const double used = static_cast<double>(after.tv_sec - before.tv_sec) +
                        static_cast<double>(after.tv_nsec - before.tv_nsec) * 1e-9;
    EXPECT_LT(used, 0.05) << "seconds of CPU time spent waiting";
}

TEST(ThreadPool, IdleWorkersSleep) {
    expect_each_once(8, 8);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const clock_t before = clock();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_LT(static_cast<double>(clock() - before) / CLOCKS_PER_SEC, 0.1)
        << "seconds of CPU time spent idling";
    expect_each_once(8, 8);
}

// Workers that slept through 2^24 or 2^32 loops must not take the next one for the last they saw.
TEST(ThreadPool, WorkersWakeAfterAnyNumberOfLoops) {
    for (const uint64_t cycle : {uint64_t{1} << 24, uint64_t{1} << 32}) {
        expect_each_once(4, 4);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        skip_pool_loops(cycle - 1);
        expect_each_once(4, 4);
    }
}

TEST(ThreadPool, WorkersLeaveTheHostsSignalsAlone) {
    std::atomic<int> blocked{0}, crashes_blocked{0};
    Rendezvous rendezvous(2);
    PoolExecutor(2).run(2, [&](int64_t i) {
        rendezvous.meet();
        sigset_t mask;
        pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        if (i == 0) return;
        blocked = sigismember(&mask, SIGUSR1) + sigismember(&mask, SIGINT);
        crashes_blocked = sigismember(&mask, SIGSEGV);
    });
    EXPECT_EQ(blocked, 2);
    EXPECT_EQ(crashes_blocked, 0);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    EXPECT_EQ(sigismember(&mask, SIGUSR1), 0) << "the caller's own mask changed";
}

TEST(DefaultThreadCount, IsTheLesserOfOmpNumThreadsAndCpus) {
    const char* const set_by_host = std::getenv("OMP_NUM_THREADS");
    const std::string saved = set_by_host ? set_by_host : "";
    const int cpus = std::min(allowed_cpus(), kMaxThreads);

    unsetenv("OMP_NUM_THREADS");
    EXPECT_EQ(default_thread_count(), cpus);
    struct Row {
        const char* text;
        int expected;
    };
    for (const Row& row : {Row{"1", 1}, Row{"1,4", 1}, Row{" 1 ", 1}, Row{"100000", cpus},
                           Row{"99999999999999999999", cpus}, Row{"", cpus}, Row{"0", cpus},
                           Row{"-1", cpus}, Row{"one", cpus}, Row{"1x", cpus}}) {
        setenv("OMP_NUM_THREADS", row.text, 1);
        EXPECT_EQ(default_thread_count(), row.expected) << '"' << row.text << '"';
    }

    if (set_by_host) {
        setenv("OMP_NUM_THREADS", saved.c_str(), 1);
    } else {
        unsetenv("OMP_NUM_THREADS");
    }
}

}  // namespace
}  // namespace fp6llm
