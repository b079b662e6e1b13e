"""Speech as quantised log-mel energies.

Sound is read by PyAV, whose FFmpeg knows NIST SPHERE (compressed by `shorten` too), RIFF and FLAC,
and is a dependency already. The energies need a window, an FFT and a matrix, all in numpy.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdht_models import media
from fdht_models.errors import DataError
from fdht_models.preprocessing.protocols import pad_front
from fdht_models.preprocessing.spans import Span, exact_span, outside
from fdht_models.preprocessing.types import ClipInputs, Sampling, Sound

RATE = 16_000
"""Samples a second; other files are resampled."""
HOP, WINDOW = 160, 400
"""Samples from frame to frame (10 ms) and in a frame (25 ms)."""
_TRANSFORM = 512
_LOWEST, _HIGHEST = 20.0, RATE / 2  # hertz
# Codes: 3 a decibel, 0 at -90 dB, 255 at -5 dB of a full-scale sine. Physical constants, not
# fitted to any data set; what is quieter than -90 dB is silence, and silence is zero.
CODES_PER_DECIBEL, _SILENCE_DECIBELS = 3.0, -90.0
_SILENT = 1e-12
_BLOCK = 4096  # frames at a time, so that an hour of sound needs no gigabyte


def read_sound(path: Path) -> NDArray[np.float32]:
    """Decodes a sound file: one channel at 16 kHz, float32 [samples] from -1 to 1.

    Raises:
        DataError: it cannot be read, or holds no sound.
    """
    sound = media.read_sound(path, RATE)
    if sound.damage:
        raise DataError(
            f"cannot be decoded after {sound.decoded} samples ({sound.damage})",
            field=str(path),
            remedy="copy or convert the file again",
        )
    return sound.samples


def log_mel(samples: NDArray[np.float32], bands: int) -> NDArray[np.uint8]:
    """Returns quantised log-mel energies: uint8 [frames, bands].

    Frame t covers samples 160 t to 160 t + 400 (periodic Hann window). The energies of `bands`
    triangular filters, evenly spaced on the mel scale 2595 log10(1 + f / 700) from 20 Hz to 8 kHz,
    are decibels L of a full-scale sine's; code = round(3 (L + 90)), from 0 to 255.

    Args:
        samples: from -1 to 1, [samples], at 16 kHz.
        bands: mel filters.
    """
    frames = frames_in(len(samples))
    codes = np.empty((frames, bands), np.uint8)
    window = np.hanning(WINDOW + 1)[:-1]
    scale = (window.sum() / 2) ** 2  # the power that a full-scale sine has at its frequency
    for first in range(0, frames, _BLOCK):
        last = min(first + _BLOCK, frames)
        part = samples[first * HOP : (last - 1) * HOP + WINDOW].astype(np.float64)
        cut = np.lib.stride_tricks.sliding_window_view(part, WINDOW)[::HOP]
        power = np.abs(np.fft.rfft(cut * window, _TRANSFORM)) ** 2 / scale
        decibels = 10 * np.log10(power @ mel_filters(bands).T + 1e-20)
        values = np.rint(CODES_PER_DECIBEL * (decibels - _SILENCE_DECIBELS))
        codes[first:last] = np.clip(values, 0, 255).astype(np.uint8)
    return codes


def frames_in(samples: int) -> int:
    """How many frames lie wholly in so many samples."""
    return max(0, 1 + (samples - WINDOW) // HOP)


@functools.cache
def mel_filters(bands: int) -> NDArray[np.float64]:
    """Triangular filters of height 1: float64 [bands, 257]."""
    edges = _hertz(np.linspace(_mel(_LOWEST), _mel(_HIGHEST), bands + 2))
    frequencies = np.arange(_TRANSFORM // 2 + 1) * RATE / _TRANSFORM
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (frequencies - low) / (centre - low)
    falling = (high - frequencies) / (high - centre)
    return np.maximum(0.0, np.minimum(rising, falling))


def band_centres(bands: int, places: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Frequencies in hertz at which the filters have their peaks; see `log_mel`.

    Args:
        bands: mel filters.
        places: numbers of filters, or between them; None: all.
    """
    places = np.arange(bands, dtype=np.float64) if places is None else places
    width = (_mel(_HIGHEST) - _mel(_LOWEST)) / (bands + 1)
    return _hertz(_mel(_LOWEST) + (places + 1) * width)


