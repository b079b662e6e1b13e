"""Features of video frames, computed alike when training and on the board.

Needs numpy only: the host calls these functions on every decoded frame, and the data sets call
them on every generated one, so what the network sees is the same in both places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fdht_models.errors import ConfigError, ShapeError, require_known

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Feature:
    """A function from a frame, and perhaps the one before it, to the network's input.

    Attributes:
        name: what experiments call it.
        needs_previous: True if the first frame of a stream yields no feature, because there is
            no frame before it.
        function: maps (previous frame, frame), both uint8 [H, W, 3], to uint8 [H * W * 3], new or
            in the array `out` that is given by name. With `needs_previous` False, the previous
            frame is not looked at.
        has_dead_zone: True if small differences can be made to count as none.
    """

    name: str
    needs_previous: bool
    function: Callable[..., Frame]
    has_dead_zone: bool = False


def motion_energy(
    previous: Frame, frame: Frame, dead_zone: int = 0, out: Frame | None = None
) -> Frame:
    """Returns |frame - previous|, the usual motion energy, at full resolution.

    Args:
        previous: uint8 [H, W, 3], the frame before.
        frame: uint8 [H, W, 3].
        dead_zone: the largest difference that counts as none, from 0 (every difference counts).
        out: uint8 [H * W * 3] to write to; None: a new array.

    Returns:
        `out`, or uint8 [H * W * 3], in the order row, column, channel. No value saturates: the
        distance of two 8-bit values is an 8-bit value.

    Raises:
        ShapeError: the frames are not uint8, not of one shape, or not of the size of `out`.
    """
    if previous.shape != frame.shape or previous.dtype != np.uint8 or frame.dtype != np.uint8:
        raise ShapeError(
            f"expected uint8 {previous.shape} like the frame before it ({previous.dtype})",
            field="frame",
            value=f"{frame.dtype} {frame.shape}",
            remedy="resize every frame of a stream alike and keep its values as uint8",
        )
    found = _place_for(frame, out)
    shaped = found.reshape(frame.shape)  # of one dimension always a view
    # max - min stays in uint8; a plain difference would wrap round.
    np.maximum(previous, frame, out=shaped)
    np.subtract(shaped, np.minimum(previous, frame), out=shaped)
    leave_out(found, dead_zone)
    return found


def leave_out(differences: NDArray[np.uint8], dead_zone: int) -> None:
    """Sets differences of at most `dead_zone` to 0, in place.

    What `motion_energy` does at its end, so that clips without a dead zone become those with one.
    """
    if dead_zone:
        # A product has no branch: on the 57,600 values of a frame it takes 10 us, where choosing
        # those that become 0 takes 200 us and more (measured on x86).
        np.multiply(differences, differences > dead_zone, out=differences)


def pixels(previous: Frame, frame: Frame, out: Frame | None = None) -> Frame:
    """Returns the frame itself, uint8 [H * W * 3], or a copy in `out`; `previous` is not used."""
    if frame.dtype != np.uint8:
        raise ShapeError("expected uint8", field="frame", value=str(frame.dtype))
    if out is None:
        return frame.ravel()
    np.copyto(_place_for(frame, out).reshape(frame.shape), frame)
    return out


def _place_for(frame: Frame, out: Frame | None) -> Frame:
    """Where the feature of a frame goes."""
    if out is None:
        return np.empty(frame.size, np.uint8)
    if out.shape != (frame.size,) or out.dtype != np.uint8:
        raise ShapeError(
            f"expected uint8 ({frame.size},)", field="out", value=f"{out.dtype} {out.shape}"
        )
    return out


FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature("motion_energy", True, motion_energy, has_dead_zone=True),
        Feature("pixels", False, pixels),
    )
}


def get_feature(name: str, dead_zone: int = 0) -> Feature:
    """Returns the feature called `name`, with differences up to `dead_zone` counted as none.

    Raises:
        ConfigError: there is none of that name, or it has no dead zone.
    """
    require_known(name, FEATURES, "feature", "there is no such feature")
    found = FEATURES[name]
    if not dead_zone:
        return found
    if not found.has_dead_zone:
        raise ConfigError(
            f"'{name}' compares nothing, so that no difference can be left out",
            field="dead_zone",
            value=dead_zone,
            remedy="leave it out, or choose the feature motion_energy",
        )
    return replace(found, function=partial(motion_energy, dead_zone=dead_zone))


def features_of(name: str, frames: NDArray[np.uint8], dead_zone: int = 0) -> NDArray[np.uint8]:
    """Applies a feature to a whole clip.

    Args:
        name: a key of `FEATURES`.
        frames: uint8 [frames, H, W, 3] in order of time.
        dead_zone: see `get_feature`.

    Returns:
        uint8 [frames - 1, H * W * 3] if the feature needs the previous frame, otherwise
        uint8 [frames, H * W * 3].

    Raises:
        ConfigError: there is no such feature.
        ShapeError: `frames` is not uint8 [frames, H, W, 3], or holds too few frames.
    """
    feature = get_feature(name, dead_zone)
    first = 1 if feature.needs_previous else 0
    if frames.ndim != 4 or len(frames) <= first:
        raise ShapeError(
            f"expected [at least {first + 1}, H, W, 3]", field="frames", value=frames.shape
        )
    result = np.empty((len(frames) - first, frames[0].size), np.uint8)
    for step in range(first, len(frames)):
        feature.function(frames[max(step - 1, 0)], frames[step], out=result[step - first])
    return result
