// The AVX2 kernels by themselves, against sums in fp64 over the same codes: every code, scale mode,
// token count and K tail, and the ends of fp32's range, where their power-of-two scaling must not
// show.
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "core/common/aligned_buffer.hpp"
#include "core/common/cpu.hpp"
#include "core/common/float16.hpp"
#include "core/common/fp_env.hpp"
#include "core/gemm/cpu/avx2.hpp"
#include "core/gemm/cpu/kernel.hpp"

namespace fp6llm {
namespace {

using avx2::Weights;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

int64_t round_up_16(int64_t n) {
    return (n + 15) / 16 * 16;
}

/// Panels of random codes with scales, packed for the AVX2 kernels.
class TestWeight {
  public:
    TestWeight(TileFamily family, ScaleMode mode, int64_t group_size, int64_t panels, int64_t cols,
               uint32_t seed, CpuSwizzle swizzle = CpuSwizzle::kS16)
        : padded_(round_up_16(cols)), codes_(static_cast<size_t>(panels * 16 * padded_)) {
        std::mt19937 random(seed);
        view_.rows = panels * 16;
        view_.cols = cols;
        view_.panels = panels;
        view_.k_tiles = view_.tile_stride = padded_ / 16;
        view_.format = find_format(family == TileFamily::kE3M2 ? DataType::kE3M2 : DataType::kE2M3);
        view_.family = family;
        view_.swizzle = swizzle;
        view_.scale_mode = mode;
        view_.group_size = mode == ScaleMode::kRow ? 0 : group_size;
        view_.groups = mode == ScaleMode::kRow ? 1 : (cols + group_size - 1) / group_size;
        view_.group_stride = view_.groups;
        for (int64_t r = 0; r < view_.rows; ++r) {
            for (int64_t k = 0; k < cols; ++k)
                codes_[static_cast<size_t>(r * padded_ + k)] = random() & 63;
        }
        const size_t scales = static_cast<size_t>(panels * view_.groups * 16);
        std::uniform_real_distribution<float> uniform(0.5f, 2.0f);
        for (size_t i = 0; i < scales; ++i) {
            scales_.push_back(uniform(random));
            e8m0_.push_back(static_cast<uint8_t>(120 + random() % 8));
        }
        pack();
    }

    void set_code(int64_t row, int64_t k, uint8_t code) {
        codes_[static_cast<size_t>(row * padded_ + k)] = code;
        pack();
    }

    float& scale(int64_t row, int64_t group) { return scales_[scale_index(row, group)]; }
    uint8_t& e8m0(int64_t row, int64_t group) { return e8m0_[scale_index(row, group)]; }

    const CpuWeightView& view() {
        scale_blob_ = AlignedBuffer(scales_.size() * sizeof(float));
        std::memcpy(scale_blob_.data(), scales_.data(), scales_.size() * sizeof(float));
        e8m0_blob_ = AlignedBuffer(e8m0_.size());
        std::memcpy(e8m0_blob_.data(), e8m0_.data(), e8m0_.size());
        const bool mx = view_.scale_mode == ScaleMode::kMx;
        view_.tiles = tiles_.data() + 64;
        view_.scales = mx ? nullptr : reinterpret_cast<const float*>(scale_blob_.data());
        view_.e8m0 = mx ? e8m0_blob_.data() : nullptr;
        return view_;
    }

    double scale_at(int64_t row, int64_t k) const {
        const int64_t group = view_.scale_mode == ScaleMode::kRow ? 0 : k / view_.group_size;
        const size_t at = scale_index(row, group);
        if (view_.scale_mode != ScaleMode::kMx) return scales_[at];
        return e8m0_[at] == 255 ? kNan : std::ldexp(1.0, e8m0_[at] - 127);
    }

    double value(int64_t row, int64_t k) const {
        return tile_values(view_.family)[codes_[static_cast<size_t>(row * padded_ + k)]];
    }

  private:
    size_t scale_index(int64_t row, int64_t group) const {
        return static_cast<size_t>((row / 16 * view_.groups + group) * 16 + row % 16);
    }

