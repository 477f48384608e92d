// A handle: which device works, with which stream and how many threads.

package fp6llm

import (
	"runtime"
	"sync"

	"fp6llm/internal/capi"
)

// Handle is one line of work on one device. Goroutines may share one, and take turns then; give each its
// own to let them work at once. Close it; one that is forgotten is freed some time after it became garbage.
type Handle struct {
	mutex   sync.Mutex // Guards what follows, and C's rule of one thread at a time.
	c       capi.Handle
	cleanup runtime.Cleanup
	factors *[2]float32 // alpha and beta of a call. No field: what C gets to see must not point to Go memory.

	backend Backend // Never AutoBackend; never changes.
}

// Option is a setting of NewHandle.
type Option func(*settings)

type settings struct {
	backend         Backend
	device, threads int
}

// WithBackend chooses the backend, instead of CUDA where it is usable and else the CPU. CUDA asked for and
// missing is ErrNotSupported, never the CPU.
func WithBackend(backend Backend) Option {
	return func(s *settings) { s.backend = backend }
}

// WithDevice chooses among several GPUs, instead of the first.
func WithDevice(ordinal int) Option {
	return func(s *settings) { s.device = ordinal }
}

// WithThreads sets how many CPU threads work, 1 to 256, the caller's among them; 0 and the default are
// OMP_NUM_THREADS if set, else the CPUs that the process may use.
func WithThreads(threads int) Option {
	return func(s *settings) { s.threads = threads }
}

// NewHandle makes a handle.
func NewHandle(options ...Option) (*Handle, error) {
	const op = "NewHandle"
	var wanted settings
	for _, option := range options {
		if option != nil {
			option(&wanted)
		}
	}
	if wanted.device != int(int32(wanted.device)) || wanted.threads != int(int32(wanted.threads)) {
		return nil, invalid(op, "device = %d, threads = %d: out of range", wanted.device, wanted.threads)
	}
	config := capi.NewHandleConfig()
	config.Backend = int32(wanted.backend)
	config.Device = int32(wanted.device)
	config.NumThreads = int32(wanted.threads)
	var c capi.Handle
	if err := capi.CreateWithConfig(&c, &config); err != nil {
		return nil, failure(op, err)
	}
	var backend capi.Backend
	if err := capi.GetBackend(c, &backend); err != nil {
		capi.Destroy(c)
		return nil, failure(op, err)
	}
	h := &Handle{c: c, backend: Backend(backend), factors: new([2]float32)}
	h.cleanup = runtime.AddCleanup(h, func(c capi.Handle) { capi.Destroy(c) }, c)
	return h, nil
}

// Close frees the handle, after the call in progress if there is one. Weights live on. Closing a closed or
// nil handle does nothing.
func (h *Handle) Close() error {
	if h == nil {
		return nil
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.c == nil {
		return nil
	}
	c := h.c
	h.c = nil
	h.cleanup.Stop()
	return failure("Close", capi.Destroy(c))
}

// begin takes the handle for a call, until end.
func (h *Handle) begin(op string) error {
	if h == nil {
		return closed(op, "handle")
	}
	h.mutex.Lock()
	if h.c == nil {
		h.mutex.Unlock()
		return closed(op, "handle")
	}
	return nil
}

func (h *Handle) end() {
	h.mutex.Unlock()
	runtime.KeepAlive(h) // Not to be cleaned up while C works.
}

// Backend is CPU or CUDA, also after Close.
func (h *Handle) Backend() Backend {
	if h == nil {
		return AutoBackend
	}
	return h.backend
}

// SetThreads sets how many CPU threads work, as WithThreads does. Results do not depend on it.
func (h *Handle) SetThreads(threads int) error {
	const op = "SetThreads"
	if threads != int(int32(threads)) {
		return invalid(op, "threads = %d is out of range", threads)
	}
	if err := h.begin(op); err != nil {
		return err
	}
	defer h.end()
	return failure(op, capi.SetNumThreads(h.c, int32(threads)))
}

// Threads is how many CPU threads work.
func (h *Handle) Threads() (int, error) {
	const op = "Threads"
	if err := h.begin(op); err != nil {
		return 0, err
	}
	defer h.end()
	var threads int32
	err := capi.GetNumThreads(h.c, &threads)
	return int(threads), failure(op, err)
}

// Stream is a CUDA stream: a CUstream or cudaStream_t. Zero is the default stream.
type Stream uintptr

// SetStream makes later calls enqueue on a stream. The CPU backend only stores it.
func (h *Handle) SetStream(stream Stream) error {
	const op = "SetStream"
	if err := h.begin(op); err != nil {
		return err
	}
	defer h.end()
	return failure(op, capi.SetStream(h.c, capi.Stream(DevicePtr(stream).pointer())))
}

// Stream is the stream last set.
func (h *Handle) Stream() (Stream, error) {
	const op = "Stream"
	if err := h.begin(op); err != nil {
		return 0, err
	}
	defer h.end()
	var stream capi.Stream
	err := capi.GetStream(h.c, &stream)
	return Stream(uintptr(stream)), failure(op, err)
}

// SetWorkspace lends a CUDA handle device memory, aligned to 64 bytes, for its multiplications, which then
// allocate none. It stays the caller's, and the handle's to use until replaced; zero takes it back. A CPU
// handle, and a CUDA handle without, keeps scratch of its own.
func (h *Handle) SetWorkspace(workspace Memory) error {
	const op = "SetWorkspace"
	if err := h.begin(op); err != nil {
		return err
	}
	defer h.end()
	if workspace.host != nil {
		return invalid(op, "workspace is Go memory, which C must not keep")
	}
	if err := workspace.check(op, "workspace", h.backend, 0); err != nil {
		return err
	}
	return failure(op, capi.SetWorkspace(h.c, workspace.pointer(), uint(workspace.bytes)))
}
