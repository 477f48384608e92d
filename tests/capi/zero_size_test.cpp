// A size of zero is legal: the call succeeds, writes nothing, and needs no buffers.
#include <gtest/gtest.h>

#include "tests/capi/support.hpp"

namespace fp6llm::capi_test {
namespace {

struct Shape {
    int64_t rows, cols;
};
const Shape kEmpty[] = {{0, 0}, {0, 5}, {5, 0}};
const fp6llmQuantConfig_t kConfigs[] = {quant_config(),
                                        quant_config(FP6LLM_R_6F_E2M3, FP6LLM_SCALE_GROUP, 16),
                                        quant_config(FP6LLM_R_5F_E3M1, FP6LLM_SCALE_MX)};

TEST(ZeroSize, QuantizeAndDequantize) {
    const Handle handle = make_handle();
    for (const fp6llmQuantConfig_t& config : kConfigs) {
        for (const auto& [rows, cols] : kEmpty) {
            fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
            EXPECT_EQ(fp6llmQuantize(handle.get(), &config, rows, cols, nullptr, FP6LLM_R_32F, 5,
                                     nullptr, nullptr, &stats),
                      0)
                << last_error();
            EXPECT_EQ(stats.format, config.format);
            EXPECT_EQ(stats.mse, 0.0) << "not NaN";
            EXPECT_EQ(fp6llmDequantize(handle.get(), &config, rows, cols, nullptr, nullptr, nullptr,
                                       FP6LLM_R_32F, 5),
                      0)
                << last_error();
        }
    }
}

TEST(ZeroSize, Weights) {
    const Handle handle = make_handle();
    for (const fp6llmQuantConfig_t& config : kConfigs) {
        for (const auto& [rows, cols] : kEmpty) {
            SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols));
            fp6llmWeight_t from_floats = nullptr, from_codes = nullptr, view = nullptr;
            ASSERT_EQ(fp6llmWeightCreate(handle.get(), &config, rows, cols, nullptr, FP6LLM_R_32F,
                                         5, &from_floats),
                      0)
                << last_error();
            const Weight a(from_floats);
            ASSERT_EQ(fp6llmWeightCreateFromCodes(handle.get(), &config, rows, cols, nullptr,
                                                  nullptr, &from_codes),
                      0)
                << last_error();
            const Weight b(from_codes);

            size_t bytes = 0;
            ASSERT_EQ(fp6llmWeightGetBlobSize(handle.get(), &config, rows, cols, &bytes), 0);
            std::vector<uint8_t> memory(bytes + FP6LLM_BLOB_ALIGNMENT);
            uint8_t* blob = memory.data() +
                            (FP6LLM_BLOB_ALIGNMENT -
                             reinterpret_cast<uintptr_t>(memory.data()) % FP6LLM_BLOB_ALIGNMENT);
            ASSERT_EQ(fp6llmWeightPackBlob(handle.get(), &config, rows, cols, nullptr, nullptr,
                                           blob, bytes),
                      0)
                << last_error();
            ASSERT_EQ(fp6llmWeightCreateView(handle.get(), blob, bytes, &view), 0) << last_error();
            const Weight c(view);

            for (fp6llmWeight_t weight : {a.get(), b.get(), c.get()}) {
                fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
                EXPECT_EQ(fp6llmWeightGetInfo(weight, &info), 0);
                EXPECT_EQ(info.rows, rows);
                EXPECT_EQ(info.cols, cols);
                EXPECT_EQ(info.codeBytes, 0u);
                EXPECT_EQ(fp6llmWeightExportCodes(handle.get(), weight, nullptr, nullptr), 0);
            }
        }
    }
}

/// C = alpha * op(A) op(B) + beta * C where op(A) is [m, k].
struct Product {
    Shape weight;
    int64_t tokens;
    float beta;
    float expected;  ///< of a C that was 3
};

