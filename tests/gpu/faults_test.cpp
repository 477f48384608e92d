// Faults of driver and device, injected into the emulated GPU: whatever fails, and at whichever of its
// steps, a call answers status and message, leaks nothing, and the handle goes on where it can.
#include <functional>

#include "tests/gpu/layer.hpp"

namespace fp6llm::gpu_test {
namespace {

// CUresult
constexpr int kOutOfMemory = 2, kDeviceUnavailable = 46, kIllegalAddress = 700,
              kLaunchOutOfResources = 701, kUnknown = 999;

/// One call of the library on buffers that were there before it.
struct Operation {
    const char* name;
    int allocations, launches;  ///< at least, of a new handle's first call
    std::function<fp6llmStatus_t(fp6llmHandle_t)> run;
};

class GpuFaults : public GpuLayer {
  protected:
    /// Of what is only quantized and packed, from the first bytes of larger buffers.
    static constexpr int64_t kFewRows = 64, kFewCols = 256;

    void SetUp() override {
        GpuLayer::SetUp();
        if (cuda() == nullptr || IsSkipped()) return;
        if (!Driver::get().is_emulated()) GTEST_SKIP() << "a real GPU has no faults on request";
    }
    void TearDown() override {
        if (cuda() != nullptr) Driver::get().clear_failures();
        drop_buffers();
        GpuLayer::TearDown();
    }

    void drop_buffers() {
        buffers_.clear();
        weight_.reset();
    }

    const DeviceBytes& buffer(size_t bytes) {
        buffers_.push_back(std::make_unique<DeviceBytes>(bytes));
        return *buffers_.back();
    }
    template <typename T>
    const DeviceBytes& buffer(const std::vector<T>& data) {
        buffers_.push_back(std::make_unique<DeviceBytes>(data));
        return *buffers_.back();
    }
    /// A buffer that a call which fails before it starts must leave alone.
    const DeviceBytes& output(size_t bytes) {
        outputs_.push_back(&buffer(bytes));
        return *outputs_.back();
    }
    bool are_outputs_untouched() const {
        for (const DeviceBytes* each : outputs_)
            if (!is_untouched(*each)) return false;
        return true;
    }
    void refill_outputs() const {
        for (const DeviceBytes* each : outputs_)
            refill(*each);
    }

