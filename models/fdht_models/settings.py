"""Settings from outside: checks of single values, and sections read into dataclasses.

A dataclass field carries its check in its metadata: `field(metadata={"check": whole(1, 9)})`, or
`option(whole(1, 9))` where it may be left out.
A check maps (value, dotted path) to the value as it is kept, or raises a ConfigError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, TypeVar

from fdht_models.errors import ConfigError, require_known
from fdht_models.records import read_record

Section = TypeVar("Section")


def option(check: Callable[[object, str], Any], default: Any = None) -> Any:
    """A dataclass field that may be left out, with its check."""
    return field(default=default, metadata={"check": check})


def whole(least: int, most: int) -> Callable[[object, str], int]:
    """A check for whole numbers from `least` to `most`."""

    def check(value: object, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _refusal(f"must be a whole number from {least} to {most}", path, value)
        return value

    return check


def number(above: float, most: float) -> Callable[[object, str], float]:
    """A check for real numbers greater than `above` and at most `most`."""

    def check(value: object, path: str) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not above < value <= most
        ):
            raise _refusal(f"must be a number above {above:g} and at most {most:g}", path, value)
        return float(value)

    return check


def up_to(most: float) -> Callable[[object, str], float]:
    """A check for numbers from 0 to `most`, both included."""

    def check(value: object, path: str) -> float:
        return 0.0 if value == 0 and not isinstance(value, bool) else number(0, most)(value, path)

    return check


def text(*choices: str) -> Callable[[object, str], str]:
    """A check for texts that are not empty, and one of `choices` if there are any."""

    def check(value: object, path: str) -> str:
        if not isinstance(value, str) or not value:
            raise _refusal("must be a text", path, value)
        if choices:
            require_known(value, choices, path)
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
    """A dataclass from a table of an experiment; see `read_record`.

    Raises:
        ConfigError: `table` is no table, or a key is unknown, missing or has an impossible value.
    """
    if not isinstance(table, Mapping):
        raise _refusal(f"must be a table: [{path}]", path, table)
    return read_record(section, table, path=path)


def _refusal(problem: str, path: str, value: object) -> ConfigError:
    return ConfigError(problem, field=path, value=value, remedy="change it in the experiment")
