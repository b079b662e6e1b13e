"""The command `fdht data`: what a folder of clips holds, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fdht.cli.options import BUILD, AsJson, Build, DataRoot, complete_experiment
from fdht.cli.output import emit
from fdht_models.console import counters, output
from fdht_models.errors import ConfigError, printable

if TYPE_CHECKING:
    from fdht_models.data.folders import FolderRequest, Problem
    from fdht_models.data.folders.reporting.overview import Overview, Spread

#: Problems that are listed one by one.
_SHOWN = 20
_SPLITS = ("train", "test", "all")


def data(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER_OR_EXPERIMENT",
            help="A folder of clips, or an experiment.",
            autocompletion=complete_experiment,
        ),
    ],
    experiment: Annotated[
        str | None,
        typer.Option(
            help="Read the folder as this experiment does.", autocompletion=complete_experiment
        ),
    ] = None,
    data_root: DataRoot = None,
    build: Build = BUILD,
    kind: Annotated[
        str | None, typer.Option(help="'video' (also folders of pictures), 'sound' or 'arrays'.")
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="A regular expression that names class, group or split.")
    ] = None,
    inputs: Annotated[int | None, typer.Option(min=1, help="Of arrays, values a frame.")] = None,
    full_scale: Annotated[
        float | None, typer.Option(help="Of arrays of numbers, which becomes the code 255.")
    ] = None,
    split: Annotated[str, typer.Option(help="Whose clips to show or check: train, test.")] = "all",
    check: Annotated[bool, typer.Option("--check", help="Decode all clips to their ends.")] = False,
    sheet: Annotated[
        Path | None, typer.Option(help="Draw some clips of each class here (.png).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Shows what a folder of clips holds, what is wrong with it, and what will be made of it."""
    from fdht_models.data.folders.reporting.contact_sheet import (
        check_sheet,
        choose_clips,
        draw_sheet,
    )
    from fdht_models.data.folders.reporting.overview import check_clips, overview_of

    if split not in _SPLITS:
        raise ConfigError(
            "there is no such split", field="split", value=split, remedy="use train, test or all"
        )
    if sheet is not None:
        check_sheet(sheet)
    own = {"kind": kind, "pattern": pattern, "inputs": inputs, "full_scale": full_scale}
    request = _request(source, experiment, build, data_root, own)
    with counters() as bar:
        overview = overview_of(request, bar)
        clips = overview.clips_of(None if split == "all" else split)
        damaged: Sequence[Problem] | None = None
        if check:
            damaged = check_clips(overview.request, clips, bar("decoding clips", len(clips)))
        if sheet is not None:
            rows = choose_clips(overview, clips)
            draw_sheet(overview, rows, sheet, bar("drawing", sum(map(len, rows))))
    if as_json:
        told = overview.to_json()
        if damaged is not None:
            told["damaged"] = [{"path": one.path, "reason": one.reason} for one in damaged]
        emit(told)
    else:
        _print(overview, damaged, len(clips), sheet)
    if overview.error is not None:
        raise overview.error


def _request(
    source: str, experiment: str | None, build: Path, data_root: Path | None, own: dict[str, Any]
) -> FolderRequest:
    from fdht_models.data.folders import FolderRequest
    from fdht_models.data.folders.sets import OWN

    given = {key: value for key, value in own.items() if value is not None}
    folder = Path(source)
    if experiment is None and folder.is_dir():
        if data_root is not None:
            raise ConfigError("a folder is given already", field="data-root", value=str(data_root))
        return FolderRequest(OWN, folder, **given).complete()
    # Neither the path of a recipe nor a name.
    path = folder.suffix != ".toml" and (folder.exists() or "/" in source)
    if experiment is None and path:
        raise ConfigError(
            "is no folder" if folder.exists() else "there is no such folder",
            field="FOLDER_OR_EXPERIMENT",
            value=source,
            remedy="give the folder",
        )
    root = data_root if experiment is None else folder
    request = _of_experiment(experiment or source, build, root)
    if given and request.name != OWN:
        raise ConfigError(
            f"has no effect on '{request.name}', which is published as it is",
            field=f"--{next(iter(given))}",
            remedy="leave it out",
        )
    return replace(request, **given).complete()


def _of_experiment(name: str, build: Path, root: Path | None) -> FolderRequest:
    from fdht import pipeline
    from fdht_models.data.clip_sources import UNKNOWN_ROOT, FolderSource

    recipe = pipeline.experiment_of(name, build)
    source = recipe.source
    if not isinstance(source, FolderSource):
        raise ConfigError(
            f"its clips are of the set '{recipe.data.set}', which lies in no folder",
            field="experiment",
            value=name,
            remedy="give a folder, or an experiment that reads one",
        )
    if root is not None:
        return replace(source.request, root=root)
    if str(source.request.root) == UNKNOWN_ROOT:
        raise ConfigError(
            f"is missing: the folder of the experiment '{name}' (there is no folder of that name)",
            field="data-root",
            remedy="add --data-root",
        )
    return source.request


def _print(
    overview: Overview, damaged: Sequence[Problem] | None, clips: int, sheet: Path | None
) -> None:
    request = overview.request
    made = request.preprocessing("test").sampling
    print(
        f"{printable(str(request.root))}: {request.folder_set.title}, {request.folder_set.kind}, "
        f"{made.protocol} of {made.steps} steps, {_division(request)}"
    )
    output().print(_table(overview))
    for text, count in overview.formats[:_SHOWN]:
        print(f"{count:,} files: {printable(text)}")
    _print_problems(overview, "will be left out", overview.skipped)
    for note in overview.notes:
        print(f"note: {printable(note)}")
    if damaged is not None:
        print(f"decoded {clips:,} clips: {len(damaged):,} damaged")
        _print_problems(overview, "is damaged", damaged)
    if sheet is not None:
        print(printable(str(sheet)))


def _division(request: FolderRequest) -> str:
    if request.test_groups is not None:
        return f"tested on {', '.join(request.test_groups)}"
    return f"{request.fold_rule}, fold {request.fold} of {request.folds}"


def _table(overview: Overview) -> Table:
    shown = Table()
    shown.add_column("class")
    for name in ("clips", "groups", "train", "test", "frames", "seconds"):
        shown.add_column(name, justify="right")
    for row in (*overview.rows, overview.total):
        if row is overview.total:
            shown.add_section()
        counts = (row.clips, row.groups, row.train, row.test)
        shown.add_row(
            printable(row.name),
            *(f"{count:,}" for count in counts),
            _spread(row.frames, "{:,.0f}"),
            _spread(row.seconds, "{:.2f}"),
        )
    return shown


def _spread(spread: Spread | None, form: str) -> str:
    if spread is None:
        return "unknown"
    return " / ".join(map(form.format, (spread.least, spread.median, spread.most)))


def _print_problems(overview: Overview, what: str, problems: Sequence[Problem]) -> None:
    from fdht_models.data.folders.reporting.split_report import named_problems

    for problem in named_problems(overview.request, overview.listing, problems[:_SHOWN]):
        print(printable(f"{what}: {problem.path} {problem.reason}"))
    if len(problems) > _SHOWN:
        print(f"{what}: {len(problems) - _SHOWN:,} more (--json lists them)")
