"""What a long benchmark shows while it works, on standard error, where somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

#: Says what is being done; None: that is done.
Advance = Callable[[str | None], None]


@contextmanager
def steps_shown(steps: int) -> Iterator[Advance]:
    """A bar of so many steps.

    Yields:
        To be called with what begins, and with None when it is done.
    """
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    console = Console(stderr=True, highlight=False)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=steps)

        def advance(text: str | None) -> None:
            if text is None:
                progress.advance(task)
            else:
                progress.update(task, description=text)

        yield advance
