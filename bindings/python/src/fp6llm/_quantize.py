"""QuantConfig, quantize() and dequantize(): float matrices to plain codes and scales, and back.

The plain format is the only one to store: codes are rows of an LSB-first bit stream, each padded to a byte.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from . import _arrays, _capi
from ._enums import ComputeType, DataType, MxScaleRule, NonFinite, Rounding, ScaleMode
from ._handle import Handle, default_handle, requested_stream
from ._options import COMPUTE_NAMES, choice, matrix_shape
from .errors import InvalidValueError

if TYPE_CHECKING:
    from typing import Unpack

    from ._weight import Weight

_native = _capi._native

_FORMATS = {
    "e3m2": int(DataType.R_6F_E3M2),
    "e2m3": int(DataType.R_6F_E2M3),
    "e2m2": int(DataType.R_5F_E2M2),
    "e3m1": int(DataType.R_5F_E3M1),
    "e2m1": int(DataType.R_4F_E2M1),
    "auto": int(DataType.R_6F_AUTO),
}
_BITS = {DataType.R_5F_E2M2: 5, DataType.R_5F_E3M1: 5, DataType.R_4F_E2M1: 4}
_MX_GROUP = 32


class QuantOptions(TypedDict, total=False):
    """The fields of QuantConfig, which every function that takes a config also takes by name."""

    format: str | DataType
    scale: str | ScaleMode
    group_size: int
    scale_type: Any
    rounding: str | Rounding
    mx_scale_rule: str | MxScaleRule
    non_finite: str | NonFinite
    scale_search: int
    compute_hint: str | ComputeType | None


@dataclass(frozen=True)
class QuantConfig:
    """How to quantize, and what given codes and scales mean. Every field takes a name or an enum's member.

    format         "e3m2", "e2m3" (6 bits), "e2m2", "e3m1" (5), "e2m1" (4), or "auto": E3M2 or E2M3,
                   whichever errs less
    scale          "row": one per row; "group": one per `group_size` columns; "mx": OCP MX, one power of
                   two per 32 columns
    group_size     for "group": a multiple of 8 in 16..4096
    scale_type     None: float32, for "mx" E8M0 bytes; "float16" for row and group scales
    rounding       "even", or "away": ties away from zero, as the papers' quantizer did
    mx_scale_rule  "floor" (OCP MX 1.0), "even" (AMD Quark), "rceil" (clips nothing)
    non_finite     NaN and infinity among the weights: "error" or "saturate"
    scale_search   0, or n in 1..64: n smaller scales are tried too, the least squared error wins
    compute_hint   None, or the compute type that most products with a weight will ask for, as in
                   Weight.linear(): a weight's memory is laid out for it. Codes and scales stay the same,
                   and every compute type works. Today it matters for "fast_8i" and E2M3, E2M2, E2M1 (row
                   scales, MX, groups of a multiple of 32) on CPUs with AVX2 and no AVX-512: int8 products
                   of few tokens get faster, others slower. Checkpoints do not keep it
    """

    format: DataType = DataType.R_6F_E3M2
    scale: ScaleMode = ScaleMode.ROW
    group_size: int = 0
    scale_type: int | None = None
    rounding: Rounding = Rounding.EVEN
    mx_scale_rule: MxScaleRule = MxScaleRule.FLOOR
    non_finite: NonFinite = NonFinite.ERROR
    scale_search: int = 0
    compute_hint: ComputeType | None = None

    def __init__(
        self,
        format: str | DataType = DataType.R_6F_E3M2,
        scale: str | ScaleMode = ScaleMode.ROW,
        group_size: int = 0,
        scale_type: Any = None,
        rounding: str | Rounding = Rounding.EVEN,
        mx_scale_rule: str | MxScaleRule = MxScaleRule.FLOOR,
        non_finite: str | NonFinite = NonFinite.ERROR,
        scale_search: int = 0,
        compute_hint: str | ComputeType | None = None,
    ) -> None:
        put = functools.partial(object.__setattr__, self)
        put("format", _member("format", DataType, format, _FORMATS))
        put("scale", _member("scale", ScaleMode, scale))
        put("group_size", index(group_size))
        if scale_type is not None:
            scale_type = DataType(_arrays.as_data_type("scale_type", scale_type))
        put("scale_type", scale_type)
        put("rounding", _member("rounding", Rounding, rounding))
        put("mx_scale_rule", _member("mx_scale_rule", MxScaleRule, mx_scale_rule))
        put("non_finite", _member("non_finite", NonFinite, non_finite))
        put("scale_search", index(scale_search))
        if compute_hint is not None:
            compute_hint = _member("compute_hint", ComputeType, compute_hint, COMPUTE_NAMES)
        put("compute_hint", compute_hint)
        # Fields of the wrong type are found now, not where the config is used.
        self._c  # noqa: B018

    @property
    def bits(self) -> int:
        """Bits per code: 4, 5 or 6."""
        return _BITS.get(self.format, 6)

    @property
    def scale_data_type(self) -> int:
        """The element type of the scales, as C has it."""
        if self.scale == ScaleMode.MX:
            return int(DataType.R_8F_UE8M0)
        return int(DataType.R_32F if self.scale_type is None else self.scale_type)

    def code_shape(self, rows: int, cols: int) -> tuple[int, int]:
        """Shape of the uint8 array of codes of a [rows, cols] matrix."""
        return rows, -(-cols * self.bits // 8)

    def scale_shape(self, rows: int, cols: int) -> tuple[int, ...]:
        """Shape of the array of scales: [rows], or [rows, groups]."""
        if self.scale == ScaleMode.ROW:
            return (rows,)
        return rows, -(-cols // (_MX_GROUP if self.scale == ScaleMode.MX else self.group_size))

    def sizes(self, rows: int, cols: int) -> tuple[int, int]:
        """Bytes of codes and scales; raises InvalidValueError if a field is wrong."""
        return _native.fp6llmQuantGetSizes(self._c, rows, cols)

    @functools.cached_property
    def _c(self) -> _capi.fp6llmQuantConfig_t:
        c = _capi.fp6llmQuantConfig_t()
        c.format = int(self.format)
        c.scaleMode = int(self.scale)
        c.groupSize = self.group_size
        c.scaleType = -1 if self.scale_type is None else int(self.scale_type)
        c.rounding = int(self.rounding)
        c.mxScaleRule = int(self.mx_scale_rule)
        c.nonFinite = int(self.non_finite)
        c.scaleSearch = self.scale_search
        c.computeHint = 0 if self.compute_hint is None else int(self.compute_hint)
        return c

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_c"}


def _member(option: str, enum: Any, value: Any, known: dict[str, int] | None = None) -> Any:
    number = choice(option, enum, value, known)
    try:
        return enum(number)
    except ValueError:
        raise InvalidValueError(f"{option} = {number} is no {enum.__name__}") from None


def make_config(config: QuantConfig | None, options: QuantOptions) -> QuantConfig:
    """A config with some fields replaced."""
    if config is not None and not isinstance(config, QuantConfig):
        raise TypeError(f"config must be a QuantConfig, not {type(config).__name__}")
    if config is None:
        return QuantConfig(**options)
    return replace(config, **options) if options else config


@dataclass(frozen=True)
class QuantStats:
    """What quantization did; errors are over the finite elements, against the input as fp32."""

    format: DataType
    mse: float
    signal: float
    max_abs_error: float
    saturated: int
    non_finite: int

    @property
    def snr_db(self) -> float:
        """Signal to noise in dB: 10 log10(signal / mse)."""
        if self.mse == 0:
            return math.inf
        return 10 * math.log10(self.signal / self.mse) if self.signal else -math.inf


@dataclass(frozen=True, eq=False)
class Quantized:
    """A matrix in the plain format.

    codes   uint8 [rows, ceil(cols * bits / 8)]
    scales  float32 or float16 [rows] or [rows, groups]; E8M0 bytes, as uint8, for "mx"
    shape   (rows, cols)
    config  what they mean; never "auto"
    stats   QuantStats, where they were asked for
    """

    codes: Any
    scales: Any
    shape: tuple[int, int]
    config: QuantConfig
    stats: QuantStats | None = None

    def dequantize(self, dtype: Any = "float32", *, out: Any = None, handle: Handle | None = None) -> Any:
        """As dequantize()."""
        return dequantize(self.codes, self.scales, self.shape, self.config, dtype=dtype, out=out, handle=handle)

    def to_weight(self, *, handle: Handle | None = None) -> Weight:
        """As Weight.from_codes()."""
        from ._weight import Weight

        return Weight.from_codes(self.codes, self.scales, self.shape, self.config, handle=handle)


class Matrix(NamedTuple):
    """A two-dimensional array whose rows lie `ld` elements apart."""

    array: _arrays.View
    rows: int
    cols: int
    ld: int


def matrix(name: str, array: Any, stream: int | None = None) -> Matrix:
    """Reads a float matrix whose last axis has unit stride."""
    read = _arrays.view(name, array, stream)
    check_float(name, read)
    if len(read.shape) != 2:
        raise InvalidValueError(f"{name} has shape {read.shape}; [rows, cols] is needed")
    rows, cols = read.shape
    ld = max(1, cols)
    if read.strides is not None and read.size:
        if cols > 1 and read.strides[1] != 1:
            raise InvalidValueError(f"{name} has strides {read.strides} in elements; the last must be 1")
        if rows > 1:
            ld = read.strides[0]
    return Matrix(read, rows, cols, ld)


def check_float(name: str, array: _arrays.View) -> None:
    """Raises TypeError unless the elements are floats that the library multiplies."""
    if array.data_type not in _arrays.FLOATS:
        raise TypeError(
            f"{name} has dtype {_arrays.type_name(array.data_type)}; {_arrays.FLOATS_TEXT} is needed"
        )


def check_writable(name: str, array: _arrays.View) -> None:
    """Raises InvalidValueError for an output that must not be written."""
    if not array.writable:
        raise InvalidValueError(f"{name} is read-only")


def plain(
    name: str, array: Any, shape: tuple[int, ...], data_type: int, stream: int | None = None
) -> _arrays.View:
    """Reads codes or scales: contiguous, of the expected element type, and either of the expected shape or
    flat with as many elements. E8M0 scales and codes may be uint8."""
    read = _arrays.view(name, array, stream)
    types = {data_type, _arrays.UINT8} if data_type == DataType.R_8F_UE8M0 else {data_type}
    if read.data_type not in types:
        needed = "uint8" if _arrays.UINT8 in types else _arrays.type_name(data_type)
        raise TypeError(f"{name} has dtype {_arrays.type_name(read.data_type)}; {needed} is needed")
    if read.shape != shape and read.shape != (math.prod(shape),):
        raise InvalidValueError(f"{name} has shape {read.shape}; {shape} is needed")
    if not read.is_contiguous():
        raise InvalidValueError(f"{name} is not contiguous: its strides are {read.strides} in elements")
    return read


def plain_output(
    name: str,
    array: Any,
    maker: _arrays.Maker,
    shape: tuple[int, ...],
    data_type: int,
    stream: int | None = None,
) -> tuple[Any, _arrays.View]:
    """An output of codes or scales, given or new."""
    if array is None:
        stored = _arrays.UINT8 if data_type == DataType.R_8F_UE8M0 else data_type
        array = maker.empty(shape, stored)
    read = plain(name, array, shape, data_type, stream)
    check_writable(name, read)
    return array, read


def quantize(
    w: Any,
    config: QuantConfig | None = None,
    *,
    codes: Any = None,
    scales: Any = None,
    stats: bool = False,
    handle: Handle | None = None,
    **options: Unpack[QuantOptions],
) -> Quantized:
    """Quantizes a matrix by rounding to nearest (ZeroQuant(4+2) section 4; OCP MX 1.0 section 6.3).

    w       [rows, cols] = [OC, IC], float32, float16 or bfloat16; unit stride along cols
    config  and `options`: the fields of QuantConfig by name, quantize(w, format="auto", scale="mx")
    codes, scales  arrays to write to; else they are made, of w's kind and on its device
    stats   also measure the error
    handle  the calling thread's default handle of w's device, if None

    Raises InvalidValueError for wrong shapes, options and devices and for NaN or infinity with
    non_finite="error"; TypeError for wrong types.
    """
    config = make_config(config, options)
    stream = requested_stream(handle)
    read = matrix("w", w, stream)
    handle = default_handle(read.array.device) if handle is None else handle
    handle.check_device("w", read.array)
    config.sizes(read.rows, read.cols)
    code_shape = config.code_shape(read.rows, read.cols)
    scale_shape = config.scale_shape(read.rows, read.cols)
    maker = _arrays.maker(read.array)
    codes, code_view = plain_output("codes", codes, maker, code_shape, _arrays.UINT8, stream)
    scales, scale_view = plain_output("scales", scales, maker, scale_shape, config.scale_data_type, stream)
    handle.check_device("codes", code_view)
    handle.check_device("scales", scale_view)
    check_apart(("codes", code_view), ("w", read.array), ("scales", scale_view))
    check_apart(("scales", scale_view), ("w", read.array))
    measured = None
    if stats or config.format == DataType.R_6F_AUTO:
        measured = _capi.fp6llmQuantStats_t()
    owned = handle._enter(read.array, code_view, scale_view)
    try:
        _native.fp6llmQuantize(
            owned.pointer, config._c, read.rows, read.cols, read.array.address, read.array.data_type,
            read.ld, code_view.address, scale_view.address, measured,
        )  # fmt: skip
    finally:
        handle._lock.release()
    if config.format == DataType.R_6F_AUTO:
        # Without columns there is nothing to choose by.
        chosen = measured.format if measured.format != DataType.R_6F_AUTO else DataType.R_6F_E3M2
        config = replace(config, format=DataType(chosen or DataType.R_6F_E3M2))
    return Quantized(codes, scales, (read.rows, read.cols), config, _stats(measured, config) if stats else None)


def _stats(c: Any, config: QuantConfig) -> QuantStats:
    return QuantStats(config.format, c.mse, c.signal, c.maxAbsError, c.saturated, c.nonFinite)


def check_apart(output: tuple[str, _arrays.View], *inputs: tuple[str, _arrays.View]) -> None:
    """Raises InvalidValueError if an output overlaps another array in memory."""
    name, array = output
    first, last = array.bounds()
    for other_name, other in inputs:
        other_first, other_last = other.bounds()
        if first < other_last and other_first < last and not _side_by_side(array, other):
            raise InvalidValueError(f"{name} overlaps {other_name} in memory")


def _side_by_side(one: _arrays.View, two: _arrays.View) -> bool:
    """Whether two matrices are different columns of one larger matrix."""
    (one_bytes, one_distance), (two_bytes, two_distance) = _row_bytes(one), _row_bytes(two)
    if one_distance != two_distance or one_distance <= 0:
        return False
    offset = (two.address - one.address) % one_distance
    return offset >= one_bytes and one_distance - offset >= two_bytes


def _row_bytes(array: _arrays.View) -> tuple[int, int]:
    """Bytes of a matrix's row and from one row to the next; (0, 0) of what is no matrix of whole rows."""
    strides = array.strides
    if strides is None or len(strides) != 2 or strides[1] != 1:
        return 0, 0
    item = _arrays.ITEM_SIZES[array.data_type]
    return item * array.shape[1], item * strides[0]


