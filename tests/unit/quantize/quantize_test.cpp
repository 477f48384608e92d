// quantize(): codes and scales by the specification, statistics, independence of blocks and
// threads, bad input.
#include "core/quantize/quantize.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "core/common/error.hpp"
#include "core/common/thread_pool.hpp"
#include "tests/unit/formats/nearest.hpp"
#include "tests/unit/quantize/support.hpp"

namespace fp6llm {
namespace {

using test::group_spec;
using test::Matrix;
using test::mx_spec;
using test::nearest_code;
using test::Quantized;
using test::row_spec;
using test::run_quantize;
using test::scales_as_floats;
using test::unpack_row;
using testing::HasSubstr;

std::vector<QuantSpec> specs_of_every_kind() {
    std::vector<QuantSpec> specs;
    for (const FormatInfo& format : all_formats()) {
        specs.push_back(row_spec(format.type));
        specs.push_back(group_spec(24, format.type));
        specs.push_back(group_spec(128, format.type));
        specs.push_back(group_spec(4096, format.type));
        for (const MxScaleRule rule :
             {MxScaleRule::kFloor, MxScaleRule::kEven, MxScaleRule::kRceil}) {
            specs.push_back(mx_spec(format.type, rule));
        }
    }
    for (size_t i = 0, count = specs.size(); i < count; ++i) {
        QuantSpec spec = specs[i];
        if (spec.scale_mode != ScaleMode::kMx) {
            spec.scale_type = DataType::kF16;
            specs.push_back(spec);
        }
        spec.rounding = Rounding::kNearestAway;
        specs.push_back(spec);
    }
    return specs;
}

/// Checks codes and scales of `w`, computed element by element.
void expect_quantized_by_definition(const QuantSpec& spec, const Matrix& w) {
    const Quantized quantized = run_quantize(spec, w.view());
    const FormatInfo& format = *find_format(spec.format);
    const std::vector<float> scales = scales_as_floats(spec, quantized);
    const int64_t groups = spec.groups(w.cols());
    const int64_t group = spec.scale_mode == ScaleMode::kRow ? w.cols() : spec.group_size;
    ASSERT_EQ(scales.size(), static_cast<size_t>(w.rows() * groups));
    for (int64_t r = 0; r < w.rows(); ++r) {
        const std::vector<uint8_t> codes = unpack_row(spec, quantized, r, w.cols());
        for (int64_t g = 0; g < groups; ++g) {
            const int64_t first = g * group, last = std::min(w.cols(), first + group);
            float amax = 0;
            for (int64_t c = first; c < last; ++c) {
                if (std::isfinite(w.at(r, c))) amax = std::max(amax, std::fabs(w.at(r, c)));
            }
            const float scale = scales[static_cast<size_t>(r * groups + g)];
            ASSERT_EQ(scale, group_scale(spec, format, amax, 0)) << r << ", " << g;
            for (int64_t c = first; c < last; ++c) {
                ASSERT_EQ(codes[static_cast<size_t>(c)],
                          nearest_code(format, w.at(r, c) / scale, spec.rounding))
                    << r << ", " << c << ": " << w.at(r, c) << " / " << scale;
            }
        }
    }
}

TEST(Quantize, CodesAndScalesFollowTheDefinition) {
    for (const DataType type : {DataType::kF32, DataType::kF16, DataType::kBF16}) {
        const Matrix w = Matrix(type, 5, 317, 331).fill_gaussian(1);
        for (const QuantSpec& spec : specs_of_every_kind()) {
            ASSERT_NO_FATAL_FAILURE(expect_quantized_by_definition(spec, w));
        }
    }
}

TEST(Quantize, ShapesThatDivideNothing) {
    const int64_t shapes[][2] = {{1, 1}, {17, 3}, {3, 4097}, {2, 12289}, {576, 1536}};
    for (const auto& shape : shapes) {
        const Matrix w = Matrix(DataType::kF16, shape[0], shape[1], shape[1] + 5).fill_gaussian(2);
        for (const QuantSpec& spec : {row_spec(), group_spec(40, DataType::kE2M2), mx_spec()}) {
            ASSERT_NO_FATAL_FAILURE(expect_quantized_by_definition(spec, w));
        }
    }
}

// Each legal size, so that groups start everywhere in chunks and rows, and the last one is short.
TEST(Quantize, EveryGroupSize) {
    SerialExecutor serial;
    const int64_t cols = 4100;
    const FormatInfo& format = *find_format(DataType::kE2M3);
    const Matrix w = Matrix(DataType::kF16, 1, cols).fill_gaussian(12);
    Matrix back(DataType::kF32, 1, cols);
    for (int64_t group = 16; group <= 4096; group += 8) {
        const QuantSpec spec = group_spec(group, format.type);
        check_quant_spec(spec);
        const Quantized quantized = run_quantize(spec, w.view());
        const std::vector<float> scales = scales_as_floats(spec, quantized);
        ASSERT_EQ(scales.size(), static_cast<size_t>((cols + group - 1) / group));
        const std::vector<uint8_t> codes = unpack_row(spec, quantized, 0, cols);
        dequantize(spec, quantized.codes.data(), quantized.scales.data(), back.mutable_view(),
                   serial);
        for (int64_t first = 0; first < cols; first += group) {
            const int64_t last = std::min(cols, first + group);
            float amax = 0;
            for (int64_t c = first; c < last; ++c)
                amax = std::max(amax, std::fabs(w.at(0, c)));
            const float scale = scales[static_cast<size_t>(first / group)];
            ASSERT_EQ(scale, amax / format.max) << "group size " << group << ", column " << first;
            for (int64_t c = first; c < last; ++c) {
                const uint8_t code = codes[static_cast<size_t>(c)];
                ASSERT_EQ(code, encode(format, w.at(0, c) / scale, Rounding::kNearestEven))
                    << "group size " << group << ", column " << c;
                ASSERT_EQ(back.at(0, c), format.values[code] * scale)
                    << "group size " << group << ", column " << c;
            }
        }
    }
}

TEST(Quantize, TinyAndHugeWeights) {
    for (const float deviation : {1e-45f, 1e-42f, 1e-38f, 1e-30f, 1e30f, 1e37f}) {
        const Matrix w = Matrix(DataType::kF32, 2, 100).fill_gaussian(3, deviation);
        for (const QuantSpec& spec : specs_of_every_kind()) {
            ASSERT_NO_FATAL_FAILURE(expect_quantized_by_definition(spec, w)) << deviation;
        }
    }
    const Matrix subnormal_halfs = Matrix(DataType::kF16, 2, 100).fill_gaussian(3, 1e-6f);
    ASSERT_NO_FATAL_FAILURE(expect_quantized_by_definition(row_spec(), subnormal_halfs));
}

TEST(Quantize, PaddingBitsAreZero) {
    const Matrix w = Matrix(DataType::kF32, 3, 5).fill([](int64_t, int64_t) { return -1.0f; });
    const Quantized quantized = run_quantize(row_spec(), w.view());  // 30 of 32 bits
    for (size_t row = 0; row < 3; ++row)
        EXPECT_EQ(quantized.codes[row * 4 + 3] & 0xC0, 0);
}

TEST(Quantize, ZeroRowsHaveScaleOneAndKeepSigns) {
    const Matrix w = Matrix(DataType::kF16, 2, 64).fill([](int64_t, int64_t c) {
        return c % 2 == 0 ? 0.0f : -0.0f;
    });
    for (const QuantSpec& spec : {row_spec(), group_spec(32)}) {
        const Quantized quantized = run_quantize(spec, w.view());
        for (const float scale : scales_as_floats(spec, quantized))
            EXPECT_EQ(scale, 1.0f);
        const std::vector<uint8_t> codes = unpack_row(spec, quantized, 1, 64);
        EXPECT_EQ(codes[0], 0);
        EXPECT_EQ(codes[1], 0x20);
    }
    const Quantized mx = run_quantize(mx_spec(), w.view());
    EXPECT_EQ(mx.scales, std::vector<uint8_t>(4, 0));
}

TEST(Quantize, EmptyMatricesAreNoOps) {
    SerialExecutor serial;
    for (const QuantSpec& spec :
         {row_spec(), group_spec(32), mx_spec(), row_spec(DataType::kAuto6)}) {
        for (const auto& shape : {std::pair<int64_t, int64_t>{0, 8}, {8, 0}, {0, 0}}) {
            const MatrixView w{nullptr, DataType::kF16, shape.first, shape.second, shape.second};
            const QuantSizes sizes = quant_sizes(spec, w.rows, w.cols);
            EXPECT_EQ(sizes.code_bytes, 0u);
            EXPECT_EQ(sizes.scale_bytes, 0u);
            QuantStats stats;
            quantize(spec, w, nullptr, nullptr, &stats, serial);
            EXPECT_EQ(stats.mse, 0.0);
            EXPECT_EQ(stats.signal, 0.0);
        }
    }
}

TEST(Quantize, BlocksOfRowsEqualAtOnce) {
    const Matrix w = Matrix(DataType::kBF16, 37, 523, 530).fill_gaussian(4);
    for (const QuantSpec& spec : {row_spec(), group_spec(64, DataType::kE3M1), mx_spec()}) {
        const Quantized whole = run_quantize(spec, w.view());
        Quantized parts;
        for (int64_t row = 0; row < 37; row += 5) {
            const Quantized part = run_quantize(spec, w.block(row, std::min<int64_t>(5, 37 - row)));
            parts.codes.insert(parts.codes.end(), part.codes.begin(), part.codes.end());
            parts.scales.insert(parts.scales.end(), part.scales.begin(), part.scales.end());
        }
        EXPECT_EQ(parts.codes, whole.codes);
        EXPECT_EQ(parts.scales, whole.scales);
    }
}

/// Runs tasks backwards, as if many threads had raced.
class BackwardsExecutor final : public Executor {
  public:
    int concurrency() const noexcept override { return 7; }
    void run(int64_t count, TaskRef task) override {
        while (count-- > 0)
            task(count);
    }
};

TEST(Quantize, ResultsDoNotDependOnThreads) {
    const Matrix w = Matrix(DataType::kF16, 301, 1000).fill_gaussian(5);
    BackwardsExecutor backwards;
    PoolExecutor two(2), five(5);
    for (QuantSpec spec : {row_spec(), row_spec(DataType::kAuto6), group_spec(128), mx_spec()}) {
        spec.scale_search = spec.scale_mode == ScaleMode::kGroup ? 3 : 0;
        const Quantized serial = run_quantize(spec, w.view());
        for (Executor* executor : {static_cast<Executor*>(&backwards), static_cast<Executor*>(&two),
                                   static_cast<Executor*>(&five)}) {
            const Quantized other = run_quantize(spec, w.view(), *executor);
            EXPECT_EQ(other.codes, serial.codes);
            EXPECT_EQ(other.scales, serial.scales);
            EXPECT_EQ(other.format, serial.format);
            EXPECT_EQ(other.stats.mse, serial.stats.mse);
            EXPECT_EQ(other.stats.signal, serial.stats.signal);
            EXPECT_EQ(other.stats.max_abs_error, serial.stats.max_abs_error);
        }
    }
}

#if defined(__x86_64__)
/// Flush to zero, denormals are zero, round down: what a host program may have set.
class HostileFloatEnvironment {
  public:
    HostileFloatEnvironment() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | kHostile); }
    ~HostileFloatEnvironment() { _mm_setcsr(saved_); }
    bool intact() const { return (_mm_getcsr() & kHostile) == kHostile; }

