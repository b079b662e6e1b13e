"""Which of several overlays for a board is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdht_hls.boards import get_board
from fdht_host.choice import find_overlay
from fdht_models.directories import BuildDirectory
from fdht_models.errors import ArtifactError

BOARD = get_board("pynq-z2")


def built(directory: Path, *names: str) -> Path:
    for name in names:
        path = directory / "overlay" / BOARD.name / name
        path.mkdir(parents=True)
        (path / "manifest.json").write_text("{}")
    return directory


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (("open",), None, "open"),
        (("open", "vitis-rtl"), None, "vitis-rtl"),
        (("open", "vitis-hls", "vitis-rtl"), None, "vitis-hls"),
        (("open", "vitis-hls", "vitis-rtl"), "open", "open"),
        (("vitis-hls", "vitis-rtl"), "vitis-rtl", "vitis-rtl"),
    ],
)
def test_an_experimental_one_is_the_last_choice(tmp_path, names, wanted, found):
    assert find_overlay(BuildDirectory(built(tmp_path, *names)), BOARD, wanted).path.name == found


def test_one_that_was_not_built_is_named_with_those_that_were(tmp_path):
    with pytest.raises(ArtifactError, match=r"vitis-rtl: was not built; use one of open$"):
        find_overlay(BuildDirectory(built(tmp_path, "open")), BOARD, "vitis-rtl")


def test_none_says_how_to_build_one(tmp_path):
    with pytest.raises(ArtifactError, match=r"holds no overlay; run fdht build .* --board pynq-z2"):
        find_overlay(BuildDirectory(tmp_path), BOARD, "open")


def test_what_an_interruption_left_is_no_overlay(tmp_path):
    """Its name sorts before all others."""
    root = built(tmp_path, "vitis-hls", ".vitis-hls.former", ".vitis-rtl.a1b2c3d4")
    assert find_overlay(BuildDirectory(root), BOARD).path.name == "vitis-hls"
    assert not (root / "overlay" / BOARD.name / ".vitis-hls.former").exists()
    built(tmp_path / "half", ".open.former")
    assert find_overlay(BuildDirectory(tmp_path / "half"), BOARD).path.name == "open"
