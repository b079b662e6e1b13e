"""What commands print for programs and for people."""

from __future__ import annotations

import json
from typing import Any

from fdht_models.console import output


def emit(value: Any) -> None:
    """Prints JSON for programs."""
    print(json.dumps(value, indent=1, allow_nan=False))


def show(value: Any) -> None:
    """Prints a text or a table for people; brackets in it are no markup."""
    output().print(value)
