"""How a clip becomes what the network sees: plain frozen data that travels in the network.

A network is trained on frames that were chosen, resized and turned into a feature in one way. What
classifies with it must do the same, so this is a part of `QuantizedNetwork`, and host, training,
reference and report read nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fdht_models.errors import ShapeError
from fdht_models.features import features_of, get_feature
from fdht_models.preprocessing.protocols import (
    GENERATED,
    PROTOCOLS,
    WINDOWS,
)
from fdht_models.settings import number, option, text, whole


@dataclass(frozen=True)
class Sampling:
    """Which frames of a clip the network sees.

    Attributes:
        protocol: one of `PROTOCOLS`.
        steps: network inputs a clip.
        stride: frames from one that is taken to the next, where the protocol has a fixed distance.
        seed: of random choices.
        time_step: seconds from one network input to the next, the median over the training clips;
            None where files state no frame rate, and for clips without files.
    """

    protocol: str = field(metadata={"check": text(*PROTOCOLS)})
    steps: int = field(metadata={"check": whole(1, 10_000)})
    stride: int = option(whole(1, 10_000), 1)
    seed: int = option(whole(0, 2**31 - 1), 0)
    time_step: float | None = option(number(0, 1e6))

    @property
    def suits_streams(self) -> bool:
        """True if inputs follow each other at one distance, as those of a live stream can."""
        return self.protocol in WINDOWS

    def live_stride(self, rate: float | None) -> int:
        """Frames from one that is taken to the next in a stream of `rate` frames per second.

        The trained time step in frames of the stream, at least 1; where either is not known, the
        trained stride.
        """
        if rate is None or self.time_step is None:
            return self.stride
        return max(1, round(self.time_step * rate))


@dataclass(frozen=True)
class Picture:
    """What is made of a frame of video.

    Attributes:
        height: rows that frames are resized to.
        width: columns.
        feature: a key of `fdht_models.features.FEATURES`.
        dead_zone: largest difference of `motion_energy` that counts as none.
        colours: order of the channels.
        resizing: "stretch": to that size whatever the shape, bilinear; see
            `fdht_models.media.PixelConverter`.
    """

    height: int = field(metadata={"check": whole(1, 4096)})
    width: int = field(metadata={"check": whole(1, 4096)})
    feature: str = "pixels"
    dead_zone: int = option(whole(0, 254), 0)
    colours: Literal["rgb"] = "rgb"
    resizing: Literal["stretch"] = "stretch"

    def __post_init__(self) -> None:
        get_feature(self.feature, self.dead_zone)

    @property
    def frames_before(self) -> int:
        """Frames that a clip needs before the first that yields an input."""
        return int(get_feature(self.feature).needs_previous)

    def features(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Network inputs of consecutive frames as they are.

        Args:
            frames: uint8 [n, H * W * 3], n more than `frames_before`.

        Returns:
            uint8 [n - frames_before, H * W * 3].

        Raises:
            ShapeError: they are too few.
        """
        pictures = frames.reshape(-1, self.height, self.width, 3)
        return features_of(self.feature, pictures, self.dead_zone)


@dataclass(frozen=True)
class Sound:
    """What is made of sound; see `fdht_models.preprocessing.recording`.

    Attributes:
        bands: mel filters.
        stack: frames of 10 ms in one network input.
        placement: where the frames of a clip are taken: "energy": the stretch with most of it;
            "centre" of a part, "start" of a part.
        level: the loudness that recordings are brought to, in decibels of a full-scale sine's;
            None leaves them as they are.
        floor: decibels, after levelling, that become the code 0; -5 dB become 255.
        trim: silence at both ends is what lies so many decibels below the loudest frame, and is
            cut off; None leaves it.
    """

    bands: int = field(metadata={"check": whole(1, 256)})
    stack: int = field(metadata={"check": whole(1, 1000)})
    placement: Literal["energy", "centre", "start"] = "energy"
    level: float | None = None
    floor: float = option(number(-200, -6), -90.0)
    trim: float | None = None


@dataclass(frozen=True)
class Spikes:
    """What is made of spikes: counts in bins of `frame_ms` milliseconds, by channel."""

    frame_ms: float
    channels: int


@dataclass(frozen=True)
class Values:
    """Frames that are inputs as they are, or as codes of numbers.

    Attributes:
        length: values a frame.
        full_scale: the number that becomes the largest code; None: files hold codes.
    """

    length: int = field(metadata={"check": whole(1, 100_000_000)})
    full_scale: float | None = None


@dataclass(frozen=True)
class Preprocessing:
    """How a clip becomes network inputs: exactly one kind of input, and how it is sampled.

    Attributes:
        sampling: which frames.
        picture: of video.
        sound: of sound.
        spikes: of spikes.
        values: of anything else.

    Raises:
        ShapeError: there is not exactly one kind of input.
    """

    sampling: Sampling
    picture: Picture | None = None
    sound: Sound | None = None
    spikes: Spikes | None = None
    values: Values | None = None

    def __post_init__(self) -> None:
        kinds = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ShapeError(
                "needs exactly one of " + ", ".join(_KINDS), field="kind", value=", ".join(kinds)
            )

    @property
    def kind(self) -> str:
        """Which of the four is there: picture, sound, spikes or values."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of a frame as the network sees it: (H, W, 3) of video, otherwise (inputs,)."""
        if self.picture is not None:
            return (self.picture.height, self.picture.width, 3)
        if self.sound is not None:
            return (self.sound.bands * self.sound.stack,)
        if self.spikes is not None:
            return (self.spikes.channels,)
        assert self.values is not None
        return (self.values.length,)

    @property
    def inputs(self) -> int:
        """Values in a frame as the network sees it."""
        return math.prod(self.frame_shape)

    @property
    def feature(self) -> str | None:
        """The feature of video; None of anything else."""
        return None if self.picture is None else self.picture.feature

    def with_time_step(self, time_step: float | None) -> Preprocessing:
        """The same, with the time step that training clips turned out to have."""
        return replace(self, sampling=replace(self.sampling, time_step=time_step))

    def to_json(self) -> dict[str, Any]:
        """A JSON object; kinds that are not there are left out."""
        found: dict[str, Any] = {"sampling": vars(self.sampling).copy()}
        found[self.kind] = vars(getattr(self, self.kind)).copy()
        return found


@dataclass(frozen=True, eq=False)
class ClipInputs:
    """A clip as the network sees it.

    Attributes:
        values: uint8 [steps, inputs]; zeros are in front of a clip that is too short. Of raw video
            see `read_video`.
        frames: frames (of sound, of 10 ms) that the clip was chosen from.
        used: how many of them were taken.
        damage: what was wrong with its file; "" if nothing was.
        time_step: seconds from one network input to the next; None where the file does not say.
    """

    values: NDArray[np.uint8]
    frames: int
    used: int
    damage: str = ""
    time_step: float | None = None


_KINDS = ("picture", "sound", "spikes", "values")


def plain(length: int, steps: int) -> Preprocessing:
    """Of a network whose frames are values as they are and belong to no files."""
    return Preprocessing(Sampling(GENERATED, steps), values=Values(length))
