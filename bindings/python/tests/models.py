"""Model files as the checkpoint tests need them, written by this module's own reading of the formats."""

import json

import ml_dtypes
import numpy

NAMES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "uint8": "U8", "int64": "I64", "bool": "BOOL"}


def safetensors_bytes(tensors, metadata=None):
    """A safetensors file of arrays by name."""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, array in tensors.items():
        raw = numpy.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    return with_header(json.dumps(header), data)


def with_header(text, data=b""):
    """A safetensors file with this header."""
    text = text if isinstance(text, bytes) else text.encode()
    return len(text).to_bytes(8, "little") + text + data


def write_shards(folder, shards, config=None):
    """A model of several files with their index, or of one."""
    folder.mkdir(exist_ok=True)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    if len(shards) == 1:
        (folder / "model.safetensors").write_bytes(safetensors_bytes(shards[0], {"format": "pt"}))
        return folder
    weight_map = {}
    for number, tensors in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        (folder / name).write_bytes(safetensors_bytes(tensors, {"format": "pt"}))
        weight_map.update(dict.fromkeys(tensors, name))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def tiny_llama(layers=2, hidden=64, inner=96, vocabulary=50, dtype=ml_dtypes.bfloat16, seed=0):
    """The tensors of a small Llama by Hugging Face's names."""
    random = numpy.random.default_rng(seed)

    def matrix(rows, cols):
        return (random.standard_normal((rows, cols)) * 0.05).astype(dtype)

    tensors = {"model.embed_tokens.weight": matrix(vocabulary, hidden)}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for name, rows, cols in (
            ("self_attn.q_proj", hidden, hidden), ("self_attn.k_proj", hidden // 2, hidden),
            ("self_attn.v_proj", hidden // 2, hidden), ("self_attn.o_proj", hidden, hidden),
            ("mlp.gate_proj", inner, hidden), ("mlp.up_proj", inner, hidden), ("mlp.down_proj", hidden, inner),
        ):  # fmt: skip
            tensors[f"{prefix}{name}.weight"] = matrix(rows, cols)
        tensors[f"{prefix}input_layernorm.weight"] = numpy.ones(hidden, dtype)
    tensors["model.norm.weight"] = numpy.ones(hidden, numpy.float32)
    tensors["lm_head.weight"] = matrix(vocabulary, hidden)
    return tensors


CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64}


def damaged(data, seed, count):
    """Copies of a file with a byte changed, a piece cut out or the end missing, the same for a seed."""
    random = numpy.random.default_rng(seed)
    for number in range(count):
        made = bytearray(data)
        if number % 4 == 0:
            del made[int(random.integers(len(made))) :]
        elif number % 4 == 1:
            begin = int(random.integers(len(made)))
            del made[begin : begin + int(random.integers(1, 9))]
        else:
            # Mostly in the header, where it matters.
            limit = len(made) if number % 4 == 2 else min(len(made), 400)
            for _ in range(int(random.integers(1, 4))):
                made[int(random.integers(limit))] = int(random.integers(256))
        yield bytes(made)
