"""Generates the low levels of the bindings from fp6llm.i with SWIG. script/generate-bindings calls it for
what is committed, CMake for Python's C wrapper.

usage: generate.py write           the committed files
       generate.py check           shows how they differ from what is generated, and then fails
       generate.py python --out D  _capi.py and native_wrap.c, the sources of fp6llm._capi, into folder D
Options: --swig PROGRAM, else the environment variable FP6LLM_SWIG, else the first swig on PATH.
Without its tools `check` answers 77, in CI 1.
"""

import argparse
import difflib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import go_sources
import header_copy
import python_sources
import rust
import tree

VERSION = "4.5.1"  # as in script/requirements-bindings.txt; another writes other code
FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
HEADER = ROOT / "capi/include/fp6llm/fp6llm.h"


class Swig:
    """Runs one version of SWIG over fp6llm.i in a scratch folder."""

    def __init__(self, program, scratch):
        self.program = str(Path(program).absolute())  # it runs in another folder
        self.scratch = Path(scratch)
        found = self._run("-version")
        if f"SWIG Version {VERSION}\n" not in found:
            raise SystemExit(f"{program} is not SWIG {VERSION}; script/bootstrap bindings installs it")
        copy = self.scratch / "include/fp6llm/fp6llm.h"
        copy.parent.mkdir(parents=True)
        copy.write_text(header_copy.for_swig(HEADER.read_text(encoding="utf-8")), encoding="utf-8")

    def _run(self, *arguments):
        done = subprocess.run(
            [self.program, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        if done.returncode != 0 or done.stderr.strip():
            raise SystemExit(f"swig {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def generate(self, language, *options):
        """Runs it for one language; the folder with what it wrote."""
        out = self.scratch / language
        out.mkdir()
        self._run("-Wall", *options, f"-I{self.scratch}/include", "-outdir", str(out),
                  "-o", str(out / "wrap.c"), "fp6llm.i")  # fmt: skip
        return out

    def tree(self):
        """The parse tree: of the declarations as they stand, with their comments."""
        xml = self.scratch / "tree.xml"
        self.generate("tree", "-python", "-doxygen", "-DFP6LLM_TREE", "-xmlout", str(xml))
        return tree.read(xml)


def python(swig, out):
    """The sources of the extension module, for a build."""
    _check_gil(swig.tree())
    made = swig.generate("python", "-python", "-doxygen", "-interface", "_native")
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made / "capi.py", out / "_capi.py")
    shutil.copyfile(made / "wrap.c", out / "native_wrap.c")


def _check_gil(parsed):
    """Every function that can fail releases the GIL; python.i says why."""
    text = (FOLDER / "python.i").read_text(encoding="utf-8")
    for function in parsed.functions:
        fails = function.returns == "fp6llmStatus_t" and not function.name.endswith("Init")
        if fails != (f"RELEASES_GIL({function.name})" in text):
            raise SystemExit(f"python.i: RELEASES_GIL({function.name}) {'missing' if fails else 'is wrong'}")


def committed(swig):
    """The files under version control, as {path below the root: text}."""
    parsed = swig.tree()
    package = "bindings/python/src/fp6llm"
    go_package = "bindings/go/internal/capi"
    crate = "bindings/rust/fp6llm-sys"
    go = swig.generate("go", "-go", "-cgo", "-intgosize", "64")
    return {
        f"{package}/_enums.py": python_sources.enums(parsed),
        f"{package}/_capi.pyi": python_sources.stub(parsed),
        f"{go_package}/types.go": go_sources.types(parsed),
        f"{go_package}/capi.go": go_sources.calls((go / "capi.go").read_text(), parsed),
        f"{go_package}/capi_wrap.c": (go / "wrap.c").read_text(),
        f"{crate}/src/bindings.rs": rust.bindings(parsed),
        f"{crate}/src/table.rs": rust.table(parsed),
        f"{crate}/tests/fields/mod.rs": rust.fields(parsed),
    }


def write(swig):
    """Writes the committed files and says which of them changed."""
    for path, text in committed(swig).items():
        target = ROOT / path
        same = target.exists() and target.read_text(encoding="utf-8") == text
        print(f"{'as it was' if same else 'written':>9}  {path}")
        if not same:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")


def check(swig):
    """Fails with a diff if a committed file is not what is generated."""
    differing = 0
    for path, text in committed(swig).items():
        target = ROOT / path
        found = target.read_text(encoding="utf-8") if target.exists() else ""
        difference = list(
            difflib.unified_diff(found.splitlines(True), text.splitlines(True), path, "generated")
        )
        print(f"{'differs' if difference else 'same':>9}  {path}")
        sys.stdout.writelines(difference[:100])
        differing += bool(difference)
    if differing:
        raise SystemExit(f"{differing} files differ: run script/generate-bindings and commit them")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("write", "check", "python"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--swig", default=os.environ.get("FP6LLM_SWIG") or shutil.which("swig"))
    arguments = parser.parse_args()
    tools = {
        "SWIG (script/bootstrap bindings installs it)": arguments.swig,
        "gofmt (of Go)": arguments.what == "python" or shutil.which("gofmt"),
        "rustfmt (of Rust)": arguments.what == "python" or shutil.which("rustfmt"),
    }
    missing = [tool for tool, found in tools.items() if not found]
    if missing:
        print(f"not found: {', '.join(missing)}", file=sys.stderr)
        sys.exit(77 if arguments.what == "check" and not os.environ.get("CI") else 1)
    if arguments.what == "python" and arguments.out is None:
        parser.error("python takes --out")
    with tempfile.TemporaryDirectory() as scratch:
        swig = Swig(arguments.swig, scratch)
        if arguments.what == "python":
            python(swig, arguments.out)
        else:
            {"write": write, "check": check}[arguments.what](swig)


if __name__ == "__main__":
    main()
