// Quantizes a weight to 6 bits, makes a weight object of it, and multiplies: Y = X Wᵀ.
//
//	PKG_CONFIG_PATH=PREFIX/lib/pkgconfig LD_LIBRARY_PATH=PREFIX/lib go run .
//
// examples/README.md defines the problem; every language prints the same line.
package main

import (
	"fmt"
	"hash/fnv"
	"log"
	"math"

	"fp6llm"
)

const outputs, inputs, tokens = 96, 160, 5

// fill is uniform in [-1, 1), the same on every machine: xorshift32.
func fill(values []float32, state *uint32) {
	for i := range values {
		*state ^= *state << 13
		*state ^= *state >> 17
		*state ^= *state << 5
		values[i] = float32(*state>>8)/8388608 - 1
	}
}

func run() error {
	w, x := make([]float32, outputs*inputs), make([]float32, tokens*inputs)
	state := uint32(2463534242)
	fill(w, &state)
	fill(x, &state)

	handle, err := fp6llm.NewHandle(fp6llm.WithBackend(fp6llm.CPU))
	if err != nil {
		return err
	}
	defer handle.Close()

	// Plain codes and scales: what is stored. E3M2, one float32 scale per row.
	quantized, err := handle.Quantize(fp6llm.MatrixOf(w, outputs, inputs), nil)
	if err != nil {
		return err
	}

	// Prepacked for this processor: what multiplies. NewWeight does both at once.
	weight, err := fp6llm.NewWeightFromCodes(handle, quantized)
	if err != nil {
		return err
	}
	defer weight.Close()
	y := make([]float32, tokens*outputs)
	err = weight.Linear(handle, fp6llm.MatrixOf(x, tokens, inputs), fp6llm.MatrixOf(y, tokens, outputs), nil)
	if err != nil {
		return err // "fp6llm: Linear: y has 479 elements, too few for 5 rows of 96, 96 apart"
	}

	checksum := fnv.New32a()
	checksum.Write(quantized.Codes.Bytes())
	checksum.Write(quantized.Scales.Bytes())
	var sum float64
	for _, value := range y {
		sum += math.Abs(float64(value))
	}
	fmt.Printf("checksum %08x, y[0] = %.4f, mean |y| = %.4f\n", checksum.Sum32(), y[0], sum/(tokens*outputs))
	return nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
