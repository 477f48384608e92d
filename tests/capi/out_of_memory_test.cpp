// Out of memory, simulated: the first, second, third ... allocation of each call fails, until the
// call gets through. Each failure must be ALLOC_FAILED, leave the outputs as they were, and leak
// nothing (operator new is counted here; AlignedBuffer's memory is LeakSanitizer's part). Every entry
// point with the valid arguments of the table of bad input, then calls that allocate in other ways.
#include <gtest/gtest.h>

#include <cctype>
#include <cstring>

#include "core/common/aligned_buffer.hpp"
#include "tests/capi/counting_new.hpp"
#include "tests/capi/entry_point.hpp"

namespace fp6llm::capi_test {
namespace {

constexpr int64_t kRows = 64, kCols = 128, kTokens = 4;
constexpr unsigned char kPattern = 0xA5;

enum class Source { kOperatorNew, kAlignedBuffer };

void fail_after(Source source, int n) {
    if (source == Source::kOperatorNew) {
        fail_new_after(n);
    } else {
        fail_allocation_after(n);
    }
}

class OutOfMemoryIn : public ::testing::TestWithParam<Row> {};

TEST_P(OutOfMemoryIn, IsReportedAndLeavesNothingBehind) {
    for (const Source source : {Source::kOperatorNew, Source::kAlignedBuffer}) {
        for (int n = 1;; ++n) {
            ASSERT_LT(n, 1000) << "never gets through";
            World world;  // a fresh one: its handle's scratch would otherwise be there already
            const EntryPoint entry = GetParam().make(world);
            world.paint();
            const int64_t live = live_news();
            fail_after(source, n);
            const fp6llmStatus_t status = entry.valid();
            fail_after(source, 0);
            if (status == FP6LLM_STATUS_SUCCESS) {
                world.paint();  // frees what was made
                EXPECT_EQ(live_news(), live) << "after success";
                break;
            }
            EXPECT_EQ(status, FP6LLM_STATUS_ALLOC_FAILED) << last_error();
            EXPECT_EQ(live_news(), live) << "leaked by failure " << n;
            EXPECT_TRUE(world.untouched()) << "failure " << n;
            EXPECT_NE(last_error().find("memory"), std::string::npos) << last_error();
            EXPECT_EQ(entry.valid(), FP6LLM_STATUS_SUCCESS) << last_error();
        }
    }
}

INSTANTIATE_TEST_SUITE_P(EntryPoints, OutOfMemoryIn, ::testing::ValuesIn(all_rows()),
                         [](const auto& row) { return std::string(row.param.name); });

/// Outputs that a failing call must leave alone.
class Outputs {
  public:
    Outputs() { std::memset(bytes_, kPattern, sizeof bytes_); }
    template <typename T = void>
    T* get() {
        return reinterpret_cast<T*>(bytes_);
    }
    bool untouched() const {
        for (const unsigned char byte : bytes_) {
            if (byte != kPattern) return false;
        }
        return true;
    }

  private:
    alignas(64) unsigned char bytes_[1 << 16];
};

/// One handle, weight and data for all calls.
struct Fixture {
    Handle handle = make_handle(2);
    fp6llmQuantConfig_t config = quant_config();
    fp6llmQuantConfig_t auto_config = quant_config(FP6LLM_R_6F_AUTO);
    std::vector<float> w = gaussian(kRows * kCols, 1), x = gaussian(kTokens * kCols, 2);
    std::vector<float> scales = std::vector<float>(kRows);
    std::vector<uint8_t> codes = std::vector<uint8_t>(kRows * kCols * 6 / 8), packed = codes;
    Weight weight = make_weight(handle.get(), config, kRows, kCols, w);
    AlignedBuffer blob;

