"""python -m fp6llm quantize: what it writes and what it refuses."""

import json
import os
import pty
import subprocess
import sys

import fp6llm
import ml_dtypes
import models
import numpy
import oracle
import pytest
from fp6llm.__main__ import main
from fp6llm._quantize_plan import fused_name
from fp6llm.safetensors import Checkpoint

DTYPES = (numpy.float32, numpy.float16, ml_dtypes.bfloat16)


def quantize(*arguments):
    return main(["quantize", *map(str, arguments), "--threads", "1"])


def is_linear(name):
    return "_proj." in name


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"format": "e3m2"}),
        (("--format", "e2m3", "--scale", "32", "--scale-type", "f16"),
         {"format": "e2m3", "scale": "group", "group_size": 32, "scale_type": "float16"}),
        (("--format", "e3m1", "--scale", "mx", "--mx-scale-rule", "rceil"),
         {"format": "e3m1", "scale": "mx", "mx_scale_rule": "rceil"}),
        (("--format", "e2m1", "--scale", "mx"), {"format": "e2m1", "scale": "mx", "mx_scale_rule": "even"}),
        (("--format", "e2m2", "--scale-search", "4"), {"format": "e2m2", "scale_search": 4}),
    ],
)  # fmt: skip
def test_every_tensor(model, tmp_path, capsys, options, expected):
    folder, tensors = model
    out = tmp_path / "out"
    assert quantize(folder, out, "--verify", *options) == 0
    with Checkpoint.open(out) as checkpoint:
        assert set(checkpoint.layers) == {name[:-7] for name in tensors if is_linear(name)}
        for name, array in tensors.items():
            if is_linear(name):
                found, made = checkpoint.quantized(name[:-7]), fp6llm.quantize(array, **expected)
                numpy.testing.assert_array_equal(found.codes, made.codes)
                numpy.testing.assert_array_equal(found.scales, made.scales)
            else:
                found = checkpoint.read(name)
                assert found.dtype == array.dtype
                numpy.testing.assert_array_equal(found, array)
    written = {entry.name for entry in out.iterdir()}
    assert written == {
        "config.json", "tokenizer.json", "tokenizer.model", "LICENSE", "model.safetensors.index.json",
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
    }  # fmt: skip
    assert (out / "tokenizer.model").read_bytes() == b"\0\1"
    config = json.loads((out / "config.json").read_text())
    assert config.pop("quantization_config")["exclude"] == ["lm_head", "model.embed_tokens"]
    assert config == models.CONFIG
    output = capsys.readouterr()
    assert output.err == "" and f"{out}: written and verified" in output.out
    assert not (tmp_path / "out.incomplete").exists()


def test_the_table(model, tmp_path, capsys):
    folder, tensors = model
    assert quantize(folder, tmp_path / "out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layers", "number", "format", "before", "after", "SNR", "dB", "worst"]
    rows = {line.split()[0]: line.split() for line in lines[1:]}
    row = rows["model.layers.*.mlp.up_proj"]
    # 96 x 64 weights in 2 bytes, then in 6 bits and 4 bytes a row; two layers.
    assert row[1:7] == ["2", "e3m2", "24.58", "KB", "9.98", "KB"]
    signal = noise = 0.0
    worst = numpy.inf
    for layer in range(2):
        w = tensors[f"model.layers.{layer}.mlp.up_proj.weight"].astype(numpy.float64)
        error = w - oracle.dense(fp6llm.quantize(w.astype(numpy.float32)))
        signal, noise = signal + (w**2).sum(), noise + (error**2).sum()
        worst = min(worst, 10 * numpy.log10((w**2).sum() / (error**2).sum()))
    assert row[7:] == [f"{10 * numpy.log10(signal / noise):.1f}", f"{worst:.1f}"]
    assert rows["total"][1] == str(len(tensors))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_file_of_any_float(tmp_path, dtype):
    w = oracle.gaussian((40, 70), 1, dtype)
    path = tmp_path / "any name.safetensors"
    empty = {"a.weight": numpy.zeros((0, 5), dtype), "b.weight": numpy.zeros((5, 0), dtype)}
    path.write_bytes(models.safetensors_bytes({"x.weight": w, "n": numpy.ones(2, numpy.int64), **empty}))
    assert quantize(path, tmp_path / "out") == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["config.json", "model.safetensors"]
    with Checkpoint.open(tmp_path / "out") as checkpoint:
        numpy.testing.assert_array_equal(checkpoint.quantized("x").codes, fp6llm.quantize(w).codes)
        assert checkpoint.read("n").tolist() == [1, 1]
        assert [checkpoint.read(name).shape for name in empty] == [(0, 5), (5, 0)]


