// Package capi is the C ABI of libfp6llm, call by call, as bindings/swig/go.i shapes it: the low level
// under package fp6llm. capi.go, capi_wrap.c and types.go are generated; this file and failure.h are not.
package capi

/*
#cgo pkg-config: fp6llm
#include "failure.h"
*/
import "C"

// Error is a failed call: its status, and which argument was wrong and how.
type Error struct {
	Status Status
	Detail string
}

// Error is the detail text, or what the status means where there is none.
func (e *Error) Error() string {
	if e.Detail == "" {
		return GetStatusString(e.Status)
	}
	return e.Detail
}

// takeFailure turns what failure.h made of a status into an error and frees it; 0 is nil.
func takeFailure(failure uintptr) error {
	if failure == 0 {
		return nil
	}
	f := C.uintptr_t(failure)
	err := &Error{Status(C.fp6llm_failure_status(f)), C.GoString(C.fp6llm_failure_detail(f))}
	C.fp6llm_failure_free(f)
	return err
}
