// What an error is, and what wrong arguments get: an error with the reason, never a crash.
package fp6llm

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestErrorsSayStatusAndReason(t *testing.T) {
	h := newCPUHandle(t)
	_, err := NewWeight(h, MatrixOf(make([]float32, 100), 2, 6).WithStride(5), nil)
	var failure *Error
	if !errors.As(err, &failure) || failure.Op != "NewWeight" || failure.Status != ErrInvalidValue ||
		failure.Detail != "ldw = 5 < cols = 6" || err.Error() != "fp6llm: NewWeight: ldw = 5 < cols = 6" {
		t.Errorf("%#v", err)
	}
	if !errors.Is(err, ErrInvalidValue) || errors.Is(err, ErrNotSupported) || errors.Is(err, ErrClosed) {
		t.Errorf("errors.Is of %v", err)
	}
	if text := ErrNotSupported.Error(); text == "" || text == ErrInvalidValue.Error() {
		t.Errorf("ErrNotSupported is %q", text)
	}
	if text := (&Error{Op: "X", Status: ErrAllocFailed}).Error(); text != "fp6llm: X: "+ErrAllocFailed.Error() {
		t.Errorf("without a detail: %q", text)
	}
}

func TestNothingWorksAfterClose(t *testing.T) {
	h := newCPUHandle(t)
	w := newTestWeight(t, h, 4, 8)
	q, err := w.Export(h, Plain)
	if err != nil {
		t.Fatal(err)
	}
	closedHandle, closedWeight := newCPUHandle(t), newTestWeight(t, h, 4, 8)
	for range 3 {
		if err := closedHandle.Close(); err != nil {
			t.Error(err)
		}
		if err := closedWeight.Close(); err != nil {
			t.Error(err)
		}
	}
	var noHandle *Handle
	var noWeight *Weight
	if noHandle.Close() != nil || noWeight.Close() != nil || noHandle.Backend() != AutoBackend ||
		noWeight.Info() != (WeightInfo{}) {
		t.Error("nil is not closed")
	}
	if closedHandle.Backend() != CPU || closedWeight.Info() != w.Info() {
		t.Error("a closed one forgot what it was")
	}

	x, y := MatrixOf(make([]float32, 8), 1, 8), MatrixOf(make([]float32, 4), 1, 4)
	blob := Bytes(make([]byte, 1<<12))
	check := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, ErrClosed) || !errors.Is(err, ErrNotInitialized) || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, h := range []*Handle{closedHandle, noHandle, {}} {
		_, err := h.Threads()
		check("Threads", err)
		check("SetThreads", h.SetThreads(1))
		_, err = h.Stream()
		check("Stream", err)
		check("SetStream", h.SetStream(0))
		check("SetWorkspace", h.SetWorkspace(Memory{}))
		_, err = h.Quantize(MatrixOf(make([]float32, 32), 4, 8), nil)
		check("Quantize", err)
		check("QuantizeTo", h.QuantizeTo(q, MatrixOf(make([]float32, 32), 4, 8), nil))
		check("Dequantize", h.Dequantize(MatrixOf(make([]float32, 32), 4, 8), q))
		_, err = NewWeight(h, MatrixOf(make([]float32, 32), 4, 8), nil)
		check("NewWeight", err)
		_, err = NewWeightFromCodes(h, q)
		check("NewWeightFromCodes", err)
		_, err = NewWeightFromBlob(h, blob)
		check("NewWeightFromBlob", err)
		_, err = h.BlobSize(nil, 4, 8)
		check("BlobSize", err)
		check("PackBlob", h.PackBlob(blob, q))
		_, err = w.Export(h, Plain)
		check("Export", err)
		check("Linear", w.Linear(h, x, y, nil))
		check("Gemm", h.Gemm(NoTrans, Trans, 1, x, w, 0, y, nil))
		check("GemmGrouped", h.GemmGrouped(Trans, 1, x, OffsetsOf([]int64{0, 1}), []*Weight{w}, 0, y, nil))
		_, err = h.Algorithms(NoTrans, Trans, x, w, y, nil)
		check("Algorithms", err)
	}
	for _, w := range []*Weight{closedWeight, noWeight} {
		_, err := w.Export(h, Plain)
		check("Export", err)
		check("ExportTo", w.ExportTo(h, q))
		check("Linear", w.Linear(h, x, y, nil))
		check("Gemm", h.Gemm(NoTrans, Trans, 1, x, w, 0, y, nil))
		_, err = h.Algorithms(NoTrans, Trans, x, w, y, nil)
		check("Algorithms", err)
	}
	check("GemmGrouped",
		h.GemmGrouped(Trans, 1, x, OffsetsOf([]int64{0, 1, 1}), []*Weight{w, closedWeight}, 0, y, nil))
	if err := w.Linear(h, x, y, nil); err != nil {
		t.Errorf("the open ones no longer work: %v", err)
	}
}

