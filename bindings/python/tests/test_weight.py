"""Weight: how it is made, exported, mapped, shared and freed."""

import copy
import os
import pickle
import subprocess
import sys

import fp6llm
import numpy
import oracle
import pytest

CONFIGS = [
    {"format": "e3m2"},
    {"format": "e2m3", "scale": "group", "group_size": 32},
    {"format": "e3m2", "scale": "mx"},
    {"format": "e2m2", "scale_type": "float16"},
    {"format": "e3m1", "scale": "mx"},
    {"format": "e2m1"},
]


@pytest.mark.parametrize("options", CONFIGS)
def test_codes_come_back(options):
    w = oracle.gaussian((37, 83), 20)
    q = fp6llm.quantize(w, **options)
    for weight in (
        fp6llm.Weight.from_float(w, **options),
        fp6llm.Weight.from_codes(q),
        fp6llm.Weight.from_codes(q.codes, q.scales, (37, 83), q.config),
        fp6llm.Weight.from_codes(q.codes.ravel(), q.scales.ravel(), (37, 83), **options),
        fp6llm.Weight.from_codes(bytearray(q.codes), q.scales, (37, 83), **options),
        q.to_weight(),
    ):
        back = weight.to_codes()
        numpy.testing.assert_array_equal(back.codes, q.codes)
        numpy.testing.assert_array_equal(back.scales, q.scales)
        assert back.scales.dtype == q.scales.dtype
        assert (back.shape, back.config.format, back.config.scale) == (q.shape, q.config.format, q.config.scale)
        assert (weight.shape, weight.rows, weight.cols) == ((37, 83), 37, 83)
        assert weight.device == (fp6llm.Backend.CPU, 0)
        assert weight.nbytes >= q.codes.nbytes * 0.9 and weight.layout.startswith("cpu-")
    codes, scales = numpy.zeros_like(q.codes), numpy.zeros_like(q.scales)
    assert weight.to_codes(codes=codes, scales=scales).codes is codes
    numpy.testing.assert_array_equal(codes, q.codes)


HINTED = [
    {"format": "e3m2"},
    {"format": "e2m3"},
    {"format": "e2m3", "scale": "group", "group_size": 32},
    {"format": "e2m2", "scale": "mx"},
    {"format": "e2m1", "scale_type": "float16"},
]
# The largest error of each compute type: rms, relative to the output's.
ERRORS = {"32f": 1e-6, "fast_16f": 1e-3, "fast_16bf": 4e-3, "fast_16i": 5e-5, "fast_8i": 1e-2}


def check_hint(options, isa):
    """Whatever the hint, the codes are the same and every compute type multiplies right."""
    w, x = oracle.gaussian((37, 192), 26), oracle.gaussian((5, 192), 27)
    plain = fp6llm.Weight.from_float(w, **options)
    codes = plain.to_codes()
    expected = x.astype(numpy.float64) @ oracle.dense(codes).T
    int8 = fp6llm.ComputeType.COMPUTE_32F_FAST_8I
    for hint in fp6llm.ComputeType:
        hinted = fp6llm.Weight.from_float(w, **options, compute_hint=hint)
        back = hinted.to_codes()
        numpy.testing.assert_array_equal(back.codes, codes.codes)
        numpy.testing.assert_array_equal(back.scales, codes.scales)
        # The memory is laid out in the same way, however the weight was made, and a weight tells it.
        other = isa == "avx2" and hint == int8 and options["format"] != "e3m2"
        of_codes = fp6llm.quantize(w, **options, compute_hint=hint).to_weight()
        view = fp6llm.Weight.from_blob(hinted.to_blob())
        of_view = fp6llm.Weight.from_blob(view.to_blob())
        for weight in (hinted, back.to_weight(), of_codes, view, of_view):
            assert (weight.layout != plain.layout) == other
            assert weight.config.compute_hint == (hint if other else None)
            assert weight.to_codes().config == weight.config
            for compute, most in ERRORS.items():
                error = weight.linear(x, compute=compute) - expected
                assert numpy.sqrt(numpy.mean(error**2) / numpy.mean(expected**2)) <= most, (hint, compute)


