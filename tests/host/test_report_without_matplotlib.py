"""A board's image may have no matplotlib: reports are written, and say what they lack."""

from __future__ import annotations

import sys

import pytest

from fdht_host.report import plots
from fdht_models.drawing import plain_text


def test_what_is_not_drawn_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    found = plots._drawn("accuracy", lambda: plots.accuracy_plot([("ours", 0.5, True)]))
    assert found == (
        '<p class="quiet">The figure accuracy could not be drawn (matplotlib is not installed).</p>'
    )


def test_names_are_no_mathematics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of the matplotlib that PYNQ's images have, which knows no setting for that."""
    matplotlib = pytest.importorskip("matplotlib")
    drawn = plots.confusion_plot([[1, 0], [0, 1]], [r"$x_{$", "b$"])
    assert drawn.startswith("<svg ")
    known = "text.parse_math" in matplotlib.rcParams
    assert plain_text("a$b") == ("a$b" if known else r"a\$b")
