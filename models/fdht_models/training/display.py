"""What a user sees of a training: a bar with loss and accuracy, and a line an epoch.

In TensorBoard there is one directory of events for each phase:
tensorboard --logdir build/motion/logs
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fdht_models.console import Show, progress, say
from fdht_models.errors import ArtifactError, first_line
from fdht_models.kerasapi import tf

#: Figures of an epoch's row that are shown, where it has them.
_FIGURES = ("loss", "accuracy", "validation_loss", "validation_accuracy")


class PhaseReport:
    """Progress of one phase; see `Display.phase`."""

    def __init__(
        self, display: Display, show: Show, name: str, epochs: int, steps: int, done: int
    ) -> None:
        self._display, self._show = display, show
        self._name, self._epochs = name, epochs
        if done:
            display.say(f"{name}: resuming after epoch {done} of {epochs}")
        self._done, self._total = done * steps, epochs * steps
        show(name, self._done, self._total)

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
    def phase(self, name: str, epochs: int, steps: int, done: int) -> Iterator[PhaseReport]:
        """Shows a bar over `epochs` x `steps` steps, of which `done` epochs are done."""
        with progress(not self._quiet) as show:
            yield PhaseReport(self, show, name, epochs, steps, done)


class PhaseLog:
    """Events of one phase, by epoch; `rate` and `seconds_per_step` beside the row's figures.

    Event files can only be added to. So a phase's log is begun anew from the history that the
    training keeps, and a resumed training shows every epoch once.

    That it can be written is found out before the first epoch. Where it no longer can be later on,
    the training goes on without it.

    Attributes:
        failure: why it ended early; None if it did not.

    Args:
        directory: of this phase's events; None: nothing is written.
        rate: (epochs done) -> learning rate.
    """

    def __init__(self, directory: Path | None, rate: Callable[[int], float]) -> None:
        self._directory = directory
        self._rate = rate
        self._writer: Any = None
        self.failure: str | None = None

    def begin(self, history: Sequence[dict[str, Any]], seconds: Sequence[float]) -> None:
        """Writes the epochs that are done.

        Raises:
            ArtifactError: they cannot be written.
        """
        if self._directory is None:
            return
        try:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory.mkdir(parents=True)
            self._writer = tf.summary.create_file_writer(str(self._directory))
        except (OSError, tf.errors.OpError) as error:
            raise self._unwritable(first_line(error)) from error
        for row, time in zip(history, seconds, strict=True):
            self.epoch(row, time)
        if self.failure is not None:
            raise self._unwritable(self.failure)

    def epoch(self, row: dict[str, Any], seconds: float) -> None:
        """Writes an epoch, `seconds` being those of one step."""
        if self._writer is None:
            return
        number = row["epoch"]
        figures = {name: row[name] for name in _FIGURES if name in row}
        figures |= {"rate": self._rate(number), "seconds_per_step": seconds}
        try:
            with self._writer.as_default(step=number):
                for name, value in figures.items():
                    tf.summary.scalar(name, value)
            self._writer.flush()
        except (OSError, tf.errors.OpError) as error:
            self._writer, self.failure = None, first_line(error)

    def close(self) -> None:
        """Ends the file."""
        try:
            if self._writer is not None:
                self._writer.close()
        except (OSError, tf.errors.OpError) as error:
            self.failure = first_line(error)

    def _unwritable(self, reason: str) -> ArtifactError:
        return ArtifactError(
            f"cannot be written ({reason})",
            field=str(self._directory),
            remedy="free space, choose another directory, or train without tensorboard",
        )
