"""libfp6llm for Python: 6-bit float weights for LLM inference.

Arrays are NumPy's, PyTorch's, or of any library that speaks DLPack or the CUDA array interface:

    import fp6llm
    weight = fp6llm.Weight.from_float(w, format="auto")    # w: [OC, IC], NumPy, PyTorch, DLPack, ...
    y = weight.linear(x, bias=b, activation="gelu")        # x: [..., IC] -> y: [..., OC]
"""

from . import errors
from ._enums import (
    Activation,
    Backend,
    ComputeType,
    DataType,
    LogLevel,
    MxScaleRule,
    NonFinite,
    PackedLayout,
    Rounding,
    ScaleMode,
    Status,
)
from ._handle import Handle, default_handle
from ._library import DeviceInfo, build_info, devices, set_logger, version
from ._multiply import algorithms, gemm, gemm_grouped
from ._quantize import QuantConfig, Quantized, QuantStats, dequantize, quantize
from ._weight import Weight, pack_blob
from .errors import (
    AllocFailedError,
    ArchMismatchError,
    ExecutionFailedError,
    Fp6llmError,
    InternalError,
    InvalidValueError,
    MappingError,
    NotInitializedError,
    NotSupportedError,
)

__version__ = version()

__all__ = [
    "Activation",
    "AllocFailedError",
    "ArchMismatchError",
    "Backend",
    "ComputeType",
    "DataType",
    "DeviceInfo",
    "ExecutionFailedError",
    "Fp6llmError",
    "Handle",
    "InternalError",
    "InvalidValueError",
    "LogLevel",
    "MappingError",
    "MxScaleRule",
    "NonFinite",
    "NotInitializedError",
    "NotSupportedError",
    "PackedLayout",
    "QuantConfig",
    "QuantStats",
    "Quantized",
    "Rounding",
    "ScaleMode",
    "Status",
    "Weight",
    "algorithms",
    "build_info",
    "default_handle",
    "dequantize",
    "devices",
    "errors",
    "gemm",
    "gemm_grouped",
    "pack_blob",
    "quantize",
    "set_logger",
    "version",
]
