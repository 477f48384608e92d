"""Handle: settings, lifetimes, threads, and that the GIL is free while the library works."""

import gc
import os
import subprocess
import sys
import threading

import fp6llm
import numpy
import oracle
import pytest
from fp6llm import _capi


def test_settings():
    with fp6llm.Handle("cpu", threads=3) as handle:
        assert (handle.backend, handle.device, handle.threads) == (fp6llm.Backend.CPU, (1, 0), 3)
        handle.threads = 1
        assert handle.threads == 1
        assert handle.stream is None
        assert repr(handle) == "<fp6llm.Handle cpu>"
    assert repr(handle) == "<fp6llm.Handle closed>"


def test_results_do_not_depend_on_threads(weight):
    x = oracle.gaussian((50, 83), 1)
    with fp6llm.Handle("cpu", threads=1) as one, fp6llm.Handle(fp6llm.Backend.CPU, threads=4) as four:
        numpy.testing.assert_array_equal(weight.linear(x, handle=one), weight.linear(x, handle=four))


def test_workspace(handle, weight):
    x = oracle.gaussian((50, 83), 2)
    expected = weight.linear(x)
    lent = fp6llm._arrays.new_aligned_host(1 << 22, 64)
    handle.set_workspace(lent)
    numpy.testing.assert_array_equal(weight.linear(x, handle=handle), expected)
    handle.set_workspace(lent[:64])
    with pytest.raises(fp6llm.InvalidValueError, match="workspace"):
        weight.linear(x, handle=handle)
    handle.set_workspace(None)
    numpy.testing.assert_array_equal(weight.linear(x, handle=handle), expected)
    with pytest.raises(fp6llm.InvalidValueError):
        handle.set_workspace(lent[1:])
    with pytest.raises(TypeError):
        handle.set_workspace(numpy.ones(64, numpy.float32))


def test_close_twice_and_use_after_close(weight):
    handle = fp6llm.Handle("cpu")
    handle.close()
    handle.close()
    x = numpy.ones((1, 83), numpy.float32)
    for use in (
        lambda: handle.__enter__(),
        lambda: handle.threads,
        lambda: setattr(handle, "threads", 1),
        lambda: setattr(handle, "stream", 0),
        lambda: handle.set_workspace(None),
        lambda: weight.linear(x, handle=handle),
        lambda: fp6llm.gemm(x, weight, handle=handle),
        lambda: fp6llm.algorithms(weight, 1, handle=handle),
        lambda: weight.to_codes(handle=handle),
        lambda: weight.to_blob(handle=handle),
        lambda: fp6llm.quantize(x, handle=handle),
        lambda: fp6llm.quantize(x).dequantize(handle=handle),
        lambda: fp6llm.Weight.from_float(x, handle=handle),
        lambda: fp6llm.Weight.from_blob(weight.to_blob(), handle=handle),
    ):
        with pytest.raises(fp6llm.NotInitializedError, match="the handle is closed"):
            use()


def test_a_default_handle_per_thread():
    mine = fp6llm.default_handle()
    assert fp6llm.default_handle() is mine
    others = []
    thread = threading.Thread(target=lambda: others.append(fp6llm.default_handle()))
    thread.start()
    thread.join()
    assert others[0] is not mine
    mine.close()
    assert not fp6llm.default_handle().closed


def test_a_handle_shared_by_threads(handle):
    weight = fp6llm.Weight.from_float(oracle.gaussian((64, 64), 3), handle=handle)
    xs = [oracle.gaussian((4, 64), 10 + i) for i in range(4)]
    expected = [weight.linear(x) for x in xs]
    wrong = []

    def work(i):
        for _ in range(50):
            if (weight.linear(xs[i]) != expected[i]).any():
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# The library's parallel-for becomes libc's pthread_barrier_wait, which knows nothing of Python: a thread
# stands in a call until another one stands at the barrier too. Were the GIL held, nobody else could come.
MEETING = r"""
import ctypes, sys, threading
import numpy, fp6llm
from fp6llm import _capi

libc = ctypes.CDLL(None)
barrier = ctypes.create_string_buffer(64)
libc.pthread_barrier_init(barrier, None, 2)
wait = ctypes.cast(libc.pthread_barrier_wait, ctypes.c_void_p).value
w = numpy.ones((1024, 1024), numpy.float32)
x = numpy.ones((64, 1024), numpy.float32)
weight = fp6llm.Weight.from_float(w)
codes = fp6llm.quantize(w)

def standing():
    handle = fp6llm.Handle("cpu", threads=2)
    _capi.fp6llmSetParallelFor(handle._owned.pointer, wait, ctypes.addressof(barrier))
    return handle

calls = {
    "linear": lambda h: weight.linear(x, handle=h),
    "gemm": lambda h: fp6llm.gemm(x, weight, handle=h),
    "quantize": lambda h: fp6llm.quantize(w, handle=h),
    "dequantize": lambda h: codes.dequantize(handle=h),
    "from_float": lambda h: fp6llm.Weight.from_float(w, handle=h),
    "from_codes": lambda h: fp6llm.Weight.from_codes(codes, handle=h),
}

def run(call, handle):
    try:
        calls[call](handle)
    except fp6llm.ExecutionFailedError:
        sys.stdout.write(f"met in {call}\n")  # the barrier ran none of the work
"""


