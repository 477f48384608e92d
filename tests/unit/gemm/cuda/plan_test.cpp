// The plans of GPU multiplications, for devices that need not be there: every tile fits, enough bytes
// are under way, every slab is some block's, and the workspace holds what the kernels put into it.
#include "core/gemm/cuda/plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

#include "core/common/error.hpp"
#include "core/common/math.hpp"
#include "core/gemm/cuda/tiles.hpp"

namespace fp6llm::cuda {
namespace {

DeviceProperties make_device(const char* name, int capability, int multiprocessors,
                             size_t shared_kib, int threads) {
    DeviceProperties device{};
    std::snprintf(device.name, sizeof device.name, "%s", name);
    device.major = capability / 10;
    device.minor = capability % 10;
    device.multiprocessors = multiprocessors;
    device.threads_per_multiprocessor = threads;
    device.blocks_per_multiprocessor = threads == 1536 ? 24 : 32;
    device.registers_per_multiprocessor = 65536;
    device.shared_per_multiprocessor = shared_kib << 10;
    device.shared_per_block = (shared_kib - 1) << 10;
    device.reserved_shared_per_block = 1024;
    return device;
}

/// CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
const DeviceProperties kDevices[] = {
    make_device("A100", 80, 108, 164, 2048),       make_device("RTX 3090", 86, 82, 100, 1536),
    make_device("RTX 4090", 89, 128, 100, 1536),   make_device("H100", 90, 132, 228, 2048),
    make_device("B200", 100, 148, 228, 2048),      make_device("RTX 5090", 120, 170, 100, 1536),
    make_device("emulated 8.0", 80, 4, 164, 2048), make_device("emulated 9.0", 90, 4, 228, 2048)};

struct Shape {
    int64_t rows, cols;
};
/// MEASURING.md's, and what is odd about sizes.
constexpr Shape kShapes[] = {
    {6144, 4096},  {4096, 4096},  {28672, 4096}, {4096, 14336}, {12288, 4096}, {22016, 4096},
    {4096, 11008}, {10240, 8192}, {8192, 8192},  {57344, 8192}, {8192, 28672}, {24576, 8192},
    {22016, 8192}, {8192, 22016}, {21504, 7168}, {7168, 7168},  {28672, 7168}, {7168, 28672},
    {7168, 5120},  {55296, 5120}, {5120, 27648}, {5120, 13824}, {151936, 896}, {576, 576},
    {1536, 576},   {576, 1536},   {1024, 8192},  {8192, 1024},  {1, 1},        {65, 129},
    {63, 100000}};
constexpr int64_t kTokens[] = {1,  2,  3,   4,   6,   8,   12,  16,   24,   32,   48,
                               64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096, 8192};

TileProblem problem_of(const Shape& shape, int64_t tokens) {
    return {shape.rows,  shape.cols,      tokens, false,          false,
            L3Tag::kF16, ScaleMode::kRow, 0,      DataType::kF16, ComputeType::kF32};
}

std::string describe(const DeviceProperties& device, const TileProblem& problem) {
    return std::string(device.name) + ": " + std::to_string(problem.rows) + "x" +
           std::to_string(problem.cols) + ", " + std::to_string(problem.tokens) + " tokens";
}

Status status_of(const DeviceProperties& device, const TileProblem& problem, int32_t algo,
                 std::string* message) {
    try {
        choose_tile_plan(device, problem, algo);
    } catch (const Error& error) {
        *message = error.what();
        return error.status();
    }
    return Status::kSuccess;
}

/// Calls `visit(device, problem, plan)` for the chosen plan of every device, shape and token count.
template <typename Visit>
void for_each_plan(const Visit& visit) {
    for (const DeviceProperties& device : kDevices)
        for (const Shape& shape : kShapes)
            for (const int64_t tokens : kTokens) {
                const TileProblem problem = problem_of(shape, tokens);
                SCOPED_TRACE(describe(device, problem));
                visit(device, problem, choose_tile_plan(device, problem, -1));
                if (::testing::Test::HasFailure()) return;  // one is enough to read
            }
}

/// All tiles that kernels exist for.
std::vector<TileShape> all_tiles() {
    std::vector<TileShape> tiles(std::begin(kRowTiles), std::end(kRowTiles));
    tiles.insert(tiles.end(), std::begin(kGroupTiles), std::end(kGroupTiles));
    tiles.insert(tiles.end(), std::begin(kGroupK8Tiles), std::end(kGroupK8Tiles));
    return tiles;
}

// ---- tiles --------------------------------------------------------------------------------------

TEST(Tiles, KeepWhatKernelsTakeForGranted) {
    for (const TileShape& tile : all_tiles()) {
        SCOPED_TRACE(tile.tokens);
        EXPECT_EQ(tile.tokens % (8 * tile.token_warps), 0);
        EXPECT_GE(tile.stages, 2);
        // The epilogue stages 64 rows of fp32 sums where activations of a slab were.
        EXPECT_LE(tile.tokens * 64 * 4, tile.tokens * 256);
        EXPECT_EQ(tile.stage_bytes() % 16, 0);
        // What the compiler is promised leaves at least 64 registers a thread, and no more than 255.
        EXPECT_GE(65536 / (tile.threads() * tile.min_blocks), 64);
    }
}

TEST(Tiles, FitOnEveryDeviceOrAreNotPlanned) {
    for (const DeviceProperties& device : kDevices) {
        for (const TileShape& tile : all_tiles()) {
            const int blocks = resident_blocks(device, tile);
            if (blocks == 0) {
                EXPECT_GT(static_cast<size_t>(tile.shared_bytes()), device.shared_per_block);
                continue;
            }
            const size_t shared = tile.shared_bytes() + device.reserved_shared_per_block;
            EXPECT_LE(blocks * shared, device.shared_per_multiprocessor) << device.name;
            EXPECT_LE(blocks * tile.threads(), device.threads_per_multiprocessor) << device.name;
            EXPECT_LE(blocks, tile.min_blocks) << device.name;
        }
    }
}

TEST(Tiles, AreThereForDecodingEverywhere) {
    for (const DeviceProperties& device : kDevices)
        for (const TileShape& tile : all_tiles())
            if (tile.tokens <= 64) {
                EXPECT_GT(resident_blocks(device, tile), 0) << device.name << tile.tokens;
            }
}

TEST(Plan, KeepsEnoughWeightsUnderWayWhenDecoding) {
    // Little's law wants 16 KB per multiprocessor of an H100; twice that covers a late start.
    constexpr int64_t kLeast = 32 << 10;
    for (const DeviceProperties& device : kDevices) {
        for (const int64_t tokens : {1, 4, 8, 9, 16}) {
            const TilePlan plan = choose_tile_plan(device, problem_of({57344, 8192}, tokens), -1);
            const TileShape& tile = plan.kernel.shape;
            const int64_t bytes = int64_t{resident_blocks(device, tile)} * (tile.stages - 1) *
                                  tile.row_units * kUnitBytes;
            EXPECT_GE(bytes, kLeast) << device.name << ", " << tokens << " tokens";
        }
    }
}

// ---- which tile ---------------------------------------------------------------------------------

TEST(Plan, PicksTheTileThatWastesLeast) {
    const DeviceProperties& h100 = kDevices[3];
    const std::pair<int64_t, int> kWanted[] = {
        {1, 8},   {8, 8},    {9, 16},    {16, 16},  {17, 32},  {32, 32},   {33, 64},
        {64, 64}, {65, 128}, {128, 128}, {129, 64}, {192, 64}, {193, 128}, {8192, 128}};
    for (const auto& [tokens, tile] : kWanted)
        EXPECT_EQ(choose_tile_plan(h100, problem_of({4096, 4096}, tokens), -1).kernel.shape.tokens,
                  tile)
            << tokens;
}

TEST(Plan, NamesTheKernelOfFamilyScalesAndTokens) {
    struct Case {
        bool is_e2m3;
        L3Tag tag;
        ScaleMode mode;
        int64_t group;
        DataType x;
        ComputeType compute;
        const char* name;
    };
    const Case kCases[] = {
        {false, L3Tag::kF16, ScaleMode::kRow, 0, DataType::kF16, ComputeType::kF32,
         "sm80_e3m2_f16_gemm_row_n8"},
        {true, L3Tag::kF16, ScaleMode::kMx, 32, DataType::kF16, ComputeType::kF32,
         "sm80_e2m3_f16_gemm_group_n8"},
        {false, L3Tag::kF16, ScaleMode::kGroup, 128, DataType::kBF16, ComputeType::kF32,
         "sm80_e3m2_f16tag_bf16_gemm_group_n8"},
        {true, L3Tag::kF16, ScaleMode::kGroup, 40, DataType::kF16, ComputeType::kF32,
         "sm80_e2m3_f16_gemm_group8_n16"},
        {true, L3Tag::kBF16, ScaleMode::kRow, 0, DataType::kBF16, ComputeType::kF32,
         "sm80_e2m3_bf16_gemm_row_n8"},
        {false, L3Tag::kBF16, ScaleMode::kRow, 0, DataType::kF32, ComputeType::kF32FastBF16,
         "sm80_e3m2_bf16_gemm_row_n8"},
        {false, L3Tag::kF16, ScaleMode::kRow, 0, DataType::kF32, ComputeType::kF32FastF16,
         "sm80_e3m2_f16_gemm_row_n8"},
    };
    for (const Case& c : kCases) {
        const TileProblem problem{256,   256,    5,       false, c.is_e2m3,
                                  c.tag, c.mode, c.group, c.x,   c.compute};
        EXPECT_STREQ(choose_tile_plan(kDevices[0], problem, -1).kernel.name, c.name);
    }
}

TEST(Plan, SplitsActivationsIntoAsManyPartsAsAreExact) {
    struct Case {
        L3Tag tag;
        DataType x;
        ComputeType compute;
        Element element;
        int parts;
    };
    const Case kCases[] = {
        {L3Tag::kF16, DataType::kF16, ComputeType::kF32, Element::kF16, 1},
        {L3Tag::kF16, DataType::kBF16, ComputeType::kF32, Element::kBF16, 1},
        {L3Tag::kF16, DataType::kF32, ComputeType::kF32, Element::kBF16, 3},
        {L3Tag::kBF16, DataType::kF16, ComputeType::kF32, Element::kBF16, 2},
        {L3Tag::kBF16, DataType::kBF16, ComputeType::kF32, Element::kBF16, 1},
        {L3Tag::kBF16, DataType::kF32, ComputeType::kF32, Element::kBF16, 3},
        {L3Tag::kF16, DataType::kF32, ComputeType::kF32FastF16, Element::kF16, 1},
        {L3Tag::kBF16, DataType::kF32, ComputeType::kF32FastF16, Element::kBF16, 2},
        {L3Tag::kF16, DataType::kF32, ComputeType::kF32FastBF16, Element::kBF16, 1},
    };
    for (const Case& c : kCases) {
        TileProblem problem = problem_of({1000, 504}, 7);
        problem.tag = c.tag, problem.x_type = c.x, problem.compute = c.compute;
        const TilePlan plan = choose_tile_plan(kDevices[3], problem, -1);
        EXPECT_EQ(plan.operand.element, c.element);
        EXPECT_EQ(plan.operand.parts, c.parts);
        // Parts are tokens of their own: they count for the tile, and for what is packed.
        EXPECT_GE(plan.kernel.shape.tokens * plan.token_tiles, 7 * c.parts);
        EXPECT_EQ(plan.packed_bytes, round_up(size_t{7} * c.parts * 504 * 2, size_t{256}));
        EXPECT_EQ(plan.raw_bytes,
                  c.parts == 1 ? size_t{0} : round_up(size_t{7} * c.parts * 1000 * 4, size_t{256}));
    }
}

TEST(Plan, TransposedProductsTakeTheSimtKernel) {
    TileProblem problem = problem_of({512, 256}, 3);
    problem.transposed = true;
    const TilePlan plan = choose_tile_plan(kDevices[0], problem, -1);
    EXPECT_EQ(plan.algo, kAlgoSimt);
    EXPECT_EQ(plan.kernel.name, nullptr);
    EXPECT_EQ(plan.workspace_bytes(), 0u);
    EXPECT_EQ(tile_plans(kDevices[0], problem).size(), 1u);
    EXPECT_EQ(problem.outputs(), 256);
    EXPECT_EQ(problem.k(), 512);
}

TEST(Plan, ListsEveryWayBestFirstAndEachCanBeChosen) {
    for (const DeviceProperties& device : kDevices) {
        for (const int64_t tokens : {1, 16, 50, 500}) {
            const TileProblem problem = problem_of({4096, 4096}, tokens);
            const std::vector<TilePlan> plans = tile_plans(device, problem);
            ASSERT_GE(plans.size(), 5u);
            EXPECT_EQ(plans.front().algo, choose_tile_plan(device, problem, -1).algo);
            EXPECT_EQ(plans.back().algo, kAlgoSimt);
            std::set<int32_t> algos;
            for (const TilePlan& plan : plans) {
                algos.insert(plan.algo);
                const TilePlan chosen = choose_tile_plan(device, problem, plan.algo);
                EXPECT_EQ(chosen.algo, plan.algo);
                EXPECT_EQ(chosen.kernel.name, plan.kernel.name);
                EXPECT_EQ(chosen.blocks, plan.blocks);
                EXPECT_EQ(chosen.workspace_bytes(), plan.workspace_bytes());
            }
            EXPECT_EQ(algos.size(), plans.size());
        }
    }
}

// ---- how many blocks ----------------------------------------------------------------------------

TEST(Plan, BlocksFitTheDeviceOrTakeATileEach) {
    for_each_plan([](const DeviceProperties& device, const TileProblem&, const TilePlan& plan) {
        const int64_t capacity =
            int64_t{device.multiprocessors} * resident_blocks(device, plan.kernel.shape);
        const int64_t units = plan.tiles() * plan.k_units;
        EXPECT_GE(plan.blocks, 1);
        EXPECT_LE(plan.blocks, units);
        // Blocks wait for nobody, so more than fit at once are no fault, but only whole tiles pay.
        if (plan.are_shared) {
            EXPECT_LE(plan.blocks, capacity);
        }
        if (plan.blocks > capacity) {
            EXPECT_EQ(plan.blocks, plan.tiles());
        }
    });
}

/// Share of multiprocessor time that nothing is done in, if every slab takes equally long.
double idle_share(const DeviceProperties& device, const TilePlan& plan) {
    const int64_t capacity =
        int64_t{device.multiprocessors} * resident_blocks(device, plan.kernel.shape);
    const int64_t units = plan.tiles() * plan.k_units;
    const int64_t longest = ceil_div(units, int64_t{plan.blocks});
    const int64_t waves = ceil_div(int64_t{plan.blocks}, capacity);
    return 1.0 - static_cast<double>(units) / static_cast<double>(waves * longest * capacity);
}

TEST(Plan, LeavesLittleIdle) {
    for_each_plan([](const DeviceProperties& device, const TileProblem&, const TilePlan& plan) {
        const int64_t capacity =
            int64_t{device.multiprocessors} * resident_blocks(device, plan.kernel.shape);
        const int64_t slabs = plan.tiles() * plan.k_units / capacity;
        // Rounding up to whole slabs loses up to 1 / (slabs + 1); below a ring's worth of slabs per
        // block there are fewer blocks.
        if (slabs < 4) return;
        EXPECT_LE(idle_share(device, plan), std::max(0.09, 1.0 / (slabs + 1.0)));
    });
}

// ---- stream-K, as the kernels do it -------------------------------------------------------------

/// sm80_gemm.cuh's unit_begin() and block_of().
struct Split {
    int64_t units, blocks;
    int64_t unit_begin(int64_t block) const { return block * units / blocks; }
    int64_t block_of(int64_t unit) const { return ((unit + 1) * blocks - 1) / units; }
};

/// Runs every block of a split and checks that each slab is taken once, that the parts of a tile are
/// counted and summed by who the kernels say, and that no two parts share a place in the workspace.
void check_split(int64_t tiles, int64_t k_units, int64_t blocks) {
    const Split split{tiles * k_units, blocks};
    SCOPED_TRACE(std::to_string(tiles) + " tiles of " + std::to_string(k_units) + " slabs, " +
                 std::to_string(blocks) + " blocks");
    std::vector<int> taken(static_cast<size_t>(split.units));
    std::map<int64_t, int64_t> arrivals;         // by tile
    std::map<int64_t, int64_t> tile_of_counter;  // index: the tile's first block
    std::map<int64_t, std::set<int64_t>> parts;  // by tile: blocks that left a part
    std::set<int64_t> slots;
    for (int64_t b = 0; b < blocks; ++b) {
        const int64_t begin = split.unit_begin(b), end = split.unit_begin(b + 1);
        ASSERT_LT(begin, end) << "a block without work never arrives at a tile that counts on it";
        int heads = 0, tails = 0;
        for (int64_t unit = begin; unit < end;) {
            const int64_t tile = unit / k_units;
            const int64_t stop = std::min(end, (tile + 1) * k_units);
            for (int64_t u = unit; u < stop; ++u) {
                ++taken[static_cast<size_t>(u)];
                ASSERT_EQ(split.block_of(u), b);
            }
            const bool starts = unit == tile * k_units, ends = stop == (tile + 1) * k_units;
            if (!starts || !ends) {
                const int64_t first = split.block_of(tile * k_units);
                ASSERT_EQ(starts, b == first);
                (starts ? tails : heads) += 1;
                ++arrivals[tile];
                parts[tile].insert(b);
                ASSERT_TRUE(slots.insert(b == first ? 2 * first + 1 : 2 * b).second);
                const auto [counter, is_new] = tile_of_counter.emplace(first, tile);
                ASSERT_EQ(counter->second, tile) << "two tiles count in one place";
            }
            unit = stop;
        }
        ASSERT_LE(heads, 1);
        ASSERT_LE(tails, 1);
    }
    for (const int count : taken)
        ASSERT_EQ(count, 1);
    for (const auto& [tile, count] : arrivals) {
        const int64_t first = split.block_of(tile * k_units);
        const int64_t last = split.block_of(tile * k_units + k_units - 1);
        ASSERT_EQ(count, last - first + 1);
        for (int64_t b = first; b <= last; ++b)
            ASSERT_EQ(parts[tile].count(b), 1u);
        ASSERT_LT(2 * last + 1, 2 * blocks);
    }
    if (!slots.empty()) {
        ASSERT_LT(*slots.rbegin(), 2 * blocks);
    }
    // No part is left where plans promise whole tiles, for which there is no workspace.
    if (tiles % blocks == 0) {
        ASSERT_TRUE(slots.empty());
    }
}

TEST(StreamK, EverySlabIsTakenOnceWhateverTheSplit) {
    std::mt19937 random(1);
    const auto up_to = [&](int64_t most) {
        return std::uniform_int_distribution<int64_t>(1, most)(random);
    };
    for (int i = 0; i < 3000; ++i) {
        const int64_t tiles = up_to(i % 3 == 0 ? 5 : 60), k_units = up_to(i % 2 == 0 ? 4 : 70);
        check_split(tiles, k_units, up_to(tiles * k_units));
        if (HasFatalFailure()) return;
    }
}

TEST(StreamK, EverySlabOfTheShapesToMeasureIsTakenOnce) {
    for (const DeviceProperties& device : kDevices) {
        for (const Shape& shape : kShapes) {
            for (const int64_t tokens : {1, 16, 48, 130, 1024}) {
                const TileProblem problem = problem_of(shape, tokens);
                const TilePlan plan = choose_tile_plan(device, problem, -1);
                if (plan.tiles() * plan.k_units > 60'000) continue;
                SCOPED_TRACE(describe(device, problem));
                check_split(plan.tiles(), plan.k_units, plan.blocks);
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST(StreamK, CountsInSixtyFourBits) {
    // 2^31 rows times 2^16 columns: products of units and blocks are far above 2^32.
    const Split split{(int64_t{1} << 25) * 512, 396};
    for (int64_t b = 0; b < split.blocks; ++b) {
        ASSERT_EQ(split.block_of(split.unit_begin(b)), b);
        ASSERT_EQ(split.block_of(split.unit_begin(b + 1) - 1), b);
    }
}

// ---- workspace ----------------------------------------------------------------------------------

TEST(Plan, WorkspaceHoldsWhatTheKernelsPutIntoIt) {
    for_each_plan([](const DeviceProperties&, const TileProblem& problem, const TilePlan& plan) {
        EXPECT_EQ(plan.packed_ld % 8, 0);
        EXPECT_GE(plan.packed_ld, problem.cols);
        EXPECT_GE(plan.packed_bytes, static_cast<size_t>(problem.tokens * plan.packed_ld * 2));
        const size_t tile_bytes = static_cast<size_t>(plan.kernel.shape.tile_floats()) * 4;
        if (plan.are_shared) {
            EXPECT_GE(plan.partial_bytes, 2 * static_cast<size_t>(plan.blocks) * tile_bytes);
            EXPECT_GE(plan.lock_bytes, 4 * static_cast<size_t>(plan.blocks));
        } else {
            EXPECT_EQ(plan.partial_bytes, 0u);
            EXPECT_EQ(plan.lock_bytes, 0u);
        }
        for (const size_t bytes : {plan.packed_bytes, plan.raw_bytes, plan.partial_bytes})
            EXPECT_EQ(bytes % 256, 0u);
        EXPECT_EQ(plan.workspace_bytes(), plan.packed_bytes + plan.raw_bytes + plan.partial_bytes);
    });
}

TEST(Plan, TrafficIsCodesOncePerColumnAndActivationsOncePerRowOfTiles) {
    // 1024 x 4096 on four multiprocessors: 16 x 32 units for 12 blocks.
    const DeviceProperties& device = kDevices[6];
    const TileProblem problem = problem_of({1024, 4096}, 5);
    const TilePlan plan = choose_tile_plan(device, problem, -1);
    ASSERT_EQ(plan.blocks, 12);
    const TileTraffic traffic = tile_traffic(plan, problem);
    EXPECT_EQ(traffic.codes, 1024 * 4096 / 4 * 3);
    EXPECT_EQ(traffic.activations, 16 * 5 * 4096 * 2);
    // Blocks take 4/3 of a tile: within three, parts 1/3 | 2/3 and 2/3 | 1/3 of two tiles are shared.
    EXPECT_EQ(traffic.partials, 4 * 4 * (64 * 8 * 4));
    EXPECT_EQ(tile_traffic(choose_tile_plan(device, problem_of({1024, 4096}, 300), -1),
                           problem_of({1024, 4096}, 300))
                  .codes,
              3 * 1024 * 4096 / 4 * 3);
    for_each_plan([](const DeviceProperties&, const TileProblem& each, const TilePlan& planned) {
        const int64_t partials = tile_traffic(planned, each).partials;
        EXPECT_TRUE(partials == 0 || planned.are_shared);
        EXPECT_LE(partials, static_cast<int64_t>(planned.partial_bytes));
    });
}

TEST(Plan, PartialSumsStaySmall) {
    // cuBLAS's habit is 32 MiB of workspace; parts of tiles must not need more by themselves.
    for_each_plan([](const DeviceProperties&, const TileProblem&, const TilePlan& plan) {
        EXPECT_LE(plan.partial_bytes, size_t{32} << 20);
    });
}

// ---- errors -------------------------------------------------------------------------------------

TEST(Plan, RefusesWhatItDoesNotKnow) {
    const DeviceProperties& device = kDevices[3];
    TileProblem problem = problem_of({256, 256}, 4);
    std::string message;
    for (const int32_t algo : {-2, 0, 1, 3, 80'000, 80'007, 80'512, 90'008}) {
        EXPECT_EQ(status_of(device, problem, algo, &message), Status::kInvalidValue) << algo;
        EXPECT_NE(message.find(std::to_string(algo)), std::string::npos) << message;
    }
    for (const ComputeType compute :
         {ComputeType::kF32FastF8, ComputeType::kF32FastI8, ComputeType::kF32FastI16}) {
        problem.compute = compute;
        EXPECT_EQ(status_of(device, problem, -1, &message), Status::kNotSupported);
        EXPECT_NE(message.find("are supported"), std::string::npos) << message;
        EXPECT_TRUE(tile_plans(device, problem).empty());
    }
}

TEST(Plan, RefusesWhatAnAlgoCannotDo) {
    const DeviceProperties& device = kDevices[3];
    std::string message;
    TileProblem problem = problem_of({256, 256}, 4);
    problem.transposed = true;
    EXPECT_EQ(status_of(device, problem, kAlgoSm80 + 8, &message), Status::kNotSupported);
    EXPECT_NE(message.find("transa = N"), std::string::npos) << message;

    problem = problem_of({256, 256}, 4);
    problem.scale_mode = ScaleMode::kGroup, problem.group_size = 64;
    EXPECT_EQ(status_of(device, problem, kAlgoSm80 + 128, &message), Status::kSuccess);
    EXPECT_EQ(status_of(device, problem, kAlgoSm80 + 256, &message), Status::kNotSupported);
    EXPECT_NE(message.find("80256"), std::string::npos) << message;
    problem.group_size = 40;
    EXPECT_EQ(status_of(device, problem, kAlgoSm80 + 16, &message), Status::kSuccess);
    EXPECT_EQ(status_of(device, problem, kAlgoSm80 + 8, &message), Status::kNotSupported);
}

TEST(Plan, RefusesSizesBeyondTheKernelsCounters) {
    std::string message;
    for (const TileProblem& problem :
         {problem_of({INT32_MAX, 64}, 1), problem_of({64, INT32_MAX}, 1),
          problem_of({64, 64}, INT32_MAX / 2)}) {
        EXPECT_EQ(status_of(kDevices[3], problem, -1, &message), Status::kNotSupported);
        EXPECT_NE(message.find("2^31"), std::string::npos) << message;
    }
    EXPECT_EQ(status_of(kDevices[3], problem_of({1'000'000'000, 64}, 1), -1, &message),
              Status::kSuccess);
}

}  // namespace
}  // namespace fp6llm::cuda
