// Memory of the wrong side and of bad alignment, for every argument of every call, on CUDA handles and on
// CPU handles: refused by name, nothing written.
#include <functional>

#include "tests/gpu/layer.hpp"

namespace fp6llm::gpu_test {
namespace {

/// A call with one pointer left open.
struct Argument {
    const char* name;  ///< as messages have it
    size_t bytes;
    std::function<fp6llmStatus_t(fp6llmHandle_t, void*)> call;
};

/// The buffers of one side.
struct Side {
    void *w, *codes, *scales, *packed, *blob, *x, *y;
};

class GpuSides : public GpuLayer {
  protected:
    static constexpr size_t kCodeBytes = size_t{kRows} * kCols / 8 * 6, kScaleBytes = kRows * 4,
                            kFloatBytes = size_t{kRows * kCols} * 4, kBlobBytes = size_t{1} << 20;

    /// All arguments that follow the handle's side. `good` is of that side, as is `weight`.
    std::vector<Argument> arguments(const Side& good, const Weight& weight) {
        config_ = config();
        using H = fp6llmHandle_t;
        const auto quantize = [this](H h, void* w, void* codes, void* scales) {
            return fp6llmQuantize(h, &config_, kRows, kCols, w, FP6LLM_R_32F, kCols, codes, scales,
                                  nullptr);
        };
        const auto dequantize = [this](H h, void* codes, void* scales, void* w) {
            return fp6llmDequantize(h, &config_, kRows, kCols, codes, scales, w, FP6LLM_R_32F,
                                    kCols);
        };
        const auto create = [this](H h, void* w) {
            return made([&](fp6llmWeight_t* made) {
                return fp6llmWeightCreate(h, &config_, kRows, kCols, w, FP6LLM_R_32F, kCols, made);
            });
        };
        const auto from_codes = [this](H h, void* codes, void* scales) {
            return made([&](fp6llmWeight_t* made) {
                return fp6llmWeightCreateFromCodes(h, &config_, kRows, kCols, codes, scales, made);
            });
        };
        const auto from_packed = [this](H h, void* packed, void* scales) {
            return made([&](fp6llmWeight_t* made) {
                return fp6llmWeightCreateFromPacked(h, FP6LLM_LAYOUT_TC_FPX, &config_, kRows, kCols,
                                                    packed, scales, made);
            });
        };
        const auto view = [](H h, void* blob) {
            return made([&](fp6llmWeight_t* made) {
                return fp6llmWeightCreateView(h, blob, kBlobBytes, made);
            });
        };
        const auto pack_blob = [this](H h, void* codes, void* scales, void* blob) {
            return fp6llmWeightPackBlob(h, &config_, kRows, kCols, codes, scales, blob, kBlobBytes);
        };
        const fp6llmWeight_t a = weight.get();
        const auto export_codes = [a](H h, void* codes, void* scales) {
            return fp6llmWeightExportCodes(h, a, codes, scales);
        };
        const auto export_packed = [a](H h, void* packed, void* scales) {
            return fp6llmWeightExportPacked(h, a, FP6LLM_LAYOUT_TC_FPX, packed, scales);
        };
        const auto gemm = [a](H h, void* b, void* c) {
            const float one = 1.0f;
            return fp6llmGemmEx(h, FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols, &one, a, b,
                                FP6LLM_R_32F, kCols, &one, c, FP6LLM_R_32F, kRows,
                                FP6LLM_COMPUTE_32F, -1);
        };
        const auto linear = [a](H h, void* x, void* bias, void* residual, void* y) {
            fp6llmEpilogue_t epilogue = FP6LLM_EPILOGUE_INIT;
            epilogue.bias = bias;
            epilogue.residual = residual;
            epilogue.ldr = kRows;
            return fp6llmLinear(h, kTokens, x, FP6LLM_R_32F, kCols, a, &epilogue, y, FP6LLM_R_32F,
                                kRows);
        };
        const size_t activation_bytes = size_t{kTokens * kCols} * 4, output_bytes = kOutputs * 4;
        return {
            {"W", kFloatBytes,
             [=](H h, void* p) { return quantize(h, p, good.codes, good.scales); }},
            {"codes", kCodeBytes,
             [=](H h, void* p) { return quantize(h, good.w, p, good.scales); }},
            {"scales", kScaleBytes,
             [=](H h, void* p) { return quantize(h, good.w, good.codes, p); }},
            {"codes", kCodeBytes,
             [=](H h, void* p) { return dequantize(h, p, good.scales, good.w); }},
            {"scales", kScaleBytes,
             [=](H h, void* p) { return dequantize(h, good.codes, p, good.w); }},
            {"W", kFloatBytes,
             [=](H h, void* p) { return dequantize(h, good.codes, good.scales, p); }},
            {"W", kFloatBytes, [=](H h, void* p) { return create(h, p); }},
            {"codes", kCodeBytes, [=](H h, void* p) { return from_codes(h, p, good.scales); }},
            {"scales", kScaleBytes, [=](H h, void* p) { return from_codes(h, good.codes, p); }},
            {"packed", kCodeBytes, [=](H h, void* p) { return from_packed(h, p, good.scales); }},
            {"scales", kScaleBytes, [=](H h, void* p) { return from_packed(h, good.packed, p); }},
            {"codes", kCodeBytes,
             [=](H h, void* p) { return pack_blob(h, p, good.scales, good.blob); }},
            {"scales", kScaleBytes,
             [=](H h, void* p) { return pack_blob(h, good.codes, p, good.blob); }},
            {"blob", kBlobBytes,
             [=](H h, void* p) { return pack_blob(h, good.codes, good.scales, p); }},
            {"blob", kBlobBytes, [=](H h, void* p) { return view(h, p); }},
            {"codes", kCodeBytes, [=](H h, void* p) { return export_codes(h, p, good.scales); }},
            {"scales", kScaleBytes, [=](H h, void* p) { return export_codes(h, good.codes, p); }},
            {"packed", kCodeBytes, [=](H h, void* p) { return export_packed(h, p, good.scales); }},
            {"scales", kScaleBytes, [=](H h, void* p) { return export_packed(h, good.packed, p); }},
            {"B", activation_bytes, [=](H h, void* p) { return gemm(h, p, good.y); }},
            {"C", output_bytes, [=](H h, void* p) { return gemm(h, good.x, p); }},
            {"X", activation_bytes,
             [=](H h, void* p) { return linear(h, p, nullptr, nullptr, good.y); }},
            {"epilogue->bias", kScaleBytes,
             [=](H h, void* p) { return linear(h, good.x, p, nullptr, good.y); }},
            {"epilogue->residual", output_bytes,
             [=](H h, void* p) { return linear(h, good.x, nullptr, p, good.y); }},
            {"Y", output_bytes,
             [=](H h, void* p) { return linear(h, good.x, nullptr, nullptr, p); }},
            {"workspace", kBlobBytes,
             [=](H h, void* p) { return fp6llmSetWorkspace(h, p, kBlobBytes); }},
        };
    }

