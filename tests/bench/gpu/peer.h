/* What another 6-bit GPU library must offer to be measured beside libfp6llm: a shared library with
 * these four functions, named by FP6LLM_BENCH_PEERS (several: separated by ':'). It is somebody's own
 * adapter, kept out of this repository. All pointers are device pointers; 0 means success.
 *
 *   Y[tokens, oc] = X[tokens, ic] W[oc, ic]^T, X and Y row-major fp16
 */
#ifndef FP6LLM_BENCH_PEER_H_
#define FP6LLM_BENCH_PEER_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Name and version for the tables. */
const char* fp6llmPeerName(void);

/* Makes the peer's weight in device memory from E3M2 codes with fp16 row scales: `packed` is the
 * original fp6_llm's buffer (FP6LLM_LAYOUT_TC_FPX), `dense` the same weights dequantized to fp16.
 * NULL: it cannot. */
void* fp6llmPeerPrepare(int64_t oc, int64_t ic, const void* packed, const void* scales,
                        const void* dense, void* stream);

/* Enqueues a product; must be capturable into a CUDA graph. `variant` counts the peer's choices (a
 * split, a tile) from 0; the fastest is reported. Nonzero: no such variant, or it cannot. */
int fp6llmPeerRun(void* weight, int64_t tokens, const void* x, void* y, int variant, void* stream);

void fp6llmPeerDestroy(void* weight);

#ifdef __cplusplus
}
#endif

#endif
