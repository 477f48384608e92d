// Quantizing and dequantizing on the GPU against the CPU on the same inputs: codes, scales,
// statistics and floats are the same to the bit.
#include <algorithm>
#include <cstring>
#include <string>

#include "tests/gpu/cases.hpp"
#include "tests/gpu/fixture.hpp"

namespace fp6llm::gpu_test {
namespace {

struct Shape {
    int64_t rows, cols, ld;
};

constexpr fp6llmDataType_t kTypes[] = {FP6LLM_R_32F, FP6LLM_R_16F, FP6LLM_R_16BF};

class GpuQuantize : public GpuTest {
  protected:
    /// `offset`, in elements or bytes, moves the buffers off their alignment.
    void check(const Case& test, const Matrix& w, size_t offset) {
        SCOPED_TRACE(test.name + " " + std::to_string(w.rows) + " x " + std::to_string(w.cols) +
                     " type " + std::to_string(w.type));
        const Quantized expected = quantize_on_cpu(cpu(), test.config, w);
        ASSERT_EQ(expected.status, 0) << last_error();
        const DeviceBytes on_device(w.bytes, offset * w.element_bytes());
        for (const bool with_stats : {true, false}) {
            const DeviceBytes codes(expected.codes.size(), offset);
            const DeviceBytes scales(expected.scales.size());
            fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
            ASSERT_EQ(
                fp6llmQuantize(cuda(), &test.config, w.rows, w.cols, on_device.data(), w.type, w.ld,
                               codes.data(), scales.data(), with_stats ? &stats : nullptr),
                0)
                << last_error();
            ASSERT_EQ(scales.bytes(), expected.scales);
            ASSERT_EQ(codes.bytes(), expected.codes);
            if (with_stats) {
                EXPECT_EQ(stats.format, expected.stats.format);
                EXPECT_EQ(stats.mse, expected.stats.mse);
                EXPECT_EQ(stats.signal, expected.stats.signal);
                EXPECT_EQ(stats.maxAbsError, expected.stats.maxAbsError);
                EXPECT_EQ(stats.saturated, expected.stats.saturated);
                EXPECT_EQ(stats.nonFinite, expected.stats.nonFinite);
            }
        }
        dequantize(settled(test.config, expected), expected, w, offset);
    }