def meeting(rest):
    """Runs the program; a deadlock is a time-out."""
    done = subprocess.run(
        [sys.executable, "-c", MEETING + rest], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


def test_the_gil_is_free_during_calls():
    lines = meeting(
        "for call in calls:\n"
        "    thread = threading.Thread(target=run, args=(call, standing()))\n"
        "    thread.start()\n"
        "    libc.pthread_barrier_wait(barrier)\n"
        "    thread.join()\n"
    )
    assert lines == [f"met in {c}" for c in
                     ("linear", "gemm", "quantize", "dequantize", "from_float", "from_codes")]  # fmt: skip


def test_two_threads_are_in_the_library_at_once():
    lines = meeting(
        "threads = [threading.Thread(target=run, args=('linear', standing())) for _ in range(2)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
    )
    assert lines == ["met in linear"] * 2


def test_closing_what_another_thread_uses():
    lines = meeting(
        "for call in ('linear', 'gemm'):\n"
        "    handle = standing()\n"
        "    weight = fp6llm.Weight.from_float(w)\n"
        "    thread = threading.Thread(target=run, args=(call, handle))\n"
        "    thread.start()\n"
        "    while not handle._lock.locked():\n"
        "        pass\n"
        "    handle.close()\n"
        "    weight.close()\n"
        "    assert handle.closed and weight.closed\n"
        "    libc.pthread_barrier_wait(barrier)\n"
        "    thread.join()\n"
    )
    assert lines == ["met in linear", "met in gemm"]


@pytest.mark.parametrize(
    "program",
    [
        "",
        "del h, v",
        "del w",
        "h.close()",
        "w.close(); h.close(); w.close(); h.close()",
        "import builtins; builtins.kept = (h, w, v)",
        "cycle = [h, w, v]; cycle.append(cycle); del h, w, v",
        "import threading; threading.Thread(target=lambda: v.linear(x)).start()",
        "import sys; sys.modules['kept'] = w; del sys.modules['fp6llm']",
        "import atexit; atexit.register(lambda: print(v.linear(x).shape, end=''))",
        "fp6llm.set_logger(lambda level, message: None)",
        "raise SystemExit(0)",
    ],
)
def test_interpreter_exit(program):
    code = (
        "import numpy, fp6llm\n"
        "h = fp6llm.Handle('cpu')\n"
        "x = numpy.ones((1, 64), numpy.float32)\n"
        "w = fp6llm.Weight.from_float(x, handle=h)\n"
        "v = fp6llm.Weight.from_blob(w.to_blob())\n"
        "v.linear(x)\n" + program
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_leaks():
    """Handles and weights that are dropped are freed: C's own count of what it was asked to free."""
    freed = []
    free = _capi._native.fp6llmWeightDestroy
    weight = fp6llm.Weight.from_float(numpy.ones((4, 8), numpy.float32))
    weight._owned._free = lambda pointer: freed.append(free(pointer))
    del weight
    gc.collect()
    assert freed == [None]


def test_a_view_frees_before_its_blob():
    order = []

    class Blob(numpy.ndarray):
        def __del__(self):
            if self.base is not None and getattr(self, "watched", False):
                order.append("blob")

    made = fp6llm.Weight.from_float(numpy.ones((4, 8), numpy.float32)).to_blob().view(Blob)
    made.watched = True
    view = fp6llm.Weight.from_blob(made)
    free = view._owned._free
    view._owned._free = lambda pointer: (order.append("weight"), free(pointer))
    del made
    gc.collect()
    assert order == []
    view.close()
    gc.collect()
    assert order == ["weight", "blob"]


def test_fork(weight):
    x = numpy.ones((2, 83), numpy.float32)
    expected = weight.linear(x)
    child = os.fork()
    if child == 0:
        os._exit(0 if (weight.linear(x) == expected).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_logger():
    messages = []
    fp6llm.set_logger(lambda level, message: messages.append((level, message)))
    try:
        with pytest.raises(fp6llm.InvalidValueError):
            fp6llm.QuantConfig(group_size=7, scale="group").sizes(1, 1)
    finally:
        fp6llm.set_logger(None)
    assert any(level == fp6llm.LogLevel.ERROR and "groupSize" in text for level, text in messages)
    with pytest.raises(TypeError):
        fp6llm.set_logger("no")


def test_cuda_is_refused_with_a_reason():
    if any(device.backend == fp6llm.Backend.CUDA for device in fp6llm.devices()):
        pytest.skip("there is a CUDA device")
    with pytest.raises(fp6llm.NotSupportedError, match=r"(?i)cuda|driver"):
        fp6llm.Handle("cuda")
    assert fp6llm.Handle("auto").backend == fp6llm.Backend.CPU
