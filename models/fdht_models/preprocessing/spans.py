"""Parts of recordings, in seconds: compared exactly."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

from fdht_models.errors import DataError

Span = tuple[float, float]

_REMEDY = "correct the clip's start and end"


def exact_span(path: Path, span: Span) -> tuple[Fraction, Fraction | None]:
    """The decimal numbers that were written: 0.1 s is a tenth, which no binary number is.

    Args:
        path: the file, for the message.
        span: [first, last) in seconds; infinity is the file's end, and becomes None.

    Raises:
        DataError: it begins before 0 or does not end after it begins.
    """
    first, last = span
    if not 0 <= first < last:
        raise DataError(
            f"cannot be cut from {_named(first)} to {_named(last)} s",
            field=str(path),
            remedy=_REMEDY,
        )
    return Fraction(str(first)), None if last == math.inf else Fraction(str(last))


def outside(path: Path, span: Span, seconds: Fraction, *, behind: bool) -> DataError:
    """A file does not hold a clip's span.

    Args:
        path: the file.
        span: of the clip.
        seconds: of the file.
        behind: the span reaches behind the file's end; otherwise it holds nothing.
    """
    end = "its end" if span[1] == math.inf else f"{_named(span[1])} s"
    found = f"{_named(span[0])} to {end}"
    why = f"ends before its clip from {found} does" if behind else f"has nothing from {found}"
    return DataError(f"{why}; it lasts {_named(seconds)} s", field=str(path), remedy=_REMEDY)


def _named(seconds: Fraction | float) -> str:
    """Seconds in words of an error, to the millisecond."""
    return f"{float(seconds):.3f}".rstrip("0").rstrip(".")
