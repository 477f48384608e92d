// What this version cannot do answers NOT_SUPPORTED with a text that says so: never a silent
// fallback.
#include <gtest/gtest.h>

#include <tuple>

#include "tests/capi/support.hpp"

namespace fp6llm::capi_test {
namespace {

constexpr int64_t kRows = 48, kCols = 64, kTokens = 2;

void expect_text(std::initializer_list<const char*> parts) {
    const std::string text = last_error();
    for (const char* part : parts) {
        EXPECT_NE(text.find(part), std::string::npos) << "\"" << text << "\" lacks " << part;
    }
}

class NotSupported : public ::testing::Test {
  protected:
    const Handle handle_ = make_handle();
    const Weight weight_ =
        make_weight(handle_.get(), quant_config(), kRows, kCols, gaussian(kRows* kCols, 1));
    const std::vector<float> x_ = gaussian(kTokens * kCols, 2);
    std::vector<float> y_ = std::vector<float>(kTokens * kRows, -1.0f);
};

TEST_F(NotSupported, CudaByName) {
    int devices = 0;
    ASSERT_EQ(fp6llmGetDeviceCount(FP6LLM_BACKEND_CUDA, &devices), 0);
    if (devices > 0) GTEST_SKIP() << "there is a CUDA device";
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CUDA;
    fp6llmHandle_t handle = nullptr;
    EXPECT_EQ(fp6llmCreateWithConfig(&handle, &config), FP6LLM_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(handle, nullptr);
    expect_text({"CUDA", "CPU"});
}

TEST_F(NotSupported, DevicePointerModeOnACpuHandle) {
    EXPECT_EQ(fp6llmSetPointerMode(handle_.get(), FP6LLM_POINTER_MODE_DEVICE),
              FP6LLM_STATUS_NOT_SUPPORTED);
    expect_text({"DEVICE", "CPU"});
}

TEST_F(NotSupported, Fp8Activations) {
    const float one = 1.0f, zero = 0.0f;
    const fp6llmComputeType_t type = FP6LLM_COMPUTE_32F_FAST_8F;
    const char* const name = "FAST_8F";
    EXPECT_EQ(fp6llmGemmEx(handle_.get(), FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols, &one,
                           weight_.get(), x_.data(), FP6LLM_R_32F, kCols, &zero, y_.data(),
                           FP6LLM_R_32F, kRows, type, FP6LLM_ALGO_DEFAULT),
              FP6LLM_STATUS_NOT_SUPPORTED);
    expect_text({name, "32F_FAST_16BF", "32F_FAST_16I", "32F_FAST_8I"});

    size_t bytes = 123;
    EXPECT_EQ(fp6llmGemmGetWorkspaceSize(handle_.get(), FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens,
                                         kCols, weight_.get(), FP6LLM_R_32F, FP6LLM_R_32F, type,
                                         FP6LLM_ALGO_DEFAULT, &bytes),
              FP6LLM_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(bytes, 123u);

    fp6llmHeuristicResult_t result = FP6LLM_HEURISTIC_RESULT_INIT;
    int returned = 123;
    EXPECT_EQ(fp6llmGemmGetHeuristic(handle_.get(), FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols,
                                     weight_.get(), FP6LLM_R_32F, FP6LLM_R_32F, type, 1, &result,
                                     &returned),
              FP6LLM_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(returned, 123);

    fp6llmEpilogue_t epilogue = FP6LLM_EPILOGUE_INIT;
    epilogue.computeType = type;
    EXPECT_EQ(fp6llmLinear(handle_.get(), kTokens, x_.data(), FP6LLM_R_32F, kCols, weight_.get(),
                           &epilogue, y_.data(), FP6LLM_R_32F, kRows),
              FP6LLM_STATUS_NOT_SUPPORTED);
    expect_text({name});

    const int64_t offsets[] = {0, kTokens};
    const fp6llmWeight_t weights[] = {weight_.get()};
    EXPECT_EQ(fp6llmGemmGroupedEx(handle_.get(), 1, FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols,
                                  offsets, &one, weights, x_.data(), FP6LLM_R_32F, kCols, &zero,
                                  y_.data(), FP6LLM_R_32F, kRows, type, FP6LLM_ALGO_DEFAULT),
              FP6LLM_STATUS_NOT_SUPPORTED);
    expect_text({name});
    for (const float value : y_)
        ASSERT_EQ(value, -1.0f);
}

TEST_F(NotSupported, MixedSixteenBitTypes) {
    const float one = 1.0f, zero = 0.0f;
    const std::vector<uint16_t> x(kTokens * kCols, 0x3C00);
    std::vector<uint16_t> y(kTokens * kRows, 0xA5A5);
    const std::vector<uint16_t> before = y;
    for (const auto& [b, c] : {std::make_tuple(FP6LLM_R_16F, FP6LLM_R_16BF),
                               std::make_tuple(FP6LLM_R_16BF, FP6LLM_R_16F)}) {
        EXPECT_EQ(fp6llmGemmEx(handle_.get(), FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols, &one,
                               weight_.get(), x.data(), b, kCols, &zero, y.data(), c, kRows,
                               FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT),
                  FP6LLM_STATUS_NOT_SUPPORTED);
        expect_text({"Ctype", "Btype", "R_32F"});
    }
    EXPECT_EQ(y, before);
}

/// An algorithm of another operation or processor is refused, not replaced.
TEST_F(NotSupported, AnAlgorithmIsUsedOrRefused) {
    const float one = 1.0f, zero = 0.0f;
    for (int32_t algo = 0; algo < 1000; ++algo) {
        size_t bytes = 0;
        const fp6llmStatus_t asked = fp6llmGemmGetWorkspaceSize(
            handle_.get(), FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols, weight_.get(),
            FP6LLM_R_32F, FP6LLM_R_32F, FP6LLM_COMPUTE_32F, algo, &bytes);
        const fp6llmStatus_t run =
            fp6llmGemmEx(handle_.get(), FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols, &one,
                         weight_.get(), x_.data(), FP6LLM_R_32F, kCols, &zero, y_.data(),
                         FP6LLM_R_32F, kRows, FP6LLM_COMPUTE_32F, algo);
        EXPECT_EQ(run, asked) << algo;
        EXPECT_TRUE(run == FP6LLM_STATUS_SUCCESS || run == FP6LLM_STATUS_INVALID_VALUE ||
                    run == FP6LLM_STATUS_NOT_SUPPORTED)
            << algo;
    }
}

}  // namespace
}  // namespace fp6llm::capi_test
