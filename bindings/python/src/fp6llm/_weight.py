"""Weight: a quantized matrix, prepacked for one kind of processor, and its linear layer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _arrays, _capi, _multiply
from ._enums import Activation, Backend, ComputeType, DataType, PackedLayout, ScaleMode
from ._handle import Handle, Owned, default_handle, requested_stream
from ._options import choice, matrix_shape
from ._quantize import (
    QuantConfig,
    Quantized,
    check_writable,
    make_config,
    matrix,
    plain,
    plain_arguments,
    plain_output,
)
from .errors import InvalidValueError

if TYPE_CHECKING:
    from typing import Unpack

    from ._quantize import QuantOptions

_native = _capi._native


class Weight:
    """An immutable [rows, cols] = [OC, IC] matrix in FP6 (or 5 or 4 bits), ready to multiply with.

    Made by from_float(), from_codes(), from_packed(), from_blob(). Threads and handles of its device may
    share it. Calls run on the handle that it was made with, if one was given, and otherwise on the calling
    thread's default handle. It outlives its handle: once that is closed, pass another one to the calls.
    Works as a context manager; close() may be called twice.
    """

    __slots__ = ("__weakref__", "_handle", "_maker", "_owned", "config", "device", "info", "shape")

    #: (rows, cols)
    shape: tuple[int, int]
    #: (Backend, ordinal)
    device: tuple[int, int]
    #: Format, scale mode, group size, scale type, and the compute_hint that its memory is laid out for: None
    #: where that is for all, whatever hint it was made with. The other fields have their defaults.
    config: QuantConfig
    #: What C says of it: layout, bytes, isView, ...
    info: _capi.fp6llmWeightInfo_t
    _owned: Owned | None
    _handle: Handle | None
    _maker: _arrays.Maker

    def __init__(self) -> None:
        raise TypeError("use Weight.from_float, from_codes, from_packed or from_blob")

    @classmethod
    def _made(cls, pointer: Any, handle: Handle | None, like: _arrays.View, keep: Any = None) -> Weight:
        """Takes over a pointer; `keep` is the blob that it needs."""
        self = cls._adopt(pointer, keep)
        self._handle = handle
        # Makes what exports return. Not the array itself, which would stay in memory.
        self._maker = _arrays.maker(like)
        return self

    @classmethod
    def _adopt(cls, pointer: Any, keep: Any = None) -> Weight:
        self = object.__new__(cls)
        self._owned = Owned(pointer, _native.fp6llmWeightDestroy, keep)
        self._handle = None
        self._maker = _arrays.HOST
        info = _native.fp6llmWeightGetInfo(pointer)
        self.info = info
        self.shape = (info.rows, info.cols)
        self.device = (info.backend, info.device)
        self.config = QuantConfig(
            DataType(info.format),
            ScaleMode(info.scaleMode),
            info.groupSize,
            None if info.scaleMode == ScaleMode.MX else DataType(info.scaleType),
            compute_hint=ComputeType(info.computeHint) if info.computeHint else None,
        )
        return self

    @classmethod
    def from_float(
        cls,
        w: Any,
        config: QuantConfig | None = None,
        *,
        handle: Handle | None = None,
        **options: Unpack[QuantOptions],
    ) -> Weight:
        """Quantizes and prepacks a float matrix; arguments and errors as for quantize()."""
        config = make_config(config, options)
        read = matrix("w", w, requested_stream(handle))
        on = default_handle(read.array.device) if handle is None else handle
        on.check_device("w", read.array)
        owned = on._enter(read.array)
        try:
            pointer = _native.fp6llmWeightCreate(
                owned.pointer, config._c, read.rows, read.cols, read.array.address,
                read.array.data_type, read.ld,
            )  # fmt: skip
        finally:
            on._lock.release()
        return cls._made(pointer, handle, read.array)

    @classmethod
    def from_codes(
        cls,
        codes: Any,
        scales: Any = None,
        shape: tuple[int, int] | None = None,
        config: QuantConfig | None = None,
        *,
        handle: Handle | None = None,
        **options: Unpack[QuantOptions],
    ) -> Weight:
        """Prepacks plain codes and scales, which are copied; arguments as for dequantize()."""
        read = plain_arguments(codes, scales, shape, config, options, handle)
        on, _, config, rows, cols, code_view, scale_view = read
        owned = on._enter(code_view, scale_view)
        try:
            pointer = _native.fp6llmWeightCreateFromCodes(
                owned.pointer, config._c, rows, cols, code_view.address, scale_view.address
            )
        finally:
            on._lock.release()
        return cls._made(pointer, handle, code_view)

    @classmethod
    def from_packed(
        cls,
        layout: str | PackedLayout,
        packed: Any,
        scales: Any,
        shape: tuple[int, int],
        config: QuantConfig | None = None,
        *,
        handle: Handle | None = None,
        **options: Unpack[QuantOptions],
    ) -> Weight:
        """Prepacks a buffer in a published layout.

        layout  "tc_fpx": the original fp6_llm's (arXiv 2401.14112); "split_4_2": the two planes of
                ZeroQuant(4+2) (arXiv 2312.08583)
        packed  uint8, contiguous, of the layout's size
        scales, shape, config, options, handle  as for from_codes(); the original fp6_llm has float16
                row scales: scale_type="float16"

        Raises NotSupportedError for a format or shape that the layout cannot hold.
        """
        number = choice("layout", PackedLayout, layout)
        config = make_config(config, options)
        rows, cols = matrix_shape(shape)
        stream = requested_stream(handle)
        size, _ = _native.fp6llmPackedGetSizes(number, config._c, rows, cols)
        packed_view = plain("packed", packed, (size,), _arrays.UINT8, stream)
        scale_view = plain("scales", scales, config.scale_shape(rows, cols), config.scale_data_type, stream)
        on = default_handle(packed_view.device) if handle is None else handle
        on.check_device("packed", packed_view)
        on.check_device("scales", scale_view)
        owned = on._enter(packed_view, scale_view)
        try:
            pointer = _native.fp6llmWeightCreateFromPacked(
                owned.pointer, number, config._c, rows, cols, packed_view.address, scale_view.address
            )
        finally:
            on._lock.release()
        return cls._made(pointer, handle, packed_view)

    @classmethod
    def from_blob(cls, blob: Any, *, handle: Handle | None = None) -> Weight:
        """A weight over a blob, without a copy. The blob is referenced, and must not change.

        blob  uint8, contiguous, at an address that is a multiple of 64: from to_blob() or pack_blob() of
              this version and kind of processor, an array or a memory map. It is checked.
        """
        view = _arrays.view("blob", blob, requested_stream(handle))
        if view.data_type != _arrays.UINT8 or not view.is_contiguous():
            raise TypeError("blob must be a contiguous uint8 array")
        on = default_handle(view.device) if handle is None else handle
        on.check_device("blob", view)
        owned = on._enter(view)
        try:
            pointer = _native.fp6llmWeightCreateView(owned.pointer, view.address, view.size)
        finally:
            on._lock.release()
        return cls._made(pointer, handle, view, view)

    @classmethod
    def load_blob(cls, path: str | os.PathLike[str], *, handle: Handle | None = None) -> Weight:
        """A weight over a file that save_blob() wrote, mapped: processes that load it share its memory."""
        if os.path.getsize(path) == 0:
            raise InvalidValueError(f"{os.fspath(path)} is empty")
        mapped = _arrays.numpy.memmap(path, _arrays.numpy.uint8, "r")
        return cls.from_blob(mapped, handle=handle)

    def save_blob(self, path: str | os.PathLike[str], *, handle: Handle | None = None) -> None:
        """Writes the blob of a CPU weight as a file, whole or not at all. A cache: blobs belong to one
        version of the library and one kind of processor. Store to_codes()."""
        blob = self.to_blob(handle=handle)
        if self.device[0] != Backend.CPU:
            raise InvalidValueError("save_blob() takes a weight of the CPU")
        partial = f"{os.fspath(path)}.{os.getpid()}.partial"
        try:
            with open(partial, "wb") as file:
                file.write(memoryview(blob))
            os.replace(partial, path)
        except BaseException:
            if os.path.exists(partial):
                os.unlink(partial)
            raise

    def close(self) -> None:
        """Frees the weight, after calls that use it in other threads; a blob stays its owner's."""
        self._owned = None

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._owned is None

    def __enter__(self) -> Weight:
        self._alive()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a Weight cannot be copied or pickled; what to_codes() returns can")

    def __repr__(self) -> str:
        rows, cols = self.shape
        state = " closed" if self.closed else ""
        kind = f"{self.config.format.name[5:].lower()} {self.config.scale.name.lower()}"
        return (
            f"<fp6llm.Weight{state} [{rows}, {cols}] {kind} on {_arrays.device_name(self.device)}, "
            f"{self.nbytes} bytes>"
        )

    @property
    def rows(self) -> int:
        """Output channels, OC."""
        return self.shape[0]

    @property
    def cols(self) -> int:
        """Input channels, IC."""
        return self.shape[1]

    @property
    def format(self) -> DataType:
        """The number format; tells what "auto" chose."""
        return self.config.format

    @property
    def nbytes(self) -> int:
        """Bytes held on the device: packed codes, scales, padding."""
        return self.info.bytes

    @property
    def layout(self) -> str:
        """Name and version of the internal layout, such as "cpu-s16/1"."""
        return self.info.layout

    def _alive(self) -> Owned:
        owned = self._owned
        if owned is None:
            raise InvalidValueError("the weight is closed")
        return owned

    def _on(self, handle: Handle | None) -> Handle:
        """The handle to run on, of this weight's device."""
        if handle is None:
            handle = self._handle
            if handle is None:
                return default_handle(self.device)
        elif not isinstance(handle, Handle):
            raise TypeError(f"handle must be a Handle, not {type(handle).__name__}")
        if handle.device != self.device:
            raise InvalidValueError(
                f"the weight is on {_arrays.device_name(self.device)}, the handle works on "
                f"{_arrays.device_name(handle.device)}"
            )
        return handle

    def to_codes(self, *, codes: Any = None, scales: Any = None, handle: Handle | None = None) -> Quantized:
        """The plain codes and scales, bit for bit as the weight was made from them: what to store.

        codes, scales  arrays to write to; else they are made, of the kind the weight was made from
        """
        weight = self._alive()
        on = self._on(handle)
        rows, cols = self.shape
        codes, code_view = plain_output(
            "codes", codes, self._maker, self.config.code_shape(rows, cols), _arrays.UINT8, on.stream
        )
        scales, scale_view = plain_output(
            "scales", scales, self._maker, self.config.scale_shape(rows, cols),
            self.config.scale_data_type, on.stream,
        )  # fmt: skip
        on.check_device("codes", code_view)
        on.check_device("scales", scale_view)
        owned = on._enter(code_view, scale_view)
        try:
            _native.fp6llmWeightExportCodes(
                owned.pointer, weight.pointer, code_view.address, scale_view.address
            )
        finally:
            on._lock.release()
        return Quantized(codes, scales, self.shape, self.config)

    def to_packed(self, layout: str | PackedLayout, *, handle: Handle | None = None) -> tuple[Any, Any]:
        """(packed, scales) in a published layout; `packed` is flat uint8. As from_packed()."""
        weight = self._alive()
        on = self._on(handle)
        number = choice("layout", PackedLayout, layout)
        rows, cols = self.shape
        size, _ = _native.fp6llmPackedGetSizes(number, self.config._c, rows, cols)
        packed, packed_view = plain_output("packed", None, self._maker, (size,), _arrays.UINT8)
        scales, scale_view = plain_output(
            "scales", None, self._maker, self.config.scale_shape(rows, cols),
            self.config.scale_data_type,
        )  # fmt: skip
        owned = on._enter(packed_view, scale_view)
        try:
            _native.fp6llmWeightExportPacked(
                owned.pointer, weight.pointer, number, packed_view.address, scale_view.address
            )
        finally:
            on._lock.release()
        return packed, scales

    def to_blob(self, *, handle: Handle | None = None) -> Any:
        """The weight as one uint8 array, for from_blob() on this kind of processor."""
        return pack_blob(self.to_codes(handle=handle), handle=self._on(handle))

    def linear(
        self,
        x: Any,
        *,
        bias: Any = None,
        activation: str | Activation | None = None,
        residual: Any = None,
        out: Any = None,
        dtype: Any = None,
        compute: str | ComputeType | None = None,
        handle: Handle | None = None,
    ) -> Any:
        """A linear layer: activation(x @ W.T + bias) + residual.

        x           [..., cols], float32, float16 or bfloat16, on the weight's device; unit stride along
                    cols, and the other axes must fold into one
        bias        [rows], any of the three types
        activation  "relu", "gelu" (erf), "gelu_tanh", "silu"
        residual    [..., rows], any of the three types; may be `out`
        out         [..., rows], float32 or x's type, to write to; else it is made, of x's kind
        dtype       of a new output: x's, if None, or "float32"
        compute     None: exact products, fp32 sums. "fast_16f", "fast_16bf", "fast_16i", "fast_8i"
                    permit rounding activations where that is faster (ComputeType has the errors)
        handle      the weight's, or the calling thread's default handle

        Returns `out` or the new array. Raises TypeError for wrong types, InvalidValueError for wrong
        shapes, strides and devices, NotSupportedError for a compute type that the backend lacks.
        """
        if type(x) is _arrays.numpy.ndarray and (
            bias is None and activation is None and residual is None and dtype is None and compute is None
        ):
            made = _multiply.linear_of_numpy(self, x, out, handle)
            if made is not None:
                return made
        return _multiply.linear(self, x, bias, activation, residual, out, dtype, compute, self._on(handle))


