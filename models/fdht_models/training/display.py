"""What a user sees of a training: a bar with loss and accuracy, and a line an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class PhaseReport:
    """Progress of one phase."""

    def __init__(self, display: Display, name: str, epochs: int, progress: Progress) -> None:
        self._display = display
        self._name = name
        self._epochs = epochs
        self._progress = progress
        self._task = TaskID(0)

    def begin(self, steps: int, done: int) -> None:
        """Shows how much there is to do, and from where a resumed training goes on."""
        if done:
            self._display.say(f"{self._name}: resuming after epoch {done} of {self._epochs}")
        self._task = self._progress.add_task(
            self._name, total=self._epochs * steps, completed=done * steps, figures=""
        )

    def step(self, loss: float, accuracy: float) -> None:
        """One step is done; `loss` and `accuracy` are the epoch's means so far."""
        figures = f"loss {loss:.3f}  accuracy {accuracy:6.1%}"
        self._progress.update(self._task, advance=1, figures=figures)

    def epoch(self, row: dict[str, Any]) -> None:
        """An epoch is done."""
        line = (
            f"{self._name}: epoch {row['epoch']}/{self._epochs}  loss {row['loss']:.3f}  "
            f"accuracy {row['accuracy']:6.1%} (training clips)"
        )
        if "validation_loss" in row:
            line += (
                f"  loss {row['validation_loss']:.3f}  "
                f"accuracy {row['validation_accuracy']:6.1%} (clips held out)"
            )
        self._display.say(line)

    def best(self, epoch: int, done: int) -> None:
        """The phase is over after `done` epochs, and keeps the weights of `epoch`."""
        early = "" if done == self._epochs else f"stopped after epoch {done}, "
        self._display.say(f"{self._name}: {early}weights of epoch {epoch} (best on held-out clips)")


class Display:
    """Writes to standard error, so that standard output stays free for results.

    Args:
        quiet: write nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False)

    def say(self, line: str) -> None:
        """Writes a line."""
        self._console.print(line, markup=False)

    @contextmanager
    def phase(self, name: str, epochs: int, steps: int, done: int = 0) -> Iterator[PhaseReport]:
        """Shows a bar over `epochs` x `steps` steps, of which `done` epochs are done."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            report = PhaseReport(self, name, epochs, progress)
            report.begin(steps, done)
            yield report
