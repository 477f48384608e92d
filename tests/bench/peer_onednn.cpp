// oneDNN's matmul on fp32, bf16 and int8 weights, each in the layout that it asks for and prepared
// before the calls that are timed. Activations are fp32, or bf16 already where weights are bf16; int8
// weights, with a scale per row, become the activations' type inside.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "tests/bench/peer.hpp"

namespace fp6llm::bench {
namespace {

// oneapi/dnnl/dnnl_types.h, the same in every release 3.
constexpr int kCpu = 1, kSuccess = 0, kUnimplemented = 3;
constexpr int kBf16 = 2, kF32 = 3, kS8 = 5;
constexpr int kTagAny = 1, kTagA = 2, kTagAb = 3, kTagBa = 14;
constexpr int kArgSource = 1, kArgDestination = 17, kArgWeights = 33, kArgScales = 4096;
constexpr int kQueryKernel = 8, kQueryWeights = 131;
constexpr int kMathStrict = 0, kMathBf16 = 1;
constexpr unsigned kRuntimeOpenMp = 2;

struct Version {
    int major, minor, patch;
    const char* hash;
    unsigned cpu_runtime, gpu_runtime;
};
struct Argument {
    int argument;
    void* memory;
};
using Dims = int64_t[12];

struct OneDnn {
    const Version* (*version)();
    size_t (*data_type_size)(int type);
    int (*engine_create)(void** engine, int kind, size_t index);
    int (*stream_create)(void** stream, void* engine, unsigned flags);
    int (*stream_wait)(void* stream);
    int (*memory_desc_create_with_tag)(void** desc, int dimensions, const Dims dims, int type,
                                       int tag);
    int (*memory_desc_destroy)(void* desc);
    int (*memory_desc_equal)(const void* a, const void* b);
    size_t (*memory_desc_get_size)(const void* desc);
    int (*memory_desc_clone)(void** desc, const void* from);
    int (*memory_create)(void** memory, const void* desc, void* engine, void* data);
    int (*memory_destroy)(void* memory);
    int (*attr_create)(void** attr);
    int (*attr_destroy)(void* attr);
    int (*attr_set_scales_mask)(void* attr, int argument, int mask);
    int (*attr_set_fpmath_mode)(void* attr, int mode, int apply_to_int);
    int (*matmul_desc_create)(void** desc, void* engine, const void* source, const void* weights,
                              const void* bias, const void* destination, const void* attr);
    int (*reorder_desc_create)(void** desc, const void* source, void* source_engine,
                               const void* destination, void* destination_engine, const void* attr);
    int (*primitive_desc_query)(const void* desc, int what, int index, void* result);
    const void* (*primitive_desc_query_md)(const void* desc, int what, int index);
    int (*primitive_desc_destroy)(void* desc);
    int (*primitive_create)(void** primitive, const void* desc);
    int (*primitive_execute)(const void* primitive, void* stream, int count,
                             const Argument* arguments);
    int (*primitive_destroy)(void* primitive);
    void (*set_threads)(int threads);

