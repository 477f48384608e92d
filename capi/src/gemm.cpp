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

void check_shapes_agree(const GemmProblem& problem, const Shape& shape, const char* name) {
    if (problem.outputs() != shape.m || problem.k() != shape.k) {
        const CpuWeightView& view = problem.weight->cpu();
        fail(Status::kInvalidValue,
             "op(A) is [m, k] = [%lld, %lld], but %s is [rows, cols] = [%lld, %lld] with transa = "
             "%s",
             ll(shape.m), ll(shape.k), name, ll(view.rows), ll(view.cols),
             problem.transposed ? "N" : "T");
    }
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

float read_scalar(const void* pointer, const char* name) {
    check_not_null(pointer, name);
    check_aligned(pointer, alignof(float), name);
    return *static_cast<const float*>(pointer);
}

/// Plans and runs a checked problem.
void run(fp6llmContext& context, const GemmProblem& problem, const TokenSource& x,
         const OutputSink& y, int32_t algo) {
    const GemmPlan plan = choose_plan(problem, algo, context.isa, context.executor().concurrency());
    run_gemm(plan, problem, x, y, context.workspace(plan.workspace_bytes), context.executor());
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
        problem.weight = &check_weight(context, A, "A");
        check_shapes_agree(problem, shape, "A");
        const float alpha_value = read_scalar(alpha, "alpha");
        const float beta_value = read_scalar(beta, "beta");
        const bool reads_b = m != 0 && n != 0 && k != 0 && alpha_value != 0.0f;
        const TokenSource x = check_activations(shape, problem, B, ldb, reads_b);
        const OutputSink y = check_outputs(shape, problem, C, ldc, alpha_value, beta_value);
        run(context, problem, x, y, algo);
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
        problem.weight = &check_weight(context, A, "A");
        check_shapes_agree(problem, shape, "A");
        check_out(bytes, "bytes");
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
        problem.weight = &check_weight(context, A, "A");
        check_shapes_agree(problem, shape, "A");
        if (requested < 1) fail(Status::kInvalidValue, "requested = %d < 1", requested);
        check_out_struct(results, "results");
        check_out(returned, "returned");

        const int threads = context.executor().concurrency();
        choose_plan(problem, kAlgoDefault, context.isa, threads);  // says what is not supported
        const std::vector<GemmPlan> plans = plan_gemm(problem, context.isa, threads);
        const int count =
            requested < static_cast<int>(plans.size()) ? requested : static_cast<int>(plans.size());
        const size_t stride = results->structSize;
        auto* out = reinterpret_cast<unsigned char*>(results);
        for (int i = 0; i < count; ++i, out += stride) {
            fp6llmHeuristicResult_t result = FP6LLM_HEURISTIC_RESULT_INIT;
            result.algo = plans[i].algo;
            result.isReference = plans[i].algo == kAlgoReference ? 1 : 0;
            result.workspaceSize = plans[i].workspace_bytes;
            std::strncpy(result.name, plans[i].name, sizeof result.name - 1);
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
        problem.weight = &check_weight(context, W, "W");
        problem.tokens = tokens;
        problem.compute = ComputeType::kF32;
        problem.x_type = check_float_type(Xtype, "Xtype");
        problem.y_type = check_float_type(Ytype, "Ytype");
        check_output_type(problem.y_type, "Ytype", problem.x_type, "Xtype");
        const int64_t outputs = problem.outputs(), k = problem.k();
        const bool is_empty = tokens == 0 || outputs == 0;

        check_matrix(tokens, k, "IC", ldx, "ldx", problem.x_type);
        check_buffer(X, is_empty || k == 0, float_bytes(problem.x_type), "X");
        check_matrix(tokens, outputs, "OC", ldy, "ldy", problem.y_type);
        check_buffer(Y, is_empty, float_bytes(problem.y_type), "Y");

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
            }
            if (e.residual != nullptr) {
                y.residual = e.residual;
                y.residual_type = check_float_type(e.residualType, "epilogue->residualType");
                check_aligned(e.residual, float_bytes(y.residual_type), "epilogue->residual");
                check_matrix(tokens, outputs, "OC", e.ldr, "epilogue->ldr", y.residual_type);
                y.ldr = e.ldr;
            }
            if (e.computeType != 0) {
                problem.compute = check_compute_type(e.computeType, "epilogue->computeType");
            }
        }
        run(context, problem, TokenSource{X, problem.x_type, k, ldx, 1}, y, kAlgoDefault);
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
        GemmProblem problem = check_shape(shape);
        check_not_negative(groups, "groups");
        checked_mul(groups, sizeof(int64_t), "groups");  // bytes of offsets, and of A
        if (transb != FP6LLM_OP_N) {
            fail(Status::kNotSupported, "transb = T in a grouped multiplication; N is supported");
        }
        check_not_null(offsets, "offsets");
        check_aligned(offsets, alignof(int64_t), "offsets");
        check_buffer(A, groups == 0, alignof(fp6llmWeight_t), "A");
        const float alpha_value = read_scalar(alpha, "alpha");
        const float beta_value = read_scalar(beta, "beta");
        const bool reads_b = m != 0 && n != 0 && k != 0 && alpha_value != 0.0f;
        const TokenSource x = check_activations(shape, problem, B, ldb, reads_b);
        const OutputSink y = check_outputs(shape, problem, C, ldc, alpha_value, beta_value);

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
            problem.weight = &check_weight(context, A[g], name);
            check_shapes_agree(problem, shape, name);
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
            run(context, problem, group_x, group_y, algo);
        }
    });
}
