"""Weight.linear(), gemm() and gemm_grouped() against float64 products."""

import math

import fp6llm
import ml_dtypes
import numpy
import oracle
import pytest

FORMATS = [
    {"format": "e3m2"},
    {"format": "e2m3", "scale": "group", "group_size": 16},
    {"format": "e2m3", "scale": "mx"},
    {"format": "e2m1"},
]
ACTIVATIONS = {
    "relu": lambda v: numpy.maximum(v, 0),
    "gelu": lambda v: v * 0.5 * (1 + numpy.vectorize(math.erf)(v / math.sqrt(2))),
    "gelu_tanh": lambda v: 0.5 * v * (1 + numpy.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))),
    "silu": lambda v: v / (1 + numpy.exp(-v)),
}


@pytest.mark.parametrize("dtype", oracle.FLOATS)
@pytest.mark.parametrize("tokens", [1, 5, 40])
@pytest.mark.parametrize("options", FORMATS)
def test_linear(options, tokens, dtype, w):
    weight = fp6llm.Weight.from_float(w, **options)
    dense = oracle.dense(weight.to_codes())
    x = oracle.gaussian((tokens, 83), tokens).astype(dtype)
    y = weight.linear(x)
    assert y.dtype == dtype and y.shape == (tokens, 37)
    oracle.assert_product(y, x, dense)
    wide = weight.linear(x, dtype="float32")
    assert wide.dtype == numpy.float32
    oracle.assert_product(wide, x, dense)


def test_leading_axes(weight):
    x = oracle.gaussian((2, 3, 4, 83), 30)
    flat = weight.linear(x.reshape(24, 83))
    numpy.testing.assert_array_equal(weight.linear(x), flat.reshape(2, 3, 4, 37))
    numpy.testing.assert_array_equal(weight.linear(x[0, 0, 0]), weight.linear(x[0, 0, :1])[0])
    assert weight.linear(x[0, 0, 0]).shape == (37,)
    # Rows a constant distance apart are taken as they lie.
    wide = numpy.zeros((2, 3, 4, 100), numpy.float32)
    wide[..., 5:88] = x
    numpy.testing.assert_array_equal(weight.linear(wide[..., 5:88]), flat.reshape(2, 3, 4, 37))
    every_other = oracle.gaussian((8, 83), 31)[::2]
    numpy.testing.assert_array_equal(
        weight.linear(every_other), weight.linear(numpy.ascontiguousarray(every_other))
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name, weight):
    x = oracle.gaussian((3, 83), 32) / 4
    expected = ACTIVATIONS[name](x.astype(numpy.float64) @ oracle.dense(weight.to_codes()).T)
    numpy.testing.assert_allclose(weight.linear(x, activation=name), expected, atol=2e-5)
    member = fp6llm.Activation[name.upper()]
    numpy.testing.assert_array_equal(weight.linear(x, activation=member), weight.linear(x, activation=name))


@pytest.mark.parametrize("dtype", oracle.FLOATS)
def test_bias_and_residual(dtype, weight):
    x = oracle.gaussian((3, 83), 33)
    bias = oracle.gaussian(37, 34).astype(dtype)
    residual = oracle.gaussian((3, 50), 35).astype(dtype)[:, 4:41]
    product = x.astype(numpy.float64) @ oracle.dense(weight.to_codes()).T
    expected = numpy.maximum(product + bias.astype(numpy.float64), 0) + residual.astype(numpy.float64)
    found = weight.linear(x, bias=bias, activation="relu", residual=residual)
    numpy.testing.assert_allclose(found, expected, atol=1e-4)


def test_residual_in_place(weight):
    x = oracle.gaussian((3, 83), 36)
    out = oracle.gaussian((3, 37), 37)
    expected = weight.linear(x) + out
    assert weight.linear(x, residual=out, out=out) is out
    numpy.testing.assert_allclose(out, expected, rtol=1e-6)


def test_given_output(weight):
    x = oracle.gaussian((3, 83), 38).astype(numpy.float16)
    out = numpy.full((3, 60), 7, numpy.float32)
    assert weight.linear(x, out=out[:, 10:47]).base is out
    numpy.testing.assert_array_equal(out[:, 10:47], weight.linear(x, dtype=numpy.float32))
    assert (out[:, :10] == 7).all() and (out[:, 47:] == 7).all()


def test_compute_types(weight):
    x = oracle.gaussian((20, 83), 39)
    exact = weight.linear(x)
    rough = weight.linear(x, compute="fast_16bf")
    dense = oracle.dense(weight.to_codes())
    oracle.assert_product(exact, x, dense)
    # Activations may lose what bfloat16 does: 2^-9 each.
    extra = 2.0**-8 * numpy.abs(x) @ numpy.abs(dense).T
    oracle.assert_product(rough, x, dense, extra=extra)
    numpy.testing.assert_array_equal(weight.linear(x, compute="32f"), exact)
    with pytest.raises(fp6llm.NotSupportedError):
        weight.linear(x, compute=fp6llm.ComputeType.COMPUTE_32F_FAST_8F)


