// Every kernel of a set against the naive fp64 product, over a generated grid of shapes, formats,
// scale modes, types, strides, scalars and thread counts. Each run checks the edges of all buffers,
// that inputs stay as they are, and that outputs between rows do.
//
//   FP6LLM_KERNEL_GRID(Name, sets, isa)   defines the tests; `sets` is an expression of type
//                                         std::vector<const CpuKernelSet*>, `isa` what may run.
//
// Error bounds, in units u = 2^-24 of the sum of magnitudes |w x|. Products, scale, alpha and the
// output round once each: 4 u at most. The additions of a sum of random sign walk randomly over
// partial sums that grow like sqrt(k), while the sum of magnitudes grows like k: about 1 u whatever
// k is, and 3 u in the tail. The worst seen over this grid is 6.5 u; the bound is 10 u. A bf16
// kernel rounds activations of other types to 8 bits: 2^-9 of the sum of magnitudes in the worst
// case; two bf16 parts keep 16 bits of fp32. Integer kernels round each block of activations to
// steps of its largest (integer_reference.hpp).
#pragma once

#include <algorithm>
#include <functional>
#include <numeric>

#include "core/common/thread_pool.hpp"
#include "core/gemm/workspace.hpp"
#include "tests/unit/gemm/gemm_testing.hpp"
#include "tests/unit/gemm/integer_reference.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace fp6llm::gemm_testing {

constexpr double kExactBound = 10 * 0x1p-24;
constexpr double kBf16Bound = 0x1p-8;
constexpr double kBf16x2Bound = 0x1p-16;

/// One kernel of one set; nullptr for the set's decode_panel in the transposed product.
struct KernelUnderTest {
    const CpuKernelSet* set;
    const CpuGemmKernel* kernel;
    ComputeType hint{};  ///< compute_hint of its weights
    std::string name() const {
        const std::string own =
            kernel != nullptr ? kernel->name : std::string("transposed on ") + isa_name(set->isa);
        return hint == ComputeType{} ? own : own + ", weights for int8";
    }
};

/// Everything about a run but the weight and the activations.
struct RunOptions {
    DataType y_type = DataType::kF32;
    float alpha = 1, beta = 0;
    int64_t y_pad = 0;
    int threads = 1;
    int64_t segments = 1;  ///< of k, at most (cut_k)
    ComputeType compute = ComputeType::kF32;
    double absolute_error = 0;  ///< allowed on top of the relative bound
};

/// k in at most `segments`, as short as they may be.
inline SplitK cut_k(const TestWeight& weight, int64_t k, int64_t segments) {
    const int64_t step = std::lcm(int64_t{128}, std::max<int64_t>(weight.view().group_size, 1));
    return {k, step, std::clamp<int64_t>(segments, 1, (k + step - 1) / step)};
}

inline GemmProblem make_problem(const KernelUnderTest& under_test, const TestWeight& weight,
                                const TestTokens& x, const RunOptions& options) {
    return {&weight.weight(), under_test.kernel == nullptr, x.tokens(), options.compute, x.type(),
            options.y_type};
}

inline Arithmetic arithmetic_of(const KernelUnderTest& under_test) {
    return under_test.kernel != nullptr ? under_test.kernel->arithmetic : Arithmetic::kF32;
}

/// The compute type that lets a kernel run with any activation type.
inline ComputeType compute_for(const KernelUnderTest& under_test) {
    switch (arithmetic_of(under_test)) {
        case Arithmetic::kF32:
            return ComputeType::kF32;
        case Arithmetic::kBf16:
            return ComputeType::kF32FastBF16;
        case Arithmetic::kBf16x2:
            return ComputeType::kF32FastF16;
        case Arithmetic::kI16:
            return ComputeType::kF32FastI16;
        case Arithmetic::kI8:
            return ComputeType::kF32FastI8;
    }
    return ComputeType::kF32;
}

