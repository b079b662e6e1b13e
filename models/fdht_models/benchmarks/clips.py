"""Real encoded clips like those of fixed cameras, made on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdht_models.artifacts import digest_of
from fdht_models.media.library import av
from fdht_models.versions import package_versions

_VERSION = 1  # counts changes of what is drawn
_GRAIN = 3.0  # deviation of a sensor's noise, in codes
_TILES = 8  # different grains, which take turns


@dataclass(frozen=True)
class ClipKind:
    """Clips of one kind.

    Attributes:
        height: rows.
        width: columns.
        rate: frames a second.
        seconds: length.
        codec: FFmpeg's name of the encoder, which chooses key frames as it does by default.
        suffix: of the file.
        count: how many.
    """

    height: int
    width: int
    rate: int
    seconds: int
    codec: str
    suffix: str
    count: int

    @property
    def name(self) -> str:
        """Such as "1920x1080, 25/s, 10 s, libx264.mp4"."""
        return (
            f"{self.width}x{self.height}, {self.rate}/s, {self.seconds} s, "
            f"{self.codec}{self.suffix}"
        )


#: In the proportions of collections of surveillance clips: some of full size, most are small.
KINDS = (
    ClipKind(1080, 1920, 25, 10, "libx264", ".mp4", 2),
    ClipKind(720, 1280, 30, 10, "libx264", ".mp4", 2),
    ClipKind(480, 640, 30, 20, "libx264", ".mp4", 3),
    ClipKind(360, 640, 25, 5, "libx264", ".mkv", 3),
    ClipKind(240, 320, 25, 10, "mpeg4", ".avi", 4),
)


def make_clips(directory: Path, kinds: Sequence[ClipKind]) -> list[tuple[ClipKind, Path]]:
    """Makes the clips that are not there yet.

    Args:
        directory: where; it is made.
        kinds: which clips.

    Returns:
        Kind and file of each.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tools = {"version": _VERSION, **package_versions("av", "numpy")}
    found = []
    for kind in kinds:
        name = digest_of({**asdict(kind), "count": 0, **tools})[:12]
        for number in range(kind.count):
            path = directory / f"{kind.codec}-{kind.height}-{name}-{number}{kind.suffix}"
            if not path.exists():
                _encode(path, kind, number)
            found.append((kind, path))
    return found


def _encode(path: Path, kind: ClipKind, seed: int) -> None:
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        with av().open(str(temporary), "w") as output:
            stream = output.add_stream(kind.codec, rate=kind.rate)
            stream.height, stream.width, stream.pix_fmt = kind.height, kind.width, "yuv420p"
            if kind.codec == "mpeg4":
                stream.bit_rate = 4 * kind.height * kind.width
            for number, luma in enumerate(_scene(kind, seed)):
                frame = av().VideoFrame.from_ndarray(luma, format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, kind.rate)
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _scene(kind: ClipKind, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Frames as planes of 4:2:0: textured walls that stand still, people who walk, grain."""
    generator = np.random.default_rng(seed)
    height, width = kind.height, kind.width
    coarse = generator.integers(40, 200, (-(-height // 24), -(-width // 24)))
    walls = np.kron(coarse, np.ones((24, 24)))[:height, :width]
    walls = (walls + generator.normal(0, 12, walls.shape)).clip(16, 235)
    grains = [generator.normal(0, _GRAIN, walls.shape) for _ in range(_TILES)]
    colour = np.full((height // 2, width), 128, np.uint8)
    people = generator.random((4, 4))
    for number in range(kind.rate * kind.seconds):
        picture = walls + grains[int(generator.integers(_TILES))]
        for x, y, speed, shade in people:
            tall, wide = height // 4, width // 16
            left = int((x + (speed - 0.5) * 0.3 * number / kind.rate) % 1 * (width - wide))
            top = int(y * (height - tall) + 4 * np.sin(number / 3))
            picture[max(top, 0) : top + tall, left : left + wide] = 16 + 200 * shade
        luma = picture.clip(16, 235).astype(np.uint8)
        yield np.concatenate([luma, colour])
