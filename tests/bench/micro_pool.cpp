// What sharing a loop costs: parts of 1 to 100 us on the pool and, beside it, one after the other on
// the caller. Workers that still spin from the loop before, as in a model's layers, and workers that
// have gone to sleep in a pause.
#include <benchmark/benchmark.h>

#include <chrono>
#include <thread>

#include "core/common/thread_pool.hpp"

namespace fp6llm {
namespace {

using Clock = std::chrono::steady_clock;

void work(std::chrono::microseconds time) {
    const Clock::time_point end = Clock::now() + time;
    while (Clock::now() < end) {
    }
}

/// Arguments: threads, length of a part, pause before each loop; both in microseconds.
void run_loops(benchmark::State& state, Executor& executor) {
    const int64_t parts = state.range(0);
    const std::chrono::microseconds length(state.range(1)), pause(state.range(2));
    for (auto _ : state) {
        if (pause.count() > 0) std::this_thread::sleep_for(pause);
        const Clock::time_point begin = Clock::now();
        executor.run(parts, [&](int64_t) { work(length); });
        state.SetIterationTime(std::chrono::duration<double>(Clock::now() - begin).count());
    }
}

void BM_OnThePool(benchmark::State& state) {
    PoolExecutor pool(static_cast<int>(state.range(0)));
    run_loops(state, pool);
}
void BM_OnTheCaller(benchmark::State& state) {
    SerialExecutor serial;
    run_loops(state, serial);
}

void arguments(benchmark::internal::Benchmark* bench) {
    const auto cpus = static_cast<int64_t>(default_thread_count());
    bench->UseManualTime()->ArgNames({"threads", "us", "pause"});
    for (int64_t threads = 2; threads <= cpus; threads *= 2) {
        for (const int64_t pause : {0, 400}) {
            for (const int64_t us : {1, 10, 100})
                bench->Args({threads, us, pause});
        }
    }
}
BENCHMARK(BM_OnThePool)->Apply(arguments);
BENCHMARK(BM_OnTheCaller)->Apply(arguments);

}  // namespace
}  // namespace fp6llm