TEST(ZeroSize, Products) {
    const Handle handle = make_handle();
    const float one = 1.0f;
    const std::vector<float> x = gaussian(64, 1);
    for (const Product& p : {Product{{4, 0}, 2, 2.0f, 6.0f}, Product{{4, 0}, 2, 0.0f, 0.0f},
                             Product{{0, 4}, 2, 0.0f, 3.0f}, Product{{4, 4}, 0, 0.0f, 3.0f},
                             Product{{0, 0}, 0, 0.0f, 3.0f}}) {
        const auto [rows, cols] = p.weight;
        SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols) + ", tokens " +
                     std::to_string(p.tokens));
        const Weight weight = make_weight(handle.get(), quant_config(), rows, cols,
                                          gaussian(static_cast<size_t>(rows * cols), 1));
        // make_weight() passes ldw = cols, which must be at least 1.
        fp6llmWeight_t raw = nullptr;
        if (weight == nullptr) {
            ASSERT_EQ(fp6llmWeightCreate(handle.get(), &kConfigs[0], rows, cols, nullptr,
                                         FP6LLM_R_32F, 1, &raw),
                      0)
                << last_error();
        }
        const Weight owner(raw);
        fp6llmWeight_t a = weight ? weight.get() : raw;
        std::vector<float> c(16, 3.0f);
        const void* b = cols == 0 ? nullptr : x.data();
        ASSERT_EQ(fp6llmGemmEx(handle.get(), FP6LLM_OP_T, FP6LLM_OP_N, rows, p.tokens, cols, &one,
                               a, b, FP6LLM_R_32F, 4, &p.beta, c.data(), FP6LLM_R_32F, 4,
                               FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT),
                  0)
            << last_error();
        const auto written = static_cast<size_t>(rows * p.tokens);
        for (size_t i = 0; i < c.size(); ++i) {
            EXPECT_EQ(c[i], i < written ? p.expected : 3.0f) << i;
        }
    }
}

TEST(ZeroSize, PackedLayouts) {
    const Handle handle = make_handle();
    const fp6llmQuantConfig_t config = quant_config();
    for (const fp6llmPackedLayout_t layout : {FP6LLM_LAYOUT_TC_FPX, FP6LLM_LAYOUT_SPLIT_4_2}) {
        for (const auto& [rows, cols] : {Shape{0, 0}, Shape{0, 64}, Shape{64, 0}}) {
            SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols));
            size_t packed = 1, scales = 1;
            EXPECT_EQ(fp6llmPackedGetSizes(layout, &config, rows, cols, &packed, &scales), 0)
                << last_error();
            EXPECT_EQ(packed, 0u);
            EXPECT_EQ(scales, 0u);
            fp6llmWeight_t raw = nullptr;
            ASSERT_EQ(fp6llmWeightCreateFromPacked(handle.get(), layout, &config, rows, cols,
                                                   nullptr, nullptr, &raw),
                      0)
                << last_error();
            const Weight weight(raw);
            EXPECT_EQ(fp6llmWeightExportPacked(handle.get(), raw, layout, nullptr, nullptr), 0);
            unsigned char untouched = 0xA5;
            EXPECT_EQ(fp6llmWeightExportPacked(handle.get(), raw, layout, &untouched, nullptr), 0);
            EXPECT_EQ(untouched, 0xA5);
        }
    }
}

/// No groups, groups without tokens, and weights without rows or columns.
TEST(ZeroSize, GroupedProducts) {
    const Handle handle = make_handle();
    const float one = 1.0f, two = 2.0f;
    const std::vector<float> x = gaussian(64, 1);
    for (const Shape& shape : {Shape{4, 4}, Shape{4, 0}, Shape{0, 4}}) {
        const auto [rows, cols] = shape;
        SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols));
        fp6llmWeight_t raw = nullptr;
        ASSERT_EQ(fp6llmWeightCreate(handle.get(), &kConfigs[0], rows, cols, x.data(), FP6LLM_R_32F,
                                     4, &raw),
                  0);
        const Weight weight(raw);
        const fp6llmWeight_t weights[] = {raw, nullptr};
        for (const int64_t groups : {0, 1, 2}) {
            for (const int64_t tokens : {0, 2}) {
                const int64_t offsets[] = {0, tokens, tokens};
                const int64_t used = groups > 0 ? tokens : 0;
                const void* b = cols == 0 || tokens == 0 ? nullptr : x.data();
                std::vector<float> c(16, 3.0f);
                EXPECT_EQ(
                    fp6llmGemmGroupedEx(handle.get(), groups, FP6LLM_OP_T, FP6LLM_OP_N, rows,
                                        tokens, cols, offsets, &one, groups > 0 ? weights : nullptr,
                                        b, FP6LLM_R_32F, 4, &two, c.data(), FP6LLM_R_32F, 4,
                                        FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT),
                    0)
                    << last_error();
                if (used != 0 && cols != 0 && rows != 0) continue;  // a product: tested elsewhere
                for (size_t i = 0; i < c.size(); ++i) {
                    EXPECT_EQ(c[i], i < static_cast<size_t>(rows * used) ? 6.0f : 3.0f) << i;
                }
            }
        }
    }
}

