"""fp6llm.torch: the operator, the module, quantize_() and state dicts; and torch tensors in the plain API."""

import copy
import gc
import io
import sys

import conftest
import fp6llm
import numpy
import oracle
import pytest

try:
    import fp6llm.torch
    import torch
    from torch import nn
except ImportError as error:
    if "torch" not in sys.modules:
        torch = None
        REASON = f"no torch: {error}"
    else:
        raise

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def needs_torch():
    if torch is None:
        conftest.unavailable(REASON, "FP6LLM_TEST_NEEDS_TORCH")
    torch.manual_seed(1)


CONFIGS = [
    {"format": "e3m2"},
    {"format": "e2m3", "scale": "group", "group_size": 16, "scale_type": "float16"},
    {"format": "e2m3", "scale": "mx"},
    {"format": "e2m2"},
    {"format": "auto"},
]
DTYPES = ["float32", "float16", "bfloat16"]


def numbers(tensor):
    return tensor.detach().to(torch.float64).numpy()


def dense(module):
    return oracle.dense(fp6llm.Quantized(*(
        t.numpy() for t in (module.codes().codes, module.codes().scales)), module.codes().shape, module.config
    ))  # fmt: skip


def model(dtype=None):
    return nn.Sequential(
        nn.Linear(40, 24), nn.GELU(), nn.Sequential(nn.Linear(24, 16, bias=False), nn.ReLU()), nn.Linear(16, 8)
    ).to(dtype or torch.float32)


