"""Commands that make a trained network: train, search, decompose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fdht.cli.options import BUILD, AsJson, Build, DataRoot, Name
from fdht.cli.output import emit, tell
from fdht_models.console import output
from fdht_models.errors import ConfigError

if TYPE_CHECKING:
    from fdht_models.experiment import Experiment


def _recipe(name: str, build: Path, data_root: Path | None) -> Experiment:
    from fdht import pipeline

    experiment = pipeline.experiment_of(name, build)
    return experiment if data_root is None else experiment.with_data_root(data_root)


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
    from fdht import pipeline
    from fdht_models.training.comparison import accuracy_lines

    recipe = _recipe(experiment, build, data_root)
    directory = build / recipe.name
    if folds is None:
        metrics = pipeline.train(
            recipe,
            directory,
            start=start,
            steps=steps,
            tensorboard=tensorboard,
            distribute=distribute,
        )
        tell(metrics, as_json, lambda found: accuracy_lines(found["accuracy"]))
        return
    if start != "scratch" or steps is not None:
        raise ConfigError(
            "has no effect on folds, which are trained from nothing",
            field="start",
            value=start,
            remedy="leave out --start and --steps",
        )
    from fdht_models.training.options import check_training

    check_training(recipe, directory, start=start, steps=steps, distribute=distribute)
    from fdht_models.training.folds import cross_validate, table  # imports TensorFlow

    result = cross_validate(
        recipe, directory, folds, tensorboard=tensorboard, distribute=distribute
    )
    tell(result, as_json, table)


def search(
    experiment: Name,
    space: Annotated[Path, typer.Option(help="File with tables search, goals and budget.")],
    trials: Annotated[int, typer.Option(min=1, help="Of all machines that share the study.")] = 30,
    storage: Annotated[str | None, typer.Option(help="URL of a database to share.")] = None,
    build: Build = BUILD,
    data_root: DataRoot = None,
    as_json: AsJson = False,
) -> None:
    """Searches ranks and widths; goes on where it was interrupted."""
    from fdht_models.training.options import check_data, check_output
    from fdht_models.training.space import load_space

    recipe = _recipe(experiment, build, data_root)
    directory, found = build / recipe.name, load_space(space)
    found.check(recipe)
    check_data(recipe)
    check_output(directory)
    from fdht_models.training import rank_search  # imports TensorFlow

    result = rank_search.search(recipe, directory, found, trials, storage=storage)
    tell(result, as_json, rank_search.table)


def decompose(
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
    from fdht_models.directories import BuildDirectory
    from fdht_models.tensor.decompose.error_table import parse_factors, table
    from fdht_models.training.options import check_dense_weights, check_output

    factors, recipe = parse_factors(ranks), _recipe(experiment, build, None)
    directory = BuildDirectory(build / recipe.name)
    check_dense_weights(weights)
    check_output(directory.path)
    from fdht_models.training.decompose import decompose_stage  # imports TensorFlow

    result = decompose_stage(recipe, directory.path, weights, layer=layer, factors=factors)
    if as_json:
        emit(result)
        return
    output().print(table(result))
    for note in result["notes"]:
        print(f"note: {note}")
    written = directory.decomposition
    print(f"{written.path}; go on with: fdht train {experiment} --start {written.stage}")
