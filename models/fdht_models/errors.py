"""The one exception family of the project.

A user's mistake ends in one line that names the field, the value and the remedy, and in exit
code 2. Everything that is raised on purpose derives from `FdhtError`; any other exception is a
defect of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FdhtError(Exception):
    """An error with a remedy.

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
        subject = ""
        if field is not None:
            subject = f"{field}: " if value is None else f"{field} = {value!r}: "
        message = subject + problem + (f"; {remedy}" if remedy else "")
        super().__init__(" ".join(message.split()))


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


def near_matches(value: str, choices: Iterable[str]) -> str:
    """Returns "did you mean 'a' or 'b'?" or, with no near match, the list of all choices."""
    names = sorted(choices)
    close = difflib.get_close_matches(value, names, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(name) for name in close) + "?"
    return "choose one of " + ", ".join(names) if names else "there is none to choose from"
