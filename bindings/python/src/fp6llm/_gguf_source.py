"""A GGUF model as a source of `python -m fp6llm quantize`: blocks to floats, names to Hugging Face's.

Tensors in blocks (Q4_0, Q8_0, ...) become float32 to be quantized and float16 to be copied. Rows of q and k of
the llama architecture are in an order of GGUF's own, which is undone with the names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy

from ._gguf_file import GgufFile, GgufTensor
from ._quantize_sources import SourceTensor, file_identity
from ._safetensors_file import CheckpointError, TensorInfo, as_array

_PLAIN = {0: "F32", 1: "F16", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 30: "BF16"}
_COPY_ELEMENTS = 4 << 20
_MODELS = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
_WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_IN_BLOCK = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NAME = re.compile(r"(?:blk\.(\d+)\.)?([a-z_]+)\.(weight|bias)", re.ASCII)


class GgufSource:
    """A .gguf file.

    `hf_names` says whether names were changed: where the architecture is known, all tensors are, and the
    metadata suffices for a config.json.
    """

    def __init__(self, path: str, *, hf_names: bool = True) -> None:
        try:
            import gguf  # noqa: F401
        except ImportError:
            raise CheckpointError(path, "GGUF takes the package gguf (pip install 'fp6llm[gguf]')") from None
        self.path = path
        self.files: list[str] = []
        self._file = GgufFile(path)
        try:
            names = self._hf_names() if hf_names else None
            config = None if names is None else self._hf_config()
            self.hf_names = config is not None
            self.config: dict[str, Any] = config or {}
            if names is None or config is None:
                names = {name: name for name in self._file.tensors}
            self._heads = self._interleaved_heads(names) if self.hf_names else {}
            self._tensors = {names[name]: tensor for name, tensor in self._file.tensors.items()}
            self.tensors = {name: self._describe(name, tensor) for name, tensor in self._tensors.items()}
            self.shards = {"model.safetensors": list(self.tensors)}
        except BaseException:
            self.close()
            raise

    @property
    def _architecture(self) -> Any:
        return self._file.metadata.get("general.architecture")

    def _hf_names(self) -> dict[str, str] | None:
        if self._architecture not in _MODELS:
            return None
        names = {}
        for name in self._file.tensors:
            match = _NAME.fullmatch(name)
            if match is None:
                return None
            layer, part, kind = match.groups()
            known = (_WHOLE if layer is None else _IN_BLOCK).get(part)
            if known is None:
                return None
            names[name] = f"{known}.{kind}" if layer is None else f"model.layers.{int(layer)}.{known}.{kind}"
        return names if len(set(names.values())) == len(names) else None

    def _hf_config(self) -> dict[str, Any] | None:
        """config.json of transformers; None if the metadata lacks something."""
        embedding = self._file.tensors.get("token_embd.weight")
        keys = {
            "hidden_size": "embedding_length",
            "num_hidden_layers": "block_count",
            "intermediate_size": "feed_forward_length",
            "num_attention_heads": "attention.head_count",
            "max_position_embeddings": "context_length",
        }
        config = {key: self._value(name) for key, name in keys.items()}
        if embedding is None or not all(type(value) is int and value > 0 for value in config.values()):
            return None
        heads = config["num_attention_heads"]
        key_heads = self._value("attention.head_count_kv", heads)
        head_dim = self._value("attention.key_length", config["hidden_size"] // heads)
        epsilon = self._value("attention.layer_norm_rms_epsilon", 1e-6)
        theta = self._value("rope.freq_base", 10000.0)
        if not all(type(value) is int and value > 0 for value in (key_heads, head_dim)):
            return None
        if not all(isinstance(value, float) and math.isfinite(value) for value in (epsilon, theta)):
            return None
        return {
            "architectures": [_MODELS[self._architecture]],
            "model_type": self._architecture,
            **config,
            "num_key_value_heads": key_heads,
            "head_dim": head_dim,
            "hidden_act": "silu",
            # float32 in GGUF; its shortest decimal is what was meant.
            "rms_norm_eps": float(str(numpy.float32(epsilon))),
            "rope_theta": theta,
            "vocab_size": embedding.shape[0],
            "tie_word_embeddings": "output.weight" not in self._file.tensors,
            "dtype": "float16",
        }

    def _value(self, name: str, default: Any = None) -> Any:
        return self._file.metadata.get(f"{self._architecture}.{name}", default)

    def _interleaved_heads(self, names: dict[str, str]) -> dict[str, int]:
        """Heads of the tensors whose rows GGUF has in pairs (i, i + half of a head)."""
        if self._architecture != "llama":
            return {}
        found = {}
        for name, renamed in names.items():
            heads = {
                "attn_q": self.config["num_attention_heads"],
                "attn_k": self.config["num_key_value_heads"],
            }.get(name.split(".")[-2])
            if heads is not None:
                if self._file.tensors[name].shape[0] % (2 * heads):
                    raise CheckpointError(self.path, f"its rows are not {heads} heads of even size", name)
                found[renamed] = heads
        return found

    def _describe(self, name: str, tensor: GgufTensor) -> SourceTensor:
        return SourceTensor(name, _PLAIN.get(tensor.type, "F16"), tensor.shape, tensor.nbytes)

    def identity(self) -> list[list[Any]]:
        """As Source."""
        return [file_identity(self.path)]

    def rows(self, name: str, begin: int, end: int) -> numpy.ndarray:
        """As Source."""
        heads = self._heads.get(name)
        if heads is None:
            return self._stored_rows(name, begin, end)
        head = self._tensors[name].shape[0] // heads
        first = begin // head * head
        stored = self._stored_rows(name, first, -(-end // head) * head)
        row = numpy.arange(begin, end)
        # Row (h, p, i), p being the half of the head, is stored as (h, i, p).
        within = row % head
        return stored[row - row % head + within % (head // 2) * 2 + within // (head // 2) - first]

    def _stored_rows(self, name: str, begin: int, end: int) -> numpy.ndarray:
        from gguf import quants
        from gguf.constants import GGMLQuantizationType

        tensor = self._tensors[name]
        inner = tensor.shape[1:] if len(tensor.shape) > 1 else ()
        # A vector in blocks would have no rows of its own; there is none in practice.
        if tensor.type not in _PLAIN and not inner:
            raise CheckpointError(self.path, "is a vector in blocks", tensor.name)
        row = tensor.nbytes // tensor.shape[0] if tensor.shape[0] else 0
        data = self._file.read(tensor, begin * row, (end - begin) * row)
        if tensor.type in _PLAIN:
            info = TensorInfo(tensor.name, _PLAIN[tensor.type], tensor.shape, 0, data.nbytes)
            return as_array(self.path, info, data).reshape(end - begin, *inner)
        kind = GGMLQuantizationType(tensor.type)
        try:
            made = quants.dequantize(
                data.reshape(-1, tensor.shape[-1] // tensor.block * tensor.block_bytes), kind
            )
        except NotImplementedError:
            raise CheckpointError(self.path, f"ggml type {kind.name} cannot be read", tensor.name) from None
        return numpy.ascontiguousarray(made, numpy.float32).reshape(end - begin, *inner)

    def chunks(self, name: str) -> Iterator[numpy.ndarray]:
        """As Source."""
        tensor = self._tensors[name]
        rows = tensor.shape[0]
        step = max(1, _COPY_ELEMENTS // max(1, math.prod(tensor.shape[1:])))
        for begin in range(0, rows, step):
            made = self.rows(name, begin, min(rows, begin + step))
            if tensor.type not in _PLAIN:
                with numpy.errstate(over="ignore"):
                    halfs = made.astype(numpy.float16)
                if numpy.isinf(halfs).any() and numpy.isfinite(made).all():
                    raise CheckpointError(self.path, "has values beyond float16's range", tensor.name)
                made = halfs
            yield numpy.ascontiguousarray(made).reshape(-1).view(numpy.uint8)

    def close(self) -> None:
        """As Source."""
        self._file.close()
