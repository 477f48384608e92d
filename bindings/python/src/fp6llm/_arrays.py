"""Arrays of any library as the C ABI sees them: address, element type, shape, strides, device, stream.

Nothing is copied. NumPy and PyTorch are read directly, everything else by the buffer protocol, by DLPack
(https://dmlc.github.io/dlpack) or by the CUDA array interface, version 3 (Numba's documentation).
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy

from . import _capi, _driver
from ._enums import Backend, DataType
from .errors import InvalidValueError

buffer_address = _capi._native.buffer_address

# Element types that the C ABI takes as plain bytes or integers; the values are cudaDataType's.
UINT8 = 8
INT64 = 24

CPU = (int(Backend.CPU), 0)

_NAMES = {
    int(DataType.R_32F): "float32",
    int(DataType.R_16F): "float16",
    int(DataType.R_16BF): "bfloat16",
    int(DataType.R_8F_UE8M0): "float8_e8m0fnu",
    UINT8: "uint8",
    INT64: "int64",
}
_BY_NAME = {name: value for value, name in _NAMES.items()}
ITEM_SIZES = {
    int(DataType.R_32F): 4,
    int(DataType.R_16F): 2,
    int(DataType.R_16BF): 2,
    int(DataType.R_8F_UE8M0): 1,
    UINT8: 1,
    INT64: 8,
}
FLOATS = frozenset((int(DataType.R_32F), int(DataType.R_16F), int(DataType.R_16BF)))
FLOATS_TEXT = "float32, float16 or bfloat16"
_TAKEN = ", ".join(_BY_NAME)


class View:
    """An array as C sees it. `strides` count elements; None stands for a C-contiguous array."""

    __slots__ = ("address", "data_type", "device", "owner", "shape", "stream", "strides", "writable")

    def __init__(
        self,
        owner: Any,
        address: int,
        data_type: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...] | None,
        device: tuple[int, int] = CPU,
        stream: int | None = None,
        writable: bool = True,
    ) -> None:
        self.owner = owner
        self.address = address
        self.data_type = data_type
        self.shape = shape
        self.strides = strides
        self.device = device
        self.stream = stream
        self.writable = writable

    @property
    def size(self) -> int:
        """The number of elements."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count

    def is_contiguous(self) -> bool:
        """Whether the elements lie in C order without gaps."""
        if self.strides is None or self.size <= 1:
            return True
        expected = 1
        for extent, stride in zip(reversed(self.shape), reversed(self.strides)):
            if extent != 1 and stride != expected:
                return False
            expected *= extent
        return True

    def bounds(self) -> tuple[int, int]:
        """The first byte and the byte after the last; equal when there are no elements."""
        item = ITEM_SIZES[self.data_type]
        if self.size == 0:
            return self.address, self.address
        if self.strides is None:
            return self.address, self.address + item * self.size
        reach = [stride * (extent - 1) for extent, stride in zip(self.shape, self.strides)]
        first = sum(r for r in reach if r < 0)
        last = sum(r for r in reach if r > 0)
        return self.address + item * first, self.address + item * (last + 1)


def type_name(data_type: int) -> str:
    """NumPy's name of an element type."""
    return _NAMES.get(data_type, str(data_type))


def device_name(device: tuple[int, int]) -> str:
    """A device as PyTorch would write it."""
    return "cpu" if device[0] == Backend.CPU else f"cuda:{device[1]}"


def as_data_type(name: str, dtype: Any) -> int:
    """The element type that a string, a NumPy dtype, a PyTorch dtype or a DataType names."""
    if isinstance(dtype, DataType):
        return int(dtype)
    text = str(dtype).removeprefix("torch.")
    if text not in _BY_NAME:
        try:
            known = numpy.dtype(dtype)
            text = known.name if known.isnative else text
        except TypeError:
            pass
    if text not in _BY_NAME:
        raise TypeError(f"{name} = {dtype!r} is not one of {', '.join(_BY_NAME)}")
    return _BY_NAME[text]


def view(name: str, array: Any, stream: int | None = None) -> View:
    """Reads an array. `stream` is the one the work will run on, if that is known already.

    Raises TypeError for what is no array and for element types that the library does not know.
    """
    if isinstance(array, numpy.ndarray):
        return _from_numpy(name, array, array)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return _from_torch(name, array, torch)
    interface = getattr(array, "__cuda_array_interface__", None)
    if interface is not None:
        return _from_cuda_array_interface(name, array, interface)
    if hasattr(array, "__dlpack__"):
        return _from_dlpack(name, array, stream)
    if not isinstance(array, (str, list, tuple)) and array is not None:
        try:
            return _from_numpy(name, array, numpy.asarray(memoryview(array)))
        except (TypeError, ValueError):
            pass
    raise TypeError(
        f"{name} must be an array (NumPy, PyTorch, DLPack, CUDA array interface or buffer), "
        f"not {type(array).__name__}"
    )


