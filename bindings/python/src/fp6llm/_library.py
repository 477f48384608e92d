"""What the library is and where it can work: version, build, devices, log."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import _capi
from ._enums import Backend
from ._options import choice

_native = _capi._native


@dataclass(frozen=True)
class DeviceInfo:
    """A device: the CPU, or a GPU. Memory and cache in bytes; 0 where unknown or not applicable."""

    backend: Backend
    ordinal: int
    name: str
    #: CPU: whose kernels are in use ("avx2"). CUDA: "sm_90".
    isa: str
    compute_capability: tuple[int, int]
    #: Multiprocessors of a GPU, CPUs that this process may use.
    multiprocessors: int
    driver_version: int
    total_memory: int
    shared_memory_per_block: int
    l2_cache: int


def devices(backend: str | Backend = "auto") -> list[DeviceInfo]:
    """The devices of a backend, or, by default, the CPU and every GPU. Loads the CUDA driver."""
    wanted = choice("backend", Backend, backend)
    found = []
    for one in (Backend.CPU, Backend.CUDA):
        if wanted not in (Backend.AUTO, one):
            continue
        for ordinal in range(_native.fp6llmGetDeviceCount(one)):
            c = _native.fp6llmGetDeviceInfo(one, ordinal)
            info = DeviceInfo(
                backend=one,
                ordinal=ordinal,
                name=c.name,
                isa=c.isa,
                compute_capability=(c.computeCapabilityMajor, c.computeCapabilityMinor),
                multiprocessors=c.multiprocessorCount,
                driver_version=c.driverVersion,
                total_memory=c.totalMemory,
                shared_memory_per_block=c.sharedMemoryPerBlock,
                l2_cache=c.l2CacheBytes,
            )
            found.append(info)
    return found


def version() -> str:
    """The version of the C library in use, "major.minor.patch"."""
    return _native.fp6llmGetVersionString()


def build_info() -> dict[str, Any]:
    """Compilers, instruction sets, CUDA architectures and options the C library was built with."""
    return json.loads(_native.fp6llmGetBuildInfo())


def set_logger(receiver: Callable[[int, str], None] | None) -> None:
    """Installs the process-wide receiver of log messages, `receiver(level, message)`; None removes it.

    `level` is a LogLevel. It may be called from any thread, and must not call this library.
    """
    _native.fp6llmSetLogger(receiver)
