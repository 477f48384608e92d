"""The demo's Llama against the formulas written as loops over Python's floats, and against itself in pieces."""

from __future__ import annotations

import math
import unittest

import fp6llm
import numpy as np

import support
from linear import Dense, Fp6
from measure import judge
from model import KvCache, Llama, silu

TEXT = [5, 0, 36, 17, 17, 2, 29, 8, 11]


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b))


def times(matrix, x):
    return [dot(row, x) for row in matrix]


def norm(x, gain, epsilon):
    rms = math.sqrt(dot(x, x) / len(x) + epsilon)
    return [value / rms * g for value, g in zip(x, gain)]


def rotate(head, position, base):
    """Turns the pairs (0, 1), (2, 3), ... of a head."""
    turned = []
    for pair in range(0, len(head), 2):
        angle = position * base ** -(pair / len(head))
        a, b = head[pair], head[pair + 1]
        turned.append(a * math.cos(angle) - b * math.sin(angle))
        turned.append(a * math.sin(angle) + b * math.cos(angle))
    return turned


def loops(shape, weights, text):
    """Logits after each token, without a cache: everything anew from the formulas, in fp64."""
    size, group = shape.head_width, shape.heads // shape.kv_heads
    states = [weights.embedding[token].tolist() for token in text]
    for block in weights.blocks:
        qkv, heads = block.qkv.tolist(), shape.heads + shape.kv_heads
        queries, keys, values = [], [], []
        for position, x in enumerate(states):
            made = times(qkv, norm(x, block.attention_norm.tolist(), shape.epsilon))
            made = [made[start : start + size] for start in range(0, len(made), size)]
            turned = [rotate(head, position, shape.rope_base) for head in made[:heads]]
            queries.append(turned[: shape.heads])
            keys.append(turned[shape.heads :])
            values.append(made[heads:])
        for position, x in enumerate(states):
            mixed = []
            for head, query in enumerate(queries[position]):
                own = head // group
                scores = [
                    math.exp(dot(query, keys[seen][own]) / math.sqrt(size)) for seen in range(position + 1)
                ]
                for element in range(size):
                    column = [values[seen][own][element] for seen in range(position + 1)]
                    mixed.append(dot(scores, column) / math.fsum(scores))
            x = [a + b for a, b in zip(x, times(block.attention_output.tolist(), mixed))]
            inner = times(block.gate_up.tolist(), norm(x, block.ffn_norm.tolist(), shape.epsilon))
            gate, up = inner[: shape.hidden], inner[shape.hidden :]
            hidden = [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up)]
            states[position] = [a + b for a, b in zip(x, times(block.down.tolist(), hidden))]
    gain = weights.output_norm.tolist()
    return [times(weights.head.tolist(), norm(x, gain, shape.epsilon)) for x in states]


def logits(model, text, pieces):
    """Logits after every token, the text fed in pieces of these sizes."""
    cache, found = KvCache(model.shape, len(text)), []
    for size in pieces:
        found.append(model.forward(text[cache.length : cache.length + size], cache, every=True))
    return np.concatenate(found)


class Arithmetic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.weights = support.tiny_weights()
        cls.dense = Llama(support.TINY, cls.weights, Dense)
        cls.expected = np.array(loops(support.TINY, cls.weights, TEXT))

    def test_logits_are_those_of_the_formulas(self):
        found = logits(self.dense, TEXT, [len(TEXT)])
        self.assertEqual(found.dtype, np.float32)
        # Some hundred fp32 roundings of 2^-24 each, logits of size 1 to 4.
        np.testing.assert_allclose(found, self.expected, rtol=0, atol=2e-5)

    def test_pieces_do_not_matter(self):
        for pieces in ([1] * len(TEXT), [4, 1, 4], [1, 8]):
            found = logits(self.dense, TEXT, pieces)
            np.testing.assert_allclose(found, self.expected, rtol=0, atol=2e-5, err_msg=str(pieces))

    def test_the_last_logits_alone(self):
        found = self.dense.forward(TEXT, KvCache(support.TINY, len(TEXT)))
        np.testing.assert_allclose(found, self.expected[-1], rtol=0, atol=2e-5)

    def test_perplexity(self):
        surprise = []
        for row, token in zip(self.expected, TEXT[1:]):
            surprise.append(math.log(math.fsum(math.exp(x) for x in row)) - row[token])
        expected = math.exp(math.fsum(surprise) / len(surprise))
        quality = judge(self.dense, TEXT)
        self.assertAlmostEqual(quality.perplexity / expected, 1, places=5)
        self.assertEqual(quality.likeliest.tolist(), self.expected[:-1].argmax(axis=1).tolist())

    def test_generates_the_likeliest(self):
        text, made = list(TEXT), []
        for _ in range(4):
            made.append(int(np.argmax(loops(support.TINY, self.weights, text)[-1])))
            text.append(made[-1])
        self.assertEqual(list(self.dense.generate(TEXT, 4, end=-1)), made)
        self.assertEqual(list(self.dense.generate(TEXT, 4, end=made[0])), [])

    def test_silu_far_out(self):
        with np.errstate(all="raise", under="ignore"):
            found = silu(np.array([-3e38, -100, 0, 100, 3e38], np.float32))
        np.testing.assert_allclose(found[1:], [0, 0, 100, 3e38], rtol=1e-6, atol=1e-30)
        self.assertTrue(np.isfinite(found).all())


class SixBits(unittest.TestCase):
    def test_a_model_of_what_the_codes_stand_for(self):
        """Quantized layers multiply as fp32 ones of the dequantized matrices do, so the logits agree."""
        weights = support.tiny_weights()
        for options in ({"format": "e3m2"}, {"format": "auto", "scale": "mx"}):
            with fp6llm.Handle("cpu", threads=2) as handle:
                six = Llama(support.TINY, weights, lambda matrix: Fp6(matrix, handle, **options))  # noqa: B023
                rounded = Llama(
                    support.TINY, weights,
                    lambda matrix: Dense(fp6llm.quantize(matrix, **options).dequantize()),  # noqa: B023
                )  # fmt: skip
                for pieces in ([len(TEXT)], [1] * len(TEXT)):
                    np.testing.assert_allclose(
                        logits(six, TEXT, pieces), logits(rounded, TEXT, pieces), rtol=0, atol=5e-5
                    )


class BadInput(unittest.TestCase):
    def setUp(self):
        self.model = Llama(support.TINY, support.tiny_weights(), Dense)

    def test_tokens(self):
        for tokens in ([], [-1], [support.TINY.vocabulary]):
            with self.assertRaises(ValueError):
                self.model.forward(tokens, KvCache(support.TINY, 4))

    def test_a_full_cache(self):
        cache = KvCache(support.TINY, 4)
        self.model.forward([1, 2, 3], cache)
        with self.assertRaisesRegex(ValueError, "5 tokens; the cache holds 4"):
            self.model.forward([1, 2], cache)
        self.assertEqual(cache.length, 3)

    def test_more_than_the_context(self):
        for capacity in (0, support.TINY.context + 1):
            with self.assertRaisesRegex(ValueError, "holds 1 to 64"):
                KvCache(support.TINY, capacity)


if __name__ == "__main__":
    unittest.main()
