"""Progress bars on standard error, so that standard output stays free for results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


class Bars:
    """Progress bars, one below the other, gone at the end.

    Args:
        shown: show any.
    """

    def __init__(self, shown: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True, quiet=not shown),
            transient=True,
            disable=not shown,
        )
        self._stack = ExitStack()

    def __enter__(self) -> Bars:
        self._stack.enter_context(self._progress)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yields a function that moves a bar on by so many steps."""
        task = self._progress.add_task(name, total=total)
        yield lambda steps: self._progress.advance(task, steps)
        self._progress.update(task, completed=total)
