// The oracle itself: hand-made values, then against the naive product on the test's own dense copy.
#include "core/common/thread_pool.hpp"
#include "tests/unit/gemm/gemm_testing.hpp"

namespace fp6llm::gemm_testing {
namespace {

GemmProblem problem_of(const TestWeight& weight, bool transposed, int64_t tokens, DataType x_type,
                       DataType y_type) {
    return {&weight.weight(), transposed, tokens, ComputeType::kF32, x_type, y_type};
}

TEST(Reference, HandMadeProduct) {
    // E2M3, one row scale each: [[1, -2, 0.125], [7.5, 0, 4]] with scales 2 and 0.5.
    const uint8_t codes[6] = {0x08, 0x30, 0x01, 0x1F, 0x00, 0x18};
    uint8_t packed[6];  // two rows of 18 bits
    pack_codes(codes, 6, 3, packed);
    pack_codes(codes + 3, 6, 3, packed + 3);
    const float scales[2] = {2.0f, 0.5f};
    SerialExecutor serial;
    const auto weight = Weight::from_codes(make_spec(DataType::kE2M3, ScaleMode::kRow), 2, 3,
                                           packed, scales, serial);
    const float x[3] = {1, 10, 100};
    float y[2];
    reference_gemm({weight.get(), false, 1, ComputeType::kF32, DataType::kF32, DataType::kF32},
                   {x, DataType::kF32, 3, 3, 1}, {y, DataType::kF32, 2}, serial);
    EXPECT_EQ(y[0], 2 * (1 - 20 + 12.5f));
    EXPECT_EQ(y[1], 0.5f * (7.5f + 400));
    float z[3];
    reference_gemm({weight.get(), true, 1, ComputeType::kF32, DataType::kF32, DataType::kF32},
                   {x, DataType::kF32, 2, 2, 1}, {z, DataType::kF32, 3}, serial);
    EXPECT_EQ(z[0], 2 * 1 + 10 * 3.75f);
    EXPECT_EQ(z[1], -4);
    EXPECT_EQ(z[2], 2 * 0.125f + 10 * 2);
}

TEST(Reference, EqualsTheNaiveProductRoundedOnce) {
    constexpr DataType kTypes[] = {DataType::kF32, DataType::kF16, DataType::kBF16};
    Random random(11);
    for (const FormatInfo& format : all_formats()) {
        for (const QuantSpec& spec : {make_spec(format.type, ScaleMode::kRow),
                                      make_spec(format.type, ScaleMode::kGroup, 24),
                                      make_spec(format.type, ScaleMode::kMx)}) {
            for (bool transposed : {false, true}) {
                TestWeight weight(spec, 37, 83, random.bits());
                const int64_t k = transposed ? 37 : 83, outputs = transposed ? 83 : 37;
                const DataType x_type = kTypes[random.below(3)], y_type = kTypes[random.below(3)];
                TestTokens x(x_type, 4, k, random.below(2) != 0, 3);
                x.fill(random);
                GuardedBuffer y(4 * outputs * float_bytes(y_type));
                PoolExecutor executor(3);
                reference_gemm(problem_of(weight, transposed, 4, x_type, y_type), x.source(),
                               {y.data(), y_type, outputs}, executor);
                EXPECT_TRUE(y.edges_intact() && weight.intact());
                for (int64_t i = 0; i < 4 * outputs; ++i) {
                    const NaiveSum naive =
                        naive_sum(weight, transposed, x, i / outputs, i % outputs, k);
                    ASSERT_EQ(read_float(y.data(), y_type, i), round_to(y_type, naive.sum))
                        << weight.describe() << " transposed " << transposed << " output " << i;
                }
            }
        }
    }
}

TEST(Reference, RoundsOnceFromDouble) {
    // 1 + 2^-11 + 2^-30 is above a half's tie, but an fp32 in between would make it one. Likewise
    // for bf16 with 1 + 2^-8 + 2^-30.
    const float scale = 1.0f;
    uint8_t packed[2];
    const uint8_t codes[2] = {0x08, 0x08};  // E2M3: 1, 1
    pack_codes(codes, 6, 2, packed);
    SerialExecutor serial;
    const auto weight = Weight::from_codes(make_spec(DataType::kE2M3, ScaleMode::kRow), 1, 2,
                                           packed, &scale, serial);
    auto rounded = [&](float high, float low, DataType type) {
        const float x[2] = {high, low};
        uint16_t y;
        reference_gemm({weight.get(), false, 1, ComputeType::kF32, DataType::kF32, type},
                       {x, DataType::kF32, 2, 2, 1}, {&y, type, 1}, serial);
        return y;
    };
    EXPECT_EQ(rounded(1 + 0x1p-11f, 0x1p-30f, DataType::kF16), 0x3C01);
    EXPECT_EQ(rounded(1 + 0x1p-11f, -0x1p-30f, DataType::kF16), 0x3C00);
    EXPECT_EQ(rounded(1 + 0x1p-8f, 0x1p-30f, DataType::kBF16), 0x3F81);
    EXPECT_EQ(rounded(-1 - 0x1p-8f, -0x1p-35f, DataType::kBF16), 0xBF81);
    EXPECT_EQ(rounded(65520, -0x1p-30f, DataType::kF16), 0x7BFF);
    EXPECT_EQ(rounded(0x1p-25f, 0x1p-60f, DataType::kF16), 0x0001);
    EXPECT_EQ(rounded(0x1p-134f, 0x1p-149f, DataType::kBF16), 0x0001);
}

TEST(Reference, AppliesTheEpilogue) {
    TestWeight weight(make_spec(DataType::kE3M2, ScaleMode::kRow), 5, 20, 3);
    TestTokens x(DataType::kF32, 2, 20, false, 0);
    Random random(5);
    x.fill(random);
    float y[10], before[10], bias[5], residual[12];
    for (float& v : y)
        v = static_cast<float>(random.uniform(-2, 2));
    for (float& v : bias)
        v = static_cast<float>(random.uniform(-2, 2));
    for (float& v : residual)
        v = static_cast<float>(random.uniform(-2, 2));
    std::memcpy(before, y, sizeof y);
    OutputSink out{y, DataType::kF32, 5};
    out.alpha = -0.5f;
    out.beta = 0.25f;
    out.bias = bias;
    out.activation = Activation::kRelu;
    out.residual = residual;
    out.ldr = 6;
    SerialExecutor serial;
    reference_gemm(problem_of(weight, false, 2, DataType::kF32, DataType::kF32), x.source(), out,
                   serial);
    for (int64_t i = 0; i < 10; ++i) {
        const int64_t t = i / 5, o = i % 5;
        const double v =
            -0.5 * naive_sum(weight, false, x, t, o, 20).sum + 0.25 * before[i] + bias[o];
        EXPECT_EQ(y[i], static_cast<float>(std::max(v, 0.0) + residual[t * 6 + o]));
    }
}

}  // namespace
}  // namespace fp6llm::gemm_testing
