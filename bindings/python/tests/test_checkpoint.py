"""Checkpoints of quantized layers: ours and AMD Quark's, written, read, and made to be wrong."""

import json

import fp6llm
import models
import numpy
import oracle
import pytest
from fp6llm.safetensors import Checkpoint, CheckpointError, save

CONFIGS = [
    {"format": "e3m2"},
    {"format": "e2m3", "scale_type": "float16"},
    {"format": "e2m2", "scale": "group", "group_size": 32},
    {"format": "e3m1", "scale": "group", "group_size": 128, "scale_type": "float16"},
    {"format": "e2m1", "scale": "mx"},
    {"format": "e3m2", "scale": "mx", "mx_scale_rule": "rceil"},
    {"format": "e2m3", "scale": "mx", "mx_scale_rule": "even"},
    {"format": "e2m2", "scale": "mx"},
]


@pytest.mark.parametrize("shape", [(6, 64), (5, 83), (3, 1)])
@pytest.mark.parametrize("options", CONFIGS)
def test_what_is_saved_is_read(tmp_path, options, shape):
    quantized = fp6llm.quantize(oracle.gaussian(shape, 1), **options)
    norm = oracle.gaussian((9,), 2)
    section = save(tmp_path / "model.safetensors", {"block.0.linear": quantized, "norm.weight": norm})
    for config in ({}, {"quantization_config": section}):
        (tmp_path / "config.json").write_text(json.dumps(config))
        with Checkpoint.open(tmp_path) as checkpoint:
            assert list(checkpoint.layers) == ["block.0.linear"] and list(checkpoint.tensors) == ["norm.weight"]
            found = checkpoint.quantized("block.0.linear")
            numpy.testing.assert_array_equal(found.codes, quantized.codes)
            numpy.testing.assert_array_equal(found.scales, quantized.scales)
            assert found.shape == shape and found.config == quantized.config
            numpy.testing.assert_array_equal(
                oracle.dense(found).astype(numpy.float32), quantized.dequantize("float32")
            )
            numpy.testing.assert_array_equal(checkpoint.read("norm.weight"), norm)
            part = checkpoint.quantized("block.0.linear", 1, 3)
            numpy.testing.assert_array_equal(part.dequantize(), quantized.dequantize()[1:3])


def test_a_hint_is_not_stored(tmp_path):
    """It says how a weight lies in memory; the codes are the same without."""
    w = oracle.gaussian((6, 64), 1)
    sections = [
        save(tmp_path / f"{hint}.safetensors", {"x": fp6llm.quantize(w, format="e2m3", compute_hint=hint)})
        for hint in (None, "fast_8i")
    ]
    assert sections[0] == sections[1]
    assert (tmp_path / "None.safetensors").read_bytes() == (tmp_path / "fast_8i.safetensors").read_bytes()
    with Checkpoint.open(tmp_path / "fast_8i.safetensors") as checkpoint:
        assert checkpoint.quantized("x").config.compute_hint is None


def test_the_example_of_the_documentation(tmp_path):
    """docs/checkpoints.md: bytes and scale of one row."""
    save(tmp_path / "m.safetensors", {"x": fp6llm.quantize(numpy.array([[0.5, -1, 14, 0]], numpy.float32))})
    with Checkpoint.open(tmp_path / "m.safetensors") as checkpoint:
        assert checkpoint.read("x.weight").tolist() == [[0x0C, 0xFC, 0x01]]
        assert checkpoint.read("x.weight_scale").tolist() == [0.5]


def test_names_and_types_of_the_tensors(tmp_path):
    w = oracle.gaussian((4, 40), 1)
    save(
        tmp_path / "m.safetensors",
        {
            "row": fp6llm.quantize(w, format="e3m2"),
            "half": fp6llm.quantize(w, format="e3m2", scale_type="float16"),
            "group": fp6llm.quantize(w, format="e2m2", scale="group", group_size=16),
            "mx": fp6llm.quantize(w, format="e2m3", scale="mx"),
        },
    )
    checkpoint = fp6llm.safetensors.SafetensorsFile(tmp_path / "m.safetensors")
    found = {name: (info.dtype, info.shape) for name, info in checkpoint.tensors.items()}
    assert found == {
        "row.weight": ("U8", (4, 30)), "row.weight_scale": ("F32", (4,)),
        "half.weight": ("U8", (4, 30)), "half.weight_scale": ("F16", (4,)),
        "group.weight": ("U8", (4, 25)), "group.weight_scale": ("F32", (4, 3)),
        "mx.weight": ("U8", (4, 30)), "mx.weight_scale": ("U8", (4, 2)),
    }  # fmt: skip


