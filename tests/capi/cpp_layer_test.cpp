// fp6llm.hpp: each wrapper makes its C call, owns what it makes, throws what went wrong, and refuses
// spans that are too short.
#include "fp6llm/fp6llm.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <optional>
#include <type_traits>

#include "tests/capi/support.hpp"

namespace {
/// A half type of the caller's.
struct Half {
    uint16_t bits;
};
}  // namespace

template <>
struct fp6llm::DataTypeOf<Half> {
    static constexpr fp6llmDataType_t value = FP6LLM_R_16F;
};

namespace fp6llm::capi_test {
namespace {

namespace cpp = fp6llm::api;
using cpp::Bytes;
using cpp::MutableBytes;
using cpp::Span;

static_assert(sizeof(cpp::Handle) == sizeof(void*) && sizeof(cpp::Weight) == sizeof(void*));
static_assert(!std::is_copy_constructible_v<cpp::Handle> &&
              !std::is_copy_assignable_v<cpp::Handle>);
static_assert(!std::is_copy_constructible_v<cpp::Weight> &&
              !std::is_copy_assignable_v<cpp::Weight>);
static_assert(std::is_nothrow_move_constructible_v<cpp::Handle> &&
              std::is_nothrow_move_assignable_v<cpp::Weight>);
static_assert(std::is_convertible_v<std::vector<float>&, Span<const float>>);
static_assert(std::is_convertible_v<std::array<float, 3>&, Span<float>>);
static_assert(!std::is_convertible_v<const std::vector<float>&, Span<float>>);
static_assert(!std::is_convertible_v<std::vector<double>&, Span<float>>);
static_assert(std::is_convertible_v<MutableBytes, Bytes>);
static_assert(!std::is_convertible_v<Bytes, MutableBytes>);
static_assert(!std::is_convertible_v<const std::vector<float>&, MutableBytes>);

constexpr int64_t kRows = 64, kCols = 128, kTokens = 3;
using Floats = std::vector<float>;

/// What a call throws; nullopt if nothing.
template <typename Call>
std::optional<cpp::Exception> thrown_by(Call call) {
    try {
        call();
    } catch (const cpp::Exception& e) {
        return e;
    }
    return std::nullopt;
}
#define EXPECT_INVALID(call, part)                                                              \
    do {                                                                                        \
        const auto thrown = thrown_by([&] { call; });                                           \
        ASSERT_TRUE(thrown.has_value()) << #call;                                               \
        EXPECT_EQ(thrown->status(), FP6LLM_STATUS_INVALID_VALUE);                               \
        EXPECT_NE(std::string(thrown->what()).find(part), std::string::npos) << thrown->what(); \
    } while (0)

cpp::Handle cpu_handle() {
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CPU;
    config.numThreads = 2;
    return cpp::Handle(config);
}

class CppLayer : public ::testing::Test {
  protected:
    /// X W^T of the dequantized weight, in fp64; tokens apart by ldy.
    void expect_product(const Floats& y, float factor = 1.0f, int64_t ldy = kRows) const {
        for (int64_t t = 0; t < kTokens; ++t) {
            for (int64_t r = 0; r < kRows; ++r) {
                double sum = 0;
                for (int64_t c = 0; c < kCols; ++c)
                    sum += static_cast<double>(dense_[r * kCols + c]) * x_[t * kCols + c];
                ASSERT_NEAR(y[t * ldy + r], factor * sum, 1e-3);
            }
        }
    }
    Floats multiplied(const cpp::Weight& weight) {
        Floats y(kTokens * kRows);
        weight.linear(handle_, kTokens, Span(x_), Span(y));
        return y;
    }

    cpp::Handle handle_ = cpu_handle();
    const fp6llmQuantConfig_t config_ = quant_config();
    const Floats w_ = gaussian(kRows * kCols, 1), x_ = gaussian(kTokens * kCols, 2);
    std::vector<uint8_t> codes_ = std::vector<uint8_t>(kRows * kCols * 6 / 8);
    Floats scales_ = Floats(kRows), dense_ = Floats(kRows * kCols);

