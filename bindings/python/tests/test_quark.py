"""Checkpoints against AMD Quark itself, both ways. Takes amd-quark and torch: script/test quark.

Quark quantizes and exports a small Llama, and we do: tensors, names and config.json must agree. Quark loads
what we wrote, and its logits must be those of the weights that our dequantizer gives, to the bit.
"""

import json
import shutil

import conftest
import numpy
import oracle
import pytest
from fp6llm.__main__ import main
from fp6llm.safetensors import Checkpoint, save

try:
    # It writes to the terminal while it is imported.
    import quark.torch
    import torch
    import transformers
    from quark.torch.quantization.config import config as quark_config
except ImportError:
    quark = None

SPECS = {"e3m2": "OCP_MXFP6E3M2Spec", "e2m3": "OCP_MXFP6E2M3Spec", "e2m1": "OCP_MXFP4Spec"}
# Quark takes the logarithm for "floor" in the model's type: in bfloat16 it rounds up just below a power of two.
CASES = [("e3m2", "even", "bfloat16"), ("e2m3", "even", "bfloat16"), ("e2m1", "even", "bfloat16"),
         ("e3m2", "floor", "float32")]  # fmt: skip
# Quark's packer reads the sign of a value that it has rounded to zero as plus; we keep minus zero.
MINUS_ZERO = {"e3m2": 32, "e2m3": 32, "e2m1": 8}

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module", autouse=True)
def needs_quark():
    if quark is None:
        conftest.unavailable("amd-quark, torch or transformers is not installed", "FP6LLM_TEST_NEEDS_QUARK")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small Llama in bf16, with weights of all magnitudes, zero groups among them."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=128, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=256, max_position_embeddings=64,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("_proj.weight"):
                parameter[1] *= 2.0**-20
                parameter[2, 3] = 5
                parameter[3, :40] = 0
    path = tmp_path_factory.mktemp("float") / "model"
    model.save_pretrained(path)
    return path


def load(folder, dtype):
    return transformers.LlamaForCausalLM.from_pretrained(folder, dtype=dtype).eval()


@pytest.fixture(scope="module")
def exported(folder, tmp_path_factory):
    """Folder of Quark's export by (format, rule)."""
    made = {}

    def export(format_name, rule="even", dtype="bfloat16"):
        if (format_name, rule) not in made:
            out = tmp_path_factory.mktemp("quark") / "model"
            spec = getattr(quark_config, SPECS[format_name])(
                ch_axis=-1, is_dynamic=False, scale_calculation_mode=rule
            )
            layer = quark_config.QLayerConfig(weight=spec.to_quantization_spec())
            quantizer = quark.torch.ModelQuantizer(
                quark_config.QConfig(global_quant_config=layer, exclude=["lm_head"])
            )
            tokens = [torch.arange(8)]
            model = quantizer.quantize_model(
                load(folder, getattr(torch, dtype)), torch.utils.data.DataLoader(tokens)
            )
            model = quantizer.freeze(model)
            with torch.no_grad():
                quark.torch.export_safetensors(model, str(out))
            made[format_name, rule] = out
        return made[format_name, rule]

    return export


@pytest.fixture(scope="module")
def ours(folder, tmp_path_factory):
    """Folder of our checkpoint by (format, rule)."""

    def make(format_name, rule="even"):
        out = tmp_path_factory.mktemp("ours") / "model"
        arguments = ["--format", format_name, "--scale", "mx", "--mx-scale-rule", rule, "--verify"]
        assert main(["quantize", str(folder), str(out), *arguments]) == 0
        return out

    return make


@pytest.mark.parametrize(("format_name", "rule", "dtype"), CASES)
def test_the_same_tensors(exported, ours, format_name, rule, dtype):
    exported, made = exported(format_name, rule, dtype), ours(format_name, rule)
    with Checkpoint.open(exported) as theirs, Checkpoint.open(made) as mine:
        assert set(theirs.layers) == set(mine.layers) and len(mine.layers) == 14
        assert set(theirs.tensors) == set(mine.tensors)
        for name, layer in mine.layers.items():
            assert theirs.layers[name] == layer
            expected, found = theirs.quantized(name), mine.quantized(name)
            bits = oracle.BITS[format_name]
            codes = [oracle.unpack(matrix.codes, layer.cols, bits) for matrix in (expected, found)]
            codes = [numpy.where(code == MINUS_ZERO[format_name], 0, code) for code in codes]
            # A group of zeros may have any scale.
            used = numpy.abs(codes[0].reshape(layer.rows, -1, 32)).max(axis=2) > 0
            numpy.testing.assert_array_equal(found.scales[used], expected.scales[used], name)
            numpy.testing.assert_array_equal(codes[1], codes[0], name)
            assert used.mean() > 0.9
        for name in mine.tensors:
            numpy.testing.assert_array_equal(mine.read(name), theirs.read(name))


@pytest.mark.parametrize("format_name", SPECS)
def test_the_same_config(exported, ours, format_name):
    expected, found = (
        json.loads((folder / "config.json").read_text())["quantization_config"]
        for folder in (exported(format_name), ours(format_name))
    )

    def check(found, expected, path):
        if isinstance(found, dict):
            assert isinstance(expected, dict), path
            for key, value in found.items():
                assert key in expected, f"{path}.{key}"
                check(value, expected[key], f"{path}.{key}")
        else:
            assert found == expected, path

    # We also say that embeddings, which are no Linear, are left alone.
    assert found.pop("exclude") == ["lm_head", "model.embed_tokens"] and expected["exclude"] == ["lm_head"]
    check(found, expected, "quantization_config")


def check_logits(folder, path):
    """Quark's model of a checkpoint computes as the float model does with its weights, which bf16 holds."""
    found = quark.torch.import_model_from_safetensors(load(folder, torch.bfloat16), str(path))
    expected = load(folder, torch.bfloat16)
    weights = expected.state_dict()
    tokens = torch.arange(5, 37)[None]
    with torch.no_grad(), Checkpoint.open(path) as checkpoint:
        before = expected(tokens).logits
        for name in checkpoint.layers:
            values = torch.from_numpy(checkpoint.quantized(name).dequantize("float32"))
            weights[name + ".weight"].copy_(values)
            assert torch.equal(weights[name + ".weight"].float(), values)
        logits = expected(tokens).logits
        assert torch.equal(found(tokens).logits, logits) and not torch.equal(logits, before)


@pytest.mark.parametrize("format_name", SPECS)
def test_quark_loads_ours(folder, ours, format_name):
    check_logits(folder, ours(format_name))


def test_quark_loads_mixed_formats(folder, ours, tmp_path):
    """As --format auto writes them: layer_quant_config must reach Quark."""
    path = tmp_path / "mixed"
    shutil.copytree(ours("e3m2"), path)
    tensors = {}
    with Checkpoint.open(ours("e3m2")) as first, Checkpoint.open(ours("e2m3")) as second:
        for number, name in enumerate(first.layers):
            tensors[name] = (second if number % 2 else first).quantized(name)
        tensors.update({name: first.read(name) for name in first.tensors})
    section = save(path / "model.safetensors", tensors)
    assert section["quant_method"] == "quark" and len(section["layer_quant_config"]) == 7
    config = json.loads((path / "config.json").read_text())
    config["quantization_config"] = section
    (path / "config.json").write_text(json.dumps(config))
    check_logits(folder, path)