def test_a_layer_multiplies(tmp_path):
    w = oracle.gaussian((16, 64), 1)
    save(tmp_path / "m.safetensors", {"x": fp6llm.quantize(w, format="e2m3")})
    with Checkpoint.open(tmp_path / "m.safetensors") as checkpoint:
        quantized = checkpoint.quantized("x")
    tokens = oracle.gaussian((3, 64), 2)
    oracle.assert_product(quantized.to_weight().linear(tokens), tokens, oracle.dense(quantized))


def quark_config(dtype="fp6_e3m2", **changes):
    """quantization_config as amd-quark 0.13 writes it."""
    weight = {
        "block_size": None, "ch_axis": -1, "dtype": dtype, "enable_buffer_reuse": False, "group_size": 32,
        "is_dynamic": False, "is_scale_quant": False, "max_input_numel": 4194304, "mx_element_dtype": None,
        "observer_cls": "PerBlockMXObserver", "qscheme": "per_group", "round_method": "half_even",
        "scale_calculation_mode": "even", "scale_format": "e8m0", "scale_type": "float", "symmetric": None,
        "zero_point_type": "int32", **changes,
    }  # fmt: skip
    layer = {
        "bias": None,
        "input_tensors": None,
        "output_tensors": None,
        "target_device": None,
        "weight": weight,
    }
    return {
        "quant_method": "quark", "algo_config": None, "exclude": ["lm_head"],
        "export": {"kv_cache_group": [], "min_kv_scale": 0.0, "pack_method": "reorder",
                   "weight_format": "real_quantized", "weight_merge_groups": None},
        "global_quant_config": layer, "layer_quant_config": {}, "layer_type_quant_config": {},
        "quant_mode": "eager_mode", "version": "0.13",
    }  # fmt: skip


def quark_tensors(name, w, format_name="e3m2"):
    """A layer as amd-quark stores it, by oracle's own arithmetic."""
    scales = oracle.mx_scales(w, format_name)
    spread = oracle.spread(numpy.exp2(scales.astype(numpy.float64) - 127), w.shape[1], 32)
    codes = oracle.encode((w / spread).astype(numpy.float32), format_name)
    return {f"{name}.weight": oracle.pack(codes, oracle.BITS[format_name]), f"{name}.weight_scale": scales}


@pytest.mark.parametrize(
    ("dtype", "format_name"), [("fp6_e3m2", "e3m2"), ("fp6_e2m3", "e2m3"), ("fp4", "e2m1")]
)
def test_quark_checkpoints_are_read(tmp_path, dtype, format_name):
    w = oracle.gaussian((6, 96), 1)
    other = oracle.gaussian((2, 32), 2)
    tensors = {
        **quark_tensors("model.layers.0.up_proj", w, format_name),
        **quark_tensors("model.layers.1.up_proj", other, "e2m3"),
        "lm_head.weight": numpy.ones((3, 3), numpy.float16),
    }
    config = quark_config(dtype)
    config["layer_quant_config"] = {"*.layers.1.*": quark_config("fp6_e2m3")["global_quant_config"]}
    models.write_shards(tmp_path / "m", [tensors], {"quantization_config": config})
    with Checkpoint.open(tmp_path / "m") as checkpoint:
        assert list(checkpoint.tensors) == ["lm_head.weight"]
        found = checkpoint.quantized("model.layers.0.up_proj")
        assert found.config.format.name.lower().endswith(format_name) and found.shape == (6, 96)
        assert checkpoint.layers["model.layers.1.up_proj"].format == "e2m3"
        numpy.testing.assert_array_equal(found.dequantize(), oracle.dense(found).astype(numpy.float32))
        # Within a step of the format of the largest weight of each group.
        step = {"e3m2": 2**-3, "e2m3": 2**-4, "e2m1": 2**-2}[format_name]
        assert numpy.abs(found.dequantize() - w).max() <= numpy.abs(w).max() * step