  private:
    static constexpr unsigned kHostile = 0x8040 | 0x2000;
    unsigned saved_;
};

TEST(Quantize, ResultsDoNotDependOnTheHostsFloatEnvironment) {
    SerialExecutor serial;
    for (const float deviation : {1e-40f, 1.0f}) {
        const Matrix w = Matrix(DataType::kF32, 2, 100).fill_gaussian(3, deviation);
        for (const QuantSpec& spec : {row_spec(), row_spec(DataType::kAuto6), mx_spec()}) {
            const Quantized expected = run_quantize(spec, w.view());
            std::vector<uint8_t> codes(100);
            std::vector<uint8_t> scales(expected.scales.size() / 2);
            Quantized other;
            {
                const HostileFloatEnvironment hostile;
                other = run_quantize(spec, w.view());
                const RowQuantizer quantizer(spec, w.view(), serial);
                quantizer.quantize_row(1, codes.data(), scales.data(), nullptr);
                EXPECT_TRUE(hostile.intact());
            }
            EXPECT_EQ(other.format, expected.format);
            EXPECT_EQ(other.codes, expected.codes);
            EXPECT_EQ(other.scales, expected.scales);
            EXPECT_EQ(other.stats.mse, expected.stats.mse);
            EXPECT_EQ(codes, unpack_row(spec, expected, 1, 100));
            EXPECT_TRUE(std::equal(scales.rbegin(), scales.rend(), expected.scales.rbegin()));
        }
    }
}
#endif

