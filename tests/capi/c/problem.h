/* A small problem whose every result is exact in fp32, so that tests may compare for equality: the
 * weights are multiples of 1/4 and each row has a 28, so row scales of E3M2 are 1; activations are
 * small integers. */
#ifndef FP6LLM_TESTS_CAPI_PROBLEM_H_
#define FP6LLM_TESTS_CAPI_PROBLEM_H_

#include "check.h"

/* Divide nothing of the library's tiles; OC and IC differ, so that a mix-up shows. */
enum { OC = 37, IC = 53, TOKENS = 5 };

typedef struct problem_t {
    float w[OC][IC];     /* the weights, all of them values of E3M2 */
    float x[TOKENS][IC]; /* activations */
    float y[TOKENS][OC]; /* x w^T */
} problem_t;

/* Different weights for each seed. */
void make_problem(problem_t* problem, unsigned seed);

/* A CPU handle, and the weight of a problem. */
fp6llmHandle_t make_handle(void);
fp6llmWeight_t make_weight(fp6llmHandle_t handle, const problem_t* problem);

#endif
