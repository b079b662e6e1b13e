"""Tables read from JSON or TOML into frozen dataclasses, strictly: what does not fit is refused.

One rule for everything that is read back: every key is known, every value has the declared type
(true is no 1, 6.5 no 6, null no default), numbers are finite and lie in the range that the field
allows, and a refusal names the dotted path of the key. So what is read, written again, is what was
there. A dataclass says it all: by its types, by checks in its fields' metadata (see
`fdht_models.settings`), and by what its own `__post_init__` refuses.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from fdht_models.documents import read_json_file
from fdht_models.errors import ArtifactError, ConfigError, FdhtError, near_matches

Record = TypeVar("Record")
#: Reads a value at a dotted path: what a field's metadata "read" holds, where its type is not
#: enough; it raises errors whose fields are dotted paths from there.
Reader = Callable[[object], Any]
#: Integers outside are not ours: every count, code and time stamp of a file fits.
_LARGEST = 2**63 - 1


def read_record(
    kind: type[Record],
    table: object,
    *,
    source: str = "",
    error: type[FdhtError] = ConfigError,
    path: str = "",
    remedy: str | None = None,
) -> Record:
    """Builds the dataclass `kind` from a table, or another of these types from its value.

    Args:
        kind: a dataclass whose fields are str, int, float, bool, other dataclasses, tuples and
            mappings from str of these, literals, unions of what JSON tells apart, or `Any`.
        table: what the file holds at `path`.
        source: the file, for messages; "": there is only a path.
        error: the exception to raise.
        path: dotted path of the table in the file.
        remedy: what the user can do where there is nothing better to say.

    Raises:
        FdhtError: of the type `error`: an unknown or missing key, or a value of a wrong type or
            beyond its range.
    """
    found: Record = _Place(source, error, path, remedy).value(kind, table)
    return found


def load_record(
    kind: type[Record], path: Path, *, error: type[FdhtError] = ArtifactError, remedy: str
) -> Record:
    """Builds the dataclass `kind` from a JSON file.

    Raises:
        FdhtError: of the type `error`: the file cannot be read, is no JSON, or does not fit.
    """
    value = read_json_file(path, error=error, remedy=remedy)
    return read_record(kind, value, source=str(path), error=error, remedy=remedy)


def differences(
    given: object, kept: object, path: str = ""
) -> Iterator[tuple[str, object, object]]:
    """(dotted path, given, kept) of each place where two JSON values differ; None: not there.

    Numbers are equal by their value (JSON has one kind of number), but true is no 1.
    """
    if isinstance(given, Mapping) and isinstance(kept, Mapping):
        for key in (*given, *(key for key in kept if key not in given)):
            place = f"{path}.{key}" if path else str(key)
            if key in given and key in kept:
                yield from differences(given[key], kept[key], place)
            else:
                yield place, given.get(key), kept.get(key)
    elif (
        isinstance(given, list | tuple)
        and isinstance(kept, list | tuple)
        and len(given) == len(kept)
    ):
        for at, pair in enumerate(zip(given, kept, strict=True)):
            yield from differences(*pair, f"{path}[{at}]")
    elif given != kept or isinstance(given, bool) != isinstance(kept, bool):
        yield path, given, kept


def first_difference(given: object, kept: object) -> str | None:
    """Dotted path of the first place where two JSON values differ; None: there is none."""
    return next((path for path, _, _ in differences(given, kept)), None)


class JsonRecord:
    """A dataclass that is written as JSON as `read_record` reads it back."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object of its fields."""
        return _written_fields(self)


def _written_fields(record: Any) -> dict[str, Any]:
    entries = dataclasses.fields(record)
    return {entry.name: _written(getattr(record, entry.name)) for entry in entries}


