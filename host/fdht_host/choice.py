"""Which of an experiment's overlays for a board is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from fdht_hls.boards import Board
from fdht_models.errors import ArtifactError
from fdht_models.stages import stages_in

#: Directories of overlays that nobody would choose before others: the experimental flow's.
_LAST_CHOICE = ("open",)


def find_overlay(experiment_directory: Path, board: Board, wanted: str | None = None) -> Path:
    """The overlay of an experiment for a board.

    Args:
        experiment_directory: build/<name>.
        board: the board.
        wanted: the name of its directory; None takes the only one, or of several one that a
            vendor's tools made rather than an experimental one.

    Raises:
        ArtifactError: none has been built, or not the one that is wanted.
    """
    root = experiment_directory / "overlay" / board.name
    built = sorted(stages_in(root), key=lambda path: (path.name in _LAST_CHOICE, path.name))
    if built and wanted is not None:
        built = [path for path in built if path.name == wanted] or _refuse(root, wanted, built)
    if not built:
        name = experiment_directory.name
        raise ArtifactError(
            "holds no overlay",
            field=str(root),
            remedy=f"run fdht build {name} --board {board.name}"
            + ("" if board.simulated else ", or copy one for this board there"),
        )
    return built[0]


def _refuse(root: Path, wanted: str, built: Sequence[Path]) -> NoReturn:
    raise ArtifactError(
        "was not built",
        field=str(root / wanted),
        remedy=f"use one of {', '.join(path.name for path in built)}",
    )
