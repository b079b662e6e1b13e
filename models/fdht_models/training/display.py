"""What a user sees of a training: a bar with loss and accuracy, and a line an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fdht_models.console import Show, progress, say


class PhaseReport:
    """Progress of one phase."""

    def __init__(self, display: Display, show: Show, name: str, epochs: int) -> None:
        self._display, self._show = display, show
        self._name, self._epochs = name, epochs
        self._done = self._total = 0

    def begin(self, steps: int, done: int) -> None:
        """Shows how much there is to do, and from where a resumed training goes on."""
        if done:
            self._display.say(f"{self._name}: resuming after epoch {done} of {self._epochs}")
        self._done, self._total = done * steps, self._epochs * steps
        self._show(self._name, self._done, self._total)

    def step(self, loss: float, accuracy: float) -> None:
        """One step is done; `loss` and `accuracy` are the epoch's means so far."""
        self._done += 1
        figures = f"loss {loss:.3f}  accuracy {accuracy:6.1%}"
        self._show(self._name, self._done, self._total, figures)

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
        self._quiet = quiet

    def say(self, line: str) -> None:
        """Writes a line."""
        if not self._quiet:
            say(line)

    @contextmanager
    def phase(self, name: str, epochs: int, steps: int, done: int = 0) -> Iterator[PhaseReport]:
        """Shows a bar over `epochs` x `steps` steps, of which `done` epochs are done."""
        with progress(not self._quiet) as show:
            report = PhaseReport(self, show, name, epochs)
            report.begin(steps, done)
            yield report