func TestBadOptions(t *testing.T) {
	for name, options := range map[string][]Option{
		"unknown backend":  {WithBackend(9)},
		"no such CPU":      {WithBackend(CPU), WithDevice(1)},
		"negative device":  {WithBackend(CPU), WithDevice(-1)},
		"257 threads":      {WithBackend(CPU), WithThreads(257)},
		"negative threads": {WithBackend(CPU), WithThreads(-1)},
		"huge threads":     {WithBackend(CPU), WithThreads(1<<32 + 1)},
		"huge device":      {WithBackend(CPU), WithDevice(1 << 32)},
	} {
		if h, err := NewHandle(options...); !errors.Is(err, ErrInvalidValue) || h != nil {
			t.Errorf("%s: %v, %v", name, h, err)
		}
	}
	h, err := NewHandle(WithBackend(CPU), WithThreads(2), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if threads, err := h.Threads(); threads != 2 || err != nil {
		t.Error(threads, err)
	}
	if err := h.SetThreads(3); err != nil {
		t.Error(err)
	}
	if threads, err := h.Threads(); threads != 3 || err != nil {
		t.Error(threads, err)
	}
	for _, bad := range []int{-1, 257, 1<<32 + 1, math.MinInt} {
		if err := h.SetThreads(bad); !errors.Is(err, ErrInvalidValue) {
			t.Errorf("%d threads: %v", bad, err)
		}
	}
	if err := h.SetWorkspace(Bytes(make([]byte, 64))); !errors.Is(err, ErrInvalidValue) {
		t.Errorf("workspace of Go: %v", err)
	}
	if err := h.SetWorkspace(Memory{}); err != nil {
		t.Error(err)
	}
}

func TestBadConfigs(t *testing.T) {
	h := newCPUHandle(t)
	w := MatrixOf(numbers(64, 1), 2, 32)
	for name, config := range map[string]*QuantConfig{
		"format":               {Format: 77},
		"scale mode":           {ScaleMode: 5},
		"group of 12":          {ScaleMode: GroupScale, GroupSize: 12},
		"negative group":       {ScaleMode: GroupScale, GroupSize: -16},
		"huge group":           {ScaleMode: GroupScale, GroupSize: 1<<32 + 16},
		"MX in groups of 64":   {ScaleMode: MXScale, GroupSize: 64},
		"MX with half scales":  {ScaleMode: MXScale, ScaleType: R16F},
		"row with MX's scales": {ScaleType: R8FUE8M0},
		"rounding":             {Rounding: 3},
		"MX rule":              {ScaleMode: MXScale, MXScaleRule: 8},
		"non-finite":           {NonFinite: -1},
		"search":               {ScaleSearch: 65},
		"negative search":      {ScaleSearch: math.MinInt},
		"compute hint":         {ComputeHint: 5},
	} {
		if _, err := h.Quantize(w, config); !errors.Is(err, ErrInvalidValue) {
			t.Errorf("%s: Quantize: %v", name, err)
		}
		if weight, err := NewWeight(h, w, config); !errors.Is(err, ErrInvalidValue) || weight != nil {
			t.Errorf("%s: NewWeight: %v", name, err)
		}
	}
	if _, err := h.Quantize(w, &QuantConfig{ComputeHint: 5}); err == nil || !strings.Contains(err.Error(), "computeHint") {
		t.Errorf("the field is not named: %v", err)
	}
	if _, _, err := (&QuantConfig{}).Sizes(Layout(9), 64, 64); !errors.Is(err, ErrInvalidValue) {
		t.Errorf("unknown layout: %v", err)
	}
}

func TestBadShapes(t *testing.T) {
	h := newCPUHandle(t)
	data := numbers(64, 1)
	for name, w := range map[string]Matrix{
		"one short":           MatrixOf(data[:63], 8, 8),
		"nil":                 MatrixOf[float32](nil, 8, 8),
		"empty":               MatrixOf(data[:0], 1, 1),
		"negative rows":       MatrixOf(data, -1, 8),
		"negative cols":       MatrixOf(data, 8, -1),
		"stride too small":    MatrixOf(data, 8, 8).WithStride(7),
		"negative stride":     MatrixOf(data, 8, 8).WithStride(-8),
		"stride too large":    MatrixOf(data, 8, 8).WithStride(9),
		"huge stride":         MatrixOf(data, 2, 8).WithStride(math.MaxInt),
		"huge rows":           MatrixOf(data, math.MaxInt, 8),
		"huge cols":           MatrixOf(data, 8, math.MaxInt),
		"product overflows":   MatrixOf(data, 1<<33, 1<<33),
		"product wraps to 64": MatrixOf(data, 1<<32+1, 1<<32),
		"device memory":       DeviceMatrix(1<<40, R32F, 8, 8),
	} {
		if q, err := h.Quantize(w, nil); !errors.Is(err, ErrInvalidValue) || q != nil {
			t.Errorf("%s: Quantize: %v", name, err)
		}
		if weight, err := NewWeight(h, w, nil); !errors.Is(err, ErrInvalidValue) || weight != nil {
			t.Errorf("%s: NewWeight: %v", name, err)
		}
	}
	for _, shape := range [][2]int{{math.MaxInt, math.MaxInt}, {1 << 40, 1 << 40}, {1 << 30, 1 << 30}, {-1, 3}} {
		q, err := NewQuantized(nil, Plain, shape[0], shape[1])
		if !errors.Is(err, ErrInvalidValue) && !errors.Is(err, ErrAllocFailed) || q != nil {
			t.Errorf("NewQuantized(%v): %v", shape, err)
		}
	}
	if size, err := h.BlobSize(nil, math.MaxInt, math.MaxInt); !errors.Is(err, ErrInvalidValue) || size != 0 {
		t.Errorf("BlobSize: %d, %v", size, err)
	}
	for _, size := range []int{-1, math.MinInt, math.MaxInt, 1 << 60} {
		if blob, err := NewBlob(size); err == nil || blob != nil {
			t.Errorf("NewBlob(%d): %v", size, err)
		}
	}
	if blob, err := NewBlob(0); err != nil || len(blob) != 0 {
		t.Errorf("NewBlob(0): %v", err)
	}
}

func TestBadCodes(t *testing.T) {
	h := newCPUHandle(t)
	good, err := h.Quantize(MatrixOf(numbers(64, 1), 8, 8), nil)
	if err != nil {
		t.Fatal(err)
	}
	codes, scales := good.Codes.Bytes(), good.Scales.Bytes()
	aligned := append(make([]byte, 0, 64), scales...)
	for name, change := range map[string]func(q *Quantized){
		"short codes":       func(q *Quantized) { q.Codes = Bytes(codes[:len(codes)-1]) },
		"no codes":          func(q *Quantized) { q.Codes = Memory{} },
		"short scales":      func(q *Quantized) { q.Scales = Bytes(scales[:len(scales)-1]) },
		"misaligned scales": func(q *Quantized) { q.Scales = Bytes(aligned[1 : 1+len(scales) : 64][:len(scales)]) },
		"other shape":       func(q *Quantized) { q.Rows = 9 },
		"negative rows":     func(q *Quantized) { q.Rows = -8 },
		"huge cols":         func(q *Quantized) { q.Cols = math.MaxInt },
		"auto format":       func(q *Quantized) { q.Config.Format = AutoFormat },
		"unknown layout":    func(q *Quantized) { q.Layout = 3 },
		"device memory":     func(q *Quantized) { q.Codes = DevicePtr(1 << 40).Bytes(1 << 20) },
		"negative bytes":    func(q *Quantized) { q.Codes = Memory{bytes: -1} },
	} {
		bad := *good
		change(&bad)
		if w, err := NewWeightFromCodes(h, &bad); !errors.Is(err, ErrInvalidValue) || w != nil {
			t.Errorf("%s: NewWeightFromCodes: %v", name, err)
		}
		out := make([]float32, 64)
		if err := h.Dequantize(MatrixOf(out, 8, 8), &bad); !errors.Is(err, ErrInvalidValue) {
			t.Errorf("%s: Dequantize: %v", name, err)
		}
		for _, value := range out {
			if value != 0 {
				t.Errorf("%s: something was written", name)
				break
			}
		}
	}
	for name, err := range map[string]error{
		"QuantizeTo": h.QuantizeTo(nil, Matrix{}, nil),
		"Dequantize": h.Dequantize(Matrix{}, nil),
		"other rows": h.Dequantize(MatrixOf(make([]float32, 64), 4, 16), good),
		"short":      h.Dequantize(MatrixOf(make([]float32, 63), 8, 8), good),
		"PackBlob":   h.PackBlob(Memory{}, nil),
		"no blob":    h.PackBlob(Memory{}, good),
		"ExportTo":   newTestWeight(t, h, 8, 8).ExportTo(h, nil),
		"of another": newTestWeight(t, h, 8, 9).ExportTo(h, good),
	} {
		if !errors.Is(err, ErrInvalidValue) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w, err := NewWeightFromCodes(h, nil); !errors.Is(err, ErrInvalidValue) || w != nil {
		t.Errorf("nil: %v", err)
	}
}

func TestBadProducts(t *testing.T) {
	h := newCPUHandle(t)
	w := newTestWeight(t, h, 4, 8)
	data, out := make([]float32, 1024), make([]float32, 1024)
	x, y := MatrixOf(data, 2, 8), MatrixOf(out, 2, 4)
	half := make([]Float16, 1024)
	type product struct {
		x, y     Matrix
		epilogue *Epilogue
	}
	for name, bad := range map[string]product{
		"x's columns":         {MatrixOf(data, 2, 7), y, nil},
		"y's columns":         {x, MatrixOf(out, 2, 5), nil},
		"y's rows":            {x, MatrixOf(out, 3, 4), nil},
		"negative tokens":     {MatrixOf(data, -2, 8), MatrixOf(out, -2, 4), nil},
		"huge tokens":         {MatrixOf(data, math.MaxInt, 8), MatrixOf(out, math.MaxInt, 4), nil},
		"short x":             {MatrixOf(data[:15], 2, 8), y, nil},
		"short y":             {x, MatrixOf(out[:7], 2, 4), nil},
		"no x":                {Matrix{}, y, nil},
		"no y":                {x, Matrix{}, nil},
		"y's stride":          {x, y.WithStride(3), nil},
		"x on a device":       {DeviceMatrix(1<<40, R32F, 2, 8), y, nil},
		"y on a device":       {x, DeviceMatrix(1<<40, R32F, 2, 4), nil},
		"bias's length":       {x, y, &Epilogue{Bias: VectorOf(data[:5])}},
		"bias on a device":    {x, y, &Epilogue{Bias: DeviceVector(1<<40, R32F, 4)}},
		"bias's type":         {x, y, &Epilogue{Bias: Vector{BytesOf(data), DataType(99), 4}}},
		"activation":          {x, y, &Epilogue{Activation: 9}},
		"bias nowhere":        {x, y, &Epilogue{Bias: DeviceVector(0, R32F, 4)}},
		"residual nowhere":    {x, y, &Epilogue{Residual: DeviceMatrix(0, R32F, 2, 4)}},
		"residual's shape":    {x, y, &Epilogue{Residual: MatrixOf(data, 4, 2)}},
		"short residual":      {x, y, &Epilogue{Residual: MatrixOf(data[:7], 2, 4)}},
		"residual's stride":   {x, y, &Epilogue{Residual: MatrixOf(data, 2, 4).WithStride(3)}},
		"compute type":        {x, y, &Epilogue{Compute: 5}},
		"residual on device":  {x, y, &Epilogue{Residual: DeviceMatrix(1<<40, R32F, 2, 4)}},
		"an unknown type":     {Matrix{BytesOf(data), DataType(99), 2, 8, 8}, y, nil},
		"no x on a device":    {DeviceMatrix(0, R32F, 2, 8), y, nil},
		"stride that is huge": {x.WithStride(math.MaxInt), y, nil},
	} {
		if err := w.Linear(h, bad.x, bad.y, bad.epilogue); !errors.Is(err, ErrInvalidValue) {
			t.Errorf("%s: Linear: %v", name, err)
		}
		if bad.epilogue == nil {
			if err := h.Gemm(NoTrans, Trans, 1, bad.x, w, 0, bad.y, nil); !errors.Is(err, ErrInvalidValue) {
				t.Errorf("%s: Gemm: %v", name, err)
			}
		}
	}
	for name, err := range map[string]error{
		"transX": h.Gemm(7, Trans, 1, x, w, 0, y, nil),
		"transW": h.Gemm(NoTrans, 7, 1, x, w, 0, y, nil),
		"W":      h.Gemm(NoTrans, NoTrans, 1, x, w, 0, y, nil),
		"alpha on a device": h.Gemm(NoTrans, Trans, 1, x, w, 0, y,
			&GemmOptions{DeviceAlpha: 1 << 40}),
		"algorithm": h.Gemm(NoTrans, Trans, 1, x, w, 0, y, &GemmOptions{Algorithm: &Algorithm{id: 1 << 30}}),
		"offsets on a device": h.GemmGrouped(Trans, 1, x, DeviceOffsets(1<<40, 2), []*Weight{w}, 0, y,
			nil),
	} {
		if !errors.Is(err, ErrInvalidValue) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Valid, but not to be had.
	for name, err := range map[string]error{
		"x of scales": w.Linear(h, Matrix{BytesOf(data), R8FUE8M0, 2, 8, 8}, y, nil),
		"bias of scales": w.Linear(h, x, y,
			&Epilogue{Bias: Vector{BytesOf(data), R8FUE8M0, 4}}),
		"float32 to Float16": w.Linear(h, x, MatrixOf(half, 2, 4), nil),
		"factors on a device": h.Gemm(NoTrans, Trans, 1, x, w, 0, y,
			&GemmOptions{DeviceAlpha: 1 << 40, DeviceBeta: 1 << 40}),
		"FP8 activations": h.Gemm(NoTrans, Trans, 1, x, w, 0, y, &GemmOptions{Compute: Compute32FFast8F}),
	} {
		if !errors.Is(err, ErrNotSupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, value := range out {
		if value != 0 {
			t.Fatal("something was written")
		}
	}
	// NaN among the activations is a number like others: it spoils its own token only.
	data[3] = float32(math.NaN())
	if err := w.Linear(h, x, y, nil); err != nil || out[0] == out[0] || out[4] != out[4] {
		t.Errorf("%v, y = %v", err, out[:8])
	}
}
