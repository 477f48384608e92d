// The CUDA backend: hands each call, with a Queue of its own, to quantize/cuda, prepack/cuda or
// gemm/cuda.
#include "core/backend/backend.hpp"
#include "core/device/queue.hpp"
#include "core/device/scratch.hpp"
#include "core/gemm/cuda/gemm.hpp"
#include "core/prepack/cuda/weight.hpp"
#include "core/quantize/cuda/quantize.hpp"

namespace fp6llm {
namespace {

class CudaBackend final : public DeviceBackend {
  public:
    explicit CudaBackend(int ordinal)
        : context_(ordinal), device_(cuda::device_properties(ordinal)) {}

    int ordinal() const noexcept override { return context_.ordinal(); }
    void set_stream(CUstream_st* stream) noexcept override { stream_ = stream; }

    void set_workspace(void* workspace, size_t bytes) override {
        lent_workspace_ = workspace;
        lent_bytes_ = bytes;
    }

    void check_pointer(const void* pointer, const char* name) const override {
        cuda::check_device_pointer(pointer, ordinal(), name);
    }

    DataType quantize(const QuantSpec& spec, const MatrixView& w, uint8_t* codes, void* scales,
                      QuantStats* stats) override {
        return cuda::quantize(open(), spec, w, codes, scales, stats);
    }

    void dequantize(const QuantSpec& spec, const uint8_t* codes, const void* scales,
                    const MutableMatrixView& w) override {
        cuda::dequantize(open(), spec, codes, scales, w);
    }

    std::unique_ptr<DeviceWeight> weight_from_floats(const QuantSpec& spec,
                                                     const MatrixView& w) override {
        return cuda::Weight::from_floats(open(), spec, w);
    }

    std::unique_ptr<DeviceWeight> weight_from_codes(const QuantSpec& spec, int64_t rows,
                                                    int64_t cols, const uint8_t* codes,
                                                    const void* scales) override {
        return cuda::Weight::from_codes(open(), spec, rows, cols, codes, scales);
    }

    std::unique_ptr<DeviceWeight> weight_from_packed(PackedLayout layout, const QuantSpec& spec,
                                                     int64_t rows, int64_t cols,
                                                     const uint8_t* packed,
                                                     const void* scales) override {
        return cuda::Weight::from_packed(open(), layout, spec, rows, cols, packed, scales);
    }

    std::unique_ptr<DeviceWeight> weight_from_blob(const uint8_t* blob, size_t bytes) override {
        return cuda::Weight::from_blob(open(), blob, bytes);
    }

    size_t blob_bytes(const QuantSpec& spec, int64_t rows, int64_t cols) const override {
        return cuda::Weight::blob_bytes(spec, rows, cols);
    }

    void pack_blob(const QuantSpec& spec, int64_t rows, int64_t cols, const uint8_t* codes,
                   const void* scales, uint8_t* blob) override {
        cuda::Weight::pack_blob(open(), spec, rows, cols, codes, scales, blob);
    }

    void export_codes(const DeviceWeight& weight, uint8_t* codes, void* scales) override {
        const cuda::Queue queue = open();
        weight_of(weight, queue).export_codes(queue, codes, scales);
    }

    void export_packed(const DeviceWeight& weight, PackedLayout layout, uint8_t* packed,
                       void* scales) override {
        const cuda::Queue queue = open();
        weight_of(weight, queue).export_packed(queue, layout, packed, scales);
    }

    std::vector<GemmChoice> plan_gemm(const DeviceGemmProblem& problem) override {
        std::vector<GemmChoice> choices;
        for (const cuda::TilePlan& plan : cuda::plan_gemm(device_, problem))
            choices.push_back(choice_of(plan));
        return choices;
    }

    GemmChoice choose_gemm(const DeviceGemmProblem& problem, int32_t algo) override {
        return choice_of(cuda::choose_plan(device_, problem, algo));
    }

