"""Arrays in device memory, over the CUDA driver by ctypes: real or emulated, whatever libcuda.so.1 is."""

import ctypes

import numpy

_library = None


def driver():
    """The driver, with a current context of device 0."""
    global _library
    if _library is None:
        library = ctypes.CDLL("libcuda.so.1")
        context = ctypes.c_void_p()
        check(library.cuInit(0))
        check(library.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0))
        check(library.cuCtxSetCurrent(context))
        _library = library
    return _library


def check(result):
    if result != 0:
        raise RuntimeError(f"the driver answered {result}")


def new_stream():
    """A stream that does not wait for the legacy default stream."""
    stream = ctypes.c_void_p()
    check(driver().cuStreamCreate(ctypes.byref(stream), 1))
    return stream.value


class DeviceArray:
    """A NumPy array copied to device memory. get() waits for the device and copies it back."""

    def __init__(self, values):
        values = numpy.ascontiguousarray(values)
        self.shape, self.dtype, self.nbytes = values.shape, values.dtype, values.nbytes
        self.strides = None
        self.owner = None
        pointer = ctypes.c_uint64()
        check(driver().cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(max(1, self.nbytes))))
        self.pointer = pointer.value
        self.allocation = self.pointer
        check(driver().cuMemcpyHtoD_v2(pointer, values.ctypes.data_as(ctypes.c_void_p),
                                       ctypes.c_size_t(self.nbytes)))  # fmt: skip

    def __del__(self):
        if self.owner is None and getattr(self, "allocation", 0):
            driver().cuMemFree_v2(ctypes.c_uint64(self.allocation))

    def get(self):
        check(driver().cuCtxSynchronize())
        values = numpy.empty(self.shape, self.dtype)
        check(driver().cuMemcpyDtoH_v2(values.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint64(self.pointer),
                                       ctypes.c_size_t(self.nbytes)))  # fmt: skip
        return values


class CudaArray(DeviceArray):
    """What Numba and CuPy have."""

    stream = None
    read_only = False

    @property
    def __cuda_array_interface__(self):
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, self.read_only),
            "strides": self.strides,
            "stream": self.stream,
            "version": 3,
        }


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
        ("manager_context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    ]


_CODES = {"float32": 2, "float16": 2, "bfloat16": 4, "uint8": 1, "int64": 0}


class DLPackArray(DeviceArray):
    """DLPack alone, with a namespace of the array API standard, by which outputs are made."""

    asked_streams: tuple = ()
    device = "emulated"

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, *, stream=None):
        self.asked_streams = (*self.asked_streams, stream)
        self.kept_shape = (ctypes.c_int64 * len(self.shape))(*self.shape)
        self.kept = _Tensor(
            self.pointer, 2, 0, len(self.shape), _CODES[self.dtype.name], self.dtype.itemsize * 8, 1,
            self.kept_shape, None, 0, None, None,
        )  # fmt: skip
        make = ctypes.pythonapi.PyCapsule_New
        make.restype = ctypes.py_object
        make.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return make(ctypes.addressof(self.kept), b"dltensor", None)

    def __array_namespace__(self):
        return _Namespace


class _Namespace:
    float32, float16, uint8 = numpy.float32, numpy.float16, numpy.uint8

    @staticmethod
    def empty(shape, dtype, device):
        assert device == "emulated"
        return DLPackArray(numpy.full(shape, 99, dtype))
