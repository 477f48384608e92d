"""GGUF files: what is read is what was written, and a damaged or hostile file is a ValueError that says why."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import numpy as np

import loader
import support


class Loader(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "tiny.gguf")
        self.weights = support.tiny_weights()

    def load(self, replace=None):
        support.tiny_file(self.path, self.weights, replace)
        return loader.load(self.path)

    def test_everything_comes_back(self):
        model = self.load()
        self.assertEqual(model.shape.layers, support.TINY.layers)
        self.assertEqual(model.shape.kv_heads, support.TINY.kv_heads)
        self.assertAlmostEqual(model.shape.epsilon, support.TINY.epsilon)
        np.testing.assert_array_equal(model.weights.embedding, self.weights.embedding)
        np.testing.assert_array_equal(model.weights.head, self.weights.head)
        for found, written in zip(model.weights.blocks, self.weights.blocks, strict=True):
            for name in vars(written):
                np.testing.assert_array_equal(getattr(found, name), getattr(written, name), name)
        self.assertEqual(model.vocabulary.tokens[36], "t36")
        matrices = [self.weights.embedding, self.weights.head]
        for block in self.weights.blocks:
            matrices += [block.qkv, block.attention_output, block.gate_up, block.down]
        self.assertEqual(model.origins, {"F32": sum(matrix.size for matrix in matrices)})

    def test_a_tied_head_is_the_embedding(self):
        weights = self.load({"output.weight": None}).weights
        self.assertIs(weights.head, weights.embedding)

    def test_wrong_content(self):
        nan = self.weights.output_norm.copy()
        nan[3] = np.nan
        for replace, why in (
            ({"general.architecture": "gpt2"}, "architecture gpt2"),
            ({"llama.block_count": None}, "llama.block_count"),
            ({"llama.block_count": 3}, "no tensor blk.2"),
            ({"llama.block_count": 0}, "below 1"),
            ({"llama.attention.head_count": 5}, "do not divide"),
            ({"llama.attention.head_count": 0}, "below 1"),
            ({"llama.attention.head_count_kv": 4}, "do not divide"),
            ({"llama.rope.dimension_count": 2}, "rotary"),
            ({"llama.embedding_length": 48}, r"shape \(24,\); \(48,\) is needed"),
            ({"blk.1.attn_k.weight": None}, "no tensor blk.1.attn_k.weight"),
            ({"output_norm.weight": nan}, "NaN"),
            ({"tokenizer.ggml.merges": None}, "no field tokenizer.ggml.merges"),
        ):
            with self.subTest(why), self.assertRaisesRegex(ValueError, why):
                self.load(replace)

    def test_truncated_anywhere(self):
        support.tiny_file(self.path, self.weights)
        whole = Path(self.path).read_bytes()
        for size in [*range(0, 2000, 61), *range(2000, len(whole) - 40, 1009)]:
            Path(self.path).write_bytes(whole[:size])
            with self.subTest(size), self.assertRaises(ValueError):
                loader.load(self.path)

    def test_no_file(self):
        with self.assertRaises(FileNotFoundError):
            loader.load(self.path)


if __name__ == "__main__":
    unittest.main()
