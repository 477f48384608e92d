// What matrices are made of: float32, and the two 16-bit floats, which Go lacks, as types over uint16.

package fp6llm

import (
	"fmt"
	"math"

	"fp6llm/internal/capi"
)

// Float16 is an IEEE binary16 number by its bits.
type Float16 uint16

// BFloat16 is a bfloat16 number by its bits: the upper half of a float32.
type BFloat16 uint16

// Element is a type that matrices and vectors of Go memory are made of.
type Element interface {
	float32 | Float16 | BFloat16
}

// NewFloat16 rounds to the nearest binary16 number, ties to even; what is too large becomes infinite.
func NewFloat16(value float32) Float16 {
	bits := math.Float32bits(value)
	sign := Float16(bits >> 16 & 0x8000)
	magnitude := bits & 0x7fffffff
	switch {
	case magnitude > 0x7f800000: // NaN stays one, and quiet.
		return sign | 0x7e00 | Float16(magnitude>>13&0x3ff)
	case magnitude >= 0x47800000: // 65536 and more.
		return sign | 0x7c00
	case magnitude >= 0x38800000: // Normal: a carry out of the mantissa is right, up to infinity.
		return sign | Float16(roundShift(magnitude-(127-15)<<23, 13))
	case magnitude >= 0x33000000: // Subnormal: units of 2^-24.
		return sign | Float16(roundShift(magnitude&0x7fffff|0x800000, 126-magnitude>>23))
	default:
		return sign
	}
}

// Float32 is the number's value, exactly.
func (f Float16) Float32() float32 {
	sign := uint32(f&0x8000) << 16
	exponent, mantissa := uint32(f>>10&0x1f), uint32(f&0x3ff)
	switch exponent {
	case 0:
		value := float32(mantissa) * 0x1p-24
		return math.Float32frombits(math.Float32bits(value) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | mantissa<<13)
	default:
		return math.Float32frombits(sign | (exponent+127-15)<<23 | mantissa<<13)
	}
}

// NewBFloat16 rounds to the nearest bfloat16 number, ties to even.
func NewBFloat16(value float32) BFloat16 {
	bits := math.Float32bits(value)
	if bits&0x7fffffff > 0x7f800000 { // NaN stays one, and quiet.
		return BFloat16(bits>>16 | 0x40)
	}
	return BFloat16(roundShift(bits, 16))
}

// Float32 is the number's value, exactly.
func (b BFloat16) Float32() float32 {
	return math.Float32frombits(uint32(b) << 16)
}

// roundShift is value >> shift, rounded to nearest, ties to even. shift is in 1..31.
func roundShift(value, shift uint32) uint32 {
	half := uint32(1)<<(shift-1) - 1
	return (value + half + value>>shift&1) >> shift
}

// DataType is the type of a matrix's elements or of scales. Values equal cudaDataType's.
type DataType int32

// The element types that the library reads and writes, and the type of MX scales.
const (
	R32F     = DataType(capi.R_32F)      // IEEE binary32, Go's float32.
	R16F     = DataType(capi.R_16F)      // IEEE binary16.
	R16BF    = DataType(capi.R_16BF)     // bfloat16.
	R8FUE8M0 = DataType(capi.R_8F_UE8M0) // MX scales: 2^(byte - 127).
)

// String is the type's name, as C has it.
func (t DataType) String() string {
	switch t {
	case R32F:
		return "R_32F"
	case R16F:
		return "R_16F"
	case R16BF:
		return "R_16BF"
	case R8FUE8M0:
		return "R_8F_UE8M0"
	}
	return fmt.Sprintf("DataType(%d)", int32(t))
}

// size is the bytes of one element; 0 for a type that has none here.
func (t DataType) size() int {
	switch t {
	case R32F:
		return 4
	case R16F, R16BF:
		return 2
	case R8FUE8M0:
		return 1
	}
	return 0
}

func dataTypeOf[T Element]() DataType {
	var zero T
	switch any(zero).(type) {
	case Float16:
		return R16F
	case BFloat16:
		return R16BF
	}
	return R32F
}
