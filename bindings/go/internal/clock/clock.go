// Package clock times the C ABI from C, in loops, for the benchmark of what a call from Go costs above that.
package clock

/*
#cgo pkg-config: fp6llm
#include <fp6llm/fp6llm.h>
#include <time.h>

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double threads_loop(void* handle, int64_t calls) {
    const double start = seconds();
    int32_t threads;
    int64_t i;
    for (i = 0; i < calls; ++i)
        if (fp6llmGetNumThreads((fp6llmHandle_t)handle, &threads) != FP6LLM_STATUS_SUCCESS) return -1;
    return seconds() - start;
}

static double linear_loop(void* handle, void* weight, int64_t tokens, const float* x, int64_t ldx, float* y,
                          int64_t ldy, int64_t calls) {
    const double start = seconds();
    int64_t i;
    for (i = 0; i < calls; ++i)
        if (fp6llmLinear((fp6llmHandle_t)handle, tokens, x, FP6LLM_R_32F, ldx, (fp6llmWeight_t)weight, NULL,
                         y, FP6LLM_R_32F, ldy) != FP6LLM_STATUS_SUCCESS)
            return -1;
    return seconds() - start;
}
*/
import "C"

import (
	"unsafe"

	"fp6llm/internal/capi"
)

// Threads is the seconds that so many calls of fp6llmGetNumThreads take.
func Threads(handle capi.Handle, calls int) float64 {
	return float64(C.threads_loop(unsafe.Pointer(handle), C.int64_t(calls)))
}

// Linear is the seconds that so many calls of fp6llmLinear take, in float32 and without an epilogue.
func Linear(handle capi.Handle, weight capi.Weight, tokens int, x []float32, ldx int, y []float32, ldy, calls int) float64 {
	return float64(C.linear_loop(unsafe.Pointer(handle), unsafe.Pointer(weight), C.int64_t(tokens),
		(*C.float)(&x[0]), C.int64_t(ldx), (*C.float)(&y[0]), C.int64_t(ldy), C.int64_t(calls)))
}