    void pack() {
        const size_t panel_bytes = static_cast<size_t>(view_.k_tiles * kTileBytes);
        tiles_ = AlignedBuffer(64 + static_cast<size_t>(view_.panels) * panel_bytes + 64);
        for (int64_t p = 0; p < view_.panels; ++p) {
            pack_panel(view_.swizzle, view_.family, codes_.data() + p * 16 * padded_, padded_,
                       view_.cols, tiles_.data() + 64 + static_cast<size_t>(p) * panel_bytes);
        }
    }

    int64_t padded_;
    std::vector<uint8_t> codes_;
    std::vector<float> scales_;
    std::vector<uint8_t> e8m0_;
    AlignedBuffer tiles_, scale_blob_, e8m0_blob_;
    CpuWeightView view_{};
};

/// Row-major fp32 tokens.
struct Tokens {
    Tokens(int64_t count, int64_t columns, uint32_t seed)
        : k(columns), values(static_cast<size_t>(count * columns)) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        for (float& value : values)
            value = normal(random);
    }
    float& at(int64_t token, int64_t i) { return values[static_cast<size_t>(token * k + i)]; }
    TokenSource source() const { return {values.data(), DataType::kF32, k, k, 1}; }

    int64_t k;
    std::vector<float> values;
};

std::vector<float> run(const CpuGemmKernel& kernel, const CpuWeightView& weight,
                       const TokenSource& x, int64_t tokens) {
    const FpEnvGuard fp_env;
    const int64_t most = std::min(tokens, kernel.max_tokens);
    AlignedBuffer packed(kernel.packed_bytes(weight.cols, most));
    AlignedBuffer scratch(kernel.scratch_bytes(weight.cols, most));
    std::vector<float> factor(static_cast<size_t>(most), kNan);
    std::vector<float> sums(static_cast<size_t>(most * 16 * kernel.panels_per_call), kNan);
    std::vector<float> y(static_cast<size_t>(tokens * weight.rows), kNan);
    std::memset(packed.data(), 0xFF, packed.size());
    std::memset(scratch.data(), 0xFF, scratch.size());
    for (int64_t first = 0; first < tokens; first += most) {
        const int64_t count = std::min(most, tokens - first);
        const PackedTokens block = {packed.data(), factor.data(), count, 0, count};
        kernel.pack_tokens(x, first, block);
        for (int64_t p = 0; p < weight.panels; p += kernel.panels_per_call) {
            const int64_t panels = std::min<int64_t>(kernel.panels_per_call, weight.panels - p);
            kernel.multiply(weight, p, static_cast<int>(panels), block, sums.data(),
                            scratch.data());
            for (int64_t t = 0; t < count; ++t) {
                for (int64_t r = 0; r < 16 * panels; ++r) {
                    y[static_cast<size_t>((first + t) * weight.rows + p * 16 + r)] =
                        sums[static_cast<size_t>(t * 16 * panels + r)];
                }
            }
        }
    }
    return y;
}

/// Errors of y relative to the sum of magnitudes, which bounds what fp32 sums can keep.
void expect_close(const std::vector<float>& y, TestWeight& weight, Tokens& x, int64_t tokens) {
    const int64_t rows = weight.view().rows;
    double worst = 0;
    for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t r = 0; r < rows; ++r) {
            double sum = 0, magnitude = DBL_MIN;
            for (int64_t k = 0; k < x.k; ++k) {
                const double product = x.at(t, k) * weight.value(r, k) * weight.scale_at(r, k);
                sum += product;
                magnitude += std::fabs(product);
            }
            const double got = y[static_cast<size_t>(t * rows + r)];
            if (std::fabs(sum) > FLT_MAX) {
                ASSERT_EQ(got, sum > 0 ? kInf : -kInf);
                continue;
            }
            const double error = std::fabs(got - sum) - 0x1p-150;  // half of fp32's finest step
            ASSERT_FALSE(std::isnan(got)) << "token " << t << " row " << r;
            worst = std::max(worst, error / magnitude);
        }
    }
    EXPECT_LE(worst, 1e-6);
}

