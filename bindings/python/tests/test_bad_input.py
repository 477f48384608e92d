"""Each argument wrong in turn: the language's own error, with what is wrong and, where C sees it, its words."""

import fp6llm
import numpy
import oracle
import pytest

F = numpy.float32
X = numpy.ones((3, 83), F)


def refused(error, match, call):
    with pytest.raises(error, match=match or None) as caught:
        call()
    assert str(caught.value)
    return caught.value


@pytest.mark.parametrize("wrong", [None, 3, "x", [1.0], [[1.0] * 83], (1,), object(), {}])
def test_no_arrays(wrong, weight):
    for call in (
        lambda: weight.linear(wrong),
        lambda: fp6llm.gemm(wrong, weight),
        lambda: fp6llm.quantize(wrong),
        lambda: fp6llm.Weight.from_float(wrong),
        lambda: fp6llm.Weight.from_codes(wrong, X, (1, 1)),
        lambda: fp6llm.Weight.from_blob(wrong),
        lambda: fp6llm.Weight.from_packed("split_4_2", wrong, X, (1, 1)),
    ):
        refused(TypeError, "must be an array|x has dtype", call)
    if wrong is not None:
        for name in ("bias", "residual", "out"):
            refused(TypeError, f"{name} must be an array", lambda name=name: weight.linear(X, **{name: wrong}))


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint8", "complex64", "bool", ">f4", "O", "U3", "M8[s]"])
def test_dtypes(dtype, weight):
    wrong = numpy.zeros((3, 83), dtype)
    refused(TypeError, "x has dtype", lambda: weight.linear(wrong))
    refused(TypeError, "w has dtype", lambda: fp6llm.quantize(wrong))
    refused(TypeError, "bias has dtype", lambda: weight.linear(X, bias=wrong[0, :37]))
    refused(TypeError, "residual has dtype", lambda: weight.linear(X, residual=wrong[:, :37]))
    refused(TypeError, "out has dtype", lambda: weight.linear(X, out=numpy.zeros((3, 37), dtype)))
    if dtype != "uint8":
        refused(TypeError, "codes has dtype", lambda: fp6llm.Weight.from_codes(wrong, X, (3, 4)))
    refused(TypeError, "dtype", lambda: weight.linear(X, dtype=dtype if dtype != "uint8" else "int8"))


def test_types_that_do_not_go_together(weight):
    refused(
        fp6llm.Fp6llmError, "Ytype|R_16F", lambda: weight.linear(X, out=numpy.zeros((3, 37), numpy.float16))
    )
    refused(TypeError, "dtype", lambda: weight.linear(X, out=numpy.zeros((3, 37), F), dtype="float32"))
    q = fp6llm.quantize(X)
    refused(TypeError, "scales has dtype float16", lambda: fp6llm.dequantize(
        q.codes, q.scales.astype(numpy.float16), q.shape, q.config))  # fmt: skip
    refused(TypeError, "own scales", lambda: fp6llm.dequantize(q, q.scales))
    refused(TypeError, "own scales", lambda: fp6llm.Weight.from_codes(q, shape=(3, 83)))
    refused(TypeError, "config must be", lambda: fp6llm.quantize(X, "e3m2"))


def test_shapes(weight):
    bad = fp6llm.InvalidValueError
    refused(bad, r"x has shape \(3, 82\); its last axis must be cols = 83", lambda: weight.linear(X[:, :82]))
    refused(bad, r"x has shape \(\)", lambda: weight.linear(numpy.array(1, F)))
    refused(bad, "out has shape", lambda: weight.linear(X, out=numpy.zeros((3, 38), F)))
    refused(bad, "out has shape", lambda: weight.linear(X, out=numpy.zeros(3 * 37, F)))
    refused(bad, "bias has shape", lambda: weight.linear(X, bias=numpy.zeros(36, F)))
    refused(bad, "bias has shape", lambda: weight.linear(X, bias=numpy.zeros((1, 37), F)))
    refused(bad, "residual has shape", lambda: weight.linear(X, residual=numpy.zeros((2, 37), F)))
    refused(bad, "w has shape", lambda: fp6llm.quantize(X[0]))
    refused(bad, "w has shape", lambda: fp6llm.Weight.from_float(X[None]))
    refused(bad, "x has shape", lambda: fp6llm.gemm(X[0], weight))
    refused(bad, "82 columns, op.weight. has 83", lambda: fp6llm.gemm(X[:, :82], weight))
    refused(bad, "83 columns, op.weight. has 37", lambda: fp6llm.gemm(X, weight, transpose_weight=False))
    q = fp6llm.quantize(X)
    refused(bad, "codes has shape", lambda: fp6llm.Weight.from_codes(q.codes[:2], q.scales, (3, 83)))
    refused(bad, "scales has shape", lambda: fp6llm.Weight.from_codes(q.codes, q.scales[:2], (3, 83)))
    refused(bad, "codes has shape", lambda: fp6llm.quantize(X, codes=q.codes[:2]))
    refused(bad, "out has shape", lambda: q.dequantize(out=numpy.zeros((83, 3), F)))
    refused(
        bad, "packed has shape", lambda: fp6llm.Weight.from_packed("split_4_2", q.codes[0], q.scales, (3, 83))
    )
    for shape in (None, 3, (3,), (3, 83, 1), "ab", (3, 83.0), ("3", 83)):
        refused(TypeError, "shape|rows|cols", lambda shape=shape: fp6llm.dequantize(q.codes, q.scales, shape))
    refused(bad, "rows = -3", lambda: fp6llm.dequantize(q.codes, q.scales, (-3, 83)))


