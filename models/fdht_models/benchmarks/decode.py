"""Seconds until the frames of clips are there: as read, decoded twice, and by FFmpeg alone.

All three read the same clips in the same process, in turns, with one thread, as each worker process
does that decodes a folder. FFmpeg alone (through PyAV) is told which frames are needed: it seeks to
the key frame before where that leaves something out, decodes up to the last of them, and neither
counts, resizes nor checks anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fdht_models.artifacts import digest_of
from fdht_models.benchmarks.machine import (
    ProcessorTime,
    disturbance,
    disturbance_lines,
    machine_facts,
)
from fdht_models.console import pieces
from fdht_models.errors import EqualityError, require_known
from fdht_models.media import FrameClock, VideoFile
from fdht_models.media.library import av
from fdht_models.preprocessing.frames import read_frames, read_twice
from fdht_models.preprocessing.protocols import choose_frames
from fdht_models.versions import package_versions

HEIGHT, WIDTH = 120, 160
#: Names the row of all clips, for which the speed was asked for.
ALL = "all"
#: What was asked for: so many times as fast as decoding twice, or this share of FFmpeg's speed.
LEAST_GAIN, LEAST_SHARE = 3.0, 0.85
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


@dataclass(frozen=True)
class FrameReading:
    """How clips are read.

    Attributes:
        protocol: which frames.
        steps: how many.
        stride: of protocols with one.
    """

    protocol: str
    steps: int
    stride: int = 1

    def choose(self, path: Path) -> Callable[[FrameClock], list[int]]:
        """Chooses the frames of a clip."""
        return lambda clock: choose_frames(
            self.protocol, clock.count, self.steps, 0, path.stem, self.stride
        )


READINGS = (
    FrameReading("uniform", 50),
    FrameReading("six", 6),
    FrameReading("consecutive", 50),
    FrameReading("tt_rnn", 50, 2),
)


def workload_of(
    sizes: Sequence[str], protocols: Sequence[str], times: int
) -> tuple[list[ClipKind], list[FrameReading]]:
    """The clips and readings that a user names; all where nothing is named.

    Args:
        sizes: such as "1920x1080".
        protocols: of `READINGS`.
        times: as many clips of each kind as there are by default.

    Raises:
        ConfigError: there are no clips of that size, or no such protocol is measured.
    """
    known = {
        "size": (sizes, sorted({f"{kind.width}x{kind.height}" for kind in KINDS})),
        "protocol": (protocols, [reading.protocol for reading in READINGS]),
    }
    for field, (named, measured) in known.items():
        for value in named:
            require_known(value, measured, field, "is not measured")
    kinds = [
        replace(kind, count=kind.count * times)
        for kind in KINDS
        if not sizes or f"{kind.width}x{kind.height}" in sizes
    ]
    return kinds, [one for one in READINGS if not protocols or one.protocol in protocols]


def bench_decode(
    directory: Path,
    kinds: Sequence[ClipKind] = KINDS,
    readings: Sequence[FrameReading] = READINGS,
    rounds: int = 3,
) -> dict[str, Any]:
    """Makes the clips that are missing and reads each in all ways, in turns.

    Args:
        directory: where clips are kept.
        kinds: which clips.
        readings: which frames of them.
        rounds: turns of each way; the fastest counts, of each clip.

    Returns:
        JSON-serialisable: a row for each kind and reading, and for each reading of all clips.

    Raises:
        EqualityError: a clip is not the same in both readings of ours.
    """
    clips = make_clips(directory, kinds)
    cases = [(reading, kind, path) for reading in readings for kind, path in clips]
    before = ProcessorTime.now()
    seconds = []
    with pieces("reading", len(cases)) as begin:
        for reading, kind, path in cases:
            begin(f"{reading.protocol} of {kind.name}")
            seconds.append((reading, kind, _seconds(path, reading, rounds)))
    busy = disturbance(before, ProcessorTime.now())
    rows = []
    for reading in readings:
        of_reading = [(kind, found) for one, kind, found in seconds if one == reading]
        rows += [
            _row(reading, kind.name, [found for one, found in of_reading if one == kind])
            for kind in kinds
        ]
        rows.append(_row(reading, ALL, [found for _, found in of_reading]))
    return {
        "machine": {**machine_facts(), **busy},
        "versions": package_versions("av", "numpy"),
        "setting": {
            "height": HEIGHT,
            "width": WIDTH,
            "rounds": rounds,
            "clips": len(clips),
            "bytes": sum(path.stat().st_size for _, path in clips),
            "how": __doc__.split("\n\n")[1].replace("\n", " ").strip() if __doc__ else "",
        },
        "targets": {"times_twice": LEAST_GAIN, "share_of_ffmpeg": LEAST_SHARE},
        "rows": rows,
    }


def _seconds(path: Path, reading: FrameReading, rounds: int) -> dict[str, float]:
    """The fastest of some turns of each way; equality is checked first, which warms the caches."""
    choose = reading.choose(path)
    slow, fast = (read(path, choose, HEIGHT, WIDTH) for read in (read_twice, read_frames))
    if slow.chosen != fast.chosen or not np.array_equal(slow.pictures, fast.pictures):
        raise EqualityError(
            "is not the same when it is decoded twice", field=str(path), remedy="report it"
        )
    with VideoFile(path) as video:
        table = video.packet_table()
        times = [table.times[table.shown[frame]] or 0 for frame in slow.chosen]
        keys = sorted(time or 0 for time, key in zip(table.times, table.keys, strict=True) if key)
    ways: dict[str, Callable[[], object]] = {
        "twice": lambda: read_twice(path, choose, HEIGHT, WIDTH),
        "ours": lambda: read_frames(path, choose, HEIGHT, WIDTH),
        "ffmpeg": lambda: _decode_alone(path, times, keys),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        names = list(ways)
        for name in names[turn % 3 :] + names[: turn % 3]:
            begin = time.perf_counter()
            ways[name]()
            found[name].append(time.perf_counter() - begin)
    return {name: min(values) for name, values in found.items()}


def _decode_alone(path: Path, times: Sequence[int], keys: Sequence[int]) -> int:
    """FFmpeg's decoding of the frames at these times; returns how many came."""
    came, place = 0, -1
    with av().open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        frames = container.decode(stream)
        for wanted in times:
            key = max((one for one in keys if one <= wanted), default=0)
            if key > place and key > keys[0]:
                container.seek(key, stream=stream)
                frames = container.decode(stream)
            place = next((frame.pts for frame in frames if frame.pts >= wanted), place)
            came += place == wanted
    return came


