"""`clips.csv`: what a user says of the clips of a folder, a line a clip."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fdht_models.csv_lines import csv_lines
from fdht_models.data.folders.listing import Span
from fdht_models.errors import DataError, near_matches
from fdht_models.files import read_text_file

COLUMNS = ("path", "class", "group", "split", "start", "end")
_SPLITS = ("train", "test", "")
MICROSECONDS = 1_000_000
#: Seconds with up to six digits behind the point, so that a time is a whole number of microseconds.
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
#: In place of an end that is not stated: later than any file ends.
OPEN_END = 10**15
_REMEDY = "correct the line; docs/datasets.md describes the table"


@dataclass(frozen=True)
class ClipRow:
    """One line of the table.

    Attributes:
        line: its number in the file, from 1.
        path: of the file, or the folder of pictures, relative to the folder of all.
        name: the class; "" where the table does not say.
        group: what must stay in one split; "" where the table does not say.
        split: "train", "test" or "" for neither.
        span: [start, end) in microseconds; None for the whole file.
    """

    line: int
    path: str
    name: str = ""
    group: str = ""
    split: str = ""
    span: Span | None = None


@dataclass(frozen=True)
class ClipTable:
    """All lines.

    Attributes:
        columns: those that are there.
        rows: in the order of the file.
    """

    columns: tuple[str, ...]
    rows: tuple[ClipRow, ...]

    @property
    def by_path(self) -> Mapping[str, list[ClipRow]]:
        """The rows of each path; several are parts of one file."""
        found: dict[str, list[ClipRow]] = defaultdict(list)
        for row in self.rows:
            found[row.path].append(row)
        return found


def read_table(file: Path) -> ClipTable:
    """Reads a table: comma-separated, quoted as RFC 4180 says, UTF-8, with a header.

    Raises:
        DataError: it is no such table, or a line cannot be meant as it stands.
    """
    text = read_text_file(file, remedy="check its permissions, and save it as UTF-8")
    columns: tuple[str, ...] = ()
    rows: list[ClipRow] = []
    for line, fields in csv_lines(text, str(file)):
        if not columns:
            columns = _columns(file, line, fields)
            continue
        if len(fields) != len(columns):
            raise _refusal(
                file, line, f"has {len(fields)} fields, the header {len(columns)}",
                ",".join(fields), 'put quotes about a field with a comma in it: "a, b"',
            )  # fmt: skip
        rows.append(_row(file, line, dict(zip(columns, fields, strict=True))))
    if not columns:
        raise DataError("is empty", field=str(file), remedy="write a header: path,class,group")
    if not rows:
        raise DataError("names no clip", field=str(file), remedy="add a line a clip, or delete it")
    table = ClipTable(columns, tuple(rows))
    _refuse_doubles(file, table)
    return table


def _columns(file: Path, line: int, fields: list[str]) -> tuple[str, ...]:
    columns = tuple(field.strip() for field in fields)
    for place, column in enumerate(columns):
        if column not in COLUMNS:
            remedy = near_matches(column, COLUMNS)
            if ";" in column or "\t" in column:
                remedy = "separate the columns by commas"
            raise _refusal(file, line, "there is no such column", column, remedy)
        if column in columns[:place]:
            raise _refusal(file, line, "names a column twice", column, "leave one out")
    if "path" not in columns:
        raise _refusal(file, line, "has no column path", ",".join(columns), "add it")
    if "end" in columns and "start" not in columns:
        raise _refusal(file, line, "has a column end without a column start", None, "add start")
    return columns


def _row(file: Path, line: int, given: Mapping[str, str]) -> ClipRow:
    values = {key: value.strip() for key, value in given.items()}
    raw = given["path"]
    path = PurePosixPath(raw)
    if not values["path"] or "\x00" in raw:
        raise _refusal(file, line, "names no path", raw or None)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise _refusal(
            file, line, "leaves the folder", raw, "write paths relative to the folder, without .."
        )
    split = values.get("split", "")
    if split not in _SPLITS:
        raise _refusal(
            file, line, "there is no such split", split, "write train, test, or nothing for neither"
        )
    return ClipRow(
        line, str(path), values.get("class", ""), values.get("group", ""), split,
        _span(file, line, values.get("start", ""), values.get("end", "")),
    )  # fmt: skip


def _span(file: Path, line: int, start: str, end: str) -> Span | None:
    for name, value in (("start", start), ("end", end)):
        if value and not _SECONDS.fullmatch(value):
            raise _refusal(
                file, line, f"{name} is no number of seconds from 0, with at most 6 decimals", value
            )
    if not start:
        if end:
            raise _refusal(file, line, "has an end and no start", end, "write 0 for the beginning")
        return None
    first, last = _microseconds(start), _microseconds(end) if end else OPEN_END
    if first >= last:
        raise _refusal(file, line, "ends before it starts, or at once", f"{start},{end}")
    return first, last


def _microseconds(seconds: str) -> int:
    whole, _, part = seconds.partition(".")
    return int(whole) * MICROSECONDS + int(part.ljust(6, "0"))


def _refuse_doubles(file: Path, table: ClipTable) -> None:
    """One clip twice, or parts that share a moment and may come into both splits."""
    for parts in table.by_path.values():
        parts.sort(key=lambda row: (row.span or (0, OPEN_END), row.line))
        latest: ClipRow | None = None
        for row in parts:
            if latest is not None and (row.span or (0, 0))[0] < (latest.span or (0, OPEN_END))[1]:
                first, second = sorted((latest, row), key=lambda row: row.line)
                if row.span == latest.span:
                    raise _refusal(
                        file, second.line, f"names the clip of line {first.line} again", row.path,
                        "leave one line out",
                    )  # fmt: skip
                if (row.group, row.split) != (latest.group, latest.split):
                    raise _refusal(
                        file, second.line, f"overlaps with line {first.line}, of another group or "
                        "split", row.path, "give both one group and one split, or cut them apart",
                    )  # fmt: skip
            if latest is None or (row.span or (0, OPEN_END))[1] > (latest.span or (0, OPEN_END))[1]:
                latest = row


def _refusal(
    file: Path, line: int, why: str, value: object = None, remedy: str = _REMEDY
) -> DataError:
    return DataError(why, field=f"{file}: line {line}", value=value, remedy=remedy)


def key_of_part(path: str, span: Span) -> str:
    """What a part of a file is called: the path, and the microseconds from and to."""
    return f"{path}@{span[0]}-{'' if span[1] == OPEN_END else span[1]}"
