/* GemmEx in all orientations, alpha and beta, Linear with its epilogue, groups, heuristics,
 * workspace. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"

static const float zero = 0.0f, one = 1.0f;

/* y[t][o], as the column-major C it is, of the plain product. */
static fp6llmStatus_t gemm(fp6llmHandle_t handle, fp6llmWeight_t weight, const problem_t* problem,
                           float alpha, float beta, float* y, int32_t algo) {
    return fp6llmGemmEx(handle, FP6LLM_OP_T, FP6LLM_OP_N, OC, TOKENS, IC, &alpha, weight,
                        problem->x, FP6LLM_R_32F, IC, &beta, y, FP6LLM_R_32F, OC,
                        FP6LLM_COMPUTE_32F, algo);
}

static void test_gemm(fp6llmHandle_t handle, fp6llmWeight_t weight, const problem_t* problem) {
    static float y[TOKENS][OC];
    int t, o;
    memset(y, 0xFF, sizeof(y)); /* NaN: beta == 0 must not read it */
    CHECK_OK(gemm(handle, weight, problem, 1.0f, 0.0f, y[0], FP6LLM_ALGO_DEFAULT));
    CHECK(memcmp(y, problem->y, sizeof(y)) == 0);

    CHECK_OK(gemm(handle, weight, problem, 2.0f, -0.5f, y[0], FP6LLM_ALGO_DEFAULT));
    for (t = 0; t < TOKENS; ++t) {
        for (o = 0; o < OC; ++o)
            CHECK(y[t][o] == 1.5f * problem->y[t][o]);
    }

    /* alpha == 0 never reads B. */
    for (t = 0; t < TOKENS; ++t) {
        for (o = 0; o < OC; ++o)
            y[t][o] = 3.0f;
    }
    CHECK_OK(fp6llmGemmEx(handle, FP6LLM_OP_T, FP6LLM_OP_N, OC, TOKENS, IC, &zero, weight, NULL,
                          FP6LLM_R_32F, IC, &one, y, FP6LLM_R_32F, OC, FP6LLM_COMPUTE_32F,
                          FP6LLM_ALGO_DEFAULT));
    CHECK(y[0][0] == 3.0f && y[TOKENS - 1][OC - 1] == 3.0f);
    CHECK_OK(fp6llmGemmEx(handle, FP6LLM_OP_T, FP6LLM_OP_N, OC, TOKENS, IC, &zero, weight, NULL,
                          FP6LLM_R_32F, IC, &zero, y, FP6LLM_R_32F, OC, FP6LLM_COMPUTE_32F,
                          FP6LLM_ALGO_DEFAULT));
    CHECK(y[0][0] == 0.0f && y[TOKENS - 1][OC - 1] == 0.0f);
}

/* transb = T: B is column-major [n, k]. Strides with room, which must stay as it is. */
static void test_orientations(fp6llmHandle_t handle, fp6llmWeight_t weight,
                              const problem_t* problem) {
    enum { LDB = TOKENS + 2, LDC = OC + 3 };
    static float xt[IC][LDB], y[TOKENS][LDC], z[TOKENS][IC];
    int t, o, i;
    for (i = 0; i < IC; ++i) {
        for (t = 0; t < TOKENS; ++t)
            xt[i][t] = problem->x[t][i];
    }
    for (t = 0; t < TOKENS; ++t) {
        for (o = 0; o < LDC; ++o)
            y[t][o] = -1.0f;
    }
    CHECK_OK(fp6llmGemmEx(handle, FP6LLM_OP_T, FP6LLM_OP_T, OC, TOKENS, IC, &one, weight, xt,
                          FP6LLM_R_32F, LDB, &zero, y, FP6LLM_R_32F, LDC, FP6LLM_COMPUTE_32F,
                          FP6LLM_ALGO_DEFAULT));
    for (t = 0; t < TOKENS; ++t) {
        CHECK(memcmp(y[t], problem->y[t], sizeof(problem->y[t])) == 0);
        for (o = OC; o < LDC; ++o)
            CHECK(y[t][o] == -1.0f);
    }

    /* transa = N: z = y w. The products stay below 2^24 in units of 1/16. */
    CHECK_OK(fp6llmGemmEx(handle, FP6LLM_OP_N, FP6LLM_OP_N, IC, TOKENS, OC, &one, weight, y,
                          FP6LLM_R_32F, LDC, &zero, z, FP6LLM_R_32F, IC, FP6LLM_COMPUTE_32F,
                          FP6LLM_ALGO_DEFAULT));
    for (t = 0; t < TOKENS; ++t) {
        for (i = 0; i < IC; ++i) {
            double sum = 0.0;
            for (o = 0; o < OC; ++o)
                sum += (double)problem->y[t][o] * problem->w[o][i];
            CHECK(z[t][i] == sum);
        }
    }
}