def dequantize(
    codes: Any,
    scales: Any = None,
    shape: tuple[int, int] | None = None,
    config: QuantConfig | None = None,
    *,
    dtype: Any = "float32",
    out: Any = None,
    handle: Handle | None = None,
    **options: Unpack[QuantOptions],
) -> Any:
    """The matrix that codes and scales stand for: value(code) * scale, rounded once to `dtype`.

    codes   a Quantized, which then is all that is needed; or uint8 [rows, ceil(cols * bits / 8)]
    scales  [rows] or [rows, groups]
    shape   (rows, cols)
    config  and `options`: as they were quantized; "auto" is invalid
    dtype   float32, float16 or bfloat16, by name, NumPy or PyTorch dtype; ignored with `out`
    out     [rows, cols] to write to, unit stride along cols; else it is made, of codes' kind
    handle  the calling thread's default handle of codes' device, if None
    """
    read = plain_arguments(codes, scales, shape, config, options, handle)
    handle, stream, config, rows, cols, code_view, scale_view = read
    if out is None:
        data_type = _arrays.as_data_type("dtype", dtype)
        out = _arrays.maker(code_view).empty((rows, cols), data_type)
    written = matrix("out", out, stream)
    if (written.rows, written.cols) != (rows, cols):
        raise InvalidValueError(f"out has shape {written.array.shape}; {(rows, cols)} is needed")
    check_writable("out", written.array)
    handle.check_device("out", written.array)
    check_apart(("out", written.array), ("codes", code_view), ("scales", scale_view))
    owned = handle._enter(code_view, scale_view, written.array)
    try:
        _native.fp6llmDequantize(
            owned.pointer, config._c, rows, cols, code_view.address, scale_view.address,
            written.array.address, written.array.data_type, written.ld,
        )  # fmt: skip
    finally:
        handle._lock.release()
    return out


