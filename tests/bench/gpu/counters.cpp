// See counters.hpp.
#include "tests/bench/gpu/counters.hpp"

#include <cstdio>
#include <random>
#include <stdexcept>

#include "tests/bench/gpu/layer.hpp"
#include "tests/gpu/launch_report.hpp"

namespace fp6llm::bench {
namespace {

using gpu_test::LaunchReport;

constexpr int64_t kUnitRows = 64, kUnitCols = 128, kUnitBytes = 6144;
/// A slice's rows are whole tiles, of which the tallest has so many.
constexpr int64_t kTileRows = 128;

/// A weight of random codes: counts do not depend on values.
struct CodedLayer {
    CodedLayer(Gpu& gpu, Handle& handle, const Format& format, int64_t rows, int64_t cols)
        : blob(gpu, handle.blob_size(format.config, rows, cols)), view(nullptr) {
        const QuantSizes sizes = quant_sizes(format.config, rows, cols);
        const GpuBuffer codes(gpu, sizes.code_bytes), scales(gpu, sizes.scale_bytes);
        std::vector<uint32_t> words((sizes.code_bytes + 3) / 4);
        std::mt19937 random(1);
        for (uint32_t& word : words)
            word = static_cast<uint32_t>(random());
        gpu.upload(codes.data(), words.data(), sizes.code_bytes);
        gpu.fill(scales.data(), 0x3C, sizes.scale_bytes);  // small, whatever their type
        check(fp6llmWeightPackBlob(handle.get(), &format.config, rows, cols, codes.data(),
                                   scales.data(), blob.data(), blob.size()));
        gpu.synchronize();
        view = Weight::view(handle, Bytes(blob.data(), blob.size()));
    }
    GpuBuffer blob;
    Weight view;
};

CountedCase count_case(Gpu& gpu, Handle& handle, const CodedLayer& layer, const Shape& slice,
                       int64_t tokens, fp6llmDataType_t type, uint64_t slices) {
    const RandomMatrix x(gpu, type, tokens, slice.cols, 1.0f, 99);
    const GpuBuffer y(gpu, static_cast<size_t>(tokens * slice.rows) * 2);
    size_t bytes = 0;
    check(fp6llmGemmGetWorkspaceSize(handle.get(), FP6LLM_OP_T, FP6LLM_OP_N, slice.rows, tokens,
                                     slice.cols, layer.view.get(), type, type, FP6LLM_COMPUTE_32F,
                                     FP6LLM_ALGO_DEFAULT, &bytes));
    const GpuBuffer workspace(gpu, bytes);
    check(fp6llmSetWorkspace(handle.get(), workspace.data(), bytes));
    const float alpha = 1.0f, beta = 0.0f;
    check(fp6llmGemmEx(handle.get(), FP6LLM_OP_T, FP6LLM_OP_N, slice.rows, tokens, slice.cols,
                       &alpha, layer.view.get(), x.data(), type, slice.cols, &beta, y.data(), type,
                       slice.rows, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT));
    gpu.synchronize();
    check(fp6llmSetWorkspace(handle.get(), nullptr, 0));

    const LaunchReport report(gpu.last_report());
    const LaunchReport::Traffic read_x = report.traffic(x.data());
    const LaunchReport::Traffic weights = report.traffic(layer.blob.data());
    const uint64_t codes = report.number("async_source_bytes") - read_x.loaded;
    CountedCase c{};
    c.tokens = tokens;
    c.type = type == FP6LLM_R_16F ? "f16" : "bf16";
    c.kernel = report.kernel();
    c.blocks = slices * static_cast<uint64_t>(report.blocks());
    c.codes = slices * codes;
    c.scales = slices * (weights.loaded - codes);
    c.activations = slices * read_x.loaded;
    c.outputs = slices * report.traffic(y.data()).stored;
    const LaunchReport::Traffic parts = report.traffic(workspace.data());
    c.partials = slices * (parts.stored + parts.loaded);
    c.load_conflicts = slices * report.number("shared_load_conflicts");
    c.store_conflicts = slices * report.number("shared_store_conflicts");
    c.mma = slices * report.number("mma_operations");
    c.instructions = report.warp_instructions();
    for (auto& [kind, count] : c.instructions)
        count *= slices;
    return c;
}

/// What a thread does for 16 weights, as a kernel's inner loop is usually told.
double per_sixteen(const CountedCase& c, uint64_t warp_instructions) {
    const double weights = static_cast<double>(c.shape.rows) * static_cast<double>(c.shape.cols);
    return static_cast<double>(warp_instructions) * 32 / (weights / 16);
}

}  // namespace

void count_cases(Gpu& gpu, const GpuOptions& options,
                 const std::function<void(const std::vector<CountedCase>&)>& report) {
    if (!gpu.is_emulated()) throw std::runtime_error(gpu.name() + " does not count");
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CUDA;
    config.device = options.device;
    Handle handle(config);
    handle.set_stream(gpu.stream());
    const int64_t slices = options.slices;
    std::vector<CountedCase> cases;
    for (const Shape& shape : options.shapes) {
        if (slices > 1 && shape.rows % (slices * kTileRows) != 0)
            throw std::runtime_error(std::to_string(shape.rows) + " rows are not " +
                                     std::to_string(slices) + " slices of whole tiles");
        const Shape slice{shape.rows / slices, shape.cols};
        for (const Format& format : options.formats) {
            const CodedLayer layer(gpu, handle, format, slice.rows, slice.cols);
            for (const fp6llmDataType_t type : options.types) {
                for (const int64_t tokens : options.tokens) {
                    CountedCase c = count_case(gpu, handle, layer, slice, tokens, type,
                                               static_cast<uint64_t>(slices));
                    c.shape = shape;
                    c.format = format.name;
                    c.packed_bytes = static_cast<uint64_t>(
                        (shape.rows + kUnitRows - 1) / kUnitRows *
                        ((shape.cols + kUnitCols - 1) / kUnitCols) * kUnitBytes);
                    cases.push_back(std::move(c));
                    report(cases);
                }
            }
        }
    }
}

void print_counted_header() {
    std::printf("%14s %5s  %-24s %7s %9s %9s %9s %9s %9s %7s %6s %6s\n", "shape", "M", "kernel",
                "blocks", "codes", "x size", "x", "y", "partials", "confl.", "in./16", "mma/B");
}

void print_counted(const CountedCase& c) {
    uint64_t all = 0;
    for (const auto& [kind, count] : c.instructions)
        all += count;
    std::printf(
        "%6lld x %-5lld %5lld  %-24s %7llu %9llu %9.4f %9llu %9llu %9llu %7llu %6.2f %6.4f\n",
        static_cast<long long>(c.shape.rows), static_cast<long long>(c.shape.cols),
        static_cast<long long>(c.tokens), c.kernel.c_str(),
        static_cast<unsigned long long>(c.blocks), static_cast<unsigned long long>(c.codes),
        static_cast<double>(c.codes) / static_cast<double>(c.packed_bytes),
        static_cast<unsigned long long>(c.activations), static_cast<unsigned long long>(c.outputs),
        static_cast<unsigned long long>(c.partials),
        static_cast<unsigned long long>(c.load_conflicts + c.store_conflicts), per_sixteen(c, all),
        static_cast<double>(c.mma) / static_cast<double>(c.packed_bytes));
    std::fflush(stdout);
}

std::string counters_json(const Machine& machine, Gpu& gpu, const GpuOptions& options,
                          const std::vector<CountedCase>& cases) {
    JsonWriter json;
    json.begin("", '{');
    json.string("what", "counted on the emulated GPU (tests/emulator), no times");
    json.string("commit", machine.commit);
    json.string("date", machine.date);
    json.string("gpu", gpu.name());
    const int multiprocessors = gpu.attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    json.number("multiprocessors", multiprocessors * options.slices);
    json.number("slices", options.slices);
    json.begin("cases", '[');
    for (const CountedCase& c : cases) {
        const auto count = [&](const char* key, uint64_t value) {
            json.raw(key, std::to_string(value));
        };
        json.begin("", '{');
        count("rows", static_cast<uint64_t>(c.shape.rows));
        count("cols", static_cast<uint64_t>(c.shape.cols));
        count("tokens", static_cast<uint64_t>(c.tokens));
        json.string("format", c.format);
        json.string("type", c.type);
        json.string("kernel", c.kernel);
        count("blocks", c.blocks);
        count("packed_bytes", c.packed_bytes);
        count("code_bytes_read", c.codes);
        count("scale_bytes_read", c.scales);
        count("activation_bytes_read", c.activations);
        count("output_bytes_stored", c.outputs);
        count("partial_bytes_moved", c.partials);
        count("shared_load_conflicts", c.load_conflicts);
        count("shared_store_conflicts", c.store_conflicts);
        count("mma", c.mma);
        json.begin("warp_instructions", '{');
        for (const auto& [kind, number] : c.instructions)
            count(kind.c_str(), number);
        json.end('}');
        json.end('}');
    }
    json.end(']');
    json.end('}');
    return json.text() + "\n";
}

}  // namespace fp6llm::bench
