"""The process of one contestant, run as a module of its own; see `processes`.

The first line of its standard input says who it is; every other line asks for some steps. It
answers each with a line of JSON, and ends when its input does.
"""

from __future__ import annotations

import time
from typing import Any

from fdht_models.benchmarks.contestants import Contestant, TrainingWorkload
from fdht_models.benchmarks.training_steps import TrainingStep, build_step
from fdht_models.errors import FdhtError
from fdht_models.records import read_record
from fdht_models.workers import answer_pipe, error_message, orders, run_worker, say


def main() -> None:
    """Builds the contestant, then runs its rounds until the input ends."""
    with answer_pipe() as pipe:
        given = orders()
        first = next(given)
        try:
            contestant = read_record(Contestant, first["contestant"])
            step = build_step(contestant, read_record(TrainingWorkload, first["workload"]))
            loss = step.run()  # traces the graph and makes the optimiser's slots
            say(pipe, _ready(step, loss))
            for order in given:
                say(pipe, {"seconds": timed(step, order["steps"])})
        except FdhtError as error:
            say(pipe, error_message(error))


def timed(step: TrainingStep, steps: int) -> list[float]:
    """Seconds of each of some steps, after one that brings the caches back."""
    step.run()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        step.run()
        seconds.append(time.perf_counter() - start)
    return seconds


def _ready(step: TrainingStep, loss: float) -> dict[str, Any]:
    return {
        "parameters": step.parameters,
        "threads": step.threads,
        "versions": step.versions,
        "first_loss": loss,
    }


if __name__ == "__main__":
    run_worker(main)
