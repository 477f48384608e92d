"""The header of a GGUF file: metadata and tensors, every count and offset checked before it is used.

The package gguf reads headers too, but takes what they say at their word: an array that claims 2^60 elements
keeps it busy until memory runs out. It is used for what it knows best, the blocks' sizes and contents.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from typing import Any

import numpy

from ._safetensors_file import CheckpointError, shorten

_VERSIONS = (2, 3)
_MAX_HEADER = 256 << 20
_MAX_NAME = 1 << 16
_MAX_DIMS = 4
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class GgufTensor:
    """A tensor: `type` by ggml's number, `shape` with rows first, and where its bytes lie. A block of `block`
    elements takes `block_bytes`."""

    name: str
    type: int
    shape: tuple[int, ...]
    offset: int
    nbytes: int
    block: int
    block_bytes: int


class GgufFile:
    """An open file. `metadata` holds the scalars and strings; arrays, such as vocabularies, are passed over."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise CheckpointError(path, f"cannot be read: {error.strerror}") from None
        try:
            self._size = os.fstat(self._fd).st_size
            # Buffered: a header is many small fields.
            with os.fdopen(os.dup(self._fd), "rb", buffering=1 << 20) as self._file:
                self._read_header()
        except BaseException:
            self.close()
            raise

    def _read_header(self) -> None:
        if self._take(4, "the magic number") != b"GGUF":
            raise CheckpointError(self.path, "is not a GGUF file")
        version = self._number("I", "the version")
        if version not in _VERSIONS:
            raise CheckpointError(
                self.path, f"GGUF version {version} is not one of {_VERSIONS} (little-endian)"
            )
        tensors = self._number("Q", "the number of tensors")
        entries = self._number("Q", "the number of metadata entries")
        self.metadata: dict[str, Any] = {}
        seen = set()
        for _ in range(entries):
            key = self._string("a metadata key")
            if key in seen:
                raise CheckpointError(self.path, f"the metadata key {shorten(key)} appears twice")
            seen.add(key)
            value = self._value(self._number("I", key), key)
            if value is not None:
                self.metadata[key] = value
        found = [self._tensor() for _ in range(tensors)]
        self._place(found)

    def _take(self, size: int, what: str) -> bytes:
        position = self._file.tell()
        if size > self._size - position:
            raise CheckpointError(self.path, f"ends within {shorten(what)} (truncated?)")
        if position + size > _MAX_HEADER:
            raise CheckpointError(self.path, f"a header of more than {_MAX_HEADER} bytes is not read")
        return self._file.read(size)

    def _number(self, code: str, what: str) -> Any:
        return struct.unpack("<" + code, self._take(struct.calcsize("<" + code), what))[0]

    def _string(self, what: str) -> str:
        length = self._number("Q", what)
        if length > _MAX_NAME:
            raise CheckpointError(
                self.path, f"{shorten(what)} of {length} bytes is over the limit of {_MAX_NAME}"
            )
        try:
            return self._take(length, what).decode()
        except UnicodeDecodeError:
            raise CheckpointError(self.path, f"{shorten(what)} is not UTF-8") from None

    def _skip(self, size: int, what: str) -> None:
        position = self._file.tell()
        if size > min(self._size, _MAX_HEADER) - position:
            raise CheckpointError(self.path, f"{shorten(what)} takes {size} bytes, more than there are")
        self._file.seek(size, os.SEEK_CUR)

    def _value(self, kind: int, key: str) -> Any:
        """A scalar or string; None for what is passed over."""
        if kind in _SCALARS:
            return self._number(_SCALARS[kind], key)
        if kind == _STRING:
            length = self._number("Q", key)
            if length > _MAX_NAME:  # a chat template, at most
                self._skip(length, key)
                return None
            return self._take(length, key).decode("utf-8", "replace")
        if kind != _ARRAY:
            raise CheckpointError(self.path, f"{shorten(key)} has the unknown type {kind}")
        inner, count = self._number("I", key), self._number("Q", key)
        if inner in _SCALARS:
            self._skip(count * struct.calcsize("<" + _SCALARS[inner]), key)
        elif inner == _STRING:
            # Every string takes 8 bytes or more, so the file's size bounds the loop.
            for _ in range(count):
                self._skip(self._number("Q", key), key)
        else:
            raise CheckpointError(self.path, f"{shorten(key)} is an array of the unsupported type {inner}")
        return None

    def _tensor(self) -> GgufTensor:
        from gguf.constants import GGML_QUANT_SIZES

        name = self._string("a tensor's name")
        dims = self._number("I", name)
        if not 1 <= dims <= _MAX_DIMS:
            raise CheckpointError(self.path, f"has {dims} dimensions; 1 to {_MAX_DIMS} are known", name)
        shape = tuple(self._number("Q", name) for _ in range(dims))[::-1]
        kind = self._number("I", name)
        offset = self._number("Q", name)
        sizes = {int(known): size for known, size in GGML_QUANT_SIZES.items()}.get(kind)
        if sizes is None:
            raise CheckpointError(self.path, f"has the unknown ggml type {kind}", name)
        block, block_bytes = sizes
        if shape[-1] % block:
            raise CheckpointError(self.path, f"has rows of {shape[-1]} in blocks of {block}", name)
        nbytes = math.prod(shape) // block * block_bytes
        return GgufTensor(name, kind, shape, offset, nbytes, block, block_bytes)

    def _place(self, found: list[GgufTensor]) -> None:
        alignment = self.metadata.get("general.alignment", 32)
        if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1) or alignment > 1 << 20:
            raise CheckpointError(self.path, f"general.alignment = {shorten(alignment)} is no power of two")
        start = -(-self._file.tell() // alignment) * alignment
        end = start
        self.tensors: dict[str, GgufTensor] = {}
        for tensor in sorted(found, key=lambda tensor: tensor.offset):
            offset = start + tensor.offset
            if tensor.name in self.tensors:
                raise CheckpointError(self.path, "appears twice", tensor.name)
            if tensor.name == "__metadata__":
                raise CheckpointError(self.path, "has a name that safetensors keeps for itself", tensor.name)
            if offset < end:
                raise CheckpointError(self.path, "overlaps the tensor before it", tensor.name)
            end = offset + tensor.nbytes
            if end > self._size:
                raise CheckpointError(
                    self.path, f"ends at byte {end} of a file of {self._size} (truncated?)", tensor.name
                )
            self.tensors[tensor.name] = GgufTensor(
                tensor.name, tensor.type, tensor.shape, offset, tensor.nbytes, tensor.block, tensor.block_bytes
            )

    def read(self, tensor: GgufTensor, offset: int, size: int) -> numpy.ndarray:
        """Bytes of a tensor."""
        data = numpy.empty(size, numpy.uint8)
        view = memoryview(data)
        done = 0
        while done < size:
            count = os.preadv(self._fd, [view[done : done + (1 << 30)]], tensor.offset + offset + done)
            if count == 0:
                raise CheckpointError(self.path, "the file became shorter while it was read", tensor.name)
            done += count
        return data

    def close(self) -> None:
        """Closes the file; may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
