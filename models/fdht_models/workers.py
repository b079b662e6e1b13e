"""Worker processes: a fresh interpreter that runs a module of ours, and the pipes to and from it.

Neither forks, since the parent may have TensorFlow's threads running and forking those can
deadlock, nor `multiprocessing`, which would run the user's own script once more. Orders go to the
worker's standard input as lines of JSON; answers are lines of JSON too, or bytes.

The first half is the parent's side, the second the worker's.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from fdht_models import errors
from fdht_models.documents import parse_json
from fdht_models.errors import DataError, FdhtError, ToolError
from fdht_models.process import Dialogue

#: Environment of a worker that computes in one thread, since the processes run in parallel.
ONE_THREAD: Mapping[str, str] = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_DYING_SECONDS = 5.0  # from the end of its answers to the end of a process
_PIECE = 1 << 16


class WorkerProcess(Dialogue):
    """A worker process as its parent sees it.

    Args:
        command: such as `module_command(...)`.
        environment: variables beside those of this process.
        own_session: Ctrl-C reaches the parent only, which then ends it.

    Raises:
        ToolError: it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        own_session: bool = False,
    ) -> None:
        paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - see close()
        try:
            super().__init__(
                "a worker process",
                command,
                environment={**os.environ, **paths, **environment},
                errors=self._errors,
                own_session=own_session,
            )
        except ToolError:
            self._errors.close()
            raise
        self._heard = b""

    def send(self, order: Any) -> None:
        """Sends a line of JSON; an OSError means that the worker has ended."""
        say(self.orders, order)

    def receive(self) -> list[dict[str, Any]]:
        """The messages that came since the last call; waits for the next bytes.

        Raises:
            EOFError: the worker has ended.
            ToolError: what came is no message.
        """
        received = os.read(self.answers.fileno(), _PIECE)
        if not received:
            raise EOFError
        *lines, self._heard = (self._heard + received).split(b"\n")
        return [_message(line) for line in lines]

    def last_words(self) -> str:
        """Why a worker ended: the last line that it wrote to standard error, or its exit code."""
        code = self.ended_within(_DYING_SECONDS)
        lines = []
        if not self._errors.closed:
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
        ending = "it closed its pipe and goes on" if code is None else f"exit code {code}"
        return lines[-1] if lines else ending

    def close(self, patience: float) -> bool:
        """As `Dialogue.close`; then nobody asks for last words."""
        ended = super().close(patience)
        self._errors.close()
        return ended


def _message(line: bytes) -> dict[str, Any]:
    remedy = "report this with the command"
    text = line.decode(errors="replace")
    message = parse_json(text, "a worker's answer", error=ToolError, remedy=remedy)
    if not isinstance(message, dict):
        raise ToolError("is no message", field="a worker's answer", value=message, remedy=remedy)
    return message


def module_command(module: str) -> tuple[str, ...]:
    """The command that runs a module in an interpreter like this one."""
    return (sys.executable, "-m", module)


def error_of(message: Mapping[str, Any], field: str | None = None) -> FdhtError:
    """The error that `error_message` described; `field` where that has none.

    A kind that is none of ours is a DataError.
    """
    kind = getattr(errors, str(message.get("error")), None)
    if not (isinstance(kind, type) and issubclass(kind, FdhtError)):
        kind = DataError
    problem, remedy = message.get("problem"), message.get("remedy")
    found: FdhtError = kind(
        str(problem or "failed and does not say why"),
        field=message.get("field") or field,
        remedy=None if remedy is None else str(remedy),
    )
    return found


# The worker's side ------------------------------------------------------------------------------


@contextmanager
def answer_pipe() -> Iterator[IO[bytes]]:
    """The pipe to the parent; what a library prints goes to standard error from now on."""
    with os.fdopen(os.dup(1), "wb", buffering=0) as pipe:
        os.dup2(2, 1)
        yield pipe


def orders() -> Iterator[Any]:
    """The parent's orders, until it has no more."""
    for line in sys.stdin:
        yield parse_json(line, "an order", error=ToolError, remedy="report this with the command")


def run_worker(main: Callable[[], None]) -> None:
    """Runs a worker until its parent needs no more."""
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)


def say(pipe: IO[bytes], message: Any) -> None:
    """Writes a line of JSON."""
    write_all(pipe, json.dumps(message).encode() + b"\n")


def write_all(pipe: IO[bytes], data: bytes | memoryview) -> None:
    """Writes to an unbuffered pipe, which may take less than all at a time."""
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


def error_message(error: FdhtError) -> dict[str, Any]:
    """An error as a message; the inverse of `error_of`."""
    fields = {"problem": error.problem, "field": error.field, "remedy": error.remedy}
    return {"error": type(error).__name__, **fields}