# ---- Tensors in the plain API ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors(dtype):
    w, x = torch.randn(37, 83).to(getattr(torch, dtype)), torch.randn(2, 5, 83).to(getattr(torch, dtype))
    q = fp6llm.quantize(w)
    assert q.codes.dtype is torch.uint8 and q.scales.dtype is torch.float32
    weight = q.to_weight()
    y = weight.linear(x)
    assert isinstance(y, torch.Tensor) and y.dtype is x.dtype and y.shape == (2, 5, 37)
    w64 = numbers(q.dequantize("float32"))
    found = numpy.asarray(y.to(torch.float32))
    fraction = {"float32": 2.0**-22, "float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    numpy.testing.assert_allclose(found, numbers(x) @ w64.T, rtol=2 * fraction, atol=1e-4)
    assert weight.linear(x, dtype=torch.float32).dtype is torch.float32
    assert weight.to_codes().codes.equal(q.codes)
    assert fp6llm.Weight.from_blob(weight.to_blob()).linear(x).equal(y)
    out = torch.empty_like(y)
    assert weight.linear(x, bias=torch.zeros(37), out=out) is out
    # Zero copy: what NumPy sees of the same memory is the same.
    if dtype != "bfloat16":
        numpy.testing.assert_array_equal(weight.linear(x.numpy()), y.numpy())


def test_tensors_refused():
    weight = fp6llm.Weight.from_float(torch.randn(8, 16))
    with pytest.raises(ValueError, match="requires grad"):
        weight.linear(torch.randn(2, 16, requires_grad=True))
    with torch.no_grad():
        weight.linear(torch.randn(2, 16, requires_grad=True))
    for wrong, error in (
        (torch.randn(2, 16, dtype=torch.float64), TypeError),
        (torch.randn(2, 16, device="meta"), TypeError),
        (torch.randn(2, 16).to_sparse(), TypeError),
        (torch.randn(16, 2).T, ValueError),
        (torch.randn(2, 15), ValueError),
    ):
        with pytest.raises(error):
            weight.linear(wrong)


# ---- The operator ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", CONFIGS)
def test_linear(options, dtype):
    layer = nn.Linear(83, 37).to(getattr(torch, dtype))
    module = fp6llm.torch.Linear.from_float(layer, **options)
    x = torch.randn(2, 3, 83).to(layer.weight.dtype)
    y = module(x)
    assert y.dtype is x.dtype and y.shape == (2, 3, 37)
    expected = numbers(x) @ dense(module).T + numbers(layer.bias)
    fraction = {"float32": 2.0**-22, "float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    numpy.testing.assert_allclose(numbers(y), expected, rtol=2 * fraction, atol=1e-4)
    assert module(x[:, :0]).shape == (2, 0, 37)
    torch.testing.assert_close(module(x.transpose(0, 1)), y.transpose(0, 1))


def test_compute():
    """What a module lets products round, and where that is said."""
    layer = nn.Linear(256, 48)
    exact = fp6llm.torch.Linear.from_float(layer, format="e2m3")
    module = fp6llm.torch.Linear.from_float(layer, format="e2m3", compute="fast_16i")
    assert exact.compute is None and module.compute == "fast_16i"
    assert module.config.compute_hint == fp6llm.ComputeType.COMPUTE_32F_FAST_16I
    assert "compute=fast_16i" in repr(module) and "compute" not in repr(exact)
    x = torch.randn(70, 256)
    weight = module.codes().to_weight()
    expected = weight.linear(x, bias=layer.bias.detach(), compute="fast_16i")
    with torch.no_grad():
        assert module(x).equal(expected) and not exact(x).equal(expected)
    module.compute = None
    assert module(x).equal(exact(x))
    # Weights are packed for it, unless something else is asked for; it goes along with copies.
    made = fp6llm.torch.quantize_(model(), format="e2m3", compute=fp6llm.ComputeType.COMPUTE_32F_FAST_8I)
    other = copy.deepcopy(made)[0]
    assert other.compute == "fast_8i" and other.config.compute_hint == fp6llm.ComputeType.COMPUTE_32F_FAST_8I
    hinted = fp6llm.torch.Linear(40, 24, compute="fast_8i", compute_hint="32f")
    assert hinted.compute == "fast_8i"
    assert hinted.config.compute_hint == fp6llm.ComputeType.COMPUTE_32F
    for wrong, error in (("fast", fp6llm.InvalidValueError), (3, fp6llm.InvalidValueError), (1.5, TypeError)):
        with pytest.raises(error, match="compute"):
            fp6llm.torch.Linear.from_float(layer, compute=wrong)


def test_compute_in_a_graph():
    module = fp6llm.torch.Linear.from_float(nn.Linear(256, 48), format="e2m3", compute="fast_16i")
    x = torch.randn(70, 256, requires_grad=True)
    exact = fp6llm.torch.Linear.from_float(nn.Linear(256, 48), format="e2m3")
    exact.load_state_dict(module.state_dict())
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        assert compiled(x).equal(module(x)) and not compiled(x).equal(exact(x))
    module(x).sum().backward()
    found, x.grad = x.grad, None
    exact(x).sum().backward()
    assert found.equal(x.grad)


def operator_arguments(**options):
    module = fp6llm.torch.Linear.from_float(nn.Linear(40, 24), **options)
    return module.blob, module.bias.detach(), 24, 40, module._description


def test_opcheck():
    blob, bias, *rest = operator_arguments(format="e2m3", scale="group", group_size=16)
    for x in (
        torch.randn(3, 40),
        torch.randn(2, 3, 40).to(torch.bfloat16),
        torch.randn(40, requires_grad=True),
    ):
        torch.library.opcheck(torch.ops.fp6llm.linear.default, (x, blob, bias, *rest))
        torch.library.opcheck(
            torch.ops.fp6llm.linear.default, (x, blob, None, *rest, torch.float32, "fast_16i")
        )
    torch.library.opcheck(torch.ops.fp6llm.linear_transposed.default, (torch.randn(3, 24), blob, *rest))


def test_gradients():
    module = fp6llm.torch.Linear.from_float(nn.Linear(40, 24))
    x = torch.randn(5, 40, requires_grad=True)
    reference = nn.Linear(40, 24)
    reference.weight.data = module.dequantize()
    reference.bias.data = module.bias.detach().clone()
    module(x).square().sum().backward()
    found, x.grad = x.grad, None
    reference(x).square().sum().backward()
    torch.testing.assert_close(found, x.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(module.bias.grad, reference.bias.grad, rtol=1e-4, atol=1e-4)


def test_operator_refuses():
    blob, bias, *rest = operator_arguments()
    linear = fp6llm.torch.linear
    x = torch.randn(3, 40)
    for arguments, match in (
        ((x[:, :39], blob, bias, *rest), "last axis must be 40"),
        ((torch.tensor(1.0), blob, bias, *rest), "last axis"),
        ((x.double(), blob, bias, *rest), "torch.float64"),
        ((x, blob[:100], bias, *rest), "bytes|blob"),
        ((x, torch.zeros_like(blob), bias, *rest), "blob"),
        ((x, blob.to(torch.int32), bias, *rest), "uint8"),
        ((x, blob, bias[:3], *rest), "bias has shape"),
        ((x, blob, bias.double(), *rest), "bias has dtype"),
        ((x, blob, bias, 24, 40, "e2m3:row:0:0"), "the blob holds"),
        ((x[:, :20], blob, bias, 48, 20, rest[2]), "the blob holds"),
        ((x, blob, bias, *rest, torch.float16), "dtype"),
        ((x, blob, bias, *rest, None, "fast"), "compute = 'fast'"),
    ):
        with pytest.raises((TypeError, ValueError, fp6llm.Fp6llmError, RuntimeError), match=match):
            linear(*arguments)


def test_a_new_blob_at_an_old_address():
    """Views are cached: memory that is used again must not bring back what was there, nor pass unchecked."""
    x = torch.randn(1, 64)
    for turn in range(200):
        layer = nn.Linear(64, 64, bias=False)
        module = fp6llm.torch.Linear.from_float(layer, format=("e3m2", "e2m3")[turn % 2])
        torch.testing.assert_close(module(x), x @ module.dequantize().T, rtol=1e-4, atol=1e-4)
        description, size = module._description, module.blob.numel()
        del module
        with pytest.raises(ValueError, match="blob"):
            fp6llm.torch.linear(x, torch.zeros(size, dtype=torch.uint8), None, 64, 64, description)


def test_views_are_made_once_and_go_with_their_blob():
    views = fp6llm.torch._views
    made = fp6llm.torch.quantize_(model())
    before = len(views)
    with torch.no_grad():
        compiled = torch.compile(made, backend="aot_eager")
        for _ in range(3):
            made(torch.randn(3, 40))
            compiled(torch.randn(3, 40))
        assert len(views) == before + 3
        first = [view for view, _ in views.values()]
        compiled(torch.randn(3, 40))
        assert all(a is b for a, (b, _) in zip(first, views.values()))
    torch.compiler.reset()
    del made, compiled, first
    gc.collect()
    assert len(views) == before


# ---- torch.compile --------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
def test_compile(backend):
    made = fp6llm.torch.quantize_(model(), format="auto")
    x = torch.randn(3, 40)
    with torch.no_grad():
        expected = made(x)
        compiled = torch.compile(made, fullgraph=True, backend=backend)
        torch.testing.assert_close(compiled(x), expected, rtol=1e-5, atol=1e-5)
        # Nothing of the first call is baked in: other numbers, then another number of tokens.
        for other in (torch.randn(3, 40), torch.randn(7, 40)):
            torch.testing.assert_close(compiled(other), made(other), rtol=1e-5, atol=1e-5)


def test_compile_with_gradients():
    made = fp6llm.torch.quantize_(model())
    compiled = torch.compile(made, fullgraph=True, backend="aot_eager")
    x = torch.randn(3, 40, requires_grad=True)
    made(x).square().sum().backward()
    expected, x.grad = x.grad, None
    compiled(x).square().sum().backward()
    torch.testing.assert_close(x.grad, expected, rtol=1e-4, atol=1e-5)


def test_the_graph_holds_tensors_only():
    made = fp6llm.torch.quantize_(model())
    graph = torch.export.export(made, (torch.randn(3, 40),)).graph
    calls = [node for node in graph.nodes if node.target is torch.ops.fp6llm.linear.default]
    assert len(calls) == 3
    for call in calls:
        kinds = [type(argument).__name__ for argument in call.args]
        assert kinds[:2] == ["Node", "Node"] and set(kinds[3:]) <= {"int", "str"}
        assert all(argument < 1000 for argument in call.args if isinstance(argument, int))


def test_a_compiled_model_after_loading_other_numbers():
    made, other = fp6llm.torch.quantize_(model()), fp6llm.torch.quantize_(model())
    x = torch.randn(3, 40)
    with torch.no_grad():
        compiled = torch.compile(made, backend="aot_eager")
        compiled(x)
        made.load_state_dict(other.state_dict())
        torch.testing.assert_close(compiled(x), other(x))


# ---- Modules --------------------------------------------------------------------------------------------


def test_quantize_():
    plain = model()
    shared = nn.Linear(8, 8)
    plain.append(shared)
    plain.append(shared)
    plain.eval()
    made = fp6llm.torch.quantize_(plain, select=lambda name, layer: name != "2.0", scale="mx", format="e2m3")
    assert made is plain
    kinds = [type(m).__name__ for m in (plain[0], plain[2][0], plain[3], plain[4])]
    assert kinds == ["Linear"] * 4
    assert isinstance(plain[0], fp6llm.torch.Linear) and type(plain[2][0]) is nn.Linear
    assert plain[4] is plain[5] and not plain[0].training
    assert "e2m3:mx" in repr(plain)
    assert isinstance(fp6llm.torch.quantize_(nn.Linear(8, 8)), fp6llm.torch.Linear)
    attention = fp6llm.torch.quantize_(nn.MultiheadAttention(16, 2))
    assert attention(*[torch.randn(3, 1, 16)] * 3)[0].shape == (3, 1, 16)


def test_error_of_a_quantized_model():
    plain = model()
    x = torch.randn(50, 40)
    expected = plain(x)
    found = fp6llm.torch.quantize_(copy.deepcopy(plain), format="e2m3")(x)
    assert 0 < (found - expected).norm() / expected.norm() < 0.05


@pytest.mark.parametrize("options", CONFIGS)
def test_state_dict(options):
    made = fp6llm.torch.quantize_(model(), **options)
    state = made.state_dict()
    assert sorted(state) == sorted(
        f"{m}.{n}"
        for m in ("0", "2.0", "3")
        for n in ("weight", "weight_scale", "bias")
        if (m, n) != ("2.0", "bias")
    )
    assert state["0.weight"].dtype is torch.uint8
    q = fp6llm.quantize(model()[0].weight.detach(), **options)
    assert state["0.weight"].shape == q.codes.shape and state["0.weight_scale"].shape == q.scales.shape
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    # Into a model whose own formats differ: the file says which they are.
    torch.manual_seed(2)
    other = fp6llm.torch.quantize_(model(), format="e2m1")
    assert other.load_state_dict(loaded).missing_keys == []
    x = torch.randn(3, 40)
    assert other(x).equal(made(x))
    assert other[0]._description == made[0]._description
    again = other.state_dict()
    assert all(again[key].equal(state[key]) for key in state)


def test_state_dict_without_metadata():
    """As from a safetensors file: the module's own config counts."""
    made = fp6llm.torch.Linear.from_float(nn.Linear(40, 24), format="e2m3", scale="mx")
    empty = fp6llm.torch.Linear(40, 24, format="e2m3", scale="mx")
    empty.load_state_dict(dict(made.state_dict()))
    x = torch.randn(3, 40)
    assert empty(x).equal(made(x))


def test_a_state_dict_leaves_the_hint():
    """How the weight lies in memory is the module's own, what the codes mean is the state dict's."""
    made = fp6llm.torch.Linear.from_float(nn.Linear(64, 24), format="e2m3")
    other = fp6llm.torch.Linear(64, 24, format="e2m1", compute_hint="fast_8i")
    other.load_state_dict(made.state_dict())
    assert other.config.compute_hint == fp6llm.ComputeType.COMPUTE_32F_FAST_8I
    assert other._description == made._description
    assert fp6llm.Weight.from_blob(other.blob).layout == other.codes().to_weight().layout
    assert other.codes().codes.equal(made.codes().codes)
    x = torch.randn(3, 64)
    torch.testing.assert_close(other(x), made(x), rtol=1e-5, atol=1e-5)


def test_bad_state_dicts():
    made = fp6llm.torch.Linear.from_float(nn.Linear(40, 24))
    x = torch.randn(3, 40)
    expected = made(x)
    good = dict(made.state_dict())
    for change in (
        {"weight": torch.zeros(24, 29, dtype=torch.uint8)},
        {"weight": torch.zeros(24, 30)},
        {"weight": torch.zeros(24, 40)},
        {"weight_scale": torch.zeros(23)},
        {"weight_scale": torch.zeros(24, dtype=torch.int32)},
        {"unexpected": torch.zeros(1)},
    ):
        with pytest.raises(RuntimeError, match=r"weight|unexpected"):
            made.load_state_dict({**good, **change})
    for name in ("weight", "weight_scale"):
        with pytest.raises(RuntimeError, match=f"[Mm]issing.*{name}"):
            made.load_state_dict({key: value for key, value in good.items() if key != name})
    assert made(x).equal(expected)


def test_casts_copies_and_meta():
    made = fp6llm.torch.Linear.from_float(nn.Linear(40, 24))
    x = torch.randn(3, 40)
    expected = made(x)
    copied = copy.deepcopy(made)
    assert copied.blob.data_ptr() != made.blob.data_ptr() and copied(x).equal(expected)
    half = copy.deepcopy(made).half()
    assert half.blob.dtype is torch.uint8 and half.bias.dtype is torch.float16
    torch.testing.assert_close(half(x.half()).float(), expected, rtol=1e-2, atol=1e-2)
    ghost = copy.deepcopy(made).to("meta")
    assert ghost(x.to("meta")).shape == (3, 24)
    ghost.to_empty(device="cpu").load_state_dict(made.state_dict())
    assert ghost(x).equal(expected)
    with torch.device("meta"):
        ghost = fp6llm.torch.Linear(40, 24)
    assert ghost.blob.is_meta and ghost.blob.shape == made.blob.shape


def test_threads():
    import threading

    made = fp6llm.torch.Linear.from_float(nn.Linear(64, 64))
    xs = [torch.randn(4, 64) for _ in range(4)]
    expected = [made(x) for x in xs]
    wrong = []

    def work(i):
        for _ in range(50):
            if not made(xs[i]).equal(expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert wrong == []
