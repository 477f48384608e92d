// Codes and scales against the oracle's, bit for bit, and back.
package fp6llm

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"
)

// quantCases are the ways to scale, with columns that no group divides.
type quantCase struct {
	name       string
	config     QuantConfig
	rows, cols int
}

func quantCases() []quantCase {
	var cases []quantCase
	for _, format := range oracleFormats {
		for _, c := range []quantCase{
			{"row", QuantConfig{}, 5, 37},
			{"group", QuantConfig{ScaleMode: GroupScale, GroupSize: 16}, 4, 41},
			{"mx", QuantConfig{ScaleMode: MXScale}, 3, 75},
		} {
			c.config.Format = format.format
			c.name = fmt.Sprint(format.format, " ", c.name)
			cases = append(cases, c)
		}
	}
	return cases
}

func (c quantCase) oracle(w []float32) (oracleFormat, oracleQuantized) {
	group := c.cols
	switch c.config.ScaleMode {
	case GroupScale:
		group = c.config.GroupSize
	case MXScale:
		group = 32
	}
	for _, format := range oracleFormats {
		if format.format == c.config.Format {
			return format, oracleQuantize(format, w, c.rows, c.cols, group, c.config.ScaleMode == MXScale)
		}
	}
	panic("no such format")
}

func TestQuantizeAndDequantize(t *testing.T) {
	t.Run("float32", testQuantize[float32])
	t.Run("Float16", testQuantize[Float16])
	t.Run("BFloat16", testQuantize[BFloat16])
}

func testQuantize[T Element](t *testing.T) {
	h := newCPUHandle(t)
	for _, c := range quantCases() {
		elements, w := converted[T](numbers(c.rows*c.cols, 7))
		format, oracle := c.oracle(w)
		q, err := h.Quantize(MatrixOf(elements, c.rows, c.cols), &c.config)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if expected := oracle.packed(format); !bytes.Equal(q.Codes.Bytes(), expected) {
			t.Errorf("%s: codes are\n%x, expected\n%x", c.name, q.Codes.Bytes(), expected)
		}
		mx := c.config.ScaleMode == MXScale
		if expected := oracle.packedScales(mx); !bytes.Equal(q.Scales.Bytes(), expected) {
			t.Errorf("%s: scales are\n%x, expected\n%x", c.name, q.Scales.Bytes(), expected)
		}
		back := make([]T, c.rows*(c.cols+3))
		if err := h.Dequantize(MatrixOf(back, c.rows, c.cols).WithStride(c.cols+3), q); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		values, expected := asFloat32(back), oracle.matrix(format)
		for i := range values {
			row, col := i/(c.cols+3), i%(c.cols+3)
			rounded := []float32{0}
			if col < c.cols {
				_, rounded = converted[T]([]float32{float32(expected[row*c.cols+col])})
			}
			if values[i] != rounded[0] {
				t.Errorf("%s: W[%d, %d] = %v, expected %v", c.name, row, col, values[i], rounded[0])
				break
			}
		}
	}
}

func TestStatistics(t *testing.T) {
	h := newCPUHandle(t)
	const rows, cols = 6, 50
	w := numbers(rows*cols, 11)
	config := QuantConfig{Format: AutoFormat}
	q, err := NewQuantized(&config, Plain, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	var stats QuantStats
	if err := h.QuantizeTo(q, MatrixOf(w, rows, cols), &stats); err != nil {
		t.Fatal(err)
	}
	// Which of the two errs less, and by how much.
	var best oracleFormat
	least, signal, largest := math.Inf(1), 0.0, 0.0
	for _, format := range oracleFormats[:2] {
		var sum, most float64
		signal = 0
		for i, value := range oracleQuantize(format, w, rows, cols, cols, false).matrix(format) {
			difference := float64(w[i]) - value
			sum += difference * difference
			most = max(most, math.Abs(difference))
			signal += float64(w[i]) * float64(w[i])
		}
		if sum < least {
			best, least, largest = format, sum, most
		}
	}
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-5*b }
	if stats.Format != best.format || q.Config.Format != best.format ||
		!near(stats.MSE, least/(rows*cols)) || !near(stats.Signal, signal/(rows*cols)) ||
		!near(stats.MaxAbsError, largest) || stats.Saturated != 0 || stats.NonFinite != 0 {
		t.Errorf("%v: %+v, expected %v, MSE %v, signal %v, largest error %v", q.Config.Format, stats,
			best.format, least/(rows*cols), signal/(rows*cols), largest)
	}
}

func TestScaleTypesAndRounding(t *testing.T) {
	h := newCPUHandle(t)
	// 28 is the largest value, so the scale is 1; 0.03125 is between the codes of 0 and 0.0625.
	w := MatrixOf([]float32{28, 0.03125, -0.03125, 5.5}, 1, 4)
	q, err := h.Quantize(w, &QuantConfig{ScaleType: R16F})
	if err != nil {
		t.Fatal(err)
	}
	if scale := q.Scales.Bytes(); !bytes.Equal(scale, []byte{0x00, 0x3c}) {
		t.Errorf("scale is %x, expected binary16's 1", scale)
	}
	for rounding, expected := range map[Rounding][]float32{
		NearestEven: {28, 0, 0, 6},
		NearestAway: {28, 0.0625, -0.0625, 6},
	} {
		q, err := h.Quantize(w, &QuantConfig{Rounding: rounding})
		if err != nil {
			t.Fatal(err)
		}
		back := make([]float32, 4)
		if err := h.Dequantize(MatrixOf(back, 1, 4), q); err != nil {
			t.Fatal(err)
		}
		for i := range back {
			if back[i] != expected[i] {
				t.Errorf("rounding %d: %v, expected %v", rounding, back, expected)
				break
			}
		}
	}
}

func TestNonFiniteWeights(t *testing.T) {
	h := newCPUHandle(t)
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		w := MatrixOf([]float32{1, bad, -2, 28}, 1, 4)
		if _, err := h.Quantize(w, nil); !errors.Is(err, ErrInvalidValue) {
			t.Errorf("%v: %v", bad, err)
		}
		q, err := NewQuantized(nil, Plain, 1, 4)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.QuantizeTo(q, w, &QuantStats{}); !errors.Is(err, ErrInvalidValue) {
			t.Errorf("%v: %v", bad, err)
		}
		if !bytes.Equal(q.Codes.Bytes(), make([]byte, 3)) || !bytes.Equal(q.Scales.Bytes(), make([]byte, 4)) {
			t.Errorf("%v: something was written", bad)
		}
		q.Config.NonFinite = SaturateNonFinite
		var stats QuantStats
		if err := h.QuantizeTo(q, w, &stats); err != nil || stats.NonFinite != 1 {
			t.Errorf("%v: %v, %+v", bad, err, stats)
		}
		back := make([]float32, 4)
		if err := h.Dequantize(MatrixOf(back, 1, 4), q); err != nil {
			t.Fatal(err)
		}
		expected := float32(28)
		if bad < 0 {
			expected = -28
		}
		if back[0] != 1 || back[1] != expected || back[2] != -2 || back[3] != 28 {
			t.Errorf("%v became %v", bad, back)
		}
	}
}
