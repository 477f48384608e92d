// The AVX-512 kernels against sums in double, one row of the registry at a time, on weights built
// by hand. "Simde" tests run their emulation on any processor, "Native" tests the real instructions
// where the processor has them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "core/common/aligned_buffer.hpp"
#include "core/common/float16.hpp"
#include "core/common/math.hpp"
#include "core/gemm/cpu/kernel.hpp"
#ifdef FP6LLM_HAVE_SIMDE
#include "tests/simde/avx512_kernels.hpp"
#endif

namespace fp6llm {
namespace {

constexpr float kPoison = 1e30f;
/// Of |sum - exact| over the sum of |products|: twice the largest seen, a sixteenth of what losing
/// the lowest bit of one product in a hundred would make.
constexpr double kBound = 6e-7;

struct Scaling {
    ScaleMode mode;
    int64_t group_size;
    std::string name() const {
        return mode == ScaleMode::kRow  ? "row"
               : mode == ScaleMode::kMx ? "mx"
                                        : "group" + std::to_string(group_size);
    }
};

/// A weight in tiles, and its codes and scales in plain sight.
class TestWeight {
  public:
    TestWeight(int64_t rows, int64_t cols, TileFamily family, Scaling scaling, uint32_t seed)
        : codes_(static_cast<size_t>(round_up(rows, kTileRows) * round_up(cols, kTileCols))) {
        CpuWeightView& v = view_;
        v = {};
        v.rows = rows;
        v.cols = cols;
        v.panels = ceil_div(rows, kTileRows);
        v.k_tiles = ceil_div(cols, kTileCols);
        v.family = family;
        v.swizzle = CpuSwizzle::kP16;
        v.scale_mode = scaling.mode;
        v.group_size = scaling.group_size;
        v.groups = scaling.mode == ScaleMode::kRow ? 1 : ceil_div(cols, scaling.group_size);
        v.format = find_format(family == TileFamily::kE3M2 ? DataType::kE3M2 : DataType::kE2M3);
        stride_ = v.k_tiles * kTileCols;

        std::mt19937 random(seed);
        for (int64_t r = 0; r < rows; ++r) {
            for (int64_t k = 0; k < cols; ++k)
                code(r, k) = static_cast<uint8_t>(random() % 64);
        }
        const size_t scales = static_cast<size_t>(v.panels * v.groups * kTileRows);
        scales_ = AlignedBuffer(scales * sizeof(float));
        std::uniform_real_distribution<float> scale(0.25f, 2.0f);
        for (size_t i = 0; i < scales; ++i) {
            if (scaling.mode == ScaleMode::kMx) {
                scales_.data()[i] = static_cast<uint8_t>(120 + random() % 14);
            } else {
                reinterpret_cast<float*>(scales_.data())[i] = scale(random);
            }
        }
        (scaling.mode == ScaleMode::kMx
             ? (void)(v.e8m0 = scales_.data())
             : (void)(v.scales = reinterpret_cast<float*>(scales_.data())));
        pack();
    }

    uint8_t& code(int64_t r, int64_t k) { return codes_[static_cast<size_t>(r * stride_ + k)]; }
    uint8_t& e8m0(int64_t r, int64_t group) { return scales_.data()[scale_index(r, group)]; }

    /// To be called after codes were changed.
    void pack() {
        tiles_ = AlignedBuffer(static_cast<size_t>(view_.panels * view_.k_tiles) * kTileBytes);
        for (int64_t p = 0; p < view_.panels; ++p) {
            pack_panel(view_.swizzle, view_.family, &code(p * kTileRows, 0), stride_, view_.cols,
                       tiles_.data() + p * view_.k_tiles * kTileBytes);
        }
        view_.tiles = tiles_.data();
    }

    double scale(int64_t r, int64_t k) const {
        const int64_t group = view_.scale_mode == ScaleMode::kRow ? 0 : k / view_.group_size;
        const size_t i = scale_index(r, group);
        if (view_.scale_mode != ScaleMode::kMx) return static_cast<double>(view_.scales[i]);
        return view_.e8m0[i] == 255 ? std::nan("") : std::ldexp(1.0, view_.e8m0[i] - 127);
    }
    double value(int64_t r, int64_t k) {
        return static_cast<double>(tile_values(view_.family)[code(r, k)]);
    }
    const CpuWeightView& view() const { return view_; }

