"""The commands `fdht bench ..`: speed, size and accuracy, side by side with others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

bench = typer.Typer(no_args_is_help=True, help="Measures, side by side with others.")

BUILD = Path("build")
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


@bench.command(name="formats")
def bench_formats(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="An experiment; may be repeated.")
    ] = None,
    dense: Annotated[bool, typer.Option(help="Train the dense LSTM, too; takes long.")] = False,
    build: Annotated[Path, typer.Option("--build", help="Where it trains.")] = BUILD,
    output: Annotated[
        Path | None, typer.Option(help="Write formats.json, formats.md and formats.svg here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Accuracy, parameters and MACs of all formats, trained alike; goes on if interrupted."""
    from fdht_models.benchmarks import formats

    names = tuple(only or formats.EXPERIMENTS) + ((formats.DENSE,) if dense else ())
    experiments = [formats.compared_experiment(name) for name in names]
    result = formats.compare_formats(build / "formats", experiments, build / "data")
    if output is not None:
        formats.write_comparison(result, output)
    if as_json:
        emit(result)
    else:
        Console().print(formats.table(result))


@bench.command(name="widths")
def bench_widths(
    experiment: Annotated[str, typer.Argument(help="One with a checkpoint.")] = "motion",
    steps: Annotated[int, typer.Option(min=0, help="Training steps of every model.")] = 40,
    clips: Annotated[int, typer.Option(min=1, help="Test clips.")] = 500,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Accuracy that a width may cost, as a share of 1.")
    ] = 0.01,
    build: Annotated[Path, typer.Option("--build", help="Where it keeps scores.")] = BUILD,
    output: Annotated[
        Path | None, typer.Option(help="Write widths.json and widths.md here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Accuracy against bit widths, and the narrowest that lose little; goes on if interrupted."""
    from fdht_models.benchmarks import widths
    from fdht_models.experiment import load_experiment

    sweep = widths.Sweep(steps, clips, tolerance)
    result = widths.sweep_widths(
        load_experiment(experiment), build / "widths", sweep, build / "data"
    )
    if output is not None:
        widths.write_sweep(result, output)
    if as_json:
        emit(result)
    else:
        Console().print(widths.table(result))


@bench.command(name="emulation")
def bench_emulation(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 5,
    clips: Annotated[int, typer.Option(min=2, help="Clips of 50 frames in a batch.")] = 40,
    as_json: AsJson = False,
) -> None:
    """Frames a second of the C simulation at 57,600 inputs: ours, and hls4ml's predict."""
    from fdht_hls.benchmarks.emulation import Workload, report
    from fdht_hls.benchmarks.emulation import bench_emulation as run

    result = run(Workload(rounds=rounds, clips=clips))
    if as_json:
        emit(result)
    else:
        Console().print(report(result))