TEST(Quantize, ByteCodesEqualPackedCodes) {
    const Matrix w = Matrix(DataType::kF16, 3, 9001).fill_gaussian(6);
    SerialExecutor serial;
    for (const QuantSpec& spec : {row_spec(), group_spec(40, DataType::kE2M2), mx_spec()}) {
        const Quantized quantized = run_quantize(spec, w.view());
        const RowQuantizer quantizer(spec, w.view(), serial);
        const size_t scale_bytes =
            static_cast<size_t>(spec.groups(9001)) * spec.scale_element_bytes();
        for (int64_t row = 0; row < 3; ++row) {
            std::vector<uint8_t> codes(9001), scales(scale_bytes);
            quantizer.quantize_row(row, codes.data(), scales.data(), nullptr);
            EXPECT_EQ(codes, unpack_row(spec, quantized, row, 9001));
            EXPECT_TRUE(
                std::equal(scales.begin(), scales.end(),
                           quantized.scales.begin() + static_cast<int64_t>(scale_bytes) * row));
        }
    }
}

TEST(Quantize, StatsMatchFp64) {
    for (const DataType type : {DataType::kF32, DataType::kF16}) {
        const Matrix w = Matrix(type, 23, 777).fill_gaussian(8);
        for (QuantSpec spec : specs_of_every_kind()) {
            const Quantized quantized = run_quantize(spec, w.view());
            Matrix back(DataType::kF32, 23, 777);
            SerialExecutor serial;
            dequantize(spec, quantized.codes.data(), quantized.scales.data(), back.mutable_view(),
                       serial);
            double error = 0, signal = 0, worst = 0;
            for (int64_t r = 0; r < 23; ++r) {
                for (int64_t c = 0; c < 777; ++c) {
                    const double x = w.at(r, c),
                                 difference = x - static_cast<double>(back.at(r, c));
                    error += difference * difference / (23 * 777);
                    signal += x * x / (23 * 777);
                    worst = std::max(worst, std::fabs(difference));
                }
            }
            EXPECT_NEAR(quantized.stats.mse, error, 1e-5 * error);
            EXPECT_NEAR(quantized.stats.signal, signal, 1e-6 * signal);
            EXPECT_NEAR(quantized.stats.max_abs_error, worst, 1e-5 * worst);
            EXPECT_EQ(quantized.stats.format, spec.format);
            EXPECT_EQ(quantized.stats.non_finite, 0);
            if (spec.scale_type == DataType::kF32) {
                EXPECT_EQ(quantized.stats.saturated, 0);
            }
        }
    }
}

