"""Reading and writing single .safetensors files, against the package safetensors and files made to be wrong."""

import json
import resource
import tracemalloc

import ml_dtypes
import models
import numpy
import oracle
import pytest
from fp6llm.safetensors import CheckpointError, SafetensorsFile, SafetensorsWriter, save

reference = pytest.importorskip("safetensors")
reference_numpy = pytest.importorskip("safetensors.numpy")


def arrays():
    random = numpy.random.default_rng(5)
    return {
        "u8": random.integers(0, 255, (3, 5), numpy.uint8),
        "f16": oracle.gaussian((4, 3), 1, numpy.float16),
        "f32": oracle.gaussian((2, 2, 2), 2),
        "bf16": oracle.gaussian((5,), 3, ml_dtypes.bfloat16),
        "scalar": numpy.array(7, numpy.int64),
        "empty": numpy.zeros((0, 9), numpy.float32),
        "flags": numpy.array([True, False, True]),
    }


def test_the_package_reads_what_is_written(tmp_path):
    expected = arrays()
    path = tmp_path / "a.safetensors"
    assert save(path, expected) == {}
    # NumPy has no bfloat16 of its own: the bytes are compared.
    found = reference.deserialize(path.read_bytes())
    assert {name for name, _ in found} == set(expected)
    for name, entry in found:
        array = expected[name]
        assert entry["dtype"] == models.NAMES[array.dtype.name] and entry["shape"] == list(array.shape)
        assert bytes(entry["data"]) == array.tobytes()
    with reference.safe_open(path, framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}
        numpy.testing.assert_array_equal(file.get_tensor("f32"), expected["f32"])


def test_reads_what_the_package_writes(tmp_path):
    expected = {name: array for name, array in arrays().items() if name != "bf16"}
    path = tmp_path / "a.safetensors"
    reference_numpy.save_file(expected, path, metadata={"k": "v"})
    with SafetensorsFile(path) as file:
        assert file.metadata == {"k": "v"} and set(file.tensors) == set(expected)
        for name, array in expected.items():
            found = file.read(name)
            assert found.dtype == array.dtype and found.shape == array.shape
            numpy.testing.assert_array_equal(found, array)
        numpy.testing.assert_array_equal(file.read_rows("f16", 1, 3), expected["f16"][1:3])
        assert b"".join(bytes(chunk) for chunk in file.chunks("f32", 5)) == expected["f32"].tobytes()
        with pytest.raises(CheckpointError, match="'none': is not in the file"):
            file.read("none")


def test_data_is_aligned_to_its_elements(tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, {"a": numpy.ones(3, numpy.uint8), "b": numpy.ones(3), "c": numpy.ones(1, numpy.float16)})
    with SafetensorsFile(path) as file:
        assert [info.offset % size for info, size in zip(file.tensors.values(), (8, 2, 1), strict=True)] == [
            0,
            0,
            0,
        ]


def test_pieces_in_any_order(tmp_path):
    path = tmp_path / "a.safetensors"
    with SafetensorsWriter(path, [("x", "F32", (4,)), ("y", "U8", (2,))]) as writer:
        writer.write("y", b"\x01\x02")
        writer.write("x", numpy.array([3, 4], numpy.float32), 8)
        writer.write("x", numpy.array([1, 2], numpy.float32), 0)
        writer.write("x", numpy.array([3, 4], numpy.float32))
        assert not path.exists()
    found = reference_numpy.load_file(path)
    numpy.testing.assert_array_equal(found["x"], [1, 2, 3, 4])
    numpy.testing.assert_array_equal(found["y"], [1, 2])


def test_an_unfinished_file_has_no_name(tmp_path):
    path = tmp_path / "a.safetensors"
    with (
        pytest.raises(ValueError, match="'x' has 4 bytes; 0 were written"),
        SafetensorsWriter(path, [("x", "F32", (1,))]),
    ):
        pass
    with pytest.raises(KeyboardInterrupt), SafetensorsWriter(path, [("x", "F32", (1,))]):
        raise KeyboardInterrupt
    with (
        pytest.raises(ValueError, match="5 were written"),
        SafetensorsWriter(path, [("x", "F32", (1,))]) as writer,
    ):
        writer.write("x", b"12345")
    assert list(tmp_path.iterdir()) == []


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


