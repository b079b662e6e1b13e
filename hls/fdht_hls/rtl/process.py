"""Runs a program to its end or to a time-out, with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from fdht_models.errors import ToolError


def run_tool(
    name: str,
    command: Sequence[str],
    directory: Path,
    timeout: float,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Runs a program in a process group of its own.

    Args:
        name: what errors call it.
        command: the program and its arguments.
        directory: to run in.
        timeout: seconds.
        environment: of the program; by default this process's own.

    Returns:
        (exit code, what it wrote on both of its outputs).

    Raises:
        ToolError: it cannot be started, or did not end in time.
    """
    try:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(
            f"cannot be started ({error.strerror or error})", field=name, value=command[0]
        ) from error
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise ToolError(
            f"did not finish within {timeout:g} s", field=name, remedy="allow it more time"
        ) from error
    finally:
        _end(process)
    return process.returncode, output


def _end(process: subprocess.Popen[str]) -> None:
    """Ends whatever is left of the group, also after an interruption of ours."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
