"""python -m fp6llm quantize: the linear layers of a model to 6, 5 or 4 bits."""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
import time
from collections.abc import Iterable

from ._checkpoint_format import FORMAT_NAMES, WEIGHT, Layer
from ._handle import Handle
from ._quantize import QuantConfig
from ._quantize_job import Done, JobError, QuantizeJob, snr_db
from ._quantize_plan import LEFT_ALONE, make_plan
from ._quantize_sources import Source, open_source
from ._quantize_verify import verify
from ._safetensors_file import CheckpointError
from .errors import Fp6llmError

HELP = "quantize the linear layers of a model, from safetensors or GGUF"
_BAR = 24
_WIDTH = 100
_INTERVAL = 0.1
_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        textwrap.fill(
            "The model is read and written some rows at a time. An interrupted run leaves OUT.incomplete; the "
            "same command goes on where it stopped. OUT appears when it is whole.",
            _WIDTH,
        )
        + "\n\nMatrices that are left alone unless --include names them:\n"
        + textwrap.fill(", ".join(LEFT_ALONE), _WIDTH, break_on_hyphens=False)
        + "\n\nExit status: 0; 1 if model or output are at fault; 2 for wrong arguments; 130 when interrupted."
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a folder with .safetensors files, one such file, or a .gguf file"
    )
    parser.add_argument("output", metavar="OUT", help="the folder to make; must not exist")
    parser.add_argument(
        "--format",
        choices=sorted(FORMAT_NAMES.values()),
        default="e3m2",
        help="number format; auto: e3m2 or e2m3 for each layer, whichever errs less, the same for layers "
        "that are run as one (q, k, v; gate, up; the experts of a layer). Default: e3m2",
    )
    parser.add_argument(
        "--scale",
        type=_scale,
        default="row",
        metavar="row|mx|N",
        help="a scale per row, a power of two per 32 columns (with a 6- or 4-bit format: an AMD Quark "
        "checkpoint), or a scale per N columns. Default: row",
    )
    parser.add_argument(
        "--scale-type", choices=("f32", "f16"), default="f32", help="type of row and group scales. Default: f32"
    )
    parser.add_argument(
        "--mx-scale-rule",
        choices=("even", "floor", "rceil"),
        default="even",
        help="how MX scales are chosen: as AMD Quark does, as OCP MX 1.0 says, or so that nothing is clipped. "
        "Default: even",
    )
    parser.add_argument(
        "--scale-search",
        type=int,
        default=0,
        metavar="N",
        help="also try N smaller scales, the best wins. Default: 0",
    )
    parser.add_argument(
        "--non-finite",
        choices=("error", "saturate"),
        default="error",
        help="what NaN and infinity among the weights do. Default: error",
    )
    for option, what in (("include", "quantize"), ("exclude", "leave alone")):
        parser.add_argument(
            f"--{option}",
            action="append",
            default=[],
            metavar="PATTERN",
            help=f"{what} the matrices of this name too, shell wildcards allowed; may be repeated"
            + ("; wins over --include" if option == "exclude" else ""),
        )
    parser.add_argument(
        "--gguf-names", action="store_true", help="keep GGUF's tensor names instead of Hugging Face's"
    )
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads. Default: all")
    parser.add_argument(
        "--verify", action="store_true", help="read the result back and compare it with the model"
    )


def _scale(text: str) -> str | int:
    if text in {"row", "mx"}:
        return text
    if not re.fullmatch(r"\d{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not row, mx or a group size")
    return int(text)


