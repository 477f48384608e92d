// Multiplying on a GPU: plans are pure host code, run_gemm() enqueues.
#pragma once

#include <vector>

#include "core/device/queue.hpp"
#include "core/gemm/cuda/plan.hpp"
#include "core/gemm/device_problem.hpp"

namespace fp6llm::cuda {

/// Name of a plan's kernel; static.
const char* kernel_name(const TilePlan& plan) noexcept;

/// Device memory of one call. A stream has its own, so calls on it follow each other in it.
struct GemmScratch {
    void* workspace;  ///< needed_workspace(), 64-byte aligned; contents unspecified
    void* locks;      ///< plan.lock_bytes, 256-byte aligned; never the caller's
};

/// Plans for a problem on a device, best first. Empty if there is none.
std::vector<TilePlan> plan_gemm(const DeviceProperties& device, const DeviceGemmProblem& problem);

/// The plan of one `algo` (-1 = the first). Allocates nothing. Throws INVALID_VALUE for an unknown
/// algo, NOT_SUPPORTED, saying what is supported, for a compute type or algo that cannot run it.
TilePlan choose_plan(const DeviceProperties& device, const DeviceGemmProblem& problem,
                     int32_t algo);

/// What a call with these activations needs of plan.workspace_bytes(): less if the kernel can copy them
/// as they are, so that a prefill does not have to hold a second copy of its tokens.
size_t needed_workspace(const TilePlan& plan, const DeviceGemmProblem& problem,
                        const TokenSource& x);

/// Enqueues a plan. Allocates nothing, synchronizes nothing, and may be captured. alpha and beta are
/// y's, or the device memory that `scalars` points to.
void run_gemm(const Queue& queue, const TilePlan& plan, const DeviceGemmProblem& problem,
              const TokenSource& x, const OutputSink& y, const DeviceScalars& scalars,
              const GemmScratch& scratch);

}  // namespace fp6llm::cuda
