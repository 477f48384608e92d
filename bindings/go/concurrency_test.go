// Goroutines that share handles and weights, fail at once and close what others use; also run by the race
// detector.
package fp6llm

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// inParallel runs work in so many goroutines.
func inParallel(goroutines int, work func(goroutine int)) {
	var all sync.WaitGroup
	for g := range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			work(g)
		}()
	}
	all.Wait()
}

// Every error has the text of its own call, whichever thread its goroutine is on by then.
func TestErrorsStayApartAcrossThreads(t *testing.T) {
	shared := newCPUHandle(t, WithThreads(1))
	w := newTestWeight(t, shared, 4, 8)
	const goroutines, calls = 24, 200
	var moves atomic.Int64
	inParallel(goroutines, func(g int) {
		own, err := NewHandle(WithBackend(CPU), WithThreads(1))
		if err != nil {
			t.Error(err)
			return
		}
		defer own.Close()
		thread := syscall.Gettid()
		for i := range calls {
			h := own
			if i%2 == 0 {
				h = shared
			}
			// A success, on whatever thread, must not change the text of the failure.
			if err := w.Linear(h, MatrixOf(make([]float32, 8), 1, 8), MatrixOf(make([]float32, 4), 1, 4), nil); err != nil {
				t.Error(err)
				return
			}
			rows := -1 - g*calls - i
			_, err := NewWeight(h, MatrixOf(make([]float32, 4), rows, 8), nil)
			runtime.Gosched()
			if now := syscall.Gettid(); now != thread {
				thread = now
				moves.Add(1)
			}
			expected := fmt.Sprintf("fp6llm: NewWeight: rows = %d is negative", rows)
			if err == nil || err.Error() != expected || !errors.Is(err, ErrInvalidValue) {
				t.Errorf("got %v, expected %q", err, expected)
				return
			}
		}
	})
	if moves.Load() == 0 && runtime.GOMAXPROCS(0) > 1 {
		t.Error("no goroutine changed its thread, so nothing was tested")
	}
	t.Logf("%d times a goroutine went on on another thread", moves.Load())
}

func TestAWeightIsShared(t *testing.T) {
	first := newCPUHandle(t, WithThreads(1))
	const rows, cols = 8, 32
	w := newTestWeight(t, first, rows, cols)
	x := numbers(cols, 2)
	expected := make([]float32, rows)
	if err := w.Linear(first, MatrixOf(x, 1, cols), MatrixOf(expected, 1, rows), nil); err != nil {
		t.Fatal(err)
	}
	inParallel(8, func(g int) {
		h := first // Half of them take turns with one handle.
		if g%2 == 0 {
			var err error
			if h, err = NewHandle(WithBackend(CPU), WithThreads(1)); err != nil {
				t.Error(err)
				return
			}
			defer h.Close()
		}
		y := make([]float32, rows)
		for range 200 {
			clear(y)
			err := w.Linear(h, MatrixOf(x, 1, cols), MatrixOf(y, 1, rows), &Epilogue{Bias: VectorOf(make([]float32, rows))})
			if err != nil {
				t.Error(err)
				return
			}
			for i := range y {
				if y[i] != expected[i] {
					t.Errorf("y = %v, expected %v", y, expected)
					return
				}
			}
		}
	})
}

// A call either works or says ErrClosed, when others close its handle and its weights.
func TestClosingUnderCalls(t *testing.T) {
	const rows, cols = 16, 64
	for range 30 {
		h, err := NewHandle(WithBackend(CPU), WithThreads(1))
		if err != nil {
			t.Fatal(err)
		}
		var ws []*Weight
		for range 3 {
			w, err := NewWeight(h, MatrixOf(numbers(rows*cols, 1), rows, cols), nil)
			if err != nil {
				t.Fatal(err)
			}
			ws = append(ws, w)
		}
		ws = append(ws, ws[0])
		inParallel(8, func(g int) {
			own, err := NewHandle(WithBackend(CPU), WithThreads(1))
			if err != nil {
				t.Error(err)
				return
			}
			defer own.Close()
			x, y := MatrixOf(make([]float32, 4*cols), 4, cols), MatrixOf(make([]float32, 4*rows), 4, rows)
			for i := range 20 {
				var err error
				switch {
				case g < 2 && i == 10:
					err = ws[g].Close()
				case g == 2 && i == 15:
					err = h.Close()
				case g%3 == 0:
					err = ws[i%3].Linear(h, x, y, nil)
				case g%3 == 1:
					err = own.GemmGrouped(Trans, 1, x, OffsetsOf([]int64{0, 1, 2, 3, 4}), ws, 0, y, nil)
				default:
					_, err = ws[i%3].Export(own, Plain)
				}
				if err != nil && !errors.Is(err, ErrClosed) {
					t.Errorf("%v", err)
				}
			}
		})
		for _, w := range ws {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := ws[0].Linear(h, Matrix{}, Matrix{}, nil); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
}

func TestClosingAtOnce(t *testing.T) {
	for range 50 {
		h := newCPUHandle(t)
		w := newTestWeight(t, h, 4, 8)
		inParallel(8, func(g int) {
			if g%2 == 0 {
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			} else if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
