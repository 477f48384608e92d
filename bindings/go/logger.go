// The library's log messages, handed to a Go function.

package fp6llm

/*
#include <stdint.h>
void fp6llmGoLog(void* user, int32_t level, char* message);
*/
import "C"

import (
	"log"
	"sync"
	"sync/atomic"
	"unsafe"

	"fp6llm/internal/capi"
)

var (
	logger      atomic.Pointer[func(LogLevel, string)]
	loggerMutex sync.Mutex // One SetLogger at a time.
)

// SetLogger sends the library's log messages, of the whole process, to a function; nil, the state at the
// start, sends them nowhere. The function may be called on any thread, also while SetLogger returns; it
// must not call this package. A panic in it is logged by package log and goes no further, since C is on
// the stack.
func SetLogger(receive func(level LogLevel, message string)) error {
	loggerMutex.Lock()
	defer loggerMutex.Unlock()
	if receive == nil {
		err := capi.SetLogger(nil, nil)
		logger.Store(nil)
		return failure("SetLogger", err)
	}
	previous := logger.Swap(&receive)
	err := capi.SetLogger(unsafe.Pointer(C.fp6llmGoLog), nil)
	if err != nil {
		logger.Store(previous)
	}
	return failure("SetLogger", err)
}

//export fp6llmGoLog
func fp6llmGoLog(_ unsafe.Pointer, level C.int32_t, message *C.char) {
	defer func() {
		if reason := recover(); reason != nil {
			log.Printf("fp6llm: panic in the function of SetLogger: %v", reason)
		}
	}()
	if receive := logger.Load(); receive != nil {
		(*receive)(LogLevel(level), C.GoString(message))
	}
}
