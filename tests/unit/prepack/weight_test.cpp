// Weight objects: what goes in comes out bit for bit, blobs are checked and never trusted.
#include "core/prepack/weight.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "core/common/cpu.hpp"
#include "core/common/error.hpp"
#include "core/common/thread_pool.hpp"
#include "core/prepack/blob.hpp"

namespace fp6llm {
namespace {

struct Plain {
    std::vector<uint8_t> codes;
    std::vector<uint8_t> scales;
};

QuantSpec make_spec(DataType format, ScaleMode mode, int64_t group, DataType scale_type) {
    QuantSpec spec;
    spec.format = format;
    spec.scale_mode = mode;
    spec.group_size = group;
    spec.scale_type = scale_type;
    return spec;
}

/// Random codes with zero padding bits, and random bytes as scales: any bits must survive.
Plain random_plain(const QuantSpec& spec, int64_t rows, int64_t cols, unsigned seed) {
    const QuantSizes sizes = quant_sizes(spec, rows, cols);
    std::mt19937 random(seed);
    Plain plain{std::vector<uint8_t>(sizes.code_bytes), std::vector<uint8_t>(sizes.scale_bytes)};
    for (uint8_t& byte : plain.codes)
        byte = static_cast<uint8_t>(random());
    for (uint8_t& byte : plain.scales)
        byte = static_cast<uint8_t>(random());
    const int64_t row_bytes = spec.row_code_bytes(cols);
    const int used_bits = static_cast<int>(cols * spec.bits() % 8);
    for (int64_t row = 0; used_bits != 0 && row < rows; ++row) {
        plain.codes[static_cast<size_t>((row + 1) * row_bytes - 1)] &=
            static_cast<uint8_t>((1 << used_bits) - 1);
    }
    return plain;
}

struct WeightCase {
    const char* name;
    DataType format;
    ScaleMode mode;
    int64_t group;
    DataType scale_type;
    ComputeType hint{};

    QuantSpec spec() const {
        QuantSpec made = make_spec(format, mode, group, scale_type);
        made.compute_hint = hint;
        return made;
    }
};

constexpr ComputeType kInt8 = ComputeType::kF32FastI8;

const WeightCase kCases[] = {
    {"E3M2Row", DataType::kE3M2, ScaleMode::kRow, 0, DataType::kF32},
    {"E3M2RowHalf", DataType::kE3M2, ScaleMode::kRow, 0, DataType::kF16},
    {"E2M3Group40", DataType::kE2M3, ScaleMode::kGroup, 40, DataType::kF32},
    {"E2M3Group128Half", DataType::kE2M3, ScaleMode::kGroup, 128, DataType::kF16},
    {"E2M3Mx", DataType::kE2M3, ScaleMode::kMx, 32, DataType::kE8M0},
    {"E2M2Row", DataType::kE2M2, ScaleMode::kRow, 0, DataType::kF32},
    {"E3M1Mx", DataType::kE3M1, ScaleMode::kMx, 32, DataType::kE8M0},
    {"E2M1Group16", DataType::kE2M1, ScaleMode::kGroup, 16, DataType::kF32},
    {"E2M3RowForInt8", DataType::kE2M3, ScaleMode::kRow, 0, DataType::kF32, kInt8},
    {"E2M2MxForInt8", DataType::kE2M2, ScaleMode::kMx, 32, DataType::kE8M0, kInt8},
    {"E2M1Group96ForInt8", DataType::kE2M1, ScaleMode::kGroup, 96, DataType::kF16, kInt8},
    {"E3M2RowForInt8", DataType::kE3M2, ScaleMode::kRow, 0, DataType::kF32, kInt8},
};

class WeightRoundTrip : public testing::TestWithParam<WeightCase> {};

TEST_P(WeightRoundTrip, GivesBackCodesAndScalesBitForBit) {
    const QuantSpec spec = GetParam().spec();
    PoolExecutor executor(3);
    const int64_t shapes[][2] = {{1, 1},     {17, 3},     {16, 16}, {33, 1025},
                                 {40, 2100}, {576, 1536}, {0, 5},   {5, 0}};
    for (const auto& shape : shapes) {
        const int64_t rows = shape[0], cols = shape[1];
        const Plain plain = random_plain(spec, rows, cols, 7);
        const auto weight =
            Weight::from_codes(spec, rows, cols, plain.codes.data(), plain.scales.data(), executor);
        EXPECT_EQ(weight->bytes(), Weight::blob_bytes(spec, rows, cols));
        EXPECT_EQ(reinterpret_cast<uintptr_t>(weight->cpu().tiles) % 64, 0u);
        Plain out{std::vector<uint8_t>(plain.codes.size(), 0xA5),
                  std::vector<uint8_t>(plain.scales.size(), 0xA5)};
        weight->export_codes(out.codes.data(), out.scales.data(), executor);
        EXPECT_EQ(out.codes, plain.codes) << rows << "x" << cols;
        EXPECT_EQ(out.scales, plain.scales) << rows << "x" << cols;
    }
}

INSTANTIATE_TEST_SUITE_P(Formats, WeightRoundTrip, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Weight, ALanguageModelsHeadComesBack) {
    const int64_t rows = 151936, cols = 896;
    PoolExecutor executor(default_thread_count());
    const QuantSpec spec = make_spec(DataType::kE3M2, ScaleMode::kGroup, 128, DataType::kF16);
    const Plain plain = random_plain(spec, rows, cols, 9);
    const auto weight =
        Weight::from_codes(spec, rows, cols, plain.codes.data(), plain.scales.data(), executor);
    EXPECT_EQ(weight->bytes(), Weight::blob_bytes(spec, rows, cols));
    Plain out{std::vector<uint8_t>(plain.codes.size()), std::vector<uint8_t>(plain.scales.size())};
    weight->export_codes(out.codes.data(), out.scales.data(), executor);
    EXPECT_TRUE(out.codes == plain.codes);  // too large to print
    EXPECT_TRUE(out.scales == plain.scales);
}

/// Immutable: multiplying is const, so exporting is what could touch it. Large ones begin on a huge
/// page (tests/unit/common/aligned_buffer_test.cpp: such memory is advised to be huge pages).
TEST(Weight, LargeOnesAreOnHugePagesAndNeverChange) {
    SerialExecutor executor;
    const int64_t rows = 1537, cols = 4001;
    const QuantSpec spec = make_spec(DataType::kE2M3, ScaleMode::kRow, 0, DataType::kF32);
    const Plain plain = random_plain(spec, rows, cols, 10);
    const auto weight =
        Weight::from_codes(spec, rows, cols, plain.codes.data(), plain.scales.data(), executor);
    const uint8_t* blob = weight->cpu().tiles - 320;
    ASSERT_GE(weight->bytes(), AlignedBuffer::kHugePageThreshold);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(blob) % (size_t{2} << 20), 0u);

