"""A recording to a clip: its part, levelled, without the silence around it, one window of it.

Long recordings are decoded twice: once for the energy of every frame, 8 bytes for 10 ms, by which
level and window are found, and once more for the samples of the window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdht_models.errors import DataError
from fdht_models.media.sound import channels_cancel
from fdht_models.preprocessing.definition import ClipInputs, Sampling, Sound
from fdht_models.preprocessing.log_mel import (
    HOP,
    RATE,
    WINDOW,
    frame_energies,
    frames_in,
    log_mel,
    sound_parts,
)
from fdht_models.preprocessing.protocols import Span, exact_span, outside, pad_front

#: Frames that count for the loudness of a recording: at most so many decibels below its loudest.
_LOUD = 20.0
#: A recording of which no frame is louder holds nothing that could be brought to a level. The
#: rounding of 16 bits alone is 18 dB quieter.
_SILENCE = -80.0
#: Samples whose energies are computed at a time: a minute, so that blocks cost next to nothing.
_BLOCK = 60 * RATE


@dataclass(frozen=True, eq=False)
class Scan:
    """What one pass over a recording, or a part of it, tells.

    Attributes:
        energies: of each frame, linear; see `frame_energies`.
        first: the sample at which the first frame begins.
        samples: that the recording has, as far as it was read.
    """

    energies: NDArray[np.float64]
    first: int
    samples: int


def read_sound_clip(
    path: Path, sampling: Sampling, sound: Sound, span: Span | None = None
) -> ClipInputs:
    """Reads one recording, or a part of it, as log-mel energies.

    Every step looks at the part alone. Silence before the first and behind the last frame that is
    loud enough is cut off (`Sound.trim`, below the loudest frame); of what is left the window is
    taken (`Sound.placement`), shorter ones with zeros in front; and the mean energy of the part's
    frames that are at most 20 dB below the loudest is brought to `Sound.level`. A click that is
    shorter than a frame changes a level by little, which it would not a peak.

    Args:
        path: the recording.
        sampling: how many network inputs.
        sound: what is made of it.
        span: [first, last) in seconds; None for the whole file.

    Raises:
        DataError: it cannot be read, ends before the span does, is shorter than one frame, or is
            silent where a level is to be reached or silence to be cut off.
    """
    scan = scan_recording(path, sound.bands, span)
    if not len(scan.energies):
        raise DataError(
            f"is too short: holds {scan.samples - scan.first} samples, and a frame has {WINDOW}",
            field=str(path),
            remedy="take it out of the folder",
        )
    _refuse_silence(path, sound, scan.energies, span)
    gain = 0.0 if sound.level is None else sound.level - loudness(scan.energies)
    first, last = voiced(scan.energies, sound.trim)
    count = sampling.steps * sound.stack
    first, last = place(scan.energies, first, last, count, sound.placement)
    start = scan.first + first * HOP
    samples = _samples(path, start, start + (last - first - 1) * HOP + WINDOW)
    codes = log_mel(samples, sound.bands, sound.floor, gain)
    values = pad_front(codes, count).reshape(sampling.steps, -1)
    frames = len(scan.energies)
    return ClipInputs(values, frames, len(codes), time_step=sound.stack * HOP / RATE)


def scan_recording(path: Path, bands: int, span: Span | None = None) -> Scan:
    """Energies of a recording's frames, in bounded memory but for 8 bytes for each 10 ms.

    Raises:
        DataError: it cannot be read, or ends before the span does.
    """
    start, stop = 0, None
    if span is not None:
        first, last = exact_span(path, span)
        start, stop = math.ceil(first * RATE), None if last is None else math.ceil(last * RATE)
    energies: list[NDArray[np.float64]] = []
    kept: list[NDArray[np.float32]] = []
    position = held = 0
    for part in sound_parts(path):
        wanted = part[max(0, start - position) : None if stop is None else max(0, stop - position)]
        position += len(part)
        kept.append(wanted)
        held += len(wanted)
        if held >= _BLOCK:
            block = np.concatenate(kept)
            energies.append(frame_energies(block, bands))
            kept = [block[frames_in(len(block)) * HOP :].copy()]
            held = len(kept[0])
        if stop is not None and position >= stop:
            break  # what lies behind a part, damage too, is none of it
    # The resampler gives nothing of a sample or two.
    left = np.concatenate([np.zeros(0, np.float32), *kept])
    energies.append(frame_energies(left, bands))
    if span is not None:
        seconds = Fraction(position, RATE)
        # A table may round the length of a recording: up to a frame's.
        if stop is not None and stop > position + HOP:
            raise outside(path, span, seconds, behind=True)
        if start >= (position if stop is None else min(stop, position)):
            raise outside(path, span, seconds, behind=False)
    return Scan(np.concatenate(energies), start, min(position, position if stop is None else stop))


def loudness(energies: NDArray[np.float64]) -> float:
    """Decibels of the mean energy of the frames that are at most 20 dB below the loudest one."""
    loud = energies[energies >= energies.max() * 10 ** (-_LOUD / 10)]
    return float(10 * np.log10(loud.mean()))


def voiced(energies: NDArray[np.float64], trim: float | None) -> tuple[int, int]:
    """[first, last) without the frames at both ends that are `trim` decibels below the loudest."""
    if trim is None:
        return 0, len(energies)
    loud = np.flatnonzero(energies >= energies.max() * 10 ** (-trim / 10))
    return int(loud[0]), int(loud[-1]) + 1


def place(
    energies: NDArray[np.float64], first: int, last: int, count: int, placement: str
) -> tuple[int, int]:
    """[first, last) of the at most `count` frames of [first, last) that are taken."""
    room = max(0, last - first - count)
    if placement == "centre":
        first += room // 2
    elif placement == "energy" and room:
        windows = np.lib.stride_tricks.sliding_window_view(energies[first:last], count)
        # Every window is summed in the same way, so that equal ones tie and the first one wins.
        first += int(np.argmax(_sums(windows)))
    return first, min(first + count, last)


def _sums(windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of rows, one column after the other: no memory of its own but for the result."""
    total = np.zeros(len(windows))
    for column in range(windows.shape[1]):
        total += windows[:, column]
    return total


def _refuse_silence(
    path: Path, sound: Sound, energies: NDArray[np.float64], span: Span | None
) -> None:
    needed = sound.level is not None or sound.trim is not None
    if needed and energies.max() < 10 ** (_SILENCE / 10):
        first, last = (0.0, None) if span is None else exact_span(path, span)
        if channels_cancel(path, float(first), None if last is None else float(last)):
            raise DataError(
                "is silent when its channels are mixed to one: they cancel each other",
                field=str(path),
                remedy="turn the phase of one channel, or keep one channel alone",
            )
        raise DataError(
            f"is silent: nothing in it is louder than {_SILENCE:g} dB of full scale",
            field=str(path),
            remedy="take it out of the folder, or record it louder",
        )


def _samples(path: Path, start: int, stop: int) -> NDArray[np.float32]:
    """Samples [start, stop), as far as they are there; what lies behind them is not decoded."""
    found: list[NDArray[np.float32]] = []
    position = 0
    for part in sound_parts(path):
        found.append(part[max(0, start - position) : max(0, stop - position)].copy())
        position += len(part)
        if position >= stop:
            break
    return np.concatenate([np.zeros(0, np.float32), *found])
