#include "core/gemm/cuda/gemm.hpp"

namespace fp6llm::cuda {
namespace {

[[noreturn]] void fail_not_there() {
    fail(Status::kNotSupported, "multiplying on CUDA is not in this version; a CPU handle does it");
}

}  // namespace

std::vector<GemmPlan> plan_gemm(const DeviceProperties&, const DeviceGemmProblem&) {
    return {};
}

GemmPlan choose_plan(const DeviceProperties&, const DeviceGemmProblem&, int32_t) {
    fail_not_there();
}

void run_gemm(const Queue&, const GemmPlan&, const DeviceGemmProblem&, const TokenSource&,
              const OutputSink&, const DeviceScalars&, const GemmScratch&) {
    fail_not_there();
}

}  // namespace fp6llm::cuda
