"""Options that several commands have, each spelled once, and what a shell completes them with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fdht_models import artifacts
from fdht_models.errors import ConfigError

if TYPE_CHECKING:
    from fdht_hls.boards import Board

#: Where everything is built unless `--build` says otherwise.
BUILD = artifacts.BUILD


def complete_experiment(context: typer.Context) -> list[str]:
    """Names for a shell, of what ships and of what was built; typer takes those that fit."""
    import fdht_models

    zoo = Path(fdht_models.__file__).parent / "zoo"
    build = Path(context.params.get("build") or BUILD)
    names = {path.stem for path in zoo.glob("*.toml")}
    names |= {path.parent.name for kind in ("model", "overlay") for path in build.glob(f"*/{kind}")}
    return sorted(names)


def complete_board() -> list[str]:
    """The same of boards."""
    from fdht_hls.boards import board_names

    return list(board_names())


def board_option(help: str, **settings: Any) -> Any:
    """The option `--board`, with what it means to a command."""
    return typer.Option("--board", help=help, autocompletion=complete_board, **settings)


def _checked_port_bits(bits: int) -> int:
    from fdht_hls.engine.engine_plan import PORT_BYTES

    widths = [8 * width for width in PORT_BYTES]
    if bits not in widths:
        allowed = ", ".join(map(str, widths[:-1]))
        raise ConfigError(
            "is no width that a port can have",
            field="port-bits",
            value=bits,
            remedy=f"use {allowed} or {widths[-1]}",
        )
    return bits


def port_bytes_of(bits: int, board: Board | None) -> int:
    """Bytes a clock of `--port-bits`, which a board must have that a design is planned for.

    Raises:
        ConfigError: the board's port is narrower.
    """
    if board is not None and bits > board.port.width_bits:
        raise ConfigError(
            f"a port of {board.name} has {board.port.width_bits} bits",
            field="port-bits",
            value=bits,
            remedy=f"use {board.port.width_bits}, or a --schedule and no --board",
        )
    return bits // 8


def _checked_frames(frames: str | None) -> str | None:
    from fdht_models.settings import text
    from fdht_models.tensor.sparse_frames import FRAMES

    return None if frames is None else text(*FRAMES)(frames, "core-frames")


def _checked_contexts(contexts: int | None) -> int | None:
    from fdht_models.tensor.contexts import context_count

    return None if contexts is None else context_count(contexts, "contexts")


def _checked_feature(feature: str | None) -> str | None:
    from fdht_models.settings import text
    from fdht_models.tensor.sparse_frames import FEATURE_MAKERS

    return None if feature is None else text(*FEATURE_MAKERS)(feature, "feature")


def asked_frames(core_frames: str | None, feature: str | None) -> str | None:
    """The kind of frames that `--core-frames` and `--feature` ask for; None: neither is there.

    Raises:
        ConfigError: they contradict each other.
    """
    from fdht_models.tensor import sparse_frames

    try:
        found = sparse_frames.core_frames(core_frames, feature)
    except ConfigError as error:
        raise error.moved(
            field="core-frames", remedy="leave it out, or take --feature host"
        ) from None
    return "dense" if found is None and feature is not None else found


def schedule_option(help: str) -> Any:
    """The option `--schedule`, with what it means to a command."""
    return typer.Option("--schedule", help=help)


Name = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT",
        help="Its name, or a TOML file.",
        autocompletion=complete_experiment,
    ),
]
Build = Annotated[Path, typer.Option("--build", help="Directory of all that is made.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataRoot = Annotated[
    Path | None, typer.Option("--data-root", help="Folder of a data set that you bring.")
]
Part = Annotated[
    str | None, typer.Option("--part", help="Device to synthesise for, in place of the board's.")
]
ClockPeriod = Annotated[
    float | None,
    typer.Option("--clock-period", min=1.0, help="Nanoseconds, in place of the board's."),
]
PortBits = Annotated[
    int,
    typer.Option(
        "--port-bits",
        callback=_checked_port_bits,
        help="Width of the port that reads frames: 64, 128 or 256.",
    ),
]
#: Of the boards that are real, and of those that are simulated.
BoardName = Annotated[str, board_option("A board's name; 'sim' is simulated.")]
#: For which a design is planned; `DEFAULT_BOARD` where it is not named.
TargetBoard = Annotated[
    str | None, board_option("Board to plan the design for; by default pynq-z2.")
]
#: Which of the two cores.
CoreName = Annotated[
    str | None,
    typer.Option(
        "--core",
        help="'hls': C++ through Vitis HLS; 'rtl': the project's own Verilog, which --flow open "
        "always takes. By default hls.",
    ),
]
#: Of the core's stages.
Schedule = Annotated[
    Path | None, schedule_option("Parallelism of the stages; by default as converted.")
]
#: Named after `frames` in the section `[core]`; `--frames` of `fdht cosim` is how many.
CoreFrames = Annotated[
    str | None,
    typer.Option(
        "--core-frames",
        callback=_checked_frames,
        help="What the core reads of a frame: 'dense': all of it; 'sparse': the words that are not "
        "zero. By default as the schedule, or the experiment, has it.",
    ),
]
#: Likewise after `feature` there.
CoreFeature = Annotated[
    str | None,
    typer.Option(
        "--feature",
        callback=_checked_feature,
        help="Who computes the feature of video: 'host'; 'chip': the core reads raw frames. With "
        "'host', frames are dense unless --core-frames says otherwise.",
    ),
]
#: And after `contexts`.
CoreContexts = Annotated[
    int | None,
    typer.Option(
        "--contexts",
        callback=_checked_contexts,
        help="States that the core keeps, each of a stream of its own: 1, 2, 4 .. 64. By default "
        "as the schedule, or the experiment, has it.",
    ),
]
#: Of an outside meter.
MeterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--meter-set",
        metavar="KEY=VALUE",
        help="An option of the meter, as interval=0.1; may be repeated; docs/meters.md has all.",
    ),
]
Only = Annotated[list[str] | None, typer.Option("--only", help="One of them; may be repeated.")]
