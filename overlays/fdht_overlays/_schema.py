"""Turns tables read from TOML or JSON into frozen dataclasses, and refuses what does not fit.

One rule for boards and manifests: every key is known, every value has the declared type, and a
refusal names the dotted path of the key.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from fdht_models.errors import FdhtError, near_matches

Record = TypeVar("Record")


def build_record(
    kind: type[Record], table: object, *, source: str, error: type[FdhtError], path: str = ""
) -> Record:
    """Builds the dataclass `kind` from a table.

    Args:
        kind: a dataclass whose fields are str, int, float, bool, other dataclasses, tuples of
            these, mappings from str, literals, or optional ones.
        table: what the file holds at `path`.
        source: the file, for messages.
        error: the exception to raise.
        path: dotted path of the table in the file.

    Raises:
        FdhtError: of the type `error`: an unknown or missing key, or a value of a wrong type.
    """
    if not isinstance(table, Mapping):
        raise error("must be a table", field=_place(source, path), value=table)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise error(
                "is not a known key",
                field=_place(source, _join(path, str(key))),
                remedy=near_matches(str(key), fields),
            )
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        place = _join(path, name)
        if name in table:
            values[name] = _value(hints[name], table[name], source, error, place)
        elif field.default is dataclasses.MISSING and (
            field.default_factory is dataclasses.MISSING
        ):
            raise error("is missing", field=_place(source, place), remedy="add it")
    try:
        return kind(**values)
    except FdhtError as problem:
        # The record's own check does not know where the record stands: put the place before it.
        raise error(
            problem.problem,
            field=_place(source, _join(path, problem.field or "")),
            value=problem.value,
            remedy=problem.remedy,
        ) from problem


def _value(hint: Any, value: object, source: str, error: type[FdhtError], place: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        inner = [argument for argument in arguments if argument is not type(None)]
        return _value(inner[0], value, source, error, place)
    if origin is typing.Literal:
        if value not in arguments:
            choices = [str(argument) for argument in arguments]
            remedy = near_matches(str(value), choices)
            raise error("is not allowed", field=_place(source, place), value=value, remedy=remedy)
        return value
    if origin is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise error("must be a list", field=_place(source, place), value=value)
        return tuple(
            _value(arguments[0], item, source, error, f"{place}[{index}]")
            for index, item in enumerate(value)
        )
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise error("must be a table", field=_place(source, place), value=value)
        return {
            str(key): _value(arguments[1], item, source, error, _join(place, str(key)))
            for key, item in value.items()
        }
    if dataclasses.is_dataclass(hint):
        return build_record(hint, value, source=source, error=error, path=place)  # type: ignore[arg-type]
    return _scalar(hint, value, source, error, place)


def _scalar(hint: type[Any], value: object, source: str, error: type[FdhtError], place: str) -> Any:
    # bool is an int in Python, but `lut = true` is a mistake.
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise error(f"must be of type {hint.__name__}", field=_place(source, place), value=value)


def _join(path: str, key: str) -> str:
    return ".".join(part for part in (path, key) if part)


def _place(source: str, path: str) -> str:
    return f"{source}: {path}" if path else source
