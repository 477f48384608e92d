"""The exceptions of the library, one per status of the C ABI.

The generated module `_capi` raises them through `from_status`.
"""

from __future__ import annotations

from ._enums import Status

__all__ = [
    "AllocFailedError",
    "ArchMismatchError",
    "ExecutionFailedError",
    "Fp6llmError",
    "InternalError",
    "InvalidValueError",
    "MappingError",
    "NotInitializedError",
    "NotSupportedError",
    "from_status",
]


class Fp6llmError(Exception):
    """A call of the library failed; `detail` says which argument was wrong and how."""

    status: int = Status.INTERNAL_ERROR

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class NotInitializedError(Fp6llmError):
    """The handle is closed or was not made by this library."""

    status = Status.NOT_INITIALIZED


class AllocFailedError(Fp6llmError, MemoryError):
    """Out of host or device memory; nothing was left behind."""

    status = Status.ALLOC_FAILED


class InvalidValueError(Fp6llmError, ValueError):
    """An argument is wrong."""

    status = Status.INVALID_VALUE


class ArchMismatchError(Fp6llmError):
    """This processor or device cannot run what was asked."""

    status = Status.ARCH_MISMATCH


class MappingError(Fp6llmError):
    """Device memory could not be reached."""

    status = Status.MAPPING_ERROR


class ExecutionFailedError(Fp6llmError):
    """A launch or a caller's parallel-for failed."""

    status = Status.EXECUTION_FAILED


class InternalError(Fp6llmError):
    """A bug in the library."""

    status = Status.INTERNAL_ERROR


class NotSupportedError(Fp6llmError, NotImplementedError):
    """Valid, but this build or backend cannot do it."""

    status = Status.NOT_SUPPORTED


_BY_STATUS = {
    int(error.status): error
    for error in (
        NotInitializedError,
        AllocFailedError,
        InvalidValueError,
        ArchMismatchError,
        MappingError,
        ExecutionFailedError,
        InternalError,
        NotSupportedError,
    )
}


def from_status(status: int, detail: str) -> Fp6llmError:
    """The exception of a status; one that this version does not know becomes an Fp6llmError."""
    known = _BY_STATUS.get(status)
    if known is not None:
        return known(detail)
    error = Fp6llmError(detail)
    error.status = status
    return error