@pytest.mark.parametrize(
    ("compute", "kernels", "least", "most"),
    [("fast_16i", "_i16", 5e-6, 5e-5), ("fast_8i", "_i8", 1e-3, 1e-2)],
)
def test_integer_compute_types(compute, kernels, least, most):
    """Rounded activations err as much as they may; where the processor has integers they are in use."""
    weight = fp6llm.Weight.from_float(oracle.gaussian((40, 640), 43), format="e2m3")
    x = oracle.gaussian((16, 640), 44)
    expected = x.astype(numpy.float64) @ oracle.dense(weight.to_codes()).astype(numpy.float64).T
    name = fp6llm.algorithms(weight, 16, compute=compute)[0].name
    for y in (weight.linear(x, compute=compute), fp6llm.gemm(x, weight, compute=compute)):
        error = numpy.sqrt(numpy.mean((y - expected) ** 2) / numpy.mean(expected**2))
        assert error <= most
        assert error >= least or not name.endswith(kernels)


def test_gemm_is_linear_by_default(weight):
    x = oracle.gaussian((5, 83), 40)
    numpy.testing.assert_array_equal(fp6llm.gemm(x, weight), weight.linear(x))


@pytest.mark.parametrize("transpose_weight", [True, False])
@pytest.mark.parametrize("transpose_x", [True, False])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("n", [1, 6])
def test_gemm_transposes(n, order, transpose_x, transpose_weight, weight):
    dense = oracle.dense(weight.to_codes())
    operand = dense if transpose_weight else dense.T
    x = oracle.gaussian((n, operand.shape[1]), 41)
    given = numpy.array(x.T if transpose_x else x, order=order)
    found = fp6llm.gemm(given, weight, transpose_x=transpose_x, transpose_weight=transpose_weight)
    oracle.assert_product(found, x, operand)


def test_gemm_factors(weight):
    x = oracle.gaussian((5, 83), 42)
    out = oracle.gaussian((5, 37), 43)
    dense = oracle.dense(weight.to_codes())
    expected = 2 * (x.astype(numpy.float64) @ dense.T) - 0.5 * out
    assert fp6llm.gemm(x, weight, alpha=2, beta=-0.5, out=out) is out
    numpy.testing.assert_allclose(out, expected, atol=1e-4)
    # beta == 0 reads nothing.
    out[:] = numpy.nan
    fp6llm.gemm(x, weight, out=out)
    numpy.testing.assert_array_equal(out, weight.linear(x))
    fp6llm.gemm(x, weight, alpha=0, beta=2, out=out)
    numpy.testing.assert_allclose(out, 2 * weight.linear(x))
    with pytest.raises(fp6llm.InvalidValueError, match="out"):
        fp6llm.gemm(x, weight, beta=1)


def test_algorithms(weight):
    x = oracle.gaussian((5, 83), 44)
    found = fp6llm.algorithms(weight, 5)
    assert len(found) > 1 and found[-1].name and len({f.algo for f in found}) == len(found)
    dense = oracle.dense(weight.to_codes())
    for algorithm in found:
        oracle.assert_product(fp6llm.gemm(x, weight, algo=algorithm.algo), x, dense)
    with pytest.raises(fp6llm.Fp6llmError):
        fp6llm.gemm(x, weight, algo=123456)


def test_gemm_grouped():
    weights = [fp6llm.Weight.from_float(oracle.gaussian((24, 40), 50 + g)) for g in range(3)]
    x = oracle.gaussian((9, 40), 53)
    offsets = numpy.array([0, 4, 4, 7], numpy.int64)
    out = numpy.full((9, 24), 3, numpy.float32)
    fp6llm.gemm_grouped(x, [weights[0], None, weights[2]], offsets, out=out)
    numpy.testing.assert_array_equal(out[:4], weights[0].linear(x[:4]))
    numpy.testing.assert_array_equal(out[4:7], weights[2].linear(x[4:7]))
    assert (out[7:] == 3).all()
    for wrong in (numpy.array([0, 4, 2, 7]), numpy.array([0, 4, 4, 99]), numpy.array([-1, 4, 4, 7])):
        with pytest.raises(fp6llm.InvalidValueError):
            fp6llm.gemm_grouped(x, weights, wrong, out=out)


@pytest.mark.parametrize("dtype", oracle.FLOATS)
def test_empty(dtype, weight):
    assert weight.linear(numpy.empty((0, 83), dtype)).shape == (0, 37)
    assert weight.linear(numpy.empty((2, 0, 83), dtype)).shape == (2, 0, 37)
    assert fp6llm.gemm(numpy.empty((0, 83), dtype), weight).shape == (0, 37)
    no_rows = fp6llm.Weight.from_float(numpy.empty((0, 8), numpy.float32))
    assert no_rows.linear(numpy.ones((3, 8), dtype)).shape == (3, 0)
    no_cols = fp6llm.Weight.from_float(numpy.empty((4, 0), numpy.float32))
    numpy.testing.assert_array_equal(no_cols.linear(numpy.empty((3, 0), dtype)), numpy.zeros((3, 4)))
    bias = numpy.arange(4, dtype=numpy.float32)
    numpy.testing.assert_array_equal(no_cols.linear(numpy.empty((1, 0), numpy.float32), bias=bias), bias[None])


def test_nan_travels(weight):
    x = oracle.gaussian((3, 83), 60)
    expected = weight.linear(x)
    x[1, 7] = numpy.nan
    found = weight.linear(x)
    assert numpy.isnan(found[1]).all()
    numpy.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])


def test_bfloat16_of_ml_dtypes_is_kept(weight):
    y = weight.linear(numpy.ones((1, 83), ml_dtypes.bfloat16))
    assert y.dtype == numpy.dtype(ml_dtypes.bfloat16)