TEST(Quantize, StatsOfExactWeightsAreZero) {
    const FormatInfo& format = *find_format(DataType::kE3M2);
    const Matrix w = Matrix(DataType::kF16, 4, 64).fill([&](int64_t, int64_t c) {
        return format.values[c] * 0.25f;
    });
    const Quantized quantized = run_quantize(row_spec(), w.view());
    EXPECT_EQ(quantized.stats.mse, 0.0);
    EXPECT_EQ(quantized.stats.max_abs_error, 0.0);
    EXPECT_GT(quantized.stats.signal, 0.0);
}

TEST(Quantize, MxFloorClipsAndCountsIt) {
    Matrix w = Matrix(DataType::kF32, 1, 32).fill([](int64_t, int64_t) { return 1.0f; });
    w.set(0, 7, 31.0f);  // above 28, below 32
    const Quantized floor = run_quantize(mx_spec(), w.view());
    EXPECT_EQ(floor.stats.saturated, 1);
    EXPECT_EQ(floor.stats.max_abs_error, 3.0);
    const Quantized rceil = run_quantize(mx_spec(DataType::kE3M2, MxScaleRule::kRceil), w.view());
    EXPECT_EQ(rceil.stats.saturated, 0);
}

TEST(Quantize, NonFiniteIsAnErrorThatNamesThePlaceAndWritesNothing) {
    BackwardsExecutor backwards;
    SerialExecutor serial;
    for (const DataType type : {DataType::kF32, DataType::kF16, DataType::kBF16}) {
        Matrix w = Matrix(type, 300, 1000).fill_gaussian(9);
        w.set(290, 0, INFINITY), w.set(123, 456, NAN), w.set(123, 789, INFINITY);
        for (const QuantSpec& spec : {row_spec(), row_spec(DataType::kAuto6), mx_spec()}) {
            const QuantSizes sizes = quant_sizes(spec, 300, 1000);
            std::vector<uint8_t> codes(sizes.code_bytes, 0xAA), scales(sizes.scale_bytes, 0xAA);
            QuantStats stats{DataType::kI8, -1, -1, -1, -1, -1};
            for (Executor* executor :
                 {static_cast<Executor*>(&backwards), static_cast<Executor*>(&serial)}) {
                try {
                    quantize(spec, w.view(), codes.data(), scales.data(), &stats, *executor);
                    FAIL() << "must throw";
                } catch (const Error& error) {
                    EXPECT_EQ(error.status(), Status::kInvalidValue);
                    EXPECT_THAT(error.what(), HasSubstr("W[123, 456]"));
                }
            }
            EXPECT_EQ(codes, std::vector<uint8_t>(sizes.code_bytes, 0xAA));
            EXPECT_EQ(scales, std::vector<uint8_t>(sizes.scale_bytes, 0xAA));
            EXPECT_EQ(stats.mse, -1);
        }
    }
}

