"""Tests the gates themselves: breaks the header in each way that breaks callers, builds a library of
empty functions from it, and sees the gates refuse it. usage: gates_test.py HEADER CXX"""

import contextlib
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import check

MAP = "FP6LLM_0 { global: fp6llm*; local: *; };"
LINK = ["-shared", "-Wl,--as-needed", "-Wl,-soname,libfp6llm.so.0", "-Wl,-z,relro,-z,now"]


def substitute(pattern, replacement):
    def edit(text):
        edited, count = re.subn(pattern, replacement, text, count=1, flags=re.S)
        assert count == 1, f"nothing to break: {pattern}"
        return edited

    return edit


# name, edit of the header, extra source, extra link options, the gates that must refuse it
BREAKAGES = [
    ("field inserted in a struct", substitute(r"(int32_t rounding;)", r"int32_t inserted; \1"),
     "", [], {"abidiff", "layout"}),
    ("field appended to a struct", substitute(r"(int32_t reserved;)", r"\1 int32_t appended;"),
     "", [], {"abidiff", "layout"}),
    ("field with another type", substitute(r"int64_t saturated;", r"uint64_t saturated;"),
     "", [], {"abidiff"}),
    ("enumerator renumbered", substitute(r"(FP6LLM_SCALE_MX) = 2", r"\1 = 3"),
     "", [], {"layout"}),
    ("enumerator added", substitute(r"(FP6LLM_LOG_INFO = 2)", r"\1, FP6LLM_LOG_DEBUG = 3"),
     "", [], {"layout"}),
    ("status renumbered", substitute(r"(FP6LLM_STATUS_ALLOC_FAILED) = 3", r"\1 = 4"),
     "", [], {"abidiff", "layout"}),
    ("parameter narrowed", substitute(r"(fp6llmLinear\(fp6llmHandle_t handle, )int64_t", r"\1int"),
     "", [], {"abidiff"}),
    ("parameter added", substitute(r"(fp6llmDestroy\(fp6llmHandle_t handle)", r"\1, int flags"),
     "", [], {"abidiff"}),
    ("function removed", substitute(r"FP6LLM_API [^;]*?fp6llmGetAlgoDefault\(void\);", ""),
     "", [], {"abidiff", "exports"}),
    ("function added", substitute(r"(FP6LLM_API int32_t fp6llmGetAlgoDefault\(void\);)",
                                  r"\1 FP6LLM_API int32_t fp6llmNew(void);"),
     "", [], {"abidiff", "exports"}),
    ("function not marked for export", substitute(r"FP6LLM_API( int32_t fp6llmGetAlgoDefault)", r"\1"),
     "", [], {"abidiff", "exports", "rules"}),
    ("handles of one type", substitute(r"typedef struct fp6llmWeight\* fp6llmWeight_t;",
                                       "typedef fp6llmHandle_t fp6llmWeight_t;"),
     "", [], {"abidiff", "rules"}),
    ("another include", substitute(r"(#include <stdint.h>)", r"\1\n#include <stdio.h>"),
     "", [], {"rules"}),
    ("struct by value", substitute(r"const (fp6llmQuantConfig_t)\*( config, int64_t rows,\s+int64_t cols, "
                                   r"size_t\* codeBytes)", r"\1\2"),
     "", [], {"abidiff", "rules"}),
    ("struct without structSize", substitute(r"size_t structSize;(\s+/\*\*< sizeof\(fp6llmEpilogue_t\))",
                                             r"size_t bytes;\1"),
     "", [], {"abidiff", "layout", "rules"}),
    ("struct without initializer", substitute(r"#define FP6LLM_EPILOGUE_INIT", "#define FP6LLM_EPILOGUE"),
     "", [], {"layout", "rules"}),
    ("size of 32 bits", substitute(r"(fp6llmQuantize\(fp6llmHandle_t handle, [^;]*?)int64_t cols",
                                   r"\1int cols"),
     "", [], {"abidiff", "rules"}),
    ("parameter named with a keyword", substitute(r"fp6llmPackedLayout_t layout", "fp6llmPackedLayout_t type"),
     "", [], {"rules"}),
    ("constant without a function", substitute(r"(#define FP6LLM_ALGO_DEFAULT)", r"#define FP6LLM_MORE 3\n\1"),
     "", [], {"rules"}),
    ("status not documented", substitute(r"@retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL\n", "\n"),
     "", [], {"rules"}),
    ("function that returns no status", substitute(r"fp6llmStatus_t (fp6llmGetVersion\()", r"int \1"),
     "", [], {"abidiff", "rules"}),
    ("code that prints", None, '#include <stdio.h>\nvoid say() { puts("hello"); }', [], {"quiet"}),
    ("code that exits", None, "#include <stdlib.h>\nvoid end(int i) { if (i) abort(); exit(i); }", [], {"quiet"}),
    ("exported function not in the header", None,
     'extern "C" __attribute__((visibility("default"))) int fp6llmSecret() { return 0; }', [],
     {"abidiff", "archive", "exports"}),
    ("C++ symbol exported", None, "__attribute__((visibility(\"default\"))) int leaked() { return 0; }",
     ["-Wl,--version-script=MAP_ALL"], {"abidiff", "archive", "exports"}),
    ("linked against libstdc++", None, "#include <string>\nstd::string* s = new std::string;\n",
     [], {"elf"}),
    ("another SONAME", None, "", ["-Wl,-soname,libfp6llm.so.1"], {"elf", "abidiff"}),
    ("RUNPATH", None, "", ["-Wl,-rpath,/somewhere"], {"elf"}),
    ("executable stack", None, "", ["-Wl,-z,execstack"], {"elf"}),
    ("lazy binding", None, "", ["-Wl,-z,lazy"], {"elf"}),
]  # fmt: skip