# ---- NumPy -------------------------------------------------------------------------------------------

numpy_types: dict[Any, int] = {
    numpy.dtype(numpy.float32): int(DataType.R_32F),
    numpy.dtype(numpy.float16): int(DataType.R_16F),
    numpy.dtype(numpy.uint8): UINT8,
    numpy.dtype(numpy.int64): INT64,
}


def numpy_type(name: str, dtype: Any) -> int:
    """The element type of a NumPy dtype; those of ml_dtypes are known by their names."""
    known = numpy_types.get(dtype)
    if known is None:
        if dtype.name not in _BY_NAME or not dtype.isnative:
            raise TypeError(f"{name} has dtype {dtype}, which is none of {_TAKEN}")
        known = numpy_types[dtype] = _BY_NAME[dtype.name]
    return known


def _from_numpy(name: str, owner: Any, array: numpy.ndarray) -> View:
    data_type = numpy_type(name, array.dtype)
    flags = array.flags
    strides = None
    if not flags.c_contiguous:
        strides = _element_strides(name, array.strides, array.itemsize)
    return View(owner, buffer_address(array), data_type, array.shape, strides, writable=flags.writeable)


def _element_strides(name: str, strides: tuple[int, ...], item: int) -> tuple[int, ...]:
    for stride in strides:
        if stride % item:
            raise InvalidValueError(f"{name} has strides {strides} in bytes, not multiples of {item}")
    return tuple(stride // item for stride in strides)


def numpy_dtype(data_type: int) -> Any:
    """The NumPy dtype of an element type; bfloat16 takes the package ml_dtypes."""
    if data_type in (DataType.R_16BF, DataType.R_8F_UE8M0):
        try:
            import ml_dtypes
        except ImportError as error:
            raise ImportError("a NumPy array of bfloat16 takes the package ml_dtypes") from error
        return numpy.dtype(getattr(ml_dtypes, _NAMES[data_type]))
    return numpy.dtype(_NAMES[data_type])


# ---- PyTorch -----------------------------------------------------------------------------------------

_torch_types: dict[Any, int] = {}


def _from_torch(name: str, tensor: Any, torch: Any) -> View:
    data_type = _torch_types.get(tensor.dtype)
    if data_type is None:
        text = str(tensor.dtype).removeprefix("torch.")
        if text not in _BY_NAME:
            raise TypeError(f"{name} has dtype {tensor.dtype}, which is none of {_TAKEN}")
        data_type = _torch_types[tensor.dtype] = _BY_NAME[text]
    if tensor.requires_grad and torch.is_grad_enabled():
        raise InvalidValueError(
            f"{name} requires grad, and no gradient flows through this call: use {name}.detach() or "
            "torch.no_grad()"
        )
    if tensor.layout is not torch.strided:
        raise TypeError(f"{name} has layout {tensor.layout}; torch.strided is needed")
    device, stream = CPU, None
    if tensor.device.type == "cuda":
        device = (int(Backend.CUDA), tensor.device.index)
        stream = torch.cuda.current_stream(tensor.device).cuda_stream
    elif tensor.device.type != "cpu":
        raise TypeError(f"{name} is on {tensor.device}; cpu and cuda are possible")
    return View(tensor, tensor.data_ptr(), data_type, tuple(tensor.shape), tensor.stride(), device, stream)


# ---- CUDA array interface ----------------------------------------------------------------------------


def _from_cuda_array_interface(name: str, array: Any, interface: dict[str, Any]) -> View:
    try:
        shape = tuple(int(extent) for extent in interface["shape"])
        typestr = interface["typestr"]
        address, read_only = interface["data"]
        byte_strides = interface.get("strides")
        stream = interface.get("stream")
    except (KeyError, TypeError, ValueError) as error:
        raise TypeError(f"{name} has a malformed __cuda_array_interface__: {error!r}") from error
    # The protocol has no word for bfloat16; an array that knows its dtype tells.
    own = getattr(array, "dtype", None)
    dtype_name = str(own) if str(own) == "bfloat16" else None
    if dtype_name is None:
        try:
            dtype_name = numpy.dtype(typestr).name
        except TypeError:
            dtype_name = None
    if dtype_name not in _BY_NAME or typestr.startswith(">"):
        raise TypeError(f"{name} has typestr {typestr!r}, which is none of {_TAKEN}")
    data_type = _BY_NAME[dtype_name]
    strides = None
    if byte_strides is not None:
        strides = _element_strides(name, tuple(byte_strides), ITEM_SIZES[data_type])
    if any(extent < 0 for extent in shape):
        raise InvalidValueError(f"{name} has shape {shape}")
    device = (int(Backend.CUDA), _driver.pointer_device(int(address or 0)))
    return View(array, int(address or 0), data_type, shape, strides, device, stream, not read_only)


# ---- DLPack ------------------------------------------------------------------------------------------


class _DLTensor(ctypes.Structure):
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
    ]


