#!/usr/bin/env python3
"""Makes the table of docs/gpu.md from what `fp6llm_gpu_bench --counters` wrote.

usage: counters.py RESULT.json...              prints it
       counters.py --update RESULT.json...     puts it between the markers of docs/gpu.md
       counters.py --same ONE.json OTHER.json  fails unless both counted the same

Instructions may differ by half a percent: which of the blocks that share a tile is the last, and so sums
it up, depends on the schedule.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import document  # noqa: E402

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "docs" / "gpu.md"
BEGIN, END = "<!-- counters: begin -->\n", "<!-- counters: end -->\n"

# Columns of instructions, and the emulator's kinds in each; what is in none is "other".
KINDS = {
    "logic": ["logic"],
    "integer": ["integer"],
    "move": ["move"],
    "float": ["half", "float", "convert"],
    "shared": ["load_shared", "store_shared", "matrix_load"],
    "global": ["async_copy", "load_global", "store_global", "atomic", "load_param"],
    "mma": ["mma"],
}


def load(path):
    return json.loads(pathlib.Path(path).read_text())


def size(number):
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return str(number)


def instructions(case):
    """Of a thread for 16 weights, by column."""
    counts = dict(case["warp_instructions"])
    scale = 32 * 16 / (case["rows"] * case["cols"])
    cells = [scale * sum(counts.pop(kind, 0) for kind in kinds) for kinds in KINDS.values()]
    return cells + [scale * sum(counts.values())]


def row(case):
    packed = case["packed_bytes"]
    conflicts = case["shared_load_conflicts"] + case["shared_store_conflicts"]
    cells = instructions(case)
    return [f"{case['rows']}x{case['cols']}", str(case["tokens"]), case["kernel"].split("_")[-1],
            str(case["blocks"]), f"{case['code_bytes_read'] / packed:.2f}",
            size(case["activation_bytes_read"]), size(case["output_bytes_stored"]),
            size(case["partial_bytes_moved"]), str(conflicts),
            *(f"{cell:.2f}" for cell in cells), f"{sum(cells):.1f}", f"{case['mma'] / packed:.4f}"]


def table(path):
    result = load(path)
    slices = result["slices"]
    yield (f"`{pathlib.Path(path).name}`: counted on the emulated GPU, **no times**; commit "
           f"{result['commit']}, {result['date'][:10]}; {result['gpu']} with "
           f"{result['multiprocessors']} multiprocessors, {result['cases'][0]['format']}, "
           f"{result['cases'][0]['type']} activations and outputs.")
    if slices > 1:
        yield (f"Emulated was 1/{slices} of each matrix's rows, all of its columns, on 1/{slices} "
               f"of the multiprocessors; figures are {slices} times that. The plan is the same, and "
               "so are its blocks' shares, that many times over: exact for bytes, conflicts and mma; "
               "other instructions depend by less than 0.1 % on which block ends a shared tile.")
    yield ""
    names = ["weight", "M", "tile", "blocks", "codes read / size", "activations read",
             "outputs stored", "partial sums, both ways", "bank conflicts", *KINDS, "other", "all",
             "mma / packed byte"]
    yield "| " + " | ".join(names) + " |"
    yield "|" + "---|" * len(names)
    for case in result["cases"]:
        yield "| " + " | ".join(row(case)) + " |"


def is_same(one, other):
    kinds, others = one.pop("warp_instructions"), other.pop("warp_instructions")
    most = 0.005 * sum(kinds.values())
    return one == other and kinds.keys() == others.keys() and all(
        abs(kinds[kind] - others[kind]) <= most for kind in kinds)


def main(arguments):
    flag = arguments[0] if arguments and arguments[0].startswith("--") else ""
    paths = arguments[bool(flag):]
    if not paths or flag not in ("", "--update", "--same"):
        sys.exit(__doc__)
    if flag == "--same":
        one, other = [load(path)["cases"] for path in paths]
        same = one and len(one) == len(other) and all(map(is_same, one, other))
        sys.exit(None if same else "counted differently")
    text = "\n\n".join("\n".join(table(path)) for path in paths) + "\n"
    if not flag:
        print(text, end="")
        return
    DOCUMENT.write_text(document.with_made(DOCUMENT.read_text(), BEGIN, END, text + "\n"))


if __name__ == "__main__":
    main(sys.argv[1:])