    /// Every call that works on the device, on buffers and a weight of the current context.
    std::vector<Operation> operations() {
        outputs_.clear();
        weight_ = make_weight(cuda());
        config_ = config();
        auto_config_ = config();
        auto_config_.format = FP6LLM_R_6F_AUTO;
        const size_t code_bytes = size_t{kRows} * kCols / 8 * 6, scale_bytes = size_t{kRows} * 4;
        const DeviceBytes &x = buffer(activations(0)),
                          &x32 = buffer(random_floats(size_t{kTokens * kCols}, 2)),
                          &w = buffer(random_floats(size_t{kRows * kCols}, 1)),
                          &bias = buffer(random_floats(size_t{kRows}, 3)),
                          &codes = buffer(code_bytes), &scales = buffer(scale_bytes),
                          &packed = buffer(code_bytes), &y = output(kOutputs * 4),
                          &codes_out = output(code_bytes), &scales_out = output(scale_bytes),
                          &floats_out = output(size_t{kRows * kCols} * 4);
        size_t blob_size = 0;
        EXPECT_EQ(fp6llmWeightGetBlobSize(cuda(), &config_, kFewRows, kFewCols, &blob_size), 0);
        const DeviceBytes &blob = buffer(blob_size), &blob_out = output(blob_size);
        EXPECT_EQ(fp6llmWeightExportCodes(cuda(), weight_.get(), codes.data(), scales.data()), 0);
        EXPECT_EQ(fp6llmWeightExportPacked(cuda(), weight_.get(), FP6LLM_LAYOUT_TC_FPX,
                                           packed.data(), nullptr),
                  0);
        EXPECT_EQ(fp6llmWeightPackBlob(cuda(), &config_, kFewRows, kFewCols, codes.data(),
                                       scales.data(), blob.data(), blob_size),
                  0);
        const auto product_of = [this](const DeviceBytes& from, fp6llmDataType_t type) {
            const DeviceBytes to(kOutputs * 4);
            EXPECT_EQ(multiply(cuda(), weight_, from.data(), to.data(), type), 0) << last_error();
            return to.read<float>();
        };
        const auto multiplies = [this, &y](const DeviceBytes& from, fp6llmDataType_t type,
                                           std::vector<float> expected) {
            return [this, &y, &from, type, expected](fp6llmHandle_t handle) {
                const fp6llmStatus_t status =
                    multiply(handle, weight_, from.data(), y.data(), type);
                // A launch that failed may not leave a lock taken for the next one.
                Driver::get().clear_failures();  // the look at the result is not to fail
                if (status == 0 && Driver::get().wait() == 0) {
                    EXPECT_EQ(peek(y), expected);
                }
                return status;
            };
        };
        const auto makes_weight = [](auto create) {
            return [create](fp6llmHandle_t handle) {
                fp6llmWeight_t made = nullptr;
                const fp6llmStatus_t status = create(handle, &made);
                EXPECT_EQ(made == nullptr, status != 0);
                const Weight drop(made);
                return status;
            };
        };
        return {
            {"gemm", 2, 1, multiplies(x, FP6LLM_R_16F, product_of(x, FP6LLM_R_16F))},
            {"gemm of fp32", 2, 3, multiplies(x32, FP6LLM_R_32F, product_of(x32, FP6LLM_R_32F))},
            {"linear", 2, 1,
             [&, this](fp6llmHandle_t handle) {
                 return linear(handle, weight_, x.data(), bias.data(), y.data());
             }},
            {"quantize", 1, 1,
             [&, this](fp6llmHandle_t handle) {
                 fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
                 return fp6llmQuantize(handle, &auto_config_, kFewRows, kFewCols, w.data(),
                                       FP6LLM_R_32F, kFewCols, codes_out.data(), scales_out.data(),
                                       &stats);
             }},
            {"dequantize", 0, 1,
             [&, this](fp6llmHandle_t handle) {
                 return fp6llmDequantize(handle, &config_, kFewRows, kFewCols, codes.data(),
                                         scales.data(), floats_out.data(), FP6LLM_R_32F, kFewCols);
             }},
            {"weight from floats", 2, 2,
             makes_weight([&, this](fp6llmHandle_t handle, fp6llmWeight_t* made) {
                 return fp6llmWeightCreate(handle, &auto_config_, kFewRows, kFewCols, w.data(),
                                           FP6LLM_R_32F, kFewCols, made);
             })},
            {"weight from codes", 1, 3,
             makes_weight([&, this](fp6llmHandle_t handle, fp6llmWeight_t* made) {
                 return fp6llmWeightCreateFromCodes(handle, &config_, kFewRows, kFewCols,
                                                    codes.data(), scales.data(), made);
             })},
            {"weight from packed", 1, 3,
             makes_weight([&, this](fp6llmHandle_t handle, fp6llmWeight_t* made) {
                 return fp6llmWeightCreateFromPacked(handle, FP6LLM_LAYOUT_TC_FPX, &config_,
                                                     kFewRows, kFewCols, packed.data(),
                                                     scales.data(), made);
             })},
            {"view", 0, 0, makes_weight([&blob](fp6llmHandle_t handle, fp6llmWeight_t* made) {
                 return fp6llmWeightCreateView(handle, blob.data(), blob.size(), made);
             })},
            {"pack blob", 0, 3,
             [&, this](fp6llmHandle_t handle) {
                 return fp6llmWeightPackBlob(handle, &config_, kFewRows, kFewCols, codes.data(),
                                             scales.data(), blob_out.data(), blob_out.size());
             }},
            {"export codes", 0, 2,
             [&, this](fp6llmHandle_t handle) {
                 return fp6llmWeightExportCodes(handle, weight_.get(), codes_out.data(),
                                                scales_out.data());
             }},
            {"export packed", 0, 2,
             [&, this](fp6llmHandle_t handle) {
                 return fp6llmWeightExportPacked(handle, weight_.get(), FP6LLM_LAYOUT_TC_FPX,
                                                 codes_out.data(), scales_out.data());
             }},
        };
    }

    /// Lets an operation's first step of a kind fail, then its second, ... until it has no more.
    /// Gives the number of its steps.
    int fail_every_step(const Operation& operation, Driver::Failure failure, int code,
                        fp6llmStatus_t expected, const char* text) {
        const Driver& gpu = Driver::get();
        const size_t before = gpu.free_bytes();
        int steps = 0, passes = 0;
        for (int after = 0; passes < 2 && after < 50; ++after) {
            SCOPED_TRACE(std::string(operation.name) + ", step " + std::to_string(after));
            {
                refill_outputs();
                const Handle handle = make_handle(FP6LLM_BACKEND_CUDA);
                gpu.inject(failure, after, code);
                const fp6llmStatus_t status = operation.run(handle.get());
                gpu.clear_failures();
                if (status == 0) {
                    ++passes;
                } else {
                    ++steps;
                    EXPECT_EQ(passes, 0) << "an earlier step's failure was passed over";
                    EXPECT_EQ(status, expected) << last_error();
                    EXPECT_NE(last_error().find(text), std::string::npos) << last_error();
                    char of_handle[1024] = "";
                    fp6llmGetErrorString(handle.get(), of_handle, sizeof of_handle, nullptr);
                    EXPECT_EQ(of_handle, last_error());
                    if (expected == FP6LLM_STATUS_ALLOC_FAILED) {
                        EXPECT_TRUE(are_outputs_untouched());
                    }
                    EXPECT_EQ(operation.run(handle.get()), 0) << last_error();
                }
            }
            gpu.synchronize();
            EXPECT_EQ(gpu.free_bytes(), before) << "leaked";
            if (HasFailure()) break;
        }
        return steps;
    }