    void run_gemm(const DeviceGemmProblem& problem, int32_t algo, const TokenSource& x,
                  const OutputSink& y, const DeviceScalars& scalars) override {
        const cuda::TilePlan plan = cuda::choose_plan(device_, problem, algo);
        const cuda::Queue queue = open();
        weight_of(*problem.weight, queue);
        const size_t needed = cuda::needed_workspace(plan, problem, x);
        const cuda::GemmScratch scratch{workspace(queue, needed),
                                        locks_.get(queue, plan.lock_bytes)};
        cuda::run_gemm(queue, plan, problem, x, y, scalars, scratch);
    }

  private:
    cuda::Queue open() { return cuda::Queue(context_, device_, stream_); }

    /// The weight as it is, checked to be usable on a queue.
    static const cuda::Weight& weight_of(const DeviceWeight& weight, const cuda::Queue& queue) {
        const auto& ours = static_cast<const cuda::Weight&>(weight);  // there is no other
        ours.check_context(queue);
        return ours;
    }

    static GemmChoice choice_of(const cuda::TilePlan& plan) noexcept {
        return {plan.algo, cuda::kernel_name(plan), plan.workspace_bytes(),
                plan.algo == cuda::kAlgoSimt};
    }

    /// The lent workspace, or own scratch.
    void* workspace(const cuda::Queue& queue, size_t bytes) {
        if (lent_workspace_ == nullptr) return own_workspace_.get(queue, bytes);
        if (lent_bytes_ < bytes) {
            fail(Status::kInvalidValue, "workspace = %zu bytes < %zu needed", lent_bytes_, bytes);
        }
        return lent_workspace_;
    }

    cuda::DeviceContext context_;
    const cuda::DeviceProperties& device_;
    CUstream stream_ = nullptr;
    void* lent_workspace_ = nullptr;
    size_t lent_bytes_ = 0;
    cuda::Scratch own_workspace_{cuda::Scratch::Contents::kUnspecified};
    cuda::Scratch locks_{cuda::Scratch::Contents::kZeroWhenNew};
};

void check_ordinal(int ordinal) {
    const int count = cuda::device_count();
    if (count == 0) fail(Status::kNotSupported, "the CUDA driver sees no device");
    if (ordinal < 0 || ordinal >= count) {
        fail(Status::kInvalidValue, "device = %d is not below the CUDA device count %d", ordinal,
             count);
    }
}

}  // namespace

bool cuda_is_built() noexcept {
    return true;
}

int cuda_device_count(std::string* why) {
    try {
        const int count = cuda::device_count();
        if (count == 0 && why != nullptr) *why = "the CUDA driver sees no device";
        return count;
    } catch (const Error& error) {
        if (why != nullptr) *why = error.what();
        return 0;
    }
}

DeviceDescription cuda_device_description(int ordinal) {
    check_ordinal(ordinal);
    const cuda::DeviceProperties& device = cuda::device_properties(ordinal);
    DeviceDescription out;
    out.name = device.name;
    out.isa = "sm_" + std::to_string(device.capability());
    out.major = device.major;
    out.minor = device.minor;
    out.multiprocessors = device.multiprocessors;
    out.driver_version = cuda::driver().version;
    out.total_memory = device.total_memory;
    out.shared_per_block = device.shared_per_block;
    out.l2_bytes = device.l2_bytes;
    return out;
}

std::unique_ptr<DeviceBackend> make_cuda_backend(int ordinal) {
    check_ordinal(ordinal);
    const cuda::DeviceProperties& device = cuda::device_properties(ordinal);
    if (device.capability() < cuda::kMinCapability) {
        fail(Status::kArchMismatch,
             "device %d (%s) has compute capability %d.%d; %d.%d or newer is needed", ordinal,
             device.name, device.major, device.minor, cuda::kMinCapability / 10,
             cuda::kMinCapability % 10);
    }
    return std::make_unique<CudaBackend>(ordinal);
}

void check_host_pointer(const void* pointer, const char* name, const char* taker) {
    const cuda::Driver* driver = cuda::loaded_driver();
    if (driver == nullptr || pointer == nullptr) return;
    const cuda::PointerInfo info = cuda::pointer_info(*driver, pointer);
    if (info.kind == cuda::PointerInfo::Kind::kDevice) {
        fail(Status::kInvalidValue,
             "%s = %p is memory of CUDA device %d; %s, which takes host memory", name, pointer,
             info.ordinal, taker);
    }
}

}  // namespace fp6llm