def test_huge_sizes():
    q = fp6llm.quantize(X)
    bad = fp6llm.InvalidValueError
    for shape in ((1 << 62, 1 << 62), (1 << 40, 1 << 40), ((1 << 63) - 1, 1)):
        error = refused(bad, "", lambda shape=shape: fp6llm.dequantize(q.codes, q.scales, shape))
        assert error.status == fp6llm.Status.INVALID_VALUE
        refused(bad, "", lambda shape=shape: fp6llm.Weight.from_codes(q.codes, q.scales, shape))
        refused(fp6llm.Fp6llmError, "", lambda shape=shape: fp6llm.Weight.from_packed(
            "split_4_2", q.codes, q.scales, shape))  # fmt: skip
    refused(bad, r"2\^63", lambda: fp6llm.dequantize(q.codes, q.scales, (1 << 70, 1)))
    # A view of one number, as large as an address space.
    huge = numpy.lib.stride_tricks.as_strided(numpy.zeros(1, F), (1 << 20, 1 << 40), (0, 0))
    refused((bad, MemoryError), "", lambda: fp6llm.quantize(huge))
    refused((bad, MemoryError), "", lambda: fp6llm.Weight.from_float(huge))
    one = fp6llm.Weight.from_float(numpy.ones((1 << 12, 1), F))
    tall = numpy.lib.stride_tricks.as_strided(numpy.zeros(1, F), (1 << 60, 1), (0, 4))
    refused((bad, MemoryError, ValueError), "", lambda: one.linear(tall))


def test_strides(weight):
    bad = fp6llm.InvalidValueError
    refused(bad, "strides", lambda: weight.linear(numpy.ones((83, 3), F).T))
    refused(bad, "strides", lambda: weight.linear(numpy.ones((3, 166), F)[:, ::2]))
    refused(bad, "strides", lambda: weight.linear(X[:, ::-1]))
    refused(bad, "ldx = -83", lambda: weight.linear(X[::-1]))
    refused(bad, "do not fold", lambda: weight.linear(numpy.ones((4, 3, 83), F)[::2]))
    refused(bad, "strides", lambda: weight.linear(X, out=numpy.zeros((37, 3), F).T))
    refused(bad, "bias", lambda: weight.linear(X, bias=numpy.zeros(74, F)[::2]))
    refused(bad, "strides", lambda: fp6llm.quantize(numpy.ones((83, 3), F).T))
    refused(bad, "one of them must be 1", lambda: fp6llm.gemm(numpy.ones((6, 166), F)[::2, ::2], weight))
    refused(bad, "out has strides", lambda: fp6llm.gemm(X, weight, out=numpy.zeros((37, 3), F).T))
    q = fp6llm.quantize(X)
    wide = numpy.zeros((3, 126), numpy.uint8)
    refused(bad, "codes is not contiguous", lambda: fp6llm.quantize(X, codes=wide[:, ::2]))
    refused(bad, "codes is not contiguous", lambda: fp6llm.Weight.from_codes(wide[:, ::2], q.scales, (3, 83)))
    records = numpy.zeros((3, 83), [("a", "u1"), ("v", "f4")])["v"]
    refused(bad, "not multiples", lambda: weight.linear(records))
    raw = numpy.zeros(3 * 83 * 4 + 1, numpy.uint8)
    misaligned = raw[1:].view(F).reshape(3, 83)
    refused(bad, "align", lambda: weight.linear(misaligned))


