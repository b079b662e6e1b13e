"""The parent's side of a contestant's process: it speaks when it is told to, and in time."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import IO, Any

from fdht_models import errors
from fdht_models.benchmarks.contestants import Contestant, Workload
from fdht_models.errors import MeasurementError, ToolError

#: What is run for each contestant.
COMMAND = (sys.executable, "-m", "fdht_models.benchmarks.worker")
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

    def __init__(self, contestant: Contestant, workload: Workload) -> None:
        self.contestant = contestant
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "CUDA_VISIBLE_DEVICES": "",  # all on processors, since tednet's step is
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - see __exit__
        try:
            self._process = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise ToolError(f"a process could not be started ({error})") from error
        assert self._process.stdin is not None and self._process.stdout is not None
        self._orders: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout
        self._heard = b""
        self._send({"contestant": contestant.to_json(), "workload": asdict(workload)})

    def __enter__(self) -> ContestantProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._orders.close()
        if kind is not None:  # nobody waits for a step that is not wanted any more
            self._process.kill()
        try:
            self._process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=_END_SECONDS)
        self._answers.close()
        self._errors.close()

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
        view = memoryview(json.dumps(order).encode() + b"\n")
        try:
            while view:
                view = view[self._orders.write(view) :]
        except OSError as error:
            raise self._failure() from error

    def _answer(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while b"\n" not in self._heard:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise MeasurementError(
                        f"no answer for {seconds:.0f} s",
                        field=self.contestant.name,
                        remedy="leave it out, or use a smaller network",
                    )
                received = os.read(self._answers.fileno(), 1 << 16)
                if not received:
                    raise self._failure()
                self._heard += received
        line, self._heard = self._heard.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise self._error_of(message)
        return message

    def _error_of(self, message: dict[str, Any]) -> errors.FdhtError:
        kind: type[errors.FdhtError] = getattr(errors, message["error"])
        return kind(
            message["problem"],
            field=message["field"] or self.contestant.name,
            remedy=message["remedy"],
        )

    def _failure(self) -> MeasurementError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_END_SECONDS)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        why = lines[-1] if lines else f"exit code {self._process.poll()}"
        return MeasurementError(
            f"its process failed ({why})",
            field=self.contestant.name,
            remedy="-9 is a lack of memory; leave it out or use a smaller network",
        )
