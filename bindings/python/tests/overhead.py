"""What a call costs beside the C call that it makes: overhead.py [--calls N]

One token through a small weight with one thread, so that the C call is short. Each figure is the smallest of
many rounds, in which the contenders take turns; the C call is the same through the low level's fastest door.
The time of an empty Python function is subtracted.
"""

import argparse
import sys
import threading
import time

import fp6llm
import numpy
from fp6llm import _capi


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=50, help="calls per round")
    parser.add_argument("--rounds", type=int, default=1000)
    arguments = parser.parse_args()
    rows = cols = 32
    handle = fp6llm.Handle("cpu", threads=1)
    w = numpy.ones((rows, cols), numpy.float32)
    explicit = fp6llm.Weight.from_float(w, handle=handle)
    weight = fp6llm.Weight.from_float(w)
    x, y = numpy.ones((1, cols), numpy.float32), numpy.empty((1, rows), numpy.float32)
    bias = numpy.zeros(rows, numpy.float32)
    call = _capi._native.fp6llmLinear
    raw = (
        handle._owned.pointer,
        1,
        x.ctypes.data,
        0,
        cols,
        explicit._owned.pointer,
        None,
        y.ctypes.data,
        0,
        rows,
    )
    fp6llm.default_handle().threads = 1
    contenders = {
        "nothing": lambda: None,
        "fp6llmLinear, low level": lambda: call(*raw),
        "weight.linear(x)": lambda: weight.linear(x),
        "weight.linear(x, out=y)": lambda: weight.linear(x, out=y),
        "weight.linear(x, out=y), a handle of its own": lambda: explicit.linear(x, out=y),
        "weight.linear(x, bias=b, activation=...)": lambda: weight.linear(x, bias=bias, activation="relu"),
        "gemm(x, weight)": lambda: fp6llm.gemm(x, weight),
        "numpy: x @ w": lambda: x @ w,
    }
    try:
        import torch
        from fp6llm.torch import Linear as TorchLinear

        layer = TorchLinear.from_float(torch.nn.Linear(cols, rows, bias=False))
        plain = torch.nn.Linear(cols, rows, bias=False)
        tensor = torch.ones(1, cols)
        contenders["fp6llm.torch.Linear"] = lambda: layer(tensor)
        contenders["torch.nn.Linear"] = lambda: plain(tensor)
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
    except ImportError:
        pass
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(arguments.rounds):
        for name, contender in contenders.items():
            start = time.perf_counter_ns()
            for _ in range(arguments.calls):
                contender()
            best[name] = min(best[name], (time.perf_counter_ns() - start) / arguments.calls)
    nothing = best.pop("nothing")
    c_call = best["fp6llmLinear, low level"] - nothing
    print(f"{'':50} {'ns':>7} {'over C':>7}")
    for name, took in best.items():
        print(f"{name:50} {took - nothing:7.0f} {took - nothing - c_call:7.0f}")
    print(f"2 threads with a handle each do {scaling():.2f} x what 1 does, by weight.linear() of 8 tokens")
    return 0


def scaling():
    """How often two Python threads call the library in the time in which one calls it once; one CPU thread
    each. The best of several rounds."""
    weight = fp6llm.Weight.from_float(numpy.ones((2048, 2048), numpy.float32))
    x = numpy.ones((8, 2048), numpy.float32)
    calls = 30

    def work(ready, go):
        fp6llm.default_handle().threads = 1
        weight.linear(x)
        ready.wait()
        go.wait()
        for _ in range(calls):
            weight.linear(x)

    def took(count):
        ready, go = threading.Barrier(count + 1), threading.Barrier(count + 1)
        threads = [threading.Thread(target=work, args=(ready, go)) for _ in range(count)]
        for thread in threads:
            thread.start()
        ready.wait()
        go.wait()
        start = time.perf_counter()
        for thread in threads:
            thread.join()
        return time.perf_counter() - start

    rounds = [(took(1), took(2)) for _ in range(8)]
    return 2 * min(one for one, _ in rounds) / min(two for _, two in rounds)


if __name__ == "__main__":
    sys.exit(main())
