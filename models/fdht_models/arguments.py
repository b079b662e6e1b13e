"""Arguments of functions that users call: each checked where it comes in, by its name.

What fits is taken as it is meant, numbers of NumPy too; anything else is one line and no TypeError
from somewhere below. A time that is not a number would make every wait endless: no moment is later.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fdht_models.errors import ConfigError
from fdht_models.settings import number, whole

Checked = TypeVar("Checked")

#: Seconds that anything may be waited for: a year.
LONGEST_SECONDS = 366 * 86_400.0
_MOST = 2**31 - 1


def seconds(value: object, field: str) -> float:
    """A time in seconds, above 0 and at most a year.

    Raises:
        ConfigError: it is none; names the field.
    """
    return _checked(number(0.0, LONGEST_SECONDS), value, field, "give a number of seconds")


def positive(value: object, field: str) -> float:
    """A number above 0 that is finite.

    Raises:
        ConfigError: it is none; names the field.
    """
    return _checked(number(0.0, sys.float_info.max), value, field, "give a finite number above 0")


def count(value: object, field: str, least: int = 1, most: int = _MOST) -> int:
    """A whole number of things.

    Raises:
        ConfigError: it is none, or out of range; names the field.
    """
    return _checked(whole(least, most), value, field, None)


def flag(value: object, field: str) -> bool:
    """True or False, also NumPy's.

    Raises:
        ConfigError: it is neither; names the field.
    """

    def check(given: object, name: str) -> bool:
        if not isinstance(given, bool):
            raise ConfigError("must be True or False", field=name)
        return given

    return _checked(check, value, field, None)


def path(value: object, field: str) -> Path:
    """A path, as such or as text.

    Raises:
        ConfigError: it is none; names the field.
    """

    def check(given: object, name: str) -> Path:
        if not isinstance(given, str | Path) or not str(given) or "\0" in str(given):
            raise ConfigError("must be a path", field=name)
        return Path(given)

    return _checked(check, value, field, "pass a pathlib.Path")


def _checked(
    check: Callable[[object, str], Checked], value: object, field: str, remedy: str | None
) -> Checked:
    """Applies a check of settings to an argument, which no experiment holds."""
    # Not imported: what has not been is nobody's, and starting takes a third of its time otherwise.
    numpy = sys.modules.get("numpy")
    plain = value.item() if numpy is not None and isinstance(value, numpy.generic) else value
    try:
        return check(plain, field)
    except ConfigError as error:
        # An error without a value names none: None is one. Long ones are no help.
        short = plain is None or isinstance(plain, str | int | float)
        shown = plain if short else type(plain).__name__
        problem = error.problem + (", not None" if value is None else "")
        raise ConfigError(problem, field=field, value=shown, remedy=remedy) from None
