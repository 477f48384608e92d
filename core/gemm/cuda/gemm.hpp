// Multiplying on a GPU: plans are pure host code, run_gemm() enqueues.
#pragma once

#include <vector>

#include "core/device/queue.hpp"
#include "core/gemm/device_problem.hpp"

namespace fp6llm::cuda {

/// How to run one multiplication, and what it needs.
struct GemmPlan {
    int32_t algo;
    const char* name;        ///< kernel name; static
    size_t workspace_bytes;  ///< the most that a call needs; see needed_workspace()
    size_t packed_bytes;     ///< of these, for activations that cannot be copied as they are
    size_t lock_bytes;       ///< counters and locks: zero before and after each kernel
    bool is_reference;
};

/// Device memory of one call. A stream has its own, so calls on it follow each other in it.
struct GemmScratch {
    void* workspace;  ///< needed_workspace(), 64-byte aligned; contents unspecified
    void* locks;      ///< plan.lock_bytes, 256-byte aligned; never the caller's
};

/// Plans for a problem on a device, best first. Empty if there is none.
std::vector<GemmPlan> plan_gemm(const DeviceProperties& device, const DeviceGemmProblem& problem);

/// The plan of one `algo` (-1 = the first). Allocates nothing. Throws INVALID_VALUE for an unknown
/// algo, NOT_SUPPORTED, saying what is supported, for a compute type or algo that cannot run it.
GemmPlan choose_plan(const DeviceProperties& device, const DeviceGemmProblem& problem,
                     int32_t algo);

/// What a call with these activations needs of plan.workspace_bytes: less if the kernel can copy them
/// as they are, so that a prefill does not have to hold a second copy of its tokens.
size_t needed_workspace(const GemmPlan& plan, const DeviceGemmProblem& problem,
                        const TokenSource& x);

/// Enqueues a plan. Allocates nothing, synchronizes nothing, and may be captured. alpha and beta are
/// y's, or the device memory that `scalars` points to.
void run_gemm(const Queue& queue, const GemmPlan& plan, const DeviceGemmProblem& problem,
              const TokenSource& x, const OutputSink& y, const DeviceScalars& scalars,
              const GemmScratch& scratch);

}  // namespace fp6llm::cuda
