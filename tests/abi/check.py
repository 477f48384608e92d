"""The gates of the C ABI. Each subcommand checks one rule and says what broke it.

exports LIBRARY HEADER SYMBOLS   exported symbols == symbols.txt == the header's functions
archive ARCHIVE HEADER           global names of libfp6llm.a == the header's functions
elf LIBRARY                      dependencies, SONAME, and how the library is linked
abidiff LIBRARY HEADER BASELINE  types and signatures == the committed abidw dump
layout HEADER LAYOUT_C           layout.c freezes every field, enumerator and initializer
rules HEADER                     what the header promises of its declarations and of their documentation
wrapped HEADER HPP               fp6llm.hpp calls every function that can fail
quiet FILE...                    no object or archive of ours can print, abort or exit
build-info LIBRARY               fp6llmGetBuildInfo() gives JSON that says what it should
dump-symbols LIBRARY             what symbols.txt holds
dump-abi LIBRARY HEADER OUT      what the baseline holds

LIBRARY is what users get, except for abidiff and dump-abi, which need debug information.
"""

import ctypes
import json
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


def check_archive(archive, header):
    lines = [line.split() for line in run("nm", "--extern-only", "--defined-only", archive).splitlines()]
    names = [fields[2] for fields in lines if len(fields) == 3]
    return difference("the archive, against the header", Header(header).functions, names), f"{len(names)} names"


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


# These return what they know. Everything else returns a status.
CANNOT_FAIL = {
    "fp6llmGetVersionString", "fp6llmGetStatusName", "fp6llmGetStatusString", "fp6llmGetHeaderVersion",
    "fp6llmGetBlobAlignment", "fp6llmGetAlgoDefault", "fp6llmGetScaleTypeDefault",
}  # fmt: skip
# Functions to which no argument is wrong, the handle aside.
TAKES_ANYTHING = {"fp6llmDestroy", "fp6llmSetLogger", "fp6llmSetParallelFor", "fp6llmSetStream"}
# Parameters that are counts or ordinals of few things, as cuBLAS has them; sizes have 64 bits.
MAY_BE_INT = {"count", "ordinal", "requested", "returned", "threads", "version"}
PARAMETER_TYPES = {"char", "float", "int32_t", "int64_t", "size_t", "void"}
FIELD_TYPES = {"char", "double", "int32_t", "int64_t", "size_t", "uint64_t", "const void*"}
# What the name of a parameter or field must not be, for the sake of the bindings.
KEYWORDS = set(
    # C++20, the words that C lacks
    "alignas alignof and and_eq asm bitand bitor bool catch char16_t char32_t char8_t class co_await "
    "co_return co_yield compl concept const_cast consteval constexpr constinit decltype delete "
    "dynamic_cast explicit export false friend mutable namespace new noexcept not not_eq nullptr "
    "operator or or_eq private protected public reinterpret_cast requires static_assert static_cast "
    "template this thread_local throw true try typeid typename using virtual wchar_t xor xor_eq "
    # Rust, reserved ones too
    "Self abstract as async await become box crate do dyn else enum extern final fn for if impl in let "
    "loop macro match mod move mut override priv pub ref return self static struct super trait type "
    "typeof union unsafe unsized virtual where while yield "
    # Go
    "break case chan const continue default defer fallthrough func go goto import interface map package "
    "range select switch type var "
    # Python
    "False None True assert class def del elif except finally from global is lambda nonlocal pass raise "
    "with".split()
)


