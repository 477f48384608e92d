// The AVX-512 kernels against sums in double, one row of the registry at a time, on weights built
// by hand. "Simde" tests run their emulation on any processor, "Native" tests the real instructions
// where the processor has them.
#include <map>

#include "core/common/math.hpp"
#include "tests/unit/gemm/gemm_testing.hpp"
#include "tests/unit/gemm/integer_reference.hpp"
#ifdef FP6LLM_HAVE_SIMDE
#include "tests/simde/avx512_kernels.hpp"
#endif

namespace fp6llm::gemm_testing {
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
class PanelWeight {
  public:
    PanelWeight(int64_t rows, int64_t cols, TileFamily family, Scaling scaling, Random& random)
        : codes_(static_cast<size_t>(round_up(rows, kTileRows) * round_up(cols, kTileCols))) {
        CpuWeightView& v = view_;
        v = {};
        v.rows = rows;
        v.cols = cols;
        v.panels = ceil_div(rows, kTileRows);
        v.k_tiles = v.tile_stride = ceil_div(cols, kTileCols);
        v.family = family;
        v.swizzle = CpuSwizzle::kP16;
        v.scale_mode = scaling.mode;
        v.group_size = scaling.group_size;
        v.groups = v.group_stride =
            scaling.mode == ScaleMode::kRow ? 1 : ceil_div(cols, scaling.group_size);
        v.format = find_format(family == TileFamily::kE3M2 ? DataType::kE3M2 : DataType::kE2M3);
        stride_ = v.k_tiles * kTileCols;

        for (int64_t r = 0; r < rows; ++r) {
            for (int64_t k = 0; k < cols; ++k)
                code(r, k) = static_cast<uint8_t>(random.below(64));
        }
        const size_t scales = static_cast<size_t>(v.panels * v.groups * kTileRows);
        scales_ = std::make_unique<GuardedBuffer>(
            scales * (scaling.mode == ScaleMode::kMx ? 1 : sizeof(float)));
        for (size_t i = 0; i < scales; ++i) {
            if (scaling.mode == ScaleMode::kMx) {
                scales_->data()[i] = static_cast<uint8_t>(120 + random.below(14));
            } else {
                reinterpret_cast<float*>(scales_->data())[i] =
                    static_cast<float>(random.uniform(0.25, 2));
            }
        }
        if (scaling.mode == ScaleMode::kMx) {
            v.e8m0 = scales_->data();
        } else {
            v.scales = reinterpret_cast<float*>(scales_->data());
        }
        pack();
    }

    uint8_t& code(int64_t r, int64_t k) { return codes_[static_cast<size_t>(r * stride_ + k)]; }
    uint8_t& e8m0(int64_t r, int64_t group) { return scales_->data()[scale_index(r, group)]; }

