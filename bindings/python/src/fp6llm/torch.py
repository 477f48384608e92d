"""fp6llm for PyTorch: the operator torch.ops.fp6llm.linear, the module Linear, and quantize_(model).

    import fp6llm.torch
    fp6llm.torch.quantize_(model, format="auto")      # replaces every nn.Linear
    model = torch.compile(model)                      # the operator is one node of the graph

The operator takes tensors, the packed weight (a blob) among them, and numbers: no handle and no address is
baked into a graph. It runs on the CPU and on CUDA, there on PyTorch's current stream.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

try:
    import torch
    from torch import nn
except ImportError as error:
    raise ImportError("fp6llm.torch takes PyTorch 2.4 or newer: pip install torch") from error

from . import _capi
from ._enums import Backend, ComputeType, DataType, ScaleMode
from ._handle import default_handle
from ._multiply import _compute
from ._options import COMPUTE_NAMES
from ._quantize import QuantConfig, Quantized, _member, make_config, quantize
from ._weight import Weight, pack_blob
from .errors import InvalidValueError

if TYPE_CHECKING:
    from typing import Unpack

    from ._quantize import QuantOptions

__all__ = ["Linear", "linear", "quantize_"]

_native = _capi._native
_CUDA = int(Backend.CUDA)

_TYPES = {
    torch.float32: int(DataType.R_32F),
    torch.float16: int(DataType.R_16F),
    torch.bfloat16: int(DataType.R_16BF),
}
_TYPES_TEXT = "torch.float32, torch.float16 or torch.bfloat16"


# ---- What a blob holds, as an argument of operators: "e3m2:row:0:0" --------------------------------------


def _describe(config: QuantConfig) -> str:
    """Format, scale mode, group size and scale type as a string."""
    group_size = {ScaleMode.ROW: 0, ScaleMode.MX: 32}.get(config.scale, config.group_size)
    return f"{config.format.name[5:].lower()}:{config.scale.name.lower()}:{group_size}:{config.scale_data_type}"


def _config(description: str) -> QuantConfig:
    """The inverse of _describe()."""
    format_name, scale, group_size, scale_type = description.split(":")
    mx = scale == "mx"
    return QuantConfig(format_name, scale, int(group_size), None if mx else DataType(int(scale_type)))


# ---- The operator ---------------------------------------------------------------------------------------

_library = torch.library.Library("fp6llm", "DEF")
_library.define(
    "linear(Tensor x, Tensor blob, Tensor? bias, int rows, int cols, str config, ScalarType? dtype=None,"
    " str? compute=None) -> Tensor"
)
_library.define("linear_transposed(Tensor y, Tensor blob, int rows, int cols, str config) -> Tensor")

# Views of blobs, so that a blob's header is read once: on CUDA reading it waits for the device, which a
# graph capture forbids. A view counts for the tensor that it was made for, and goes with it.
_views: dict[tuple[Any, ...], tuple[Weight, weakref.ref[torch.Tensor]]] = {}


def _device(tensor: torch.Tensor) -> tuple[int, int]:
    if tensor.device.type == "cuda":
        return int(Backend.CUDA), tensor.device.index
    return int(Backend.CPU), 0


def _view(blob: torch.Tensor, rows: int, cols: int, config: str) -> Weight:
    address = blob.data_ptr()
    key = (address, blob.numel(), rows, cols, config)
    found = _views.get(key)
    if found is not None and found[1]() is blob:
        return found[0]
    if blob.dtype is not torch.uint8 or not blob.is_contiguous():
        raise TypeError("blob must be a contiguous tensor of torch.uint8")
    device = _device(blob)
    handle = default_handle(device)
    owned = handle._enter()
    try:
        _use_stream(handle, owned, blob)
        pointer = _native.fp6llmWeightCreateView(owned.pointer, address, blob.numel())
    finally:
        handle._lock.release()
    made = Weight._adopt(pointer)
    if made.shape != (rows, cols) or _describe(made.config) != config:
        raise InvalidValueError(
            f"the blob holds {list(made.shape)} {_describe(made.config)}, not {[rows, cols]} {config}"
        )
    _views[key] = made, weakref.ref(blob, lambda _, views=_views: views.pop(key, None))
    return made


def _use_stream(handle: Any, owned: Any, tensor: torch.Tensor) -> None:
    """Puts the handle on PyTorch's current stream."""
    if handle.device[0] == _CUDA:
        stream = torch.cuda.current_stream(tensor.device).cuda_stream
        _native.fp6llmSetStream(owned.pointer, stream)
        handle._active_stream = stream