DATA = bytes(8)
DEEP = 100_000
HOSTILE = {
    "nothing": (b"", "too few"),
    "half a length": (b"\1\0\0", "too few"),
    "length of 2^63": ((1 << 63).to_bytes(8, "little") + b"{}", "over the limit"),
    "length of 2^64-1": (b"\xff" * 8 + b"{}", "over the limit"),
    "length past the end": ((1000).to_bytes(8, "little") + b"{}", "of which the file has 2"),
    "not JSON": (models.with_header("{nonsense"), "not valid JSON"),
    "not UTF-8": (models.with_header(b'{"\xff": 1}'), "not valid JSON"),
    "an array": (models.with_header("[]"), "not a JSON object"),
    "deep JSON": (models.with_header('{"x":' + "[" * DEEP + "]" * DEEP + "}"), "nested too deeply"),
    "deep objects": (models.with_header('{"x":' * DEEP + "1" + "}" * DEEP), "nested too deeply"),
    "a number of 100,000 digits": (models.with_header('{"x": ' + "9" * 100_000 + "}"), "not valid JSON"),
    "same key twice": (
        models.with_header('{"x": %s, "x": %s}' % ((json.dumps(entry()),) * 2), DATA),
        "'x' appears twice",
    ),
    "same field twice": (
        models.with_header(
            '{"x": {"dtype": "F32", "dtype": "U8", "shape": [2], "data_offsets": [0, 8]}}', DATA
        ),
        "'dtype' appears twice",
    ),
    "metadata of numbers": (models.with_header('{"__metadata__": {"a": 1}}'), "not an object of strings"),
    "metadata no object": (models.with_header('{"__metadata__": []}'), "not an object of strings"),
    "entry no object": (models.with_header('{"x": 1}'), "'x': its entry is not"),
    "entry with more": (models.with_header(json.dumps({"x": {**entry(), "y": 1}}), DATA), "its entry is not"),
    "lone surrogate": (models.with_header('{"\\ud800": ' + json.dumps(entry()) + "}", DATA), "not Unicode"),
    "gap": (models.with_header(json.dumps({"x": entry("U8", (4,), (4, 8))}), DATA), "leaves a gap"),
    "overlap": (
        models.with_header(json.dumps({"x": entry("U8", (8,)), "y": entry("U8", (4,), (4, 8))}), DATA),
        "'y': at byte 4 of the data overlaps",
    ),
    "trailing bytes": (models.with_header(json.dumps({"x": entry()}), DATA + b"!"), "1 bytes follow"),
    "truncated": (models.with_header(json.dumps({"x": entry()}), DATA[:7]), "truncated"),
    "past the end": (
        models.with_header(json.dumps({"x": entry("U8", (1 << 50,), (0, 1 << 50))}), DATA),
        "'x': ends at byte",
    ),
}
for text, wrong in {
    "dtype F31": entry("F31"), "dtype in small letters": entry("f32"), "dtype no string": entry(3),
    "dtype an object": entry({}),
}.items():  # fmt: skip
    HOSTILE[text] = (models.with_header(json.dumps({"x": wrong}), DATA), "'x': unknown dtype")
for text, shape in {
    "negative size": [-2], "size true": [True], "size 2.0": [2.0], "size text": ["2"], "17 sizes": [1] * 17,
    "size 2^64": [1 << 64], "shape no list": "22",
}.items():  # fmt: skip
    wrong = {"dtype": "F32", "shape": shape, "data_offsets": [0, 8]}
    HOSTILE[text] = (models.with_header(json.dumps({"x": wrong}), DATA), "'x': shape")
for text, offsets in {
    "negative offset": [-8, 0],
    "one offset": [8],
    "offset 1.0": [0, 8.0],
    "no list": 8,
}.items():
    wrong = {"dtype": "F32", "shape": [2], "data_offsets": offsets}
    HOSTILE[text] = (models.with_header(json.dumps({"x": wrong}), DATA), "'x': data_offsets")
for text, shape, offsets in (
    ("backwards", (2,), (8, 0)), ("too short", (2,), (0, 4)), ("2^186 elements", (1 << 62,) * 3, (0, 8)),
):  # fmt: skip
    HOSTILE[text] = (
        models.with_header(json.dumps({"x": entry("F32", shape, offsets)}), DATA),
        "bytes, data_offsets span",
    )
HOSTILE["half a byte"] = (
    models.with_header(json.dumps({"x": entry("F4", (3,), (0, 1))}), DATA),
    "no whole number",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path, name):
    data, reason = HOSTILE[name]
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=reason) as failure:
        SafetensorsFile(path)
    assert failure.value.path == str(path) and str(path) in str(failure.value)
    assert len(str(failure.value)) < 600


def test_a_huge_length_takes_no_memory(tmp_path):
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write((30 << 30).to_bytes(8, "little"))
        file.truncate(40 << 30)  # sparse
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="over the limit"):
        SafetensorsFile(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        SafetensorsFile(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="directory"):
        SafetensorsFile(tmp_path)


def test_a_file_that_shrinks(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(models.safetensors_bytes({"x": numpy.zeros(100, numpy.float32)}))
    with SafetensorsFile(path) as file:
        with path.open("r+b") as shorter:
            shorter.truncate(200)
        with pytest.raises(CheckpointError, match="'x': the file became shorter"):
            file.read("x")


def test_files_are_closed_after_failures(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(models.with_header("{}", b"1"))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for _ in range(min(limit, 2000)):
        with pytest.raises(CheckpointError):
            SafetensorsFile(path)


def test_damaged_files_give_errors_or_tensors(tmp_path):
    path = tmp_path / "x.safetensors"
    whole = models.safetensors_bytes({"a": oracle.gaussian((4, 6), 1), "b": numpy.ones((3, 2), numpy.uint8)})
    refused = 0
    for data in models.damaged(whole, seed=11, count=400):
        path.write_bytes(data)
        try:
            with SafetensorsFile(path) as file:
                for name in file.tensors:
                    file.read(name)
        except CheckpointError:
            refused += 1
        # What the reference refuses is refused.
        try:
            reference.deserialize(data)
            readable = True
        except reference.SafetensorError:
            readable = False
        if not readable:
            with pytest.raises(CheckpointError), SafetensorsFile(path) as file:
                for name in file.tensors:
                    file.read(name)
    assert 200 < refused < 400