def _config(arguments: argparse.Namespace) -> QuantConfig:
    scale = arguments.scale
    config = QuantConfig(
        format=arguments.format,
        scale=scale if isinstance(scale, str) else "group",
        group_size=0 if isinstance(scale, str) else scale,
        scale_type="float16" if arguments.scale_type == "f16" and scale != "mx" else None,
        mx_scale_rule=arguments.mx_scale_rule,
        non_finite=arguments.non_finite,
        scale_search=arguments.scale_search,
    )
    config.sizes(1, 1)
    return config


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns the exit status."""
    try:
        config = _config(arguments)
        handle = Handle("cpu", threads=arguments.threads)
    except Fp6llmError as error:
        return _fail(str(error), 2)
    try:
        with handle:
            return _run(arguments, config, handle)
    except (CheckpointError, JobError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or arguments.output}: {error.strerror}")
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on where it stopped", _INTERRUPTED)


def _fail(message: str, status: int = 1) -> int:
    print(f"python -m fp6llm quantize: {message}", file=sys.stderr)
    return status


def _run(arguments: argparse.Namespace, config: QuantConfig, handle: Handle) -> int:
    source = open_source(arguments.model, hf_names=not arguments.gguf_names)
    try:
        plan = make_plan(source, config, arguments.include, arguments.exclude)
        for pattern in plan.unused:
            if pattern in arguments.include:
                return _fail(f"--include {pattern}: no matrix of that name", 2)
            print(f"--exclude {pattern}: no matrix of that name", file=sys.stderr)
        if not plan.layers:
            return _fail(f"{arguments.model} has nothing to quantize")
        job = QuantizeJob(source, plan, config, arguments.output, handle)
        bar = ProgressBar()
        try:
            job.run(bar, (lambda folder: verify(job, folder)) if arguments.verify else None)
        finally:
            bar.clear()
        if job.resumed:
            print(f"{job.resumed} tensors were done by an earlier run")
        for line in table(source, job.layers(), job.done):
            print(line)
        print(f"{arguments.output}: {'written and verified' if arguments.verify else 'written'}")
    finally:
        source.close()
    return 0


class ProgressBar:
    """One line on stderr; nothing where that is no terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._start = time.monotonic()
        self._last = 0.0
        self._first: int | None = None

    def __call__(self, done: int, total: int, name: str) -> None:
        now = time.monotonic()
        if not self._shown or (now - self._last < _INTERVAL and done < total):
            return
        if self._first is None:
            self._first, self._start = done, now  # what an earlier run did took no time of this one
        self._last = now
        part = done / total if total else 1.0
        speed = (done - self._first) / max(now - self._start, 1e-3)
        left = f"{(total - done) / speed:.0f} s left" if speed else ""
        bar = "#" * int(part * _BAR)
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or _WIDTH
        line = f"[{bar:{_BAR}}] {part:4.0%} {_size(done)} of {_size(total)}, {_size(speed)}/s {left} {name}"
        sys.stderr.write("\r\x1b[K" + line[: max(columns - 1, 0)])
        sys.stderr.flush()

    def clear(self) -> None:
        """Leaves the terminal as it was."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.2f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def table(source: Source, layers: dict[str, Layer], done: dict[str, Done]) -> Iterable[str]:
    """What became of the layers, those of like name together, and of all other tensors."""
    kinds: dict[str, list[str]] = {}
    for name in layers:
        kinds.setdefault(re.sub(r"\d+", "*", name), []).append(name)
    rows = [("layers", "number", "format", "before", "after", "SNR dB", "worst")]
    before_all = after_all = 0
    for kind, names in kinds.items():
        before = sum(source.tensors[name + WEIGHT].nbytes for name in names)
        after = sum(layers[name].nbytes for name in names)
        formats = [layers[name].format for name in names]
        found = sorted(set(formats))
        shown = found[0] if len(found) == 1 else " ".join(f"{name}:{formats.count(name)}" for name in found)
        total = snr_db(sum(done[name].signal for name in names), sum(done[name].noise for name in names))
        worst = min(done[name].snr_db for name in names)
        rows.append((kind, str(len(names)), shown, _size(before), _size(after), f"{total:.1f}", f"{worst:.1f}"))
        before_all, after_all = before_all + before, after_all + after
    others = [tensor for name, tensor in source.tensors.items() if name.removesuffix(WEIGHT) not in layers]
    other_before = sum(tensor.nbytes for tensor in others)
    other_after = sum(tensor.copied_nbytes for tensor in others)
    rows.append(("all other tensors", str(len(others)), "", _size(other_before), _size(other_after), "", ""))
    before_all, after_all = before_all + other_before, after_all + other_after
    rows.append(("total", str(len(source.tensors)), "", _size(before_all), _size(after_all), "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [f"{cell:<{width}}" if column in (0, 2) else f"{cell:>{width}}"
                 for column, (cell, width) in enumerate(zip(row, widths, strict=True))]  # fmt: skip
        yield "  ".join(cells).rstrip()
    saturated = sum(entry.saturated for entry in done.values())
    if saturated:
        yield f"{saturated} weights lie outside the range of their scales and were saturated"
