"""Data sets: labelled clips, generated from a seed out of what installed packages ship.

    from fdht_models.data import load_clips
    train = load_clips("motion", "train", clips=1000, seed=0, cache=Path("build/data"))

and published sets that a user brings in a folder (`fdht_models.data.folders`). Needs numpy, and
what the extra `[train]` installs; never TensorFlow.
"""

from fdht_models.data.baseline import baseline_table
from fdht_models.data.clip_sets import SPLITS, ClipSet
from fdht_models.data.clip_sources import ClipSource
from fdht_models.data.folders import FolderRequest, load_folder_clips
from fdht_models.data.generated import DATASETS, get_dataset, load_clips, render_clips
from fdht_models.data.photographs import PICTURES
from fdht_models.data.selection import FOLDER_KEYS, source_of

__all__ = [
    "DATASETS",
    "FOLDER_KEYS",
    "PICTURES",
    "SPLITS",
    "ClipSet",
    "ClipSource",
    "FolderRequest",
    "baseline_table",
    "get_dataset",
    "load_clips",
    "load_folder_clips",
    "render_clips",
    "source_of",
]