    const std::vector<uint8_t> before(blob, blob + weight->bytes());
    Plain out = plain;
    weight->export_codes(out.codes.data(), out.scales.data(), executor);
    EXPECT_TRUE(std::equal(before.begin(), before.end(), blob));
}

TEST(Weight, FromFloatsEqualsQuantizeThenPack) {
    SerialExecutor executor;
    const int64_t rows = 37, cols = 150, ld = 155;
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    std::vector<float> w(static_cast<size_t>(rows * ld));
    for (float& value : w)
        value = normal(random);
    const MatrixView view{w.data(), DataType::kF32, rows, cols, ld};
    for (const WeightCase& c : kCases) {
        SCOPED_TRACE(c.name);
        const QuantSpec spec = c.spec();
        const QuantSizes sizes = quant_sizes(spec, rows, cols);
        std::vector<uint8_t> codes(sizes.code_bytes), scales(sizes.scale_bytes);
        quantize(spec, view, codes.data(), scales.data(), nullptr, executor);
        const auto at_once = Weight::from_floats(spec, view, executor);
        std::vector<uint8_t> out_codes(sizes.code_bytes), out_scales(sizes.scale_bytes);
        at_once->export_codes(out_codes.data(), out_scales.data(), executor);
        EXPECT_EQ(out_codes, codes);
        EXPECT_EQ(out_scales, scales);
    }
}

TEST(Weight, AHintOfInt8ChangesTheLayoutWhereKernelsReadIt) {
    const bool avx2 = active_isa() == Isa::kAvx2;
    const CpuSwizzle plain = avx2 ? CpuSwizzle::kS16 : CpuSwizzle::kP16;
    const CpuSwizzle bytes = avx2 ? CpuSwizzle::kS8 : CpuSwizzle::kP16;
    const auto swizzle = [](DataType format, int64_t group, ComputeType hint) {
        QuantSpec spec = make_spec(format, group == 0 ? ScaleMode::kRow : ScaleMode::kGroup, group,
                                   DataType::kF32);
        spec.compute_hint = hint;
        return packed_swizzle(spec);
    };
    for (DataType format : {DataType::kE2M3, DataType::kE2M2, DataType::kE2M1}) {
        EXPECT_EQ(swizzle(format, 0, kInt8), bytes);
        EXPECT_EQ(swizzle(format, 96, kInt8), bytes);
        EXPECT_EQ(swizzle(format, 48, kInt8), plain);  // int8 kernels do not read such groups
        EXPECT_EQ(swizzle(format, 0, ComputeType::kF32FastI16), plain);
        EXPECT_EQ(swizzle(format, 0, {}), plain);
    }
    EXPECT_EQ(swizzle(DataType::kE3M2, 0, kInt8), plain);
    EXPECT_EQ(swizzle(DataType::kE3M1, 0, kInt8), plain);
}

TEST(Weight, AHintStaysWithAutosChoice) {
    SerialExecutor executor;
    const int64_t rows = 16, cols = 64;
    std::vector<float> w(rows * cols);
    for (const bool uniform : {false, true}) {  // E2M3 is the better one then, E3M2 for outliers
        for (size_t i = 0; i < w.size(); ++i) {
            const float part = static_cast<float>(i % 61) / 60;
            w[i] = uniform ? part : i % cols == 0 ? 1 : part / 100;
        }
        QuantSpec spec = make_spec(DataType::kAuto6, ScaleMode::kRow, 0, DataType::kF32);
        spec.compute_hint = kInt8;
        const auto weight =
            Weight::from_floats(spec, {w.data(), DataType::kF32, rows, cols, cols}, executor);
        QuantSpec chosen = weight->spec();
        EXPECT_EQ(chosen.format, uniform ? DataType::kE2M3 : DataType::kE3M2);
        chosen.compute_hint = kInt8;
        EXPECT_EQ(weight->cpu().swizzle, packed_swizzle(chosen));
        const bool bytes = weight->cpu().swizzle == CpuSwizzle::kS8;
        EXPECT_EQ(weight->spec().compute_hint, bytes ? kInt8 : ComputeType{});
    }
}

TEST(Weight, FromFloatsRefusesWhatIsNotFiniteAndNamesThePlace) {
    std::vector<float> w(300 * 1000, 0.5f);
    w[290 * 1000] = INFINITY, w[123 * 1000 + 456] = NAN, w[123 * 1000 + 789] = INFINITY;
    const MatrixView view{w.data(), DataType::kF32, 300, 1000, 1000};
    SerialExecutor serial;
    PoolExecutor pool(3);
    for (const DataType format : {DataType::kE3M2, DataType::kAuto6}) {
        for (const ScaleMode mode : {ScaleMode::kRow, ScaleMode::kMx}) {
            QuantSpec spec =
                make_spec(format, mode, mode == ScaleMode::kMx ? 32 : 0, DataType::kF32);
            if (mode == ScaleMode::kMx) spec.scale_type = DataType::kE8M0;
            for (Executor* executor :
                 {static_cast<Executor*>(&serial), static_cast<Executor*>(&pool)}) {
                try {
                    Weight::from_floats(spec, view, *executor);
                    FAIL() << "must throw";
                } catch (const Error& error) {
                    EXPECT_EQ(error.status(), Status::kInvalidValue);
                    EXPECT_NE(std::string(error.what()).find("W[123, 456]"), std::string::npos)
                        << error.what();
                }
            }
            spec.non_finite = NonFinite::kSaturate;
            EXPECT_NE(Weight::from_floats(spec, view, pool), nullptr);
        }
    }
}

TEST(Weight, FromFloatsIsTheSameForAnyThreadCount) {
    const int64_t rows = 100, cols = 70;
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    std::vector<float> w(static_cast<size_t>(rows * cols));
    for (float& value : w)
        value = normal(random);
    const MatrixView view{w.data(), DataType::kF32, rows, cols, cols};
    const QuantSpec spec = make_spec(DataType::kE3M2, ScaleMode::kGroup, 24, DataType::kF32);
    SerialExecutor serial;
    const auto expected = Weight::from_floats(spec, view, serial);
    for (int threads : {2, 3, 7, 64}) {
        PoolExecutor pool(threads);
        const auto actual = Weight::from_floats(spec, view, pool);
        const uint8_t* a = expected->cpu().tiles - 320;  // the blob's start
        const uint8_t* b = actual->cpu().tiles - 320;
        EXPECT_EQ(std::memcmp(a, b, expected->bytes()), 0) << threads;
    }
}

class BlobTest : public testing::Test {
  protected:
    void SetUp() override { pack(); }

