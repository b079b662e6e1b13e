"""`fdht bench train`: how long a training step takes, ours and those of others, side by side.

Rounds are interleaved (A B C A B C ..), so that a machine that slows down slows down all; ratios
are taken round by round for the same reason. Each contestant has a process of its own: TensorFlow
and PyTorch both want all processors, and only the one whose turn it is has anything to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fdht_models.benchmarks.contestant_process import CONTESTANTS, Contestant, TrainingWorkload
from fdht_models.benchmarks.machine import (
    ProcessorTime,
    disturbance,
    disturbance_lines,
    machine_facts,
)
from fdht_models.console import pieces, say
from fdht_models.errors import MeasurementError, ToolError, require_least
from fdht_models.workers import WorkerProcess, error_of, module_command

#: Version of the result's layout.
SCHEMA = 1
ROUNDS, STEPS = 10, 3
#: Pause before a turn: the thread pools of the one before spin for some milliseconds.
_SETTLE_SECONDS = 0.25
#: What every layer of ours should reach: library of the other -> how many times its time ours goes.
TARGETS = {"tednet": 1.0, "keras": 5.0}

Seconds = list[list[float]]
#: What is run for each contestant.
COMMAND = module_command("fdht_models.benchmarks.contestant_process")
_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",  # all on processors, since tednet's step is
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
_START_SECONDS = 300.0  # to import its library and do the first step
_STEP_SECONDS = 120.0  # a step; the dense layer takes about one second
_END_SECONDS = 5.0  # from closing its input to killing it


def bench_train(
    contestants: Sequence[Contestant] = CONTESTANTS,
    workload: TrainingWorkload | None = None,
    rounds: int = ROUNDS,
    steps: int = STEPS,
) -> dict[str, Any]:
    """Measures, and says who was left out.

    Args:
        contestants: who competes; those of library "fdht" are ours.
        workload: what a step is made of.
        rounds: turns of each contestant.
        steps: timed steps a turn; one more is not timed.

    Returns:
        A JSON object; all times and ratios are `measured`. A round's time is the median of its
        steps; `quartiles_seconds` are the lower and upper quartile over rounds, `ratios` the time
        of another divided by ours, and `targets` whether their median is large enough.

    Raises:
        ConfigError: no rounds or steps.
        ToolError: TensorFlow is not installed. (A missing PyTorch leaves its contestants out.)
        MeasurementError: a contestant failed or took too long.
    """
    for name, count in (("rounds", rounds), ("steps", steps)):
        require_least(count, 1, name)
    workload = workload or TrainingWorkload()
    before = ProcessorTime.now()
    with ExitStack() as stack:
        ready, skipped = _start(stack, contestants, workload)
        for one in skipped:
            say(_not_measured(one))
        begin = stack.enter_context(pieces("bench train", rounds * len(ready)))
        seconds = _interleave([process for process, _ in ready], rounds, steps, begin)
    rows = [
        _row(process.contestant, facts, turns)
        for (process, facts), turns in zip(ready, seconds, strict=True)
    ]
    ratios = _ratios(rows)
    return {
        "schema": SCHEMA,
        "benchmark": "train",
        "kind": "measured",
        "machine": {**machine_facts(), **disturbance(before, ProcessorTime.now())},
        "setting": {
            **asdict(workload),
            "rounds": rounds,
            "steps": steps,
            "step": "forward, backward and Adam, float32, processor",
        },
        "contestants": rows,
        "skipped": skipped,
        "ratios": ratios,
        "targets": _targets(contestants, ratios),
    }


def _start(
    stack: ExitStack, contestants: Sequence[Contestant], workload: TrainingWorkload
) -> tuple[list[tuple[ContestantProcess, dict[str, Any]]], list[dict[str, Any]]]:
    """The processes that are ready with what they say of themselves, and who is left out."""
    started = [stack.enter_context(ContestantProcess(one, workload)) for one in contestants]
    ready, skipped = [], []
    for process in started:
        one = process.contestant
        try:
            ready.append((process, process.ready()))
        except ToolError as error:
            if one.library != "tednet":
                raise
            why = {"name": one.name, "reason": error.problem, "remedy": error.remedy}
            skipped.append(why)
    return ready, skipped


def _interleave(
    processes: Sequence[ContestantProcess],
    rounds: int,
    steps: int,
    begin: Callable[[str], None],
) -> list[Seconds]:
    """Seconds by contestant, round and step."""
    found: list[Seconds] = [[] for _ in processes]
    for number in range(rounds):
        for process, turns in zip(processes, found, strict=True):
            begin(f"round {number + 1}, {process.contestant.name}")
            time.sleep(_SETTLE_SECONDS)
            turns.append(process.round(steps))
    return found


def _row(contestant: Contestant, facts: dict[str, Any], turns: Seconds) -> dict[str, Any]:
    rounds = [float(np.median(turn)) for turn in turns]
    median, quartiles = _spread(rounds)
    return {
        **asdict(contestant),
        "input_modes": list(contestant.input_modes),
        "output_modes": list(contestant.output_modes),
        "inputs": contestant.inputs,
        "units": contestant.units,
        **facts,
        "median_seconds": median,
        "quartiles_seconds": quartiles,
        "round_seconds": rounds,
        "step_seconds": turns,
    }


def _spread(values: Sequence[float]) -> tuple[float, list[float]]:
    """Median, and lower and upper quartile."""
    low, median, high = (float(value) for value in np.percentile(values, (25, 50, 75)))
    return median, [low, high]


def _ratios(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times as long every other contestant takes as each of ours."""
    found = []
    for ours in (row for row in rows if row["library"] == "fdht"):
        for other in (row for row in rows if row["library"] != "fdht"):
            pairs = zip(other["round_seconds"], ours["round_seconds"], strict=True)
            median, quartiles = _spread([theirs / mine for theirs, mine in pairs])
            found.append(
                {
                    "ours": ours["name"],
                    "other": other["name"],
                    "library": other["library"],
                    "median": median,
                    "quartiles": quartiles,
                }
            )
    return found


