package fp6llm_test

import (
	"errors"
	"fmt"
	"log"

	"fp6llm"
)

// A linear layer with a weight of 2 outputs and 4 inputs, for one token.
func Example() {
	h, err := fp6llm.NewHandle(fp6llm.WithBackend(fp6llm.CPU))
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()

	w, err := fp6llm.NewWeight(h, fp6llm.MatrixOf([]float32{
		28, -4, 0.5, 1,
		-7, 14, 1, 3.5,
	}, 2, 4), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()

	x, y := []float32{1, 2, 4, 0}, make([]float32, 2)
	if err := w.Linear(h, fp6llm.MatrixOf(x, 1, 4), fp6llm.MatrixOf(y, 1, 2), nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(y)
	// Output: [22 25]
}

// What is stored is codes and scales.
func ExampleHandle_Quantize() {
	h, err := fp6llm.NewHandle(fp6llm.WithBackend(fp6llm.CPU))
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()

	weights := []float32{28, -4, 0.5, 1.1}
	q, err := h.Quantize(fp6llm.MatrixOf(weights, 1, 4), &fp6llm.QuantConfig{Format: fp6llm.E3M2})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("codes % x, scales % x\n", q.Codes.Bytes(), q.Scales.Bytes())

	if err := h.Dequantize(fp6llm.MatrixOf(weights, 1, 4), q); err != nil {
		log.Fatal(err)
	}
	fmt.Println(weights)
	// Output:
	// codes 1f 8d 30, scales 00 00 80 3f
	// [28 -4 0.5 1]
}

// Codes and scales read from a file become a weight.
func ExampleNewWeightFromCodes() {
	h, err := fp6llm.NewHandle(fp6llm.WithBackend(fp6llm.CPU))
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()

	w, err := fp6llm.NewWeightFromCodes(h, &fp6llm.Quantized{
		Config: fp6llm.QuantConfig{Format: fp6llm.E3M2},
		Rows:   1,
		Cols:   4,
		Codes:  fp6llm.Bytes([]byte{0x1f, 0x8d, 0x30}),
		Scales: fp6llm.BytesOf([]float32{0.5}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	info := w.Info()
	fmt.Printf("%v [%d, %d] on the %v\n", info.Format, info.Rows, info.Cols, info.Backend)
	// Output: E3M2 [1, 4] on the CPU
}

// Bias, activation and residual are added by the call that multiplies.
func ExampleWeight_Linear() {
	h, err := fp6llm.NewHandle(fp6llm.WithBackend(fp6llm.CPU))
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	w, err := fp6llm.NewWeight(h, fp6llm.MatrixOf([]float32{28, 2, 14, -28}, 2, 2), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()

	x := fp6llm.MatrixOf([]float32{1, 0, 0, 1}, 2, 2) // Two tokens.
	y := []float32{100, 200, 300, 400}                // The residual stream.
	residual := fp6llm.MatrixOf(y, 2, 2)
	err = w.Linear(h, x, residual, &fp6llm.Epilogue{
		Bias:       fp6llm.VectorOf([]float32{1, -1}),
		Activation: fp6llm.ReLU,
		Residual:   residual,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(y)
	// Output: [129 213 303 400]
}

// The general product: y = alpha x Wᵀ + beta y.
func ExampleHandle_Gemm() {
	h, err := fp6llm.NewHandle(fp6llm.WithBackend(fp6llm.CPU))
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	w, err := fp6llm.NewWeight(h, fp6llm.MatrixOf([]float32{28, 2, 14, -28}, 2, 2), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()

	x, y := []float32{1, 2}, []float32{1, 1}
	err = h.Gemm(fp6llm.NoTrans, fp6llm.Trans, 0.5, fp6llm.MatrixOf(x, 1, 2), w, 10, fp6llm.MatrixOf(y, 1, 2), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(y)
	// Output: [26 -11]
}

// The kind of an error is for programs, its text for people.
func ExampleError() {
	h, err := fp6llm.NewHandle(fp6llm.WithBackend(fp6llm.CPU))
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	values := make([]float32, 8)
	_, err = fp6llm.NewWeight(h, fp6llm.MatrixOf(values, 2, 4).WithStride(3), nil)
	fmt.Println(err)
	fmt.Println(errors.Is(err, fp6llm.ErrInvalidValue), errors.Is(err, fp6llm.ErrNotSupported))

	h.Close()
	_, err = fp6llm.NewWeight(h, fp6llm.MatrixOf(values, 2, 4), nil)
	fmt.Println(err)
	fmt.Println(errors.Is(err, fp6llm.ErrClosed))
	// Output:
	// fp6llm: NewWeight: ldw = 3 < cols = 4
	// true false
	// fp6llm: NewWeight: the handle is closed or nil
	// true
}

// Messages of the library go to a function, for instance to package log/slog's default logger.
func ExampleSetLogger() {
	err := fp6llm.SetLogger(func(level fp6llm.LogLevel, message string) {
		fmt.Println(level, message)
	})
	if err != nil {
		log.Fatal(err)
	}
	defer fp6llm.SetLogger(nil)
	_, err = fp6llm.NewHandle(fp6llm.WithBackend(fp6llm.CPU), fp6llm.WithThreads(1000))
	fmt.Println(errors.Is(err, fp6llm.ErrInvalidValue))
	// Output:
	// ERROR config->numThreads = 1000 is not in 0..256
	// true
}