def test_what_is_mx_in_whole_groups_is_a_quark_checkpoint(tmp_path):
    w = oracle.gaussian((4, 64), 1)
    layers = {
        "a": fp6llm.quantize(w, format="e3m2", scale="mx", mx_scale_rule="even"),
        "b": fp6llm.quantize(w, format="e3m2", scale="mx", mx_scale_rule="even"),
        "c": fp6llm.quantize(w, format="e2m3", scale="mx", mx_scale_rule="even"),
    }
    section = save(tmp_path / "m.safetensors", {**layers, "lm_head.weight": w})
    assert section["quant_method"] == "quark" and section["exclude"] == ["lm_head"]
    known = quark_config()
    # Nothing that Quark does not have, and no value of another kind.
    assert set(section) <= set(known) and set(section["export"]) == set(known["export"])
    weight = section["global_quant_config"]["weight"]
    assert {key: known["global_quant_config"]["weight"][key] for key in weight} == weight
    assert section["layer_quant_config"]["c"]["weight"]["dtype"] == "fp6_e2m3"
    assert list(section["layer_quant_config"]) == ["c"]
    for other in (
        fp6llm.quantize(w[:, :48], format="e3m2", scale="mx"),
        fp6llm.quantize(w, format="e2m2", scale="mx"),
        fp6llm.quantize(w, format="e3m2"),
    ):
        section = save(tmp_path / "m.safetensors", {**layers, "d": other})
        assert section["quant_method"] == "fp6llm"


def checkpoint_of(tmp_path, tensors, section, metadata=None):
    folder = tmp_path / "m"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"quantization_config": section}))
    (folder / "model.safetensors").write_bytes(models.safetensors_bytes(tensors, metadata))
    return folder


def own(entry, version=1):
    return {"fp6llm": json.dumps({"version": version, "layers": {"x": entry}})}