def bands_at(hertz: NDArray[np.float64], bands: int) -> NDArray[np.float64]:
    """The inverse of `band_centres`: numbers of filters, or between them."""
    width = (_mel(_HIGHEST) - _mel(_LOWEST)) / (bands + 1)
    return np.asarray((2595 * np.log10(1 + hertz / 700) - _mel(_LOWEST)) / width - 1, np.float64)


def cut_window(codes: NDArray[np.uint8], first: int, count: int) -> NDArray[np.uint8]:
    """Returns `count` frames from number `first`, which may be negative; zeros beyond the ends."""
    cut = np.zeros((count, codes.shape[1]), np.uint8)
    start, stop = max(first, 0), min(first + count, len(codes))
    if start < stop:
        cut[start - first : stop - first] = codes[start:stop]
    return cut


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(700 * (10 ** (mel / 2595) - 1), np.float64)


def read_sound_clip(
    path: Path, sampling: Sampling, sound: Sound, span: Span | None = None
) -> ClipInputs:
    """Reads one recording, or a part of it, as log-mel energies.

    Args:
        path: the recording.
        sampling: how many network inputs.
        sound: what is made of it.
        span: [first, last) in seconds; None for the whole file.

    Raises:
        DataError: it cannot be read, ends before the span does, or is shorter than one frame.
    """
    samples = read_sound(path)
    if span is not None:
        samples = _part(path, samples, span)
    return sound_clip(samples, path, sampling, sound)


def sound_clip(
    samples: NDArray[np.float32], path: Path, sampling: Sampling, sound: Sound
) -> ClipInputs:
    """As `read_sound_clip`, of samples that were read: from -1 to 1, [samples], at 16 kHz."""
    peak = float(np.abs(samples).max(initial=0.0))
    if sound.level is not None and peak > _SILENT:
        samples = samples * np.float32(10 ** (sound.level / 20) / peak)
    codes = log_mel(samples, sound.bands)
    if not len(codes):
        raise DataError(
            f"holds {len(samples)} samples, and a frame has {WINDOW}",
            field=str(path),
            remedy="take it out of the folder",
        )
    count = sampling.steps * sound.stack
    first = _start(codes, count, sound.placement)
    cut = codes[first : first + count]
    values = pad_front(cut, count).reshape(sampling.steps, -1)
    return ClipInputs(values, len(codes), len(cut), time_step=sound.stack * HOP / RATE)


def _part(path: Path, samples: NDArray[np.float32], span: Span) -> NDArray[np.float32]:
    """The samples at `first` <= time < `last`."""
    first, last = exact_span(path, span)
    start = math.ceil(first * RATE)
    stop = len(samples) if last is None else math.ceil(last * RATE)
    # A table may round the length of a recording.
    if stop > len(samples) + HOP:
        raise outside(path, span, Fraction(len(samples), RATE), behind=True)
    if not len(samples[start:stop]):
        raise outside(path, span, Fraction(len(samples), RATE), behind=False)
    return samples[start:stop]


def _start(codes: NDArray[np.uint8], count: int, placement: str) -> int:
    """The first frame of a clip's window."""
    room = max(0, len(codes) - count)
    if placement == "start":
        return 0
    if placement == "centre":
        return room // 2
    sums = np.concatenate([[0], np.cumsum(codes.sum(axis=1, dtype=np.int64))])
    return int(np.argmax(sums[count : count + room + 1] - sums[: room + 1])) if room else 0
