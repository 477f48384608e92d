// How a product's work is shared out among 1 to 128 threads: simulated for the shapes of LLMs, in
// tokens of work as work_split.hpp counts them. What cannot be even is a matter of units: segments of k of
// a kernel call while there are few tokens, tiles of tokens of a call when there are more. No thread ever
// works longer than its even share and one unit.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>

#include "core/common/thread_pool.hpp"
#include "core/common/work_split.hpp"
#include "core/prepack/blob.hpp"
#include "tests/unit/gemm/gemm_testing.hpp"

namespace fp6llm::gemm_testing {
namespace {

/// A weight without contents, which plans do not read: as large as any model's in no memory.
class HollowWeight {
  public:
    HollowWeight(int64_t rows, int64_t cols, CpuSwizzle swizzle) {
        const QuantSpec spec = make_spec(DataType::kE3M2, ScaleMode::kRow);
        bytes_ = Weight::blob_bytes(spec, rows, cols);
        memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        const BlobHeader header = make_blob_header(kBlobBackendCpu, static_cast<uint32_t>(swizzle),
                                                   spec, rows, cols, static_cast<int64_t>(bytes_));
        std::memcpy(memory_, &header, sizeof header);
        weight_ = Weight::from_blob(static_cast<uint8_t*>(memory_), bytes_);
    }
    HollowWeight(const HollowWeight&) = delete;
    HollowWeight& operator=(const HollowWeight&) = delete;
    ~HollowWeight() { munmap(memory_, bytes_); }
    const Weight& weight() const { return *weight_; }

