"""The data set `watch`: real, labelled human motion, from a watch on the wrist.

Seven shoulder exercises, ten people, both arms; six channels at 50 Hz. It ships in seglearn
(BSD-3-Clause); the study is Burns et al., "Shoulder physiotherapy exercise recognition: machine
learning the inertial signals from a smartwatch", arXiv:1802.01489.

A frame is 25 consecutive samples (half a second) of six channels, a clip some consecutive frames
of one recording. Six people are few to learn from: how a watch sits and how fast one exercises
differ more among others than among them. So training clips are varied as people vary, by angles and
paces that were chosen on people held out of training, two at a time. Test clips are as recorded.

The file is a pickle, of which nothing but arrays is made.
"""

from __future__ import annotations

import functools
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.artifacts import digest_file
from fdht_models.data.clip_sets import DataSet
from fdht_models.data.packages import REMEDY, package_file
from fdht_models.errors import ConfigError, DataError

CHANNELS = ("ax", "ay", "az", "wx", "wy", "wz")
CLASSES = ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
"""Pendulum, abduction, forward elevation, internal and external rotation, trapezius extension,
and upright row, by the names that seglearn gives them."""
SAMPLES = 25
"""Samples a frame; 25 x 6 channels = 150 values = 5 x 5 x 6."""

PEOPLE = {"train": (1, 2, 3, 4, 5, 6), "test": (7, 8, 9, 10)}
"""Who is in which split. The recordings of 1 and 2, 3 and 4, 5 and 6, 7 and 10, 8 and 9 last
equally long, and all but 7 and 10 swing in step: these pairs exercised side by side. So the split
keeps pairs together; one of a pair in each half would let a test clip leak into training."""

# Codes a unit: acceleration in g, rotation in rad/s; 128 is zero. Physical constants, chosen so
# that only blows saturate (2.7 g and 8 rad/s are beyond 99 % of all samples), not fitted to data.
_CODES_PER_UNIT = np.array([48.0, 48.0, 48.0, 16.0, 16.0, 16.0])
_ZERO = 128

# Of training clips: e-folds of pace, radians about each axis by which the watch sits otherwise, and
# what is added to each sample, in g and rad/s.
_PACE = (-0.25, 0.25)
_TURN = 0.2
_NOISE = np.array([0.05, 0.05, 0.05, 0.15, 0.15, 0.15])

_FILE = "data/watch_dataset.npy"


@dataclass(frozen=True)
class Recording:
    """One set of repetitions: float64 [samples, 6] in g and rad/s, by whom, and which exercise."""

    samples: NDArray[np.float64]
    person: int
    label: int


def quantise(samples: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Returns samples [..., 6] in g and rad/s as uint8: 48 codes a g, 16 a rad/s, 128 is zero."""
    codes = np.rint(samples * _CODES_PER_UNIT) + _ZERO
    return np.clip(codes, 0, 255).astype(np.uint8)


@functools.cache
def recordings(split: str) -> tuple[Recording, ...]:
    """Returns the recordings of a split's people, in the file's order.

    Raises:
        DataError: seglearn is not installed, or its file is not what we know.
    """
    data = _read()
    people = PEOPLE[split]
    return tuple(
        Recording(np.asarray(samples, np.float64), int(person), int(label))
        for samples, person, label in zip(data["X"], data["subject"], data["y"], strict=True)
        if int(person) in people
    )


def _read() -> dict[str, Any]:
    path = package_file("seglearn", _FILE)
    try:
        data = read_objects(path)
        known = tuple(data["X_labels"]) == CHANNELS and tuple(data["y_labels"]) == CLASSES
    except (OSError, EOFError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise DataError(f"cannot be read ({error})", field=str(path), remedy=REMEDY) from error
    if not known:
        raise DataError("has other channels or classes", field=str(path), remedy=REMEDY)
    return dict(data)


def maximum_steps(split: str) -> int:
    """Returns the longest clip, in frames, that every exercise of a split has a recording for."""
    longest = min(
        max(len(one.samples) for one in recordings(split) if one.label == label)
        for label in range(len(CLASSES))
    )
    # The fastest training clip covers more samples than it has.
    return int((longest if split == "test" else (longest - 1) / np.exp(_PACE[1])) // SAMPLES)


def _check(split: str, steps: int) -> None:
    longest = maximum_steps(split)
    if steps > longest:
        raise ConfigError(
            "no recording is that long",
            field="steps",
            value=steps,
            remedy=f"choose at most {longest} steps of the {split} split of 'watch'",
        )


def render(split: str, label: int, steps: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Cuts one clip: uint8 [steps, 150], sample by sample, six channels each."""
    length = steps * SAMPLES
    pace = 1.0 if split == "test" else float(np.exp(generator.uniform(*_PACE)))
    covered = length if split == "test" else int(np.ceil(length * pace))
    found = [one.samples for one in recordings(split) if one.label == label]
    eligible = [samples for samples in found if len(samples) >= covered]
    samples = eligible[generator.integers(len(eligible))]
    start = generator.integers(len(samples) - covered + 1)
    samples = samples[start : start + covered]
    if split != "test":
        samples = _varied(samples, length, generator)
    return quantise(samples).reshape(steps, -1)


def _varied(
    samples: NDArray[np.float64], length: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """The same movement at another pace, `length` samples of it, on a watch that sits otherwise."""
    times = np.linspace(0, len(samples) - 1, length)
    places = np.arange(len(samples))
    found = np.stack([np.interp(times, places, channel) for channel in samples.T], axis=1)
    # Faster means faster turns; the acceleration is mostly gravity, which stays what it is.
    found[:, 3:] *= len(samples) / length
    turn = rotation(generator.normal(0, _TURN, 3))
    found = np.concatenate([found[:, :3] @ turn.T, found[:, 3:] @ turn.T], axis=1)
    return found + generator.normal(size=found.shape) * _NOISE


def rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation about a vector by its length in radians, [3, 3]: Rodrigues' formula."""
    angle = float(np.linalg.norm(angles)) or 1.0
    x, y, z = angles / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: NDArray[np.float64] = (
        np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    )
    return turned


def _sources(split: str) -> dict[str, str]:
    return {"watch_dataset": digest_file(package_file("seglearn", _FILE))}


WATCH = DataSet(
    name="watch",
    classes=CLASSES,
    frame_shape=(SAMPLES * len(CHANNELS),),
    feature=None,
    steps=12,
    minimum_steps=2,
    version=2,
    render=render,
    sources=_sources,
    check=_check,
)


#: All that a pickle of arrays, texts and numbers names. A pickle may name any function else, and
#: have it called.
_ALLOWED = frozenset(
    {
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("_codecs", "encode"),
    }
)

#: NumPy's module of the file format, which has no types.
_HEADER: Any = np.lib.format


class _ArraysOnly(pickle.Unpickler):
    """Refuses every name but those that arrays need."""

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no array needs")
        return super().find_class(module, name)


def read_objects(path: Path) -> Any:
    """What a `.npy` file of objects holds: a dictionary of arrays, for example.

    Raises:
        OSError, ValueError: it cannot be read, or is another file.
        pickle.UnpicklingError: it is damaged, or names anything but arrays, which is not called.
    """
    with path.open("rb") as stream:
        version = _HEADER.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"version {version} of the format")
        shape, _, dtype = _HEADER.read_array_header_1_0(stream)
        if not dtype.hasobject or shape != ():
            raise ValueError("it holds no single object")
        found = np.asarray(_ArraysOnly(stream).load(), object)
        return found.item()
