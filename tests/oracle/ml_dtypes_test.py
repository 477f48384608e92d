"""Codes and scales against ml_dtypes, an implementation of the OCP MX formats that is not ours,
and, for the formats and the rounding that it lacks, a search over the values of the definition.

usage: ml_dtypes_test.py QUANTIZE_TOOL
"""

import os
import subprocess
import sys
import tempfile
import unittest

try:
    import ml_dtypes
    import numpy as np
except ImportError as error:
    print(f"{error}; pip install -r tests/oracle/requirements.txt")
    sys.exit(1 if os.environ.get("CI") else 77)

TOOL = sys.argv.pop(1)
# Every format by its fields: type number of fp6llm.h, exponent bits, mantissa bits, bias.
FIELDS = {
    "E3M2": (32, 3, 2, 3),
    "E2M3": (31, 2, 3, 1),
    "E2M2": (0x1001, 2, 2, 1),
    "E3M1": (0x1002, 3, 1, 3),
    "E2M1": (33, 2, 1, 1),
}
# Those that ml_dtypes has.
FORMATS = {
    "E3M2": ml_dtypes.float6_e3m2fn,
    "E2M3": ml_dtypes.float6_e2m3fn,
    "E2M1": ml_dtypes.float4_e2m1fn,
}
NEAREST_EVEN, NEAREST_AWAY = 0, 1
TYPES = {"f32": (0, np.float32), "f16": (2, np.float16), "bf16": (14, ml_dtypes.bfloat16)}
ROW, GROUP, MX = 0, 1, 2
F32, F16, E8M0 = 0, 2, 30


def run_tool(*arguments):
    subprocess.run([TOOL, *map(str, arguments)], check=True)


def encode(folder, source, format_name, values, rounding):
    """Codes of an array that lies in the file `source`, by all encoders of the library."""
    type_number = next(n for n, t in TYPES.values() if values.dtype == t)
    codes = os.path.join(folder, "codes")
    run_tool("encode", FIELDS[format_name][0], type_number, rounding, source, codes)
    return np.fromfile(codes, np.uint8)


def magnitudes(format_name):
    """The non-negative values in the order of their codes, from the definition of the fields."""
    _, exponent_bits, mantissa_bits, bias = FIELDS[format_name]
    codes = np.arange(2 ** (exponent_bits + mantissa_bits))
    exponent, mantissa = codes >> mantissa_bits, codes & (2**mantissa_bits - 1)
    fraction = mantissa / 2.0**mantissa_bits + (exponent > 0)
    return np.ldexp(fraction, np.maximum(exponent, 1) - bias)


def nearest(format_name, values, rounding):
    """Codes of fp32 values by a search among the midpoints, in fp64; NaN to +max."""
    table = magnitudes(format_name)
    midpoints = (table[:-1] + table[1:]) / 2
    size = np.abs(np.where(np.isnan(values), np.float32(np.inf), values)).astype(np.float64)
    codes = np.searchsorted(midpoints, size, side="left")  # of a tie the lower code
    tie = np.append(midpoints, np.nan)[codes] == size
    codes += tie & ((rounding == NEAREST_AWAY) | (codes % 2 == 1))
    negative = np.signbit(values) & ~np.isnan(values)
    return (codes + negative * table.size).astype(np.uint8)


def ml_encode(format_name, values):
    """Codes of fp32 values by ml_dtypes; NaN, which the formats lack, to +max as CUDA does."""
    finite = np.where(np.isnan(values), np.float32(0), values)
    codes = finite.astype(FORMATS[format_name]).view(np.uint8)
    return np.where(np.isnan(values), np.uint8(magnitudes(format_name).size - 1), codes)


def ml_decode(format_name, codes):
    return codes.view(FORMATS[format_name]).astype(np.float32)


def unpack(packed, bits, cols):
    """Plain codes [rows, bytes] -> [rows, cols]: an LSB-first bit stream."""
    stream = np.unpackbits(packed, axis=1, bitorder="little")[:, : cols * bits]
    fields = stream.reshape(packed.shape[0], cols, bits)
    return (fields << np.arange(bits, dtype=np.uint8)).sum(axis=2, dtype=np.uint8)


def boundaries(format_name):
    """All values, midpoints and quarter points with their neighbours, and fp32's own edges."""
    values = magnitudes(format_name).astype(np.float32)
    steps = np.diff(values, append=values[-1] * 2)
    points = np.concatenate([values + steps * np.float32(f) for f in (0, 0.25, 0.5, 0.75)])
    near = [points]
    below = above = points
    for _ in range(3):
        below, above = np.nextafter(below, np.float32(0)), np.nextafter(above, np.float32(np.inf))
        near += [below, above]
    edges = np.array([0, 1e-45, 1e-40, 1.1754944e-38, 3.4028235e38, np.inf, np.nan], np.float32)
    near = np.concatenate(near + [edges]).astype(np.float32)
    return np.concatenate([near, -near])


