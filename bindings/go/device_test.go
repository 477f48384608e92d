// Device pointers, on whatever GPU libcuda.so.1 has; CTest puts the emulated one first, and sets
// FP6LLM_TEST_NEEDS_GPU so that a missing one is a failure. Results must be the CPU's, to the bit where both
// promise so.
package fp6llm

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"unsafe"

	"fp6llm/internal/driver"
)

func newCUDAHandle(t *testing.T) *Handle {
	t.Helper()
	err := driver.Open()
	if err == nil {
		var h *Handle
		if h, err = NewHandle(WithBackend(CUDA)); err == nil {
			t.Cleanup(func() {
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			})
			return h
		}
	}
	if os.Getenv("FP6LLM_TEST_NEEDS_GPU") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
	return nil
}

// onDevice is a copy of a slice in device memory.
func onDevice[T Element | byte | int64](t *testing.T, data []T) DevicePtr {
	t.Helper()
	var zero T
	bytes := len(data) * int(unsafe.Sizeof(zero))
	address := driver.Alloc(bytes)
	t.Cleanup(func() { driver.Free(address) })
	driver.ToDevice(address, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(data))), bytes))
	return DevicePtr(address)
}

func fromDevice[T Element | byte](data []T, address DevicePtr) {
	var zero T
	driver.ToHost(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(data))), len(data)*int(unsafe.Sizeof(zero))),
		uintptr(address))
}

