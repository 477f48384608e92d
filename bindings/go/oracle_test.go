// Plain Go's answer to what the library computes: the formats from their definition, quantization by search
// among all values, products in float64.
package fp6llm

import (
	"encoding/binary"
	"math"
	"testing"
)

// oracleFormat is sign, exponent and mantissa bits; no infinities or NaN.
type oracleFormat struct {
	format                   Format
	exponent, mantissa, bias int
}

var oracleFormats = []oracleFormat{
	{E3M2, 3, 2, 3}, {E2M3, 2, 3, 1}, {E2M2, 2, 2, 1}, {E3M1, 3, 1, 3}, {E2M1, 2, 1, 1},
}

func (f oracleFormat) bits() int { return 1 + f.exponent + f.mantissa }

func (f oracleFormat) value(code int) float64 {
	mantissa := code & (1<<f.mantissa - 1)
	exponent := code >> f.mantissa & (1<<f.exponent - 1)
	value := math.Ldexp(float64(mantissa), 1-f.bias-f.mantissa)
	if exponent > 0 {
		value = math.Ldexp(float64(mantissa+1<<f.mantissa), exponent-f.bias-f.mantissa)
	}
	if code>>(f.exponent+f.mantissa) != 0 {
		value = -value
	}
	return value
}

func (f oracleFormat) largest() float64 { return f.value(1<<(f.bits()-1) - 1) }

// code is the nearest magnitude's, the even code's in a tie, with the sign of the value (of -0 too).
func (f oracleFormat) code(value float64) int {
	best, sign := 0, 0
	if math.Signbit(value) {
		value, sign = -value, 1<<(f.bits()-1)
	}
	for code := range 1 << (f.bits() - 1) {
		distance, least := math.Abs(f.value(code)-value), math.Abs(f.value(best)-value)
		if distance < least || distance == least && code%2 == 0 {
			best = code
		}
	}
	return best | sign
}

// oracleQuantized is codes and scales one by one: group columns share a scale.
type oracleQuantized struct {
	rows, cols, group int
	codes             []int
	scales            []float64
}

func (q oracleQuantized) scale(row, col int) float64 {
	groups := (q.cols + q.group - 1) / q.group
	return q.scales[row*groups+col/q.group]
}

// oracleQuantize quantizes with scales amax / largest, in float32, or for mx by floor(log2 amax) - emax.
func oracleQuantize(f oracleFormat, w []float32, rows, cols, group int, mx bool) oracleQuantized {
	q := oracleQuantized{rows: rows, cols: cols, group: group, codes: make([]int, rows*cols)}
	for row := range rows {
		for start := 0; start < cols; start += group {
			var amax float32
			for _, value := range w[row*cols+start : row*cols+min(start+group, cols)] {
				amax = max(amax, float32(math.Abs(float64(value))))
			}
			scale := float64(amax / float32(f.largest()))
			if mx {
				_, exponent := math.Frexp(float64(amax))
				_, largest := math.Frexp(f.largest())
				scale = math.Ldexp(1, exponent-largest)
			}
			if amax == 0 {
				scale = 1
			}
			q.scales = append(q.scales, scale)
			for col := start; col < min(start+group, cols); col++ {
				q.codes[row*cols+col] = f.code(float64(w[row*cols+col] / float32(scale)))
			}
		}
	}
	return q
}

// packed is the plain format's bytes.
func (q oracleQuantized) packed(f oracleFormat) []byte {
	bits := f.bits()
	stride := (q.cols*bits + 7) / 8
	bytes := make([]byte, q.rows*stride)
	for row := range q.rows {
		for col := range q.cols {
			for bit := range bits {
				at := col*bits + bit
				bytes[row*stride+at/8] |= byte(q.codes[row*q.cols+col]>>bit&1) << (at % 8)
			}
		}
	}
	return bytes
}

// packedScales is float32 scales, or E8M0 bytes.
func (q oracleQuantized) packedScales(mx bool) []byte {
	var bytes []byte
	for _, scale := range q.scales {
		if mx {
			_, exponent := math.Frexp(scale)
			bytes = append(bytes, byte(exponent-1+127))
		} else {
			bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(float32(scale)))
		}
	}
	return bytes
}

// matrix is what the codes and scales stand for.
func (q oracleQuantized) matrix(f oracleFormat) []float64 {
	values := make([]float64, len(q.codes))
	for i, code := range q.codes {
		values[i] = f.value(code) * q.scale(i/q.cols, i%q.cols)
	}
	return values
}

// oracleProduct is x [tokens, k] times the transpose of w [outputs, k], and the sums of magnitudes that
// rounding errors are proportional to.
func oracleProduct(x, w []float64, tokens, outputs, k int) (y, magnitude []float64) {
	y, magnitude = make([]float64, tokens*outputs), make([]float64, tokens*outputs)
	for token := range tokens {
		for output := range outputs {
			for i := range k {
				product := x[token*k+i] * w[output*k+i]
				y[token*outputs+output] += product
				magnitude[token*outputs+output] += math.Abs(product)
			}
		}
	}
	return y, magnitude
}

func transposed(matrix []float64, rows, cols int) []float64 {
	result := make([]float64, len(matrix))
	for row := range rows {
		for col := range cols {
			result[col*rows+row] = matrix[row*cols+col]
		}
	}
	return result
}

func oracleActivation(activation Activation, v float64) float64 {
	switch activation {
	case ReLU:
		return max(v, 0)
	case GELU:
		return v * 0.5 * (1 + math.Erf(v/math.Sqrt2))
	case GELUTanh:
		return 0.5 * v * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
	case SiLU:
		return v / (1 + math.Exp(-v))
	}
	return v
}

// closeTo fails unless each y is its expected value but for rounding: relative to magnitude, plus the last
// rounding to y's own type, of so much relative to y.
func closeTo(t *testing.T, what string, y []float32, expected, magnitude []float64, rounding float64) {
	t.Helper()
	for i, value := range y {
		// fp32 sums in some order of fewer than 1024 terms, and a few operations of the epilogue.
		allowed := 1024*0x1p-24*magnitude[i] + rounding*math.Abs(expected[i]) + 1e-6
		if difference := math.Abs(float64(value) - expected[i]); !(difference <= allowed) {
			t.Errorf("%s: y[%d] = %v, expected %v within %.2g", what, i, value, expected[i], allowed)
			return
		}
	}
}

func float64s(values []float32) []float64 {
	result := make([]float64, len(values))
	for i, value := range values {
		result[i] = float64(value)
	}
	return result
}

// converted is values rounded to T, and those as float32.
func converted[T Element](values []float32) (elements []T, rounded []float32) {
	elements, rounded = make([]T, len(values)), make([]float32, len(values))
	for i, value := range values {
		switch p := any(&elements[i]).(type) {
		case *float32:
			*p, rounded[i] = value, value
		case *Float16:
			*p = NewFloat16(value)
			rounded[i] = p.Float32()
		case *BFloat16:
			*p = NewBFloat16(value)
			rounded[i] = p.Float32()
		}
	}
	return elements, rounded
}

func asFloat32[T Element](elements []T) []float32 {
	values := make([]float32, len(elements))
	for i := range elements {
		switch p := any(&elements[i]).(type) {
		case *float32:
			values[i] = *p
		case *Float16:
			values[i] = p.Float32()
		case *BFloat16:
			values[i] = p.Float32()
		}
	}
	return values
}
