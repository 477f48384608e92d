"""The gates of the C ABI. Each subcommand checks one rule and says what broke it.

exports LIBRARY HEADER SYMBOLS   exported symbols == symbols.txt == the header's functions
elf LIBRARY                      dependencies, SONAME, and how the library is linked
abidiff LIBRARY HEADER BASELINE  types and signatures == the committed abidw dump
layout HEADER LAYOUT_C           layout.c freezes every field, enumerator and initializer
dump-symbols LIBRARY             what symbols.txt holds
dump-abi LIBRARY HEADER OUT      what the baseline holds

LIBRARY is what users get, except for abidiff and dump-abi, which need debug information.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from header import Header

# All that libfp6llm.so may need: glibc. No libstdc++, no CUDA.
NEEDED_ALLOWED = {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
SONAME = "libfp6llm.so.0"


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def difference(what, expected, actual):
    """One line per element that is missing or too many."""
    return [f"missing from {what}: {x}" for x in sorted(set(expected) - set(actual))] + [
        f"unexpected in {what}: {x}" for x in sorted(set(actual) - set(expected))
    ]


def exported_symbols(library):
    """Sorted "name@@VERSION" of everything a program could link against, version nodes aside."""
    lines = run("nm", "--dynamic", "--defined-only", "--with-symbol-versions", library).splitlines()
    symbols = [(kind, name) for _, kind, name in (line.split() for line in lines)]
    return sorted(name for kind, name in symbols if kind != "A")


def check_exports(library, header, symbols_file):
    exported = exported_symbols(library)
    names = [s.split("@")[0] for s in exported]
    problems = difference("the library's exports", Path(symbols_file).read_text().split(), exported)
    problems += difference("the library, against the header", Header(header).functions, names)
    problems += [f"not a name of ours: {n}" for n in names if not n.startswith("fp6llm")]
    return problems, f"{len(exported)} symbols"


def check_elf(library):
    dynamic = run("readelf", "--dynamic", "--wide", library)
    segments = run("readelf", "--segments", "--wide", library)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    soname = re.findall(r"\(SONAME\).*\[(.*)\]", dynamic)
    stack = re.search(r"GNU_STACK\s+(?:0x\w+\s+){5}(\S+)", segments)

    problems = [f"needs {n}, which is not on the list" for n in needed if n not in NEEDED_ALLOWED]
    if soname != [SONAME]:
        problems.append(f"SONAME is {soname}, not {SONAME}")
    for tag in re.findall(r"\((RPATH|RUNPATH|TEXTREL)\)", dynamic):
        problems.append(f"has {tag}")
    if not stack or "E" in stack.group(1):
        problems.append("asks for an executable stack")
    if "GNU_RELRO" not in segments or not re.search(r"\(FLAGS(_1)?\).*\b(BIND_)?NOW\b", dynamic):
        problems.append("is not linked with -z relro -z now")
    return problems, "needs " + ", ".join(needed)


def dump_abi(library, header, out):
    """Public types only: whatever is defined outside the header counts as opaque."""
    run("abidw", "--header-file", header, "--drop-private-types", "--drop-undefined-syms",
        "--exported-interfaces-only", "--no-show-locs", "--no-corpus-path", "--no-comp-dir-path",
        "--no-elf-needed", "--no-parameter-names", "--type-id-style", "hash",
        "--out-file", out, library)  # fmt: skip
    text = Path(out).read_text()
    # abidw knows the header by its full path; where types were lost, the gate would be blind.
    lost = [s for s in Header(header).structs if f"<class-decl name='{s}' size-in-bits=" not in text]
    if lost:
        raise SystemExit(f"{library}: no debug information about {', '.join(lost)} from {header}")
    Path(out).write_text(re.sub(r" path='[^']*/", " path='", text))


def check_abidiff(library, header, baseline):
    with tempfile.TemporaryDirectory() as directory:
        now = str(Path(directory) / "now.abi")
        dump_abi(library, header, now)
        result = subprocess.run(
            ["abidiff", "--fail-no-debug-info", "--harmless", baseline, now],
            capture_output=True, text=True)  # fmt: skip
    problems = []
    if result.returncode != 0 or result.stdout.strip():
        problems = [f"abidiff answered {result.returncode}:", result.stdout, result.stderr]
    functions = len(re.findall(r"<function-decl .*elf-symbol-id", Path(baseline).read_text()))
    problems += [] if functions else ["the baseline holds no function"]
    return problems, f"{functions} functions as in the baseline"


def check_layout(header, layout_c):
    parsed = Header(header)
    fields = [f"{s}.{f}" for s, names in parsed.structs.items() for f in names]
    text = Path(layout_c).read_text()
    frozen = [f"{s}.{f}" for s, f in re.findall(r"^FIELD\((\w+), (\w+), \d+, \d+\);", text, re.M)]
    sized = re.findall(r"^SIZE\((\w+), \d+\);", text, re.M)
    values = re.findall(r"^VALUE\((\w+), [-\w]+\);", text, re.M)
    macros = re.findall(r" = (FP6LLM_\w+_INIT);", text)
    problems = difference("layout.c's FIELD", fields, frozen)
    problems += [f"missing from layout.c's SIZE: {s}" for s in set(parsed.structs) - set(sized)]
    problems += [f"missing from layout.c's VALUE: {e}" for e in set(parsed.enumerators) - set(values)]
    problems += difference("layout.c's initializers", parsed.init_macros, macros)
    return problems, f"{len(fields)} fields, {len(values)} values"


CHECKS = {"exports": check_exports, "elf": check_elf, "abidiff": check_abidiff,
          "layout": check_layout}  # fmt: skip


def main(command, *args):
    if command == "dump-symbols":
        print("\n".join(exported_symbols(*args)))
        return 0
    if command == "dump-abi":
        dump_abi(*args)
        return 0
    problems, summary = CHECKS[command](*args)
    print("\n".join(problems) if problems else f"ok: {summary}")
    if problems and command in ("exports", "abidiff"):
        print("If the change of the ABI is meant: script/update-abi, and commit what it writes.")
    return 1 if problems else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
