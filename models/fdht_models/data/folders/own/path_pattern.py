"""Class, group and split of a clip from its path, by a regular expression of the user's.

An expression such as `(a+)+b` may take longer than the universe is old. Python's engine cannot be
stopped from inside, so that paths are searched by a process of its own, which is given some
seconds.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence

from fdht_models.documents import parse_json
from fdht_models.errors import ConfigError, DataError, near_matches

#: What the named groups of a pattern may be called.
GROUPS = ("class", "group", "split")

_LONGEST = 1000  # characters of an expression
_SECONDS, _SECONDS_A_PATH = 10.0, 1e-3
_SEARCH = """
import json, re, sys, warnings
warnings.simplefilter("ignore")
given = json.load(sys.stdin)
pattern = re.compile(given["pattern"])
found = (pattern.search(path) for path in given["paths"])
json.dump([None if match is None else match.groupdict() for match in found], sys.stdout)
"""


def check_pattern(value: str, field: str = "pattern") -> tuple[str, ...]:
    """Returns which of `GROUPS` an expression names.

    Raises:
        ConfigError: it is no expression, or names none of them, or another group.
    """
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        raise ConfigError(
            f"must be a text of 1 to {_LONGEST} characters",
            field=field,
            value=value,
            remedy=_example(),
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names = tuple(re.compile(value).groupindex)
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        raise ConfigError(
            f"is no regular expression ({error})", field=field, value=value, remedy=_example()
        ) from error
    for name in names:
        if name not in GROUPS:
            why = f"names a group '{name}', which means nothing here"
            raise ConfigError(why, field=field, value=value, remedy=near_matches(name, GROUPS))
    if not names:
        raise ConfigError("names no group", field=field, value=value, remedy=_example())
    return names


def search_paths(pattern: str, paths: Sequence[str]) -> list[Mapping[str, str] | None]:
    """What the named groups of a checked pattern hold in each path; None where it does not match.

    A group that took no part in a match is left out.

    Raises:
        DataError: the search takes too long.
    """
    seconds = _SECONDS + _SECONDS_A_PATH * len(paths)
    given = json.dumps({"pattern": pattern, "paths": list(paths)})
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _SEARCH],
            input=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=seconds,
            check=True,
        )
    except subprocess.TimeoutExpired:
        why = f"took longer than {seconds:.0f} s for {len(paths)} paths"
        raise _refusal(pattern, why) from None
    except (OSError, subprocess.CalledProcessError) as error:
        raise _refusal(pattern, f"cannot be searched for ({error})") from error
    matches = parse_json(done.stdout, "matches", error=DataError, remedy="report this")
    return [
        None if found is None else {key: value for key, value in found.items() if value is not None}
        for found in matches
    ]


def _refusal(pattern: str, why: str) -> DataError:
    return DataError(
        why,
        field="pattern",
        value=pattern,
        remedy="write it without a repetition inside a repetition, such as (a+)+",
    )


def _example() -> str:
    return "write one such as '(?P<class>[^/]+)/(?P<group>[a-z0-9]+)_' (docs/datasets.md)"
