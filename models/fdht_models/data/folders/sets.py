"""The published sets that a user may bring, by name, and a user's own clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fdht_models.data.folders.listing import SOUND, FolderSet, Listing
from fdht_models.data.folders.published import (
    hmdb51_hollywood2,
    shd,
    timit_ted_lium,
    ucf11_ucf50_ytc,
)
from fdht_models.documents import read_toml_file
from fdht_models.errors import require_known
from fdht_models.preprocessing.protocols import WINDOW
from fdht_models.records import read_record

#: A user's own clips.
OWN = "folders"
#: Frames a clip of a user's own sound: a second.
_OWN_SOUND_STEPS = 100

_TABLE = read_toml_file(Path(__file__).with_suffix(".toml"))
FOLDER_SETS: dict[str, FolderSet] = {
    known.name: known for known in read_record(tuple[FolderSet, ...], _TABLE["sets"], path="sets")
}

#: What lists a folder in the layout of each published set.
LISTERS: dict[str, Callable[[Path, FolderSet], Listing]] = {
    "ucf11": ucf11_ucf50_ytc.list_ucf11,
    "ucf50": ucf11_ucf50_ytc.list_ucf50,
    "hmdb51": hmdb51_hollywood2.list_hmdb51,
    "ytc": ucf11_ucf50_ytc.list_ytc,
    "hollywood2": hmdb51_hollywood2.list_hollywood2,
    "shd": shd.list_shd,
    "timit": timit_ted_lium.list_timit,
    "ted-lium": timit_ted_lium.list_ted_lium,
    "features": ucf11_ucf50_ytc.list_features,
}


def own_set(kind: str, classes: tuple[str, ...]) -> FolderSet:
    """The set of a user's own clips of one kind, with their classes, or () if they are not said."""
    known = FOLDER_SETS[OWN]
    steps = {WINDOW: _OWN_SOUND_STEPS} if kind == SOUND else known.steps
    return replace(known, kind=kind, classes=classes, steps=steps)


def get_folder_set(name: str) -> FolderSet:
    """Returns the set called `name`.

    Raises:
        ConfigError: there is none of that name.
    """
    require_known(name, FOLDER_SETS, "name", "there is no such set")
    return FOLDER_SETS[name]
