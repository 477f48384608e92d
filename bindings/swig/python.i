/* Typemaps for Python: a status becomes an exception with the detail text, outputs are returned, data
 * pointers are integer addresses, the handles are typed objects, structs start out initialized. */

%{
#include "python_support.h"
%}

/* The address of a buffer's first byte: what array.ctypes.data takes five times as long for. */
%native(buffer_address) PyObject* buffer_address(PyObject* self, PyObject* arguments);

/* ---- Threads ---------------------------------------------------------------------------------
 * The GIL is released in every call that can fail, not just in the long ones: a failing call logs,
 * and the library holds a lock while the log receiver waits for the GIL. generate.py checks that
 * no function that returns a status is missing here. */
%nothread;
%define RELEASES_GIL(function)
%thread function;
%enddef
RELEASES_GIL(fp6llmGetVersion)
RELEASES_GIL(fp6llmGetBuildInfo)
RELEASES_GIL(fp6llmGetLastErrorString)
RELEASES_GIL(fp6llmGetErrorString)
RELEASES_GIL(fp6llmGetDeviceCount)
RELEASES_GIL(fp6llmGetDeviceInfo)
RELEASES_GIL(fp6llmSetLogger)
RELEASES_GIL(fp6llmCreate)
RELEASES_GIL(fp6llmCreateWithConfig)
RELEASES_GIL(fp6llmDestroy)
RELEASES_GIL(fp6llmSetStream)
RELEASES_GIL(fp6llmGetStream)
RELEASES_GIL(fp6llmSetWorkspace)
RELEASES_GIL(fp6llmSetPointerMode)
RELEASES_GIL(fp6llmGetPointerMode)
RELEASES_GIL(fp6llmGetBackend)
RELEASES_GIL(fp6llmSetNumThreads)
RELEASES_GIL(fp6llmGetNumThreads)
RELEASES_GIL(fp6llmSetParallelFor)
RELEASES_GIL(fp6llmQuantGetSizes)
RELEASES_GIL(fp6llmQuantize)
RELEASES_GIL(fp6llmDequantize)
RELEASES_GIL(fp6llmWeightCreate)
RELEASES_GIL(fp6llmWeightCreateFromCodes)
RELEASES_GIL(fp6llmWeightCreateFromPacked)
RELEASES_GIL(fp6llmWeightExportCodes)
RELEASES_GIL(fp6llmWeightExportPacked)
RELEASES_GIL(fp6llmPackedGetSizes)
RELEASES_GIL(fp6llmWeightGetInfo)
RELEASES_GIL(fp6llmWeightDestroy)
RELEASES_GIL(fp6llmWeightGetBlobSize)
RELEASES_GIL(fp6llmWeightPackBlob)
RELEASES_GIL(fp6llmWeightCreateView)
RELEASES_GIL(fp6llmGemmEx)
RELEASES_GIL(fp6llmGemmGetWorkspaceSize)
RELEASES_GIL(fp6llmGemmGetHeuristic)
RELEASES_GIL(fp6llmLinear)
RELEASES_GIL(fp6llmGemmGroupedEx)

/* ---- Status ----------------------------------------------------------------------------------- */
%typemap(out) fp6llmStatus_t {
    if ($1 != FP6LLM_STATUS_SUCCESS) {
        raise_status($1);
        SWIG_fail;
    }
    $result = SWIG_Py_Void();
}
/* Except where the status is the argument: a plain integer. */
%typemap(doc) fp6llmStatus_t "None"

/* ---- Pointers to data: addresses, None is NULL ------------------------------------------------- */
%typemap(in) void*, const void*, const int64_t* offsets, fp6llmStream_t, fp6llmParallelFor_t {
    void* address;
    if (!as_address($input, &address)) SWIG_fail;
    $1 = ($1_ltype)address;
}
%typemap(out) void*, const void* {
    $result = address_object($1);
    if ($result == NULL) SWIG_fail;
}
/* An address, or a float: then the factor itself, in host memory. */
%typemap(in) const void* alpha (float factor), const void* beta (float factor) {
    void* address;
    if (!as_factor($input, &factor, &address)) SWIG_fail;
    $1 = address;
}