    void* engine = nullptr;
    void* stream = nullptr;
};

void find_all(void* library, OneDnn& dnn) {
    find_function(library, "dnnl_version", dnn.version);
    find_function(library, "dnnl_data_type_size", dnn.data_type_size);
    find_function(library, "dnnl_engine_create", dnn.engine_create);
    find_function(library, "dnnl_stream_create", dnn.stream_create);
    find_function(library, "dnnl_stream_wait", dnn.stream_wait);
    find_function(library, "dnnl_memory_desc_create_with_tag", dnn.memory_desc_create_with_tag);
    find_function(library, "dnnl_memory_desc_destroy", dnn.memory_desc_destroy);
    find_function(library, "dnnl_memory_desc_equal", dnn.memory_desc_equal);
    find_function(library, "dnnl_memory_desc_get_size", dnn.memory_desc_get_size);
    find_function(library, "dnnl_memory_desc_clone", dnn.memory_desc_clone);
    find_function(library, "dnnl_memory_create", dnn.memory_create);
    find_function(library, "dnnl_memory_destroy", dnn.memory_destroy);
    find_function(library, "dnnl_primitive_attr_create", dnn.attr_create);
    find_function(library, "dnnl_primitive_attr_destroy", dnn.attr_destroy);
    find_function(library, "dnnl_primitive_attr_set_scales_mask", dnn.attr_set_scales_mask);
    find_function(library, "dnnl_matmul_primitive_desc_create", dnn.matmul_desc_create);
    find_function(library, "dnnl_reorder_primitive_desc_create", dnn.reorder_desc_create);
    find_function(library, "dnnl_primitive_desc_query", dnn.primitive_desc_query);
    find_function(library, "dnnl_primitive_desc_query_md", dnn.primitive_desc_query_md);
    find_function(library, "dnnl_primitive_desc_destroy", dnn.primitive_desc_destroy);
    find_function(library, "dnnl_primitive_create", dnn.primitive_create);
    find_function(library, "dnnl_primitive_execute", dnn.primitive_execute);
    find_function(library, "dnnl_primitive_destroy", dnn.primitive_destroy);
    find_function(library, "omp_set_num_threads", dnn.set_threads);  // of the OpenMP it brought
    // Since 3.4; without it int8 weights do not go with floating-point activations.
    try {
        find_function(library, "dnnl_primitive_attr_set_fpmath_mode_v2", dnn.attr_set_fpmath_mode);
    } catch (const std::runtime_error&) {
        dnn.attr_set_fpmath_mode = nullptr;
    }
}

void require(int status, const char* what) {
    if (status == kSuccess) return;
    throw std::runtime_error(status == kUnimplemented
                                 ? std::string(what) + " is not implemented for this processor"
                                 : std::string(what) + " fails: " + std::to_string(status));
}

// An object of the library with the function that ends it.
class Owned {
  public:
    Owned() = default;
    Owned(void* object, int (*end)(void*)) : object_(object), end_(end) {}
    Owned(Owned&& other) noexcept : object_(other.object_), end_(other.end_) {
        other.object_ = nullptr;
    }
    Owned& operator=(Owned&& other) noexcept {
        std::swap(object_, other.object_);
        std::swap(end_, other.end_);
        return *this;
    }
    ~Owned() {
        if (object_) end_(object_);
    }
    void* get() const noexcept { return object_; }

  private:
    void* object_ = nullptr;
    int (*end_)(void*) = nullptr;
};

Owned matrix_desc(const OneDnn& dnn, int64_t rows, int64_t cols, int type, int tag) {
    void* desc = nullptr;
    const Dims dims = {rows, cols};
    require(dnn.memory_desc_create_with_tag(&desc, 2, dims, type, tag), "a memory descriptor");
    return {desc, dnn.memory_desc_destroy};
}

Owned memory(const OneDnn& dnn, const void* desc, void* data) {
    void* memory = nullptr;
    require(dnn.memory_create(&memory, desc, dnn.engine, data), "a memory object");
    return {memory, dnn.memory_destroy};
}

void reorder(const OneDnn& dnn, const void* from_desc, void* from, const void* to_desc, void* to) {
    void* desc = nullptr;
    require(dnn.reorder_desc_create(&desc, from_desc, dnn.engine, to_desc, dnn.engine, nullptr),
            "a reorder");
    const Owned owned_desc(desc, dnn.primitive_desc_destroy);
    void* primitive = nullptr;
    require(dnn.primitive_create(&primitive, desc), "a reorder");
    const Owned owned(primitive, dnn.primitive_destroy);
    const Owned source = memory(dnn, from_desc, from), destination = memory(dnn, to_desc, to);
    const Argument arguments[] = {{kArgSource, source.get()}, {kArgDestination, destination.get()}};
    require(dnn.primitive_execute(primitive, dnn.stream, 2, arguments), "a reorder");
    require(dnn.stream_wait(dnn.stream), "a reorder");
}

// Weights as int8 with a scale per row.
void quantize_rows(const Shape& shape, const float* w, std::vector<int8_t>& codes,
                   std::vector<float>& scales) {
    const auto cols = static_cast<size_t>(shape.cols);
    for (size_t r = 0; r < static_cast<size_t>(shape.rows); ++r) {
        float largest = 0;
        for (size_t c = 0; c < cols; ++c)
            largest = std::max(largest, std::fabs(w[r * cols + c]));
        scales.push_back(largest > 0 ? largest / 127 : 1);
        for (size_t c = 0; c < cols; ++c)
            codes.push_back(static_cast<int8_t>(std::lround(w[r * cols + c] / scales[r])));
    }
}

class OneDnnMatrix final : public PeerMatrix {
  public:
    OneDnnMatrix(OneDnn& dnn, int type, const Shape& shape, const float* w, size_t total)
        : dnn_(dnn), type_(type), shape_(shape), w_(w), total_(total) {
        if (type == kS8) {
            if (!dnn.attr_set_fpmath_mode) throw std::runtime_error("needs oneDNN 3.4");
            quantize_rows(shape, w, codes_, scales_);
        }
    }

