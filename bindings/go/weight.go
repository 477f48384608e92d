// Weight objects: matrices quantized and prepacked for one kind of processor.

package fp6llm

// #include <stdlib.h>
import "C"

import (
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"fp6llm/internal/capi"
)

// Weight is a quantized matrix [outputs, inputs], packed for the backend of the handle that made it. It
// never changes; any number of goroutines and of handles of the same device may use it at once. Close it;
// one that is forgotten is freed some time after it became garbage.
type Weight struct {
	parts   weightParts
	info    WeightInfo
	cleanup runtime.Cleanup

	state   atomic.Int64  // Calls in progress, and closedBit.
	drained chan struct{} // Closed by the last call in progress when the weight is closed.
	close   sync.Once
}

// weightParts is what a weight owns in C.
type weightParts struct {
	c    capi.Weight
	blob unsafe.Pointer // C memory under a view, or nil.
}

const closedBit = int64(1) << 62

func (p weightParts) free() error {
	err := capi.WeightDestroy(p.c)
	C.free(p.blob)
	return err
}

// WeightInfo describes a weight.
type WeightInfo struct {
	Rows, Cols int // Output and input channels.
	Format     Format
	ScaleMode  ScaleMode
	GroupSize  int      // Columns per scale; 0 for RowScale.
	ScaleType  DataType // Of the scales that Export gives back.
	Backend    Backend  // CPU or CUDA.
	Device     int      // Ordinal.
	IsView     bool     // Whether it is made over a blob.
	Bytes      int      // Held on the device.
	Layout     string   // Name and version of the internal layout.

	ComputeHint ComputeType // What its memory is laid out for; zero: for all, whatever hint it was made with.
}

// NewWeight quantizes w, [outputs, inputs], and packs it. The config may be nil.
func NewWeight(h *Handle, w Matrix, config *QuantConfig) (*Weight, error) {
	const op = "NewWeight"
	if err := h.begin(op); err != nil {
		return nil, err
	}
	defer h.end()
	if err := w.check(op, "w", h.backend); err != nil {
		return nil, err
	}
	c := config.c()
	var made capi.Weight
	err := capi.WeightCreate(h.c, &c, int64(w.rows), int64(w.cols), w.memory.pointer(),
		capi.DataType(w.dataType), int64(w.stride), &made)
	return newWeight(op, weightParts{c: made}, err)
}

// NewWeightFromCodes packs codes and scales, plain or in a published layout. They are copied.
func NewWeightFromCodes(h *Handle, q *Quantized) (*Weight, error) {
	const op = "NewWeightFromCodes"
	if q == nil {
		return nil, invalid(op, "q is nil")
	}
	if err := h.begin(op); err != nil {
		return nil, err
	}
	defer h.end()
	config := q.Config.c()
	if err := q.check(op, &config, h.backend); err != nil {
		return nil, err
	}
	var made capi.Weight
	var err error
	if q.Layout == Plain {
		err = capi.WeightCreateFromCodes(h.c, &config, int64(q.Rows), int64(q.Cols), q.Codes.pointer(),
			q.Scales.pointer(), &made)
	} else {
		err = capi.WeightCreateFromPacked(h.c, capi.PackedLayout(q.Layout), &config, int64(q.Rows),
			int64(q.Cols), q.Codes.pointer(), q.Scales.pointer(), &made)
	}
	return newWeight(op, weightParts{c: made}, err)
}

// NewWeightFromBlob makes a weight of what PackBlob wrote. Device memory is used where it lies: it must
// outlive the weight and not change. A slice is copied to memory that the weight owns, since C must not
// keep Go's.
func NewWeightFromBlob(h *Handle, blob Memory) (*Weight, error) {
	const op = "NewWeightFromBlob"
	if err := h.begin(op); err != nil {
		return nil, err
	}
	defer h.end()
	if err := blob.check(op, "blob", h.backend, 0); err != nil {
		return nil, err
	}
	if blob.bytes < 0 {
		return nil, invalid(op, "blob has %d bytes", blob.bytes)
	}
	var made capi.Weight
	var owned unsafe.Pointer
	address := blob.pointer()
	if blob.host != nil && h.backend == CPU {
		aligned := (blob.bytes + capi.BLOB_ALIGNMENT - 1) / capi.BLOB_ALIGNMENT * capi.BLOB_ALIGNMENT
		owned = C.aligned_alloc(capi.BLOB_ALIGNMENT, C.size_t(aligned))
		if owned == nil {
			return nil, &Error{Op: op, Status: ErrAllocFailed, Detail: "no memory for the blob's copy"}
		}
		copy(unsafe.Slice((*byte)(owned), blob.bytes), blob.Bytes())
		address = owned
	}
	err := capi.WeightCreateView(h.c, address, uint(blob.bytes), &made)
	if err != nil {
		C.free(owned)
	}
	return newWeight(op, weightParts{made, owned}, err)
}

func newWeight(op string, made weightParts, err error) (*Weight, error) {
	if err != nil {
		return nil, failure(op, err)
	}
	info := capi.NewWeightInfo()
	if err := capi.WeightGetInfo(made.c, &info); err != nil {
		made.free()
		return nil, failure(op, err)
	}
	w := &Weight{
		parts:   made,
		drained: make(chan struct{}),
		info: WeightInfo{
			Rows: int(info.Rows), Cols: int(info.Cols),
			Format:    Format(info.Format),
			ScaleMode: ScaleMode(info.ScaleMode),
			GroupSize: int(info.GroupSize),
			ScaleType: DataType(info.ScaleType),
			Backend:   Backend(info.Backend),
			Device:    int(info.Device),
			IsView:    info.IsView != 0,
			Bytes:     int(info.Bytes),
			Layout:    cString(info.Layout[:]),

			ComputeHint: ComputeType(info.ComputeHint),
		},
	}
	w.cleanup = runtime.AddCleanup(w, func(parts weightParts) { parts.free() }, made)
	return w, nil
}

