"""python -m fp6llm quantize goes on where it was killed, interrupted or out of disk, to the same bytes."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest
from fp6llm.__main__ import main


def quantize(*arguments):
    return main(["quantize", *map(str, arguments), "--threads", "1"])


# Runs the command and kills itself before the given unit of work, which a run's end counts as the last.
KILLED = """
import os, signal, sys
import fp6llm._quantize_command as command
import fp6llm._quantize_job as job
from fp6llm.__main__ import main
job._SYNC_SECONDS = 0
left = int(sys.argv[1])
class Bar(command.ProgressBar):
    def __call__(self, *_):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
command.ProgressBar = Bar
sys.exit(main(sys.argv[2:]))
"""


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_goes_on_where_it_was_killed(model, tmp_path, capsys):
    folder, tensors = model
    expected = tmp_path / "expected"
    options = ("--format", "auto", "--scale", "mx", "--threads", "1")
    assert quantize(folder, expected, *options) == 0
    capsys.readouterr()
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED]
    kills = 0
    # Three units further each time; resumed ones do not count.
    while True:
        run = subprocess.run(
            [*command, "3", "quantize", folder, out, *options], capture_output=True, text=True, check=False
        )
        if run.returncode == 0:
            break
        assert run.returncode == -signal.SIGKILL, run.stderr
        kills += 1
        assert not out.exists() and (tmp_path / "out.incomplete").exists()
    # 5 tensors are copied; 14 layers are 8 units: q, k and v; o; gate and up; down; twice.
    assert kills == (len(tensors) - 14 + 8) // 3
    done = int(run.stdout.split()[0])
    assert "tensors were done by an earlier run" in run.stdout and 0 < len(tensors) - done <= 6
    assert contents(out) == contents(expected)


def test_a_journal_is_not_trusted_blindly(model, tmp_path, capsys):
    folder, _ = model
    out, work = tmp_path / "out", tmp_path / "out.incomplete"
    journal = work / "quantize.journal"
    kill = [sys.executable, "-c", KILLED, "9", "quantize", folder, out]
    subprocess.run([*kill, "--threads", "1"], capture_output=True, check=False)
    whole = journal.read_bytes()
    assert quantize(folder, out, "--scale", "mx") == 1
    assert "different options" in capsys.readouterr().err and journal.read_bytes() == whole
    assert quantize(folder, out, "--exclude", "*.q_proj") == 1
    assert "different layers" in capsys.readouterr().err
    os.utime(folder / "model-00001-of-00002.safetensors", (1, 1))
    assert quantize(folder, out) == 1
    assert "different input" in capsys.readouterr().err
    # With another time of the input it is another job; make it this one's again, and hurt its end.
    journal.write_bytes(b"")
    for path in list(work.iterdir()):
        if path != journal:
            path.unlink()
    subprocess.run([*kill, "--threads", "1"], capture_output=True, check=False)
    lines = journal.read_bytes().split(b"\n")
    journal.write_bytes(b"\n".join([*lines[:-2], b'{"layer": 3}', b'{"copied": "half']))
    assert quantize(folder, out) == 0
    assert f"{len(lines) - 3} tensors were done" in capsys.readouterr().out
    assert quantize(folder, tmp_path / "again") == 0
    assert contents(out) == contents(tmp_path / "again")


def test_lost_data_is_written_again(model, tmp_path, capsys):
    folder, _ = model
    out, work = tmp_path / "out", tmp_path / "out.incomplete"
    kill = [sys.executable, "-c", KILLED, "99", "quantize", folder, out, "--threads", "1"]
    subprocess.run([kill[0], "-c", KILLED, "12", *kill[4:]], capture_output=True, check=False)
    (work / "model-00001-of-00002.safetensors.incomplete").unlink()
    assert quantize(folder, out, "--verify") == 0


# 5 tensors are copied, 14 are codes and scales; the last two of the 35 writes are headers.
@pytest.mark.parametrize("call", (1, 8, 21, 33, 34, 35))
def test_goes_on_after_a_full_disk(model, tmp_path, capsys, monkeypatch, call):
    folder, _ = model
    out = tmp_path / "out"
    assert quantize(folder, tmp_path / "expected") == 0
    original, calls = os.pwrite, []

    def pwrite(*arguments):
        calls.append(1)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(*arguments)

    monkeypatch.setattr("os.pwrite", pwrite)
    capsys.readouterr()
    assert quantize(folder, out) == 1
    assert "No space left on device" in capsys.readouterr().err and not out.exists()
    assert quantize(folder, out, "--verify") == 0
    assert contents(out) == contents(tmp_path / "expected")


@pytest.mark.parametrize("call", range(1, 8))
def test_goes_on_when_only_names_are_missing(model, tmp_path, capsys, monkeypatch, call):
    """The end: files get their names, config.json and the others are written, the folder gets its name."""
    folder, tensors = model
    out = tmp_path / "out"
    assert quantize(folder, tmp_path / "expected") == 0
    calls = []
    steps = {"replace": os.replace, "rename": os.rename, "fsync": os.fsync}
    for name, step in steps.items():

        def counted(*arguments, step=step, name=name):
            if name != "fsync" or (tmp_path / "out.incomplete" / "model-00001-of-00002.safetensors").exists():
                calls.append(1)
            if len(calls) == call:
                calls.append(1)
                raise KeyboardInterrupt
            return step(*arguments)

        monkeypatch.setattr(f"os.{name}", counted)
    assert quantize(folder, out) == 130 and not out.exists()
    monkeypatch.undo()
    assert quantize(folder, out, "--verify") == 0
    assert f"{len(tensors)} tensors were done by an earlier run" in capsys.readouterr().out
    assert contents(out) == contents(tmp_path / "expected")


def test_two_at_once(model, tmp_path, capsys):
    folder, _ = model
    out, work = tmp_path / "out", tmp_path / "out.incomplete"
    work.mkdir()
    with (work / "quantize.journal").open("wb") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        assert quantize(folder, out) == 1
    assert "another process is writing" in capsys.readouterr().err
    assert quantize(folder, out) == 0


def test_interrupted_by_the_keyboard(model, tmp_path):
    folder, _ = model
    code = KILLED.replace("os.kill(os.getpid(), signal.SIGKILL)", "raise KeyboardInterrupt")
    command = [sys.executable, "-c", code, "3", "quantize", folder, tmp_path / "out", "--threads", "1"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 130 and "goes on where it stopped" in run.stderr and "Traceback" not in run.stderr
