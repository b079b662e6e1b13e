"""The parent's side of a contestant's process: it speaks when it is told to, and in time."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from fdht_models.benchmarks.contestants import Contestant, TrainingWorkload
from fdht_models.errors import MeasurementError
from fdht_models.workers import WorkerProcess, error_of, module_command

#: What is run for each contestant.
COMMAND = module_command("fdht_models.benchmarks.contestant_process")
_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",  # all on processors, since tednet's step is
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
_START_SECONDS = 300.0  # to import its library and do the first step
_STEP_SECONDS = 120.0  # a step; the dense layer takes about one second
_END_SECONDS = 5.0  # from closing its input to killing it


class ContestantProcess:
    """A process that times training steps of one contestant.

    It runs in a session of its own, so that Ctrl-C reaches the parent only, which then ends it;
    and it ends by itself when the parent is gone. A context manager.

    Args:
        contestant: who it is.
        workload: what its steps are made of.

    Raises:
        ToolError: it cannot be started.
    """

    def __init__(self, contestant: Contestant, workload: TrainingWorkload) -> None:
        self.contestant = contestant
        self._worker = WorkerProcess(COMMAND, _ENVIRONMENT, own_session=True)
        self._messages: list[dict[str, Any]] = []
        self._send({"contestant": asdict(contestant), "workload": asdict(workload)})

    def __enter__(self) -> ContestantProcess:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # After an error nobody waits for a step that is not wanted any more.
        self._worker.close(_END_SECONDS if kind is None else 0)

    def ready(self) -> dict[str, Any]:
        """Waits until it has done its first step; its parameters, threads and versions.

        Raises:
            ToolError: its library is not installed.
            MeasurementError: it failed or took too long.
            FdhtError: its modes and ranks do not fit together.
        """
        return self._answer(_START_SECONDS)

    def round(self, steps: int) -> list[float]:
        """Seconds of each of `steps` steps; raises what `ready` does."""
        self._send({"steps": steps})
        found: list[float] = self._answer(_STEP_SECONDS * (steps + 1))["seconds"]
        return found

    def _send(self, order: dict[str, Any]) -> None:
        try:
            self._worker.send(order)
        except OSError as error:
            raise self._failure() from error

    def _answer(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not self._messages:
            if not self._worker.answers_within(deadline - time.monotonic()):
                raise MeasurementError(
                    f"no answer for {seconds:.0f} s",
                    field=self.contestant.name,
                    remedy="leave it out, or use a smaller network",
                )
            try:
                self._messages += self._worker.receive()
            except EOFError:
                raise self._failure() from None
        message = self._messages.pop(0)
        if "error" in message:
            raise error_of(message, self.contestant.name)
        return message

    def _failure(self) -> MeasurementError:
        return MeasurementError(
            f"its process failed ({self._worker.last_words()})",
            field=self.contestant.name,
            remedy="-9 is a lack of memory; leave it out or use a smaller network",
        )
