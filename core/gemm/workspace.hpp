// Where things lie in a multiplication's workspace; each part starts at a multiple of 64 bytes.
// Before each thread's part lies a cache line that nobody writes: processors fetch lines in pairs.
//
//   packed activations of a token block, by segments of k | token factors, by segments
//   | arrivals | per thread: sums, sums of the call that it begins and others end, scratch
#pragma once

#include <atomic>

#include "core/gemm/plan.hpp"

namespace fp6llm {

/// Threads that are through with a call that several share: the last of them stores its sums.
using Arrivals = std::atomic<int32_t>;

/// Offsets and sizes in bytes.
struct WorkspaceLayout {
    size_t segment;  ///< bytes of a segment's packed activations
    size_t factors;
    size_t arrivals;  ///< by thread: of those that share the call it begins, how many are through
    size_t threads;   ///< of thread 0; thread i is at threads + i * thread_bytes
    size_t shared;    ///< within a thread's part: sums of the call that it shares
    size_t scratch;   ///< within a thread's part
    size_t thread_bytes;
    size_t total;
};

/// Where a thread's part may begin after `bytes` of something else.
constexpr size_t next_thread_part(size_t bytes) noexcept {
    return (bytes + 63) / 64 * 64 + 64;
}

/// Layout for plan.kernel, plan.token_block and plan.threads, or for the transposed product.
WorkspaceLayout workspace_layout(const GemmPlan& plan);

/// The transposed product (transposed.cpp), with plan.set's decode_panel and store.
WorkspaceLayout transposed_workspace(const GemmPlan& plan, const GemmProblem& problem);
void run_transposed(const GemmPlan& plan, const GemmProblem& problem, const TokenSource& x,
                    const OutputSink& y, uint8_t* workspace, Executor& executor);
constexpr int64_t kTransposedTokens = 64;  ///< tokens per pass over the weight

/// Runs tasks [0, threads), on the calling thread alone if that is all.
inline void run_threads(Executor& executor, int threads, TaskRef task) {
    if (threads == 1) {
        task(0);
    } else {
        executor.run(threads, task);
    }
}

}  // namespace fp6llm
