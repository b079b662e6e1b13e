"""What every worker process has in common; each kind of worker has tests of its own."""

import os
import resource
import sys

import pytest

from fdht_models import workers
from fdht_models.errors import DataError, ShapeError, ToolError
from fdht_models.workers import WorkerProcess, error_message, error_of

_ECHO = """
import json, sys
from fdht_models.errors import ShapeError
from fdht_models.workers import answer_pipe, error_message, say

with answer_pipe() as pipe:
    print("chatter of a library")
    for line in sys.stdin:
        order = json.loads(line)
        if order == "fail":
            say(pipe, error_message(ShapeError("does not fit", field="ranks")))
        elif order == "die":
            sys.exit("it went wrong")
        else:
            say(pipe, {"said": order})
"""


def start(script: str = _ECHO) -> WorkerProcess:
    return WorkerProcess((sys.executable, "-c", script), {})


def answers(worker: WorkerProcess, count: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    while len(found) < count:
        assert worker.answers_within(60)
        found += worker.receive()
    return found


def test_messages_come_back_in_order_and_longer_than_a_pipe() -> None:
    worker = start()
    long = "x" * 300_000
    for order in ("first", long):
        worker.send(order)
        assert answers(worker, 1) == [{"said": order}]  # and nothing of the chatter
    assert not worker.answers_within(0)
    assert worker.close(patience=60)


def test_an_error_of_ours_stays_what_it_is() -> None:
    worker = start()
    worker.send("fail")
    (message,) = answers(worker, 1)
    found = error_of(message, "a clip")
    assert isinstance(found, ShapeError) and str(found) == "ranks: does not fit"
    assert str(error_of(error_message(ShapeError("is wrong")), "a clip")) == "a clip: is wrong"
    worker.close(patience=60)


def test_the_end_of_a_worker_is_noticed_with_its_last_words() -> None:
    worker = start()
    worker.send("die")
    assert worker.answers_within(60)
    with pytest.raises(EOFError):
        worker.receive()
    assert worker.last_words() == "it went wrong"
    with pytest.raises(OSError):
        worker.send("more")
    assert worker.close(patience=60)


def test_a_worker_that_does_not_end_is_killed() -> None:
    worker = start("import time; time.sleep(600)")
    assert not worker.close(patience=0.2)


@pytest.mark.parametrize(
    "said", ["oops", "null", "7", "[1]", "\\xff", "{", "[" * 100_000], ids=lambda said: said[:4]
)
def test_what_is_no_message_is_one_line(said: str) -> None:
    worker = start(f"import os; os.write(1, '{said}'.encode('latin-1') + b'\\n')")
    assert worker.answers_within(60)
    with pytest.raises(ToolError, match=r"^a worker's answer.*: is (no message|not valid JSON)"):
        while True:
            worker.receive()
    worker.close(patience=60)


@pytest.mark.parametrize(
    "message",
    [{"error": "difflib"}, {"error": "near_matches"}, {"error": None}, {"error": "Iterable"}],
)
def test_an_error_of_no_kind_of_ours_is_one_of_the_data(message: dict[str, object]) -> None:
    found = error_of(message, "a clip")
    assert type(found) is DataError
    assert str(found) == "a clip: failed and does not say why"


def test_a_worker_that_only_closes_its_pipe_has_no_exit_code(monkeypatch) -> None:
    monkeypatch.setattr(workers, "_DYING_SECONDS", 0.1)
    worker = start("import os, time; os.close(1); time.sleep(600)")
    assert worker.answers_within(60)
    with pytest.raises(EOFError):
        worker.receive()
    assert worker.last_words() == "it closed its pipe and goes on"
    assert not worker.close(patience=0)
    assert worker.last_words() == "exit code -9"


def test_answers_come_through_a_descriptor_of_any_number() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("no more than 1024 descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        worker = start()
        assert worker.answers.fileno() > 1023
        worker.send("first")
        assert answers(worker, 1) == [{"said": "first"}]
        worker.close(patience=60)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_worker_that_cannot_start() -> None:
    with pytest.raises(ToolError, match=r"a worker process = .*: cannot be started"):
        WorkerProcess(("/no/such/program",), {})
