// What multiplications move through global and shared memory, as the emulated GPU counts it, beside
// what their plan says: codes once, activations once per row of tiles, outputs once, parts of shared
// tiles once each way, and no bank conflict.
#include <random>

#include "core/common/math.hpp"
#include "core/device/properties.hpp"
#include "core/gemm/cuda/plan.hpp"
#include "tests/gpu/fixture.hpp"

namespace fp6llm::gpu_test {
namespace {

struct Scales {
    const char* name;
    int32_t mode, group;
};
constexpr Scales kScales[] = {{"row", FP6LLM_SCALE_ROW, 0}, {"group 128", FP6LLM_SCALE_GROUP, 128}};
constexpr fp6llmDataType_t kTypes[] = {FP6LLM_R_16F, FP6LLM_R_16BF};
constexpr int64_t kShapes[][2] = {{1024, 2048}, {576, 1536}};
constexpr int64_t kTokens[] = {1, 8, 16, 32, 64, 128};

/// A matrix whose units have the tag of the activations that it is made for.
struct Layer {
    fp6llmQuantConfig_t config;
    int64_t rows, cols;
    fp6llmDataType_t type;  ///< of activations
    Weight weight;
    uint64_t bytes;  ///< of its memory
};

class GpuTraffic : public GpuTest {
  protected:
    void SetUp() override {
        GpuTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        if (!Driver::get().is_emulated())
            GTEST_SKIP() << "only the emulated GPU counts bytes and bank conflicts";
    }

    Layer make_layer(fp6llmDataType_t format, const Scales& scales, int64_t rows, int64_t cols,
                     fp6llmDataType_t type) {
        Layer layer{FP6LLM_QUANT_CONFIG_INIT, rows, cols, type, nullptr, 0};
        layer.config.format = format;
        layer.config.scaleMode = scales.mode;
        layer.config.groupSize = scales.group;
        layer.config.scaleType = FP6LLM_R_32F;
        // Of either sign, between 1/16 and 1/8.
        std::mt19937 random(1);
        std::vector<uint16_t> floats(static_cast<size_t>(rows * cols));
        for (uint16_t& bits : floats)
            bits = static_cast<uint16_t>((random() & 0x807F) |
                                         (type == FP6LLM_R_16F ? 0x2C00 : 0x3D80));
        const DeviceBytes w(floats);
        fp6llmWeight_t made = nullptr;
        EXPECT_EQ(
            fp6llmWeightCreate(cuda(), &layer.config, rows, cols, w.data(), type, cols, &made), 0)
            << last_error();
        layer.weight.reset(made);
        fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
        EXPECT_EQ(fp6llmWeightGetInfo(made, &info), 0);
        layer.bytes = info.bytes;
        return layer;
    }

    /// Multiplies, and compares what was counted with what the plan says.
    void check(const Layer& layer, int64_t tokens, int32_t algo) {
        const fp6llmDataType_t type = layer.type;
        const auto elements = static_cast<size_t>(tokens * layer.cols);
        const DeviceBytes x(std::vector<uint16_t>(elements, 0x3C00)),
            y(static_cast<size_t>(tokens * layer.rows) * 2);
        size_t workspace_bytes = 0;
        ASSERT_EQ(fp6llmGemmGetWorkspaceSize(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, layer.rows, tokens,
                                             layer.cols, layer.weight.get(), type, type,
                                             FP6LLM_COMPUTE_32F, algo, &workspace_bytes),
                  0);
        const DeviceBytes workspace(workspace_bytes);
        ASSERT_EQ(fp6llmSetWorkspace(cuda(), workspace.data(), workspace_bytes), 0);
        Driver::get().clear_findings();
        const float alpha = 1.0f, beta = 0.0f;
        ASSERT_EQ(fp6llmGemmEx(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, layer.rows, tokens, layer.cols,
                               &alpha, layer.weight.get(), x.data(), type, layer.cols, &beta,
                               y.data(), type, layer.rows, FP6LLM_COMPUTE_32F, algo),
                  0)
            << last_error();
        y.bytes();
        ASSERT_EQ(fp6llmSetWorkspace(cuda(), nullptr, 0), 0);
        const auto reports = Driver::get().reports();
        ASSERT_EQ(reports.size(), 1u) << "one kernel, and nothing packed before it";
        const LaunchReport& report = reports.front();
        EXPECT_FALSE(report.has_findings()) << report.json();

        const cuda::TileProblem problem = problem_of(layer, tokens);
        const cuda::TilePlan plan =
            cuda::choose_tile_plan(cuda::device_properties(0), problem, algo);
        ASSERT_EQ(report.kernel(), plan.kernel.name);
        EXPECT_EQ(report.blocks(), plan.blocks);
        const cuda::TileTraffic expected = cuda::tile_traffic(plan, problem);

        // Whatever cp.async read is codes or activations.
        const LaunchReport::Traffic activations = report.traffic(x.data());
        const LaunchReport::Traffic weights = report.traffic_of_size(layer.bytes);
        const LaunchReport::Traffic outputs = report.traffic(y.data());
        const LaunchReport::Traffic partials =
            plan.are_shared ? report.traffic(workspace.data()) : LaunchReport::Traffic{};
        const uint64_t codes = report.number("async_source_bytes") - activations.loaded;
        const int64_t packed = ceil_div(layer.rows, int64_t{64}) * plan.k_units * 6144;
        if (plan.token_tiles == 1) {
            EXPECT_LE(static_cast<double>(codes), 1.01 * static_cast<double>(packed));
        }
        expect_near("codes", codes, expected.codes);
        expect_near("activations", activations.loaded, expected.activations);
        expect_near("outputs", outputs.stored, tokens * layer.rows * 2);
        expect_near("partial sums stored", partials.stored, expected.partials);
        expect_near("partial sums read", partials.loaded, expected.partials);
        EXPECT_EQ(outputs.loaded, 0u) << "beta = 0 reads no outputs";
        EXPECT_EQ(weights.stored + activations.stored, 0u);
        EXPECT_LE(weights.loaded - codes, most_scale_bytes(plan, layer));

        EXPECT_EQ(report.number("shared_load_conflicts"), 0u);
        EXPECT_EQ(report.number("shared_store_conflicts"), 0u);
    }