func TestCUDA(t *testing.T) {
	h := newCUDAHandle(t)
	cpu := newCPUHandle(t)
	const rows, cols, tokens = 48, 64, 3
	c := quantCase{"row", QuantConfig{Format: E3M2}, rows, cols}
	values := numbers(rows*cols, 71)
	format, oracle := c.oracle(values)
	matrix := oracle.matrix(format)
	w := onDevice(t, values)

	// Quantized there: the oracle's codes and scales.
	codeBytes, scaleBytes, err := c.config.Sizes(Plain, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	codes, scales := onDevice(t, make([]byte, codeBytes)), onDevice(t, make([]byte, scaleBytes))
	q := &Quantized{Config: c.config, Rows: rows, Cols: cols, Codes: codes.Bytes(codeBytes),
		Scales: scales.Bytes(scaleBytes)}
	var stats QuantStats
	if err := h.QuantizeTo(q, DeviceMatrix(w, R32F, rows, cols), &stats); err != nil {
		t.Fatal(err)
	}
	hostCodes, hostScales := make([]byte, codeBytes), make([]byte, scaleBytes)
	fromDevice(hostCodes, codes)
	fromDevice(hostScales, scales)
	if !bytes.Equal(hostCodes, oracle.packed(format)) || !bytes.Equal(hostScales, oracle.packedScales(false)) {
		t.Error("codes or scales differ from the oracle's")
	}
	if stats.Format != E3M2 || stats.MSE <= 0 {
		t.Errorf("%+v", stats)
	}

	// And back.
	back, backAddress := make([]float32, rows*cols), onDevice(t, make([]float32, rows*cols))
	if err := h.Dequantize(DeviceMatrix(backAddress, R32F, rows, cols), q); err != nil {
		t.Fatal(err)
	}
	fromDevice(back, backAddress)
	for i := range back {
		if back[i] != float32(matrix[i]) {
			t.Fatalf("W[%d] = %v, expected %v", i, back[i], matrix[i])
		}
	}

	// A weight, a linear layer with bias and activation on a stream, in lent workspace.
	weight, err := NewWeightFromCodes(h, q)
	if err != nil {
		t.Fatal(err)
	}
	defer weight.Close()
	if info := weight.Info(); info.Backend != CUDA || info.Rows != rows || info.Cols != cols {
		t.Errorf("%+v", info)
	}
	stream := Stream(driver.NewStream())
	defer driver.DestroyStream(uintptr(stream))
	if err := h.SetStream(stream); err != nil {
		t.Fatal(err)
	}
	if found, err := h.Stream(); found != stream || err != nil {
		t.Errorf("stream %#x, %v", found, err)
	}
	xElements, x := converted[Float16](numbers(tokens*cols, 72))
	biasElements, bias := converted[Float16](numbers(rows, 73))
	product, magnitude := oracleProduct(float64s(x), matrix, tokens, rows, cols)
	xMatrix := DeviceMatrix(onDevice(t, xElements), R16F, tokens, cols)
	yAddress := onDevice(t, make([]float32, tokens*rows))
	y := DeviceMatrix(yAddress, R32F, tokens, rows)
	workspace := onDevice(t, make([]byte, 1<<20))
	if err := h.SetWorkspace(workspace.Bytes(1 << 20)); err != nil {
		t.Fatal(err)
	}
	err = weight.Linear(h, xMatrix, y, &Epilogue{Bias: DeviceVector(onDevice(t, biasElements), R16F, rows), Activation: ReLU})
	if err != nil {
		t.Fatal(err)
	}
	driver.Synchronize(uintptr(stream))
	out := make([]float32, tokens*rows)
	fromDevice(out, yAddress)
	expected, scale := make([]float64, len(out)), make([]float64, len(out))
	for i := range out {
		expected[i] = max(product[i]+float64(bias[i%rows]), 0)
		scale[i] = magnitude[i] + 1
	}
	closeTo(t, "linear", out, expected, scale, 0x1p-24)

	// The general product, with factors of the host and of the device.
	for name, options := range map[string]*GemmOptions{
		"host factors": nil,
		"device factors": {DeviceAlpha: onDevice(t, []float32{-2}), DeviceBeta: onDevice(t, []float32{0.5}),
			Compute: Compute32FFast16F},
	} {
		before := numbers(tokens*rows, 74)
		driver.ToDevice(uintptr(yAddress), BytesOf(before).Bytes())
		alpha, beta := float32(-2), float32(0.5)
		if options != nil {
			alpha, beta = 77, 77 // Not used.
		}
		if err := h.Gemm(NoTrans, Trans, alpha, xMatrix, weight, beta, y, options); err != nil {
			t.Fatal(name, err)
		}
		driver.Synchronize(uintptr(stream))
		fromDevice(out, yAddress)
		for i := range out {
			expected[i] = -2*product[i] + 0.5*float64(before[i])
			scale[i] = 2*magnitude[i] + 1
		}
		closeTo(t, name, out, expected, scale, 0x1p-24)
	}
	if err := h.SetWorkspace(Memory{}); err != nil {
		t.Error(err)
	}

	// A blob of the device is used where it lies.
	size, err := h.BlobSize(&q.Config, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	blob := onDevice(t, make([]byte, size))
	if err := h.PackBlob(blob.Bytes(size), q); err != nil {
		t.Fatal(err)
	}
	view, err := NewWeightFromBlob(h, blob.Bytes(size))
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	exported := &Quantized{Rows: rows, Cols: cols, Codes: onDevice(t, make([]byte, codeBytes)).Bytes(codeBytes),
		Scales: onDevice(t, make([]byte, scaleBytes)).Bytes(scaleBytes)}
	if err := view.ExportTo(h, exported); err != nil {
		t.Fatal(err)
	}
	driver.Synchronize(uintptr(stream))
	again := make([]byte, codeBytes)
	fromDevice(again, exported.Codes.Device())
	if !bytes.Equal(again, hostCodes) || exported.Config.Format != E3M2 || !view.Info().IsView {
		t.Error("the view's codes differ")
	}

	// The wrong side: host memory for a GPU, another backend's weight, what must be asked for otherwise.
	for name, err := range map[string]error{
		"x of the host":    weight.Linear(h, MatrixOf(xElements, tokens, cols), y, nil),
		"y of the host":    weight.Linear(h, xMatrix, MatrixOf(out, tokens, rows), nil),
		"bias of the host": weight.Linear(h, xMatrix, y, &Epilogue{Bias: VectorOf(bias)}),
		"a GPU's weight": weight.Linear(cpu, MatrixOf(xElements, tokens, cols), MatrixOf(out, tokens, rows),
			nil),
		"a CPU's weight":   newTestWeight(t, cpu, rows, cols).Linear(h, xMatrix, y, nil),
		"codes of a slice": h.Dequantize(DeviceMatrix(backAddress, R32F, rows, cols), must(NewQuantized(nil, Plain, rows, cols))),
	} {
		if !errors.Is(err, ErrInvalidValue) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewWeight(h, MatrixOf(values, rows, cols), nil); !errors.Is(err, ErrInvalidValue) {
		t.Errorf("a weight of the host's floats: %v", err)
	}
	if _, err := h.Quantize(DeviceMatrix(w, R32F, rows, cols), nil); !errors.Is(err, ErrInvalidValue) {
		t.Errorf("quantized to slices: %v", err)
	}
	if _, err := weight.Export(h, Plain); !errors.Is(err, ErrInvalidValue) {
		t.Errorf("exported to slices: %v", err)
	}
	if _, err := NewWeightFromBlob(h, Bytes(make([]byte, size))); !errors.Is(err, ErrInvalidValue) {
		t.Errorf("a slice as a blob: %v", err)
	}

	// One product per group, where the backend has it; else it says that it has not.
	err = h.GemmGrouped(Trans, 1, xMatrix, DeviceOffsets(onDevice(t, []int64{0, 1, 3}), 3),
		[]*Weight{weight, weight}, 0, y, nil)
	if err == nil {
		driver.Synchronize(uintptr(stream))
		fromDevice(out, yAddress)
		closeTo(t, "grouped", out, product, magnitude, 0x1p-24)
	} else if !errors.Is(err, ErrNotSupported) {
		t.Error(err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestCUDADevice(t *testing.T) {
	newCUDAHandle(t)
	count, err := DeviceCount(CUDA)
	if err != nil || count < 1 {
		t.Fatal(count, err)
	}
	info, err := Device(CUDA, 0)
	if err != nil || info.Backend != CUDA || info.Name == "" || info.ComputeCapability[0] < 8 ||
		info.Multiprocessors < 1 || info.TotalMemory == 0 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestWithoutCUDA(t *testing.T) {
	if count, err := DeviceCount(CUDA); err != nil || count != 0 {
		t.Skip("there is a GPU, or an emulated one")
	}
	if h, err := NewHandle(WithBackend(CUDA)); !errors.Is(err, ErrNotSupported) || h != nil {
		t.Error(err)
	}
	h, err := NewHandle()
	if err != nil || h.Backend() != CPU {
		t.Fatal(err)
	}
	h.Close()
}
