"""What a person sees: results on standard output, notes and progress on standard error.

Rich is imported where something is shown, so that what shows nothing starts without it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

#: Columns of standard output where it is no terminal.
_WIDTH = 160
#: Characters of a text behind a bar, such as the last line of a tool.
_TEXT = 70
#: Between two lines of progress where there is no terminal.
_SECONDS_A_LINE = 10.0


class Show(Protocol):
    """Is told how far work is."""

    def __call__(self, label: str, done: float, total: float = 0, text: str = "") -> None:
        """Of `label` is `done`, of `total` (0: unknown); `text` says what is being done."""


def output() -> Console:
    """The console of results, whose texts are no markup of ours."""
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    # A pipe has no width; a table cut off there would be of no use.
    return console if console.is_terminal else Console(width=_WIDTH, markup=False, highlight=False)


def notes() -> Console:
    """The console of progress and titles."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """Writes a line to standard error, however long; above a bar, if there is one."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def progress(shown: bool = True) -> Iterator[Show]:
    """Shows progress until the end of the block: bars, or lines where nobody would see them move.

    Args:
        shown: show any.
    """
    if not shown:
        yield silent
        return
    console = notes()
    if not console.is_terminal:
        yield Lines(say, time.monotonic)
        return
    bars = Bars(console)
    try:
        yield bars
    finally:
        bars.close()


@contextmanager
def counters(shown: bool = True) -> Iterator[Callable[[str, int], Callable[[int], None]]]:
    """The same for work that is counted piece by piece.

    Yields:
        Makes a bar, of a label and a number of pieces; returns what moves it on by so many.
    """
    with progress(shown) as show:

        def counter(label: str, total: int) -> Callable[[int], None]:
            done = 0

            def advance(pieces: int) -> None:
                nonlocal done
                done += pieces
                show(label, done, total)

            advance(0)
            return advance

        yield counter


@contextmanager
def pieces(label: str, count: int) -> Iterator[Callable[[str], None]]:
    """Shows progress over so many pieces of work.

    Yields:
        To be called with what begins; what was before it is done.
    """
    begun = 0
    with progress() as show:

        def begin(text: str) -> None:
            nonlocal begun
            show(label, begun, count, text)
            begun += 1

        yield begin
        show(label, begun, count)


class Bars:
    """Progress bars by label, gone at the end.

    Args:
        console: a terminal.
    """

    def __init__(self, console: Console) -> None:
        from rich import progress as rich_progress

        self._progress = rich_progress.Progress(
            # Labels are names of files and texts are lines of tools: no markup of ours.
            rich_progress.TextColumn("{task.description}", markup=False),
            rich_progress.BarColumn(bar_width=20),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TimeRemainingColumn(),
            rich_progress.TextColumn("{task.fields[text]}", markup=False),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, label: str, done: float, total: float = 0, text: str = "") -> None:
        """Shows how far one is."""
        if label not in self._tasks:
            self._progress.start()  # not before: with nothing to show it would leave an empty line
            # Names of files may hold bytes that are no text, and no terminal shows them.
            name = label.encode("utf-8", "backslashreplace").decode()
            self._tasks[label] = self._progress.add_task(name, total=None, text="")
        self._progress.update(
            self._tasks[label], completed=done, total=total or None, text=text.strip()[:_TEXT]
        )

    def close(self) -> None:
        """Removes the bars."""
        if self._tasks:
            self._progress.stop()


class Lines:
    """Progress where there is no terminal, as in a log: a line now and then, none twice.

    What was said to have begun is said to have ended, too, however soon after.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._write, self._clock = write, clock
        self._last, self._line = clock(), ""
        self._unfinished: set[str] = set()

    def __call__(self, label: str, done: float, total: float = 0, text: str = "") -> None:
        """Says how far one is, unless something was said just now."""
        now = self._clock()
        count = f": {done:g}" if done or total else ""
        line = f"{label}{count}" + (f" of {total:g}" if total else "")
        ended = 0 < total <= done
        due = now - self._last >= _SECONDS_A_LINE or (ended and label in self._unfinished)
        if due and line != self._line:
            self._last, self._line = now, line
            self._write(line)
            if ended:
                self._unfinished.discard(label)
            elif total:
                self._unfinished.add(label)


def silent(label: str, done: float, total: float = 0, text: str = "") -> None:
    """Shows nothing."""
