// Errors: a status to compare with errors.Is, and an Error around it that says which argument was wrong.

package fp6llm

import (
	"errors"
	"fmt"

	"fp6llm/internal/capi"
)

// Status is the kind of a failure, for errors.Is. Values equal cublasStatus_t's.
type Status int32

const (
	ErrNotInitialized  = Status(capi.STATUS_NOT_INITIALIZED)  // A closed or nil handle or weight.
	ErrAllocFailed     = Status(capi.STATUS_ALLOC_FAILED)     // Out of memory; nothing was left behind.
	ErrInvalidValue    = Status(capi.STATUS_INVALID_VALUE)    // An argument is wrong; the detail names it.
	ErrArchMismatch    = Status(capi.STATUS_ARCH_MISMATCH)    // This device cannot run what was asked.
	ErrMappingError    = Status(capi.STATUS_MAPPING_ERROR)    // Device memory could not be reached.
	ErrExecutionFailed = Status(capi.STATUS_EXECUTION_FAILED) // A launch or earlier work on the GPU failed.
	ErrInternal        = Status(capi.STATUS_INTERNAL_ERROR)   // A bug in the library.
	ErrNotSupported    = Status(capi.STATUS_NOT_SUPPORTED)    // Valid, but this build or backend cannot.
)

// Error is one sentence on what the status means.
func (s Status) Error() string {
	return capi.GetStatusString(capi.Status(s))
}

// ErrClosed is what a call with a closed handle or weight answers; it is an ErrNotInitialized too.
var ErrClosed = errors.New("fp6llm: used after Close")

// Error is a failed call.
type Error struct {
	Op     string // The function or method, "Linear".
	Status Status // What errors.Is compares.
	Detail string // Which argument was wrong and how: "ldw = 512 < cols = 576".
	closed bool
}

// Error is the function and the detail.
func (e *Error) Error() string {
	detail := e.Detail
	if detail == "" {
		detail = e.Status.Error()
	}
	return "fp6llm: " + e.Op + ": " + detail
}

// Is makes errors.Is(err, ErrInvalidValue) and its like true.
func (e *Error) Is(target error) bool {
	return target == e.Status || e.closed && target == ErrClosed
}

// failure gives a C call's error the name of the function that Go's caller called.
func failure(op string, err error) error {
	if err == nil {
		return nil
	}
	var of *capi.Error
	if !errors.As(err, &of) {
		return err
	}
	return &Error{Op: op, Status: Status(of.Status), Detail: of.Detail}
}

// invalid is an argument that this package refuses, before C sees it.
func invalid(op, format string, arguments ...any) error {
	return &Error{Op: op, Status: ErrInvalidValue, Detail: fmt.Sprintf(format, arguments...)}
}

func closed(op, what string) error {
	return &Error{Op: op, Status: ErrNotInitialized, Detail: "the " + what + " is closed or nil", closed: true}
}

// named is an error of one function as another's.
func named(op string, err error) error {
	if of, ok := err.(*Error); ok {
		of.Op = op
	}
	return err
}
