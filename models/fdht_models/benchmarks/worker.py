"""The process of one contestant: `python -m fdht_models.benchmarks.worker`; see `processes`.

The first line of its standard input says who it is; every other line asks for some steps. It
answers each with a line of JSON, and ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import IO, Any

from fdht_models.benchmarks.contestants import Contestant, Workload
from fdht_models.benchmarks.steps import TrainingStep, build_step
from fdht_models.errors import FdhtError


def main() -> None:
    """Builds the contestant, then runs its rounds until the input ends."""
    # Whatever a library prints goes to standard error, so that the pipe holds our lines only.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as pipe:
        os.dup2(2, 1)
        lines = iter(sys.stdin)
        order = json.loads(next(lines))
        try:
            step = build_step(
                Contestant.from_json(order["contestant"]), Workload(**order["workload"])
            )
            loss = step.run()  # traces the graph and makes the optimiser's slots
            _say(pipe, _ready(step, loss))
            for line in lines:
                _say(pipe, {"seconds": timed(step, json.loads(line)["steps"])})
        except FdhtError as error:
            fields = {"problem": error.problem, "field": error.field, "remedy": error.remedy}
            _say(pipe, {"error": type(error).__name__, **fields})


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


def _say(pipe: IO[str], message: dict[str, Any]) -> None:
    pipe.write(json.dumps(message) + "\n")
    pipe.flush()


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):  # the parent needs no more
        sys.exit(1)