TEST(Quantize, NonFiniteSaturatesWhenAsked) {
    for (const DataType type : {DataType::kF32, DataType::kF16, DataType::kBF16}) {
        Matrix w = Matrix(type, 2, 64).fill([](int64_t, int64_t) { return 0.5f; });
        w.set(0, 1, INFINITY), w.set(0, 2, -INFINITY), w.set(0, 3, NAN), w.set(0, 4, -NAN);
        w.fill([&](int64_t r, int64_t c) { return r == 1 ? NAN : w.at(r, c); });
        for (QuantSpec spec : {row_spec(), group_spec(32), mx_spec(), row_spec(DataType::kAuto6)}) {
            spec.non_finite = NonFinite::kSaturate;
            const Quantized quantized = run_quantize(spec, w.view());
            const std::vector<uint8_t> codes = unpack_row(spec, quantized, 0, 64);
            EXPECT_EQ(codes[1], 0x1F);
            EXPECT_EQ(codes[2], 0x3F);
            EXPECT_EQ(codes[3], 0x1F);
            EXPECT_EQ(codes[4], 0x1F);
            if (spec.scale_mode != ScaleMode::kMx) {
                EXPECT_EQ(codes[0], 0x1F) << "0.5 is amax";
            }
            EXPECT_EQ(unpack_row(spec, quantized, 1, 64), std::vector<uint8_t>(64, 0x1F));
            EXPECT_EQ(quantized.stats.non_finite, 4 + 64);
            EXPECT_EQ(quantized.stats.saturated, 2) << "the infinities";
            EXPECT_NEAR(quantized.stats.signal, 0.25, 1e-7) << "over the finite elements";
        }
    }
}

