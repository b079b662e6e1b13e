"""A recording as samples."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.errors import DataError
from fdht_models.media.library import Failure, attempt, av
from fdht_models.media.opening import best_stream, open_media
from fdht_models.media.structure import Ending, ending_of

#: Seconds by which fewer samples may be there than are declared, for what encoders put in front.
_SLACK = 0.1
#: A peak of 60 dB below full scale.
_AUDIBLE = 1e-3


def channels_cancel(path: Path, first: float = 0.0, last: float | None = None) -> bool:
    """True if channels are audible from second `first` to `last`, and their mean is not.

    Raises:
        DataError: the file cannot be opened.
    """
    loudest = mixed = 0.0
    with open_media(path, "sound") as container:
        stream = best_stream(path, container, "sound")
        frames, position = container.decode(stream), 0
        planes = av().AudioResampler(format="fltp")
        while True:
            frame = attempt(lambda: next(frames, None))
            if frame is None or isinstance(frame, Failure):
                break
            start, position = position / frame.sample_rate, position + frame.samples
            if last is not None and start >= last:
                break
            found = attempt(functools.partial(planes.resample, frame))
            if isinstance(found, Failure):
                break
            for samples in (part.to_ndarray() for part in found):
                kept = samples[:, max(0, round((first - start) * frame.sample_rate)) :]
                if kept.size:
                    loudest = max(loudest, float(np.abs(kept).max()))
                    mixed = max(mixed, float(np.abs(kept.mean(axis=0)).max()))
    return loudest > _AUDIBLE and mixed < loudest / 100


@contextmanager
def open_sound(path: Path, rate: int) -> Iterator[SoundReader]:
    """Opens the best sound stream of a file; read part by part, as an hour needs no gigabyte.

    Args:
        path: the file; one without a sample gives no part.
        rate: samples a second; others are resampled.

    Raises:
        DataError: PyAV is missing, or the file cannot be opened, holds no sound, or its codec has
            no decoder.
    """
    with open_media(path, "sound") as container:
        yield SoundReader(path, container, best_stream(path, container, "sound"), rate)


class SoundReader:
    """Decodes and resamples until the end or the first damage.

    Attributes:
        rate: samples a second in the file, after its first part.
        decoded: samples so far, at the file's rate.
        damage: why decoding ended before the end, or that bytes are missing there; "" if all is
            well.
        cut: True if all that is wrong is that bytes are missing at the end.
    """

    def __init__(self, path: Path, container: Any, stream: Any, rate: int) -> None:
        self._path, self._stream = path, stream
        self._frames = container.decode(stream)
        self._resampler = av().AudioResampler(format="flt", layout="mono", rate=rate)
        self.rate, self.decoded, self.damage, self.cut = rate, 0, "", False

    def parts(self) -> Iterator[NDArray[np.float32]]:
        """Yields samples from -1 to 1 of one channel, float32 [samples], in order.

        Raises:
            DataError: samples are not finite.
        """
        while not self.damage:
            frame = attempt(lambda: next(self._frames, None))
            if isinstance(frame, Failure):
                self.damage, frame = frame.why, None
            found = attempt(functools.partial(self._resample, frame))
            if isinstance(found, Failure):
                self.damage = found.why
                return
            for part in found:
                self._refuse_not_finite(part)
                yield part
            if frame is None:
                self._look_at_end()
                return
            self.decoded += frame.samples
            self.rate = frame.sample_rate

    def declared(self) -> int | None:
        """Samples that the file's header states, at the file's rate; None if it states no number.

        It may state more than there are, or any number at all; of RIFF, FFmpeg takes the size of
        the file where the header says more.
        """
        known = attempt(lambda: _declared(self._stream))
        return None if isinstance(known, Failure) else known

    def _refuse_not_finite(self, samples: NDArray[np.float32]) -> None:
        """Files of floating-point numbers may hold any; no energy can be made of these."""
        if not np.isfinite(samples).all():
            raise DataError(
                f"holds samples that are not finite (NaN or Inf), after {self.decoded} samples",
                field=str(self._path),
                remedy="write the recording again, or take it out",
            )

    def _look_at_end(self) -> None:
        """Decoders say nothing of a file that ends between two packets."""
        if self.damage:
            return
        ending = attempt(lambda: ending_of(self._path))
        if isinstance(ending, Failure):
            self.damage = ending.why
            return
        declared = self.declared()
        slack = _SLACK * self.rate
        short = declared is None or self.decoded + slack < declared
        if ending is Ending.CUT or (ending is Ending.SHORT and short):
            self.damage, self.cut = "ends early: bytes are missing at its end", True

    def _resample(self, frame: Any) -> list[NDArray[np.float32]]:
        return [part.to_ndarray()[0] for part in self._resampler.resample(frame)]


def _declared(stream: Any) -> int | None:
    if stream.duration is None or stream.time_base is None:
        return None
    return round(stream.duration * stream.time_base * stream.codec_context.sample_rate)
