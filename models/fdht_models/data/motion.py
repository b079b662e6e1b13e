"""The data set `motion`: real handwritten digits moving over real photographs.

The classes are defined by time alone. A single frame of motion energy shows a digit's outline,
but not where it came from. Size, speed, place, colour, noise, the crop of the background and its
mirror image are random. Camera noise is cheap enough to be drawn for every value of every frame.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.clip_sets import DataSet
from fdht_models.data.packages import digest_array, digits
from fdht_models.data.photographs import (
    PICTURE_HEIGHT,
    PICTURE_WIDTH,
    load_picture,
    picture_digests,
    pictures_of,
)

_LEVELS = 256
_MINIMUM_SIGMA, _MAXIMUM_SIGMA = 0.5, 1.5


@functools.cache
def _quantiles() -> NDArray[np.float64]:
    # The mid-point quantiles of the normal distribution: one random byte picks one of them, which
    # costs a tenth of drawing a normal number and, rounded to whole pixel values, looks the same.
    normal = NormalDist()
    values = np.array([normal.inv_cdf((level + 0.5) / _LEVELS) for level in range(_LEVELS)])
    values.setflags(write=False)
    return values


def draw_noise(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Returns normal noise rounded to integers: int16 of `shape`, in pixel values.

    The standard deviation is one for the whole clip, drawn evenly from 0.5 to 1.5 pixel values.
    """
    sigma = generator.uniform(_MINIMUM_SIGMA, _MAXIMUM_SIGMA)
    table = np.rint(_quantiles() * sigma).astype(np.int16)
    picks = np.frombuffer(generator.bytes(int(np.prod(shape))), np.uint8)
    return table.take(picks).reshape(shape)


HEIGHT, WIDTH = 120, 160
CLASSES = (
    "left",
    "right",
    "up",
    "down",
    "clockwise",
    "counterclockwise",
    "grow",
    "shrink",
    "stop",
    "bounce",
    "shake",
)
CYCLE = 8
"""Frames of one movement. A longer clip repeats it, so that the digit stays in the picture."""

# Pixels, pixels a frame, radians a frame, and e-folds of size a frame.
_SIZE = (16.0, 50.0)
_SPEED = (3.0, 6.0)
_RADIUS = (18.0, 24.0)
_TURN = (0.55, 0.7)
_GROWTH = (0.085, 0.12)
_COLOUR = (60.0, 255.0)
# When a digit stops or turns back: frames from the middle of the movement.
_MOMENT = (-0.6, 0.6)
# How near the frame's edge the middle of a digit may come, in pixels, and how far from the frame's
# middle the middle of its path may lie, as a share of the frame's width and height. Nearer, and a
# single frame tells the class, since what is at the left in the last frame has moved left; wider,
# and a network of some thousand parameters needs far more clips to learn what place does not mean.
_MARGIN = 20.0
_SPREAD = 26.0
# A shaking digit jumps to places this far from the middle, in units of the speed: all at the same
# distance, since a digit that happens to stay near the middle cannot be told from a bouncing one.
_SHAKE = 3.0


@dataclass(frozen=True)
class Track:
    """Where a digit is, and how large, in each frame: float64 [frames] each, in pixels."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    size: NDArray[np.float64]


def draw_track(name: str, frames: int, generator: np.random.Generator) -> Track:
    """Draws the path of one clip.

    Args:
        name: one of `CLASSES`.
        frames: raw frames in the clip.
        generator: the source of size, speed and place.
    """
    size = np.exp(generator.uniform(*np.log(_SIZE)))
    speed, moment = generator.uniform(*_SPEED), generator.uniform(*_MOMENT)
    time = np.arange(frames, dtype=np.float64)
    cycle = min(frames, CYCLE)
    phase = time % cycle - (cycle - 1) / 2  # symmetric about 0: the middle frame is the centre
    x, y, growth = np.zeros(frames), np.zeros(frames), np.zeros(frames)
    if name in ("left", "right"):
        x = phase * (speed if name == "right" else -speed)
    elif name in ("up", "down"):
        y = phase * (speed if name == "down" else -speed)  # rows are counted downwards
    elif name in ("clockwise", "counterclockwise"):
        turn = generator.uniform(*_TURN) * (1 if name == "clockwise" else -1)
        angle = generator.uniform(0, 2 * np.pi) + turn * time
        radius = generator.uniform(*_RADIUS)
        x, y = radius * np.cos(angle), radius * np.sin(angle)
    elif name in ("grow", "shrink"):
        growth = phase * generator.uniform(*_GROWTH) * (1 if name == "grow" else -1)
    elif name == "stop":
        x = speed * np.minimum(phase, moment)
    elif name == "bounce":
        x = speed * np.abs(phase - moment)
    else:  # shake
        angle = generator.uniform(0, 2 * np.pi, frames)
        x, y = _SHAKE * speed * np.cos(angle), _SHAKE * speed * np.sin(angle)
    x += _place(x, WIDTH, generator)
    y += _place(y, HEIGHT, generator)
    return Track(x, y, size * np.exp(growth))


def _place(path: NDArray[np.float64], extent: int, generator: np.random.Generator) -> float:
    """Draws how far to shift a path, in pixels, so that it stays within a frame's extent."""
    low, high = _MARGIN - path.min(), extent - _MARGIN - path.max()
    middle = (low + high) / 2
    reach = min(_SPREAD, (high - low) / 2)
    return float(generator.uniform(middle - reach, middle + reach))


