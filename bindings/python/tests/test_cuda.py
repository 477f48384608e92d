"""Device memory through the CUDA array interface and DLPack, on the GPU or the emulated one."""

import conftest
import cuda_arrays
import fp6llm
import ml_dtypes
import numpy
import oracle
import pytest
from cuda_arrays import CudaArray, DLPackArray

CUDA = (fp6llm.Backend.CUDA, 0)


@pytest.fixture(autouse=True)
def needs_a_device():
    if not fp6llm.devices("cuda"):
        conftest.unavailable("there is no CUDA device", "FP6LLM_TEST_NEEDS_GPU")


@pytest.fixture
def w():
    return oracle.gaussian((24, 96), 1)


@pytest.mark.parametrize("kind", [CudaArray, DLPackArray])
@pytest.mark.parametrize("dtype", [numpy.float32, numpy.float16])
def test_quantize_and_back(kind, dtype, w):
    w = w.astype(dtype)
    on_host = fp6llm.quantize(w, scale="group", group_size=32)
    codes, scales = kind(numpy.zeros((24, 72), numpy.uint8)), kind(numpy.zeros((24, 3), numpy.float32))
    q = fp6llm.quantize(kind(w), scale="group", group_size=32, codes=codes, scales=scales)
    assert q.codes is codes
    numpy.testing.assert_array_equal(codes.get(), on_host.codes)
    numpy.testing.assert_array_equal(scales.get(), on_host.scales)
    out = kind(numpy.zeros((24, 96), numpy.float32))
    assert q.dequantize(out=out) is out
    numpy.testing.assert_array_equal(out.get(), oracle.dense(on_host).astype(numpy.float32))


@pytest.mark.parametrize("kind", [CudaArray, DLPackArray])
@pytest.mark.parametrize("tokens", [1, 9])
def test_linear(kind, tokens, w):
    weight = fp6llm.Weight.from_float(kind(w.astype(numpy.float16)))
    assert weight.device == CUDA and repr(weight).count("cuda:0") == 1
    dense = oracle.dense(fp6llm.quantize(w.astype(numpy.float16)))
    x = oracle.gaussian((tokens, 96), 2).astype(numpy.float16)
    bias = oracle.gaussian(24, 3)
    out = kind(numpy.zeros((tokens, 24), numpy.float16))
    assert weight.linear(kind(x), bias=kind(bias), out=out) is out
    expected = x.astype(numpy.float64) @ dense.T + bias
    oracle.assert_product(out.get(), x, dense, expected)


def test_bfloat16_by_dlpack(w):
    weight = fp6llm.Weight.from_float(DLPackArray(w.astype(ml_dtypes.bfloat16)))
    dense = oracle.dense(fp6llm.quantize(w.astype(ml_dtypes.bfloat16)))
    x = oracle.gaussian((3, 96), 4).astype(ml_dtypes.bfloat16)
    y = weight.linear(DLPackArray(x), dtype="float32")
    oracle.assert_product(y.get(), x, dense)


def test_outputs_are_made_beside_the_input(w):
    q = fp6llm.quantize(DLPackArray(w))
    assert isinstance(q.codes, DLPackArray) and isinstance(q.scales, DLPackArray)
    numpy.testing.assert_array_equal(q.codes.get(), fp6llm.quantize(w).codes)
    weight = q.to_weight()
    x = oracle.gaussian((2, 96), 5)
    y = weight.linear(DLPackArray(x))
    assert isinstance(y, DLPackArray)
    oracle.assert_product(y.get(), x, oracle.dense(fp6llm.quantize(w)))
    numpy.testing.assert_array_equal(weight.to_codes().codes.get(), fp6llm.quantize(w).codes)
    view = fp6llm.Weight.from_blob(weight.to_blob())
    numpy.testing.assert_array_equal(view.linear(DLPackArray(x)).get(), y.get())
    # An array that tells no namespace: the output must be given.
    with pytest.raises(TypeError, match="give the output"):
        weight.linear(CudaArray(x))


def test_gemm_and_factors_on_the_device(w):
    weight = fp6llm.Weight.from_float(CudaArray(w))
    dense = oracle.dense(fp6llm.quantize(w))
    x = oracle.gaussian((3, 96), 6)
    start = oracle.gaussian((3, 24), 7)
    expected = 2 * (x.astype(numpy.float64) @ dense.T) - start
    for factors in (
        {"alpha": 2, "beta": -1},
        {
            "alpha": CudaArray(numpy.full(1, 2, numpy.float32)),
            "beta": DLPackArray(numpy.full((), -1, numpy.float32)),
        },
    ):
        out = CudaArray(start)
        fp6llm.gemm(CudaArray(x), weight, out=out, **factors)
        numpy.testing.assert_allclose(out.get(), expected, atol=1e-4)
    factors["beta"] = -1.0
    with pytest.raises(TypeError, match="beta must be one float32 on the device"):
        fp6llm.gemm(CudaArray(x), weight, out=out, **factors)
    # The pointer mode is back to what it was.
    fp6llm.gemm(CudaArray(x), weight, alpha=2, beta=0, out=out)
    numpy.testing.assert_allclose(out.get(), expected + start, atol=1e-4)


