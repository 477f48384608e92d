"""How checkpoints say what their codes mean: names, the header's metadata, quantization_config.

A quantized layer X is two tensors, `X.weight` (U8, the plain codes) and `X.weight_scale`, as AMD Quark names
them. MX layers of whole groups in E3M2, E2M3 or E2M1 are Quark's own format; a checkpoint of only such says
quant_method "quark", all others "fp6llm". docs/checkpoints.md is the contract.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ._enums import DataType, MxScaleRule, ScaleMode
from ._quantize import QuantConfig
from ._safetensors_file import CheckpointError, byte_size, parse_json, shorten
from .errors import InvalidValueError

WEIGHT = ".weight"
SCALE = ".weight_scale"
#: Key of the header's metadata, and quant_method of checkpoints that are not Quark's.
KEY = "fp6llm"
VERSION = 1
MX_GROUP = 32

FORMAT_NAMES = {
    DataType.R_6F_E3M2: "e3m2",
    DataType.R_6F_E2M3: "e2m3",
    DataType.R_5F_E2M2: "e2m2",
    DataType.R_5F_E3M1: "e3m1",
    DataType.R_4F_E2M1: "e2m1",
    # Of as many letters: a header has its length before AUTO has chosen.
    DataType.R_6F_AUTO: "auto",
}
_SCALE_DTYPES = {DataType.R_32F: "F32", DataType.R_16F: "F16", DataType.R_8F_UE8M0: "U8"}
_QUARK_DTYPES = {"fp6_e3m2": "e3m2", "fp6_e2m3": "e2m3", "fp4": "e2m1"}
_QUARK_NAMES = {name: dtype for dtype, name in _QUARK_DTYPES.items()}
_QUARK_RULES = {MxScaleRule.EVEN: "even", MxScaleRule.FLOOR: "floor"}


@dataclass(frozen=True)
class Layer:
    """A quantized [rows, cols] matrix as a checkpoint describes it."""

    config: QuantConfig
    rows: int
    cols: int

    def tensors(self, name: str) -> list[tuple[str, str, tuple[int, ...]]]:
        """(name, dtype, shape) of its two tensors."""
        return [
            (name + WEIGHT, "U8", self.config.code_shape(self.rows, self.cols)),
            (name + SCALE, self.scale_dtype, self.config.scale_shape(self.rows, self.cols)),
        ]

    @property
    def scale_dtype(self) -> str:
        """The scales' type by safetensors' name."""
        return _SCALE_DTYPES[DataType(self.config.scale_data_type)]

    @property
    def format(self) -> str:
        """The codes' format by its short name."""
        return FORMAT_NAMES[self.config.format]

    @property
    def nbytes(self) -> int:
        """Bytes of codes and scales."""
        return sum(byte_size(dtype, shape) for _, dtype, shape in self.tensors(""))

    @property
    def is_quark(self) -> bool:
        """Whether AMD Quark has this format."""
        return (
            self.config.scale == ScaleMode.MX
            and self.cols % MX_GROUP == 0
            and self.format in {*_QUARK_NAMES, "auto"}
        )


def stored_config(config: QuantConfig) -> QuantConfig:
    """What of a config a checkpoint keeps: what codes and scales mean, and the MX rule for the record."""
    if config.scale == ScaleMode.MX:
        return QuantConfig(config.format, config.scale, mx_scale_rule=config.mx_scale_rule)
    group = config.group_size if config.scale == ScaleMode.GROUP else 0
    half = config.scale_data_type == DataType.R_16F
    return QuantConfig(config.format, config.scale, group, DataType.R_16F if half else None)


def _describe(config: QuantConfig, format_name: str) -> dict[str, Any]:
    scale = ScaleMode(config.scale)
    entry: dict[str, Any] = {"format": format_name, "scale": scale.name.lower()}
    if scale != ScaleMode.ROW:
        entry["group_size"] = MX_GROUP if scale == ScaleMode.MX else config.group_size
    if scale == ScaleMode.MX:
        entry["mx_scale_rule"] = MxScaleRule(config.mx_scale_rule).name.lower()
    return entry


def header_metadata(layers: Mapping[str, Layer]) -> dict[str, str]:
    """The metadata of a file that holds these layers. Its length does not depend on their formats."""
    # transformers reads no file without "format".
    metadata = {"format": "pt"}
    if layers:
        described = {
            name: {**_describe(layer.config, layer.format), "cols": layer.cols}
            for name, layer in layers.items()
        }
        metadata[KEY] = json.dumps({"version": VERSION, "layers": described}, separators=(",", ":"))
    return metadata


