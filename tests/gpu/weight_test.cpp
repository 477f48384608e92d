// Weights on the GPU: made from floats, codes and published layouts, as blobs and views; what goes
// in comes out, to the bit, and is what the CPU has.
#include <cstring>
#include <string>

#include "tests/gpu/cases.hpp"
#include "tests/gpu/fixture.hpp"

namespace fp6llm::gpu_test {
namespace {

struct Shape {
    int64_t rows, cols;
};
constexpr Shape kShapes[] = {{1, 1}, {17, 3}, {65, 129}, {70, 264}};

class GpuWeight : public GpuTest {
  protected:
    void expect_holds(fp6llmWeight_t weight, const Quantized& expected, size_t offset = 0) {
        const DeviceBytes codes(expected.codes.size(), offset), scales(expected.scales.size());
        ASSERT_EQ(fp6llmWeightExportCodes(cuda(), weight, codes.data(), scales.data()), 0)
            << last_error();
        ASSERT_TRUE(codes.bytes() == expected.codes);
        ASSERT_TRUE(scales.bytes() == expected.scales);
    }

    Weight from_codes(const fp6llmQuantConfig_t& config, const Shape& shape, const Quantized& q,
                      size_t offset = 0) {
        const DeviceBytes codes(q.codes, offset), scales(q.scales);
        fp6llmWeight_t weight = nullptr;
        EXPECT_EQ(fp6llmWeightCreateFromCodes(cuda(), &config, shape.rows, shape.cols, codes.data(),
                                              scales.data(), &weight),
                  0)
            << last_error();
        return Weight(weight);
    }