def test_host_and_device_do_not_mix(w):
    on_device = fp6llm.Weight.from_float(CudaArray(w))
    on_host = fp6llm.Weight.from_float(w)
    x = oracle.gaussian((2, 96), 8)
    bad = fp6llm.InvalidValueError
    with pytest.raises(bad, match="x is on cpu, the handle works on cuda:0"):
        on_device.linear(x)
    with pytest.raises(bad, match="x is on cuda:0, the handle works on cpu"):
        on_host.linear(CudaArray(x))
    with pytest.raises(bad, match="out is on cpu"):
        on_device.linear(CudaArray(x), out=numpy.zeros((2, 24), numpy.float32))
    with pytest.raises(bad, match="bias is on cpu"):
        on_device.linear(DLPackArray(x), bias=numpy.zeros(24, numpy.float32))
    with fp6llm.Handle("cuda:0") as handle, pytest.raises(bad, match="the weight is on cpu"):
        on_host.linear(x, handle=handle)
    with fp6llm.Handle("cuda") as handle, pytest.raises(bad, match="w is on cpu"):
        fp6llm.quantize(w, handle=handle)
    with pytest.raises(bad, match=r"ordinal|device"):
        fp6llm.Handle("cuda:7")


def test_read_only_and_strides(w):
    weight = fp6llm.Weight.from_float(CudaArray(w))
    x = CudaArray(oracle.gaussian((4, 96), 9))
    out = CudaArray(numpy.zeros((4, 24), numpy.float32))
    out.read_only = True
    with pytest.raises(fp6llm.InvalidValueError, match="out is read-only"):
        weight.linear(x, out=out)
    out.read_only = False
    whole = weight.linear(x, out=out).get()
    x.shape, x.strides = (2, 96), (2 * 96 * 4, 4)
    half = CudaArray(numpy.zeros((2, 24), numpy.float32))
    weight.linear(x, out=half)
    numpy.testing.assert_allclose(half.get(), whole[::2], rtol=1e-5, atol=1e-5)
    x.strides = (96 * 4, 3)
    with pytest.raises(fp6llm.InvalidValueError, match="not multiples"):
        weight.linear(x, out=half)


def test_malformed_interfaces(w):
    weight = fp6llm.Weight.from_float(CudaArray(w))
    good = CudaArray(oracle.gaussian((4, 96), 10)).__cuda_array_interface__
    for change in (
        {"shape": None}, {"typestr": "<f8"}, {"typestr": ">f4"}, {"typestr": "nonsense"}, {"data": 5},
        {"shape": (-1, 96)}, {"strides": "ab"},
    ):  # fmt: skip

        class Wrong:
            __cuda_array_interface__ = {**good, **change}  # noqa: RUF012

        with pytest.raises((TypeError, fp6llm.InvalidValueError)):
            weight.linear(Wrong())


def test_streams(w):
    stream, other = cuda_arrays.new_stream(), cuda_arrays.new_stream()
    weight = fp6llm.Weight.from_float(CudaArray(w))
    x, out = CudaArray(oracle.gaussian((2, 96), 11)), CudaArray(numpy.zeros((2, 24), numpy.float32))

    def current(handle=None):
        handle = handle or fp6llm.default_handle(CUDA)
        return fp6llm._capi.fp6llmGetStream(handle._owned.pointer) or 0

    weight.linear(x, out=out)
    assert current() == 0
    x.stream = stream
    weight.linear(x, out=out)
    assert current() == stream
    # Two producers: the call runs on the first one's stream, which waits for the other's.
    out.stream = other
    weight.linear(x, out=out)
    assert current() == stream
    with fp6llm.Handle("cuda") as handle:
        handle.stream = other
        weight.linear(x, out=out, handle=handle)
        assert current(handle) == other and handle.stream == other
        packed = DLPackArray(oracle.gaussian((2, 96), 12))
        weight.linear(packed, out=out, handle=handle)
        assert packed.asked_streams == (other,)
    packed = DLPackArray(oracle.gaussian((2, 96), 12))
    out.stream = None
    weight.linear(packed, out=out)
    assert packed.asked_streams == (1,)
    cuda_arrays.check(cuda_arrays.driver().cuCtxSynchronize())


def test_a_thread_without_a_context(w):
    import threading

    weight = fp6llm.Weight.from_float(CudaArray(w))
    x, out = CudaArray(oracle.gaussian((2, 96), 13)), CudaArray(numpy.zeros((2, 24), numpy.float32))
    expected = weight.linear(x, out=out).get()
    x.stream, out.stream = cuda_arrays.new_stream(), cuda_arrays.new_stream()
    errors = []

    def work():
        try:
            weight.linear(x, out=out)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert errors == []
    numpy.testing.assert_array_equal(out.get(), expected)


def test_save_blob_is_for_the_cpu(w, tmp_path):
    weight = fp6llm.Weight.from_float(DLPackArray(w))
    with pytest.raises(fp6llm.InvalidValueError, match="CPU"):
        weight.save_blob(tmp_path / "blob")
