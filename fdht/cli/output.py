"""What commands print: JSON for programs, or a table or lines for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from fdht_models.console import output

Result = TypeVar("Result")


def emit(value: Any) -> None:
    """Prints JSON for programs."""
    print(json.dumps(value, indent=1, allow_nan=False))


def tell(result: Result, as_json: bool, shown: Callable[[Result], Any]) -> None:
    """Prints a result as JSON, or as people read it.

    Args:
        result: what JSON can hold.
        as_json: for programs.
        shown: makes of it lines, or what Rich prints, such as a table.
    """
    if as_json:
        emit(result)
        return
    found = shown(result)
    if isinstance(found, list):
        print("\n".join(found))
    else:
        output().print(found)
