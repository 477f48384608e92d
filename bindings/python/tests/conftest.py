"""Fixtures of all tests. FP6LLM_TEST_NEEDS_GPU=1, _TORCH=1, _QUARK=1 turn skips into failures."""

import os

import fp6llm
import models
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


@pytest.fixture
def model(tmp_path):
    """A model in two files, with the files that come along."""
    tensors = models.tiny_llama()
    names = list(tensors)
    shards = [{name: tensors[name] for name in part} for part in (names[:9], names[9:])]
    folder = models.write_shards(tmp_path / "model", shards, models.CONFIG)
    (folder / "tokenizer.json").write_text('{"a": 1}')
    (folder / "tokenizer.model").write_bytes(b"\0\1")
    (folder / "LICENSE").write_text("as is")
    (folder / "pytorch_model.bin").write_bytes(b"other weights")
    (folder / "sub").mkdir()
    return folder, tensors
