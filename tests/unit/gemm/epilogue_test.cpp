// CpuKernelSet::store of every set, in all combinations, against formulas of the test's own.
#include "core/common/cpu.hpp"
#include "tests/unit/gemm/gemm_testing.hpp"
#ifdef FP6LLM_HAVE_SIMDE
#include "tests/simde/avx512_kernels.hpp"
#endif

namespace fp6llm::gemm_testing {
namespace {

constexpr DataType kTypes[] = {DataType::kF32, DataType::kF16, DataType::kBF16};
constexpr Activation kActivations[] = {Activation::kNone, Activation::kRelu, Activation::kGelu,
                                       Activation::kGeluTanh, Activation::kSilu};

std::vector<const CpuKernelSet*> available_sets() {
    std::vector<const CpuKernelSet*> sets;
    for (const CpuKernelSet* set : {portable_kernels(), avx2_kernels(), avx512_kernels()}) {
        if (set != nullptr && set->isa <= detected_isa()) sets.push_back(set);
    }
#ifdef FP6LLM_HAVE_SIMDE
    if (detected_isa() >= Isa::kAvx2) sets.push_back(avx512_simde::kernels(CpuMaker::kOther));
#endif
    return sets;
}

/// From the definitions, in long double and by other routes than the library's; for the tanh form
/// (1 + tanh u) / 2 = exp(u) / (2 cosh u), which does not cancel.
double expected_activation(Activation activation, double v) {
    const long double x = v;
    switch (activation) {
        case Activation::kRelu:
            return v > 0 ? v : 0;
        case Activation::kGelu:
            return static_cast<double>(x * (std::erfc(-x / std::sqrt(2.0L)) / 2));
        case Activation::kGeluTanh: {
            const long double u = std::sqrt(2 / std::acos(-1.0L)) * (x + 0.044715L * x * x * x);
            return static_cast<double>(x * (std::exp(u) / (2 * std::cosh(u))));
        }
        case Activation::kSilu:
            return static_cast<double>(x * (std::exp(x / 2) / (2 * std::cosh(x / 2))));
        default:
            return v;
    }
}

struct Case {
    DataType type = DataType::kF32;
    float alpha = 1, beta = 0;
    bool bias = false, residual = false, residual_in_place = false;
    DataType bias_type = DataType::kF32, residual_type = DataType::kF32;
    Activation activation = Activation::kNone;
    int64_t rows = 16;
};

void check(const CpuKernelSet& set, const Case& c) {
    SCOPED_TRACE(std::string(isa_name(set.isa)) + " " + type_name(c.type) + " alpha " +
                 std::to_string(c.alpha) + " beta " + std::to_string(c.beta) + " activation " +
                 std::to_string(static_cast<int>(c.activation)) + " rows " +
                 std::to_string(c.rows) + (c.bias ? " bias " : "") +
                 (c.residual ? " residual" : ""));
    constexpr int64_t kTokens = 3, kRow = 5, kToken = 2, kLd = 80, kLdr = 77, kLds = 40;
    Random random(7);
    GuardedBuffer y((kToken + kTokens) * kLd * float_bytes(c.type));
    GuardedBuffer residual((kToken + kTokens) * kLdr * float_bytes(c.residual_type));
    GuardedBuffer bias((kRow + c.rows) * float_bytes(c.bias_type));
    const int64_t segments = 1 + c.rows % 3, stride = kTokens * kLds;
    std::vector<float> sums(static_cast<size_t>(segments * stride), std::nanf(""));
    const auto sum_of = [&](int64_t t, int64_t r) {
        float sum = sums[t * kLds + r];
        for (int64_t s = 1; s < segments; ++s)
            sum += sums[s * stride + t * kLds + r];
        return sum;
    };
    auto draw = [&] { return static_cast<float>(random.uniform(-3, 3)); };
    for (int64_t t = 0; t < kTokens; ++t) {
        for (int64_t r = 0; r < c.rows; ++r) {
            for (int64_t s = 0; s < segments; ++s)
                sums[s * stride + t * kLds + r] = draw();
            const int64_t token = kToken + t, row = kRow + r;
            // Where beta is zero, Y stays poisoned: reading it would show as NaN.
            if (c.beta != 0) write_float(y.data(), c.type, token * kLd + row, draw());
            write_float(residual.data(), c.residual_type, token * kLdr + row, draw());
            write_float(bias.data(), c.bias_type, row, draw());
        }
    }
    OutputSink out{y.data(), c.type, kLd};
    out.alpha = c.alpha;
    out.beta = c.beta;
    out.activation = c.activation;
    if (c.bias) out.bias = bias.data(), out.bias_type = c.bias_type;
    if (c.residual) {
        out.residual = c.residual_in_place ? y.data() : residual.data();
        out.residual_type = c.residual_in_place ? c.type : c.residual_type;
        out.ldr = c.residual_in_place ? kLd : kLdr;
    }
    const std::vector<uint8_t> before = y.copy();
    set.store(out, {sums.data(), kLds, segments, stride}, kRow, c.rows, kToken, kTokens);

    const std::vector<uint8_t> after = y.copy();
    const int64_t element = static_cast<int64_t>(float_bytes(c.type));
    for (int64_t i = 0; i < (kToken + kTokens) * kLd; ++i) {
        const int64_t token = i / kLd, row = i % kLd;
        if (token < kToken || row < kRow || row >= kRow + c.rows) {
            ASSERT_EQ(std::memcmp(&after[i * element], &before[i * element], element), 0) << i;
            continue;
        }
        // The largest intermediate scales the rounding errors of the fp32 steps.
        double v = static_cast<double>(c.alpha) * sum_of(token - kToken, row - kRow);
        double largest = std::fabs(v);
        if (c.beta != 0) v += static_cast<double>(c.beta) * read_float(before.data(), c.type, i);
        if (c.bias) v += read_float(bias.data(), c.bias_type, row);
        largest = std::max(largest + 9, std::fabs(v));
        v = expected_activation(c.activation, v);
        if (c.residual) {
            v += c.residual_in_place
                     ? read_float(before.data(), c.type, i)
                     : read_float(residual.data(), c.residual_type, token * kLdr + row);
        }
        const bool is_plain = c.alpha == 1 && c.beta == 0 && !c.bias && !c.residual &&
                              c.activation == Activation::kNone;
        const double error = is_plain ? 0 : 8 * 0x1p-24 * largest;
        const double got = read_float(after.data(), c.type, i);
        ASSERT_TRUE(got >= round_to(c.type, v - error) && got <= round_to(c.type, v + error))
            << "token " << token << " row " << row << ": " << got << ", not " << v;
    }
    EXPECT_TRUE(y.edges_intact() && residual.edges_intact() && bias.edges_intact());
}

TEST(Epilogue, AllCombinations) {
    for (const CpuKernelSet* set : available_sets()) {
        int varied = 0;
        for (DataType type : kTypes) {
            for (Activation activation : kActivations) {
                for (int parts = 0; parts < 16; ++parts) {
                    for (int64_t rows : {1, 7, 8, 15, 16, 17, 31, 32, 40}) {
                        Case c;
                        c.type = type;
                        c.activation = activation;
                        c.rows = rows;
                        if (parts & 1) c.alpha = -1.5f;
                        if (parts & 2) c.beta = 0.75f;
                        c.bias = parts & 4;
                        c.residual = parts & 8;
                        c.bias_type = kTypes[varied % 3];
                        c.residual_type = kTypes[varied / 3 % 3];
                        c.residual_in_place = c.beta != 0 && varied++ % 2;
                        check(*set, c);
                        if (HasFatalFailure()) return;
                    }
                }
            }
        }
    }
}

TEST(Epilogue, RoundsTiesToEvenAndKeepsSpecialValues) {
    const float inf = INFINITY;
    struct {
        float value;
        uint16_t half, bf16;
    } const kCases[] = {
        {1.0f, 0x3C00, 0x3F80},           {-0.0f, 0x8000, 0x8000},
        {1.00048828125f, 0x3C00, 0x3F80},  // 1 + 2^-11: a tie in half, down to even
        {1.00146484375f, 0x3C02, 0x3F80},  // 1 + 3 * 2^-11: a tie in half, up to even
        {1.00390625f, 0x3C04, 0x3F80},     // 1 + 2^-8: a tie in bf16, down to even
        {1.01171875f, 0x3C0C, 0x3F82},     // 1 + 3 * 2^-8: a tie in bf16, up to even
        {65519.996f, 0x7BFF, 0x4780},      // the last float below the tie to infinity
        {65520.0f, 0x7C00, 0x4780},       {0x1p-24f, 0x0001, 0x3380},
        {0x1p-25f, 0x0000, 0x3300},                                     // a tie with zero
        {0x1.8p-25f, 0x0001, 0x3340},     {0x1p-133f, 0x0000, 0x0001},  // subnormal in bf16
        {3.4e38f, 0x7C00, 0x7F80},        {inf, 0x7C00, 0x7F80},
        {-inf, 0xFC00, 0xFF80},
    };
    for (const CpuKernelSet* set : available_sets()) {
        for (const auto& c : kCases) {
            // 16 rows and 1 take the vector and the scalar way.
            std::vector<float> sums(16, c.value);
            for (int64_t rows : {16, 1}) {
                uint16_t half[16], bf16[16];
                set->store({half, DataType::kF16, 16}, {sums.data(), 16}, 0, rows, 0, 1);
                set->store({bf16, DataType::kBF16, 16}, {sums.data(), 16}, 0, rows, 0, 1);
                for (int64_t r = 0; r < rows; ++r) {
                    EXPECT_EQ(half[r], c.half) << c.value;
                    EXPECT_EQ(bf16[r], c.bf16) << c.value;
                }
            }
        }
        // A NaN whose payload lies only in bits that the 16-bit types drop stays a NaN.
        std::vector<float> sums(16, float_from_bits(0x7F800001u));
        uint16_t half[16], bf16[16];
        set->store({half, DataType::kF16, 16}, {sums.data(), 16}, 0, 16, 0, 1);
        set->store({bf16, DataType::kBF16, 16}, {sums.data(), 16}, 0, 16, 0, 1);
        for (int r = 0; r < 16; ++r) {
            EXPECT_TRUE(std::isnan(half_to_float(half[r])) && std::isnan(bf16_to_float(bf16[r])));
        }
    }
}

TEST(Epilogue, ActivationsAreRightInBothTails) {
    for (const CpuKernelSet* set : available_sets()) {
        for (Activation activation : kActivations) {
            for (double x = -40; x <= 40; x += 0.0625) {
                const float v = static_cast<float>(x);
                float y = 0;
                OutputSink out{&y, DataType::kF32, 1};
                out.activation = activation;
                set->store(out, {&v, 1}, 0, 1, 0, 1);
                const double expected = expected_activation(activation, x);
                // 4 ulp, and nothing is asked of results below the normal range.
                ASSERT_NEAR(y, expected, std::fabs(expected) * 4 * 0x1p-23 + 0x1p-126)
                    << isa_name(set->isa) << " activation " << static_cast<int>(activation)
                    << " at " << x;
            }
            const float nan = std::nanf("");
            float y = 0;
            OutputSink out{&y, DataType::kF32, 1};
            out.activation = activation;
            set->store(out, {&nan, 1}, 0, 1, 0, 1);
            EXPECT_TRUE(std::isnan(y));
            const float infinity = INFINITY;
            set->store(out, {&infinity, 1}, 0, 1, 0, 1);
            EXPECT_EQ(y, infinity);
        }
    }
}

}  // namespace
}  // namespace fp6llm::gemm_testing
