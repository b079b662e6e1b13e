"""A file as blocks of network inputs: as in training, as if it came live, or frame by frame.

A network is trained on frames that were chosen in one way (`network.preprocessing`). `trained`
reads a file with the very function of training, `fdht_models.preprocessing.read_clip`, and gives
one block. `stream` takes frames at the trained distance in time, from the first to the last, in
blocks of the trained length. `every` takes all of them. A network of clips that belong to no files
(protocol `generated`) was trained on every frame, so that each file is a stream of its own kind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_host.video import VideoLabels, VideoTimes, decode, features, probe, read_labels
from fdht_models.errors import ConfigError, DataError, FdhtError
from fdht_models.media import describe_media
from fdht_models.media.pictures import list_pictures
from fdht_models.media.stills import read_picture
from fdht_models.preprocessing import Preprocessing, read_clip
from fdht_models.preprocessing.protocols import GENERATED, SIX, scored_protocol
from fdht_models.preprocessing.sound import (
    HOP,
    RATE,
    WINDOW,
    frames_in,
    read_sound,
    sound_clip,
)
from fdht_models.preprocessing.values import read_all_values

TRAINED, STREAM, EVERY = "trained", "stream", "every"
#: What `--protocol` may say.
PROTOCOLS = (TRAINED, STREAM, EVERY)
#: Inputs a block where the state is never reset.
UNRESET = 64

Frames = NDArray[np.uint8]
Span = tuple[float, float]


@dataclass(frozen=True)
class Reader:
    """How files become blocks.

    Attributes:
        preprocessing: of the network.
        protocol: one of `PROTOCOLS`.
        block: inputs from one reset of the state to the next, of what is read as a stream; 0 never
            resets.
        resize: videos of another size are resized; False refuses them.
    """

    preprocessing: Preprocessing
    protocol: str
    block: int
    resize: bool = True

    @property
    def clipwise(self) -> bool:
        """True if a file is one clip, chosen as in training; False if it is a stream."""
        return self.protocol == TRAINED and self.preprocessing.sampling.protocol != GENERATED

    @property
    def scored(self) -> Preprocessing:
        """See `scored`."""
        return scored(self.preprocessing)


def scored(preprocessing: Preprocessing) -> Preprocessing:
    """As clips are scored and classified: nothing is drawn that is drawn in training alone."""
    sampling = preprocessing.sampling
    protocol = scored_protocol(sampling.protocol)
    seed = sampling.seed if protocol == SIX else 0
    return replace(preprocessing, sampling=replace(sampling, protocol=protocol, seed=seed))


def reader_of(
    preprocessing: Preprocessing, protocol: str, clip_frames: int | None, resize: bool
) -> Reader:
    """What the options of `fdht run` mean for a network.

    Raises:
        ConfigError: they do not go together.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(
            "is not known", field="protocol", value=protocol, remedy=f"use {', '.join(PROTOCOLS)}"
        )
    steps = preprocessing.sampling.steps
    reader = Reader(preprocessing, protocol, steps if clip_frames is None else clip_frames, resize)
    given = {"clip-frames": clip_frames, "no-resize": None if resize else True}
    chosen = next((name for name, value in given.items() if value is not None), None)
    if reader.clipwise and chosen:
        raise ConfigError(
            f"has no effect on --protocol {TRAINED}, which reads clips as in training",
            field=chosen,
            value=given[chosen],
            remedy=f"add --protocol {STREAM} or {EVERY}",
        )
    if protocol == EVERY and preprocessing.sound is not None:
        raise ConfigError(
            "is for frames of video and rows of arrays; sound has one distance in time",
            field="protocol",
            value=protocol,
            remedy=f"use {STREAM}",
        )
    if preprocessing.spikes is not None:
        raise ConfigError(
            "takes spikes, which are read from their published set alone",
            field="source",
            remedy="use --source test",
        )
    return reader


@dataclass(frozen=True, eq=False)
class InputBlock:
    """Network inputs that go through the core in one call.

    Attributes:
        inputs: uint8 [inputs, values].
        reset: whether the state is zero before them.
        start: frame of the file at which they begin; None where they are spread over it.
        whole: False of what is left over at the end, shorter than a clip.
        clip: number of the clip within its file that they belong to.
        label: what the labels beside a video say that they show.
        used: frames that were taken for them, where labels say which are there.
        there: frames of the clip, likewise.
    """

    inputs: Frames
    reset: bool
    start: int | None
    whole: bool = True
    clip: int = 0
    label: str | None = None
    used: int = 0
    there: int = 0


Blocks = Generator[InputBlock, None, None]


