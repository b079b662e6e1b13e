"""da4ml's process: it can be ended at any time, and says what it lacks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fdht_hls import solver
from fdht_models.errors import ToolError
from fdht_models.tensor.fixedpoint import FixedPoint

SIGNED = FixedPoint(8, 7)
SMALL = np.array([[3, -5], [7, 2]])
#: A user's command that gives da4ml work for minutes.
_COMMAND = """
import numpy as np
from fdht_hls.solver import solve
from fdht_models.interruption import termination_as_interrupt
from fdht_models.tensor.fixedpoint import FixedPoint

kernel = np.random.default_rng(0).integers(-128, 128, (160, 160))
with termination_as_interrupt():
    try:
        solve(kernel, FixedPoint(8, 7))
    except KeyboardInterrupt:
        raise SystemExit(130)
"""


@pytest.fixture(autouse=True)
def of_its_own() -> Iterator[None]:
    """A process that no other test has started, or goes on with."""
    solver.end()
    yield
    solver.end()


def processor_seconds(process: int) -> float:
    """What a process has used; an OSError if there is none."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    if fields[0] == "Z":
        raise ProcessLookupError
    return (int(fields[11]) + int(fields[12])) / 100


def children(process: int) -> list[int]:
    return [
        int(child)
        for path in Path(f"/proc/{process}/task").glob("*/children")
        for child in path.read_text().split()
    ]


def wait_for_work(process: int, seconds: float) -> int:
    """The child of a process, once it has worked so long that da4ml must have begun."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        for child in children(process):
            if processor_seconds(child) > seconds:
                return child
        time.sleep(0.1)
    raise AssertionError("da4ml did not start to work")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_command_ends_while_da4ml_works(number: signal.Signals):
    command = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            # Under nohup it would be ignored, as is right.
            f"signal.signal(signal.SIGHUP, signal.SIG_DFL)\n{_COMMAND}",
        ]
    )
    try:
        child = wait_for_work(command.pid, 4.0)
        command.send_signal(number)
        assert command.wait(timeout=10) == 130  # not the minutes that da4ml would take
        with pytest.raises(OSError):
            processor_seconds(child)
    finally:
        command.kill()
        command.wait()


def test_too_much_memory_is_one_line_with_its_remedy(monkeypatch: pytest.MonkeyPatch):
    """Numba is loaded in 200 MB, but the solver needs twice as much for 64 x 32 weights."""
    monkeypatch.setattr(solver, "MOST_BYTES", 200 << 20)
    kernel = np.random.default_rng(0).integers(-128, 128, (64, 32))
    with pytest.raises(ToolError) as caught:
        solver.solve(kernel, SIGNED)
    assert str(caught.value) == ("da4ml: needs more than 0.195 GB of memory; use constant weights")


def test_too_much_time_is_one_line_with_its_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(solver, "MOST_SECONDS", 0.2)
    kernel = np.random.default_rng(0).integers(-128, 128, (160, 160))
    started = time.monotonic()
    with pytest.raises(ToolError) as caught:
        solver.solve(kernel, SIGNED)
    assert time.monotonic() - started < 10
    assert str(caught.value) == "da4ml: found no adders within 0.2 s; use constant weights"
    assert children_of_ours() == []


def test_another_failure_says_what_da4ml_said(monkeypatch: pytest.MonkeyPatch):
    found = solver._answer({"kernel": [[1.5]], "low": "x", "high": 1})
    assert found["error"] == "failed"
    assert str(solver._error(found)).startswith("da4ml: failed (ValueError: ")


def test_a_da4ml_that_cannot_be_imported_is_to_be_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "da4ml.cmvm", None)
    found = solver._error(solver._answer({"kernel": [[1]], "low": 0, "high": 1}))
    assert "da4ml: is needed for adders (" in str(found)
    assert str(found).endswith("pip install 'fdht[hls]', or use constant weights")


def test_the_process_serves_again_after_one_has_died():
    solver.solve(SMALL, SIGNED)
    (first,) = children_of_ours()
    os.kill(first, signal.SIGKILL)
    with pytest.raises(ToolError, match=r"da4ml: ended \(exit code -9\)"):
        solver.solve(SMALL, SIGNED)
    assert solver.solve(SMALL, SIGNED).cost > 0


def children_of_ours() -> list[int]:
    worker = solver._Running.worker
    return [] if worker is None else [worker._process.pid]
