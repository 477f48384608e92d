// Package driver is as much of the CUDA driver as the tests of device pointers take: memory, loaded from
// libcuda.so.1 at run time, which may be the emulated GPU's.
package driver

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

typedef int (*init_t)(unsigned);
typedef int (*get_t)(int*, int);
typedef int (*retain_t)(void**, int);
typedef int (*context_t)(void*);
typedef int (*alloc_t)(uint64_t*, size_t);
typedef int (*free_t)(uint64_t);
typedef int (*to_device_t)(uint64_t, const void*, size_t);
typedef int (*to_host_t)(void*, uint64_t, size_t);
typedef int (*create_t)(void**, unsigned);

static void* library;

static int driver_open(void) {
    library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
    return library == NULL;
}

// The primary context is current for the calls of one thread, so each C call makes it so first.
static int enter(void) {
    static void* context;
    int device;
    if (context == NULL && (((init_t)dlsym(library, "cuInit"))(0) != 0 ||
                            ((get_t)dlsym(library, "cuDeviceGet"))(&device, 0) != 0 ||
                            ((retain_t)dlsym(library, "cuDevicePrimaryCtxRetain"))(&context, device) != 0))
        return 1;
    return ((context_t)dlsym(library, "cuCtxSetCurrent"))(context);
}

static int driver_alloc(uint64_t* address, size_t bytes) {
    return enter() || ((alloc_t)dlsym(library, "cuMemAlloc_v2"))(address, bytes);
}
static int driver_free(uint64_t address) {
    return enter() || ((free_t)dlsym(library, "cuMemFree_v2"))(address);
}
static int driver_to_device(uint64_t address, const char* data, size_t bytes) {
    return enter() || ((to_device_t)dlsym(library, "cuMemcpyHtoD_v2"))(address, data, bytes);
}
static int driver_to_host(char* data, uint64_t address, size_t bytes) {
    return enter() || ((to_host_t)dlsym(library, "cuMemcpyDtoH_v2"))(data, address, bytes);
}
static int driver_stream(void** stream) {
    return enter() || ((create_t)dlsym(library, "cuStreamCreate"))(stream, 0);
}
static int driver_synchronize(void* stream) {
    return enter() || ((context_t)dlsym(library, "cuStreamSynchronize"))(stream);
}
static int driver_destroy(void* stream) {
    return enter() || ((context_t)dlsym(library, "cuStreamDestroy_v2"))(stream);
}
*/
import "C"

import (
	"errors"
	"unsafe"
)

// Open finds the driver.
func Open() error {
	if C.driver_open() != 0 {
		return errors.New("no libcuda.so.1")
	}
	return nil
}

// Alloc is device memory, and must succeed.
func Alloc(bytes int) uintptr {
	var address C.uint64_t
	must("cuMemAlloc", C.driver_alloc(&address, C.size_t(max(bytes, 1))))
	return uintptr(address)
}

// Free frees it.
func Free(address uintptr) {
	must("cuMemFree", C.driver_free(C.uint64_t(address)))
}

// ToDevice copies a slice to device memory.
func ToDevice(address uintptr, data []byte) {
	if len(data) > 0 {
		must("cuMemcpyHtoD", C.driver_to_device(C.uint64_t(address), (*C.char)(unsafe.Pointer(&data[0])), C.size_t(len(data))))
	}
}

// ToHost copies device memory to a slice, after the work on the default stream.
func ToHost(data []byte, address uintptr) {
	if len(data) > 0 {
		must("cuMemcpyDtoH", C.driver_to_host((*C.char)(unsafe.Pointer(&data[0])), C.uint64_t(address), C.size_t(len(data))))
	}
}

// NewStream is a stream.
func NewStream() uintptr {
	var stream unsafe.Pointer
	must("cuStreamCreate", C.driver_stream(&stream))
	return uintptr(stream)
}

// Synchronize waits for a stream; 0 is the default one.
func Synchronize(stream uintptr) {
	must("cuStreamSynchronize", C.driver_synchronize(*(*unsafe.Pointer)(unsafe.Pointer(&stream))))
}

// DestroyStream destroys a stream.
func DestroyStream(stream uintptr) {
	must("cuStreamDestroy", C.driver_destroy(*(*unsafe.Pointer)(unsafe.Pointer(&stream))))
}

func must(what string, result C.int) {
	if result != 0 {
		panic(what + " failed")
	}
}
