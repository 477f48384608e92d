"""Fixtures of all tests. FP6LLM_TEST_NEEDS_GPU=1, _TORCH=1, _QUARK=1 turn skips into failures."""

import os

import fp6llm
import oracle
import pytest


def unavailable(what, variable):
    """Skips, or fails where the variable says that it must be there."""
    if os.environ.get(variable) == "1":
        pytest.fail(f"{variable}=1, but {what}", pytrace=False)
    pytest.skip(what)


@pytest.fixture
def handle():
    """A CPU handle of its own."""
    with fp6llm.Handle("cpu") as made:
        yield made


@pytest.fixture
def w():
    """A weight whose shape fits no tile: [37, 83]."""
    return oracle.gaussian((37, 83), seed=1)


@pytest.fixture
def weight(w):
    """`w` in E3M2 with row scales."""
    return fp6llm.Weight.from_float(w)
