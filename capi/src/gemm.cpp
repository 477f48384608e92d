// The multiplying calls: column-major arguments to the core's token view, checks, plans, runs.
#include <vector>

#include "capi/src/checks.hpp"
#include "capi/src/guard.hpp"
#include "capi/src/weight.hpp"
#include "core/gemm/plan.hpp"

namespace fp6llm::capi {
namespace {

/// What all the GEMM calls say of a problem: everything but the data.
struct Shape {
    int32_t transa, transb;
    int64_t m, n, k;
    int32_t b_type, c_type, compute;
};

long long ll(int64_t value) {
    return static_cast<long long>(value);
}

void check_output_type(DataType c, const char* c_name, DataType b, const char* b_name) {
    if (c != DataType::kF32 && c != b) {
        fail(Status::kNotSupported, "%s = %d with %s = %d; R_32F or the same type are supported",
             c_name, static_cast<int>(c), b_name, static_cast<int>(b));
    }
}

/// Checks enums and sizes; the weight comes after, as grouped calls have many.
GemmProblem check_shape(const Shape& shape) {
    GemmProblem problem{};
    problem.transposed = !check_operation(shape.transa, "transa");
    check_operation(shape.transb, "transb");
    check_not_negative(shape.m, "m");
    check_not_negative(shape.n, "n");
    check_not_negative(shape.k, "k");
    problem.tokens = shape.n;
    problem.x_type = check_float_type(shape.b_type, "Btype");
    problem.y_type = check_float_type(shape.c_type, "Ctype");
    check_output_type(problem.y_type, "Ctype", problem.x_type, "Btype");
    problem.compute = check_compute_type(shape.compute, "computeType");
    return problem;
}

/// Checks a weight against the handle and the shape, and makes it the problem's (on the CPU).
const fp6llmWeight& check_operand(const fp6llmContext& context, const Shape& shape,
                                  fp6llmWeight_t A, const char* name, GemmProblem& problem) {
    const fp6llmWeight& weight = check_weight(context, A, name);
    const bool is_n = problem.transposed;
    if ((is_n ? weight.cols() : weight.rows()) != shape.m ||
        (is_n ? weight.rows() : weight.cols()) != shape.k) {
        fail(Status::kInvalidValue,
             "op(A) is [m, k] = [%lld, %lld], but %s is [rows, cols] = [%lld, %lld] with transa = "
             "%s",
             ll(shape.m), ll(shape.k), name, ll(weight.rows()), ll(weight.cols()),
             is_n ? "N" : "T");
    }
    problem.weight = weight.impl.get();
    return weight;
}

/// The same problem where the weight is on a GPU.
DeviceGemmProblem on_device(const GemmProblem& problem, const fp6llmWeight& weight) {
    return {weight.device_impl.get(), problem.transposed, problem.tokens,
            problem.compute,          problem.x_type,     problem.y_type};
}

TokenSource check_activations(const Shape& shape, const GemmProblem& problem, const void* B,
                              int64_t ldb, bool is_read) {
    const bool transposed = shape.transb == FP6LLM_OP_T;
    check_matrix(transposed ? shape.k : shape.n, transposed ? shape.n : shape.k,
                 transposed ? "n" : "k", ldb, "ldb", problem.x_type);
    check_buffer(B, !is_read, float_bytes(problem.x_type), "B");
    return {B, problem.x_type, shape.k, transposed ? 1 : ldb, transposed ? ldb : 1};
}

OutputSink check_outputs(const Shape& shape, const GemmProblem& problem, void* C, int64_t ldc,
                         float alpha, float beta) {
    check_matrix(shape.n, shape.m, "m", ldc, "ldc", problem.y_type);
    check_buffer(C, shape.m == 0 || shape.n == 0, float_bytes(problem.y_type), "C");
    OutputSink out{};
    out.data = C;
    out.type = problem.y_type;
    out.ld = ldc;
    out.alpha = alpha;
    out.beta = beta;
    return out;
}

/// alpha and beta: their values, or where they are in device memory.
struct Scalars {
    float alpha = 1.0f;
    float beta = 0.0f;
    DeviceScalars device;
    /// Whether the product may count: it does not if alpha is known to be 0.
    bool needs_product() const noexcept { return device.alpha != nullptr || alpha != 0.0f; }
};

const float* check_scalar(const void* pointer, const char* name) {
    check_not_null(pointer, name);
    check_aligned(pointer, alignof(float), name);
    return static_cast<const float*>(pointer);
}

Scalars check_scalars(const fp6llmContext& context, const void* alpha, const void* beta) {
    const float* alpha_at = check_scalar(alpha, "alpha");
    const float* beta_at = check_scalar(beta, "beta");
    Scalars scalars;
    if (context.pointer_mode == FP6LLM_POINTER_MODE_DEVICE) {
        context.check_memory(alpha, "alpha");
        context.check_memory(beta, "beta");
        scalars.device = {alpha_at, beta_at};
    } else {
        check_host_pointer(alpha, "alpha", "the pointer mode is HOST");
        check_host_pointer(beta, "beta", "the pointer mode is HOST");
        scalars.alpha = *alpha_at;
        scalars.beta = *beta_at;
    }
    return scalars;
}

/// Plans and runs a checked problem.
void run(fp6llmContext& context, const fp6llmWeight& weight, const GemmProblem& problem,
         const TokenSource& x, const OutputSink& y, const DeviceScalars& scalars, int32_t algo) {
    if (context.device != nullptr) {
        context.device->run_gemm(on_device(problem, weight), algo, x, y, scalars);
        return;
    }
    const GemmPlan plan = choose_plan(problem, algo, context.isa, context.executor().concurrency());
    run_gemm(plan, problem, x, y, context.workspace(plan.workspace_bytes), context.executor());
}

/// The ways to run a problem, best first; at least one, else the error that says why.
std::vector<GemmChoice> all_choices(fp6llmContext& context, const fp6llmWeight& weight,
                                    const GemmProblem& problem) {
    if (context.device != nullptr) {
        const DeviceGemmProblem device_problem = on_device(problem, weight);
        context.device->choose_gemm(device_problem, kAlgoDefault);  // says what is not supported
        return context.device->plan_gemm(device_problem);
    }
    const int threads = context.executor().concurrency();
    choose_plan(problem, kAlgoDefault, context.isa, threads);  // says what is not supported
    std::vector<GemmChoice> choices;
    for (const GemmPlan& plan : plan_gemm(problem, context.isa, threads)) {
        choices.push_back(
            {plan.algo, plan.name, plan.workspace_bytes, plan.algo == kAlgoReference});
    }
    return choices;
}

}  // namespace
}  // namespace fp6llm::capi

