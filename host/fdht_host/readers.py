"""How files become blocks of network inputs: what the options of `fdht run` mean for a network.

A network is trained on frames that were chosen in one way (`network.preprocessing`). `trained`
reads a file with the very function of training, `fdht_models.preprocessing.read_clip`, and gives
one block. `stream` takes frames at the trained distance in time, from the first to the last, in
blocks of the trained length. `every` takes all of them. A network of clips that belong to no files
(protocol `generated`) was trained on every frame, so that each file is a stream of its own kind.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_host.video import VideoTimes
from fdht_models.errors import ConfigError
from fdht_models.preprocessing import Preprocessing
from fdht_models.preprocessing.protocols import GENERATED, SIX, scored_protocol

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
        raw: give raw frames, for a core that computes the feature.
        overlapped: read in threads, ahead of whoever takes the blocks; False reads each block when
            it is asked for.
    """

    preprocessing: Preprocessing
    protocol: str
    block: int
    resize: bool = True
    raw: bool = False
    overlapped: bool = False

    @property
    def clipwise(self) -> bool:
        """True if a file is one clip, chosen as in training; False if it is a stream."""
        return self.protocol == TRAINED and self.preprocessing.sampling.protocol != GENERATED


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
    if not resize and preprocessing.picture is None:
        raise ConfigError("is for videos", field="no-resize", value=True, remedy="leave it out")
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
        inputs: uint8 [inputs, values]; of raw frames with `reset` one more. Raw frames of a stream
            are apart, each [values], since they are copied into the core's buffer and nowhere else.
        reset: whether the state is zero before them.
        start: frame of the file at which they begin; None where they are spread over it.
        whole: False of what is left over at the end, shorter than a clip.
        clip: number of the clip within its file that they belong to.
        label: what the labels beside a video say that they show.
        used: frames that were taken for them, where labels say which are there.
        there: frames of the clip, likewise.
        raw: frames are raw ones.
    """

    inputs: Frames | Sequence[Frames]
    reset: bool
    start: int | None
    whole: bool = True
    clip: int = 0
    label: str | None = None
    used: int = 0
    there: int = 0
    raw: bool = False

    @property
    def results(self) -> int:
        """Network inputs: frames that give a result."""
        return len(self.inputs) - int(self.raw and self.reset)


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
