"""The one exception family of the project.

A user's mistake ends in one line that names the field, the value and the remedy, and in exit
code 2. Everything that is raised on purpose derives from `FdhtError`; any other exception is a
defect of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

#: Characters of an error's line, of its parts without what joins them, and of a value in it.
MOST_CHARACTERS = 400
_MOST_PARTS = MOST_CHARACTERS - len(" = : ; ")
_MOST_VALUE = 120
#: What is left of a part at least.
_LEAST_PART = 60


class FdhtError(Exception):
    """An error with a remedy.

    Its line has at most `MOST_CHARACTERS`: of the longest part, often a value or what a tool said,
    both ends are shown. The attributes hold all of it.

    Args:
        problem: what is wrong, as a clause ("must be a power of two").
        field: the setting, file or argument concerned, with its dotted path where it has one.
        value: what was found there.
        remedy: what the user can do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        field: str | None = None,
        value: object = None,
        remedy: str | None = None,
    ) -> None:
        self.problem = problem
        self.field = field
        self.value = value
        self.remedy = remedy
        subject = [] if field is None else [field]
        if field is not None and value is not None:
            subject.append(shortened(_represented(value), _MOST_VALUE))
        rest = [problem, remedy] if remedy else [problem]
        line = _line(subject, rest)
        if len(line) > MOST_CHARACTERS:
            parts = _fitting([*subject, *rest])
            line = _line(parts[: len(subject)], parts[len(subject) :])
        super().__init__(line)

    def moved(self, kind: type[FdhtError] | None = None, **changes: Any) -> FdhtError:
        """The same error as seen from elsewhere.

        Args:
            kind: of another type.
            changes: another problem, field, value or remedy.
        """
        given = {"field": self.field, "value": self.value, "remedy": self.remedy, **changes}
        problem = given.pop("problem", self.problem)
        return (kind or type(self))(problem, **given)


class ConfigError(FdhtError):
    """An experiment, board or command-line setting that cannot be used."""


class ShapeError(FdhtError):
    """Modes, ranks or arrays whose shapes do not fit together."""


class NumericError(FdhtError):
    """A value that a fixed-point format or an accumulator cannot hold."""


class DataError(FdhtError):
    """A data set or video that cannot be read."""


class ArtifactError(FdhtError):
    """A stage directory or file of ours that is missing, damaged, stale or cannot be written."""


class ConversionError(FdhtError):
    """A model that cannot be turned into hardware, or whose C++ does not compile."""


class EqualityError(FdhtError):
    """Two of the four implementations disagree in at least one integer."""


class ToolError(FdhtError):
    """A program that is missing, too old, or that failed."""


class DeviceError(FdhtError):
    """The board, real or simulated, does not do what the manifest promises."""


class DeviceTimeoutError(DeviceError):
    """The board did not answer within the time allowed."""


class MeasurementError(FdhtError):
    """A measurement that would not be worth its figure."""


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """A text of one line of at most `most` characters: of a longer one both ends and its length."""
    line = _folded(text)
    if len(line) <= most:
        return line
    mark = f" .. ({len(line):,} characters) .. "
    kept = max(most, _LEAST_PART) - len(mark)
    return line[: kept - kept // 2] + mark + line[len(line) - kept // 2 :]


def printable(text: str) -> str:
    """A text of one line: what a terminal would obey, as a line's end in a name, is escaped."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def first_line(error: BaseException) -> str:
    """The first line of what an error of a library says, or else its type."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _line(subject: Sequence[str], rest: Sequence[str]) -> str:
    message = "; ".join(rest)
    return _folded(f"{' = '.join(subject)}: {message}" if subject else message)


def _fitting(parts: Sequence[str]) -> list[str]:
    """The parts of a line, the longest of them shortened until all of them fit."""
    found = [_folded(part) for part in parts]
    while (excess := sum(map(len, found)) - _MOST_PARTS) > 0:
        longest = max(range(len(found)), key=lambda place: len(found[place]))
        found[longest] = shortened(found[longest], len(found[longest]) - excess)
    return found


def _folded(text: object) -> str:
    return printable(" ".join(str(text).split()))


def _represented(value: object) -> str:
    try:
        return repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or an integer of too many digits
        return f"a {type(value).__name__} that cannot be shown"


def near_matches(value: str, choices: Iterable[str]) -> str:
    """Returns "did you mean 'a' or 'b'?" or, with no near match, the list of all choices."""
    names = sorted(choices)
    close = difflib.get_close_matches(value, names, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(name) for name in close) + "?"
    return "choose one of " + ", ".join(names) if names else "there is none to choose from"


def require_known(
    value: object,
    known: Collection[str],
    field: str,
    problem: str = "is not known",
    *,
    shown: bool = True,
    hint: str = "",
) -> None:
    """Refuses a name that is not among those that are known, with those that are alike.

    Args:
        value: the name.
        known: all that there are.
        field: what is named so.
        problem: what is wrong with another.
        shown: show the value, where the field does not.
        hint: what else can be done, behind the names.

    Raises:
        ConfigError: it is another.
    """
    if value not in known:
        remedy = near_matches(str(value), known) + hint
        raise ConfigError(problem, field=field, value=value if shown else None, remedy=remedy)


def require_least(value: float, least: float, field: str) -> None:
    """Refuses a number below the least that can be used.

    Raises:
        ConfigError: it is.
    """
    if value < least:
        why = f"must be at least {least}"
        raise ConfigError(why, field=field, value=value, remedy="choose more")