using namespace fp6llm;
using namespace fp6llm::capi;

fp6llmStatus_t fp6llmGemmEx(fp6llmHandle_t handle, fp6llmOperation_t transa,
                            fp6llmOperation_t transb, int64_t m, int64_t n, int64_t k,
                            const void* alpha, fp6llmWeight_t A, const void* B,
                            fp6llmDataType_t Btype, int64_t ldb, const void* beta, void* C,
                            fp6llmDataType_t Ctype, int64_t ldc, fp6llmComputeType_t computeType,
                            int32_t algo) {
    return guard(handle, [&](fp6llmContext& context) {
        const Shape shape{transa, transb, m, n, k, Btype, Ctype, computeType};
        GemmProblem problem = check_shape(shape);
        const fp6llmWeight& weight = check_operand(context, shape, A, "A", problem);
        const Scalars scalars = check_scalars(context, alpha, beta);
        const bool reads_b = m != 0 && n != 0 && k != 0 && scalars.needs_product();
        const TokenSource x = check_activations(shape, problem, B, ldb, reads_b);
        const OutputSink y = check_outputs(shape, problem, C, ldc, scalars.alpha, scalars.beta);
        context.check_memory(B, !reads_b, "B");
        context.check_memory(C, m == 0 || n == 0, "C");
        run(context, weight, problem, x, y, scalars.device, algo);
    });
}

fp6llmStatus_t fp6llmGemmGetWorkspaceSize(fp6llmHandle_t handle, fp6llmOperation_t transa,
                                          fp6llmOperation_t transb, int64_t m, int64_t n, int64_t k,
                                          fp6llmWeight_t A, fp6llmDataType_t Btype,
                                          fp6llmDataType_t Ctype, fp6llmComputeType_t computeType,
                                          int32_t algo, size_t* bytes) {
    return guard(handle, [&](fp6llmContext& context) {
        const Shape shape{transa, transb, m, n, k, Btype, Ctype, computeType};
        GemmProblem problem = check_shape(shape);
        const fp6llmWeight& weight = check_operand(context, shape, A, "A", problem);
        check_out(bytes, "bytes");
        if (context.device != nullptr) {
            *bytes = context.device->choose_gemm(on_device(problem, weight), algo).workspace_bytes;
            return;
        }
        *bytes = choose_plan(problem, algo, context.isa, context.executor().concurrency())
                     .workspace_bytes;
    });
}