    void pack() {
        const Plain plain = random_plain(spec_, 20, 50, 3);
        bytes_ = Weight::blob_bytes(spec_, 20, 50);
        buffer_ = AlignedBuffer(bytes_);
        Weight::pack_blob(spec_, 20, 50, plain.codes.data(), plain.scales.data(), buffer_.data(),
                          executor_);
    }

    Status status_of(size_t bytes) {
        try {
            Weight::from_blob(buffer_.data(), bytes);
            return Status::kSuccess;
        } catch (const Error& error) {
            return error.status();
        }
    }

    /// Calls body() on the blob with a changed header whose checksum is right again.
    template <typename Change, typename Body>
    auto with_header(Change&& change, Body&& body) {
        BlobHeader header;
        std::memcpy(&header, buffer_.data(), sizeof header);
        const BlobHeader original = header;
        change(header);
        header.checksum = blob_checksum(header);
        std::memcpy(buffer_.data(), &header, sizeof header);
        const auto result = body();
        std::memcpy(buffer_.data(), &original, sizeof original);
        return result;
    }
    template <typename Change>
    Status status_with(Change&& change) {
        return with_header(change, [&] { return status_of(bytes_); });
    }
    template <typename Change>
    ComputeType hint_with(Change&& change) {
        return with_header(
            change, [&] { return Weight::from_blob(buffer_.data(), bytes_)->spec().compute_hint; });
    }

