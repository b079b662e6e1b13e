"""JSON and TOML from outside: texts that say one thing only, or a refusal in one line.

What Python's readers let pass and then bend or drop is refused here: two entries of one name (the
first would be lost), NaN and Infinity (no JSON), numbers too large for a float or of thousands of
digits, halves of a surrogate pair (cannot be written again), and nesting that would exhaust the
stack of whatever walks through it.
"""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from fdht_models.errors import ArtifactError, ConfigError, FdhtError
from fdht_models.files import read_text_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Lists and tables within one another; our own files have at most nine, arrays of cores included.
MOST_NESTED = 64
#: A string, which may hold brackets of its own, or what opens or closes a list or table.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_SURROGATE = re.compile(r"\\u[dD][89abABcdefCDEF]")


def parse_json(
    text: str, source: str, *, error: type[FdhtError], remedy: str, strict: bool = True
) -> Any:
    """The value of a JSON text.

    Args:
        text: without a byte-order mark.
        source: the file, or what else the text is, for messages.
        error: the exception to raise.
        remedy: what the user can do about a text that cannot be used.
        strict: refuse NaN and Infinity, which Keras writes.

    Raises:
        FdhtError: of the type `error`: the text is not JSON, or JSON as the module's text says.
    """
    try:
        _check_nesting(text)
        value = json.loads(
            text,
            object_pairs_hook=_table,
            parse_constant=_refuse_constant if strict else float,
            parse_float=_finite,
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as problem:
        raise error(
            "holds half of a surrogate pair, which is no character", field=source, remedy=remedy
        ) from problem
    except ValueError as problem:
        raise error(f"is not valid JSON ({problem})", field=source, remedy=remedy) from problem
    return value


def read_json_file(path: Path, *, error: type[FdhtError] = ArtifactError, remedy: str) -> Any:
    """The value of a JSON file; see `parse_json` and `read_text_file` for what is refused."""
    text = read_text_file(path, error=error, remedy=remedy)
    return parse_json(text, str(path), error=error, remedy=remedy)


def read_toml_file(path: Path, *, field: str | None = None) -> dict[str, Any]:
    """The tables of a TOML file.

    Args:
        path: the file.
        field: the setting that names it, for messages; by default the path itself.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    try:
        text = read_text_file(path, error=ConfigError)
        _check_nesting(text)
        return tomllib.loads(text)
    except (ConfigError, ValueError, RecursionError) as problem:
        what = problem.problem if isinstance(problem, FdhtError) else f"is not TOML ({problem})"
        remedy = problem.remedy if isinstance(problem, FdhtError) else "correct the file"
        named = {"field": str(path)} if field is None else {"field": field, "value": str(path)}
        raise ConfigError(what, **named, remedy=remedy) from problem


def _check_nesting(text: str) -> None:
    if text.count("[") + text.count("{") <= MOST_NESTED:
        return
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > MOST_NESTED:
            raise ValueError(f"lists and tables are more than {MOST_NESTED} deep")


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise ValueError(f"there are two entries {twice[:60]!r} in one table")
    return table


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:60]} is too large a number")
    return number
