"""Quantizes a weight to 6 bits, makes a weight object of it, and multiplies: Y = X W^T.

    python3 -m pip install CHECKOUT && python3 quickstart.py

examples/README.md defines the problem; every language prints the same line."""

import fp6llm
import numpy as np

OUTPUTS, INPUTS, TOKENS = 96, 160, 5


def numbers(count, state=2463534242):
    """Uniform in [-1, 1), the same on every machine: xorshift32."""
    for _ in range(count):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        yield (state >> 8) / 8388608 - 1


def fnv1a(data):
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


values = np.fromiter(numbers((OUTPUTS + TOKENS) * INPUTS), np.float32).reshape(-1, INPUTS)
w, x = values[:OUTPUTS], values[OUTPUTS:]

# Plain codes and scales: what is stored. E3M2, one fp32 scale per row.
quantized = fp6llm.quantize(w)

# Prepacked for this processor: what multiplies. Weight.from_float() does both at once.
# NumPy's arrays are multiplied on the CPU, tensors on a GPU there.
with quantized.to_weight() as weight:
    y = weight.linear(x)

checksum = fnv1a(quantized.codes.tobytes() + quantized.scales.tobytes())
print(f"checksum {checksum:08x}, y[0] = {y[0, 0]:.4f}, mean |y| = {np.abs(y).mean(dtype=np.float64):.4f}")
