"""Frames a second of the host's path: one phase after the other, overlapped, and FFmpeg alone.

The engine costs the host nothing, as hardware does not: its frames are packed and flushed, which on
a simulated board is a copy, and nothing is computed. Nothing is compared with the reference.
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_host.file_reads import reads_of
from fdht_host.frame_packing import FramePacking
from fdht_host.own_clips import ClipFile
from fdht_host.readers import EVERY, FileAccount, Reader
from fdht_host.video import VideoTimes
from fdht_models.artifacts import check_place, write_bytes
from fdht_models.benchmarks.machine import (
    ProcessorTime,
    disturbance,
    disturbance_lines,
    machine_facts,
)
from fdht_models.errors import DataError
from fdht_models.experiment import INPUT_FORMAT
from fdht_models.features import get_feature
from fdht_models.media import PixelConverter
from fdht_models.media.library import Failure, attempt, av
from fdht_models.preprocessing import Picture, Preprocessing, Sampling
from fdht_models.preprocessing.protocols import GENERATED
from fdht_models.versions import package_versions
from fdht_overlays.manifest import InputLayout

#: What the network takes, and the file.
_PICTURE = Picture(120, 160, "motion_energy", dead_zone=6)
_INPUTS = _PICTURE.height * _PICTURE.width * 3
_FILE_SIZE = (240, 320)
_RATE = 30
#: Inputs a block, frames a call.
_BLOCK, _BATCH = 50, 32
#: What was asked for: frames a second as a multiple of one after the other, or of FFmpeg alone,
#: whichever is less; the whole as a multiple of the slowest; packing as a multiple of memcpy.
ASKED = {"serial": 3.0, "ffmpeg": 0.85, "slowest": 1.15, "memcpy": 1.3}
_SERIAL, _OVERLAPPED, _FFMPEG = "one after the other", "overlapped", "FFmpeg alone"


class _FreeEngine:
    """Takes frames as a board does, and has their results at once."""

    def __init__(self) -> None:
        layout = InputLayout(_INPUTS, INPUT_FORMAT, _INPUTS, None, (_INPUTS,))
        self._packing = FramePacking(layout, _BATCH)
        self._buffers = [np.zeros(self._packing.shape, np.uint8) for _ in "ab"]
        self._memory = np.zeros_like(self._buffers[0])
        self.pack = self.transfer = 0.0

    def take(self, inputs: npt.NDArray[np.uint8]) -> None:
        """Packs and flushes inputs, uint8[n, inputs]."""
        for turn, start in enumerate(range(0, len(inputs), _BATCH)):
            started = time.perf_counter()
            packed = self._packing.pack(
                self._buffers[turn % 2], inputs[start : start + _BATCH], reset=False
            )
            between = time.perf_counter()
            np.copyto(self._memory[: packed.count], packed.part)
            self.pack += between - started
            self.transfer += time.perf_counter() - between


def bench_host(directory: Path, frames: int = 600, rounds: int = 5) -> dict[str, Any]:
    """Measures the host's path from a file, and from frames in memory.

    Args:
        directory: where the video is kept.
        frames: of the video, at least 2.
        rounds: turns of each way.

    Returns:
        `file`: frames a second of each way (median, most), microseconds a phase when overlapped,
        medians of the ratios of each turn; `memory`: microseconds a frame of feature, packing,
        transfer and memcpy of the same bytes; what was asked for; the machine, and what disturbed
        it.

    Raises:
        DataError: there is no H.264 encoder here; ArtifactError: the file cannot be written.
    """
    height, width = _FILE_SIZE
    path = directory / f"h264-{width}x{height}-{frames}.mp4"
    if not path.is_file():
        check_place(path)
        _write_video(path, frames)
    begun = ProcessorTime.now()
    found = {
        "kind": "measured",
        "file": _time_file(path, frames, rounds),
        "memory": _time_memory(rounds),
        "asked": ASKED,
        "versions": package_versions("numpy", "av"),
    }
    return {**found, "machine": {**machine_facts(), **disturbance(begun, ProcessorTime.now())}}


def _write_video(path: Path, frames: int) -> None:
    """Coarse noise that moves, as H.264 with libx264's defaults."""
    height, width = _FILE_SIZE
    library = av()
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    still = coarse.repeat(8, axis=0).repeat(8, axis=1)

    def encoded() -> bytes:
        file = io.BytesIO()
        with library.open(file, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=_RATE)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for number in range(frames):
                moved = np.roll(still, (number, 2 * number), (0, 1))
                container.mux(stream.encode(library.VideoFrame.from_ndarray(moved, "rgb24")))
            container.mux(stream.encode(None))
        return file.getvalue()

    data = attempt(encoded)
    if isinstance(data, Failure):
        raise DataError(
            f"cannot be encoded ({data.why})",
            field=str(path),
            remedy="install a PyAV with libx264, as its wheels are",
        ) from data.error
    write_bytes(path, data)