    void SetUp() override {
        const fp6llmQuantStats_t stats =
            handle_.quantize(config_, kRows, kCols, Span(w_), codes_, scales_);
        EXPECT_EQ(stats.format, FP6LLM_R_6F_E3M2);
        EXPECT_GT(stats.signal, 100 * stats.mse);
        handle_.dequantize(config_, kRows, kCols, codes_, scales_, Span(dense_));
    }
};

TEST_F(CppLayer, LibraryAndDevices) {
    EXPECT_EQ(cpp::version(), FP6LLM_VERSION);
    const std::string info = cpp::build_info();
    EXPECT_EQ(info.front(), '{');
    EXPECT_EQ(info.back(), '}');
    EXPECT_EQ(cpp::device_count(FP6LLM_BACKEND_CPU), 1);
    EXPECT_EQ(cpp::device_info(FP6LLM_BACKEND_CPU).backend, FP6LLM_BACKEND_CPU);
    EXPECT_INVALID(cpp::device_info(FP6LLM_BACKEND_CPU, 7), "ordinal");
}

TEST_F(CppLayer, Logger) {
    std::string text;
    cpp::set_logger([](void* user, int32_t,
                       const char* message) { *static_cast<std::string*>(user) = message; },
                    &text);
    EXPECT_INVALID(handle_.set_num_threads(-1), "threads");
    cpp::set_logger(nullptr);
    EXPECT_NE(text.find("threads"), std::string::npos);
}

TEST_F(CppLayer, HandleSettings) {
    EXPECT_EQ(handle_.backend(), FP6LLM_BACKEND_CPU);
    EXPECT_EQ(handle_.num_threads(), 2);
    handle_.set_num_threads(5);
    EXPECT_EQ(handle_.num_threads(), 5);
    EXPECT_EQ(handle_.stream(), nullptr);
    const auto stream = reinterpret_cast<fp6llmStream_t>(this);
    handle_.set_stream(stream);
    EXPECT_EQ(handle_.stream(), stream);
    handle_.set_pointer_mode(FP6LLM_POINTER_MODE_HOST);
    EXPECT_EQ(handle_.pointer_mode(), FP6LLM_POINTER_MODE_HOST);
    EXPECT_GE(cpp::Handle().num_threads(), 1);
}

TEST_F(CppLayer, ErrorsAreThrownWithStatusAndText) {
    const auto refused = thrown_by([&] { handle_.set_pointer_mode(FP6LLM_POINTER_MODE_DEVICE); });
    ASSERT_TRUE(refused.has_value());
    EXPECT_EQ(refused->status(), FP6LLM_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(std::string(refused->what()), "FP6LLM_STATUS_NOT_SUPPORTED: " + handle_.error_text());
    fp6llmHandleConfig_t cuda = FP6LLM_HANDLE_CONFIG_INIT;
    cuda.backend = static_cast<fp6llmBackend_t>(99);
    EXPECT_INVALID(cpp::Handle{cuda}, "backend");
}

TEST_F(CppLayer, OwnersMove) {
    cpp::Handle first = cpu_handle();
    const fp6llmHandle_t raw = first.get();
    cpp::Handle second = std::move(first);
    EXPECT_EQ(second.get(), raw);
    second = cpu_handle();  // frees what it had: LeakSanitizer sees it
    EXPECT_NE(second.get(), nullptr);
    const cpp::Weight weight = cpp::Weight::from_floats(second, config_, kRows, kCols, Span(w_));
    EXPECT_NE(weight.get(), nullptr);
}

TEST_F(CppLayer, WeightsFromEverything) {
    std::vector<cpp::Weight> weights;
    weights.push_back(cpp::Weight::from_floats(handle_, config_, kRows, kCols, Span(w_)));
    weights.push_back(cpp::Weight::from_codes(handle_, config_, kRows, kCols, codes_, scales_));

    const cpp::PackedSizes sizes = cpp::packed_sizes(FP6LLM_LAYOUT_TC_FPX, config_, kRows, kCols);
    std::vector<uint8_t> packed(sizes.packed_bytes);
    weights[0].export_packed(handle_, FP6LLM_LAYOUT_TC_FPX, packed, {});
    weights.push_back(cpp::Weight::from_packed(handle_, FP6LLM_LAYOUT_TC_FPX, config_, kRows, kCols,
                                               packed, scales_));

    const size_t bytes = handle_.blob_size(config_, kRows, kCols);
    std::vector<uint8_t> memory(bytes + FP6LLM_BLOB_ALIGNMENT);
    uint8_t* blob = memory.data() + FP6LLM_BLOB_ALIGNMENT -
                    reinterpret_cast<uintptr_t>(memory.data()) % FP6LLM_BLOB_ALIGNMENT;
    handle_.pack_blob(config_, kRows, kCols, codes_, scales_, MutableBytes(blob, bytes));
    weights.push_back(cpp::Weight::view(handle_, Bytes(blob, bytes)));
    EXPECT_EQ(weights.back().info().isView, 1);

    const Floats expected = multiplied(weights[0]);
    expect_product(expected);
    for (const cpp::Weight& weight : weights) {
        EXPECT_TRUE(same_bits(multiplied(weight), expected));
        std::vector<uint8_t> codes(codes_.size());
        Floats scales(scales_.size());
        weight.export_codes(handle_, codes, scales);
        EXPECT_EQ(codes, codes_);
        EXPECT_EQ(scales, scales_);
    }
    EXPECT_INVALID(cpp::Weight::view(handle_, Bytes(blob, bytes - 1)), "bytes");
}

TEST_F(CppLayer, HalfTypesOfTheCaller) {
    const std::vector<Half> ones(kRows * kCols, Half{0x3C00});
    const cpp::Weight weight = cpp::Weight::from_floats(handle_, config_, kRows, kCols, Span(ones));
    std::vector<Half> y(kTokens * kRows);
    weight.linear(handle_, kTokens, Span<const Half>(ones.data(), kTokens * kCols), Span(y));
    EXPECT_EQ(y[0].bits, 0x5800);  // 128
}

TEST_F(CppLayer, LeadingDimensions) {
    constexpr int64_t kLdw = kCols + 3, kLdy = kRows + 5;
    Floats wide(kRows * kLdw, 1e30f), y(kTokens * kLdy, -1.0f);
    for (int64_t r = 0; r < kRows; ++r)
        std::copy_n(w_.begin() + r * kCols, kCols, wide.begin() + r * kLdw);
    const cpp::Weight weight =
        cpp::Weight::from_floats(handle_, config_, kRows, kCols, Span(wide), kLdw);
    weight.linear(handle_, kTokens, Span(x_), Span(y), nullptr, kCols, kLdy);
    expect_product(y, 1.0f, kLdy);
    EXPECT_EQ(y[kRows], -1.0f);
}

TEST_F(CppLayer, Products) {
    const cpp::Weight weight =
        cpp::Weight::from_codes(handle_, config_, kRows, kCols, codes_, scales_);
    const cpp::Product product{kRows, kTokens, kCols};
    const size_t bytes = cpp::gemm_workspace_size<float, float>(handle_, product, weight);
    const auto results = cpp::gemm_heuristic<float, float>(handle_, product, weight);
    ASSERT_GE(results.size(), 2u);
    EXPECT_EQ(results[0].workspaceSize, bytes);
    EXPECT_EQ((cpp::gemm_heuristic<float, float>(handle_, product, weight, 1).size()), 1u);
    EXPECT_INVALID((cpp::gemm_heuristic<float, float>(handle_, product, weight, 0)), "requested");

    std::vector<uint8_t> memory(bytes + 64);
    handle_.set_workspace(
        MutableBytes(memory.data() + 64 - reinterpret_cast<uintptr_t>(memory.data()) % 64, bytes));
    Floats y(kTokens * kRows, NAN);
    cpp::gemm(handle_, product, 2.0f, weight, Span(x_), 0.0f, Span(y));
    expect_product(y, 2.0f);
    handle_.set_workspace({});

    const int64_t offsets[] = {0, 2, kTokens};
    const fp6llmWeight_t weights[] = {weight.get(), weight.get()};
    cpp::gemm_grouped(handle_, product, Span<const int64_t>(offsets, 3), 1.0f,
                      Span<const fp6llmWeight_t>(weights, 2), Span(x_), 0.0f, Span(y));
    expect_product(y);
    EXPECT_INVALID(
        cpp::gemm_grouped(handle_, product, Span<const int64_t>(offsets, 2), 1.0f,
                          Span<const fp6llmWeight_t>(weights, 2), Span(x_), 0.0f, Span(y)),
        "offsets has size 2 < 3");
}

TEST_F(CppLayer, ParallelFor) {
    CallersThreads executor;
    handle_.set_parallel_for(executor.parallel_for, &executor);
    expect_product(multiplied(cpp::Weight::from_floats(handle_, config_, kRows, kCols, Span(w_))));
    handle_.set_parallel_for(nullptr);
}

/// Refused before the C call, which could not know.
TEST_F(CppLayer, SpansThatAreTooShortAreRefused) {
    const cpp::Weight weight =
        cpp::Weight::from_codes(handle_, config_, kRows, kCols, codes_, scales_);
    const cpp::Product product{kRows, kTokens, kCols};
    const Bytes codes(codes_.data(), codes_.size() - 1), scales(scales_.data(), kRows * 4 - 1);
    const MutableBytes no_codes(codes_.data(), codes_.size() - 1);
    const MutableBytes no_scales(scales_.data(), kRows * 4 - 1);
    const Span<const float> w(w_.data(), w_.size() - 1), x(x_.data(), x_.size() - 1);
    Floats y(kTokens * kRows), dense(w_.size());
    const Span<float> no_y(y.data(), y.size() - 1), no_dense(dense.data(), dense.size() - 1);
    const auto fpx = FP6LLM_LAYOUT_TC_FPX;

    EXPECT_INVALID(handle_.quantize(config_, kRows, kCols, w, codes_, scales_), "w has size");
    EXPECT_INVALID(handle_.quantize(config_, kRows, kCols, Span(w_), no_codes, scales_),
                   "codes has");
    EXPECT_INVALID(handle_.quantize(config_, kRows, kCols, Span(w_), codes_, no_scales),
                   "scales has");
    EXPECT_INVALID(handle_.dequantize(config_, kRows, kCols, codes, scales_, Span(dense)), "codes");
    EXPECT_INVALID(handle_.dequantize(config_, kRows, kCols, codes_, scales, Span(dense)),
                   "scales");
    EXPECT_INVALID(handle_.dequantize(config_, kRows, kCols, codes_, scales_, no_dense),
                   "w has size");
    EXPECT_INVALID(handle_.pack_blob(config_, kRows, kCols, codes, scales_, codes_),
                   "codes has size");
    EXPECT_INVALID(handle_.pack_blob(config_, kRows, kCols, codes_, scales, codes_), "scales has");
    EXPECT_INVALID(handle_.pack_blob(config_, kRows, kCols, codes_, scales_, codes_), "bytes");
    EXPECT_INVALID(cpp::Weight::from_floats(handle_, config_, kRows, kCols, w), "w has size");
    EXPECT_INVALID(cpp::Weight::from_codes(handle_, config_, kRows, kCols, codes, scales_),
                   "codes");
    EXPECT_INVALID(cpp::Weight::from_codes(handle_, config_, kRows, kCols, codes_, scales),
                   "scales");
    EXPECT_INVALID(cpp::Weight::from_packed(handle_, fpx, config_, kRows, kCols, codes, scales_),
                   "packed has size");
    EXPECT_INVALID(cpp::Weight::from_packed(handle_, fpx, config_, kRows, kCols, codes_, scales),
                   "scales has size");
    EXPECT_INVALID(weight.export_codes(handle_, no_codes, {}), "codes has size");
    EXPECT_INVALID(weight.export_codes(handle_, {}, no_scales), "scales has size");
    EXPECT_INVALID(weight.export_packed(handle_, fpx, no_codes, {}), "packed has size");
    EXPECT_INVALID(weight.export_packed(handle_, fpx, {}, no_scales), "scales has size");
    EXPECT_INVALID(weight.linear(handle_, kTokens, x, Span(y)), "x has size");
    EXPECT_INVALID(weight.linear(handle_, kTokens, Span(x_), no_y), "y has size");
    EXPECT_INVALID(cpp::gemm(handle_, product, 1.0f, weight, x, 0.0f, Span(y)), "b has size");
    EXPECT_INVALID(cpp::gemm(handle_, product, 1.0f, weight, Span(x_), 0.0f, no_y), "c has size");
    // What is wrong with the numbers themselves is the C ABI's to say.
    EXPECT_INVALID(weight.linear(handle_, -1, x, Span(y)), "tokens = -1");
    EXPECT_INVALID(weight.linear(handle_, kTokens, x, Span(y), nullptr, kCols - 1), "ldx = 127");
    EXPECT_INVALID(weight.linear(handle_, INT64_MAX, x, Span(y)), "overflow");
}

}  // namespace
}  // namespace fp6llm::capi_test
