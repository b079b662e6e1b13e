"""A program that runs for long: its log, its time-out, its children, its interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fdht_models import process
from fdht_models.errors import ToolError
from fdht_models.process import run_logged
from tests.programs import process_ended


def run(tmp_path: Path, script: str, timeout: float = 30.0) -> tuple[int, list[str]]:
    """Runs a shell script: exit code and lines shown."""
    shown: list[str] = []
    code = run_logged(["sh", "-c", script], tmp_path, tmp_path / "log", timeout, shown.append)
    return code, shown


def child(tmp_path: Path) -> int:
    """The child whose number a script wrote into `pid`."""
    for _ in range(100):
        path = tmp_path / "pid"
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.05)
    raise AssertionError("no child was started")


def test_lines_are_shown_and_kept(tmp_path):
    code, shown = run(tmp_path, "echo one; echo two >&2; printf three; exit 5")
    assert (code, shown) == (5, ["one", "two", "three"])
    assert (tmp_path / "log").read_text() == "one\ntwo\nthree"


def test_the_log_grows_while_the_program_runs(tmp_path):
    seen: list[str] = []

    def show(line: str) -> None:
        seen.append((tmp_path / "log").read_text())

    run_logged(["sh", "-c", "echo a; sleep 0.2; echo b"], tmp_path, tmp_path / "log", 30, show)
    assert seen == ["a\n", "a\nb\n"]


def test_the_last_lines_are_kept_however_late_they_come(tmp_path, monkeypatch):
    pump = process._pump

    def late(*arguments) -> None:
        time.sleep(3 * process._POLL)
        pump(*arguments)

    monkeypatch.setattr(process, "_pump", late)
    assert run(tmp_path, "echo error; echo why; exit 3") == (3, ["error", "why"])


@pytest.mark.skipif(sys.platform == "win32", reason="sessions of Unix")
def test_a_child_in_a_session_of_its_own_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_GRACE", 0.5)
    script = "import os; os.setsid(); print(os.getpid(), file=open('pid', 'w'), flush=True); "
    script += "os.execvp('sleep', ['sleep', '600'])"
    until_it_runs = "while [ ! -s pid ]; do sleep 0.05; done; echo b"
    start = time.monotonic()
    try:
        code, shown = run(tmp_path, f'echo a; "{sys.executable}" -c "{script}" & {until_it_runs}')
        assert (code, shown) == (0, ["a", "b"])
        assert time.monotonic() - start < 60
    finally:
        os.kill(child(tmp_path), signal.SIGKILL)


def test_bytes_that_are_no_text_do_no_harm(tmp_path):
    code, shown = run(tmp_path, r"printf '\377\376 x\n'")
    assert code == 0 and shown[0].endswith(" x")


def test_a_prompt_gets_the_end_of_the_file(tmp_path):
    """The tool falls back to its prompt after a script without exit; it must not wait there."""
    assert run(tmp_path, "read line || echo ended")[1] == ["ended"]


def test_a_time_out_ends_the_program_and_its_children(tmp_path):
    start = time.monotonic()
    with pytest.raises(ToolError, match=r"^sh: did not finish within 0\.5 s; raise --timeout; see"):
        run(tmp_path, "sleep 600 & echo $! > pid; wait", 0.5)
    assert time.monotonic() - start < 10
    assert process_ended(child(tmp_path))


def test_a_time_out_counts_while_lines_keep_coming(tmp_path):
    with pytest.raises(ToolError, match="did not finish within"):
        run(tmp_path, "while :; do echo x; sleep 0.01; done", 0.5)


def test_a_program_that_ignores_the_request_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_GRACE", 0.3)
    with pytest.raises(ToolError, match="did not finish within"):
        run(tmp_path, "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done", 0.5)
    assert process_ended(child(tmp_path))


def test_children_that_are_left_behind_are_ended(tmp_path):
    start = time.monotonic()
    code, _ = run(tmp_path, "sleep 600 & echo $! > pid")
    assert code == 0 and time.monotonic() - start < 10
    assert process_ended(child(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_an_interruption_ends_the_program_and_is_passed_on(tmp_path, interruptible):
    def interrupt() -> None:
        child(tmp_path)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "sleep 600 & echo $! > pid; wait")
    thread.join()
    assert process_ended(child(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_an_interruption_at_the_start_ends_the_program_too(tmp_path, monkeypatch, interruptible):
    started: list[subprocess.Popen[str]] = []

    class Interrupted(subprocess.Popen):
        """Runs, but nobody has got hold of it when Ctrl-C comes."""

        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "sleep 600")
    assert process_ended(started[0].pid)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_who_interrupts_twice_does_not_wait(tmp_path, monkeypatch, interruptible):
    def interrupt() -> None:
        child(tmp_path)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)

    monkeypatch.setattr(process, "_GRACE", 100.0)
    thread = threading.Thread(target=interrupt)
    thread.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done", 600)
    assert time.monotonic() - start < 60
    thread.join()
    assert process_ended(child(tmp_path))


def test_a_program_that_cannot_be_started_is_told(tmp_path):
    command = [str(tmp_path / "missing"), "-f", "x"]
    with pytest.raises(ToolError, match="cannot be started"):
        run_logged(command, tmp_path, tmp_path / "log", 10, print)
