"""The front door of fdht: its public names, and the command line `fdht`.

    from fdht import FDHTLSTM, QFDHTLSTM, FdhtShape, QuantizedNetwork, ReferenceModel

Names are imported when they are first used, so that a board needs neither TensorFlow nor hls4ml.
"""

from __future__ import annotations

import functools
import importlib
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from fdht_bench import bench, emit
from fdht_build import register as register_build
from fdht_data import register as register_data
from fdht_hardware import register as register_hardware
from fdht_models.console import output
from fdht_models.errors import ConfigError, FdhtError, shortened
from fdht_models.interruption import termination_as_interrupt
from fdht_run import register as register_run

#: Public name -> module that defines it.
_NAMES = {
    "FDHTLSTM": "fdht_models.layers.lstm",
    "QFDHTLSTM": "fdht_models.layers.quantized",
    "TensorLSTM": "fdht_models.layers.lstm",
    "QTensorLSTM": "fdht_models.layers.quantized",
    "TensorGRU": "fdht_models.layers.gru",
    "QTensorGRU": "fdht_models.layers.quantized",
    "RecurrentShape": "fdht_models.tensor.recurrent",
    "fdht_shape": "fdht_models.tensor.recurrent",
    "FixedPoint": "fdht_models.tensor.fixedpoint",
    "TensorNetwork": "fdht_models.tensor.network",
    "ContractionPlan": "fdht_models.tensor.plan",
    "QuantizedNetwork": "fdht_models.tensor.quantized",
    "ReferenceModel": "fdht_models.tensor.reference",
    "export_network": "fdht_models.layers.export",
    "decompose": "fdht_models.tensor.decompose",
    "tensorize": "fdht_models.training.tensorize",
    "load_clips": "fdht_models.data",
    "load_experiment": "fdht_models.experiment",
    "Accelerator": "fdht_host.accelerator",
}

#: Exit codes: a mistake that the user can mend, and an interruption.
USER_ERROR, INTERRUPTED = 2, 130
#: The largest number of clips, and of anything else that can be asked for.
_MOST_CLIPS, _MOST = 1_000_000, 2**31 - 1

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train quantised tensor LSTMs, convert them to hardware, run them and measure.",
)

Name = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Its name, or a TOML file.")]
Build = Annotated[Path, typer.Option("--build", help="Directory of all that is made.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataRoot = Annotated[
    Path | None, typer.Option("--data-root", help="Folder of a data set that you bring.")
]
BUILD = Path("build")


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'fdht' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_NAMES]


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; a user's mistake is one line on standard error and exit code 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with termination_as_interrupt():
            stopped = app(arguments, standalone_mode=False)
    except FdhtError as error:
        print(f"fdht: {error}", file=sys.stderr)
        return USER_ERROR
    except (KeyboardInterrupt, typer.Abort):
        stopped = INTERRUPTED
    except Exception as error:
        # A usage error of the command line (click's own family) knows how to say itself.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        print(f"fdht: {shortened(message(), 380)}; see fdht --help", file=sys.stderr)
        return USER_ERROR
    if stopped == INTERRUPTED:
        print("fdht: interrupted; what is finished is kept", file=sys.stderr)
    return int(stopped or 0)


@app.command()
def zoo(as_json: AsJson = False) -> None:
    """Every experiment: format, shapes, parameters, ratios, MACs, the published figure."""
    from fdht_models.zoo import rows, table

    if as_json:
        emit(rows())
    else:
        output().print(table(rows()))


def _recipe(name: str, data_root: Path | None) -> Any:
    from fdht_models.experiment import load_experiment

    experiment = load_experiment(name)
    return experiment if data_root is None else experiment.with_data_root(data_root)


