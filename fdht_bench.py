"""The commands `fdht bench ..`: speed, size and accuracy, side by side with others."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console

bench = typer.Typer(no_args_is_help=True, help="Measures, side by side with others.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def emit(value: Any) -> None:
    """Prints JSON for programs."""
    print(json.dumps(value, indent=1, allow_nan=False))


@bench.command(name="train")
def bench_train(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each contestant.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="Timed training steps a turn.")] = 3,
    as_json: AsJson = False,
) -> None:
    """A training step at 57,600 inputs: ours, tednet's TT-LSTM and Keras' dense LSTM."""
    from fdht_models.benchmarks.train import bench_train as run
    from fdht_models.benchmarks.train import report

    result = run(rounds=rounds, steps=steps)
    if as_json:
        emit(result)
    else:
        Console().print(report(result))