def _written(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    if dataclasses.is_dataclass(value):
        return _written_fields(value)
    if isinstance(value, Mapping):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_written(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value  # arrays and numbers of NumPy


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where in a file a value stands, and how to refuse it."""

    source: str
    error: type[FdhtError]
    path: str
    remedy: str | None

    def at(self, key: str) -> _Place:
        """A key of the table here, or, as "[3]", an item of the list."""
        dot = "" if key.startswith("[") or not self.path or not key else "."
        return dataclasses.replace(self, path=f"{self.path}{dot}{key}")

    def refusal(self, problem: str, value: object = None, remedy: str | None = None) -> FdhtError:
        field = ": ".join(part for part in (self.source, self.path) if part)
        return self.error(problem, field=field or None, value=value, remedy=remedy or self.remedy)

    def record(self, kind: type[Record], table: object) -> Record:
        if not isinstance(table, Mapping):
            raise self.refusal("must be a table", _told(table))
        fields = {field.name: field for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
        for key in table:
            if key not in fields:
                raise self.at(str(key)).refusal(
                    "there is no such key", remedy=near_matches(str(key), fields)
                )
        values: dict[str, Any] = {}
        hints = _hints(typing.cast(Any, kind))
        for name, field in fields.items():
            if name in table:
                values[name] = self.at(name).field(hints[name], field, table[name])
            elif field.default is MISSING and field.default_factory is MISSING:
                raise self.at(name).refusal("is missing", remedy=self.remedy or "add it")
        return self.own(lambda: kind(**values))

    def field(self, hint: Any, field: dataclasses.Field[Any], value: object) -> Any:
        """The value of a field by its own check or reader, if it has one, or by its type."""
        read, check = field.metadata.get("read"), field.metadata.get("check")
        if read is not None:
            return self.own(lambda: read(value))
        if check is None:
            return self.value(hint, value)
        if value is None and field.default is None:
            return None  # "not set", as `asdict` writes it
        try:
            return check(value, ": ".join(part for part in (self.source, self.path) if part))
        except FdhtError as problem:
            if type(problem) is self.error:
                raise
            raise self.error(
                problem.problem,
                field=problem.field,
                value=problem.value,
                remedy=self.remedy or problem.remedy,
            ) from problem

    def own(self, make: Callable[[], Any]) -> Any:
        """What `make` gives; its own refusals do not know where they stand."""
        try:
            return make()
        except FdhtError as problem:
            place = self.at(problem.field or "")
            raise place.refusal(problem.problem, problem.value, problem.remedy) from problem

    def value(self, hint: Any, value: object) -> Any:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if hint is Any:
            return value
        if origin in (typing.Union, types.UnionType):
            return self.value(_member(arguments, value), value)
        if origin is typing.Literal:
            # 1 == True == 1.0, so that the type is compared, too.
            if not any(value == one and type(value) is type(one) for one in arguments):
                choices = [str(one) for one in arguments]
                raise self.refusal(
                    "is not allowed", _told(value), near_matches(str(value), choices)
                )
            return value
        if origin is tuple:
            return self.sequence(arguments, value)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            if not isinstance(value, Mapping):
                raise self.refusal("must be a table", _told(value))
            return {
                str(key): self.at(str(key)).value(arguments[1], it) for key, it in value.items()
            }
        if dataclasses.is_dataclass(hint):
            return self.record(hint, value)  # type: ignore[arg-type]
        return self.scalar(hint, value)

    def sequence(self, arguments: tuple[Any, ...], value: object) -> tuple[Any, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise self.refusal("must be a list", _told(value))
        if arguments[-1] is Ellipsis:
            arguments = (arguments[0],) * len(value)
        if len(value) != len(arguments):
            raise self.refusal(f"must be a list of {len(arguments)}", _told(value))
        return tuple(
            self.at(f"[{place}]").value(hint, item)
            for place, (hint, item) in enumerate(zip(arguments, value, strict=True))
        )

    def scalar(self, hint: Any, value: object) -> Any:
        # bool is an int in Python, but `lut = true` is a mistake.
        if hint is float and type(value) in (int, float):
            number = _as_float(value)
            if number is None:
                raise self.refusal("must be a finite number that 64 bits hold", _told(value))
            return number
        if hint is type(None) and value is None:
            return None
        if type(value) is hint:
            if hint is int and abs(typing.cast(int, value)) > _LARGEST:
                raise self.refusal("is too large a number", _told(value))
            return value
        raise self.refusal(f"must be {_NAMES.get(hint, hint)}", _told(value))


_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _member(members: tuple[Any, ...], value: object) -> Any:
    """The member of a union that a value is meant to be, as far as JSON tells them apart."""

    def fits(hint: Any) -> bool:
        origin = typing.get_origin(hint)
        if hint is type(None):
            return value is None
        if hint is float:
            return type(value) in (int, float)
        if hint in (str, int, bool):
            return type(value) is hint
        if origin is tuple:
            return isinstance(value, Sequence) and not isinstance(value, str)
        if origin is typing.Literal:
            return type(value) in {type(one) for one in typing.get_args(hint)}
        return isinstance(value, Mapping)  # a dataclass, or a mapping

    fitting = [hint for hint in members if fits(hint)]
    # Nothing fits: the refusal names the first that is not null.
    return (fitting or [hint for hint in members if hint is not type(None)])[0]


def _as_float(value: Any) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number == value else None


def _told(value: object) -> object:
    """A value in a message; None would mean that there is none."""
    return _Null() if value is None else value


class _Null:
    def __repr__(self) -> str:
        return "null"
