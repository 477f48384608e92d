// What structSize means: an older caller's missing fields count as zero, and of an output struct
// only what the caller knows is written. (That wrong sizes are refused is in the table of bad
// input.)
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>

#include "tests/capi/support.hpp"

namespace fp6llm::capi_test {
namespace {

constexpr unsigned char kPattern = 0xA5;

/// A struct whose structSize declares only its first `size` bytes; garbage beyond.
template <typename Struct>
Struct truncated(const Struct& whole, size_t size) {
    Struct copy;
    std::memset(&copy, kPattern, sizeof copy);
    std::memcpy(&copy, &whole, size);
    copy.structSize = size;
    return copy;
}

TEST(StructSize, MissingConfigFieldsCountAsZero) {
    constexpr int64_t kRows = 8, kCols = 64;
    const Handle handle = make_handle();
    const std::vector<float> w = gaussian(kRows * kCols, 1);
    const auto quantize = [&](const fp6llmQuantConfig_t& config) {
        std::vector<uint8_t> codes(kRows * kCols);
        std::vector<float> scales(kRows * kCols);
        EXPECT_EQ(fp6llmQuantize(handle.get(), &config, kRows, kCols, w.data(), FP6LLM_R_32F, kCols,
                                 codes.data(), scales.data(), nullptr),
                  0)
            << last_error();
        codes.insert(codes.end(), reinterpret_cast<uint8_t*>(scales.data()),
                     reinterpret_cast<uint8_t*>(scales.data() + scales.size()));
        return codes;
    };
    fp6llmQuantConfig_t config = quant_config();
    config.scaleType = 0;  // R_32F, as a missing field
    config.rounding = FP6LLM_ROUND_NEAREST_AWAY;
    const std::vector<uint8_t> away = quantize(config);
    config.rounding = 0;
    const std::vector<uint8_t> even = quantize(config);
    config.rounding = FP6LLM_ROUND_NEAREST_AWAY;
    config.scaleSearch = 8;
    const std::vector<uint8_t> searched = quantize(config);
    ASSERT_NE(searched, away);

    EXPECT_EQ(quantize(truncated(config, offsetof(fp6llmQuantConfig_t, scaleSearch))), away);
    // As callers of version 0.1's first headers have it.
    EXPECT_EQ(quantize(truncated(config, offsetof(fp6llmQuantConfig_t, computeHint))), searched);
    for (const size_t size :
         {offsetof(fp6llmQuantConfig_t, groupSize), offsetof(fp6llmQuantConfig_t, scaleType),
          offsetof(fp6llmQuantConfig_t, rounding)}) {
        EXPECT_EQ(quantize(truncated(config, size)), even) << size;
    }
}

TEST(StructSize, MissingHandleConfigFieldsCountAsZero) {
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CPU;
    config.device = 12345;
    const fp6llmHandleConfig_t older = truncated(config, offsetof(fp6llmHandleConfig_t, device));
    fp6llmHandle_t handle = nullptr;
    EXPECT_EQ(fp6llmCreateWithConfig(&handle, &older), 0) << last_error();
    EXPECT_EQ(fp6llmDestroy(handle), 0);
}

TEST(StructSize, MissingEpilogueFieldsCountAsZero) {
    constexpr int64_t kSize = 32;
    const Handle handle = make_handle();
    const Weight weight =
        make_weight(handle.get(), quant_config(), kSize, kSize, gaussian(kSize * kSize, 1));
    const std::vector<float> x = gaussian(kSize, 2), bias = gaussian(kSize, 3);
    const auto linear = [&](const fp6llmEpilogue_t& epilogue) {
        std::vector<float> y(kSize);
        EXPECT_EQ(fp6llmLinear(handle.get(), 1, x.data(), FP6LLM_R_32F, kSize, weight.get(),
                               &epilogue, y.data(), FP6LLM_R_32F, kSize),
                  0)
            << last_error();
        return y;
    };
    fp6llmEpilogue_t epilogue = FP6LLM_EPILOGUE_INIT;
    epilogue.bias = bias.data();
    const std::vector<float> expected = linear(epilogue);
    epilogue.activation = FP6LLM_ACTIVATION_RELU;
    ASSERT_FALSE(same_bits(linear(epilogue), expected));
    EXPECT_TRUE(
        same_bits(linear(truncated(epilogue, offsetof(fp6llmEpilogue_t, activation))), expected));
}

/// Calls `call` with output structs of every size; only the declared bytes may be written, and they
/// must be those of the whole struct.
template <typename Struct, typename Call>
void expect_writes_declared_bytes_only(Call call) {
    Struct whole;
    std::memset(&whole, 0, sizeof whole);
    whole.structSize = sizeof whole;
    ASSERT_EQ(call(&whole), FP6LLM_STATUS_SUCCESS) << last_error();
    const auto* expected = reinterpret_cast<const unsigned char*>(&whole);
    constexpr size_t kLargest = sizeof(Struct) + 24;
    for (size_t size = sizeof(size_t); size <= kLargest; ++size) {
        // Of its own size, so that AddressSanitizer sees what lies beyond.
        std::vector<unsigned char> memory(std::max(size, alignof(Struct)), kPattern);
        auto* output = reinterpret_cast<Struct*>(memory.data());
        std::memcpy(memory.data(), &size, sizeof size);
        if (size > sizeof(Struct)) {
            std::memset(memory.data() + sizeof(Struct), 0, size - sizeof(Struct));
        }
        ASSERT_EQ(call(output), FP6LLM_STATUS_SUCCESS) << size << ": " << last_error();
        EXPECT_EQ(std::memcmp(memory.data(), &size, sizeof size), 0) << "structSize changed";
        const size_t known = std::min(size, sizeof(Struct));
        EXPECT_EQ(
            std::memcmp(memory.data() + sizeof size, expected + sizeof size, known - sizeof size),
            0)
            << size;
        for (size_t i = known; i < size; ++i)
            EXPECT_EQ(memory[i], 0) << i;
    }
}

TEST(StructSize, OutputStructsGetWhatTheirCallerKnows) {
    constexpr int64_t kSize = 32;
    const Handle handle = make_handle();
    const std::vector<float> w = gaussian(kSize * kSize, 1);
    const fp6llmQuantConfig_t config = quant_config();
    const Weight weight = make_weight(handle.get(), config, kSize, kSize, w);

    expect_writes_declared_bytes_only<fp6llmDeviceInfo_t>(
        [](fp6llmDeviceInfo_t* info) { return fp6llmGetDeviceInfo(FP6LLM_BACKEND_CPU, 0, info); });
    expect_writes_declared_bytes_only<fp6llmWeightInfo_t>(
        [&](fp6llmWeightInfo_t* info) { return fp6llmWeightGetInfo(weight.get(), info); });
    expect_writes_declared_bytes_only<fp6llmQuantStats_t>([&](fp6llmQuantStats_t* stats) {
        std::vector<uint8_t> codes(kSize * kSize);
        std::vector<float> scales(kSize);
        return fp6llmQuantize(handle.get(), &config, kSize, kSize, w.data(), FP6LLM_R_32F, kSize,
                              codes.data(), scales.data(), stats);
    });
    expect_writes_declared_bytes_only<fp6llmHeuristicResult_t>(
        [&](fp6llmHeuristicResult_t* result) {
            int returned = 0;
            return fp6llmGemmGetHeuristic(handle.get(), FP6LLM_OP_T, FP6LLM_OP_N, kSize, 1, kSize,
                                          weight.get(), FP6LLM_R_32F, FP6LLM_R_32F,
                                          FP6LLM_COMPUTE_32F, 1, result, &returned);
        });
}

/// An older caller's array has a smaller stride, a newer one's a larger; any leaves elements aligned
/// or not.
TEST(StructSize, OfElementZeroIsTheStrideOfHeuristicResults) {
    constexpr int64_t kSize = 32;
    const Handle handle = make_handle();
    const Weight weight =
        make_weight(handle.get(), quant_config(), kSize, kSize, gaussian(kSize * kSize, 1));
    const auto ask = [&](void* results, int requested, int* returned) {
        return fp6llmGemmGetHeuristic(handle.get(), FP6LLM_OP_T, FP6LLM_OP_N, kSize, 1, kSize,
                                      weight.get(), FP6LLM_R_32F, FP6LLM_R_32F, FP6LLM_COMPUTE_32F,
                                      requested, static_cast<fp6llmHeuristicResult_t*>(results),
                                      returned);
    };
    std::vector<fp6llmHeuristicResult_t> whole(8);
    whole[0].structSize = sizeof whole[0];
    int count = 0, returned = 0;
    ASSERT_EQ(ask(whole.data(), 8, &count), 0);
    ASSERT_GE(count, 2);

    for (const size_t stride : {offsetof(fp6llmHeuristicResult_t, name), size_t{13}, size_t{27},
                                sizeof(fp6llmHeuristicResult_t) + 3}) {
        SCOPED_TRACE(stride);
        std::vector<unsigned char> packed(stride * static_cast<size_t>(count) + 8, kPattern);
        std::memset(packed.data(), 0, stride);
        std::memcpy(packed.data(), &stride, sizeof stride);
        ASSERT_EQ(ask(packed.data(), count, &returned), 0) << last_error();
        EXPECT_EQ(returned, count);
        for (int i = 0; i < count; ++i) {
            const unsigned char* element = packed.data() + static_cast<size_t>(i) * stride;
            EXPECT_EQ(std::memcmp(element, &stride, sizeof stride), 0);
            EXPECT_EQ(std::memcmp(element + sizeof stride,
                                  reinterpret_cast<const unsigned char*>(&whole[i]) + sizeof stride,
                                  std::min(stride, sizeof whole[i]) - sizeof stride),
                      0)
                << i;
        }
        EXPECT_EQ(packed[packed.size() - 8], kPattern);
    }
}

}  // namespace
}  // namespace fp6llm::capi_test