/// A six-bit format that a kernel takes: E3M2, except where it or its weights' layout is for the E2M3
/// family only.
inline DataType format_for(const KernelUnderTest& under_test) {
    const bool is_int8 =
        arithmetic_of(under_test) == Arithmetic::kI8 || under_test.hint == ComputeType::kF32FastI8;
    return is_int8 ? DataType::kE2M3 : DataType::kE3M2;
}

/// What a kernel may do to activations, as an error of one output.
inline double activation_error(const KernelUnderTest& under_test, const TestWeight& weight,
                               const TestTokens& x, int64_t token, int64_t output,
                               double magnitude) {
    const Arithmetic arithmetic = arithmetic_of(under_test);
    switch (arithmetic) {
        case Arithmetic::kF32:
            return 0;
        case Arithmetic::kBf16:
            return x.type() == DataType::kBF16 ? 0 : kBf16Bound * magnitude;
        case Arithmetic::kBf16x2:
            return x.type() == DataType::kF32 ? kBf16x2Bound * magnitude : 0;
        case Arithmetic::kI16:
        case Arithmetic::kI8:
            return integer_error(weight, output, x, token, arithmetic);
    }
    return 0;
}

/// Runs and returns Y's bytes; every check but that of the values is made here.
inline std::vector<uint8_t> run_kernel(const KernelUnderTest& under_test, TestWeight& weight,
                                       TestTokens& x, const RunOptions& options,
                                       const std::vector<float>& y_before = {}) {
    const GemmProblem problem = make_problem(under_test, weight, x, options);
    GemmPlan plan = make_plan(problem, *under_test.set, under_test.kernel, options.threads);
    plan.threads = options.threads;  // small problems too
    if (under_test.kernel != nullptr) {
        plan.split_k = cut_k(weight, problem.k(), options.segments);
        plan.workspace_bytes = workspace_layout(plan).total;
    } else {
        plan.workspace_bytes = transposed_workspace(plan, problem).total;
    }
    const int64_t outputs = problem.outputs(), ld = outputs + options.y_pad;
    GuardedBuffer y(((problem.tokens - 1) * ld + outputs) * float_bytes(options.y_type));
    for (size_t i = 0; i < y_before.size(); ++i) {
        const auto t = static_cast<int64_t>(i) / outputs, o = static_cast<int64_t>(i) % outputs;
        write_float(y.data(), options.y_type, t * ld + o, y_before[i]);
    }
    GuardedBuffer workspace(plan.workspace_bytes);
    const std::vector<uint8_t> x_before = x.buffer().copy();
    OutputSink sink{y.data(), options.y_type, ld};
    sink.alpha = options.alpha;
    sink.beta = options.beta;
    PoolExecutor executor(options.threads);
    run_gemm(plan, problem, x.source(), sink, workspace.data(), executor);

    EXPECT_TRUE(y.edges_intact());
    EXPECT_TRUE(workspace.edges_intact());
    EXPECT_TRUE(x.buffer().edges_intact());
    EXPECT_EQ(x.buffer().copy(), x_before);
    EXPECT_TRUE(weight.intact());
    const int64_t element = static_cast<int64_t>(float_bytes(options.y_type));
    for (int64_t t = 0; t + 1 < problem.tokens; ++t) {
        for (int64_t b = (t * ld + outputs) * element; b < (t + 1) * ld * element; ++b) {
            EXPECT_EQ(y.data()[b], 0xFF) << "between rows, after token " << t;
            if (y.data()[b] != 0xFF) return y.copy();
        }
    }
    return y.copy();
}

