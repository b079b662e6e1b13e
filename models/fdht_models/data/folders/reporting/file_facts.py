"""What clips are like, by what their files state: lengths, sizes, rates; decodes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fdht_models.data.folders.listing import (
    ARRAYS,
    SOUND,
    SPEECH,
    SPIKES,
    VECTORS,
    VIDEO,
    Clip,
    Problem,
)
from fdht_models.data.folders.own.clip_table import MICROSECONDS, OPEN_END
from fdht_models.data.folders.request import FolderRequest
from fdht_models.errors import DataError
from fdht_models.files import Stamp, stamp_of
from fdht_models.media import MediaInfo, describe_media
from fdht_models.preprocessing.log_mel import HOP, RATE, WINDOW, frames_in
from fdht_models.preprocessing.protocols import STRIDES
from fdht_models.preprocessing.values import check_header
from fdht_models.threads import map_in_threads

#: By how much a part may reach behind the end that a file states, for rounding: a frame of 20 a
#: second.
_SLACK_SECONDS = 0.05
_known: dict[str, tuple[Stamp, Facts]] = {}


@dataclass(frozen=True)
class Facts:
    """What one file, or folder of pictures, states.

    Attributes:
        frames: of video and arrays.
        seconds: of video and sound.
        size: "640x480" of video, "[frames, 2048]" of arrays, "1 channel" of sound.
        rate: frames or samples a second.
        codec: FFmpeg's name.
        note: what is odd and no reason for a refusal.
        problem: why it cannot be used; "" if it can.
    """

    frames: int | None = None
    seconds: float | None = None
    size: str = ""
    rate: float | None = None
    codec: str = ""
    note: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Length:
    """Of one clip: frames (of sound, of 10 ms) and seconds; None where nothing is stated."""

    frames: int | None
    seconds: float | None


def describe_files(
    request: FolderRequest, paths: Iterable[str], tick: Callable[[int], None] = lambda _: None
) -> dict[str, Facts]:
    """What files state, by their paths relative to the folder.

    Args:
        request: a completed request; spikes lie in files of their own kind and are not described.
        paths: of clips.
        tick: called with 1 for each file.
    """
    if request.folder_set.kind == SPIKES:
        return {}
    wanted = sorted(set(paths))

    def one(path: str) -> Facts:
        found = _described(request, request.root / path)
        tick(1)
        return found

    return dict(zip(wanted, map_in_threads(one, wanted), strict=True))


def length_of(request: FolderRequest, clip: Clip, facts: Facts) -> Length:
    """How long a clip is, as far as its file states it."""
    kind = request.folder_set.kind
    seconds, frames = facts.seconds, facts.frames
    if clip.span is not None and kind in (VIDEO, SOUND):
        first, last = _seconds_of(clip, seconds)
        part = None if last is None else max(0.0, last - first)
        if kind == VIDEO:
            known = part is not None and facts.rate is not None
            frames = round(part * facts.rate) if known else None  # type: ignore[operator]
        seconds = part
    elif clip.span is not None and kind == SPEECH:
        seconds = (clip.span[1] - clip.span[0]) / RATE
    if kind in (SOUND, SPEECH):
        frames = None if seconds is None else frames_in(round(seconds * RATE))
    return Length(frames, seconds)


def problem_of(request: FolderRequest, clip: Clip, facts: Facts) -> str:
    """Why a clip cannot be used, by what its file states; "" if nothing speaks against it."""
    if facts.problem:
        return facts.problem
    if clip.span is None or request.folder_set.kind not in (VIDEO, SOUND) or not facts.seconds:
        return ""
    first, last = clip.span[0] / MICROSECONDS, clip.span[1] / MICROSECONDS
    slack = max(_SLACK_SECONDS, 0.0 if facts.rate is None else 1.5 / facts.rate)
    if first >= facts.seconds or (clip.span[1] != OPEN_END and last > facts.seconds + slack):
        until = "its end" if clip.span[1] == OPEN_END else f"{last:g}"
        return f"lasts {facts.seconds:.3f} s, and its clip is from {first:g} to {until}"
    return ""


def needed_frames(request: FolderRequest) -> int:
    """Frames (of sound, of 10 ms) that a clip needs, so that no step of it is padded."""
    made = request.preprocessing("test")
    sampling = made.sampling
    if made.sound is not None:
        return sampling.steps * made.sound.stack
    wanted = sampling.steps + (0 if made.picture is None else made.picture.frames_before)
    return (wanted - 1) * sampling.stride + 1 if sampling.protocol in STRIDES else wanted


def short_note(
    request: FolderRequest, short: int, clips: int, *, decoded: bool = False
) -> list[str]:
    """A sentence on clips that are padded, if there are any.

    Args:
        request: completed.
        short: how many are.
        clips: of how many.
        decoded: they were read; before that, silence that will be cut off counts as sound.
    """
    if not short:
        return []
    made = request.preprocessing("test")
    unit, need = "frames", needed_frames(request)
    if made.sound is not None:
        unit = f"frames of {1000 * HOP // RATE} ms ({((need - 1) * HOP + WINDOW) / RATE:g} s)"
    count = f"{short} of {clips}"
    if made.sound is not None and not decoded:
        count = f"at least {count}, for silence at the ends is cut off, too"
    return [
        f"clips shorter than the {need} {unit} that {made.sampling.protocol} with "
        f"{made.sampling.steps} steps takes, padded in front with zeros: {count}"
    ]


def unusable(
    request: FolderRequest, clips: Sequence[Clip], facts: Mapping[str, Facts]
) -> tuple[Problem, ...]:
    """The clips that cannot be used, by what their files state."""
    pairs = ((clip, facts.get(clip.path, Facts())) for clip in clips)
    return tuple(
        Problem(clip.key, why) for clip, fact in pairs if (why := problem_of(request, clip, fact))
    )


def count_short(request: FolderRequest, clips: Sequence[Clip], facts: Mapping[str, Facts]) -> int:
    """How many clips the protocol will pad."""
    if request.folder_set.kind not in (VIDEO, SOUND, ARRAYS, VECTORS):
        return 0
    need = needed_frames(request)
    lengths = (length_of(request, clip, facts[clip.path]).frames for clip in clips)
    return sum(frames is not None and frames < need for frames in lengths)


def _seconds_of(clip: Clip, whole: float | None) -> tuple[float, float | None]:
    assert clip.span is not None
    first, last = clip.span
    if last == OPEN_END:
        return first / MICROSECONDS, whole
    end = last / MICROSECONDS
    return first / MICROSECONDS, end if whole is None else min(end, whole)


def _described(request: FolderRequest, path: Path) -> Facts:
    try:
        stamp = stamp_of(path)
    except OSError as error:
        return Facts(problem=f"cannot be read ({error.strerror})")
    key = f"{request.folder_set.kind} {request.inputs} {path.absolute()}"
    known = _known.get(key)
    if known is None or known[0] != stamp or path.is_dir():
        known = _known[key] = stamp, _describe(request, path)
    return known[1]


def _describe(request: FolderRequest, path: Path) -> Facts:
    kind = request.folder_set.kind
    try:
        if kind in (ARRAYS, VECTORS):
            length = request.preprocessing().inputs
            return Facts(frames=check_header(path, length)[0], size=f"[frames, {length}]")
        info = describe_media(path)
    except DataError as error:
        return Facts(problem=error.problem)
    if kind == VIDEO:
        return _of_video(info)
    return _of_sound(info)


def _of_video(info: MediaInfo) -> Facts:
    if info.kind != VIDEO:
        return Facts(problem="holds no video stream")
    return Facts(
        info.frames, info.seconds, f"{info.width}x{info.height}", info.rate, info.codec, info.note
    )


def _of_sound(info: MediaInfo) -> Facts:
    if info.kind == "video":  # a film with sound: its length is that of the sound, about
        return Facts(None, info.seconds, "sound of a video", None, info.codec, info.note)
    seconds = None if info.seconds is None or math.isnan(info.seconds) else info.seconds
    channels = "" if info.channels is None else f"{info.channels} channel"
    channels += "s" if info.channels not in (None, 1) else ""
    return Facts(None, seconds, channels, info.rate, info.codec, info.note)
