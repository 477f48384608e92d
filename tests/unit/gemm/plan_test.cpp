// The planning rules, one test each: pure host code, so kernels that this processor cannot run are
// planned for, too.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <set>

#include "core/common/error.hpp"
#include "core/prepack/blob.hpp"
#include "tests/unit/gemm/gemm_testing.hpp"
#include "tests/unit/gemm/integer_reference.hpp"

namespace {
std::atomic<int64_t> allocations{0};
}

// Counts what the code under test allocates; the array and nothrow forms end here, too.
void* operator new(size_t bytes) {
    ++allocations;
    if (void* memory = std::malloc(bytes)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
    std::free(memory);
}

namespace fp6llm::gemm_testing {
namespace {

constexpr Isa kAllIsas[] = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni,
                            Isa::kAvx512Bf16};

/// A weight of zeros in a chosen swizzle, whatever this processor's is.
class ShapedWeight {
  public:
    ShapedWeight(const QuantSpec& spec, int64_t rows, int64_t cols, CpuSwizzle swizzle)
        : blob_(Weight::blob_bytes(spec, rows, cols)) {
        const std::vector<uint8_t> codes(rows * spec.row_code_bytes(cols));
        const std::vector<uint8_t> scales(rows * spec.groups(cols) * 4);
        SerialExecutor serial;
        Weight::pack_blob(spec, rows, cols, codes.data(), scales.data(), blob_.data(), serial);
        BlobHeader header;
        std::memcpy(&header, blob_.data(), sizeof header);
        header.layout = static_cast<uint32_t>(swizzle);
        header.checksum = blob_checksum(header);
        std::memcpy(blob_.data(), &header, sizeof header);
        weight_ = Weight::from_blob(blob_.data(), blob_.size());
    }
    const Weight& weight() const { return *weight_; }

  private:
    AlignedBuffer blob_;
    std::unique_ptr<Weight> weight_;
};

ShapedWeight row_weight(CpuSwizzle swizzle, int64_t rows = 64, int64_t cols = 128) {
    const DataType format = swizzle == CpuSwizzle::kS8 ? DataType::kE2M3 : DataType::kE3M2;
    return {make_spec(format, ScaleMode::kRow), rows, cols, swizzle};
}

GemmProblem problem_of(const ShapedWeight& weight, int64_t tokens,
                       ComputeType compute = ComputeType::kF32, DataType x_type = DataType::kF16,
                       bool transposed = false) {
    return {&weight.weight(), transposed, tokens, compute, x_type, DataType::kF32};
}

/// The plans that run a kernel.
std::vector<GemmPlan> kernel_plans(const GemmProblem& problem, Isa isa) {
    std::vector<GemmPlan> plans = plan_gemm(problem, isa, 1);
    plans.erase(std::remove_if(plans.begin(), plans.end(),
                               [](const GemmPlan& plan) { return plan.kernel == nullptr; }),
                plans.end());
    return plans;
}

Status status_of(const GemmProblem& problem, int32_t algo, Isa isa, std::string* message) {
    try {
        choose_plan(problem, algo, isa, 1);
    } catch (const Error& error) {
        *message = error.what();
        return error.status();
    }
    return Status::kSuccess;
}

TEST(Plan, AlgosAndNamesAreUniqueAndInTheirSetsRange) {
    std::set<int32_t> algos = {kAlgoReference, kAlgoTransposed};
    std::set<std::string> names;
    size_t count = 2;
    const std::pair<const CpuKernelSet*, int32_t> kRanges[] = {
        {portable_kernels(), 10}, {avx2_kernels(), 100}, {avx512_kernels(), 200}};
    for (const auto& [set, first] : kRanges) {
        if (set == nullptr) continue;
        ASSERT_GT(set->count, 0);
        for (int i = 0; i < set->count; ++i, ++count) {
            const CpuGemmKernel& kernel = set->kernels[i];
            algos.insert(kernel.algo);
            names.insert(kernel.name);
            EXPECT_TRUE(kernel.algo >= first && kernel.algo < first + (first == 10 ? 90 : 100));
            EXPECT_GE(kernel.isa, set->isa) << kernel.name;
            EXPECT_TRUE(kernel.panels_per_call == 1 || kernel.panels_per_call == 2);
            if (kernel.token_tile > 0) {
                EXPECT_TRUE(kernel.max_tokens < kernel.token_tile ||
                            kernel.max_tokens % kernel.token_tile == 0)
                    << kernel.name;
            }
        }
    }
    EXPECT_EQ(algos.size(), count);
    EXPECT_EQ(names.size(), count - 2);
}

TEST(Plan, OnlyKernelsOfTheIsaThatReadTheSwizzle) {
    for (CpuSwizzle swizzle : {CpuSwizzle::kP16, CpuSwizzle::kS16, CpuSwizzle::kS8}) {
        const ShapedWeight weight = row_weight(swizzle);
        for (Isa isa : kAllIsas) {
            for (int64_t tokens : {1, 5, 16, 300}) {
                for (const GemmPlan& plan : kernel_plans(problem_of(weight, tokens), isa)) {
                    EXPECT_LE(plan.kernel->isa, isa) << plan.name;
                    EXPECT_TRUE(plan.set == portable_kernels() || plan.kernel->swizzle == swizzle)
                        << plan.name;
                }
            }
        }
    }
}

TEST(Plan, PortableKernelsTakeWhatTheIsaCannotRead) {
    const ShapedWeight p16 = row_weight(CpuSwizzle::kP16), s16 = row_weight(CpuSwizzle::kS16);
    EXPECT_EQ(choose_plan(problem_of(p16, 4), kAlgoDefault, Isa::kAvx2, 1).set, portable_kernels());
    EXPECT_EQ(choose_plan(problem_of(s16, 4), kAlgoDefault, Isa::kPortable, 1).set,
              portable_kernels());
#ifdef FP6LLM_X86
    EXPECT_EQ(choose_plan(problem_of(s16, 4), kAlgoDefault, Isa::kAvx2, 1).set, avx2_kernels());
    EXPECT_EQ(choose_plan(problem_of(p16, 4), kAlgoDefault, Isa::kAvx512, 1).set, avx512_kernels());
    // An AVX-512 processor reads a blob made on an AVX2 one with AVX2.
    EXPECT_EQ(choose_plan(problem_of(s16, 4), kAlgoDefault, Isa::kAvx512Bf16, 1).set,
              avx2_kernels());
    const ShapedWeight s8 = row_weight(CpuSwizzle::kS8);
    EXPECT_EQ(choose_plan(problem_of(s8, 4), kAlgoDefault, Isa::kAvx512Bf16, 1).set,
              avx2_kernels());
#endif
}

TEST(Plan, ReferenceComesLastAndAlways) {
    for (bool transposed : {false, true}) {
        const ShapedWeight weight = row_weight(CpuSwizzle::kS16);
        for (Isa isa : kAllIsas) {
            const std::vector<GemmPlan> plans = plan_gemm(
                problem_of(weight, 3, ComputeType::kF32, DataType::kF16, transposed), isa, 4);
            ASSERT_GE(plans.size(), 2u);
            EXPECT_EQ(plans.back().algo, kAlgoReference);
            EXPECT_EQ(plans.back().set, nullptr);
            for (size_t i = 0; i + 1 < plans.size(); ++i)
                EXPECT_NE(plans[i].set, nullptr);
        }
    }
}

TEST(Plan, TransposedHasOneAlgorithm) {
    const ShapedWeight weight = row_weight(CpuSwizzle::kP16);
    const std::vector<GemmPlan> plans = plan_gemm(
        problem_of(weight, 100, ComputeType::kF32, DataType::kF32, true), Isa::kPortable, 1);
    ASSERT_EQ(plans.size(), 2u);
    EXPECT_EQ(plans[0].algo, kAlgoTransposed);
    EXPECT_EQ(plans[0].kernel, nullptr);
    EXPECT_EQ(plans[0].token_block, 64);
}

TEST(Plan, ExactTypesRoundNoActivations) {
    const ShapedWeight weight = row_weight(CpuSwizzle::kP16);
    for (ComputeType compute : {ComputeType::kF32, ComputeType::kF32FastF16}) {
        for (DataType x_type : {DataType::kF32, DataType::kF16}) {
            for (const GemmPlan& plan :
                 kernel_plans(problem_of(weight, 8, compute, x_type), Isa::kAvx512Bf16)) {
                const bool split = plan.kernel->arithmetic == Arithmetic::kBf16x2 &&
                                   (x_type == DataType::kF16 || compute != ComputeType::kF32);
                EXPECT_TRUE(split || plan.kernel->arithmetic == Arithmetic::kF32) << plan.name;
            }
        }
#ifdef FP6LLM_X86
        const GemmPlan plan = choose_plan(problem_of(weight, 8, compute, DataType::kBF16),
                                          kAlgoDefault, Isa::kAvx512Bf16, 1);
        EXPECT_EQ(plan.kernel->arithmetic, Arithmetic::kBf16);
#endif
    }
}

TEST(Plan, FastBf16TakesBf16ArithmeticWhereThereIsAny) {
    const ShapedWeight p16 = row_weight(CpuSwizzle::kP16);
    const GemmProblem problem = problem_of(p16, 8, ComputeType::kF32FastBF16, DataType::kF32);
#ifdef FP6LLM_X86
    EXPECT_EQ(choose_plan(problem, kAlgoDefault, Isa::kAvx512Bf16, 1).kernel->arithmetic,
              Arithmetic::kBf16);
#endif
    for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
        EXPECT_EQ(choose_plan(problem, kAlgoDefault, isa, 1).kernel->arithmetic, Arithmetic::kF32);
    }
}

TEST(Plan, SmallestKernelThatTakesTheCallInOneBlock) {
    for (CpuSwizzle swizzle : {CpuSwizzle::kP16, CpuSwizzle::kS16}) {
        const ShapedWeight weight = row_weight(swizzle);
        for (Isa isa : kAllIsas) {
            for (int64_t tokens : {1, 3, 4, 8, 9, 16, 17, 100, 5000}) {
                const std::vector<GemmPlan> plans = kernel_plans(problem_of(weight, tokens), isa);
                for (const GemmPlan& other : plans) {
                    if (other.set != plans[0].set ||
                        other.kernel->arithmetic != plans[0].kernel->arithmetic ||
                        !other.kernel->wins(tokens)) {
                        continue;
                    }
                    const int64_t best = plans[0].kernel->max_tokens;
                    const int64_t another = other.kernel->max_tokens;
                    EXPECT_TRUE(best >= tokens ? another < tokens || best <= another
                                               : another <= best)
                        << plans[0].name << " before " << other.name << " at " << tokens;
                }
            }
        }
    }
}

#ifdef FP6LLM_X86
TEST(Plan, Avx512KernelPerLevelComputeTypeActivationsAndTokens) {
    constexpr Isa kPlain = Isa::kAvx512, kVnni = Isa::kAvx512Vnni, kBf16 = Isa::kAvx512Bf16;
    constexpr ComputeType kExact = ComputeType::kF32, kFastF16 = ComputeType::kF32FastF16,
                          kFastBf16 = ComputeType::kF32FastBF16,
                          kFastI16 = ComputeType::kF32FastI16, kFastI8 = ComputeType::kF32FastI8;
    constexpr DataType kF32 = DataType::kF32, kF16 = DataType::kF16, kBF16 = DataType::kBF16;
    constexpr DataType kE3M2 = DataType::kE3M2, kE2M3 = DataType::kE2M3;
    struct Case {
        Isa isa;
        ComputeType compute;
        DataType x_type, format;
        int64_t tokens;
        const char* kernel;
    };
    // The limits that differ by maker, of the processor that the test runs on.
    const bool amd = cpu_maker() == CpuMaker::kAmd;
    const char* const many_f32 = amd ? "avx512_fp6_fused_f32" : "avx512_fp6_gemm_f32";
    const int64_t most_fused_i16 = amd ? 48 : 32, most_fused_i8 = amd ? 32 : 16;
    const char* const some_bf16 = amd ? "avx512bf16_fp6_wide_bf16" : "avx512bf16_fp6_fused_bf16";
    const Case cases[] = {
        {kPlain, kExact, kF16, kE3M2, 1, "avx512_fp6_gemv_f32"},
        {kPlain, kFastI8, kF16, kE2M3, 4, "avx512_fp6_fused_f32"},
        {kVnni, kExact, kF16, kE3M2, 1, "avx512_fp6_gemv_f32"},
        {kVnni, kFastBf16, kF32, kE3M2, 17, many_f32},
        {kVnni, kFastI16, kF32, kE3M2, 1, "avx512vnni_fp6_gemv_i16"},
        {kVnni, kFastI16, kF16, kE2M3, 4, "avx512vnni_fp6_fused_i16"},
        {kVnni, kFastI16, kF16, kE3M2, most_fused_i16, "avx512vnni_fp6_fused_i16"},
        {kVnni, kFastI16, kF16, kE3M2, most_fused_i16 + 1, "avx512vnni_fp6_gemm_i16"},
        {kVnni, kFastI8, kF16, kE3M2, 3, "avx512vnni_fp6_gemv_i16"},
        {kVnni, kFastI8, kF16, kE2M3, 3, "avx512vnni_e2m3_gemv_i8"},
        {kVnni, kFastI8, kF16, kE2M3, most_fused_i8, "avx512vnni_e2m3_fused_i8"},
        {kVnni, kFastI8, kBF16, kE2M3, most_fused_i8 + 1, "avx512vnni_e2m3_gemm_i8"},
        {kBf16, kExact, kF32, kE3M2, 1, "avx512_fp6_gemv_f32"},
        {kBf16, kExact, kF16, kE3M2, 3, "avx512bf16_fp6_gemv_bf16x2"},
        {kBf16, kExact, kF16, kE3M2, 4, "avx512_fp6_fused_f32"},
        {kBf16, kExact, kF16, kE3M2, 512, many_f32},
        {kBf16, kExact, kBF16, kE3M2, 1, "avx512bf16_fp6_gemv_bf16"},
        {kBf16, kExact, kBF16, kE2M3, 16, "avx512bf16_fp6_fused_bf16"},
        {kBf16, kFastF16, kF32, kE3M2, 2, "avx512bf16_fp6_gemv_bf16x2"},
        {kBf16, kFastF16, kF32, kE3M2, 100, many_f32},
        {kBf16, kFastBf16, kF32, kE3M2, 1, "avx512bf16_fp6_gemv_bf16"},
        {kBf16, kFastBf16, kF16, kE3M2, 7, "avx512bf16_fp6_fused_bf16"},
        {kBf16, kFastBf16, kF16, kE3M2, 8, some_bf16},
        {kBf16, kFastBf16, kF16, kE3M2, 12, some_bf16},
        {kBf16, kFastBf16, kF16, kE3M2, 13, "avx512bf16_fp6_fused_bf16"},
        {kBf16, kFastBf16, kF16, kE3M2, 512, "avx512bf16_fp6_wide_bf16"},
        {kBf16, kFastI16, kF16, kE3M2, 1, "avx512vnni_fp6_gemv_i16"},
        {kBf16, kFastI16, kBF16, kE3M2, 1, "avx512bf16_fp6_gemv_bf16"},
        {kBf16, kFastI8, kBF16, kE3M2, 1, "avx512bf16_fp6_gemv_bf16"},
        {kBf16, kFastI8, kF16, kE3M2, 16, "avx512vnni_fp6_fused_i16"},
        {kBf16, kFastI8, kBF16, kE2M3, 512, "avx512vnni_e2m3_gemm_i8"},
    };
    for (const Case& c : cases) {
        const ShapedWeight weight(make_spec(c.format, ScaleMode::kRow), 64, 128, CpuSwizzle::kP16);
        const GemmProblem problem = problem_of(weight, c.tokens, c.compute, c.x_type);
        EXPECT_STREQ(choose_plan(problem, kAlgoDefault, c.isa, 1).name, c.kernel)
            << isa_name(c.isa) << ", compute type " << static_cast<int>(c.compute) << ", "
            << type_name(c.x_type) << ", " << c.tokens << " tokens";
    }
    const auto chosen = [](const ShapedWeight& weight, int64_t tokens, ComputeType compute,
                           Isa isa) {
        return choose_plan(problem_of(weight, tokens, compute), kAlgoDefault, isa, 1).name;
    };
    // MX weights have no limits of their own.
    const ShapedWeight mx(make_spec(kE2M3, ScaleMode::kMx), 64, 128, CpuSwizzle::kP16);
    EXPECT_STREQ(chosen(mx, most_fused_i8, kFastI8, kVnni), "avx512vnni_e2m3_fused_i8");
    EXPECT_STREQ(chosen(mx, most_fused_i8 + 1, kFastI8, kVnni), "avx512vnni_e2m3_gemm_i8");
    EXPECT_STREQ(chosen(mx, most_fused_i16, kFastI16, kVnni), "avx512vnni_fp6_fused_i16");
    EXPECT_STREQ(chosen(mx, most_fused_i16 + 1, kFastI16, kVnni), "avx512vnni_fp6_gemm_i16");
    // Groups that cut tiles: of bf16 and int16 kernels those that decode to scratch take them, no int8 one.
    const ShapedWeight cut(make_spec(kE2M3, ScaleMode::kGroup, 24), 32, 240, CpuSwizzle::kP16);
    EXPECT_STREQ(chosen(cut, 2, kFastI8, kVnni), "avx512vnni_fp6_gemm_i16");
    EXPECT_STREQ(chosen(cut, 64, kFastBf16, kBf16), "avx512bf16_fp6_gemm_bf16");
}
#endif

TEST(Plan, KernelsThatDoNotWinAreThereForWhoAsks) {
    const ShapedWeight weight = row_weight(CpuSwizzle::kP16);
    for (int64_t tokens : {1, 3, 4, 16, 300}) {
        const GemmProblem problem = problem_of(weight, tokens);
        const std::vector<GemmPlan> plans = kernel_plans(problem, Isa::kAvx512Bf16);
        EXPECT_TRUE(plans[0].kernel->wins(tokens)) << plans[0].name;
        // Winners first within a set, and the others after them.
        for (size_t i = 1; i < plans.size(); ++i) {
            EXPECT_TRUE(plans[i].set != plans[i - 1].set || plans[i - 1].kernel->wins(tokens) ||
                        !plans[i].kernel->wins(tokens))
                << plans[i].name;
        }
    }
}

TEST(Plan, KernelsThatNeedManyTokensComeAfterMoreExactOnesBelow) {
    for (CpuSwizzle swizzle : {CpuSwizzle::kP16, CpuSwizzle::kS16}) {
        const ShapedWeight weight(make_spec(DataType::kE2M3, ScaleMode::kRow), 64, 128, swizzle);
        for (Isa isa : kAllIsas) {
            for (ComputeType compute : {ComputeType::kF32FastI16, ComputeType::kF32FastI8}) {
                for (int64_t tokens : {1, 3, 4, 5, 16, 300}) {
                    const std::vector<GemmPlan> plans =
                        kernel_plans(problem_of(weight, tokens, compute), isa);
                    for (const GemmPlan& other : plans) {
                        if (other.set != plans[0].set) continue;
                        const bool best = plans[0].kernel->min_tokens <= tokens;
                        EXPECT_TRUE(best || other.kernel->min_tokens > tokens)
                            << plans[0].name << " before " << other.name << " at " << tokens;
                    }
                }
            }
        }
    }
}

#ifdef FP6LLM_X86
TEST(Plan, OfAvx2KernelsForFewTokensTheOneWithTheFewestTiles) {
    const ShapedWeight weight = row_weight(CpuSwizzle::kS16);
    const auto name = [&](int64_t tokens) {
        return choose_plan(problem_of(weight, tokens), kAlgoDefault, Isa::kAvx2, 1).name;
    };
    EXPECT_STREQ(name(1), "avx2_fp6_gemv_f32");
    for (int64_t tokens : {2, 3, 4, 6, 7, 8, 11, 12})
        EXPECT_STREQ(name(tokens), "avx2_fp6_fused_f32") << tokens;
    for (int64_t tokens : {5, 9, 10})
        EXPECT_STREQ(name(tokens), "avx2_fp6_fused5_f32") << tokens;
    for (int64_t tokens : {13, 20, 500})
        EXPECT_STREQ(name(tokens), "avx2_fp6_gemm_f32") << tokens;
}

TEST(Plan, Avx2TakesIntegersFromFewTokensOn) {
    const ShapedWeight e3m2 = row_weight(CpuSwizzle::kS16);
    const ShapedWeight e2m3(make_spec(DataType::kE2M3, ScaleMode::kMx), 64, 128, CpuSwizzle::kS16);
    const auto arithmetic = [](const ShapedWeight& weight, int64_t tokens, ComputeType compute) {
        return choose_plan(problem_of(weight, tokens, compute), kAlgoDefault, Isa::kAvx2, 1)
            .kernel->arithmetic;
    };
    EXPECT_EQ(arithmetic(e3m2, 1, ComputeType::kF32FastI16), Arithmetic::kF32);
    EXPECT_EQ(arithmetic(e3m2, 16, ComputeType::kF32FastI16), Arithmetic::kI16);
    EXPECT_EQ(arithmetic(e2m3, 16, ComputeType::kF32FastI16), Arithmetic::kI16);
    EXPECT_EQ(arithmetic(e3m2, 16, ComputeType::kF32FastI8), Arithmetic::kI16);
    EXPECT_EQ(arithmetic(e2m3, 1, ComputeType::kF32FastI8), Arithmetic::kF32);
    EXPECT_EQ(arithmetic(e2m3, 4, ComputeType::kF32FastI8), Arithmetic::kF32);
    EXPECT_EQ(arithmetic(e2m3, 5, ComputeType::kF32FastI8), Arithmetic::kI8);
    EXPECT_EQ(arithmetic(e2m3, 512, ComputeType::kF32FastI8), Arithmetic::kI8);
}

TEST(Plan, Avx2TakesInt8AtAnyNumberOfTokensFromS8AndTheRestAsFromS16) {
    const QuantSpec row = make_spec(DataType::kE2M3, ScaleMode::kRow);
    const ShapedWeight s8(row, 64, 128, CpuSwizzle::kS8), s16(row, 64, 128, CpuSwizzle::kS16);
    const auto name = [](const ShapedWeight& weight, int64_t tokens, ComputeType compute) {
        return std::string(
            choose_plan(problem_of(weight, tokens, compute), kAlgoDefault, Isa::kAvx2, 1).name);
    };
    EXPECT_EQ(name(s8, 1, ComputeType::kF32FastI8), "avx2_s8_gemv_i8");
    for (int64_t tokens : {2, 3, 4})
        EXPECT_EQ(name(s8, tokens, ComputeType::kF32FastI8), "avx2_s8_fused_i8") << tokens;
    for (int64_t tokens : {5, 8, 16, 500})
        EXPECT_EQ(name(s8, tokens, ComputeType::kF32FastI8), "avx2_s8_gemm_i8") << tokens;
    for (ComputeType compute : {ComputeType::kF32, ComputeType::kF32FastI16}) {
        for (int64_t tokens : {1, 4, 5, 6, 16, 500}) {
            std::string expected = name(s16, tokens, compute);
            expected.replace(expected.find("_fp6_"), 5, "_s8_");
            EXPECT_EQ(name(s8, tokens, compute), expected) << tokens;
        }
    }
}
#endif

TEST(Plan, GroupsThatCutTilesGoToKernelsThatReadThem) {
    for (CpuSwizzle swizzle : {CpuSwizzle::kP16, CpuSwizzle::kS16}) {
        for (int64_t group : {24, 40, 72}) {
            const ShapedWeight weight(make_spec(DataType::kE2M3, ScaleMode::kGroup, group), 32, 240,
                                      swizzle);
            for (Isa isa : kAllIsas) {
                const std::vector<GemmPlan> plans = kernel_plans(problem_of(weight, 1), isa);
                ASSERT_FALSE(plans.empty());
                for (const GemmPlan& plan : plans)
                    EXPECT_EQ(plan.kernel->group_multiple, 8);
            }
        }
    }
}

TEST(Plan, Fp8ActivationsAreNotSupported) {
    const ShapedWeight weight = row_weight(CpuSwizzle::kS16);
    const GemmProblem problem = problem_of(weight, 4, ComputeType::kF32FastF8);
    EXPECT_TRUE(plan_gemm(problem, Isa::kAvx512Bf16, 1).empty());
    for (int32_t algo : {kAlgoDefault, kAlgoReference}) {
        std::string message;
        EXPECT_EQ(status_of(problem, algo, Isa::kAvx512Bf16, &message), Status::kNotSupported);
        EXPECT_NE(message.find("32F_FAST_8F"), std::string::npos) << message;
        EXPECT_NE(message.find("32F_FAST_16I"), std::string::npos) << message;
    }
}

/// Which activations an arithmetic may be given under a compute type.
bool is_allowed(Arithmetic arithmetic, ComputeType compute, DataType x_type, DataType format) {
    const bool bf16 = x_type == DataType::kBF16, f32 = x_type == DataType::kF32;
    switch (arithmetic) {
        case Arithmetic::kF32:
            return true;
        case Arithmetic::kBf16:
            return bf16 || compute == ComputeType::kF32FastBF16 ||
                   compute == ComputeType::kF32FastI8;
        case Arithmetic::kBf16x2:
            return !f32 || compute != ComputeType::kF32;
        case Arithmetic::kI16:
            return compute == ComputeType::kF32FastI16 || compute == ComputeType::kF32FastI8;
        case Arithmetic::kI8:
            return compute == ComputeType::kF32FastI8 && format == DataType::kE2M3;
    }
    return false;
}

TEST(Plan, NoArithmeticLessExactThanTheComputeTypeAllows) {
    for (DataType format : {DataType::kE3M2, DataType::kE2M3}) {
        for (CpuSwizzle swizzle : {CpuSwizzle::kP16, CpuSwizzle::kS16}) {
            const ShapedWeight weight(make_spec(format, ScaleMode::kRow), 64, 128, swizzle);
            for (ComputeType compute :
                 {ComputeType::kF32, ComputeType::kF32FastF16, ComputeType::kF32FastBF16,
                  ComputeType::kF32FastI16, ComputeType::kF32FastI8}) {
                for (DataType x_type : {DataType::kF32, DataType::kF16, DataType::kBF16}) {
                    for (int64_t tokens : {1, 8, 64}) {
                        for (const GemmPlan& plan : kernel_plans(
                                 problem_of(weight, tokens, compute, x_type), Isa::kAvx512Bf16)) {
                            EXPECT_TRUE(
                                is_allowed(plan.kernel->arithmetic, compute, x_type, format))
                                << plan.name << " for " << static_cast<int>(compute);
                        }
                    }
                }
            }
        }
    }
}

TEST(Plan, ChoosesEveryListedAlgoAndTheFirstByDefault) {
    for (CpuSwizzle swizzle : {CpuSwizzle::kP16, CpuSwizzle::kS16}) {
        const ShapedWeight weight = row_weight(swizzle);
        for (Isa isa : kAllIsas) {
            for (bool transposed : {false, true}) {
                for (int64_t tokens : {0, 1, 7, 40, 1000}) {
                    const GemmProblem problem = problem_of(
                        weight, tokens, ComputeType::kF32FastBF16, DataType::kF16, transposed);
                    const std::vector<GemmPlan> plans = plan_gemm(problem, isa, 3);
                    EXPECT_EQ(choose_plan(problem, kAlgoDefault, isa, 3).algo, plans[0].algo);
                    for (const GemmPlan& plan : plans) {
                        const GemmPlan chosen = choose_plan(problem, plan.algo, isa, 3);
                        EXPECT_EQ(chosen.kernel, plan.kernel);
                        EXPECT_EQ(chosen.token_block, plan.token_block);
                        EXPECT_EQ(chosen.threads, plan.threads);
                        EXPECT_EQ(chosen.workspace_bytes, plan.workspace_bytes);
                    }
                }
            }
        }
    }
}

TEST(Plan, RefusesAlgosThatDoNotExistOrDoNotFit) {
    const ShapedWeight weight = row_weight(CpuSwizzle::kS16);
    std::string message;
    EXPECT_EQ(status_of(problem_of(weight, 1), 9999, Isa::kAvx512, &message),
              Status::kInvalidValue);
    EXPECT_NE(message.find("algo = 9999"), std::string::npos) << message;
    EXPECT_EQ(status_of(problem_of(weight, 1), kAlgoTransposed, Isa::kPortable, &message),
              Status::kNotSupported);
    EXPECT_NE(message.find("transposed_f32"), std::string::npos) << message;
#ifdef FP6LLM_X86
    const int32_t avx2_algo = avx2_kernels()->kernels[0].algo;
    EXPECT_EQ(status_of(problem_of(weight, 1), avx2_algo, Isa::kPortable, &message),
              Status::kNotSupported);
    EXPECT_NE(message.find(avx2_kernels()->kernels[0].name), std::string::npos) << message;
#endif
}

TEST(Plan, BlocksKeepPackedActivationsInCacheAndTilesWhole) {
    for (CpuSwizzle swizzle : {CpuSwizzle::kP16, CpuSwizzle::kS16}) {
        for (int64_t cols : {64, 4096, 20000}) {
            const ShapedWeight weight = row_weight(swizzle, 16, cols);
            for (Isa isa : kAllIsas) {
                for (int64_t tokens : {1, 37, 64, 100, 777, 8192}) {
                    for (const GemmPlan& plan : kernel_plans(problem_of(weight, tokens), isa)) {
                        const CpuGemmKernel& kernel = *plan.kernel;
                        SCOPED_TRACE(std::string(kernel.name) + " " + std::to_string(tokens));
                        EXPECT_GE(plan.token_block, 1);
                        EXPECT_LE(plan.token_block, std::min(tokens, kernel.max_tokens));
                        EXPECT_TRUE(plan.token_block <= 80 ||
                                    kernel.packed_bytes(cols, plan.token_block) <= 4u << 20);
                        if (plan.token_block < tokens && kernel.token_tile > 0 &&
                            kernel.max_tokens >= kernel.token_tile) {
                            EXPECT_EQ(plan.token_block % kernel.token_tile, 0);
                        }
                        const int64_t longest = plan.split_k.longest();
                        EXPECT_GE(plan.workspace_bytes,
                                  kernel.packed_bytes(longest, plan.token_block) *
                                          static_cast<size_t>(plan.split_k.segments) +
                                      kernel.scratch_bytes(longest, plan.token_block));
                    }
                }
            }
        }
    }
}

// Segments of k: as many as a kernel's calls want, and, where all kernels of an arithmetic give the same bits,
// the same for all of them.
TEST(Plan, CutsKAsCallsWantAndIntegerKernelsAlike) {
    for (CpuSwizzle swizzle : {CpuSwizzle::kP16, CpuSwizzle::kS16}) {
        const ShapedWeight weight(make_spec(DataType::kE2M3, ScaleMode::kRow), 2048, 8192, swizzle);
        for (Isa isa : kAllIsas) {
            for (int64_t tokens : {1, 3, 4, 16, 17, 33, 49, 64, 65}) {
                std::set<int64_t> segments[5];  // by arithmetic
                for (const GemmPlan& plan :
                     kernel_plans(problem_of(weight, tokens, ComputeType::kF32FastI8), isa)) {
                    SCOPED_TRACE(std::string(plan.name) + " " + std::to_string(tokens));
                    const int64_t cut = plan.split_k.segments;
                    EXPECT_TRUE(tokens > 64 ? cut == 1 : cut == 3 || cut == 6) << cut;
                    const Arithmetic arithmetic = plan.kernel->arithmetic;
                    segments[static_cast<int>(arithmetic)].insert(cut);
                    if (tokens > 64 || is_integer(arithmetic)) continue;
                    EXPECT_EQ(cut, plan.kernel->panels_per_call == 1 ? 3 : 6);
                }
                for (Arithmetic arithmetic : {Arithmetic::kI16, Arithmetic::kI8}) {
                    EXPECT_LE(segments[static_cast<int>(arithmetic)].size(), 1u)
                        << isa_name(isa) << ", " << tokens;
                }
            }
        }
    }
}

TEST(Plan, ThreadsFollowTheWork) {
    const ShapedWeight small = row_weight(CpuSwizzle::kS16, 576, 576);    // 0.25 MB
    const ShapedWeight large = row_weight(CpuSwizzle::kS16, 1536, 2048);  // 2.4 MB
    auto threads = [](const ShapedWeight& weight, int64_t tokens, int most) {
        return choose_plan(problem_of(weight, tokens), kAlgoDefault, Isa::kAvx2, most).threads;
    };
    EXPECT_EQ(threads(small, 1, 8), 1);
    EXPECT_EQ(threads(small, 4, 8), 1);
    EXPECT_EQ(threads(small, 16, 8), 5);
    EXPECT_EQ(threads(small, 100, 8), 8);
    EXPECT_EQ(threads(large, 1, 8), 8);
    EXPECT_EQ(threads(large, 1, 1), 1);
    EXPECT_EQ(threads(large, 1, 64), 9);
    EXPECT_EQ(threads(row_weight(CpuSwizzle::kS16, 1536, 2000), 1, 64), 8);  // worth 9, but 48
                                                                             // pairs of panels
    EXPECT_EQ(threads(large, 1000, 64), 64);
    // Never more than there are segments of panels while tokens fill one tile; then tiles are shared, too.
    const ShapedWeight flat = row_weight(CpuSwizzle::kS16, 33, 20000);
    EXPECT_EQ(threads(flat, 4, 64), 5);
    EXPECT_EQ(threads(flat, 12, 64), 12);
    EXPECT_GT(threads(flat, 1000, 64), 30);
    EXPECT_EQ(choose_plan(problem_of(large, 0), kAlgoDefault, Isa::kAvx2, 8).threads, 1);
}

// Blocks grow for threads, and neither beyond the cache nor so that a kernel gets more than it takes.
TEST(Plan, BlocksGrowWithTheThreadsThatShareThem) {
    for (CpuSwizzle swizzle : {CpuSwizzle::kP16, CpuSwizzle::kS16}) {
        for (int64_t cols : {64, 576, 4096, 20000}) {
            const ShapedWeight weight = row_weight(swizzle, 576, cols);
            for (Isa isa : kAllIsas) {
                for (int64_t tokens : {1, 37, 100, 777, 8192}) {
                    const GemmProblem problem = problem_of(weight, tokens);
                    const GemmPlan alone = choose_plan(problem, kAlgoDefault, isa, 1);
                    const GemmPlan shared = choose_plan(problem, kAlgoDefault, isa, 128);
                    const CpuGemmKernel& kernel = *shared.kernel;
                    SCOPED_TRACE(std::string(kernel.name) + " " + std::to_string(tokens));
                    EXPECT_EQ(alone.token_block, alone.call_tokens);
                    EXPECT_EQ(shared.call_tokens, alone.call_tokens);
                    EXPECT_GE(shared.token_block, alone.token_block);
                    EXPECT_LE(shared.token_block, tokens);
                    EXPECT_TRUE(shared.token_block == alone.token_block ||
                                kernel.packed_bytes(cols, shared.token_block) <= 8u << 20);
                    EXPECT_TRUE(shared.token_block == tokens || kernel.token_tile == 0 ||
                                shared.token_block % kernel.token_tile == 0);
                }
            }
        }
    }
    const ShapedWeight small = row_weight(CpuSwizzle::kS16, 576, 576);
    EXPECT_GT(choose_plan(problem_of(small, 8192), kAlgoDefault, Isa::kAvx2, 128).token_block,
              choose_plan(problem_of(small, 8192), kAlgoDefault, Isa::kAvx2, 2).token_block);
}

TEST(Plan, ChoosingAllocatesNothing) {
    const ShapedWeight weight = row_weight(CpuSwizzle::kS16);
    const GemmProblem problem = problem_of(weight, 40);
    const int64_t before = allocations;
    const GemmPlan plan = choose_plan(problem, kAlgoDefault, Isa::kAvx512Bf16, 4);
    EXPECT_EQ(allocations, before);
    EXPECT_GT(plan.workspace_bytes, 0u);
}

}  // namespace
}  // namespace fp6llm::gemm_testing