def quantization_config(layers: Mapping[str, Layer], exclude: Iterable[str]) -> dict[str, Any]:
    """The section "quantization_config" of config.json."""
    exclude = sorted(set(exclude))
    common = _most_common(layers.values())
    if all(layer.is_quark for layer in layers.values()):
        return _quark_config(layers, common, exclude)
    described = _describe(common.config, common.format)
    entries = {name: _describe(layer.config, layer.format) for name, layer in layers.items()}
    return {
        "quant_method": KEY,
        "version": VERSION,
        **described,
        "layers": {name: entry for name, entry in entries.items() if entry != described},
        "exclude": exclude,
    }


def _most_common(layers: Iterable[Layer]) -> Layer:
    counts: dict[tuple[Any, ...], list[Layer]] = {}
    for layer in layers:
        key = (layer.format, int(layer.config.scale), layer.config.group_size, layer.scale_dtype)
        counts.setdefault(key, []).append(layer)
    return max(counts.values(), key=len)[0]


def _quark_config(layers: Mapping[str, Layer], common: Layer, exclude: list[str]) -> dict[str, Any]:
    return {
        "quant_method": "quark",
        "global_quant_config": _quark_layer(common),
        "layer_quant_config": {
            name: _quark_layer(layer) for name, layer in layers.items() if layer.format != common.format
        },
        "layer_type_quant_config": {},
        "exclude": exclude,
        "algo_config": None,
        "quant_mode": "eager_mode",
        "export": {
            "kv_cache_group": [],
            "min_kv_scale": 0.0,
            "pack_method": "reorder",
            "weight_format": "real_quantized",
            "weight_merge_groups": None,
        },
    }


def _quark_layer(layer: Layer) -> dict[str, Any]:
    weight = {
        "dtype": _QUARK_NAMES[layer.format],
        "qscheme": "per_group",
        "group_size": MX_GROUP,
        "ch_axis": -1,
        "is_dynamic": False,
        "symmetric": None,
        "scale_format": "e8m0",
        "scale_type": "float",
        # Quark's third, "ceil", is not our RCEIL; None leaves open how the scales came about.
        "scale_calculation_mode": _QUARK_RULES.get(MxScaleRule(layer.config.mx_scale_rule)),
        "round_method": "half_even",
        "observer_cls": "PerBlockMXObserver",
        "mx_element_dtype": None,
        "is_scale_quant": False,
    }
    return {"weight": weight, "bias": None, "input_tensors": None, "output_tensors": None}


