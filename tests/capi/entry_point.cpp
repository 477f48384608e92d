#include "tests/capi/entry_point.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

namespace fp6llm::capi_test {
namespace {

constexpr int kPattern = 0xA5;
constexpr size_t kBlobAlignment = FP6LLM_BLOB_ALIGNMENT;

}  // namespace

World::World()
    : handle_(make_handle(2)),
      w_(gaussian(kRows * kCols, 1)),
      x_(gaussian(kTokens * kCols, 2)),
      scales_(kRows) {
    const fp6llmQuantConfig_t config = capi_test::quant_config();
    size_t code_bytes = 0, packed_bytes = 0;
    EXPECT_EQ(fp6llmQuantGetSizes(&config, kRows, kCols, &code_bytes, nullptr), 0);
    codes_.resize(code_bytes);
    EXPECT_EQ(fp6llmQuantize(handle_.get(), &config, kRows, kCols, w_.data(), FP6LLM_R_32F, kCols,
                             codes_.data(), scales_.data(), nullptr),
              0);
    weight_ = make_weight(handle_.get(), config, kRows, kCols, w_);
    EXPECT_EQ(
        fp6llmPackedGetSizes(FP6LLM_LAYOUT_TC_FPX, &config, kRows, kCols, &packed_bytes, nullptr),
        0);
    packed_.resize(packed_bytes);
    EXPECT_EQ(fp6llmWeightExportPacked(handle_.get(), weight_.get(), FP6LLM_LAYOUT_TC_FPX,
                                       packed_.data(), nullptr),
              0);
    EXPECT_EQ(fp6llmWeightGetBlobSize(handle_.get(), &config, kRows, kCols, &blob_bytes_), 0);
    blob_memory_.reset(new unsigned char[blob_bytes_ + kBlobAlignment]);
    const auto address = reinterpret_cast<uintptr_t>(blob_memory_.get());
    blob_ = blob_memory_.get() + (kBlobAlignment - address % kBlobAlignment);
    EXPECT_EQ(fp6llmWeightPackBlob(handle_.get(), &config, kRows, kCols, codes_.data(),
                                   scales_.data(), blob_, blob_bytes_),
              0);
}

World::~World() {
    paint();
}

void World::paint() {
    for (const Created& created : created_) {
        unsigned char pattern[sizeof(void*)];
        std::memset(pattern, kPattern, sizeof pattern);
        void* object;
        std::memcpy(&object, created.slot, sizeof object);
        if (object != nullptr && std::memcmp(created.slot, pattern, sizeof pattern) != 0) {
            created.destroy(created.slot);
        }
    }
    for (Output& output : outputs_) {
        unsigned char* memory = output.memory.get();
        std::memset(memory, kPattern, output.painted);
        if (output.struct_size) std::memcpy(memory, &*output.struct_size, sizeof(size_t));
        output.before.assign(memory, memory + output.bytes);
    }
}

bool World::untouched() const {
    return std::all_of(outputs_.begin(), outputs_.end(), [](const Output& output) {
        return std::memcmp(output.memory.get(), output.before.data(), output.bytes) == 0;
    });
}

void* World::add_output(size_t bytes, size_t painted, std::optional<size_t> struct_size) {
    outputs_.push_back({std::make_unique<unsigned char[]>(bytes), bytes, painted, struct_size, {}});
    std::memset(outputs_.back().memory.get(), kPattern, painted);
    return outputs_.back().memory.get();
}

void* World::keep(const void* data, size_t bytes) {
    kept_.push_back(std::make_unique<unsigned char[]>(bytes));
    std::memcpy(kept_.back().get(), data, bytes);
    return kept_.back().get();
}

Arg<fp6llmHandle_t> World::handle() {
    const auto address = reinterpret_cast<uintptr_t>(handle_.get());
    const std::vector<unsigned char> zeros(4096);
    const fp6llmStatus_t refused = FP6LLM_STATUS_NOT_INITIALIZED;
    return Arg<fp6llmHandle_t>{handle_.get(), {}}
        .with(nullptr, "handle = NULL", refused, "handle")
        .with(reinterpret_cast<fp6llmHandle_t>(address + 1), "handle misaligned", refused, "handle")
        .with(static_cast<fp6llmHandle_t>(keep(zeros.data(), zeros.size())), "handle of zeros",
              refused, "handle");
}

Arg<fp6llmWeight_t> World::weight(const std::string& name) {
    const std::vector<unsigned char> zeros(4096);
    Arg<fp6llmWeight_t> arg{weight_.get(), {}};
    add_pointer_variants(arg, name, alignof(void*), false);
    return std::move(arg).with(static_cast<fp6llmWeight_t>(keep(zeros.data(), zeros.size())),
                               name + " of zeros", FP6LLM_STATUS_INVALID_VALUE, name);
}

Arg<int64_t> World::size(const std::string& name, int64_t valid,
                         const std::string& overflow_names) {
    const std::string whole_word = "\\b" + name + "\\b";
    return Arg<int64_t>{valid, {}}
        .with(-1, name + " = -1", FP6LLM_STATUS_INVALID_VALUE, whole_word + ".*-1")
        .with(INT64_MIN, name + " = INT64_MIN", FP6LLM_STATUS_INVALID_VALUE, whole_word)
        .with(INT64_MAX, name + " = INT64_MAX", FP6LLM_STATUS_INVALID_VALUE,
              overflow_names.empty() ? whole_word : overflow_names);
}

Arg<int64_t> World::leading_dimension(const std::string& name, int64_t valid) {
    const fp6llmStatus_t refused = FP6LLM_STATUS_INVALID_VALUE;
    return Arg<int64_t>{valid, {}}
        .with(valid - 1, name + " one too small", refused, name + ".*" + std::to_string(valid))
        .with(0, name + " = 0", refused, name)
        .with(-valid, name + " negative", refused, name)
        .with(INT64_MAX, name + " = INT64_MAX", refused, name);
}

Arg<int> World::in_range(const std::string& name, int valid, int low, int high) {
    Arg<int> arg{valid, {}};
    for (const int64_t value :
         {int64_t{low} - 1, int64_t{high} + 1, int64_t{INT32_MIN}, int64_t{INT32_MAX}}) {
        if ((value >= low && value <= high) || value > INT32_MAX || value < INT32_MIN) continue;
        arg.variants.push_back({static_cast<int>(value), name + " = " + std::to_string(value),
                                FP6LLM_STATUS_INVALID_VALUE, name + ".*" + std::to_string(value)});
    }
    return arg;
}

Arg<const void*> World::weights_in() {
    std::vector<float> with_nan = w_;
    with_nan[kCols + 3] = std::numeric_limits<float>::quiet_NaN();
    return in("W", w_.data(), alignof(float))
        .with(keep(with_nan.data(), with_nan.size() * sizeof(float)), "W with a NaN",
              FP6LLM_STATUS_INVALID_VALUE, R"(W\[1, 3\])");
}

Arg<const void*> World::in(const std::string& name, const void* data, size_t alignment) {
    Arg<const void*> arg{data, {}};
    add_pointer_variants(arg, name, alignment, false);
    return arg;
}

Arg<void*> World::out_buffer(const std::string& name, size_t bytes, size_t alignment,
                             bool optional) {
    Arg<void*> arg{add_output(bytes, bytes, std::nullopt), {}};
    add_pointer_variants(arg, name, alignment, optional);
    return arg;
}

Arg<const void*> World::scalar(const std::string& name, float value) {
    return in(name, keep(&value, sizeof value), alignof(float));
}

Arg<fp6llmDataType_t> World::float_type(const std::string& name) {
    return enumeration(name, FP6LLM_R_32F)
        .with(FP6LLM_R_8I, name + " = R_8I", FP6LLM_STATUS_NOT_SUPPORTED, name)
        .with(FP6LLM_R_8F_E4M3, name + " = R_8F_E4M3", FP6LLM_STATUS_NOT_SUPPORTED, name)
        .with(FP6LLM_R_6F_E3M2, name + " = R_6F_E3M2", FP6LLM_STATUS_NOT_SUPPORTED, name)
        .with(FP6LLM_R_6F_AUTO, name + " = R_6F_AUTO", FP6LLM_STATUS_NOT_SUPPORTED, name);
}

Arg<fp6llmComputeType_t> World::compute_type(const std::string& name) {
    return enumeration(name, FP6LLM_COMPUTE_32F)
        .accepts(FP6LLM_COMPUTE_32F_FAST_16F, name + " = 32F_FAST_16F")
        .accepts(FP6LLM_COMPUTE_32F_FAST_16BF, name + " = 32F_FAST_16BF")
        .accepts(FP6LLM_COMPUTE_32F_FAST_16I, name + " = 32F_FAST_16I")
        .accepts(FP6LLM_COMPUTE_32F_FAST_8I, name + " = 32F_FAST_8I");
}

Arg<fp6llmPackedLayout_t> World::layout() {
    return enumeration("layout", FP6LLM_LAYOUT_TC_FPX)
        .with(static_cast<fp6llmPackedLayout_t>(0), "layout = 0", FP6LLM_STATUS_INVALID_VALUE,
              "layout");
}

Arg<int32_t> World::algo() {
    return Arg<int32_t>{FP6LLM_ALGO_DEFAULT, {}}
        .with(-2, "algo = -2", FP6LLM_STATUS_INVALID_VALUE, "algo")
        .with(1 << 20, "algo = 1 << 20", FP6LLM_STATUS_INVALID_VALUE, "algo");
}

Arg<const fp6llmQuantConfig_t*> World::quant_config(ConfigFor use) {
    using Config = fp6llmQuantConfig_t;
    std::vector<Wrong<Config>> wrong;
    const auto refuse = [&](const char* field, std::function<void(Config&)> change) {
        wrong.push_back({field, FP6LLM_STATUS_INVALID_VALUE, std::move(change)});
    };
    for (const int value : {-1, 0, 14, 28, 30, 34, 0x1003, INT32_MAX}) {
        refuse("format", [=](Config& c) { c.format = value; });
    }
    for (const int value : {-1, 3, INT32_MAX}) {
        refuse("scaleMode", [=](Config& c) { c.scaleMode = value; });
    }
    for (const int value : {INT32_MIN, -32, 0, 8, 15, 20, 100, 4104, INT32_MAX}) {
        refuse("groupSize", [=](Config& c) {
            c.scaleMode = FP6LLM_SCALE_GROUP;
            c.groupSize = value;
        });
    }
    for (const int value : {-32, 16, 31, 64}) {
        refuse("groupSize", [=](Config& c) {
            c.scaleMode = FP6LLM_SCALE_MX;
            c.groupSize = value;
        });
    }
    for (const int value : {-2, 3, 14, 30, 31, INT32_MAX}) {
        refuse("scaleType", [=](Config& c) { c.scaleType = value; });
        refuse("scaleType", [=](Config& c) {
            c.scaleMode = FP6LLM_SCALE_GROUP;
            c.groupSize = 32;
            c.scaleType = value;
        });
    }
    for (const int value : {-2, 0, 2, 31}) {
        refuse("scaleType", [=](Config& c) {
            c.scaleMode = FP6LLM_SCALE_MX;
            c.scaleType = value;
        });
    }
    if (use == ConfigFor::kCodes) {
        refuse("format", [](Config& c) { c.format = FP6LLM_R_6F_AUTO; });
    } else {
        for (const int value : {-1, 2, INT32_MAX}) {
            refuse("rounding", [=](Config& c) { c.rounding = value; });
            refuse("nonFinite", [=](Config& c) { c.nonFinite = value; });
        }
        for (const int value : {-1, 3, INT32_MAX}) {
            refuse("mxScaleRule", [=](Config& c) {
                c.scaleMode = FP6LLM_SCALE_MX;
                c.mxScaleRule = value;
            });
        }
        for (const int value : {-1, 65, INT32_MAX}) {
            refuse("scaleSearch", [=](Config& c) { c.scaleSearch = value; });
        }
    }
    for (const int value : {-1, 1, 67, 0x1004, INT32_MAX}) {
        refuse("computeHint", [=](Config& c) { c.computeHint = value; });
    }
    refuse("reserved", [](Config& c) { c.reserved = 1; });
    wrong.push_back({"groupSize of ROW is ignored", FP6LLM_STATUS_SUCCESS,
                     [](Config& c) { c.groupSize = -7; }});
    return in_struct("config", capi_test::quant_config(), wrong);
}

Arg<const fp6llmHandleConfig_t*> World::handle_config() {
    using Config = fp6llmHandleConfig_t;
    std::vector<Wrong<Config>> wrong;
    for (const int value : {-1, 3, INT32_MAX}) {
        wrong.push_back(
            {"backend", FP6LLM_STATUS_INVALID_VALUE, [=](Config& c) { c.backend = value; }});
    }
    for (const int value : {-1, 1, INT32_MAX}) {
        wrong.push_back(
            {"device", FP6LLM_STATUS_INVALID_VALUE, [=](Config& c) { c.device = value; }});
    }
    for (const int value : {-1, 257, INT32_MIN, INT32_MAX}) {
        wrong.push_back(
            {"numThreads", FP6LLM_STATUS_INVALID_VALUE, [=](Config& c) { c.numThreads = value; }});
    }
    for (const int value : {-1, 1}) {
        wrong.push_back(
            {"reserved", FP6LLM_STATUS_INVALID_VALUE, [=](Config& c) { c.reserved = value; }});
    }
    Config valid = FP6LLM_HANDLE_CONFIG_INIT;
    valid.backend = FP6LLM_BACKEND_CPU;
    return in_struct("config", valid, wrong);
}

Arg<const fp6llmEpilogue_t*> World::epilogue() {
    using Epilogue = fp6llmEpilogue_t;
    Epilogue valid = FP6LLM_EPILOGUE_INIT;
    const std::vector<float> values(kTokens * kRows, 1.0f);
    valid.bias = keep(values.data(), kRows * sizeof(float));
    valid.residual = keep(values.data(), values.size() * sizeof(float));
    valid.ldr = kRows;
    std::vector<Wrong<Epilogue>> wrong;
    const auto refuse = [&](const char* field, std::function<void(Epilogue&)> change) {
        wrong.push_back({field, FP6LLM_STATUS_INVALID_VALUE, std::move(change)});
    };
    for (const int value : {-1, 5, INT32_MAX}) {
        refuse("activation", [=](Epilogue& e) { e.activation = value; });
    }
    for (const int value : {-1, 1, 1000}) {
        refuse("biasType", [=](Epilogue& e) { e.biasType = value; });
        refuse("residualType", [=](Epilogue& e) { e.residualType = value; });
        refuse("computeType", [=](Epilogue& e) { e.computeType = value; });
    }
    wrong.push_back(
        {"biasType", FP6LLM_STATUS_NOT_SUPPORTED, [](Epilogue& e) { e.biasType = FP6LLM_R_8I; }});
    wrong.push_back({"residualType", FP6LLM_STATUS_NOT_SUPPORTED,
                     [](Epilogue& e) { e.residualType = FP6LLM_R_8F_E4M3; }});
    refuse("bias", [](Epilogue& e) { e.bias = static_cast<const char*>(e.bias) + 1; });
    refuse("residual", [](Epilogue& e) { e.residual = static_cast<const char*>(e.residual) + 2; });
    for (const int64_t value : {int64_t{0}, kRows - 1, -kRows, INT64_MAX}) {
        refuse("ldr", [=](Epilogue& e) { e.ldr = value; });
    }
    return in_struct("epilogue", valid, wrong, /*optional=*/true);
}

Arg<const int64_t*> World::offsets() {
    const auto array = [this](int64_t a, int64_t b, int64_t c) {
        const int64_t values[3] = {a, b, c};
        return static_cast<const int64_t*>(keep(values, sizeof values));
    };
    Arg<const int64_t*> arg{array(0, 2, kTokens), {}};
    add_pointer_variants(arg, "offsets", alignof(int64_t), false);
    const fp6llmStatus_t refused = FP6LLM_STATUS_INVALID_VALUE;
    return std::move(arg)
        .with(array(1, 2, kTokens), "offsets[0] = 1", refused, R"(offsets\[0\])")
        .with(array(-1, 2, kTokens), "offsets[0] = -1", refused, R"(offsets\[0\])")
        .with(array(0, -1, kTokens), "offsets[1] = -1", refused, R"(offsets\[1\])")
        .with(array(0, 3, 2), "descending", refused, R"(offsets\[2\])")
        .with(array(0, 2, kTokens + 1), "beyond n", refused, R"(offsets\[2\])")
        .with(array(0, INT64_MAX, kTokens), "far beyond n", refused, R"(offsets\[1\])")
        .accepts(array(0, 0, 0), "no tokens at all")
        .accepts(array(0, 0, kTokens - 1), "fewer tokens than n");
}

Arg<const fp6llmWeight_t*> World::weights() {
    const auto array = [this](fp6llmWeight_t a, fp6llmWeight_t b) {
        const fp6llmWeight_t values[2] = {a, b};
        return static_cast<const fp6llmWeight_t*>(keep(values, sizeof values));
    };
    fp6llmWeight_t good = weight_.get();
    Arg<const fp6llmWeight_t*> arg{array(good, good), {}};
    add_pointer_variants(arg, "A", alignof(fp6llmWeight_t), false);
    // The second group's column is checked before the first group's result is written.
    for (const Variant<fp6llmWeight_t>& bad : weight("A").variants) {
        arg.variants.push_back(
            {array(good, bad.value), "second " + bad.what, bad.status, R"(A\[1\])"});
    }
    return arg;
}

}  // namespace fp6llm::capi_test
