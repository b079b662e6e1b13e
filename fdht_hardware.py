"""Commands on the hardware before a board is needed, added to the front door by `register`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Adds the commands of this module to the command line."""
