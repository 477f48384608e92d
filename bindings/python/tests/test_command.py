"""python -m fp6llm."""

import json
import platform
import subprocess
import sys

import fp6llm
import numpy


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fp6llm", *arguments], capture_output=True, text=True, check=False
    )


def test_info():
    done = run("info")
    assert (done.returncode, done.stderr) == (0, "")
    facts = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert facts["fp6llm"] == fp6llm.__version__ == fp6llm.version()
    assert facts["python"] == platform.python_version() and facts["numpy"] == numpy.__version__
    assert fp6llm.devices("cpu")[0].isa in facts["cpu:0"]


def test_info_as_json():
    facts = json.loads(run("info", "--json").stdout)
    assert facts["versions"]["fp6llm"] == fp6llm.version()
    assert facts["devices"][0]["backend"] == "cpu"
    assert facts["build"] == fp6llm.build_info() and "cpuIsas" in facts["build"]


def test_wrong_commands():
    for arguments in ((), ("nonsense",), ("info", "--nonsense")):
        done = run(*arguments)
        assert done.returncode == 2 and "usage: python -m fp6llm" in done.stderr
    assert "info" in run("--help").stdout
