// See cublas.hpp.
#include "tests/bench/gpu/cublas.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <stdexcept>

namespace fp6llm::bench {
namespace {

using Handle = void*;
using MatmulDesc = void*;
using MatrixLayout = void*;
using Preference = void*;
using Status = int;

constexpr int kOpN = 0, kOpT = 1, kCompute32F = 68, kR32F = 0;
constexpr int kDescTransA = 3, kDescTransB = 4;  // cublasLtMatmulDescAttributes_t
constexpr int kPreferenceWorkspace = 1;          // cublasLtMatmulPreferenceAttributes_t

struct Algo {
    uint64_t data[8];
};
struct HeuristicResult {
    Algo algo;
    size_t workspace_bytes;
    Status state;
    float waves;
    int reserved[4];
};
static_assert(sizeof(HeuristicResult) == 96);

void check(Status status, const char* call) {
    if (status != 0)
        throw std::runtime_error(std::string(call) + ": cublasStatus_t " + std::to_string(status));
}

}  // namespace

struct CublasLt::Functions {
    Status (*Create)(Handle*);
    Status (*Destroy)(Handle);
    size_t (*GetVersion)();
    Status (*MatmulDescCreate)(MatmulDesc*, int compute_type, int scale_type);
    Status (*MatmulDescDestroy)(MatmulDesc);
    Status (*MatmulDescSetAttribute)(MatmulDesc, int attribute, const void*, size_t);
    Status (*MatrixLayoutCreate)(MatrixLayout*, int type, uint64_t rows, uint64_t cols, int64_t ld);
    Status (*MatrixLayoutDestroy)(MatrixLayout);
    Status (*MatmulPreferenceCreate)(Preference*);
    Status (*MatmulPreferenceDestroy)(Preference);
    Status (*MatmulPreferenceSetAttribute)(Preference, int attribute, const void*, size_t);
    Status (*MatmulAlgoGetHeuristic)(Handle, MatmulDesc, MatrixLayout a, MatrixLayout b,
                                     MatrixLayout c, MatrixLayout d, Preference, int requested,
                                     HeuristicResult*, int* returned);
    Status (*Matmul)(Handle, MatmulDesc, const void* alpha, const void* a, MatrixLayout,
                     const void* b, MatrixLayout, const void* beta, const void* c, MatrixLayout,
                     void* d, MatrixLayout, const Algo*, void* workspace, size_t, CUstream);
};

struct DenseProduct::Plan {
    const CublasLt::Functions* functions;
    Handle handle;
    MatmulDesc desc = nullptr;
    MatrixLayout a = nullptr, b = nullptr, d = nullptr;
    Algo algo{};
    void* workspace = nullptr;
    size_t workspace_bytes = 0;
    int index = 0;

