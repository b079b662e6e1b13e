"""A file as blocks of network inputs: as in training, as if it came live, or frame by frame.

A stream has its frames at one distance in time, from the first to the last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdht_host.input_rows import Rows
from fdht_host.readers import (
    EVERY,
    STREAM,
    TRAINED,
    UNRESET,
    Blocks,
    FileAccount,
    Frames,
    InputBlock,
    Reader,
    Span,
    scored,
)
from fdht_host.video import VideoLabels, decode, features, frame_pairs, probe, read_labels
from fdht_models.errors import ConfigError, DataError, FdhtError
from fdht_models.media import describe_media, list_pictures, read_picture
from fdht_models.media.sound import open_sound
from fdht_models.preprocessing import read_clip
from fdht_models.preprocessing.log_mel import HOP, RATE, WINDOW, frames_in, log_mel
from fdht_models.preprocessing.protocols import GENERATED, pad_front
from fdht_models.preprocessing.recording import loudness, scan_recording
from fdht_models.preprocessing.values import read_all_values

#: Decibels of a full-scale sine's; see `fdht_models.preprocessing.recording`.
_SILENCE = -80.0
#: An input; of raw frames the frame before and the frame.
Item = Frames | tuple[Frames, Frames]


def blocks_of(
    reader: Reader, path: Path, key: str, span: Span | None, account: FileAccount
) -> Blocks:
    """Yields a file block by block; no more than one of them is held in memory.

    Args:
        reader: how.
        path: the file.
        key: names the clip; random choices depend on it.
        span: [first, last) of the clip's part of the file in seconds, read as in training only.
        account: filled on the way.

    Raises:
        DataError: the file cannot be read, or holds too little; blocks before damage were yielded.
        ConfigError: the file does not go with the options.
    """
    if reader.clipwise:
        yield _clip(reader, path, key, span, account)
        return
    if span is not None:
        raise ConfigError(
            "is a part of a file, and streams are whole",
            field=str(path),
            value=span,
            remedy=f"use --protocol {TRAINED}",
        )
    preprocessing = reader.preprocessing
    kinds: dict[str, Callable[[Reader, Path, FileAccount], Blocks]] = {
        "picture": _video_blocks,
        "values": _array_blocks,
        "sound": _sound_blocks,
    }
    found = False
    with closing(kinds[preprocessing.kind](reader, path, account)) as stream:
        for block in stream:
            found = True
            yield block
    if not found:
        raise DataError(
            "has too few frames for a single result",
            field=str(path),
            value=account.there,
            remedy="give a longer file",
        )


def _clip(
    reader: Reader, path: Path, key: str, span: Span | None, account: FileAccount
) -> InputBlock:
    """A file as training reads a clip."""
    if reader.preprocessing.picture is not None and read_labels(path) is not None:
        raise ConfigError(
            "has labels beside it, which mark clips of a stream",
            field=str(path),
            remedy=f"use --protocol {STREAM} or {EVERY}, or take the labels away",
        )
    started = time.perf_counter()
    clip = read_clip(path, key, scored(reader.preprocessing), span, raw=reader.raw)
    block = InputBlock(clip.values, True, None, raw=reader.raw)
    account.times.read_seconds += time.perf_counter() - started
    account.times.read_inputs += block.results
    account.used, account.there = clip.used, clip.frames
    account.damage, account.time_step = clip.damage, clip.time_step
    return block


def _stride(reader: Reader, path: Path, rate: float | None) -> int:
    sampling = reader.preprocessing.sampling
    if reader.protocol != STREAM or sampling.protocol == GENERATED:
        return 1
    if not sampling.suits_streams and (rate is None or sampling.time_step is None):
        whose = "network's training clips" if sampling.time_step is None else "file"
        raise ConfigError(
            f"the {whose} state no frame rate, so that the distance of frames is not known",
            field=str(path),
            remedy=f"use --protocol {TRAINED} or {EVERY}",
        )
    return sampling.live_stride(rate)


def _video_blocks(reader: Reader, path: Path, account: FileAccount) -> Blocks:
    """A video, or a folder of pictures, as a stream."""
    picture = reader.preprocessing.picture
    assert picture is not None
    if path.is_dir():
        yield from _picture_blocks(reader, path, account)
        return
    info, labels = probe(path), read_labels(path)
    # Of its time stamps, as training takes it; a network of generated clips has no use for it.
    rate = info.rate if reader.protocol == TRAINED else describe_media(path).rate
    stride = _stride(reader, path, None if rate is None else float(rate))
    account.info, account.labelled, account.stride = info.to_json(), labels is not None, stride
    account.time_step = float(stride / rate) if rate else None
    starts = (0,) if labels is None else tuple(clip.start for clip in labels.stretches)
    pictures = decode(
        path,
        picture.height,
        picture.width,
        strict_size=not reader.resize,
        times=account.times,
        stride=stride,
        starts=starts,
        overlapped=reader.overlapped,
    )
    rows = Rows(picture.height * picture.width * 3)
    stream = _inputs(reader, pictures, account, rows, _taken(labels, stride))
    plan = _plan(labels, picture.frames_before, stride, reader.block)
    try:
        for block in _cut(stream, plan, rows):
            account.used, account.there = account.times.resized, account.times.frames
            yield block
    finally:
        account.used, account.there = account.times.resized, account.times.frames


def _picture_blocks(reader: Reader, path: Path, account: FileAccount) -> Blocks:
    """A folder of pictures as a stream; it states no rate."""
    picture, times = reader.preprocessing.picture, account.times
    assert picture is not None
    if not reader.resize:
        raise ConfigError(
            "is for videos; pictures are resized",
            field="no-resize",
            value=str(path),
            remedy="leave it out",
        )
    account.stride = stride = _stride(reader, path, None)
    paths = list_pictures(path).paths
    account.there, taken = len(paths), paths[::stride]

    def read() -> Iterator[Frames]:
        for one in taken:
            started = time.perf_counter()
            frame = read_picture(one, picture.height, picture.width)
            times.read_seconds += time.perf_counter() - started
            times.read_inputs += 1
            account.used += 1
            yield frame

    rows = Rows(picture.height * picture.width * 3)
    stream = _inputs(reader, read(), account, rows)
    yield from _cut(stream, _plan(None, picture.frames_before, stride, reader.block), rows)


def _inputs(
    reader: Reader,
    frames: Iterator[Frames],
    account: FileAccount,
    rows: Rows,
    starts: frozenset[int] = frozenset(),
) -> Iterator[Item]:
    """What a core takes of the frames of a video, in which clips begin at `starts`.

    Features are in `rows`, raw frames where they are.
    """
    picture = reader.preprocessing.picture
    assert picture is not None
    if reader.raw:
        return frame_pairs(frames, starts)
    return features(
        frames,
        picture.feature,
        dead_zone=picture.dead_zone,
        starts=starts,
        times=account.times,
        rows=rows,
    )


def _taken(labels: VideoLabels | None, stride: int) -> frozenset[int]:
    """Numbers, among the frames that are taken, of those at which a clip begins."""
    lengths = [] if labels is None else [-(-clip.frames // stride) for clip in labels.stretches]
    return frozenset(int(start) for start in np.cumsum([0, *lengths]))


@dataclass(frozen=True)
class _Part:
    """The next call of the core: inputs at most, and what they are."""

    inputs: int
    reset: bool
    start: int
    whole_only: bool
    clip: int = 0
    label: str | None = None
    before: int = 0
    there: int = 0


def _plan(labels: VideoLabels | None, before: int, stride: int, block: int) -> Iterator[_Part]:
    """Yields the calls of a stream; without labels it has no end."""
    if labels is None:
        number, length = 0, block or UNRESET
        while True:
            yield _Part(length, block > 0 or not number, number * length * stride, block > 0)
            number += 1
    for number, clip in enumerate(labels.stretches):
        # A feature of two pictures has none for the first of a stretch.
        inputs = -(-clip.frames // stride) - before
        if inputs > 0:
            label = None if clip.label is None else labels.classes[clip.label]
            yield _Part(inputs, True, clip.start, False, number, label, before, clip.frames)


def _cut(
    stream: Iterator[Item], plan: Iterator[_Part], rows: Rows | None = None
) -> Iterator[InputBlock]:
    """Inputs in the blocks of a plan; what was read before a failure is a block, too.

    Args:
        stream: inputs.
        plan: blocks.
        rows: where inputs are written to that are no raw frames; None: arrays of their own.
    """
    for part in plan:
        if rows is not None:
            rows.begin(part.inputs)
        taken, failure = _take(stream, part.inputs)
        short = len(taken) < part.inputs
        if taken:
            # Of a clip of which not all is there the label is not known to be true.
            label = None if short else part.label
            whole = not (short and part.whole_only)
            used = len(taken) + part.before
            raw = isinstance(taken[0], tuple)
            yield InputBlock(
                *(_joined(taken, part.reset, rows), part.reset, part.start),
                *(whole, part.clip, label),
                used=used,
                there=part.there,
                raw=raw,
            )
        if failure is not None:
            raise failure
        if short:
            return


def _joined(taken: list[Item], reset: bool, rows: Rows | None) -> Frames | list[Frames]:
    """What a block holds: inputs; or raw frames as they are, where it begins anew with the one
    before them.
    """
    pairs = [item for item in taken if isinstance(item, tuple)]
    if not pairs and rows is not None:
        return rows.written(len(taken))
    if not pairs:
        return np.stack([item for item in taken if not isinstance(item, tuple)])
    return [*(previous for previous, _ in pairs[:1] if reset), *(frame for _, frame in pairs)]


def _take(stream: Iterator[Item], count: int) -> tuple[list[Item], FdhtError | None]:
    """The next inputs of a stream, at most `count`, and why there are no more if it failed."""
    inputs: list[Item] = []
    failure: FdhtError | None = None
    try:
        # The counter comes first: `zip` would otherwise take one more, and drop it.
        inputs.extend(item for _, item in zip(range(count), stream, strict=False))
    except FdhtError as error:
        failure = error  # what came before it is good
    return inputs, failure


def _array_blocks(reader: Reader, path: Path, account: FileAccount) -> Blocks:
    """An array as a stream of its rows."""
    values = reader.preprocessing.values
    assert values is not None
    started = time.perf_counter()
    rows = read_all_values(path, values)
    # Rows have no rate that a distance in time could be told by.
    sampling = reader.preprocessing.sampling
    account.stride = sampling.stride if reader.protocol == STREAM else 1
    taken = rows[:: account.stride]
    account.there, account.used = len(rows), len(taken)
    account.times.read_seconds += time.perf_counter() - started
    account.times.read_inputs += len(taken)
    yield from _cut(iter(taken), _plan(None, 0, account.stride, reader.block))


def _sound_blocks(reader: Reader, path: Path, account: FileAccount) -> Blocks:
    """A recording in stretches, one behind the other, silence and all.

    It is brought to the trained level as a whole, as a live source is set up once.
    """
    sound = reader.preprocessing.sound
    assert sound is not None
    account.stride, account.time_step = sound.stack, sound.stack * HOP / RATE
    started = time.perf_counter()
    gain = 0.0
    if sound.level is not None:
        energies = scan_recording(path, sound.bands).energies
        # As in training, what is silent cannot be brought to a level.
        if len(energies) and energies.max() >= 10 ** (_SILENCE / 10):
            gain = sound.level - loudness(energies)
    inputs = reader.block or UNRESET
    for first, samples in _stretches(path, inputs * sound.stack, account):
        codes = log_mel(samples, sound.bands, sound.floor, gain)
        count = -(-len(codes) // sound.stack)
        block = pad_front(codes, count * sound.stack).reshape(count, -1)
        account.times.read_seconds += time.perf_counter() - started
        account.times.read_inputs += count
        account.used += len(codes)
        whole = count == inputs or not reader.block
        yield InputBlock(block, reader.block > 0 or not first, first, whole)
        started = time.perf_counter()


def _stretches(
    path: Path, length: int, account: FileAccount
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Numbers of first frames, and the samples of the next `length` frames, or of those left."""
    needed, first = (length - 1) * HOP + WINDOW, 0
    held = np.zeros(0, np.float32)
    with open_sound(path, RATE) as recording:
        for part in recording.parts():
            held = np.concatenate([held, part])
            while len(held) >= needed:
                yield first, held[:needed]
                first, held = first + length, held[length * HOP :]
                account.there = first
        left = frames_in(len(held))
        account.there = first + left
        if left:
            yield first, held[: (left - 1) * HOP + WINDOW]
        if recording.damage:
            raise DataError(
                f"cannot be decoded after {recording.decoded} samples ({recording.damage})",
                field=str(path),
                remedy="copy or convert the file again",
            )
