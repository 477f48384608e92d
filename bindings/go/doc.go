// Package fp6llm quantizes weights of language models to 6-bit floats and multiplies by them, on CPUs and on
// NVIDIA GPUs. It calls libfp6llm through its C ABI; pkg-config must find fp6llm when a program is built, and
// the loader libfp6llm.so.0 when it runs.
//
// # From a matrix to a product
//
// A [Handle] is one line of work on one device, a [Weight] a quantized matrix packed for that kind of
// device:
//
//	h, err := fp6llm.NewHandle()
//	...
//	defer h.Close()
//	w, err := fp6llm.NewWeight(h, fp6llm.MatrixOf(values, outputs, inputs), nil)
//	...
//	defer w.Close()
//	err = w.Linear(h, fp6llm.MatrixOf(x, tokens, inputs), fp6llm.MatrixOf(y, tokens, outputs), nil)
//
// What goes into files is a [Quantized]: plain codes and scales, from [Handle.Quantize] or [Weight.Export],
// and to [NewWeightFromCodes].
//
// # Shapes and units
//
// Matrices are row-major; sizes and strides count elements, [Memory] bytes. A weight is [outputs, inputs],
// activations are [tokens, inputs] and [tokens, outputs]. Elements are float32, [Float16] or [BFloat16];
// codes are of [E3M2] and four other formats, with a scale per row, per group of columns, or per 32 columns
// (MX). Sizes of zero are legal and do nothing.
//
// # Memory
//
// A slice goes to C for the length of the call only; C keeps no pointer of Go's. Its length is checked
// first. [NewWeight] and its like copy. Memory of a GPU is a [DevicePtr], which [DeviceMatrix] and others
// take in place of slices, as CUDA handles want it; nothing can check its length. Calls with a CUDA handle
// return when the work is enqueued on the handle's stream, so synchronize before you read or free what
// they use.
//
// Close handles and weights. Close waits for calls in progress, may be called again and at any time; later
// calls get [ErrClosed]. Those that became garbage unclosed are freed by a cleanup of the runtime, when it
// comes to that: do not count on it for gigabytes, nor with work on a GPU that still reads the weight.
//
// # Goroutines
//
// Everything may be used by several goroutines at once. Those that share a handle take turns; with a handle
// each, sharing weights, they work at the same time. Besides, a CPU handle spreads each call over threads
// ([WithThreads]).
//
// # Errors
//
// Failures are an [*Error]: errors.Is(err, fp6llm.ErrNotSupported) tells its kind, its text which argument
// was wrong and how. On an error nothing has been written, unless it is [ErrExecutionFailed] or
// [ErrInternal] out of work that had begun. What the library or the device cannot do is ErrNotSupported;
// nothing falls back silently.
package fp6llm