def split(values, group):
    """Rows cut into groups, the last one filled up with zeros: [rows, groups, group]."""
    rows, cols = values.shape
    padded = np.pad(values, ((0, 0), (0, -cols % group)))
    return padded.reshape(rows, -1, group)


def mx_exponents(format_name, amax, rule):
    """The three scale rules from their definitions; amax is fp32."""
    mantissa_bits = FIELDS[format_name][2]
    largest = magnitudes(format_name)[-1]
    emax = np.floor(np.log2(largest))
    safe = np.where(amax == 0, 1.0, amax.astype(np.float64))
    floor_log2 = np.frexp(safe)[1] - 1.0
    if rule == 0:
        exponent = floor_log2 - emax
    elif rule == 1:  # AMD Quark: integer addition carries into the exponent field
        raised = amax.view(np.uint32) + np.uint32(1 << (22 - mantissa_bits))
        exponent = (raised >> 23).astype(np.float64) - 127 - emax
    else:
        exponent = floor_log2 - emax
        exponent += safe > largest * np.exp2(exponent)
    exponent = np.where(amax == 0, -127, exponent)
    return np.clip(exponent, -127, 127)


class Encode(unittest.TestCase):
    def check(self, values):
        as_float = values.astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "in")
            values.tofile(source)
            for name in FIELDS:
                for rounding in (NEAREST_EVEN, NEAREST_AWAY):
                    got = encode(folder, source, name, values, rounding)
                    self.equal(name, rounding, values, got, nearest(name, as_float, rounding))
                    if name in FORMATS and rounding == NEAREST_EVEN:
                        self.equal(name, rounding, values, got, ml_encode(name, as_float))

    def equal(self, name, rounding, values, got, expected):
        wrong = np.flatnonzero(got != expected)
        self.assertEqual(
            (got.size, wrong.size), (values.size, 0),
            f"{name}, rounding {rounding}: {wrong.size} differ, e.g. {values[wrong[:5]]}",
        )  # fmt: skip

    def test_values_by_definition_are_those_of_ml_dtypes(self):
        for name in FORMATS:
            codes = np.arange(magnitudes(name).size, dtype=np.uint8)
            np.testing.assert_array_equal(magnitudes(name), ml_decode(name, codes))

    def test_every_half(self):
        self.check(np.arange(65536, dtype=np.uint16).view(np.float16))

    def test_every_bfloat16(self):
        self.check(np.arange(65536, dtype=np.uint16).view(ml_dtypes.bfloat16))

    def test_ten_million_floats(self):
        random = np.random.default_rng(1)
        any_bits = random.integers(0, 2**32, 5_000_000, dtype=np.uint32).view(np.float32)
        in_range = random.uniform(-32, 32, 2_500_000).astype(np.float32)
        small = random.uniform(-1, 1, 2_500_000).astype(np.float32)
        self.check(np.concatenate([any_bits, in_range, small]))

    def test_every_boundary(self):
        self.check(np.concatenate([boundaries(name) for name in FIELDS]))

    def test_ties_away_differ_on_32_halfs(self):
        halfs = np.arange(65536, dtype=np.uint16).view(np.float16)
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "in")
            halfs.tofile(source)
            even, away = (encode(folder, source, "E3M2", halfs, r) for r in range(2))
        table = magnitudes("E3M2")
        ties = ((table[:-1] + table[1:]) / 2)[::2]  # above even codes
        differing = halfs[even != away].astype(np.float64)
        self.assertEqual(differing.size, 32)
        np.testing.assert_array_equal(np.sort(differing), np.sort(np.append(ties, -ties)))