def _time_file(path: Path, frames: int, rounds: int) -> dict[str, Any]:
    ways: dict[str, Callable[[], tuple[float, dict[str, float]]]] = {
        _SERIAL: lambda: _path_seconds(path, overlapped=False),
        _OVERLAPPED: lambda: _path_seconds(path, overlapped=True),
        _FFMPEG: lambda: (_ffmpeg_seconds(path, frames), {}),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    phases: list[dict[str, float]] = []
    for _ in range(rounds):
        for name, way in ways.items():
            took, parts = way()
            seconds[name].append(took)
            if name == _OVERLAPPED:
                phases.append(parts)
    slowest = [_slowest(parts) for parts in phases]
    against = {"serial": seconds[_SERIAL], "ffmpeg": seconds[_FFMPEG]}
    ratios = {
        name: statistics.median(
            one / own for one, own in zip(others, seconds[_OVERLAPPED], strict=True)
        )
        for name, others in against.items()
    }
    ratios["slowest"] = statistics.median(
        whole / part for whole, part in zip(seconds[_OVERLAPPED], slowest, strict=True)
    )
    return {
        "frames": frames,
        "frames_per_second": {
            name: {"median": frames / statistics.median(took), "most": frames / min(took)}
            for name, took in seconds.items()
        },
        "microseconds_a_frame": {
            name: 1e6 * statistics.median(parts[name] for parts in phases) / frames
            for name in phases[0]
        },
        "ratios": ratios,
        "reached": {
            "rate": ratios["serial"] >= ASKED["serial"] or ratios["ffmpeg"] >= ASKED["ffmpeg"],
            "slowest": ratios["slowest"] <= ASKED["slowest"],
        },
    }


def _slowest(parts: dict[str, float]) -> float:
    """Seconds of the slowest of what goes on at the same time."""
    return max(
        parts["decode"], parts["resize"] + parts["feature"], parts["pack"] + parts["transfer"]
    )


def _path_seconds(path: Path, *, overlapped: bool) -> tuple[float, dict[str, float]]:
    """Seconds from a file to results, and of its phases."""
    how = Preprocessing(Sampling(GENERATED, _BLOCK), picture=_PICTURE)
    files = [ClipFile(path, path.name, path.name)]
    engine, account, started = _FreeEngine(), FileAccount(), time.perf_counter()
    reader = Reader(how, EVERY, _BLOCK, overlapped=overlapped)
    with reads_of(reader, files) as reads:
        for read in reads:
            if read.failure is not None:
                raise read.failure
            account = read.account
            if read.block is not None:
                engine.take(np.asarray(read.block.inputs))
    took, times = time.perf_counter() - started, account.times
    return took, {**_reading(times), "pack": engine.pack, "transfer": engine.transfer}


def _reading(times: VideoTimes) -> dict[str, float]:
    return {
        "decode": times.decode_seconds,
        "resize": times.resize_seconds,
        "feature": times.feature_seconds,
    }


def _ffmpeg_seconds(path: Path, frames: int) -> float:
    """Seconds that FFmpeg decodes, by several frames at once, and scales; nothing else is done."""
    converter = PixelConverter(path, _PICTURE.height, _PICTURE.width)
    started, count = time.perf_counter(), 0
    with av().open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.thread_count = "AUTO", 0
        for count, frame in enumerate(container.decode(stream), 1):
            converter.convert(frame, count)
    if count != frames:
        raise DataError(
            f"has {count} frames, not {frames}",
            field=str(path),
            remedy="delete it",
        )
    return time.perf_counter() - started


def _time_memory(rounds: int) -> dict[str, Any]:
    """Microseconds a frame of what is done to frames that lie in memory."""
    pictures = np.random.default_rng(1).integers(
        0, 256, (4 * _BLOCK + 1, _PICTURE.height, _PICTURE.width, 3), np.uint8
    )
    feature = get_feature(_PICTURE.feature, _PICTURE.dead_zone).function
    count = len(pictures) - 1
    other = np.zeros((_BATCH, _INPUTS), np.uint8)
    rows: dict[str, list[float]] = {name: [] for name in ("feature", "pack", "transfer", "memcpy")}
    for _ in range(rounds):
        engine, inputs = _FreeEngine(), np.zeros((count, _INPUTS), np.uint8)
        started = time.perf_counter()
        for place in range(count):
            feature(pictures[place], pictures[place + 1], out=inputs[place])
        between = time.perf_counter()
        engine.take(inputs)
        before = time.perf_counter()
        for start in range(0, count, _BATCH):
            part = inputs[start : start + _BATCH]
            np.copyto(other[: len(part)], part)
        after = time.perf_counter()
        taken = (between - started, engine.pack, engine.transfer, after - before)
        for name, seconds in zip(rows, taken, strict=True):
            rows[name].append(1e6 * seconds / count)
    medians = {name: statistics.median(values) for name, values in rows.items()}
    ratio = statistics.median(
        own / copy for own, copy in zip(rows["pack"], rows["memcpy"], strict=True)
    )
    return {
        "frame_bytes": _INPUTS,
        "microseconds_a_frame": medians,
        "path": medians["feature"] + medians["pack"] + medians["transfer"],
        "pack_to_memcpy": ratio,
        "reached": ratio <= ASKED["memcpy"],
    }


def host_lines(result: dict[str, Any]) -> list[str]:
    """The result for people."""
    file, memory = result["file"], result["memory"]
    lines = [
        f"{name:<24}{one['median']:8.0f} frames/s, at most {one['most']:.0f}  measured"
        for name, one in file["frames_per_second"].items()
    ]
    ratios, asked, reached = file["ratios"], result["asked"], file["reached"]
    lines += [
        f"overlapped / one after the other: {ratios['serial']:.2f}; / FFmpeg alone: "
        f"{ratios['ffmpeg']:.2f}; asked: {asked['serial']} or {asked['ffmpeg']}, "
        f"whichever is less: {_told(reached['rate'])}",
        f"whole / slowest: {ratios['slowest']:.2f}, asked at most {asked['slowest']}: "
        f"{_told(reached['slowest'])}",
        "us a frame: " + _row(file["microseconds_a_frame"]),
        "from memory, us a frame: " + _row(memory["microseconds_a_frame"]),
        f"packing / memcpy: {memory['pack_to_memcpy']:.2f}, asked at most {asked['memcpy']}: "
        f"{_told(memory['reached'])}",
    ]
    return [*lines, *disturbance_lines(result["machine"])]


def _told(reached: bool) -> str:
    return "reached" if reached else "not reached"


def _row(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in values.items())
