"""A linear layer y = x W^T + residual in two ways: fp32 by NumPy, and 6-bit floats by libfp6llm.

What a model needs of a layer is to call it and to know its bytes; libfp6llm's part is Fp6 below.
"""

from __future__ import annotations

from typing import Any, Protocol

import fp6llm
import numpy as np


class Linear(Protocol):
    """x [tokens, IC] to [tokens, OC], fp32."""

    #: How many weights, and the bytes they take.
    weights: int
    nbytes: int

    def __call__(self, x: np.ndarray, residual: np.ndarray | None = None) -> np.ndarray:
        """x W^T, plus `residual` [tokens, OC]."""


class Dense:
    """The matrix as it is; NumPy hands the multiplication to its BLAS."""

    def __init__(self, matrix: np.ndarray) -> None:
        self._transposed = matrix.T
        self.weights = matrix.size
        self.nbytes = matrix.nbytes

    def __call__(self, x: np.ndarray, residual: np.ndarray | None = None) -> np.ndarray:
        y = x @ self._transposed
        return y if residual is None else np.add(y, residual, out=y)


class Fp6:
    """The matrix quantized and prepacked: what a user of the library writes."""

    def __init__(self, matrix: np.ndarray, handle: fp6llm.Handle, **options: Any) -> None:
        self.weight = fp6llm.Weight.from_float(matrix, handle=handle, **options)
        self.weights = matrix.size
        self.nbytes = self.weight.nbytes

    def __call__(self, x: np.ndarray, residual: np.ndarray | None = None) -> np.ndarray:
        return self.weight.linear(x, residual=residual)
