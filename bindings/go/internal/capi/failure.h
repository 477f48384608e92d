/* How a failed call reaches Go: its status and detail text in one allocation, made on the thread that
 * failed, by the very C call that failed. Included by SWIG's C file and by failure.go. */
#ifndef FP6LLM_GO_FAILURE_H_
#define FP6LLM_GO_FAILURE_H_

#include <stdint.h>
#include <stdlib.h>

#include "fp6llm/fp6llm.h"

typedef struct {
    int32_t status;
    char detail[];
} fp6llm_failure_t;

/* 0 for success, else the address of an fp6llm_failure_t that takeFailure() frees. Without memory for
 * one, an odd number that holds the status alone. */
static inline uintptr_t fp6llm_failure(fp6llmStatus_t status) {
    size_t needed = 1;
    fp6llm_failure_t* failure;
    if (status == FP6LLM_STATUS_SUCCESS) return 0;
    fp6llmGetLastErrorString(NULL, 0, &needed);
    failure = (fp6llm_failure_t*)malloc(sizeof *failure + needed);
    if (failure == NULL) return (uintptr_t)status << 1 | 1;
    failure->status = (int32_t)status;
    failure->detail[0] = '\0';
    fp6llmGetLastErrorString(failure->detail, needed, NULL);
    return (uintptr_t)failure;
}

static inline int32_t fp6llm_failure_status(uintptr_t failure) {
    return failure & 1 ? (int32_t)(failure >> 1) : ((fp6llm_failure_t*)failure)->status;
}

static inline const char* fp6llm_failure_detail(uintptr_t failure) {
    return failure & 1 ? "" : ((fp6llm_failure_t*)failure)->detail;
}

static inline void fp6llm_failure_free(uintptr_t failure) {
    if (!(failure & 1)) free((void*)failure);
}

#endif /* FP6LLM_GO_FAILURE_H_ */