class PlainArguments(NamedTuple):
    """Plain codes and scales that a call reads, checked, on the handle's device."""

    handle: Handle
    stream: int | None
    config: QuantConfig
    rows: int
    cols: int
    codes: _arrays.View
    scales: _arrays.View


def plain_arguments(
    codes: Any, scales: Any, shape: Any, config: QuantConfig | None, options: Any, handle: Handle | None
) -> PlainArguments:
    """The arguments of dequantize() and of all that reads what it reads."""
    if isinstance(codes, Quantized):
        if scales is not None or shape is not None or config is not None or options:
            raise TypeError("a Quantized has its own scales, shape and config")
        codes, scales, shape, config = codes.codes, codes.scales, codes.shape, codes.config
    config = make_config(config, options)
    rows, cols = matrix_shape(shape)
    stream = requested_stream(handle)
    config.sizes(rows, cols)
    code_view = plain("codes", codes, config.code_shape(rows, cols), _arrays.UINT8, stream)
    scale_view = plain("scales", scales, config.scale_shape(rows, cols), config.scale_data_type, stream)
    on = default_handle(code_view.device) if handle is None else handle
    on.check_device("codes", code_view)
    on.check_device("scales", scale_view)
    return PlainArguments(on, stream, config, rows, cols, code_view, scale_view)