  private:
    size_t scale_index(int64_t r, int64_t group) const {
        return static_cast<size_t>((r / kTileRows * view_.groups + group) * kTileRows +
                                   r % kTileRows);
    }

    CpuWeightView view_;
    int64_t stride_ = 0;
    std::vector<uint8_t> codes_;
    AlignedBuffer tiles_, scales_;
};

/// Activations of any type and order, and what they are worth.
class TestTokens {
  public:
    TestTokens(int64_t tokens, int64_t k, DataType type, bool transposed)
        : tokens_(tokens), bytes_(float_bytes(type)) {
        source_ = {nullptr, type, k, transposed ? 1 : k + 3, transposed ? tokens + 5 : 1};
        data_.assign(static_cast<size_t>((tokens + 5) * (k + 5)) * bytes_, 0xFF);  // NaN everywhere
        source_.data = data_.data();
    }

    void set(int64_t token, int64_t k, float value) {
        uint8_t* to = data_.data() + index(token, k) * bytes_;
        const uint16_t half =
            source_.type == DataType::kF16 ? float_to_half(value) : float_to_bf16(value);
        std::memcpy(to, bytes_ == 4 ? static_cast<void*>(&value) : const_cast<uint16_t*>(&half),
                    bytes_);
    }
    void randomize(uint32_t seed) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        for (int64_t t = 0; t < tokens_; ++t) {
            for (int64_t k = 0; k < source_.k; ++k)
                set(t, k, normal(random));
        }
    }
    /// What a kernel multiplies with.
    double value(int64_t token, int64_t k, Arithmetic arithmetic) const {
        const uint8_t* from = data_.data() + index(token, k) * bytes_;
        float value;
        uint16_t half;
        std::memcpy(&value, from, bytes_ == 4 ? 4 : 2);
        std::memcpy(&half, from, 2);
        if (source_.type == DataType::kF16) value = half_to_float(half);
        if (source_.type == DataType::kBF16) value = bf16_to_float(half);
        if (arithmetic == Arithmetic::kBf16) value = bf16_to_float(float_to_bf16(value));
        return static_cast<double>(value);
    }
    const TokenSource& source() const { return source_; }
    int64_t tokens() const { return tokens_; }

  private:
    size_t index(int64_t token, int64_t k) const {
        return static_cast<size_t>(token * source_.token_stride + k * source_.k_stride);
    }