def _tent(extent: int, centre: float, size: float, samples: int) -> tuple[slice, NDArray]:  # type: ignore[type-arg]
    """Weights of linear interpolation that place `samples` source values about `centre`.

    Returns:
        The pixels concerned, and float32 [pixels, samples].
    """
    scale = samples / size
    # Half a source value beyond the edge is where the outermost weight reaches zero.
    first = max(int(np.floor(centre - size / 2 - 0.5 / scale)), 0)
    last = min(int(np.ceil(centre + size / 2 + 0.5 / scale)), extent)
    position = (np.arange(first, last) + 0.5 - (centre - size / 2)) * scale - 0.5
    weights = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(samples)))
    return slice(first, max(first, last)), weights.astype(np.float32)


def draw_digit(
    canvas: NDArray[np.int16],
    background: NDArray[np.int16],
    digit: NDArray[np.float32],
    colour: NDArray[np.float32],
    centre: tuple[float, float],
    size: float,
) -> None:
    """Blends a digit into `canvas`, at sub-pixel place and size, by bilinear interpolation.

    Args:
        canvas: int16 [H, W, 3], the background with noise; written to.
        background: int16 [H, W, 3], what the digit covers.
        digit: float32 [8, 8], how opaque it is.
        colour: float32 [3].
        centre: (x, y) in pixels.
        size: edge length in pixels.
    """
    rows, weights_y = _tent(canvas.shape[0], centre[1], size, digit.shape[0])
    columns, weights_x = _tent(canvas.shape[1], centre[0], size, digit.shape[1])
    opacity = (weights_y @ digit @ weights_x.T)[..., None]
    change = opacity * (colour - background[rows, columns])
    canvas[rows, columns] += np.rint(change).astype(np.int16)


def _draw_background(split: str, generator: np.random.Generator) -> NDArray[np.int16]:
    photographs = pictures_of(split)
    photograph = load_picture(photographs[generator.integers(len(photographs))])
    top = generator.integers(PICTURE_HEIGHT - HEIGHT + 1)
    left = generator.integers(PICTURE_WIDTH - WIDTH + 1)
    crop = photograph[top : top + HEIGHT, left : left + WIDTH].astype(np.int16)
    return crop[:, ::-1] if generator.random() < 0.5 else crop


def render(split: str, label: int, steps: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Draws one clip: uint8 [steps + 1, 120, 160, 3]; see `DataSet.render`."""
    background = _draw_background(split, generator)
    digit = digits(split)[generator.integers(len(digits(split)))]
    colour = generator.uniform(*_COLOUR, 3).astype(np.float32)
    track = draw_track(CLASSES[label], steps + 1, generator)
    frames = draw_noise(generator, (steps + 1, HEIGHT, WIDTH, 3))
    frames += background
    for frame, x, y, size in zip(frames, track.x, track.y, track.size, strict=True):
        draw_digit(frame, background, digit, colour, (x, y), size)
    return np.clip(frames, 0, 255, out=frames).astype(np.uint8)


def _sources(split: str) -> dict[str, str]:
    return {"digits": digest_array(digits(split)), **picture_digests(split)}


MOTION = DataSet(
    name="motion",
    classes=CLASSES,
    frame_shape=(HEIGHT, WIDTH, 3),
    feature="motion_energy",
    steps=CYCLE - 1,
    minimum_steps=4,
    version=3,
    render=render,
    sources=_sources,
)