/// With weights of either kind, whichever this processor would take.
class Avx2Kernel : public testing::TestWithParam<Weights> {
  protected:
    void SetUp() override {
        if (detected_isa() < Isa::kAvx2) GTEST_SKIP() << "this processor has no AVX2";
    }

    static const CpuKernelSet& set() { return *avx2::kernels(GetParam()); }

    template <class Body>
    void for_each_kernel(Body body) {
        for (int i = 0; i < set().count; ++i) {
            const CpuGemmKernel& kernel = set().kernels[i];
            if (kernel.arithmetic != Arithmetic::kF32) continue;  // kernel_grid.hpp's
            if (kernel.swizzle != CpuSwizzle::kS16) continue;     // likewise
            SCOPED_TRACE(kernel.name);
            body(kernel);
        }
    }
};

struct Scaling {
    ScaleMode mode;
    int64_t group_size;
};
constexpr Scaling kScalings[] = {{ScaleMode::kRow, 0},    {ScaleMode::kMx, 32},
                                 {ScaleMode::kGroup, 16}, {ScaleMode::kGroup, 128},
                                 {ScaleMode::kGroup, 24}, {ScaleMode::kGroup, 1024}};
constexpr TileFamily kFamilies[] = {TileFamily::kE3M2, TileFamily::kE2M3};

bool can_run(const CpuGemmKernel& kernel, const Scaling& scaling) {
    return scaling.group_size % kernel.group_multiple == 0;
}

TEST_P(Avx2Kernel, DecodesEveryCodeExactly) {
    struct Layout {
        CpuSwizzle swizzle;
        TileFamily family;
    };
    for (const Layout& layout :
         {Layout{CpuSwizzle::kS16, TileFamily::kE3M2}, Layout{CpuSwizzle::kS16, TileFamily::kE2M3},
          Layout{CpuSwizzle::kS8, TileFamily::kE2M3}}) {
        for (const Scaling& scaling : kScalings) {
            TestWeight weight(layout.family, scaling.mode, scaling.group_size, 2, 1064, 1,
                              layout.swizzle);
            const CpuWeightView& view = weight.view();
            const int64_t k0 = 32, count = view.k_tiles * 16 - k0;
            std::vector<float> out(static_cast<size_t>(count * 16), kNan);
            const FpEnvGuard fp_env;
            set().decode_panel(view, 1, k0, count, out.data());
            for (int64_t k = k0; k < view.cols; ++k) {
                for (int64_t r = 0; r < 16; ++r) {
                    const float want =
                        static_cast<float>(weight.value(16 + r, k) * weight.scale_at(16 + r, k));
                    const float got = out[static_cast<size_t>((k - k0) * 16 + r)];
                    ASSERT_EQ(got, want) << "row " << r << " column " << k;
                    if (want != 0 || GetParam() == Weights::kPlaced) {
                        ASSERT_EQ(std::signbit(got), std::signbit(want));
                    }
                }
            }
        }
    }
}

TEST_P(Avx2Kernel, DecodesExtremeMxScales) {
    for (int byte : {0, 1, 2, 253, 254, 255}) {
        TestWeight weight(TileFamily::kE2M3, ScaleMode::kMx, 32, 1, 32, 2);
        for (int64_t r = 0; r < 16; ++r)
            weight.e8m0(r, 0) = static_cast<uint8_t>(byte);
        std::vector<float> out(32 * 16);
        const FpEnvGuard fp_env;
        set().decode_panel(weight.view(), 0, 0, 32, out.data());
        for (int64_t k = 0; k < 32; ++k) {
            const float want = static_cast<float>(weight.value(3, k) * weight.scale_at(3, k));
            const float got = out[static_cast<size_t>(k * 16 + 3)];
            if (byte == 255) {
                EXPECT_TRUE(std::isnan(got));
            } else {
                EXPECT_EQ(got, want) << byte;
            }
        }
    }
}

TEST_P(Avx2Kernel, MultipliesEveryTokenCount) {
    for_each_kernel([](const CpuGemmKernel& kernel) {
        for (TileFamily family : kFamilies) {
            for (const Scaling& scaling : kScalings) {
                if (!can_run(kernel, scaling)) continue;
                TestWeight weight(family, scaling.mode, scaling.group_size, 2, 280, 3);
                for (int64_t tokens = 1; tokens <= 37; ++tokens) {
                    Tokens x(tokens, 280, static_cast<uint32_t>(tokens));
                    expect_close(run(kernel, weight.view(), x.source(), tokens), weight, x, tokens);
                }
            }
        }
    });
}