    std::function<void(int64_t)> product(float* x, float* y, int64_t tokens, int threads) override {
        dnn_.set_threads(threads);
        choose(tokens);
        lay_out_weights();

        const Owned x_desc = matrix_desc(dnn_, tokens, shape_.cols, activation_, kTagAb);
        const Owned y_desc = matrix_desc(dnn_, tokens, shape_.rows, kF32, kTagAb);
        x_ = memory(dnn_, x_desc.get(), x);
        if (activation_ == kBf16) {
            bf16_x_.resize(static_cast<size_t>(tokens * shape_.cols));
            reorder(dnn_, matrix_desc(dnn_, tokens, shape_.cols, kF32, kTagAb).get(), x,
                    x_desc.get(), bf16_x_.data());
            x_ = memory(dnn_, x_desc.get(), bf16_x_.data());
        }
        y_ = memory(dnn_, y_desc.get(), y);
        if (type_ == kS8) {
            void* desc = nullptr;
            const Dims dims = {shape_.rows};
            require(dnn_.memory_desc_create_with_tag(&desc, 1, dims, kF32, kTagA), "scales");
            const Owned owned(desc, dnn_.memory_desc_destroy);
            scales_memory_ = memory(dnn_, desc, scales_.data());
        }
        return [this](int64_t call) {
            const Argument arguments[] = {
                {kArgSource, x_.get()},
                {kArgWeights, weights_[static_cast<size_t>(call) % weights_.size()].get()},
                {kArgDestination, y_.get()},
                {kArgScales | kArgWeights, scales_memory_.get()}};
            const int count = type_ == kS8 ? 4 : 3;
            require(dnn_.primitive_execute(primitive_.get(), dnn_.stream, count, arguments),
                    "a multiplication");
            require(dnn_.stream_wait(dnn_.stream), "a multiplication");
        };
    }
    double bytes() const override {
        return static_cast<double>(copies_->bytes() + scales_.size() * sizeof(float));
    }
    std::string kernel() const override { return kernel_; }

  private:
    // The first kernel that is more than a reference: int8 weights go with bf16 activations or with
    // fp32 ones, whichever the processor has.
    void choose(int64_t tokens) {
        std::string why;
        for (const int activation : {kBf16, kF32}) {
            if (type_ != kS8 && activation != type_) continue;
            try {
                create(activation, tokens);
                return;
            } catch (const std::runtime_error& error) {
                why = error.what();
            }
        }
        throw std::runtime_error(why);
    }

    void create(int activation, int64_t tokens) {
        // Weights as the library wants them; W [rows, cols] is the transpose of its [cols, rows].
        const Owned x = matrix_desc(dnn_, tokens, shape_.cols, activation, kTagAb);
        const Owned w = matrix_desc(dnn_, shape_.cols, shape_.rows, type_, kTagAny);
        const Owned y = matrix_desc(dnn_, tokens, shape_.rows, kF32, kTagAb);
        void* attr = nullptr;
        require(dnn_.attr_create(&attr), "attributes");
        const Owned owned_attr(attr, dnn_.attr_destroy);
        if (type_ == kS8) {
            const int mode = activation == kBf16 ? kMathBf16 : kMathStrict;
            require(dnn_.attr_set_scales_mask(attr, kArgWeights, 2), "a scale per output");
            require(dnn_.attr_set_fpmath_mode(attr, mode, 1), "int8 weights");
        }
        void* desc = nullptr;
        require(
            dnn_.matmul_desc_create(&desc, dnn_.engine, x.get(), w.get(), nullptr, y.get(), attr),
            "such a multiplication");
        Owned owned_desc(desc, dnn_.primitive_desc_destroy);
        const char* kernel = "";
        require(dnn_.primitive_desc_query(desc, kQueryKernel, 0, &kernel), "a kernel's name");
        if (std::strncmp(kernel, "ref", 3) == 0) {
            throw std::runtime_error("oneDNN has only its reference for this processor");
        }
        void* primitive = nullptr;
        require(dnn_.primitive_create(&primitive, desc), "a multiplication");
        primitive_ = Owned(primitive, dnn_.primitive_destroy);
        desc_ = std::move(owned_desc);
        kernel_ = kernel;
        activation_ = activation;
    }