fp6llmStatus_t fp6llmGemmGetHeuristic(fp6llmHandle_t handle, fp6llmOperation_t transa,
                                      fp6llmOperation_t transb, int64_t m, int64_t n, int64_t k,
                                      fp6llmWeight_t A, fp6llmDataType_t Btype,
                                      fp6llmDataType_t Ctype, fp6llmComputeType_t computeType,
                                      int requested, fp6llmHeuristicResult_t* results,
                                      int* returned) {
    return guard(handle, [&](fp6llmContext& context) {
        const Shape shape{transa, transb, m, n, k, Btype, Ctype, computeType};
        GemmProblem problem = check_shape(shape);
        const fp6llmWeight& weight = check_operand(context, shape, A, "A", problem);
        if (requested < 1) fail(Status::kInvalidValue, "requested = %d < 1", requested);
        check_out_struct(results, "results");
        check_out(returned, "returned");

        const std::vector<GemmChoice> choices = all_choices(context, weight, problem);
        const int available = static_cast<int>(choices.size());
        const int count = requested < available ? requested : available;
        const size_t stride = results->structSize;
        auto* out = reinterpret_cast<unsigned char*>(results);
        for (int i = 0; i < count; ++i, out += stride) {
            fp6llmHeuristicResult_t result = FP6LLM_HEURISTIC_RESULT_INIT;
            result.algo = choices[i].algo;
            result.isReference = choices[i].is_reference ? 1 : 0;
            result.workspaceSize = choices[i].workspace_bytes;
            std::strncpy(result.name, choices[i].name, sizeof result.name - 1);
            std::memcpy(out, &stride, sizeof stride);
            write_struct(out, stride, result);
        }
        *returned = count;
    });
}

fp6llmStatus_t fp6llmLinear(fp6llmHandle_t handle, int64_t tokens, const void* X,
                            fp6llmDataType_t Xtype, int64_t ldx, fp6llmWeight_t W,
                            const fp6llmEpilogue_t* epilogue, void* Y, fp6llmDataType_t Ytype,
                            int64_t ldy) {
    return guard(handle, [&](fp6llmContext& context) {
        check_not_negative(tokens, "tokens");
        GemmProblem problem{};
        const fp6llmWeight& weight = check_weight(context, W, "W");
        problem.weight = weight.impl.get();
        problem.tokens = tokens;
        problem.compute = ComputeType::kF32;
        problem.x_type = check_float_type(Xtype, "Xtype");
        problem.y_type = check_float_type(Ytype, "Ytype");
        check_output_type(problem.y_type, "Ytype", problem.x_type, "Xtype");
        const int64_t outputs = weight.rows(), k = weight.cols();
        const bool is_empty = tokens == 0 || outputs == 0;

        check_matrix(tokens, k, "IC", ldx, "ldx", problem.x_type);
        check_buffer(X, is_empty || k == 0, float_bytes(problem.x_type), "X");
        check_matrix(tokens, outputs, "OC", ldy, "ldy", problem.y_type);
        check_buffer(Y, is_empty, float_bytes(problem.y_type), "Y");
        context.check_memory(X, is_empty || k == 0, "X");
        context.check_memory(Y, is_empty, "Y");

        OutputSink y{};
        y.data = Y;
        y.type = problem.y_type;
        y.ld = ldy;
        if (epilogue != nullptr) {
            const fp6llmEpilogue_t e = read_struct(epilogue, "epilogue");
            y.activation = check_activation(e.activation, "epilogue->activation");
            if (e.bias != nullptr) {
                y.bias = e.bias;
                y.bias_type = check_float_type(e.biasType, "epilogue->biasType");
                check_aligned(e.bias, float_bytes(y.bias_type), "epilogue->bias");
                context.check_memory(e.bias, "epilogue->bias");
            }
            if (e.residual != nullptr) {
                y.residual = e.residual;
                y.residual_type = check_float_type(e.residualType, "epilogue->residualType");
                check_aligned(e.residual, float_bytes(y.residual_type), "epilogue->residual");
                context.check_memory(e.residual, "epilogue->residual");
                check_matrix(tokens, outputs, "OC", e.ldr, "epilogue->ldr", y.residual_type);
                y.ldr = e.ldr;
            }
            if (e.computeType != 0) {
                problem.compute = check_compute_type(e.computeType, "epilogue->computeType");
            }
        }
        run(context, weight, problem, TokenSource{X, problem.x_type, k, ldx, 1}, y, {},
            kAlgoDefault);
    });
}