    ~Plan() {
        for (const MatrixLayout layout : {a, b, d})
            if (layout != nullptr) functions->MatrixLayoutDestroy(layout);
        if (desc != nullptr) functions->MatmulDescDestroy(desc);
    }
};

std::unique_ptr<CublasLt> CublasLt::load(std::string* why) {
    const char* named = std::getenv("FP6LLM_CUBLASLT");
    void* library = nullptr;
    for (const char* name : {named, "libcublasLt.so.13", "libcublasLt.so.12"}) {
        if (name == nullptr || library != nullptr) continue;
        library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        if (name == named) break;
    }
    if (library == nullptr) {
        const char* reason = dlerror();
        *why = reason != nullptr ? reason : "no libcublasLt";
        return nullptr;
    }
    auto functions = std::make_unique<Functions>();
    bool is_complete = true;
    const auto find = [&](const char* name, auto& out) {
        out = reinterpret_cast<std::remove_reference_t<decltype(out)>>(dlsym(library, name));
        is_complete = is_complete && out != nullptr;
    };
    find("cublasLtCreate", functions->Create);
    find("cublasLtDestroy", functions->Destroy);
    find("cublasLtGetVersion", functions->GetVersion);
    find("cublasLtMatmulDescCreate", functions->MatmulDescCreate);
    find("cublasLtMatmulDescDestroy", functions->MatmulDescDestroy);
    find("cublasLtMatmulDescSetAttribute", functions->MatmulDescSetAttribute);
    find("cublasLtMatrixLayoutCreate", functions->MatrixLayoutCreate);
    find("cublasLtMatrixLayoutDestroy", functions->MatrixLayoutDestroy);
    find("cublasLtMatmulPreferenceCreate", functions->MatmulPreferenceCreate);
    find("cublasLtMatmulPreferenceDestroy", functions->MatmulPreferenceDestroy);
    find("cublasLtMatmulPreferenceSetAttribute", functions->MatmulPreferenceSetAttribute);
    find("cublasLtMatmulAlgoGetHeuristic", functions->MatmulAlgoGetHeuristic);
    find("cublasLtMatmul", functions->Matmul);
    if (!is_complete) {
        *why = "libcublasLt lacks functions";
        return nullptr;
    }
    std::unique_ptr<CublasLt> lt(new CublasLt);
    if (const Status status = functions->Create(&lt->handle_); status != 0) {
        *why = "cublasLtCreate: cublasStatus_t " + std::to_string(status);
        lt->handle_ = nullptr;
        return nullptr;
    }
    lt->name_ = "cublasLt " + std::to_string(functions->GetVersion());
    lt->functions_ = std::move(functions);
    return lt;
}

CublasLt::~CublasLt() {
    if (handle_ != nullptr) functions_->Destroy(handle_);
}

std::vector<DenseProduct> CublasLt::proposals(fp6llmDataType_t type, int64_t m, int64_t n,
                                              int64_t k, void* workspace, size_t workspace_bytes,
                                              int count) {
    const Functions& f = *functions_;
    const auto make_plan = [&] {
        auto plan = std::make_unique<DenseProduct::Plan>();
        plan->functions = &f;
        plan->handle = handle_;
        check(f.MatmulDescCreate(&plan->desc, kCompute32F, kR32F), "cublasLtMatmulDescCreate");
        check(f.MatmulDescSetAttribute(plan->desc, kDescTransA, &kOpT, sizeof kOpT), "TRANSA");
        check(f.MatmulDescSetAttribute(plan->desc, kDescTransB, &kOpN, sizeof kOpN), "TRANSB");
        const auto layout = [&](MatrixLayout* out, int64_t rows, int64_t cols) {
            check(f.MatrixLayoutCreate(out, type, static_cast<uint64_t>(rows),
                                       static_cast<uint64_t>(cols), rows),
                  "cublasLtMatrixLayoutCreate");
        };
        layout(&plan->a, k, m);
        layout(&plan->b, k, n);
        layout(&plan->d, m, n);
        plan->workspace = workspace;
        plan->workspace_bytes = workspace_bytes;
        return plan;
    };
    Preference preference = nullptr;
    check(f.MatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    std::vector<HeuristicResult> results(static_cast<size_t>(count));
    int returned = 0;
    {
        const auto probe = make_plan();
        const Status set = f.MatmulPreferenceSetAttribute(preference, kPreferenceWorkspace,
                                                          &workspace_bytes, sizeof workspace_bytes);
        const Status got = set != 0 ? set
                                    : f.MatmulAlgoGetHeuristic(
                                          handle_, probe->desc, probe->a, probe->b, probe->d,
                                          probe->d, preference, count, results.data(), &returned);
        f.MatmulPreferenceDestroy(preference);
        check(got, "cublasLtMatmulAlgoGetHeuristic");
    }
    std::vector<DenseProduct> products;
    for (int i = 0; i < returned; ++i) {
        const HeuristicResult& result = results[static_cast<size_t>(i)];
        if (result.state != 0 || result.workspace_bytes > workspace_bytes) continue;
        auto plan = make_plan();
        plan->algo = result.algo;
        plan->index = i;
        products.push_back(DenseProduct(std::move(plan)));
    }
    return products;
}

DenseProduct::DenseProduct(std::unique_ptr<Plan> plan) : plan_(std::move(plan)) {}
DenseProduct::DenseProduct(DenseProduct&&) noexcept = default;
DenseProduct& DenseProduct::operator=(DenseProduct&&) noexcept = default;
DenseProduct::~DenseProduct() = default;

int DenseProduct::index() const noexcept {
    return plan_->index;
}

void DenseProduct::enqueue(const void* a, const void* b, void* d, CUstream stream) const {
    const float alpha = 1.0f, beta = 0.0f;
    check(plan_->functions->Matmul(plan_->handle, plan_->desc, &alpha, a, plan_->a, b, plan_->b,
                                   &beta, d, plan_->d, d, plan_->d, &plan_->algo, plan_->workspace,
                                   plan_->workspace_bytes, stream),
          "cublasLtMatmul");
}

}  // namespace fp6llm::bench