TEST_P(Avx2Kernel, MultipliesEveryColumnTail) {
    for_each_kernel([](const CpuGemmKernel& kernel) {
        for (const Scaling& scaling : kScalings) {
            if (!can_run(kernel, scaling)) continue;
            for (int64_t cols : {1, 2, 15, 16, 17, 31, 33, 40, 255, 256, 257, 513, 1041, 4100}) {
                for (TileFamily family : kFamilies) {
                    TestWeight weight(family, scaling.mode, scaling.group_size, 1, cols, 4);
                    Tokens x(7, cols, 5);
                    expect_close(run(kernel, weight.view(), x.source(), 7), weight, x, 7);
                }
            }
        }
    });
}

// Each token has its own power of two, and rows of one token differ by their scales only.
TEST_P(Avx2Kernel, KeepsTheWholeRangeOfTokens) {
    const float sizes[] = {FLT_MAX / 8, 1e30f, 1.0f, 1e-30f, FLT_MIN, FLT_TRUE_MIN * 8, 0.0f};
    for_each_kernel([&](const CpuGemmKernel& kernel) {
        for (float scale : {1.0f, 1e30f, FLT_MAX, 1e-30f, FLT_MIN, 1e-6f}) {
            for (TileFamily family : kFamilies) {
                TestWeight weight(family, ScaleMode::kRow, 0, 1, 100, 6);
                for (int64_t r = 0; r < 16; ++r)
                    weight.scale(r, 0) = scale;
                Tokens x(7, 100, 7);
                for (int64_t t = 0; t < 7; ++t) {
                    for (int64_t k = 0; k < 100; ++k) {
                        const float unit = std::remainder(x.at(t, k), 1.0f);
                        x.at(t, k) = unit * sizes[t];
                    }
                }
                expect_close(run(kernel, weight.view(), x.source(), 7), weight, x, 7);
            }
        }
    });
}

TEST_P(Avx2Kernel, KeepsTheWholeRangeOfScales) {
    for_each_kernel([](const CpuGemmKernel& kernel) {
        for (int byte : {0, 1, 100, 200, 254}) {
            TestWeight weight(TileFamily::kE3M2, ScaleMode::kMx, 32, 1, 96, 8);
            for (int64_t r = 0; r < 16; ++r) {
                for (int64_t g = 0; g < 3; ++g)
                    weight.e8m0(r, g) = static_cast<uint8_t>(g == 1 ? byte : r < 8 ? byte : 127);
            }
            Tokens x(5, 96, 9);
            expect_close(run(kernel, weight.view(), x.source(), 5), weight, x, 5);
        }
        for (float scale : {FLT_MAX, 1e30f, 1e-30f, FLT_MIN, FLT_TRUE_MIN * 3, 0.0f}) {
            TestWeight weight(TileFamily::kE2M3, ScaleMode::kGroup, 32, 1, 96, 10);
            for (int64_t r = 0; r < 16; ++r) {
                for (int64_t g = 0; g < 3; ++g)
                    weight.scale(r, g) = g == 1 || r < 8 ? scale : 1.0f;
            }
            Tokens x(5, 96, 11);
            expect_close(run(kernel, weight.view(), x.source(), 5), weight, x, 5);
        }
    });
}

// A large scale over zeros must not push the rest of its row out of range.
TEST_P(Avx2Kernel, SmallScalesBesideLargeOnesOfZeros) {
    for_each_kernel([](const CpuGemmKernel& kernel) {
        TestWeight mx(TileFamily::kE2M3, ScaleMode::kMx, 32, 1, 64, 12);
        TestWeight group(TileFamily::kE2M3, ScaleMode::kGroup, 32, 1, 64, 12);
        for (TestWeight* weight : {&mx, &group}) {
            for (int64_t r = 0; r < 16; ++r) {
                for (int64_t k = 0; k < 32; ++k)
                    weight->set_code(r, k, 0);
                weight->e8m0(r, 0) = 127, weight->scale(r, 0) = 1.0f;
                weight->e8m0(r, 1) = 10, weight->scale(r, 1) = 0x1.8p-117f;
            }
            Tokens x(2, 64, 13);
            expect_close(run(kernel, weight->view(), x.source(), 2), *weight, x, 2);
        }
    });
}