    /// To be called after codes were changed.
    void pack() {
        tiles_ = std::make_unique<GuardedBuffer>(
            static_cast<size_t>(view_.panels * view_.k_tiles * kTileBytes));
        for (int64_t p = 0; p < view_.panels; ++p) {
            pack_panel(view_.swizzle, view_.family, &code(p * kTileRows, 0), stride_, view_.cols,
                       tiles_->data() + p * view_.k_tiles * kTileBytes);
        }
        view_.tiles = tiles_->data();
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
    std::unique_ptr<GuardedBuffer> tiles_, scales_;
};

/// sums[t * rows + r] by one kernel, in blocks of max_tokens, from poisoned and guarded memory.
std::vector<float> run_kernel(const CpuGemmKernel& kernel, const PanelWeight& weight,
                              TestTokens& x) {
    const CpuWeightView& w = weight.view();
    const int64_t rows = w.panels * kTileRows;
    std::vector<float> result(static_cast<size_t>(x.tokens() * rows));
    const int64_t block = std::min(kernel.max_tokens, x.tokens());
    GuardedBuffer packed(kernel.packed_bytes(w.cols, block));
    GuardedBuffer factors(static_cast<size_t>(block) * sizeof(float));
    GuardedBuffer scratch(kernel.scratch_bytes(w.cols, block));
    for (int64_t first = 0; first < x.tokens(); first += block) {
        const int64_t count = std::min(block, x.tokens() - first);
        const PackedTokens tokens = {packed.data(), reinterpret_cast<float*>(factors.data()), count,
                                     0, count};
        kernel.pack_tokens(x.source(), first, tokens);
        for (int64_t panel = 0; panel < w.panels; panel += kernel.panels_per_call) {
            const int panels =
                static_cast<int>(std::min<int64_t>(kernel.panels_per_call, w.panels - panel));
            const int64_t ld = panels * kTileRows;
            GuardedBuffer sums(static_cast<size_t>(count * ld) * sizeof(float));
            kernel.multiply(w, panel, panels, tokens, reinterpret_cast<float*>(sums.data()),
                            scratch.data());
            EXPECT_TRUE(sums.edges_intact());
            for (int64_t t = 0; t < count; ++t) {
                std::memcpy(&result[static_cast<size_t>((first + t) * rows + panel * kTileRows)],
                            sums.data() + static_cast<size_t>(t * ld) * sizeof(float),
                            static_cast<size_t>(ld) * sizeof(float));
            }
        }
    }
    EXPECT_TRUE(packed.edges_intact());
    EXPECT_TRUE(factors.edges_intact());
    EXPECT_TRUE(scratch.edges_intact());
    EXPECT_TRUE(x.buffer().edges_intact());
    return result;
}

/// Sums in double, and those of the products' magnitudes, [token][row].
struct ExactSums {
    std::vector<double> sum, magnitude;
};

/// What a kernel makes of a token's activations.
std::vector<double> kept_activations(const TestTokens& x, int64_t token, int64_t cols,
                                     Arithmetic arithmetic) {
    std::vector<double> kept;
    for (int64_t k = 0; k < cols && !is_integer(arithmetic); ++k) {
        const auto value = static_cast<float>(x.at(token, k));
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        bits &= 0xFFFF0000u;
        float upper;
        std::memcpy(&upper, &bits, sizeof bits);
        const double exact = static_cast<double>(value), rest = exact - static_cast<double>(upper);
        kept.push_back(arithmetic == Arithmetic::kF32 ? exact
                       : arithmetic == Arithmetic::kBf16
                           ? round_to(DataType::kBF16, exact)
                           : exact - rest + round_to(DataType::kBF16, rest));
    }
    if (is_integer(arithmetic)) {
        const IntegerToken integers = integer_token(x, token, cols, arithmetic);
        for (int64_t k = 0; k < cols; ++k) {
            const auto block = static_cast<size_t>(k / kActivationBlock);
            kept.push_back(static_cast<double>(integers.scale[block]) *
                           integers.q[static_cast<size_t>(k)]);
        }
    }
    return kept;
}

/// An activation near 1 that every arithmetic keeps exactly where it is a block's largest.
float exact_one(Arithmetic arithmetic) {
    const float most = largest_integer(arithmetic);
    return is_integer(arithmetic) ? most / (most + 1) : 1.0f;
}

ExactSums exact_sums(PanelWeight& weight, const TestTokens& x, Arithmetic arithmetic) {
    const int64_t rows = weight.view().rows, cols = weight.view().cols;
    std::vector<double> w, activations;
    for (int64_t r = 0; r < rows; ++r) {
        for (int64_t k = 0; k < cols; ++k)
            w.push_back(weight.value(r, k) * weight.scale(r, k));
    }
    for (int64_t t = 0; t < x.tokens(); ++t) {
        const std::vector<double> kept = kept_activations(x, t, cols, arithmetic);
        activations.insert(activations.end(), kept.begin(), kept.end());
    }
    ExactSums exact;
    for (int64_t t = 0; t < x.tokens(); ++t) {
        for (int64_t r = 0; r < rows; ++r) {
            const double *row = w.data() + r * cols, *token = activations.data() + t * cols;
            double sum = 0, magnitude = 0;
            for (int64_t k = 0; k < cols; ++k) {
                sum += row[k] * token[k];
                magnitude += std::fabs(row[k] * token[k]);
            }
            exact.sum.push_back(sum);
            exact.magnitude.push_back(magnitude);
        }
    }
    return exact;
}

const Scaling kScalings[] = {{ScaleMode::kRow, 0},    {ScaleMode::kMx, 32},
                             {ScaleMode::kGroup, 16}, {ScaleMode::kGroup, 24},
                             {ScaleMode::kGroup, 48}, {ScaleMode::kGroup, 256}};

class Avx512Kernel : public testing::TestWithParam<const CpuKernelSet*> {
  protected:
    Random random{512};

