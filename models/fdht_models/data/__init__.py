"""Data sets: labelled clips, generated from a seed out of what installed packages ship.

    from fdht_models.data import load_clips
    train = load_clips("motion", "train", clips=1000, seed=0, cache=Path("build/data"))

Needs numpy, and what the extra `[train]` installs; never TensorFlow.
"""

from fdht_models.data.baseline import single_frame_baseline
from fdht_models.data.catalogue import DATASETS, get_dataset
from fdht_models.data.loading import load_clips, render_clips
from fdht_models.data.pictures import PICTURES, Picture
from fdht_models.data.types import SPLITS, ClipSet, DataSet

__all__ = [
    "DATASETS",
    "PICTURES",
    "SPLITS",
    "ClipSet",
    "DataSet",
    "Picture",
    "get_dataset",
    "load_clips",
    "render_clips",
    "single_frame_baseline",
]
