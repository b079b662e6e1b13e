"""Progress bars on standard error, so that standard output stays free for results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


class Bars(Progress):
    """Progress bars, one below the other, gone at the end.

    Args:
        shown: show any.
    """

    def __init__(self, shown: bool) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True, quiet=not shown),
            transient=True,
            disable=not shown,
        )

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yields a function that moves a bar on by so many steps."""
        task = self.add_task(name, total=total)
        yield lambda steps: self.advance(task, steps)
        self.update(task, completed=total)
