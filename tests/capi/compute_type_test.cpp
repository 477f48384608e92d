// FP6LLM_COMPUTE_32F_FAST_16I and _8I through every multiplying call: error against fp64, the kernels
// and workspace that the library names, and bits that follow neither threads nor the host's modes.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "tests/capi/support.hpp"

namespace fp6llm::capi_test {
namespace {

// Big enough to be shared among threads; blocks of 128 columns, and a rest.
constexpr int64_t kRows = 499, kCols = 1000, kTokens = 16;
constexpr fp6llmComputeType_t kIntegerTypes[] = {FP6LLM_COMPUTE_32F_FAST_16I,
                                                 FP6LLM_COMPUTE_32F_FAST_8I};

double bound(fp6llmComputeType_t compute) {
    return compute == FP6LLM_COMPUTE_32F_FAST_16I ? 5e-5 : 1e-2;
}

bool ends_in(const std::string& text, const std::string& end) {
    return text.size() >= end.size() &&
           text.compare(text.size() - end.size(), end.size(), end) == 0;
}
bool is_integer(const std::string& kernel) {
    return ends_in(kernel, "_i16") || ends_in(kernel, "_i8");
}

struct Setting {
    const char* name;
    fp6llmQuantConfig_t config;
    bool int8;  ///< whether its weights are fit for int8 activations
};

fp6llmQuantConfig_t for_int8(fp6llmQuantConfig_t config) {
    config.computeHint = FP6LLM_COMPUTE_32F_FAST_8I;
    return config;
}
const Setting kSettings[] = {
    {"E3M2 row", quant_config(), false},
    {"E2M3 row", quant_config(FP6LLM_R_6F_E2M3), true},
    {"E2M3 group 128", quant_config(FP6LLM_R_6F_E2M3, FP6LLM_SCALE_GROUP, 128), true},
    {"E3M2 MX", quant_config(FP6LLM_R_6F_E3M2, FP6LLM_SCALE_MX), false},
    {"E2M1 MX", quant_config(FP6LLM_R_4F_E2M1, FP6LLM_SCALE_MX), true},
    {"E2M3 row for int8", for_int8(quant_config(FP6LLM_R_6F_E2M3)), true},
    {"E2M3 MX for int8", for_int8(quant_config(FP6LLM_R_6F_E2M3, FP6LLM_SCALE_MX)), true},
};

/// What the weights of `setting` made of `w` stand for.
std::vector<float> values_of(fp6llmHandle_t handle, const Setting& setting,
                             const std::vector<float>& w) {
    size_t code_bytes = 0, scale_bytes = 0;
    EXPECT_EQ(fp6llmQuantGetSizes(&setting.config, kRows, kCols, &code_bytes, &scale_bytes), 0);
    std::vector<uint8_t> codes(code_bytes);
    std::vector<float> scales((scale_bytes + 3) / 4), values(w.size());
    EXPECT_EQ(fp6llmQuantize(handle, &setting.config, kRows, kCols, w.data(), FP6LLM_R_32F, kCols,
                             codes.data(), scales.data(), nullptr),
              0);
    EXPECT_EQ(fp6llmDequantize(handle, &setting.config, kRows, kCols, codes.data(), scales.data(),
                               values.data(), FP6LLM_R_32F, kCols),
              0);
    return values;
}

std::vector<double> exact_product(const std::vector<float>& x, const std::vector<float>& values) {
    std::vector<double> y;
    for (size_t t = 0; t < x.size() / kCols; ++t) {
        for (size_t row = 0; row < static_cast<size_t>(kRows); ++row) {
            double sum = 0;
            for (size_t k = 0; k < static_cast<size_t>(kCols); ++k)
                sum += static_cast<double>(x[t * kCols + k]) *
                       static_cast<double>(values[row * kCols + k]);
            y.push_back(sum);
        }
    }
    return y;
}

double relative_rms(const std::vector<float>& y, const std::vector<double>& exact) {
    double error = 0, total = 0;
    for (size_t i = 0; i < y.size(); ++i) {
        error += (y[i] - exact[i]) * (y[i] - exact[i]);
        total += exact[i] * exact[i];
    }
    return std::sqrt(error / total);
}

std::vector<fp6llmHeuristicResult_t> kernels(fp6llmHandle_t handle, fp6llmWeight_t weight,
                                             int64_t tokens, fp6llmComputeType_t compute) {
    const fp6llmHeuristicResult_t empty = FP6LLM_HEURISTIC_RESULT_INIT;
    std::vector<fp6llmHeuristicResult_t> results(64, empty);
    int count = 0;
    EXPECT_EQ(fp6llmGemmGetHeuristic(handle, FP6LLM_OP_T, FP6LLM_OP_N, kRows, tokens, kCols, weight,
                                     FP6LLM_R_32F, FP6LLM_R_32F, compute,
                                     static_cast<int>(results.size()), results.data(), &count),
              0);
    results.resize(static_cast<size_t>(count));
    return results;
}

/// Whether this processor's kernels have integer arithmetic for the weight.
bool has_integers(const std::vector<fp6llmHeuristicResult_t>& results) {
    return std::any_of(results.begin(), results.end(),
                       [](const auto& result) { return is_integer(result.name); });
}

std::string isa() {
    fp6llmDeviceInfo_t info = FP6LLM_DEVICE_INFO_INIT;
    EXPECT_EQ(fp6llmGetDeviceInfo(FP6LLM_BACKEND_CPU, 0, &info), 0);
    return info.isa;
}

std::vector<float> gemm(fp6llmHandle_t handle, fp6llmWeight_t weight, const std::vector<float>& x,
                        fp6llmComputeType_t compute) {
    const auto tokens = static_cast<int64_t>(x.size()) / kCols;
    std::vector<float> y(static_cast<size_t>(tokens * kRows), NAN);
    const float one = 1.0f, zero = 0.0f;
    EXPECT_EQ(fp6llmGemmEx(handle, FP6LLM_OP_T, FP6LLM_OP_N, kRows, tokens, kCols, &one, weight,
                           x.data(), FP6LLM_R_32F, kCols, &zero, y.data(), FP6LLM_R_32F, kRows,
                           compute, FP6LLM_ALGO_DEFAULT),
              0)
        << last_error();
    return y;
}

std::vector<float> linear(fp6llmHandle_t handle, fp6llmWeight_t weight, const std::vector<float>& x,
                          fp6llmComputeType_t compute) {
    const auto tokens = static_cast<int64_t>(x.size()) / kCols;
    std::vector<float> y(static_cast<size_t>(tokens * kRows), NAN);
    fp6llmEpilogue_t epilogue = FP6LLM_EPILOGUE_INIT;
    epilogue.computeType = compute;
    EXPECT_EQ(fp6llmLinear(handle, tokens, x.data(), FP6LLM_R_32F, kCols, weight, &epilogue,
                           y.data(), FP6LLM_R_32F, kRows),
              0)
        << last_error();
    return y;
}

class IntegerTypes : public ::testing::Test {
  protected:
    const Handle handle_ = make_handle(2);
    const std::vector<float> w_ = gaussian(kRows * kCols, 1, 0.02f);
    const std::vector<float> x_ = gaussian(kTokens * kCols, 2);
};

TEST_F(IntegerTypes, KeepTheirErrorInEveryCall) {
    for (const Setting& setting : kSettings) {
        const Weight weight = make_weight(handle_.get(), setting.config, kRows, kCols, w_);
        const std::vector<double> exact = exact_product(x_, values_of(handle_.get(), setting, w_));
        const std::vector<float> fp32 = gemm(handle_.get(), weight.get(), x_, FP6LLM_COMPUTE_32F);
        EXPECT_LE(relative_rms(fp32, exact), 1e-6) << setting.name;
        for (const fp6llmComputeType_t compute : kIntegerTypes) {
            SCOPED_TRACE(setting.name + std::string(", computeType ") + std::to_string(compute));
            const std::vector<float> y = gemm(handle_.get(), weight.get(), x_, compute);
            const double error = relative_rms(y, exact);
            EXPECT_LE(error, bound(compute));
            // Rounded activations show: the permission arrived at a kernel that uses it.
            const std::string kernel =
                kernels(handle_.get(), weight.get(), kTokens, compute).at(0).name;
            const double least = ends_in(kernel, "_i8") ? 1e-3 : ends_in(kernel, "_i16") ? 5e-6 : 0;
            EXPECT_GE(error, least) << kernel;

            EXPECT_TRUE(same_bits(linear(handle_.get(), weight.get(), x_, compute), y));

            // A group without tokens, and one of as many as the call above had.
            const int64_t offsets[] = {0, 0, kTokens};
            const fp6llmWeight_t weights[] = {nullptr, weight.get()};
            std::vector<float> grouped(y.size(), NAN);
            const float one = 1.0f, zero = 0.0f;
            EXPECT_EQ(fp6llmGemmGroupedEx(handle_.get(), 2, FP6LLM_OP_T, FP6LLM_OP_N, kRows,
                                          kTokens, kCols, offsets, &one, weights, x_.data(),
                                          FP6LLM_R_32F, kCols, &zero, grouped.data(), FP6LLM_R_32F,
                                          kRows, compute, FP6LLM_ALGO_DEFAULT),
                      0)
                << last_error();
            EXPECT_TRUE(same_bits(grouped, y));
        }
    }
}

// A hint is about speed: the layout may be another one, and with it which kernel is fastest, but codes and
// exact products are the same bits, and int8 stays what it is.
TEST_F(IntegerTypes, AHintChangesNeitherCodesNorExactProducts) {
    for (const fp6llmQuantConfig_t& config :
         {quant_config(FP6LLM_R_6F_E2M3), quant_config(FP6LLM_R_6F_E2M3, FP6LLM_SCALE_MX),
          quant_config(FP6LLM_R_5F_E2M2, FP6LLM_SCALE_GROUP, 32), quant_config(FP6LLM_R_6F_E3M2)}) {
        const Weight plain = make_weight(handle_.get(), config, kRows, kCols, w_);
        const Weight hinted = make_weight(handle_.get(), for_int8(config), kRows, kCols, w_);
        fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
        ASSERT_EQ(fp6llmWeightGetInfo(hinted.get(), &info), 0);
        const bool bytes = isa() == "avx2" && config.format != FP6LLM_R_6F_E3M2;
        EXPECT_EQ(info.layout == std::string("cpu-s8/1"), bytes) << info.layout;
        EXPECT_EQ(info.computeHint, bytes ? FP6LLM_COMPUTE_32F_FAST_8I : 0);

        size_t code_bytes = 0, scale_bytes = 0;
        ASSERT_EQ(fp6llmQuantGetSizes(&config, kRows, kCols, &code_bytes, &scale_bytes), 0);
        std::vector<uint8_t> codes(code_bytes), hinted_codes(code_bytes);
        std::vector<uint8_t> scales(scale_bytes), hinted_scales(scale_bytes);
        ASSERT_EQ(fp6llmWeightExportCodes(handle_.get(), plain.get(), codes.data(), scales.data()),
                  0);
        ASSERT_EQ(fp6llmWeightExportCodes(handle_.get(), hinted.get(), hinted_codes.data(),
                                          hinted_scales.data()),
                  0);
        EXPECT_EQ(codes, hinted_codes);
        EXPECT_EQ(scales, hinted_scales);

        for (const int64_t tokens : {1, 2, 5, 16}) {
            const std::vector<float> x(x_.begin(), x_.begin() + tokens * kCols);
            EXPECT_TRUE(same_bits(gemm(handle_.get(), hinted.get(), x, FP6LLM_COMPUTE_32F),
                                  gemm(handle_.get(), plain.get(), x, FP6LLM_COMPUTE_32F)));
            const auto fast =
                kernels(handle_.get(), hinted.get(), tokens, FP6LLM_COMPUTE_32F_FAST_8I);
            EXPECT_TRUE(!bytes || ends_in(fast.at(0).name, "_i8")) << fast.at(0).name;
        }
    }
}

TEST_F(IntegerTypes, NameIntegerKernelsWhereTheProcessorHasThem) {
    for (const Setting& setting : kSettings) {
        SCOPED_TRACE(setting.name);
        const Weight weight = make_weight(handle_.get(), setting.config, kRows, kCols, w_);
        const auto fast16 =
            kernels(handle_.get(), weight.get(), kTokens, FP6LLM_COMPUTE_32F_FAST_16I);
        const auto fast8 =
            kernels(handle_.get(), weight.get(), kTokens, FP6LLM_COMPUTE_32F_FAST_8I);
        // Whatever the processor: who did not permit rounding, or less, does not get it.
        EXPECT_FALSE(has_integers(
            kernels(handle_.get(), weight.get(), kTokens, FP6LLM_COMPUTE_32F_FAST_16BF)));
        EXPECT_FALSE(
            has_integers(kernels(handle_.get(), weight.get(), kTokens, FP6LLM_COMPUTE_32F)));
        for (const auto& result : fast16)
            EXPECT_FALSE(ends_in(result.name, "_i8")) << result.name;
        for (const auto& result : fast8)
            EXPECT_TRUE(setting.int8 || !ends_in(result.name, "_i8")) << result.name;
        if (!has_integers(fast16)) {
            ASSERT_NE(isa(), "avx2");
            GTEST_SKIP() << "kernels of " << isa() << " have no integer arithmetic";
        }
        EXPECT_TRUE(ends_in(fast16[0].name, "_i16")) << fast16[0].name;
        EXPECT_TRUE(ends_in(fast8[0].name, setting.int8 ? "_i8" : "_i16")) << fast8[0].name;
    }
}

TEST_F(IntegerTypes, RunInTheWorkspaceThatQueriesName) {
    for (const Setting& setting : kSettings) {
        const Weight weight = make_weight(handle_.get(), setting.config, kRows, kCols, w_);
        for (const fp6llmComputeType_t compute : kIntegerTypes) {
            SCOPED_TRACE(setting.name + std::string(", computeType ") + std::to_string(compute));
            const std::vector<float> expected = gemm(handle_.get(), weight.get(), x_, compute);
            for (const auto& result : kernels(handle_.get(), weight.get(), kTokens, compute)) {
                size_t bytes = 1;
                EXPECT_EQ(fp6llmGemmGetWorkspaceSize(handle_.get(), FP6LLM_OP_T, FP6LLM_OP_N, kRows,
                                                     kTokens, kCols, weight.get(), FP6LLM_R_32F,
                                                     FP6LLM_R_32F, compute, result.algo, &bytes),
                          0);
                EXPECT_EQ(bytes, result.workspaceSize) << result.name;
            }
            size_t bytes = 0;
            ASSERT_EQ(
                fp6llmGemmGetWorkspaceSize(handle_.get(), FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens,
                                           kCols, weight.get(), FP6LLM_R_32F, FP6LLM_R_32F, compute,
                                           FP6LLM_ALGO_DEFAULT, &bytes),
                0);
            ASSERT_GT(bytes, 64u);
            ASSERT_EQ(bytes % 64, 0u);
            const std::unique_ptr<void, void (*)(void*)> workspace(std::aligned_alloc(64, bytes),
                                                                   std::free);
            ASSERT_EQ(fp6llmSetWorkspace(handle_.get(), workspace.get(), bytes), 0);
            EXPECT_TRUE(same_bits(gemm(handle_.get(), weight.get(), x_, compute), expected));
            ASSERT_EQ(fp6llmSetWorkspace(handle_.get(), workspace.get(), bytes - 64), 0);
            std::vector<float> y(expected.size(), -1.0f);
            const std::vector<float> before = y;
            const float one = 1.0f, zero = 0.0f;
            EXPECT_EQ(fp6llmGemmEx(handle_.get(), FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols,
                                   &one, weight.get(), x_.data(), FP6LLM_R_32F, kCols, &zero,
                                   y.data(), FP6LLM_R_32F, kRows, compute, FP6LLM_ALGO_DEFAULT),
                      FP6LLM_STATUS_INVALID_VALUE);
            EXPECT_EQ(y, before);
            ASSERT_EQ(fp6llmSetWorkspace(handle_.get(), nullptr, 0), 0);
        }
    }
}

TEST_F(IntegerTypes, SpoilOnlyTheTokenOfANanOrInfinity) {
    std::vector<float> x = x_;
    x[2 * kCols + 700] = std::numeric_limits<float>::quiet_NaN();
    x[5 * kCols] = std::numeric_limits<float>::infinity();
    for (int64_t k = 0; k < kCols; ++k)
        x[static_cast<size_t>(7 * kCols + k)] *= 0x1p-105f;  // its blocks count as zero
    for (const Setting& setting : kSettings) {
        const Weight weight = make_weight(handle_.get(), setting.config, kRows, kCols, w_);
        for (const fp6llmComputeType_t compute : kIntegerTypes) {
            SCOPED_TRACE(setting.name + std::string(", computeType ") + std::to_string(compute));
            const std::string kernel =
                kernels(handle_.get(), weight.get(), kTokens, compute).at(0).name;
            if (!is_integer(kernel)) GTEST_SKIP() << kernel << " is at least as exact";
            const std::vector<float> clean = gemm(handle_.get(), weight.get(), x_, compute);
            const std::vector<float> y = gemm(handle_.get(), weight.get(), x, compute);
            for (size_t i = 0; i < y.size(); ++i) {
                const size_t token = i / kRows;
                if (token == 2 || token == 5) {
                    ASSERT_TRUE(std::isnan(y[i])) << i;
                } else {
                    ASSERT_EQ(y[i], token == 7 ? 0.0f : clean[i]) << i;
                }
            }
        }
    }
}

#if defined(__x86_64__)
TEST_F(IntegerTypes, HaveTheSameBitsForAnyThreadsAndHostModes) {
    // Row scales of half the rows, and their outputs, are subnormal.
    std::vector<float> w = w_;
    for (size_t i = 0; i < w.size(); ++i) {
        if (i / kCols % 2 == 0) w[i] *= 1e-36f;
    }
    for (const Setting& setting : kSettings) {
        const Handle one = make_handle(1), three = make_handle(3);
        const Weight weight = make_weight(one.get(), setting.config, kRows, kCols, w);
        for (const fp6llmComputeType_t compute : kIntegerTypes) {
            SCOPED_TRACE(setting.name + std::string(", computeType ") + std::to_string(compute));
            const std::vector<float> expected = gemm(one.get(), weight.get(), x_, compute);
            EXPECT_TRUE(std::any_of(expected.begin(), expected.end(),
                                    [](float y) { return std::fpclassify(y) == FP_SUBNORMAL; }));
            EXPECT_TRUE(same_bits(gemm(three.get(), weight.get(), x_, compute), expected));
            const unsigned modes = _mm_getcsr();
            for (const fp6llmHandle_t handle : {one.get(), three.get()}) {
                _mm_setcsr(modes | 0x8040);  // flush to zero, denormals are zero
                const std::vector<float> y = gemm(handle, weight.get(), x_, compute);
                const unsigned after = _mm_getcsr();
                _mm_setcsr(modes);
                EXPECT_TRUE(same_bits(y, expected));
                EXPECT_EQ(after & 0xFFC0, (modes | 0x8040) & 0xFFC0);
            }
        }
    }
}
#endif

}  // namespace
}  // namespace fp6llm::capi_test
