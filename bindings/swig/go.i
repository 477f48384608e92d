/* Typemaps for Go: a status becomes an error with the detail text, fetched in the same C call, since
 * goroutines change threads between calls. Pointers stay pointers, so that cgo sees and checks them;
 * SWIG's Go returns one value, the error, so outputs are pointers to Go variables. Enums, structs and
 * constants are types.go's (go_sources.py): SWIG's own are interfaces and mutable globals. */

%{
#include "failure.h"
%}

/* The C types in the prototypes that cgo reads. */
%insert(cgo_comment_typedefs) %{
#include "fp6llm/fp6llm.h"
%}

%rename("$ignore", %$isclass) "";
%rename("$ignore", %$isenum) "";
%rename("$ignore", %$isenumitem) "";
%rename("$ignore", %$isconstant) "";
%rename("%(regex:/^fp6llm(.*)/\\1/)s", %$isfunction) "";

/* ---- Status: 0, or the address of what failure.h made of it ------------------------------------ */
%typemap(gotype) fp6llmStatus_t "error"
%typemap(imtype) fp6llmStatus_t "uintptr"
%typemap(out) fp6llmStatus_t "$result = (intgo)fp6llm_failure($1);"
%typemap(goout) fp6llmStatus_t "$result = takeFailure($1)"

/* ---- Numbers: by their own width, size_t unsigned ---------------------------------------------- */
%typemap(gotype) int, int32_t "int32"
%typemap(gotype) size_t "uint"
%typemap(gotype) int64_t "int64"

/* ---- Enums: int32 of their own type ----------------------------------------------------------- */
%define ENUM(c_type, go_type)
%typemap(gotype) c_type #go_type
%typemap(imtype) c_type #go_type
%typemap(in) c_type "$1 = ($1_ltype)$input;"
POINTER(c_type*, *go_type)
%enddef

/* ---- Pointers --------------------------------------------------------------------------------- */
%define POINTER(c_type, go_type)
%typemap(gotype) c_type #go_type
%typemap(imtype) c_type "unsafe.Pointer"
%typemap(goin) c_type "$result = unsafe.Pointer($input)"
%typemap(in) c_type "$1 = ($1_ltype)$input;"
%typemap(freearg) c_type ""
%enddef

/* `status` as an argument is a plain number of its own type. */
%typemap(gotype) fp6llmStatus_t status "Status"
%typemap(imtype) fp6llmStatus_t status "Status"
%typemap(in) fp6llmStatus_t status "$1 = ($1_ltype)$input;"

ENUM(fp6llmDataType_t, DataType)
ENUM(fp6llmOperation_t, Operation)
ENUM(fp6llmPointerMode_t, PointerMode)
ENUM(fp6llmComputeType_t, ComputeType)
ENUM(fp6llmBackend_t, Backend)
ENUM(fp6llmPackedLayout_t, PackedLayout)

POINTER(void*, unsafe.Pointer)
POINTER(const void*, unsafe.Pointer)
POINTER(const int64_t* offsets, unsafe.Pointer)
POINTER(fp6llmLogCallback_t, unsafe.Pointer)
POINTER(fp6llmParallelFor_t, unsafe.Pointer)
POINTER(char* buffer, *byte)
POINTER(int*, *int32)
POINTER(size_t*, *uint)
POINTER(fp6llmHandle_t, Handle)
POINTER(fp6llmHandle_t*, *Handle)
POINTER(fp6llmWeight_t, Weight)
POINTER(fp6llmWeight_t*, *Weight)
POINTER(const fp6llmWeight_t A[], *Weight)
POINTER(fp6llmStream_t, Stream)
POINTER(fp6llmStream_t*, *Stream)

%define STRUCT(c_type, go_type)
POINTER(c_type*, *go_type)
POINTER(const c_type*, *go_type)
%enddef
STRUCT(fp6llmHandleConfig_t, HandleConfig)
STRUCT(fp6llmDeviceInfo_t, DeviceInfo)
STRUCT(fp6llmQuantConfig_t, QuantConfig)
STRUCT(fp6llmQuantStats_t, QuantStats)
STRUCT(fp6llmWeightInfo_t, WeightInfo)
STRUCT(fp6llmEpilogue_t, Epilogue)
STRUCT(fp6llmHeuristicResult_t, HeuristicResult)
