"""The model's tokenizer, made from the vocabulary and merges in the GGUF file with the `tokenizers` package.

Byte-level BPE as GPT-2 has it, digits one by one; the chat format is ChatML, <|im_start|>role ... <|im_end|>.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from loader import Vocabulary

# GGUF's number of the token types that stand for themselves and never come from a text.
_CONTROL = 3
_START, _END = "<|im_start|>", "<|im_end|>"


class Tokenizer:
    """Text to token numbers and back."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        if (vocabulary.model, vocabulary.pre_tokenizer) != ("gpt2", "smollm"):
            raise ValueError(
                f"tokenizer {vocabulary.model}, {vocabulary.pre_tokenizer}; this one is gpt2, smollm"
            )
        numbers = {token: number for number, token in enumerate(vocabulary.tokens)}
        merges = [tuple(merge.split(" ")) for merge in vocabulary.merges]
        if len(numbers) != len(vocabulary.tokens) or len(vocabulary.types) != len(numbers):
            raise ValueError("the vocabulary has a token twice, or another number of types than tokens")
        for merge in merges:
            if len(merge) != 2 or not numbers.keys() >= {*merge, "".join(merge)}:
                raise ValueError(f"the merge {' '.join(merge)!r} is not one of two tokens into a third")
        control = [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(vocabulary.tokens, vocabulary.types)
            if kind == _CONTROL
        ]
        self._bpe = tokenizers.Tokenizer(models.BPE(numbers, merges))
        self._bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        self._bpe.decoder = decoders.ByteLevel()
        self._bpe.add_special_tokens(control)
        # A text that spells a control token does not get it: a prompt cannot leave its turn.
        self._bpe.encode_special_tokens = True
        self.end = vocabulary.end
        self._template = vocabulary.template
        self._numbers = numbers

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        return self._bpe.encode(text, add_special_tokens=False).ids

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; control tokens are left out."""
        return self._bpe.decode(list(tokens))

    def stream(self, tokens: Iterable[int]) -> Iterator[str]:
        """The text of tokens piece by piece, as soon as its characters are whole."""
        decoder = decoders.DecodeStream(skip_special_tokens=True)
        for token in tokens:
            yield decoder.step(self._bpe, token) or ""

    def chat(self, prompt: str) -> list[int]:
        """A prompt in the model's chat format, up to where its answer starts."""
        # The system message that the file's template puts before a conversation without one.
        system = re.search(r"system(?:\\n|\n)(.*?)<\|im_end\|>", self._template)
        if system is None or not self._numbers.keys() >= {_START, _END}:
            raise ValueError("the file's chat template is not ChatML with a system message")
        start, end = self._numbers[_START], self._numbers[_END]
        turns = [start, *self.encode(f"system\n{system.group(1)}"), end, *self.encode("\n")]
        turns += [start, *self.encode(f"user\n{prompt}"), end, *self.encode("\n")]
        return [*turns, start, *self.encode("assistant\n")]
