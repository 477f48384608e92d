"""The line that every quickstart prints, computed without the library: from the definition in examples/README.md and
the number format's in fp6llm.h, in exact arithmetic but for the two roundings to fp32 that the library promises."""

import bisect
import struct
from fractions import Fraction

OUTPUTS, INPUTS, TOKENS = 96, 160, 5


def numbers(state=2463534242):
    """The generator's values, each exact in fp32."""
    while True:
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        yield Fraction(state >> 8, 1 << 23) - 1


def to_fp32(value):
    """The fp32 nearest to a fraction. Double precision holds more than twice fp32's digits, so that rounding a quotient
    of two fp32 values twice rounds as rounding it once."""
    return Fraction(struct.unpack("<f", struct.pack("<f", float(value)))[0])


def e3m2_magnitudes():
    """Values of the codes 0..31: exponent of 3 bits with bias 3, mantissa of 2 bits, no infinity, no NaN."""
    for exponent in range(8):
        for mantissa in range(4):
            leading = 4 if exponent else 0  # exponent 0: subnormal
            yield Fraction(leading + mantissa, 4) * Fraction(2) ** (max(exponent, 1) - 3)


MAGNITUDES = list(e3m2_magnitudes())
MIDPOINTS = [(low + high) / 2 for low, high in zip(MAGNITUDES, MAGNITUDES[1:])]


def encode(value):
    """The code nearest to a value; of two equally near ones, the even one."""
    magnitude = abs(value)
    code = bisect.bisect_left(MIDPOINTS, magnitude)
    if code < len(MIDPOINTS) and magnitude == MIDPOINTS[code]:
        code += code & 1
    return code | (32 if value < 0 else 0)


def decode(code):
    return -MAGNITUDES[code & 31] if code & 32 else MAGNITUDES[code]


def quantize(weight):
    """Codes and scale of each row."""
    codes, scales = [], []
    for row in weight:
        scale = to_fp32(max(map(abs, row)) / MAGNITUDES[-1])
        codes.append([encode(to_fp32(value / scale)) for value in row])
        scales.append(scale)
    return codes, scales


def plain_bytes(codes, scales):
    """Rows of 6-bit codes as a bit stream, least significant bit first; then the scales as fp32."""
    plain = b""
    for row in codes:
        stream = sum(code << 6 * column for column, code in enumerate(row))
        plain += stream.to_bytes(len(row) * 6 // 8, "little")
    return plain + b"".join(struct.pack("<f", float(scale)) for scale in scales)


def fnv1a(data):
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def problem(rounded):
    """Codes and scales of W, and X, each number rounded by `rounded`."""
    source = numbers()
    weight = [[rounded(next(source)) for _ in range(INPUTS)] for _ in range(OUTPUTS)]
    tokens = [[rounded(next(source)) for _ in range(INPUTS)] for _ in range(TOKENS)]
    return *quantize(weight), tokens


def products(codes, scales, tokens):
    """Y = X W^T, exactly, row by row."""
    rows = [[decode(code) for code in row] for row in codes]
    return [scale * sum(a * b for a, b in zip(row, token)) for token in tokens for row, scale in zip(rows, scales)]


def line():
    codes, scales, tokens = problem(to_fp32)
    y = products(codes, scales, tokens)
    mean = sum(map(abs, y)) / len(y)
    for value in (y[0], mean):  # sums in fp32 differ by some 1e-7, which must not show
        digits = value * 10000
        assert abs(digits - round(digits)) < Fraction(49, 100), "a printed number is too near to a tie"
    checksum = fnv1a(plain_bytes(codes, scales))
    return f"checksum {checksum:08x}, y[0] = {float(y[0]):.4f}, mean |y| = {float(mean):.4f}"


if __name__ == "__main__":
    print(line())
