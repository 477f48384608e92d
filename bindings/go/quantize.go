// From floats to codes and scales, and back.

package fp6llm

import (
	"math"

	"fp6llm/internal/capi"
)

// QuantConfig says how to quantize, and what given codes and scales mean. Zero, and a nil pointer, is E3M2
// with one float32 scale per row, ties to even, NaN and Inf refused.
type QuantConfig struct {
	Format      Format
	ScaleMode   ScaleMode
	GroupSize   int      // GroupScale: a multiple of 8 in 16..4096. MXScale: 32 or 0. RowScale: ignored.
	ScaleType   DataType // R16F for row and group scales of 16 bits; else left zero.
	Rounding    Rounding
	MXScaleRule MXScaleRule
	NonFinite   NonFinite
	ScaleSearch int // 0: the scale of the largest magnitude; 1..64: also so many smaller ones (MX: 1, 2).

	// ComputeHint is zero, or what most products with a weight will ask for: its memory is laid out for that.
	// Codes and scales stay the same, and every compute type works. Today it matters for Compute32FFast8I and
	// E2M3, E2M2, E2M1 (row scales, MX, groups of a multiple of 32) on CPUs with AVX2 and no AVX-512: int8
	// products of few tokens get faster, others slower. Export gives back what the memory is laid out for.
	ComputeHint ComputeType
}

// c is the config as C has it. Fields out of int32's range become ones that C refuses.
func (q *QuantConfig) c() capi.QuantConfig {
	config := capi.NewQuantConfig()
	if q == nil {
		return config
	}
	if q.Format != DefaultFormat {
		config.Format = int32(q.Format)
	}
	config.ScaleMode = int32(q.ScaleMode)
	config.GroupSize = saturated(q.GroupSize)
	if q.ScaleType != 0 {
		config.ScaleType = int32(q.ScaleType)
	}
	config.Rounding = int32(q.Rounding)
	config.MxScaleRule = int32(q.MXScaleRule)
	config.NonFinite = int32(q.NonFinite)
	config.ScaleSearch = saturated(q.ScaleSearch)
	config.ComputeHint = int32(q.ComputeHint)
	return config
}

func saturated(value int) int32 {
	return int32(min(max(value, math.MinInt32), math.MaxInt32))
}

// Sizes is the bytes of the codes and of the scales of a [rows, cols] matrix in a layout.
func (q *QuantConfig) Sizes(layout Layout, rows, cols int) (codeBytes, scaleBytes int, err error) {
	const op = "Sizes"
	config := q.c()
	return sizes(op, &config, layout, rows, cols)
}

func sizes(op string, config *capi.QuantConfig, layout Layout, rows, cols int) (int, int, error) {
	var codes, scales uint
	var err error
	if layout == Plain {
		err = capi.QuantGetSizes(config, int64(rows), int64(cols), &codes, &scales)
	} else {
		err = capi.PackedGetSizes(capi.PackedLayout(layout), config, int64(rows), int64(cols), &codes, &scales)
	}
	if err != nil {
		return 0, 0, failure(op, err)
	}
	if codes > math.MaxInt || scales > math.MaxInt {
		return 0, 0, invalid(op, "[%d, %d] takes more bytes than an int counts", rows, cols)
	}
	return int(codes), int(scales), nil
}

// Quantized is a matrix as codes and scales, in memory of its maker: what to store, and what to make a
// Weight of. Plain codes are rows * ceil(cols * bits / 8) bytes, each row a bit stream, least significant
// bit first. Scales are [rows], or row-major [rows, ceil(cols / GroupSize)], little-endian.
type Quantized struct {
	Config     QuantConfig
	Layout     Layout // Plain, but for a Weight's import and export.
	Rows, Cols int
	Codes      Memory
	Scales     Memory
}

// NewQuantized allocates Go memory for codes and scales.
func NewQuantized(config *QuantConfig, layout Layout, rows, cols int) (*Quantized, error) {
	const op = "NewQuantized"
	c := config.c()
	codeBytes, scaleBytes, err := sizes(op, &c, layout, rows, cols)
	if err != nil {
		return nil, err
	}
	return allocate(op, config, layout, rows, cols, codeBytes, scaleBytes)
}

func allocate(op string, config *QuantConfig, layout Layout, rows, cols, codeBytes, scaleBytes int) (
	*Quantized, error) {
	codes, err := makeBytes(op, codeBytes)
	if err != nil {
		return nil, err
	}
	scales, err := makeBytes(op, scaleBytes)
	if err != nil {
		return nil, err
	}
	q := &Quantized{Layout: layout, Rows: rows, Cols: cols, Codes: Bytes(codes), Scales: Bytes(scales)}
	if config != nil {
		q.Config = *config
	}
	return q, nil
}