/* ---- Outputs: returned, a tuple where there are several --------------------------------------- */
%define RETURNS(type, pattern, to_object)
%typemap(in, numinputs=0) pattern ($*1_ltype output) {
    memset(&output, 0, sizeof output);
    $1 = &output;
}
%typemap(argout) pattern {
    $result = with_output($result, to_object);
    if ($result == NULL) SWIG_fail;
}
%enddef
RETURNS(int, int*, PyLong_FromLong(*$1))
RETURNS(size_t, size_t*, PyLong_FromSize_t(*$1))
RETURNS(enum, fp6llmPointerMode_t*, PyLong_FromLong(*$1))
RETURNS(enum, fp6llmBackend_t*, PyLong_FromLong(*$1))
RETURNS(address, fp6llmStream_t*, address_object(*$1))
RETURNS(handle, fp6llmHandle_t*, SWIG_NewPointerObj(*$1, $*1_descriptor, 0))
RETURNS(weight, fp6llmWeight_t*, SWIG_NewPointerObj(*$1, $*1_descriptor, 0))

%define RETURNS_STRUCT(type, pattern, init)
%typemap(in, numinputs=0) type* pattern {
    $1 = (type*)calloc(1, sizeof *$1);
    if ($1 == NULL) {
        PyErr_NoMemory();
        SWIG_fail;
    }
    init($1);
    $1->structSize = sizeof *$1;
}
%typemap(argout) type* pattern {
    PyObject* object = SWIG_NewPointerObj($1, $1_descriptor, SWIG_POINTER_OWN);
    if (object != NULL) $1 = NULL;
    $result = with_output($result, object);
    if ($result == NULL) SWIG_fail;
}
%typemap(freearg) type* pattern "free($1);"
%enddef
RETURNS_STRUCT(fp6llmDeviceInfo_t, info, fp6llmDeviceInfoInit)
RETURNS_STRUCT(fp6llmWeightInfo_t, info, fp6llmWeightInfoInit)

/* `requested` becomes the most elements of a list. */
%typemap(in) (int requested, fp6llmHeuristicResult_t* results, int* returned) (int written) {
    if (!as_count($input, &$1)) SWIG_fail;
    $2 = (fp6llmHeuristicResult_t*)calloc((size_t)$1, sizeof *$2);
    if ($2 == NULL) {
        PyErr_NoMemory();
        SWIG_fail;
    }
    fp6llmHeuristicResultInit($2);
    $2->structSize = sizeof *$2;
    written = 0;
    $3 = &written;
}
%typemap(argout) (int requested, fp6llmHeuristicResult_t* results, int* returned) {
    Py_ssize_t i;
    PyObject* list = PyList_New(*$3);
    for (i = 0; list != NULL && i < *$3; ++i) {
        fp6llmHeuristicResult_t* copy = (fp6llmHeuristicResult_t*)malloc(sizeof *copy);
        PyObject* object = NULL;
        if (copy == NULL) {
            PyErr_NoMemory();
        } else {
            *copy = $2[i];
            copy->structSize = sizeof *copy;
            object = SWIG_NewPointerObj(copy, $2_descriptor, SWIG_POINTER_OWN);
        }
        if (object == NULL || PyList_SetItem(list, i, object) != 0) {
            Py_CLEAR(list);
        }
    }
    $result = with_output($result, list);
    if ($result == NULL) SWIG_fail;
}
%typemap(freearg) (int requested, fp6llmHeuristicResult_t* results, int* returned) "free($2);"

