"""Progress of long work, where a terminal shows it and where there is none."""

from __future__ import annotations

from fdht import pipeline
from fdht.pipeline import Bars, Lines, bars


def test_without_a_terminal_a_line_is_said_every_ten_seconds():
    said: list[str] = []
    now = [100.0]
    progress = Lines(said.append, lambda: now[0])
    for second in range(31):
        now[0] = 100.0 + second
        progress("C simulation", second, 30)
    progress("CPU energy", 1, 0)
    assert said == [f"C simulation: {second} of 30" for second in (10, 20, 30)]


def test_short_work_says_nothing_and_work_of_unknown_length_says_how_much_is_done():
    said: list[str] = []
    now = [0.0]
    progress = Lines(said.append, lambda: now[0])
    progress("lint", 0, 1)
    now[0] = 9.9
    progress("lint", 1, 1)
    assert said == []
    now[0] = 10.0
    progress("energy windows", 512, 0)
    assert said == ["energy windows: 512"]


def test_a_terminal_has_bars(monkeypatch):
    from rich.console import Console

    for terminal, kind in ((True, Bars), (False, Lines)):
        console = Console(stderr=True, force_terminal=terminal)
        monkeypatch.setattr(pipeline, "console", console)
        with bars() as progress:
            assert isinstance(progress, kind)
