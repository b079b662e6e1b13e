"""Which of an experiment's overlays for a board is run."""

from __future__ import annotations

from pathlib import Path

from fdht_hls.boards import Board
from fdht_models.artifacts import command_on
from fdht_models.directories import BuildDirectory, OverlayDirectory, overlays_in
from fdht_models.errors import ArtifactError, ConfigError
from fdht_overlays.manifest import load_manifest

#: Directories of overlays that nobody would choose before others: the experimental flow's.
_LAST_CHOICE = ("open",)


def find_overlay(
    build: BuildDirectory, board: Board, wanted: str | None = None
) -> OverlayDirectory:
    """The overlay of an experiment for a board.

    Args:
        build: of the experiment.
        board: the board.
        wanted: the name of its directory; None takes the only one, or of several one that a
            vendor's tools made rather than an experimental one.

    Raises:
        ArtifactError: none has been built, or not the one that is wanted.
    """
    remedy = f"run {command_on(build.path, 'build', f'--board {board.name}')}"
    if not board.simulated:
        remedy += ", or copy one for this board there"
    return _chosen(build.overlays(board.name), wanted, remedy)


def overlay_at(path: Path, board: str | None = None, wanted: str | None = None) -> OverlayDirectory:
    """The overlay in a directory that was copied from a build.

    Args:
        path: the overlay's directory, or one that holds those of a board.
        board: the name of the board that it should be for; None: whichever it is for.
        wanted: as in `find_overlay`.

    Raises:
        ArtifactError: there is none, not the one that is wanted, or it is damaged.
        ConfigError: it is for another board.
    """
    remedy = "name a copy of build/<name>/overlay/<board>, or of a directory in it"
    found = _chosen(path, wanted, remedy)
    built_for = load_manifest(found.path).board
    if board not in (None, built_for):
        raise ConfigError(
            f"is not that of the overlay, {built_for}", field="board", value=board,
            remedy="leave it out",
        )  # fmt: skip
    return found


def _chosen(root: Path, wanted: str | None, remedy: str) -> OverlayDirectory:
    found = {one.path.name: one for one in overlays_in(root)}
    names = sorted(found, key=lambda name: (name in _LAST_CHOICE, name))
    if not names:
        raise ArtifactError("holds no overlay", field=str(root), remedy=remedy)
    if wanted is not None and wanted not in found:
        raise ArtifactError(
            "was not built", field=str(root / wanted), remedy=f"use one of {', '.join(names)}"
        )
    return found[wanted or names[0]]
