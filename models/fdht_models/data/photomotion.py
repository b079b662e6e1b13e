"""The data set `photomotion`: a virtual camera that pans, zooms and rotates over photographs.

Harder than `motion`: everything moves at once, and the direction is only in how the texture of
one frame of motion energy continues in the next. The classes say how the camera moves; what is
in the picture moves the other way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.noise import draw_noise, to_pixels
from fdht_models.data.pictures import (
    PICTURE_HEIGHT,
    PICTURE_WIDTH,
    load_picture,
    picture_digests,
    pictures_of,
    pillow,
)
from fdht_models.data.types import DataSet

HEIGHT, WIDTH = 120, 160
CLASSES = (
    "pan_left",
    "pan_right",
    "pan_up",
    "pan_down",
    "zoom_in",
    "zoom_out",
    "rotate_clockwise",
    "rotate_counterclockwise",
)
CYCLE = 8
"""Frames of one movement. A longer clip repeats it, so that the view stays in the photograph."""

# Pixels a frame, e-folds of scale a frame, radians a frame.
_PAN = (2.0, 6.0)
_ZOOM = (0.02, 0.05)
_ROTATION = (0.02, 0.06)
# Photograph pixels a frame pixel, and the camera's roll in radians, in the middle of a clip.
_SCALE = (0.8, 1.0)
_ROLL = (-0.1, 0.1)


@dataclass(frozen=True)
class Camera:
    """Where a virtual camera looks in each frame: float64 [frames] each.

    Attributes:
        x: column of the photograph at the middle of the view.
        y: row of the photograph at the middle of the view.
        scale: photograph pixels a frame pixel.
        roll: clockwise turn of the camera, in radians.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    scale: NDArray[np.float64]
    roll: NDArray[np.float64]

    def affine(self, frame: int) -> tuple[float, float, float, float, float, float]:
        """Returns (a, b, c, d, e, f): frame pixel (x, y) shows photograph (ax+by+c, dx+ey+f)."""
        cosine = float(self.scale[frame] * np.cos(self.roll[frame]))
        sine = float(self.scale[frame] * np.sin(self.roll[frame]))
        middle_x, middle_y = WIDTH / 2, HEIGHT / 2
        return (
            cosine,
            -sine,
            float(self.x[frame]) - cosine * middle_x + sine * middle_y,
            sine,
            cosine,
            float(self.y[frame]) - sine * middle_x - cosine * middle_y,
        )


def draw_camera(name: str, frames: int, generator: np.random.Generator) -> Camera:
    """Draws the camera's path of one clip, all of it inside the photograph.

    Args:
        name: one of `CLASSES`.
        frames: raw frames in the clip.
        generator: the source of start, speed, scale and roll.
    """
    cycle = min(frames, CYCLE)
    phase = np.arange(frames, dtype=np.float64) % cycle - (cycle - 1) / 2
    x, y, growth, turn = (np.zeros(frames) for _ in range(4))
    action, _, direction = name.partition("_")
    if action == "pan":
        path = phase * generator.uniform(*_PAN) * (1 if direction in ("right", "down") else -1)
        x, y = (path, y) if direction in ("left", "right") else (x, path)
    elif action == "zoom":
        growth = phase * generator.uniform(*_ZOOM) * (1 if direction == "out" else -1)
    else:
        turn = phase * generator.uniform(*_ROTATION) * (1 if direction == "clockwise" else -1)
    scale = generator.uniform(*_SCALE) * np.exp(growth)
    roll = generator.uniform(*_ROLL) + turn
    # Half the width and height of the rectangle that the turned view fills.
    cosine, sine = np.abs(np.cos(roll)), np.abs(np.sin(roll))
    half_width = scale * (WIDTH * cosine + HEIGHT * sine) / 2
    half_height = scale * (WIDTH * sine + HEIGHT * cosine) / 2
    x += generator.uniform((half_width - x).max(), (PICTURE_WIDTH - half_width - x).min())
    y += generator.uniform((half_height - y).max(), (PICTURE_HEIGHT - half_height - y).min())
    return Camera(x, y, scale, roll)


def render(split: str, label: int, steps: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Draws one clip: uint8 [steps + 1, 120, 160, 3]; see `DataSet.render`."""
    photographs = pictures_of(split)
    pixels = load_picture(photographs[generator.integers(len(photographs))])
    if generator.random() < 0.5:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    camera = draw_camera(CLASSES[label], steps + 1, generator)
    frames = draw_noise(generator, (steps + 1, HEIGHT, WIDTH, 3))
    module = pillow()
    photograph = module.fromarray(pixels)
    for number, frame in enumerate(frames):
        frame += np.asarray(
            photograph.transform(
                (WIDTH, HEIGHT),
                module.Transform.AFFINE,
                camera.affine(number),
                resample=module.Resampling.BILINEAR,
            )
        )
    return to_pixels(frames)


PHOTOMOTION = DataSet(
    name="photomotion",
    classes=CLASSES,
    frame_shape=(HEIGHT, WIDTH, 3),
    feature="motion_energy",
    steps=CYCLE - 1,
    minimum_steps=4,
    version=1,
    render=render,
    sources=picture_digests,
)