/* Text: a str of whatever length. */
%typemap(in, numinputs=0) (char* buffer, size_t size, size_t* needed) (size_t needed) {
    needed = 1024;
    $1 = (char*)malloc(needed);
    if ($1 == NULL) {
        PyErr_NoMemory();
        SWIG_fail;
    }
    $2 = needed;
    $3 = &needed;
}
%typemap(argout) (char* buffer, size_t size, size_t* needed) {
    $result = with_output($result, PyUnicode_DecodeUTF8($1, (Py_ssize_t)strlen($1), "replace"));
    if ($result == NULL) SWIG_fail;
}
%typemap(freearg) (char* buffer, size_t size, size_t* needed) "free($1);"
/* Again with a larger buffer until the text fits: another thread may have made it longer. */
%define WHOLE_TEXT(function, buffer, size, needed)
%exception function {
    for (;;) {
        char* larger;
        $action
        if (result != FP6LLM_STATUS_SUCCESS || *needed <= size) break;
        larger = (char*)realloc(buffer, *needed);
        if (larger == NULL) {
            PyErr_NoMemory();
            SWIG_fail;
        }
        buffer = larger;
        size = *needed;
    }
}
%enddef
WHOLE_TEXT(fp6llmGetBuildInfo, arg1, arg2, arg3)
WHOLE_TEXT(fp6llmGetLastErrorString, arg1, arg2, arg3)
WHOLE_TEXT(fp6llmGetErrorString, arg2, arg3, arg4)

/* ---- The weights of a grouped multiplication: a sequence as long as `groups`, its second argument -- */
%typemap(in) const fp6llmWeight_t A[] {
    Py_ssize_t i, length = PySequence_Size($input);
    if (length < 0) SWIG_fail;
    if (length != arg2) {
        PyErr_Format(PyExc_ValueError, "A holds %zd weights, groups = %lld", length,
                     (long long)arg2);
        SWIG_fail;
    }
    $1 = (fp6llmWeight_t*)calloc((size_t)length + 1, sizeof *$1);
    if ($1 == NULL) {
        PyErr_NoMemory();
        SWIG_fail;
    }
    for (i = 0; i < length; ++i) {
        PyObject* item = PySequence_GetItem($input, i);
        void* weight = NULL;
        int status = item ? SWIG_ConvertPtr(item, &weight, $descriptor(struct fp6llmWeight*), 0)
                          : SWIG_ERROR;
        Py_XDECREF(item);
        if (!SWIG_IsOK(status)) {
            if (!PyErr_Occurred()) {
                PyErr_Format(PyExc_TypeError, "A[%zd] is not a weight", i);
            }
            SWIG_fail;
        }
        $1[i] = (fp6llmWeight_t)weight;
    }
}
%typemap(freearg) const fp6llmWeight_t A[] "free($1);"

/* ---- The log receiver: a callable(level, message), None removes it ------------------------------ */
%typemap(in) (fp6llmLogCallback_t callback, void* user) {
    if ($input != Py_None && !PyCallable_Check($input)) {
        PyErr_SetString(PyExc_TypeError, "the log receiver must be callable or None");
        SWIG_fail;
    }
    $1 = $input == Py_None ? NULL : call_log_receiver;
    $2 = $input == Py_None ? NULL : $input;
    Py_XINCREF((PyObject*)$2);
}
/* The library calls the former receiver no more once it has taken the new one. */
%typemap(argout) (fp6llmLogCallback_t callback, void* user) {
    PyObject* former = log_receiver;
    log_receiver = (PyObject*)$2;
    $2 = NULL;
    Py_XDECREF(former);
}
%typemap(freearg) (fp6llmLogCallback_t callback, void* user) "Py_XDECREF((PyObject*)$2);"

/* ---- Structs: a new one is what its INIT macro says; a field that does not exist is refused ------
 * The init functions write the first version's fields only and say so in structSize; the later ones are
 * zero, and count once structSize covers them. */
%pythonnondynamic;
%define INITIALIZED(type, init)
%ignore init;
%extend type {
    type() {
        type* made = (type*)calloc(1, sizeof *made);
        if (made != NULL) {
            init(made);
            made->structSize = sizeof *made;
        }
        return made;
    }
    ~type() {
        free($self);
    }
}
%enddef
INITIALIZED(fp6llmHandleConfig_t, fp6llmHandleConfigInit)
INITIALIZED(fp6llmDeviceInfo_t, fp6llmDeviceInfoInit)
INITIALIZED(fp6llmQuantConfig_t, fp6llmQuantConfigInit)
INITIALIZED(fp6llmQuantStats_t, fp6llmQuantStatsInit)
INITIALIZED(fp6llmWeightInfo_t, fp6llmWeightInfoInit)
INITIALIZED(fp6llmEpilogue_t, fp6llmEpilogueInit)
INITIALIZED(fp6llmHeuristicResult_t, fp6llmHeuristicResultInit)