// Close frees the weight, after the calls in progress that use it. On a CUDA device, work may be enqueued
// that reads it: synchronize the streams first. Closing a closed or nil weight does nothing.
func (w *Weight) Close() error {
	if w == nil {
		return nil
	}
	var err error
	w.close.Do(func() {
		if w.state.Or(closedBit) != 0 {
			<-w.drained
		}
		w.cleanup.Stop()
		err = failure("Close", w.parts.free())
	})
	return err
}

// acquire keeps the weight from being freed until release. It never waits, so a call may acquire many.
func (w *Weight) acquire(op string) error {
	if w == nil {
		return closed(op, "weight")
	}
	for {
		state := w.state.Load()
		if state&closedBit != 0 {
			return closed(op, "weight")
		}
		if w.state.CompareAndSwap(state, state+1) {
			return nil
		}
	}
}

func (w *Weight) release() {
	if w.state.Add(-1) == closedBit {
		close(w.drained)
	}
	runtime.KeepAlive(w) // Not to be cleaned up while C works.
}

// Info describes the weight, also after Close. A nil weight's is empty.
func (w *Weight) Info() WeightInfo {
	if w == nil {
		return WeightInfo{}
	}
	return w.info
}

// config is how the weight's codes and scales read.
func (w *Weight) config() *QuantConfig {
	return &QuantConfig{Format: w.info.Format, ScaleMode: w.info.ScaleMode, GroupSize: w.info.GroupSize,
		ScaleType: w.info.ScaleType, ComputeHint: w.info.ComputeHint}
}

// Export gives the codes and scales that a CPU weight was made from, bit for bit, in memory of Go's.
func (w *Weight) Export(h *Handle, layout Layout) (*Quantized, error) {
	const op = "Export"
	if w == nil {
		return nil, closed(op, "weight")
	}
	q, err := NewQuantized(w.config(), layout, w.info.Rows, w.info.Cols)
	if err != nil {
		return nil, named(op, err)
	}
	if err := w.export(op, h, q); err != nil {
		return nil, err
	}
	return q, nil
}

// ExportTo writes the codes and scales to the memory of q, in q.Layout, and sets its Config. Rows and Cols
// must be the weight's.
func (w *Weight) ExportTo(h *Handle, q *Quantized) error {
	return w.export("ExportTo", h, q)
}

func (w *Weight) export(op string, h *Handle, q *Quantized) error {
	if q == nil {
		return invalid(op, "q is nil")
	}
	if err := w.acquire(op); err != nil {
		return err
	}
	defer w.release()
	if err := h.begin(op); err != nil {
		return err
	}
	defer h.end()
	if q.Rows != w.info.Rows || q.Cols != w.info.Cols {
		return invalid(op, "q is [%d, %d], the weight [%d, %d]", q.Rows, q.Cols, w.info.Rows, w.info.Cols)
	}
	config := w.config().c()
	if err := q.check(op, &config, h.backend); err != nil {
		return err
	}
	var err error
	if q.Layout == Plain {
		err = capi.WeightExportCodes(h.c, w.parts.c, q.Codes.pointer(), q.Scales.pointer())
	} else {
		err = capi.WeightExportPacked(h.c, w.parts.c, capi.PackedLayout(q.Layout), q.Codes.pointer(),
			q.Scales.pointer())
	}
	if err == nil {
		q.Config = *w.config()
	}
	return failure(op, err)
}

// BlobSize is the bytes that PackBlob writes for a [rows, cols] matrix.
func (h *Handle) BlobSize(config *QuantConfig, rows, cols int) (int, error) {
	const op = "BlobSize"
	if err := h.begin(op); err != nil {
		return 0, err
	}
	defer h.end()
	c := config.c()
	var size uint
	err := capi.WeightGetBlobSize(h.c, &c, int64(rows), int64(cols), &size)
	return int(size), failure(op, err)
}

// PackBlob writes the packed form of plain codes and scales to a blob of BlobSize bytes, aligned to 64 bytes
// as NewBlob's are. A blob is of one library version and kind of processor: something to keep in memory or
// in a cache, not to store.
func (h *Handle) PackBlob(blob Memory, q *Quantized) error {
	const op = "PackBlob"
	if err := q.isPlain(op); err != nil {
		return err
	}
	if err := h.begin(op); err != nil {
		return err
	}
	defer h.end()
	config := q.Config.c()
	if err := q.check(op, &config, h.backend); err != nil {
		return err
	}
	if err := blob.check(op, "blob", h.backend, 0); err != nil {
		return err
	}
	return failure(op, capi.WeightPackBlob(h.c, &config, int64(q.Rows), int64(q.Cols), q.Codes.pointer(),
		q.Scales.pointer(), blob.pointer(), uint(max(blob.bytes, 0))))
}

// NewBlob is a slice of so many bytes, aligned as PackBlob wants it.
func NewBlob(size int) ([]byte, error) {
	const op = "NewBlob"
	if size < 0 || size > size+capi.BLOB_ALIGNMENT {
		return nil, invalid(op, "size = %d is out of range", size)
	}
	data, err := makeBytes(op, size+capi.BLOB_ALIGNMENT)
	if err != nil {
		return nil, err
	}
	skip := -uintptr(unsafe.Pointer(&data[0])) % capi.BLOB_ALIGNMENT
	return data[skip : skip+uintptr(size) : skip+uintptr(size)], nil
}
