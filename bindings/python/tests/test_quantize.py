"""quantize() and dequantize() against ml_dtypes' FP6 and NumPy."""

import pickle

import fp6llm
import numpy
import oracle
import pytest


@pytest.mark.parametrize("dtype", oracle.FLOATS)
@pytest.mark.parametrize("format_name", ["e3m2", "e2m3", "e2m1"])
def test_row_scales(format_name, dtype):
    w = oracle.gaussian((19, 45), 2).astype(dtype)
    w[3] = 0
    q = fp6llm.quantize(w, format=format_name)
    w32 = w.astype(numpy.float32)
    scales = oracle.amax_scales(w32, format_name, 45)
    assert q.shape == (19, 45) and q.config.format.name.lower().endswith(format_name)
    assert q.scales.dtype == numpy.float32
    numpy.testing.assert_array_equal(q.scales, scales[:, 0])
    codes = oracle.encode(w32 / scales, format_name)
    numpy.testing.assert_array_equal(q.codes, oracle.pack(codes, oracle.BITS[format_name]))


@pytest.mark.parametrize("format_name", ["e3m2", "e2m3"])
def test_group_scales(format_name):
    w = oracle.gaussian((7, 100), 3)
    q = fp6llm.quantize(w, format=format_name, scale="group", group_size=32)
    scales = oracle.amax_scales(w, format_name, 32)
    numpy.testing.assert_array_equal(q.scales, scales)
    codes = oracle.encode(w / oracle.spread(scales, 100, 32), format_name)
    numpy.testing.assert_array_equal(q.codes, oracle.pack(codes, 6))


@pytest.mark.parametrize("format_name", ["e3m2", "e2m3", "e2m1"])
def test_mx_scales(format_name):
    w = oracle.gaussian((7, 70), 4)
    q = fp6llm.quantize(w, format=format_name, scale="mx")
    assert q.scales.dtype == numpy.uint8
    numpy.testing.assert_array_equal(q.scales, oracle.mx_scales(w, format_name))
    scaled = w / oracle.spread(numpy.exp2(q.scales.astype(numpy.float32) - 127), 70, 32)
    # The floor rule clips, and ml_dtypes leaves what the format does with larger values to its user.
    largest = oracle.LARGEST[format_name]
    codes = oracle.encode(numpy.clip(scaled, -largest, largest), format_name)
    numpy.testing.assert_array_equal(q.codes, oracle.pack(codes, oracle.BITS[format_name]))


def test_half_scales():
    w = oracle.gaussian((7, 64), 5)
    q = fp6llm.quantize(w, scale_type="float16")
    assert q.scales.dtype == numpy.float16
    numpy.testing.assert_array_equal(q.scales, oracle.amax_scales(w, "e3m2", 64)[:, 0].astype(numpy.float16))


@pytest.mark.parametrize("format_name", list(oracle.BITS))
@pytest.mark.parametrize("dtype", oracle.FLOATS)
def test_dequantize(format_name, dtype):
    q = fp6llm.quantize(oracle.gaussian((9, 50), 6), format=format_name, scale="group", group_size=16)
    found = fp6llm.dequantize(q, dtype=dtype)
    assert found.dtype == dtype and found.shape == (9, 50)
    # value * scale is exact in float64; NumPy rounds it once, as the library must.
    numpy.testing.assert_array_equal(found, oracle.dense(q).astype(dtype))
    numpy.testing.assert_array_equal(q.dequantize(dtype), found)
    again = fp6llm.dequantize(q.codes, q.scales, q.shape, q.config, dtype=dtype)
    numpy.testing.assert_array_equal(again, found)


def test_auto_takes_the_lesser_error():
    gaussian = oracle.gaussian((64, 128), 7)
    outliers = gaussian.copy()
    outliers[:, 5] *= 20
    for w, best in ((gaussian, "e2m3"), (outliers, "e3m2")):
        error = {f: ((oracle.dense(fp6llm.quantize(w, format=f)) - w) ** 2).mean() for f in ("e3m2", "e2m3")}
        assert min(error, key=error.get) == best
        q = fp6llm.quantize(w, format="auto")
        assert q.config.format.name == f"R_6F_{best.upper()}" and q.stats is None
        assert fp6llm.Weight.from_float(w, format="auto").format == q.config.format


def test_stats():
    w = oracle.gaussian((11, 64), 8)
    q = fp6llm.quantize(w, stats=True)
    error = w.astype(numpy.float64) - oracle.dense(q)
    assert q.stats.mse == pytest.approx((error**2).mean(), rel=1e-4)
    assert q.stats.signal == pytest.approx((w.astype(numpy.float64) ** 2).mean(), rel=1e-6)
    assert q.stats.max_abs_error == pytest.approx(numpy.abs(error).max(), rel=1e-5)
    assert q.stats.snr_db == pytest.approx(10 * numpy.log10(q.stats.signal / q.stats.mse))
    assert (q.stats.saturated, q.stats.non_finite) == (0, 0)
    exact = numpy.full((2, 8), 28, numpy.float32)
    assert fp6llm.quantize(exact, stats=True).stats.snr_db == numpy.inf


