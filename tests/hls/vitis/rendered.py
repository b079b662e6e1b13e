"""Renders our templates without hls4ml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

import fdht_hls

TEMPLATES = Path(fdht_hls.__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """As `fdht_hls.code.render` does."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)
