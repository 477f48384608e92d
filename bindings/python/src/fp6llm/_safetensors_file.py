"""One .safetensors file, read and written tensor by tensor; never a whole file in memory.

The format: 8 bytes little-endian length of the header, the header as JSON (name -> dtype, shape, data_offsets),
then the data. What a header says is checked, never trusted: limits on its size, every offset in the file, no
gap and no overlap, as many bytes as shape and dtype take.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy

#: Bits per element by the format's name of the type.
DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
_NUMPY = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32",
    "I32": "int32", "U64": "uint64", "I64": "int64", "F16": "float16", "F32": "float32",
    "F64": "float64", "C64": "complex64",
}  # fmt: skip
_NAMES = {numpy.dtype(name): dtype for dtype, name in _NUMPY.items()}
# 100,000 tensors take about 12 MiB; Python's objects of a JSON text take up to 20 times its size.
MAX_JSON = 32 << 20
_MAX_RANK = 16
_CHUNK = 8 << 20
_ALIGNMENT = 8


class CheckpointError(ValueError):
    """A file of a checkpoint cannot be read or is not what it says.

    path    the file
    tensor  the tensor it is about, if about one
    reason  what is wrong
    """

    def __init__(self, path: str | os.PathLike[str], reason: str, tensor: str | None = None) -> None:
        self.path = os.fspath(path)
        self.tensor = tensor
        self.reason = reason
        about = "" if tensor is None else f": tensor {shorten(tensor)}"
        super().__init__(f"{self.path}{about}: {reason}")


def shorten(name: Any) -> str:
    """A name out of a file, fit for a message: quoted, printable, not long."""
    text = repr(name)
    return text if len(text) <= 120 else f"{text[:100]}...{text[-1]}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the key {shorten(name)} appears twice")
            seen.add(name)
    return found


def parse_json(path: str | os.PathLike[str], text: bytes, what: str) -> dict[str, Any]:
    """A JSON object from a file nobody vouches for; raises CheckpointError."""
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError:
        raise CheckpointError(path, f"{what} is nested too deeply") from None
    except ValueError as error:  # also UnicodeDecodeError and JSONDecodeError
        raise CheckpointError(path, f"{what} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise CheckpointError(path, f"{what} is not a JSON object")
    return value


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A JSON file, at most MAX_JSON bytes; raises CheckpointError."""
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_JSON + 1)
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from None
    if len(text) > MAX_JSON:
        raise CheckpointError(path, f"is longer than {MAX_JSON} bytes")
    return parse_json(path, text, "the file")


