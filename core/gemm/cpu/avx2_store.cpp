// The epilogue of store_impl.hpp with AVX2 and F16C.
#include "core/gemm/cpu/avx2.hpp"
#include "core/gemm/cpu/store_impl.hpp"

namespace fp6llm::avx2 {

void store(const OutputSink& out, const KernelSums& sums, int64_t row, int64_t rows, int64_t token,
           int64_t tokens) {
    store_sums(out, sums, row, rows, token, tokens);
}

}  // namespace fp6llm::avx2