/// Runs and compares with the naive product, at all outputs or at about `samples` of them.
inline void check_kernel(const KernelUnderTest& under_test, TestWeight& weight, TestTokens& x,
                         const RunOptions& options, int64_t samples = 1 << 20) {
    const GemmProblem problem = make_problem(under_test, weight, x, options);
    const int64_t outputs = problem.outputs(), k = problem.k(), ld = outputs + options.y_pad;
    SCOPED_TRACE(under_test.name() + ", " + weight.describe() + ", " + std::to_string(x.tokens()) +
                 " tokens of " + type_name(x.type()) + " to " + type_name(options.y_type) +
                 ", alpha " + std::to_string(options.alpha) + ", beta " +
                 std::to_string(options.beta) + ", " + std::to_string(options.threads) +
                 " threads, " + std::to_string(options.segments) + " segments");
    std::vector<float> y_before;
    if (options.beta != 0) {
        Random random(outputs);
        y_before.resize(static_cast<size_t>(problem.tokens * outputs));
        for (float& value : y_before)
            value = static_cast<float>(random.uniform(-4, 4));
    }
    const std::vector<uint8_t> y = run_kernel(under_test, weight, x, options, y_before);

    const int64_t total = problem.tokens * outputs;
    const int64_t stride = total <= samples ? 1 : total / samples | 1;
    for (int64_t i = 0; i < total; i += stride) {
        const int64_t token = i / outputs, output = i % outputs;
        const NaiveSum naive = naive_sum(weight, problem.transposed, x, token, output, k);
        const double got = read_float(y.data(), options.y_type, token * ld + output);
        double old = 0;
        if (options.beta != 0) {
            uint32_t storage;
            write_float(&storage, options.y_type, 0, y_before[i]);
            old = options.beta * read_float(&storage, options.y_type, 0);
        }
        double expected = options.alpha * naive.sum + old;
        if (is_integer(arithmetic_of(under_test)) && !std::isfinite(naive.sum)) {
            expected = std::nan("");
        }
        if (!std::isfinite(expected)) {
            ASSERT_TRUE(std::isnan(expected) ? std::isnan(got) : got == expected)
                << "token " << token << " output " << output << ": " << got << ", not " << expected;
            continue;
        }
        const double rounding =
            kExactBound * naive.magnitude +
            activation_error(under_test, weight, x, token, output, naive.magnitude);
        const double error =
            std::fabs(options.alpha) * rounding + 0x1p-23 * std::fabs(old) + options.absolute_error;
        // Rounding to the output's type keeps the order, so it maps the interval to an interval.
        ASSERT_TRUE(got >= round_to(options.y_type, expected - error) &&
                    got <= round_to(options.y_type, expected + error))
            << "token " << token << " output " << output << ": " << got << ", not " << expected
            << " +- " << error;
    }
}

class KernelGrid {
  public:
    /// Kernels that can read weights as this process packs them, with or without a hint of int8 where that
    /// makes a difference; a set without any is left out.
    KernelGrid(const std::vector<const CpuKernelSet*>& sets, Isa isa) {
        CpuSwizzle last{};
        for (const ComputeType hint : {ComputeType{}, ComputeType::kF32FastI8}) {
            QuantSpec spec = make_spec(DataType::kE2M3, ScaleMode::kRow);
            spec.compute_hint = hint;
            const CpuSwizzle swizzle = packed_swizzle(spec);
            if (swizzle == last) continue;
            last = swizzle;
            for (const CpuKernelSet* set : sets) {
                bool reads_swizzle = false;
                for (int i = 0; i < set->count; ++i) {
                    const CpuGemmKernel& kernel = set->kernels[i];
                    if (set->isa != Isa::kPortable && kernel.swizzle != swizzle) continue;
                    reads_swizzle = true;
                    if (kernel.isa <= isa) under_test_.push_back({set, &kernel, hint});
                }
                if (reads_swizzle) under_test_.push_back({set, nullptr, hint});
            }
        }
    }

    bool empty() const { return under_test_.empty(); }

