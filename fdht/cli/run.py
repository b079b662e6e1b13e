"""The command `fdht run`: clips, files and folders through a board, and what is told of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
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
from fdht_models.artifacts import command_on
from fdht_models.console import progress
from fdht_models.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from fdht_host.power.outside.naming import OutsideMeter
    from fdht_host.run import RunSettings
    from fdht_models.directories import OverlayDirectory

#: The most clips that can be asked for.
MOST_CLIPS = 1_000_000
#: Clips and classes that the console shows; the report has all.
_SHOWN_CLIPS, _SHOWN_CLASSES = 20, 20
#: Panels of options in the command's help.
_WHAT, _WHERE = "What to run", "Where to run it"
#: Characters of a name in a column.
_NAME = 40


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
    for note in _notes(report):
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


def report_lines(directory: Path, report: Mapping[str, Any]) -> list[str]:
    """The head of a report for people."""
    lines = [*_answer_lines(report)]
    if report["accuracy"]["quantized"] is not None:  # of the test set
        lines += _test_lines(report["accuracy"])
    board = report["equality"]["reference_board"]
    if board["compared"] is not None:
        lines.append(
            f"{'reference = board':<30}{board['compared']} integers, "
            f"{board['mismatches']} mismatches  counted"
        )
    if (verification := report["equality"]["verification"])["asked"] != "all":
        lines.append(verification["statement"])
    if report["provenance"]["weights"]["file"] is not None:
        lines.append(f"{'weights loaded from':<30}{report['provenance']['weights']['file']}")
    overall = report["throughput"]["overall"]
    if overall["frames_per_second"] is not None:
        lines.append(
            f"{'host path':<30}{overall['frames_per_second']:.0f} frames/s  {overall['kind']} "
            f"{overall['note']}".rstrip()
        )
    overlap = report["throughput"].get("overlap")
    if overlap is not None:
        lines.append(
            f"{'phases overlap':<30}the whole took {overlap['ratio']:.2f} x the slowest of them "
            f"({overlap['slowest']})  measured"
        )
    sparse = report["latency"].get("sparse")
    if sparse is not None:
        lines.append(
            f"{'sparse frames':<30}{sparse['words_per_frame']:,.0f} of "
            f"{sparse['words_of_a_full_frame']:,} words on average  counted; "
            f"{sparse['cycles_per_frame']:,.0f} cycles a frame  {sparse['kind']}"
        )
    lines += [_energy_line("board", report["energy"]), _energy_line("CPU", report["cpu_energy"])]
    if not report["run_on_hardware"]:
        lines.append("not run on hardware: the board is simulated")
    lines.append(f"report: {directory / 'report.html'}")
    return lines


def _answer_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Sources with labels, each with its accuracy, and the answers to clips, as many as fit."""
    others = {one["source"]: one for one in report["sources"] if one["kind"] != "test"}
    for name, one in others.items():
        if one["accuracy"] is not None:
            yield from _labelled_lines(name, one["accuracy"], one["accuracy"]["accuracy"])
    clips = [clip for clip in report["clips"] if clip["source"] in others]
    width = max((len(_clip_name(clip)) for clip in clips[:_SHOWN_CLIPS]), default=0)
    classes = max((len(clip["predicted"]) for clip in clips[:_SHOWN_CLIPS]), default=0)
    for clip in clips[:_SHOWN_CLIPS]:
        name = _clip_name(clip).ljust(max(width, 28))
        yield f"{name}  {clip['predicted']:<{classes}}  {_told(clip)}".rstrip()
    if len(clips) == 1:
        yield from _block_lines(clips[0])
    hidden = len(clips) - _SHOWN_CLIPS
    if hidden > 0:
        yield f"... and {hidden} more clips, all of them in predictions.jsonl beside the report"


