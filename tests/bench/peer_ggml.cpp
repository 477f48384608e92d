// ggml, of llama.cpp: Q6_K and Q4_0 weights, multiplied as llama.cpp does it: a graph of one
// ggml_mul_mat on the CPU backend with a thread pool that stays, weights in the layout that the
// backend prefers for them. Activations become int8 inside.
#include <sys/mman.h>

#include <map>
#include <stdexcept>

#include "tests/bench/peer.hpp"
#include "tests/bench/peer_ggml_api.hpp"

namespace fp6llm::bench {
namespace {

// ggml.h: types by number.
constexpr int kF32 = 0, kQ4_0 = 2, kQ6_K = 14;

struct Ggml : GgmlApi {
    const char* (*version)();
    void (*log_set)(void (*log)(int level, const char* text, void* user), void* user);
    size_t (*quantize_chunk)(int type, const float* from, void* to, int64_t start, int64_t rows,
                             int64_t cols, const float* importance);
    void (*threadpool_params_init)(void* params, int threads);
    void* (*threadpool_new)(void* params);

    void* (*backend_cpu_init)();
    void (*backend_cpu_set_n_threads)(void* backend, int threads);
    void (*backend_cpu_set_threadpool)(void* backend, void* pool);
    void* (*backend_get_device)(void* backend);
    void* (*backend_dev_backend_reg)(void* device);
    void* (*backend_reg_get_proc_address)(void* reg, const char* name);
    bool (*backend_dev_supports_op)(void* device, const void* op);
    int (*backend_graph_compute)(void* backend, void* graph);
    void* (*backend_cpu_buffer_type)();
    const char* (*backend_buft_name)(void* type);
    size_t (*backend_buft_get_alignment)(void* type);
    size_t (*backend_buft_get_alloc_size)(void* type, const void* tensor);
    void* (*backend_buft_alloc_buffer)(void* type, size_t bytes);
    void* (*backend_cpu_buffer_from_ptr)(void* data, size_t bytes);
    void* (*backend_buffer_get_base)(void* buffer);
    void (*backend_buffer_free)(void* buffer);
    int (*backend_tensor_alloc)(void* buffer, void* tensor, void* data);
    void (*backend_tensor_set)(void* tensor, const void* data, size_t offset, size_t bytes);