TEST(Quantize, AutoTakesTheFormatOfSmallerError) {
    const Matrix gaussian = Matrix(DataType::kF16, 16, 512).fill_gaussian(10);
    Matrix outliers = Matrix(DataType::kF16, 16, 512).fill_gaussian(10);
    for (int64_t r = 0; r < 16; ++r)
        outliers.set(r, 17, 1.5f);
    for (const Matrix* w : {&gaussian, static_cast<const Matrix*>(&outliers)}) {
        const Quantized e3m2 = run_quantize(row_spec(DataType::kE3M2), w->view());
        const Quantized e2m3 = run_quantize(row_spec(DataType::kE2M3), w->view());
        const Quantized automatic = run_quantize(row_spec(DataType::kAuto6), w->view());
        const Quantized& better = e3m2.stats.mse <= e2m3.stats.mse ? e3m2 : e2m3;
        EXPECT_EQ(better.format, w == &gaussian ? DataType::kE2M3 : DataType::kE3M2);
        EXPECT_EQ(automatic.format, better.format);
        EXPECT_EQ(automatic.stats.format, better.format);
        EXPECT_EQ(automatic.codes, better.codes);
        EXPECT_EQ(automatic.scales, better.scales);
        EXPECT_EQ(automatic.stats.mse, better.stats.mse);
    }
    // What decides may lie anywhere: in the last of many blocks of rows.
    const int64_t rows = 301, cols = 1000;
    Matrix late = Matrix(DataType::kF16, rows, cols).fill_gaussian(13);
    EXPECT_EQ(run_quantize(row_spec(DataType::kAuto6), late.view()).format, DataType::kE2M3);
    for (int64_t c = 0; c < cols; ++c)
        late.set(rows - 1, c, c % 100 == 0 ? 3000.0f : late.at(rows - 1, c) * 1000.0f);
    EXPECT_EQ(run_quantize(row_spec(DataType::kAuto6), late.view()).format, DataType::kE3M2);

    const Matrix zeros = Matrix(DataType::kF32, 2, 8).fill([](int64_t, int64_t) { return 0.0f; });
    EXPECT_EQ(run_quantize(row_spec(DataType::kAuto6), zeros.view()).format, DataType::kE3M2);
}

// Two rows, each exact in one format only, sized so that what they lose in the other almost agrees:
// beyond what estimates can tell apart, whose sums of equal numbers round one way.
TEST(Quantize, AutoTellsNearTiesApart) {
    constexpr int64_t kCols = 5000;
    for (const QuantSpec& base : {row_spec(), group_spec(128)}) {
        int chosen_e3m2 = 0, chosen_e2m3 = 0;
        for (const float fine : {2.25f, 1.625f, 2.75f, 3.25f}) {
            const auto errors_of = [&](const Matrix& w) {
                std::array<double, 2> errors{};
                for (const DataType type : {DataType::kE3M2, DataType::kE2M3}) {
                    QuantSpec spec = base;
                    spec.format = type;
                    errors[type == DataType::kE2M3] = run_quantize(spec, w.view()).stats.mse;
                }
                return errors;
            };
            const auto rows = [&](float size) {
                return Matrix(DataType::kF32, 2, kCols).fill([&](int64_t r, int64_t c) {
                    const bool largest = c % 128 == 0;
                    // Multiples of 1/8; fewer, so that their sums round otherwise.
                    if (r == 0) return largest ? 7.5f : c % 3 == 0 ? fine : 0.0f;
                    return (largest ? 28.0f : 0.1875f) * size;
                });
            };
            const auto e1 = errors_of(rows(0)), e2 = errors_of(rows(1));
            const double tie = std::sqrt(e1[0] / e2[1]);
            ASSERT_GT(tie, 0);
            for (const double nudge :
                 {-1e-4, -1e-5, -3e-6, -1e-6, -3e-7, 3e-7, 1e-6, 3e-6, 1e-5, 1e-4}) {
                const Matrix w = rows(static_cast<float>(tie * (1 + nudge)));
                const auto errors = errors_of(w);
                EXPECT_NEAR(errors[0], errors[1], 3e-4 * errors[0]);
                QuantSpec spec = base;
                spec.format = DataType::kAuto6;
                const DataType expected =
                    errors[0] <= errors[1] ? DataType::kE3M2 : DataType::kE2M3;
                EXPECT_EQ(run_quantize(spec, w.view()).format, expected) << fine << ", " << nudge;
                ++(expected == DataType::kE3M2 ? chosen_e3m2 : chosen_e2m3);
            }
        }
        EXPECT_GE(chosen_e3m2, 10);
        EXPECT_GE(chosen_e2m3, 10);
    }
}

