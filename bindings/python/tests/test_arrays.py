"""Arrays of other libraries on the host: DLPack old and new, buffers, other dtypes, memory orders."""

import array
import ctypes

import fp6llm
import ml_dtypes
import numpy
import oracle
import pytest


class Foreign:
    """An array of another library: DLPack is all it has. `calls` counts exports, `freed` what was let go."""

    def __init__(self, values, device=(1, 0)):
        self.values = values
        self.device = device
        self.calls = []

    def __dlpack__(self, **arguments):
        self.calls.append(arguments)
        return self.values.__dlpack__(**arguments)

    def __dlpack_device__(self):
        return self.device


class Unversioned(Foreign):
    """As libraries were before DLPack 1.0: no max_version."""

    def __dlpack__(self, *, stream=None):
        return self.values.__dlpack__()


@pytest.mark.parametrize("kind", [Foreign, Unversioned])
def test_dlpack(kind, weight):
    x = oracle.gaussian((3, 83), 1)
    y = weight.linear(kind(x))
    assert isinstance(y, numpy.ndarray)
    numpy.testing.assert_array_equal(y, weight.linear(x))
    out = numpy.zeros((3, 37), numpy.float32)
    given = kind(out)
    assert weight.linear(kind(x), out=given) is given
    numpy.testing.assert_array_equal(out, y)
    w = kind(oracle.gaussian((4, 8), 2))
    q = fp6llm.quantize(w)
    numpy.testing.assert_array_equal(q.codes, fp6llm.quantize(w.values).codes)
    fortran = kind(numpy.asfortranarray(x))
    numpy.testing.assert_array_equal(fp6llm.gemm(fortran, weight), fp6llm.gemm(fortran.values, weight))


def test_dlpack_read_only(weight):
    x = oracle.gaussian((3, 83), 3)
    x.flags.writeable = False
    numpy.testing.assert_array_equal(weight.linear(Foreign(x)), weight.linear(x))
    out = numpy.zeros((3, 37), numpy.float32)
    out.flags.writeable = False
    with pytest.raises(fp6llm.InvalidValueError, match="out is read-only"):
        weight.linear(x, out=Foreign(out))


def test_dlpack_capsules_are_freed():
    import sys

    x = oracle.gaussian((3, 8), 4)
    before = sys.getrefcount(x)
    weight = fp6llm.Weight.from_float(Foreign(x))
    for _ in range(10):
        weight.linear(Foreign(x))
    assert sys.getrefcount(x) == before


def test_dlpack_devices_and_types(weight):
    x = numpy.ones((1, 83), numpy.float32)
    numpy.testing.assert_array_equal(weight.linear(Foreign(x, (3, 0))), weight.linear(x))
    with pytest.raises(TypeError, match="DLPack device type 10"):
        weight.linear(Foreign(x, (10, 0)))
    with pytest.raises(TypeError, match="64 bits"):
        weight.linear(Foreign(x.astype(numpy.float64)))
    with pytest.raises(TypeError, match="uint8"):
        weight.linear(Foreign(x.astype(numpy.uint8)))


def test_dlpack_nonsense(weight):
    class Nonsense:
        def __dlpack_device__(self):
            return (1, 0)

        def __dlpack__(self, **arguments):
            make = ctypes.pythonapi.PyCapsule_New
            make.restype = ctypes.py_object
            make.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
            return make(64, b"something", None)

    with pytest.raises(TypeError, match="something"):
        weight.linear(Nonsense())


def test_buffers(weight):
    x = oracle.gaussian(83, 5)
    for given in (array.array("f", x.tolist()), memoryview(x)):
        numpy.testing.assert_array_equal(weight.linear(given), weight.linear(x))
    q = weight.to_codes()
    same = fp6llm.Weight.from_codes(q.codes.tobytes(), q.scales, q.shape, q.config).to_codes()
    numpy.testing.assert_array_equal(same.codes, q.codes)


def test_bfloat16_is_the_same_bits(weight):
    x = oracle.gaussian((2, 83), 6).astype(ml_dtypes.bfloat16)
    y = weight.linear(x, dtype="bfloat16")
    assert y.dtype == ml_dtypes.bfloat16
    numpy.testing.assert_array_equal(y, weight.linear(x.astype(numpy.float32)).astype(ml_dtypes.bfloat16))


def test_e8m0_scales_by_name():
    q = fp6llm.quantize(oracle.gaussian((4, 64), 7), scale="mx")
    named = q.scales.view(ml_dtypes.float8_e8m0fnu)
    numpy.testing.assert_array_equal(fp6llm.dequantize(q.codes, named, q.shape, q.config), q.dequantize())


def test_subclasses_and_zero_strides(weight):
    x = numpy.ma.masked_array(numpy.ones((2, 83), numpy.float32))
    assert weight.linear(x).shape == (2, 37)
    one = numpy.broadcast_to(numpy.ones(83, numpy.float32), (3, 83))
    with pytest.raises(fp6llm.InvalidValueError, match="ldx = 0"):
        weight.linear(one)
    numpy.testing.assert_array_equal(weight.linear(one[:1]), weight.linear(numpy.ones((1, 83), numpy.float32)))