    /// Every format, scale mode and activation type, plain and transposed, at shapes that divide
    /// nothing; the rest varies along.
    void formats_and_scales() {
        static const Shape kShapes[] = {{1, 1}, {17, 3}, {16, 16}, {33, 48}, {40, 280}, {70, 1037}};
        static const Source kSources[] = {{DataType::kF32, false},  {DataType::kF32, true},
                                          {DataType::kF16, false},  {DataType::kF16, true},
                                          {DataType::kBF16, false}, {DataType::kBF16, true}};
        for_each_kernel([&](const KernelUnderTest& under_test) {
            size_t turn = 0;  // which shape meets which source
            for (const FormatInfo& format : all_formats()) {
                for (const QuantSpec& spec : specs(format.type)) {
                    ++turn;
                    for (size_t i = 0; i < 6; ++i) {
                        const Source& source = kSources[(i + turn) % 6];
                        const int64_t tokens = 1 + random_.below(20);
                        if (!run_one(under_test, spec, kShapes[i], source, tokens, 512)) return;
                    }
                }
            }
        });
    }

    /// Every number of tokens up to 37, and up to thousands, which need several blocks.
    void token_counts() {
        for_each_kernel([&](const KernelUnderTest& under_test) {
            for (int64_t tokens = 1; tokens <= 37; ++tokens) {
                const DataType format = (tokens & 1) ? format_for(under_test) : DataType::kE2M3;
                const ScaleMode mode = tokens % 3 == 0   ? ScaleMode::kRow
                                       : tokens % 3 == 1 ? ScaleMode::kGroup
                                                         : ScaleMode::kMx;
                const QuantSpec spec = make_spec(format, mode, mode == ScaleMode::kGroup ? 48 : 0);
                if (!run_one(under_test, spec, {49, 208}, draw_source(), tokens, 1 << 20)) return;
            }
            const QuantSpec spec = make_spec(format_for(under_test), ScaleMode::kRow);
            for (int64_t tokens : {64, 65, 97, 130, 200, 389, 1100, 2311}) {
                if (!run_one(under_test, spec, {33, 32}, draw_source(), tokens, 4096)) return;
            }
        });
    }

    /// Layers of a small model (SmolLM2), at a sample of the outputs.
    void layer_shapes() {
        for_each_kernel([&](const KernelUnderTest& under_test) {
            for (const Shape& shape : {Shape{576, 576}, Shape{1536, 576}, Shape{576, 1536}}) {
                const QuantSpec spec = make_spec(DataType::kE2M3, ScaleMode::kGroup, 128);
                if (!run_one(under_test, spec, shape, draw_source(), 5, 300)) return;
            }
        });
    }

    /// Scales at both ends of fp32: neither partial sums nor scaled weights may leave its range.
    void extreme_scales() {
        for_each_kernel([&](const KernelUnderTest& under_test) {
            for (const QuantSpec& spec : specs(format_for(under_test))) {
                for (Scales scales : {Scales::kTiny, Scales::kHuge}) {
                    TestWeight weight = draw_weight(under_test, spec, 19, 100, scales);
                    TestTokens x(DataType::kF32, 3, under_test.kernel != nullptr ? 100 : 19, false,
                                 0);
                    x.fill(random_, scales == Scales::kTiny ? 1.0 : 0x1p-20);
                    RunOptions options;
                    options.compute = compute_for(under_test);
                    if (!can_run(under_test, weight, x, options)) continue;
                    // A sum below the normal range is off by a few of the last place's steps.
                    options.absolute_error = 0x1p-145;
                    check_kernel(under_test, weight, x, options);
                    if (::testing::Test::HasFailure()) return;
                }
            }
        });
    }

    /// NaN and infinities reach the outputs of their token, as IEEE arithmetic has it (as NaN from
    /// integer kernels), and no other.
    void special_activations() {
        for_each_kernel([&](const KernelUnderTest& under_test) {
            for (DataType type : {DataType::kF32, DataType::kF16, DataType::kBF16}) {
                const QuantSpec spec = make_spec(format_for(under_test), ScaleMode::kRow);
                TestWeight weight = draw_weight(under_test, spec, 35, 67);
                const int64_t k = under_test.kernel != nullptr ? 67 : 35;
                TestTokens x(type, 9, k, false, 1);
                x.fill(random_);
                x.set(1, 5, std::nanf(""));
                x.set(3, 17, INFINITY);
                x.set(4, k - 1, -INFINITY);
                x.set(5, 0, INFINITY);
                x.set(5, 1, -INFINITY);
                for (int64_t i = 0; i < k; ++i)
                    x.set(7, i, 0.0f);
                RunOptions options;
                options.compute = compute_for(under_test);
                check_kernel(under_test, weight, x, options);
                if (::testing::Test::HasFailure()) return;
            }
        });
    }

