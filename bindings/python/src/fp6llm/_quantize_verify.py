"""Reads a finished checkpoint back and compares it with the model that it was made of."""

from __future__ import annotations

import math
import os

import numpy

from ._checkpoint_format import WEIGHT
from ._quantize_job import QuantizeJob, blocks
from ._quantize_sources import Source
from ._safetensors_file import CheckpointError
from .safetensors import Checkpoint

_TOLERANCE = 1e-6


def verify(job: QuantizeJob, folder: str) -> None:
    """Raises CheckpointError unless every layer errs by as much as was measured and all else is as it was.

    The package safetensors, if it is installed, reads the files too.
    """
    _read_independently(job, folder)
    with Checkpoint.open(folder) as made:
        if made.layers != job.layers():
            raise CheckpointError(folder, "does not have the layers that were written")
        for name, done in job.done.items():
            noise = _noise(job.source, made, name)
            if not math.isclose(noise, done.noise, rel_tol=_TOLERANCE, abs_tol=1e-300):
                raise CheckpointError(
                    folder, f"the squared error is {noise:g}; {done.noise:g} was measured", name + WEIGHT
                )
        for unit in job.plan.units:
            if unit.copied:
                _compare(job.source, made, unit.copied, folder)


def _noise(source: Source, made: Checkpoint, name: str) -> float:
    noise = 0.0
    for begin, block in blocks(source, name + WEIGHT):
        weights = block.astype(numpy.float32)
        error = weights.astype(numpy.float64)
        error -= made.quantized(name, begin, begin + len(block)).dequantize("float32")
        if not numpy.isfinite(weights).all():
            error[~numpy.isfinite(weights)] = 0
        noise += float(numpy.vdot(error, error))
    return noise


def _compare(source: Source, made: Checkpoint, tensor: str, folder: str) -> None:
    offset = 0
    for expected in source.chunks(tensor):
        if not numpy.array_equal(expected, made.read_bytes(tensor, offset, expected.nbytes)):
            raise CheckpointError(folder, "is not as it was in the input", tensor)
        offset += expected.nbytes


def _read_independently(job: QuantizeJob, folder: str) -> None:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        return
    for shard in job.source.shards:
        path = os.path.join(folder, shard)
        try:
            with safe_open(path, framework="numpy") as file:
                names = set(file.keys())
        except (SafetensorError, OSError) as error:
            raise CheckpointError(path, f"the package safetensors cannot read it: {error}") from None
        missing = set(job.source.shards[shard]) - names
        if missing:
            raise CheckpointError(path, "the package safetensors does not find it", min(missing))
