"""A recording as samples."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.media.library import Failure, attempt, av
from fdht_models.media.messages import empty
from fdht_models.media.opening import best_stream, open_media


@dataclass(frozen=True)
class Sound:
    """One channel of a recording, as far as it could be decoded.

    Attributes:
        samples: float32 [samples] from -1 to 1, at the rate that was asked for.
        rate: samples a second in the file.
        declared: samples that the file's header states, at the file's rate; None if it states no
            number. It may state more than there are, or any number at all; of RIFF, FFmpeg takes
            the size of the file where the header says more.
        decoded: samples that were there, at the file's rate.
        damage: why decoding ended before the end; "" if it did not.
    """

    samples: NDArray[np.float32]
    rate: int
    declared: int | None
    decoded: int
    damage: str


def read_sound(path: Path, rate: int) -> Sound:
    """Decodes the best sound stream of a file, mixed to one channel.

    Of a recording that is damaged half way, what comes before the damage is returned.

    Args:
        path: the file.
        rate: samples a second; others are resampled.

    Raises:
        DataError: PyAV is missing, or the file cannot be opened, its codec has no decoder, or it
            holds no sound.
    """
    with open_sound(path, rate) as reader:
        parts = list(reader.parts())
        declared = reader.declared()
    if not parts:
        raise empty(path, "sound", reader.damage)
    return Sound(np.concatenate(parts), reader.rate, declared, reader.decoded, reader.damage)


@contextmanager
def open_sound(path: Path, rate: int) -> Iterator[SoundReader]:
    """Opens a recording that is read part by part, as an hour of it needs no gigabyte.

    Args and errors as those of `read_sound`; a file without a sample gives no part.
    """
    with open_media(path, "sound") as container:
        yield SoundReader(container, best_stream(path, container, "sound"), rate)


class SoundReader:
    """Decodes and resamples until the end or the first damage.

    Attributes:
        rate: samples a second in the file, after its first part.
        decoded: samples so far, at the file's rate.
        damage: why decoding ended before the end; "" if it did not.
    """

    def __init__(self, container: Any, stream: Any, rate: int) -> None:
        self._stream = stream
        self._frames = container.decode(stream)
        self._resampler = av().AudioResampler(format="flt", layout="mono", rate=rate)
        self.rate, self.decoded, self.damage = rate, 0, ""

    def parts(self) -> Iterator[NDArray[np.float32]]:
        """Yields samples from -1 to 1 of one channel, float32 [samples], in order."""
        while not self.damage:
            frame = attempt(lambda: next(self._frames, None))
            if isinstance(frame, Failure):
                self.damage, frame = frame.why, None
            found = attempt(functools.partial(self._resample, frame))
            if isinstance(found, Failure):
                self.damage = found.why
                return
            yield from found
            if frame is None:
                return
            self.decoded += frame.samples
            self.rate = frame.sample_rate

    def declared(self) -> int | None:
        """Samples that the file's header states; see `Sound`."""
        known = attempt(lambda: _declared(self._stream))
        return None if isinstance(known, Failure) else known

    def _resample(self, frame: Any) -> list[NDArray[np.float32]]:
        return [part.to_ndarray()[0] for part in self._resampler.resample(frame)]


def _declared(stream: Any) -> int | None:
    if stream.duration is None or stream.time_base is None:
        return None
    return round(stream.duration * stream.time_base * stream.codec_context.sample_rate)
