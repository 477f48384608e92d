// Arguments that are memory: Go's, by a slice whose length every call checks, or a GPU's, by an address.

package fp6llm

import (
	"math"
	"unsafe"
)

// DevicePtr is the address of memory that a CUDA handle can reach: device, managed or pinned host memory,
// a CUdeviceptr or what cudaMalloc gave. Never the address of Go memory. Whoever allocated it frees it, not
// before the work that uses it is done on the handle's stream.
type DevicePtr uintptr

// pointer is the address as cgo takes it. It is outside of Go's heap, so the collector ignores it.
func (p DevicePtr) pointer() unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&p))
}

// Memory is a number of bytes of a slice or of a GPU, for codes, scales and blobs. Zero is no memory.
type Memory struct {
	host   unsafe.Pointer
	device DevicePtr
	bytes  int
}

// Bytes is the memory of a slice.
func Bytes(data []byte) Memory {
	return Memory{host: unsafe.Pointer(unsafe.SliceData(data)), bytes: len(data)}
}

// BytesOf is the memory of a slice of numbers, such as scales.
func BytesOf[T Element](data []T) Memory {
	var zero T
	return Memory{host: unsafe.Pointer(unsafe.SliceData(data)), bytes: len(data) * int(unsafe.Sizeof(zero))}
}

// Bytes is so many bytes of device memory.
func (p DevicePtr) Bytes(count int) Memory {
	return Memory{device: p, bytes: count}
}

// Len is the number of bytes.
func (m Memory) Len() int { return m.bytes }

// Bytes is the slice, not a copy of it; nil for device memory.
func (m Memory) Bytes() []byte {
	if m.host == nil || m.bytes <= 0 {
		return nil
	}
	return unsafe.Slice((*byte)(m.host), m.bytes)
}

// Device is the address of device memory; 0 for a slice.
func (m Memory) Device() DevicePtr { return m.device }

func (m Memory) pointer() unsafe.Pointer {
	if m.device != 0 {
		return m.device.pointer()
	}
	return m.host
}

// check that a call on this backend may use the memory, and that it is enough.
func (m Memory) check(op, name string, backend Backend, bytes int) error {
	if m.device != 0 && backend == CPU {
		return invalid(op, "%s is device memory, and the handle is of the CPU", name)
	}
	if m.bytes < bytes {
		return invalid(op, "%s has %d bytes < %d", name, m.bytes, bytes)
	}
	return nil
}

// Matrix is a row-major matrix over memory that it does not own. Zero is no matrix.
type Matrix struct {
	memory             Memory
	dataType           DataType
	rows, cols, stride int
}

// MatrixOf is a dense matrix over a slice of at least rows * cols elements.
func MatrixOf[T Element](data []T, rows, cols int) Matrix {
	return Matrix{BytesOf(data), dataTypeOf[T](), rows, cols, max(cols, 1)}
}

// DeviceMatrix is a dense matrix in device memory.
func DeviceMatrix(address DevicePtr, dataType DataType, rows, cols int) Matrix {
	return Matrix{address.Bytes(math.MaxInt), dataType, rows, cols, max(cols, 1)}
}

// WithStride is the matrix with stride elements from one row to the next, instead of cols.
func (m Matrix) WithStride(stride int) Matrix {
	m.stride = stride
	return m
}

// Rows is the number of rows.
func (m Matrix) Rows() int { return m.rows }

// Cols is the number of columns.
func (m Matrix) Cols() int { return m.cols }

// Type is the type of the elements.
func (m Matrix) Type() DataType { return m.dataType }

// check that the memory holds the matrix. What C can see to be wrong, such as a negative size, is left to
// C, whose message says it.
func (m Matrix) check(op, name string, backend Backend) error {
	if m.rows <= 0 || m.cols <= 0 {
		return m.memory.check(op, name, backend, 0)
	}
	// (rows - 1) * stride + cols elements, without overflow.
	stride, size := max(m.stride, m.cols), max(m.dataType.size(), 1)
	available := m.memory.bytes / size
	if available < m.cols || m.rows-1 > (available-m.cols)/stride {
		return invalid(op, "%s has %d elements, too few for %d rows of %d, %d apart", name, available, m.rows,
			m.cols, stride)
	}
	return m.memory.check(op, name, backend, 0)
}

// is checks the shape that another argument demands.
func (m Matrix) is(op, name string, rows, cols int) error {
	if m.rows != rows || m.cols != cols {
		return invalid(op, "%s is [%d, %d], not [%d, %d]", name, m.rows, m.cols, rows, cols)
	}
	return nil
}

// Vector is a run of elements in memory that it does not own. Zero is no vector.
type Vector struct {
	memory   Memory
	dataType DataType
	length   int
}

// VectorOf is a slice as a vector.
func VectorOf[T Element](data []T) Vector {
	return Vector{BytesOf(data), dataTypeOf[T](), len(data)}
}

// DeviceVector is a vector in device memory.
func DeviceVector(address DevicePtr, dataType DataType, length int) Vector {
	return Vector{address.Bytes(math.MaxInt), dataType, length}
}

// Offsets are where groups of rows start, groups + 1 ascending numbers, for GemmGrouped.
type Offsets struct {
	host   []int64
	device DevicePtr
	length int
}

// OffsetsOf is a slice of offsets, for CPU handles.
func OffsetsOf(offsets []int64) Offsets {
	return Offsets{host: offsets, length: len(offsets)}
}

// DeviceOffsets are offsets in device memory, for CUDA handles: a router's output needs no copy back.
func DeviceOffsets(address DevicePtr, length int) Offsets {
	return Offsets{device: address, length: length}
}

func (o Offsets) pointer() unsafe.Pointer {
	if o.device != 0 {
		return o.device.pointer()
	}
	return unsafe.Pointer(unsafe.SliceData(o.host))
}