TEST(Quantize, NothingBeyondTheOutputsIsWritten) {
    const Matrix w = Matrix(DataType::kF16, 7, 83).fill_gaussian(11);
    SerialExecutor serial;
    for (const QuantSpec& spec : specs_of_every_kind()) {
        const QuantSizes sizes = quant_sizes(spec, 7, 83);
        std::vector<uint8_t> codes(sizes.code_bytes + 32, 0xAA),
            scales(sizes.scale_bytes + 32, 0xAA);
        quantize(spec, w.view(), codes.data() + 16, scales.data() + 16, nullptr, serial);
        for (size_t i = 0; i < 16; ++i) {
            ASSERT_EQ(codes[i], 0xAA);
            ASSERT_EQ(scales[i], 0xAA);
            ASSERT_EQ(codes[16 + sizes.code_bytes + i], 0xAA);
            ASSERT_EQ(scales[16 + sizes.scale_bytes + i], 0xAA);
        }
    }
}

TEST(QuantSizes, CountRowsPaddedToBytes) {
    EXPECT_EQ(quant_sizes(row_spec(), 10, 5).code_bytes, 40u);
    EXPECT_EQ(quant_sizes(row_spec(DataType::kAuto6), 10, 4).code_bytes, 30u);
    EXPECT_EQ(quant_sizes(row_spec(DataType::kE2M2), 10, 9).code_bytes, 60u);
    EXPECT_EQ(quant_sizes(row_spec(DataType::kE2M1), 10, 9).code_bytes, 50u);
    EXPECT_EQ(quant_sizes(row_spec(), 10, 5).scale_bytes, 40u);
    EXPECT_EQ(quant_sizes(group_spec(16), 10, 17).scale_bytes, 80u);
    EXPECT_EQ(quant_sizes(mx_spec(), 10, 65).scale_bytes, 30u);
}

TEST(QuantSizes, OverflowIsAnError) {
    for (const QuantSpec& spec : {row_spec(), group_spec(16), mx_spec()}) {
        EXPECT_THROW(quant_sizes(spec, INT64_MAX, INT64_MAX), Error);
        EXPECT_THROW(quant_sizes(spec, int64_t{1} << 40, int64_t{1} << 40), Error);
        EXPECT_NO_THROW(quant_sizes(spec, 0, INT64_MAX));
        EXPECT_NO_THROW(quant_sizes(spec, INT64_MAX, 0));
    }
}

TEST(QuantSpec, ChecksNameTheField) {
    const auto message = [](const QuantSpec& spec) -> std::string {
        try {
            check_quant_spec(spec);
        } catch (const Error& error) {
            EXPECT_EQ(error.status(), Status::kInvalidValue);
            return error.what();
        }
        return "";
    };
    for (const QuantSpec& spec : specs_of_every_kind())
        EXPECT_EQ(message(spec), "");
    EXPECT_EQ(message(row_spec(DataType::kAuto6)), "");

    QuantSpec spec = row_spec(DataType::kF16);
    EXPECT_THAT(message(spec), HasSubstr("format = 2"));
    for (const int64_t group : {0, 8, 12, 20, 4104, -16}) {
        EXPECT_THAT(message(group_spec(group)), HasSubstr("groupSize = " + std::to_string(group)));
    }
    spec = mx_spec(), spec.group_size = 16;
    EXPECT_THAT(message(spec), HasSubstr("groupSize = 16"));
    spec = mx_spec(), spec.scale_type = DataType::kF32;
    EXPECT_THAT(message(spec), HasSubstr("scaleType = 0"));
    spec = row_spec(), spec.scale_type = DataType::kE8M0;
    EXPECT_THAT(message(spec), HasSubstr("scaleType = 30"));
    spec = row_spec(), spec.scale_mode = static_cast<ScaleMode>(3);
    EXPECT_THAT(message(spec), HasSubstr("scaleMode = 3"));
    spec = row_spec(), spec.rounding = static_cast<Rounding>(-1);
    EXPECT_THAT(message(spec), HasSubstr("rounding = -1"));
    spec = row_spec(), spec.mx_rule = static_cast<MxScaleRule>(3);
    EXPECT_THAT(message(spec), HasSubstr("mxScaleRule = 3"));
    spec = row_spec(), spec.non_finite = static_cast<NonFinite>(2);
    EXPECT_THAT(message(spec), HasSubstr("nonFinite = 2"));
    for (const int search : {-1, 65}) {
        spec = row_spec(), spec.scale_search = search;
        EXPECT_THAT(message(spec), HasSubstr("scaleSearch = " + std::to_string(search)));
    }
}

}  // namespace
}  // namespace fp6llm
