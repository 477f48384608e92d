// See capi_session.hpp: the multiplying calls. A default algorithm's results are compared with the
// reference's where weights and activations are small enough for a bound on the difference.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/common/float16.hpp"
#include "tests/fuzz/capi_session.hpp"

namespace fp6llm::fuzz {
namespace {

constexpr int64_t kMostElements = 1 << 18;  // a damaged header that is accepted may say large sizes
constexpr float kLargestWeight = 8, kLargestActivation = 2;

float load(const uint8_t* at, int32_t type) {
    if (type == FP6LLM_R_32F) {
        float value;
        std::memcpy(&value, at, 4);
        return value;
    }
    uint16_t half;
    std::memcpy(&half, at, 2);
    return type == FP6LLM_R_16F ? half_to_float(half) : bf16_to_float(half);
}

double output_rounding(int32_t type) {
    return type == FP6LLM_R_32F ? 0x1p-22 : type == FP6LLM_R_16F ? 0x1p-9 : 0x1p-6;
}

// C after a call against C after the reference: [n] columns of m elements, ldc apart.
void compare(const uint8_t* ours, const uint8_t* reference, int32_t type, int64_t m, int64_t n,
             int64_t ldc, double bound) {
    const int64_t element = type == FP6LLM_R_32F ? 4 : 2;
    for (int64_t column = 0; column < n; ++column) {
        for (int64_t row = 0; row < m; ++row) {
            const int64_t at = (column * ldc + row) * element;
            const double a = load(ours + at, type), b = load(reference + at, type);
            if (a == b) continue;
            const bool close = std::fabs(a - b) <= bound + output_rounding(type) * std::fabs(b);
            if (!close) std::fprintf(stderr, "%g, reference %g, bound %g\n", a, b, bound);
            require(close);
        }
    }
}

// What lies between two columns of an output stays as it was.
void require_gaps_untouched(const Matrix& c, int64_t m, int64_t n) {
    const size_t element = c.type == FP6LLM_R_32F ? 4 : 2;
    for (int64_t column = 0; m > 0 && column + 1 < n; ++column) {
        for (auto at = static_cast<size_t>(column * c.ld + m) * element;
             at < static_cast<size_t>((column + 1) * c.ld) * element; ++at) {
            require(c.memory.data()[at] == GuardedBuffer::kPattern);
        }
    }
}

// An upper bound of the difference between a sum of k products in fp64 and by a compute type.
double product_bound(int64_t k, double alpha, int32_t compute) {
    const double sum =
        std::fabs(alpha) * kLargestWeight * kLargestActivation * static_cast<double>(k);
    const double rounding = compute == FP6LLM_COMPUTE_32F ? 0 : 0x1p-7;
    return sum * (rounding + static_cast<double>(k + 16) * 0x1p-23) + 1e-30;
}

int32_t pick_compute(Choices& choices) {
    return choices.rarely(96)
               ? choices.one_of<int32_t>({FP6LLM_COMPUTE_32F_FAST_16BF, FP6LLM_COMPUTE_32F_FAST_16F,
                                          FP6LLM_COMPUTE_32F_FAST_8I, FP6LLM_COMPUTE_32F_FAST_16I,
                                          FP6LLM_COMPUTE_32F_FAST_8F, 0, 99})
               : FP6LLM_COMPUTE_32F;
}

}  // namespace

void Session::gemm_call() {
    LiveWeight* live = some_weight();
    if (!live) return;
    bool wrong = false, sizes_wrong = false;
    int32_t transa = choices_.rarely(64) ? FP6LLM_OP_N : FP6LLM_OP_T;
    int32_t transb = choices_.rarely(48) ? FP6LLM_OP_T : FP6LLM_OP_N;
    int64_t m = transa == FP6LLM_OP_T ? live->rows : live->cols;
    int64_t k = transa == FP6LLM_OP_T ? live->cols : live->rows;
    const int64_t n = size(choices_.rarely(32) ? 140 : 20, sizes_wrong);
    if (!sizes_wrong && (m + 8) * (n + 8) + (k + 8) * (n + 8) > kMostElements) return;
    if (choices_.rarely(4)) wrong = true, ++(choices_.below(2) ? m : k);
    if (choices_.rarely(4)) wrong = true, (choices_.below(2) ? transa : transb) = 2;

    const bool b_transposed = transb == FP6LLM_OP_T;
    const Matrix b = b_transposed ? matrix(k, n, sizes_wrong) : matrix(n, k, sizes_wrong);
    Matrix c = matrix(n, m, sizes_wrong);
    const bool tame = live->tame && !choices_.rarely(16);
    fill(b, tame);
    const float alpha = choices_.one_of({1.0f, 0.5f, -2.0f, 0.0f});
    const float beta = choices_.one_of({0.0f, 1.0f, -0.5f});
    const int32_t compute = pick_compute(choices_);
    const int32_t algo =
        choices_.rarely(64) ? static_cast<int32_t>(choices_.below(48)) - 4 : FP6LLM_ALGO_DEFAULT;

    const bool reads_b = m != 0 && k != 0 && alpha != 0;
    wrong = wrong || sizes_wrong || b.wrong || (b.misaligned && reads_b) || c.wrong || c.misaligned;
    const auto handle = this->handle(wrong);
    const auto weight = pointer(live->weight, true, wrong);
    const auto* alpha_at = pointer(&alpha, true, wrong);
    void* c_data = pointer(c.data(), m != 0 && n != 0, wrong);
    const auto ta = static_cast<fp6llmOperation_t>(transa);
    const auto tb = static_cast<fp6llmOperation_t>(transb);
    const auto b_type = static_cast<fp6llmDataType_t>(b.type);
    const auto c_type = static_cast<fp6llmDataType_t>(c.type);
    const auto compute_type = static_cast<fp6llmComputeType_t>(compute);

    const auto before = c.memory.copy();
    if (!succeeded(fp6llmGemmEx(handle, ta, tb, m, n, k, alpha_at, weight, b.data(), b_type, b.ld,
                                &beta, c_data, c_type, c.ld, compute_type, algo),
                   wrong)) {
        require(executor_skips_ || c.memory.equals(before));
        return;
    }
    require_gaps_untouched(c, m, n);
    size_t workspace_bytes = 0;
    require(!fp6llmGemmGetWorkspaceSize(handle_, ta, tb, m, n, k, live->weight, b_type, c_type,
                                        compute_type, algo, &workspace_bytes));
    fp6llmHeuristicResult_t kernels[4] = {FP6LLM_HEURISTIC_RESULT_INIT};
    int count = 0;
    require(!fp6llmGemmGetHeuristic(handle_, ta, tb, m, n, k, live->weight, b_type, c_type,
                                    compute_type, 4, kernels, &count));
    require(count >= 1 && count <= 4);
    if (!tame) return;

    const auto ours = c.memory.copy();
    if (!before.empty()) std::memcpy(c.memory.data(), before.data(), before.size());
    constexpr int32_t kReference = 0;
    if (succeeded(fp6llmGemmEx(handle_, ta, tb, m, n, k, &alpha, live->weight, b.data(), b_type,
                               b.ld, &beta, c.data(), c_type, c.ld, FP6LLM_COMPUTE_32F, kReference),
                  false)) {
        compare(ours.data(), c.memory.data(), c.type, m, n, c.ld, product_bound(k, alpha, compute));
    }
}

void Session::linear_call() {
    LiveWeight* live = some_weight();
    if (!live) return;
    bool wrong = false, sizes_wrong = false;
    const int64_t tokens = size(20, sizes_wrong);
    if (!sizes_wrong && (live->rows + live->cols + 16) * (tokens + 1) > kMostElements) return;
    const Matrix x = matrix(tokens, live->cols, sizes_wrong);
    Matrix y = matrix(tokens, live->rows, sizes_wrong);
    Matrix residual = matrix(tokens, live->rows, sizes_wrong);
    Matrix bias = matrix(1, live->rows, sizes_wrong);
    fill(x, true);
    fill(residual, true);
    fill(bias, !choices_.rarely(16));

    fp6llmEpilogue_t epilogue = FP6LLM_EPILOGUE_INIT;
    epilogue.activation = static_cast<int32_t>(choices_.below(6));
    bool epilogue_wrong = epilogue.activation > FP6LLM_ACTIVATION_SILU;
    // A bias has no leading dimension that could be refused.
    if (choices_.rarely(128) && bias.ld >= live->rows) {
        epilogue.bias = bias.data();
        epilogue.biasType = bias.type;
        epilogue_wrong = epilogue_wrong || bias.wrong || bias.misaligned;
    }
    const int64_t residual_kind = choices_.below(3);
    if (residual_kind == 1) {
        epilogue.residual = residual.data();
        epilogue.residualType = residual.type;
        epilogue.ldr = residual.ld;
        epilogue_wrong = epilogue_wrong || residual.wrong || residual.misaligned;
    } else if (residual_kind == 2) {
        epilogue.residual = y.data();
        epilogue.residualType = y.type;
        epilogue.ldr = y.ld;
    }
    epilogue.computeType = choices_.rarely(128) ? pick_compute(choices_) : 0;
    const bool with_epilogue = choices_.rarely(160);
    // An empty problem may accept what it never looks at.
    const bool empty = tokens == 0 || live->rows == 0;
    wrong = sizes_wrong || x.wrong || (x.misaligned && !empty) || y.wrong || y.misaligned ||
            (with_epilogue && epilogue_wrong && !empty);
    const auto handle = this->handle(wrong);
    const auto weight = pointer(live->weight, true, wrong);
    const auto before = y.memory.copy();
    if (succeeded(fp6llmLinear(handle, tokens, x.data(), static_cast<fp6llmDataType_t>(x.type),
                               x.ld, weight, with_epilogue ? &epilogue : nullptr, y.data(),
                               static_cast<fp6llmDataType_t>(y.type), y.ld),
                  wrong)) {
        require_gaps_untouched(y, live->rows, tokens);
    } else {
        require(executor_skips_ || y.memory.equals(before));
    }
}

void Session::grouped_call() {
    LiveWeight* live = some_weight();
    if (!live) return;
    bool wrong = false, sizes_wrong = false;
    const int64_t n = size(24, sizes_wrong), groups = choices_.below(5);
    const int64_t m = live->rows, k = live->cols;
    if (!sizes_wrong && (m + k + 16) * (n + 1) > kMostElements) return;
    GuardedBuffer offsets(static_cast<size_t>(groups + 1) * sizeof(int64_t));
    std::vector<fp6llmWeight_t> a;
    int64_t end = 0;
    offsets.as<int64_t>()[0] = 0;
    for (int64_t g = 0; g < groups; ++g) {
        int64_t tokens = std::min<int64_t>(choices_.below(8), (sizes_wrong ? 24 : n) - end);
        offsets.as<int64_t>()[g + 1] = end + tokens;
        end += tokens;
        a.push_back(tokens == 0 && choices_.rarely(128) ? nullptr : live->weight);
    }
    if (choices_.rarely(4)) {
        offsets.as<int64_t>()[choices_.below(static_cast<int>(groups + 1))] =
            choices_.one_of<int64_t>({-1, 1000, std::numeric_limits<int64_t>::max()});
        wrong = true;
    }
    if (choices_.rarely(4) && end > 0) {
        for (fp6llmWeight_t& weight : a)
            weight = nullptr;
        wrong = true;
    }
    const Matrix b = matrix(n, k, sizes_wrong);
    Matrix c = matrix(n, m, sizes_wrong);
    fill(b, true);
    const float alpha = 1, beta = choices_.one_of({0.0f, 1.0f});
    wrong = wrong || sizes_wrong || b.wrong || c.wrong ||
            (end > 0 && m > 0 && k > 0 && (b.misaligned || c.misaligned));
    const auto handle = this->handle(wrong);
    const auto before = c.memory.copy();
    if (!succeeded(fp6llmGemmGroupedEx(handle, groups, FP6LLM_OP_T, FP6LLM_OP_N, m, n, k,
                                       offsets.as<int64_t>(), &alpha, a.data(), b.data(),
                                       static_cast<fp6llmDataType_t>(b.type), b.ld, &beta, c.data(),
                                       static_cast<fp6llmDataType_t>(c.type), c.ld,
                                       static_cast<fp6llmComputeType_t>(pick_compute(choices_)),
                                       FP6LLM_ALGO_DEFAULT),
                   wrong)) {
        require(executor_skips_ || allocation_fails_ || c.memory.equals(before));
        return;
    }
    require_gaps_untouched(c, m, n);
    // Columns beyond the last group stay.
    const size_t element = c.type == FP6LLM_R_32F ? 4 : 2;
    for (auto at = static_cast<size_t>(end * c.ld) * element; at < c.memory.size(); ++at) {
        require(c.memory.data()[at] == GuardedBuffer::kPattern);
    }
}

}  // namespace fp6llm::fuzz