// The same for activations: the token's power of two follows the largest, which meets zeros only.
TEST_P(Avx2Kernel, SmallActivationsBesideLargeOnesOverZeros) {
    for_each_kernel([](const CpuGemmKernel& kernel) {
        for (TileFamily family : kFamilies) {
            TestWeight weight(family, ScaleMode::kRow, 0, 1, 64, 22);
            Tokens x(3, 64, 23);
            for (int64_t r = 0; r < 16; ++r)
                weight.set_code(r, 5, 0);
            for (int64_t t = 0; t < 3; ++t)
                x.at(t, 5) = 0x1p80f;
            expect_close(run(kernel, weight.view(), x.source(), 3), weight, x, 3);
        }
    });
}

TEST_P(Avx2Kernel, PropagatesInfinityAndNan) {
    for_each_kernel([](const CpuGemmKernel& kernel) {
        TestWeight weight(TileFamily::kE3M2, ScaleMode::kRow, 0, 1, 48, 14);
        const uint8_t codes[] = {0x00, 0x01, 0x1F, 0x20, 0x21, 0x3F};  // zeros, smallest, largest
        for (int64_t r = 0; r < 16; ++r)
            weight.set_code(r, 20, codes[r % 6]);
        Tokens x(8, 48, 15);
        x.at(1, 20) = kInf;
        x.at(2, 20) = -kInf;
        x.at(5, 20) = kNan;
        const std::vector<float> y = run(kernel, weight.view(), x.source(), 8);
        for (int64_t t = 0; t < 8; ++t) {
            for (int64_t r = 0; r < 16; ++r) {
                const float got = y[static_cast<size_t>(t * 16 + r)];
                const double want = x.at(t, 20) * weight.value(r, 20);
                if (std::isfinite(x.at(t, 20))) {
                    EXPECT_TRUE(std::isfinite(got)) << t;
                } else if (std::isnan(want)) {
                    EXPECT_TRUE(std::isnan(got)) << t << " " << r;
                } else {
                    EXPECT_EQ(got, want) << t << " " << r;
                }
            }
        }
    });
}

TEST_P(Avx2Kernel, InfiniteAndNanScalesReachTheirRowOnly) {
    for_each_kernel([](const CpuGemmKernel& kernel) {
        TestWeight mx(TileFamily::kE3M2, ScaleMode::kMx, 32, 1, 64, 16);
        TestWeight group(TileFamily::kE3M2, ScaleMode::kGroup, 32, 1, 64, 16);
        TestWeight row(TileFamily::kE3M2, ScaleMode::kRow, 0, 1, 64, 16);
        for (TestWeight* weight : {&mx, &group, &row}) {
            weight->e8m0(2, 0) = 255;
            weight->scale(2, 0) = kNan;
            Tokens x(3, 64, 17);
            const std::vector<float> y = run(kernel, weight->view(), x.source(), 3);
            for (size_t i = 0; i < y.size(); ++i)
                EXPECT_EQ(std::isnan(y[i]), i % 16 == 2) << i;
        }
        group.scale(2, 0) = kInf;
        Tokens x(1, 64, 18);
        EXPECT_FALSE(std::isfinite(run(kernel, group.view(), x.source(), 1)[2]));
    });
}

