"""What all pictures have in common: names are shown as they are."""

from __future__ import annotations

import html
import io
import re

import pytest
from matplotlib.figure import Figure

from fdht_models.benchmarks.formats import accuracy_plot
from fdht_models.drawing import drawing, plain_logarithms

NAMES = ("$x_{$", r"\$a$$\frac", "50 % & more")


def texts(svg: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def test_names_are_no_mathematics():
    rows = [
        {
            "parameters_lstm": 900 * 3**place,
            "macs_lstm": 10 ** (3 + place),
            "quantized": 0.5,
            "float": 0.6,
            "format": name,
            "cell": "lstm",
        }
        for place, name in enumerate(NAMES)
    ]
    shown = texts(accuracy_plot(rows))
    assert {name: shown.count(name) for name in NAMES} == dict.fromkeys(NAMES, 2)
    # The axes' own labels are no mathematics either.
    assert "10,000" in shown
    assert not any("mathdefault" in text for text in shown)


@pytest.mark.parametrize("setting", ["text.parse_math", "text.usetex"])
def test_a_user_s_own_settings_change_nothing(setting, monkeypatch):
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, setting, True)
    with drawing(**{"svg.fonttype": "none"}):
        figure = Figure()
        axes = figure.add_subplot()
        axes.set_title(NAMES[0])
        axes.set_xscale("log")
        plain_logarithms(axes.xaxis)
        axes.plot([1, 100], [1, 2])
        written = io.StringIO()
        figure.savefig(written, format="svg")
    assert NAMES[0] in texts(written.getvalue())
    assert {"1", "10", "100"} <= set(texts(written.getvalue()))