def build(directory, header_text, cxx, extra_source="", extra_link=()):
    """A library with an empty body for every function of the header, and an archive of the same beside it."""
    include = directory / "fp6llm"
    include.mkdir(parents=True, exist_ok=True)
    (include / "fp6llm.h").write_text(header_text)
    (directory / "map").write_text(MAP)
    (directory / "map_all").write_text("FP6LLM_0 { global: *; };")
    bare = re.sub(r"^#.*(?:\\\n.*)*$", "", re.sub(r"/\*.*?\*/", " ", header_text, flags=re.S), flags=re.M)
    bodies = [
        f'extern "C" {declaration} {{ return {{}}; }}'
        for declaration in re.findall(r"(FP6LLM_API [^;]*\))\s*;", bare, flags=re.S)
    ]
    source = directory / "stub.cpp"
    source.write_text('#include "fp6llm/fp6llm.h"\n' + "\n".join(bodies) + "\n" + extra_source)
    compiled, library = directory / "stub.o", directory / "libfp6llm.so.0"
    versioned = any("MAP_ALL" in option for option in extra_link)
    options = [o.replace("MAP_ALL", str(directory / "map_all")) for o in extra_link]
    if not versioned:
        options.append(f"-Wl,--version-script={directory / 'map'}")
    subprocess.run([cxx, "-std=c++17", "-fPIC", "-g", "-I", directory, "-c", source, "-o", compiled], check=True)
    subprocess.run([cxx, compiled, "-o", library, *LINK, *options], check=True)
    subprocess.run(["ar", "qc", directory / "libfp6llm.a", compiled], check=True)
    return library, include / "fp6llm.h"


def refusals(library, header, symbols, baseline, cxx):
    """The names of the gates that refuse the library."""
    layout_c = Path(__file__).parent / "layout.c"
    arguments = {
        "exports": (library, header, symbols),
        "archive": (library.parent / "libfp6llm.a", header),
        "elf": (library,),
        "abidiff": (library, header, baseline),
        "layout": (header, layout_c),
        "rules": (header,),
        "quiet": (library,),
    }
    refused = set()
    for gate, args in arguments.items():
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                passed = check.main(gate, *map(str, args)) == 0
            except SystemExit:  # what a gate cannot read, it does not let pass
                passed = False
        if not passed:
            refused.add(gate)
    compiled = subprocess.run(
        [cxx, "-x", "c++", "-std=c++17", "-fsyntax-only", "-I", header.parents[1], layout_c],
        capture_output=True)  # fmt: skip
    if compiled.returncode != 0:
        refused.add("layout")
    return refused


def main(header, cxx):
    text = Path(header).read_text()
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        library, copy = build(root / "sound", text, cxx)
        symbols, baseline = root / "symbols.txt", root / "baseline.abi"
        symbols.write_text("\n".join(check.exported_symbols(library)))
        check.dump_abi(library, copy, baseline)
        cases = [("nothing broken", None, "", [], set()), *BREAKAGES]
        for number, (what, edit, source, link, expected) in enumerate(cases):
            library, copy = build(root / str(number), edit(text) if edit else text, cxx, source, link)
            refused = refusals(library, copy, symbols, baseline, cxx)
            verdict = "ok" if expected <= refused and bool(expected) == bool(refused) else "FAILED"
            failed += verdict != "ok"
            print(f"{verdict:6} {what}: refused by {', '.join(sorted(refused)) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