def test_outputs(weight):
    bad = fp6llm.InvalidValueError
    frozen = numpy.zeros((3, 37), F)
    frozen.flags.writeable = False
    refused(bad, "out is read-only", lambda: weight.linear(X, out=frozen))
    refused(bad, "out is read-only", lambda: fp6llm.gemm(X, weight, out=frozen))
    q = fp6llm.quantize(X)
    frozen = q.codes.copy()
    frozen.flags.writeable = False
    refused(bad, "codes is read-only", lambda: fp6llm.quantize(X, codes=frozen))
    refused(bad, "codes is read-only", lambda: weight.to_codes(codes=weight.to_codes().codes.tobytes()))
    shared = numpy.ones((3, 83), F)
    refused(bad, "out overlaps x", lambda: weight.linear(shared, out=shared[:, :37]))
    refused(bad, "out overlaps x", lambda: fp6llm.gemm(shared, weight, out=shared[:, 10:47]))
    both = numpy.zeros((4, 37), F)
    refused(bad, "out overlaps residual", lambda: weight.linear(X, out=both[:3], residual=both[1:]))
    refused(bad, "codes overlaps w", lambda: fp6llm.quantize(
        shared, codes=shared.view(numpy.uint8).ravel()[: 3 * 63]))  # fmt: skip
    assert (shared == 1).all() and (both == 0).all()
    # Other columns of the same matrix are no overlap.
    row = numpy.ones((3, 130), F)
    numpy.testing.assert_array_equal(weight.linear(row[:, :83], out=row[:, 90:127]), weight.linear(X))
    assert (row[:, :90] == 1).all() and (row[:, 127:] == 1).all()
    refused(bad, "out overlaps x", lambda: weight.linear(row[:, :83], out=row[:, 82:119]))
    refused(bad, "out overlaps x", lambda: weight.linear(row[:, 47:], out=row[:, 11:48]))


def test_options(weight):
    bad = fp6llm.InvalidValueError
    for options in (
        {"format": "fp6"},
        {"format": 99},
        {"scale": "column"},
        {"rounding": "up"},
        {"mx_scale_rule": "ceil"},
        {"non_finite": "ignore"},
        {"compute_hint": "int8"},
        {"compute_hint": 0},
    ):
        name = next(iter(options))
        refused(bad, name, lambda options=options: fp6llm.quantize(X, **options))
    for options, words in (
        ({"scale": "group", "group_size": 7}, "groupSize"),
        ({"scale": "group"}, "groupSize"),
        ({"scale": "mx", "group_size": 64}, "groupSize"),
        ({"scale_search": 65}, "scaleSearch"),
        ({"format": fp6llm.DataType.R_16F}, "format"),
        ({"scale": "mx", "scale_type": "float32"}, "scaleType"),
    ):
        refused(bad, words, lambda options=options: fp6llm.quantize(X, **options))
    for options in (
        {"format": 1.5},
        {"group_size": "32"},
        {"scale_search": 1.5},
        {"compute_hint": 1.5},
        {"nonsense": 1},
        {"scale": None},
    ):
        refused(TypeError, "", lambda options=options: fp6llm.quantize(X, **options))
    refused((bad, OverflowError), "", lambda: fp6llm.quantize(X, scale="group", group_size=1 << 40))
    refused(TypeError, "scale_type", lambda: fp6llm.quantize(X, scale_type="int4"))
    refused(bad, "activation", lambda: weight.linear(X, activation="tanh"))
    refused(bad, "activation", lambda: weight.linear(X, activation=99))
    refused(bad, "compute", lambda: weight.linear(X, compute="fp64"))
    refused(bad, "computeType", lambda: weight.linear(X, compute=1))
    refused(TypeError, "activation", lambda: weight.linear(X, activation=1.0))
    refused(bad, "layout", lambda: weight.to_packed("marlin"))
    refused(bad, "layout", lambda: weight.to_packed(9))
    q = fp6llm.quantize(X)
    refused(bad, "AUTO", lambda: fp6llm.dequantize(q.codes, q.scales, q.shape, format="auto"))
    refused(bad, "AUTO", lambda: fp6llm.Weight.from_codes(q.codes, q.scales, q.shape, format="auto"))
    for factor in ("1", None, [1], object()):
        refused(TypeError, "alpha", lambda factor=factor: fp6llm.gemm(X, weight, alpha=factor))


def test_handles(weight):
    bad = fp6llm.InvalidValueError
    refused(bad, "backend", lambda: fp6llm.Handle("gpu"))
    refused(bad, "backend", lambda: fp6llm.Handle("cuda:x"))
    refused(bad, "backend", lambda: fp6llm.Handle(77))
    refused(bad, "device", lambda: fp6llm.Handle("cpu", device=4))
    refused(bad, "numThreads", lambda: fp6llm.Handle("cpu", threads=257))
    refused(bad, "numThreads", lambda: fp6llm.Handle("cpu", threads=-1))
    refused(TypeError, "", lambda: fp6llm.Handle(None))
    refused(TypeError, "", lambda: fp6llm.Handle("cpu", threads="two"))
    refused((OverflowError, bad), "", lambda: fp6llm.Handle("cpu", threads=1 << 70))
    from_float = fp6llm.Weight.from_float
    for wrong in (3, "cpu", weight):
        refused(TypeError, "handle must be a Handle", lambda wrong=wrong: weight.linear(X, handle=wrong))
        refused(TypeError, "handle must be a Handle", lambda wrong=wrong: fp6llm.quantize(X, handle=wrong))
        refused(TypeError, "handle must be a Handle", lambda wrong=wrong: from_float(X, handle=wrong))
    for wrong in (3, None, X):
        refused(TypeError, "weight must be a Weight", lambda wrong=wrong: fp6llm.gemm(X, wrong))


