"""What the tests expect, by NumPy and ml_dtypes alone: formats, the plain codes, scales, products."""

import ml_dtypes
import numpy

BITS = {"e3m2": 6, "e2m3": 6, "e2m2": 5, "e3m1": 5, "e2m1": 4}
LARGEST = {"e3m2": 28.0, "e2m3": 7.5, "e2m2": 7.0, "e3m1": 24.0, "e2m1": 6.0}
# Of the largest power of two in the format, as OCP MX 1.0 section 6.3 counts.
LARGEST_EXPONENT = {"e3m2": 4, "e2m3": 2, "e2m1": 2}
DTYPES = {
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
}
FLOATS = (numpy.float32, numpy.float16, ml_dtypes.bfloat16)


def values(format_name):
    """The value of every code, by the definition of ExMy: sign, exponent with bias, mantissa."""
    exponent_bits, mantissa_bits = int(format_name[1]), int(format_name[3])
    bias = 2 ** (exponent_bits - 1) - 1
    found = []
    for code in range(2 ** BITS[format_name]):
        mantissa = code % 2**mantissa_bits
        exponent = code >> mantissa_bits & (2**exponent_bits - 1)
        sign = -1.0 if code >> (exponent_bits + mantissa_bits) else 1.0
        if exponent == 0:
            found.append(sign * mantissa * 2.0 ** (1 - bias - mantissa_bits))
        else:
            found.append(sign * (1 + mantissa / 2**mantissa_bits) * 2.0 ** (exponent - bias))
    return numpy.array(found, numpy.float64)


def encode(scaled, format_name):
    """Codes of scaled weights, rounded to nearest even by ml_dtypes."""
    return scaled.astype(DTYPES[format_name]).view(numpy.uint8)


def pack(codes, bits):
    """Codes [rows, cols] as plain rows: an LSB-first bit stream, padded to a byte."""
    spread = numpy.unpackbits(codes[:, :, None], axis=2, bitorder="little")[:, :, :bits]
    return numpy.packbits(spread.reshape(codes.shape[0], -1), axis=1, bitorder="little")


def unpack(plain, cols, bits):
    """The inverse of pack()."""
    stream = numpy.unpackbits(plain, axis=1, bitorder="little")[:, : cols * bits]
    return numpy.packbits(stream.reshape(plain.shape[0], cols, bits), axis=2, bitorder="little").reshape(
        plain.shape[0], cols
    )


def amax_scales(w, format_name, group):
    """fp32 scales of groups of columns: amax / largest value, 1 where amax is 0."""
    groups = -(-w.shape[1] // group)
    padded = numpy.zeros((w.shape[0], groups * group), numpy.float32)
    padded[:, : w.shape[1]] = w
    amax = numpy.abs(padded.reshape(w.shape[0], groups, group)).max(axis=2)
    scales = (amax / numpy.float32(LARGEST[format_name])).astype(numpy.float32)
    scales[amax == 0] = 1
    return scales


def mx_scales(w, format_name):
    """E8M0 bytes by the rule of OCP MX 1.0: floor(log2 amax) - the format's largest exponent."""
    groups = -(-w.shape[1] // 32)
    padded = numpy.zeros((w.shape[0], groups * 32), numpy.float32)
    padded[:, : w.shape[1]] = w
    amax = numpy.abs(padded.reshape(w.shape[0], groups, 32)).max(axis=2)
    _, exponent = numpy.frexp(amax)
    return (exponent - 1 - LARGEST_EXPONENT[format_name] + 127).astype(numpy.uint8)


def spread(scales, cols, group):
    """One scale per column from one per group."""
    return numpy.repeat(scales, group, axis=1)[:, :cols]


def dense(quantized):
    """The float64 matrix that a fp6llm.Quantized stands for, by this module's own reading."""
    rows, cols = quantized.shape
    name = quantized.config.format.name[5:].lower()
    codes = unpack(numpy.asarray(quantized.codes).reshape(rows, -1), cols, BITS[name])
    scales = numpy.asarray(quantized.scales).reshape(rows, -1)
    if quantized.config.scale.name == "MX":
        scales, group = numpy.exp2(scales.astype(numpy.float64) - 127), 32
    else:
        group = quantized.config.group_size or max(cols, 1)
    return values(name)[codes] * spread(scales.astype(numpy.float64), cols, group)


def gaussian(shape, seed, dtype=numpy.float32):
    """Normal numbers, the same for a seed on every machine."""
    return numpy.random.default_rng(seed).standard_normal(shape).astype(dtype)


def assert_product(found, x, w, expected=None, extra=0.0):
    """`found` is x @ w.T within what fp32 sums of exact products and the output's type may err."""
    x64, w64 = numpy.asarray(x, numpy.float64), numpy.asarray(w, numpy.float64)
    expected = x64 @ w64.T if expected is None else expected
    magnitudes = numpy.abs(x64) @ numpy.abs(w64).T
    fraction = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}[str(found.dtype)]
    bound = w64.shape[1] * 2.0**-23 * magnitudes + fraction * numpy.abs(expected) + 1e-6 + extra
    numpy.testing.assert_array_less(numpy.abs(numpy.asarray(found, numpy.float64) - expected), bound)
