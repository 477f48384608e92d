// See weights.hpp.
#include "tests/bench/weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <stdexcept>

namespace fp6llm::bench {
namespace {

constexpr int64_t kCheckedRows = 67;
constexpr int64_t kCheckedTokens = 5;

// First, last and evenly between.
int64_t spread_index(int64_t i, int64_t count, int64_t of) {
    return i * (of - 1) / std::max<int64_t>(1, count - 1);
}

std::vector<int64_t> spread_rows(int64_t rows) {
    std::vector<int64_t> picked;
    const int64_t count = std::min(kCheckedRows, rows);
    for (int64_t i = 0; i < count; ++i)
        picked.push_back(spread_index(i, count, rows));
    return picked;
}

/// Name of the layout that a row of W [.., cols] is packed in.
std::string layout_of(Handle& handle, const Format& format, int64_t cols,
                      const std::vector<float>& w) {
    fp6llmWeight_t made = nullptr;
    check(fp6llmWeightCreate(handle.get(), &format.config, 1, cols, w.data(), FP6LLM_R_32F, cols,
                             &made));
    fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
    const fp6llmStatus_t status = fp6llmWeightGetInfo(made, &info);
    fp6llmWeightDestroy(made);
    check(status);
    return info.layout;
}

}  // namespace

double product_error(const CheckedRows& checked, int64_t cols, const float* x, const float* y,
                     int64_t tokens, int64_t outputs) {
    for (int64_t i = 0; i < tokens * outputs; ++i) {
        if (std::isnan(y[i])) return std::numeric_limits<double>::infinity();
    }
    double largest = 0, squares = 0;
    const int64_t count = std::min(kCheckedTokens, tokens);
    for (size_t r = 0; r < checked.rows.size(); ++r) {
        for (int64_t i = 0; i < count; ++i) {
            const int64_t token = spread_index(i, count, tokens);
            double exact = 0;
            for (int64_t c = 0; c < cols; ++c) {
                exact += checked.values[r * static_cast<size_t>(cols) + static_cast<size_t>(c)] *
                         x[static_cast<size_t>(token * cols + c)];
            }
            largest = std::max(largest, std::fabs(exact - y[token * outputs + checked.rows[r]]));
            squares += exact * exact;
        }
    }
    return largest / std::sqrt(squares / static_cast<double>(checked.rows.size()) /
                               static_cast<double>(count));
}

double checked_run(const CheckedRows& checked, int64_t cols, const float* x, float* y,
                   int64_t tokens, int64_t outputs, const std::function<void()>& run) {
    std::fill(y, y + tokens * outputs, std::numeric_limits<float>::quiet_NaN());
    run();
    return product_error(checked, cols, x, y, tokens, outputs);
}

void require_close(const std::string& name, double error, double tolerance) {
    if (error <= tolerance) return;
    char text[128];
    std::snprintf(text, sizeof text,
                  " is wrong: largest error / rms is %.2g, at most %.2g is right", error,
                  tolerance);
    throw std::runtime_error(name + text);
}

// Each of k additions in a row rounds by some 2.3e-8 of a sum that grows with the root of their
// number, so together by sqrt(k / 2) times that on average; one chain of 14336 showed 6.6 times the
// average among a thousand sums.
double summing_tolerance(int64_t k) {
    return 16 * 2.3e-8 * std::sqrt(static_cast<double>(k) / 2);
}

CheckedRows check_rows(const Shape& shape, const std::vector<float>& w) {
    CheckedRows checked{spread_rows(shape.rows), {}};
    for (const int64_t row : checked.rows) {
        const auto from = w.begin() + row * shape.cols;
        checked.values.insert(checked.values.end(), from, from + shape.cols);
    }
    return checked;
}

fp6llmStatus_t linear(Handle& handle, fp6llmWeight_t weight, const Shape& shape,
                      fp6llmComputeType_t compute, const float* x, float* y, int64_t tokens) {
    const float one = 1, zero = 0;
    return fp6llmGemmEx(handle.get(), FP6LLM_OP_T, FP6LLM_OP_N, shape.rows, tokens, shape.cols,
                        &one, weight, x, FP6LLM_R_32F, shape.cols, &zero, y, FP6LLM_R_32F,
                        shape.rows, compute, FP6LLM_ALGO_DEFAULT);
}

ChosenKernel chosen_kernel(Handle& handle, fp6llmWeight_t weight, const Shape& shape,
                           fp6llmComputeType_t compute, int64_t tokens) {
    fp6llmHeuristicResult_t result = FP6LLM_HEURISTIC_RESULT_INIT;
    int count = 0;
    check(fp6llmGemmGetHeuristic(handle.get(), FP6LLM_OP_T, FP6LLM_OP_N, shape.rows, tokens,
                                 shape.cols, weight, FP6LLM_R_32F, FP6LLM_R_32F, compute, 1,
                                 &result, &count));
    return count > 0 ? ChosenKernel{result.name, result.workspaceSize} : ChosenKernel{"none", 0};
}

std::string kernel_name(Handle& handle, fp6llmWeight_t weight, const Shape& shape,
                        fp6llmComputeType_t compute, int64_t tokens) {
    return chosen_kernel(handle, weight, shape, compute, tokens).name;
}

size_t packed_bytes(Handle& handle, const Format& format, const Shape& shape) {
    size_t bytes = 0;
    fp6llmQuantConfig_t config = format.config;
    if (config.format == FP6LLM_R_6F_AUTO) config.format = FP6LLM_R_6F_E3M2;  // either has 6 bits
    check(fp6llmWeightGetBlobSize(handle.get(), &config, shape.rows, shape.cols, &bytes));
    return bytes;
}

Copies PackedWeights::make_copies(Handle& handle, const Format& format, const Shape& shape,
                                  const std::vector<float>& w, size_t total, CheckedRows& checked,
                                  double& bits) {
    const QuantSizes sizes = quant_sizes(format.config, shape.rows, shape.cols);
    std::vector<uint8_t> codes(sizes.code_bytes);
    std::vector<float> scales((sizes.scale_bytes + 3) / 4);
    fp6llmQuantConfig_t config = format.config;
    config.format = handle
                        .quantize(config, shape.rows, shape.cols,
                                  Span<const float>(w.data(), w.size()), codes, scales)
                        .format;
    bits = 8.0 * static_cast<double>(sizes.code_bytes + sizes.scale_bytes) /
           static_cast<double>(w.size());

    // What a checked row stands for, dequantized alone.
    checked.rows = spread_rows(shape.rows);
    std::vector<float> values(static_cast<size_t>(shape.cols));
    const size_t row_bytes = sizes.code_bytes / static_cast<size_t>(shape.rows);
    const size_t row_scale_bytes = sizes.scale_bytes / static_cast<size_t>(shape.rows);
    for (const int64_t row : checked.rows) {
        const auto index = static_cast<size_t>(row);
        check(fp6llmDequantize(
            handle.get(), &config, 1, shape.cols, codes.data() + index * row_bytes,
            reinterpret_cast<const uint8_t*>(scales.data()) + index * row_scale_bytes,
            values.data(), FP6LLM_R_32F, shape.cols));
        checked.values.insert(checked.values.end(), values.begin(), values.end());
    }

    const size_t bytes = packed_bytes(handle, format, shape);
    // One copy only to get memory that is aligned as a blob must be.
    const std::vector<uint8_t> nothing(bytes);
    const Copies blob(nothing.data(), bytes, 1);
    check(fp6llmWeightPackBlob(handle.get(), &config, shape.rows, shape.cols, codes.data(),
                               scales.data(), const_cast<uint8_t*>(blob.copy(0)), bytes));
    return Copies(blob.copy(0), bytes, total);
}

Format packed_for(const Format& format, const Compute& compute) {
    Format hinted = format;
    hinted.config.computeHint = compute.type;
    return hinted;
}

HintedWeights::HintedWeights(Handle& handle, const Format& format,
                             const std::vector<Compute>& computes, const Shape& shape,
                             const std::vector<float>& w, size_t total) {
    std::vector<std::string> layouts;
    for (const Compute& compute : computes) {
        const Format hinted = packed_for(format, compute);
        layouts.push_back(layout_of(handle, hinted, shape.cols, w));
        const auto same = std::find(layouts.begin(), layouts.end(), layouts.back());
        const auto first = static_cast<size_t>(same - layouts.begin());
        by_compute_.push_back(first < by_compute_.size() ? by_compute_[first]
                                                         : std::make_shared<PackedWeights>(
                                                               handle, hinted, shape, w, total));
    }
}

PackedWeights::PackedWeights(Handle& handle, const Format& format, const Shape& shape,
                             const std::vector<float>& w, size_t total)
    : copies_(make_copies(handle, format, shape, w, total, checked_, bits_)) {
    for (int64_t i = 0; i < copies_.count(); ++i) {
        views_.push_back(Weight::view(handle, Bytes(copies_.copy(i), copies_.bytes())));
    }
}

}  // namespace fp6llm::bench
