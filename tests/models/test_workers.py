"""What every worker process has in common; each kind of worker has tests of its own."""

import sys

import pytest

from fdht_models.errors import ShapeError, ToolError
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


def test_a_worker_that_cannot_start() -> None:
    with pytest.raises(ToolError, match="a worker process could not be started"):
        WorkerProcess(("/no/such/program",), {})
