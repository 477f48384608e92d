"""The few CUDA driver calls that arrays of other libraries need, through libcuda.so.1 as the system has it.

Only reached when an array says that it lies on a GPU.
"""

from __future__ import annotations

import ctypes
import functools

from .errors import ExecutionFailedError, NotSupportedError

_POINTER_ATTRIBUTE_DEVICE_ORDINAL = 9
_EVENT_DISABLE_TIMING = 2


@functools.lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise NotSupportedError(f"CUDA arrays take a CUDA driver: {error}") from error
    _check(library.cuInit(0), "cuInit")
    return library


def _check(result: int, call: str) -> None:
    if result != 0:
        raise ExecutionFailedError(f"{call} answered CUDA error {result}")


def pointer_device(address: int) -> int:
    """The ordinal of the device that memory belongs to; 0 if there is none to ask about."""
    ordinal = ctypes.c_int(0)
    if address:
        result = _library().cuPointerGetAttribute(
            ctypes.byref(ordinal), _POINTER_ATTRIBUTE_DEVICE_ORDINAL, ctypes.c_uint64(address)
        )
        if result != 0:
            return 0
    return ordinal.value


@functools.cache
def _primary_context(device: int) -> ctypes.c_void_p:
    """The context that cudart and frameworks use; retained for the life of the process."""
    context = ctypes.c_void_p()
    _check(_library().cuDevicePrimaryCtxRetain(ctypes.byref(context), device), "cuDevicePrimaryCtxRetain")
    return context


def wait(device: int, waiting: int, producing: int) -> None:
    """Work enqueued on one stream of a device from now on waits for what is on the other now; the CPU does
    not wait. Streams are addresses, 0 is the legacy default stream."""
    library = _library()
    current = ctypes.c_void_p()
    _check(library.cuCtxGetCurrent(ctypes.byref(current)), "cuCtxGetCurrent")
    if not current:
        _check(library.cuCtxPushCurrent_v2(_primary_context(device)), "cuCtxPushCurrent")
    event = ctypes.c_void_p()
    try:
        _check(library.cuEventCreate(ctypes.byref(event), _EVENT_DISABLE_TIMING), "cuEventCreate")
        _check(library.cuEventRecord(event, ctypes.c_void_p(producing)), "cuEventRecord")
        _check(library.cuStreamWaitEvent(ctypes.c_void_p(waiting), event, 0), "cuStreamWaitEvent")
    finally:
        if event:
            library.cuEventDestroy_v2(event)
        if not current:
            library.cuCtxPopCurrent_v2(ctypes.byref(current))
