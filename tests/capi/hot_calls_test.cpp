// Hot calls allocate nothing: with a lent workspace never, with the handle's own scratch not again
// once it has grown. operator new is counted on all threads, the pool's included.
#include <gtest/gtest.h>

#include "core/common/aligned_buffer.hpp"
#include "tests/capi/counting_new.hpp"
#include "tests/capi/support.hpp"

namespace fp6llm::capi_test {
namespace {

constexpr int64_t kRows = 512, kCols = 768, kMostTokens = 70;

class HotCalls : public ::testing::Test {
  protected:
    /// Every multiplying call and its question of the workspace, at several numbers of tokens.
    void multiply_all() {
        const float one = 1.0f, half = 0.5f;
        fp6llmEpilogue_t epilogue = FP6LLM_EPILOGUE_INIT;
        epilogue.bias = bias_.data();
        epilogue.activation = FP6LLM_ACTIVATION_SILU;
        const fp6llmWeight_t weights[] = {weight_.get(), weight_.get()};
        for (const int64_t tokens : {int64_t{1}, int64_t{5}, kMostTokens}) {
            for (const auto compute : {FP6LLM_COMPUTE_32F, FP6LLM_COMPUTE_32F_FAST_16BF,
                                       FP6LLM_COMPUTE_32F_FAST_16I, FP6LLM_COMPUTE_32F_FAST_8I}) {
                for (const auto transb : {FP6LLM_OP_N, FP6LLM_OP_T}) {
                    const int64_t ldb = transb == FP6LLM_OP_N ? kCols : tokens;
                    expect_ok(fp6llmGemmEx(handle_.get(), FP6LLM_OP_T, transb, kRows, tokens, kCols,
                                           &one, weight_.get(), x_.data(), FP6LLM_R_32F, ldb, &half,
                                           y_.data(), FP6LLM_R_32F, kRows, compute,
                                           FP6LLM_ALGO_DEFAULT));
                }
                size_t bytes = 0;
                expect_ok(fp6llmGemmGetWorkspaceSize(
                    handle_.get(), FP6LLM_OP_T, FP6LLM_OP_N, kRows, tokens, kCols, weight_.get(),
                    FP6LLM_R_32F, FP6LLM_R_32F, compute, FP6LLM_ALGO_DEFAULT, &bytes));
                most_bytes_ = std::max(most_bytes_, bytes);
            }
            size_t bytes = 0;
            expect_ok(fp6llmGemmGetWorkspaceSize(
                handle_.get(), FP6LLM_OP_N, FP6LLM_OP_N, kCols, tokens, kRows, weight_.get(),
                FP6LLM_R_32F, FP6LLM_R_32F, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT, &bytes));
            most_bytes_ = std::max(most_bytes_, bytes);
            expect_ok(fp6llmGemmEx(handle_.get(), FP6LLM_OP_N, FP6LLM_OP_N, kCols, tokens, kRows,
                                   &one, weight_.get(), x_.data(), FP6LLM_R_32F, kCols, &half,
                                   y_.data(), FP6LLM_R_32F, kCols, FP6LLM_COMPUTE_32F,
                                   FP6LLM_ALGO_DEFAULT));
            expect_ok(fp6llmLinear(handle_.get(), tokens, x_.data(), FP6LLM_R_32F, kCols,
                                   weight_.get(), &epilogue, y_.data(), FP6LLM_R_32F, kRows));
            const int64_t offsets[] = {0, tokens / 2, tokens};
            expect_ok(fp6llmGemmGroupedEx(handle_.get(), 2, FP6LLM_OP_T, FP6LLM_OP_N, kRows, tokens,
                                          kCols, offsets, &one, weights, x_.data(), FP6LLM_R_32F,
                                          kCols, &half, y_.data(), FP6LLM_R_32F, kRows,
                                          FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT));
        }
    }
    void expect_ok(fp6llmStatus_t status) { ok_ = ok_ && status == FP6LLM_STATUS_SUCCESS; }
    void expect_no_allocation() {
        const int64_t before = all_news();
        fail_new_after(1);
        fail_allocation_after(1);
        multiply_all();
        fail_new_after(0);
        fail_allocation_after(0);
        EXPECT_EQ(all_news(), before);
        EXPECT_TRUE(ok_) << last_error();
    }

    const std::vector<float> x_ = gaussian(kMostTokens * kCols, 1), bias_ = gaussian(kRows, 2);
    std::vector<float> y_ = std::vector<float>(kMostTokens * kCols);
    const Handle handle_ = make_handle(3);
    const Weight weight_ =
        make_weight(handle_.get(), quant_config(), kRows, kCols, gaussian(kRows* kCols, 3));
    size_t most_bytes_ = 0;
    bool ok_ = true;
};

TEST_F(HotCalls, AllocateNothingOnceTheHandlesScratchHasGrown) {
    multiply_all();
    ASSERT_TRUE(ok_) << last_error();
    expect_no_allocation();
}

TEST_F(HotCalls, AllocateNothingInALentWorkspace) {
    multiply_all();  // starts the pool
    ASSERT_GT(most_bytes_, 0u);
    const AlignedBuffer workspace(most_bytes_);
    ASSERT_EQ(fp6llmSetWorkspace(handle_.get(), workspace.data(), workspace.size()), 0);
    expect_no_allocation();
}

}  // namespace
}  // namespace fp6llm::capi_test