    /// Codes that use each value, padding bits zero; scales from the CPU.
    Quantized all_codes(const fp6llmQuantConfig_t& config, const Shape& shape) {
        return quantize_on_cpu(
            cpu(), config,
            make_matrix(FP6LLM_R_32F, shape.rows, shape.cols, shape.cols, Values::kFinite, 17));
    }
};

TEST_F(GpuWeight, FromFloatsHoldsWhatTheCpuQuantizes) {
    unsigned seed = 100;
    for (const Case& test : quant_cases()) {
        for (const fp6llmDataType_t type : {FP6LLM_R_32F, FP6LLM_R_16F, FP6LLM_R_16BF}) {
            for (const Shape& shape : kShapes) {
                ++seed;
                // All shapes with one type, one shape with the others.
                if (type != FP6LLM_R_16F && shape.rows != 65) continue;
                SCOPED_TRACE(test.name + " " + std::to_string(shape.rows) + " type " +
                             std::to_string(type));
                Driver::get().set_seed(seed);
                const Matrix w =
                    make_matrix(type, shape.rows, shape.cols, shape.cols + 3, Values::kAny, seed);
                const Quantized expected = quantize_on_cpu(cpu(), test.config, w);
                const DeviceBytes on_device(w.bytes, seed % 2 * w.element_bytes());
                fp6llmWeight_t made = nullptr;
                ASSERT_EQ(fp6llmWeightCreate(cuda(), &test.config, w.rows, w.cols, on_device.data(),
                                             type, w.ld, &made),
                          0)
                    << last_error();
                const Weight weight(made);
                expect_holds(weight.get(), expected, seed % 2);
                fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
                ASSERT_EQ(fp6llmWeightGetInfo(weight.get(), &info), 0);
                EXPECT_EQ(info.format, expected.stats.format);
                EXPECT_EQ(info.backend, FP6LLM_BACKEND_CUDA);
                EXPECT_EQ(info.isView, 0);
                EXPECT_STREQ(info.layout,
                             type == FP6LLM_R_16BF ? "cuda-l3-bf16/1" : "cuda-l3-f16/1");
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST_F(GpuWeight, WideRows) {
    for (const Case& test : quant_cases()) {
        if (test.name != "E3M2Row" && test.name != "E3M2Group24" && test.name != "E2M1Group4088" &&
            test.name != "E3M2MxFloor")
            continue;
        const bool is_row = test.config.scaleMode == FP6LLM_SCALE_ROW;
        const Matrix w =
            make_matrix(FP6LLM_R_32F, 3, is_row ? 30001 : 4500, 30001, Values::kFinite, 23);
        const Quantized expected = quantize_on_cpu(cpu(), test.config, w);
        const DeviceBytes on_device(w.bytes);
        fp6llmWeight_t made = nullptr;
        ASSERT_EQ(fp6llmWeightCreate(cuda(), &test.config, w.rows, w.cols, on_device.data(), w.type,
                                     w.ld, &made),
                  0)
            << last_error();
        const Weight weight(made);
        expect_holds(weight.get(), expected);
        if (HasFatalFailure()) return;
    }
}

TEST_F(GpuWeight, FromCodesGivesThemBack) {
    for (const Case& test : quant_cases()) {
        if (test.config.scaleSearch != 0) continue;
        for (const Shape& shape : kShapes) {
            SCOPED_TRACE(test.name + " " + std::to_string(shape.rows));
            Quantized q = all_codes(test.config, shape);
            const fp6llmQuantConfig_t config = settled(test.config, q);
            const Weight weight = from_codes(config, shape, q, 1);
            ASSERT_NE(weight, nullptr);
            expect_holds(weight.get(), q, 3);
            if (HasFatalFailure()) return;
        }
    }
}

TEST_F(GpuWeight, OddScalesComeBackAsTheyAre) {
    const Shape shape{5, 130};
    for (const Case& test : quant_cases()) {
        if (test.config.format == FP6LLM_R_6F_AUTO || test.config.scaleSearch != 0) continue;
        Quantized q = all_codes(test.config, shape);
        for (size_t i = 0; i < q.scales.size(); ++i)  // NaN with payloads, Inf, subnormal
            q.scales[i] = static_cast<uint8_t>(i % 5 == 0 ? 0x7F : i % 4 == 3 ? 0xFF : 29 * i);
        const Weight weight = from_codes(test.config, shape, q);
        ASSERT_NE(weight, nullptr);
        expect_holds(weight.get(), q);
        if (HasFatalFailure()) return;
    }
}

TEST_F(GpuWeight, PublishedLayoutsEqualTheCpus) {
    for (const fp6llmPackedLayout_t layout : {FP6LLM_LAYOUT_TC_FPX, FP6LLM_LAYOUT_SPLIT_4_2}) {
        for (const Case& test : quant_cases()) {
            const bool split = layout == FP6LLM_LAYOUT_SPLIT_4_2;
            const int32_t format = test.config.format;
            const bool six = format == FP6LLM_R_6F_E3M2 || format == FP6LLM_R_6F_E2M3;
            if (test.config.scaleSearch != 0 || format == FP6LLM_R_6F_AUTO ||
                format == FP6LLM_R_4F_E2M1 || (split && !six))
                continue;
            for (const Shape& shape : split
                                          ? std::vector<Shape>{{1, 1}, {17, 3}, {65, 129}, {3, 262}}
                                          : std::vector<Shape>{{64, 64}, {128, 192}, {64, 256}}) {
                SCOPED_TRACE(test.name + " " + std::to_string(layout) + " " +
                             std::to_string(shape.rows));
                const Quantized q = all_codes(test.config, shape);
                size_t packed_bytes = 0;
                ASSERT_EQ(fp6llmPackedGetSizes(layout, &test.config, shape.rows, shape.cols,
                                               &packed_bytes, nullptr),
                          0);
                fp6llmWeight_t made = nullptr;
                ASSERT_EQ(fp6llmWeightCreateFromCodes(cpu(), &test.config, shape.rows, shape.cols,
                                                      q.codes.data(), q.scales.data(), &made),
                          0);
                const Weight on_cpu(made);
                std::vector<uint8_t> packed(packed_bytes);
                ASSERT_EQ(
                    fp6llmWeightExportPacked(cpu(), on_cpu.get(), layout, packed.data(), nullptr),
                    0);

                const DeviceBytes device_packed(packed, 1), device_scales(q.scales);
                ASSERT_EQ(fp6llmWeightCreateFromPacked(cuda(), layout, &test.config, shape.rows,
                                                       shape.cols, device_packed.data(),
                                                       device_scales.data(), &made),
                          0)
                    << last_error();
                const Weight weight(made);
                expect_holds(weight.get(), q);
                const DeviceBytes packed_out(packed_bytes, 3), scales_out(q.scales.size());
                ASSERT_EQ(fp6llmWeightExportPacked(cuda(), weight.get(), layout, packed_out.data(),
                                                   scales_out.data()),
                          0)
                    << last_error();
                EXPECT_TRUE(packed_out.bytes() == packed);
                EXPECT_TRUE(scales_out.bytes() == q.scales);
                if (HasFailure()) return;
            }
        }
    }
}

TEST_F(GpuWeight, BlobsAndViews) {
    for (const Case& test : quant_cases()) {
        if (test.config.scaleSearch != 0 || test.config.format == FP6LLM_R_6F_AUTO) continue;
        const Shape shape{65, 129};
        SCOPED_TRACE(test.name);
        const Quantized q = all_codes(test.config, shape);
        size_t bytes = 0;
        ASSERT_EQ(fp6llmWeightGetBlobSize(cuda(), &test.config, shape.rows, shape.cols, &bytes), 0);
        const DeviceBytes codes(q.codes), scales(q.scales), blob(bytes);
        EXPECT_EQ(fp6llmWeightPackBlob(cuda(), &test.config, shape.rows, shape.cols, codes.data(),
                                       scales.data(), blob.data(), bytes - 1),
                  FP6LLM_STATUS_INVALID_VALUE);
        ASSERT_EQ(fp6llmWeightPackBlob(cuda(), &test.config, shape.rows, shape.cols, codes.data(),
                                       scales.data(), blob.data(), bytes),
                  0)
            << last_error();
        fp6llmWeight_t made = nullptr;
        ASSERT_EQ(fp6llmWeightCreateView(cuda(), blob.data(), bytes, &made), 0) << last_error();
        const Weight view(made);
        expect_holds(view.get(), q);
        fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
        ASSERT_EQ(fp6llmWeightGetInfo(view.get(), &info), 0);
        EXPECT_EQ(info.isView, 1);
        EXPECT_EQ(info.bytes, bytes);

        // A copy elsewhere is as good; all of it is written, and equal each time.
        const std::vector<uint8_t> content = blob.bytes();
        const DeviceBytes copy(content, 64);
        ASSERT_EQ(fp6llmWeightCreateView(cuda(), copy.data(), bytes, &made), 0) << last_error();
        const Weight copy_view(made);
        expect_holds(copy_view.get(), q);
        Driver::get().set_seed(bytes);
        const DeviceBytes again(bytes);
        ASSERT_EQ(fp6llmWeightPackBlob(cuda(), &test.config, shape.rows, shape.cols, codes.data(),
                                       scales.data(), again.data(), bytes),
                  0);
        EXPECT_TRUE(again.bytes() == content);
        if (HasFailure()) return;
    }
}

TEST_F(GpuWeight, UnsoundBlobsAreRefused) {
    const Case test = quant_cases().front();
    const Shape shape{17, 40};
    const Quantized q = all_codes(test.config, shape);
    size_t bytes = 0;
    ASSERT_EQ(fp6llmWeightGetBlobSize(cuda(), &test.config, shape.rows, shape.cols, &bytes), 0);
    const DeviceBytes codes(q.codes), scales(q.scales), blob(bytes);
    ASSERT_EQ(fp6llmWeightPackBlob(cuda(), &test.config, shape.rows, shape.cols, codes.data(),
                                   scales.data(), blob.data(), bytes),
              0);
    const std::vector<uint8_t> content = blob.bytes();
    fp6llmWeight_t made = nullptr;
    for (const size_t shorter : {size_t{0}, size_t{255}, size_t{256}, bytes - 1}) {
        EXPECT_EQ(fp6llmWeightCreateView(cuda(), blob.data(), shorter, &made),
                  FP6LLM_STATUS_INVALID_VALUE)
            << shorter;
    }
    for (size_t at = 0; at < 256; at += 3) {
        std::vector<uint8_t> spoilt = content;
        spoilt[at] ^= 0x10;
        const DeviceBytes on_device(spoilt);
        EXPECT_EQ(fp6llmWeightCreateView(cuda(), on_device.data(), bytes, &made),
                  FP6LLM_STATUS_INVALID_VALUE)
            << at;
    }
    // A CPU's blob, whole and sound, is another backend's.
    std::vector<uint8_t> cpu_blob(16384);
    size_t cpu_bytes = 0;
    ASSERT_EQ(fp6llmWeightGetBlobSize(cpu(), &test.config, shape.rows, shape.cols, &cpu_bytes), 0);
    auto* aligned =
        reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(cpu_blob.data()) + 63) / 64 * 64);
    ASSERT_EQ(fp6llmWeightPackBlob(cpu(), &test.config, shape.rows, shape.cols, q.codes.data(),
                                   q.scales.data(), aligned, cpu_bytes),
              0);
    const DeviceBytes foreign(std::vector<uint8_t>(aligned, aligned + cpu_bytes));
    EXPECT_EQ(fp6llmWeightCreateView(cuda(), foreign.data(), cpu_bytes, &made),
              FP6LLM_STATUS_ARCH_MISMATCH);
    EXPECT_EQ(made, nullptr);
}

TEST_F(GpuWeight, MemoryIsReadAndWrittenOnce) {
    const Case test = quant_cases().front();
    const Matrix w = make_matrix(FP6LLM_R_16F, 128, 1024, 1024, Values::kFinite, 2);
    const DeviceBytes on_device(w.bytes);
    const Quantized q = quantize_on_cpu(cpu(), test.config, w);
    const DeviceBytes codes(q.codes.size()), scales(q.scales.size());
    ASSERT_EQ(fp6llmQuantize(cuda(), &test.config, w.rows, w.cols, on_device.data(), w.type, w.ld,
                             codes.data(), scales.data(), nullptr),
              0);
    fp6llmWeight_t made = nullptr;
    ASSERT_EQ(fp6llmWeightCreate(cuda(), &test.config, w.rows, w.cols, on_device.data(), w.type,
                                 w.ld, &made),
              0);
    const Weight weight(made);
    expect_holds(weight.get(), q);
    const Driver& driver = Driver::get();
    if (!driver.is_emulated()) return;
    const auto input = static_cast<long long>(w.bytes.size());
    const auto plain = static_cast<long long>(q.codes.size() + q.scales.size());
    EXPECT_EQ(driver.counter("quantize_row_f16", "global_load_bytes"), input);
    EXPECT_EQ(driver.counter("quantize_row_f16", "global_store_bytes"), plain);
    // A warp that schedules tear apart counts a sector twice.
    EXPECT_LE(driver.counter("quantize_row_f16", "global_load_sectors"), input / 32 + input / 3200);
    EXPECT_EQ(driver.counter("quantize_units_f16", "global_load_bytes"), input);
    EXPECT_EQ(driver.counter("quantize_units_f16", "global_store_bytes"), 128 * 1024 * 6 / 8 + 512);
    EXPECT_LE(driver.counter("quantize_units_f16", "global_load_sectors"),
              input / 32 + input / 3200);
    EXPECT_EQ(driver.counter("quantize_units_f16", "shared_load_conflicts"), 0);
    EXPECT_EQ(driver.counter("l3_unpack", "global_load_bytes"), 128 * 1024 * 6 / 8);
    EXPECT_EQ(driver.counter("l3_unpack", "shared_load_conflicts"), 0);
}

TEST_F(GpuWeight, WhatOnlyEnqueuesIsRecordedInGraphs) {
    const Case test = quant_cases().front();
    const int64_t rows = 33, cols = 200;
    const Matrix first = make_matrix(FP6LLM_R_16F, rows, cols, cols, Values::kFinite, 31);
    const Matrix second = make_matrix(FP6LLM_R_16F, rows, cols, cols, Values::kAny, 32);
    size_t code_bytes = 0, scale_bytes = 0, blob_bytes = 0;
    ASSERT_EQ(fp6llmQuantGetSizes(&test.config, rows, cols, &code_bytes, &scale_bytes), 0);
    ASSERT_EQ(fp6llmWeightGetBlobSize(cuda(), &test.config, rows, cols, &blob_bytes), 0);
    const DeviceBytes w(first.bytes), codes(code_bytes), scales(scale_bytes), blob(blob_bytes);
    const DeviceBytes back(first.bytes.size());
    RecordingStream stream;
    ASSERT_EQ(fp6llmSetStream(cuda(), stream.get()), 0);
    const auto enqueue = [&] {
        EXPECT_EQ(fp6llmQuantize(cuda(), &test.config, rows, cols, w.data(), first.type, cols,
                                 codes.data(), scales.data(), nullptr),
                  0)
            << last_error();
        EXPECT_EQ(fp6llmWeightPackBlob(cuda(), &test.config, rows, cols, codes.data(),
                                       scales.data(), blob.data(), blob_bytes),
                  0)
            << last_error();
        EXPECT_EQ(fp6llmDequantize(cuda(), &test.config, rows, cols, codes.data(), scales.data(),
                                   back.data(), first.type, cols),
                  0)
            << last_error();
    };
    enqueue();  // loads the kernels
    stream.begin();
    enqueue();
    stream.end();
    for (const Matrix* matrix : {&second, &first}) {
        Driver::get().synchronize();
        Driver::get().to_device(reinterpret_cast<uint64_t>(w.data()), matrix->bytes.data(),
                                matrix->bytes.size());
        stream.replay();
        const Quantized expected = quantize_on_cpu(cpu(), test.config, *matrix);
        EXPECT_TRUE(codes.bytes() == expected.codes);
        EXPECT_TRUE(scales.bytes() == expected.scales);
        fp6llmWeight_t made = nullptr;
        ASSERT_EQ(fp6llmWeightCreateView(cuda(), blob.data(), blob_bytes, &made), 0);
        const Weight view(made);
        expect_holds(view.get(), expected);
        std::vector<uint8_t> floats(matrix->bytes.size());
        ASSERT_EQ(fp6llmDequantize(cpu(), &test.config, rows, cols, expected.codes.data(),
                                   expected.scales.data(), floats.data(), first.type, cols),
                  0);
        EXPECT_TRUE(back.bytes() == floats);
    }
    ASSERT_EQ(fp6llmSetStream(cuda(), nullptr), 0);
}

TEST_F(GpuWeight, EmptyOnes) {
    for (const Shape& shape : {Shape{0, 0}, Shape{0, 200}, Shape{int64_t{1} << 40, 0}}) {
        const Case test = quant_cases().front();
        const Weight weight = from_codes(test.config, shape, Quantized{});
        ASSERT_NE(weight, nullptr);
        EXPECT_EQ(fp6llmWeightExportCodes(cuda(), weight.get(), nullptr, nullptr), 0);
        fp6llmWeight_t made = nullptr;
        EXPECT_EQ(fp6llmWeightCreate(cuda(), &test.config, shape.rows, shape.cols, nullptr,
                                     FP6LLM_R_32F, shape.cols > 0 ? shape.cols : 1, &made),
                  0)
            << last_error();
        fp6llmWeightDestroy(made);
    }
}

}  // namespace
}  // namespace fp6llm::gpu_test
