// Multiplication by a weight: a linear layer, the general product, one product per group of rows.

package fp6llm

import (
	"fp6llm/internal/capi"
)

// Epilogue is what follows the multiplication in Linear.
type Epilogue struct {
	Bias       Vector     // One element per output, of any type, or zero.
	Activation Activation // Of product plus bias.
	Residual   Matrix     // Added last; shaped as y, and may be y itself; or zero.
	Compute    ComputeType
}

// Linear is a linear layer: y = activation(x Wᵀ + bias) + residual, for x [tokens, inputs] and y [tokens,
// outputs]. y is of float32 or of x's type. epilogue may be nil. x and y must not overlap.
func (w *Weight) Linear(h *Handle, x, y Matrix, epilogue *Epilogue) error {
	const op = "Linear"
	if err := w.acquire(op); err != nil {
		return err
	}
	defer w.release()
	if err := h.begin(op); err != nil {
		return err
	}
	defer h.end()
	if err := x.is(op, "x", x.rows, w.info.Cols); err != nil {
		return err
	}
	if err := y.is(op, "y", x.rows, w.info.Rows); err != nil {
		return err
	}
	if err := x.check(op, "x", h.backend); err != nil {
		return err
	}
	if err := y.check(op, "y", h.backend); err != nil {
		return err
	}
	if epilogue == nil {
		return failure(op, capi.Linear(h.c, int64(x.rows), x.memory.pointer(), capi.DataType(x.dataType),
			int64(x.stride), w.parts.c, nil, y.memory.pointer(), capi.DataType(y.dataType), int64(y.stride)))
	}
	if err := epilogue.check(op, h.backend, y.rows, y.cols); err != nil {
		return err
	}
	return failure(op, capi.LinearWith(h.c, int64(x.rows), x.memory.pointer(), capi.DataType(x.dataType),
		int64(x.stride), w.parts.c, epilogue.c(), y.memory.pointer(), capi.DataType(y.dataType),
		int64(y.stride)))
}

// check the epilogue. For C a nil address is no bias or residual; here zero is, and nil a mistake.
func (e *Epilogue) check(op string, backend Backend, tokens, outputs int) error {
	if bias := e.Bias; bias != (Vector{}) {
		if bias.length != outputs {
			return invalid(op, "Bias has %d elements, not %d", bias.length, outputs)
		}
		if err := bias.memory.check(op, "Bias", backend, bias.length*bias.dataType.size()); err != nil {
			return err
		}
		if bias.memory.pointer() == nil && outputs > 0 {
			return invalid(op, "Bias is at address 0")
		}
	}
	if residual := e.Residual; residual != (Matrix{}) {
		if err := residual.is(op, "Residual", tokens, outputs); err != nil {
			return err
		}
		if err := residual.check(op, "Residual", backend); err != nil {
			return err
		}
		if residual.memory.pointer() == nil && tokens > 0 && outputs > 0 {
			return invalid(op, "Residual is at address 0")
		}
	}
	return nil
}

// c is the epilogue for LinearWith, which alone takes one that points to Go memory.
func (e *Epilogue) c() capi.Epilogue {
	return capi.Epilogue{
		Bias:         e.Bias.memory.pointer(),
		BiasType:     int32(e.Bias.dataType),
		Activation:   int32(e.Activation),
		Residual:     e.Residual.memory.pointer(),
		ResidualType: int32(e.Residual.dataType),
		ComputeType:  int32(e.Compute),
		Ldr:          int64(e.Residual.stride),
	}
}

// GemmOptions are what Gemm seldom needs.
type GemmOptions struct {
	Compute   ComputeType
	Algorithm *Algorithm // One of Algorithms; nil leaves the choice to the library.
	// alpha and beta in device memory, float32 each, instead of the arguments. CUDA handles only.
	DeviceAlpha, DeviceBeta DevicePtr
}

