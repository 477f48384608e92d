"""What `python -m fp6llm quantize` reads: a model as tensors that are read some rows at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy

from ._checkpoint_files import CONFIG, INDEX, SINGLE, SUFFIX, CheckpointFiles
from ._safetensors_file import CheckpointError, byte_size, shorten

FLOATS = {"F32", "F16", "BF16"}
# Files beside the weights that are no weights in another format.
_WEIGHT_SUFFIXES = (
    SUFFIX, ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".onnx_data", ".h5", ".msgpack", ".ot", ".npz",
    ".tflite", ".index.json",
)  # fmt: skip
# Models whose linear layers are stored as [IC, OC], which their names do not tell.
_TRANSPOSED = {"gpt2", "openai-gpt"}


@dataclass(frozen=True)
class SourceTensor:
    """A tensor of the model: `dtype`, by safetensors' names, of its copy; `nbytes` where it is read."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int

    @property
    def copied_nbytes(self) -> int:
        """Bytes of its copy."""
        return byte_size(self.dtype, self.shape)


class Source(Protocol):
    """A model to quantize."""

    #: Where it is, for messages.
    path: str
    tensors: dict[str, SourceTensor]
    #: Output files, each with its tensors in the order in which they lie in the input.
    shards: dict[str, list[str]]
    #: config.json as it was, {} if there is none.
    config: dict[str, Any]
    #: Files to copy beside the output.
    files: list[str]

    def identity(self) -> list[list[Any]]:
        """What changes when the input does; JSON."""
        ...

    def rows(self, name: str, begin: int, end: int) -> numpy.ndarray:
        """Rows of a matrix, as floats."""
        ...

    def chunks(self, name: str) -> Iterator[numpy.ndarray]:
        """The bytes of a tensor's copy, piece by piece."""
        ...

    def close(self) -> None:
        """Closes the files; may be called twice."""
        ...


def file_identity(path: str) -> list[Any]:
    """Name, size and time of a file."""
    status = os.stat(path)
    return [os.path.basename(path), status.st_size, status.st_mtime_ns]


class SafetensorsSource:
    """A folder with .safetensors files, or one file."""

    def __init__(self, path: str) -> None:
        self._files = CheckpointFiles(path)
        try:
            self.path = path
            self.config = self._files.config
            quantized = self.config.get("quantization_config")
            if quantized is not None:
                method = quantized.get("quant_method") if isinstance(quantized, dict) else quantized
                raise CheckpointError(
                    self._files.config_path or path, f"is quantized already: quant_method {shorten(method)}"
                )
            if str(self.config.get("model_type")) in _TRANSPOSED:
                raise CheckpointError(
                    self._files.config_path or path,
                    f"models of type {self.config['model_type']} store their layers as [IC, OC]; not supported",
                )
            self.shards = {name: list(file.tensors) for name, file in self._files.files.items()}
            if len(self.shards) == 1:
                self.shards = {SINGLE: next(iter(self.shards.values()))}
            self.tensors = {
                name: SourceTensor(name, info.dtype, info.shape, info.nbytes)
                for file in self._files.files.values()
                for name, info in file.tensors.items()
            }
            self.files = self._beside() if os.path.isdir(path) else []
        except BaseException:
            self.close()
            raise

    def _beside(self) -> list[str]:
        entries = sorted(os.scandir(self.path), key=lambda entry: entry.name)
        return [
            entry.path
            for entry in entries
            if entry.is_file()
            and not entry.name.startswith(".")
            and not entry.name.endswith(_WEIGHT_SUFFIXES)
            and entry.name not in {CONFIG, INDEX}
        ]

    def identity(self) -> list[list[Any]]:
        """As Source."""
        return [file_identity(file.path) for file in self._files.files.values()]

    def rows(self, name: str, begin: int, end: int) -> numpy.ndarray:
        """As Source."""
        return self._files.file_of(name).read_rows(name, begin, end)

    def chunks(self, name: str) -> Iterator[numpy.ndarray]:
        """As Source."""
        yield from self._files.file_of(name).chunks(name)

    def close(self) -> None:
        """As Source."""
        self._files.close()


def open_source(path: str, *, hf_names: bool = True) -> Source:
    """A model by its path: .gguf is GGUF, all else safetensors."""
    if not os.path.exists(path):
        raise CheckpointError(path, "does not exist")
    if path.endswith(".gguf"):
        from ._gguf_source import GgufSource

        return GgufSource(path, hf_names=hf_names)
    return SafetensorsSource(path)
