// Products against float64 ones of the weights that the codes stand for.
package fp6llm

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// knownWeight is a weight with the matrix that it stands for.
func knownWeight(t *testing.T, h *Handle, c quantCase) (*Weight, []float64) {
	t.Helper()
	values := numbers(c.rows*c.cols, 21)
	w, err := NewWeight(h, MatrixOf(values, c.rows, c.cols), &c.config)
	if err != nil {
		t.Fatal(c.name, err)
	}
	t.Cleanup(func() { w.Close() })
	format, oracle := c.oracle(values)
	return w, oracle.matrix(format)
}

// blobWeight is a weight of the blob of codes and scales.
func blobWeight(t *testing.T, h *Handle, q *Quantized) *Weight {
	t.Helper()
	size, err := h.BlobSize(&q.Config, q.Rows, q.Cols)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := NewBlob(size)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.PackBlob(Bytes(blob), q); err != nil {
		t.Fatal(err)
	}
	w, err := NewWeightFromBlob(h, Bytes(blob))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestLinear(t *testing.T) {
	t.Run("float32 to float32", testLinear[float32, float32])
	t.Run("Float16 to Float16", testLinear[Float16, Float16])
	t.Run("Float16 to float32", testLinear[Float16, float32])
	t.Run("BFloat16 to BFloat16", testLinear[BFloat16, BFloat16])
	t.Run("BFloat16 to float32", testLinear[BFloat16, float32])
}

func rounding[T Element]() float64 {
	switch dataTypeOf[T]() {
	case R16F:
		return 0x1p-11
	case R16BF:
		return 0x1p-8
	}
	return 0x1p-24
}

func testLinear[X, Y Element](t *testing.T) {
	h := newCPUHandle(t)
	const tokens, padding = 3, 5
	for _, c := range quantCases() {
		w, matrix := knownWeight(t, h, c)
		elements, x := converted[X](numbers(tokens*c.cols, 22))
		product, magnitude := oracleProduct(float64s(x), matrix, tokens, c.rows, c.cols)

		// Without an epilogue, into rows with a gap that stays as it is.
		y := make([]Y, tokens*(c.rows+padding))
		ys := MatrixOf(y, tokens, c.rows).WithStride(c.rows + padding)
		if err := w.Linear(h, MatrixOf(elements, tokens, c.cols), ys, nil); err != nil {
			t.Fatal(c.name, err)
		}
		dense := make([]float32, 0, tokens*c.rows)
		for token, values := 0, asFloat32(y); token < tokens; token++ {
			row := values[token*(c.rows+padding):]
			dense = append(dense, row[:c.rows]...)
			for _, gap := range row[c.rows : c.rows+padding] {
				if gap != 0 {
					t.Errorf("%s: wrote between rows", c.name)
				}
			}
		}
		closeTo(t, c.name, dense, product, magnitude, rounding[Y]())

		// With bias, activation and a residual that is y itself.
		biasElements, bias := converted[BFloat16](numbers(c.rows, 23))
		residualElements, residual := converted[Y](numbers(tokens*c.rows, 24))
		for _, activation := range []Activation{NoActivation, ReLU, GELU, GELUTanh, SiLU} {
			out := append([]Y(nil), residualElements...)
			outMatrix := MatrixOf(out, tokens, c.rows)
			err := w.Linear(h, MatrixOf(elements, tokens, c.cols), outMatrix, &Epilogue{
				Bias: VectorOf(biasElements), Activation: activation, Residual: outMatrix})
			if err != nil {
				t.Fatal(c.name, err)
			}
			expected, scale := make([]float64, len(out)), make([]float64, len(out))
			for i := range expected {
				v := product[i] + float64(bias[i%c.rows])
				expected[i] = oracleActivation(activation, v) + float64(residual[i])
				scale[i] = 2*(magnitude[i]+math.Abs(float64(bias[i%c.rows]))) + math.Abs(float64(residual[i]))
			}
			closeTo(t, fmt.Sprint(c.name, " activation ", activation), asFloat32(out), expected, scale, rounding[Y]())
		}
	}
}

// strided is a matrix with a gap after each row.
func strided(values []float32, rows, cols, stride int) []float32 {
	result := make([]float32, rows*stride)
	for row := range rows {
		copy(result[row*stride:], values[row*cols:(row+1)*cols])
	}
	return result
}

func TestGemm(t *testing.T) {
	h := newCPUHandle(t)
	c := quantCase{"group", QuantConfig{Format: E2M3, ScaleMode: GroupScale, GroupSize: 16}, 6, 40}
	w, matrix := knownWeight(t, h, c)
	for _, transW := range []Transpose{Trans, NoTrans} {
		k, m, factor := c.cols, c.rows, matrix // op(W)ᵀ is [m, k].
		if transW == NoTrans {
			k, m, factor = c.rows, c.cols, transposed(matrix, c.rows, c.cols)
		}
		const n = 4
		values := numbers(n*k, 31)
		product, magnitude := oracleProduct(float64s(values), factor, n, m, k)
		for _, transX := range []Transpose{NoTrans, Trans} {
			rows, cols, stored := n, k, values
			if transX == Trans {
				rows, cols, stored = k, n, asFloat32(float32s(transposed(float64s(values), n, k)))
			}
			x := MatrixOf(strided(stored, rows, cols, cols+2), rows, cols).WithStride(cols + 2)
			for _, factors := range [][2]float32{{1, 0}, {-0.5, 1}, {2, 0.25}, {0, 3}} {
				alpha, beta := factors[0], factors[1]
				name := fmt.Sprint("transW ", transW, " transX ", transX, " factors ", factors)
				before := numbers(n*m, 32)
				y := append([]float32(nil), before...)
				if beta == 0 { // Not read, so NaN does no harm.
					for i := range y {
						y[i] = float32(math.NaN())
					}
				}
				if err := h.Gemm(transX, transW, alpha, x, w, beta, MatrixOf(y, n, m), nil); err != nil {
					t.Fatal(name, err)
				}
				expected, scale := make([]float64, n*m), make([]float64, n*m)
				for i := range expected {
					expected[i] = float64(alpha)*product[i] + float64(beta)*float64(before[i])
					scale[i] = math.Abs(float64(alpha))*magnitude[i] + math.Abs(float64(beta)*float64(before[i]))
				}
				closeTo(t, name, y, expected, scale, 0x1p-24)
			}
		}
	}
}

func float32s(values []float64) []float32 {
	result := make([]float32, len(values))
	for i, value := range values {
		result[i] = float32(value)
	}
	return result
}

func TestAlgorithms(t *testing.T) {
	h := newCPUHandle(t)
	c := quantCase{"row", QuantConfig{Format: E3M2}, 20, 64}
	w, matrix := knownWeight(t, h, c)
	values := numbers(2*c.cols, 41)
	x, out := MatrixOf(values, 2, c.cols), make([]float32, 2*c.rows)
	y := MatrixOf(out, 2, c.rows)
	algorithms, err := h.Algorithms(NoTrans, Trans, x, w, y, nil)
	if err != nil || len(algorithms) < 2 {
		t.Fatal(algorithms, err)
	}
	product, magnitude := oracleProduct(float64s(values), matrix, 2, c.rows, c.cols)
	references := 0
	for _, algorithm := range algorithms {
		clear(out)
		if err := h.Gemm(NoTrans, Trans, 1, x, w, 0, y, &GemmOptions{Algorithm: &algorithm}); err != nil {
			t.Errorf("%+v: %v", algorithm, err)
			continue
		}
		closeTo(t, algorithm.Name, out, product, magnitude, 0x1p-24)
		if algorithm.Reference {
			references++
		}
	}
	if references == 0 || algorithms[0].Reference {
		t.Errorf("%+v", algorithms)
	}

	// A compute type that the CPU has, and one that it lacks.
	if err := h.Gemm(NoTrans, Trans, 1, x, w, 0, y, &GemmOptions{Compute: Compute32FFast16BF}); err != nil {
		t.Error(err)
	}
	unknown := ComputeType(77)
	if err := h.Gemm(NoTrans, Trans, 1, x, w, 0, y, &GemmOptions{Compute: unknown}); !errors.Is(err, ErrInvalidValue) {
		t.Errorf("compute type 77: %v", err)
	}
}

// relativeError is the rms of the error, relative to that of the product.
func relativeError(out []float32, product []float64) float64 {
	difference, size := 0.0, 0.0
	for i, value := range out {
		difference += (float64(value) - product[i]) * (float64(value) - product[i])
		size += product[i] * product[i]
	}
	return math.Sqrt(difference / size)
}

// Rounded activations err as much as they may; where the processor has integers they are in use.
func TestIntegerComputeTypes(t *testing.T) {
	h := newCPUHandle(t)
	c := quantCase{"e2m3", QuantConfig{Format: E2M3}, 40, 640}
	w, matrix := knownWeight(t, h, c)
	const tokens = 16
	values := numbers(tokens*c.cols, 42)
	x, out := MatrixOf(values, tokens, c.cols), make([]float32, tokens*c.rows)
	y := MatrixOf(out, tokens, c.rows)
	product, _ := oracleProduct(float64s(values), matrix, tokens, c.rows, c.cols)
	for _, p := range []struct {
		compute     ComputeType
		kernels     string
		least, most float64
	}{{Compute32FFast16I, "_i16", 2e-6, 5e-5}, {Compute32FFast8I, "_i8", 5e-4, 1e-2}} {
		algorithms, err := h.Algorithms(NoTrans, Trans, x, w, y, &GemmOptions{Compute: p.compute})
		if err != nil || len(algorithms) == 0 {
			t.Fatal(algorithms, err)
		}
		integers := strings.HasSuffix(algorithms[0].Name, p.kernels)
		for name, err := range map[string]error{
			"Gemm":   h.Gemm(NoTrans, Trans, 1, x, w, 0, y, &GemmOptions{Compute: p.compute}),
			"Linear": w.Linear(h, x, y, &Epilogue{Compute: p.compute}),
		} {
			if found := relativeError(out, product); err != nil || found > p.most || integers && found < p.least {
				t.Errorf("%s, %s: %v, error %.2g", name, algorithms[0].Name, err, found)
			}
		}
	}
}

// Whatever the hint, the codes are the same and every compute type multiplies right. It matters on AVX2, which
// a process of its own is held to.
func TestComputeHint(t *testing.T) {
	info, err := Device(CPU, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := newCPUHandle(t)
	const tokens = 5
	for _, c := range []quantCase{
		{"e3m2 row", QuantConfig{Format: E3M2}, 37, 192},
		{"e2m3 row", QuantConfig{Format: E2M3}, 37, 192},
		{"e2m3 group", QuantConfig{Format: E2M3, ScaleMode: GroupScale, GroupSize: 32}, 37, 192},
		{"e2m2 mx", QuantConfig{Format: E2M2, ScaleMode: MXScale}, 37, 192},
		{"e2m1 row", QuantConfig{Format: E2M1}, 37, 192},
	} {
		plain, matrix := knownWeight(t, h, c)
		expected, err := plain.Export(h, Plain)
		if err != nil {
			t.Fatal(err)
		}
		values := numbers(tokens*c.cols, 44)
		x, out := MatrixOf(values, tokens, c.cols), make([]float32, tokens*c.rows)
		product, _ := oracleProduct(float64s(values), matrix, tokens, c.rows, c.cols)
		for _, hint := range []ComputeType{Compute32F, Compute32FFast16F, Compute32FFast16BF, Compute32FFast8F,
			Compute32FFast8I, Compute32FFast16I} {
			c.config.ComputeHint = hint
			w, _ := knownWeight(t, h, c)
			q, err := w.Export(h, Plain)
			if err != nil || !bytes.Equal(q.Codes.Bytes(), expected.Codes.Bytes()) ||
				!bytes.Equal(q.Scales.Bytes(), expected.Scales.Bytes()) {
				t.Fatalf("%s, hint %d: %v, or other codes", c.name, hint, err)
			}
			laidOutFor, other := ComputeType(0), info.ISA == "avx2" && hint == Compute32FFast8I && c.config.Format != E3M2
			if other {
				laidOutFor = hint
			}
			for name, w := range map[string]*Weight{"floats": w, "blob": blobWeight(t, h, q)} {
				back, err := w.Export(h, Plain)
				if err != nil || w.Info().ComputeHint != laidOutFor || back.Config.ComputeHint != laidOutFor ||
					(w.Info().Layout != plain.Info().Layout) != other {
					t.Errorf("%s from %s, hint %d: %v, %+v on %s", c.name, name, hint, err, w.Info(), info.ISA)
				}
			}
			for compute, most := range map[ComputeType]float64{Compute32F: 1e-6, Compute32FFast16F: 1e-3,
				Compute32FFast16BF: 4e-3, Compute32FFast16I: 5e-5, Compute32FFast8I: 1e-2} {
				err := w.Linear(h, x, MatrixOf(out, tokens, c.rows), &Epilogue{Compute: compute})
				if found := relativeError(out, product); err != nil || found > most {
					t.Errorf("%s, hint %d, compute type %d: %v, error %.2g", c.name, hint, compute, err, found)
				}
			}
		}
	}

	if os.Getenv("FP6LLM_CPU_ISA") == "" {
		command := exec.Command(os.Args[0], "-test.run=^TestComputeHint$")
		command.Env = append(os.Environ(), "FP6LLM_CPU_ISA=avx2")
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("on AVX2: %v\n%s", err, output)
		}
	}
}

func TestGemmGrouped(t *testing.T) {
	h := newCPUHandle(t)
	const rows, cols, n, experts = 5, 24, 9, 4
	var ws [experts]*Weight
	var matrices [experts][]float64
	for i := range ws {
		c := quantCase{"expert", QuantConfig{Format: E3M2}, rows, cols}
		values := numbers(rows*cols, uint32(50+i))
		w, err := NewWeight(h, MatrixOf(values, rows, cols), &c.config)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		format, oracle := c.oracle(values)
		ws[i], matrices[i] = w, oracle.matrix(format)
	}
	ws[3], matrices[3] = ws[0], matrices[0] // One weight twice,
	ws[1] = nil                             // and none where there are no rows.
	offsets := []int64{0, 2, 2, 7, 8}       // The last row belongs to nobody.
	values, before := numbers(n*cols, 60), numbers(n*rows, 61)
	out := append([]float32(nil), before...)
	err := h.GemmGrouped(Trans, 1.5, MatrixOf(values, n, cols), OffsetsOf(offsets), ws[:], -1,
		MatrixOf(out, n, rows), nil)
	if err != nil {
		t.Fatal(err)
	}
	expected, scale := float64s(before), make([]float64, n*rows)
	for group, w := range matrices {
		start, end := int(offsets[group]), int(offsets[group+1])
		product, magnitude := oracleProduct(float64s(values[start*cols:end*cols]), w, end-start, rows, cols)
		for i, value := range product {
			at := start*rows + i
			expected[at] = 1.5*value - float64(before[at])
			scale[at] = 1.5*magnitude[i] + math.Abs(float64(before[at]))
		}
	}
	closeTo(t, "grouped", out, expected, scale, 0x1p-24)

	for name, bad := range map[string][]int64{
		"too few": {0, 1}, "descending": {0, 2, 1, 3, 4}, "too far": {0, 2, 2, 7, 10}, "not from 0": {1, 2, 2, 7, 8},
		"a row without weight": {0, 2, 3, 7, 8}, "none": nil,
	} {
		err := h.GemmGrouped(Trans, 1, MatrixOf(values, n, cols), OffsetsOf(bad), ws[:], 0,
			MatrixOf(out, n, rows), nil)
		if !errors.Is(err, ErrInvalidValue) {
			t.Errorf("%s: %v", name, err)
		}
	}
	none := []*Weight{nil, nil}
	y := MatrixOf(out, n, rows)
	if err := h.GemmGrouped(Trans, 1, MatrixOf(values, n, cols), OffsetsOf([]int64{0, 0, 0}), none, 0, y, nil); err != nil {
		t.Errorf("no weight, no row: %v", err)
	}
	if err := h.GemmGrouped(Trans, 1, MatrixOf(values, n, cols), OffsetsOf([]int64{0}), nil, 0, y, nil); err != nil {
		t.Errorf("no group: %v", err)
	}
}

func TestSizesOfZero(t *testing.T) {
	h := newCPUHandle(t)
	for _, shape := range [][3]int{{0, 4, 8}, {3, 0, 8}, {3, 4, 0}, {0, 0, 0}} {
		tokens, rows, cols := shape[0], shape[1], shape[2]
		w, err := NewWeight(h, MatrixOf(numbers(rows*cols, 1), rows, cols), nil)
		if err != nil {
			t.Errorf("%v: %v", shape, err)
			continue
		}
		y := make([]float32, tokens*rows)
		for i := range y {
			y[i] = 7
		}
		if err := w.Linear(h, MatrixOf(make([]float32, tokens*cols), tokens, cols), MatrixOf(y, tokens, rows), nil); err != nil {
			t.Errorf("%v: %v", shape, err)
		}
		for _, value := range y { // A sum of nothing.
			if value != 0 {
				t.Errorf("%v: y = %v", shape, y)
			}
		}
		q, err := w.Export(h, Plain)
		if err != nil || q.Codes.Len() != rows*cols*6/8 {
			t.Errorf("%v: %v", shape, err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}
