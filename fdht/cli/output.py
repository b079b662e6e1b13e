"""What commands print for programs and for people."""

from __future__ import annotations

import json
from typing import Any


def emit(value: Any) -> None:
    """Prints JSON for programs."""
    print(json.dumps(value, indent=1, allow_nan=False))


def show(value: Any) -> None:
    """Prints a text or a table for people; brackets in it are no markup."""
    from rich.console import Console

    Console(markup=False).print(value)