    // Copies in the layout that the kernel asks for, unless they are in it already.
    void lay_out_weights() {
        const void* wanted = dnn_.primitive_desc_query_md(desc_.get(), kQueryWeights, 0);
        if (layout_.get() && dnn_.memory_desc_equal(layout_.get(), wanted)) return;
        weights_.clear();
        copies_.reset();
        void* layout = nullptr;
        require(dnn_.memory_desc_clone(&layout, wanted), "a memory descriptor");
        layout_ = Owned(layout, dnn_.memory_desc_destroy);
        const size_t bytes = dnn_.memory_desc_get_size(layout);
        AlignedFloats block((bytes + 3) / 4);
        const Owned from =
            matrix_desc(dnn_, shape_.cols, shape_.rows, type_ == kS8 ? kS8 : kF32, kTagBa);
        void* source = type_ == kS8 ? static_cast<void*>(codes_.data()) : const_cast<float*>(w_);
        reorder(dnn_, from.get(), source, layout, block.data());
        copies_ = std::make_unique<Copies>(block.data(), bytes, total_);
        for (int64_t i = 0; i < copies_->count(); ++i)
            weights_.push_back(memory(dnn_, layout, const_cast<uint8_t*>(copies_->copy(i))));
    }

    OneDnn& dnn_;
    int type_;
    Shape shape_;
    const float* w_;
    size_t total_;
    std::vector<int8_t> codes_;
    std::vector<float> scales_;
    std::vector<uint16_t> bf16_x_;
    int activation_ = kF32;
    std::string kernel_;
    Owned desc_, primitive_, layout_;
    std::unique_ptr<Copies> copies_;
    std::vector<Owned> weights_;
    Owned x_, y_, scales_memory_;
};

PeerMethod method(const std::shared_ptr<OneDnn>& dnn, int type, const std::string& name,
                  double tolerance) {
    return {name, tolerance, [dnn, type](const Shape& shape, const float* w, size_t total) {
                return std::make_unique<OneDnnMatrix>(*dnn, type, shape, w, total);
            }};
}

}  // namespace

Peer open_onednn(const std::string& folder) {
    void* library = open_library(folder + "/libdnnl.so.3");
    auto dnn = std::make_shared<OneDnn>();
    find_function(library, "dnnl_version", dnn->version);
    const Version& version = *dnn->version();
    const std::string name = "oneDNN " + std::to_string(version.major) + "." +
                             std::to_string(version.minor) + "." + std::to_string(version.patch);
    if (version.major != 3 || version.cpu_runtime != kRuntimeOpenMp) {
        throw std::runtime_error(name + " is not a release 3 on OpenMP");
    }
    find_all(library, *dnn);
    if (dnn->data_type_size(kF32) != 4 || dnn->data_type_size(kBf16) != 2 ||
        dnn->data_type_size(kS8) != 1) {
        throw std::runtime_error(name + " numbers its types otherwise than this program");
    }
    require(dnn->engine_create(&dnn->engine, kCpu, 0), "an engine");
    require(dnn->stream_create(&dnn->stream, dnn->engine, 1), "a stream");

    // Relative rms error of a product of Gaussian weights: 0.0025 where both factors are rounded to
    // bf16; 0.008 where a row's weights share 255 steps. The largest of some 300 checked outputs is 3
    // to 4 times that; three times as much is allowed.
    return {name,
            {method(dnn, kF32, "oneDNN f32", 1e-4), method(dnn, kBf16, "oneDNN bf16", 0.03),
             method(dnn, kS8, "oneDNN int8 weights", 0.1)}};
}

}  // namespace fp6llm::bench
