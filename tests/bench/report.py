#!/usr/bin/env python3
"""Makes the tables of docs/benchmark.md from results of fp6llm_bench.

usage: report.py RESULT.json...            prints them
       report.py --update RESULT.json...   puts them between the markers of docs/benchmark.md
"""

import json
import pathlib
import statistics
import sys

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "benchmark.md"
BEGIN, END = "<!-- results: begin -->\n", "<!-- results: end -->\n"


def first(case, kind):
    return next((c for c in case["contenders"] if c["kind"] == kind), None)


def ratio(own, other):
    """Median over the rounds, in which the two took turns, of other / own."""
    return statistics.median(b / a for a, b in zip(own["samples_ms"], other["samples_ms"]))


def gemm_ratios(case, own):
    stream, blas, peak = (first(case, kind) for kind in ("stream", "openblas", "peak"))
    return {
        "of stream": stream and ratio(own, stream) * own["bytes"] / stream["bytes"],
        "x OpenBLAS": blas and ratio(own, blas),
        "of peak": peak and ratio(own, peak) * own["flops"] / peak["flops"],
    }


def table(header, rows):
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def gemm_tables(result):
    for threads in sorted({case["threads"] for case in result["gemm"]}):
        cases = [case for case in result["gemm"] if case["threads"] == threads]
        tokens = sorted({case["tokens"] for case in cases})
        names = {c["name"]: None for case in cases for c in case["contenders"] if c["kind"] == "fp6"}
        shapes = {(case["rows"], case["cols"]) for case in cases}
        rows = []
        for name in names:
            values = {}
            for case in cases:
                for own in case["contenders"]:
                    if own["name"] == name:
                        for key, value in gemm_ratios(case, own).items():
                            if value is not None:
                                values.setdefault((key, case["tokens"]), []).append(value)
            for key in ("of stream", "x OpenBLAS", "of peak"):
                cells = [values.get((key, m)) for m in tokens]
                if any(cells):
                    rows.append([name, key]
                                + [f"{statistics.median(c):.2f}" if c else "" for c in cells])
        yield f"Multiplication, {threads} thread{'s' * (threads > 1)}, median over {len(shapes)} shapes:"
        yield ""
        yield from table(["contender", "ratio"] + [f"M={m}" for m in tokens], rows)


def quantize_table(result):
    rows = []
    for case in result["quantize"]:
        rates = [f"{c['bytes'] / statistics.median(c['samples_ms']) / 1e6:.2f}"
                 for c in case["contenders"]]
        rows.append([str(case["threads"]), case["format"], *rates])
    names = [c["name"] for c in result["quantize"][0]["contenders"]]
    yield "Quantization, GB/s of fp16 weights:"
    yield ""
    yield from table(["threads", "format"] + names, rows)


def report(path):
    result = json.loads(pathlib.Path(path).read_text())
    machine = result["machine"]
    yield f"### {machine['cpu']}, {machine['isa']}, {machine['cores']} CPUs"
    yield ""
    yield (f"`{pathlib.Path(path).name}`: commit {result['commit']}, {result['date'][:10]}, "
           f"{machine['kernel']}, {machine['compiler']}, {result['openblas']}.")
    yield ""
    if result["gemm"]:
        yield from gemm_tables(result)
    if result["quantize"]:
        yield from quantize_table(result)


def main(arguments):
    update = arguments[:1] == ["--update"]
    paths = arguments[update:]
    if not paths or paths[0].startswith("-"):
        sys.exit(__doc__)
    text = "\n".join(line for path in paths for line in report(path)) + "\n"
    if not update:
        print(text, end="")
        return
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(before + BEGIN + "\n" + text + END + after)


if __name__ == "__main__":
    main(sys.argv[1:])
