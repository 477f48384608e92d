// The 16-bit floats, every one of them and every place where rounding changes.
package fp6llm

import (
	"math"
	"testing"
)

// oracleHalf is the value of a binary16's bits, by its definition.
func oracleHalf(bits uint16) float64 {
	exponent, mantissa := int(bits>>10&31), float64(bits&1023)
	value := math.Ldexp(mantissa, -24)
	if exponent > 0 {
		value = math.Ldexp(1024+mantissa, exponent-25)
	}
	if exponent == 31 {
		value = math.Inf(1)
		if mantissa != 0 {
			value = math.NaN()
		}
	}
	if bits>>15 != 0 {
		value = -value
	}
	return value
}

func same(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || a == b && math.Signbit(a) == math.Signbit(b)
}

func TestFloat16(t *testing.T) {
	for bits := range 1 << 16 {
		half := Float16(bits)
		if value := float64(half.Float32()); !same(value, oracleHalf(uint16(bits))) {
			t.Fatalf("%#04x is %v, expected %v", bits, value, oracleHalf(uint16(bits)))
		}
		if back := NewFloat16(half.Float32()); back != half && !math.IsNaN(oracleHalf(uint16(bits))) {
			t.Fatalf("%#04x came back as %#04x", bits, back)
		}
		// Halfway to the next number, and one float32 to either side.
		if bits&0x7fff >= 0x7bff {
			continue
		}
		lower, upper := oracleHalf(uint16(bits)), oracleHalf(uint16(bits+1))
		middle := float32((lower + upper) / 2)
		even := half + half&1
		toUpper := float32(math.Inf(1))
		if upper < lower {
			toUpper = -toUpper
		}
		for value, expected := range map[float32]Float16{
			middle:                             even,
			math.Nextafter32(middle, toUpper):  half + 1,
			math.Nextafter32(middle, -toUpper): half,
		} {
			if found := NewFloat16(value); found != expected {
				t.Fatalf("NewFloat16(%v) = %#04x, expected %#04x", value, found, expected)
			}
		}
	}
	for value, expected := range map[float32]Float16{
		65519.996: 0x7bff, 65520: 0x7c00, -1e30: 0xfc00, 0x1p-25: 0, 0x1.000002p-25: 1, 0x1p-149: 0,
		float32(math.Inf(1)): 0x7c00,
	} {
		if found := NewFloat16(value); found != expected {
			t.Errorf("NewFloat16(%v) = %#04x, expected %#04x", value, found, expected)
		}
	}
	if nan := NewFloat16(float32(math.NaN())); nan.Float32() == nan.Float32() {
		t.Errorf("NaN became %#04x", nan)
	}
}

func TestBFloat16(t *testing.T) {
	for value, expected := range map[float32]BFloat16{
		1: 0x3f80, -2: 0xc000, 0x1.01p0: 0x3f80, 0x1.010002p0: 0x3f81, 0x1.03p0: 0x3f82,
		math.MaxFloat32: 0x7f80, float32(math.Inf(-1)): 0xff80, 0x1p-149: 0, 0x1p-133: 1,
	} {
		if found := NewBFloat16(value); found != expected {
			t.Errorf("NewBFloat16(%v) = %#04x, expected %#04x", value, found, expected)
		}
	}
	for bits := range 1 << 16 {
		value := BFloat16(bits).Float32()
		if math.Float32bits(value) != uint32(bits)<<16 || value == value && NewBFloat16(value) != BFloat16(bits) {
			t.Fatalf("%#04x is %v", bits, value)
		}
	}
	if nan := NewBFloat16(math.Float32frombits(0x7f800001)); nan.Float32() == nan.Float32() {
		t.Errorf("NaN became %#04x", nan)
	}
}
