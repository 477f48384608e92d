// Choosing how to run a multiplication: pure host code, testable anywhere.
#pragma once

#include <vector>

#include "core/common/work_split.hpp"
#include "core/gemm/cpu/kernel.hpp"
#include "core/gemm/problem.hpp"

namespace fp6llm {

constexpr int32_t kAlgoDefault = -1;
constexpr int32_t kAlgoReference = 0;
constexpr int32_t kAlgoTransposed = 1;

/// How to run one multiplication, and what it needs.
struct GemmPlan {
    int32_t algo;
    const char* name;             ///< kernel name
    const CpuKernelSet* set;      ///< nullptr for the reference
    const CpuGemmKernel* kernel;  ///< nullptr for the reference and the transposed product
    int64_t token_block;          ///< tokens packed at a time
    int64_t call_tokens;          ///< of those, the most that the kernel multiplies at a time
    int threads;                  ///< that share a block; 1 when the work is too small to share
    SplitK split_k;               ///< how k is cut
    size_t workspace_bytes;       ///< packed activations, factors, per-thread scratch
};

/// Plans for a problem, best first; the reference last. `isa` is what may be used, `threads` the
/// most. Empty if the compute type is not offered for it.
std::vector<GemmPlan> plan_gemm(const GemmProblem& problem, Isa isa, int threads);

/// The plan of one `algo` (kAlgoDefault = the first). Allocates nothing. Throws INVALID_VALUE for
/// an unknown algo, NOT_SUPPORTED, saying what is supported, for a compute type or algo that cannot
/// run it.
GemmPlan choose_plan(const GemmProblem& problem, int32_t algo, Isa isa, int threads);

/// Whether a kernel keeps what the problem's compute type promises and reads its group size.
bool kernel_can_run(const CpuGemmKernel& kernel, const GemmProblem& problem);

/// The plan that runs `kernel` of `set`, which must be able to, whatever the rules prefer; with
/// nullptr the transposed product. choose_plan ends here; tests drive every kernel through it.
GemmPlan make_plan(const GemmProblem& problem, const CpuKernelSet& set, const CpuGemmKernel* kernel,
                   int threads);

/// Runs a plan. `workspace` is 64-byte aligned, of plan.workspace_bytes. Allocates nothing but what
/// the reference path does.
void run_gemm(const GemmPlan& plan, const GemmProblem& problem, const TokenSource& x,
              const OutputSink& y, uint8_t* workspace, Executor& executor);

/// What is left where there is no product (k or alpha is 0): the epilogue of a zero sum.
void run_epilogue(OutputSink y, int64_t outputs, int64_t tokens);

/// The oracle: products and sums in fp64 in plain order, straight from codes; slow; always built.
void reference_gemm(const GemmProblem& problem, const TokenSource& x, const OutputSink& y,
                    Executor& executor);

}  // namespace fp6llm
