// The epilogue alone: y = act(beta * y + bias) + residual.
#include "core/common/fp_env.hpp"
#include "core/gemm/plan.hpp"

namespace fp6llm {

void run_epilogue(const OutputSink& y, int64_t outputs, int64_t tokens) {
    constexpr int64_t kChunk = 256;
    const float zeros[kChunk] = {};
    const FpEnvGuard fp_env;
    for (int64_t token = 0; token < tokens; ++token) {
        for (int64_t row = 0; row < outputs; row += kChunk) {
            const int64_t rows = outputs - row < kChunk ? outputs - row : kChunk;
            portable_kernels()->store(y, zeros, kChunk, row, rows, token, 1);
        }
    }
}

}  // namespace fp6llm