// makeBytes answers a size that no machine has by an error, where make would panic. (Go offers no error
// for one that only this machine lacks.)
func makeBytes(op string, size int) (data []byte, err error) {
	defer func() {
		if recover() != nil {
			err = &Error{Op: op, Status: ErrAllocFailed, Detail: "no memory for so many bytes"}
		}
	}()
	return make([]byte, size), nil
}

// check that the memory holds the codes and scales that the config and the shape ask for.
func (q *Quantized) check(op string, config *capi.QuantConfig, backend Backend) error {
	codeBytes, scaleBytes, err := sizes(op, config, q.Layout, q.Rows, q.Cols)
	if err != nil {
		return err
	}
	if err := q.Codes.check(op, "Codes", backend, codeBytes); err != nil {
		return err
	}
	return q.Scales.check(op, "Scales", backend, scaleBytes)
}

// QuantStats is what quantization did. Errors are over the finite elements, against the input as float32.
type QuantStats struct {
	Format      Format  // The one in use; tells AutoFormat's choice.
	MSE         float64 // Mean of (w - dequantized)^2.
	Signal      float64 // Mean of w^2.
	MaxAbsError float64 // Largest |w - dequantized|.
	Saturated   int64   // Elements beyond the largest value of the format.
	NonFinite   int64   // NaN and infinite inputs.
}

// Quantize makes plain codes and scales, in memory of Go's, of a matrix [outputs, inputs] on a CPU handle.
// For a CUDA handle, and for statistics, there is QuantizeTo.
func (h *Handle) Quantize(w Matrix, config *QuantConfig) (*Quantized, error) {
	const op = "Quantize"
	if err := w.check(op, "w", h.Backend()); err != nil {
		return nil, err
	}
	c := config.c()
	codeBytes, scaleBytes, err := sizes(op, &c, Plain, w.rows, w.cols)
	if err != nil {
		return nil, err
	}
	q, err := allocate(op, config, Plain, w.rows, w.cols, codeBytes, scaleBytes)
	if err != nil {
		return nil, err
	}
	if err := h.quantize(op, q, w, nil); err != nil {
		return nil, err
	}
	return q, nil
}

// QuantizeTo writes plain codes and scales of w to the memory of q, whose Rows and Cols are w's, in the way
// of q.Config. AutoFormat becomes the format it chose. stats may be nil, which is faster.
func (h *Handle) QuantizeTo(q *Quantized, w Matrix, stats *QuantStats) error {
	return h.quantize("QuantizeTo", q, w, stats)
}

func (h *Handle) quantize(op string, q *Quantized, w Matrix, stats *QuantStats) error {
	if err := h.begin(op); err != nil {
		return err
	}
	defer h.end()
	config, err := h.checkPlain(op, q, w)
	if err != nil {
		return err
	}
	var found *capi.QuantStats
	if stats != nil || q.Config.Format == AutoFormat {
		empty := capi.NewQuantStats()
		found = &empty
	}
	err = capi.Quantize(h.c, &config, int64(w.rows), int64(w.cols), w.memory.pointer(),
		capi.DataType(w.dataType), int64(w.stride), q.Codes.pointer(), q.Scales.pointer(), found)
	if err != nil {
		return failure(op, err)
	}
	if q.Config.Format == AutoFormat {
		q.Config.Format = Format(found.Format)
	}
	if stats != nil {
		*stats = QuantStats{Format(found.Format), found.Mse, found.Signal, found.MaxAbsError,
			found.Saturated, found.NonFinite}
	}
	return nil
}

func (q *Quantized) isPlain(op string) error {
	if q == nil {
		return invalid(op, "q is nil")
	}
	if q.Layout != Plain {
		return invalid(op, "q.Layout is not Plain")
	}
	return nil
}

// checkPlain checks plain codes and scales, and the matrix that they are quantized from or dequantized to.
func (h *Handle) checkPlain(op string, q *Quantized, w Matrix) (config capi.QuantConfig, err error) {
	if err := q.isPlain(op); err != nil {
		return config, err
	}
	if err := w.is(op, "w", q.Rows, q.Cols); err != nil {
		return config, err
	}
	if err := w.check(op, "w", h.backend); err != nil {
		return config, err
	}
	config = q.Config.c()
	return config, q.check(op, &config, h.backend)
}

// Dequantize writes the matrix that plain codes and scales stand for to w, of the same shape: value * scale,
// rounded once to w's type.
func (h *Handle) Dequantize(w Matrix, q *Quantized) error {
	const op = "Dequantize"
	if err := h.begin(op); err != nil {
		return err
	}
	defer h.end()
	config, err := h.checkPlain(op, q, w)
	if err != nil {
		return err
	}
	return failure(op, capi.Dequantize(h.c, &config, int64(q.Rows), int64(q.Cols), q.Codes.pointer(),
		q.Scales.pointer(), w.memory.pointer(), capi.DataType(w.dataType), int64(w.stride)))
}