  private:
    Weight weight_;
    fp6llmQuantConfig_t config_{}, auto_config_{};
    std::vector<std::unique_ptr<DeviceBytes>> buffers_;
    std::vector<const DeviceBytes*> outputs_;
};

TEST_F(GpuFaults, OutOfMemory) {
    for (const Operation& operation : operations()) {
        EXPECT_GE(fail_every_step(operation, Driver::Failure::kAllocation, kOutOfMemory,
                                  FP6LLM_STATUS_ALLOC_FAILED, "out of device memory"),
                  operation.allocations)
            << operation.name;
    }
}

TEST_F(GpuFaults, FailingLaunches) {
    for (const Operation& operation : operations()) {
        EXPECT_GE(
            fail_every_step(operation, Driver::Failure::kLaunch, kLaunchOutOfResources,
                            FP6LLM_STATUS_EXECUTION_FAILED, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"),
            operation.launches)
            << operation.name;
    }
}

TEST_F(GpuFaults, FailingCopies) {
    int steps = 0;
    for (const Operation& operation : operations()) {
        steps += fail_every_step(operation, Driver::Failure::kCopy, kUnknown,
                                 FP6LLM_STATUS_EXECUTION_FAILED, "CUDA_ERROR_UNKNOWN");
    }
    EXPECT_GE(steps, 4);  // new locks, a view's header, what quantizing found
}

TEST_F(GpuFaults, ALaunchThatFailsIsNamed) {
    const std::vector<Operation> all = operations();
    Driver::get().inject(Driver::Failure::kLaunch, 0, kLaunchOutOfResources);
    EXPECT_EQ(all[0].run(cuda()), FP6LLM_STATUS_EXECUTION_FAILED);
    EXPECT_EQ(last_error().find("launch of sm80_e3m2"), 0u) << last_error();
    EXPECT_NE(last_error().find("grid"), std::string::npos) << last_error();
}

/// A fault makes its context unusable, so each test has one of its own to break.
TEST_F(GpuFaults, AFaultThatSurfacesLater) {
    const Driver& gpu = Driver::get();
    const size_t before = gpu.free_bytes();
    OwnContext own;
    {
        const Current current(own);
        const Handle handle = make_handle(FP6LLM_BACKEND_CUDA);
        const std::vector<Operation> all = operations();
        gpu.inject(Driver::Failure::kExecution, 0, kIllegalAddress);
        EXPECT_EQ(all[0].run(handle.get()), 0) << "enqueued: nothing is known yet";
        EXPECT_NE(gpu.wait(), 0);
        for (const Operation& operation : all) {
            SCOPED_TRACE(operation.name);
            EXPECT_EQ(operation.run(handle.get()), FP6LLM_STATUS_EXECUTION_FAILED);
            EXPECT_NE(last_error().find("CUDA_ERROR_ILLEGAL_ADDRESS"), std::string::npos)
                << last_error();
        }
        drop_buffers();
    }
    own.destroy();
    EXPECT_EQ(gpu.free_bytes(), before);
    const Weight weight = make_weight(cuda());  // elsewhere, work goes on
    const DeviceBytes x(activations(0)), y(kOutputs * 4);
    EXPECT_EQ(multiply(cuda(), weight, x.data(), y.data()), 0) << last_error();
    gpu.synchronize();
}

TEST_F(GpuFaults, AFaultSurfacesInTheCallThatWaits) {
    OwnContext own;
    const Current current(own);
    const Handle handle = make_handle(FP6LLM_BACKEND_CUDA);
    const std::vector<Operation> all = operations();
    Driver::get().inject(Driver::Failure::kExecution, 0, kIllegalAddress);
    for (const Operation& operation : all) {
        if (std::string(operation.name) != "weight from floats") continue;
        EXPECT_EQ(operation.run(handle.get()), FP6LLM_STATUS_EXECUTION_FAILED);
        EXPECT_NE(last_error().find("CUDA_ERROR_ILLEGAL_ADDRESS"), std::string::npos)
            << last_error();
    }
    drop_buffers();
}

TEST_F(GpuFaults, ALostDevice) {
    OwnContext own;
    const Current current(own);
    const Handle handle = make_handle(FP6LLM_BACKEND_CUDA);
    const std::vector<Operation> all = operations();
    Driver::get().inject(Driver::Failure::kDevice, 0, kDeviceUnavailable);
    for (const Operation& operation : all) {
        SCOPED_TRACE(operation.name);
        for (int again = 0; again < 2; ++again) {
            EXPECT_EQ(operation.run(handle.get()), FP6LLM_STATUS_EXECUTION_FAILED);
            EXPECT_NE(last_error().find("CUDA_ERROR_DEVICE_UNAVAILABLE"), std::string::npos)
                << last_error();
        }
    }
    drop_buffers();  // and what the handle has, with it: nothing crashes, all is lost
}

}  // namespace
}  // namespace fp6llm::gpu_test
