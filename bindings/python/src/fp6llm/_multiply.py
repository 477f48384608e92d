"""linear(), gemm() and gemm_grouped(): row-major activations times a weight.

C's multiplication is column-major; a row-major [n, k] array *is* a column-major [k, n] one, so nothing is
copied or transposed on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Any

import numpy

from . import _arrays, _capi
from ._enums import Activation, Backend, ComputeType, DataType, Operation
from ._handle import Handle
from ._options import COMPUTE_NAMES, choice, size
from ._quantize import check_apart, check_float, check_writable
from .errors import InvalidValueError

if TYPE_CHECKING:
    from ._weight import Weight

_native = _capi._native

# As integers: looking up an enumeration's member takes as long as a call.
_CPU, _CUDA = int(Backend.CPU), int(Backend.CUDA)
_N, _T = int(Operation.N), int(Operation.T)


def _compute(compute: str | ComputeType | None) -> int:
    if compute is None:
        return int(ComputeType.COMPUTE_32F)
    return choice("compute", ComputeType, compute, COMPUTE_NAMES)


def _rows(name: str, array: _arrays.View, cols: int, of: str) -> tuple[int, int]:
    """(rows, elements between two rows) of an array [..., cols] whose leading axes fold into one."""
    shape = array.shape
    if not shape or shape[-1] != cols:
        raise InvalidValueError(f"{name} has shape {tuple(shape)}; its last axis must be {of} = {cols}")
    count = 1
    for extent in shape[:-1]:
        count *= extent
    strides = array.strides
    if strides is None or count * cols == 0:
        return count, max(1, cols)
    if cols > 1 and strides[-1] != 1:
        raise InvalidValueError(f"{name} has strides {strides} in elements; the last must be 1")
    distance = None
    expected = 0
    for extent, stride in zip(reversed(shape[:-1]), reversed(strides[:-1])):
        if extent == 1:
            continue
        if distance is None:
            distance = stride
        elif stride != expected:
            raise InvalidValueError(
                f"{name} has strides {strides} in elements, in which its leading axes do not fold into one"
            )
        expected = stride * extent
    return count, max(1, cols) if distance is None else distance


def _output(
    out: Any,
    dtype: Any,
    x: _arrays.View,
    shape: tuple[int, ...],
    stream: int | None,
) -> tuple[Any, _arrays.View]:
    """The output, given or new beside `x`."""
    if out is None:
        data_type = x.data_type if dtype is None else _arrays.as_data_type("dtype", dtype)
        out = _arrays.maker(x).empty(shape, data_type)
    elif dtype is not None:
        raise TypeError("dtype is of a new output; `out` has its own")
    written = _arrays.view("out", out, stream)
    check_float("out", written)
    check_writable("out", written)
    if written.shape != shape:
        raise InvalidValueError(f"out has shape {written.shape}; {shape} is needed")
    return out, written


def linear_of_numpy(weight: Weight, x: Any, out: Any, handle: Handle | None) -> Any:
    """The short way of linear() for what is called most: NumPy arrays in C order, nothing but the product.

    None where it is not that, or is wrong: linear() then says what.
    """
    data_type = _arrays.numpy_types.get(x.dtype)
    shape = x.shape
    rows, cols = weight.shape
    handle = weight._on(handle)
    if (
        data_type not in _arrays.FLOATS
        or not shape
        or shape[-1] != cols
        or cols == 0
        or not x.flags.c_contiguous
        or handle.device[0] != _CPU
    ):
        return None
    held = weight._alive()
    shape = shape[:-1] + (rows,)
    address = _arrays.buffer_address(x)
    if out is None:
        out = numpy.empty(shape, x.dtype)
        out_address = _arrays.buffer_address(out)
    else:
        if type(out) is not numpy.ndarray or out.dtype != x.dtype or out.shape != shape:
            return None
        flags = out.flags
        out_address = _arrays.buffer_address(out)
        if (
            not flags.c_contiguous
            or not flags.writeable
            or (out_address < address + x.nbytes and address < out_address + out.nbytes)
        ):
            return None
    owned = handle._alive()
    with handle._lock:
        _native.fp6llmLinear(
            owned.pointer, x.size // cols, address, data_type, cols, held.pointer, None, out_address,
            data_type, rows or 1,
        )  # fmt: skip
    return out


def linear(
    weight: Weight,
    x: Any,
    bias: Any,
    activation: str | Activation | None,
    residual: Any,
    out: Any,
    dtype: Any,
    compute: str | ComputeType | None,
    handle: Handle,
) -> Any:
    """Weight.linear(), which documents it."""
    held = weight._alive()
    stream = handle._stream
    rows, cols = weight.shape
    read = _arrays.view("x", x, stream)
    check_float("x", read)
    tokens, ldx = _rows("x", read, cols, "cols")
    handle.check_device("x", read)
    given = out
    out, written = _output(out, dtype, read, (*read.shape[:-1], rows), stream)
    _, ldy = _rows("out", written, rows, "rows")
    if given is not None:
        handle.check_device("out", written)
        check_apart(("out", written), ("x", read))
    epilogue = bias_view = residual_view = None
    if bias is not None or activation is not None or residual is not None or compute is not None:
        # By the low level's own functions: its class takes microseconds to set an attribute.
        epilogue = _native.new_fp6llmEpilogue_t()
        if activation is not None:
            kind = choice("activation", Activation, activation)
            _native.fp6llmEpilogue_t_activation_set(epilogue, kind)
        _native.fp6llmEpilogue_t_computeType_set(epilogue, _compute(compute))
        if bias is not None:
            bias_view = _arrays.view("bias", bias, stream)
            check_float("bias", bias_view)
            handle.check_device("bias", bias_view)
            if bias_view.shape != (rows,) or not bias_view.is_contiguous():
                raise InvalidValueError(f"bias has shape {bias_view.shape}; a contiguous {(rows,)} is needed")
            _native.fp6llmEpilogue_t_bias_set(epilogue, bias_view.address)
            _native.fp6llmEpilogue_t_biasType_set(epilogue, bias_view.data_type)
        if residual is not None:
            residual_view = _arrays.view("residual", residual, stream)
            check_float("residual", residual_view)
            handle.check_device("residual", residual_view)
            if residual_view.shape != written.shape:
                raise InvalidValueError(f"residual has shape {residual_view.shape}; {written.shape} is needed")
            _, ldr = _rows("residual", residual_view, rows, "rows")
            _native.fp6llmEpilogue_t_residual_set(epilogue, residual_view.address)
            _native.fp6llmEpilogue_t_residualType_set(epilogue, residual_view.data_type)
            _native.fp6llmEpilogue_t_ldr_set(epilogue, ldr)
            _check_residual(written, ldy, residual_view, ldr)
    owned = handle._enter(read, written, bias_view, residual_view)
    try:
        _native.fp6llmLinear(
            owned.pointer, tokens, read.address, read.data_type, ldx, held.pointer, epilogue,
            written.address, written.data_type, ldy,
        )  # fmt: skip
    finally:
        handle._lock.release()
    return out


def _check_residual(written: _arrays.View, ldy: int, residual: _arrays.View, ldr: int) -> None:
    """A residual may be the output itself, but not another part of its memory."""
    same = (residual.address, residual.data_type, ldr) == (written.address, written.data_type, ldy)
    if not same:
        check_apart(("out", written), ("residual", residual))


def _operand(name: str, array: _arrays.View, transposed: bool) -> tuple[int, int, int, int]:
    """(rows, cols, C's operation, leading dimension) of a row-major factor [rows, cols].

    Unit stride along the last axis is C's N, along the first C's T.
    """
    if len(array.shape) != 2:
        raise InvalidValueError(f"{name} has shape {array.shape}; two axes are needed")
    (rows, cols), strides = array.shape, array.strides
    if strides is None:
        strides = (max(1, cols), 1)
    if transposed:
        rows, cols, strides = cols, rows, strides[::-1]
    if array.size == 0:
        return rows, cols, _N, max(1, cols)
    if cols == 1 or strides[1] == 1:
        return rows, cols, _N, strides[0] if rows > 1 else max(1, cols)
    if rows == 1 or strides[0] == 1:
        return rows, cols, _T, strides[1] if cols > 1 else max(1, rows)
    raise InvalidValueError(f"{name} has strides {array.strides} in elements; one of them must be 1")


def gemm(
    x: Any,
    weight: Weight,
    *,
    alpha: Any = 1.0,
    beta: Any = 0.0,
    transpose_x: bool = False,
    transpose_weight: bool = True,
    out: Any = None,
    dtype: Any = None,
    compute: str | ComputeType | None = None,
    algo: int = -1,
    handle: Handle | None = None,
) -> Any:
    """out = alpha * op(x) @ op(weight) + beta * out; by default x @ weight.T, a linear layer.

    x                 [n, k], or [k, n] with transpose_x; float32, float16 or bfloat16, unit stride along
                      one of its axes
    weight            [rows, cols]; transposed k = cols and out has rows columns; not transposed k = rows,
                      which decodes the weight anew for every 64 rows of out
    alpha, beta       numbers; on CUDA also both arrays of one float32 on the device. beta == 0 never reads
                      `out`, which must be given otherwise
    out               [n, m], float32 or x's type, unit stride along m; else it is made, of x's kind
    dtype, compute    as for Weight.linear()
    algo              a kernel of algorithms(), -1 for the best
    handle            the weight's, or the calling thread's default handle

    Returns `out` or the new array. Errors as for Weight.linear().
    """
    held, handle = _weight(weight, handle)
    algo = index(algo)
    stream = handle._stream
    read = _arrays.view("x", x, stream)
    check_float("x", read)
    handle.check_device("x", read)
    n, k, operation, ldb = _operand("x", read, transpose_x)
    m = _check_inner(weight, transpose_weight, k)
    factors = _factors(alpha, beta, handle)
    if out is None and factors[1] != 0.0:
        raise InvalidValueError("beta is not 0, so `out` must be given")
    given = out
    out, written = _output(out, dtype, read, (n, m), stream)
    _, ldc = _rows("out", written, m, "m")
    if given is not None:
        handle.check_device("out", written)
        check_apart(("out", written), ("x", read))
    compute_type = _compute(compute)
    on_device = isinstance(factors[0], _arrays.View)
    owned = handle._enter(read, written, *(factors if on_device else ()))
    try:
        if on_device:
            handle._device_factors(owned, True)
            factors = (factors[0].address, factors[1].address)
        _native.fp6llmGemmEx(
            owned.pointer, _T if transpose_weight else _N, operation, m, n, k,
            factors[0], held.pointer, read.address, read.data_type, ldb, factors[1],
            written.address, written.data_type, ldc, compute_type, algo,
        )  # fmt: skip
    finally:
        if on_device:
            handle._device_factors(owned, False)
        handle._lock.release()
    return out


def gemm_grouped(
    x: Any,
    weights: Sequence[Weight | None],
    offsets: Any,
    *,
    alpha: float = 1.0,
    beta: float = 0.0,
    out: Any = None,
    dtype: Any = None,
    compute: str | ComputeType | None = None,
    handle: Handle | None = None,
) -> Any:
    """One linear layer per group, as a mixture of experts needs: rows offsets[g] .. offsets[g + 1] - 1 of
    `out` are alpha * x @ weights[g].T + beta * out of the same rows.

    x        [n, cols], the tokens sorted by expert; unit stride along cols
    weights  of one shape; None where a group has no rows
    offsets  int64 [groups + 1], ascending from 0, contiguous, on the device; rows of `out` beyond the last
             stay as they are
    Other arguments and errors as for gemm().
    """
    first = next((weight for weight in weights if weight is not None), None)
    if first is None:
        raise InvalidValueError("weights holds no weight")
    _, handle = _weight(first, handle)
    held = []
    for position, weight in enumerate(weights):
        if weight is not None:
            held.append(_weight(weight, handle)[0])
            if weight.shape != first.shape:
                raise InvalidValueError(f"weights[{position}] has shape {weight.shape}, others {first.shape}")
        else:
            held.append(None)
    stream = handle._stream
    read = _arrays.view("x", x, stream)
    check_float("x", read)
    handle.check_device("x", read)
    if len(read.shape) != 2:
        raise InvalidValueError(f"x has shape {read.shape}; two axes are needed")
    n, ldb = _rows("x", read, first.cols, "cols")
    starts = _arrays.view("offsets", offsets, stream)
    handle.check_device("offsets", starts)
    if starts.data_type != _arrays.INT64:
        raise TypeError(f"offsets has dtype {_arrays.type_name(starts.data_type)}; int64 is needed")
    if starts.shape != (len(held) + 1,) or not starts.is_contiguous():
        raise InvalidValueError(f"offsets has shape {starts.shape}; a contiguous {(len(held) + 1,)} is needed")
    factors = (_number("alpha", alpha), _number("beta", beta))
    if out is None and factors[1] != 0.0:
        raise InvalidValueError("beta is not 0, so `out` must be given")
    given = out
    out, written = _output(out, dtype, read, (n, first.rows), stream)
    _, ldc = _rows("out", written, first.rows, "rows")
    if given is not None:
        handle.check_device("out", written)
        check_apart(("out", written), ("x", read))
    owned = handle._enter(read, written, starts)
    try:
        _native.fp6llmGemmGroupedEx(
            owned.pointer, len(held), _T, _N, first.rows, n, first.cols,
            starts.address, factors[0], [None if h is None else h.pointer for h in held],
            read.address, read.data_type, ldb, factors[1], written.address, written.data_type, ldc,
            _compute(compute), -1,
        )  # fmt: skip
    finally:
        handle._lock.release()
    return out


def algorithms(
    weight: Weight,
    tokens: int,
    *,
    dtype: Any = "float32",
    out_dtype: Any = None,
    compute: str | ComputeType | None = None,
    transpose_weight: bool = True,
    handle: Handle | None = None,
) -> list[_capi.fp6llmHeuristicResult_t]:
    """The kernels that can run gemm() on `tokens` rows of x, the one that algo -1 takes first: `name`,
    `algo`, `isReference`, `workspaceSize` in bytes."""
    held, handle = _weight(weight, handle)
    tokens = size("tokens", tokens)
    m, k = weight.shape if transpose_weight else weight.shape[::-1]
    x_type = _arrays.as_data_type("dtype", dtype)
    out_type = x_type if out_dtype is None else _arrays.as_data_type("out_dtype", out_dtype)
    owned = handle._enter()
    try:
        return _native.fp6llmGemmGetHeuristic(
            owned.pointer, _T if transpose_weight else _N, _N, m, tokens,
            k, held.pointer, x_type, out_type, _compute(compute), 64,
        )  # fmt: skip
    finally:
        handle._lock.release()


def _weight(weight: Weight, handle: Handle | None) -> tuple[Any, Handle]:
    """A weight's pointer, held, and the handle to run on."""
    from ._weight import Weight as Class

    if not isinstance(weight, Class):
        raise TypeError(f"weight must be a Weight, not {type(weight).__name__}")
    return weight._alive(), weight._on(handle)


def _check_inner(weight: Weight, transposed: bool, k: int) -> int:
    """Checks the shared extent and returns the other one of the weight."""
    m, inner = weight.shape if transposed else weight.shape[::-1]
    if k != inner:
        raise InvalidValueError(f"op(x) has {k} columns, op(weight) has {inner} rows")
    return m


def _number(name: str, value: Any) -> float:
    try:
        if isinstance(value, (str, bytes, bytearray)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}") from None


def _factors(alpha: Any, beta: Any, handle: Handle) -> tuple[Any, Any]:
    """alpha and beta as numbers, or both as views of device memory."""
    if handle.device[0] == _CUDA:
        read = [
            _arrays.view(name, value, handle._stream)
            if hasattr(value, "__cuda_array_interface__") or hasattr(value, "__dlpack__")
            else None
            for name, value in (("alpha", alpha), ("beta", beta))
        ]
        if any(r is not None and r.device == handle.device for r in read):
            for name, factor in zip(("alpha", "beta"), read):
                if (
                    factor is None
                    or factor.device != handle.device
                    or factor.data_type != DataType.R_32F
                    or factor.size != 1
                ):
                    raise TypeError(f"{name} must be one float32 on the device, as the other factor is")
            return tuple(read)
    return _number("alpha", alpha), _number("beta", beta)