    void* backend = nullptr;
    void* device = nullptr;
    std::vector<void*> weight_buffers{};  // types, the preferred first
    std::map<int, void*> pools{};         // by threads; they stay, as they do in llama.cpp
};

void find_all(void* library, Ggml& ggml) {
    find_function(library, "ggml_version", ggml.version);
    find_function(library, "ggml_log_set", ggml.log_set);
    find_function(library, "ggml_quantize_chunk", ggml.quantize_chunk);
    find_function(library, "ggml_threadpool_params_init", ggml.threadpool_params_init);
    find_function(library, "ggml_threadpool_new", ggml.threadpool_new);
    find_function(library, "ggml_backend_cpu_init", ggml.backend_cpu_init);
    find_function(library, "ggml_backend_cpu_set_n_threads", ggml.backend_cpu_set_n_threads);
    find_function(library, "ggml_backend_cpu_set_threadpool", ggml.backend_cpu_set_threadpool);
    find_function(library, "ggml_backend_get_device", ggml.backend_get_device);
    find_function(library, "ggml_backend_dev_backend_reg", ggml.backend_dev_backend_reg);
    find_function(library, "ggml_backend_reg_get_proc_address", ggml.backend_reg_get_proc_address);
    find_function(library, "ggml_backend_dev_supports_op", ggml.backend_dev_supports_op);
    find_function(library, "ggml_backend_graph_compute", ggml.backend_graph_compute);
    find_function(library, "ggml_backend_cpu_buffer_type", ggml.backend_cpu_buffer_type);
    find_function(library, "ggml_backend_buft_name", ggml.backend_buft_name);
    find_function(library, "ggml_backend_buft_get_alignment", ggml.backend_buft_get_alignment);
    find_function(library, "ggml_backend_buft_get_alloc_size", ggml.backend_buft_get_alloc_size);
    find_function(library, "ggml_backend_buft_alloc_buffer", ggml.backend_buft_alloc_buffer);
    find_function(library, "ggml_backend_cpu_buffer_from_ptr", ggml.backend_cpu_buffer_from_ptr);
    find_function(library, "ggml_backend_buffer_get_base", ggml.backend_buffer_get_base);
    find_function(library, "ggml_backend_buffer_free", ggml.backend_buffer_free);
    find_function(library, "ggml_backend_tensor_alloc", ggml.backend_tensor_alloc);
    find_function(library, "ggml_backend_tensor_set", ggml.backend_tensor_set);
}

void use_threads(Ggml& ggml, int threads) {
    void*& pool = ggml.pools[threads];
    if (!pool) {
        alignas(16) uint8_t params[8192] = {};  // ggml_threadpool_params takes some 0.5 KiB
        ggml.threadpool_params_init(params, threads);
        pool = ggml.threadpool_new(params);
        if (!pool) throw std::runtime_error("no ggml thread pool");
    }
    ggml.backend_cpu_set_threadpool(ggml.backend, pool);
    ggml.backend_cpu_set_n_threads(ggml.backend, threads);
}

struct Buffer {
    Buffer(const Ggml& library, void* from) : ggml(library), buffer(from) {
        if (!buffer) throw std::runtime_error("ggml has no memory");
    }
    ~Buffer() { ggml.backend_buffer_free(buffer); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    const Ggml& ggml;
    void* buffer;
};

class GgmlMatrix final : public PeerMatrix {
  public:
    GgmlMatrix(Ggml& ggml, int type, const Shape& shape, const float* w, size_t total)
        : ggml_(ggml), type_(type), shape_(shape) {
        const int64_t block = ggml.block_size(type);
        if (shape.cols % block != 0) {
            throw std::runtime_error("its columns come in blocks of " + std::to_string(block));
        }
        buffer_type_ = preferred_buffer();
        bytes_ = ggml.row_size(type, shape.cols) * static_cast<size_t>(shape.rows);
        const size_t count = (total + bytes_ - 1) / bytes_;
        weights_context_ = std::make_unique<GgmlContext>(ggml, count, 0);
        for (size_t i = 0; i < count; ++i)
            weights_.push_back(weights_context_->matrix(type, shape.cols, shape.rows));

        const size_t alignment = ggml.backend_buft_get_alignment(buffer_type_);
        const size_t allocated = ggml.backend_buft_get_alloc_size(buffer_type_, weights_[0]);
        const size_t stride = (allocated + alignment - 1) / alignment * alignment + 64;
        memory_ = std::make_unique<Buffer>(
            ggml, ggml.backend_buft_alloc_buffer(buffer_type_, stride * count));
        auto* base = static_cast<uint8_t*>(ggml.backend_buffer_get_base(memory_->buffer));
        take_huge_pages(base, stride * count);
        std::vector<uint8_t> quantized(bytes_);
        ggml.quantize_chunk(type, w, quantized.data(), 0, shape.rows, shape.cols, nullptr);
        for (size_t i = 0; i < count; ++i) {
            ggml.backend_tensor_alloc(memory_->buffer, weights_[i], base + i * stride);
            ggml.backend_tensor_set(weights_[i], quantized.data(), 0, bytes_);
        }
    }

    std::function<void(int64_t)> product(float* x, float* y, int64_t tokens, int threads) override {
        graphs_.clear();
        const size_t count = weights_.size();
        context_ = std::make_unique<GgmlContext>(ggml_, count + 1, count);
        const size_t x_bytes = static_cast<size_t>(tokens * shape_.cols) * sizeof(float);
        const size_t y_bytes = static_cast<size_t>(tokens * shape_.rows) * sizeof(float);
        x_ = std::make_unique<Buffer>(ggml_, ggml_.backend_cpu_buffer_from_ptr(x, x_bytes));
        y_ = std::make_unique<Buffer>(ggml_, ggml_.backend_cpu_buffer_from_ptr(y, y_bytes));
        void* input = context_->matrix(kF32, shape_.cols, tokens);
        ggml_.backend_tensor_alloc(x_->buffer, input, x);
        for (void* weight : weights_) {
            void* result = context_->multiply(weight, input);
            ggml_.backend_tensor_alloc(y_->buffer, result, y);
            graphs_.push_back(context_->graph(result));
        }
        use_threads(ggml_, threads);
        return [this](int64_t call) {
            void* graph = graphs_[static_cast<size_t>(call) % graphs_.size()];
            if (ggml_.backend_graph_compute(ggml_.backend, graph) != 0) {
                throw std::runtime_error("ggml_backend_graph_compute failed");
            }
        };
    }