CODES = {"x.weight": numpy.zeros((4, 24), numpy.uint8)}
ROW = {**CODES, "x.weight_scale": numpy.ones(4, numpy.float32)}
MX = {**CODES, "x.weight_scale": numpy.full((4, 1), 127, numpy.uint8)}
ENTRY = {"format": "e3m2", "scale": "row", "cols": 32}
WRONG = {
    "no description": (ROW, {}, None, "neither the file nor config.json says"),
    "section no object": (MX, [], None, "quantization_config is not an object"),
    "unknown method": (MX, {"quant_method": "gptq"}, None, "neither the file nor config.json says"),
    "quark int4": (MX, quark_config("int4"), None, "Quark dtype 'int4' is not one of"),
    "quark dtype no text": (MX, quark_config(4), None, "Quark dtype 4"),
    "quark group of 16": (MX, quark_config(group_size=16), None, "group_size = 16; only 32"),
    "quark per tensor": (MX, quark_config(qscheme="per_tensor"), None, "qscheme = 'per_tensor'"),
    "quark float scales": (MX, quark_config(scale_format="float32"), None, "scale_format = 'float32'"),
    "quark without weights": (MX, {"quant_method": "quark"}, None, "describes no weights"),
    "quark layers no object": (MX, {**quark_config(), "layer_quant_config": [1]}, None, "is not an object"),
    "quark float32 scales in the file": (ROW, quark_config(), None, "has shape"),
    "format": (ROW, {}, own({**ENTRY, "format": "e4m3"}), "unknown format 'e4m3'"),
    "format auto": (ROW, {}, own({**ENTRY, "format": "auto"}), "unknown format 'auto'"),
    "format no text": (ROW, {}, own({**ENTRY, "format": 6}), "unknown format 6"),
    "scale": (ROW, {}, own({**ENTRY, "scale": "column"}), "unknown scale mode 'column'"),
    "cols": (ROW, {}, own({**ENTRY, "cols": 31.5}), "cols = 31.5"),
    "cols negative": (ROW, {}, own({**ENTRY, "cols": -32}), "cols = -32"),
    "cols missing": (ROW, {}, own({"format": "e3m2", "scale": "row"}), "cols = None"),
    "cols of another width": (ROW, {}, own({**ENTRY, "cols": 64}), r"has shape \(4, 24\)"),
    "group size 7": (ROW, {}, own({**ENTRY, "scale": "group", "group_size": 7}), "groupSize"),
    "group size huge": (ROW, {}, own({**ENTRY, "scale": "group", "group_size": 1 << 40}), "group_size = "),
    "scales of another shape": (
        {**CODES, "x.weight_scale": numpy.ones(3, numpy.float32)}, {}, own(ENTRY), r"has shape \(3,\)",
    ),
    "scales of another type": (
        {**CODES, "x.weight_scale": numpy.ones(4, numpy.int64)}, {}, own(ENTRY), "has dtype I64",
    ),
    "codes of floats": (
        {**ROW, "x.weight": numpy.ones((4, 24), numpy.float16)}, {}, own(ENTRY), "F16 .* are no codes",
    ),
    "codes of rank 3": (
        {**ROW, "x.weight": numpy.zeros((4, 6, 4), numpy.uint8)}, {}, own(ENTRY), "are no codes",
    ),
    "no scales": (CODES, {}, own(ENTRY), "'x.weight_scale': is not in the checkpoint"),
    "no codes": ({"y": numpy.ones(1)}, {}, own(ENTRY), "'x.weight': is described but not there"),
    "version": (ROW, {}, own(ENTRY, version=2), "version 2; 1 is known"),
    "metadata no JSON": (ROW, {}, {"fp6llm": "{"}, "is not valid JSON"),
    "metadata without layers": (ROW, {}, {"fp6llm": '{"version":1,"layers":[]}'}, "has no layers"),
    "metadata of text": (ROW, {}, {"fp6llm": '{"version":1,"layers":{"x":"e3m2"}}'}, "has no layers"),
    "config.json says otherwise": (
        ROW, {"quant_method": "fp6llm", "version": 1, "format": "e2m3", "scale": "row"}, own(ENTRY),
        "config.json says 'e2m3', its file e3m2",
    ),
    "Quark's config.json says otherwise": (
        MX, quark_config("fp6_e2m3"), own({"format": "e3m2", "scale": "mx", "cols": 32}), "config.json says",
    ),
    "config.json of a later version": (
        ROW, {"quant_method": "fp6llm", "version": 9, "format": "e3m2"}, own(ENTRY), "version 9",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_contradictions(tmp_path, name):
    tensors, section, metadata, reason = WRONG[name]
    tensors = {
        key: array if array.dtype != numpy.float64 else array.astype(numpy.float32)
        for key, array in tensors.items()
    }
    folder = checkpoint_of(tmp_path, tensors, section, metadata)
    with pytest.raises(CheckpointError, match=reason) as failure:
        Checkpoint.open(folder)
    assert str(folder) in str(failure.value) and len(str(failure.value)) < 600


def test_the_same_in_order_is_read(tmp_path):
    for tensors, section, metadata in ((ROW, {}, own(ENTRY)), (MX, quark_config(), None)):
        with Checkpoint.open(checkpoint_of(tmp_path, tensors, section, metadata)) as checkpoint:
            assert checkpoint.quantized("x").shape == (4, 32)


INDEXES = {
    "no weight_map": ({}, "has no weight_map"),
    "weight_map a list": ({"weight_map": ["a"]}, "has no weight_map"),
    "weight_map empty": ({"weight_map": {}}, "has no weight_map"),
    "a file above": ({"weight_map": {"a": "../m.safetensors"}}, "is not the name of"),
    "a file elsewhere": ({"weight_map": {"a": "/etc/x.safetensors"}}, "is not the name of"),
    "another kind of file": ({"weight_map": {"a": "config.json"}}, "is not the name of"),
    "no name": ({"weight_map": {"a": 3}}, "3 is not the name of"),
    "a NUL": ({"weight_map": {"a": "a\0.safetensors"}}, "is not the name of"),
    "a missing file": ({"weight_map": {"a": "z.safetensors"}}, "No such file"),
    "a missing tensor": ({"weight_map": {"q": "a.safetensors"}}, "'q': is not in 'a.safetensors'"),
    "a tensor in two": ({"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}, "'a': is also in"),
}


@pytest.mark.parametrize("name", INDEXES)
def test_indexes(tmp_path, name):
    index, reason = INDEXES[name]
    for file in "ab":
        (tmp_path / f"{file}.safetensors").write_bytes(
            models.safetensors_bytes({"a": numpy.ones(1, numpy.float32), "b": numpy.ones(1, numpy.float32)})
        )
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=reason):
        Checkpoint.open(tmp_path)


def test_folders(tmp_path):
    with pytest.raises(CheckpointError, match=r"has no \.safetensors file"):
        Checkpoint.open(tmp_path)
    for file in "ab":
        (tmp_path / f"{file}.safetensors").write_bytes(models.safetensors_bytes({}))
    with pytest.raises(CheckpointError, match=r"2 \.safetensors files but no"):
        Checkpoint.open(tmp_path)
    (tmp_path / "b.safetensors").unlink()
    for text, reason in (("[1]", "not a JSON object"), ("{", "not valid JSON"), ("[" * 99999, "too deeply")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=reason):
            Checkpoint.open(tmp_path)
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(CheckpointError, match="is longer than"):
        Checkpoint.open(tmp_path)


def test_what_is_not_there(tmp_path):
    with Checkpoint.open(checkpoint_of(tmp_path, ROW, {}, own(ENTRY))) as checkpoint:
        with pytest.raises(CheckpointError, match="'y': is not a quantized layer"):
            checkpoint.quantized("y")
        with pytest.raises(CheckpointError, match="'y': is not in the checkpoint"):
            checkpoint.read("y")
        with pytest.raises(IndexError):
            checkpoint.quantized("x", 2, 5)
        with pytest.raises(IndexError):
            checkpoint.read_bytes("x.weight", 90, 7)


def test_after_close(tmp_path):
    checkpoint = Checkpoint.open(checkpoint_of(tmp_path, ROW, {}, own(ENTRY)))
    checkpoint.close()
    checkpoint.close()
    with pytest.raises(CheckpointError, match="cannot be read: Bad file descriptor"):
        checkpoint.quantized("x")


def test_save_refuses(tmp_path):
    quantized = fp6llm.quantize(oracle.gaussian((2, 8), 1))
    path = tmp_path / "m.safetensors"
    with pytest.raises(TypeError, match="complex128"):
        save(path, {"a": numpy.ones(2, complex)})
    with pytest.raises(TypeError, match="object"):
        save(path, {"a": numpy.array([{}])})
    with pytest.raises(ValueError, match="twice"):
        save(path, {"a": quantized, "a.weight_scale": numpy.ones(2, numpy.float32)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["model.safetensors", "config.json", "model.safetensors.index.json"])
def test_damaged_checkpoints_give_errors_or_weights(tmp_path, part):
    folder = tmp_path / "m"
    w = oracle.gaussian((8, 64), 1)
    mx = fp6llm.quantize(w, format="e2m3", scale="mx")
    row = fp6llm.quantize(w, format="e3m2")
    folder.mkdir()
    section = save(folder / "model.safetensors", {"a.b": mx, "c": row, "d.weight": w[0]})
    (folder / "config.json").write_text(json.dumps({"quantization_config": section}))
    names = ["a.b.weight", "a.b.weight_scale", "c.weight", "c.weight_scale", "d.weight"]
    index = {"weight_map": dict.fromkeys(names, "model.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    whole = (folder / part).read_bytes()
    refused = 0
    for data in models.damaged(whole, seed=13, count=240):
        (folder / part).write_bytes(data)
        try:
            with Checkpoint.open(folder) as checkpoint:
                for name in checkpoint.layers:
                    checkpoint.quantized(name).dequantize()
        except CheckpointError:
            refused += 1
    assert refused > 60