    /// Subnormal activations, alone and beside ordinary ones. A kernel may treat as zero what is
    /// subnormal in fp32 (bf16 dot products do), not what is so in fp16.
    void subnormal_activations() {
        for_each_kernel([&](const KernelUnderTest& under_test) {
            for (DataType type : {DataType::kF32, DataType::kF16, DataType::kBF16}) {
                const double tiny = type == DataType::kF16 ? 0x1p-15 : 0x1p-127;
                TestWeight weight =
                    draw_weight(under_test, make_spec(DataType::kE2M3, ScaleMode::kMx), 20, 64);
                TestTokens x(type, 4, under_test.kernel != nullptr ? 64 : 20, false, 0);
                x.fill(random_, tiny);
                x.set(1, 3, 1.0f);
                RunOptions options;
                options.compute = compute_for(under_test);
                // 64 products of a lost x (< 2^-126) with a weight up to 7.5 * 2^2.
                if (type != DataType::kF16) options.absolute_error = 64 * 30 * 0x1p-126;
                check_kernel(under_test, weight, x, options);
                if (::testing::Test::HasFailure()) return;
            }
        });
    }

    /// A tile packed in parts, in any order, is the tile packed at once, alone or in a block of three.
    void packed_by_columns() {
        for_each_kernel([&](const KernelUnderTest& under_test) {
            const CpuGemmKernel* kernel = under_test.kernel;
            if (kernel == nullptr || kernel->pack_columns == nullptr) return;
            const int64_t tile = kernel->token_tile > 0 ? kernel->token_tile : kernel->max_tokens;
            for (int64_t k : {1, 255, 256, 257, 1000, 2048}) {
                for (int64_t tokens = 1; tokens <= tile; ++tokens) {
                    const Source source = draw_source();
                    SCOPED_TRACE(under_test.name() + ", k " + std::to_string(k) + ", tokens " +
                                 std::to_string(tokens));
                    TestTokens x(source.type, tokens + 2, k, source.transposed, 3);
                    x.fill(random_);
                    const int64_t before = kernel->token_tile > 0 ? random_.below(2) * 2 * tile : 0;
                    const int64_t block = before + tokens;
                    const size_t bytes = kernel->packed_bytes(k, block);
                    GuardedBuffer once(bytes), parts(bytes);
                    std::vector<float> factor(static_cast<size_t>(block)), factors = factor;
                    kernel->pack_tokens(x.source(), 2,
                                        {once.data(), factor.data(), block, before, tokens});
                    const int64_t steps = (k + kPackStep - 1) / kPackStep;
                    const int64_t count = 1 + random_.below(steps);
                    for (int64_t part = count - 1; part >= 0; --part) {
                        const IndexRange range = split_range(steps, part, count);
                        kernel->pack_columns(x.source(), 2, range.begin * kPackStep,
                                             std::min(k, range.end * kPackStep),
                                             {parts.data(), factors.data(), block, before, tokens});
                    }
                    ASSERT_EQ(parts.copy(), once.copy());
                    ASSERT_EQ(factors, factor);
                    ASSERT_TRUE(parts.edges_intact());
                }
            }
        });
    }