def _row(reading: FrameReading, clips: str, seconds: Sequence[dict[str, float]]) -> dict[str, Any]:
    sums = {name: sum(one[name] for one in seconds) for name in ("twice", "ours", "ffmpeg")}
    gain, share = sums["twice"] / sums["ours"], sums["ffmpeg"] / sums["ours"]
    return {
        "protocol": reading.protocol,
        "steps": reading.steps,
        "stride": reading.stride,
        "clips": clips,
        "count": len(seconds),
        "seconds": sums,
        "times_twice": gain,
        "share_of_ffmpeg": share,
        "met": gain >= LEAST_GAIN or share >= LEAST_SHARE,
    }


def report(result: dict[str, Any]) -> Group:
    """The result of `bench_decode` for people."""
    table = Table(title="Seconds for all clips of a row (measured)", title_justify="left", box=None)
    for column in ("frames", "clips", "twice", "ours", "FFmpeg", "twice/ours", "FFmpeg/ours", ""):
        text = column in ("frames", "clips", "")
        table.add_column(column, justify="left" if text else "right", no_wrap=text)
    for row in result["rows"]:
        seconds = row["seconds"]
        table.add_row(
            f"{row['protocol']} {row['steps']}",
            f"{row['count']} x {row['clips']}",
            *(f"{seconds[name]:.3f}" for name in ("twice", "ours", "ffmpeg")),
            f"{row['times_twice']:.2f}",
            f"{row['share_of_ffmpeg']:.2f}",
            ("met" if row["met"] else "MISSED") if row["clips"] == ALL else "",
        )
    machine, setting = result["machine"], result["setting"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, one thread used; "
        f"{setting['clips']} clips of {setting['bytes'] / 1e6:.1f} MB, "
        f"to {setting['width']}x{setting['height']}, fastest of {setting['rounds']} turns; "
        f"{setting['how']}",
        f"Met where it is {LEAST_GAIN:g} times as fast as decoding twice, or {LEAST_SHARE:g} of "
        "FFmpeg's speed.",
    ]
    lines += disturbance_lines(machine)
    return Group(table, Text(), *(Text(line) for line in lines))


def make_clips(directory: Path, kinds: Sequence[ClipKind]) -> list[tuple[ClipKind, Path]]:
    """Makes the clips that are not there yet: encoded ones like those of fixed cameras.

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
