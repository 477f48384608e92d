#!/usr/bin/env python3
"""Makes the tables and plots of docs/benchmark.md from results of fp6llm_bench.

usage: report.py RESULT.json...            prints the tables
       report.py --update RESULT.json...   puts them between the markers of docs/benchmark.md, and plots into
                                           docs/benchmark/
       report.py --check RESULT.json...    fails if that would change anything
Files of other programs among the results are passed over.
"""

import json
import pathlib
import statistics
import sys

import document
import plot

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "benchmark.md"
PLOTS = DOCUMENT.with_suffix("")  # the folder beside it
BEGIN, END = "<!-- results: begin -->\n", "<!-- results: end -->\n"
PLOT_TITLES = {"speed": "Speed over tokens", "roofline": "Roofline", "scaling": "Scaling over threads"}


def first(case, kind, name=None):
    return next((c for c in case["contenders"] if c["kind"] == kind and name in (None, c["name"])), None)


def ratio(own, other):
    """Median over the rounds, in which the two took turns, of other / own."""
    return statistics.median(b / a for a, b in zip(own["samples_ms"], other["samples_ms"]))


def best_six_bit_peer(case):
    """The one with the lowest median; None if there are not two."""
    peers = [c for c in case["contenders"] if c["kind"] == "peer" and "Q6" in c["name"]]
    return min(peers, key=plot.time) if len(peers) > 1 else None


def with_row_scales(case, own):
    """The contender that differs from `own` by its scales only; None if that is `own`."""
    weights, _, compute = own["name"].partition(" ")
    name = f"{weights.partition('-')[0]}-row {compute}"
    return first(case, "fp6", name) if name != own["name"] else None


def gemm_ratios(case, own):
    rows, six_bits = with_row_scales(case, own), best_six_bit_peer(case)
    stream, blas = first(case, "stream"), first(case, "openblas")
    prefetched = first(case, "prefetched")
    peak = first(case, "peak", own.get("peak", "fp32 peak"))
    ratios = {
        "of stream": stream and ratio(own, stream) * own["bytes"] / stream["bytes"],
        "of stream, prefetched": prefetched and ratio(own, prefetched) * own["bytes"] / prefetched["bytes"],
        "x OpenBLAS": blas and ratio(own, blas),
        "of peak": peak and ratio(own, peak) * own.get("operations", own["flops"]) / peak["flops"],
        "over row scales": rows and ratio(own, rows),
        "x best 6-bit peer": six_bits and ratio(own, six_bits),
    }
    for peer in case["contenders"]:
        if peer["kind"] == "peer":
            ratios["x " + peer["name"]] = ratio(own, peer)
    return ratios


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
                                values.setdefault(key, {}).setdefault(case["tokens"], []).append(value)
            for key, by_tokens in values.items():
                cells = [by_tokens.get(m) for m in tokens]
                rows.append([name, key] + [f"{statistics.median(c):.2f}" if c else "" for c in cells])
        yield (f"Multiplication, {threads} thread{'s' * (threads > 1)}, median over {len(shapes)} "
               f"shape{'s' * (len(shapes) > 1)}:")
        yield ""
        yield from table(["contender", "ratio"] + [f"M={m}" for m in tokens], rows)


def scaling_table(result):
    """How many times as fast as with one thread, median over the shapes."""
    alone = {(c["name"], case["tokens"], case["rows"], case["cols"]): plot.time(c)
             for case in result["gemm"] if case["threads"] == 1 for c in case["contenders"]}

    def gain(case, own):
        one = alone.get((own["name"], case["tokens"], case["rows"], case["cols"]))
        return one and one / plot.time(own) if own["kind"] in ("fp6", "peer", "openblas") else None

    tokens = sorted({case["tokens"] for case in result["gemm"]})
    rows = [[str(threads), name] + [f"{gains[m]:.2f}" if m in gains else "" for m in tokens]
            for threads in plot.thread_counts(result) if threads > 1
            for name, gains in plot.joined(plot.medians(result, threads, gain)).items()]
    if rows:
        yield "Threads over one thread:"
        yield ""
        yield from table(["threads", "contender"] + [f"M={m}" for m in tokens], rows)