@dataclass(frozen=True)
class TensorInfo:
    """A tensor in a file: `dtype` by the format's name, and where its bytes lie."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


def byte_size(dtype: str, shape: Iterable[int]) -> int:
    """Bytes of a tensor; raises ValueError if it does not end at a byte."""
    bits = DTYPE_BITS[dtype] * math.prod(shape)
    if bits % 8:
        raise ValueError(f"{bits} bits are no whole number of bytes")
    return bits // 8


def dtype_of(array: numpy.ndarray) -> str:
    """The format's name of an array's element type; raises TypeError for one that it lacks."""
    if array.dtype.name == "bfloat16":
        return "BF16"
    name = _NAMES.get(array.dtype)
    if name is None:
        raise TypeError(f"arrays of dtype {array.dtype} cannot be stored in safetensors")
    return name


def as_array(path: str, info: TensorInfo, data: numpy.ndarray) -> numpy.ndarray:
    """Bytes of a tensor (or of some of its rows) as an array; types that NumPy lacks are refused."""
    if info.dtype == "BF16":
        try:
            import ml_dtypes
        except ImportError:
            raise CheckpointError(
                path, "BF16 takes the package ml_dtypes (pip install 'fp6llm[safetensors]')", info.name
            ) from None
        return data.view(ml_dtypes.bfloat16)
    if info.dtype not in _NUMPY:
        raise CheckpointError(path, f"NumPy has no type for {info.dtype}", info.name)
    return data.view(_NUMPY[info.dtype])


class SafetensorsFile:
    """An open file. `tensors` by name, in the order of their data; `metadata`: str -> str.

    Reading allocates what is asked for and maps nothing. Works as a context manager.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._fd = -1
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            size = os.fstat(self._fd).st_size
            length = self._header_length(size)
            header = parse_json(self.path, self._pread(8, length), "the header")
            self.metadata = self._read_metadata(header.pop("__metadata__", {}))
            self.tensors = self._read_tensors(header, 8 + length, size)
        except OSError as error:
            self.close()
            raise CheckpointError(self.path, f"cannot be read: {error.strerror}") from None
        except BaseException:
            self.close()
            raise

    def _header_length(self, size: int) -> int:
        if size < 8:
            raise CheckpointError(self.path, f"{size} bytes are too few for a safetensors file")
        length = int.from_bytes(self._pread(0, 8), "little")
        if length > MAX_JSON:
            raise CheckpointError(self.path, f"a header of {length} bytes is over the limit of {MAX_JSON}")
        if length > size - 8:
            raise CheckpointError(
                self.path, f"the header takes {length} bytes of which the file has {size - 8}"
            )
        return length

    def _read_metadata(self, value: Any) -> dict[str, str]:
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise CheckpointError(self.path, "__metadata__ is not an object of strings")
        return value

    def _read_tensors(self, header: dict[str, Any], start: int, size: int) -> dict[str, TensorInfo]:
        found = [self._read_info(name, entry, start) for name, entry in header.items()]
        found.sort(key=lambda info: (info.offset, info.nbytes))
        end = start
        for info in found:
            if info.offset != end:
                what = "overlaps the tensor before it" if info.offset < end else "leaves a gap before it"
                raise CheckpointError(self.path, f"at byte {info.offset - start} of the data {what}", info.name)
            end = info.offset + info.nbytes
            if end > size:
                raise CheckpointError(
                    self.path, f"ends at byte {end} of a file of {size} (truncated?)", info.name
                )
        if end != size:
            raise CheckpointError(self.path, f"{size - end} bytes follow the last tensor")
        return {info.name: info for info in found}

    def _read_info(self, name: str, entry: Any, start: int) -> TensorInfo:
        def wrong(reason: str) -> CheckpointError:
            return CheckpointError(self.path, reason, name)

        def natural(value: Any) -> bool:
            return type(value) is int and 0 <= value < 1 << 63

        try:
            name.encode()
        except UnicodeEncodeError:
            raise wrong("its name is not Unicode") from None
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise wrong("its entry is not {dtype, shape, data_offsets}")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
            raise wrong(f"unknown dtype {shorten(dtype)}")
        if not isinstance(shape, list) or len(shape) > _MAX_RANK or not all(map(natural, shape)):
            raise wrong(f"shape {shorten(shape)} is not up to {_MAX_RANK} sizes")
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(natural, offsets)):
            raise wrong(f"data_offsets {shorten(offsets)} are not two offsets")
        begin, end = offsets
        try:
            needed = byte_size(dtype, shape)
        except ValueError as error:
            raise wrong(str(error)) from None
        if end - begin != needed:
            raise wrong(f"{dtype} {shorten(shape)} takes {needed} bytes, data_offsets span {end - begin}")
        return TensorInfo(name, dtype, tuple(shape), start + begin, needed)

    def _pread(self, offset: int, size: int) -> bytes:
        data = numpy.empty(size, numpy.uint8)
        self.read_into(offset, data)
        return data.tobytes()

    def read_into(self, offset: int, out: numpy.ndarray, tensor: str | None = None) -> None:
        """Fills a contiguous uint8 array from the file's bytes at `offset`."""
        view = memoryview(out)
        done = 0
        while done < len(view):
            try:
                count = os.preadv(self._fd, [view[done : done + (1 << 30)]], offset + done)
            except OSError as error:
                raise CheckpointError(self.path, f"cannot be read: {error.strerror}", tensor) from None
            if count == 0:
                raise CheckpointError(self.path, "the file became shorter while it was read", tensor)
            done += count

    def info(self, name: str) -> TensorInfo:
        """The tensor of a name; raises CheckpointError if there is none."""
        try:
            return self.tensors[name]
        except KeyError:
            raise CheckpointError(self.path, "is not in the file", name) from None

    def read(self, name: str) -> numpy.ndarray:
        """A whole tensor."""
        info = self.info(name)
        data = numpy.empty(info.nbytes, numpy.uint8)
        self.read_into(info.offset, data, name)
        return as_array(self.path, info, data).reshape(info.shape)

    def read_rows(self, name: str, begin: int, end: int) -> numpy.ndarray:
        """Rows begin..end-1 along the first axis."""
        info = self.info(name)
        if not info.shape or not 0 <= begin <= end <= info.shape[0]:
            raise IndexError(f"rows {begin} to {end} of a tensor of shape {info.shape}")
        row = info.nbytes // info.shape[0] if info.shape[0] else 0
        data = numpy.empty((end - begin) * row, numpy.uint8)
        self.read_into(info.offset + begin * row, data, name)
        return as_array(self.path, info, data).reshape(end - begin, *info.shape[1:])

    def chunks(self, name: str, size: int = _CHUNK) -> Iterable[numpy.ndarray]:
        """A tensor's bytes, `size` at a time."""
        info = self.info(name)
        for begin in range(0, info.nbytes, size):
            data = numpy.empty(min(size, info.nbytes - begin), numpy.uint8)
            self.read_into(info.offset + begin, data, name)
            yield data

    def close(self) -> None:
        """Closes the file; may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> SafetensorsFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SafetensorsWriter:
    """Writes a file whose tensors' types and shapes are known beforehand, in any order, piece by piece.

    entries   (name, dtype, shape); the data is laid out by size of the element, largest first, so that all of
              it is aligned, and else in this order
    metadata  str -> str; close() may be given another of the same length, for what is known only then
    resume    go on with what an earlier writer of the same entries left

    Bytes go to `path` + ".incomplete", which close() renames after fsync; until then, and after discard() or an
    exception in the `with` block, there is no file of that name.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        entries: Iterable[tuple[str, str, tuple[int, ...]]],
        metadata: Mapping[str, str] | None = None,
        *,
        resume: bool = False,
    ) -> None:
        self.path = os.fspath(path)
        self._temporary = self.path + ".incomplete"
        self._fd = -1
        self._metadata = dict(metadata or {})
        self._layout(entries)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (0 if resume else os.O_TRUNC)
        self._fd = os.open(self._temporary, flags, 0o666)
        os.ftruncate(self._fd, self._size)

    def _layout(self, entries: Iterable[tuple[str, str, tuple[int, ...]]]) -> None:
        ordered = sorted(entries, key=lambda entry: -DTYPE_BITS[entry[1]])
        offset = 0
        relative = []
        for name, dtype, shape in ordered:
            nbytes = byte_size(dtype, shape)
            relative.append(TensorInfo(name, dtype, tuple(shape), offset, nbytes))
            offset += nbytes
        self._entries = {info.name: info for info in relative}
        if len(self._entries) != len(relative) or "__metadata__" in self._entries:
            raise ValueError("a tensor's name is given twice or is __metadata__")
        self._start = 8 + len(self._header(self._metadata))
        self._size = self._start + offset
        self._written = dict.fromkeys(self._entries, 0)

    def _header(self, metadata: Mapping[str, str]) -> bytes:
        header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
        for info in self._entries.values():
            offsets = [info.offset, info.offset + info.nbytes]
            header[info.name] = {"dtype": info.dtype, "shape": info.shape, "data_offsets": offsets}
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        return text + b" " * (-len(text) % _ALIGNMENT)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole file."""
        return self._size

    def write(self, name: str, data: Any, offset: int | None = None) -> None:
        """Writes bytes of a tensor where the last write to it ended, or at byte `offset` of it."""
        info = self._entries[name]
        if isinstance(data, numpy.ndarray):
            data = numpy.ascontiguousarray(data).reshape(-1).view(numpy.uint8)
        view = memoryview(data).cast("B")
        offset = self._written[name] if offset is None else offset
        if offset + len(view) > info.nbytes:
            raise ValueError(f"{shorten(name)} has {info.nbytes} bytes; {offset + len(view)} were written")
        done = 0
        while done < len(view):
            done += os.pwrite(
                self._fd, view[done : done + (1 << 30)], self._start + info.offset + offset + done
            )
        self._written[name] = offset + len(view)

    def mark_written(self, name: str) -> None:
        """Says that an earlier writer has written all of a tensor."""
        self._written[name] = self._entries[name].nbytes

    def sync(self) -> None:
        """Returns when what was written is on the disk."""
        os.fsync(self._fd)

    def close(self, metadata: Mapping[str, str] | None = None) -> None:
        """Writes the header and gives the file its name; raises ValueError if bytes of a tensor are missing."""
        for name, done in self._written.items():
            if done != self._entries[name].nbytes:
                raise ValueError(f"{shorten(name)} has {self._entries[name].nbytes} bytes; {done} were written")
        header = self._header(self._metadata if metadata is None else metadata)
        if 8 + len(header) != self._start:
            raise ValueError("the metadata's length changed")
        os.pwrite(self._fd, len(header).to_bytes(8, "little") + header, 0)
        os.fsync(self._fd)
        self._close_fd()
        os.replace(self._temporary, self.path)
        sync_directory(os.path.dirname(self.path) or ".")

    def discard(self) -> None:
        """Closes and removes what was written; nothing after close()."""
        if self._fd >= 0:
            self._close_fd()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._temporary)

    def keep(self) -> None:
        """Closes and leaves what was written, for a writer with `resume`."""
        if self._fd >= 0:
            self._close_fd()

    def _close_fd(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)

    def __enter__(self) -> SafetensorsWriter:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        try:
            if error is None and self._fd >= 0:
                self.close()
        finally:
            self.discard()


def sync_directory(path: str) -> None:
    """Makes renames in a directory last."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