    Fixture() {
        size_t bytes = 0;
        EXPECT_EQ(fp6llmWeightExportCodes(handle.get(), weight.get(), codes.data(), scales.data()),
                  0);
        EXPECT_EQ(fp6llmWeightExportPacked(handle.get(), weight.get(), FP6LLM_LAYOUT_TC_FPX,
                                           packed.data(), nullptr),
                  0);
        EXPECT_EQ(fp6llmWeightGetBlobSize(handle.get(), &config, kRows, kCols, &bytes), 0);
        blob = AlignedBuffer(bytes);
        EXPECT_EQ(fp6llmWeightPackBlob(handle.get(), &config, kRows, kCols, codes.data(),
                                       scales.data(), blob.data(), bytes),
                  0);
    }
};

struct Call {
    const char* name;
    int least_failures;  ///< over both sources; 0 where none is sure
    fp6llmStatus_t (*run)(Fixture& f, fp6llmHandle_t handle, Outputs& out);
    void (*release)(Outputs& out);
};

void release_nothing(Outputs&) {}
void release_handle(Outputs& out) {
    fp6llmDestroy(*out.get<fp6llmHandle_t>());
}
void release_weight(Outputs& out) {
    fp6llmWeightDestroy(*out.get<fp6llmWeight_t>());
}

const float kOne = 1.0f, kZero = 0.0f;

const Call kCalls[] = {
    {"fp6llmCreate", 1,
     [](Fixture&, fp6llmHandle_t, Outputs& out) { return fp6llmCreate(out.get<fp6llmHandle_t>()); },
     release_handle},
    {"fp6llmGetBuildInfo", 1,
     [](Fixture&, fp6llmHandle_t, Outputs& out) {
         return fp6llmGetBuildInfo(out.get<char>(), 1000, nullptr);
     },
     release_nothing},
    {"fp6llmGetDeviceInfo", 0,
     [](Fixture&, fp6llmHandle_t, Outputs&) {
         fp6llmDeviceInfo_t info = FP6LLM_DEVICE_INFO_INIT;
         return fp6llmGetDeviceInfo(FP6LLM_BACKEND_CPU, 0, &info);
     },
     release_nothing},
    {"fp6llmQuantize of AUTO", 1,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
         const fp6llmStatus_t status =
             fp6llmQuantize(handle, &f.auto_config, kRows, kCols, f.w.data(), FP6LLM_R_32F, kCols,
                            out.get<char>() + 1024, out.get(), &stats);
         EXPECT_EQ(stats.format == 0, status != FP6LLM_STATUS_SUCCESS);
         return status;
     },
     release_nothing},
    {"fp6llmDequantize", 0,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         return fp6llmDequantize(handle, &f.config, kRows, kCols, f.codes.data(), f.scales.data(),
                                 out.get(), FP6LLM_R_32F, kCols);
     },
     release_nothing},
    {"fp6llmWeightCreate", 2,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         return fp6llmWeightCreate(handle, &f.auto_config, kRows, kCols, f.w.data(), FP6LLM_R_32F,
                                   kCols, out.get<fp6llmWeight_t>());
     },
     release_weight},
    {"fp6llmWeightCreateFromCodes", 2,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         return fp6llmWeightCreateFromCodes(handle, &f.config, kRows, kCols, f.codes.data(),
                                            f.scales.data(), out.get<fp6llmWeight_t>());
     },
     release_weight},
    {"fp6llmWeightCreateFromPacked", 2,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         return fp6llmWeightCreateFromPacked(handle, FP6LLM_LAYOUT_TC_FPX, &f.config, kRows, kCols,
                                             f.packed.data(), f.scales.data(),
                                             out.get<fp6llmWeight_t>());
     },
     release_weight},
    {"fp6llmWeightExportCodes", 0,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         return fp6llmWeightExportCodes(handle, f.weight.get(), out.get<char>() + 1024, out.get());
     },
     release_nothing},
    {"fp6llmWeightExportPacked", 1,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         return fp6llmWeightExportPacked(handle, f.weight.get(), FP6LLM_LAYOUT_TC_FPX,
                                         out.get<char>() + 1024, out.get());
     },
     release_nothing},
    {"fp6llmWeightPackBlob", 0,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         return fp6llmWeightPackBlob(handle, &f.config, kRows, kCols, f.codes.data(),
                                     f.scales.data(), out.get(), f.blob.size());
     },
     release_nothing},
    {"fp6llmWeightCreateView", 1,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         return fp6llmWeightCreateView(handle, f.blob.data(), f.blob.size(),
                                       out.get<fp6llmWeight_t>());
     },
     release_weight},
    {"fp6llmGemmEx", 1,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         return fp6llmGemmEx(handle, FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols, &kOne,
                             f.weight.get(), f.x.data(), FP6LLM_R_32F, kCols, &kZero, out.get(),
                             FP6LLM_R_32F, kRows, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT);
     },
     release_nothing},
    {"fp6llmGemmEx, transposed", 1,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         return fp6llmGemmEx(handle, FP6LLM_OP_N, FP6LLM_OP_N, kCols, kTokens, kRows, &kOne,
                             f.weight.get(), f.x.data(), FP6LLM_R_32F, kRows, &kZero, out.get(),
                             FP6LLM_R_32F, kCols, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT);
     },
     release_nothing},
    {"fp6llmGemmGetHeuristic", 1,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         fp6llmHeuristicResult_t result = FP6LLM_HEURISTIC_RESULT_INIT;
         return fp6llmGemmGetHeuristic(handle, FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols,
                                       f.weight.get(), FP6LLM_R_32F, FP6LLM_R_32F,
                                       FP6LLM_COMPUTE_32F, 1, &result, out.get<int>());
     },
     release_nothing},
    {"fp6llmLinear", 1,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         return fp6llmLinear(handle, kTokens, f.x.data(), FP6LLM_R_32F, kCols, f.weight.get(),
                             nullptr, out.get(), FP6LLM_R_32F, kRows);
     },
     release_nothing},
    {"fp6llmGemmGroupedEx", 1,
     [](Fixture& f, fp6llmHandle_t handle, Outputs& out) {
         // The second group needs more scratch than the first: nothing may be written before.
         const int64_t offsets[] = {0, 1, kTokens};
         const fp6llmWeight_t weights[] = {f.weight.get(), f.weight.get()};
         return fp6llmGemmGroupedEx(handle, 2, FP6LLM_OP_T, FP6LLM_OP_N, kRows, kTokens, kCols,
                                    offsets, &kOne, weights, f.x.data(), FP6LLM_R_32F, kCols,
                                    &kZero, out.get(), FP6LLM_R_32F, kRows, FP6LLM_COMPUTE_32F,
                                    FP6LLM_ALGO_DEFAULT);
     },
     release_nothing},
};

