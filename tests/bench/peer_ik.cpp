// ik_llama.cpp's fork of ggml: 6-bit weights in its own kernels, Q6_K as it comes and the layouts of four
// interleaved rows that its model converter makes. No package has it: whoever wants it here builds it
// (docs/benchmark.md) and names the folder. Activations become int8 inside.
#include <dlfcn.h>

#include <cstring>
#include <stdexcept>

#include "tests/bench/peer.hpp"
#include "tests/bench/peer_ggml_api.hpp"

namespace fp6llm::bench {
namespace {

// ggml.h of the fork: types by number.
constexpr int kF32 = 0, kQ6_K = 14, kQ6_K_R4 = 214, kQ6_0_R4 = 233;

struct ComputePlan {
    size_t work_bytes;
    uint8_t* work;
    int threads;
    bool (*abort)(void* user);
    void* abort_user;
    bool prefetch_experts;
};

struct Ik : GgmlApi {
    void* (*get_data)(const void* tensor);
    ComputePlan (*graph_plan)(const void* graph, int threads);
    int (*graph_compute)(void* graph, ComputePlan* plan);
    size_t (*quantize_chunk)(int type, const float* from, void* to, int64_t start, int64_t rows,
                             int64_t cols, const float* importance, const void* options);

    size_t data_offset = 0;  // of a tensor's pointer to its data
};

void find_all(void* library, Ik& ik) {
    find_function(library, "ggml_get_data", ik.get_data);
    find_function(library, "ggml_graph_plan", ik.graph_plan);
    find_function(library, "ggml_graph_compute", ik.graph_compute);
    find_function(library, "ggml_quantize_chunk", ik.quantize_chunk);
}

// Where a tensor keeps the pointer to its data: no function sets it.
size_t find_data(const Ik& ik) {
    const GgmlContext context(ik, 1, 0, /*data_bytes=*/1024);
    const void* tensor = context.matrix(kF32, 16, 1);
    const void* data = ik.get_data(tensor);
    for (size_t offset = 0; offset + sizeof data <= ik.tensor_overhead(); offset += sizeof data) {
        if (std::memcmp(static_cast<const uint8_t*>(tensor) + offset, &data, sizeof data) == 0) {
            return offset;
        }
    }
    throw std::runtime_error("its tensors hide where their data are");
}

std::vector<uint8_t> quantize(const Ik& ik, int type, const Shape& shape, const float* w) {
    const int64_t block = ik.block_size(type);
    if (shape.cols % block != 0 || shape.rows % 4 != 0) {
        throw std::runtime_error("its columns come in blocks of " + std::to_string(block) +
                                 ", rows in fours");
    }
    std::vector<uint8_t> bytes(ik.row_size(type, shape.cols) * static_cast<size_t>(shape.rows));
    ik.quantize_chunk(type, w, bytes.data(), 0, shape.rows, shape.cols, nullptr, nullptr);
    return bytes;
}

class IkMatrix final : public PeerMatrix {
  public:
    IkMatrix(const Ik& ik, int type, const Shape& shape, const std::vector<uint8_t>& quantized,
             size_t total)
        : ik_(ik),
          type_(type),
          shape_(shape),
          weights_(quantized.data(), quantized.size(), total) {}

    std::function<void(int64_t)> product(float* x, float* y, int64_t tokens, int threads) override {
        graphs_.clear();
        const size_t count = static_cast<size_t>(weights_.count());
        context_ = std::make_unique<GgmlContext>(ik_, 2 * count + 1, count);
        void* input = place(context_->matrix(kF32, shape_.cols, tokens), x);
        for (size_t i = 0; i < count; ++i) {
            void* w = place(context_->matrix(type_, shape_.cols, shape_.rows),
                            weights_.copy(static_cast<int64_t>(i)));
            graphs_.push_back(context_->graph(place(context_->multiply(w, input), y)));
        }
        plan_ = ik_.graph_plan(graphs_[0], threads);
        work_.resize(plan_.work_bytes);
        plan_.work = work_.data();
        return [this](int64_t call) {
            void* graph = graphs_[static_cast<size_t>(call) % graphs_.size()];
            if (ik_.graph_compute(graph, &plan_) != 0) {
                throw std::runtime_error("ggml_graph_compute failed");
            }
        };
    }

    double bytes() const override { return static_cast<double>(weights_.bytes()); }

  private:
    void* place(void* tensor, const void* data) const {
        std::memcpy(static_cast<uint8_t*>(tensor) + ik_.data_offset, &data, sizeof data);
        return tensor;
    }

    const Ik& ik_;
    int type_;
    Shape shape_;
    Copies weights_;
    std::unique_ptr<GgmlContext> context_;
    std::vector<void*> graphs_;
    ComputePlan plan_{};
    std::vector<uint8_t> work_;
};

PeerMethod method(const std::shared_ptr<Ik>& ik, int type, const std::string& name) {
    // As for ggml's Q6_K: 6-bit weights, int8 activations.
    return {name, 0.16, [ik, type](const Shape& shape, const float* w, size_t total) {
                return std::make_unique<IkMatrix>(*ik, type, shape, quantize(*ik, type, shape, w),
                                                  total);
            }};
}

}  // namespace

Peer open_ik(const std::string& folder) {
    void* library = open_library(folder + "/libggml.so");
    if (!dlsym(library, "iqk_mul_mat")) throw std::runtime_error("libggml.so is not the fork's");
    auto ik = std::make_shared<Ik>();
    open_ggml_api(library,
                  {{kF32, "f32"}, {kQ6_K, "q6_K"}, {kQ6_K_R4, "q6_k_r4"}, {kQ6_0_R4, "q6_0_r4"}},
                  *ik);
    find_all(library, *ik);
    ik->data_offset = find_data(*ik);
    return {"ik_llama.cpp",
            {method(ik, kQ6_K, "ik Q6_K"), method(ik, kQ6_K_R4, "ik Q6_K_R4"),
             method(ik, kQ6_0_R4, "ik Q6_0_R4")}};
}

}  // namespace fp6llm::bench
