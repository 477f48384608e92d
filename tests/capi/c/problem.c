#include "problem.h"

static unsigned next_random(unsigned* state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

void make_problem(problem_t* problem, unsigned seed) {
    static const float values[] = {0.0f, 0.25f, 0.5f, 1.0f, 1.25f, 1.75f, 2.5f, 3.0f, 5.0f, 7.0f};
    unsigned state = seed;
    int o, i, t;
    for (o = 0; o < OC; ++o) {
        for (i = 0; i < IC; ++i) {
            const float value = values[next_random(&state) % 10];
            problem->w[o][i] = next_random(&state) % 2 ? -value : value;
        }
        problem->w[o][next_random(&state) % IC] = 28.0f;
    }
    for (t = 0; t < TOKENS; ++t) {
        for (i = 0; i < IC; ++i) {
            problem->x[t][i] = (float)((int)(next_random(&state) % 9) - 4);
        }
        for (o = 0; o < OC; ++o) {
            problem->y[t][o] = 0.0f;
            for (i = 0; i < IC; ++i)
                problem->y[t][o] += problem->w[o][i] * problem->x[t][i];
        }
    }
}

fp6llmHandle_t make_handle(void) {
    fp6llmHandle_t handle = NULL;
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CPU;
    CHECK_OK(fp6llmCreateWithConfig(&handle, &config));
    return handle;
}

fp6llmWeight_t make_weight(fp6llmHandle_t handle, const problem_t* problem) {
    fp6llmWeight_t weight = NULL;
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    CHECK_OK(fp6llmWeightCreate(handle, &config, OC, IC, problem->w, FP6LLM_R_32F, IC, &weight));
    return weight;
}