static double activate(int32_t activation, double v) {
    switch (activation) {
        case FP6LLM_ACTIVATION_RELU:
            return v > 0 ? v : 0;
        case FP6LLM_ACTIVATION_GELU:
            return 0.5 * v * (1 + erf(v / sqrt(2.0)));
        case FP6LLM_ACTIVATION_GELU_TANH:
            return 0.5 * v * (1 + tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)));
        case FP6LLM_ACTIVATION_SILU:
            return v / (1 + exp(-v));
        default:
            return v;
    }
}

static void test_linear(fp6llmHandle_t handle, fp6llmWeight_t weight, const problem_t* problem) {
    static float y[TOKENS][OC], bias[OC], residual[TOKENS][OC + 1];
    fp6llmEpilogue_t epilogue = FP6LLM_EPILOGUE_INIT;
    int32_t activation;
    int t, o;
    for (o = 0; o < OC; ++o)
        bias[o] = 0.5f * (float)(o % 7) - 20.0f;
    for (t = 0; t < TOKENS; ++t) {
        for (o = 0; o <= OC; ++o)
            residual[t][o] = (float)(t - o);
    }
    epilogue.bias = bias;
    epilogue.residual = residual;
    epilogue.ldr = OC + 1;
    for (activation = FP6LLM_ACTIVATION_NONE; activation <= FP6LLM_ACTIVATION_SILU; ++activation) {
        double worst = 0.0;
        epilogue.activation = activation;
        CHECK_OK(fp6llmLinear(handle, TOKENS, problem->x, FP6LLM_R_32F, IC, weight, &epilogue, y,
                              FP6LLM_R_32F, OC));
        for (t = 0; t < TOKENS; ++t) {
            for (o = 0; o < OC; ++o) {
                const double v = (double)problem->y[t][o] + bias[o];
                const double expected = activate(activation, v) + residual[t][o];
                const double error = fabs(y[t][o] - expected) / (1.0 + fabs(v));
                if (error > worst) worst = error;
            }
        }
        CHECK(worst < 1e-6); /* a few roundings to fp32 */
    }

    /* The residual may be Y itself. */
    memcpy(y, problem->y, sizeof(y));
    memset(&epilogue, 0, sizeof(epilogue));
    epilogue.structSize = sizeof(epilogue);
    epilogue.residual = y;
    epilogue.ldr = OC;
    CHECK_OK(fp6llmLinear(handle, TOKENS, problem->x, FP6LLM_R_32F, IC, weight, &epilogue, y,
                          FP6LLM_R_32F, OC));
    for (t = 0; t < TOKENS; ++t) {
        for (o = 0; o < OC; ++o)
            CHECK(y[t][o] == 2.0f * problem->y[t][o]);
    }
}

static void test_grouped(fp6llmHandle_t handle, fp6llmWeight_t weight, const problem_t* problem) {
    static problem_t other;
    static float y[TOKENS + 1][OC];
    const int64_t offsets[4] = {0, 2, 2, TOKENS}; /* the middle expert got no token */
    fp6llmWeight_t weights[3];
    int t, o;
    make_problem(&other, 99);
    memcpy(other.x, problem->x, sizeof(other.x));
    weights[0] = weight;
    weights[1] = NULL;
    weights[2] = make_weight(handle, &other);
    for (o = 0; o < OC; ++o)
        y[TOKENS][o] = -1.0f;
    CHECK_OK(fp6llmGemmGroupedEx(handle, 3, FP6LLM_OP_T, FP6LLM_OP_N, OC, TOKENS + 1, IC, offsets,
                                 &one, weights, problem->x, FP6LLM_R_32F, IC, &zero, y,
                                 FP6LLM_R_32F, OC, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT));
    for (t = 0; t < TOKENS; ++t) {
        for (o = 0; o < OC; ++o) {
            double sum = 0.0;
            int i;
            for (i = 0; i < IC; ++i) {
                sum += (t < 2 ? problem->w[o][i] : other.w[o][i]) * problem->x[t][i];
            }
            CHECK(y[t][o] == sum);
        }
    }
    for (o = 0; o < OC; ++o)
        CHECK(y[TOKENS][o] == -1.0f); /* beyond the last group */

    CHECK_OK(fp6llmGemmGroupedEx(handle, 0, FP6LLM_OP_T, FP6LLM_OP_N, OC, TOKENS, IC, offsets, &one,
                                 NULL, problem->x, FP6LLM_R_32F, IC, &zero, y, FP6LLM_R_32F, OC,
                                 FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT));
    CHECK_OK(fp6llmWeightDestroy(weights[2]));
}

/* Every algorithm that is offered gives the (exact) product, in a workspace of the size it names.
 */
