// A small linear layer on the GPU, which a kernel multiplies with several blocks per tile, so that its
// locks are in use. What it gives is compared bit for bit with what a quiet handle gave: that products
// are right is gemm_test.cpp's.
#pragma once

#include <random>

#include "tests/gpu/fixture.hpp"

namespace fp6llm::gpu_test {

class GpuLayer : public GpuTest {
  protected:
    static constexpr int64_t kRows = 128, kCols = 1024, kTokens = 3;
    static constexpr size_t kOutputs = size_t{kRows * kTokens};

    static fp6llmQuantConfig_t config() {
        const fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
        return config;
    }

    static std::vector<float> random_floats(size_t count, unsigned seed) {
        std::mt19937 random(seed);
        std::normal_distribution<float> gaussian;
        std::vector<float> values(count);
        for (float& value : values)
            value = gaussian(random);
        return values;
    }

    /// fp16 activations [kTokens, kCols].
    static std::vector<uint16_t> activations(unsigned seed) {
        std::vector<uint16_t> bits;
        for (const float value : random_floats(size_t{kTokens * kCols}, seed)) {
            const auto half = static_cast<_Float16>(value);
            uint16_t word;
            __builtin_memcpy(&word, &half, sizeof word);
            bits.push_back(word);
        }
        return bits;
    }

    /// In the current context.
    static Weight make_weight(fp6llmHandle_t handle) {
        const DeviceBytes w(random_floats(size_t{kRows * kCols}, 1));
        const fp6llmQuantConfig_t how = config();
        fp6llmWeight_t weight = nullptr;
        EXPECT_EQ(
            fp6llmWeightCreate(handle, &how, kRows, kCols, w.data(), FP6LLM_R_32F, kCols, &weight),
            0)
            << last_error();
        return Weight(weight);
    }

    /// y = x W^T. `type`: of x; y is fp32.
    static fp6llmStatus_t multiply(fp6llmHandle_t handle, const Weight& weight, const void* x,
                                   void* y, fp6llmDataType_t type = FP6LLM_R_16F) {
        const float one = 1.0f, zero = 0.0f;
        return fp6llmGemmEx(handle, FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols, &one,
                            weight.get(), x, type, kCols, &zero, y, FP6LLM_R_32F, kRows,
                            FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT);
    }

    /// y = silu(x W^T + bias), bias fp32.
    static fp6llmStatus_t linear(fp6llmHandle_t handle, const Weight& weight, const void* x,
                                 const void* bias, void* y) {
        fp6llmEpilogue_t epilogue = FP6LLM_EPILOGUE_INIT;
        epilogue.bias = bias;
        epilogue.biasType = FP6LLM_R_32F;
        epilogue.activation = FP6LLM_ACTIVATION_SILU;
        return fp6llmLinear(handle, kTokens, x, FP6LLM_R_16F, kCols, weight.get(), &epilogue, y,
                            FP6LLM_R_32F, kRows);
    }

    /// What multiply() gives when nothing disturbs it.
    std::vector<float> product(const Weight& weight, const std::vector<uint16_t>& x) const {
        const DeviceBytes x_device(x), y(kOutputs * 4);
        EXPECT_EQ(multiply(cuda(), weight, x_device.data(), y.data()), 0) << last_error();
        return y.read<float>();
    }

    /// The buffer's contents, without a look at its canaries.
    static std::vector<float> peek(const DeviceBytes& y) {
        std::vector<float> values(y.size() / 4);
        Driver::get().to_host(values.data(), reinterpret_cast<uint64_t>(y.data()), y.size());
        return values;
    }

    static void refill(const DeviceBytes& y) {
        const std::vector<uint8_t> fill(y.size(), DeviceBytes::kFill);
        Driver::get().to_device(reinterpret_cast<uint64_t>(y.data()), fill.data(), fill.size());
    }

    static bool is_untouched(const DeviceBytes& y) {
        for (const uint8_t byte : y.bytes())
            if (byte != DeviceBytes::kFill) return false;
        return true;
    }
};

}  // namespace fp6llm::gpu_test
