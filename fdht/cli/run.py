"""The command `fdht run`: clips, files and folders through a board."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fdht.cli.options import (
    BUILD,
    AsJson,
    Build,
    MeterOption,
    board_option,
    complete_experiment,
)
from fdht.cli.output import tell
from fdht.cli.run_lines import report_lines, source_notes
from fdht_models.artifacts import command_on
from fdht_models.console import progress
from fdht_models.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from fdht_host.power.outside.naming import OutsideMeter
    from fdht_host.run import RunSettings
    from fdht_models.directories import OverlayDirectory

#: The most clips that can be asked for.
MOST_CLIPS = 1_000_000
#: Panels of options in the command's help.
_WHAT, _WHERE = "What to run", "Where to run it"


def run(
    experiment: Annotated[
        str,
        typer.Argument(
            metavar="EXPERIMENT",
            help="Its name, a TOML file, or an overlay's directory that was copied here.",
            autocompletion=complete_experiment,
        ),
    ],
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|FOLDER|test",
            rich_help_panel=_WHAT,
            help="Videos, sound or .npy, also in a folder for each class; may be repeated.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="trained|stream|every",
            rich_help_panel=_WHAT,
            help="Which frames: as in training (by default), from first to last at the trained "
            "distance in time, or all of them.",
        ),
    ] = None,
    clips: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_CLIPS, rich_help_panel=_WHAT, help="Of the test set."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, rich_help_panel=_WHAT, help="Of the test clips.")
    ] = None,
    clip_frames: Annotated[
        int | None,
        typer.Option(
            min=0, rich_help_panel=_WHAT, help="Reset a stream's state after so many; 0: never."
        ),
    ] = None,
    resize: Annotated[
        bool, typer.Option(rich_help_panel=_WHAT, help="Resize videos of another size.")
    ] = True,
    board: Annotated[
        str | None,
        board_option(
            "By default the copied overlay's, or else 'sim', which is simulated.",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    overlay: Annotated[
        str | None,
        typer.Option(
            metavar="vitis-hls|vitis-rtl|open",
            rich_help_panel=_WHERE,
            help="Of several for the board.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="EXPERIMENT|FILE",
            autocompletion=complete_experiment,
            rich_help_panel=_WHERE,
            help="Load these first: of a trained experiment, or a network.json.",
        ),
    ] = None,
    energy: Annotated[
        bool, typer.Option(rich_help_panel=_WHERE, help="Measure energy per frame.")
    ] = True,
    meter: Annotated[
        str | None,
        typer.Option(
            metavar="KIND[:PLACE]",
            rich_help_panel=_WHERE,
            help="An outside meter: csv (its log comes later; fdht align), csv:FILE, "
            "scpi:HOST[:PORT], scpi:/dev/.., serial:/dev/.. or xadc:CHANNEL.",
        ),
    ] = None,
    meter_set: MeterOption = None,
    verify: Annotated[
        str | None,
        typer.Option(
            metavar="all|none|SHARE",
            rich_help_panel=_WHERE,
            help="Results that the integer reference computes, too, and that are compared. By "
            "default all on a simulated board, none on a real one or an ARM.",
        ),
    ] = None,
    verify_seed: Annotated[
        int | None,
        typer.Option(min=0, rich_help_panel=_WHERE, help="Of that share: which are drawn."),
    ] = None,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Streams clips, files and folders through a board, classifies, measures, and reports."""
    from fdht_host.run import RunSettings
    from fdht_host.run_sources import TEST_SET

    settings = RunSettings(
        source or [TEST_SET],
        clips,
        seed,
        clip_frames,
        resize,
        energy,
        build / "data",
        weights=None if weights is None else weights_file(weights, build),
        protocol=protocol,
        verify=verify,
        verify_seed=verify_seed,
        meter=named_meter(meter, meter_set),
    )
    written, report = run_in(*place_of(experiment, build, board, overlay), settings)
    tell(report, as_json, lambda told: report_lines(written, told))
    for note in source_notes(report):
        print(f"fdht: note: {note}", file=sys.stderr)


def named_meter(name: str | None, settings: list[str] | None) -> OutsideMeter | None:
    """The outside meter of `--meter` and `--meter-set`.

    Raises:
        ConfigError: there is no such meter or option.
    """
    from fdht_host.power.outside.naming import outside_meter

    if name is None and settings:
        raise ConfigError("is of no meter", field="meter-set", remedy="name one: --meter")
    return None if name is None else outside_meter(name, settings or [])


def weights_file(name: str, build_directory: Path) -> Path:
    """The network whose weights are to be loaded: a file, or what training an experiment gave.

    Args:
        name: of a JSON file, or of an experiment as the commands take it.
        build_directory: where experiments are built.

    Raises:
        ConfigError: there is neither; ArtifactError: the experiment is not trained.
    """
    from fdht.pipeline import experiment_directory
    from fdht_models.directories import NETWORK

    path = Path(name)
    if path.suffix != ".json":
        directory = experiment_directory(name, build_directory)
        model = directory.model
        found = model.find_file(NETWORK)
        if found is None:
            raise ArtifactError(
                "is not there",
                field=str(model.path / NETWORK),
                remedy=f"run {command_on(directory.path, 'train')}",
            )
        return found
    if not path.is_file():
        raise ArtifactError("is not there", field=str(path), remedy="name a network.json")
    return path


def place_of(
    name: str, build: Path, board: str | None, wanted: str | None
) -> tuple[OverlayDirectory, Path]:
    """The overlay to run, and where its reports go."""
    from fdht import pipeline
    from fdht_hls.boards import get_board
    from fdht_host.choice import find_overlay, overlay_at
    from fdht_models.directories import BuildDirectory
    from fdht_overlays.manifest import load_manifest

    if _is_copy(name, build):
        overlay = overlay_at(Path(name), board, wanted)
        return overlay, BuildDirectory(build / load_manifest(overlay.path).experiment).runs
    directory = pipeline.experiment_directory(name, build)
    converted = directory.hls.find() is not None
    if board is None:
        # Where nothing but an overlay was copied to, it is that one's board.
        boards = [] if converted else directory.boards()
        board = boards[0] if len(boards) == 1 else "sim"
    if get_board(board).simulated and converted:
        pipeline.build_into(directory, board)
    return find_overlay(directory, get_board(board), wanted), directory.runs


def _is_copy(name: str, build: Path) -> bool:
    """Is it the path of a directory rather than an experiment's name?"""
    from fdht_models.directories import BuildDirectory, overlays_in
    from fdht_models.experiment import experiment_names

    path = Path(name)
    if not path.is_dir() or path.name != name:
        return path.is_dir()
    known = name in experiment_names() or BuildDirectory(build / name).is_there()
    return not known and bool(overlays_in(path))


def run_in(
    overlay: OverlayDirectory, runs: Path, settings: RunSettings
) -> tuple[Path, dict[str, Any]]:
    """Runs an overlay, with progress for people."""
    from fdht_host.run import run_stage

    try:
        with progress() as show:
            return run_stage(overlay, runs, settings, show)
    except KeyboardInterrupt as interrupt:
        if interrupt.args:
            print(f"fdht: {interrupt}", file=sys.stderr)
        raise