@app.command()
def train(
    experiment: Name,
    build: Build = BUILD,
    start: Annotated[
        str,
        typer.Option(
            help="'scratch', 'checkpoint': the trained weights that ship, or 'decomposed'."
        ),
    ] = "scratch",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps from the checkpoint.")
    ] = None,
    data_root: DataRoot = None,
    folds: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Cross-validate with so many folds.")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write events into build/<name>/logs.")
    ] = False,
    distribute: Annotated[
        str | None, typer.Option(help="'local': all GPUs; 'workers': those of TF_CONFIG.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Trains, quantises, evaluates and exports; goes on where it was interrupted."""
    import fdht_pipeline

    recipe = _recipe(experiment, data_root)
    options: dict[str, Any] = {
        "start": start,
        "steps": steps,
        "tensorboard": tensorboard,
        "distribute": distribute,
    }
    if folds is not None:
        _folds(fdht_pipeline.cross_validate(recipe, build / recipe.name, folds, **options), as_json)
        return
    metrics = fdht_pipeline.train(recipe, build / recipe.name, **options)
    if as_json:
        emit(metrics)
    else:
        from fdht_models.training.comparison import accuracy_lines

        print("\n".join(accuracy_lines(metrics["accuracy"])))


def _folds(result: dict[str, Any], as_json: bool) -> None:
    from fdht_models.training.folds import table

    if as_json:
        emit(result)
    else:
        output().print(table(result))


@app.command()
def search(
    experiment: Name,
    space: Annotated[Path, typer.Option(help="File with [search], [goals] and [budget].")],
    trials: Annotated[int, typer.Option(min=1, help="Of all machines that share the study.")] = 30,
    storage: Annotated[str | None, typer.Option(help="URL of a database to share.")] = None,
    build: Build = BUILD,
    data_root: DataRoot = None,
    as_json: AsJson = False,
) -> None:
    """Searches ranks and widths; goes on where it was interrupted."""
    import fdht_pipeline

    recipe = _recipe(experiment, data_root)
    result = fdht_pipeline.search(recipe, build / recipe.name, space, trials, storage)
    if as_json:
        emit(result)
    else:
        from fdht_models.training.search import table

        output().print(table(result))


@app.command(name="decompose")
def decompose_layer(
    experiment: Name,
    weights: Annotated[
        Path, typer.Option(help="A trained model of Keras (.keras, .h5) or arrays (.npz).")
    ],
    layer: Annotated[str | None, typer.Option(help="Which LSTM or GRU, if several.")] = None,
    ranks: Annotated[
        str, typer.Option(help="Multiples of the experiment's ranks to try, such as 1,2,4,8.")
    ] = "1",
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Puts a trained dense LSTM or GRU into the experiment's format, to be trained further."""
    from fdht_models.experiment import load_experiment
    from fdht_models.tensor.decompose.report import parse_factors, table
    from fdht_models.training.options import check_dense_weights, check_output

    factors, recipe = parse_factors(ranks), load_experiment(experiment)
    directory = build / recipe.name
    check_dense_weights(weights)
    check_output(directory)
    from fdht_models.training.decompose import decompose_stage  # imports TensorFlow

    result = decompose_stage(recipe, directory, weights, layer=layer, factors=factors)
    if as_json:
        emit(result)
        return
    output().print(table(result))
    for note in result["notes"]:
        print(f"note: {note}")
    print(f"{directory / 'decomposed'}; go on with: fdht train {experiment} --start decomposed")


@app.command()
def convert(
    experiment: Name,
    build: Build = BUILD,
    part: Annotated[str, typer.Option(help="Device to synthesise for.")] = "xc7z020clg400-1",
    clock_period: Annotated[float, typer.Option(min=1.0, help="Nanoseconds.")] = 10.0,
    schedule: Annotated[
        Path | None, typer.Option(help="Parallelism of each stage, a JSON file of fdht tune.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Converts through hls4ml, compiles the C simulation and proves equality."""
    import fdht_pipeline

    conversion = fdht_pipeline.convert(experiment, build, part, clock_period, schedule)
    if as_json:
        emit(conversion.to_json())
    else:
        for line in fdht_pipeline.conversion_lines(conversion):
            print(line)


register_run(app)


@app.command()
def demo(
    build: Build = BUILD,
    steps: Annotated[int, typer.Option(min=1, help="Training steps to show.")] = 20,
    clips: Annotated[int | None, typer.Option(min=1, max=_MOST_CLIPS, help="Test clips.")] = None,
) -> None:
    """The main job on the default experiment: train, convert, prove equal, run, measure."""
    import fdht_pipeline

    fdht_pipeline.demo(build, steps, clips)


app.add_typer(bench, name="bench")
register_build(app)
register_data(app)
register_hardware(app)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What is installed, what each flow lacks, and how to get it."""
    from fdht_overlays.doctor import examine, lines

    parts = examine()
    if as_json:
        emit(parts)
    else:
        print("\n".join(lines(parts)))


def _bounded(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose numbers all have bounds, before it does anything.

    Without them a typing error asks for all memory or for ever: `--seed 1000000000000`, or
    `--timeout nan`, which is neither below nor above any limit.
    """

    @functools.wraps(command)
    def checked(**options: Any) -> Any:
        for name, value in options.items():
            field = f"--{name.replace('_', '-')}"
            if isinstance(value, int) and abs(value) > _MOST:
                raise ConfigError(f"must be at most {_MOST}", field=field, value=value)
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError("must be a finite number", field=field, value=value)
        return command(**options)

    return checked


for _command in (*app.registered_commands, *bench.registered_commands):
    assert _command.callback is not None
    _command.callback = _bounded(_command.callback)


if __name__ == "__main__":
    sys.exit(main())
