"""Sound as quantised log-mel energies.

Sound is read by PyAV, whose FFmpeg knows NIST SPHERE (compressed by `shorten` too), RIFF and FLAC,
and is a dependency already. The energies need a window, an FFT and a matrix, all in numpy.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdht_models.errors import DataError
from fdht_models.media import open_sound
from fdht_models.media.messages import empty

RATE = 16_000
"""Samples a second; other files are resampled."""
HOP, WINDOW = 160, 400
"""Samples from frame to frame (10 ms) and in a frame (25 ms)."""
_TRANSFORM = 512
_LOWEST, _HIGHEST = 20.0, RATE / 2  # hertz
# The code 255 stands for -5 dB of a full-scale sine and 0 for the floor: 3 codes a decibel where
# the floor is -90 dB. Physical constants, not fitted to any data set; what is quieter than the
# floor is silence, and silence is zero.
FLOOR = -90.0
_TOP, _CODES = -5.0, 255
_NOTHING = 1e-20  # keeps the logarithm of no energy finite; far below any floor
_BLOCK = 4096  # frames at a time, so that an hour of sound needs no gigabyte


def sound_parts(path: Path, *, may_be_cut: bool = False) -> Iterator[NDArray[np.float32]]:
    """Yields the samples of a recording: one channel at 16 kHz, float32 from -1 to 1.

    Args:
        path: the recording.
        may_be_cut: bytes that are missing at its end are no damage: the caller's list tells what
            should be there.

    Raises:
        DataError: it cannot be read, is damaged, or holds no sound.
    """
    with open_sound(path, RATE) as reader:
        yield from reader.parts()
        if not reader.decoded:
            raise empty(path, "sound", reader.damage)
        if reader.damage and not (may_be_cut and reader.cut):
            raise DataError(
                f"cannot be decoded after {reader.decoded} samples ({reader.damage})",
                field=str(path),
                remedy="copy or convert the file again",
            )


def codes_per_decibel(floor: float = FLOOR) -> float:
    """How much louder a code stands for: 3 codes a decibel with the floor at -90 dB."""
    return _CODES / (_TOP - floor)


def log_mel(
    samples: NDArray[np.float32], bands: int, floor: float = FLOOR, gain: float = 0.0
) -> NDArray[np.uint8]:
    """Returns quantised log-mel energies: uint8 [frames, bands].

    Frame t covers samples 160 t to 160 t + 400 (periodic Hann window). The energies of `bands`
    triangular filters, evenly spaced on the mel scale 2595 log10(1 + f / 700) from 20 Hz to 8 kHz,
    are decibels L of a full-scale sine's; code = round(255 (L + gain - floor) / (-5 - floor)), from
    0 to 255: with the floor at -90 dB, round(3 (L + 90)).

    The FFT works in double precision. Another build of numpy may differ in its last digits, and so
    by one code where a value lies between two codes to some 12 digits; codes are integers, and
    everything after them is exact.

    Args:
        samples: from -1 to 1, [samples], at 16 kHz.
        bands: mel filters.
        floor: decibels that become the code 0.
        gain: decibels that are added to all.
    """
    codes = np.empty((frames_in(len(samples)), bands), np.uint8)
    for first, energies in _energies_in_blocks(samples, bands):
        decibels = 10 * np.log10(energies + _NOTHING) + gain
        values = np.rint(codes_per_decibel(floor) * (decibels - floor))
        codes[first : first + len(values)] = np.clip(values, 0, _CODES).astype(np.uint8)
    return codes


def frame_energies(samples: NDArray[np.float32], bands: int) -> NDArray[np.float64]:
    """Energy of each frame, all bands together, 1 for about a full-scale sine's: [frames].

    Linear, so that frames can be added; what lies below 20 Hz, such as an offset, does not count.
    """
    blocks = [energies.sum(axis=1) for _, energies in _energies_in_blocks(samples, bands)]
    return np.concatenate([np.zeros(0), *blocks])


def _energies_in_blocks(
    samples: NDArray[np.float32], bands: int
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yields the number of a first frame, and the energies of it and the next [frames, bands]."""
    frames = frames_in(len(samples))
    window = np.hanning(WINDOW + 1)[:-1]
    scale = (window.sum() / 2) ** 2  # the power that a full-scale sine has at its frequency
    for first in range(0, frames, _BLOCK):
        last = min(first + _BLOCK, frames)
        part = samples[first * HOP : (last - 1) * HOP + WINDOW].astype(np.float64)
        cut = np.lib.stride_tricks.sliding_window_view(part, WINDOW)[::HOP]
        power = np.abs(np.fft.rfft(cut * window, _TRANSFORM)) ** 2 / scale
        yield first, power @ mel_filters(bands).T


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
