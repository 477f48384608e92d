/* What the typemaps of python.i call, in the C file that SWIG writes for Python: errors, addresses,
 * outputs, the log receiver. All of it runs with the GIL held. */
#ifndef FP6LLM_PYTHON_SUPPORT_H_
#define FP6LLM_PYTHON_SUPPORT_H_

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fp6llm/fp6llm.h"

/* Raises fp6llm.errors' exception of a status. On the failed call's own thread, before another call
 * of this library: the detail text is the thread's. */
static void raise_status(fp6llmStatus_t status) {
    char brief[1024] = "";
    char* detail = brief;
    size_t needed = 0;
    fp6llmGetLastErrorString(brief, sizeof brief, &needed);
    if (needed > sizeof brief) {
        detail = (char*)malloc(needed);
        if (detail == NULL) {
            detail = brief;
        } else {
            fp6llmGetLastErrorString(detail, needed, NULL);
        }
    }
    PyObject* text = PyUnicode_DecodeUTF8(detail, (Py_ssize_t)strlen(detail), "replace");
    if (detail != brief) free(detail);
    PyObject* module = text ? PyImport_ImportModule("fp6llm.errors") : NULL;
    PyObject* error =
        module ? PyObject_CallMethod(module, "from_status", "iO", (int)status, text) : NULL;
    if (error != NULL) PyErr_SetObject((PyObject*)Py_TYPE(error), error);
    Py_XDECREF(error);
    Py_XDECREF(module);
    Py_XDECREF(text);
}

/* The address that an integer (or an object with __index__) or None stands for; 0 with an exception
 * set if it is something else, negative or too large. */
static int as_address(PyObject* object, void** address) {
    if (object == Py_None) {
        *address = NULL;
        return 1;
    }
    PyObject* number = PyNumber_Index(object);
    if (number == NULL) return 0;
    const size_t value = PyLong_AsSize_t(number);
    Py_DECREF(number);
    if (value == (size_t)-1 && PyErr_Occurred()) return 0;
    *address = (void*)value;
    return 1;
}

/* The same for `alpha` and `beta`, where a float is the factor itself. */
static int as_factor(PyObject* object, float* factor, void** address) {
    if (!PyFloat_Check(object)) return as_address(object, address);
    *factor = (float)PyFloat_AsDouble(object);
    *address = factor;
    return 1;
}

/* A count of at least 1 that fits an int. */
static int as_count(PyObject* object, int* count) {
    const long value = PyLong_AsLong(object);
    if (value == -1 && PyErr_Occurred()) return 0;
    if (value < 1 || value > INT_MAX / 128) {
        PyErr_Format(PyExc_ValueError, "requested = %ld is not in 1..%d", value, INT_MAX / 128);
        return 0;
    }
    *count = (int)value;
    return 1;
}

static PyObject* address_object(const void* address) {
    if (address == NULL) Py_RETURN_NONE;
    return PyLong_FromVoidPtr((void*)address);
}

/* buffer_address(object): of an object with the buffer protocol, whatever its elements and strides. */
static PyObject* buffer_address(PyObject* self, PyObject* arguments) {
    Py_buffer view;
    PyObject* object;
    PyObject* address;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "O", &object)) return NULL;
    if (PyObject_GetBuffer(object, &view, PyBUF_STRIDES) != 0) return NULL;
    address = PyLong_FromVoidPtr(view.buf);
    PyBuffer_Release(&view);
    return address;
}

/* A call's result with one more output, which it takes over: None becomes the output, an output
 * becomes a tuple, a tuple grows. NULL, with both released, if the output could not be made. */
static PyObject* with_output(PyObject* result, PyObject* output) {
    PyObject* grown = NULL;
    if (output != NULL && result == Py_None) {
        Py_DECREF(result);
        return output;
    }
    if (output != NULL && !PyTuple_Check(result)) {
        grown = PyTuple_Pack(2, result, output);
    } else if (output != NULL) {
        PyObject* one = PyTuple_Pack(1, output);
        grown = one ? PySequence_Concat(result, one) : NULL;
        Py_XDECREF(one);
    }
    Py_XDECREF(result);
    Py_XDECREF(output);
    return grown;
}

/* The callable that fp6llmSetLogger() got; owned. */
static PyObject* log_receiver = NULL;

static void call_log_receiver(void* user, int32_t level, const char* message) {
    if (!Py_IsInitialized()) return;
    const PyGILState_STATE state = PyGILState_Ensure();
    /* A failing call may be logged while its exception is being made. */
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject* text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
    PyObject* result = text ? PyObject_CallFunction((PyObject*)user, "iO", (int)level, text) : NULL;
    if (result == NULL) PyErr_WriteUnraisable((PyObject*)user);
    Py_XDECREF(result);
    Py_XDECREF(text);
    PyErr_Restore(type, value, traceback);
    PyGILState_Release(state);
}

#endif /* FP6LLM_PYTHON_SUPPORT_H_ */
