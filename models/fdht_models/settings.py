"""Settings from outside: checks of single values, and sections read into dataclasses.

A dataclass field carries its check in its metadata: `field(metadata={"check": whole(1, 9)})`.
A check maps (value, dotted path) to the value as it is kept, or raises a ConfigError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from numbers import Integral, Real
from typing import Any, TypeVar

from fdht_models.errors import ConfigError, near_matches

Section = TypeVar("Section")

_REMEDY = "change it in the experiment"


def whole(least: int, most: int, remedy: str | None = _REMEDY) -> Callable[[object, str], int]:
    """A check for whole numbers from `least` to `most`, also those of NumPy."""

    def check(value: object, path: str) -> int:
        if (
            isinstance(value, bool)
            or not isinstance(value, Integral)
            or not least <= int(value) <= most
        ):
            raise _refusal(f"must be a whole number from {least} to {most}", path, value, remedy)
        return int(value)

    return check


def number(
    above: float, most: float, remedy: str | None = _REMEDY
) -> Callable[[object, str], float]:
    """A check for real numbers greater than `above` and at most `most`, also those of NumPy.

    What is no number of either (NaN) lies nowhere, so it is refused.
    """

    def check(value: object, path: str) -> float:
        # A type checker knows nothing of Real that compares.
        real: Any = value
        if isinstance(value, bool) or not isinstance(value, Real) or not above < real <= most:
            problem = f"must be a number above {above:g} and at most {most:g}"
            raise _refusal(problem, path, value, remedy)
        return float(value)

    return check


def text(*choices: str) -> Callable[[object, str], str]:
    """A check for texts that are not empty, and one of `choices` if there are any."""

    def check(value: object, path: str) -> str:
        if not isinstance(value, str) or not value:
            raise _refusal("must be a text", path, value)
        if choices and value not in choices:
            raise ConfigError(
                "is not known", field=path, value=value, remedy=near_matches(value, choices)
            )
        return value

    return check


def whole_list(least: int, most: int) -> Callable[[object, str], tuple[int, ...]]:
    """A check for lists of whole numbers, which must not be empty; gives a tuple."""

    def check(value: object, path: str) -> tuple[int, ...]:
        if not isinstance(value, list | tuple) or not value:
            raise _refusal("must be a list of whole numbers", path, value)
        one = whole(least, most)
        return tuple(one(item, f"{path}[{place}]") for place, item in enumerate(value))

    return check


def read_section(section: type[Section], table: object, path: str) -> Section:
    """A dataclass from a table; None stands for the default.

    Raises:
        ConfigError: `table` is no table, or a key is unknown, missing or has an impossible value.
    """
    if not isinstance(table, Mapping):
        raise _refusal(f"must be a table: [{path}]", path, table)
    entries = {entry.name: entry for entry in fields(section)}  # type: ignore[arg-type]
    for key in table:
        if key not in entries:
            raise ConfigError(
                "there is no such key", field=f"{path}.{key}", remedy=near_matches(key, entries)
            )
    values: dict[str, Any] = {}
    for name, entry in entries.items():
        if table.get(name) is not None:
            values[name] = entry.metadata["check"](table[name], f"{path}.{name}")
        elif entry.default is MISSING:
            raise ConfigError("is missing", field=f"{path}.{name}", remedy="add it")
    return section(**values)


def _refusal(problem: str, path: str, value: object, remedy: str | None = _REMEDY) -> ConfigError:
    # An error without a value names none: None is one.
    none = ", not None" if value is None else ""
    return ConfigError(problem + none, field=path, value=value, remedy=remedy)