class Matrix(unittest.TestCase):
    ROWS, COLS = 37, 197

    def quantize(self, format_name, values, mode, group, scale_type, rule=0, rounding=0):
        number, exponent_bits, mantissa_bits, _ = FIELDS[format_name]
        type_number = next(n for n, t in TYPES.values() if values.dtype == t)
        rows, cols = values.shape
        with tempfile.TemporaryDirectory() as folder:
            source, *outputs = (os.path.join(folder, n) for n in ("in", "codes", "scales", "out"))
            values.tofile(source)
            run_tool("matrix", number, type_number, mode, group, scale_type, rule, rounding, rows,
                     cols, source, *outputs)  # fmt: skip
            packed = np.fromfile(outputs[0], np.uint8).reshape(rows, -1)
            dtype = {F32: np.float32, F16: np.float16, E8M0: np.uint8}[scale_type]
            scales = np.fromfile(outputs[1], dtype).reshape(rows, -1)
            decoded = np.fromfile(outputs[2], np.float32).reshape(rows, cols)
        return unpack(packed, 1 + exponent_bits + mantissa_bits, cols), scales, decoded

    def check(self, format_name, values, codes, scales, decoded, group, rounding=0):
        """Codes and the way back, given fp32 scales [rows, groups]."""
        spread = np.repeat(scales, group, axis=1)[:, : values.shape[1]]
        quotients = values.astype(np.float32) / spread
        np.testing.assert_array_equal(codes, nearest(format_name, quotients, rounding))
        if format_name in FORMATS and rounding == NEAREST_EVEN:
            np.testing.assert_array_equal(codes, ml_encode(format_name, quotients))
        positive = magnitudes(format_name).astype(np.float32)
        with np.errstate(over="ignore"):  # weights at fp32's end may round up to infinity
            expected = np.append(positive, -positive)[codes] * spread
        np.testing.assert_array_equal(decoded, expected)

    def matrices(self):
        random = np.random.default_rng(2)
        values = random.normal(0, 0.02, (self.ROWS, self.COLS)).astype(np.float32)
        values *= np.exp2(random.integers(-6, 6, (self.ROWS, 1))).astype(np.float32)
        values[3] = 0
        values[5, 64:128] = 0
        values[7, 40] = 3.0
        for _, dtype in TYPES.values():
            yield values.astype(dtype)

    def test_row_and_group_scales(self):
        for name in FIELDS:
            largest = magnitudes(name)[-1].astype(np.float32)
            for values in self.matrices():
                for mode, group in ((ROW, self.COLS), (GROUP, 24), (GROUP, 64)):
                    amax = np.abs(split(values.astype(np.float32), group)).max(axis=2)
                    wanted = np.where(amax == 0, np.float32(1), amax / largest)
                    for scale_type, scale_dtype in ((F32, np.float32), (F16, np.float16)):
                        rounding = int(scale_type == F16)  # both, in as many runs
                        codes, scales, decoded = self.quantize(
                            name, values, mode, group * (mode == GROUP), scale_type, 0, rounding
                        )
                        np.testing.assert_array_equal(scales, wanted.astype(scale_dtype))
                        floats = scales.astype(np.float32)
                        self.check(name, values, codes, floats, decoded, group, rounding)

    def test_mx_scales(self):
        for name in FIELDS:
            for values in self.matrices():
                amax = np.abs(split(values.astype(np.float32), 32)).max(axis=2)
                for rule in range(3):
                    codes, scales, decoded = self.quantize(name, values, MX, 32, E8M0, rule)
                    exponents = mx_exponents(name, amax, rule)
                    np.testing.assert_array_equal(scales, exponents + 127)
                    as_float = scales.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
                    np.testing.assert_array_equal(as_float, np.exp2(exponents).astype(np.float32))
                    self.check(name, values, codes, as_float, decoded, 32)

    def test_mx_scales_of_every_exponent(self):
        """One group per power of two that amax can have; ml_dtypes decodes the scales."""
        amax = np.ldexp(np.float32(1.9), np.arange(-149, 128)).astype(np.float32)
        values = np.zeros((amax.size, 32), np.float32)
        values[:, 9] = amax
        for name in FIELDS:
            for rule in range(3):
                codes, scales, decoded = self.quantize(name, values, MX, 32, E8M0, rule)
                np.testing.assert_array_equal(
                    scales, mx_exponents(name, amax[:, None], rule) + 127
                )
                as_float = scales.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
                self.check(name, values, codes, as_float, decoded, 32)

    def test_every_e8m0(self):
        stored = np.arange(256, dtype=np.uint8)
        with tempfile.TemporaryDirectory() as folder:
            source, *outputs = (os.path.join(folder, n) for n in ("in", "floats", "back"))
            stored.tofile(source)
            run_tool("e8m0", source, *outputs)
            floats = np.fromfile(outputs[0], np.float32)
            back = np.fromfile(outputs[1], np.uint8)
        by_ml_dtypes = stored.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
        np.testing.assert_array_equal(floats, by_ml_dtypes)  # NaN equals NaN here
        np.testing.assert_array_equal(back, stored)


if __name__ == "__main__":
    unittest.main()