def test_matrices_of_many_blocks(tmp_path, monkeypatch):
    w = oracle.gaussian((101, 64), 1)
    monkeypatch.setattr("fp6llm._quantize_job._BLOCK_ELEMENTS", 7 * 64)
    folder = models.write_shards(tmp_path / "model", [{"x.weight": w}])
    for number, scale in enumerate(("row", "32", "mx")):
        out = tmp_path / str(number)
        assert quantize(folder, out, "--verify", "--scale", scale, "--format", "auto") == 0
        options = {"row": {"scale": "row"}, "32": {"scale": "group", "group_size": 32},
                   "mx": {"scale": "mx", "mx_scale_rule": "even"}}[scale]  # fmt: skip
        made = fp6llm.quantize(w, format="auto", **options)
        with Checkpoint.open(out) as checkpoint:
            found = checkpoint.quantized("x")
        assert found.config.format == made.config.format
        numpy.testing.assert_array_equal(found.codes, made.codes)
        numpy.testing.assert_array_equal(found.scales, made.scales)


def test_auto_chooses_one_format_for_what_runs_as_one(tmp_path):
    random = numpy.random.default_rng(1)
    even = random.standard_normal((32, 64)).astype(numpy.float32)
    uneven = even * 0.01
    uneven[:, 5] = 20  # a column of outliers: E3M2 errs less
    tensors = {
        "l.0.self_attn.q_proj.weight": even, "l.0.self_attn.k_proj.weight": uneven,
        "l.0.self_attn.v_proj.weight": uneven, "l.0.self_attn.o_proj.weight": uneven,
        "l.0.mlp.down_proj.weight": even,
    }  # fmt: skip
    alone = {
        name: fp6llm.quantize(w, format="auto").config.format.name[5:].lower() for name, w in tensors.items()
    }
    assert set(alone.values()) == {"e3m2", "e2m3"}
    folder = models.write_shards(tmp_path / "model", [tensors])
    assert quantize(folder, tmp_path / "out", "--format", "auto", "--verify") == 0
    with Checkpoint.open(tmp_path / "out") as checkpoint:
        formats = {name: layer.format for name, layer in checkpoint.layers.items()}
    assert formats["l.0.self_attn.o_proj"] == "e3m2" and formats["l.0.mlp.down_proj"] == "e2m3"
    noise = {
        name: sum(
            ((w - oracle.dense(fp6llm.quantize(w, format=name))) ** 2).sum()
            for tensor, w in tensors.items()
            if tensor.split(".")[-2] in {"q_proj", "k_proj", "v_proj"}
        )
        for name in ("e3m2", "e2m3")
    }
    joint = min(noise, key=noise.get)
    assert [formats[f"l.0.self_attn.{part}_proj"] for part in "qkv"] == [joint] * 3
    section = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    for name, format_name in formats.items():
        assert section["layers"].get(name, section)["format"] == format_name


def test_fused_names():
    same = [
        ["m.layers.3.self_attn.q_proj", "m.layers.3.self_attn.k_proj", "m.layers.3.self_attn.v_proj"],
        ["m.layers.3.mlp.gate_proj", "m.layers.3.mlp.up_proj"],
        [
            "m.layers.3.mlp.experts.0.up_proj",
            "m.layers.3.mlp.experts.11.down_proj",
            "m.layers.3.mlp.experts.2.w1",
        ],
        ["blk.3.attn_q", "blk.3.attn_k", "blk.3.attn_v"],
        ["blk.3.ffn_gate", "blk.3.ffn_up"],
        ["m.layers.3.self_attn.o_proj"],
        ["m.layers.4.mlp.gate_proj"],
        ["m.layers.3.mlp.down_proj"],
    ]
    keys = [{fused_name(name) for name in names} for names in same]
    assert all(len(key) == 1 for key in keys) and len(set.union(*keys)) == len(same)


