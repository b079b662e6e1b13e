"""What a reader should know of how the frames of a source were chosen, a sentence each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from fdht_host.answers import PREDICTIONS, ClipAnswer
from fdht_host.readers import EVERY, STREAM, TRAINED, Reader, scored
from fdht_models.data.folders import Problem
from fdht_models.data.folders.sentences import name_some
from fdht_models.preprocessing import Preprocessing, Sampling
from fdht_models.preprocessing.protocols import CONSECUTIVE, GENERATED, STRIDE, TT_RNN, WINDOW

#: Protocols that look at one stretch of a file, and how much longer a file is worth a note.
_STRETCHES = (CONSECUTIVE, STRIDE, TT_RNN, WINDOW)
_MUCH_LONGER = 2
#: How many times as far apart as in training network inputs are before a note is worth it.
_PACE = 1.3
#: Distances in time that differ by less are told as one.
_SAME = 0.1
#: Problems that a sentence names.
_NAMED = 3


def notes_of(
    reader: Reader, answers: Sequence[ClipAnswer], problems: Sequence[Problem], sampling: Sampling
) -> list[str]:
    """Sentences on the frames of a source's clips, and on clips that could not be used.

    Args:
        reader: how its files became blocks.
        answers: of its clips.
        problems: clips that could not be read.
        sampling: of the network.
    """
    notes: list[str] = []
    if reader.protocol == EVERY:
        notes += _every_notes(answers, sampling)
    elif reader.protocol == STREAM:
        notes += _stream_notes(answers, sampling)
    elif reader.clipwise:
        trained = scored(reader.preprocessing).sampling
        notes += [*_pace_notes(answers, trained), *_stretch_notes(answers, trained)]
        notes += _short_notes(answers, reader.preprocessing)
    total = len({answer.clip for answer in answers}) + len(problems)
    if problems:
        told = [f"{problem.path} {problem.reason}" for problem in problems]
        notes.append(f"{len(problems)} of {total} clips cannot be used: {name_some(told, _NAMED)}")
    damaged = [f"{one.clip}: {one.damage}" for one in answers if one.damage]
    if damaged:
        notes.append(
            f"used up to the damage: {len(damaged)} of {total} clips ({name_some(damaged, _NAMED)})"
        )
    return notes


def _every_notes(answers: Sequence[ClipAnswer], sampling: Sampling) -> Iterator[str]:
    others = [one for one in answers if _differs(one.time_step, sampling)]
    if others and sampling.protocol != GENERATED:
        first = others[0].time_step
        found = "one frame apart" if first is None else f"{_milliseconds(first)} apart"
        yield (
            f"every frame is taken: network inputs are {found}, trained on "
            f"{trained_distance(sampling)}{_among(others, answers)}; "
            f"--protocol {STREAM} or {TRAINED} keeps what was learned"
        )


def _differs(step: float | None, sampling: Sampling) -> bool:
    if step is None or sampling.time_step is None:
        return sampling.stride != 1 or not sampling.suits_streams
    return abs(step / sampling.time_step - 1) > _SAME


def trained_distance(sampling: Sampling) -> str:
    """How far apart in time, or in frames, the network's inputs were in training."""
    spread = "" if sampling.suits_streams else "frames spread over each clip, "
    if sampling.time_step is not None:
        return f"{spread}{'a median of ' if spread else ''}{_milliseconds(sampling.time_step)}"
    if spread:
        return "frames spread over each clip"
    return _every(sampling.stride)


def _stream_notes(answers: Sequence[ClipAnswer], sampling: Sampling) -> Iterator[str]:
    alike: dict[tuple[int, float | None], list[ClipAnswer]] = defaultdict(list)
    for one in answers:
        if one.stride is not None:
            alike[one.stride, one.time_step].append(one)
    ordered = sorted(alike.items(), key=lambda item: (item[0][0], item[0][1] or 0.0))
    for (stride, step), some in ordered[:_NAMED]:
        which = _every(stride)
        apart = (
            "the file states no frame rate, so the stride is the trained one"
            if step is None
            else f"{_milliseconds(step)} apart"
        )
        files = list(dict.fromkeys(one.clip for one in some))
        of = "" if len(alike) == 1 else f"of {name_some(files, 1)} "
        yield f"{of}{which} is taken, {apart}; trained on {trained_distance(sampling)}"
    if len(ordered) > _NAMED:
        files = list(dict.fromkeys(one.clip for _, some in ordered[_NAMED:] for one in some))
        yield f"other distances are taken of {name_some(files, 1)}; see {PREDICTIONS}"


def _pace_notes(answers: Sequence[ClipAnswer], sampling: Sampling) -> Iterator[str]:
    """Frames are counted: a file of another rate shows motion of another size."""
    if sampling.protocol not in _STRETCHES or sampling.time_step is None:
        return
    others = [
        (one, one.time_step)
        for one in answers
        if one.time_step is not None
        and not 1 / _PACE <= one.time_step / sampling.time_step <= _PACE
    ]
    for first, step in others[:1]:
        yield (
            f"network inputs of {first.clip} are {_milliseconds(step)} apart, trained on "
            f"{trained_distance(sampling)}{_among(others, answers)}: motion has another size; "
            f"--protocol {STREAM} keeps the distance"
        )


def _stretch_notes(answers: Sequence[ClipAnswer], sampling: Sampling) -> Iterator[str]:
    long = [
        one
        for one in answers
        if sampling.protocol in _STRETCHES
        and one.frames_there is not None
        and one.frames_used is not None
        and one.frames_there > _MUCH_LONGER * one.frames_used * sampling.stride
    ]
    for first in long[:1]:
        yield (
            f"{first.frames_used} of {first.frames_there} frames of {first.clip} were looked at, "
            f"one stretch as in training{_among(long, answers)}; --protocol {STREAM} looks at all"
        )


def _short_notes(answers: Sequence[ClipAnswer], preprocessing: Preprocessing) -> Iterator[str]:
    before = 0 if preprocessing.picture is None else preprocessing.picture.frames_before
    stack = 1 if preprocessing.sound is None else preprocessing.sound.stack
    wanted = preprocessing.sampling.steps * stack + before
    short = [one for one in answers if one.frames_used is not None and one.frames_used < wanted]
    for first in short[:1]:
        yield (
            f"{first.clip} has {first.frames_used} of {wanted} frames{_among(short, answers)}; "
            "zeros stand in front, as in training"
        )


def _among(some: Sequence[object], answers: Sequence[ClipAnswer]) -> str:
    return "" if len(answers) == 1 else f" ({len(some)} of {len(answers)} clips)"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def _every(count: int) -> str:
    """Which frames: "every frame", "every 2nd frame"."""
    if count == 1:
        return "every frame"
    ending = {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"every {count}{'th' if count % 100 in (11, 12, 13) else ending} frame"
