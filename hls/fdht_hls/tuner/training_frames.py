"""Frames of an experiment's training clips, for which a core that skips zeros is tuned."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fdht_hls.engine import EngineDesign
from fdht_hls.estimate.rtl_sparse import profile_of
from fdht_hls.frame_profile import FrameProfile
from fdht_models.errors import ConfigError
from fdht_models.experiment import Experiment


def training_profile(
    design: EngineDesign, experiment: Experiment, clips: int, cache: Path
) -> FrameProfile:
    """What the frames of training clips ask of a core; the same clips every time.

    Of a set that is generated only so many clips are made: the first ones. Of others they are taken
    evenly from all.

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
    settings = experiment.to_json()
    generated = settings["data"]["train_clips"]
    if generated is not None:
        settings["data"]["train_clips"] = min(generated, clips)
        experiment = Experiment.from_json(settings)
    found = experiment.source.load("train", None if generated is not None else cache).frames
    count = min(clips, len(found))
    places = np.linspace(0, len(found) - 1, count).round().astype(np.intp)
    frames = np.concatenate([found[place] for place in places])
    inputs = design.port.fibres * design.port.fibre
    if frames.shape[1] != inputs:
        raise ConfigError(
            f"the network reads {inputs} values a frame",
            field="experiment",
            value=experiment.name,
            remedy="train it again: fdht train",
        )
    return profile_of(design, frames)
