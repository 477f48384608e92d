"""python -m fp6llm info: what to say in a bug report."""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from . import _library
from ._enums import Backend

HELP = "versions, build options, devices"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints; returns the exit status."""
    facts = collect()
    if arguments.json:
        print(json.dumps(facts, indent=2))
        return 0
    for name, value in facts["versions"].items():
        print(f"{name:<10} {value or 'not installed'}")
    print(f"{'package':<10} {facts['package']}")
    for device in facts["devices"]:
        gigabytes = device["total_memory"] / 1e9
        units = "multiprocessors" if device["backend"] == "cuda" else "CPUs"
        print(
            f"{device['backend']}:{device['ordinal']:<5} {device['name']}, {device['isa']}, "
            f"{device['multiprocessors']} {units}, {gigabytes:.1f} GB"
        )
    if all(device["backend"] != "cuda" for device in facts["devices"]):
        print(f"{'cuda':<10} no device")
    for name, value in facts["build"].items():
        text = value if isinstance(value, str) else json.dumps(value)
        print(f"{name:<10} {text or 'none'}")
    return 0


def collect() -> dict[str, Any]:
    """What the command prints."""
    versions: dict[str, str | None] = {"fp6llm": _library.version(), "python": platform.python_version()}
    for package in ("numpy", "ml_dtypes", "torch"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    devices = [dataclasses.asdict(device) for device in _library.devices()]
    for device in devices:
        device["backend"] = Backend(device["backend"]).name.lower()
    return {
        "versions": versions,
        "package": str(Path(__file__).parent),
        "devices": devices,
        "build": _library.build_info(),
    }