TEST(ZeroSize, QuestionsAboutProducts) {
    const Handle handle = make_handle();
    for (const auto& [rows, cols] : kEmpty) {
        fp6llmWeight_t raw = nullptr;
        ASSERT_EQ(fp6llmWeightCreate(handle.get(), &kConfigs[0], rows, cols, nullptr, FP6LLM_R_32F,
                                     5, &raw),
                  0);
        const Weight weight(raw);
        for (const auto transa : {FP6LLM_OP_N, FP6LLM_OP_T}) {
            const int64_t m = transa == FP6LLM_OP_T ? rows : cols;
            for (const int64_t n : {0, 3}) {
                size_t bytes = 0;
                EXPECT_EQ(
                    fp6llmGemmGetWorkspaceSize(handle.get(), transa, FP6LLM_OP_N, m, n,
                                               rows + cols - m, raw, FP6LLM_R_32F, FP6LLM_R_32F,
                                               FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT, &bytes),
                    0)
                    << last_error();
                fp6llmHeuristicResult_t result = FP6LLM_HEURISTIC_RESULT_INIT;
                int returned = 0;
                EXPECT_EQ(fp6llmGemmGetHeuristic(handle.get(), transa, FP6LLM_OP_N, m, n,
                                                 rows + cols - m, raw, FP6LLM_R_32F, FP6LLM_R_32F,
                                                 FP6LLM_COMPUTE_32F, 1, &result, &returned),
                          0)
                    << last_error();
                EXPECT_EQ(returned, 1);
            }
        }
    }
}

TEST(ZeroSize, LinearOfNoTokensNeedsNoBuffers) {
    const Handle handle = make_handle();
    const Weight weight = make_weight(handle.get(), quant_config(), 4, 8, gaussian(32, 1));
    EXPECT_EQ(fp6llmLinear(handle.get(), 0, nullptr, FP6LLM_R_32F, 8, weight.get(), nullptr,
                           nullptr, FP6LLM_R_32F, 4),
              0)
        << last_error();
}

/// k == 0 still applies the epilogue.
TEST(ZeroSize, LinearOfNoInputsGivesItsEpilogue) {
    const Handle handle = make_handle();
    fp6llmWeight_t raw = nullptr;
    ASSERT_EQ(fp6llmWeightCreate(handle.get(), &kConfigs[0], 4, 0, nullptr, FP6LLM_R_32F, 1, &raw),
              0);
    const Weight weight(raw);
    const std::vector<float> bias = {1.0f, -2.0f, 3.0f, -4.0f};
    fp6llmEpilogue_t epilogue = FP6LLM_EPILOGUE_INIT;
    epilogue.bias = bias.data();
    epilogue.activation = FP6LLM_ACTIVATION_RELU;
    std::vector<float> y(8, -1.0f);
    ASSERT_EQ(fp6llmLinear(handle.get(), 2, nullptr, FP6LLM_R_32F, 1, raw, &epilogue, y.data(),
                           FP6LLM_R_32F, 4),
              0)
        << last_error();
    EXPECT_EQ(y, (std::vector<float>{1, 0, 3, 0, 1, 0, 3, 0}));
}

}  // namespace
}  // namespace fp6llm::capi_test
