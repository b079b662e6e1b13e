"""Frames of an experiment's clips, for which a core that skips zeros is planned, or shown."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fdht_hls.engine import EngineDesign
from fdht_hls.estimate.sparse_timing import block_values, profile_of
from fdht_hls.frame_profile import FrameProfile, load_profile
from fdht_hls.tuner.budget import Budget
from fdht_hls.tuner.cores import CoreKind, core_to_tune
from fdht_models.artifacts import digest_of, write_json
from fdht_models.directories import EXPERIMENT, BuildDirectory
from fdht_models.errors import ArtifactError, ConfigError, DataError
from fdht_models.experiment import Experiment, read_experiment
from fdht_models.tensor.quantized import QuantizedNetwork

#: Training clips that a core is planned for where nobody says how many.
PLAN_CLIPS = 100


@dataclass(frozen=True)
class FramesAtHand:
    """What is known of the frames that a core is planned for.

    Args:
        profile: of them; None: every frame counts as full.
        why: that is so; "" where there is a profile, or frames are dense.
    """

    profile: FrameProfile | None = None
    why: str = ""

    @property
    def line(self) -> str:
        """The same for people; "" where frames are dense."""
        if self.profile is None:
            return f"every frame counts as full: {self.why}" if self.why else ""
        words, held = self.profile.port, np.mean(self.profile.blocks[0].held)
        return (
            f"for frames like those of {self.profile.clips or 0:,} training clips: {len(words):,} "
            f"frames, of which the port reads {words.mean():,.0f} of "
            f"{self.profile.frame_words:,} words on average, and {held:,.0f} fibres are worked on  "
            "counted"
        )


def frames_at_hand(
    network: QuantizedNetwork,
    budget: Budget,
    core: CoreKind,
    frames: str,
    build: BuildDirectory,
    recipe: Experiment | None = None,
    clips: int | None = None,
) -> FramesAtHand:
    """What is known of the frames of an experiment's training clips.

    Whoever plans a core asks here, so that the same clips give the same design. What was counted is
    kept in the build, and not counted again.

    Args:
        network: of the core.
        budget: the board with its port.
        core: that is planned.
        frames: that it reads; of dense ones nothing needs to be known.
        build: of the experiment. The clips are those that it was trained with.
        recipe: in place of that, where nothing is trained; None: there is none.
        clips: how many of the training clips; 0: none, frames count as full; None: `PLAN_CLIPS`,
            if they can be had.

    Raises:
        ArtifactError: what training left is damaged.
        As `training_profile`, where `clips` are asked for.
    """
    if frames == "dense":
        return FramesAtHand()
    if clips == 0:
        return FramesAtHand(why="no clips are asked for (--clips 0)")
    design = core_to_tune(network, budget, core, frames=frames).design
    trained = build.model.find_file(EXPERIMENT) or build.hls.find_file(EXPERIMENT)
    experiment = recipe if trained is None else read_experiment(trained)
    try:
        if experiment is None:
            raise ConfigError(
                "is a build without its TOML file, which names the clips",
                field="experiment",
                value=build.name,
            )
        asked = PLAN_CLIPS if clips is None else clips
        return FramesAtHand(training_profile(design, experiment, asked, build, frames))
    except (ArtifactError, ConfigError, DataError) as error:
        if clips is not None:
            raise
        return FramesAtHand(why=f"there are no training clips ({error})")


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
    made, generated = _of_so_many(experiment, split, clips)
    found = made.source.load(split, None if generated else cache).frames
    count = min(clips, len(found))
    places = np.linspace(0, len(found) - 1, count).round().astype(np.intp)
    return np.stack([found[place] for place in places])


def _of_so_many(experiment: Experiment, split: str, clips: int) -> tuple[Experiment, bool]:
    """The experiment with no more clips than that, and whether they are generated."""
    settings = experiment.to_json()
    generated = settings["data"][f"{split}_clips"]
    if generated is None:
        return experiment, False
    settings["data"][f"{split}_clips"] = min(generated, clips)
    return Experiment.from_json(settings), True


def training_profile(
    design: EngineDesign,
    experiment: Experiment,
    clips: int,
    build: BuildDirectory,
    frames: str = "sparse",
) -> FrameProfile:
    """What the frames of training clips ask of a core; those of `clips_of`.

    Args:
        design: of the core.
        experiment: whose clips.
        clips: how many; all where there are fewer.
        build: where it is kept, if it can be; a damaged file is written anew.
        frames: that the core reads, "sparse" or "raw".

    Raises:
        ArtifactError: clips that have to be decoded cannot be kept.
        ConfigError: the clips have frames of another size than the network.
        DataError: clips cannot be made or read.
        ShapeError: frames are no whole number of the port's words.
    """
    made, _ = _of_so_many(experiment, "train", clips)
    port = design.port
    key = digest_of(
        {
            "clips": made.source.digest("train", build.data),
            "count": clips,
            "frames": frames,
            "inputs": port.fibres * port.fibre,
            "port": [port.frame_bytes, port.word_bytes],
            "blocks": list(block_values(design)),
            "version": _VERSION,
        }
    )
    path = build.profiles / f"{key[:24]}.json"
    if path.is_file():
        with suppress(ConfigError):
            return load_profile(path)
    found = _measured(design, experiment, clips, build.data, frames)
    with suppress(ArtifactError):  # it only saves counting again
        write_json(path, found.to_json())
    return found


#: Of what is counted: another version counts anew.
_VERSION = 1


def _measured(
    design: EngineDesign, experiment: Experiment, clips: int, cache: Path, kind: str
) -> FrameProfile:
    found = clips_of(experiment, "train", clips, cache)
    frames = np.concatenate(found)
    inputs = design.port.fibres * design.port.fibre
    if frames.shape[1] != inputs:
        raise ConfigError(
            f"the network reads {inputs} values a frame",
            field="experiment",
            value=experiment.name,
            remedy="train it again: fdht train",
        )
    return replace(profile_of(design, frames, kind), clips=len(found))
