"""Progress of long work, where a terminal shows it and where there is none."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from fdht_models import console
from fdht_models.console import Bars, Lines, counters, pieces, progress


@pytest.fixture
def terminal(monkeypatch) -> io.StringIO:
    """What is written to a standard error that is a terminal."""
    written = io.StringIO()
    made = Console(file=written, force_terminal=True, width=120)
    monkeypatch.setattr(console, "notes", lambda: made)
    return written


def test_without_a_terminal_a_line_is_said_every_ten_seconds():
    said: list[str] = []
    now = [100.0]
    show = Lines(said.append, lambda: now[0])
    for second in range(31):
        now[0] = 100.0 + second
        show("C simulation", second, 30)
    show("CPU energy", 1, 0)
    assert said == [f"C simulation: {second} of 30" for second in (10, 20, 30)]


def test_short_work_says_nothing_and_work_of_unknown_length_says_how_much_is_done():
    said: list[str] = []
    now = [0.0]
    show = Lines(said.append, lambda: now[0])
    show("lint", 0, 1)
    now[0] = 9.9
    show("lint", 1, 1)
    assert said == []
    now[0] = 10.0
    show("energy windows", 512, 0)
    assert said == ["energy windows: 512"]


def test_what_was_said_to_have_begun_is_said_to_have_ended():
    said: list[str] = []
    now = [0.0]
    show = Lines(said.append, lambda: now[0])
    for second, done in ((0, 48), (10, 96), (15, 144), (19, 240)):
        now[0] = second
        show("Keras", done, 240)
    show("Keras", 240, 240)
    assert said == ["Keras: 96 of 240", "Keras: 240 of 240"]
    # Of two that are at work together each ends; of what ended nothing more is said.
    for second, label, done in ((40, "compile", 0), (41, "lint", 0), (42, "lint", 1)):
        now[0] = second
        show(label, done, 1)
    now[0] = 51.0
    show("native", 5, 10)
    show("compile", 1, 1)
    show("native", 10, 10)
    show("lint", 1, 1)
    assert said[2:] == ["compile: 0 of 1", "native: 5 of 10", "compile: 1 of 1", "native: 10 of 10"]


def test_a_tool_that_works_for_hours_at_one_thing_is_said_once():
    said: list[str] = []
    now = [0.0]
    show = Lines(said.append, lambda: now[0])
    for minute in range(60):
        now[0] = 60.0 * (minute + 1)
        show("csynth", 0, 0, f"line {minute} of its log")
    assert said == ["csynth"]


def test_a_terminal_has_bars_and_the_last_line_of_a_tool_is_no_markup(terminal):
    with progress() as show:
        assert isinstance(show, Bars)
        show("synthesis", 1, 4, "  [bold]WARNING[/bold] \n")
    shown = re.sub(r"\x1b\[[\d;?]*\w", "", terminal.getvalue())
    assert "synthesis" in shown and "1/4" in shown and "[bold]WARNING[/bold]" in shown


def test_what_shows_nothing_leaves_no_empty_line(terminal):
    with progress():
        pass
    with progress(False) as show:
        show("synthesis", 1, 4)
    assert terminal.getvalue() == ""


def test_bars_end_with_what_they_show(terminal):
    with pytest.raises(KeyboardInterrupt), progress() as show:
        show("decoding", 1, 2)
        raise KeyboardInterrupt
    assert "decoding" in terminal.getvalue() and terminal.getvalue().endswith("\x1b[2K")


def test_pieces_and_counted_work_move_one_bar_on(monkeypatch):
    told = []
    monkeypatch.setattr(
        console, "Lines", lambda write, clock: lambda *arguments: told.append(arguments)
    )
    with pieces("bench", 2) as begin:
        begin("one")
        begin("two")
    with counters() as counter:
        advance = counter("reading files", 5)
        advance(2)
        advance(3)
    assert told == [
        ("bench", 0, 2, "one"),
        ("bench", 1, 2, "two"),
        ("bench", 2, 2),
        *(("reading files", done, 5) for done in (0, 2, 5)),
    ]


def test_lines_go_to_standard_error_whole_and_results_to_standard_output(capsys):
    with progress() as show:
        assert isinstance(show, Lines)
    console.say("word " * 60)
    console.output().print("[x] " + "y" * 150)
    captured = capsys.readouterr()
    assert captured.err == "word " * 60 + "\n"
    assert captured.out == "[x] " + "y" * 150 + "\n"
