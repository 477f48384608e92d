"""Options by name: the strings that stand for the C ABI's enumerations."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from ._enums import ComputeType
from .errors import InvalidValueError


def names(enum: type[IntEnum], prefix: str = "") -> dict[str, int]:
    """Lower-case names of an enumeration, those that start with `prefix` also without it."""
    found = {}
    for member in enum:
        name = member.name.lower()
        found[name] = int(member)
        if prefix and name.startswith(prefix):
            found[name.removeprefix(prefix)] = int(member)
    return found


#: What a compute type is called: "32f", "fast_16f", "fast_8i".
COMPUTE_NAMES = {
    name.removeprefix("compute_32f_").removeprefix("compute_"): value
    for name, value in names(ComputeType).items()
}

_names: dict[type[IntEnum], dict[str, int]] = {}


def choice(option: str, enum: type[IntEnum], value: Any, known: dict[str, int] | None = None) -> int:
    """The number that a name or a member of an enumeration stands for.

    A number is passed on as it is: the library says what is wrong with it.
    """
    if isinstance(value, str):
        if known is None:
            known = _names.get(enum)
            if known is None:
                known = _names[enum] = names(enum)
        number = known.get(value.lower())
        if number is None:
            raise InvalidValueError(f"{option} = {value!r} is not one of {', '.join(known)}")
        return number
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{option} must be a str or {enum.__name__}, not {type(value).__name__}")
    return int(value)


def size(name: str, value: Any) -> int:
    """A size or count as a Python integer; numbers of other types and negative ones are refused."""
    try:
        number = value.__index__()
    except AttributeError:
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}") from None
    if not 0 <= number < 1 << 63:
        raise InvalidValueError(f"{name} = {number} is not in 0 .. 2^63 - 1")
    return number


def matrix_shape(shape: Any) -> tuple[int, int]:
    """(rows, cols) of a weight."""
    try:
        rows, cols = shape
    except (TypeError, ValueError):
        raise TypeError(f"shape must be (rows, cols), not {shape!r}") from None
    return size("rows", rows), size("cols", cols)