    /// Makes a weight, if it can be made, and drops it.
    template <typename Create>
    static fp6llmStatus_t made(const Create& create) {
        fp6llmWeight_t weight = nullptr;
        const fp6llmStatus_t status = create(&weight);
        EXPECT_EQ(weight == nullptr, status != 0);
        fp6llmWeightDestroy(weight);
        return status;
    }

    static void expect_refused(const Argument& argument, size_t number, fp6llmStatus_t status) {
        EXPECT_EQ(status, FP6LLM_STATUS_INVALID_VALUE) << argument.name << ", case " << number;
        EXPECT_EQ(last_error().find(std::string(argument.name) + " = "), 0u)
            << argument.name << ", case " << number << ": " << last_error();
    }

    Weight weight_on_cpu() const {
        const std::vector<float> w = random_floats(size_t{kRows * kCols}, 1);
        const fp6llmQuantConfig_t how = config();
        fp6llmWeight_t weight = nullptr;
        EXPECT_EQ(
            fp6llmWeightCreate(cpu(), &how, kRows, kCols, w.data(), FP6LLM_R_32F, kCols, &weight),
            0);
        return Weight(weight);
    }

  private:
    fp6llmQuantConfig_t config_{};
};

/// One buffer for each kind, as the driver or the allocator aligns it.
struct DeviceSide {
    DeviceBytes w{size_t{128 * 1024} * 4}, codes{size_t{128} * 768}, scales{size_t{512}},
        packed{size_t{128} * 768}, blob{size_t{1} << 20}, x{size_t{3 * 1024} * 4},
        y{size_t{3 * 128} * 4};
    Side get() const {
        return {w.data(),    codes.data(), scales.data(), packed.data(),
                blob.data(), x.data(),     y.data()};
    }
};

TEST_F(GpuSides, HostMemoryOnACudaHandle) {
    const Weight weight = make_weight(cuda());
    const DeviceSide device;
    size_t number = 0;
    for (const Argument& argument : arguments(device.get(), weight)) {
        // Aligned as well as anything can ask for.
        std::vector<uint8_t> memory(argument.bytes + 4096, DeviceBytes::kFill);
        void* host = memory.data();
        size_t room = memory.size();
        std::align(256, argument.bytes, host, room);
        expect_refused(argument, number, argument.call(cuda(), host));
        EXPECT_NE(last_error().find("host pointer"), std::string::npos) << last_error();
        for (const uint8_t byte : memory)
            ASSERT_EQ(byte, DeviceBytes::kFill) << argument.name << ", case " << number;
        ++number;
    }
    Driver::get().synchronize();
    EXPECT_TRUE(is_untouched(device.w) && is_untouched(device.codes) &&
                is_untouched(device.scales) && is_untouched(device.packed) &&
                is_untouched(device.blob) && is_untouched(device.y));
}

class GpuDevices : public GpuSides {
  protected:
    void SetUp() override {
        GpuSides::SetUp();
        if (cuda() == nullptr || IsSkipped()) return;
        int count = 0;
        ASSERT_EQ(fp6llmGetDeviceCount(FP6LLM_BACKEND_CUDA, &count), 0);
        if (count < 2) GTEST_SKIP() << "one device";
    }
};

TEST_F(GpuDevices, EachHasItsHandlesAndWeights) {
    const DeviceBytes x(activations(2)), y(kOutputs * 4);
    const Weight weight = make_weight(cuda());
    ASSERT_EQ(multiply(cuda(), weight, x.data(), y.data()), 0) << last_error();
    Driver::get().synchronize();
    const OwnContext context(1);
    const Current current(context);
    const Handle other = make_handle(FP6LLM_BACKEND_CUDA, 1);
    ASSERT_NE(other, nullptr) << last_error();
    const DeviceBytes other_x(activations(2)), other_y(kOutputs * 4);
    const Weight other_weight = make_weight(other.get());
    fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
    ASSERT_EQ(fp6llmWeightGetInfo(other_weight.get(), &info), 0);
    EXPECT_EQ(info.device, 1);
    ASSERT_EQ(multiply(other.get(), other_weight, other_x.data(), other_y.data()), 0)
        << last_error();
    Driver::get().synchronize();
    EXPECT_EQ(other_y.read<float>(), y.read<float>());
}

TEST_F(GpuDevices, RefuseEachOthersWeights) {
    const Weight weight = make_weight(cuda());
    const OwnContext context(1);
    const Current current(context);
    const Handle other = make_handle(FP6LLM_BACKEND_CUDA, 1);
    ASSERT_NE(other, nullptr) << last_error();
    const DeviceBytes x(activations(2)), y(kOutputs * 4);
    EXPECT_EQ(multiply(other.get(), weight, x.data(), y.data()), FP6LLM_STATUS_INVALID_VALUE);
    EXPECT_NE(last_error().find("is on device 0, the handle on device 1"), std::string::npos)
        << last_error();
    EXPECT_EQ(fp6llmLinear(other.get(), kTokens, x.data(), FP6LLM_R_16F, kCols, weight.get(),
                           nullptr, y.data(), FP6LLM_R_32F, kRows),
              FP6LLM_STATUS_INVALID_VALUE);
    EXPECT_NE(last_error().find("is on device 0, the handle on device 1"), std::string::npos)
        << last_error();
    EXPECT_TRUE(is_untouched(y));
}

TEST_F(GpuDevices, RefuseEachOthersMemory) {
    const Weight weight = make_weight(cuda());
    const DeviceSide device;
    const OwnContext context(1);
    size_t number = 0;
    for (const Argument& argument : arguments(device.get(), weight)) {
        std::unique_ptr<DeviceBytes> other;
        {
            const Current current(context);
            other = std::make_unique<DeviceBytes>(argument.bytes);
        }
        expect_refused(argument, number, argument.call(cuda(), other->data()));
        EXPECT_NE(last_error().find("is memory of device 1"), std::string::npos) << last_error();
        EXPECT_TRUE(is_untouched(*other)) << argument.name << ", case " << number;
        ++number;
    }
    Driver::get().synchronize();
    EXPECT_TRUE(is_untouched(device.codes) && is_untouched(device.scales) &&
                is_untouched(device.packed) && is_untouched(device.blob) && is_untouched(device.y));
}

TEST_F(GpuSides, DeviceMemoryOnACpuHandle) {
    const Weight weight = weight_on_cpu();
    const auto fresh = [](size_t bytes) { return std::vector<uint8_t>(bytes + 64, 0); };
    std::vector<uint8_t> w = fresh(kFloatBytes), codes = fresh(kCodeBytes),
                         scales = fresh(kScaleBytes), packed = fresh(kCodeBytes),
                         blob = fresh(kBlobBytes), x = fresh(size_t{kTokens * kCols} * 4),
                         y = fresh(kOutputs * 4);
    void* aligned_blob = blob.data();
    size_t room = blob.size();
    std::align(64, kBlobBytes, aligned_blob, room);
    const Side host{w.data(),     codes.data(), scales.data(), packed.data(),
                    aligned_blob, x.data(),     y.data()};
    size_t number = 0;
    for (const Argument& argument : arguments(host, weight)) {
        const DeviceBytes device(argument.bytes);
        expect_refused(argument, number, argument.call(cpu(), device.data()));
        EXPECT_NE(last_error().find("memory of CUDA device"), std::string::npos) << last_error();
        EXPECT_TRUE(is_untouched(device)) << argument.name << ", case " << number;
        ++number;
    }
}

TEST_F(GpuSides, ScalarsFollowThePointerMode) {
    const Weight weight = make_weight(cuda()), on_cpu = weight_on_cpu();
    const DeviceBytes x(random_floats(size_t{kTokens * kCols}, 2)), y(kOutputs * 4),
        scalar(std::vector<float>{1.0f});
    std::vector<float> host_x(size_t{kTokens * kCols}), host_y(kOutputs);
    const float one = 1.0f;
    const auto refuses = [&](fp6llmHandle_t handle, const void* alpha, const void* beta,
                             const char* name) {
        const bool is_cpu = handle == cpu();
        const void* b = is_cpu ? host_x.data() : x.data();
        void* c = is_cpu ? host_y.data() : y.data();
        EXPECT_EQ(fp6llmGemmEx(handle, FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols, alpha,
                               (is_cpu ? on_cpu : weight).get(), b, FP6LLM_R_32F, kCols, beta, c,
                               FP6LLM_R_32F, kRows, FP6LLM_COMPUTE_32F, -1),
                  FP6LLM_STATUS_INVALID_VALUE);
        EXPECT_EQ(last_error().find(std::string(name) + " = "), 0u) << last_error();
    };
    for (const fp6llmHandle_t handle : {cpu(), cuda()}) {
        refuses(handle, scalar.data(), &one, "alpha");
        refuses(handle, &one, scalar.data(), "beta");
    }
    ASSERT_EQ(fp6llmSetPointerMode(cuda(), FP6LLM_POINTER_MODE_DEVICE), 0);
    refuses(cuda(), &one, scalar.data(), "alpha");
    refuses(cuda(), scalar.data(), &one, "beta");
    EXPECT_TRUE(is_untouched(y));
}

TEST_F(GpuSides, OffsetsOfACpuHandleAreHostMemory) {
    const Weight weight = weight_on_cpu();
    const DeviceBytes offsets(std::vector<int64_t>{0, kTokens});
    std::vector<float> x(size_t{kTokens * kCols}), y(kOutputs);
    const fp6llmWeight_t weights[] = {weight.get()};
    const float one = 1.0f;
    EXPECT_EQ(fp6llmGemmGroupedEx(cpu(), 1, FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols,
                                  static_cast<const int64_t*>(offsets.data()), &one, weights,
                                  x.data(), FP6LLM_R_32F, kCols, &one, y.data(), FP6LLM_R_32F,
                                  kRows, FP6LLM_COMPUTE_32F, -1),
              FP6LLM_STATUS_INVALID_VALUE);
    EXPECT_EQ(last_error().find("offsets = "), 0u) << last_error();
}

/// One byte off: what consists of bytes works as anywhere, everything else is refused.
TEST_F(GpuSides, OddAddresses) {
    const Weight weight = make_weight(cuda());
    const DeviceSide device;
    // Codes and scales that are sound, for those who read them.
    ASSERT_EQ(
        fp6llmWeightExportCodes(cuda(), weight.get(), device.codes.data(), device.scales.data()),
        0);
    ASSERT_EQ(fp6llmWeightExportPacked(cuda(), weight.get(), FP6LLM_LAYOUT_TC_FPX,
                                       device.packed.data(), nullptr),
              0);
    const std::vector<float> w = random_floats(size_t{kRows * kCols}, 1);
    Driver::get().to_device(reinterpret_cast<uint64_t>(device.w.data()), w.data(), kFloatBytes);
    size_t number = 0;
    for (const Argument& argument : arguments(device.get(), weight)) {
        const std::string name = argument.name;
        SCOPED_TRACE(name + ", case " + std::to_string(number));
        const DeviceBytes odd(argument.bytes, 1);
        if (name == "codes" || name == "packed") {
            EXPECT_EQ(argument.call(cuda(), odd.data()), 0) << last_error();
        } else {
            expect_refused(argument, number, argument.call(cuda(), odd.data()));
            EXPECT_TRUE(is_untouched(odd));
        }
        odd.bytes();
        ++number;
    }
}

/// Aligned to an element and to no more: vector accesses must find out.
TEST_F(GpuSides, AddressesAlignedToOneElement) {
    const Weight weight = make_weight(cuda());
    const std::vector<uint16_t> x = activations(5);
    const std::vector<float> expected = product(weight, x), bias = random_floats(kRows, 6);
    std::vector<float> expected_linear;
    {
        const DeviceBytes at(x), bias_at(bias), y(kOutputs * 4);
        ASSERT_EQ(linear(cuda(), weight, at.data(), bias_at.data(), y.data()), 0);
        expected_linear = y.read<float>();
    }
    for (const size_t elements : {1, 2, 3, 5}) {
        const DeviceBytes at(x, 2 * elements), bias_at(bias, 4 * elements),
            y(kOutputs * 4, 4 * elements);
        ASSERT_EQ(multiply(cuda(), weight, at.data(), y.data()), 0) << last_error();
        EXPECT_EQ(y.read<float>(), expected) << elements;
        ASSERT_EQ(linear(cuda(), weight, at.data(), bias_at.data(), y.data()), 0) << last_error();
        EXPECT_EQ(y.read<float>(), expected_linear) << elements;
    }
    // Scales likewise.
    const size_t code_bytes = kCodeBytes, scale_bytes = kScaleBytes;
    const DeviceBytes codes(code_bytes), scales(scale_bytes), odd(scale_bytes, 4);
    ASSERT_EQ(fp6llmWeightExportCodes(cuda(), weight.get(), codes.data(), scales.data()), 0);
    ASSERT_EQ(fp6llmWeightExportCodes(cuda(), weight.get(), nullptr, odd.data()), 0);
    EXPECT_EQ(odd.bytes(), scales.bytes());
    const fp6llmQuantConfig_t how = config();
    fp6llmWeight_t made = nullptr;
    ASSERT_EQ(
        fp6llmWeightCreateFromCodes(cuda(), &how, kRows, kCols, codes.data(), odd.data(), &made), 0)
        << last_error();
    const Weight same(made);
    EXPECT_EQ(product(same, x), expected);
}

}  // namespace
}  // namespace fp6llm::gpu_test