class _DLManagedTensorVersioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _DLTensor),
    ]


_capsule_name = ctypes.pythonapi.PyCapsule_GetName
_capsule_name.restype = ctypes.c_char_p
_capsule_name.argtypes = [ctypes.py_object]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]

# (type code, bits) of DLDataType.
_DL_TYPES = {
    (2, 32): int(DataType.R_32F),
    (2, 16): int(DataType.R_16F),
    (4, 16): int(DataType.R_16BF),
    (1, 8): UINT8,
    (0, 64): INT64,
}
# DLDeviceType: host, and memory pinned by CUDA, are host memory; CUDA's and its managed memory are not.
_DL_HOST = (1, 3)
_DL_CUDA = (2, 13)
_DL_READ_ONLY_OR_COPIED = 3


def _from_dlpack(name: str, array: Any, stream: int | None) -> View:
    device_type, device_id = (int(part) for part in array.__dlpack_device__())
    if device_type in _DL_HOST:
        device, arguments = CPU, {}
    elif device_type in _DL_CUDA:
        # The producer makes this stream wait for its work; 1 is the legacy default stream.
        device, arguments = (int(Backend.CUDA), device_id), {"stream": stream or 1}
    else:
        raise TypeError(f"{name} is on DLPack device type {device_type}; host and CUDA are possible")
    try:
        capsule = array.__dlpack__(max_version=(1, 1), **arguments)
    except TypeError:
        capsule = array.__dlpack__(**arguments)
    # The capsule is not renamed: it stays the owner and calls the producer's deleter when it goes.
    kind = _capsule_name(capsule)
    writable = True
    if kind == b"dltensor":
        tensor = _DLTensor.from_address(_capsule_pointer(capsule, kind))
    elif kind == b"dltensor_versioned":
        managed = _DLManagedTensorVersioned.from_address(_capsule_pointer(capsule, kind))
        if managed.major != 1:
            raise TypeError(f"{name} has DLPack version {managed.major}.{managed.minor}; 1 is known")
        writable = not managed.flags & _DL_READ_ONLY_OR_COPIED
        tensor = managed.tensor
    else:
        raise TypeError(f"{name} gave a capsule named {kind!r} for DLPack")
    data_type = _DL_TYPES.get((tensor.code, tensor.bits)) if tensor.lanes == 1 else None
    if data_type is None:
        raise TypeError(
            f"{name} has the DLPack type (code {tensor.code}, {tensor.bits} bits, {tensor.lanes} lanes), "
            f"which is none of {_TAKEN}"
        )
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None
    address = (tensor.data or 0) + tensor.byte_offset
    made = View((array, capsule), address, data_type, shape, strides, device, None, writable)
    if device != CPU:
        made.stream = stream
    return made


# ---- New arrays --------------------------------------------------------------------------------------


class Maker:
    """Makes uninitialized arrays of one library on one device: NumPy, PyTorch, or a namespace of the array
    API standard (`module`), which `device` is an argument of."""

    __slots__ = ("device", "module")

    def __init__(self, module: Any, device: Any) -> None:
        self.module = module
        self.device = device

    def empty(self, shape: tuple[int, ...], data_type: int) -> Any:
        """An uninitialized array in C order."""
        if self.module is numpy:
            return numpy.empty(shape, numpy_dtype(data_type))
        dtype = getattr(self.module, _NAMES[data_type], None)
        if dtype is None:
            raise TypeError(f"{self.module.__name__} has no {_NAMES[data_type]}: give the output")
        return self.module.empty(shape, dtype=dtype, device=self.device)


HOST = Maker(numpy, None)


class _NoMaker(Maker):
    """Of arrays whose library is not known: `module` is the name of their type."""

    def empty(self, shape: tuple[int, ...], data_type: int) -> Any:
        raise TypeError(
            f"a {self.module} does not tell how to make another array on "
            f"{device_name(self.device)}: give the output"
        )


def maker(array: View) -> Maker:
    """What makes arrays of the kind and on the device of a given one. Host memory of a library that does
    not tell gets NumPy arrays beside it."""
    owner = array.owner[0] if isinstance(array.owner, tuple) else array.owner
    if isinstance(owner, numpy.ndarray):
        return HOST
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(owner, torch.Tensor):
        return Maker(torch, owner.device)
    if hasattr(owner, "__array_namespace__"):
        return Maker(owner.__array_namespace__(), owner.device)
    return HOST if array.device == CPU else _NoMaker(type(owner).__name__, array.device)


def new_aligned_host(size: int, alignment: int) -> numpy.ndarray:
    """An uninitialized NumPy array of bytes whose address is a multiple of `alignment`."""
    room = numpy.empty(size + alignment, numpy.uint8)
    start = -room.ctypes.data % alignment
    return room[start : start + size]