class LayerFormats:
    """What a checkpoint says about its layers; raises CheckpointError where that cannot be."""

    def __init__(self, path: str, config: Mapping[str, Any]) -> None:
        self._path = path
        section = config.get("quantization_config")
        if section is not None and not isinstance(section, dict):
            raise CheckpointError(path, "quantization_config is not an object")
        self._section = section or {}
        self.method = self._section.get("quant_method")

    def layer(
        self, name: str, entry: Mapping[str, Any] | None, code_shape: tuple[int, ...], scale: Any
    ) -> Layer:
        """The layer `name`, whose file describes it by `entry`, if by anything.

        scale  the scales' TensorInfo
        """
        rows, row_bytes = code_shape
        try:
            if entry is not None:
                config, cols = self._own(entry, scale.dtype)
                self._check_agrees(name, config)
            elif self.method == "quark":
                config = self._quark(name)
                cols = row_bytes * 8 // config.bits
            else:
                raise InvalidValueError("neither the file nor config.json says what its codes mean")
            layer = Layer(config, rows, cols)
            for tensor, dtype, shape in layer.tensors(name):
                found = code_shape if tensor.endswith(WEIGHT) else scale.shape
                if tuple(found) != tuple(shape):
                    raise InvalidValueError(
                        f"{shorten(tensor)} has shape {tuple(found)}; {shape} is what "
                        f"{layer.format} [{rows}, {cols}] takes"
                    )
                if not tensor.endswith(WEIGHT) and scale.dtype != dtype:
                    raise InvalidValueError(f"{shorten(tensor)} has dtype {scale.dtype}; {dtype} is needed")
        except (InvalidValueError, TypeError, OverflowError) as error:
            raise CheckpointError(self._path, str(error), name + WEIGHT) from None
        return layer

    def _own(self, entry: Mapping[str, Any], scale_dtype: str) -> tuple[QuantConfig, int]:
        cols = entry.get("cols")
        if type(cols) is not int or not 0 <= cols < 1 << 56:
            raise InvalidValueError(f"cols = {shorten(cols)} is no number of columns")
        return _parse(entry, scale_dtype), cols

    def _check_agrees(self, name: str, config: QuantConfig) -> None:
        if self.method == KEY:
            version = self._section.get("version")
            if version != VERSION:
                raise InvalidValueError(
                    f"quantization_config has version {shorten(version)}; {VERSION} is known"
                )
            layers = self._section.get("layers", {})
            entry = layers.get(name, self._section) if isinstance(layers, dict) else self._section
            said = entry.get("format") if isinstance(entry, dict) else None
        elif self.method == "quark":
            said = FORMAT_NAMES[self._quark(name).format]
        else:
            return
        if said != FORMAT_NAMES[config.format]:
            raise InvalidValueError(f"config.json says {shorten(said)}, its file {FORMAT_NAMES[config.format]}")

    def _quark(self, name: str) -> QuantConfig:
        """Quark's weight specification of a layer: by its name, the first pattern that fits, or global."""
        chosen = self._section.get("global_quant_config")
        special = self._section.get("layer_quant_config") or {}
        if not isinstance(special, dict):
            raise InvalidValueError("layer_quant_config is not an object")
        if name in special:
            chosen = special[name]
        else:
            for pattern, entry in special.items():
                if fnmatch.fnmatchcase(name, pattern):
                    chosen = entry
                    break
        weight = chosen.get("weight") if isinstance(chosen, dict) else None
        if not isinstance(weight, dict):
            raise InvalidValueError("quantization_config describes no weights")
        dtype = weight.get("dtype")
        if not isinstance(dtype, str) or dtype not in _QUARK_DTYPES:
            raise InvalidValueError(f"Quark dtype {shorten(dtype)} is not one of {', '.join(_QUARK_DTYPES)}")
        for key, known in (("qscheme", "per_group"), ("group_size", MX_GROUP), ("scale_format", "e8m0")):
            if weight.get(key) != known:
                raise InvalidValueError(f"Quark {key} = {shorten(weight.get(key))}; only {known} is supported")
        rules = {text: rule for rule, text in _QUARK_RULES.items()}
        mode = weight.get("scale_calculation_mode")
        rule = rules.get(mode, MxScaleRule.EVEN) if isinstance(mode, str) else MxScaleRule.EVEN
        return QuantConfig(_QUARK_DTYPES[dtype], "mx", mx_scale_rule=rule)


def _parse(entry: Mapping[str, Any], scale_dtype: str) -> QuantConfig:
    format_name, scale = entry.get("format"), entry.get("scale")
    if not isinstance(format_name, str) or format_name not in FORMAT_NAMES.values() or format_name == "auto":
        raise InvalidValueError(f"unknown format {shorten(format_name)}")
    if not isinstance(scale, str) or scale not in {"row", "group", "mx"}:
        raise InvalidValueError(f"unknown scale mode {shorten(scale)}")
    group = entry.get("group_size", 0)
    if type(group) is not int or not 0 <= group < 1 << 31:
        raise InvalidValueError(f"group_size = {shorten(group)} is no group size")
    if scale == "mx":
        rule = entry.get("mx_scale_rule", "even")
        if not isinstance(rule, str):
            raise InvalidValueError(f"mx_scale_rule = {shorten(rule)} is not a name")
        return QuantConfig(format_name, "mx", mx_scale_rule=rule)
    config = QuantConfig(
        format_name, scale, group if scale == "group" else 0, DataType.R_16F if scale_dtype == "F16" else None
    )
    config.sizes(1, 1)  # raises for a group size that the library does not know
    return config


def parse_metadata(path: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The layers that a file's metadata describes, by name; raises CheckpointError."""
    text = metadata.get(KEY)
    if text is None:
        return {}
    value = parse_json(path, text.encode("utf-8", "surrogatepass"), f"the metadata {KEY}")
    if value.get("version") != VERSION:
        raise CheckpointError(
            path, f"its metadata {KEY} has version {shorten(value.get('version'))}; {VERSION} is known"
        )
    layers = value.get("layers")
    if not isinstance(layers, dict) or not all(isinstance(entry, dict) for entry in layers.values()):
        raise CheckpointError(path, f"its metadata {KEY} has no layers")
    return layers