def upper_snake(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def camel(name):
    return "".join(word.capitalize() for word in name.split("_"))


def documented_statuses(parsed, function, seen=()):
    """The statuses a function's documentation names, by itself or by "as for another()"."""
    text = parsed.documentation.get(function, "")
    statuses = set(re.findall(r"FP6LLM_STATUS_(\w+)", " ".join(re.findall(
        r"@retval(.*?)(?=\n\s*\*?\s*@|\Z)", text, flags=re.S))))  # fmt: skip
    for other in re.findall(r"as\s+(?:\*\s+)?for\s+(?:\*\s+)?(fp6llm\w+)\(\)", text):
        if other != function and other not in seen:
            statuses |= documented_statuses(parsed, other, (*seen, function))
    return statuses


def check_rules(header):
    parsed = Header(header)
    problems = []
    # Needs no other header, in particular none of CUDA.
    if parsed.includes != ["<stddef.h>", "<stdint.h>"]:
        problems.append(f"includes {' '.join(parsed.includes)}, not <stddef.h> <stdint.h> alone")
    # Handles are pointers to distinct incomplete structs.
    expected = {"fp6llmContext": "fp6llmHandle_t", "fp6llmWeight": "fp6llmWeight_t",
                "CUstream_st": "fp6llmStream_t"}  # fmt: skip
    if parsed.handles != expected or set(parsed.handles) & set(parsed.structs):
        problems.append(f"handles are {parsed.handles}, not pointers to the incomplete {expected}")

    for name, (returned, parameters) in parsed.signatures.items():
        is_function = name in parsed.functions
        if is_function and (returned == "fp6llmStatus_t") != (name not in CANNOT_FAIL):
            problems.append(f"{name} returns {returned}")
        for kind, parameter in parameters:
            base = kind.replace("const ", "").rstrip("*")
            if kind in parsed.structs:
                problems.append(f"{name} takes {parameter}, a struct, by value")
            if base == "int" and parameter not in MAY_BE_INT:
                problems.append(f"{name} takes {kind} {parameter}; sizes are int64_t or size_t")
            if base != "int" and base not in PARAMETER_TYPES and not base.startswith("fp6llm"):
                problems.append(f"{name} takes {kind} {parameter}; use a type of fixed size")
            if parameter in KEYWORDS:
                problems.append(f"{name}: {parameter} is a keyword of C++, Rust, Go or Python")
        if is_function and name not in CANNOT_FAIL:
            documented = documented_statuses(parsed, name)
            needed = set() if name in TAKES_ANYTHING else {"INVALID_VALUE"}
            if any(kind == "fp6llmHandle_t" for kind, _ in parameters):
                needed.add("NOT_INITIALIZED")
            if not documented:
                problems.append(f"{name} is documented without a @retval")
            problems += [f"{name} is documented without {s}" for s in sorted(needed - documented)]

    # Config structs: size first, fields of fixed size, a macro and a function that initialize.
    for name, fields in parsed.structs.items():
        kinds = parsed.field_types[name]
        thing = name[len("fp6llm") : -len("_t")]
        if (kinds[0], fields[0]) != ("size_t", "structSize"):
            problems.append(f"{name} does not begin with size_t structSize")
        for kind, field in zip(kinds, fields):
            if kind.rstrip("*") not in FIELD_TYPES and kind not in FIELD_TYPES:
                problems.append(f"{name}.{field} is of type {kind}")
            if field in KEYWORDS:
                problems.append(f"{name}.{field} is a keyword of C++, Rust, Go or Python")
        if f"FP6LLM_{upper_snake(thing)}_INIT" not in parsed.init_macros:
            problems.append(f"{name} has no FP6LLM_{upper_snake(thing)}_INIT")
        if f"fp6llm{thing}Init" not in parsed.functions:
            problems.append(f"{name} has no fp6llm{thing}Init()")

    # Every macro constant is also a function; the parts of the version are parts of one.
    parts = {"FP6LLM_VERSION_MAJOR", "FP6LLM_VERSION_MINOR", "FP6LLM_VERSION_PATCH"}
    for constant in set(parsed.constants) - parts:
        thing = camel(constant[len("FP6LLM_") :])
        function = "fp6llmGetHeaderVersion" if thing == "Version" else f"fp6llmGet{thing}"
        if function not in parsed.functions:
            problems.append(f"{constant} has no {function}()")
    return problems, f"{len(parsed.signatures)} signatures, {len(parsed.structs)} structs"


def check_wrapped(header, hpp):
    parsed = Header(header)
    text = re.sub(r"//.*", "", Path(hpp).read_text(encoding="utf-8"))
    used = set(re.findall(r"\b(fp6llm[A-Z]\w*)\b", text))
    # C++ sees the _INIT macros.
    wanted = set(parsed.functions) - CANNOT_FAIL - {f for f in parsed.functions if f.endswith("Init")}
    return [f"not in the C++ layer: {f}" for f in sorted(wanted - used)], f"{len(wanted)} functions"


# Ends of the process and ways to print, as undefined symbols.
LOUD = {
    "_Exit", "__assert_fail", "_exit", "_ZSt4cerr", "_ZSt4clog", "_ZSt4cout", "abort", "exit",
    "fprintf", "fputc", "fputs", "fwrite", "perror", "printf", "putchar", "puts", "quick_exit", "stderr",
    "stdout", "syslog", "vfprintf", "vprintf", "write", "__fprintf_chk", "__printf_chk",
    "__vfprintf_chk", "_ZSt9terminatev",
}  # fmt: skip


def check_quiet(*files):
    problems, symbols = [], 0
    for file in files:
        for line in run("nm", "--undefined-only", file).splitlines():
            if line.split()[:1] == ["U"]:
                name = line.split()[1].split("@")[0]
                symbols += 1
                problems += [f"{file} calls {name}"] if name in LOUD else []
    return sorted(set(problems)), f"{symbols} undefined symbols"


def check_build_info(library):
    loaded = ctypes.CDLL(str(Path(library).resolve()))
    loaded.fp6llmGetVersionString.restype = ctypes.c_char_p
    text = ctypes.create_string_buffer(1 << 16)
    status = loaded.fp6llmGetBuildInfo(text, ctypes.c_size_t(len(text)), None)
    info = json.loads(text.value.decode())
    problems = [] if status == 0 else [f"status {status}"]
    kinds = {"version": str, "compiler": str, "cCompiler": str, "buildType": str, "system": str, "options": dict,
             "cpuIsas": list, "cudaArchitectures": list, "formats": list}  # fmt: skip
    for key, kind in kinds.items():
        if not isinstance(info.get(key), kind) or (kind is str and not info[key]):
            problems.append(f"{key} is {info.get(key)!r}")
    if info.get("version") != loaded.fp6llmGetVersionString().decode():
        problems.append(f"version is {info.get('version')!r}")
    return problems, text.value.decode()


CHECKS = {"exports": check_exports, "archive": check_archive, "elf": check_elf, "abidiff": check_abidiff,
          "layout": check_layout, "rules": check_rules, "wrapped": check_wrapped,
          "quiet": check_quiet, "build-info": check_build_info}  # fmt: skip


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
