// Sizes that are fine one by one and overflow as a product: refused before anything is read.
#include <gtest/gtest.h>

#include "tests/capi/support.hpp"

namespace fp6llm::capi_test {
namespace {

constexpr int64_t k2to31 = int64_t{1} << 31, k2to40 = int64_t{1} << 40, k2to61 = int64_t{1} << 61;

struct Shape {
    int64_t rows, cols;
};
/// [1, 2^61] overflows in the panels of a weight, the others in any matrix.
const Shape kShapes[] = {{k2to31, k2to31},   {k2to40, k2to40},          {k2to61, 8},
                         {8, k2to61},        {INT64_MAX, INT64_MAX},    {INT64_MAX / 2, 3},
                         {3, INT64_MAX / 2}, {int64_t{1} << 59, 31},    {INT64_MAX, 1},
                         {1, INT64_MAX},     {int64_t{1} << 32, k2to31}};

/// Buffers too small for any such shape: whoever touches one crashes under AddressSanitizer.
TEST(Overflow, OfShapesIsRefusedBeforeAnythingIsRead) {
    const Handle handle = make_handle();
    alignas(FP6LLM_BLOB_ALIGNMENT) static float memory[16];
    fp6llmWeight_t weight = nullptr;
    size_t bytes = 77;
    for (const auto& config :
         {quant_config(), quant_config(FP6LLM_R_5F_E2M2, FP6LLM_SCALE_GROUP, 16),
          quant_config(FP6LLM_R_4F_E2M1, FP6LLM_SCALE_MX)}) {
        for (const auto& [rows, cols] : kShapes) {
            SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols));
            const auto expect_refused = [&](fp6llmStatus_t status) {
                EXPECT_EQ(status, FP6LLM_STATUS_INVALID_VALUE);
                const std::string text = last_error();
                EXPECT_TRUE(text.find("overflow") != std::string::npos) << text;
            };
            expect_refused(fp6llmQuantGetSizes(&config, rows, cols, &bytes, &bytes));
            expect_refused(fp6llmQuantize(handle.get(), &config, rows, cols, memory, FP6LLM_R_16F,
                                          cols, memory, memory, nullptr));
            expect_refused(fp6llmDequantize(handle.get(), &config, rows, cols, memory, memory,
                                            memory, FP6LLM_R_16F, cols));
            expect_refused(fp6llmWeightCreate(handle.get(), &config, rows, cols, memory,
                                              FP6LLM_R_16F, cols, &weight));
            expect_refused(fp6llmWeightCreateFromCodes(handle.get(), &config, rows, cols, memory,
                                                       memory, &weight));
            expect_refused(fp6llmWeightGetBlobSize(handle.get(), &config, rows, cols, &bytes));
            expect_refused(fp6llmWeightPackBlob(handle.get(), &config, rows, cols, memory, memory,
                                                memory, sizeof memory));
        }
    }
    EXPECT_EQ(bytes, 77u);
    EXPECT_EQ(weight, nullptr);
}

TEST(Overflow, OfPackedLayoutsIsRefused) {
    const Handle handle = make_handle();
    const fp6llmQuantConfig_t config = quant_config();
    static float memory[16];
    fp6llmWeight_t weight = nullptr;
    size_t bytes = 77;
    for (const fp6llmPackedLayout_t layout : {FP6LLM_LAYOUT_TC_FPX, FP6LLM_LAYOUT_SPLIT_4_2}) {
        for (const auto& [rows, cols] :
             {Shape{k2to31, k2to31}, Shape{k2to40, k2to40}, Shape{k2to61, 64}, Shape{64, k2to61}}) {
            EXPECT_EQ(fp6llmPackedGetSizes(layout, &config, rows, cols, &bytes, &bytes),
                      FP6LLM_STATUS_INVALID_VALUE);
            EXPECT_NE(last_error().find("overflow"), std::string::npos) << last_error();
            EXPECT_EQ(fp6llmWeightCreateFromPacked(handle.get(), layout, &config, rows, cols,
                                                   memory, memory, &weight),
                      FP6LLM_STATUS_INVALID_VALUE);
        }
    }
    EXPECT_EQ(bytes, 77u);
    EXPECT_EQ(weight, nullptr);
}

TEST(Overflow, OfTokensTimesLeadingDimensionsIsRefused) {
    constexpr int64_t kSize = 32;
    const Handle handle = make_handle();
    const Weight weight =
        make_weight(handle.get(), quant_config(), kSize, kSize, gaussian(kSize * kSize, 1));
    const float one = 1.0f, zero = 0.0f;
    float x = 1.0f, y = -1.0f;
    struct Case {
        int64_t n, ldb, ldc;
    };
    for (const Case& c :
         {Case{k2to40, k2to40, kSize}, Case{k2to40, kSize, k2to40}, Case{INT64_MAX, kSize, kSize},
          Case{1, INT64_MAX, kSize}, Case{1, kSize, INT64_MAX}, Case{k2to61, kSize, kSize}}) {
        EXPECT_EQ(fp6llmGemmEx(handle.get(), FP6LLM_OP_T, FP6LLM_OP_N, kSize, c.n, kSize, &one,
                               weight.get(), &x, FP6LLM_R_32F, c.ldb, &zero, &y, FP6LLM_R_32F,
                               c.ldc, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT),
                  FP6LLM_STATUS_INVALID_VALUE)
            << last_error();
        EXPECT_EQ(fp6llmLinear(handle.get(), c.n, &x, FP6LLM_R_32F, c.ldb, weight.get(), nullptr,
                               &y, FP6LLM_R_32F, c.ldc),
                  FP6LLM_STATUS_INVALID_VALUE)
            << last_error();
        const int64_t offsets[] = {0, c.n};
        const fp6llmWeight_t weights[] = {weight.get()};
        EXPECT_EQ(fp6llmGemmGroupedEx(handle.get(), 1, FP6LLM_OP_T, FP6LLM_OP_N, kSize, c.n, kSize,
                                      offsets, &one, weights, &x, FP6LLM_R_32F, c.ldb, &zero, &y,
                                      FP6LLM_R_32F, c.ldc, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT),
                  FP6LLM_STATUS_INVALID_VALUE)
            << last_error();
    }
    EXPECT_EQ(y, -1.0f);
}

/// Asking about absurd but representable problems answers, and never wraps around.
TEST(Overflow, OfWorkspaceSizesIsRefusedOrBounded) {
    constexpr int64_t kSize = 32;
    const Handle handle = make_handle();
    const Weight weight =
        make_weight(handle.get(), quant_config(), kSize, kSize, gaussian(kSize * kSize, 1));
    size_t last = 0;
    for (int shift = 0; shift < 63; ++shift) {
        size_t bytes = 0;
        const fp6llmStatus_t status = fp6llmGemmGetWorkspaceSize(
            handle.get(), FP6LLM_OP_T, FP6LLM_OP_N, kSize, int64_t{1} << shift, kSize, weight.get(),
            FP6LLM_R_32F, FP6LLM_R_32F, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT, &bytes);
        if (status == FP6LLM_STATUS_INVALID_VALUE) continue;
        EXPECT_EQ(status, FP6LLM_STATUS_SUCCESS) << shift << ": " << last_error();
        EXPECT_LT(bytes, size_t{1} << 32) << shift << ": the work goes in blocks of tokens";
        EXPECT_GE(bytes * 4, last) << shift;
        last = bytes;
    }
}

}  // namespace
}  // namespace fp6llm::capi_test
