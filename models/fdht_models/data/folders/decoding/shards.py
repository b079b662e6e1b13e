"""Decoded clips in shards: each is written whole or not at all, and called by its content.

An interrupted decoding goes on with the shards that are missing, another fold uses the same ones,
and where one file changed only its shard is decoded again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.artifacts import AGAIN, digest_of, new_stage, read_json, write_json
from fdht_models.data.folders.decoding.file_digests import FileIndex
from fdht_models.data.folders.listing import (
    ARRAYS,
    SOUND,
    SPEECH,
    SPIKES,
    VECTORS,
    VIDEO,
    Clip,
)
from fdht_models.data.folders.own.clip_files import files_of_clip
from fdht_models.data.folders.own.clip_table import MICROSECONDS, OPEN_END
from fdht_models.data.folders.published.shd import SpikeReader
from fdht_models.data.folders.published.timit_ted_lium import SpeechReader
from fdht_models.data.folders.request import FolderRequest
from fdht_models.errors import ArtifactError, DataError
from fdht_models.media.library import av
from fdht_models.preprocessing import ClipInputs, read_clip
from fdht_models.preprocessing.log_mel import HOP, RATE
from fdht_models.records import read_record
from fdht_models.versions import package_versions

_STAGE = "shard"
_FRAMES, _STATES = "frames.bin", "clips.json"
_VERSION = 4  # counts changes of this package that change decoded bytes
_BYTES = 32 << 20
# A shard is what an interruption may cost: some seconds of decoding.
_CLIPS = {VIDEO: 32, SPIKES: 1024, SPEECH: 4096, VECTORS: 256, SOUND: 1024, ARRAYS: 256}

Reader = Callable[[Clip], ClipInputs]


@dataclass(frozen=True)
class Shard:
    """Clips that are decoded and kept together.

    Attributes:
        directory: where.
        split: whose protocol its clips are decoded by, "train" or "test".
        inputs: digest of all that its bytes depend on, as kept in its manifest.
        clips: in order.
    """

    directory: Path
    split: str
    inputs: dict[str, Any]
    clips: tuple[Clip, ...]

    def is_done(self, index: FileIndex) -> bool:
        """True if the shard is there, whole and undamaged."""
        return index.is_current(self.directory, _STAGE, self.inputs)

    def to_json(self) -> dict[str, Any]:
        """What a worker process needs, JSON-serialisable."""
        return {**asdict(self), "directory": str(self.directory)}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Shard:
        """The reverse of `to_json`."""
        clips = read_record(tuple[Clip, ...], value["clips"])
        return Shard(Path(value["directory"]), value["split"], value["inputs"], clips)


@dataclass(frozen=True)
class State:
    """What became of a clip.

    Attributes:
        row: its place in the shard's frames, or None if it could not be decoded.
        note: why not, or what was damaged; "" if nothing was.
        short: frames that the protocol lacks, so that zeros stand in front.
        time_step: seconds from one network input to the next; None where the file does not say.
    """

    row: int | None
    note: str
    short: bool = False
    time_step: float | None = None


def plan_shards(
    request: FolderRequest,
    split: str,
    clips: Sequence[Clip],
    digests: Mapping[str, str],
    cache: Path,
) -> list[Shard]:
    """Divides clips into shards, in order.

    Args:
        request: a completed request.
        split: whose protocol counts; most protocols are the same for both, and so are the shards.
        clips: all clips of the folder.
        digests: of the clips' files, by path.
        cache: directory that holds the shards.
    """
    kind = request.folder_set.kind
    length = max(1, min(_CLIPS[kind], _BYTES // clip_bytes(request)))
    # All that the bytes of a decoded clip depend on besides its file.
    decoding = request.preprocessing(split).to_json()
    about = {"version": _VERSION, "decoding": decoding, "tools": _tools(kind)}
    shards = []
    for first in range(0, len(clips), length):
        part = tuple(clips[first : first + length])
        content = [[clip.key, clip.span, clip.extent, digests[clip.path]] for clip in part]
        inputs = {"content": digest_of({**about, "clips": content})}
        name = f"{request.name}-{inputs['content'][:20]}"
        shards.append(Shard(cache / "shards" / name, split, inputs, part))
    return shards


def clip_bytes(request: FolderRequest) -> int:
    """Bytes of one decoded clip of a completed request."""
    found = request.preprocessing()
    return found.sampling.steps * found.inputs


def decode_shard(request: FolderRequest, shard: Shard, start: Callable[[Clip], None]) -> None:
    """Decodes the clips of a shard and writes them; a clip that cannot be decoded is noted.

    Args:
        request: a completed request.
        shard: what to decode.
        start: called with each clip before it is decoded.

    Raises:
        DataError: a package is missing, or the folder can no longer be read.
        ArtifactError: the shard cannot be written; nothing of it is left.
    """
    states: list[State] = []
    rows = 0
    with (
        clip_reader(request, shard.split) as read,
        new_stage(shard.directory, _STAGE, shard.inputs) as (temporary, _),
    ):
        with (temporary / _FRAMES).open("wb") as stream:
            for clip in shard.clips:
                start(clip)
                try:
                    decoded = read(clip)
                except DataError as error:
                    _check_readable(request.root, clip.path)
                    states.append(State(None, error.problem))
                    continue
                stream.write(decoded.values.data)
                short = _is_short(request, decoded)
                states.append(State(rows, decoded.damage, short, decoded.time_step))
                rows += 1
            stream.flush()
            os.fsync(stream.fileno())
        write_json(temporary / _STATES, [asdict(state) for state in states])


def read_states(shard: Shard) -> list[State]:
    """What became of each clip of a shard that is done."""
    path = shard.directory / _STATES
    states: tuple[State, ...] = read_record(
        tuple[State, ...], read_json(path), source=str(path), error=ArtifactError, remedy=AGAIN
    )
    return list(states)


def read_rows(shard: Shard, request: FolderRequest, rows: Sequence[int]) -> NDArray[np.uint8]:
    """Clips of a shard by their rows: uint8 [rows, steps, inputs]."""
    found = request.preprocessing()
    kept = np.memmap(shard.directory / _FRAMES, np.uint8, mode="r")
    return np.asarray(kept.reshape(-1, found.sampling.steps, found.inputs)[list(rows)])


@contextmanager
def clip_reader(request: FolderRequest, split: str) -> Iterator[Reader]:
    """Yields what reads one clip of a split, of a completed request.

    Raises:
        DataError: a package is missing, or the folder's files cannot be opened.
    """
    kind, preprocessing = request.folder_set.kind, request.preprocessing(split)
    if kind in (VIDEO, SPEECH, SOUND):
        av()  # if it is missing, that is no fault of the clips
    steps = preprocessing.sampling.steps
    if preprocessing.spikes is not None:
        bin_ms = preprocessing.spikes.frame_ms
        with SpikeReader(request.root, steps, bin_ms) as spikes:
            yield lambda clip: ClipInputs(spikes.read(clip), steps, steps, time_step=bin_ms / 1000)
    elif kind == SPEECH:
        assert preprocessing.sound is not None
        sound = preprocessing.sound
        centred = sound.placement == "centre"
        speech = SpeechReader(request.root, steps, sound.bands, sound.stack, centred)
        frames, step = steps * sound.stack, sound.stack * HOP / RATE
        yield lambda clip: ClipInputs(speech.read(clip), frames, frames, time_step=step)
    else:
        yield lambda clip: read_clip(
            request.root / clip.path, clip.key, preprocessing, span_in_seconds(clip)
        )


def _is_short(request: FolderRequest, decoded: ClipInputs) -> bool:
    made = request.preprocessing()
    before = 0 if made.picture is None else made.picture.frames_before
    stack = 1 if made.sound is None else made.sound.stack
    return decoded.used < made.sampling.steps * stack + before


def span_in_seconds(clip: Clip) -> tuple[float, float] | None:
    """The part of its file that an own clip is; None for all of it."""
    if clip.span is None:
        return None
    first, last = clip.span
    return first / MICROSECONDS, math.inf if last == OPEN_END else last / MICROSECONDS


def _check_readable(root: Path, clip: str) -> None:
    # A disk that went away is not the clips' fault, and must not be remembered as such.
    path = root / clip
    try:
        for path in files_of_clip(root, clip):
            with path.open("rb") as stream:
                stream.read(1)
    except OSError as error:
        raise DataError(
            f"can no longer be read ({error.strerror})",
            field=str(path),
            remedy="check the disk; what is decoded so far is kept",
        ) from error


def _tools(kind: str) -> dict[str, Any]:
    # Another version may decode, resize or round otherwise.
    tools: dict[str, Any] = dict(package_versions("numpy"))
    if kind in (SPIKES, VECTORS, ARRAYS):
        return tools
    library = av()
    return {**tools, "av": library.__version__, "ffmpeg": dict(library.library_versions)}
