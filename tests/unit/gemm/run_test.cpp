// run_gemm as the C ABI calls it: default plans on real problems, against the reference.
#include "core/common/cpu.hpp"
#include "core/common/thread_pool.hpp"
#include "core/gemm/workspace.hpp"
#include "tests/unit/gemm/gemm_testing.hpp"

namespace fp6llm::gemm_testing {
namespace {

/// An executor that runs tasks last to first and counts them.
class ReversedExecutor final : public Executor {
  public:
    explicit ReversedExecutor(int threads) : threads_(threads) {}
    int concurrency() const noexcept override { return threads_; }
    void run(int64_t count, TaskRef task) override {
        for (int64_t i = count - 1; i >= 0; --i)
            task(i);
        tasks += count;
    }
    int64_t tasks = 0;

  private:
    int threads_;
};

struct Output {
    std::vector<float> y;
    GemmPlan plan;
};

GemmPlan plan_for(const GemmProblem& problem, int32_t algo, const Executor& executor) {
    return choose_plan(problem, algo, active_isa(), executor.concurrency());
}

Output run(const GemmProblem& problem, const TokenSource& x, OutputSink sink, const GemmPlan& plan,
           Executor& executor, float before = NAN) {
    Output out;
    out.plan = plan;
    out.y.assign(problem.tokens * problem.outputs(), before);
    sink.data = out.y.data();
    sink.type = DataType::kF32;
    sink.ld = problem.outputs();
    GuardedBuffer workspace(out.plan.workspace_bytes);
    run_gemm(out.plan, problem, x, sink, workspace.data(), executor);
    EXPECT_TRUE(workspace.edges_intact());
    return out;
}

Output run(const GemmProblem& problem, const TokenSource& x, OutputSink sink, int32_t algo,
           Executor& executor, float before = NAN) {
    return run(problem, x, sink, plan_for(problem, algo, executor), executor, before);
}

void expect_near(const std::vector<float>& y, const std::vector<float>& expected, double error) {
    ASSERT_EQ(y.size(), expected.size());
    for (size_t i = 0; i < y.size(); ++i)
        ASSERT_NEAR(y[i], expected[i], error) << i;
}

TEST(Run, DefaultPlansAgreeWithTheReferenceOverBlocks) {
    TestWeight weight(make_spec(DataType::kE2M3, ScaleMode::kGroup, 64), 150, 300, 1);
    Random random(2);
    for (bool transposed : {false, true}) {
        for (int64_t tokens : {1, 2, 9, 70, 450}) {
            const int64_t k = transposed ? 150 : 300;
            TestTokens x(DataType::kF16, tokens, k, false, 0);
            x.fill(random);
            const GemmProblem problem = {&weight.weight(),  transposed,     tokens,
                                         ComputeType::kF32, DataType::kF16, DataType::kF32};
            PoolExecutor executor(3);
            const auto expected = run(problem, x.source(), {}, kAlgoReference, executor).y;
            const Output got = run(problem, x.source(), {}, kAlgoDefault, executor);
            expect_near(got.y, expected, 1e-3);
        }
    }
}

TEST(Run, EveryExecutorGivesTheSameBits) {
    TestWeight weight(make_spec(DataType::kE3M2, ScaleMode::kMx), 400, 512, 3);
    TestTokens x(DataType::kF32, 200, 512, false, 0);
    Random random(4);
    x.fill(random);
    const GemmProblem problem = {&weight.weight(),  false,          200,
                                 ComputeType::kF32, DataType::kF32, DataType::kF32};
    SerialExecutor serial;
    const std::vector<float> expected = run(problem, x.source(), {}, kAlgoDefault, serial).y;
    ReversedExecutor reversed(5);
    const Output got = run(problem, x.source(), {}, kAlgoDefault, reversed);
    EXPECT_EQ(got.y, expected);
    const int64_t blocks = (200 + got.plan.token_block - 1) / got.plan.token_block;
    EXPECT_GT(reversed.tasks, blocks * got.plan.threads) << "packing is shared, too";
    for (int threads : {2, 3, 7}) {
        PoolExecutor pool(threads);
        EXPECT_EQ(run(problem, x.source(), {}, kAlgoDefault, pool).y, expected);
    }
}

/// Every way to cut calls, at their first and last segments and slices of tokens, for every kernel.
TEST(Run, ThreadsShareSegmentsOfCalls) {
    constexpr int64_t kRows = 5 * 16 + 3, kCols = 2600;
    Random random(14);
    int shared = 0;
    for (const QuantSpec& spec :
         {make_spec(DataType::kE3M2, ScaleMode::kRow), make_spec(DataType::kE2M3, ScaleMode::kMx),
          make_spec(DataType::kE2M3, ScaleMode::kGroup, 24)}) {
        TestWeight weight(spec, kRows, kCols, random.bits());
        for (int64_t tokens : {1, 3, 4, 16, 23, 37, 64, 65}) {
            TestTokens x(DataType::kF32, tokens, kCols, tokens == 4, 0);
            x.fill(random);
            const GemmProblem problem = {
                &weight.weight(), false,
                tokens,           tokens % 2 != 0 ? ComputeType::kF32 : ComputeType::kF32FastI8,
                DataType::kF32,   DataType::kF32};
            SerialExecutor serial;
            const auto exact = run(problem, x.source(), {}, kAlgoReference, serial).y;
            for (const GemmPlan& listed : plan_gemm(problem, active_isa(), 1)) {
                if (listed.kernel == nullptr) continue;
                SCOPED_TRACE(std::string(listed.name) + ", " + std::to_string(tokens) + " tokens");
                EXPECT_EQ(listed.split_k.segments, tokens > 64 ? 1 : 2);
                const std::vector<float> expected = run(problem, x.source(), {}, listed, serial).y;
                expect_near(expected, exact,
                            listed.kernel->arithmetic == Arithmetic::kF32 ? 2e-2 : 20);
                for (int threads : {2, 3, 4, 5, 7, 11, 29}) {
                    GemmPlan plan = listed;
                    plan.threads = threads;
                    plan.workspace_bytes = workspace_layout(plan).total;
                    ReversedExecutor reversed(threads);
                    ASSERT_EQ(run(problem, x.source(), {}, plan, reversed).y, expected) << threads;
                    PoolExecutor pool(threads);
                    ASSERT_EQ(run(problem, x.source(), {}, plan, pool).y, expected) << threads;
                    const int64_t step = plan.kernel->panels_per_call;
                    shared += split_work((6 + step - 1) / step, plan.token_block,
                                         plan.kernel->token_tile, 2, threads)
                                  .segments > 1;
                }
            }
        }
    }
    EXPECT_GT(shared, 20);
}

/// Where k is not cut, as a weight of many panels would have it.
TEST(Run, ColumnsOfAFewTokensArePackedInParallel) {
    TestWeight weight(make_spec(DataType::kE3M2, ScaleMode::kRow), 400, 9000, 3);
    Random random(4);
    int packed_by_columns = 0;
    for (int64_t tokens : {2, 4, 5, 13, 20}) {
        TestTokens x(DataType::kF32, tokens, 9000, false, 0);
        x.fill(random);
        const GemmProblem problem = {&weight.weight(),  false,          tokens,
                                     ComputeType::kF32, DataType::kF32, DataType::kF32};
        for (const GemmPlan& listed : plan_gemm(problem, active_isa(), 1)) {
            if (listed.kernel == nullptr) continue;
            const auto run_whole = [&](Executor& executor) {
                GemmPlan plan = plan_for(problem, listed.algo, executor);
                plan.split_k = {9000, 0, 1};
                plan.workspace_bytes = workspace_layout(plan).total;
                return run(problem, x.source(), {}, plan, executor);
            };
            SerialExecutor serial;
            const std::vector<float> expected = run_whole(serial).y;
            ReversedExecutor reversed(9);
            const Output got = run_whole(reversed);
            EXPECT_EQ(got.y, expected);
            PoolExecutor pool(9);
            EXPECT_EQ(run_whole(pool).y, expected);
            const CpuGemmKernel& kernel = *listed.kernel;
            if (kernel.pack_columns == nullptr || got.plan.token_block < tokens) continue;
            const int64_t tile = kernel.token_tile > 0 ? kernel.token_tile : tokens;
            const int64_t tiles = (tokens + tile - 1) / tile;
            if (4 * tiles > std::min<int64_t>(got.plan.threads, tokens * 9000 / 4096)) continue;
            const int64_t calls = (25 + kernel.panels_per_call - 1) / kernel.panels_per_call;
            const WorkSplit split = split_work(calls, got.plan.token_block, kernel.token_tile,
                                               /*segments=*/1, got.plan.threads);
            EXPECT_GE(reversed.tasks, split.threads + 4 * tiles) << kernel.name;
            ++packed_by_columns;
        }
    }
    EXPECT_GT(packed_by_columns, 0);
}

TEST(Run, EpilogueFollowsTheProduct) {
    TestWeight weight(make_spec(DataType::kE3M2, ScaleMode::kRow), 50, 96, 5);
    TestTokens x(DataType::kBF16, 6, 96, false, 0);
    Random random(6);
    x.fill(random, 0.1);
    std::vector<float> bias(50), residual(6 * 50);
    for (float& v : bias)
        v = static_cast<float>(random.uniform(-1, 1));
    for (float& v : residual)
        v = static_cast<float>(random.uniform(-1, 1));
    OutputSink sink{};
    sink.alpha = 0.5f;
    sink.beta = -1;
    sink.bias = bias.data();
    sink.activation = Activation::kGelu;
    sink.residual = residual.data();
    sink.ldr = 50;
    const GemmProblem problem = {&weight.weight(),  false,           6,
                                 ComputeType::kF32, DataType::kBF16, DataType::kF32};
    SerialExecutor serial;
    expect_near(run(problem, x.source(), sink, kAlgoDefault, serial, 0.25f).y,
                run(problem, x.source(), sink, kAlgoReference, serial, 0.25f).y, 1e-4);
}

TEST(Run, WithoutAProductOnlyTheEpilogueIsLeft) {
    TestWeight weight(make_spec(DataType::kE3M2, ScaleMode::kRow), 40, 64, 7);
    const TokenSource unreadable = {nullptr, DataType::kF32, 64, 64, 1};
    const GemmProblem problem = {&weight.weight(),  false,          3,
                                 ComputeType::kF32, DataType::kF32, DataType::kF32};
    std::vector<float> bias(40);
    for (size_t i = 0; i < bias.size(); ++i)
        bias[i] = static_cast<float>(i) - 20;
    OutputSink sink{};
    sink.alpha = 0;
    sink.beta = 2;
    sink.bias = bias.data();
    sink.activation = Activation::kRelu;
    SerialExecutor serial;
    for (int32_t algo : {kAlgoDefault, kAlgoReference}) {
        const Output got = run(problem, unreadable, sink, algo, serial, 1.5f);
        for (size_t i = 0; i < got.y.size(); ++i) {
            EXPECT_EQ(got.y[i], std::max(3 + bias[i % 40], 0.0f));
        }
    }
    // beta == 0 as well: poisoned outputs become zeros, even with an infinite alpha of nothing.
    std::vector<float> y(120, NAN);
    OutputSink zero{y.data(), DataType::kF32, 40};
    zero.alpha = INFINITY;
    run_epilogue(zero, 40, 3);
    EXPECT_EQ(y, std::vector<float>(120, 0.0f));
}

TEST(Run, NoTokensIsANoOp) {
    TestWeight weight(make_spec(DataType::kE3M2, ScaleMode::kRow), 40, 64, 8);
    const GemmProblem problem = {&weight.weight(),  false,          0,
                                 ComputeType::kF32, DataType::kF32, DataType::kF32};
    SerialExecutor serial;
    for (int32_t algo : {kAlgoDefault, kAlgoReference}) {
        EXPECT_TRUE(run(problem, {nullptr, DataType::kF32, 64, 64, 1}, {}, algo, serial).y.empty());
    }
}

}  // namespace
}  // namespace fp6llm::gemm_testing
