"""Comma-separated values from outside: the one place that parses them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from fdht_models.errors import DataError


def csv_lines(text: str, source: str, separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Number, from 1, and fields of each line that is not blank; quoted as RFC 4180 says.

    Raises:
        DataError: a line is not readable as CSV.
    """
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        try:
            fields = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"is not readable as CSV ({error})",
                field=f"{source}: line {lines.line_num}",
                remedy="correct the line",
            ) from error
        if any(field.strip() for field in fields):
            yield lines.line_num, fields