@dataclass(eq=False)
class FileAccount:
    """How a file was read so far; `blocks_of` fills it.

    Attributes:
        stride: frames from one that is taken to the next; None where they have no one distance.
        time_step: seconds from one input to the next; None where the file does not say.
        used: frames that were taken.
        there: frames that the file holds, as far as it was read.
        damage: what is wrong with the file though it was used.
        info: what a video says of itself.
        labelled: True if labels beside it say where its clips begin.
        times: seconds by phase.
    """

    stride: int | None = None
    time_step: float | None = None
    used: int = 0
    there: int = 0
    damage: str = ""
    info: dict[str, Any] = field(default_factory=dict)
    labelled: bool = False
    times: VideoTimes = field(default_factory=VideoTimes)


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
        "picture": _video,
        "values": _array,
        "sound": _sound,
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
    clip = read_clip(path, key, reader.scored, span)
    account.times.read_seconds += time.perf_counter() - started
    account.times.read_inputs += len(clip.values)
    account.used, account.there = clip.used, clip.frames
    account.damage, account.time_step = clip.damage, clip.time_step
    return InputBlock(clip.values, True, None)


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


def _video(reader: Reader, path: Path, account: FileAccount) -> Blocks:
    picture = reader.preprocessing.picture
    assert picture is not None
    if path.is_dir():
        yield from _pictures(reader, path, account)
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
    )
    taken = _taken(labels, stride)
    stream = features(
        pictures, picture.feature, dead_zone=picture.dead_zone, starts=taken, times=account.times
    )
    try:
        yield from _cut(stream, _plan(labels, picture.frames_before, stride, reader.block))
    finally:
        account.used, account.there = account.times.resized, account.times.frames


def _pictures(reader: Reader, path: Path, account: FileAccount) -> Blocks:
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

    stream = features(read(), picture.feature, dead_zone=picture.dead_zone, times=times)
    yield from _cut(stream, _plan(None, picture.frames_before, stride, reader.block))


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


def _cut(stream: Iterator[Frames], plan: Iterator[_Part]) -> Iterator[InputBlock]:
    """Inputs in the blocks of a plan; what was read before a failure is a block, too."""
    for part in plan:
        inputs, failure = _take(stream, part.inputs)
        short = len(inputs) < part.inputs
        if len(inputs):
            # Of a clip of which not all is there the label is not known to be true.
            label = None if short else part.label
            whole = not (short and part.whole_only)
            used = len(inputs) + part.before
            yield InputBlock(
                inputs, part.reset, part.start, whole, part.clip, label, used, part.there
            )
        if failure is not None:
            raise failure
        if short:
            return


def _take(stream: Iterator[Frames], count: int) -> tuple[Frames, FdhtError | None]:
    """The next inputs of a stream, at most `count`, and why there are no more if it failed."""
    inputs: list[Frames] = []
    failure: FdhtError | None = None
    try:
        # The counter comes first: `zip` would otherwise take one more, and drop it.
        inputs.extend(frame.copy() for _, frame in zip(range(count), stream, strict=False))
    except FdhtError as error:
        failure = error  # what came before it is good
    return np.stack(inputs) if inputs else np.zeros((0, 0), np.uint8), failure


def _array(reader: Reader, path: Path, account: FileAccount) -> Blocks:
    values = reader.preprocessing.values
    assert values is not None
    started = time.perf_counter()
    rows = read_all_values(path, values)
    account.stride = _stride(reader, path, None)
    taken = rows[:: account.stride]
    account.there, account.used = len(rows), len(taken)
    account.times.read_seconds += time.perf_counter() - started
    account.times.read_inputs += len(taken)
    yield from _cut(iter(taken), _plan(None, 0, account.stride, reader.block))


def _sound(reader: Reader, path: Path, account: FileAccount) -> Blocks:
    """A recording in stretches, one behind the other, each made as a clip of training is."""
    preprocessing = reader.preprocessing
    sound, sampling = preprocessing.sound, preprocessing.sampling
    assert sound is not None
    started = time.perf_counter()
    samples = read_sound(path)
    account.times.read_seconds += time.perf_counter() - started
    account.stride, account.time_step = sound.stack, sound.stack * HOP / RATE
    inputs, frames = reader.block or UNRESET, frames_in(len(samples))
    length = inputs * sound.stack
    account.there = frames
    for first in range(0, frames, length):
        started = time.perf_counter()
        count = min(length, frames - first)
        part = samples[first * HOP : (first + count - 1) * HOP + WINDOW]
        steps = -(-count // sound.stack)
        clip = sound_clip(part, path, replace(sampling, steps=steps), sound)
        account.times.read_seconds += time.perf_counter() - started
        account.times.read_inputs += steps
        account.used += count
        whole = steps == inputs or not reader.block
        yield InputBlock(clip.values, reader.block > 0 or not first, first, whole)