@pytest.mark.parametrize("options", HINTED)
def test_compute_hint(options):
    check_hint(options, fp6llm.devices("cpu")[0].isa)


def test_compute_hint_on_avx2():
    """The instruction set that it matters on, which a process chooses once."""
    program = (
        "import fp6llm, test_weight\n"
        "isa = fp6llm.devices('cpu')[0].isa\n"
        "print(isa)\n"
        "for options in test_weight.HINTED: test_weight.check_hint(options, isa)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=os.path.dirname(__file__), capture_output=True, text=True,
        check=False, env={**os.environ, "FP6LLM_CPU_ISA": "avx2"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    if run.stdout.strip() != "avx2":
        pytest.skip("the processor has no AVX2")


@pytest.mark.parametrize("layout", ["tc_fpx", "split_4_2"])
@pytest.mark.parametrize("format_name", ["e3m2", "e2m3"])
def test_packed_layouts(layout, format_name):
    q = fp6llm.quantize(oracle.gaussian((64, 128), 21), format=format_name, scale_type="float16")
    packed, scales = q.to_weight().to_packed(layout)
    numpy.testing.assert_array_equal(scales, q.scales)
    back = fp6llm.Weight.from_packed(layout, packed, scales, q.shape, q.config).to_codes()
    numpy.testing.assert_array_equal(back.codes, q.codes)
    hinted = fp6llm.Weight.from_packed(layout, packed, scales, q.shape, q.config, compute_hint="fast_8i")
    of_codes = fp6llm.Weight.from_codes(q.codes, q.scales, q.shape, q.config, compute_hint="fast_8i")
    assert (hinted.config, hinted.layout) == (of_codes.config, of_codes.layout)
    numpy.testing.assert_array_equal(hinted.to_packed(layout)[0], packed)


def test_split_4_2_planes():
    """ZeroQuant(4+2): the first 4 bits of all codes, then the last 2 (docs/layouts.md)."""
    q = fp6llm.quantize(oracle.gaussian((4, 64), 22))
    codes = oracle.unpack(q.codes, 64, 6)
    packed, _ = q.to_weight().to_packed("split_4_2")
    assert packed.size == 4 * 64 * 6 // 8
    first = numpy.sort(numpy.concatenate([packed[: 4 * 32] & 15, packed[: 4 * 32] >> 4]))
    numpy.testing.assert_array_equal(first, numpy.sort((codes >> 2).ravel()))


def test_layouts_refuse_what_they_cannot_hold():
    q = fp6llm.quantize(oracle.gaussian((10, 64), 23))
    with pytest.raises(fp6llm.NotSupportedError, match="64"):
        q.to_weight().to_packed("tc_fpx")
    with pytest.raises(fp6llm.NotSupportedError, match="64"):
        fp6llm.Weight.from_packed("tc_fpx", q.codes, q.scales, q.shape, q.config)


def test_blob(weight):
    x = oracle.gaussian((3, 83), 24)
    blob = weight.to_blob()
    assert blob.dtype == numpy.uint8 and blob.ctypes.data % 64 == 0
    view = fp6llm.Weight.from_blob(blob)
    assert view.info.isView and not weight.info.isView
    before = weight.linear(x)
    del blob
    numpy.testing.assert_array_equal(view.linear(x), before)
    numpy.testing.assert_array_equal(fp6llm.pack_blob(weight.to_codes()), weight.to_blob())


def test_blob_in_a_file(weight, tmp_path):
    path = tmp_path / "weight.blob"
    weight.save_blob(path)
    assert os.listdir(tmp_path) == ["weight.blob"]
    loaded = fp6llm.Weight.load_blob(path)
    program = (
        "import sys, numpy, fp6llm\n"
        "w = fp6llm.Weight.load_blob(sys.argv[1])\n"
        "print(w.linear(numpy.ones((1, 83), numpy.float32)).tobytes().hex())\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    ).stdout
    expected = loaded.linear(numpy.ones((1, 83), numpy.float32))
    assert answer.strip() == expected.tobytes().hex()


def test_unsound_blobs_are_refused(weight, tmp_path):
    blob = weight.to_blob()
    for broken in (
        blob[:10],
        blob[: blob.size // 2],
        numpy.zeros_like(blob),
        numpy.empty(0, numpy.uint8),
        blob[1:],
    ):
        with pytest.raises(fp6llm.InvalidValueError):
            fp6llm.Weight.from_blob(broken)
    header = blob.copy()
    for position in range(64):
        flipped = fp6llm._arrays.new_aligned_host(header.size, 64)
        flipped[:] = header
        flipped[position] ^= 0x10
        with pytest.raises(fp6llm.Fp6llmError):
            fp6llm.Weight.from_blob(flipped)
    for content in (b"", b"x", bytes(4096)):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(fp6llm.InvalidValueError):
            fp6llm.Weight.load_blob(tmp_path / "bad")
    with pytest.raises(FileNotFoundError):
        fp6llm.Weight.load_blob(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        weight.save_blob(tmp_path / "none" / "file")


def test_a_failed_save_leaves_nothing(weight, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        weight.save_blob(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


def test_close():
    weight = fp6llm.Weight.from_float(numpy.ones((4, 8), numpy.float32))
    assert "[4, 8] e3m2 row on cpu" in repr(weight)
    with weight as same:
        assert same is weight and not weight.closed
    assert weight.closed and "closed" in repr(weight)
    weight.close()
    for use in (
        lambda: weight.linear(numpy.ones(8, numpy.float32)),
        lambda: fp6llm.gemm(numpy.ones((1, 8), numpy.float32), weight),
        lambda: fp6llm.gemm_grouped(numpy.ones((1, 8), numpy.float32), [weight], numpy.array([0, 1])),
        lambda: fp6llm.algorithms(weight, 1),
        lambda: weight.to_codes(),
        lambda: weight.to_packed("split_4_2"),
        lambda: weight.to_blob(),
        lambda: weight.__enter__(),
    ):
        with pytest.raises(fp6llm.InvalidValueError, match="the weight is closed"):
            use()
    assert weight.shape == (4, 8)


def test_a_weight_outlives_its_handle(w):
    x = oracle.gaussian((2, 83), 25)
    with fp6llm.Handle("cpu") as handle:
        weight = fp6llm.Weight.from_float(w, handle=handle)
        expected = weight.linear(x)
    with pytest.raises(fp6llm.NotInitializedError, match="the handle is closed"):
        weight.linear(x)
    numpy.testing.assert_array_equal(weight.linear(x, handle=fp6llm.default_handle()), expected)
    weight.close()


def test_no_copies():
    weight = fp6llm.Weight.from_float(numpy.ones((4, 8), numpy.float32))
    for copier in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="to_codes"):
            copier(weight)
        with pytest.raises(TypeError, match="Handle"):
            copier(fp6llm.default_handle())
    q = pickle.loads(pickle.dumps(weight.to_codes()))
    numpy.testing.assert_array_equal(q.to_weight().to_codes().codes, q.codes)
    with pytest.raises(TypeError, match="from_float"):
        fp6llm.Weight()


def test_the_float_matrix_is_let_go():
    import gc
    import weakref

    class Matrix(numpy.ndarray):
        pass

    w = numpy.ones((4, 8), numpy.float32).view(Matrix)
    gone = weakref.ref(w)
    weight = fp6llm.Weight.from_float(w)
    del w
    gc.collect()
    assert gone() is None and weight.to_codes().codes.shape == (4, 6)
