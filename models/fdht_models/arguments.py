"""Arguments of functions that users call: each checked where it comes in, by its name.

What fits is taken as it is meant, numbers of NumPy too; anything else is one line and no TypeError
from somewhere below. A time that is not a number would make every wait endless: no moment is later.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from fdht_models.errors import ConfigError
from fdht_models.settings import number, whole

#: Seconds that anything may be waited for: a year.
LONGEST_SECONDS = 366 * 86_400.0
_MOST = 2**31 - 1


def seconds(value: object, field: str) -> float:
    """A time in seconds, above 0 and at most a year.

    Raises:
        ConfigError: it is none; names the field.
    """
    return number(0.0, LONGEST_SECONDS, "give a number of seconds")(value, field)


def count(value: object, field: str, least: int = 1, most: int = _MOST) -> int:
    """A whole number of things.

    Raises:
        ConfigError: it is none, or out of range; names the field.
    """
    return whole(least, most, None)(value, field)


def flag(value: object, field: str) -> bool:
    """True or False, also NumPy's.

    Raises:
        ConfigError: it is neither; names the field.
    """
    if not isinstance(value, bool | np.bool_):
        raise ConfigError(
            "must be True or False", field=field, value=_shown(value), remedy="pass one of them"
        )
    return bool(value)


def path(value: Any, field: str) -> Path:
    """A path, as such or as text.

    Raises:
        ConfigError: it is none; names the field.
    """
    if not isinstance(value, str | os.PathLike) or not (isinstance(found := os.fspath(value), str)):
        raise ConfigError(
            "must be a path", field=field, value=_shown(value), remedy="pass a pathlib.Path"
        )
    return Path(found)


def _shown(value: object) -> str:
    """What a value is, where its contents would be too long for a line."""
    short = value is None or isinstance(value, str | int | float)
    return str(value) if short else type(value).__name__