def peer_errors(result):
    """What the check before timing saw, at most, of those that round more than fp32 sums do."""
    errors = {}
    for case in result["gemm"]:
        for c in case["contenders"]:
            if c["kind"] in ("fp6", "peer") and c["error"] > 1e-4:
                errors[c["name"]] = max(c["error"], errors.get(c["name"], 0))
    if errors:
        yield ("Largest error over the rms: "
               + ", ".join(f"{name} {error:.1e}" for name, error in errors.items()) + ".")
        yield ""


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


def token_table(result):
    rows = []
    for case in result["token"]:
        for own in case["contenders"]:
            if own["kind"] == "fp6":
                ratios = gemm_ratios(case, own)
                rows.append([str(case["threads"]), own["name"], f"{ratios['of stream']:.2f}",
                             f"{ratios['x OpenBLAS']:.2f}" if ratios["x OpenBLAS"] else ""])
    case = result["token"][0]
    yield f"All {case['multiplications']} multiplications of a token of {case['model']}:"
    yield ""
    yield from table(["threads", "contender", "of stream", "x OpenBLAS"], rows)


def check_table(result):
    rows = []
    for check in result["checks"]:
        digits = 0 if check["unit"] == "ns" else 2
        rows.append([str(check["threads"]), check["name"], f"{check['value']:.{digits}f} {check['unit']}",
                     f"{check['limit']:.{digits}f}", check["result"]])
    yield "Checks, times of a call against each other:"
    yield ""
    yield from table(["threads", "check", "value", "limit", "result"], rows)


def load(path):
    result = json.loads(pathlib.Path(path).read_text())
    return result if str(result.get("schema")).startswith("fp6llm-bench/") else None


def report(path, result):
    machine = result["machine"]
    stem = pathlib.Path(path).stem
    yield f"### {machine['cpu']}, {machine['isa']}, {machine['cores']} CPUs"
    yield ""
    yield (f"`{pathlib.Path(path).name}`: commit {result['commit']}, {result['date'][:10]}, "
           f"{machine['kernel']}, {machine['compiler']}, {result['openblas']}.")
    for remark in result.get("remarks", []):
        yield f"{remark[0].upper()}{remark[1:]}."
    yield ""
    for kind in plot.plots(result):
        yield f"![{PLOT_TITLES[kind]}]({PLOTS.name}/{stem}-{kind}.svg)"
        yield ""
    if result["gemm"]:
        yield from gemm_tables(result)
        yield from scaling_table(result)
        yield from peer_errors(result)
    if result.get("token"):
        yield from token_table(result)
    if result.get("checks"):
        yield from check_table(result)
    if result["quantize"]:
        yield from quantize_table(result)


def files(results):
    """{path: text} of the document and its plots."""
    text = "\n".join(line for path, result in results for line in report(path, result)) + "\n"
    made = {DOCUMENT: document.with_made(DOCUMENT.read_text(), BEGIN, END, text)}
    for path, result in results:
        for kind, svg in plot.plots(result).items():
            made[PLOTS / f"{pathlib.Path(path).stem}-{kind}.svg"] = svg
    return made


def main(arguments):
    mode = arguments[0] if arguments[:1] in (["--update"], ["--check"]) else None
    paths = arguments[1 if mode else 0:]
    if not paths or paths[0].startswith("-"):
        sys.exit(__doc__)
    results = [(path, result) for path, result in ((path, load(path)) for path in paths) if result]
    if mode == "--update":
        PLOTS.mkdir(exist_ok=True)
        made = files(results)
        for path in set(PLOTS.glob("*.svg")) - set(made):
            path.unlink()
        for path, text in made.items():
            path.write_text(text)
    elif mode == "--check":
        made = files(results)
        stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
        stale += set(PLOTS.glob("*.svg")) - set(made)
        if stale:
            sys.exit("run tests/bench/report.py --update tests/bench/results/*.json; it would change "
                     + ", ".join(sorted(path.name for path in stale)))
    else:
        print("\n".join(line for path, result in results for line in report(path, result)))


if __name__ == "__main__":
    main(sys.argv[1:])