fp6llmStatus_t fp6llmGemmGroupedEx(fp6llmHandle_t handle, int64_t groups, fp6llmOperation_t transa,
                                   fp6llmOperation_t transb, int64_t m, int64_t n, int64_t k,
                                   const int64_t* offsets, const void* alpha,
                                   const fp6llmWeight_t A[], const void* B, fp6llmDataType_t Btype,
                                   int64_t ldb, const void* beta, void* C, fp6llmDataType_t Ctype,
                                   int64_t ldc, fp6llmComputeType_t computeType, int32_t algo) {
    return guard(handle, [&](fp6llmContext& context) {
        const Shape shape{transa, transb, m, n, k, Btype, Ctype, computeType};
        if (context.device != nullptr) {
            fail(Status::kNotSupported,
                 "grouped multiplication on CUDA is not in this version; a CPU handle does it");
        }
        GemmProblem problem = check_shape(shape);
        check_not_negative(groups, "groups");
        checked_mul(groups, sizeof(int64_t), "groups");  // bytes of offsets, and of A
        if (transb != FP6LLM_OP_N) {
            fail(Status::kNotSupported, "transb = T in a grouped multiplication; N is supported");
        }
        check_not_null(offsets, "offsets");
        check_aligned(offsets, alignof(int64_t), "offsets");
        context.check_memory(offsets, "offsets");
        check_buffer(A, groups == 0, alignof(fp6llmWeight_t), "A");
        const Scalars scalars = check_scalars(context, alpha, beta);
        const bool reads_b = m != 0 && n != 0 && k != 0 && scalars.needs_product();
        const TokenSource x = check_activations(shape, problem, B, ldb, reads_b);
        const OutputSink y = check_outputs(shape, problem, C, ldc, scalars.alpha, scalars.beta);
        context.check_memory(B, !reads_b, "B");
        context.check_memory(C, m == 0 || n == 0, "C");

        // Everything is checked and allocated before the first group writes.
        const int threads = context.executor().concurrency();
        if (offsets[0] != 0) {
            fail(Status::kInvalidValue, "offsets[0] = %lld is not 0", ll(offsets[0]));
        }
        size_t workspace_bytes = 0;
        for (int64_t g = 0; g < groups; ++g) {
            if (offsets[g + 1] < offsets[g] || offsets[g + 1] > n) {
                fail(Status::kInvalidValue, "offsets[%lld] = %lld is not in %lld..n = %lld",
                     ll(g + 1), ll(offsets[g + 1]), ll(offsets[g]), ll(n));
            }
            if (A[g] == nullptr && offsets[g + 1] == offsets[g]) continue;
            char name[32];
            std::snprintf(name, sizeof name, "A[%lld]", ll(g));
            check_operand(context, shape, A[g], name, problem);
            problem.tokens = offsets[g + 1] - offsets[g];
            const GemmPlan plan = choose_plan(problem, algo, context.isa, threads);
            if (plan.workspace_bytes > workspace_bytes) workspace_bytes = plan.workspace_bytes;
        }
        if (workspace_bytes != 0) context.workspace(workspace_bytes);

        for (int64_t g = 0; g < groups; ++g) {
            problem.tokens = offsets[g + 1] - offsets[g];
            if (problem.tokens == 0) continue;
            problem.weight = A[g]->impl.get();
            TokenSource group_x = x;
            OutputSink group_y = y;
            if (reads_b) {
                group_x.data = static_cast<const char*>(x.data) +
                               offsets[g] * ldb * static_cast<int64_t>(float_bytes(x.type));
            }
            if (m != 0) {
                group_y.data = static_cast<char*>(y.data) +
                               offsets[g] * ldc * static_cast<int64_t>(float_bytes(y.type));
            }
            run(context, *A[g], problem, group_x, group_y, {}, algo);
        }
    });
}
