// A blob may come from anywhere: a shared mapping, a cache file, another version. Its header is
// checked, never trusted.
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "tests/capi/support.hpp"

namespace fp6llm::capi_test {
namespace {

constexpr int64_t kRows = 40, kCols = 72;
constexpr size_t kHeaderBytes = 256;

class Blob : public ::testing::Test {
  protected:
    Blob() {
        const fp6llmQuantConfig_t config = quant_config();
        const Weight weight =
            make_weight(handle_.get(), config, kRows, kCols, gaussian(kRows * kCols, 1));
        std::vector<uint8_t> codes(kRows * kCols * 6 / 8);
        std::vector<float> scales(kRows);
        EXPECT_EQ(fp6llmWeightExportCodes(handle_.get(), weight.get(), codes.data(), scales.data()),
                  0);
        EXPECT_EQ(fp6llmWeightGetBlobSize(handle_.get(), &config, kRows, kCols, &bytes_), 0);
        memory_.resize(bytes_ + FP6LLM_BLOB_ALIGNMENT);
        const auto address = reinterpret_cast<uintptr_t>(memory_.data());
        blob_ = memory_.data() + (FP6LLM_BLOB_ALIGNMENT - address % FP6LLM_BLOB_ALIGNMENT);
        EXPECT_EQ(fp6llmWeightPackBlob(handle_.get(), &config, kRows, kCols, codes.data(),
                                       scales.data(), blob_, bytes_),
                  0);
    }

    /// The status of viewing the blob; a view that was made is freed, one that was not is untouched.
    fp6llmStatus_t view(size_t bytes) {
        const auto untouched = reinterpret_cast<fp6llmWeight_t>(uintptr_t{0xA5A5A5A5});
        fp6llmWeight_t weight = untouched;
        const fp6llmStatus_t status = fp6llmWeightCreateView(handle_.get(), blob_, bytes, &weight);
        if (status == FP6LLM_STATUS_SUCCESS) {
            EXPECT_EQ(fp6llmWeightDestroy(weight), FP6LLM_STATUS_SUCCESS);
        } else {
            EXPECT_EQ(weight, untouched);
        }
        return status;
    }

    const Handle handle_ = make_handle();
    std::vector<uint8_t> memory_;
    uint8_t* blob_ = nullptr;
    size_t bytes_ = 0;
};

TEST_F(Blob, WithAnyBitOfItsHeaderFlippedIsRefused) {
    ASSERT_EQ(view(bytes_), FP6LLM_STATUS_SUCCESS) << last_error();
    const std::set<fp6llmStatus_t> refusals = {
        FP6LLM_STATUS_INVALID_VALUE, FP6LLM_STATUS_NOT_SUPPORTED, FP6LLM_STATUS_ARCH_MISMATCH};
    for (size_t bit = 0; bit < kHeaderBytes * 8; ++bit) {
        const auto mask = static_cast<uint8_t>(1 << bit % 8);
        blob_[bit / 8] ^= mask;
        EXPECT_EQ(refusals.count(view(bytes_)), 1u) << "byte " << bit / 8;
        EXPECT_NE(last_error().find("blob"), std::string::npos) << last_error();
        blob_[bit / 8] ^= mask;
    }
    EXPECT_EQ(view(bytes_), FP6LLM_STATUS_SUCCESS) << last_error();
}

TEST_F(Blob, CutShortIsRefused) {
    for (size_t bytes = 0; bytes < bytes_; bytes += bytes < 2 * kHeaderBytes ? 1 : 64) {
        EXPECT_EQ(view(bytes), FP6LLM_STATUS_INVALID_VALUE) << bytes;
    }
    EXPECT_EQ(view(bytes_ - 1), FP6LLM_STATUS_INVALID_VALUE);
    EXPECT_EQ(view(bytes_), FP6LLM_STATUS_SUCCESS);
}

TEST_F(Blob, OfGarbageIsRefused) {
    for (const int fill : {0x00, 0xFF, 0xA5}) {
        std::memset(blob_, fill, bytes_);
        EXPECT_EQ(view(bytes_), FP6LLM_STATUS_INVALID_VALUE) << fill;
    }
}

}  // namespace
}  // namespace fp6llm::capi_test
