"""Which tensors of a model are quantized, and which of them share a format."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._checkpoint_format import SCALE, WEIGHT, Layer, stored_config
from ._enums import DataType
from ._quantize import QuantConfig
from ._quantize_sources import FLOATS, Source, SourceTensor

#: Matrices that are no linear layers, or of which so few bits cost too much: embeddings, norms, the output
#: layer, the choice among experts; the last line by the names of GGUF.
LEFT_ALONE = (
    "*embed*", "*.wte", "wte", "*.wpe", "wpe", "*relative_attention_bias", "*norm*",
    "lm_head", "*.lm_head", "*.embed_out", "embed_out",
    "*router*", "*.gate", "*.shared_expert_gate",
    "token_embd", "output", "position_embd", "token_types", "*.ffn_gate_inp", "*.ffn_gate_inp_shexp",
)  # fmt: skip

# What serving engines fuse into one matrix, or run as one kernel, must have one format.
_FUSED = (
    (re.compile(r"(.*\.experts)\.\d+\..*"), r"\1"),
    (re.compile(r"(.*)\b[qkv]_proj"), r"\1qkv"),
    (re.compile(r"(.*)\b(?:gate|up)_proj"), r"\1gate_up"),
    (re.compile(r"(.*)\battn_[qkv]"), r"\1qkv"),
    (re.compile(r"(.*)\bffn_(?:gate|up)"), r"\1gate_up"),
)


@dataclass
class Unit:
    """What is done at a time: one tensor copied, or layers quantized that get one format."""

    copied: str | None = None
    layers: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of its first part, for the progress bar."""
        return self.copied or self.layers[0]


@dataclass(frozen=True)
class Plan:
    """What to do.

    layers    to quantize, by name without ".weight"
    units     in the order of the input
    excluded  matrices that stay as they are
    unused    patterns that fit no matrix
    """

    layers: dict[str, Layer]
    units: list[Unit]
    excluded: list[str]
    unused: list[str]


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(
        fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name + WEIGHT, pattern)
        for pattern in patterns
    )


def _is_matrix(tensor: SourceTensor) -> bool:
    return (
        tensor.name.endswith(WEIGHT)
        and len(tensor.shape) == 2
        and tensor.dtype in FLOATS
        and 0 not in tensor.shape
    )


def make_plan(source: Source, config: QuantConfig, include: Sequence[str], exclude: Sequence[str]) -> Plan:
    """Chooses the layers: matrices named *.weight that LEFT_ALONE does not name or `include` does, except
    those that `exclude` names."""
    layers: dict[str, Layer] = {}
    matrices = []
    stored = stored_config(config)
    for shard in source.shards.values():
        for tensor in map(source.tensors.__getitem__, shard):
            if _is_matrix(tensor):
                name = tensor.name.removesuffix(WEIGHT)
                matrices.append(name)
                chosen = _matches(name, include) or not _matches(name, LEFT_ALONE)
                if chosen and not _matches(name, exclude) and name + SCALE not in source.tensors:
                    layers[name] = Layer(stored, *tensor.shape)
    excluded = [name for name in matrices if name not in layers]
    # Tied to the embedding, it is no tensor of its own, but a loader meets its module.
    if "lm_head" not in layers:
        excluded.append("lm_head")
    unused = [
        pattern for pattern in (*include, *exclude) if not any(_matches(name, [pattern]) for name in matrices)
    ]
    return Plan(layers, _units(source, layers, config), excluded, unused)


def _units(source: Source, layers: dict[str, Layer], config: QuantConfig) -> list[Unit]:
    units = []
    groups: dict[Any, Unit] = {}
    for shard in source.shards.values():
        for tensor in shard:
            name = tensor.removesuffix(WEIGHT)
            if name == tensor or name not in layers:
                units.append(Unit(copied=tensor))
                continue
            key = fused_name(name) if config.format == DataType.R_6F_AUTO else name
            if key not in groups:
                groups[key] = Unit()
                units.append(groups[key])
            groups[key].layers.append(name)
    return units


def fused_name(name: str) -> str:
    """The same for layers that must have the same format."""
    for pattern, replacement in _FUSED:
        if pattern.fullmatch(name):
            return pattern.sub(replacement, name)
    return name
