"""Programs: run to their end or to a time-out, with all that they started; or talked to.

Nothing else starts any.
"""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from fdht_models.arguments import seconds
from fdht_models.errors import ToolError
from fdht_models.interruption import interrupts_held_back

#: Seconds between a polite request to end and the end.
_GRACE = 5.0
#: Seconds between two looks at whether the program still runs while it says nothing.
_POLL = 0.2


class Dialogue:
    """A program that one talks to over its standard input and output, both unbuffered.

    Args:
        name: what errors call it.
        command: the program and its arguments.
        environment: of the program; by default this process's own.
        errors: where its standard error goes; by default among its answers.
        own_session: Ctrl-C reaches this process only, which then ends it.

    Attributes:
        orders: its standard input.
        answers: its standard output.

    Raises:
        ToolError: it cannot be started.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        errors: IO[bytes] | None = None,
        own_session: bool = False,
    ) -> None:
        self._process = _started(
            name,
            command,
            environment,
            stdin=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors is None else errors,
            bufsize=0,
            start_new_session=own_session,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self.orders: IO[bytes] = self._process.stdin
        self.answers: IO[bytes] = self._process.stdout

    def answers_within(self, patience: float) -> bool:
        """Waits for something to read, or the program's end; False after so many seconds."""
        # Not select.select, which takes no descriptor above 1023.
        with selectors.DefaultSelector() as selector:
            selector.register(self.answers, selectors.EVENT_READ)
            return bool(selector.select(max(0.0, patience)))

    def ended_within(self, patience: float) -> int | None:
        """Waits for its end: the exit code, or None after so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=max(0.0, patience))
        return None

    def terminate(self) -> None:
        """Asks the program to end, without waiting for it."""
        self._process.terminate()
        self._close(self.orders)

    def close(self, patience: float) -> bool:
        """Closes the pipes and waits for the program to end, then kills it.

        Args:
            patience: seconds to wait.

        Returns:
            True if the program ended by itself.
        """
        self._close(self.orders)
        self._close(self.answers)
        if self.ended_within(patience) is not None:
            return True
        self._process.kill()
        # One that waits for a broken disk does not end even then.
        self.ended_within(_GRACE)
        return False

    def _close(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError):
            pipe.close()


def _started(
    name: str, command: Sequence[str], environment: Mapping[str, str] | None, **settings: Any
) -> subprocess.Popen[Any]:
    env = None if environment is None else dict(environment)
    try:
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, **settings)
    except OSError as error:
        problem = f"cannot be started ({error.strerror or error})"
        raise ToolError(problem, field=name, value=str(command[0])) from error


def run_tool(
    name: str,
    command: Sequence[str],
    directory: Path,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    remedy: str = "allow it more time",
    stop: threading.Event | None = None,
) -> tuple[int, str]:
    """Runs a program in a process group of its own until it ends.

    Args:
        name: what errors call it.
        command: the program and its arguments.
        directory: to run in.
        timeout: seconds.
        environment: of the program; by default this process's own.
        remedy: where it does not end in time.
        stop: ends it early, once it is set.

    Returns:
        (exit code, what it wrote on both of its outputs).

    Raises:
        ConfigError: the time-out is no time.
        ToolError: it cannot be started, did not end in time, or was stopped.
    """
    said: list[str] = []
    code = _run(name, command, directory, timeout, said.append, remedy, environment, stop=stop)
    return code, "".join(said)


def run_logged(
    command: Sequence[str],
    directory: Path,
    log: Path,
    timeout: float,
    show: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
    lock: int | None = None,
) -> int:
    """The same for a program that runs for long; returns its exit code.

    Its output is seen as it comes: all of it is written to the file `log`, and `show` is called
    with each line. It gets the file descriptor `lock`, too; see `only_run`.
    """
    remedy = f"raise --timeout; see {log}"
    with log.open("w") as stream:

        def keep(line: str) -> None:
            stream.write(line)
            stream.flush()
            show(line.rstrip("\n"))

        name = Path(command[0]).name
        return _run(name, command, directory, timeout, keep, remedy, environment, lock)


def _run(
    name: str,
    command: Sequence[str],
    directory: Path,
    timeout: float,
    take: Callable[[str], object],
    remedy: str,
    environment: Mapping[str, str] | None = None,
    lock: int | None = None,
    stop: threading.Event | None = None,
) -> int:
    """Runs a program; `take` gets each line, with its end."""
    timeout = seconds(timeout, f"timeout of {name}")
    process: subprocess.Popen[str] | None = None
    try:
        # An interruption between the start and the assignment would leave it running for ever.
        with interrupts_held_back():
            process = _started(
                name,
                command,
                environment,
                cwd=directory,
                # A tool that falls back to its prompt reads the end of the file, and ends.
                stdin=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                pass_fds=() if lock is None else (lock,),
            )
            lines: queue.Queue[str | None] = queue.Queue()
            pump = threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True)
            pump.start()
        _follow(process, lines, time.monotonic() + timeout, take, stop or threading.Event())
    except InterruptedError as error:
        raise ToolError("was stopped", field=name) from error
    except TimeoutError as error:
        raise ToolError(
            f"did not finish within {timeout:g} s", field=name, remedy=remedy
        ) from error
    finally:
        # Also after a normal end: simulators that it started must not outlive it.
        if process is not None:
            _end_group(process)
    _take_the_rest(pump, lines, take)
    return process.returncode


def _follow(
    process: subprocess.Popen[str],
    lines: queue.Queue[str | None],
    deadline: float,
    take: Callable[[str], object],
    stop: threading.Event,
) -> None:
    """Passes lines on until the program has ended, not until all its children have."""
    while True:
        if stop.is_set():
            raise InterruptedError
        if time.monotonic() > deadline:
            raise TimeoutError
        try:
            line = lines.get(timeout=_POLL)
        except queue.Empty:
            # A child may hold the pipe open after the end of the program itself.
            if process.poll() is not None:
                return
            continue
        if line is None:
            break
        take(line)
    try:
        process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error


def _take_the_rest(
    pump: threading.Thread, lines: queue.Queue[str | None], take: Callable[[str], object]
) -> None:
    """Passes on what was still under way when the program had ended, as on a busy machine."""
    # Not for ever: a child in a session of its own may hold the pipe open.
    pump.join(_GRACE)
    for _ in range(lines.qsize()):
        line = lines.get()
        if line is not None:
            take(line)


def _pump(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    """Reads what the program writes: its lines, with None in the end."""
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(None)


def _end_group(process: subprocess.Popen[str]) -> None:
    """Ends whatever is left of the process group, and reaps the program.

    Who is interrupted meanwhile does not want to wait: then it is killed at once.
    """
    interruption: KeyboardInterrupt | None = None
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(subprocess.TimeoutExpired):
            try:
                os.killpg(process.pid, signal_number)
                process.wait(timeout=_GRACE)
                os.killpg(process.pid, 0)
            except (ProcessLookupError, PermissionError):
                break  # nobody is left
            except KeyboardInterrupt as error:
                interruption = error
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_GRACE)
    if interruption is not None:
        raise interruption
