"""The one place that imports PyAV here: late, so that listing a folder does not need it."""

from __future__ import annotations

from typing import Any

from fdht_models.data.packages import REMEDY
from fdht_models.errors import DataError


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


def reason(error: BaseException) -> str:
    """The operating system's or FFmpeg's own words, without numbers and paths."""
    return str(getattr(error, "strerror", None) or error)
