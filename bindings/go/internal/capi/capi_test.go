// The low level from a handle to a product, and that an error keeps its own text when goroutines fail at
// once and change threads.
package capi

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"unsafe"
)

func newHandle(t testing.TB) Handle {
	config := NewHandleConfig()
	config.Backend = int32(BACKEND_CPU)
	var handle Handle
	if err := CreateWithConfig(&handle, &config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Destroy(handle); err != nil {
			t.Error(err)
		}
	})
	return handle
}

// newWeight has powers of two, which every format holds exactly.
func newWeight(t testing.TB, handle Handle, rows, cols int) Weight {
	values := make([]float32, rows*cols)
	for i := range values {
		values[i] = float32(int(1) << (i % 3))
	}
	config := NewQuantConfig()
	config.ScaleMode = int32(SCALE_MX)
	var weight Weight
	err := WeightCreate(handle, &config, int64(rows), int64(cols), unsafe.Pointer(&values[0]), R_32F,
		int64(cols), &weight)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := WeightDestroy(weight); err != nil {
			t.Error(err)
		}
	})
	return weight
}

func TestLinearWithAPinnedBias(t *testing.T) {
	handle := newHandle(t)
	const rows, cols = 5, 32
	weight := newWeight(t, handle, rows, cols)

	x, y, bias := make([]float32, cols), make([]float32, rows), make([]float32, rows)
	for i := range x {
		x[i] = 1
	}
	for i := range bias {
		bias[i] = float32(100 * i)
	}
	epilogue := NewEpilogue()
	var pinner runtime.Pinner
	defer pinner.Unpin()
	pinner.Pin(&bias[0])
	epilogue.Bias, epilogue.BiasType = unsafe.Pointer(&bias[0]), int32(R_32F)
	err := Linear(handle, 1, unsafe.Pointer(&x[0]), R_32F, cols, weight, &epilogue,
		unsafe.Pointer(&y[0]), R_32F, rows)
	if err != nil {
		t.Fatal(err)
	}
	for row := range y {
		expected := bias[row]
		for col := range cols {
			expected += float32(int(1) << ((row*cols + col) % 3))
		}
		if y[row] != expected {
			t.Errorf("y[%d] = %v, expected %v", row, y[row], expected)
		}
	}

	var info WeightInfo = NewWeightInfo()
	if err := WeightGetInfo(weight, &info); err != nil || info.Rows != rows || info.Cols != cols {
		t.Errorf("WeightGetInfo: %v, %+v", err, info)
	}
}

func TestAFailureHasStatusAndText(t *testing.T) {
	config := NewQuantConfig()
	err := QuantGetSizes(&config, -7, 64, nil, nil)
	var failure *Error
	if !errors.As(err, &failure) || failure.Status != STATUS_INVALID_VALUE ||
		failure.Error() != "rows = -7 is negative" {
		t.Errorf("got %#v", err)
	}
	if err := SetStream(nil, nil); err == nil || err.(*Error).Status != STATUS_NOT_INITIALIZED {
		t.Errorf("got %#v", err)
	}
}

func TestEveryGoroutineGetsItsOwnText(t *testing.T) {
	const goroutines, calls = 32, 500
	var all sync.WaitGroup
	for g := range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			config := NewQuantConfig()
			for i := range calls {
				rows := int64(-1 - g*calls - i)
				err := QuantGetSizes(&config, rows, 64, nil, nil)
				if expected := fmt.Sprintf("rows = %d is negative", rows); err == nil || err.Error() != expected {
					t.Errorf("got %q, expected %q", err, expected)
					return
				}
				runtime.Gosched()
			}
		}()
	}
	all.Wait()
}

func TestTextOut(t *testing.T) {
	var needed uint
	if err := GetBuildInfo(nil, 0, &needed); err != nil || needed < 2 {
		t.Fatal(err, needed)
	}
	text := make([]byte, needed)
	if err := GetBuildInfo(&text[0], needed, nil); err != nil || text[0] != '{' || text[needed-1] != 0 {
		t.Errorf("%v, %q", err, text)
	}
}

// The cheapest call that takes a handle, for what a call from Go costs over C.
func BenchmarkGetNumThreads(b *testing.B) {
	handle := newHandle(b)
	var threads int32
	for b.Loop() {
		if err := GetNumThreads(handle, &threads); err != nil {
			b.Fatal(err)
		}
	}
}

// A multiplication of no tokens: every argument is passed and checked, nothing is computed.
func BenchmarkLinearOfNothing(b *testing.B) {
	handle := newHandle(b)
	weight := newWeight(b, handle, 16, 32)
	x, y := make([]float32, 32), make([]float32, 16)
	for b.Loop() {
		err := Linear(handle, 0, unsafe.Pointer(&x[0]), R_32F, 32, weight, nil, unsafe.Pointer(&y[0]),
			R_32F, 16)
		if err != nil {
			b.Fatal(err)
		}
	}
}