def _targets(
    contestants: Sequence[Contestant], ratios: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Whether each of ours is fast enough; `met` is None where the other was left out."""
    measured = {(ratio["ours"], ratio["other"]): ratio["median"] for ratio in ratios}
    found = []
    for ours in (one for one in contestants if one.library == "fdht"):
        for other in (one for one in contestants if one.library != "fdht"):
            median = measured.get((ours.name, other.name))
            found.append(
                {
                    "ours": ours.name,
                    "other": other.name,
                    "at_least": TARGETS[other.library],
                    "found": median,
                    "met": None if median is None else median >= TARGETS[other.library],
                }
            )
    return found


def _not_measured(skipped: dict[str, Any]) -> str:
    return f"NOT MEASURED: {skipped['name']}: {skipped['reason']}; {skipped['remedy']}"


def report(result: dict[str, Any]) -> Group:
    """The result of `bench_train` for people."""
    machine, setting = result["machine"], result["setting"]
    times = Table(title="Seconds a training step (measured)", title_justify="left", box=None)
    for column in ("", "parameters", "median", "quartiles"):
        times.add_column(column, justify="left" if not column else "right")
    for row in result["contestants"]:
        low, high = row["quartiles_seconds"]
        times.add_row(
            row["name"],
            f"{row['parameters']:,}",
            f"{row['median_seconds']:.4f}",
            f"{low:.4f} .. {high:.4f}",
        )
    ratios = Table(title="Times as long as ours (measured)", title_justify="left", box=None)
    for column in ("other", "ours", "median", "quartiles", "target"):
        ratios.add_column(column, justify="left" if column in ("other", "ours") else "right")
    for ratio in result["ratios"]:
        low, high = ratio["quartiles"]
        least = TARGETS[ratio["library"]]
        verdict = "met" if ratio["median"] >= least else "MISSED"
        ratios.add_row(
            ratio["other"],
            ratio["ours"],
            f"{ratio['median']:.2f}",
            f"{low:.2f} .. {high:.2f}",
            f"{least:g}: {verdict}",
        )
    lines = [
        f"{machine['processor']}, {machine['cores']} cores; "
        f"{setting['batch']} clips of {setting['frames']} frames, "
        f"{setting['rounds']} rounds of {setting['steps']} steps; {setting['step']}"
    ]
    lines += [_not_measured(one) for one in result["skipped"]]
    lines += disturbance_lines(machine)
    return Group(times, Text(), ratios, Text(), *(Text(line) for line in lines))


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

    def __init__(self, contestant: Contestant, workload: TrainingWorkload) -> None:
        self.contestant = contestant
        self._worker = WorkerProcess(COMMAND, _ENVIRONMENT, own_session=True)
        self._messages: list[dict[str, Any]] = []
        self._send({"contestant": asdict(contestant), "workload": asdict(workload)})

    def __enter__(self) -> ContestantProcess:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # After an error nobody waits for a step that is not wanted any more.
        self._worker.close(_END_SECONDS if kind is None else 0)

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
        try:
            self._worker.send(order)
        except OSError as error:
            raise self._failure() from error

    def _answer(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not self._messages:
            if not self._worker.answers_within(deadline - time.monotonic()):
                raise MeasurementError(
                    f"no answer for {seconds:.0f} s",
                    field=self.contestant.name,
                    remedy="leave it out, or use a smaller network",
                )
            try:
                self._messages += self._worker.receive()
            except EOFError:
                raise self._failure() from None
        message = self._messages.pop(0)
        if "error" in message:
            raise error_of(message, self.contestant.name)
        return message

    def _failure(self) -> MeasurementError:
        return MeasurementError(
            f"its process failed ({self._worker.last_words()})",
            field=self.contestant.name,
            remedy="-9 is a lack of memory; leave it out or use a smaller network",
        )