  private:
    static cuda::TileProblem problem_of(const Layer& layer, int64_t tokens) {
        return {layer.rows,
                layer.cols,
                tokens,
                false,
                layer.config.format == FP6LLM_R_6F_E2M3,
                layer.type == FP6LLM_R_16BF ? cuda::L3Tag::kBF16 : cuda::L3Tag::kF16,
                layer.config.scaleMode == FP6LLM_SCALE_ROW ? ScaleMode::kRow : ScaleMode::kGroup,
                layer.config.groupSize,
                static_cast<DataType>(layer.type),
                ComputeType::kF32};
    }

    /// Never less than by design, and at most a tenth more.
    static void expect_near(const char* what, uint64_t counted, int64_t expected) {
        EXPECT_GE(counted, static_cast<uint64_t>(expected)) << what;
        EXPECT_LE(static_cast<double>(counted), 1.1 * static_cast<double>(expected)) << what;
    }

    /// Bytes of scales that lanes may ask for. By row: four scales a thread, once per 64 rows of a tile.
    /// By group (as wide as a unit): two, before a unit and, with the next group's, behind it.
    static uint64_t most_scale_bytes(const cuda::TilePlan& plan, const Layer& layer) {
        const auto threads = static_cast<uint64_t>(plan.kernel.shape.threads());
        if (layer.config.scaleMode == FP6LLM_SCALE_ROW) {
            const int64_t row_blocks = ceil_div(layer.rows, int64_t{64});
            return static_cast<uint64_t>(row_blocks * plan.token_tiles) * threads * 16;
        }
        const int64_t units = plan.tiles() * plan.k_units;
        uint64_t loads = static_cast<uint64_t>(units);
        for (int64_t block = 0; block < plan.blocks; ++block) {
            const int64_t begin = block * units / plan.blocks,
                          end = (block + 1) * units / plan.blocks;
            if (begin < end)  // entering a tile
                loads += static_cast<uint64_t>((end - 1) / plan.k_units - begin / plan.k_units + 1);
        }
        return loads * static_cast<uint64_t>(plan.kernel.shape.row_units) * threads * 8;
    }
};

TEST_F(GpuTraffic, IsWhatThePlanSays) {
    for (const auto& shape : kShapes) {
        for (const Scales& scales : kScales) {
            for (const fp6llmDataType_t type : kTypes) {
                const Layer layer = make_layer(FP6LLM_R_6F_E3M2, scales, shape[0], shape[1], type);
                for (const int64_t tokens : kTokens) {
                    SCOPED_TRACE(std::to_string(shape[0]) + "x" + std::to_string(shape[1]) + " " +
                                 scales.name + " type " + std::to_string(type) + " tokens " +
                                 std::to_string(tokens));
                    check(layer, tokens, FP6LLM_ALGO_DEFAULT);
                    if (HasFatalFailure()) return;
                }
            }
        }
    }
}

// Rows that leave half a tile, tokens that leave part of one, and every tile there is.
TEST_F(GpuTraffic, OfEveryKernel) {
    for (const fp6llmDataType_t format : {FP6LLM_R_6F_E3M2, FP6LLM_R_6F_E2M3}) {
        for (const Scales& scales : kScales) {
            for (const fp6llmDataType_t type : kTypes) {
                const Layer layer = make_layer(format, scales, 320, 640, type);
                fp6llmHeuristicResult_t results[16];
                for (auto& result : results)
                    result = FP6LLM_HEURISTIC_RESULT_INIT;
                int count = 0;
                ASSERT_EQ(fp6llmGemmGetHeuristic(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, 320, 70, 640,
                                                 layer.weight.get(), type, type, FP6LLM_COMPUTE_32F,
                                                 16, results, &count),
                          0);
                ASSERT_GE(count, 5);
                for (int i = 0; i < count; ++i) {
                    if (results[i].isReference != 0) continue;
                    SCOPED_TRACE(results[i].name);
                    check(layer, 70, results[i].algo);
                    if (HasFatalFailure()) return;
                }
            }
        }
    }
}

}  // namespace
}  // namespace fp6llm::gpu_test
