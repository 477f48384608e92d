// See openblas.hpp.
#include "examples/common/openblas.hpp"

#include <dlfcn.h>

#include <cstdlib>

namespace fp6llm::examples {
namespace {

// Idle workers give up after 2^20 cycles, a third of a millisecond, instead of 2^26.
constexpr const char* kSpin = "20";

template <typename Function>
bool find(void* library, const char* name, Function& function) noexcept {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
}

bool have_avx512() noexcept {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
    return false;
#endif
}

}  // namespace

std::unique_ptr<OpenBlas> OpenBlas::open(BlasCore core) {
    setenv("OPENBLAS_THREAD_TIMEOUT", kSpin, 1);
    if (core == BlasCore::kBest) {
        unsetenv("OPENBLAS_CORETYPE");
        unsetenv("OPENBLAS_L2_SIZE");
        if (have_avx512()) setenv("OPENBLAS_CORETYPE", "SkylakeX", 1);
    }
    void* library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libopenblas.so", RTLD_NOW | RTLD_LOCAL);
    if (!library) return nullptr;

    std::unique_ptr<OpenBlas> blas(new OpenBlas);
    char* (*get_config)();
    char* (*get_corename)();
    if (!find(library, "cblas_sgemm", blas->sgemm_) ||
        !find(library, "cblas_sgemv", blas->sgemv_) ||
        !find(library, "openblas_set_num_threads", blas->set_num_threads_) ||
        !find(library, "openblas_get_config", get_config) ||
        !find(library, "openblas_get_corename", get_corename)) {
        return nullptr;
    }
    // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..."
    const std::string config = get_config();
    blas->description_ =
        config.substr(0, config.find(' ', config.find(' ') + 1)) + " (" + get_corename() + ")";
    return blas;
}

void OpenBlas::linear(int64_t tokens, int64_t rows, int64_t cols, const float* x, const float* w,
                      float* y) const noexcept {
    constexpr int kRowMajor = 101, kPlain = 111, kTransposed = 112;
    const int t = static_cast<int>(tokens), m = static_cast<int>(rows), k = static_cast<int>(cols);
    if (t == 1) {
        sgemv_(kRowMajor, kPlain, m, k, 1.0f, w, k, x, 1, 0.0f, y, 1);
    } else {
        sgemm_(kRowMajor, kPlain, kTransposed, t, m, k, 1.0f, x, k, w, k, 0.0f, y, m);
    }
}

}  // namespace fp6llm::examples