def _check(x: torch.Tensor, blob: torch.Tensor, features: int, dtype: torch.dtype) -> None:
    if x.dtype not in _TYPES:
        raise TypeError(f"x has dtype {x.dtype}; {_TYPES_TEXT} is needed")
    if dtype is not x.dtype and dtype is not torch.float32:
        raise TypeError(f"dtype = {dtype}; torch.float32 or x's {x.dtype} is possible")
    if x.dim() == 0 or x.shape[-1] != features:
        raise InvalidValueError(f"x has shape {tuple(x.shape)}; its last axis must be {features}")
    if x.device != blob.device:
        raise InvalidValueError(f"x is on {x.device}, the weight is on {blob.device}")


def _check_bias(bias: torch.Tensor, blob: torch.Tensor, rows: int) -> None:
    if bias.dtype not in _TYPES:
        raise TypeError(f"bias has dtype {bias.dtype}; {_TYPES_TEXT} is needed")
    if bias.shape != (rows,):
        raise InvalidValueError(f"bias has shape {tuple(bias.shape)}; {(rows,)} is needed")
    if bias.device != blob.device:
        raise InvalidValueError(f"bias is on {bias.device}, the weight is on {blob.device}")


def _linear(
    x: torch.Tensor,
    blob: torch.Tensor,
    bias: torch.Tensor | None,
    rows: int,
    cols: int,
    config: str,
    dtype: torch.dtype | None = None,
    compute: str | None = None,
) -> torch.Tensor:
    _check(x, blob, cols, dtype or x.dtype)
    x = x.contiguous()
    y = torch.empty((*x.shape[:-1], rows), dtype=dtype or x.dtype, device=x.device)
    weight = _view(blob, rows, cols, config)
    epilogue = None
    if bias is not None or compute is not None:
        epilogue = _native.new_fp6llmEpilogue_t()
        _native.fp6llmEpilogue_t_computeType_set(epilogue, _compute(compute))
    if bias is not None:
        _check_bias(bias, blob, rows)
        bias = bias.contiguous()
        _native.fp6llmEpilogue_t_bias_set(epilogue, bias.data_ptr())
        _native.fp6llmEpilogue_t_biasType_set(epilogue, _TYPES[bias.dtype])
    tokens = y.numel() // rows if rows else 0
    handle = default_handle(weight.device)
    owned = handle._enter()
    try:
        _use_stream(handle, owned, x)
        _native.fp6llmLinear(
            owned.pointer, tokens, x.data_ptr(), _TYPES[x.dtype], max(1, cols), weight._owned.pointer,
            epilogue, y.data_ptr(), _TYPES[y.dtype], max(1, rows),
        )  # fmt: skip
    finally:
        handle._lock.release()
    return y


def _linear_transposed(y: torch.Tensor, blob: torch.Tensor, rows: int, cols: int, config: str) -> torch.Tensor:
    _check(y, blob, rows, y.dtype)
    y = y.contiguous()
    x = torch.empty((*y.shape[:-1], cols), dtype=y.dtype, device=y.device)
    weight = _view(blob, rows, cols, config)
    tokens = x.numel() // cols if cols else 0
    handle = default_handle(weight.device)
    owned = handle._enter()
    try:
        _use_stream(handle, owned, y)
        _native.fp6llmGemmEx(
            owned.pointer, 0, 0, cols, tokens, rows, 1.0, weight._owned.pointer, y.data_ptr(),
            _TYPES[y.dtype], max(1, rows), 0.0, x.data_ptr(), _TYPES[x.dtype], max(1, cols),
            _capi.FP6LLM_COMPUTE_32F, -1,
        )  # fmt: skip
    finally:
        handle._lock.release()
    return x


for _key in ("CPU", "CUDA"):
    _library.impl("linear", _linear, _key)
    _library.impl("linear_transposed", _linear_transposed, _key)


@torch.library.register_fake("fp6llm::linear", lib=_library)
def _linear_fake(x, blob, bias, rows, cols, config, dtype=None, compute=None):  # type: ignore[no-untyped-def]
    return x.new_empty((*x.shape[:-1], rows), dtype=dtype or x.dtype)


@torch.library.register_fake("fp6llm::linear_transposed", lib=_library)
def _linear_transposed_fake(y, blob, rows, cols, config):  # type: ignore[no-untyped-def]
    return y.new_empty((*y.shape[:-1], cols))


class _Differentiable(torch.autograd.Function):
    """The operator with gradients. Not registered with it: that costs every call three times what the operator
    does, those without gradients too."""

    @staticmethod
    def forward(
        ctx: Any, x: Any, blob: Any, bias: Any, rows: int, cols: int, config: str, compute: str | None
    ) -> torch.Tensor:
        ctx.save_for_backward(blob)
        ctx.x_dtype = x.dtype
        ctx.bias_dtype = None if bias is None else bias.dtype
        ctx.weight = rows, cols, config
        return linear(x, blob, bias, rows, cols, config, None, compute)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        (blob,) = ctx.saved_tensors
        x_grad = bias_grad = None
        if ctx.needs_input_grad[0]:
            x_grad = torch.ops.fp6llm.linear_transposed(grad.to(ctx.x_dtype), blob, *ctx.weight)
        if ctx.needs_input_grad[2]:
            bias_grad = grad.reshape(-1, ctx.weight[0]).sum(0, dtype=torch.float32).to(ctx.bias_dtype)
        return x_grad, None, bias_grad, None, None, None, None