class OutOfMemory : public ::testing::TestWithParam<Call> {};

TEST_P(OutOfMemory, IsReportedAndLeavesNothingBehind) {
    const Call& call = GetParam();
    Fixture fixture;
    int failures = 0;
    for (const Source source : {Source::kOperatorNew, Source::kAlignedBuffer}) {
        for (int n = 1;; ++n) {
            ASSERT_LT(n, 1000) << "never gets through";
            // A fresh handle: its own scratch would otherwise be there already.
            const Handle handle = make_handle(2);
            auto out = std::make_unique<Outputs>();
            const int64_t live = live_news();
            fail_after(source, n);
            const fp6llmStatus_t status = call.run(fixture, handle.get(), *out);
            fail_after(source, 0);
            if (status == FP6LLM_STATUS_SUCCESS) {
                call.release(*out);
                EXPECT_EQ(live_news(), live) << "after success";
                break;
            }
            ++failures;
            EXPECT_EQ(status, FP6LLM_STATUS_ALLOC_FAILED) << last_error();
            EXPECT_EQ(live_news(), live) << "leaked by failure " << n;
            EXPECT_TRUE(out->untouched()) << "failure " << n;
            EXPECT_NE(last_error().find("memory"), std::string::npos) << last_error();
            // The handle works as before.
            EXPECT_EQ(call.run(fixture, handle.get(), *out), FP6LLM_STATUS_SUCCESS) << last_error();
            call.release(*out);
        }
    }
    EXPECT_GE(failures, call.least_failures) << "the hooks see none of its allocations";
}

std::string test_name(const ::testing::TestParamInfo<Call>& call) {
    std::string name;
    for (const char* c = call.param.name; *c != '\0'; ++c) {
        if (std::isalnum(static_cast<unsigned char>(*c))) name += *c;
    }
    return name;
}
INSTANTIATE_TEST_SUITE_P(Calls, OutOfMemory, ::testing::ValuesIn(kCalls), test_name);

}  // namespace
}  // namespace fp6llm::capi_test
