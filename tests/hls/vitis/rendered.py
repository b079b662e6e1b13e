"""Renders our templates without hls4ml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fdht_hls
from fdht_models.rendering import templates

TEMPLATES = Path(fdht_hls.__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """As `fdht_hls.cpp_text.render` does."""
    return templates(TEMPLATES).get_template(template).render(**values)
