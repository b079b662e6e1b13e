"""The experiment's own test clips, made as the network that runs wants them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fdht_host.evidence import Recipe
from fdht_host.readers import scored
from fdht_models.data import ClipSet, source_of
from fdht_models.data.clip_sources import FolderSource
from fdht_models.errors import ConfigError, DataError
from fdht_models.preprocessing import Preprocessing
from fdht_models.records import differences
from fdht_models.tensor.quantized import QuantizedNetwork


def load_test_set(
    recipe: Recipe,
    network: QuantizedNetwork,
    clips: int | None,
    seed: int | None,
    cache: Path | None,
    *,
    raw: bool = False,
) -> ClipSet:
    """Loads the test clips.

    Args:
        recipe: which they are.
        network: that runs.
        clips: how many; None: as many as the experiment evaluates.
        seed: of generated clips; None: the experiment's.
        cache: directory in which clips are kept.
        raw: as raw frames of video, of each clip one more than inputs.

    Raises:
        ConfigError: a seed is given, and clips are not generated.
        ConfigError: raw frames are asked for, and features alone are kept.
        ConfigError: they have other classes than the network, or are made in another way than it
            was trained on.
        DataError: they cannot be made or read, or lie on another machine.
    """
    given = {"test_clips": clips or None, "test_seed": seed}
    data = {**recipe.data, **{key: value for key, value in given.items() if value is not None}}
    _check_folders(data)
    source = source_of(data)
    if seed is not None and isinstance(source, FolderSource):
        raise ConfigError(
            "has no effect on clips of a folder, which are not generated",
            field="seed",
            value=seed,
            remedy="leave it out",
        )
    _check_preprocessing(source.preprocessing, network.preprocessing)
    found = source.load_raw("test") if raw else source.load("test", cache, progress=False)
    if tuple(found.classes) != tuple(network.classes):
        raise ConfigError(
            "has other classes, or another order of them, than the network",
            field="test set",
            value=", ".join(found.classes),
            remedy="run fdht convert and fdht build again, or give a video",
        )
    return found


def _check_folders(data: Mapping[str, Any]) -> None:
    """Refuses clips in folders that are not here: an overlay was copied, and they were not."""
    for section in (data, *(data.get("mix") or ())):
        root = section.get("root")
        if root is not None and not Path(root).is_dir():
            raise DataError(
                "the test clips are files of the machine that trained, which are not here",
                field="data.root",
                value=root,
                remedy="give files or folders as --source",
            )


def _check_preprocessing(tests: Preprocessing, network: Preprocessing) -> None:
    """Refuses test clips that are made in another way than the network was trained on."""
    found, wanted = (scored(one).with_time_step(None).to_json() for one in (tests, network))
    for place, given, kept in differences(found, wanted):
        raise ConfigError(
            f"differs from that of the network that runs: {kept!r}",
            field=f"test set: preprocessing.{place}",
            value=given,
            remedy="name the folder of the test clips as --source, which is read as the network "
            "wants, or run the experiment of these weights",
        )