// Tokens do not influence each other, and parts of a block packed apart are the block.
TEST_P(Avx2Kernel, PacksTilesIndependently) {
    for_each_kernel([](const CpuGemmKernel& kernel) {
        const int64_t tokens = 2 * kernel.token_tile + 1, split = kernel.token_tile, k = 300;
        Tokens x(tokens, k, 19);
        const size_t bytes = kernel.packed_bytes(k, tokens);
        std::vector<uint8_t> whole(bytes), parts(bytes);
        std::vector<float> whole_factor(static_cast<size_t>(tokens)), parts_factor(whole_factor);
        PackedTokens part = {parts.data(), parts_factor.data(), tokens, split, tokens - split};
        kernel.pack_tokens(x.source(), 0, {whole.data(), whole_factor.data(), tokens, 0, tokens});
        kernel.pack_tokens(x.source(), split, part);
        part.first = 0, part.count = split;
        kernel.pack_tokens(x.source(), 0, part);
        EXPECT_EQ(whole, parts);
        EXPECT_EQ(whole_factor, parts_factor);
    });
}

TEST_P(Avx2Kernel, ReadsEveryActivationType) {
    const int64_t k = 77;
    std::vector<uint16_t> half(static_cast<size_t>(2 * k)), bf16(half);
    Tokens x(2, k, 20);
    for (int64_t t = 0; t < 2; ++t) {
        for (int64_t i = 0; i < k; ++i) {
            const int step = static_cast<int>(i * 37 + t) % 255;
            x.at(t, i) = static_cast<float>(step - 127);       // exact in all three
            const size_t at = static_cast<size_t>(i * 2 + t);  // transposed
            half[at] = float_to_half(x.at(t, i));
            bf16[at] = float_to_bf16(x.at(t, i));
        }
    }
    for_each_kernel([&](const CpuGemmKernel& kernel) {
        TestWeight weight(TileFamily::kE2M3, ScaleMode::kRow, 0, 1, k, 21);
        const std::vector<float> want = run(kernel, weight.view(), x.source(), 2);
        expect_close(want, weight, x, 2);
        EXPECT_EQ(run(kernel, weight.view(), {half.data(), DataType::kF16, k, 1, 2}, 2), want);
        EXPECT_EQ(run(kernel, weight.view(), {bf16.data(), DataType::kBF16, k, 1, 2}, 2), want);
    });
}

INSTANTIATE_TEST_SUITE_P(Of, Avx2Kernel, testing::Values(Weights::kPlaced, Weights::kNormal),
                         [](const auto& weights) {
                             return weights.param == Weights::kPlaced ? "PlacedWeights"
                                                                      : "NormalWeights";
                         });

// Everything is 8 times as large with the one as with the other, so all is rounded alike.
TEST(Avx2Kernels, GiveTheSameBitsWithWeightsOfEitherKind) {
    if (detected_isa() < Isa::kAvx2) GTEST_SKIP() << "this processor has no AVX2";
    const CpuKernelSet& placed = *avx2::kernels(Weights::kPlaced);
    const CpuKernelSet& normal = *avx2::kernels(Weights::kNormal);
    ASSERT_EQ(placed.count, normal.count);
    for (int i = 0; i < placed.count; ++i) {
        SCOPED_TRACE(placed.kernels[i].name);
        EXPECT_EQ(placed.kernels[i].algo, normal.kernels[i].algo);
        if (placed.kernels[i].swizzle != CpuSwizzle::kS16) continue;  // by way of these
        for (TileFamily family : kFamilies) {
            if (placed.kernels[i].arithmetic == Arithmetic::kI8 && family == TileFamily::kE3M2)
                continue;
            for (const Scaling& scaling : kScalings) {
                if (!can_run(placed.kernels[i], scaling)) continue;
                TestWeight weight(family, scaling.mode, scaling.group_size, 3, 1064, 24);
                for (int64_t tokens : {1, 4, 5, 15}) {
                    Tokens x(tokens, 1064, 25);
                    EXPECT_EQ(run(placed.kernels[i], weight.view(), x.source(), tokens),
                              run(normal.kernels[i], weight.view(), x.source(), tokens));
                }
            }
        }
    }
}

TEST(Avx2Kernels, AreChosenByHowFastSubnormalsAre) {
    if (detected_isa() < Isa::kAvx2) GTEST_SKIP() << "this processor has no AVX2";
    const bool slow = has_slow_subnormals();
    EXPECT_EQ(avx2_kernels(), avx2::kernels(slow ? Weights::kNormal : Weights::kPlaced));
}

}  // namespace
}  // namespace fp6llm