    /// Calls test(kernel) for each kernel that this processor runs and that takes the weight.
    template <class Test>
    void for_each_kernel(const PanelWeight& weight, Test test) {
        for (int i = 0; i < GetParam()->count; ++i) {
            const CpuGemmKernel& kernel = GetParam()->kernels[i];
            if (GetParam() == avx512_kernels() && kernel.isa > active_isa()) continue;
            if (weight.view().group_size % kernel.group_multiple != 0) continue;
            if (kernel.arithmetic == Arithmetic::kI8 && weight.view().family != TileFamily::kE2M3) {
                continue;
            }
            SCOPED_TRACE(kernel.name);
            test(kernel);
        }
    }

    void expect_sums(PanelWeight& weight, TestTokens& x) {
        std::map<Arithmetic, ExactSums> made;
        const int64_t rows = weight.view().rows, ld = weight.view().panels * kTileRows;
        for_each_kernel(weight, [&](const CpuGemmKernel& kernel) {
            if (made.count(kernel.arithmetic) == 0) {
                made[kernel.arithmetic] = exact_sums(weight, x, kernel.arithmetic);
            }
            const ExactSums& exact = made[kernel.arithmetic];
            const std::vector<float> sums = run_kernel(kernel, weight, x);
            for (int64_t i = 0; i < x.tokens() * rows; ++i) {
                const int64_t token = i / rows, row = i % rows;
                const auto at = static_cast<size_t>(i);
                ASSERT_NEAR(sums[static_cast<size_t>(token * ld + row)], exact.sum[at],
                            exact.magnitude[at] * kBound)
                    << "token " << token << " row " << row;
            }
        });
    }
};

// Row r of the weight holds code (r + k) % 64 in column k; token t picks column t. So every code
// goes through every row and column position, and each sum is one product: exact.
TEST_P(Avx512Kernel, DecodesEveryCodeExactly) {
    for (TileFamily family : {TileFamily::kE3M2, TileFamily::kE2M3}) {
        for (const Scaling& scaling : kScalings) {
            SCOPED_TRACE(scaling.name());
            constexpr int64_t kCols = 80;
            PanelWeight weight(48, kCols, family, scaling, random);
            for (int64_t r = 0; r < 48; ++r) {
                for (int64_t k = 0; k < kCols; ++k)
                    weight.code(r, k) = static_cast<uint8_t>((r + k) % 64);
            }
            weight.pack();
            for_each_kernel(weight, [&](const CpuGemmKernel& kernel) {
                const float one = exact_one(kernel.arithmetic);
                TestTokens x(DataType::kF32, kCols, kCols, false, 3);
                for (int64_t t = 0; t < kCols; ++t) {
                    for (int64_t k = 0; k < kCols; ++k)
                        x.set(t, k, t == k ? one : 0.0f);
                }
                const std::vector<float> sums = run_kernel(kernel, weight, x);
                for (int64_t t = 0; t < kCols; ++t) {
                    for (int64_t r = 0; r < 48; ++r) {
                        const float exact = static_cast<float>(weight.value(r, t)) * one *
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
        for (int64_t tokens = 1; tokens <= 37; ++tokens) {
            const TileFamily family = tokens % 2 ? TileFamily::kE3M2 : TileFamily::kE2M3;
            PanelWeight weight(48, 90, family, scaling, random);
            SCOPED_TRACE(scaling.name() + ", tokens " + std::to_string(tokens));
            TestTokens x(DataType::kF32, tokens, 90, false, 3);
            x.fill(random);
            expect_sums(weight, x);
        }
    }
}

TEST_P(Avx512Kernel, EveryColumnTailAgreesWithDouble) {
    for (int64_t cols : {1, 2, 15, 16, 17, 31, 33, 47, 192, 200, 384, 391, 777}) {
        for (const Scaling& scaling : kScalings) {
            SCOPED_TRACE(scaling.name() + ", columns " + std::to_string(cols));
            PanelWeight weight(17, cols, TileFamily::kE2M3, scaling, random);
            for (int64_t tokens : {1, 3, 5, 13}) {
                TestTokens x(DataType::kF32, tokens, cols, false, 0);
                x.fill(random);
                expect_sums(weight, x);
            }
        }
    }
}

TEST_P(Avx512Kernel, EveryActivationTypeAndOrderAgreesWithDouble) {
    PanelWeight weight(32, 300, TileFamily::kE3M2, {ScaleMode::kRow, 0}, random);
    for (DataType type : {DataType::kF32, DataType::kF16, DataType::kBF16}) {
        for (bool transposed : {false, true}) {
            for (int64_t tokens : {1, 2, 16, 19}) {
                SCOPED_TRACE("type " + std::to_string(static_cast<int>(type)) +
                             (transposed ? ", transposed" : "") + ", tokens " +
                             std::to_string(tokens));
                TestTokens x(type, tokens, 300, transposed, 5);
                x.fill(random);
                expect_sums(weight, x);
            }
        }
    }
}

TEST_P(Avx512Kernel, AppliesE8m0FromEndToEnd) {
    for (int exponent : {0, 1, 2, 5, 66, 67, 126, 187, 188, 200, 250, 251, 253, 254}) {
        SCOPED_TRACE("E8M0 " + std::to_string(exponent));
        PanelWeight weight(32, 64, TileFamily::kE2M3, {ScaleMode::kMx, 32}, random);
        for (int64_t r = 0; r < 32; ++r) {
            weight.e8m0(r, 0) = weight.e8m0(r, 1) = static_cast<uint8_t>(exponent);
        }
        for_each_kernel(weight, [&](const CpuGemmKernel& kernel) {
            // One product per sum, and large scales meet small activations.
            const float large = exact_one(kernel.arithmetic) * (exponent > 127 ? 0x1p-8f : 32.0f);
            TestTokens x(DataType::kF32, 14, 64, false, 0);
            for (int64_t t = 0; t < 14; ++t) {
                for (int64_t k = 0; k < 64; ++k)
                    x.set(t, k, k == t * 4 ? large : 0.0f);
            }
            const std::vector<float> sums = run_kernel(kernel, weight, x);
            for (int64_t t = 0; t < 14; ++t) {
                for (int64_t r = 0; r < 32; ++r) {
                    const double exact =
                        weight.value(r, t * 4) * weight.scale(r, t * 4) * x.at(t, t * 4);
                    ASSERT_EQ(sums[static_cast<size_t>(t * 32 + r)], static_cast<float>(exact));
                }
            }
        });
    }
}

// Kernels bring groups of a row to one scale where its exponents are near: by 1, 3 and 11 (integers) and
// 30 (floats). Each sum is one product, so that it is exact on either side of those.
TEST_P(Avx512Kernel, AppliesE8m0HoweverFarApart) {
    for (int apart : {1, 2, 3, 4, 10, 11, 12, 13, 29, 30, 31, 60, 61, 100, 126}) {
        SCOPED_TRACE("apart " + std::to_string(apart));
        for (TileFamily family : {TileFamily::kE3M2, TileFamily::kE2M3}) {
            PanelWeight weight(48, 128, family, {ScaleMode::kMx, 32}, random);
            for (int64_t r = 0; r < 48; ++r) {
                for (int64_t group = 0; group < 4; ++group) {
                    const bool small = (r + group) % 3 == 0;
                    weight.e8m0(r, group) = static_cast<uint8_t>(small ? 127 - apart : 127);
                }
            }
            for_each_kernel(weight, [&](const CpuGemmKernel& kernel) {
                TestTokens x(DataType::kF32, 29, 128, false, 0);
                const auto column = [](int64_t token) { return token * 37 % 128; };
                for (int64_t t = 0; t < 29; ++t) {
                    for (int64_t k = 0; k < 128; ++k)
                        x.set(t, k, k == column(t) ? exact_one(kernel.arithmetic) : 0.0f);
                }
                const std::vector<float> sums = run_kernel(kernel, weight, x);
                for (int64_t t = 0; t < 29; ++t) {
                    for (int64_t r = 0; r < 48; ++r) {
                        const double exact = weight.value(r, column(t)) *
                                             weight.scale(r, column(t)) * x.at(t, column(t));
                        ASSERT_EQ(sums[static_cast<size_t>(t * 48 + r)], static_cast<float>(exact))
                            << "token " << t << " row " << r;
                    }
                }
            });
        }
    }
}

TEST_P(Avx512Kernel, E8m0NanReachesOnlyItsRow) {
    PanelWeight weight(32, 64, TileFamily::kE2M3, {ScaleMode::kMx, 32}, random);
    weight.e8m0(5, 0) = 254;  // near enough to be folded
    weight.e8m0(5, 1) = 255;
    TestTokens x(DataType::kF32, 20, 64, false, 0);
    x.fill(random);
    for_each_kernel(weight, [&](const CpuGemmKernel& kernel) {
        const std::vector<float> sums = run_kernel(kernel, weight, x);
        for (size_t i = 0; i < sums.size(); ++i)
            ASSERT_EQ(std::isnan(sums[i]), i % 32 == 5);
    });
}

TEST_P(Avx512Kernel, NanAndInfinityReachOnlyTheirToken) {
    PanelWeight weight(32, 50, TileFamily::kE2M3, {ScaleMode::kRow, 0}, random);
    for (int64_t r = 0; r < 32; ++r)
        weight.code(r, 49) = 1;
    weight.pack();
    for (int64_t tokens : {2, 5, 16, 20}) {
        TestTokens x(DataType::kF32, tokens, 50, false, 0);
        x.fill(random);
        x.set(0, 3, std::nanf(""));
        x.set(1, 49, HUGE_VALF);
        for_each_kernel(weight, [&](const CpuGemmKernel& kernel) {
            const std::vector<float> sums = run_kernel(kernel, weight, x);
            for (size_t i = 0; i < sums.size(); ++i) {
                const size_t token = i / 32;
                const bool integer = is_integer(kernel.arithmetic);  // makes NaN of both
                ASSERT_EQ(std::isnan(sums[i]), token == 0 || (integer && token == 1));
                ASSERT_EQ(std::isinf(sums[i]), !integer && token == 1);
            }
        });
    }
}

TEST_P(Avx512Kernel, DecodePanelIsExact) {
    for (const Scaling& scaling : kScalings) {
        SCOPED_TRACE(scaling.name());
        PanelWeight weight(48, 150, TileFamily::kE3M2, scaling, random);
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
    PanelWeight weight(16, 70, TileFamily::kE2M3, {ScaleMode::kRow, 0}, random);
    TestTokens x(DataType::kF16, 40, 70, false, 0);
    x.fill(random);
    for_each_kernel(weight, [&](const CpuGemmKernel& kernel) {
        if (kernel.token_tile == 0) return;
        const size_t bytes = kernel.packed_bytes(70, 40);
        std::vector<uint8_t> whole(bytes), parts(bytes);
        std::vector<float> factor(40);
        kernel.pack_tokens(x.source(), 0, {whole.data(), factor.data(), 40, 0, 40});
        for (int64_t t = 0; t < 40; t += kernel.token_tile) {
            const int64_t count = std::min<int64_t>(kernel.token_tile, 40 - t);
            kernel.pack_tokens(x.source(), t, {parts.data(), factor.data(), 40, t, count});
        }
        EXPECT_EQ(whole, parts);
    });
}

// One product per sum with a weight of 1: what comes out is what was kept of the activation.
TEST_P(Avx512Kernel, TwoBf16PartsKeepEveryFiniteFp16) {
    constexpr int64_t kCols = 64, kTokens = 65536 / kCols;
    PanelWeight weight(kCols, kCols, TileFamily::kE3M2, {ScaleMode::kMx, 32}, random);
    for (int64_t r = 0; r < kCols; ++r) {
        for (int64_t k = 0; k < kCols; ++k)
            weight.code(r, k) = r == k ? 12 : 0;  // 1.0: exponent 3, the bias
        for (int64_t group = 0; group < 2; ++group)
            weight.e8m0(r, group) = 127;
    }
    weight.pack();
    ASSERT_EQ(weight.value(0, 0), 1.0);
    TestTokens x(DataType::kF16, kTokens, kCols, false, 0);
    std::vector<float> expected;
    for (int64_t i = 0; i < 65536; ++i) {
        const bool finite = (i & 0x7C00) != 0x7C00;
        const auto value = finite ? half_to_float(static_cast<uint16_t>(i)) : 0.0f;
        x.set(i / kCols, i % kCols, value);
        expected.push_back(value);
    }
    for_each_kernel(weight, [&](const CpuGemmKernel& kernel) {
        if (kernel.arithmetic != Arithmetic::kBf16x2) return;
        EXPECT_EQ(run_kernel(kernel, weight, x), expected);
    });
}

// The same for fp32: 16 bits, and the largest number of so many does not become infinite.
TEST_P(Avx512Kernel, TwoBf16PartsKeep16BitsOfFp32) {
    PanelWeight weight(32, 32, TileFamily::kE3M2, {ScaleMode::kMx, 32}, random);
    for (int64_t r = 0; r < 32; ++r) {
        for (int64_t k = 0; k < 32; ++k)
            weight.code(r, k) = r == k ? 12 : 0;
        weight.e8m0(r, 0) = 127;
    }
    weight.pack();
    TestTokens x(DataType::kF32, 40, 32, false, 0);
    for (int64_t t = 0; t < 40; ++t) {
        for (int64_t k = 0; k < 32; ++k) {
            const auto magnitude = static_cast<float>(std::exp2(random.uniform(-100, 127)));
            x.set(t, k, random.below(2) ? magnitude : -magnitude);
        }
        x.set(t, t % 32, t < 32 ? 0x1.fffep127f : 0x1.fffffep-20f);
    }
    for_each_kernel(weight, [&](const CpuGemmKernel& kernel) {
        if (kernel.arithmetic != Arithmetic::kBf16x2) return;
        const std::vector<float> sums = run_kernel(kernel, weight, x);
        for (int64_t i = 0; i < 40 * 32; ++i) {
            const double exact = x.at(i / 32, i % 32);
            ASSERT_NEAR(sums[static_cast<size_t>(i)], exact, 0x1p-16 * std::fabs(exact));
        }
    });
}

#ifdef FP6LLM_HAVE_SIMDE
INSTANTIATE_TEST_SUITE_P(Simde, Avx512Kernel,
                         testing::Values(avx512_simde::kernels(CpuMaker::kAmd),
                                         avx512_simde::kernels(CpuMaker::kOther)));
#endif

std::vector<const CpuKernelSet*> native_sets() {
    const CpuKernelSet* set = avx512_kernels();
    if (set == nullptr || active_isa() < set->isa) return {};
    return {set};
}
INSTANTIATE_TEST_SUITE_P(Native, Avx512Kernel, testing::ValuesIn(native_sets()));
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Avx512Kernel);

}  // namespace
}  // namespace fp6llm::gemm_testing
