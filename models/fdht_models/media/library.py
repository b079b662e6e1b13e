"""PyAV, imported late, and the boundary at which its exceptions end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fdht_models.errors import DataError, FdhtError

REMEDY = "pip install fdht[train], or fdht[board] on a board"

Value = TypeVar("Value")


@dataclass(frozen=True)
class Failure:
    """What PyAV raised for one file.

    Attributes:
        error: the exception.
    """

    error: Exception

    @property
    def why(self) -> str:
        """The operating system's or FFmpeg's own words."""
        return reason(self.error)


def av() -> Any:
    """Returns the module `av`.

    Raises:
        DataError: PyAV is not installed.
    """
    try:
        import av as library
    except ImportError:
        raise DataError("is not installed", field="package", value="av", remedy=REMEDY) from None
    return library


def attempt(call: Callable[[], Value]) -> Value | Failure:
    """Calls PyAV about one file; whatever it raises is returned, for the file is to blame.

    PyAV raises its own errors, but also those of Python where a field of FFmpeg's is empty or holds
    what nobody expected: a missing decoder is an `AttributeError` on None, a text that is no UTF-8
    a `ValueError`, an absurd size a `MemoryError`. Only calls of PyAV belong into `call`: an error
    of this project passes through, and so does an interruption.
    """
    try:
        return call()
    except FdhtError:
        raise
    except Exception as error:
        return Failure(error)


def reason(error: BaseException) -> str:
    """The operating system's or FFmpeg's own words, without numbers and paths."""
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