#: linear(x, blob, bias, rows, cols, config, dtype=None, compute=None): x [..., cols] -> [..., rows]. `blob` is
#: from fp6llm.pack_blob() or Weight.to_blob(), `config` says what it holds ("e3m2:row:0:0": format, scale mode,
#: group size, DataType of the scales), `compute` is as for Weight.linear(). It has no gradients; the module
#: Linear has, for x and bias.
linear = torch.ops.fp6llm.linear.default


# ---- Modules --------------------------------------------------------------------------------------------


def _with_compute(config: QuantConfig, compute: str | ComputeType | None) -> tuple[QuantConfig, str | None]:
    """The name of a compute type, and a config whose hint it is unless that has one."""
    if compute is None:
        return config, None
    member = _member("compute", ComputeType, compute, COMPUTE_NAMES)
    if config.compute_hint is None:
        config = make_config(config, {"compute_hint": member})
    return config, next(name for name, value in COMPUTE_NAMES.items() if value == member)


class Linear(nn.Module):
    """nn.Linear with a quantized weight.

    In memory is the packed weight alone, in the buffer `blob`. A state dict has the plain codes instead, which
    every processor and version reads, under the names of AMD Quark's checkpoints: `weight`, uint8
    [out_features, ceil(in_features * bits / 8)], and `weight_scale`; torch.save() keeps beside them which
    format they are in, and where that is lost (safetensors) the module's own config counts.
    Moving to another device packs anew; half() and its like leave the weight as it is.

    How products may round activations is the module's attribute `compute`, as for Weight.linear(): None rounds
    none, "fast_16bf", "fast_16i" and "fast_8i" let a backend that has them be faster. Gradients round none.
    """

    #: The name of a compute type, or None. No part of a state dict.
    compute: str | None = None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        config: QuantConfig | None = None,
        *,
        device: Any = None,
        dtype: torch.dtype | None = None,
        compute: str | ComputeType | None = None,
        **options: Unpack[QuantOptions],
    ) -> None:
        """A layer of zeros, to load a state dict into; from_float() makes one from numbers.

        config, options  as for fp6llm.quantize(); "auto" becomes what a state dict says
        dtype            of the bias
        compute          as for Weight.linear(); it is also the compute_hint, unless that is given
        """
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.config, self.compute = _with_compute(make_config(config, options), compute)
        if self.config.format == DataType.R_6F_AUTO:
            self.config = make_config(self.config, {"format": "e3m2"})
        self.register_buffer("blob", None, persistent=False)
        zeros = self._zeros(device)
        self._put(zeros.codes, zeros.scales)
        if bias:
            self.bias = nn.Parameter(torch.zeros(out_features, dtype=dtype, device=device))
        else:
            self.register_parameter("bias", None)

    @classmethod
    def from_float(
        cls,
        layer: nn.Linear,
        config: QuantConfig | None = None,
        *,
        compute: str | ComputeType | None = None,
        **options: Unpack[QuantOptions],
    ) -> Linear:
        """Quantizes a layer; its bias is taken over, not copied. `compute` as for Linear()."""
        config, name = _with_compute(make_config(config, options), compute)
        quantized = quantize(layer.weight.detach(), config)
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.in_features, made.out_features = layer.in_features, layer.out_features
        made.config, made.compute = quantized.config, name
        made.register_buffer("blob", None, persistent=False)
        made._put(quantized.codes, quantized.scales)
        made.register_parameter("bias", layer.bias)
        made.train(layer.training)
        return made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., in_features] -> [..., out_features], of x's type. Gradients flow to x and bias."""
        blob, bias = self.blob, self.bias
        weight = self.out_features, self.in_features, self._description
        if torch.is_grad_enabled() and (x.requires_grad or (bias is not None and bias.requires_grad)):
            return _Differentiable.apply(x, blob, bias, *weight, self.compute)
        return linear(x, blob, bias, *weight, None, self.compute)

    def codes(self) -> Quantized:
        """The plain codes and scales, as tensors on the module's device."""
        weight = _view(self.blob, self.out_features, self.in_features, self._description)
        shape = (self.out_features, self.in_features)
        make = {"device": self.blob.device}
        codes = torch.empty(self.config.code_shape(*shape), dtype=torch.uint8, **make)
        scales = torch.empty(self.config.scale_shape(*shape), dtype=self._scale_dtype(), **make)
        weight.to_codes(codes=codes, scales=scales)
        return Quantized(codes, scales, shape, self.config)

    def dequantize(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """The weight as a dense tensor [out_features, in_features]."""
        return self.codes().dequantize(dtype)

    def extra_repr(self) -> str:
        """As nn.Linear's, with the format."""
        compute = "" if self.compute is None else f", compute={self.compute}"
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}, config={self._description}{compute}"
        )

    def _scale_dtype(self) -> torch.dtype:
        if self.config.scale == ScaleMode.MX:
            return torch.uint8
        return torch.float16 if self.config.scale_data_type == DataType.R_16F else torch.float32

    def _zeros(self, device: Any) -> Quantized:
        shape = (self.out_features, self.in_features)
        codes = torch.zeros(self.config.code_shape(*shape), dtype=torch.uint8, device=device)
        scales = torch.ones(self.config.scale_shape(*shape), dtype=self._scale_dtype(), device=device)
        return Quantized(codes, scales, shape, self.config)

    def _put(self, codes: torch.Tensor, scales: torch.Tensor) -> None:
        """Packs the weight into a new blob."""
        shape = (self.out_features, self.in_features)
        self._description = _describe(self.config)
        if codes.is_meta:
            # As large as on the CPU: what it will be elsewhere is not known yet.
            handle = default_handle()._alive().pointer
            size = _native.fp6llmWeightGetBlobSize(handle, self.config._c, *shape)
            self.blob = torch.empty(size, dtype=torch.uint8, device="meta")
        else:
            self.blob = pack_blob(codes.contiguous(), scales.contiguous(), shape, self.config)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Linear:
        before = self.blob
        target = fn(torch.empty(0, dtype=torch.uint8, device=before.device)).device
        if target == before.device:
            return super()._apply(fn, recurse)
        held = self._zeros(target) if before.is_meta else self.codes()
        self.blob = None
        super()._apply(fn, recurse)
        self._put(held.codes.to(target), held.scales.to(target))
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        held = self.codes()
        destination[prefix + "weight"] = held.codes
        destination[prefix + "weight_scale"] = held.scales
        if hasattr(destination, "_metadata"):
            destination._metadata.setdefault(prefix[:-1], {})["fp6llm"] = self._description

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        names = ("weight", "weight_scale")
        own = {name: state_dict[prefix + name] for name in names if prefix + name in state_dict}
        rest = type(state_dict)(
            (key, value) for key, value in state_dict.items() if key.removeprefix(prefix) not in own
        )
        super()._load_from_state_dict(
            rest, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        if len(own) != 2:
            missing_keys.extend(prefix + name for name in names if name not in own)
            return
        config = self.config
        if "fp6llm" in local_metadata:
            # The hint is the module's own: it says nothing about codes.
            hint: QuantOptions = {"compute_hint": config.compute_hint}
            config = make_config(_config(local_metadata["fp6llm"]), hint)
        shape = (self.out_features, self.in_features)
        before = self.config
        try:
            self.config = config
            for name, wanted in (
                ("weight", config.code_shape(*shape)),
                ("weight_scale", config.scale_shape(*shape)),
            ):
                if tuple(own[name].shape) != wanted:
                    raise InvalidValueError(f"shape {tuple(own[name].shape)}; {wanted} is needed")
            self._put(*(own[name].to(self.blob.device) for name in names))
        except (TypeError, ValueError) as error:
            self.config = before
            error_msgs.append(f"{prefix}weight of {_describe(config)}: {error}")


def quantize_(
    model: nn.Module,
    config: QuantConfig | None = None,
    *,
    select: Callable[[str, nn.Linear], bool] | None = None,
    compute: str | ComputeType | None = None,
    **options: Unpack[QuantOptions],
) -> nn.Module:
    """Replaces the nn.Linear modules of a model, in place, layer by layer; returns the model.

    config, options  as for fp6llm.quantize()
    compute          as for Linear()
    select           select(name, module) -> whether to replace it; all, if None. Subclasses of nn.Linear are
                     left alone, and a model that is an nn.Linear itself is returned as a Linear
    """
    config = make_config(config, options)
    if type(model) is nn.Linear:
        return (
            Linear.from_float(model, config, compute=compute) if select is None or select("", model) else model
        )
    made: dict[nn.Module, Linear] = {}
    for prefix, parent in list(model.named_modules(remove_duplicate=False)):
        for name, child in list(parent._modules.items()):
            full = f"{prefix}.{name}" if prefix else name
            if type(child) is nn.Linear and (select is None or select(full, child)):
                if child not in made:
                    made[child] = Linear.from_float(child, config, compute=compute)
                setattr(parent, name, made[child])
    return model
