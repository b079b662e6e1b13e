"""What commands print for programs; for people there is `fdht_models.console`."""

from __future__ import annotations

import json
from typing import Any


def emit(value: Any) -> None:
    """Prints JSON for programs."""
    print(json.dumps(value, indent=1, allow_nan=False))