    /// The same bits from any number of threads, and with flush-to-zero set by the host.
    void same_bits() {
        for_each_kernel([&](const KernelUnderTest& under_test) {
            bool cut = false;
            for (const QuantSpec& spec : specs(format_for(under_test))) {
                cut = !cut;  // k, in every other case
                const int64_t cols = cut ? 700 : 200;
                TestWeight weight = draw_weight(under_test, spec, 7 * 16 + 3, cols);
                TestTokens x(DataType::kF16, 21, under_test.kernel != nullptr ? cols : 115, false,
                             0);
                x.fill(random_);
                RunOptions options;
                options.compute = compute_for(under_test);
                options.segments = cut ? 3 : 1;
                if (!can_run(under_test, weight, x, options)) continue;
                SCOPED_TRACE(under_test.name() + ", " + weight.describe());
                const std::vector<uint8_t> once = run_kernel(under_test, weight, x, options);
                for (int threads : {2, 3, 7, 19, 50}) {
                    options.threads = threads;
                    ASSERT_EQ(run_kernel(under_test, weight, x, options), once) << threads;
                }
#if defined(__x86_64__)
                const unsigned host = _mm_getcsr();
                _mm_setcsr(host | 0x8040);  // flush to zero, denormals are zero
                const std::vector<uint8_t> flushed = run_kernel(under_test, weight, x, options);
                const unsigned after = _mm_getcsr();
                _mm_setcsr(host);
                ASSERT_EQ(flushed, once);
                ASSERT_EQ(after & 0x8040u, 0x8040u) << "the host's setting is lost";
#endif
            }
        });
    }

    /// Integer kernels give the bits of their definition: every format and scale mode, shapes around
    /// the ends of tiles, groups and activation blocks, every token count up to 37, any threads.
    void integer_arithmetic() {
        static const Shape kShapes[] = {{1, 1},    {17, 7},   {16, 64},  {33, 65},
                                        {40, 127}, {35, 136}, {19, 280}, {70, 1037}};
        for_each_kernel([&](const KernelUnderTest& under_test) {
            if (!is_integer(arithmetic_of(under_test))) return;
            int64_t tokens = 0;
            for (const FormatInfo& format : all_formats()) {
                for (QuantSpec spec : specs(format.type)) {
                    for (const Shape& shape : kShapes) {
                        tokens = tokens % 37 + 1;
                        if (!check_integers(under_test, spec, shape, tokens)) return;
                    }
                }
            }
            for (int64_t group : {16, 48, 64, 72, 136, 192}) {
                const QuantSpec spec = make_spec(format_for(under_test), ScaleMode::kGroup, group);
                if (!check_integers(under_test, spec, {35, 400}, group / 8)) return;
            }
            for (int64_t many : {64, 97, 389}) {
                const QuantSpec spec = make_spec(format_for(under_test), ScaleMode::kMx);
                if (!check_integers(under_test, spec, {49, 200}, many)) return;
            }
            // Sums as large as they get, in every scale mode.
            for (const DataType format : {DataType::kE2M3, DataType::kE3M2}) {
                for (const QuantSpec& spec : specs(format)) {
                    if (!check_integers(under_test, spec, {37, 272}, 7, Codes::kLargest)) return;
                    if (!check_integers(under_test, spec, {37, 272}, 40, Codes::kLargest)) return;
                }
            }
            // Exponents of a span as close as most are, further apart, and anything.
            for (int64_t cols : {96, 128, 160, 1056}) {
                for (const DataType format : {DataType::kE2M3, DataType::kE3M2}) {
                    for (int64_t few : {1, 4, 9, 33}) {
                        const QuantSpec spec = make_spec(format, ScaleMode::kMx);
                        if (!check_integers(under_test, spec, {37, cols}, few)) return;
                    }
                }
            }
        });
    }

  private:
    struct Shape {
        int64_t rows, cols;
    };
    struct Source {
        DataType type;
        bool transposed;
    };

    Source draw_source() {
        constexpr DataType kTypes[] = {DataType::kF32, DataType::kF16, DataType::kBF16};
        const DataType type = kTypes[random_.below(3)];
        return {type, random_.below(3) == 0};
    }

    static std::vector<QuantSpec> specs(DataType format) {
        std::vector<QuantSpec> all = {make_spec(format, ScaleMode::kRow),
                                      make_spec(format, ScaleMode::kMx)};
        for (int64_t group : {16, 24, 32, 40, 128, 4096}) {
            all.push_back(make_spec(format, ScaleMode::kGroup, group));
        }
        return all;
    }

