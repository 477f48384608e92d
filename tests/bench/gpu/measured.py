#!/usr/bin/env python3
"""Makes the tables of docs/gpu.md from what `fp6llm_gpu_bench` measured.

usage: measured.py RESULT.json...            prints them
       measured.py --update RESULT.json...   puts them between the markers of docs/gpu.md
       measured.py --check RESULT.json...    fails where they are not what is there
"""

import json
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import document  # noqa: E402

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "docs" / "gpu.md"
LLAMA_70B = {(10240, 8192), (8192, 8192), (57344, 8192), (8192, 28672)}
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"


def times(own, other):
    """How many times as fast as another contender, which took turns with it."""
    return statistics.median(b / a for a, b in zip(own["samples_us"], other["samples_us"]))


def ratios(cases):
    """{(format, type): {tokens: [of each shape, to the faster of cuBLAS's two ways]}}, chosen kernels only"""
    found = {}
    for case in cases:
        chosen = {}
        for own in case["contenders"]:
            if own["kind"] == "fp6":
                chosen.setdefault((own["name"], own["type"]), own)  # the first is the plan's
        for (name, kind), own in chosen.items():
            dense = [times(own, c) for c in case["contenders"]
                     if c["kind"].startswith("dense") and c["type"] == kind]
            if dense:
                found.setdefault((name, kind), {}).setdefault(case["tokens"], []).append(min(dense))
    return found


def copies(result):
    """{(format, type): {tokens: largest share of the measured copy's bytes per second, of weights >= 50 MB}}"""
    found = {}
    copy = result["gpu"]["copy_bytes_per_second"]
    for case in result["gemm"]:
        for own in case["contenders"]:
            if own["kind"] == "fp6" and own["weight_bytes"] >= 50e6 and case["tokens"] <= 64:
                rate = own["weight_bytes"] / statistics.median(own["samples_us"]) * 1e6
                of_type = found.setdefault((own["name"], own["type"]), {})
                of_type[case["tokens"]] = max(rate / copy, of_type.get(case["tokens"], 0))
    return found


def report(path):
    result = json.loads(pathlib.Path(path).read_text())
    gpu = result["gpu"]
    found, copied = ratios(result["gemm"]), copies(result)
    tokens = sorted({m for by_tokens in found.values() for m in by_tokens})
    shapes = {(case["rows"], case["cols"]) for case in result["gemm"]}
    lines = [f"`{pathlib.Path(path).name}`: {gpu['name']}, {gpu['multiprocessors']} multiprocessors, driver "
             f"{gpu['driver']}, {gpu['cublas']}, copy {gpu['copy_bytes_per_second'] * 1e-9:.0f} GB/s; commit {result['commit']}, "
             f"{result['date'][:10]}. Times as fast as cuBLAS in the type of the activations, medians over "
             f"up to {len(shapes)} shapes:", "",
             "| weights | activations | " + " | ".join(f"M={m}" for m in tokens) + " |",
             "|---" * (len(tokens) + 2) + "|"]
    rows = [(name, kind, by_tokens) for (name, kind), by_tokens in sorted(found.items())]
    if shapes > LLAMA_70B:
        of_70b = ratios(case for case in result["gemm"] if (case["rows"], case["cols"]) in LLAMA_70B)
        rows += [(f"{name}, Llama-70B", kind, by_tokens) for (name, kind), by_tokens in sorted(of_70b.items())]
    for name, kind, by_tokens in rows:
        cells = [f"{statistics.median(by_tokens[m]):.2f}" if m in by_tokens else "" for m in tokens]
        lines.append(f"| {name} | {kind} | " + " | ".join(cells) + " |")
    few = [m for m in tokens if m <= 64]
    lines += ["", "Packed bytes per second in percent of that copy, best weight of at least 50 MB:", "",
              "| weights | activations | " + " | ".join(f"M={m}" for m in few) + " |",
              "|---" * (len(few) + 2) + "|"]
    for (name, kind), by_tokens in sorted(copied.items()):
        cells = [f"{100 * by_tokens[m]:.0f}" if m in by_tokens else "" for m in few]
        lines.append(f"| {name} | {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\n"


def main(arguments):
    mode = arguments.pop(0) if arguments[:1] in (["--update"], ["--check"]) else None
    if not arguments or arguments[0].startswith("-"):
        sys.exit(__doc__)
    made = "".join(map(report, arguments))
    if mode is None:
        print(made, end="")
        return
    text = DOCUMENT.read_text()
    new = document.with_made(text, BEGIN, END, made)
    if mode == "--update":
        DOCUMENT.write_text(new)
    elif new != text:
        sys.exit("run tests/bench/gpu/measured.py --update tests/bench/results/h200*.json; it would change docs/gpu.md")


if __name__ == "__main__":
    main(sys.argv[1:])