def pack_blob(
    codes: Any,
    scales: Any = None,
    shape: tuple[int, int] | None = None,
    config: QuantConfig | None = None,
    *,
    out: Any = None,
    handle: Handle | None = None,
    **options: Unpack[QuantOptions],
) -> Any:
    """Prepacks plain codes and scales into one uint8 array, a blob, for Weight.from_blob().

    Arguments as for dequantize(). `out` must be at an address that is a multiple of 64.
    """
    read = plain_arguments(codes, scales, shape, config, options, handle)
    on, stream, config, rows, cols, code_view, scale_view = read
    owned = on._alive()
    size = _native.fp6llmWeightGetBlobSize(owned.pointer, config._c, rows, cols)
    maker = _arrays.maker(code_view)
    if out is None and maker is _arrays.HOST:
        out = _arrays.new_aligned_host(size, _capi.FP6LLM_BLOB_ALIGNMENT)
    elif out is None:
        out = maker.empty((size,), _arrays.UINT8)
    blob = plain("out", out, (size,), _arrays.UINT8, stream)
    check_writable("out", blob)
    on.check_device("out", blob)
    owned = on._enter(code_view, scale_view, blob)
    try:
        _native.fp6llmWeightPackBlob(
            owned.pointer, config._c, rows, cols, code_view.address, scale_view.address,
            blob.address, size,
        )  # fmt: skip
    finally:
        on._lock.release()
    return out