    SerialExecutor executor_;
    QuantSpec spec_ = make_spec(DataType::kE2M3, ScaleMode::kMx, 32, DataType::kE8M0);
    size_t bytes_ = 0;
    AlignedBuffer buffer_;
};

TEST_F(BlobTest, ViewSharesTheMemory) {
    const auto view = Weight::from_blob(buffer_.data(), bytes_);
    EXPECT_TRUE(view->is_view());
    EXPECT_EQ(view->cpu().tiles, buffer_.data() + 320);
    EXPECT_EQ(view->cpu().rows, 20);
    EXPECT_EQ(view->cpu().cols, 50);
    EXPECT_EQ(view->spec().scale_mode, ScaleMode::kMx);
}

TEST_F(BlobTest, EveryHeaderByteIsCovered) {
    for (size_t i = 0; i < sizeof(BlobHeader); ++i) {
        buffer_.data()[i] ^= 1;
        EXPECT_NE(status_of(bytes_), Status::kSuccess) << "byte " << i;
        buffer_.data()[i] ^= 1;
    }
    EXPECT_EQ(status_of(bytes_), Status::kSuccess);
}

TEST_F(BlobTest, TooShortIsInvalid) {
    for (size_t bytes :
         {size_t{0}, size_t{1}, sizeof(BlobHeader) - 1, sizeof(BlobHeader), bytes_ - 1}) {
        EXPECT_EQ(status_of(bytes), Status::kInvalidValue) << bytes;
    }
}

TEST_F(BlobTest, FieldsAreCheckedEvenWithAValidChecksum) {
    using H = BlobHeader&;
    EXPECT_EQ(status_with([](H h) { h.version = 2; }), Status::kNotSupported);
    EXPECT_EQ(status_with([](H h) { h.backend = 2; }), Status::kArchMismatch);
    EXPECT_EQ(status_with([](H h) { h.layout = 9; }), Status::kNotSupported);
    EXPECT_EQ(status_with([](H h) { h.layout = 3; }), Status::kSuccess);  // S8
    EXPECT_EQ(hint_with([](H h) { h.layout = 3; }), kInt8);
    EXPECT_EQ(hint_with([](H h) { h.layout = 2; }), ComputeType{});
    EXPECT_EQ(status_with([](H h) { h.layout = 3, h.format = 32; }), Status::kInvalidValue);
    EXPECT_EQ(status_with([](H h) { h.format = 0x1010; }), Status::kInvalidValue);
    EXPECT_EQ(status_with([](H h) { h.scale_mode = 5; }), Status::kInvalidValue);
    EXPECT_EQ(status_with([](H h) { h.scale_type = 0; }), Status::kInvalidValue);
    EXPECT_EQ(status_with([](H h) { h.group_size = 8; }), Status::kInvalidValue);
    EXPECT_EQ(status_with([](H h) { h.rows = -1; }), Status::kInvalidValue);
    EXPECT_EQ(status_with([](H h) { h.rows = 1000; }), Status::kInvalidValue);
    EXPECT_EQ(status_with([](H h) { h.rows = INT64_MAX; }), Status::kInvalidValue);
    EXPECT_EQ(status_with([](H h) { h.cols = INT64_MAX / 8; }), Status::kInvalidValue);
    EXPECT_EQ(status_with([](H h) { h.total_bytes += 64; }), Status::kInvalidValue);
}

TEST_F(BlobTest, S8IsForGroupsOf32) {
    for (int64_t group_size : {16, 32, 48, 64}) {
        spec_ = make_spec(DataType::kE2M3, ScaleMode::kGroup, group_size, DataType::kF32);
        pack();
        EXPECT_EQ(status_with([](BlobHeader& h) { h.layout = 3; }),
                  group_size % 32 == 0 ? Status::kSuccess : Status::kInvalidValue);
        EXPECT_EQ(status_with([](BlobHeader& h) { h.layout = 2; }), Status::kSuccess);
    }
}

}  // namespace
}  // namespace fp6llm
