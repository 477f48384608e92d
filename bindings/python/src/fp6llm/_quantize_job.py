"""Quantizes a model into a folder: some rows at a time, to be interrupted at any moment and gone on with.

All happens in OUT.incomplete, which becomes OUT by one rename when it is whole and on the disk. Its journal has
a line for every tensor whose bytes are on the disk already; the same command goes on behind them. Sizes do not
depend on what AUTO chooses, so every tensor's place is known from the start.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from ._checkpoint_files import CONFIG, INDEX
from ._checkpoint_format import SCALE, WEIGHT, Layer, header_metadata, quantization_config
from ._enums import DataType
from ._handle import Handle
from ._quantize import QuantConfig, Quantized, quantize
from ._quantize_plan import Plan, Unit
from ._quantize_sources import Source
from ._safetensors_file import CheckpointError, SafetensorsWriter, sync_directory
from .errors import Fp6llmError

JOURNAL = "quantize.journal"
SUFFIX = ".incomplete"
_BLOCK_ELEMENTS = 2 << 20
# A tensor counts as done when it is on the disk. Waiting for that takes time, so it is done after this much.
_SYNC_BYTES = 16 << 20
_SYNC_SECONDS = 0.5
_AUTO = (DataType.R_6F_E3M2, DataType.R_6F_E2M3)

Progress = Callable[[int, int, str], None]


@dataclasses.dataclass
class Done:
    """A finished layer: its format; sums over `elements` finite weights of their and the errors' squares."""

    format: DataType
    elements: int
    signal: float
    noise: float
    saturated: int

    @property
    def snr_db(self) -> float:
        """Signal to noise in dB."""
        return snr_db(self.signal, self.noise)


def snr_db(signal: float, noise: float) -> float:
    """Signal to noise in dB of two sums of squares."""
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


class JobError(Exception):
    """The output cannot be made there."""