    TokenSource source_;
    int64_t tokens_;
    size_t bytes_;
    std::vector<uint8_t> data_;
};

/// sums[t * rows + r] by one kernel, in blocks of max_tokens, from poisoned memory; checks that
/// nothing was written past the end of any buffer.
std::vector<float> run_kernel(const CpuGemmKernel& kernel, const TestWeight& weight,
                              const TestTokens& x) {
    const CpuWeightView& w = weight.view();
    const int64_t rows = w.panels * kTileRows;
    std::vector<float> result(static_cast<size_t>(x.tokens() * rows), kPoison);
    const int64_t block = std::min(kernel.max_tokens, x.tokens());
    constexpr size_t kCanary = 64;
    const auto poisoned = [](size_t bytes) {
        AlignedBuffer buffer(bytes + kCanary);
        std::memset(buffer.data(), 0xFF, buffer.size());
        return buffer;
    };
    const auto expect_canary = [](const AlignedBuffer& buffer, const char* what) {
        for (size_t i = buffer.size() - kCanary; i < buffer.size(); ++i)
            ASSERT_EQ(buffer.data()[i], 0xFF) << what << " overrun";
    };
    AlignedBuffer packed = poisoned(kernel.packed_bytes(w.cols, block));
    AlignedBuffer factors = poisoned(static_cast<size_t>(block) * sizeof(float));
    AlignedBuffer scratch = poisoned(kernel.scratch_bytes(w.cols, block));
    for (int64_t first = 0; first < x.tokens(); first += block) {
        const int64_t count = std::min(block, x.tokens() - first);
        auto* factor = reinterpret_cast<float*>(factors.data());
        kernel.pack_tokens(x.source(), first, count, packed.data(), factor);
        for (int64_t panel = 0; panel < w.panels; panel += kernel.panels_per_call) {
            const int panels =
                static_cast<int>(std::min<int64_t>(kernel.panels_per_call, w.panels - panel));
            const int64_t ld = panels * kTileRows;
            AlignedBuffer sums = poisoned(static_cast<size_t>(count * ld) * sizeof(float));
            kernel.multiply(w, panel, panels, packed.data(), factor, count,
                            reinterpret_cast<float*>(sums.data()), scratch.data());
            expect_canary(sums, "sums");
            for (int64_t t = 0; t < count; ++t) {
                std::memcpy(&result[static_cast<size_t>((first + t) * rows + panel * kTileRows)],
                            sums.data() + static_cast<size_t>(t * ld) * sizeof(float),
                            static_cast<size_t>(ld) * sizeof(float));
            }
        }
    }
    expect_canary(packed, "packed activations");
    expect_canary(factors, "factors");
    expect_canary(scratch, "scratch");
    return result;
}

/// Largest |sum - exact| over sum of |products|.
double largest_error(const CpuGemmKernel& kernel, TestWeight& weight, const TestTokens& x) {
    const std::vector<float> sums = run_kernel(kernel, weight, x);
    const CpuWeightView& w = weight.view();
    double worst = 0;
    std::vector<double> row(static_cast<size_t>(w.cols));
    for (int64_t r = 0; r < w.rows; ++r) {
        for (int64_t k = 0; k < w.cols; ++k)
            row[static_cast<size_t>(k)] = weight.value(r, k) * weight.scale(r, k);
        for (int64_t t = 0; t < x.tokens(); ++t) {
            double exact = 0, magnitude = 1e-30;
            for (int64_t k = 0; k < w.cols; ++k) {
                const double product =
                    row[static_cast<size_t>(k)] * x.value(t, k, kernel.arithmetic);
                exact += product;
                magnitude += std::fabs(product);
            }
            const double got =
                static_cast<double>(sums[static_cast<size_t>(t * w.panels * kTileRows + r)]);
            const double error = std::fabs(got - exact) / magnitude;
            worst = std::isnan(error) ? HUGE_VAL : std::max(worst, error);
        }
    }
    return worst;
}

const Scaling kScalings[] = {{ScaleMode::kRow, 0},    {ScaleMode::kMx, 32},
                             {ScaleMode::kGroup, 16}, {ScaleMode::kGroup, 24},
                             {ScaleMode::kGroup, 48}, {ScaleMode::kGroup, 256}};

bool takes(const CpuGemmKernel& kernel, const Scaling& scaling) {
    return !kernel.tile_groups_only || scaling.group_size % kTileCols == 0;
}

class Avx512Kernel : public testing::TestWithParam<const CpuKernelSet*> {
  protected:
    /// Calls test(kernel) for each kernel that this processor runs.
    template <class Test>
    void for_each_kernel(Test test) {
        for (int i = 0; i < GetParam()->count; ++i) {
            const CpuGemmKernel& kernel = GetParam()->kernels[i];
            if (GetParam() == avx512_kernels() && kernel.isa > active_isa()) continue;
            SCOPED_TRACE(kernel.name);
            test(kernel);
        }
    }
};

// Row r of the weight holds code (r + k) % 64 in column k; token t picks column t. So every code
// goes through every row and column position, and each sum is one product: exact.
TEST_P(Avx512Kernel, DecodesEveryCodeExactly) {
    for (TileFamily family : {TileFamily::kE3M2, TileFamily::kE2M3}) {
        for (const Scaling& scaling : kScalings) {
            SCOPED_TRACE(scaling.name());
            constexpr int64_t kCols = 80;
            TestWeight weight(48, kCols, family, scaling, 1);
            for (int64_t r = 0; r < 48; ++r) {
                for (int64_t k = 0; k < kCols; ++k)
                    weight.code(r, k) = static_cast<uint8_t>((r + k) % 64);
            }
            weight.pack();
            TestTokens x(kCols, kCols, DataType::kF32, false);
            for (int64_t t = 0; t < kCols; ++t) {
                for (int64_t k = 0; k < kCols; ++k)
                    x.set(t, k, t == k ? 1.0f : 0.0f);
            }
            for_each_kernel([&](const CpuGemmKernel& kernel) {
                if (!takes(kernel, scaling)) return;
                const std::vector<float> sums = run_kernel(kernel, weight, x);
                for (int64_t t = 0; t < kCols; ++t) {
                    for (int64_t r = 0; r < 48; ++r) {
                        const float exact = static_cast<float>(weight.value(r, t)) *
                                            static_cast<float>(weight.scale(r, t));
                        ASSERT_EQ(sums[static_cast<size_t>(t * 48 + r)], exact)
                            << "row " << r << " column " << t;
                    }
                }
            });
        }
    }
}

TEST_P(Avx512Kernel, EveryTokenCountAgreesWithDouble) {
    for (const Scaling& scaling : kScalings) {
        TestWeight weight(48, 90, TileFamily::kE3M2, scaling, 2);
        for (int64_t tokens = 1; tokens <= 37; ++tokens) {
            SCOPED_TRACE(scaling.name() + ", tokens " + std::to_string(tokens));
            TestTokens x(tokens, 90, DataType::kF32, false);
            x.randomize(static_cast<uint32_t>(tokens));
            for_each_kernel([&](const CpuGemmKernel& kernel) {
                if (takes(kernel, scaling)) {
                    EXPECT_LT(largest_error(kernel, weight, x), kBound);
                }
            });
        }
    }
}

TEST_P(Avx512Kernel, EveryColumnTailAgreesWithDouble) {
    for (int64_t cols : {1, 2, 15, 16, 17, 31, 33, 47, 192, 200, 384, 391, 777}) {
        for (const Scaling& scaling : kScalings) {
            SCOPED_TRACE(scaling.name() + ", columns " + std::to_string(cols));
            TestWeight weight(17, cols, TileFamily::kE2M3, scaling, 3);
            for (int64_t tokens : {1, 3, 5, 13}) {
                TestTokens x(tokens, cols, DataType::kF32, false);
                x.randomize(4);
                for_each_kernel([&](const CpuGemmKernel& kernel) {
                    if (takes(kernel, scaling)) {
                        EXPECT_LT(largest_error(kernel, weight, x), kBound);
                    }
                });
            }
        }
    }
}

TEST_P(Avx512Kernel, EveryActivationTypeAndOrderAgreesWithDouble) {
    TestWeight weight(32, 300, TileFamily::kE3M2, {ScaleMode::kRow, 0}, 5);
    for (DataType type : {DataType::kF32, DataType::kF16, DataType::kBF16}) {
        for (bool transposed : {false, true}) {
            for (int64_t tokens : {1, 2, 16, 19}) {
                SCOPED_TRACE("type " + std::to_string(static_cast<int>(type)) +
                             (transposed ? ", transposed" : "") + ", tokens " +
                             std::to_string(tokens));
                TestTokens x(tokens, 300, type, transposed);
                x.randomize(6);
                for_each_kernel([&](const CpuGemmKernel& kernel) {
                    EXPECT_LT(largest_error(kernel, weight, x), kBound);
                });
            }
        }
    }
}

TEST_P(Avx512Kernel, AppliesE8m0FromEndToEnd) {
    for (int exponent : {0, 1, 2, 5, 126, 200, 250, 251, 253, 254}) {
        SCOPED_TRACE("E8M0 " + std::to_string(exponent));
        TestWeight weight(32, 64, TileFamily::kE3M2, {ScaleMode::kMx, 32}, 7);
        for (int64_t r = 0; r < 32; ++r) {
            weight.e8m0(r, 0) = weight.e8m0(r, 1) = static_cast<uint8_t>(exponent);
        }
        TestTokens x(14, 64, DataType::kF32, false);
        for (int64_t t = 0; t < 14; ++t) {
            // One product per sum, and large scales meet small activations.
            for (int64_t k = 0; k < 64; ++k)
                x.set(t, k, k != t * 4 ? 0.0f : exponent > 127 ? 0.03125f : 32.0f);
        }
        for_each_kernel([&](const CpuGemmKernel& kernel) {
            const std::vector<float> sums = run_kernel(kernel, weight, x);
            for (int64_t t = 0; t < 14; ++t) {
                for (int64_t r = 0; r < 32; ++r) {
                    const double exact = weight.value(r, t * 4) * weight.scale(r, t * 4) *
                                         x.value(t, t * 4, kernel.arithmetic);
                    ASSERT_EQ(sums[static_cast<size_t>(t * 32 + r)], static_cast<float>(exact));
                }
            }
        });
    }
}

TEST_P(Avx512Kernel, E8m0NanReachesOnlyItsRow) {
    TestWeight weight(32, 64, TileFamily::kE3M2, {ScaleMode::kMx, 32}, 8);
    weight.e8m0(5, 1) = 255;
    TestTokens x(20, 64, DataType::kF32, false);
    x.randomize(9);
    for_each_kernel([&](const CpuGemmKernel& kernel) {
        const std::vector<float> sums = run_kernel(kernel, weight, x);
        for (size_t i = 0; i < sums.size(); ++i)
            ASSERT_EQ(std::isnan(sums[i]), i % 32 == 5);
    });
}

TEST_P(Avx512Kernel, NanAndInfinityReachOnlyTheirToken) {
    TestWeight weight(32, 50, TileFamily::kE3M2, {ScaleMode::kRow, 0}, 10);
    for (int64_t r = 0; r < 32; ++r)
        weight.code(r, 49) = 1;
    weight.pack();
    for (int64_t tokens : {2, 5, 16, 20}) {
        TestTokens x(tokens, 50, DataType::kF32, false);
        x.randomize(11);
        x.set(0, 3, std::nanf(""));
        x.set(1, 49, HUGE_VALF);
        for_each_kernel([&](const CpuGemmKernel& kernel) {
            const std::vector<float> sums = run_kernel(kernel, weight, x);
            for (size_t i = 0; i < sums.size(); ++i) {
                const size_t token = i / 32;
                ASSERT_EQ(std::isnan(sums[i]), token == 0);
                ASSERT_EQ(std::isinf(sums[i]), token == 1);
            }
        });
    }
}

TEST_P(Avx512Kernel, DecodePanelIsExact) {
    for (const Scaling& scaling : kScalings) {
        SCOPED_TRACE(scaling.name());
        TestWeight weight(48, 150, TileFamily::kE3M2, scaling, 12);
        constexpr int64_t kFirst = 32, kCount = 128;  // to the end of the padding
        for (int64_t panel = 0; panel < 3; ++panel) {
            std::vector<float> out(kCount * kTileRows + 1, kPoison);
            GetParam()->decode_panel(weight.view(), panel, kFirst, kCount, out.data());
            EXPECT_EQ(out.back(), kPoison);
            for (int64_t k = kFirst; k < kFirst + kCount; ++k) {
                for (int64_t r = 0; r < kTileRows; ++r) {
                    const int64_t row = panel * kTileRows + r;
                    const float exact = k >= 150 ? 0.0f
                                                 : static_cast<float>(weight.value(row, k)) *
                                                       static_cast<float>(weight.scale(row, k));
                    ASSERT_EQ(out[static_cast<size_t>((k - kFirst) * kTileRows + r)], exact)
                        << "row " << row << " column " << k;
                }
            }
        }
    }
}

TEST_P(Avx512Kernel, PacksTilesApart) {
    TestTokens x(40, 70, DataType::kF16, false);
    x.randomize(13);
    for_each_kernel([&](const CpuGemmKernel& kernel) {
        if (kernel.token_tile == 0) return;
        const size_t bytes = kernel.packed_bytes(70, 40);
        std::vector<uint8_t> whole(bytes), parts(bytes);
        std::vector<float> factor(40);
        kernel.pack_tokens(x.source(), 0, 40, whole.data(), factor.data());
        for (int64_t t = 0; t < 40; t += kernel.token_tile) {
            kernel.pack_tokens(x.source(), t, std::min<int64_t>(kernel.token_tile, 40 - t),
                               parts.data() + kernel.packed_bytes(70, t), factor.data() + t);
        }
        EXPECT_EQ(whole, parts);
    });
}

#ifdef FP6LLM_HAVE_SIMDE
INSTANTIATE_TEST_SUITE_P(Simde, Avx512Kernel, testing::Values(avx512_simde::kernels()));
#endif

std::vector<const CpuKernelSet*> native_sets() {
    const CpuKernelSet* set = avx512_kernels();
    if (set == nullptr || active_isa() < set->isa) return {};
    return {set};
}
INSTANTIATE_TEST_SUITE_P(Native, Avx512Kernel, testing::ValuesIn(native_sets()));
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Avx512Kernel);

}  // namespace
}  // namespace fp6llm
