// What Gemm and GemmGrouped share: the factors, the options, and the choice of a kernel.

package fp6llm

import (
	"unsafe"

	"fp6llm/internal/capi"
)

// gemmCall is the options and factors of one call, as C takes them.
type gemmCall struct {
	handle      capi.Handle
	alpha, beta unsafe.Pointer
	compute     capi.ComputeType
	algo        int32
	onDevice    bool
}

// gemmCall readies the handle's factors; the handle must be begun. finish follows.
func (h *Handle) gemmCall(op string, alpha, beta float32, options *GemmOptions) (gemmCall, error) {
	h.factors[0], h.factors[1] = alpha, beta
	call := gemmCall{
		handle: h.c,
		alpha:  unsafe.Pointer(&h.factors[0]), beta: unsafe.Pointer(&h.factors[1]),
		compute: capi.COMPUTE_32F,
		algo:    capi.ALGO_DEFAULT,
	}
	if options == nil {
		return call, nil
	}
	call.compute = options.Compute.orDefault()
	if options.Algorithm != nil {
		call.algo = options.Algorithm.id
	}
	if options.DeviceAlpha == 0 && options.DeviceBeta == 0 {
		return call, nil
	}
	if options.DeviceAlpha == 0 || options.DeviceBeta == 0 {
		return call, invalid(op, "of DeviceAlpha and DeviceBeta only one is set")
	}
	call.onDevice = true
	call.alpha, call.beta = options.DeviceAlpha.pointer(), options.DeviceBeta.pointer()
	return call, failure(op, capi.SetPointerMode(h.c, capi.POINTER_MODE_DEVICE))
}

// finish gives the handle its pointer mode back.
func (c gemmCall) finish(err error) error {
	if c.onDevice {
		if reset := capi.SetPointerMode(c.handle, capi.POINTER_MODE_HOST); err == nil {
			err = reset
		}
	}
	return err
}

// Algorithm is one way to run a multiplication.
type Algorithm struct {
	Name           string // Of the kernel, "avx2_fp6_gemv_f32".
	Reference      bool   // Whether it is the slow oracle in float64.
	WorkspaceBytes int    // What SetWorkspace must provide for it.
	id             int32
}

// Algorithms lists the kernels that can run a Gemm of these arguments, the one that it takes by itself
// first. Only shapes and types of x and y count; options may be nil.
func (h *Handle) Algorithms(transX, transW Transpose, x Matrix, w *Weight, y Matrix, options *GemmOptions) (
	[]Algorithm, error) {
	const op = "Algorithms"
	if err := w.acquire(op); err != nil {
		return nil, err
	}
	defer w.release()
	if err := h.begin(op); err != nil {
		return nil, err
	}
	defer h.end()
	shape, err := h.gemmShape(op, transX, transW, x, w.info, y)
	if err != nil {
		return nil, err
	}
	compute := capi.ComputeType(capi.COMPUTE_32F)
	if options != nil {
		compute = options.Compute.orDefault()
	}
	results := make([]capi.HeuristicResult, 32)
	results[0] = capi.NewHeuristicResult()
	var returned int32
	err = capi.GemmGetHeuristic(h.c, capi.Operation(transW), capi.Operation(transX), shape.m, shape.n, shape.k,
		w.parts.c, capi.DataType(x.dataType), capi.DataType(y.dataType), compute, int32(len(results)),
		&results[0], &returned)
	if err != nil {
		return nil, failure(op, err)
	}
	algorithms := make([]Algorithm, returned)
	for i := range algorithms {
		result := &results[i]
		algorithms[i] = Algorithm{cString(result.Name[:]), result.IsReference != 0, int(result.WorkspaceSize),
			result.Algo}
	}
	return algorithms, nil
}