def test_grouped():
    weights = [fp6llm.Weight.from_float(numpy.ones((4, 8), F)) for _ in range(2)]
    x, offsets = numpy.ones((3, 8), F), numpy.array([0, 1, 3])
    bad = fp6llm.InvalidValueError
    refused(bad, "no weight", lambda: fp6llm.gemm_grouped(x, [], offsets))
    refused(bad, "no weight", lambda: fp6llm.gemm_grouped(x, [None, None], offsets))
    refused(bad, "offsets has shape", lambda: fp6llm.gemm_grouped(x, weights, offsets[:2]))
    refused(TypeError, "offsets", lambda: fp6llm.gemm_grouped(x, weights, [0, 1, 3]))
    refused(TypeError, "offsets has dtype", lambda: fp6llm.gemm_grouped(x, weights, offsets.astype(F)))
    refused(TypeError, "must be a Weight", lambda: fp6llm.gemm_grouped(x, [weights[0], 5], offsets))
    other = fp6llm.Weight.from_float(numpy.ones((5, 8), F))
    refused(bad, r"weights\[1\] has shape", lambda: fp6llm.gemm_grouped(x, [weights[0], other], offsets))
    refused(bad, "x has shape", lambda: fp6llm.gemm_grouped(x[:, :7], weights, offsets))
    refused(bad, "A.1. is NULL|NULL", lambda: fp6llm.gemm_grouped(x, [weights[0], None], offsets))


def test_errors_have_status_and_detail():
    error = refused(
        fp6llm.InvalidValueError, "groupSize", lambda: fp6llm.QuantConfig(scale="group").sizes(1, 1)
    )
    assert isinstance(error, ValueError) and isinstance(error, fp6llm.Fp6llmError)
    assert error.status == fp6llm.Status.INVALID_VALUE and error.detail == str(error)


def test_random_arguments_never_crash(weight):
    """Combinations that nobody thought of: an exception or a result."""
    random = numpy.random.default_rng(0)
    q = weight.to_codes()
    pool = [
        None, 0, -1, 1 << 70, 1.5, "e3m2", "", b"abc", weight, q, fp6llm.default_handle(), X, X[:0], X[:, ::2],
        X.astype(numpy.float16), numpy.array(1, F), numpy.zeros((3, 37), F), q.codes, q.scales, q.config,
        numpy.zeros(0, numpy.uint8), numpy.zeros((1, 1), "O"), (3, 83), (37, 83), [0, 1], numpy.array([0, 1]),
    ]  # fmt: skip

    def pick():
        return pool[random.integers(len(pool))]

    calls = [
        lambda: weight.linear(pick(), bias=pick(), activation=pick(), residual=pick(), out=pick()),
        lambda: weight.linear(X, dtype=pick(), compute=pick(), handle=pick()),
        lambda: fp6llm.gemm(pick(), pick(), alpha=pick(), beta=pick(), out=pick()),
        lambda: fp6llm.gemm(X, weight, algo=pick(), out=pick()),
        lambda: fp6llm.gemm_grouped(pick(), [weight], pick()),
        lambda: fp6llm.quantize(pick(), codes=pick(), scales=pick(), handle=pick()),
        lambda: fp6llm.quantize(X, format=pick(), scale=pick(), group_size=pick()),
        lambda: fp6llm.dequantize(pick(), pick(), pick(), pick(), out=pick()),
        lambda: fp6llm.Weight.from_codes(pick(), pick(), pick(), pick()),
        lambda: fp6llm.Weight.from_packed(pick(), pick(), pick(), pick()),
        lambda: fp6llm.Weight.from_blob(pick()),
        lambda: fp6llm.pack_blob(pick(), pick(), pick(), out=pick()),
        lambda: weight.to_codes(codes=pick(), scales=pick(), handle=pick()),
        lambda: fp6llm.algorithms(pick(), pick()),
        lambda: fp6llm.Handle(pick(), pick(), pick()),
        lambda: fp6llm.default_handle().set_workspace(pick()),
    ]
    for turn in range(6000):
        try:
            calls[turn % len(calls)]()
        except (TypeError, ValueError, OverflowError, fp6llm.Fp6llmError):
            pass
        fp6llm.default_handle().set_workspace(None)
    oracle.assert_product(weight.linear(X), X, oracle.dense(q))
