"""A Llama in NumPy (Touvron et al., arXiv 2302.13971), its linear layers of any kind (linear.py).

RMSNorm, rotary positions, grouped-query attention over a key-value cache, SwiGLU. GGUF files hold the rows of
query and key so that the two numbers a position rotates lie side by side: they are one complex number here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from linear import Linear
from loader import Shape, Weights


class KvCache:
    """Keys and values [layers, kv_heads, capacity, head_width] of the first `length` tokens of a text."""

    def __init__(self, shape: Shape, capacity: int) -> None:
        if not 0 < capacity <= shape.context:
            raise ValueError(f"{capacity} tokens; the model's context holds 1 to {shape.context}")
        extents = (shape.layers, shape.kv_heads, capacity, shape.head_width)
        self.keys = np.zeros(extents, np.float32)
        self.values = np.zeros(extents, np.float32)
        self.length = 0
        # [capacity, head_width / 2]: what position p multiplies the pair i of a head with.
        steps = np.arange(0, shape.head_width, 2) / shape.head_width
        angles = np.arange(capacity)[:, None] * shape.rope_base**-steps
        self.rotation = np.exp(1j * angles).astype(np.complex64)

    @property
    def capacity(self) -> int:
        """Tokens there is room for."""
        return self.keys.shape[2]


@dataclass(frozen=True)
class _Layers:
    qkv: Linear
    attention_output: Linear
    gate_up: Linear
    down: Linear


class Llama:
    """A model whose linear layers are made from its fp32 matrices by `make_linear`."""

    def __init__(self, shape: Shape, weights: Weights, make_linear: Callable[[np.ndarray], Linear]) -> None:
        self.shape = shape
        self._weights = weights
        self._layers = [
            _Layers(
                make_linear(block.qkv),
                make_linear(block.attention_output),
                make_linear(block.gate_up),
                make_linear(block.down),
            )
            for block in weights.blocks
        ]
        self._head = make_linear(weights.head)

    @property
    def linears(self) -> list[Linear]:
        """Every linear layer, the output projection among them: all that a token reads of the weights."""
        layers = [
            linear
            for layer in self._layers
            for linear in (layer.qkv, layer.attention_output, layer.gate_up, layer.down)
        ]
        return [*layers, self._head]

    def forward(self, tokens: Sequence[int], cache: KvCache, every: bool = False) -> np.ndarray:
        """Continues the text in the cache by `tokens`.

        Returns the logits [vocabulary] after the last one, or [tokens, vocabulary] after `every` one.
        """
        shape, epsilon = self.shape, self.shape.epsilon
        ids = np.asarray(tokens)
        if ids.size == 0 or ids.min() < 0 or ids.max() >= shape.vocabulary:
            raise ValueError(f"{ids.size} tokens, of which some are not in the vocabulary, or none")
        first, last = cache.length, cache.length + ids.size
        if last > cache.capacity:
            raise ValueError(f"{last} tokens; the cache holds {cache.capacity}")
        x = self._weights.embedding[ids]
        for number, (layer, block) in enumerate(zip(self._layers, self._weights.blocks)):
            qkv = layer.qkv(rms_norm(x, block.attention_norm, epsilon))
            qkv = qkv.reshape(ids.size, -1, shape.head_width)
            query, key, value = np.split(qkv, [shape.heads, shape.heads + shape.kv_heads], axis=1)
            turn = cache.rotation[first:last, None]
            query = (query.view(np.complex64) * turn).view(np.float32)
            key = (key.view(np.complex64) * turn).view(np.float32)
            keys, values = cache.keys[number], cache.values[number]
            keys[:, first:last] = key.transpose(1, 0, 2)
            values[:, first:last] = value.transpose(1, 0, 2)
            mixed = attention(query, keys[:, :last], values[:, :last])
            x = layer.attention_output(mixed, x)
            gate_up = layer.gate_up(rms_norm(x, block.ffn_norm, epsilon))
            gate, up = gate_up[:, : shape.hidden], gate_up[:, shape.hidden :]
            x = layer.down(silu(gate) * up, x)
        cache.length = last
        if not every:
            x = x[-1:]
        logits = self._head(rms_norm(x, self._weights.output_norm, epsilon))
        return logits if every else logits[0]

    def generate(self, prompt: Sequence[int], tokens: int, end: int) -> Iterator[int]:
        """At most `tokens` tokens, each the likeliest after the prompt and those before, until `end`."""
        cache = KvCache(self.shape, len(prompt) + tokens)
        logits = self.forward(prompt, cache)
        for made in range(1, tokens + 1):
            token = int(np.argmax(logits))
            if token == end:
                return
            yield token
            if made < tokens:
                logits = self.forward([token], cache)


def rms_norm(x: np.ndarray, gain: np.ndarray, epsilon: float) -> np.ndarray:
    """x / rms(x) * gain over the last axis (Zhang and Sennrich, arXiv 1910.07467)."""
    square = np.vecdot(x, x)[..., None] / np.float32(x.shape[-1])
    return x * (1 / np.sqrt(square + np.float32(epsilon))) * gain


def silu(x: np.ndarray) -> np.ndarray:
    """x / (1 + exp(-x))."""
    # Below -80 the result is a zero within fp32's accuracy, and exp would overflow soon after.
    return x / (1 + np.exp(-np.maximum(x, np.float32(-80))))


def attention(query: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Causal attention of the last tokens of a text to all of it; several query heads share a key head.

    query [tokens, heads, width]; keys, values [kv_heads, length, width]; returns [tokens, heads * width].
    """
    tokens, heads, width = query.shape
    kv_heads, length, _ = keys.shape
    # One product per key head, over its query heads and the tokens together.
    query = query.reshape(tokens, kv_heads, -1, width).transpose(1, 2, 0, 3)
    query = query.reshape(kv_heads, -1, width)
    scores = query @ keys.transpose(0, 2, 1)
    scores *= np.float32(width**-0.5)
    if tokens > 1:
        future = np.arange(length) > np.arange(length - tokens, length)[:, None]
        scores.reshape(kv_heads, -1, tokens, length)[:, :, future] = -np.inf
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed = (scores @ values).reshape(kv_heads, -1, tokens, width)
    return mixed.transpose(2, 0, 1, 3).reshape(tokens, heads * width)
