"""Clips that are to be classified are called as in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from fdht_host.evidence import Recipe
from fdht_host.own_clips import find_own_clips
from tests.overlays.sample_network import sample_network


def test_what_follows_a_dot_in_a_folders_name_is_seen_by_the_pattern(tmp_path: Path) -> None:
    for take, name in enumerate(("left", "right")):
        folder = tmp_path / "clips" / "park" / f"take{take}.{name}"
        folder.mkdir(parents=True)
        for number in range(3):
            picture = np.full((4, 5, 3), 40 * number, np.uint8)
            Image.fromarray(picture).save(folder / f"{number}.png")
    recipe = Recipe({"set": "folders", "pattern": r"\.(?P<class>left|right)$"})
    found = find_own_clips(tmp_path / "clips", sample_network(), recipe)
    assert [(file.name, file.label) for file in found.files] == [
        ("park/take0.left", "left"),
        ("park/take1.right", "right"),
    ]