  private:
    size_t bytes_;
    void* memory_;
    std::unique_ptr<Weight> weight_;
};

struct Load {
    double longest = 0, mean = 0;  ///< of the threads that have something to do
    double share = 0;              ///< of each of all threads, if nothing had to be whole
    double unit = 0;
    double units_per_thread = 0;
};

/// One token block. By cumulative sums, not by walking the pieces as run_gemm() does.
Load simulate_block(int64_t calls, int64_t tokens, int64_t tile, const SplitK& k, int threads) {
    const WorkSplit split = split_work(calls, tokens, tile, k.segments, threads);
    EXPECT_GE(split.threads, 1);
    EXPECT_LE(split.threads, threads);
    EXPECT_LE(split.threads, split.units);
    EXPECT_TRUE(split.slices == 1 || split.slice_tokens % tile == 0) << "a tile is cut";
    // Segments are those of all calls, one after the other; work is in columns times tokens.
    const auto columns_before = [&](int64_t segment) {
        const int64_t call = segment / split.segments, own = segment % split.segments;
        return call * k.k + (own > 0 ? k.of(own).begin : 0);
    };
    const auto work_before = [&](int64_t unit) {
        const int64_t segment = unit / split.slices, slice = unit % split.slices;
        const int64_t columns = columns_before(segment + 1) - columns_before(segment);
        return columns_before(segment) * tokens +
               columns * std::min(slice * split.slice_tokens, tokens);
    };
    const auto columns = static_cast<double>(k.k);
    Load load;
    double sum = 0;
    for (int thread = 0; thread < split.threads; ++thread) {
        const IndexRange range = split.of(thread);
        const int64_t decoded = columns_before((range.end - 1) / split.slices + 1) -
                                columns_before(range.begin / split.slices);
        const int64_t all =
            work_before(range.end) - work_before(range.begin) + decoded * kCallTokens;
        const double work = static_cast<double>(all) / columns;
        load.longest = std::max(load.longest, work);
        sum += work;
    }
    load.mean = sum / split.threads;
    load.share = static_cast<double>(calls * (tokens + kCallTokens)) / threads;
    // A cut call is decoded twice, and the last tile of a call may be short.
    const double uneven =  // of segments in a row
        split.segments == 1 ? 0 : static_cast<double>(k.step) / columns;
    const double longest = split.segments == 1 ? 1 : static_cast<double>(k.longest()) / columns;
    load.unit = (longest + uneven) *
                static_cast<double>(split.slices == 1 ? tokens + kCallTokens
                                                      : 2 * (split.slice_tokens + kCallTokens));
    load.units_per_thread = static_cast<double>(split.units) / split.threads;
    return load;
}

/// A product on at most `threads`: the sum over its blocks, each of which ends in a join.
struct Simulation {
    GemmPlan plan;
    Load load;
    double imbalance() const { return load.longest / load.mean - 1; }
};
Simulation simulate(const HollowWeight& weight, int64_t tokens, Isa isa, int threads) {
    const CpuWeightView& view = weight.weight().cpu();
    const GemmProblem problem = {&weight.weight(),          false,          tokens,
                                 ComputeType::kF32FastBF16, DataType::kF16, DataType::kF32};
    Simulation result;
    result.plan = choose_plan(problem, kAlgoDefault, isa, threads);
    const CpuGemmKernel& kernel = *result.plan.kernel;
    const int64_t calls = (view.panels + kernel.panels_per_call - 1) / kernel.panels_per_call;
    const int useful = useful_threads(view.panels * view.k_tiles * kTileBytes, tokens, threads);
    EXPECT_LE(result.plan.threads, useful);
    for (int64_t first = 0; first < tokens; first += result.plan.token_block) {
        const int64_t count = std::min(result.plan.token_block, tokens - first);
        const Load block = simulate_block(calls, count, kernel.token_tile, result.plan.split_k,
                                          result.plan.threads);
        result.load.longest += block.longest;
        result.load.mean += block.mean;
        result.load.share +=
            static_cast<double>(calls * (count + kCallTokens)) / static_cast<double>(useful);
        result.load.unit += block.unit;
        if (first == 0) result.load.units_per_thread = block.units_per_thread;
    }
    return result;
}

struct Shape {
    int64_t rows, cols;
};
/// Llama 2 and 3, LLaMA-65B, OPT-30B, Qwen2.5 and SmolLM2.
constexpr Shape kShapes[] = {
    {6144, 4096},  {4096, 4096},  {28672, 4096}, {4096, 14336}, {12288, 4096}, {22016, 4096},
    {4096, 11008}, {10240, 8192}, {8192, 8192},  {57344, 8192}, {8192, 28672}, {24576, 8192},
    {22016, 8192}, {8192, 22016}, {21504, 7168}, {7168, 7168},  {28672, 7168}, {7168, 28672},
    {7168, 5120},  {55296, 5120}, {5120, 27648}, {5120, 13824}, {151936, 896}, {576, 576},
    {1536, 576},   {576, 1536}};
constexpr int64_t kTokens[] = {1,  2,  3,   4,   6,   8,   12,  16,   24,   32,   48,
                               64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096, 8192};

class Split : public ::testing::TestWithParam<Isa> {
  protected:
    static CpuSwizzle swizzle() {
        return GetParam() == Isa::kAvx2 ? CpuSwizzle::kS16 : CpuSwizzle::kP16;
    }
    template <typename Check>
    static void for_each_case(Check check) {
        for (const int64_t slices :
             {1, 2, 4, 8}) {  // of outputs, as tensor-parallel ranks have them
            for (const Shape& shape : kShapes) {
                const HollowWeight weight(shape.rows / slices, shape.cols, swizzle());
                for (const int64_t tokens : kTokens) {
                    for (int threads = 1; threads <= 128; threads += slices == 1 ? 1 : 7) {
                        SCOPED_TRACE(std::to_string(shape.rows / slices) + "x" +
                                     std::to_string(shape.cols) + ", " + std::to_string(tokens) +
                                     " tokens, " + std::to_string(threads) + " threads");
                        check(weight, tokens, threads);
                        if (::testing::Test::HasFailure()) return;
                    }
                }
            }
        }
    }
};

TEST_P(Split, NobodyWorksLongerThanItsShareAndOneUnit) {
    for_each_case([](const HollowWeight& weight, int64_t tokens, int threads) {
        const Simulation result = simulate(weight, tokens, GetParam(), threads);
        EXPECT_LE(result.load.longest, result.load.share + result.load.unit);
    });
}

/// A little more where segments are uneven.
TEST_P(Split, ThreadsAreAbout5PercentApartAtMostFrom32UnitsEachOn) {
    int64_t cases = 0;
    for_each_case([&](const HollowWeight& weight, int64_t tokens, int threads) {
        const Simulation result = simulate(weight, tokens, GetParam(), threads);
        if (result.load.units_per_thread < 32) return;
        EXPECT_LT(result.imbalance(), result.plan.split_k.segments == 1 ? 0.05 : 0.052);
        ++cases;
    });
    EXPECT_GT(cases, 30000);
}

/// Whole matrices of 7B models and up: how even shares are, and what the longest takes beyond an even share
/// of all threads. Prints the worst of both, docs/threads.md's table.
TEST_P(Split, LargeMatricesScaleTo128Threads) {
    const auto most_lost = [](int64_t tokens) { return tokens >= 48 ? 0.22 : 0.34; };
    struct Worst {
        double imbalance = 0, lost = 0;
    };
    std::map<int64_t, Worst> worst;  // by tokens
    for (const Shape& shape : kShapes) {
        if (shape.rows < 4096) continue;
        const HollowWeight weight(shape.rows, shape.cols, swizzle());
        for (const int64_t tokens : kTokens) {
            for (int threads = 1; threads <= 128; ++threads) {
                const Simulation result = simulate(weight, tokens, GetParam(), threads);
                SCOPED_TRACE(std::to_string(shape.rows) + "x" + std::to_string(shape.cols) + ", " +
                             std::to_string(tokens) + " tokens, " + std::to_string(threads) +
                             " threads");
                const double lost = result.load.longest / result.load.share - 1;
                ASSERT_LT(result.imbalance(), 0.05);
                ASSERT_LT(lost, most_lost(tokens));
                Worst& own = worst[tokens];
                own = {std::max(own.imbalance, result.imbalance()), std::max(own.lost, lost)};
            }
        }
    }
    for (const auto& [tokens, own] : worst) {
        std::printf(
            "%-12s %5lld tokens: longest share %3.1f %% over the mean, %2.0f %% over an even one\n",
            isa_name(GetParam()), static_cast<long long>(tokens), 100 * own.imbalance,
            100 * own.lost);
    }
}

INSTANTIATE_TEST_SUITE_P(OnEachIsa, Split,
                         ::testing::Values(Isa::kPortable
#ifdef FP6LLM_X86
                                           ,
                                           Isa::kAvx2, Isa::kAvx512Bf16
#endif
                                           ),
                         [](const auto& isa) { return std::string(isa_name(isa.param)); });

// The exact rule for calls that cannot be cut: as few threads as keep the longest share as short.
TEST(SplitWork, TakesNoMoreThreadsThanMakeItShorter) {
    EXPECT_EQ(split_work(36, 1, 0, 1, 30).threads, 18);
    EXPECT_EQ(split_work(36, 1, 0, 1, 36).threads, 36);
    EXPECT_EQ(split_work(36, 1, 0, 1, 128).threads, 36);
    EXPECT_EQ(split_work(256, 1, 0, 1, 100).threads, 86);
    EXPECT_EQ(split_work(256, 4, 4, 1, 128).threads, 128);
    for (int64_t calls = 1; calls <= 300; ++calls) {
        for (int threads = 1; threads <= 128; ++threads) {
            const int used = split_work(calls, 1, 0, 1, threads).threads;
            const int64_t longest = (calls + threads - 1) / threads;
            ASSERT_EQ((calls + used - 1) / used, longest) << calls << " on " << threads;
            ASSERT_TRUE(used == 1 || (calls + used - 2) / (used - 1) > longest);
        }
    }
}

// Where there are as many segments as are wanted, whatever the weight.
TEST(SplitK, SharesOf344UnitsAreLessThan5PercentApart) {
    for (int64_t units = 344; units <= 4000; ++units) {
        for (int threads = 1; threads <= 256; ++threads) {
            const WorkSplit split = split_work(units, 1, 0, 1, threads);
            const double mean = static_cast<double>(split.units) / split.threads;
            const IndexRange longest = split.of(0);
            ASSERT_LT(static_cast<double>(longest.end - longest.begin), 1.05 * mean)
                << units << " on " << threads;
        }
    }
}

TEST(SplitK, HasSegmentsAsCallsAndTokensWantThem) {
    // Calls, k, group size and tokens; segments.
    constexpr int64_t kCases[][5] = {
        {128, 4096, 0, 1, 3},  {256, 4096, 0, 1, 2},  {256, 4096, 0, 64, 2},
        {256, 4096, 0, 65, 1}, {343, 4096, 0, 64, 2}, {344, 4096, 0, 64, 1},
        {64, 4096, 0, 4, 4},   {64, 14336, 0, 4, 6},  {1, 1 << 20, 0, 4, 8},
        {1, 2047, 0, 1, 1},    {1, 2048, 0, 1, 2},    {1, 0, 0, 1, 1},
        {256, 4096, 32, 4, 2}, {256, 4096, 96, 4, 2}, {256, 4096, 1000, 4, 1},
        {1, 4096, 2048, 1, 2}, {1, 4096, 4096, 1, 1}, {1, 100, 1 << 30, 1, 1},
    };
    for (const auto& c : kCases) {
        EXPECT_EQ(split_k(c[0], c[1], c[2], c[3]).segments, c[4])
            << c[0] << " calls, k " << c[1] << ", groups of " << c[2] << ", " << c[3] << " tokens";
    }
}

TEST(SplitK, SegmentsCoverKOnceAndCutNoGroup) {
    Random random(13);
    int cut = 0;
    for (int round = 0; round < 3000; ++round) {
        const int64_t k = random.below(40000);
        const int64_t group = random.below(3) == 0 ? 0 : 8 * (1 + random.below(40));
        const SplitK split = split_k(1 + random.below(500), k, group, 1 + random.below(70));
        int64_t next = 0, longest = 0;
        for (int64_t i = 0; i < split.segments; ++i) {
            const IndexRange columns = split.of(i);
            ASSERT_EQ(columns.begin, next);
            ASSERT_TRUE(columns.end > columns.begin || k == 0);
            longest = std::max(longest, columns.end - columns.begin);
            ASSERT_EQ(columns.begin % 128, 0);
            ASSERT_EQ(group > 0 ? columns.begin % group : 0, 0);
            next = columns.end;
        }
        ASSERT_EQ(next, k);
        ASSERT_LE(longest, split.longest());
        ASSERT_GE(longest, split.longest() - split.step);
        ASSERT_LE(split.segments, kMostSegments);
        cut += split.segments > 1;
    }
    EXPECT_GT(cut, 500);
}

TEST(SplitWork, PiecesCoverEachTokenOfEachCallOnceAndCutNoTile) {
    Random random(11);
    for (int round = 0; round < 3000; ++round) {
        const int64_t calls = 1 + random.below(40), tokens = 1 + random.below(300);
        const int64_t tile = random.below(17);
        const int64_t most = tile > 0 && tokens > tile ? tile * (1 + random.below(20)) : tokens;
        const int threads = static_cast<int>(1 + random.below(128));
        const int64_t segments = 1 + random.below(8);
        const WorkSplit split = split_work(calls, tokens, tile, segments, threads);
        ASSERT_TRUE(split.segments == 1 || split.segments == segments);
        std::vector<int> runs(static_cast<size_t>(calls * split.segments * tokens));
        for (int thread = 0; thread < split.threads; ++thread) {
            int64_t pieces = 0;
            ASSERT_EQ(split.thread_of(split.of(thread).begin), thread);
            ASSERT_EQ(split.thread_of(split.of(thread).end - 1), thread);
            for_each_piece(split, split.of(thread), tokens, most,
                           [&](int64_t segment, int64_t first, int64_t end) {
                               ASSERT_LE(end - first, most);
                               ASSERT_TRUE(first == 0 || first % tile == 0);
                               ASSERT_TRUE(end == tokens || end % tile == 0);
                               for (int64_t t = first; t < end; ++t)
                                   ++runs[static_cast<size_t>(segment * tokens + t)];
                               ++pieces;
                           });
            ASSERT_GT(pieces, 0) << "an idle thread";
        }
        for (const int n : runs)
            ASSERT_EQ(n, 1);
        int64_t next =
            0;  // whoever has a call's first unit has the call, where calls cannot be shared
        for (int thread = 0; thread < split.threads; ++thread) {
            const IndexRange own = split.calls_of(thread);
            ASSERT_EQ(own.begin, next);
            ASSERT_GE(own.end, own.begin);
            for (int64_t call = own.begin; call < own.end; ++call)
                ASSERT_EQ(split.thread_of(call * split.call_units()), thread);
            next = own.end;
        }
        ASSERT_EQ(next, calls);
    }
}

/// Runs tasks one by one and calls after(task) after each.
class TracingExecutor final : public Executor {
  public:
    TracingExecutor(int threads, std::function<void(int64_t)> after)
        : threads_(threads), after_(std::move(after)) {}
    int concurrency() const noexcept override { return threads_; }
    void run(int64_t count, TaskRef task) override {
        for (int64_t i = 0; i < count; ++i) {
            task(i);
            after_(i);
        }
    }

