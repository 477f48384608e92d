"""Checkpoints: quantized models in .safetensors files, ours and AMD Quark's MXFP6.

    with Checkpoint.open("SmolLM2-135M-E3M2") as checkpoint:
        for name in checkpoint.layers:
            weight = checkpoint.quantized(name).to_weight()

    save("model.safetensors", {"layer": fp6llm.quantize(w), "norm.weight": norm})

A layer X is two tensors, `X.weight` (uint8, the plain codes) and `X.weight_scale`; docs/checkpoints.md has the
format. Tensors are read when they are asked for, and no file is ever whole in memory. `python -m fp6llm
quantize` makes checkpoints of models that are larger than memory. Whatever is wrong with a file raises
CheckpointError.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy

from ._checkpoint_files import CheckpointFiles
from ._checkpoint_format import (
    SCALE,
    WEIGHT,
    Layer,
    LayerFormats,
    header_metadata,
    parse_metadata,
    quantization_config,
    stored_config,
)
from ._quantize import Quantized
from ._safetensors_file import CheckpointError, SafetensorsFile, SafetensorsWriter, TensorInfo, dtype_of

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Layer",
    "SafetensorsFile",
    "SafetensorsWriter",
    "TensorInfo",
    "quantization_config",
    "save",
]


class Checkpoint:
    """An open checkpoint: a folder as `python -m fp6llm quantize` or AMD Quark write it, or one file.

    layers   the quantized layers by name, without ".weight": Layer(config, rows, cols)
    tensors  all other tensors by name: TensorInfo(name, dtype, shape, offset, nbytes)
    config   config.json, or {} where there is none

    Quark checkpoints of MX formats in groups of 32 (fp6_e3m2, fp6_e2m3, fp4) are read; how Quark would quantize
    activations is left to the caller, in `config`. Works as a context manager.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._files = CheckpointFiles(path)
        try:
            self.config = self._files.config
            self.layers: dict[str, Layer] = {}
            self.tensors: dict[str, TensorInfo] = {}
            self._read_layers()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """Opens a folder or a file; raises CheckpointError if it cannot be read."""
        return cls(path)

    def _read_layers(self) -> None:
        formats = LayerFormats(self._files.config_path or self._files.path, self.config)
        owner = self._files.owner
        for file in self._files.files.values():
            described = parse_metadata(file.path, file.metadata)
            for name in described:
                if name + WEIGHT not in file.tensors:
                    raise CheckpointError(file.path, "is described but not there", name + WEIGHT)
            for tensor, info in file.tensors.items():
                name = tensor.removesuffix(WEIGHT)
                scale_name = name + SCALE
                if name != tensor and (scale_name in owner or name in described):
                    scale = self._files.file_of(scale_name).info(scale_name)
                    if info.dtype != "U8" or len(info.shape) != 2:
                        raise CheckpointError(
                            file.path, f"{info.dtype} {list(info.shape)} are no codes; U8 of rank 2 are", tensor
                        )
                    self.layers[name] = formats.layer(name, described.get(name), info.shape, scale)
                elif not tensor.endswith(SCALE) or tensor.removesuffix(SCALE) + WEIGHT not in owner:
                    self.tensors[tensor] = info

    def quantized(self, name: str, begin: int = 0, end: int | None = None) -> Quantized:
        """Reads a layer's codes and scales, or those of its rows begin..end-1.

        Raises CheckpointError if there is no such layer.
        """
        layer = self.layers.get(name)
        if layer is None:
            raise CheckpointError(self._files.path, "is not a quantized layer", name)
        end = layer.rows if end is None else end
        codes = self._files.file_of(name + WEIGHT).read_rows(name + WEIGHT, begin, end)
        scales = self._files.file_of(name + SCALE).read_rows(name + SCALE, begin, end)
        return Quantized(codes, scales, (end - begin, layer.cols), layer.config)

    def read(self, name: str) -> numpy.ndarray:
        """Reads a tensor as it is stored; BF16 as ml_dtypes' bfloat16."""
        return self._files.file_of(name).read(name)

    def read_bytes(self, name: str, offset: int, size: int) -> numpy.ndarray:
        """Some of a tensor's bytes, as uint8."""
        file = self._files.file_of(name)
        info = file.info(name)
        if not 0 <= offset <= offset + size <= info.nbytes:
            raise IndexError(f"bytes {offset} to {offset + size} of a tensor of {info.nbytes}")
        data = numpy.empty(size, numpy.uint8)
        file.read_into(info.offset + offset, data, name)
        return data

    def close(self) -> None:
        """Closes the files; may be called twice."""
        self._files.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def save(path: str | os.PathLike[str], tensors: Mapping[str, Quantized | numpy.ndarray]) -> dict[str, Any]:
    """Writes one .safetensors file; it is there when whole, else it is not.

    tensors  layers by name without ".weight" (Quantized), and other tensors by their whole name (NumPy arrays)

    Returns what belongs into config.json as "quantization_config", {} if nothing is quantized.
    """
    layers: dict[str, Layer] = {}
    arrays: dict[str, numpy.ndarray] = {}
    entries = []
    for name, tensor in tensors.items():
        if isinstance(tensor, Quantized):
            layers[name] = layer = Layer(stored_config(tensor.config), *tensor.shape)
            parts = dict(zip((name + WEIGHT, name + SCALE), (tensor.codes, tensor.scales), strict=True))
            for part, dtype, shape in layer.tensors(name):
                arrays[part] = numpy.asarray(parts[part])
                if dtype_of(arrays[part]) != dtype or arrays[part].shape != shape:
                    raise ValueError(
                        f"{part} is {arrays[part].dtype} {arrays[part].shape}; {dtype} {shape} is needed"
                    )
                entries.append((part, dtype, shape))
        else:
            arrays[name] = array = numpy.asarray(tensor)
            entries.append((name, dtype_of(array), array.shape))
    with SafetensorsWriter(path, entries, header_metadata(layers)) as writer:
        for name, array in arrays.items():
            writer.write(name, array)
    other = [name.removesuffix(WEIGHT) for name, array in arrays.items() if _is_plain_matrix(name, array)]
    return quantization_config(layers, other) if layers else {}


def _is_plain_matrix(name: str, array: numpy.ndarray) -> bool:
    return name.endswith(WEIGHT) and array.ndim == 2 and array.dtype != numpy.uint8