    static bool can_run(const KernelUnderTest& under_test, const TestWeight& weight,
                        const TestTokens& x, const RunOptions& options) {
        if (under_test.kernel == nullptr) return true;
        const bool reads = under_test.set->isa == Isa::kPortable ||
                           under_test.kernel->swizzle == weight.view().swizzle;
        return reads &&
               kernel_can_run(*under_test.kernel, make_problem(under_test, weight, x, options));
    }

    TestWeight draw_weight(const KernelUnderTest& under_test, QuantSpec spec, int64_t rows,
                           int64_t cols, Scales scales = Scales::kOrdinary,
                           Codes codes = Codes::kAny) {
        spec.compute_hint = under_test.hint;
        return {spec, rows, cols, random_.bits(), scales, codes};
    }

    void for_each_kernel(const std::function<void(const KernelUnderTest&)>& check) {
        for (const KernelUnderTest& under_test : under_test_) {
            random_ = Random(2024);
            check(under_test);
            if (::testing::Test::HasFailure()) return;
        }
    }

    /// One run with the output's type, strides, scalars and threads drawn at random; false once one
    /// failed.
    bool run_one(const KernelUnderTest& under_test, const QuantSpec& spec, const Shape& shape,
                 const Source& source, int64_t tokens, int64_t samples) {
        constexpr float kScalars[][2] = {{1, 0}, {1, 0}, {1, 1}, {-0.75f, 0}, {0.5f, -2}};
        constexpr int kThreads[] = {1, 2, 3, 7};
        TestWeight weight = draw_weight(under_test, spec, shape.rows, shape.cols);
        TestTokens x(source.type, tokens, under_test.kernel != nullptr ? shape.cols : shape.rows,
                     source.transposed, random_.below(2) * 5);
        x.fill(random_);
        RunOptions options;
        options.y_type = random_.below(2) ? DataType::kF32 : source.type;
        const float* scalars = kScalars[random_.below(5)];
        options.alpha = scalars[0];
        options.beta = scalars[1];
        options.y_pad = random_.below(2) * 3;
        options.threads = kThreads[random_.below(4)];
        options.segments = 1 + random_.below(4);
        options.compute = compute_for(under_test);
        if (can_run(under_test, weight, x, options)) {
            check_kernel(under_test, weight, x, options, samples);
        }
        return !::testing::Test::HasFailure();
    }

    /// Activations that put the definition's every case into some block of some token.
    void fill_integer_cases(TestTokens& x, int64_t k) {
        x.fill(random_);
        const bool f16 = x.type() == DataType::kF16;
        // Largest magnitudes on both sides of what counts as zero, and near the ends of the range.
        const double magnitudes[] = {0, 0x1p-99, 0x1p-100, 0x1p-101, 0x1p-130, 0x1p40, 0x1p100};
        for (int64_t t = 0; t < x.tokens(); ++t) {
            const int64_t kind = random_.below(6);
            const int64_t at = random_.below(k);
            if (kind == 0) x.set(t, at, f16 ? 60000.0f : 1e6f);  // an outlier, the others become 0
            if (kind == 1) x.set(t, at, random_.below(2) ? std::nanf("") : -INFINITY);
            if (kind == 2 || kind == 3) {
                const double magnitude =
                    magnitudes[f16 ? 0 : static_cast<size_t>(random_.below(7))];
                const int64_t first = kind == 2 ? 0 : at / 64 * 64;  // a token, or a block
                const int64_t last = kind == 2 ? k : std::min(first + 64, k);
                for (int64_t i = first; i < last; ++i)
                    x.set(t, i, static_cast<float>(magnitude * random_.uniform(-1, 1)));
                x.set(t, at, static_cast<float>(magnitude));
            }
        }
    }