def test_non_finite():
    w = numpy.ones((2, 8), numpy.float32)
    w[1, 3] = numpy.nan
    codes = numpy.full((2, 6), 77, numpy.uint8)
    with pytest.raises(fp6llm.InvalidValueError, match=r"(?i)nan|finite"):
        fp6llm.quantize(w, codes=codes)
    assert (codes == 77).all()
    w[0, 0] = numpy.inf
    q = fp6llm.quantize(w, non_finite="saturate", stats=True)
    assert (q.stats.non_finite, q.stats.saturated) == (2, 1)
    numpy.testing.assert_array_equal(q.dequantize(), numpy.ones((2, 8)))


def test_given_outputs_and_strided_input():
    whole = oracle.gaussian((20, 64), 9)
    w = whole[::2, 8:40]
    codes, scales = numpy.zeros((10, 24), numpy.uint8), numpy.zeros(10, numpy.float32)
    q = fp6llm.quantize(w, codes=codes, scales=scales)
    assert q.codes is codes and q.scales is scales
    plain = fp6llm.quantize(numpy.ascontiguousarray(w))
    numpy.testing.assert_array_equal(codes, plain.codes)
    numpy.testing.assert_array_equal(scales, plain.scales)
    out = numpy.full((10, 40), 5, numpy.float32)
    assert fp6llm.dequantize(q, out=out[:, 4:36]).base is out
    numpy.testing.assert_array_equal(out[:, 4:36], plain.dequantize())
    assert (out[:, :4] == 5).all() and (out[:, 36:] == 5).all()


def test_blocks_of_rows_into_one_output():
    w = oracle.gaussian((10, 40), 10)
    whole = fp6llm.quantize(w)
    codes, scales = numpy.empty_like(whole.codes), numpy.empty_like(whole.scales)
    for rows in (slice(0, 4), slice(4, 10)):
        fp6llm.quantize(w[rows], codes=codes[rows], scales=scales[rows])
    numpy.testing.assert_array_equal(codes, whole.codes)
    numpy.testing.assert_array_equal(scales, whole.scales)


def test_empty():
    for shape in ((0, 5), (5, 0), (0, 0)):
        w = numpy.empty(shape, numpy.float32)
        q = fp6llm.quantize(w, format="auto", scale="mx", stats=True)
        assert q.codes.size == 0 and q.config.format != fp6llm.DataType.R_6F_AUTO
        assert q.dequantize().shape == shape


def test_config():
    config = fp6llm.QuantConfig("E2M3", scale="GROUP", group_size=64, rounding="away")
    assert config == fp6llm.QuantConfig(
        fp6llm.DataType.R_6F_E2M3, fp6llm.ScaleMode.GROUP, 64, rounding=fp6llm.Rounding.AWAY
    )
    assert (config.bits, config.code_shape(3, 5), config.scale_shape(3, 65)) == (6, (3, 4), (3, 2))
    assert config.sizes(3, 65) == (3 * 49, 3 * 2 * 4)
    assert pickle.loads(pickle.dumps(config)) == config
    assert fp6llm.QuantConfig("e2m3", "group", numpy.int64(64), rounding="away") == config
    assert hash(config) == hash(pickle.loads(pickle.dumps(config)))
    int8 = fp6llm.ComputeType.COMPUTE_32F_FAST_8I
    for hint in ("fast_8i", "FAST_8I", int8):
        hinted = fp6llm.QuantConfig("e2m3", "group", 64, rounding="away", compute_hint=hint)
        assert hinted.compute_hint is int8 and hinted != config and "FAST_8I" in repr(hinted)
        assert pickle.loads(pickle.dumps(hinted)) == hinted
    assert config.compute_hint is None
    w = oracle.gaussian((3, 65), 11)
    by_name = fp6llm.quantize(w, format="e2m3", scale="group", group_size=64, rounding="away")
    numpy.testing.assert_array_equal(fp6llm.quantize(w, config).codes, by_name.codes)
    changed = fp6llm.quantize(w, config, format="e3m2").config
    assert (changed.format, changed.group_size) == (fp6llm.DataType.R_6F_E3M2, 64)
    hinted = fp6llm.quantize(w, config, compute_hint="fast_8i")
    numpy.testing.assert_array_equal(hinted.codes, by_name.codes)
    numpy.testing.assert_array_equal(hinted.scales, by_name.scales)


def test_rounding_away_differs_at_ties_only():
    # With a scale of 1 (28 is E3M2's largest value): 2.25 lies between 2 and 2.5, 2.75 between 2.5 and 3.
    w = numpy.array([[28, 2.25, 2.75, 2.3]], numpy.float32)
    even = fp6llm.quantize(w).dequantize()
    away = fp6llm.quantize(w, rounding="away").dequantize()
    numpy.testing.assert_array_equal(even, [[28, 2, 3, 2.5]])
    numpy.testing.assert_array_equal(away, [[28, 2.5, 3, 2.5]])