  private:
    int threads_;
    std::function<void(int64_t)> after_;
};

// First touch: what a thread packs, it multiplies by.
TEST(Split, PanelsArePackedByTheThreadThatMultipliesByThem) {
    constexpr int64_t kRows = 4096, kCols = 2048, kPanels = kRows / kTileRows;
    const QuantSpec spec = make_spec(DataType::kE3M2, ScaleMode::kRow);
    const std::vector<uint8_t> codes(kRows * spec.row_code_bytes(kCols), 0x11);
    const std::vector<float> scales(kRows, 1.0f);
    TestTokens x(DataType::kF32, 1, kCols, false, 0);
    Random random(12);
    x.fill(random);
    for (const int threads : {1, 2, 7, 24, 100}) {
        SCOPED_TRACE(threads);
        AlignedBuffer blob(Weight::blob_bytes(spec, kRows, kCols));
        std::memset(blob.data(), 0xFF, blob.size());
        const BlobGeometry geometry = blob_geometry(spec, kRows, kCols);
        const int64_t panel_bytes = geometry.k_tiles * kTileBytes;
        std::vector<int64_t> packer(kPanels, -1), multiplier(kPanels, -1);
        TracingExecutor packing(threads, [&](int64_t task) {
            for (int64_t p = 0; p < kPanels; ++p) {
                const uint8_t* tile = blob.data() + geometry.tiles_offset + p * panel_bytes;
                if (packer[p] < 0 && std::any_of(tile, tile + kTileBytes,
                                                 [](uint8_t byte) { return byte != 0xFF; })) {
                    packer[p] = task;
                }
            }
        });
        Weight::pack_blob(spec, kRows, kCols, codes.data(), scales.data(), blob.data(), packing);
        const std::unique_ptr<Weight> weight = Weight::from_blob(blob.data(), blob.size());

        std::vector<float> y(kRows, NAN);
        TracingExecutor multiplying(threads, [&](int64_t task) {
            for (int64_t p = 0; p < kPanels; ++p) {
                if (multiplier[p] < 0 && !std::isnan(y[p * kTileRows])) multiplier[p] = task;
            }
        });
        const GemmProblem problem = {weight.get(),      false,          1,
                                     ComputeType::kF32, DataType::kF32, DataType::kF32};
        const GemmPlan plan = choose_plan(problem, kAlgoDefault, active_isa(), threads);
        GuardedBuffer workspace(plan.workspace_bytes);
        run_gemm(plan, problem, x.source(), OutputSink{y.data(), DataType::kF32, kRows},
                 workspace.data(), multiplying);
        if (plan.threads == 1) std::fill(multiplier.begin(), multiplier.end(), 0);

        // Of a call that threads share, the first one packs the panels, and the last one here stores sums.
        const int64_t together = plan.kernel->panels_per_call;
        const WorkSplit split = split_work((kPanels + together - 1) / together, 1, /*tile=*/0,
                                           plan.split_k.segments, plan.threads);
        int64_t strays = 0;
        for (int64_t p = 0; p < kPanels; ++p) {
            ASSERT_GE(packer[p], 0);
            ASSERT_GE(multiplier[p], 0);
            const int64_t unit = p / together * split.segments;
            strays += packer[p] != split.thread_of(unit) ||
                      multiplier[p] != split.thread_of(unit + split.segments - 1);
        }
        EXPECT_EQ(*std::max_element(packer.begin(), packer.end()) > 0, threads > 1);
        if (plan.set == portable_kernels()) continue;  // reads the layout of another set
        EXPECT_EQ(strays, 0) << plan.name << ": panel_step() in core/prepack/weight.cpp";
    }
}

}  // namespace
}  // namespace fp6llm::gemm_testing
