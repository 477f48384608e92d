"""GGUF as input: values against the package gguf, rows in Hugging Face's order, hostile files."""

import json
import struct

import ml_dtypes
import models
import numpy
import oracle
import pytest

gguf = pytest.importorskip("gguf")

import fp6llm  # noqa: E402
from fp6llm.__main__ import main  # noqa: E402
from fp6llm._gguf_source import GgufSource  # noqa: E402
from fp6llm.safetensors import Checkpoint, CheckpointError  # noqa: E402

TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q6_K", "Q4_K", "F16", "F32", "BF16"]
HEADS, KEY_HEADS, HIDDEN, INNER = 4, 2, 256, 512


def quantized(w, kind):
    """A matrix in blocks, as GGUF stores it, and its values."""
    if kind == "Q4_K" or kind == "Q6_K":
        # gguf-py cannot write these: random blocks with sane fp16 scales.
        size = {"Q4_K": 144, "Q6_K": 210}[kind]
        data = numpy.random.default_rng(3).integers(0, 256, (w.shape[0], w.shape[1] // 256, size), numpy.uint8)
        for offset in {"Q4_K": (0, 2), "Q6_K": (208,)}[kind]:
            data[..., offset : offset + 2] = numpy.frombuffer(numpy.float16(0.01).tobytes(), numpy.uint8)
        data = data.reshape(w.shape[0], -1)
    else:
        data = gguf.quants.quantize(w, gguf.GGMLQuantizationType[kind])
    return data, gguf.quants.dequantize(data, gguf.GGMLQuantizationType[kind])


def permuted(w, heads):
    """Rows of q and k in the order in which llama.cpp's converter writes them."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def write_gguf(path, tensors, architecture="llama", metadata=True, kinds=None):
    """A GGUF file by the package's own writer; `kinds`: types of tensors that are not in blocks of Q8_0."""
    writer = gguf.GGUFWriter(path, architecture)
    if metadata:
        writer.add_embedding_length(HIDDEN)
        writer.add_block_count(1)
        writer.add_feed_forward_length(INNER)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KEY_HEADS)
        writer.add_context_length(128)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_freq_base(10000.0)
        writer.add_token_list([b"a", b"bc", b""])
        writer.add_token_scores([0.0, 1.0, 2.0])
        writer.add_string("general.name", "tiny")
    for name, array in tensors.items():
        kind = (kinds or {}).get(name, "F32" if array.ndim == 1 else "Q8_0")
        if kind == "F32":
            writer.add_tensor(name, array.astype(numpy.float32))
        else:
            data, _ = quantized(array, kind)
            writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama(seed=0):
    """A model of one block by GGUF's names."""
    random = numpy.random.default_rng(seed)
    shapes = {
        "token_embd.weight": (64, HIDDEN), "blk.0.attn_norm.weight": (HIDDEN,),
        "blk.0.attn_q.weight": (HIDDEN, HIDDEN), "blk.0.attn_k.weight": (HIDDEN // 2, HIDDEN),
        "blk.0.attn_v.weight": (HIDDEN // 2, HIDDEN), "blk.0.attn_output.weight": (HIDDEN, HIDDEN),
        "blk.0.ffn_norm.weight": (HIDDEN,), "blk.0.ffn_gate.weight": (INNER, HIDDEN),
        "blk.0.ffn_up.weight": (INNER, HIDDEN), "blk.0.ffn_down.weight": (HIDDEN, INNER),
        "output_norm.weight": (HIDDEN,),
    }  # fmt: skip
    return {name: (random.standard_normal(shape) * 0.1).astype(numpy.float32) for name, shape in shapes.items()}


def quantize(*arguments):
    return main(["quantize", *map(str, arguments), "--threads", "1"])


@pytest.mark.parametrize("kind", TYPES)
def test_types(tmp_path, kind):
    w = oracle.gaussian((24, 512), 1)
    tensors = {"a.weight": w, "token_embd.weight": w}
    path = write_gguf(tmp_path / "m.gguf", tensors, metadata=False, kinds=dict.fromkeys(tensors, kind))
    assert quantize(path, tmp_path / "out", "--verify") == 0
    _, values = quantized(w, kind)
    with Checkpoint.open(tmp_path / "out") as checkpoint:
        found = checkpoint.quantized("a")
        kept = checkpoint.read("token_embd.weight")
    made = fp6llm.quantize(
        values.astype({"F16": numpy.float16, "BF16": ml_dtypes.bfloat16}.get(kind, numpy.float32))
    )
    numpy.testing.assert_array_equal(found.codes, made.codes)
    numpy.testing.assert_array_equal(found.scales, made.scales)
    stored = {"F32": numpy.float32, "BF16": ml_dtypes.bfloat16}.get(kind, numpy.float16)
    assert kept.dtype == stored
    numpy.testing.assert_array_equal(kept, values.astype(stored))


def test_names_rows_and_config_of_hugging_face(tmp_path):
    tensors = llama()
    written = dict(tensors)
    written["blk.0.attn_q.weight"] = permuted(tensors["blk.0.attn_q.weight"], HEADS)
    written["blk.0.attn_k.weight"] = permuted(tensors["blk.0.attn_k.weight"], KEY_HEADS)
    path = write_gguf(tmp_path / "m.gguf", written)
    assert quantize(path, tmp_path / "out", "--format", "e2m3") == 0
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config.pop("quantization_config")["quant_method"] == "fp6llm"
    assert config == {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256,
        "num_hidden_layers": 1,
        "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
        "max_position_embeddings": 128, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "vocab_size": 64, "tie_word_embeddings": True, "dtype": "float16",
    }  # fmt: skip
    names = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
             "ffn_down": "mlp.down_proj"}  # fmt: skip
    with Checkpoint.open(tmp_path / "out") as checkpoint:
        assert set(checkpoint.tensors) == {
            "model.embed_tokens.weight", "model.norm.weight", "model.layers.0.input_layernorm.weight",
            "model.layers.0.post_attention_layernorm.weight",
        }  # fmt: skip
        assert set(checkpoint.layers) == {f"model.layers.0.{name}" for name in names.values()}
        for old, new in names.items():
            _, values = quantized(tensors[f"blk.0.{old}.weight"], "Q8_0")
            found = checkpoint.quantized(f"model.layers.0.{new}")
            numpy.testing.assert_array_equal(found.codes, fp6llm.quantize(values, format="e2m3").codes)


def test_rows_in_blocks_that_cut_heads(tmp_path):
    w = oracle.gaussian((256, 256), 1)
    tensors = {**llama(), "blk.0.attn_q.weight": permuted(w, HEADS)}
    source = GgufSource(str(write_gguf(tmp_path / "m.gguf", tensors, kinds={"blk.0.attn_q.weight": "F32"})))
    name = "model.layers.0.self_attn.q_proj.weight"
    for begin, end in ((0, 256), (0, 1), (63, 65), (30, 200), (255, 256), (7, 7)):
        numpy.testing.assert_array_equal(source.rows(name, begin, end), w[begin:end])
    source.close()


@pytest.mark.parametrize(
    ("architecture", "metadata", "more"),
    [("llama", True, {"rope_freqs.weight": (8,)}), ("mamba", True, {}), ("llama", False, {})],
)
def test_other_models_keep_their_names(tmp_path, architecture, metadata, more):
    tensors = {**llama(), **{name: numpy.ones(shape, numpy.float32) for name, shape in more.items()}}
    path = write_gguf(tmp_path / "m.gguf", tensors, architecture, metadata)
    assert quantize(path, tmp_path / "out") == 0
    with Checkpoint.open(tmp_path / "out") as checkpoint:
        assert set(checkpoint.layers) | {name[:-7] for name in checkpoint.tensors} == {
            name[:-7] for name in tensors
        }
        assert "blk.0.attn_q" in checkpoint.layers and "token_embd.weight" in checkpoint.tensors
    assert list(json.loads((tmp_path / "out" / "config.json").read_text())) == ["quantization_config"]


def test_names_can_be_kept(tmp_path):
    path = write_gguf(tmp_path / "m.gguf", llama())
    assert quantize(path, tmp_path / "out", "--gguf-names", "--scale", "mx", "--format", "auto") == 0
    with Checkpoint.open(tmp_path / "out") as checkpoint:
        _, values = quantized(llama()["blk.0.attn_q.weight"], "Q8_0")
        made = fp6llm.quantize(values, format="auto", scale="mx", mx_scale_rule="even")
        numpy.testing.assert_array_equal(checkpoint.quantized("blk.0.attn_q").codes, made.codes)


def test_values_beyond_float16_are_not_copied(tmp_path, capsys):
    w = numpy.full((2, 32), 1e6, numpy.float32)
    data = numpy.zeros((2, 34), numpy.uint8)
    data[:, :2] = numpy.frombuffer(numpy.float16(60000).tobytes(), numpy.uint8)
    data[:, 2:] = 100
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_tensor("token_embd.weight", data, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("a.weight", w)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert quantize(tmp_path / "m.gguf", tmp_path / "out") == 1
    assert "'token_embd.weight': has values beyond float16's range" in capsys.readouterr().err


def text(value):
    return struct.pack("<Q", len(value)) + value


def header(tensors=b"", count=0, entries=b"", entry_count=0, version=3, magic=b"GGUF"):
    return magic + struct.pack("<IQQ", version, count, entry_count) + entries + tensors


def tensor(name=b"a.weight", dims=(32, 2), kind=0, offset=0):
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def file(*tensors, data=256):
    made = header(b"".join(tensors), len(tensors))
    return made + bytes(-len(made) % 32) + bytes(data)


U32 = struct.pack("<I", 4)
HUGE = 1 << 60
HOSTILE = {
    "nothing": (b"", "ends within 'the magic number'"),
    "another file": (b"PK\3\4" + bytes(60), "is not a GGUF file"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "GGUF version 50331648"),
    "version 1": (header(version=1), "GGUF version 1"),
    "2^60 entries": (header(entry_count=HUGE), "ends within"),
    "2^60 tensors": (header(count=HUGE), "ends within"),
    "a key of 2^60 bytes": (header(entries=struct.pack("<Q", HUGE), entry_count=1), "over the limit"),
    "a key cut short": (header(entries=struct.pack("<Q", 60) + b"abc", entry_count=1), "ends within"),
    "a key of no text": (header(entries=text(b"\xff") + U32 + U32, entry_count=1), "is not UTF-8"),
    "an unknown type": (
        header(entries=text(b"k") + struct.pack("<I", 99), entry_count=1), "the unknown type 99",
    ),
    "a string of 2^60 bytes": (
        header(entries=text(b"k") + struct.pack("<IQ", 8, HUGE), entry_count=1), "'k' takes 11529215046068",
    ),
    "an array of 2^60 bytes": (
        header(entries=text(b"k") + struct.pack("<IIQ", 9, 0, HUGE), entry_count=1), "more than there are",
    ),
    "an array of 2^60 strings": (
        header(entries=text(b"k") + struct.pack("<IIQ", 9, 8, HUGE) + bytes(800), entry_count=1),
        "ends within 'k'",
    ),
    "an array of arrays": (
        header(entries=text(b"k") + struct.pack("<IIQ", 9, 9, 1) + bytes(80), entry_count=1),
        "unsupported type 9",
    ),
    "a key twice": (
        header(entries=(text(b"k") + U32 + U32) * 2, entry_count=2), "'k' appears twice",
    ),
    "an alignment of 3": (
        header(entries=text(b"general.alignment") + U32 + struct.pack("<I", 3), entry_count=1),
        "no power of two",
    ),
    "an alignment of text": (
        header(entries=text(b"general.alignment") + struct.pack("<I", 8) + text(b"x"), entry_count=1),
        "no power of two",
    ),
    "no dimensions": (file(tensor(dims=())), "'a.weight': has 0 dimensions"),
    "5 dimensions": (file(tensor(dims=(1,) * 5)), "has 5 dimensions"),
    "2^32 dimensions": (header(text(b"a") + struct.pack("<I", 0xFFFFFFFF), 1), "dimensions; 1 to 4"),
    "an unknown ggml type": (file(tensor(kind=77)), "unknown ggml type 77"),
    "half a block": (file(tensor(dims=(33, 2), kind=8)), "rows of 33 in blocks of 32"),
    "2^240 elements": (file(tensor(dims=(HUGE,) * 4)), "truncated"),
    "past the end": (file(tensor(), data=255), "'a.weight': ends at byte"),
    "an offset of 2^63": (file(tensor(offset=1 << 63)), "truncated"),
    "an overlap": (file(tensor(), tensor(b"b.weight", offset=32)), "'b.weight': overlaps"),
    "a tensor twice": (file(tensor(), tensor(offset=256), data=512), "'a.weight': appears twice"),
    "safetensors' own name": (file(tensor(b"__metadata__")), "'__metadata__': has a name that"),
    "a vector in blocks": (file(tensor(), tensor(b"b", (32,), 8, 256), data=512), "'b': is a vector in blocks"),
    # Q8_1, which no file has and gguf does not read.
    "a type that is not read": (
        file(tensor(), tensor(b"b.weight", (32, 1), 9, 256), data=512),
        "'b.weight': ggml type Q8_1 cannot be read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path, capsys, name):
    data, reason = HOSTILE[name]
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    assert quantize(path, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert reason in error and str(tmp_path) in error and len(error) < 600
    assert not (tmp_path / "out").exists()


def test_damaged_files_give_errors_or_weights(tmp_path):
    tensors = {"token_embd.weight": oracle.gaussian((2, 32), 1), "a.weight": oracle.gaussian((3, 64), 2)}
    whole = write_gguf(tmp_path / "whole.gguf", tensors).read_bytes()
    path = tmp_path / "m.gguf"
    refused = 0
    for data in models.damaged(whole, seed=17, count=400):
        path.write_bytes(data)
        try:
            source = GgufSource(str(path))
            try:
                for name in source.tensors:
                    for _ in source.chunks(name):
                        pass
            finally:
                source.close()
        except CheckpointError:
            refused += 1
    assert refused > 150
