"""Texts from templates: one set of rules for C++, Tcl, shell and HTML."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


@cache
def templates(
    *directories: Path, html: bool = False, filters: tuple[Callable[..., object], ...] = ()
) -> jinja2.Environment:
    """Templates of directories, the first one first; an undefined name is an error.

    Lines of nothing but a statement leave none behind.

    Args:
        directories: where they lie.
        html: escape what is filled in.
        filters: functions that templates call by their names.
    """
    # Here, for jinja2 comes with the extras `hls` and `board` alone.
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(directories),
        undefined=jinja2.StrictUndefined,
        autoescape=html,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {own.__name__: own for own in filters}
    return found