// Gemm is y = alpha op(x) op(W) + beta y, for row-major x and y. With transW = Trans, the fast way, op(W) is
// Wᵀ [inputs, outputs], as in Linear; with NoTrans W itself. With transX = NoTrans x is [n, k], else [k, n].
// With beta = 0, y is not read. options may be nil.
//
// The flags and sizes are those of fp6llmGemmEx, and of cublasGemmEx, whose column-major matrices are these
// row-major ones transposed: transa is transW, transb transX, m the columns of y, n its rows.
func (h *Handle) Gemm(transX, transW Transpose, alpha float32, x Matrix, w *Weight, beta float32, y Matrix,
	options *GemmOptions) error {
	const op = "Gemm"
	if err := w.acquire(op); err != nil {
		return err
	}
	defer w.release()
	if err := h.begin(op); err != nil {
		return err
	}
	defer h.end()
	shape, err := h.gemmShape(op, transX, transW, x, w.info, y)
	if err != nil {
		return err
	}
	call, err := h.gemmCall(op, alpha, beta, options)
	if err != nil {
		return err
	}
	err = capi.GemmEx(h.c, capi.Operation(transW), capi.Operation(transX), shape.m, shape.n, shape.k,
		call.alpha, w.parts.c, x.memory.pointer(), capi.DataType(x.dataType), int64(x.stride), call.beta,
		y.memory.pointer(), capi.DataType(y.dataType), int64(y.stride), call.compute, call.algo)
	return failure(op, call.finish(err))
}

// GemmGrouped is a Gemm per group of rows, as a mixture of experts needs it: rows offsets[g] to
// offsets[g+1]-1 of x and y belong to ws[g]. Rows from the last offset on stay as they are. The weights are
// of one shape; one may be nil whose group is empty. Several may be the same.
func (h *Handle) GemmGrouped(transW Transpose, alpha float32, x Matrix, offsets Offsets, ws []*Weight,
	beta float32, y Matrix, options *GemmOptions) error {
	const op = "GemmGrouped"
	handles := make([]capi.Weight, len(ws))
	var known WeightInfo
	for i, w := range ws {
		if w == nil {
			continue
		}
		if err := w.acquire(op); err != nil {
			return err
		}
		defer w.release()
		handles[i] = w.parts.c
		known = w.info
	}
	if err := h.begin(op); err != nil {
		return err
	}
	defer h.end()
	if offsets.length != len(ws)+1 {
		return invalid(op, "offsets has %d elements, not %d", offsets.length, len(ws)+1)
	}
	if offsets.device != 0 && h.backend == CPU {
		return invalid(op, "offsets is device memory, and the handle is of the CPU")
	}
	if len(ws) == 0 {
		return nil
	}
	if known == (WeightInfo{}) {
		// No weight says a shape: it is y's and x's.
		known.Rows, known.Cols = y.cols, x.cols
		if transW == NoTrans {
			known.Rows, known.Cols = x.cols, y.cols
		}
	}
	shape, err := h.gemmShape(op, NoTrans, transW, x, known, y)
	if err != nil {
		return err
	}
	call, err := h.gemmCall(op, alpha, beta, options)
	if err != nil {
		return err
	}
	err = capi.GemmGroupedEx(h.c, int64(len(ws)), capi.Operation(transW), capi.OP_N, shape.m, shape.n, shape.k,
		offsets.pointer(), call.alpha, &handles[0], x.memory.pointer(), capi.DataType(x.dataType),
		int64(x.stride), call.beta, y.memory.pointer(), capi.DataType(y.dataType), int64(y.stride),
		call.compute, call.algo)
	return failure(op, call.finish(err))
}

type gemmShape struct{ m, n, k int64 }

// gemmShape is m, n and k of C, after a check that the arguments agree on them and hold as much.
func (h *Handle) gemmShape(op string, transX, transW Transpose, x Matrix, w WeightInfo, y Matrix) (
	gemmShape, error) {
	n, xInner := x.rows, x.cols
	if transX == Trans {
		n, xInner = x.cols, x.rows
	}
	k, m := w.Cols, w.Rows
	if transW == NoTrans {
		k, m = w.Rows, w.Cols
	}
	if xInner != k {
		return gemmShape{}, invalid(op, "op(x) is [%d, %d], but op(W) [%d, %d]", n, xInner, k, m)
	}
	if err := y.is(op, "y", n, m); err != nil {
		return gemmShape{}, err
	}
	if err := x.check(op, "x", h.backend); err != nil {
		return gemmShape{}, err
	}
	return gemmShape{int64(m), int64(n), int64(k)}, y.check(op, "y", h.backend)
}
