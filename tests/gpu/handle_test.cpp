// Handles on a GPU: graphs, streams, threads, contexts, and what hot calls must not do.
#include <thread>

#include "tests/gpu/layer.hpp"

namespace fp6llm::gpu_test {
namespace {

constexpr int kOutOfMemory = 2;  // CUDA_ERROR_OUT_OF_MEMORY

class GpuHandle : public GpuLayer {
  protected:
    static void write(const DeviceBytes& to, const std::vector<uint16_t>& from) {
        Driver::get().to_device(reinterpret_cast<uint64_t>(to.data()), from.data(),
                                from.size() * sizeof(uint16_t));
    }
};

TEST_F(GpuHandle, GraphsReplayWithOtherInputs) {
    constexpr int kInputs = 5, kReplays = 100;
    const Weight weight = make_weight(cuda());
    const DeviceBytes x(activations(0)), bias(random_floats(size_t{kRows}, 7));
    const DeviceBytes product_out(kOutputs * 4), linear_out(kOutputs * 4);
    std::vector<std::vector<float>> products, linears;
    for (unsigned i = 0; i < kInputs; ++i) {
        products.push_back(product(weight, activations(i)));
        write(x, activations(i));
        ASSERT_EQ(linear(cuda(), weight, x.data(), bias.data(), linear_out.data()), 0)
            << last_error();
        linears.push_back(linear_out.read<float>());
    }

    // A handle whose first calls of all are recorded: its scratch is made during the capture.
    RecordingStream stream;
    const Handle handle = make_handle(FP6LLM_BACKEND_CUDA);
    ASSERT_EQ(fp6llmSetStream(handle.get(), stream.get()), 0);
    stream.begin();
    EXPECT_EQ(multiply(handle.get(), weight, x.data(), product_out.data()), 0) << last_error();
    EXPECT_EQ(linear(handle.get(), weight, x.data(), bias.data(), linear_out.data()), 0)
        << last_error();
    stream.end();
    Driver::get().clear_findings();
    for (unsigned i = 0; i < kReplays; ++i) {
        if (i == kReplays / 2) {
            // A larger call makes the handle's scratch grow; the graph keeps what it has.
            const DeviceBytes many(size_t{500 * kCols} * 4), out(size_t{500 * kRows} * 4);
            const float one = 1.0f, zero = 0.0f;
            ASSERT_EQ(fp6llmGemmEx(handle.get(), FP6LLM_OP_N, FP6LLM_OP_N, kCols, 1, kRows, &one,
                                   weight.get(), many.data(), FP6LLM_R_32F, kRows, &zero,
                                   out.data(), FP6LLM_R_32F, kCols, FP6LLM_COMPUTE_32F, -1),
                      0)
                << last_error();
            ASSERT_EQ(multiply(handle.get(), weight, many.data(), out.data(), FP6LLM_R_32F), 0)
                << last_error();
            stream.wait();
        }
        Driver::get().set_seed(i);
        write(x, activations(i % kInputs));
        stream.replay();
        ASSERT_EQ(peek(product_out), products[i % kInputs]) << "replay " << i;
        ASSERT_EQ(peek(linear_out), linears[i % kInputs]) << "replay " << i;
    }
    product_out.bytes();
    linear_out.bytes();
    if (!Driver::get().is_emulated()) return;
    // What has just been shown means something only if blocks met at locks.
    fp6llmHeuristicResult_t best = FP6LLM_HEURISTIC_RESULT_INIT;
    int returned = 0;
    ASSERT_EQ(fp6llmGemmGetHeuristic(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols,
                                     weight.get(), FP6LLM_R_16F, FP6LLM_R_32F, FP6LLM_COMPUTE_32F,
                                     1, &best, &returned),
              0);
    EXPECT_GT(Driver::get().counter(best.name, "atomic_requests"), 0);
}

TEST_F(GpuHandle, SeveralHandlesAndStreamsInterleaved) {
    const Weight weight = make_weight(cuda());
    constexpr unsigned kRounds = 4;
    RecordingStream first, second;
    const Handle one = make_handle(FP6LLM_BACKEND_CUDA), other = make_handle(FP6LLM_BACKEND_CUDA);
    std::vector<std::unique_ptr<DeviceBytes>> x, y;
    for (unsigned round = 0; round < kRounds; ++round) {
        for (const auto& [handle, stream] :
             {std::pair(one.get(), first.get()), std::pair(other.get(), second.get()),
              std::pair(one.get(), second.get()), std::pair(other.get(), first.get()),
              std::pair(one.get(), fp6llmStream_t{nullptr})}) {
            x.push_back(
                std::make_unique<DeviceBytes>(activations(static_cast<unsigned>(x.size()))));
            y.push_back(std::make_unique<DeviceBytes>(kOutputs * 4));
            ASSERT_EQ(fp6llmSetStream(handle, stream), 0);
            ASSERT_EQ(multiply(handle, weight, x.back()->data(), y.back()->data()), 0)
                << last_error();
        }
    }
    for (unsigned i = 0; i < y.size(); ++i)
        EXPECT_EQ(y[i]->read<float>(), product(weight, activations(i))) << i;
}

TEST_F(GpuHandle, ThreadsShareAWeight) {
    constexpr unsigned kThreads = 4, kCalls = 5;
    const Weight weight = make_weight(cuda());
    std::vector<std::unique_ptr<RecordingStream>> streams;
    std::vector<std::unique_ptr<DeviceBytes>> x, y;
    for (unsigned i = 0; i < kThreads * kCalls; ++i) {
        if (i < kThreads) streams.push_back(std::make_unique<RecordingStream>());
        x.push_back(std::make_unique<DeviceBytes>(activations(i)));
        y.push_back(std::make_unique<DeviceBytes>(kOutputs * 4));
    }
    // These threads have no current context: the library takes the primary one.
    int failures[kThreads] = {};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
            const Handle handle = make_handle(FP6LLM_BACKEND_CUDA);
            failures[t] += handle == nullptr;
            failures[t] += fp6llmSetStream(handle.get(), streams[t]->get()) != 0;
            for (unsigned i = t * kCalls; i < (t + 1) * kCalls; ++i)
                failures[t] += multiply(handle.get(), weight, x[i]->data(), y[i]->data()) != 0;
            // The handle's scratch goes with it, under work that may still run: the driver waits.
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    for (unsigned t = 0; t < kThreads; ++t)
        EXPECT_EQ(failures[t], 0) << "thread " << t;
    for (unsigned i = 0; i < y.size(); ++i)
        EXPECT_EQ(y[i]->read<float>(), product(weight, activations(i))) << i;
}

TEST_F(GpuHandle, WeightsStayInTheContextTheyWereMadeIn) {
    const Weight weight = make_weight(cuda());
    const std::vector<float> expected = product(weight, activations(0));
    OwnContext own;
    Weight foreign;
    const size_t code_bytes = size_t{kRows} * kCols / 8 * 6, scale_bytes = size_t{kRows} * 4;
    {
        const Current current(own);
        const DeviceBytes x(activations(0)), y(kOutputs * 4), codes(code_bytes),
            scales(scale_bytes);
        const auto refuses = [&](fp6llmStatus_t status) {
            EXPECT_EQ(status, FP6LLM_STATUS_INVALID_VALUE);
            EXPECT_NE(last_error().find("context"), std::string::npos) << last_error();
            EXPECT_TRUE(is_untouched(y) && is_untouched(codes) && is_untouched(scales));
        };
        refuses(multiply(cuda(), weight, x.data(), y.data()));
        refuses(linear(cuda(), weight, x.data(), nullptr, y.data()));
        refuses(fp6llmWeightExportCodes(cuda(), weight.get(), codes.data(), scales.data()));
        refuses(fp6llmWeightExportPacked(cuda(), weight.get(), FP6LLM_LAYOUT_TC_FPX, codes.data(),
                                         scales.data()));
        // The same handle works here with a weight that is from here.
        foreign = make_weight(cuda());
        EXPECT_EQ(multiply(cuda(), foreign, x.data(), y.data()), 0) << last_error();
        EXPECT_EQ(y.read<float>(), expected);
        // A view is where its blob is.
        const fp6llmQuantConfig_t how = config();
        size_t bytes = 0;
        ASSERT_EQ(fp6llmWeightGetBlobSize(cuda(), &how, kRows, kCols, &bytes), 0);
        const DeviceBytes blob(bytes);
        ASSERT_EQ(fp6llmWeightExportCodes(cuda(), foreign.get(), codes.data(), scales.data()), 0);
        ASSERT_EQ(fp6llmWeightPackBlob(cuda(), &how, kRows, kCols, codes.data(), scales.data(),
                                       blob.data(), bytes),
                  0)
            << last_error();
        fp6llmWeight_t view = nullptr;
        ASSERT_EQ(fp6llmWeightCreateView(cuda(), blob.data(), bytes, &view), 0) << last_error();
        const Weight owned(view);
        EXPECT_EQ(multiply(cuda(), owned, x.data(), y.data()), 0) << last_error();
        EXPECT_EQ(y.read<float>(), expected);
    }
    const DeviceBytes x(activations(0)), y(kOutputs * 4);
    EXPECT_EQ(multiply(cuda(), foreign, x.data(), y.data()), FP6LLM_STATUS_INVALID_VALUE);
    {
        const Current none(nullptr);  // then the primary context is meant, where `weight` is
        EXPECT_EQ(multiply(cuda(), weight, x.data(), y.data()), 0) << last_error();
    }
    EXPECT_EQ(y.read<float>(), expected);
}

TEST_F(GpuHandle, DestroyedContextsAreErrors) {
    const size_t before = Driver::get().free_bytes();
    OwnContext own;
    Handle handle = make_handle(FP6LLM_BACKEND_CUDA);
    Weight weight;
    {
        const Current current(own);
        const DeviceBytes x(activations(0)), y(kOutputs * 4);
        weight = make_weight(handle.get());
        ASSERT_EQ(multiply(handle.get(), weight, x.data(), y.data()), 0) << last_error();
        std::thread([&] { own.destroy(); }).join();  // it stays current here
        EXPECT_EQ(multiply(handle.get(), weight, x.data(), y.data()),
                  FP6LLM_STATUS_EXECUTION_FAILED);
        EXPECT_NE(last_error().find("CONTEXT_IS_DESTROYED"), std::string::npos) << last_error();
        fp6llmWeight_t made = nullptr;
        const fp6llmQuantConfig_t how = config();
        EXPECT_NE(fp6llmWeightCreate(handle.get(), &how, kRows, kCols, x.data(), FP6LLM_R_16F,
                                     kCols, &made),
                  0);
        EXPECT_EQ(made, nullptr);
    }
    // Its weight is gone; it is told so in other contexts, and can be destroyed.
    {
        const DeviceBytes x(activations(0)), y(kOutputs * 4);
        EXPECT_EQ(multiply(handle.get(), weight, x.data(), y.data()), FP6LLM_STATUS_INVALID_VALUE);
        EXPECT_NE(last_error().find("destroyed"), std::string::npos) << last_error();
        fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
        EXPECT_EQ(fp6llmWeightGetInfo(weight.get(), &info), 0);
        EXPECT_EQ(info.rows, kRows);
        const Weight other = make_weight(handle.get());
        EXPECT_EQ(multiply(handle.get(), other, x.data(), y.data()), 0) << last_error();
    }
    weight.reset();
    handle.reset();
    EXPECT_EQ(Driver::get().free_bytes(), before);
}

TEST_F(GpuHandle, HotCallsAllocateNothing) {
    if (!Driver::get().is_emulated()) GTEST_SKIP() << "counts with the emulator's help";
    const Weight weight = make_weight(cuda());
    const fp6llmQuantConfig_t how = [] {
        fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
        config.nonFinite = FP6LLM_NONFINITE_SATURATE;
        return config;
    }();
    const DeviceBytes x(activations(0)), x32(random_floats(size_t{kTokens * kCols}, 2)),
        w(random_floats(size_t{kRows * kCols}, 3)), bias(random_floats(size_t{kRows}, 7)),
        y(kOutputs * 4), codes(size_t{kRows} * kCols / 8 * 6), scales(size_t{kRows} * 4),
        floats(size_t{kRows * kCols} * 4);
    const auto calls = [&] {
        EXPECT_EQ(multiply(cuda(), weight, x.data(), y.data()), 0) << last_error();
        EXPECT_EQ(multiply(cuda(), weight, x32.data(), y.data(), FP6LLM_R_32F), 0) << last_error();
        EXPECT_EQ(linear(cuda(), weight, x.data(), bias.data(), y.data()), 0) << last_error();
        EXPECT_EQ(fp6llmQuantize(cuda(), &how, kRows, kCols, w.data(), FP6LLM_R_32F, kCols,
                                 codes.data(), scales.data(), nullptr),
                  0)
            << last_error();
        EXPECT_EQ(fp6llmDequantize(cuda(), &how, kRows, kCols, codes.data(), scales.data(),
                                   floats.data(), FP6LLM_R_32F, kCols),
                  0)
            << last_error();
        EXPECT_EQ(fp6llmWeightExportCodes(cuda(), weight.get(), codes.data(), scales.data()), 0)
            << last_error();
    };
    calls();
    Driver::get().inject(Driver::Failure::kAllocation, 0, kOutOfMemory);
    calls();
    EXPECT_THROW(Driver::get().allocate(16), std::runtime_error) << "something else allocated";
    Driver::get().clear_failures();
}

TEST_F(GpuHandle, LentWorkspaceLeavesOneAllocationPerStream) {
    if (!Driver::get().is_emulated()) GTEST_SKIP() << "counts with the emulator's help";
    const Weight weight = make_weight(cuda());
    const std::vector<float> expected = product(weight, activations(0));
    size_t bytes = 0;
    ASSERT_EQ(fp6llmGemmGetWorkspaceSize(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols,
                                         weight.get(), FP6LLM_R_16F, FP6LLM_R_32F,
                                         FP6LLM_COMPUTE_32F, -1, &bytes),
              0);
    const DeviceBytes workspace(bytes), x(activations(0)), y(kOutputs * 4);
    const Handle handle = make_handle(FP6LLM_BACKEND_CUDA);
    ASSERT_EQ(fp6llmSetWorkspace(handle.get(), workspace.data(), bytes), 0) << last_error();
    Driver::get().inject(Driver::Failure::kAllocation, 1, kOutOfMemory);
    EXPECT_EQ(multiply(handle.get(), weight, x.data(), y.data()), 0) << last_error();
    EXPECT_EQ(multiply(handle.get(), weight, x.data(), y.data()), 0) << last_error();
    EXPECT_THROW(Driver::get().allocate(16), std::runtime_error);
    Driver::get().clear_failures();
    EXPECT_EQ(y.read<float>(), expected);
    workspace.bytes();
}

TEST_F(GpuHandle, DevicesThatAreNotThere) {
    int count = 0;
    ASSERT_EQ(fp6llmGetDeviceCount(FP6LLM_BACKEND_CUDA, &count), 0);
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CUDA;
    for (const int device : {count, -1}) {
        config.device = device;
        fp6llmHandle_t handle = nullptr;
        EXPECT_EQ(fp6llmCreateWithConfig(&handle, &config), FP6LLM_STATUS_INVALID_VALUE);
        EXPECT_EQ(handle, nullptr);
        EXPECT_NE(last_error().find("device = " + std::to_string(device)), std::string::npos)
            << last_error();
        fp6llmDeviceInfo_t info = FP6LLM_DEVICE_INFO_INIT;
        EXPECT_EQ(fp6llmGetDeviceInfo(FP6LLM_BACKEND_CUDA, device, &info),
                  FP6LLM_STATUS_INVALID_VALUE);
    }
}

TEST_F(GpuHandle, GroupedMultiplicationIsNotSupported) {
    const Weight weight = make_weight(cuda());
    const DeviceBytes x(activations(0)), y(kOutputs * 4), offsets(std::vector<int64_t>{0, kTokens});
    const fp6llmWeight_t weights[] = {weight.get()};
    const float one = 1.0f, zero = 0.0f;
    EXPECT_EQ(fp6llmGemmGroupedEx(cuda(), 1, FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols,
                                  static_cast<const int64_t*>(offsets.data()), &one, weights,
                                  x.data(), FP6LLM_R_16F, kCols, &zero, y.data(), FP6LLM_R_32F,
                                  kRows, FP6LLM_COMPUTE_32F, -1),
              FP6LLM_STATUS_NOT_SUPPORTED);
    EXPECT_NE(last_error().find("grouped"), std::string::npos) << last_error();
    EXPECT_TRUE(is_untouched(y));
}

}  // namespace
}  // namespace fp6llm::gpu_test
