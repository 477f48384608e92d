// Intel's MKL: cblas_sgemm, cblas_sgemv for one token, on fp32 weights. It runs on GNU's OpenMP here,
// as the other peers do, so that one pool of threads serves all.
#include <cstdlib>
#include <stdexcept>

#include "tests/bench/peer.hpp"

namespace fp6llm::bench {
namespace {

constexpr int kRowMajor = 101, kPlain = 111, kTransposed = 112;  // cblas.h

struct Mkl {
    void (*sgemm)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                  const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc);
    void (*sgemv)(int order, int trans, int m, int n, float alpha, const float* a, int lda,
                  const float* x, int incx, float beta, float* y, int incy);
    void (*set_num_threads)(int threads);
    void (*set_dynamic)(int flag);
    void (*get_version_string)(char* text, int bytes);
};

class MklMatrix final : public PeerMatrix {
  public:
    MklMatrix(const Mkl& mkl, const Shape& shape, const float* w, size_t total)
        : mkl_(mkl),
          rows_(static_cast<int>(shape.rows)),
          cols_(static_cast<int>(shape.cols)),
          weights_(w, static_cast<size_t>(shape.rows * shape.cols) * sizeof(float), total) {}

    std::function<void(int64_t)> product(float* x, float* y, int64_t tokens, int threads) override {
        mkl_.set_num_threads(threads);
        return [this, x, y, t = static_cast<int>(tokens)](int64_t call) {
            const auto* w = reinterpret_cast<const float*>(weights_.copy(call));
            if (t == 1) {
                mkl_.sgemv(kRowMajor, kPlain, rows_, cols_, 1.0f, w, cols_, x, 1, 0.0f, y, 1);
            } else {
                mkl_.sgemm(kRowMajor, kPlain, kTransposed, t, rows_, cols_, 1.0f, x, cols_, w,
                           cols_, 0.0f, y, rows_);
            }
        };
    }
    double bytes() const override { return static_cast<double>(weights_.bytes()); }

  private:
    const Mkl& mkl_;
    int rows_, cols_;
    Copies weights_;
};

}  // namespace

Peer open_mkl(const std::string& folder) {
    // It reads these when it is opened, and looks for the OpenMP library among what is open.
    setenv("MKL_THREADING_LAYER", "GNU", 1);
    setenv("MKL_INTERFACE_LAYER", "LP64", 1);
    unsetenv("MKL_NUM_THREADS");
    open_library("libgomp.so.1", true);
    void* library = open_library(folder + "/libmkl_rt.so.3", true);
    auto mkl = std::make_shared<Mkl>();
    find_function(library, "cblas_sgemm", mkl->sgemm);
    find_function(library, "cblas_sgemv", mkl->sgemv);
    find_function(library, "MKL_Set_Num_Threads", mkl->set_num_threads);
    find_function(library, "MKL_Set_Dynamic", mkl->set_dynamic);
    find_function(library, "MKL_Get_Version_String", mkl->get_version_string);
    mkl->set_dynamic(0);
    char text[256] = "";
    mkl->get_version_string(text, sizeof text);
    // "Intel(R) oneAPI Math Kernel Library Version 2026.2-Product Build ... for ... applications"
    std::string version = text;
    const size_t at = version.find("Version ");
    version = at == std::string::npos ? version : version.substr(at + 8);
    version = version.substr(0, version.find_first_of("- "));
    const auto load = [mkl](const Shape& shape, const float* w, size_t total) {
        return std::make_unique<MklMatrix>(*mkl, shape, w, total);
    };
    // Sums in fp32 of every shape's columns.
    return {"MKL " + version, {{"MKL sgemm", 1e-4, load}}};
}

}  // namespace fp6llm::bench