    void dequantize(const fp6llmQuantConfig_t& config, const Quantized& q, const Matrix& like,
                    size_t offset) {
        const size_t bytes = like.bytes.size();
        std::vector<uint8_t> expected(bytes, DeviceBytes::kFill);
        ASSERT_EQ(fp6llmDequantize(cpu(), &config, like.rows, like.cols, q.codes.data(),
                                   q.scales.data(), expected.data(), like.type, like.ld),
                  0);
        const DeviceBytes codes(q.codes, offset), scales(q.scales);
        const DeviceBytes w(bytes, offset * like.element_bytes());
        ASSERT_EQ(fp6llmDequantize(cuda(), &config, like.rows, like.cols, codes.data(),
                                   scales.data(), w.data(), like.type, like.ld),
                  0)
            << last_error();
        ASSERT_TRUE(w.bytes() == expected);
    }
};

TEST_F(GpuQuantize, EqualsTheCpu) {
    constexpr Shape kShapes[] = {{1, 1, 1}, {17, 3, 5}, {19, 130, 136}, {5, 300, 301}};
    unsigned seed = 0;
    for (const Case& test : quant_cases()) {
        for (const fp6llmDataType_t type : kTypes) {
            for (const Shape& shape : kShapes) {
                ++seed;
                Driver::get().set_seed(seed);
                check(test,
                      make_matrix(type, shape.rows, shape.cols, shape.ld,
                                  seed % 2 == 0 ? Values::kAny : Values::kFinite, seed),
                      shape.rows == 5 ? 1 : 0);
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST_F(GpuQuantize, RowsOfSeveralWindows) {
    for (const Case& test : quant_cases()) {
        if (test.config.format != FP6LLM_R_6F_AUTO && test.config.groupSize % 16 != 8 &&
            test.config.scaleSearch == 0 && test.name != "E3M2Row")
            continue;
        check(test, make_matrix(FP6LLM_R_16F, 2, 9001, 9008, Values::kAny, 7), 0);
        if (HasFatalFailure()) return;
    }
}

TEST_F(GpuQuantize, RowsThatDoNotFitSharedMemory) {
    // 60000 floats are more than any GPU's shared memory.
    for (const Case& test : quant_cases()) {
        if (test.name != "E3M2Row" && test.name != "AutoRow" && test.name != "E3M2RowSearch")
            continue;
        check(test, make_matrix(FP6LLM_R_32F, 2, 60003, 60003, Values::kFinite, 11), 0);
        if (HasFatalFailure()) return;
    }
}

TEST_F(GpuQuantize, ALayer) {
    for (const Case& test : quant_cases()) {
        if (test.name != "E3M2Row" && test.name != "E2M3MxEven" && test.name != "E3M2Group128")
            continue;
        check(test, make_matrix(FP6LLM_R_16BF, 192, 576, 576, Values::kFinite, 3), 0);
        if (HasFatalFailure()) return;
    }
}

TEST_F(GpuQuantize, NamesTheFirstBadElementAndWritesNothing) {
    for (Case test : quant_cases()) {
        if (test.name != "E3M2Row" && test.name != "E2M3Group32Half" && test.name != "AutoRow")
            continue;
        test.config.nonFinite = FP6LLM_NONFINITE_ERROR;
        for (const fp6llmDataType_t type : kTypes) {
            Matrix w = make_matrix(type, 70, 100, 104, Values::kFinite, 5);
            const auto spoil = [&w](int64_t row, int64_t col, uint8_t top) {
                const size_t size = w.element_bytes();
                uint8_t* at = w.bytes.data() + static_cast<size_t>(row * w.ld + col) * size;
                std::memset(at, 0xFF, size);
                at[size - 1] = top;
            };
            spoil(69, 0, 0xFF);
            spoil(41, 99, 0x7F);
            spoil(41, 98, 0x7F);
            Quantized on_cpu = quantize_on_cpu(cpu(), test.config, w);
            EXPECT_EQ(on_cpu.status, FP6LLM_STATUS_INVALID_VALUE);
            const std::string expected = last_error();
            const DeviceBytes on_device(w.bytes), codes(on_cpu.codes.size()),
                scales(on_cpu.scales.size());
            fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
            stats.mse = -1.0;
            EXPECT_EQ(fp6llmQuantize(cuda(), &test.config, w.rows, w.cols, on_device.data(), w.type,
                                     w.ld, codes.data(), scales.data(), &stats),
                      FP6LLM_STATUS_INVALID_VALUE);
            EXPECT_NE(last_error().find("W[41, 98] is NaN or infinite"), std::string::npos);
            EXPECT_EQ(last_error(), expected);
            EXPECT_EQ(stats.mse, -1.0);
            for (const DeviceBytes* buffer : {&codes, &scales}) {
                const std::vector<uint8_t> bytes = buffer->bytes();
                EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(),
                                        [](uint8_t b) { return b == DeviceBytes::kFill; }));
            }
            fp6llmWeight_t weight = nullptr;
            EXPECT_EQ(fp6llmWeightCreate(cuda(), &test.config, w.rows, w.cols, on_device.data(),
                                         w.type, w.ld, &weight),
                      FP6LLM_STATUS_INVALID_VALUE);
            EXPECT_EQ(last_error(), expected);
            EXPECT_EQ(weight, nullptr);

            // Without them, the same config goes through.
            const Matrix good = make_matrix(type, 70, 100, 104, Values::kFinite, 5);
            check(test, good, 0);
            if (HasFatalFailure()) return;
        }
    }
}

TEST_F(GpuQuantize, ScalesThatAreNotNumbersDequantizeAsOnTheCpu) {
    const Matrix like = make_matrix(FP6LLM_R_32F, 12, 40, 40, Values::kFinite, 1);
    for (const Case& test : quant_cases()) {
        if (test.config.format == FP6LLM_R_6F_AUTO || test.config.scaleSearch != 0) continue;
        SCOPED_TRACE(test.name);
        Quantized q = quantize_on_cpu(cpu(), test.config, like);
        for (size_t i = 0; i < q.codes.size(); ++i)
            q.codes[i] = static_cast<uint8_t>(37 * i + i / 7);
        if (test.config.scaleMode == FP6LLM_SCALE_MX) {
            for (size_t i = 0; i < q.scales.size(); ++i)
                q.scales[i] = static_cast<uint8_t>(i % 3 == 0 ? 255 - i : i);
        } else if (test.config.scaleType == FP6LLM_R_16F) {
            constexpr uint16_t kHalfs[] = {0x7C00, 0x0001, 0x7BFF, 0x8001, 0x7E01, 0xFC00, 0x3C01};
            for (size_t i = 0; i < q.scales.size() / 2; ++i)
                std::memcpy(q.scales.data() + 2 * i, &kHalfs[i % 7], 2);
        } else {
            constexpr uint32_t kFloats[] = {0x7F800000, 0x00000001, 0x7F7FFFFF, 0x80000003,
                                            0x7FC12345, 0xFF800000, 0x3F800001, 0x00800001,
                                            0x38D1B717, 0x34000001, 0x477FE001, 0x2F812345};
            for (size_t i = 0; i < q.scales.size() / 4; ++i)
                std::memcpy(q.scales.data() + 4 * i, &kFloats[i % 12], 4);
        }
        for (const fp6llmDataType_t type : kTypes) {
            const Matrix out =
                make_matrix(type, like.rows, like.cols, like.cols, Values::kFinite, 1);
            dequantize(test.config, q, out, 0);
            if (HasFatalFailure()) return;
        }
    }
}

TEST_F(GpuQuantize, NothingToDo) {
    const Case test = quant_cases().front();
    fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
    EXPECT_EQ(fp6llmQuantize(cuda(), &test.config, 0, 100, nullptr, FP6LLM_R_16F, 100, nullptr,
                             nullptr, &stats),
              0);
    EXPECT_EQ(stats.format, FP6LLM_R_6F_E3M2);
    EXPECT_EQ(fp6llmQuantize(cuda(), &test.config, 7, 0, nullptr, FP6LLM_R_16F, 1, nullptr, nullptr,
                             nullptr),
              0);
    EXPECT_EQ(
        fp6llmDequantize(cuda(), &test.config, 7, 0, nullptr, nullptr, nullptr, FP6LLM_R_32F, 1),
        0);
}

TEST_F(GpuQuantize, HostMemoryIsRefusedByName) {
    const Case test = quant_cases().front();
    const Matrix w = make_matrix(FP6LLM_R_32F, 4, 16, 16, Values::kFinite, 1);
    const DeviceBytes on_device(w.bytes), codes(4 * 12), scales(16);
    std::vector<uint8_t> host(256);
    const auto refused = [&](const void* from, void* to, void* scale, const char* name) {
        EXPECT_EQ(
            fp6llmQuantize(cuda(), &test.config, 4, 16, from, FP6LLM_R_32F, 16, to, scale, nullptr),
            FP6LLM_STATUS_INVALID_VALUE);
        EXPECT_EQ(last_error().rfind(std::string(name) + " =", 0), 0u) << last_error();
    };
    refused(w.bytes.data(), codes.data(), scales.data(), "W");
    refused(on_device.data(), host.data(), scales.data(), "codes");
    refused(on_device.data(), codes.data(), host.data(), "scales");
}

}  // namespace
}  // namespace fp6llm::gpu_test
