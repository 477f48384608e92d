"""Reads a Llama-architecture GGUF file into fp32 arrays, with the `gguf` package.

The projections that read the same input are joined, so that one multiplication does their work: query, key
and value into one matrix, gate and up into another. A linear layer's matrix is [OC, IC], as in y = x W^T.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gguf
import numpy as np


@dataclass(frozen=True)
class Shape:
    """A Llama's dimensions and constants."""

    layers: int
    width: int
    hidden: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int
    rope_base: float
    epsilon: float

    def __post_init__(self) -> None:
        if min(self.layers, self.width, self.hidden, self.heads, self.kv_heads) < 1:
            raise ValueError(f"a dimension below 1: {self}")
        if self.width % (2 * self.heads) or self.heads % self.kv_heads:
            raise ValueError(
                f"{self.heads} heads do not divide a width of {self.width} into even parts, or "
                f"{self.kv_heads} key heads do not divide them"
            )

    @property
    def head_width(self) -> int:
        """Elements of one attention head."""
        return self.width // self.heads


@dataclass(frozen=True)
class Block:
    """The weights of one transformer block, fp32."""

    attention_norm: np.ndarray
    qkv: np.ndarray
    attention_output: np.ndarray
    ffn_norm: np.ndarray
    gate_up: np.ndarray
    down: np.ndarray


@dataclass(frozen=True)
class Weights:
    """All weights of a model, fp32; `head` is the embedding itself where the file ties them."""

    embedding: np.ndarray
    blocks: list[Block]
    output_norm: np.ndarray
    head: np.ndarray


@dataclass(frozen=True)
class Vocabulary:
    """What the tokenizer is made of: tokens, their types as GGUF numbers them, and the merges in order."""

    model: str
    pre_tokenizer: str
    tokens: list[str]
    types: list[int]
    merges: list[str]
    end: int
    template: str


@dataclass(frozen=True)
class Model:
    """A GGUF file's content. `origins` counts the weights of each stored type."""

    name: str
    shape: Shape
    weights: Weights
    vocabulary: Vocabulary
    origins: dict[str, int]


def load(path: str, progress: Callable[[int, int], None] = lambda done, all: None) -> Model:
    """Reads a file; OSError if it cannot be opened, ValueError for everything that is wrong in it."""
    return _read(path, lambda file: file.model(progress))


def vocabulary(path: str) -> Vocabulary:
    """Reads a file's vocabulary alone; errors as for load()."""
    return _read(path, lambda file: file.vocabulary())


def _read(path: str, part: Callable[[_File], Any]) -> Any:
    with open(path, "rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError(f"{path} is not a GGUF file")
    try:
        return part(_File(gguf.GGUFReader(path)))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # What the package raises for a damaged file is whatever Python tripped over.
        raise ValueError(f"{path}: {error}") from error


class _File:
    def __init__(self, reader: gguf.GGUFReader) -> None:
        self.fields = reader.fields
        self.tensors = {tensor.name: tensor for tensor in reader.tensors}
        self.origins: dict[str, int] = {}

    def field(self, key: str, default: Any = None) -> Any:
        if key in self.fields:
            return self.fields[key].contents()
        if default is None:
            raise ValueError(f"no field {key}")
        return default

    def _array(self, key: str) -> gguf.ReaderField:
        if key not in self.fields:
            raise ValueError(f"no field {key}")
        return self.fields[key]

    def strings(self, key: str) -> list[str]:
        field = self._array(key)
        return [bytes(field.parts[part]).decode("utf-8") for part in field.data]

    def tensor(self, name: str, *shape: int) -> np.ndarray:
        if name not in self.tensors:
            raise ValueError(f"no tensor {name}")
        tensor = self.tensors[name]
        # GGUF counts dimensions from the fastest one.
        found = tuple(int(extent) for extent in reversed(tensor.shape))
        if found != shape:
            raise ValueError(f"tensor {name} has shape {found}; {shape} is needed")
        array = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
        if not np.isfinite(array).all():
            raise ValueError(f"tensor {name} has a NaN or an infinity")
        if len(shape) == 2:
            origin = tensor.tensor_type.name
            self.origins[origin] = self.origins.get(origin, 0) + array.size
        return array.reshape(shape)

    def shape(self) -> Shape:
        architecture = self.field("general.architecture")
        if architecture != "llama":
            raise ValueError(f"architecture {architecture}; this runs llama")
        heads = int(self.field("llama.attention.head_count"))
        shape = Shape(
            layers=int(self.field("llama.block_count")),
            width=int(self.field("llama.embedding_length")),
            hidden=int(self.field("llama.feed_forward_length")),
            heads=heads,
            kv_heads=int(self.field("llama.attention.head_count_kv", heads)),
            vocabulary=len(self._array("tokenizer.ggml.tokens").data),
            context=int(self.field("llama.context_length")),
            rope_base=float(self.field("llama.rope.freq_base", 10000.0)),
            epsilon=float(self.field("llama.attention.layer_norm_rms_epsilon")),
        )
        rotated = int(self.field("llama.rope.dimension_count", shape.head_width))
        if rotated != shape.head_width or "rope_freqs.weight" in self.tensors:
            raise ValueError("rotary embeddings of a part of a head, or scaled ones: not supported")
        return shape

    def block(self, number: int, shape: Shape) -> Block:
        width, hidden = shape.width, shape.hidden
        key_width = shape.kv_heads * shape.head_width

        def part(name: str, *extents: int) -> np.ndarray:
            return self.tensor(f"blk.{number}.{name}.weight", *extents)

        return Block(
            attention_norm=part("attn_norm", width),
            qkv=np.concatenate(
                [
                    part("attn_q", width, width),
                    part("attn_k", key_width, width),
                    part("attn_v", key_width, width),
                ]
            ),
            attention_output=part("attn_output", width, width),
            ffn_norm=part("ffn_norm", width),
            gate_up=np.concatenate([part("ffn_gate", hidden, width), part("ffn_up", hidden, width)]),
            down=part("ffn_down", width, hidden),
        )

    def vocabulary(self) -> Vocabulary:
        types = self._array("tokenizer.ggml.token_type")
        return Vocabulary(
            model=self.field("tokenizer.ggml.model"),
            pre_tokenizer=self.field("tokenizer.ggml.pre"),
            tokens=self.strings("tokenizer.ggml.tokens"),
            types=[int(types.parts[part][0]) for part in types.data],
            merges=self.strings("tokenizer.ggml.merges"),
            end=int(self.field("tokenizer.ggml.eos_token_id")),
            template=self.field("tokenizer.chat_template"),
        )

    def model(self, progress: Callable[[int, int], None]) -> Model:
        shape = self.shape()
        blocks = []
        for number in range(shape.layers):
            blocks.append(self.block(number, shape))
            progress(number + 1, shape.layers)
        embedding = self.tensor("token_embd.weight", shape.vocabulary, shape.width)
        head = embedding
        if "output.weight" in self.tensors:
            head = self.tensor("output.weight", shape.vocabulary, shape.width)
        weights = Weights(embedding, blocks, self.tensor("output_norm.weight", shape.width), head)
        name = str(self.field("general.name", "a Llama"))
        return Model(name, shape, weights, self.vocabulary(), self.origins)
