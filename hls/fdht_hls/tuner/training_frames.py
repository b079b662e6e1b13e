"""Frames of an experiment's clips, for which a core that skips zeros is tuned, or shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fdht_hls.engine import EngineDesign
from fdht_hls.estimate.rtl_sparse import profile_of
from fdht_hls.frame_profile import FrameProfile
from fdht_models.errors import ConfigError
from fdht_models.experiment import Experiment


def clips_of(experiment: Experiment, split: str, clips: int, cache: Path) -> npt.NDArray[np.uint8]:
    """So many clips of an experiment, the same every time: uint8[clips, steps, inputs].

    Of a set that is generated only so many clips are made: the first ones. Of others they are taken
    evenly from all.

    Args:
        experiment: whose clips.
        split: "train" or "test".
        clips: how many; all where there are fewer.
        cache: where clips of folders are kept.

    Raises:
        DataError: clips cannot be made or read.
    """
    settings = experiment.to_json()
    generated = settings["data"][f"{split}_clips"]
    if generated is not None:
        settings["data"][f"{split}_clips"] = min(generated, clips)
        experiment = Experiment.from_json(settings)
    found = experiment.source.load(split, None if generated is not None else cache).frames
    count = min(clips, len(found))
    places = np.linspace(0, len(found) - 1, count).round().astype(np.intp)
    return np.stack([found[place] for place in places])


def training_profile(
    design: EngineDesign, experiment: Experiment, clips: int, cache: Path
) -> FrameProfile:
    """What the frames of training clips ask of a core; those of `clips_of`.

    Args:
        design: of the core.
        experiment: whose clips.
        clips: how many; all where there are fewer.
        cache: where clips of folders are kept.

    Raises:
        ConfigError: the clips have frames of another size than the network.
        DataError: clips cannot be made or read.
        ShapeError: frames are no whole number of the port's words.
    """
    frames = np.concatenate(clips_of(experiment, "train", clips, cache))
    inputs = design.port.fibres * design.port.fibre
    if frames.shape[1] != inputs:
        raise ConfigError(
            f"the network reads {inputs} values a frame",
            field="experiment",
            value=experiment.name,
            remedy="train it again: fdht train",
        )
    return profile_of(design, frames)