def test_include_and_exclude(model, tmp_path, capsys):
    folder, _ = model
    patterns = ("--include", "lm_head", "--exclude", "*.layers.1.*", "--exclude", "*.o_proj.weight")
    assert quantize(folder, tmp_path / "out", *patterns, "--exclude", "vision.*") == 0
    assert capsys.readouterr().err == "--exclude vision.*: no matrix of that name\n"
    with Checkpoint.open(tmp_path / "out") as checkpoint:
        names = {name.removeprefix("model.layers.0.") for name in checkpoint.layers}
    assert names == {
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj",
        "mlp.down_proj", "lm_head",
    }  # fmt: skip
    section = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert "model.layers.0.self_attn.o_proj" in section["exclude"] and "lm_head" not in section["exclude"]


def test_wrong_arguments(model, tmp_path, capsys):
    folder, _ = model
    out = tmp_path / "out"
    for arguments, reason in (
        (("--scale", "7"), "groupSize"),
        (("--scale", "99999999"), "groupSize"),
        (("--scale-search", "65"), "scaleSearch"),
        (("--include", "lm_heat"), "--include lm_heat: no matrix of that name"),
    ):
        assert quantize(folder, out, *arguments) == 2
        assert reason in capsys.readouterr().err
    assert main(["quantize", str(folder), str(out), "--threads", "257"]) == 2
    for arguments in (("--scale", "column"), ("--format", "e4m3"), ("--scale", "-32")):
        with pytest.raises(SystemExit) as stop:
            quantize(folder, out, *arguments)
        assert stop.value.code == 2
    assert sorted(os.listdir(tmp_path)) == ["model"]


def test_wrong_models(tmp_path, capsys):
    out = tmp_path / "out"
    ones = numpy.ones((4, 4), numpy.float32)
    bad = ones.copy()
    bad[2, 3] = numpy.nan
    cases = {
        "nowhere": (None, None, "does not exist"),
        "already": (
            [{"a.weight": ones}], {"quantization_config": {"quant_method": "gptq"}},
            "already: quant_method 'gptq'",
        ),
        "transposed": ([{"h.0.c_attn.weight": ones}], {"model_type": "gpt2"}, "as [IC, OC]; not supported"),
        "nothing": ([{"embed_tokens.weight": ones, "b.weight": ones[0]}], None, "has nothing to quantize"),
        "nan": ([{"a.weight": ones, "b.weight": bad}], None, "tensor 'b.weight': "),
    }  # fmt: skip
    for name, (shards, config, reason) in cases.items():
        folder = tmp_path / name
        if shards is not None:
            models.write_shards(folder, shards, config)
        assert quantize(folder, out) == 1
        error = capsys.readouterr().err
        assert reason in error and str(folder) in error
        assert not out.exists()
    truncated = tmp_path / "already" / "model.safetensors"
    truncated.write_bytes(truncated.read_bytes()[:-1])
    (tmp_path / "already" / "config.json").unlink()
    assert quantize(tmp_path / "already", out) == 1
    assert "'a.weight': ends at byte" in capsys.readouterr().err and not out.exists()


def test_saturating_non_finite_weights(tmp_path, capsys):
    w = oracle.gaussian((4, 8), 1)
    w[1, 2], w[2, 3] = numpy.inf, numpy.nan
    folder = models.write_shards(tmp_path / "model", [{"a.weight": w}])
    assert quantize(folder, tmp_path / "out", "--non-finite", "saturate", "--verify") == 0
    assert "1 weights lie outside" in capsys.readouterr().out
    with Checkpoint.open(tmp_path / "out") as checkpoint:
        assert numpy.isfinite(checkpoint.quantized("a").dequantize()).all()


