"""Whether the port from cuBLAS says what it is and computes what it should.

port_test.py diff      the lines that its README shows are the difference of its two files
port_test.py PROGRAM   the program prints, to fp16's precision, what reference.py computes of fp16 numbers"""

import difflib
import re
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import reference

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "cublas-port"


def check_diff():
    before, after = ((FOLDER / name).read_text().splitlines() for name in ("cublas.cpp", "fp6llm.cpp"))
    actual = "\n".join(list(difflib.unified_diff(before, after, n=1, lineterm=""))[2:])
    shown = re.search(r"^```diff\n(.*?)^```$", (FOLDER / "README.md").read_text(), re.MULTILINE | re.DOTALL)[1]
    if shown.strip() != actual:
        sys.exit(f"README.md shows another difference than:\n{actual}")


def to_fp16(value):
    return Fraction(struct.unpack("<e", struct.pack("<e", float(value)))[0])


def check_program(program):
    products = [abs(value) for value in reference.products(*reference.problem(to_fp16))]
    expected = [products[0], sum(products) / len(products)]
    printed = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout
    print(printed, end="")
    actual = [abs(Fraction(number)) for number in re.findall(r"-?\d+\.\d{4}", printed)]
    # Each element is rounded to fp16 once, and what is printed to four digits; sums in fp32 err far less.
    for what, is_, should in zip(("y[0]", "mean |y|"), actual, expected, strict=True):
        if abs(is_ - should) > should / 2**11 + Fraction(1, 10000):
            sys.exit(f"|{what}| is {float(is_)}, should be {float(should)}")


if __name__ == "__main__":
    check_diff() if sys.argv[1] == "diff" else check_program(sys.argv[1])
