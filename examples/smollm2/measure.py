"""What a model's linear layers cost and lose in one kind or another: times, bytes, perplexity."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from model import KvCache, Llama

# Perplexity feeds the text in pieces of this many tokens, which bounds the memory of their logits.
_PIECE = 128


@dataclass
class Speed:
    """Seconds from prompt to first token, and per token after that, of each turn."""

    first: list[float] = field(default_factory=list)
    next: list[float] = field(default_factory=list)

    @property
    def first_ms(self) -> float:
        """Median time to the first token."""
        return 1e3 * median(self.first)

    @property
    def tokens_per_second(self) -> float:
        """From the median time of a token."""
        return 1 / median(self.next)


def take_turn(model: Llama, prompt: Sequence[int], tokens: int, speed: Speed) -> None:
    """Times one answer of `tokens` tokens after the first."""
    cache = KvCache(model.shape, len(prompt) + tokens)
    start = time.perf_counter()
    token = int(np.argmax(model.forward(prompt, cache)))
    speed.first.append(time.perf_counter() - start)
    for _ in range(tokens):
        start = time.perf_counter()
        token = int(np.argmax(model.forward([token], cache)))
        speed.next.append(time.perf_counter() - start)


def time_in_turns(
    models: Sequence[Llama],
    prompt: Sequence[int],
    tokens: int,
    turns: int,
    seconds: float,
    progress: Callable[[int, int], None],
) -> list[Speed]:
    """Times models in turns, so that whatever else the machine does meets all of them.

    There are no more turns once `seconds` have passed.
    """
    end = time.perf_counter() + seconds
    speeds = [Speed() for _ in models]
    for turn in range(turns):
        for number, model in enumerate(models):
            take_turn(model, prompt, tokens, speeds[number])
            progress(turn * len(models) + number + 1, turns * len(models))
        if time.perf_counter() > end:
            break
    return speeds


@dataclass(frozen=True)
class Quality:
    """What a model expected of a text: perplexity, and the likeliest token after each."""

    perplexity: float
    likeliest: np.ndarray

    def agreement(self, other: Quality) -> float:
        """How often both hold the same token for the likeliest."""
        return float(np.mean(self.likeliest == other.likeliest))


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """The logarithm of softmax over the last axis, in fp64."""
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def judge(model: Llama, text: Sequence[int]) -> Quality:
    """Feeds a text, each token of which but the first the model has to expect."""
    cache = KvCache(model.shape, len(text) - 1)
    surprise, likeliest = 0.0, []
    for start in range(0, len(text) - 1, _PIECE):
        seen = text[start : min(start + _PIECE, len(text) - 1)]
        expected = text[start + 1 : start + 1 + len(seen)]
        found = log_probabilities(model.forward(seen, cache, every=True))
        surprise -= found[np.arange(len(seen)), expected].sum()
        likeliest.append(found.argmax(axis=-1))
    return Quality(float(np.exp(surprise / (len(text) - 1))), np.concatenate(likeliest))