class QuantizeJob:
    """One run. `resumed`: how many tensors an earlier run had finished."""

    def __init__(self, source: Source, plan: Plan, config: QuantConfig, output: str, handle: Handle) -> None:
        self.source = source
        self.plan = plan
        self.output = os.path.abspath(output)
        self.done: dict[str, Done] = {}
        self.resumed = 0
        self._config = config
        self._handle = handle
        self._work = self.output + SUFFIX
        self._copied: set[str] = set()
        self._writers: dict[str, SafetensorsWriter] = {}
        self._writer_of: dict[str, SafetensorsWriter] = {}
        self._pending: list[dict[str, Any]] = []
        self._pending_bytes = 0
        self._last_sync = time.monotonic()
        self._journal: Any = None

    def run(self, progress: Progress, verify: Callable[[str], None] | None = None) -> None:
        """Does all of it; afterwards `output` is there. `verify` gets the folder before it has its name.

        Raises CheckpointError, JobError, OSError; KeyboardInterrupt passes. Then what was done stays for the
        next run.
        """
        self._check_output()
        os.makedirs(self._work, exist_ok=True)
        try:
            self._open_journal()
            self._open_writers()
            self._work_off(progress)
            self._finish(verify)
        finally:
            for writer in self._writers.values():
                writer.keep()
            if self._journal is not None:
                self._journal.close()

    def _check_output(self) -> None:
        if os.path.lexists(self.output) and not (os.path.isdir(self.output) and not os.listdir(self.output)):
            raise JobError(f"{self.output} exists already; remove it or choose another name")
        if os.path.lexists(self._work) and not os.path.isdir(self._work):
            raise JobError(f"{self._work} is in the way")

    # The journal.

    def _description(self) -> dict[str, Any]:
        layers = {name: [layer.rows, layer.cols] for name, layer in self.plan.layers.items()}
        options = {field.name: getattr(self._config, field.name) for field in dataclasses.fields(self._config)}
        del options["compute_hint"]  # says nothing about what is written
        return {
            "input": self.source.identity(),
            "options": options,
            "layers": layers,
            "shards": self.source.shards,
        }

    def _open_journal(self) -> None:
        self._journal = open(os.path.join(self._work, JOURNAL), "a+b")
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise JobError(f"another process is writing {self._work}") from None
        description = json.loads(json.dumps(self._description()))
        self._journal.seek(0)
        lines = self._journal.read().split(b"\n")[:-1]  # the last has no end: it was being written
        if not lines:
            if os.listdir(self._work) != [JOURNAL]:
                raise JobError(f"{self._work} is not empty and no run's; remove it")
            os.ftruncate(self._journal.fileno(), 0)
            self._append([{"job": description}])
            return
        self._check_job(self._parse(lines[0]), description)
        kept = len(lines[0]) + 1
        for line in lines[1:]:
            if not self._replay(self._parse(line)):
                break
            kept += len(line) + 1
        os.ftruncate(self._journal.fileno(), kept)

    def _check_job(self, record: Any, description: dict[str, Any]) -> None:
        found = record.get("job") if isinstance(record, dict) else None
        if not isinstance(found, dict):
            raise JobError(f"{self._work} has no readable journal; remove it")
        different = [key for key in description if found.get(key) != description[key]]
        if different:
            raise JobError(
                f"{self._work} is what a run with different {' and '.join(different)} left: "
                "go on with those, or remove it"
            )

    @staticmethod
    def _parse(line: bytes) -> Any:
        try:
            return json.loads(line)
        except ValueError:
            return None

    def _replay(self, record: Any) -> bool:
        """Takes a line of the journal into account; False if it is none of this job's."""
        try:
            if "copied" in record:
                self._copied.add(record["copied"])
            else:
                entry = {key: value for key, value in record.items() if key != "layer"}
                done = Done(**entry)
                done.format = DataType(done.format)
                self.done[record["layer"]] = done
        except (TypeError, ValueError, KeyError):
            return False
        return True

    def _append(self, records: list[dict[str, Any]]) -> None:
        self._journal.write(b"".join(json.dumps(record).encode() + b"\n" for record in records))
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def _record(self, record: dict[str, Any], nbytes: int) -> None:
        self._pending.append(record)
        self._pending_bytes += nbytes
        if self._pending_bytes >= _SYNC_BYTES or time.monotonic() - self._last_sync >= _SYNC_SECONDS:
            self._sync()

    def _sync(self) -> None:
        if self._pending:
            for writer in self._writers.values():
                writer.sync()
            self._append(self._pending)
        self._pending, self._pending_bytes, self._last_sync = [], 0, time.monotonic()

    # The output files.

    def _layers_of(self, shard: str) -> dict[str, Layer]:
        """The layers in an output file, in the format they have by now."""
        found = {}
        for tensor in self.source.shards[shard]:
            name = tensor.removesuffix(WEIGHT)
            if name != tensor and name in self.plan.layers:
                layer = self.plan.layers[name]
                if name in self.done:
                    layer = self._chosen(layer, self.done[name].format)
                found[name] = layer
        return found

    def _chosen(self, layer: Layer, format: DataType) -> Layer:
        return dataclasses.replace(layer, config=dataclasses.replace(layer.config, format=format))

    def _open_writers(self) -> None:
        free = shutil.disk_usage(self._work).free
        needed = 0
        for shard, tensors in self.source.shards.items():
            path = os.path.join(self._work, shard)
            entries = []
            for tensor in tensors:
                name = tensor.removesuffix(WEIGHT)
                if name != tensor and name in self.plan.layers:
                    entries += self.plan.layers[name].tensors(name)
                else:
                    entries.append(
                        (tensor, self.source.tensors[tensor].dtype, self.source.tensors[tensor].shape)
                    )
            if os.path.exists(path):
                continue  # whole: an earlier run came as far as renaming it
            temporary = path + SUFFIX
            exists = os.path.exists(temporary)
            if not exists:
                self._forget(tensors)
            metadata = header_metadata({name: self.plan.layers[name] for name in self._layers_of(shard)})
            writer = self._writers[shard] = SafetensorsWriter(path, entries, metadata, resume=exists)
            needed += writer.nbytes - os.stat(temporary).st_blocks * 512
            for entry in entries:
                self._writer_of[entry[0]] = writer
        if needed > free:
            raise JobError(f"{self._work} needs {needed} more bytes; its disk has {free}")
        for name in self.done:
            for part in (name + WEIGHT, name + SCALE):
                if part in self._writer_of:
                    self._writer_of[part].mark_written(part)
        for name in self._copied:
            if name in self._writer_of:
                self._writer_of[name].mark_written(name)
        self.resumed = len(self.done) + len(self._copied)

    def _forget(self, tensors: list[str]) -> None:
        for tensor in tensors:
            self._copied.discard(tensor)
            self.done.pop(tensor.removesuffix(WEIGHT), None)

    # The work.

    def _is_done(self, unit: Unit) -> bool:
        return unit.copied in self._copied if unit.copied else all(name in self.done for name in unit.layers)

    def _nbytes(self, unit: Unit) -> int:
        names = [unit.copied] if unit.copied else [name + WEIGHT for name in unit.layers]
        return sum(self.source.tensors[name].nbytes for name in names)

    def _work_off(self, progress: Progress) -> None:
        sizes = [self._nbytes(unit) for unit in self.plan.units]
        total, passed = sum(sizes), 0
        for unit, nbytes in zip(self.plan.units, sizes, strict=True):
            if not self._is_done(unit):
                progress(passed, total, unit.name)
                if unit.copied:
                    self._copy(unit.copied)
                else:
                    self._quantize_unit(unit.layers)
            passed += nbytes
        progress(total, total, "")
        self._sync()

    def _copy(self, tensor: str) -> None:
        writer = self._writer_of[tensor]
        offset = 0
        for chunk in self.source.chunks(tensor):
            writer.write(tensor, chunk, offset)
            offset += chunk.nbytes
        if offset == 0:
            writer.mark_written(tensor)
        self._copied.add(tensor)
        self._record({"copied": tensor}, offset)

    def _quantize_unit(self, names: list[str]) -> None:
        config = self._config
        if config.format == DataType.R_6F_AUTO:
            # Members that an earlier run finished have the format already.
            finished = [self.done[name].format for name in names if name in self.done]
            config = dataclasses.replace(config, format=finished[0] if finished else self._choose(names))
        for name in names:
            if name not in self.done:
                self._quantize_layer(name, config)

    def _choose(self, names: list[str]) -> DataType:
        """E3M2 or E2M3, whichever errs less over all of the layers."""
        noise = dict.fromkeys(_AUTO, 0.0)
        for name in names:
            for _, block in self._blocks(name):
                for format in _AUTO:
                    made = self._quantize(name, block, dataclasses.replace(self._config, format=format))
                    noise[format] += made.stats.mse * (block.size - made.stats.non_finite)
        return min(_AUTO, key=noise.__getitem__)

    def _quantize_layer(self, name: str, config: QuantConfig) -> None:
        codes, scales = name + WEIGHT, name + SCALE
        writer = self._writer_of[codes]
        done = Done(config.format, 0, 0.0, 0.0, 0)
        code_offset = scale_offset = 0
        for _, block in self._blocks(name):
            made = self._quantize(name, block, config)
            writer.write(codes, made.codes, code_offset)
            writer.write(scales, made.scales, scale_offset)
            code_offset += made.codes.nbytes
            scale_offset += made.scales.nbytes
            finite = block.size - made.stats.non_finite
            done.elements += finite
            done.signal += made.stats.signal * finite
            done.noise += made.stats.mse * finite
            done.saturated += made.stats.saturated
        self.done[name] = done
        self._record({"layer": name, **dataclasses.asdict(done)}, code_offset)

    def _blocks(self, name: str) -> Iterator[tuple[int, numpy.ndarray]]:
        yield from blocks(self.source, name + WEIGHT)

    def _quantize(self, name: str, block: numpy.ndarray, config: QuantConfig) -> Quantized:
        try:
            return quantize(block, config, stats=True, handle=self._handle)
        except Fp6llmError as error:
            raise CheckpointError(self.source.path, str(error), name + WEIGHT) from error

    # The end.

    def layers(self) -> dict[str, Layer]:
        """The layers in the formats they got."""
        return {name: self._chosen(layer, self.done[name].format) for name, layer in self.plan.layers.items()}

    def _finish(self, verify: Callable[[str], None] | None) -> None:
        for shard, writer in self._writers.items():
            writer.close(header_metadata(self._layers_of(shard)))
        self._write_config()
        if len(self.source.shards) > 1:
            self._write_index()
        for path in self.source.files:
            with open(path, "rb") as read, self._new_file(os.path.basename(path)) as write:
                shutil.copyfileobj(read, write)
        if verify is not None:
            verify(self._work)
        sync_directory(self._work)
        os.rename(self._work, self.output)
        sync_directory(os.path.dirname(self.output))
        # Last: without it, what is there could not be gone on with.
        os.unlink(os.path.join(self.output, JOURNAL))

    @contextlib.contextmanager
    def _new_file(self, name: str) -> Iterator[Any]:
        with open(os.path.join(self._work, name), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    def _write_json(self, name: str, value: Any) -> None:
        with self._new_file(name) as file:
            file.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")

    def _write_config(self) -> None:
        config = dict(self.source.config)
        if self.plan.layers:
            config["quantization_config"] = quantization_config(self.layers(), self.plan.excluded)
        self._write_json(CONFIG, config)

    def _write_index(self) -> None:
        weight_map = {}
        total = 0
        for shard, tensors in self.source.shards.items():
            for tensor in tensors:
                name = tensor.removesuffix(WEIGHT)
                if name != tensor and name in self.plan.layers:
                    weight_map[tensor] = weight_map[name + SCALE] = shard
                    total += self.plan.layers[name].nbytes
                else:
                    weight_map[tensor] = shard
                    total += self.source.tensors[tensor].copied_nbytes
        self._write_json(
            INDEX, {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        )


def blocks(source: Source, tensor: str) -> Iterator[tuple[int, numpy.ndarray]]:
    """A matrix some rows at a time: (first row, rows)."""
    rows, cols = source.tensors[tensor].shape
    step = max(1, _BLOCK_ELEMENTS // cols)
    for begin in range(0, rows, step):
        yield begin, source.rows(tensor, begin, min(rows, begin + step))
