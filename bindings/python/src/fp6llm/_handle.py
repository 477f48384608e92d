"""Handle: one thread of work at a time on one device, and the handles that calls use when given none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from operator import index
from typing import Any

from . import _arrays, _capi, _driver
from ._enums import Backend, PointerMode
from ._options import choice
from .errors import InvalidValueError, NotInitializedError

_native = _capi._native
_CUDA = int(Backend.CUDA)


class Owned:
    """Frees something of the library when the last reference goes.

    Whoever calls the library holds a reference meanwhile, so that close() in another thread is harmless.
    `keep` lives as long: memory that C has a pointer to.
    """

    __slots__ = ("_free", "keep", "pointer")

    def __init__(self, pointer: Any, free: Callable[[Any], None], keep: Any = None) -> None:
        self.pointer = pointer
        self._free = free
        self.keep = keep

    def __del__(self) -> None:
        self._free(self.pointer)


class Handle:
    """A device to work on, with its stream, workspace and threads.

    `backend`: "cpu", "cuda" (or "cuda:1"), or "auto", which is CUDA when a usable device is present.
    `threads`: of the CPU backend, 1 to 256; 0 stands for min(OMP_NUM_THREADS, CPUs of this process).
    Several threads may share a handle; their calls take turns. A handle per thread runs in parallel,
    which is what calls without a handle do. Works as a context manager; close() may be called twice.

    Raises NotSupportedError, with the reason, where CUDA was asked for and is not there.
    """

    __slots__ = ("__weakref__", "_active_stream", "_lock", "_owned", "_stream", "device", "workspace")

    #: (Backend, ordinal)
    device: tuple[int, int]

    def __init__(self, backend: str | Backend = "auto", device: int = 0, threads: int = 0) -> None:
        if isinstance(backend, str) and ":" in backend:
            backend, _, ordinal = backend.partition(":")
            if not ordinal.isdecimal():
                raise InvalidValueError(f"backend = {backend}:{ordinal} does not end in a number")
            device = int(ordinal)
        config = _capi.fp6llmHandleConfig_t()
        config.backend = choice("backend", Backend, backend)
        config.device = index(device)
        config.numThreads = index(threads)
        self._owned: Owned | None = None
        self._owned = Owned(_capi.fp6llmCreateWithConfig(config), _native.fp6llmDestroy)
        self._lock = threading.Lock()
        self._stream: int | None = None
        self._active_stream: int | None = None
        self.workspace: Any = None
        self.device = (int(_capi.fp6llmGetBackend(self._owned.pointer)), int(device))

    def close(self) -> None:
        """Frees the handle; a call that runs in another thread ends first. Its weights live on."""
        self._owned = None
        self.workspace = None

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._owned is None

    def __enter__(self) -> Handle:
        self._alive()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a Handle cannot be copied or pickled")

    def __repr__(self) -> str:
        if self.closed:
            return "<fp6llm.Handle closed>"
        return f"<fp6llm.Handle {_arrays.device_name(self.device)}>"

    @property
    def backend(self) -> Backend:
        """Backend.CPU or Backend.CUDA."""
        return Backend(self.device[0])

    @property
    def threads(self) -> int:
        """Threads that CPU work uses, the caller's included; results do not depend on it."""
        with self._lock:
            return _native.fp6llmGetNumThreads(self._alive().pointer)

    @threads.setter
    def threads(self, threads: int) -> None:
        with self._lock:
            _native.fp6llmSetNumThreads(self._alive().pointer, index(threads))

    @property
    def stream(self) -> int | None:
        """The CUDA stream, as an address, that all calls run on. None, the default, means the stream of
        the arrays: PyTorch's current one, or what __cuda_array_interface__ tells."""
        return self._stream

    @stream.setter
    def stream(self, stream: int | None) -> None:
        with self._lock:
            _native.fp6llmSetStream(self._alive().pointer, stream)
            self._stream = self._active_stream = stream

    def set_workspace(self, workspace: Any) -> None:
        """Lends memory for multiplications, which then allocate nothing; None takes it back.

        `workspace`: a writable, contiguous uint8 array on the handle's device, at an address that is a
        multiple of 64. It is referenced until replaced.
        """
        address, size = None, 0
        if workspace is not None:
            lent = _arrays.view("workspace", workspace, self._stream)
            self.check_device("workspace", lent)
            if lent.data_type != _arrays.UINT8 or not lent.is_contiguous() or not lent.writable:
                raise TypeError("workspace must be a writable contiguous uint8 array")
            address, size = lent.address, lent.size
            workspace = lent
        with self._lock:
            _native.fp6llmSetWorkspace(self._alive().pointer, address, size)
            self.workspace = workspace

    def check_device(self, name: str, array: _arrays.View) -> None:
        """Raises InvalidValueError if an array is not on this handle's device."""
        if array.device != self.device:
            raise InvalidValueError(
                f"{name} is on {_arrays.device_name(array.device)}, the handle works on "
                f"{_arrays.device_name(self.device)}"
            )

    def _alive(self) -> Owned:
        owned = self._owned
        if owned is None:
            raise NotInitializedError("the handle is closed")
        return owned

    def _enter(self, *arrays: _arrays.View | None) -> Owned:
        """Takes the lock for a call with these arrays, which release() gives back, and on CUDA chooses
        the call's stream and makes it wait for the streams that the arrays come from."""
        owned = self._alive()
        self._lock.acquire()
        if self.device[0] == _CUDA:
            try:
                self._choose_stream(owned, arrays)
            except BaseException:
                self._lock.release()
                raise
        return owned

    def _choose_stream(self, owned: Owned, arrays: tuple[_arrays.View | None, ...]) -> None:
        producers = [a.stream for a in arrays if a is not None and a.stream is not None]
        stream = self._stream
        if stream is None:
            stream = producers[0] if producers else 0
        for producer in set(producers):
            if producer != stream:
                _driver.wait(self.device[1], stream, producer)
        if stream != (self._active_stream or 0):
            _native.fp6llmSetStream(owned.pointer, stream)
            self._active_stream = stream

    def _device_factors(self, owned: Owned, on_device: bool) -> None:
        mode = PointerMode.DEVICE if on_device else PointerMode.HOST
        _native.fp6llmSetPointerMode(owned.pointer, mode)


def requested_stream(handle: Handle | None) -> int | None:
    """The stream that a call with this `handle` argument runs on, if that is known before its arrays are."""
    if handle is None:
        return None
    if not isinstance(handle, Handle):
        raise TypeError(f"handle must be a Handle, not {type(handle).__name__}")
    return handle._stream


_local = threading.local()


def default_handle(device: tuple[int, int] = _arrays.CPU) -> Handle:
    """The calling thread's own handle of a device, made at the first use."""
    try:
        handles = _local.handles
    except AttributeError:
        handles = _local.handles = {}
    handle = handles.get(device)
    if handle is None or handle._owned is None:
        handle = handles[device] = Handle(Backend(device[0]), device[1])
    return handle