def test_what_is_in_the_way(model, tmp_path, capsys):
    folder, _ = model
    out = tmp_path / "out"
    out.mkdir()
    (out / "file").write_text("precious")
    assert quantize(folder, out) == 1
    assert "exists already" in capsys.readouterr().err and (out / "file").read_text() == "precious"
    other = tmp_path / "other"
    (tmp_path / "other.incomplete").mkdir()
    (tmp_path / "other.incomplete" / "file").write_text("precious")
    assert quantize(folder, other) == 1
    assert "is not empty and no run's" in capsys.readouterr().err
    assert (tmp_path / "other.incomplete" / "file").read_text() == "precious"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert quantize(folder, empty) == 0 and len(os.listdir(empty)) == 7


def test_no_room(model, tmp_path, capsys, monkeypatch):
    folder, _ = model
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert quantize(folder, tmp_path / "out") == 1
    assert "its disk has 1000" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_verify_finds_damage(model, tmp_path, capsys, monkeypatch):
    folder, tensors = model
    for name, reason in (
        ("model.layers.0.mlp.up_proj", "the squared error is"),
        ("model.embed_tokens.weight", "is not as it was"),
    ):  # fmt: skip
        out = tmp_path / name
        from fp6llm import _quantize_job

        original = _quantize_job.QuantizeJob._write_config

        def hurt(job, name=name, original=original):
            original(job)
            tensor = name if name in tensors else name + ".weight"
            path = os.path.join(job._work, "model-00001-of-00002.safetensors")
            with fp6llm.safetensors.SafetensorsFile(path) as file:
                info = file.tensors[tensor]
            with open(path, "r+b") as file:
                file.seek(info.offset + 10)
                byte = file.read(1)[0]
                file.seek(info.offset + 10)
                file.write(bytes([byte ^ 0x21]))

        monkeypatch.setattr(_quantize_job.QuantizeJob, "_write_config", hurt)
        assert quantize(folder, out, "--verify") == 1
        error = capsys.readouterr().err
        assert reason in error and name in error and not out.exists()
        monkeypatch.undo()


def test_a_progress_bar_on_a_terminal_only(model, tmp_path):
    folder, tensors = model
    size = f"{sum(array.nbytes for array in tensors.values()) / 1000:.2f} KB".encode()
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "fp6llm", "quantize", folder, tmp_path / "out", "--threads", "1"]
    with subprocess.Popen(command, stderr=slave, stdout=subprocess.DEVNULL) as run:
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            shown += piece
    os.close(master)
    assert run.returncode == 0
    assert b"[########################] 100%% %s of %s" % (size, size) in shown and shown.endswith(b"\r\x1b[K")


MEASURE = """
import sys
import fp6llm
from fp6llm.__main__ import main
import fp6llm._quantize_command
def peak():
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("VmHWM")).split()[1])
before = peak()
status = main(sys.argv[1:])
print("grown", peak() - before, file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_model(tmp_path):
    """A model of 200 MB whose largest tensor takes 100; copied and quantized."""
    rows, cols = 12288, 4096
    path = tmp_path / "model.safetensors"
    header = {
        name: {
            "dtype": "BF16",
            "shape": [rows, cols],
            "data_offsets": [i * rows * cols * 2, (i + 1) * rows * cols * 2],
        }
        for i, name in enumerate(("a.weight", "embed.weight"))
    }
    piece = oracle.gaussian((1024, cols), 1, ml_dtypes.bfloat16).tobytes()
    with path.open("wb") as file:
        file.write(models.with_header(json.dumps(header)))
        for _ in range(2 * rows // 1024):
            file.write(piece)
    assert path.stat().st_size > 200e6
    command = [sys.executable, "-c", MEASURE, "quantize", path, tmp_path / "out", "--threads", "2"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    grown = int(run.stderr.split()[1]) << 10
    # 23 MB when this was written: chunks of 8 MB, blocks of 2 Mi weights.
    assert grown < 40e6, f"{grown / 1e6:.0f} MB"