static void test_heuristic_and_workspace(fp6llmHandle_t handle, fp6llmWeight_t weight,
                                         const problem_t* problem) {
    fp6llmHeuristicResult_t results[32];
    fp6llmDeviceInfo_t device = FP6LLM_DEVICE_INFO_INIT;
    static float y[TOKENS][OC];
    int returned = 0, references = 0, i;
    size_t bytes = 0;
    for (i = 0; i < 32; ++i)
        fp6llmHeuristicResultInit(&results[i]);
    CHECK_OK(fp6llmGemmGetHeuristic(handle, FP6LLM_OP_T, FP6LLM_OP_N, OC, TOKENS, IC, weight,
                                    FP6LLM_R_32F, FP6LLM_R_32F, FP6LLM_COMPUTE_32F, 32, results,
                                    &returned));
    CHECK(returned >= 2 && returned < 32); /* a kernel, and the reference */
    /* What runs by default is of the instruction set that the device names: "avx2", "avx512"... */
    CHECK_OK(fp6llmGetDeviceInfo(FP6LLM_BACKEND_CPU, 0, &device));
    CHECK(strncmp(results[0].name, device.isa, 4) == 0);
    for (i = 0; i < returned; ++i) {
        uint8_t *memory, *workspace;
        CHECK(results[i].structSize == sizeof(results[i]));
        CHECK(results[i].name[0] != '\0');
        references += results[i].isReference;
        CHECK_OK(fp6llmGemmGetWorkspaceSize(handle, FP6LLM_OP_T, FP6LLM_OP_N, OC, TOKENS, IC,
                                            weight, FP6LLM_R_32F, FP6LLM_R_32F, FP6LLM_COMPUTE_32F,
                                            results[i].algo, &bytes));
        CHECK(bytes == results[i].workspaceSize);

        memory = malloc(bytes + 3 * 64);
        memset(memory, 0xA5, bytes + 3 * 64);
        workspace = memory + 64 - (uintptr_t)memory % 64;
        memset(y, 0xFF, sizeof(y));
        if (bytes > 0) CHECK_OK(fp6llmSetWorkspace(handle, workspace, bytes));
        CHECK_OK(gemm(handle, weight, problem, 1.0f, 0.0f, y[0], results[i].algo));
        CHECK(memcmp(y, problem->y, sizeof(y)) == 0);
        CHECK(workspace[-1] == 0xA5 && workspace[bytes] == 0xA5);
        if (bytes > 0) {
            memset(y, 0xA5, sizeof(y));
            CHECK_OK(fp6llmSetWorkspace(handle, workspace, bytes - 1));
            CHECK_STATUS(gemm(handle, weight, problem, 1.0f, 0.0f, y[0], results[i].algo),
                         FP6LLM_STATUS_INVALID_VALUE);
            CHECK(memchr(y, 0, sizeof(y)) == NULL && *(uint8_t*)y == 0xA5);
        }
        CHECK_OK(fp6llmSetWorkspace(handle, NULL, 0));
        free(memory);
    }
    CHECK(references == 1 && results[returned - 1].isReference == 1);
    CHECK_OK(fp6llmGemmGetWorkspaceSize(handle, FP6LLM_OP_T, FP6LLM_OP_N, OC, TOKENS, IC, weight,
                                        FP6LLM_R_32F, FP6LLM_R_32F, FP6LLM_COMPUTE_32F,
                                        FP6LLM_ALGO_DEFAULT, &bytes));
    CHECK(bytes == results[0].workspaceSize);

    /* No more than asked for. */
    memset(&results[1], 0, sizeof(results[1]));
    CHECK_OK(fp6llmGemmGetHeuristic(handle, FP6LLM_OP_T, FP6LLM_OP_N, OC, TOKENS, IC, weight,
                                    FP6LLM_R_32F, FP6LLM_R_32F, FP6LLM_COMPUTE_32F, 1, results,
                                    &returned));
    CHECK(returned == 1 && results[1].name[0] == '\0' && results[1].structSize == 0);
    CHECK_STATUS(gemm(handle, weight, problem, 1.0f, 0.0f, y[0], 12345),
                 FP6LLM_STATUS_INVALID_VALUE);
}

void test_multiply(void) {
    static problem_t problem;
    fp6llmHandle_t handle = make_handle();
    fp6llmWeight_t weight;
    make_problem(&problem, 3);
    weight = make_weight(handle, &problem);
    test_gemm(handle, weight, &problem);
    test_orientations(handle, weight, &problem);
    test_linear(handle, weight, &problem);
    test_grouped(handle, weight, &problem);
    test_heuristic_and_workspace(handle, weight, &problem);
    CHECK_OK(fp6llmWeightDestroy(weight));
    CHECK_OK(fp6llmDestroy(handle));
}