    double bytes() const override { return static_cast<double>(bytes_); }
    std::string kernel() const override { return ggml_.backend_buft_name(buffer_type_); }

  private:
    // The first buffer type whose layout the backend multiplies such a weight from.
    void* preferred_buffer() const {
        for (void* type : ggml_.weight_buffers) {
            const GgmlContext context(ggml_, 3, 0);
            void* w = context.matrix(type_, shape_.cols, shape_.rows);
            void* x = context.matrix(kF32, shape_.cols, 1);
            void* result = context.multiply(w, x);
            const Buffer memory(ggml_, ggml_.backend_buft_alloc_buffer(
                                           type, ggml_.backend_buft_get_alloc_size(type, w)));
            ggml_.backend_tensor_alloc(memory.buffer, w,
                                       ggml_.backend_buffer_get_base(memory.buffer));
            if (ggml_.backend_dev_supports_op(ggml_.device, result)) return type;
        }
        throw std::runtime_error("ggml multiplies no such weight");
    }

    // Whole huge pages inside the allocation, before anything is written to them.
    static void take_huge_pages(uint8_t* base, size_t bytes) {
        constexpr uintptr_t kPage = 4096;
        const auto first = (reinterpret_cast<uintptr_t>(base) + kPage - 1) / kPage * kPage;
        const auto last = (reinterpret_cast<uintptr_t>(base) + bytes) / kPage * kPage;
        if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
    }

    Ggml& ggml_;
    int type_;
    Shape shape_;
    void* buffer_type_ = nullptr;
    size_t bytes_ = 0;
    std::unique_ptr<GgmlContext> weights_context_;
    std::vector<void*> weights_;
    std::unique_ptr<Buffer> memory_, x_, y_;
    std::unique_ptr<GgmlContext> context_;
    std::vector<void*> graphs_;
};

PeerMethod method(const std::shared_ptr<Ggml>& ggml, int type, const std::string& name,
                  double tolerance) {
    return {name, tolerance, [ggml, type](const Shape& shape, const float* w, size_t total) {
                return std::make_unique<GgmlMatrix>(*ggml, type, shape, w, total);
            }};
}

}  // namespace

Peer open_ggml(const std::string& folder) {
    void* library = open_library(folder + "/libggml-cpu.so");
    auto ggml = std::make_shared<Ggml>();
    open_ggml_api(library, {{kF32, "f32"}, {kQ4_0, "q4_0"}, {kQ6_K, "q6_K"}}, *ggml);
    find_all(library, *ggml);
    ggml->log_set([](int, const char*, void*) {}, nullptr);
    ggml->backend = ggml->backend_cpu_init();
    if (!ggml->backend) throw std::runtime_error("ggml has no CPU backend");
    ggml->device = ggml->backend_get_device(ggml->backend);
    void* reg = ggml->backend_dev_backend_reg(ggml->device);
    void** (*extra_buffers)(void* device) = reinterpret_cast<void** (*)(void*)>(
        ggml->backend_reg_get_proc_address(reg, "ggml_backend_dev_get_extra_bufts"));
    for (void** type = extra_buffers ? extra_buffers(ggml->device) : nullptr; type && *type; ++type)
        ggml->weight_buffers.push_back(*type);
    ggml->weight_buffers.push_back(ggml->backend_cpu_buffer_type());

    // Relative rms error of a product of Gaussian weights, activations as int8 included: 0.02 with
    // Q6_K (int8 scales of 16 weights), 0.09 with Q4_0 (one fp16 scale for 32). The largest of some
    // 300 checked outputs is 3 to 4 times that; twice as much is allowed.
    return {std::string("ggml ") + ggml->version(),
            {method(ggml, kQ6_K, "ggml Q6_K", 0.16), method(ggml, kQ4_0, "ggml Q4_0", 0.7)}};
}

}  // namespace fp6llm::bench