def _block_lines(clip: Mapping[str, Any]) -> Iterator[str]:
    """What each block of a stream says, as many as fit."""
    blocks = clip["blocks"]
    if len(blocks) < 2:
        return
    for block in blocks[:_SHOWN_CLIPS]:
        name = f"  from frame {block['start']}" if block["start"] is not None else "  block"
        yield f"{name:<28}  {block['predicted']}  {block['probability']:6.1%}"
    if len(blocks) > _SHOWN_CLIPS:
        yield f"  ... and {len(blocks) - _SHOWN_CLIPS} more blocks in predictions.jsonl"


def _test_lines(accuracy: Mapping[str, Any]) -> Iterator[str]:
    """This run's accuracy on the test set, and apart from it what training measured, which may be
    of other clips and of more.
    """
    from fdht_models.training.comparison import accuracy_lines

    yield from _labelled_lines("quantised network, this run", accuracy, accuracy["quantized"])
    # `chance` is that of this run's clips, and told above.
    trained = accuracy_lines({**accuracy, "quantized": None, "chance": None})
    if trained:
        compared = accuracy.get("comparison")
        on = f", on {compared['clips']:,} test clips" if compared else ""
        yield f"in training{on}:"
        yield from trained


def _labelled_lines(name: str, found: Mapping[str, Any], share: float) -> Iterator[str]:
    yield (
        f"{_short(name):<30}{share:7.1%}  measured "
        f"({found['right']} of {found['clips']} clips right; chance {found['chance']:.1%}, counted)"
    )
    yield from _class_lines(found["per_class"])


def _class_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Figures of each class, as many as fit."""
    if not rows:
        return
    width = max(28, *(len(row["class"]) for row in rows[:_SHOWN_CLASSES]))
    yield f"  {'class':<{width}}   clips  recall  precision  most often taken for"
    for row in rows[:_SHOWN_CLASSES]:
        mistake = "" if row["taken_for"] is None else "{} ({})".format(*row["taken_for"])
        yield (
            f"  {row['class']:<{width}}{row['clips']:>8}{_share(row['recall']):>8}"
            f"{_share(row['precision']):>11}  {mistake}"
        ).rstrip()
    if len(rows) > _SHOWN_CLASSES:
        yield f"  ... and {len(rows) - _SHOWN_CLASSES} more classes in the report"


def _told(clip: Mapping[str, Any]) -> str:
    """What a line tells of a clip behind the class."""
    parts = [f"{clip['probability']:6.1%}"]
    if clip["label"] is not None:
        right = clip["label"] == clip["predicted"]
        parts.append("right" if right else f"wrong: {clip['label']}")
    if len(clip["blocks"]) > 1:
        voting = sum(block["votes"] for block in clip["blocks"])
        parts.append(f"{clip['agreed']} of {voting} blocks agree")
    if clip["damage"]:
        parts.append("up to its damage")
    return "  ".join(parts)


def _clip_name(clip: Mapping[str, Any]) -> str:
    start = "" if clip["start"] is None else f" from frame {clip['start']}"
    return _short(clip["clip"]) + start


def _short(name: str) -> str:
    """A name that fits its column: of a longer one, the end, which tells files apart."""
    return name if len(name) <= _NAME else "..." + name[3 - _NAME :]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _notes(report: Mapping[str, Any]) -> list[str]:
    """What the user should know of the sources and of a meter of his, each sentence once."""
    found = [
        f"{_short(source['source'])}: {note}"
        for source in report["sources"]
        for note in source["notes"]
    ]
    energy = report["energy"]
    if report["provenance"].get("meter") and energy["value_mj_per_frame"] is None:
        found.append(f"board energy: {energy['explanation']}")
    return list(dict.fromkeys(found))


def _energy_line(name: str, energy: Mapping[str, Any]) -> str:
    label = f"{name} energy per frame"
    if energy["value_mj_per_frame"] is None:
        return f"{label:<30}{energy['kind']}"
    return (
        f"{label:<30}{energy['value_mj_per_frame']:.4f} mJ "
        f"+- {energy['uncertainty_mj']:.4f} (95 %), and +- {energy['gain_mj']:.4f} at most by the "
        f"sensor's gain  {energy['kind']}"
    )
