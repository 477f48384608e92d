// What the tests share.
package fp6llm

import (
	"testing"
)

func newCPUHandle(t testing.TB, options ...Option) *Handle {
	t.Helper()
	h, err := NewHandle(append([]Option{WithBackend(CPU)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// newTestWeight is E3M2 with row scales.
func newTestWeight(t testing.TB, h *Handle, rows, cols int) *Weight {
	t.Helper()
	w, err := NewWeight(h, MatrixOf(numbers(rows*cols, 1), rows, cols), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// numbers is uniform in [-1, 1), the same on every machine.
func numbers(count int, seed uint32) []float32 {
	values := make([]float32, count)
	for i := range values {
		seed = seed*1664525 + 1013904223
		values[i] = float32(seed>>8)/8388608 - 1
	}
	return values
}