    /// One run against integer_sum, every output, bit for bit (any NaN for a NaN).
    bool check_integers(const KernelUnderTest& under_test, const QuantSpec& spec,
                        const Shape& shape, int64_t tokens, Codes codes = Codes::kAny) {
        constexpr int kThreads[] = {1, 2, 3, 7};
        constexpr Scales kScales[] = {Scales::kOrdinary, Scales::kClose, Scales::kClose,
                                      Scales::kFar,      Scales::kTiny,  Scales::kHuge};
        const Arithmetic arithmetic = arithmetic_of(under_test);
        const Source source = draw_source();
        const Scales scales = codes == Codes::kAny ? kScales[random_.below(6)] : Scales::kClose;
        TestWeight weight = draw_weight(under_test, spec, shape.rows, shape.cols, scales, codes);
        TestTokens x(source.type, tokens, shape.cols, source.transposed, random_.below(2) * 5);
        if (codes == Codes::kAny) {
            fill_integer_cases(x, shape.cols);
        } else {
            for (int64_t i = 0; i < tokens * shape.cols; ++i)
                x.set(i / shape.cols, i % shape.cols, i / shape.cols % 2 == 0 ? 1.0f : -1.0f);
        }
        RunOptions options;
        options.threads = kThreads[random_.below(4)];
        options.segments = 1 + random_.below(4);
        options.compute = compute_for(under_test);
        if (!can_run(under_test, weight, x, options)) return true;
        SCOPED_TRACE(under_test.name() + ", " + weight.describe() + ", " + std::to_string(tokens) +
                     " tokens of " + type_name(source.type));
        const std::vector<uint8_t> y = run_kernel(under_test, weight, x, options);
        const SplitK split = cut_k(weight, shape.cols, options.segments);
        for (int64_t t = 0; t < tokens; ++t) {
            const IntegerToken token = integer_token(x, t, shape.cols, arithmetic);
            for (int64_t row = 0; row < shape.rows; ++row) {
                const float expected = integer_sum(weight, row, token, arithmetic, split);
                float got;
                std::memcpy(&got, y.data() + (t * shape.rows + row) * 4, 4);
                const bool same =
                    std::isnan(expected) ? std::isnan(got) : std::memcmp(&got, &expected, 4) == 0;
                EXPECT_TRUE(same) << "token " << t << " row " << row << ": " << got << ", not "
                                  << expected;
                if (!same) return false;
            }
        }
        return !::testing::Test::HasFailure();
    }

    std::vector<KernelUnderTest> under_test_;
    Random random_{2024};
};

#define FP6LLM_KERNEL_GRID_TEST(suite, sets, isa, name, part)                         \
    TEST(suite, name) {                                                               \
        fp6llm::gemm_testing::KernelGrid grid(sets, isa);                             \
        if (grid.empty())                                                             \
            GTEST_SKIP() << "no such processor, or no kernel that reads the swizzle"; \
        grid.part();                                                                  \
    }

#define FP6LLM_KERNEL_GRID(suite, sets, isa)                                               \
    FP6LLM_KERNEL_GRID_TEST(suite, sets, isa, FormatsAndScales, formats_and_scales)        \
    FP6LLM_KERNEL_GRID_TEST(suite, sets, isa, TokenCounts, token_counts)                   \
    FP6LLM_KERNEL_GRID_TEST(suite, sets, isa, LayerShapes, layer_shapes)                   \
    FP6LLM_KERNEL_GRID_TEST(suite, sets, isa, ExtremeScales, extreme_scales)               \
    FP6LLM_KERNEL_GRID_TEST(suite, sets, isa, SpecialActivations, special_activations)     \
    FP6LLM_KERNEL_GRID_TEST(suite, sets, isa, SubnormalActivations, subnormal_activations) \
    FP6LLM_KERNEL_GRID_TEST(suite, sets, isa, IntegerArithmetic, integer_arithmetic)       \
    FP6LLM_KERNEL_GRID_TEST(suite, sets, isa, PackedByColumns, packed_by_columns)          \
    FP6LLM_KERNEL_GRID_TEST(suite, sets, isa, SameBits, same_bits)

}  // namespace fp6llm::gemm_testing
