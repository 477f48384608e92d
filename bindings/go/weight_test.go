// Weights from everything they are made from, and back.
package fp6llm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

func TestWeightsGiveTheirCodesBack(t *testing.T) {
	h := newCPUHandle(t)
	for _, c := range quantCases() {
		w := numbers(c.rows*c.cols, 3)
		q, err := h.Quantize(MatrixOf(w, c.rows, c.cols), &c.config)
		if err != nil {
			t.Fatal(c.name, err)
		}
		fromFloats, err := NewWeight(h, MatrixOf(w, c.rows, c.cols), &c.config)
		if err != nil {
			t.Fatal(c.name, err)
		}
		fromCodes, err := NewWeightFromCodes(h, q)
		if err != nil {
			t.Fatal(c.name, err)
		}
		for name, weight := range map[string]*Weight{"floats": fromFloats, "codes": fromCodes} {
			back, err := weight.Export(h, Plain)
			if err != nil || !bytes.Equal(back.Codes.Bytes(), q.Codes.Bytes()) ||
				!bytes.Equal(back.Scales.Bytes(), q.Scales.Bytes()) {
				t.Errorf("%s, from %s: %v", c.name, name, err)
			}
			info := weight.Info()
			if info.Rows != c.rows || info.Cols != c.cols || info.Format != c.config.Format ||
				info.ScaleMode != c.config.ScaleMode || info.Backend != CPU || info.IsView || info.Bytes <= 0 ||
				info.Layout == "" || back.Rows != c.rows || back.Cols != c.cols {
				t.Errorf("%s, from %s: %+v", c.name, name, info)
			}
			if err := weight.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestWeightsOfOtherElements(t *testing.T) {
	t.Run("Float16", testWeightOf[Float16])
	t.Run("BFloat16", testWeightOf[BFloat16])
}

// A weight of T is the weight of the same numbers in float32.
func testWeightOf[T Element](t *testing.T) {
	h := newCPUHandle(t)
	const rows, cols, stride = 7, 33, 40
	elements, values := converted[T](numbers(rows*stride, 5))
	var exported [2]*Quantized
	for i, matrix := range []Matrix{MatrixOf(elements, rows, cols), MatrixOf(values, rows, cols)} {
		w, err := NewWeight(h, matrix.WithStride(stride), &QuantConfig{Format: AutoFormat})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if exported[i], err = w.Export(h, Plain); err != nil {
			t.Fatal(err)
		}
	}
	if exported[0].Config != exported[1].Config ||
		!bytes.Equal(exported[0].Codes.Bytes(), exported[1].Codes.Bytes()) ||
		!bytes.Equal(exported[0].Scales.Bytes(), exported[1].Scales.Bytes()) {
		t.Errorf("%+v differs from %+v", exported[0], exported[1])
	}
}

func TestPublishedLayouts(t *testing.T) {
	h := newCPUHandle(t)
	const rows, cols = 64, 128
	config := QuantConfig{ScaleType: R16F}
	w, err := NewWeight(h, MatrixOf(numbers(rows*cols, 9), rows, cols), &config)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	plain, err := w.Export(h, Plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, layout := range []Layout{TCFPX, Split42} {
		packed, err := w.Export(h, layout)
		if err != nil {
			t.Fatal(err)
		}
		codeBytes, scaleBytes, err := config.Sizes(layout, rows, cols)
		if err != nil || codeBytes != rows*cols*6/8 || scaleBytes != 2*rows ||
			packed.Codes.Len() != codeBytes || packed.Scales.Len() != scaleBytes {
			t.Errorf("layout %d: %d and %d bytes, %v", layout, codeBytes, scaleBytes, err)
		}
		if bytes.Equal(packed.Codes.Bytes(), plain.Codes.Bytes()) {
			t.Errorf("layout %d is plain", layout)
		}
		again, err := NewWeightFromCodes(h, packed)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		back, err := again.Export(h, Plain)
		if err != nil || !bytes.Equal(back.Codes.Bytes(), plain.Codes.Bytes()) ||
			!bytes.Equal(back.Scales.Bytes(), plain.Scales.Bytes()) {
			t.Errorf("layout %d: %v, or other codes", layout, err)
		}
		if err := h.Dequantize(MatrixOf(make([]float32, rows*cols), rows, cols), packed); !errors.Is(err, ErrInvalidValue) {
			t.Errorf("dequantized layout %d: %v", layout, err)
		}
	}
	if _, err := newTestWeight(t, h, 65, 64).Export(h, TCFPX); !errors.Is(err, ErrNotSupported) {
		t.Errorf("65 rows as TC-FPx: %v", err)
	}
}

func TestBlobs(t *testing.T) {
	h := newCPUHandle(t)
	const rows, cols = 9, 50
	q, err := h.Quantize(MatrixOf(numbers(rows*cols, 4), rows, cols), nil)
	if err != nil {
		t.Fatal(err)
	}
	size, err := h.BlobSize(&q.Config, rows, cols)
	if err != nil || size < q.Codes.Len() {
		t.Fatal(size, err)
	}
	blob, err := NewBlob(size)
	if err != nil || len(blob) != size {
		t.Fatal(len(blob), err)
	}
	if err := h.PackBlob(Bytes(blob), q); err != nil {
		t.Fatal(err)
	}
	w, err := NewWeightFromBlob(h, Bytes(blob))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	clear(blob) // The weight has its own copy.
	back, err := w.Export(h, Plain)
	if err != nil || !w.Info().IsView || !bytes.Equal(back.Codes.Bytes(), q.Codes.Bytes()) ||
		!bytes.Equal(back.Scales.Bytes(), q.Scales.Bytes()) {
		t.Errorf("%v, %+v", err, w.Info())
	}

	// Cut, damaged, misaligned, nothing.
	if err := h.PackBlob(Bytes(blob), q); err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(blob)
	damaged[5] ^= 1
	for name, bad := range map[string][]byte{
		"cut": blob[:size-1], "header alone": blob[:63], "damaged": damaged, "empty": {}, "nil": nil,
	} {
		if w, err := NewWeightFromBlob(h, Bytes(bad)); err == nil {
			t.Errorf("%s: accepted", name)
			w.Close()
		}
	}
	if err := h.PackBlob(Bytes(blob[:size-1]), q); !errors.Is(err, ErrInvalidValue) {
		t.Errorf("short blob: %v", err)
	}
	shifted, err := NewBlob(size + 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.PackBlob(Bytes(shifted[1:]), q); !errors.Is(err, ErrInvalidValue) {
		t.Errorf("misaligned blob: %v", err)
	}
}

// What nobody closes is freed all the same: 240 weights of 400 KB do not add up.
func TestForgottenWeightsAreFreed(t *testing.T) {
	if instrumented {
		t.Skip("the detector keeps freed memory for a while")
	}
	h := newCPUHandle(t)
	matrix := MatrixOf(numbers(256*2048, 6), 256, 2048)
	before := residentBytes(t)
	for i := range 240 {
		w, err := NewWeight(h, matrix, nil)
		if err != nil {
			t.Fatal(err)
		}
		if w.Info().Bytes < 390_000 {
			t.Fatalf("%+v", w.Info())
		}
		if _, err := NewHandle(WithBackend(CPU)); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			runtime.GC()
			time.Sleep(5 * time.Millisecond) // Cleanups run in a goroutine.
		}
	}
	if grown := residentBytes(t) - before; grown > 48<<20 {
		t.Errorf("%d bytes more than before", grown)
	}
}

func residentBytes(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(status), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}
