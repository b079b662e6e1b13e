"""Section `[augmentation]`: how training clips are changed at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from fdht_models.errors import ConfigError
from fdht_models.preprocessing import Preprocessing
from fdht_models.settings import up_to, whole

#: How many of the clips `flip = true` mirrors.
_HALF = 0.5
_PICTURE, _SOUND = ("picture",), ("sound",)
_KIND_NAMES = {"picture": "video", "sound": "sound", "spikes": "spikes", "values": "values"}
_ALL = tuple(_KIND_NAMES)


def _mirrored(value: object, path: str) -> float:
    """Checks `flip`: a share, or true for half of the clips."""
    if isinstance(value, bool):
        return _HALF if value else 0.0
    return up_to(1)(value, path)


def _option(check: Callable[[object, str], Any], kinds: tuple[str, ...]) -> dict[str, Any]:
    return {"check": check, "kinds": kinds}


@dataclass(frozen=True)
class AugmentationSettings:
    """Section `[augmentation]`; 0 leaves clips as they are, and is the default of every key.

    All is drawn anew for every clip in every epoch, evenly from the range that a key gives.

    Attributes:
        flip: of video, the share of clips that are mirrored, left and right; true is 0.5.
        crop: of video, the largest part of height and width that is cut off. What is left is
            enlarged to the whole frame by repeating rows and columns.
        brightness: of video, the largest change of brightness: values are multiplied by 1 - x to
            1 + x. Of the feature motion_energy that is a change of contrast.
        shift: the most steps (of sound: frames of 10 ms) by which a clip begins later or ends
            earlier than it does.
        drop: the share of steps that are lost, and become zeros.
        time_warp: of sound, the largest change of its speed: 1 - x to 1 + x.
        bands: of sound, by how many bands the highest one is moved at most, as by a longer or
            shorter vocal tract (Jaitly and Hinton 2013); lower ones move less.
        level: of sound, the largest gain or loss in decibels.
        tilt: of sound, the largest gain or loss of the highest band in decibels; the lowest one
            has the opposite, those between lie on a line, as microphones and rooms differ.
        noise: of sound, the standard deviation in decibels of what is added to every value.
        mask_time: of sound, the most frames of 10 ms in one stretch that become silence
            (SpecAugment, Park et al. 2019).
        mask_bands: of sound, the most neighbouring bands that become silence (the same).
    """

    flip: float = field(default=0.0, metadata=_option(_mirrored, _PICTURE))
    crop: float = field(default=0.0, metadata=_option(up_to(0.9), _PICTURE))
    brightness: float = field(default=0.0, metadata=_option(up_to(1), _PICTURE))
    shift: int = field(default=0, metadata=_option(whole(0, 10_000), _ALL))
    drop: float = field(default=0.0, metadata=_option(up_to(0.9), _ALL))
    time_warp: float = field(default=0.0, metadata=_option(up_to(0.9), _SOUND))
    bands: float = field(default=0.0, metadata=_option(up_to(256), _SOUND))
    level: float = field(default=0.0, metadata=_option(up_to(85), _SOUND))
    tilt: float = field(default=0.0, metadata=_option(up_to(85), _SOUND))
    noise: float = field(default=0.0, metadata=_option(up_to(85), _SOUND))
    mask_time: int = field(default=0, metadata=_option(whole(0, 100_000), _SOUND))
    mask_bands: int = field(default=0, metadata=_option(whole(0, 256), _SOUND))

    @property
    def chosen(self) -> dict[str, float]:
        """The keys that change something, with their values."""
        return {key: value for key, value in vars(self).items() if value}


def check_augmentation(settings: AugmentationSettings, preprocessing: Preprocessing) -> None:
    """Refuses what has no meaning for the inputs, or would leave nothing of a clip.

    Raises:
        ConfigError: names the key.
    """
    for entry in fields(settings):
        kinds = entry.metadata["kinds"]
        if getattr(settings, entry.name) and preprocessing.kind not in kinds:
            raise ConfigError(
                f"has no meaning for {_KIND_NAMES[preprocessing.kind]}",
                field=f"augmentation.{entry.name}",
                value=getattr(settings, entry.name),
                remedy=f"leave it out, or use {', '.join(_keys_of(preprocessing.kind))}",
            )
    sampling, sound = preprocessing.sampling, preprocessing.sound
    limits = {"shift": (sampling.steps, "steps")}
    if sound is not None:
        limits["shift"] = limits["mask_time"] = (sampling.steps * sound.stack, "frames of 10 ms")
        limits["mask_bands"] = limits["bands"] = (sound.bands, "bands")
    for key, (count, what) in limits.items():
        if getattr(settings, key) >= count:
            raise ConfigError(
                f"a clip has {count} {what}",
                field=f"augmentation.{key}",
                value=getattr(settings, key),
                remedy="choose fewer" if count > 1 else "leave it out",
            )


def _keys_of(kind: str) -> list[str]:
    return [entry.name for entry in fields(AugmentationSettings) if kind in entry.metadata["kinds"]]
