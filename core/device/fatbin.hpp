// Fatbins embedded in the library: cubins and PTX of one .cu file, made by fp6llm_add_cuda_sources()
// of cmake/Fp6llmCuda.cmake. Needs no CUDA header.
//
// A file core/gemm/cuda/sm80_gemm.cu, added under the name gemm, is
//     FP6LLM_DECLARE_FATBIN(gemm_sm80_gemm);     at namespace scope, anywhere
//     fp6llm::cuda::fatbin_gemm_sm80_gemm        from then on
#pragma once

#include <cstddef>

namespace fp6llm::cuda {

struct Fatbin {
    const char* name;
    const unsigned char* begin;  ///< 64-byte aligned; what cuModuleLoadData() and its like take
    const unsigned char* end;

    size_t size() const noexcept { return static_cast<size_t>(end - begin); }
    /// Whether it was compiled for none of the architectures that this build was configured for.
    bool empty() const noexcept { return begin == end; }
};

/// All fatbins of the library (those of tests are not among them); in builds without CUDA, none.
struct FatbinList {
    const Fatbin* const* first;
    const Fatbin* const* last;
    const Fatbin* const* begin() const noexcept { return first; }
    const Fatbin* const* end() const noexcept { return last; }
};
FatbinList all_fatbins() noexcept;

}  // namespace fp6llm::cuda

#define FP6LLM_DECLARE_FATBIN(name)    \
    namespace fp6llm::cuda {           \
    extern const Fatbin fatbin_##name; \
    }                                  \
    static_assert(true, "takes the semicolon")
